"""A whole job in this process and in memory, over records at hand: for tests and for `check`.

It runs the same mapping, shuffle and reducing as the engines do, on splits that the caller
chooses; what user code raises comes out as it is.
"""

import hashlib
import io
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mr import items
from mr.analysis import Analysis, instantiate, is_scattered, steps
from mr.blocks import Block, BlockList
from mr.coverage import coverage, listing_facts
from mr.directory import DirectoryStore
from mr.items import Item
from mr.listing import Listing
from mr.mapping import (
    Position,
    Sink,
    map_blocks,
    map_pairs,
    partition_function,
    takes_function,
)
from mr.publishing import Commits, InputBlocks
from mr.reducing import reduce_runs
from mr.runs import Rows, RunWriter, Span, merge_runs, read_run, unheard
from mr.schema import Dimensions
from mr.shuffle import COMBINE_VALUES, DEFAULT_BUFFER_BYTES, Combiner, ItemSink, MapBuffer
from mr.staging import StagedFiles, place_files
from mr.store import Store
from mr.tally import Tally

T = TypeVar("T")


@dataclass(frozen=True)
class RawRecord:
    """A record's line in parts, and the dimensions of the block that it lies in."""

    id: str
    raw: bytes
    dimensions: Dimensions

    @property
    def line(self) -> bytes:
        """The line as it stands in a block."""
        return b"%s\t%s\n" % (self.id.encode("utf-8"), self.raw)


@dataclass(frozen=True)
class Manner:
    """How a job is cut and combined; its answer should not depend on it."""

    splits: int = 1
    reducers: int = 1
    combine: bool = True
    #: A key with this many values is combined in mid-map.
    combine_values: int = COMBINE_VALUES
    buffer_bytes: int = DEFAULT_BUFFER_BYTES


