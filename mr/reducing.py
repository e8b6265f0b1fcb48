"""One partition: merged runs in, the analysis's reduce, a result part out."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mr import items, keys, values
from mr.analysis import Analysis
from mr.errors import AnalysisError
from mr.items import Item, Line, Pair, ValueStream, as_pair, as_pairs
from mr.mapping import AFTER_ALL_KEYS, Position
from mr.runs import Entry, OnFrame, RunWriter, group, merge_in_passes, unheard
from mr.staging import StagedFile, StagedFiles
from mr.stopwatch import MERGE, OTHER, REDUCE, WATCH
from mr.store import Store


class ReduceOutput:
    """What a reduce task writes to beside what it yields.

    `setup_reduce` writes rows that come before all others; an analysis that publishes writes files,
    whose place is in `store`.
    """

    def __init__(
        self,
        keep: Callable[[Item], None],
        takes: Callable[[Any], bool] = lambda key: True,
        files: StagedFiles | None = None,
        store: Store | None = None,
        folder: Path | None = None,
    ) -> None:
        self._keep = keep
        self._files = files
        #: Whether a key, if it comes, comes to this task.
        self.takes = takes
        #: Where the files will be; None for an analysis that does not publish.
        self.store = store
        #: On local disk, for what memory should not hold.
        self.folder = folder

    def open(self, name: str) -> StagedFile:
        """Begin a file that will be published under this name; close it, or use `with`."""
        if self._files is None:
            raise AnalysisError("output.open is for an analysis that publishes: it has a publish.")
        return self._files.open(name)

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
    takes: Callable[[Any], bool],
    files: StagedFiles | None = None,
    store: Store | None = None,
    ordered: bool = False,
    on_frame: OnFrame = unheard,
) -> None:
    """Reduce one partition's runs, which come in the order of their tasks.

    Writes the result part: each item under the key that was given to `reduce`. `takes` tells
    whether a key belongs to this partition; `files` and `store` are what a publishing analysis
    writes to. Raises what the analysis raises, and RetryElsewhere when a store fails.
    """
    WATCH.enter(REDUCE)
    # The other partitions may set things up too; their rows are dropped.
    keep = _header(writer) if partition == 0 else lambda item: None
    output = ReduceOutput(keep, takes, files, store, folder)
    if analysis.publish is not None:
        analysis.output = output
    if analysis.setup_reduce is not None:
        analysis.setup_reduce(output)
    name = type(analysis).__name__
    merged = merge_in_passes(sources, folder, ordered=ordered, on_frame=on_frame)
    before = WATCH.bytes_of(MERGE)
    for encoded, found in group(WATCH.turns(MERGE, REDUCE, merged)):
        key = keys.decode(encoded)
        position.key = key
        stream = ValueStream(_values(found, position))
        _write(writer, encoded, analysis.reduce(key, stream), f"{name}.reduce", position)
    if analysis.finish_reduce is not None:
        _write(writer, AFTER_ALL_KEYS, analysis.finish_reduce(), f"{name}.finish_reduce", position)
    writer.flush()
    WATCH.add(REDUCE, WATCH.bytes_of(MERGE) - before)
    WATCH.enter(OTHER)
    position.tally.counters = dict(analysis.counters)


def _write(
    writer: RunWriter, key: bytes, pairs: Iterable[Any] | None, where: str, position: Position
) -> None:
    for out in as_pairs(pairs, where):
        position.moves += 1
        item = out if isinstance(out, Pair | Line) else Pair(*as_pair(out, where))
        writer.add(key, _encode(item, where))


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
