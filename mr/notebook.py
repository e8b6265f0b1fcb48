"""Jobs from Python and notebooks: `run`, `merge`, and their `Result`, which shows itself."""

import heapq
import itertools
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from mr.analysis import Analysis, known_parameters, near_misses, steps
from mr.cells import cell_text, integers_of_any_length
from mr.columns import Columns, Kind, columns_of
from mr.config import load_settings, parse_share
from mr.ends import EndState, failure_of
from mr.engines import onemachine
from mr.engines.choice import Engine, choose_engine
from mr.engines.onemachine import LocalCluster
from mr.errors import UsageError
from mr.extras import import_pandas
from mr.heartbeat import alive
from mr.items import Item, Items, Line
from mr.launch import (
    DEFAULT_MAX_BAD,
    Request,
    plan_until_published,
    prepare_job,
    publishes,
)
from mr.parts import read_result
from mr.profiles import check_profile, told_profile
from mr.progress import Display
from mr.report import summary
from mr.results import format_of, write_file
from mr.rollup import NOT_BY_MRJOB, MergeRequest, prepare_merge
from mr.scratch import scratch_folder
from mr.spec import JobSpec
from mr.tables import aligned, html_table
from mr.text import is_utf8

#: Rows of a result that its table shows.
ROWS_SHOWN = 20

#: Characters of one cell that its table shows.
CELL_CHARACTERS = 60

#: Rows that are plotted as bars, unless the largest are asked for.
BARS = 50


def run(
    analysis: type[Analysis] | str,
    inputs: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    filter: str | Mapping[str, Any] | None = None,
    schema: str | None = None,
    engine: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    workers: int | None = None,
    reducers: int | None = None,
    split_size: str | None = None,
    sample: str | None = None,
    limit_blocks: int | None = None,
    max_bad_records: int | str = DEFAULT_MAX_BAD,
    strict: bool = False,
    store: str | None = None,
    queue: str | None = None,
    quiet: bool = False,
    output: str | PathLike[str] | None = None,
    ship: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    profile: str | None = None,
    keep_state: str | PathLike[str] | None = None,
) -> "Result":
    """Run an analysis and return its result, as `mr-telemetry run` does with the same options.

    `analysis` is a class (one from a notebook's cell too) or what the command line takes;
    `filter` a file, its JSON form, or field names to allowed values. Sizes and shares are as on
    the command line: `"500MB"`, `"1%"`. An analysis that publishes does so to the folder `output`,
    or else to a place kept with the job; the result's `output` tells where. `ship` are folders
    that travel with the analysis, as by `--with` on the command line. `profile` tells where the
    time went: `"table"`, or `"cpu"` for a folder of profiles by function beside it; the table's
    numbers are in `result.report["profile"]` always. `keep_state` is where a state is left for
    `merge`.

    Raises UsageError for what must be put right, JobFailed and TooManyBadRecords for a job that
    fails, JobInterrupted when it is stopped.
    """
    from mr.loading import load_analysis, make_importable

    folders = [ship] if isinstance(ship, str | PathLike) else list(ship)
    make_importable(folders)
    loaded = load_analysis(analysis) if isinstance(analysis, str) else analysis
    if not (isinstance(loaded, type) and issubclass(loaded, Analysis)):
        raise UsageError(f"{analysis!r:.200} is not an Analysis class; give the class itself.")
    places = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    chosen = _choose(
        store=store,
        queue=queue,
        engine=engine,
        workers=workers,
        reducers=reducers,
        split_size=split_size,
    )
    request = Request(
        analysis=loaded,
        name=analysis if isinstance(analysis, str) else loaded.__name__,
        inputs=[fspath(place) for place in places],
        schema=schema,
        filter=filter,
        parameters=known_parameters(loaded, parameters or {}),
        sample=parse_share(str(sample)) if sample is not None else None,
        limit_blocks=limit_blocks,
        max_bad_records=str(max_bad_records),
        strict=strict,
        output=None if output is None else fspath(output),
        ship=folders,
        profile=profile or "",
        keep_state=None if keep_state is None else fspath(keep_state),
    )
    check_profile(request.profile, Path.cwd())
    if output is not None and not publishes(loaded):
        raise UsageError(f"{loaded.__name__} publishes nothing; use result.save(PATH).")
    chosen.check(request)
    return plan_until_published(
        lambda: _run_once(request, chosen, quiet=quiet),
        lambda text: print(f"mr-telemetry: {text}", file=sys.stderr),
    )


