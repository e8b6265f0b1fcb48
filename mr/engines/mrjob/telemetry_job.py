"""The mrjob job: any analysis as maps and reduces of mrjob's. Its tasks run this file.

A planned job (`mr-telemetry run --engine mrjob`) comes with a parcel; of a class made by
`as_mrjob` the script itself has the code. Between its tasks go rows (`rows.py`).
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from mrjob.job import MRJob
from mrjob.parse import is_uri
from mrjob.protocol import BytesValueProtocol
from mrjob.runner import MRJobRunner
from mrjob.step import MRStep

from mr import items
from mr.analysis import Analysis
from mr.attempts import Job
from mr.blocks import Block
from mr.cells import integers_of_any_length, json_line
from mr.compatibility import differences, this_platform
from mr.engines.mrjob.bare import bare_block, bare_job
from mr.engines.mrjob.parcel import open_parcel
from mr.engines.mrjob.rows import PART, LineProtocol, Row, RowProtocol
from mr.engines.mrjob.tasks import TaskFailed, Tasks
from mr.errors import JobFailed, MrError, ObjectChanged, UsageError
from mr.items import Item, Line
from mr.mapping import open_planned
from mr.parents import end_with_parent, is_orphan
from mr.results import write_items
from mr.runs import read_run, write_frame
from mr.spec import JobSpec
from mr.text import utf8

#: Those of mrjob's runners that bring the files of this machine to others, under other names.
UPLOADING = ("hadoop", "emr", "dataproc")
#: What a shell script of mrjob's, which quotes nothing, does not take as it is, nor does Hadoop.
ODD = re.compile(r"[\s*?\[\]{}'\"\\$`;&|<>()]")
#: The first release of EMR whose nodes can install our Python.
EMR_RELEASE = "7.0.0"
#: Hadoop ends a job with more counters than 120, its own included; the rest is in our report.
MOST_COUNTERS = 60

Pairs = Iterator[tuple[int | None, Row | bytes]]


class TelemetryJob(MRJob):
    """An analysis over blocks: each reaches a mapper whole, or as a line that names it."""

    #: The analysis of a class that `as_mrjob` made.
    analysis: ClassVar[type[Analysis] | None] = None

    INPUT_PROTOCOL = BytesValueProtocol
    INTERNAL_PROTOCOL = RowProtocol
    SORT_VALUES = True

    def __init__(self, args: list[str] | None = None) -> None:
        super().__init__(args)
        #: A file that names the blocks, in place of the input that mrjob would look for.
        self.manifest: Path | None = None
        #: What the task's lines say so far, and the counters that it has counted with.
        self._lines: list[str] = []
        self._counted: set[tuple[str, str]] = set()

    def configure_args(self) -> None:
        """Add our options to mrjob's."""
        super().configure_args()
        self.add_file_arg("--parcel", help="What a planned job needs, as its engine packs it.")
        self.add_passthru_arg("--code", default="", help="SHA-256 of the parcel's code.")
        self.add_passthru_arg(
            "--planned", action="store_true", help="The blocks are those of the parcel."
        )
        self.add_passthru_arg("--rows", action="store_true", help="Put out the result's rows.")
        self.add_passthru_arg(
            "--blocks",
            choices=("files", "listed"),
            default="files",
            help="Whether the input are blocks, or lists of them, one a line (as with -r spark).",
        )
        self.add_passthru_arg(
            "--partitions", type=int, default=1, help="Reduces of a job without a parcel."
        )
        self.add_passthru_arg("--set", dest="settings", action="append", default=[])
        self.add_file_arg("--schema", help="The dimensions of the blocks' paths.")
        self.add_file_arg("--filter", help="Map only blocks that this filter allows.")

    def load_args(self, args: list[str]) -> None:
        """Read the options; Spark, whose runner knows no `mapper_raw`, gets lists."""
        super().load_args(args)
        if self.options.runner == "spark" and self.options.blocks != "listed":
            self._cl_args = [*args, "--blocks", "listed"]
            super().load_args(self._cl_args)

    def jobconf(self) -> dict[str, Any]:
        """As many reduces as there are partitions."""
        return {"mapreduce.job.reduces": str(self._spec.reducers), **super().jobconf()}

    def make_runner(self) -> MRJobRunner:
        """Make the runner, a little better than mrjob's own. Raises UsageError."""
        self._check_inputs()
        runner = super().make_runner()
        if self.manifest is not None:
            # To write one of its own it would ask S3 twice for each block, one after the other.
            runner._input_manifest_path = str(self.manifest)
        # Blocks are to come as they are: we tell by their content how they are packed, and a
        # damaged one is no failure.
        runner._manifest_uncompress_commands = list
        if runner.alias == "spark":
            _tidy_spark(runner)
        if runner.alias == "emr" and self.options.parcel is not None:
            _check_release(runner)
        return runner

    def _check_inputs(self) -> None:
        if self.options.planned:
            return
        odd = next((path for path in self.options.args if ODD.search(path)), None)
        if self.options.runner == "local" and odd is not None:
            raise UsageError(
                f"{odd}: mrjob's -r local cannot take a file of such a name; -r inline can."
            )
        if self.options.runner not in UPLOADING:
            return
        here = [path for path in self.options.args if path != "-" and not is_uri(path)]
        if self.options.blocks == "files" and here:
            raise UsageError(
                f"{here[0]} is on this machine, and -r {self.options.runner} would copy it to a "
                "name without its dimensions; copy the tree to where the cluster has its files, "
                f"or run `python -m mr.engines.mrjob ANALYSIS -r {self.options.runner} FOLDER`."
            )

    def output_protocol(self) -> RowProtocol | LineProtocol:
        """What comes out: rows for who collects them, or else the lines of the result."""
        return RowProtocol() if self.options.rows else LineProtocol(is_text=self._spec.is_script)

    @classmethod
    def run(cls) -> None:
        """Run the job, or one task of it, from the command line; exits as `mr-telemetry` does."""
        if not {"--mapper", "--combiner", "--reducer"}.isdisjoint(sys.argv):
            # A task is of no use to anybody without its job, which may have ended meanwhile.
            end_with_parent()
            if is_orphan():
                sys.exit("the job has ended.")
        try:
            super().run()
        except (TaskFailed, MrError, OSError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            sys.exit(getattr(error, "exit_code", 1))

    # What the tasks work with

    @cached_property
    def _spec(self) -> JobSpec:
        if self.options.parcel is None:
            return self._own.spec
        with open_parcel(self.options.parcel) as parcel:
            return parcel.spec()

    @cached_property
    def _own(self) -> Job:
        """The job of a class that has its analysis."""
        if self.analysis is None:
            raise UsageError(
                "no analysis: `python -m mr.engines.mrjob ANALYSIS`, or a class from as_mrjob."
            )
        return bare_job(
            self.analysis,
            schema=self.options.schema,
            selection=self.options.filter,
            settings=self.options.settings,
            partitions=self.options.partitions,
        )

    @contextmanager
    def _tasks(self, bare: Sequence[Block] = ()) -> Iterator[Tasks]:
        """The tasks of this process; `bare` are blocks that are in no plan."""
        with tempfile.TemporaryDirectory(dir=_local_disk()) as name:
            job = self._job(Path(name))
            if bare:
                stores = sorted({block.store_url for block in bare})
                job = replace(job, spec=replace(job.spec, stores=stores))
            yield Tasks(job, Path(name), self._count, self.set_status)

    def _job(self, folder: Path) -> Job:
        if self.options.parcel is None:
            return self._own
        sent = self._spec.platform
        found = differences(sent, this_platform(sent.packages.keys()), self._spec.requirements)
        if found:
            raise JobFailed(
                "this machine cannot run the job:\n  "
                + "\n  ".join(found)
                + "\nInstall the same there (bootstrap or setup in mrjob.conf)."
            )
        with open_parcel(self.options.parcel) as parcel:
            return parcel.job(self.options.code, folder / "code")

    def _count(self, group: str, name: str, number: int) -> None:
        if len(self._counted) < MOST_COUNTERS or (group, name) in self._counted:
            self._counted.add((group, name))
            self.increment_counter(group, name, number)

    # Steps

    def steps(self) -> list[MRStep]:
        """A step for each of the analysis."""
        return [self._step(number, step.has_reduce) for number, step in enumerate(self._spec.steps)]

    def _step(self, number: int, has_reduce: bool) -> MRStep:
        if number:
            functions = {"mapper": self.map_row}
        elif self.options.blocks == "listed":
            functions = {"mapper": self.take_line, "mapper_final": self.map_lines}
        else:
            functions = {"mapper_raw": self.map_block}
        if has_reduce:
            functions["reducer"] = self.reduce_partition
        return MRStep(**functions)

    def map_block(self, input_path: str, input_uri: str) -> Pairs:
        """Map one block: a local file that is the block of that URI, or a copy of it."""
        if not self.options.planned:
            yield from self._map_bare([(input_uri, input_path)])
            return
        with open_parcel(self.options.parcel) as parcel:
            number, block = parcel.block(self._spec, input_uri)
        with self._tasks() as tasks:

            def open_copy(block: Block) -> BinaryIO:
                # On this machine it is there itself, and can be told from another version.
                is_here = not is_uri(input_uri)
                return open_planned(block) if is_here else _open_copy(input_path, block)

            yield from self._out(tasks.map_blocks([block], f"{number:010d}", open_copy), "map")

    def take_line(self, _: Any, line: bytes) -> Pairs:
        """Take note of a block that a line names."""
        text = line.decode(errors="replace")
        if not self.options.planned and not text.strip().isprintable():
            raise UsageError(
                "the input is no list of blocks: with -r spark, or --blocks listed, give files "
                "that name blocks, one a line."
            )
        if text.strip():
            self._lines.append(text)
        yield from ()

    def map_lines(self) -> Pairs:
        """Map the blocks that the task's lines name."""
        lines = self._lines
        if not lines:
            return
        if not self.options.planned:
            yield from self._map_bare([(line.strip(), None) for line in lines])
            return
        with open_parcel(self.options.parcel) as parcel:
            numbered = sorted(int(line.partition("\t")[0]) for line in lines)
            blocks = [parcel.block(self._spec, number)[1] for number in numbered]
        with self._tasks() as tasks:
            yield from self._out(tasks.map_blocks(blocks, f"{numbered[0]:010d}"), "map")

    def _map_bare(self, places: list[tuple[str, str | None]]) -> Pairs:
        found = {place: bare_block(self._spec, place, copy) for place, copy in sorted(places)}
        blocks = {place: block for place, block in found.items() if block is not None}
        if len(blocks) < len(found):
            self._count("mr-telemetry", "blocks left out by the filter", len(found) - len(blocks))
        if not blocks:
            return
        copies = {blocks[place]: copy for place, copy in places if copy and place in blocks}
        source = utf8(next(iter(blocks))).hex()
        with self._tasks(list(blocks.values())) as tasks:

            def open_copy(block: Block) -> BinaryIO:
                return _open_copy(copies[block], block)

            opened = {"open_block": open_copy} if copies else {}
            rows = tasks.map_blocks(list(blocks.values()), source, **opened)
            yield from self._out(rows, "map")

    def map_row(self, _: int, row: Row) -> Pairs:
        """Map a later step's row; `map_pairs` maps all that a task gets at once."""
        yield from self._map_rows([row])

    def map_pairs(self, pairs: Iterable[tuple[Any, Any]], step_num: int = 0) -> Pairs:
        """Map what a task gets: of a later step all of its rows as one stretch of a result."""
        if not step_num:
            yield from super().map_pairs(pairs, step_num)
        else:
            yield from self._map_rows(row for _, row in pairs)

    def _map_rows(self, rows: Iterable[Row]) -> Pairs:
        with self._tasks() as tasks:
            yield from self._out(tasks.map_parts(self.options.step_num + 1, rows), "map")

    def reduce_partition(self, partition: int, rows: Iterable[Row]) -> Pairs:
        """Reduce the rows of a partition."""
        with self._tasks() as tasks:
            step = self.options.step_num + 1
            yield from self._out(tasks.reduce(step, partition, rows), "reduce")

    # Output

    def _out(self, rows: Iterable[Row], kind: str) -> Pairs:
        """Rows for the next task, or for who collects them; else the result's lines."""
        last = self._spec.steps[-1]
        is_result = self.options.step_num + 1 == len(self._spec.steps) and (
            kind == "reduce" or not last.has_reduce
        )
        if not is_result or self.options.rows:
            yield from ((row.partition, row) for row in rows)
            return
        for row in rows:
            if row.kind == PART:
                yield from ((None, line) for line in _lines(row, is_text=self._spec.is_script))


def as_mrjob(analysis: type[Analysis]) -> type[TelemetryJob]:
    """The analysis as a class of mrjob's, to be the base of one in a script of your own:

        class MyJob(as_mrjob(MyAnalysis)):
            pass

        if __name__ == "__main__":
            MyJob.run()

    Its input are the files of blocks (with `-r spark` or `--blocks listed`: lists of them, one a
    line), its output `key TAB value` in JSON, or what a plain script writes.
    """
    if not (isinstance(analysis, type) and issubclass(analysis, Analysis)):
        raise UsageError(f"{analysis!r} is no class of mr.Analysis.")
    return type(f"{analysis.__name__}Job", (TelemetryJob,), {"analysis": analysis})


def _lines(row: Row, *, is_text: bool) -> list[bytes]:
    """The lines of a frame of the result."""
    frame = BytesIO()
    length = write_frame(frame, row.data)
    frame.seek(0)
    found: list[Item] = []
    for under, column, _ in read_run(frame, length, "the result"):
        found.extend(items.decode_all(under, column))
    if is_text:
        out = BytesIO()
        write_items(lambda: found, "text", out)
        return out.getvalue().splitlines()
    with integers_of_any_length():
        return [_json(item) for item in found]


def _json(item: Item) -> bytes:
    if isinstance(item, Line):
        return utf8(item.text)
    return json_line(item.key) + b"\t" + json_line(item.value)


def _tidy_spark(runner: MRJobRunner) -> None:
    """Let a runner remove what Spark wrote on this machine too; mrjob forgets it."""
    remove = runner._cleanup_local_tmp

    def remove_all() -> None:
        remove()
        if not is_uri(runner._spark_tmp_dir):
            shutil.rmtree(runner._spark_tmp_dir, ignore_errors=True)

    runner._cleanup_local_tmp = remove_all


def _check_release(runner: MRJobRunner) -> None:
    """Raise UsageError before nodes are paid for that cannot install what they need."""
    options = runner._opts
    if not options["cluster_id"] and not runner._image_version_gte(EMR_RELEASE):
        release = options["release_label"] or options["image_version"]
        raise UsageError(
            f"-r emr: nodes of {release} cannot install this version of Python; set release_label "
            f"to emr-{EMR_RELEASE} or later (--release-label, or mrjob.conf)."
        )


def _open_copy(path: str, block: Block) -> BinaryIO:
    """A block's copy. Raises ObjectChanged if it cannot be of the version that was planned."""
    if os.path.getsize(path) != block.size:
        raise ObjectChanged(f"{block.path} has another size than when the job was planned.")
    return open(path, "rb")


def _local_disk() -> str | None:
    """Where a task may write: its working folder, or where temporary files go (in Spark)."""
    in_hadoop = any(name in os.environ for name in ("mapreduce_job_id", "mapred_job_id"))
    return os.getcwd() if in_hadoop else None


if __name__ == "__main__":
    TelemetryJob.run()
