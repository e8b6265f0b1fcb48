"""From what an mrjob job puts out to the commits and result parts of a job in our store.

The tasks of mrjob are not those of our plan: a mapper may get one block of a split, or blocks of
two. What they tell counts for the task of the plan that has the first of their blocks.
"""

import re
import shutil
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from mr import layout
from mr.commits import Commit, write_commit
from mr.decoding import from_json
from mr.engines.mrjob.rows import FILES, PART, TOLD, Row, decode_row
from mr.engines.mrjob.tasks import ATTEMPT, Told
from mr.errors import FormatError, JobFailed
from mr.runs import Span, write_frame
from mr.spec import JobSpec
from mr.stopwatch import add_spent
from mr.store import Store
from mr.tally import Tally, add_counts

#: What tasks are told by: the number of a block or a partition first.
_SOURCE = re.compile(r"[0-9]{10}(\.[0-9a-f]{8})*\Z")
#: Bytes of the result that wait in memory while it comes; the rest goes to local disk.
SPOOLED_BYTES = 64_000_000


@dataclass
class _Piece:
    """What one task has left of a kind: where it lies in the spool, and how many rows it was."""

    stretches: list[Span] = field(default_factory=list)
    rows: int = 0

    @property
    def length(self) -> int:
        return sum(one.length for one in self.stretches)