@contextmanager
def local_cluster(
    workers: int | None = None, folder: str | PathLike[str] | None = None
) -> Iterator[LocalCluster]:
    """Run a cluster on this machine in a with-block, as `mr-telemetry local-cluster` does.

    S3, the queue and `workers` processes (one a processor) end with the block, or with this process
    on Linux. Within the block the environment leads there: `run`, `mr.histograms.open` and every
    command that is started find S3 at `cluster.bucket`, and run jobs on the cluster unless they
    name a store. What is stored is kept in `folder`, or else is gone at the end: take answers out
    before, for example by `to_dict`.

    Raises UsageError when the servers are not installed or do not start.
    """
    settings = load_settings({} if workers is None else {"workers": str(workers)})
    place = None if folder is None else Path(folder).absolute()
    with onemachine.local_cluster(place, settings.workers) as cluster:
        before = {name: os.environ.get(name) for name in cluster.settings}
        os.environ.update(cluster.settings)
        try:
            yield cluster
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def merge(
    states: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    parameters: Mapping[str, Any] | None = None,
    keep_state: str | PathLike[str] | None = None,
    engine: str | None = None,
    workers: int | None = None,
    reducers: int | None = None,
    store: str | None = None,
    queue: str | None = None,
    quiet: bool = False,
) -> "Result":
    """Add up states that `run` has kept, and return the result of all of them.

    The analysis is the one that came with the states; `parameters` are those that only its last
    reduce uses. `keep_state` is where the merged state is left, for a further merge.

    Raises UsageError for states that are damaged, are not alike, or share a block; else as `run`.
    """
    places = [states] if isinstance(states, str | PathLike) else list(states)
    chosen = _choose(store=store, queue=queue, engine=engine, workers=workers, reducers=reducers)
    if chosen.name == "mrjob":
        raise UsageError(NOT_BY_MRJOB)
    request = MergeRequest(
        [fspath(place) for place in places],
        parameters=parameters or {},
        keep_state=None if keep_state is None else fspath(keep_state),
    )
    return _run_planned(prepare_merge(request, chosen.settings, chosen.store), chosen, quiet=quiet)


def _choose(**flags: Any) -> Engine:
    return choose_engine(load_settings({k: str(v) for k, v in flags.items() if v is not None}))


def _run_once(request: Request, engine: Engine, *, quiet: bool) -> "Result":
    spec, _ = prepare_job(request, engine.settings, engine.store)
    return _run_planned(spec, engine, near_misses(steps(request.analysis)), quiet=quiet)


def _run_planned(
    spec: JobSpec, engine: Engine, troubles: Sequence[str] = (), *, quiet: bool
) -> "Result":
    store = engine.store
    with (
        alive(store, spec.job),
        Display(spec.listing["bytes"], quiet=quiet or engine.tells, in_cell=True) as display,
    ):
        for sentence in troubles:
            display.trouble(sentence)
        end, report = engine.run(spec, display)
        if end.state is EndState.DONE:
            display.conclude(summary(report))
    if spec.profile:
        print(told_profile(store, spec, report, Path()), file=sys.stderr)
    if end.state is not EndState.DONE:
        raise failure_of(end)

    def items() -> Iterator[Item]:
        with alive(store, spec.job), scratch_folder(engine.scratch) as folder:
            yield from read_result(store, spec, folder)

    return Result(items, report, spec.output or None, spec.columns)


