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
from mr.stopwatch import MERGE, OTHER, REDUCE, WATCH
from mr.store import Store
from mr.suppressing import frequent_rows

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
    through: Callable[[Iterable[Rows]], Iterable[Rows]] = iter,
) -> None:
    """Reduce one partition's runs, which come in the order of their tasks.

    Writes the result part: each item under the key that was given to `reduce`. `takes` tells
    whether a key belongs to this partition; `files` and `store` are what a publishing analysis
    writes to. The merged rows go `through` what may combine and keep them. Raises what the analysis
    raises, and RetryElsewhere when a store fails.
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
    merged = through(merge_in_passes(sources, folder, ordered=ordered, on_frame=on_frame))
    before = WATCH.bytes_of(MERGE)
    WATCH.enter(REDUCE)
    reduce, where = analysis.reduce, f"{name}.reduce"
    is_suppressed = analysis.min_count > 0 and analysis.then is None
    for encoded, found in group(_decoded(WATCH.within(MERGE, merged))):
        for under, key, key_values in zip(encoded, keys.decode_all(encoded), found, strict=True):
            position.key = key
            position.moves += 1
            if type(key_values) is GeneratorType or len(key_values) > FEW_VALUES:
                key_values = _moving(key_values, position)
            pairs = reduce(key, ValueStream(key_values))
            if type(pairs) is not GeneratorType:
                pairs = as_pairs(pairs, where)
            if is_suppressed:
                pairs = frequent_rows(analysis, pairs, where)
            for out in pairs:
                position.moves += 1
                writer.add(under, _encode(out, where, key))
    if analysis.finish_reduce is not None:
        where = f"{name}.finish_reduce"
        pairs = as_pairs(analysis.finish_reduce(), where)
        if is_suppressed:
            pairs = frequent_rows(analysis, pairs, where)
        for out in pairs:
            position.moves += 1
            writer.add(AFTER_ALL_KEYS, _encode(out, where))
    writer.flush()
    WATCH.add(REDUCE, WATCH.bytes_of(MERGE) - before)
    WATCH.enter(OTHER)
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


#: No key is this one.
_NO_KEY = object()


def _encode(out: Any, where: str, key: Any = _NO_KEY) -> bytes:
    """Encode what user code yielded to lie under a key: where that is its own, without it."""
    if type(out) is tuple and len(out) == 2 and out[0] is key:
        value = out[1]
        if type(value) is int:
            return items.encode_own_int(value)
        encode, item = items.encode_own, value
    else:
        encode = items.encode
        item = out if isinstance(out, (Pair, Line)) else Pair(*as_pair(out, where))
        key = item.key if isinstance(item, Pair) else _NO_KEY
    try:
        return encode(item)
    except AnalysisError as error:
        shown = "" if key is _NO_KEY else f" the key {key!r:.200}"
        raise AnalysisError(f"{where} yielded{shown}: {error}") from None


def _header(writer: RunWriter) -> Callable[[Item], None]:
    def keep(item: Item) -> None:
        # The empty key sorts before every encoded one.
        writer.add(b"", _encode(item, "setup_reduce"))

    return keep
