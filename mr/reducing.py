"""One partition: merged runs in, the analysis's reduce, a result part out."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import GeneratorType
from typing import Any

from mr import items, keys, values
from mr.analysis import Analysis
from mr.errors import AnalysisError
from mr.items import Item, Line, Pair, ValueStream, as_pair, as_pairs
from mr.mapping import AFTER_ALL_KEYS, Position
from mr.runs import OnFrame, Rows, RunWriter, group, merge_in_passes, pieces, unheard
from mr.staging import StagedFile, StagedFiles
from mr.store import Store

#: So many values of a key count as one sign that the task moves; of more, each is a sign.
FEW_VALUES = 32


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
    ) -> None:
        self._keep = keep
        self._files = files
        #: Whether a key, if it comes, comes to this task.
        self.takes = takes
        #: Where the files will be; None for an analysis that does not publish.
        self.store = store

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
    sources: list[Callable[[], Iterable[Rows]]],
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
    # The other partitions may set things up too; their rows are dropped.
    keep = _header(writer) if partition == 0 else lambda item: None
    output = ReduceOutput(keep, takes, files, store)
    if analysis.publish is not None:
        analysis.output = output
    if analysis.setup_reduce is not None:
        analysis.setup_reduce(output)
    name = type(analysis).__name__
    merged = merge_in_passes(sources, folder, ordered=ordered, on_frame=on_frame)
    reduce, where = analysis.reduce, f"{name}.reduce"
    for encoded, found in group(_decoded(merged)):
        for under, key, key_values in zip(encoded, keys.decode_all(encoded), found, strict=True):
            position.key = key
            position.moves += 1
            if type(key_values) is GeneratorType or len(key_values) > FEW_VALUES:
                key_values = _moving(key_values, position)
            _write(writer, under, reduce(key, ValueStream(key_values)), where, position, key)
    if analysis.finish_reduce is not None:
        _write(writer, AFTER_ALL_KEYS, analysis.finish_reduce(), f"{name}.finish_reduce", position)
    writer.flush()
    position.tally.counters = dict(analysis.counters)


def _decoded(merged: Iterable[Rows]) -> Iterator[tuple[list[bytes], list[Any]]]:
    """Keys and values of merged rows, no more of them decoded at a time than a frame holds."""
    for rows in merged:
        for encoded, column, _ in pieces(rows):
            yield encoded, values.decode_all(column)


def _moving(found: Iterable[Any], position: Position) -> Iterator[Any]:
    for value in found:
        position.moves += 1
        yield value


#: The key of what is yielded without one.
_NO_KEY = object()


def _write(
    writer: RunWriter,
    under: bytes,
    pairs: Iterable[Any] | None,
    where: str,
    position: Position,
    key: Any = _NO_KEY,
) -> None:
    """Write what user code yielded under an encoded key, which is that of `key`."""
    for out in as_pairs(pairs, where):
        position.moves += 1
        if type(out) is tuple and len(out) == 2 and out[0] is key:  # so it need not be encoded
            try:
                writer.add(under, items.encode_own(out[1]))
            except AnalysisError as error:
                raise _named(error, key, where) from None
        else:
            item = out if isinstance(out, Pair | Line) else Pair(*as_pair(out, where))
            writer.add(under, _encode(item, where))


def _encode(item: Item, where: str) -> bytes:
    try:
        return items.encode(item)
    except AnalysisError as error:
        if isinstance(item, Line):
            raise AnalysisError(f"{where} yielded: {error}") from None
        raise _named(error, item.key, where) from None


def _named(error: AnalysisError, key: Any, where: str) -> AnalysisError:
    return AnalysisError(f"{where} yielded the key {key!r:.200}: {error}")


def _header(writer: RunWriter) -> Callable[[Item], None]:
    def keep(item: Item) -> None:
        # The empty key sorts before every encoded one.
        writer.add(b"", _encode(item, "setup_reduce"))

    return keep
