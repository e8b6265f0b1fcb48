"""One partition: merged runs in, the analysis's reduce, a result part out."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mr import items, keys, values
from mr.analysis import Analysis
from mr.errors import AnalysisError
from mr.items import Item, Line, Pair, ValueStream, as_pair, as_pairs
from mr.mapping import Position
from mr.runs import Entry, OnFrame, RunWriter, group, merge_in_passes, unheard


class ReduceOutput:
    """What `setup_reduce` writes to: rows that come before all others."""

    def __init__(self, keep: Callable[[Item], None]) -> None:
        self._keep = keep

    def write(self, key: Any, value: Any) -> None:
        """Write a pair."""
        self.add(Pair(key, value))

    def writeline(self, text: str) -> None:
        """Write a line of text."""
        self.add(Line(text))

    def add(self, item: Item) -> None:
        """Write an item."""
        self._keep(item)


def reduce_runs(
    analysis: Analysis,
    partition: int,
    sources: list[Callable[[], Iterable[Entry]]],
    writer: RunWriter,
    folder: Path,
    position: Position,
    *,
    ordered: bool = False,
    on_frame: OnFrame = unheard,
) -> None:
    """Reduce one partition's runs, which come in the order of their tasks.

    Writes the result part: each item under the key that was given to `reduce`. Raises what the
    analysis raises, and RetryElsewhere when a store fails.
    """
    where = f"{type(analysis).__name__}.reduce"
    if analysis.setup_reduce is not None:
        # The other partitions run it too, since it may set things up; their rows are dropped.
        keep = _header(writer) if partition == 0 else lambda item: None
        analysis.setup_reduce(ReduceOutput(keep))
    merged = merge_in_passes(sources, folder, ordered=ordered, on_frame=on_frame)
    for encoded, found in group(merged):
        key = keys.decode(encoded)
        position.key = key
        stream = ValueStream(_values(found, position))
        for out in as_pairs(analysis.reduce(key, stream), where):
            position.moves += 1
            item = out if isinstance(out, Pair | Line) else Pair(*as_pair(out, where))
            writer.add(encoded, _encode(item, where))
    writer.flush()
    position.tally.counters = dict(analysis.counters)


def _encode(item: Item, where: str) -> bytes:
    try:
        return items.encode(item)
    except AnalysisError as error:
        shown = "" if isinstance(item, Line) else f" the key {item.key!r:.200}"
        raise AnalysisError(f"{where} yielded{shown}: {error}") from None


def _values(found: Iterable[bytes], position: Position) -> Iterator[Any]:
    for data in found:
        position.moves += 1
        yield values.decode(data)


def _header(writer: RunWriter) -> Callable[[Item], None]:
    def keep(item: Item) -> None:
        # The empty key sorts before every encoded one.
        writer.add(b"", _encode(item, "setup_reduce"))

    return keep