class Collector:
    """Takes the lines that an mrjob job puts out; they may come task by task in any order."""

    def __init__(self, spec: JobSpec, folder: Path) -> None:
        self._spec = spec
        self._spool = tempfile.SpooledTemporaryFile(SPOOLED_BYTES, dir=folder)  # noqa: SIM115
        self._pieces: dict[tuple[str, str], _Piece] = defaultdict(_Piece)
        #: What tasks told, by stage and source.
        self._told: dict[str, dict[str, Told]] = defaultdict(dict)
        #: Bytes of runs that maps have left for each partition, by stage.
        self._runs = {
            layout.stage_id(number, "map"): [0] * spec.reducers
            for number, step in enumerate(spec.steps, 1)
            if step.has_reduce
        }

    def take(self, line: bytes) -> None:
        """Take a line. Raises JobFailed where the output cannot be whole."""
        try:
            row = decode_row(line)
            if row.kind == TOLD:
                told = from_json(row.data, Told)
                if not _SOURCE.match(told.source):
                    raise FormatError(f"no task is at {told.source!r:.100}.")
                if told.source in self._told[told.stage]:
                    raise JobFailed(f"mrjob's output has the task at {told.source} twice.")
                self._told[told.stage][told.source] = self._added(told)
            else:
                self._keep(row)
        except (FormatError, msgspec.DecodeError) as error:
            raise JobFailed(f"mrjob's output is damaged: {error}") from None

    def _added(self, told: Told) -> Told:
        """What a task told, where its runs were added: there may be a thousand of each of many."""
        runs = self._runs.get(told.stage)
        if runs is None:
            return told
        for partition, span in enumerate(told.commit.spans):
            runs[partition] += span.length
        return replace(told, commit=replace(told.commit, spans=[]))

    def _keep(self, row: Row) -> None:
        piece = self._pieces[row.kind, row.source]
        if row.number != piece.rows:
            raise JobFailed(
                f"mrjob's output is not in order: of the task at {row.source} came row "
                f"{row.number} after {piece.rows} rows."
            )
        piece.rows += 1
        start = self._spool.tell()
        if row.kind == PART:
            write_frame(self._spool, row.data)
        else:
            self._spool.write(row.data)
        length = self._spool.tell() - start
        if piece.stretches and piece.stretches[-1].offset + piece.stretches[-1].length == start:
            last = piece.stretches.pop()
            start, length = last.offset, last.length + length
        piece.stretches.append(Span(start, length))

    def commit(self, store: Store, firsts: Sequence[int], blocks: int) -> None:
        """Commit all tasks that mrjob has done; `firsts` are the first blocks of our splits.

        The last stage first: whoever goes on after a kill runs what is left of the stages before
        it, and finds what comes of them. Raises JobFailed where not all blocks, or not all of the
        result, have come.
        """
        self._check(blocks)
        spec = self._spec
        #: Each stage, the first number of each of its tasks, and the tasks that are done.
        stages: list[tuple[str, Sequence[int], Sequence[int]]] = []
        numbers: Sequence[int] = range(len(firsts))
        for number, step in enumerate(spec.steps, 1):
            stage = layout.stage_id(number, "map")
            if number > 1 and not self._told[stage]:
                # The step before gave nothing at all. What a step makes of that is made here.
                for task in range(len(numbers)):
                    name = layout.task_id(stages[-1][0], task)
                    store.write(layout.result_name(spec.job, name, ATTEMPT), b"")
                break
            # Sources begin with the number of a block or, after a reduce, of a partition.
            place = numbers if any(s.has_reduce for s in spec.steps[: number - 1]) else firsts
            stages.append((stage, place, range(len(place))))
            if step.has_reduce:
                stage = layout.stage_id(number, "reduce")
                numbers = self._partitions(stage)
                told = self._told[stage]
                done = [task for task, p in enumerate(numbers) if f"{p:010d}" in told]
                stages.append((stage, numbers, done))
        for stage, places, done in reversed(stages):
            self._commit_stage(store, stage, places, done)

    def _check(self, blocks: int) -> None:
        """Raise JobFailed where a task has not had all that was left for it, or has told nothing.

        All blocks must have been mapped, all bytes of a partition's runs reduced, and all bytes of
        a result mapped by the step after it.
        """
        spec = self._spec
        tallies = [told.commit.tally for told in self._all(layout.stage_id(1, "map"))]
        seen = sum(tally.blocks + len(tally.missing) for tally in tallies)
        if seen != blocks:
            raise JobFailed(f"mrjob's output is not whole: it covers {seen} of {blocks} blocks.")
        left = 0
        for number, step in enumerate(spec.steps, 1):
            stage = layout.stage_id(number, "map")
            done = self._all(stage)
            self._check_taken(sum(told.taken for told in done), left, f"the maps of step {number}")
            if step.has_reduce:
                reduces = self._told[layout.stage_id(number, "reduce")]
                for partition, runs in enumerate(self._runs[stage]):
                    told = reduces.get(f"{partition:010d}")
                    self._check_taken(told.taken if told else 0, runs, f"reduce {partition}")
                done = list(reduces.values())
            left = sum(told.commit.spans[0].length for told in done)

    def _all(self, stage: str) -> list[Told]:
        return list(self._told[stage].values())

    @staticmethod
    def _check_taken(taken: int, left: int, what: str) -> None:
        if taken != left:
            raise JobFailed(
                f"mrjob's output is not whole: {what} had {taken:,} of {left:,} bytes that were "
                "left there."
            )

    def _partitions(self, stage: str) -> list[int]:
        """The partitions that a stage's reduces are planned for, whoever does it."""
        spec = self._spec
        has_files = spec.output and stage == spec.last_stage
        ran = {int(source) for source in self._told[stage]}
        return sorted(ran | ({*range(spec.reducers)} if has_files else {0}))

    def _commit_stage(
        self, store: Store, stage: str, firsts: Sequence[int], tasks: Iterable[int]
    ) -> None:
        """Commit tasks of a stage; `firsts` are the first numbers of each of its tasks."""
        told: dict[int, dict[str, Commit]] = defaultdict(dict)
        for source, one in sorted(self._told[stage].items()):
            told[bisect_right(firsts, int(source.partition(".")[0])) - 1][source] = one.commit
        for number in tasks:
            write_commit(store, self._spec.job, self._commit(store, stage, number, told[number]))

    def _commit(self, store: Store, stage: str, number: int, told: Mapping[str, Commit]) -> Commit:
        """The commit of a task of ours, of all that tasks of mrjob's have done of it."""
        spec, task = self._spec, layout.task_id(stage, number)
        total = _sum(task, told.values())
        if stage in self._runs:
            # The runs are nowhere. By their lengths, here all in one place, reduces are planned.
            lengths = [0] * spec.reducers if number else self._runs[stage]
            return replace(total, spans=[Span(0, length) for length in lengths])
        if stage != spec.last_stage:
            return replace(total, spans=[Span(0, 0)])
        pieces = [self._pieces[PART, source] for source in told]
        for source, commit in told.items():
            lengths = {
                PART: commit.spans[0].length,
                FILES: sum(span.length for span in commit.files.values()),
            }
            if any(self._pieces[kind, source].length != lengths[kind] for kind in lengths):
                raise JobFailed(f"mrjob's output is not whole: of the task at {source} some lacks.")
        with store.create(layout.result_name(spec.job, task, ATTEMPT)) as out:
            self._copy(pieces, out)
        files = {name: span for commit in told.values() for name, span in commit.files.items()}
        if files:
            with store.create(layout.files_name(spec.job, task, ATTEMPT)) as out:
                self._copy([self._pieces[FILES, source] for source in told], out)
        marks = next(iter(told.values())).marks if len(told) == 1 else []
        length = sum(piece.length for piece in pieces)
        return replace(total, spans=[Span(0, length)], files=files, marks=marks)

    def _copy(self, pieces: Iterable[_Piece], out: BinaryIO) -> None:
        for piece in pieces:
            for span in piece.stretches:
                self._spool.seek(span.offset)
                shutil.copyfileobj(_Stretch(self._spool, span.length), out, 1024 * 1024)


class _Stretch:
    """So many of a file's next bytes."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file = file
        self._left = left

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _sum(task: str, told: Iterable[Commit]) -> Commit:
    tally, requests, profile = Tally(), {}, {}
    pairs = spills = 0
    seconds = 0.0
    for commit in told:
        tally.add(commit.tally)
        add_counts(requests, commit.requests)
        add_spent(profile, commit.profile)
        pairs, spills = pairs + commit.pairs, spills + commit.spills
        seconds += commit.seconds
    return Commit(
        task, ATTEMPT, [], tally, pairs, spills, seconds, requests=requests, worker=ATTEMPT,
        profile=profile,
    )  # fmt: skip
