"""A whole job in this process and in memory, over records at hand: for tests and for `check`.

It runs the same mapping, shuffle and reducing as the engines do, on splits that the caller
chooses; what user code raises comes out as it is.
"""

import io
import itertools
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mr import items
from mr.analysis import Analysis, instantiate, is_scattered, steps
from mr.blocks import Block
from mr.items import Item
from mr.mapping import Position, Sink, map_blocks, map_pairs, partition_function
from mr.reducing import reduce_runs
from mr.runs import Entry, RunWriter, Span, merge_runs, read_run
from mr.schema import Dimensions
from mr.shuffle import COMBINE_VALUES, DEFAULT_BUFFER_BYTES, ItemSink, MapBuffer, combiner
from mr.tally import Tally


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
) -> Outcome:
    """Run a job over records, which are cut into contiguous splits."""
    found = steps(analysis)
    outcome = Outcome()
    parts: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="mr-telemetry-") as folder:
        for number, step in enumerate(found):
            ordered = is_scattered(found, number) and step.combine is None
            run = _Step(step, parameters or {}, manner, ordered, Path(folder), outcome.tally)
            if number:
                header = found[number - 1].reduce is not None
                outputs = [run.map(_from_part(part, has_header=header)) for part in parts]
            else:
                outputs = [run.map(_from_blocks(split)) for split in _cut(records, manner.splits)]
            parts = run.reduce(outputs) if step.reduce else [data for data, _ in outputs]
    entries = [_read(data, Span(0, len(data))) for data in parts]
    is_sorted = is_scattered(found, len(found))
    merged = merge_runs(entries) if is_sorted and entries else itertools.chain(*entries)
    outcome.items = [(key, items.decode(data)) for key, found, _ in merged for data in found]
    return outcome


def _cut(records: Sequence[RawRecord], splits: int) -> list[Sequence[RawRecord]]:
    size = max(1, -(-len(records) // splits))
    return [records[start : start + size] for start in range(0, len(records), size)] or [[]]


def _read(data: bytes, span: Span) -> Iterable[Entry]:
    stream = io.BytesIO(data)
    stream.seek(span.offset)
    return read_run(stream, span.length, "memory")


#: Runs a step's map over its input.
_Feed = Callable[[Analysis, Sink, Position], None]


def _from_blocks(split: Sequence[RawRecord]) -> _Feed:
    contents = {}
    for number, (dimensions, group) in enumerate(
        itertools.groupby(split, lambda record: record.dimensions)
    ):
        data = b"".join(record.line for record in group)
        *folders, first, second = dimensions
        key = "/".join([*folders, f"{first}.{second}.v2.log.{number:032x}"])
        contents[Block("memory:", key, len(data), "", dimensions)] = data

    def feed(analysis: Analysis, sink: Sink, position: Position) -> None:
        map_blocks(
            analysis,
            contents,
            sink,
            position,
            open_block=lambda block: io.BytesIO(contents[block]),
        )

    return feed


def _from_part(part: bytes, *, has_header: bool) -> _Feed:
    def feed(analysis: Analysis, sink: Sink, position: Position) -> None:
        pairs = (
            (key, items.decode(data))
            for key, found, _ in _read(part, Span(0, len(part)))
            if key or not has_header
            for data in found
        )
        map_pairs(analysis, pairs, sink, position)

    return feed


class _Step:
    """One step: its maps, then its reduces."""

    def __init__(
        self,
        step: type[Analysis],
        parameters: Mapping[str, Any],
        manner: Manner,
        ordered: bool,
        folder: Path,
        tally: Tally,
    ) -> None:
        self._step = step
        self._parameters = parameters
        self._manner = manner
        self._ordered = ordered
        self._folder = folder
        self._tally = tally

    def _start(self) -> Analysis:
        analysis = instantiate(self._step, self._parameters)
        analysis.setup()
        return analysis

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
            partition_of=partition_function(analysis, manner.reducers),
            folder=Path(tempfile.mkdtemp(dir=self._folder)),
            combine=combiner(combine, type(analysis).__name__) if combine else None,
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
            reduce_runs(
                analysis,
                partition,
                sources,
                writer,
                self._folder,
                position,
                ordered=self._ordered,
            )
            self._tally.add(position.tally)
            parts.append(out.getvalue())
        return parts