class Result:
    """The answer of a job: pairs of key and value in the order of the keys, and the job's report.

    Iterating reads the answer from its store, each time anew, so it may be larger than memory.
    A line of text that a script wrote comes as a string in the place of a pair.
    """

    def __init__(
        self,
        items: Items,
        report: dict[str, Any],
        output: str | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        self._items = items
        self._length: int | None = None
        self.report = report
        #: Where the analysis published, if it does.
        self.output = output
        #: Names for its columns, if the analysis has some.
        self.columns = columns

    def __iter__(self) -> Iterator[tuple[Any, Any] | str]:
        for item in self._items():
            yield item.text if isinstance(item, Line) else (item.key, item.value)

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(1 for _ in self._items())
        return self._length

    def to_list(self) -> list[tuple[Any, Any] | str]:
        """Return the pairs, and the lines of text, as a list."""
        return [*iter(self)]

    def to_dict(self) -> dict[Any, Any]:
        """Return the values by key.

        Raises UsageError when a key comes twice, or when the result holds lines of text. True, 1
        and 1.0 are three keys here but one in a dict, so they raise it too.
        """
        answer: dict[Any, Any] = {}
        for pair in self:
            if isinstance(pair, str):
                raise UsageError(
                    f"a dict needs keys, but the result holds lines of text ({_short(pair)!r}): "
                    "use to_list()"
                )
            key, value = pair
            if key in answer:
                raise UsageError(
                    f"the key {key!r} comes more than once (to a dict, True, 1 and 1.0 are one "
                    "key), and a dict would keep one value of it: use to_list()"
                )
            answer[key] = value
        return answer

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with the columns that a parquet file of the result has.

        Cells stay Python's where pandas has no type for them. Raises UsageError when pandas is
        not installed.
        """
        pandas = import_pandas()
        items = list(self._items())
        columns = columns_of(items, self.columns)
        cells = zip(*map(columns.row, items), strict=True) if items else ([] for _ in columns.names)
        table = {}
        for name, kind, column in zip(columns.names, columns.kinds, cells, strict=True):
            table[name] = pandas.Series(list(column), dtype=_dtype(kind, column))
        return pandas.DataFrame(table)

    def plot(
        self,
        ax: Any = None,
        *,
        top: int | None = None,
        title: str | None = None,
        color: str | None = None,
    ) -> Any:
        """Draw the value of each key, which must be a number, and return matplotlib's Axes.

        Keys that are dates (YYYYMMDD) or numbers make a line, all others a bar for each row. `top`
        draws bars of the rows with the largest values, so many, in the result's order. Raises
        UsageError when there is nothing to draw, or no number, or too much, or matplotlib is not
        installed.
        """
        from mr import plotting

        pairs = self._numbers(top)
        look = {"title": title or "", "color": color}
        keys = [key for key, _ in pairs]
        numbers = [number for _, number in pairs]
        if top is None:
            places = _places(keys)
            if places is not None:
                label = "" if isinstance(places[0], date) else "key"
                return plotting.line(places, numbers, ax, x_label=label, y_label="value", **look)
            if len(pairs) > BARS:
                raise UsageError(
                    f"the result has more rows than a plot has room for ({len(pairs):,}): "
                    f"plot(top=20) draws the largest 20."
                )
        labels = [_label(key) for key in keys]
        return plotting.horizontal_bars(labels, numbers, ax, x_label="value", **look)

    def _numbers(self, top: int | None) -> list[tuple[Any, int | float]]:
        """The pairs with values as numbers; of these the largest `top`, in their order."""
        if top is not None and top < 1:
            raise UsageError(f"top is how many rows are plotted: at least 1, not {top}.")

        def pairs() -> Iterator[tuple[int, Any, int | float]]:
            for place, pair in enumerate(self):
                if isinstance(pair, str):
                    raise UsageError(f"lines of text cannot be plotted ({_short(pair)!r}).")
                key, value = pair
                number = _number(value)
                if number is None:
                    raise UsageError(
                        f"only numbers can be plotted, and the value of {key!r:.60} is "
                        f"{value!r:.60}: choose what to plot by to_pandas()."
                    )
                yield place, key, number

        found = pairs()
        if top is not None:
            found = iter(sorted(heapq.nlargest(top, found, key=lambda row: row[2])))
        chosen = [(key, number) for _, key, number in found]
        if not chosen:
            raise UsageError("the result is empty, so there is nothing to plot.")
        return chosen

    def save(self, path: str, format: str | None = None) -> int:
        """Write the result to a file, in the format of its ending, and return the number of rows.

        The file appears complete or not at all. Raises UsageError when the ending is unknown or
        the file cannot be written, and StoreUnavailable when writing fails on the way.
        """
        path = str(path)
        return write_file(self._items, path, format or format_of(path, "jsonl"), self.columns)

    def __repr__(self) -> str:
        columns, rows, note = self._shown()
        return "\n".join([*aligned([columns.names, *rows]), *note])

    def _repr_html_(self) -> str:
        columns, rows, note = self._shown()
        return html_table(columns.names, rows, note)

    def _shown(self) -> tuple[Columns, list[list[str]], list[str]]:
        """Return the first rows as text, and the lines that stand below them."""
        items = list(itertools.islice(self._items(), ROWS_SHOWN + 1))
        note = []
        if not items:
            note.append("(no rows)")
        if len(items) > ROWS_SHOWN:
            items = items[:ROWS_SHOWN]
            note.append(f"(the first {ROWS_SHOWN} rows of more)")
        columns = columns_of(items, self.columns)
        with integers_of_any_length():
            rows = [[_short(cell_text(c)) for c in columns.row(item)] for item in items]
        return columns, rows, [*note, *([summary(self.report)] if self.report else [])]


def _places(keys: Sequence[Any]) -> list[Any] | None:
    """The keys as dates (YYYYMMDD), or as numbers; None where they are neither."""
    from mr.plotting import day_of

    types = set(map(type, keys))
    if types <= {int} or types <= {str}:
        try:
            return [day_of(str(key)) for key in keys]
        except ValueError:
            pass
    return list(keys) if all(_number(key) is not None for key in keys) else None


def _number(value: Any) -> int | float | None:
    """The value as a number that can be plotted; None if it is none."""
    number = value.item() if getattr(value, "shape", None) == () else value
    if type(number) is int and abs(number) < 1e300:
        return number
    return number if type(number) is float and math.isfinite(number) else None


def _dtype(kind: Kind, cells: Sequence[Any]) -> str | None:
    """Return the pandas type that holds the cells exactly; None where pandas finds it itself."""
    if kind == "int" and None in cells:
        return "Int64"  # else pandas would make them floats, which round large ones
    if kind in ("null", "bool", "int", "double"):
        return None
    if kind == "string" and all(cell is None or is_utf8(cell) for cell in cells):
        return None
    return "object"


def _label(key: Any) -> str:
    return _short(", ".join(map(cell_text, key)) if isinstance(key, tuple) else cell_text(key))


def _short(text: str) -> str:
    """Return the text on one line and of bounded length."""
    shown = text[: CELL_CHARACTERS + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    return shown if len(shown) <= CELL_CHARACTERS else shown[: CELL_CHARACTERS - 1] + "…"