@dataclass
class Outcome:
    """What a job gave: items under the encoded key of the reduce that yielded them, and a tally."""

    items: list[tuple[bytes, Item]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


#: The bytes of an object of runs, and where each partition's run lies in it.
_Runs = tuple[bytes, list[Span]]


def run_inline(
    analysis: type[Analysis],
    records: Sequence[RawRecord],
    manner: Manner = Manner(),
    parameters: Mapping[str, Any] | None = None,
    output: Store | None = None,
) -> Outcome:
    """Run a job over records, which are cut into contiguous splits.

    An analysis that publishes does so to `output`, or else to a place that is removed at the end;
    its blocks are not cut, since what it publishes may tell of them.
    """
    found, values = steps(analysis), parameters or {}
    outcome = Outcome()
    publishes = found[-1].publish is not None
    with tempfile.TemporaryDirectory(prefix="mr-telemetry-") as folder:
        if publishes and output is None:
            output = DirectoryStore(Path(folder, "output"), durable=False)
        splits = _splits(records, manner.splits, whole=publishes)
        offered = InputBlocks(
            BlockList.of(
                sorted((block for split in splits for block in split), key=lambda block: block.key)
            )
        )
        prepared = None
        if analysis.prepare is not None:
            prepared = instantiate(analysis, values).prepare(offered, output)
            chosen = set(offered.chosen)
            splits = [{b: data for b, data in split.items() if b in chosen} for split in splits]
        parts: list[bytes] = []
        for number, step in enumerate(found):
            ordered = is_scattered(found, number) and step.combine is None
            run = _Step(
                partial(_start, step, values, prepared),
                manner,
                ordered,
                Path(folder),
                outcome.tally,
                output if step.publish is not None else None,
            )
            if number:
                header = found[number - 1].reduce is not None
                outputs = [run.map(_from_part(part, has_header=header)) for part in parts]
            else:
                outputs = [run.map(_from_blocks(split)) for split in splits]
            parts = run.reduce(outputs) if step.reduce else [data for data, _ in outputs]
        outcome.items = _read_parts(parts, is_sorted=is_scattered(found, len(found)))
        if publishes:
            listing = listing_facts(Listing(offered.found), offered)
            report = coverage({}, listing, outcome.tally, outcome.tally.counters)
            results = [item for _, item in outcome.items]
            _start(found[-1], values, prepared).publish(
                output, Commits(report, [], lambda: results)
            )
    return outcome


def _start(step: type[Analysis], parameters: Mapping[str, Any], prepared: Any) -> Analysis:
    """An instance at the start of a task."""
    analysis = instantiate(step, parameters)
    analysis.prepared = prepared
    analysis.setup()
    return analysis


def _read_parts(parts: Sequence[bytes], *, is_sorted: bool) -> list[tuple[bytes, Item]]:
    runs = [_read(data, Span(0, len(data))) for data in parts]
    merged = merge_runs(runs) if is_sorted and runs else itertools.chain(*runs)
    return [
        pair
        for under, column, _ in merged
        for pair in zip(under, items.decode_all(under, column), strict=True)
    ]


#: Blocks with their bytes.
_Split = Mapping[Block, bytes]


def _splits(records: Sequence[RawRecord], number: int, *, whole: bool) -> list[_Split]:
    """Cut records into splits: anywhere, or with all records of the same dimensions in one block.

    A block's key tells its content, so that it is the same block in another job.
    """
    if whole:
        groups: dict[Dimensions, list[RawRecord]] = {}
        for record in records:
            groups.setdefault(record.dimensions, []).append(record)
        cut = [[group] for group in groups.values()]
        cut = [[group for (group,) in few] for few in _cut(cut, number)]
    else:
        cut = [
            [list(group) for _, group in itertools.groupby(few, lambda one: one.dimensions)]
            for few in _cut(records, number)
        ]
    seen: Counter[str] = Counter()
    return [dict(_block(group, seen) for group in groups) for groups in cut]


def _block(group: Sequence[RawRecord], seen: "Counter[str]") -> tuple[Block, bytes]:
    data = b"".join(record.line for record in group)
    *folders, first, second = group[0].dimensions
    digest = hashlib.sha256(data).hexdigest()[:24]
    stem = "/".join([*folders, f"{first}.{second}.v2.log.{digest}"])
    key = f"{stem}{seen[stem]:08x}"
    seen[stem] += 1
    return Block("memory:", key, len(data), digest, group[0].dimensions), data


def _cut(things: Sequence[T], pieces: int) -> list[Sequence[T]]:
    size = max(1, -(-len(things) // pieces))
    return [things[start : start + size] for start in range(0, len(things), size)] or [[]]


def _read(data: bytes, span: Span) -> Iterable[Rows]:
    stream = io.BytesIO(data)
    stream.seek(span.offset)
    return read_run(stream, span.length, "memory")


#: Runs a step's map over its input.
_Feed = Callable[[Analysis, Sink, Position], None]


def _from_blocks(split: _Split) -> _Feed:
    def feed(analysis: Analysis, sink: Sink, position: Position) -> None:
        map_blocks(
            analysis, split, sink, position, open_block=lambda block: io.BytesIO(split[block])
        )

    return feed


def _from_part(part: bytes, *, has_header: bool) -> _Feed:
    def feed(analysis: Analysis, sink: Sink, position: Position) -> None:
        pairs = (
            (key, item)
            for under, column, _ in _read(part, Span(0, len(part)))
            for key, item in zip(under, items.decode_all(under, column), strict=True)
            if key or not has_header
        )
        map_pairs(analysis, pairs, sink, position)

    return feed


class _Step:
    """One step: its maps, then its reduces."""

    def __init__(
        self,
        start: Callable[[], Analysis],
        manner: Manner,
        ordered: bool,
        folder: Path,
        tally: Tally,
        output: Store | None,
    ) -> None:
        self._start = start
        self._manner = manner
        self._ordered = ordered
        self._folder = folder
        self._tally = tally
        self._output = output

    def map(self, feed: _Feed) -> _Runs:
        analysis, position, out = self._start(), Position(), io.BytesIO()
        if analysis.reduce is None:
            writer = RunWriter(out)
            feed(analysis, ItemSink(writer), position)
            writer.flush()
            spans = [Span(0, writer.written)]
        else:
            buffer = self._buffer(analysis)
            feed(analysis, buffer, position)
            spans = buffer.write(out)
        self._tally.add(position.tally)
        return out.getvalue(), spans

    def _buffer(self, analysis: Analysis) -> MapBuffer:
        manner = self._manner
        combine = analysis.combine if manner.combine else None
        return MapBuffer(
            partitions=manner.reducers,
            partitions_of=partition_function(analysis, manner.reducers),
            folder=Path(tempfile.mkdtemp(dir=self._folder)),
            combine=Combiner(combine, type(analysis).__name__) if combine else None,
            ordered=self._ordered,
            limit_bytes=manner.buffer_bytes,
            combine_values=manner.combine_values,
        )

    def reduce(self, outputs: Sequence[_Runs]) -> list[bytes]:
        parts = []
        for partition in range(self._manner.reducers):
            analysis, position, out = self._start(), Position(), io.BytesIO()
            sources = [
                lambda data=data, span=spans[partition]: _read(data, span)
                for data, spans in outputs
                if spans[partition].length
            ]
            writer = RunWriter(out)
            packed = io.BytesIO()
            with StagedFiles(packed, self._folder) as files:
                reduce_runs(
                    analysis,
                    partition,
                    sources,
                    writer,
                    self._folder,
                    position,
                    takes=takes_function(analysis, self._manner.reducers, partition),
                    files=None if self._output is None else files,
                    store=self._output,
                    ordered=self._ordered,
                )
            if self._output is not None:
                view = packed.getvalue()
                place_files(
                    files.spans, lambda a, b, v=view: io.BytesIO(v[a:b]), self._output, unheard
                )
            self._tally.add(position.tally)
            parts.append(out.getvalue())
        return parts
