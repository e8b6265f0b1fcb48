"""The user's contract: `Analysis`.

    class OSDistribution(Analysis):
        def map(self, record):
            yield record["info"]["OS"], 1

        def reduce(self, key, values):
            yield key, sum(values)

        combine = reduce

Keys are None, bool, int, float, str, bytes, and tuples of them; values are what JSON has, tuples,
bytes and numpy arrays.
"""

import inspect
import json
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from mr.errors import AnalysisError, UsageError
from mr.items import as_pairs


class Analysis:
    """Base class of analyses: override `map`, and any of the others.

    Class attributes are parameters: `--set name=value` replaces them, by the type that they have.
    The settings `min_count` and `mask_literals`, which every analysis has, are replaced alike.
    """

    #: The filter of the input unless the person gives another: JSON form, or field to values.
    filter: ClassVar[Mapping[str, Any] | None] = None
    #: A second step: an Analysis whose `map` gets this one's `(key, value)` pairs.
    then: ClassVar["type[Analysis] | None"] = None
    #: Packages that it needs, as pip takes them ("numpy>=2"): workers that lack them install them.
    requirements: ClassVar[Sequence[str]] = ()
    #: Names for the columns of the result, those of its keys and then of its values: csv and tsv
    #: begin with them, parquet and pandas have them. Of the last step; may be a property.
    columns: ClassVar[Sequence[str]] = ()

    #: Rows of the result with a smaller count are left out; the count is their value, or the first
    #: item of one that is a tuple or a list.
    min_count: int = 0
    #: Whether string literals in what the first step's maps yield become `:private:`.
    mask_literals: bool = False

    #: `reduce(self, key, values)`: a generator of pairs; `values` is a stream in input order.
    #: Without it the job is map-only, and its result is what the maps yield, in block order.
    reduce: ClassVar[Callable[..., Any] | None] = None
    #: `combine(self, key, values)`: runs zero or more times on some of a key's values before the
    #: reduce; yields pairs of the same key; may not count.
    combine: ClassVar[Callable[..., Any] | None] = None
    #: `setup_reduce(self, output)`: called at the start of each reduce task; `output.write(key,
    #: value)` and `output.writeline(text)` put rows before all others. Kept of partition 0 alone.
    setup_reduce: ClassVar[Callable[..., Any] | None] = None
    #: `finish_reduce(self)`: called at the end of each reduce task; may yield pairs.
    finish_reduce: ClassVar[Callable[..., Any] | None] = None

    #: `prepare(self, blocks, output)`: called once, before the job; may leave blocks out. What it
    #: returns (any value that a pair may have) is `self.prepared` in every task.
    prepare: ClassVar[Callable[..., Any] | None] = None
    #: `publish(self, output, commits)`: makes an analysis one that publishes files. Called once
    #: the files that its reduces wrote are in place, perhaps more than once; may return a text for
    #: the person.
    publish: ClassVar[Callable[..., Any] | None] = None
    #: `document(self, output, file)`: writes what was published as one document, for a person who
    #: wants one file.
    document: ClassVar[Callable[..., Any] | None] = None

    #: What `prepare` returned.
    prepared: Any = None
    #: In the reduces of an analysis that publishes: `output.open(name)` begins a file,
    #: `output.store` is where it will be, `output.takes(key)` whether a key comes to this task.
    output: Any = None

    def setup(self) -> None:
        """Called once at the start of each task."""

    def map(self, record: Any) -> Iterable[tuple[Any, Any]] | None:
        """Yield (key, value) pairs for one record."""
        raise UsageError(f"{type(self).__name__} has neither map nor map_block.")

    def map_block(self, block: Any) -> Iterable[tuple[Any, Any]] | None:
        """Yield pairs for one block: `block.key`, `.dimensions`, `.records()`, `.chunks()`."""
        where = f"{type(self).__name__}.map"
        for record in block.records():
            yield from as_pairs(self.map(record), where)

    def finish(self) -> Iterable[tuple[Any, Any]] | None:
        """Called at the end of each map task; may yield pairs."""

    def partition_key(self, key: Any) -> Any:
        """What decides the reducer of a key; keys with equal results meet in one."""
        return key

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the job; exact, since only committed attempts count."""
        counters = self.counters
        if type(n) is not int or name not in counters:
            n = self._checked_count(name, n)
        counters[name] += n

    def _checked_count(self, name: Any, n: Any) -> int:
        """The number as an int; raises AnalysisError for what cannot be kept."""
        try:
            name.encode("utf-8")
            return operator.index(n)
        except (AttributeError, TypeError, UnicodeEncodeError):
            raise AnalysisError(
                f"{type(self).__name__}.count({name!r:.200}, {n!r:.200}): a counter's name is "
                "text, and it counts whole numbers."
            ) from None

    @property
    def counters(self) -> "Counter[str]":
        """What this instance has counted so far."""
        return self.__dict__.setdefault("_counters", Counter())


#: The methods that an analysis may have.
HOOKS = (
    "setup", "map", "map_block", "finish", "combine", "partition_key", "setup_reduce", "reduce",
    "finish_reduce", "prepare", "publish", "document",
)  # fmt: skip

#: What people call the hooks who know other frameworks, in small letters.
_OTHER_NAMES = {
    **{hook.replace("_", ""): hook for hook in HOOKS},
    **{hook: hook for hook in HOOKS},
    "mapper": "map",
    "maps": "map",
    "mapblocks": "map_block",
    "reducer": "reduce",
    "reduces": "reduce",
    "combiner": "combine",
    "partition": "partition_key",
    "partitioner": "partition_key",
    "mapper_init": "setup",
    "mapper_final": "finish",
    "reducer_init": "setup_reduce",
    "reducer_final": "finish_reduce",
    "finalize": "finish",
    "teardown": "finish",
    "cleanup": "finish",
    "close": "finish",
}

#: Of the attributes of every analysis those that are set as its parameters are.
SETTINGS = ("min_count", "mask_literals")

#: What a subclass's attribute may be called without being a parameter.
_RESERVED = frozenset(name for name in vars(Analysis) if not name.startswith("_"))


def steps(analysis: type[Analysis]) -> list[type[Analysis]]:
    """The analysis and those that follow it by `then`."""
    found = [analysis]
    while (following := found[-1].then) is not None:
        if not (isinstance(following, type) and issubclass(following, Analysis)):
            raise UsageError(
                f"{found[-1].__name__}.then must be an Analysis class, not {following!r}."
            )
        if following in found:
            raise UsageError(f"{following.__name__} follows itself by `then`.")
        found.append(following)
    return found


def near_misses(found: Sequence[type[Analysis]]) -> list[str]:
    """A sentence for each method that looks like a hook with its name mistaken."""
    sentences = []
    for step in found:
        own = {name for base in step.__mro__ if base not in Analysis.__mro__ for name in vars(base)}
        for name in sorted(own - set(HOOKS)):
            hook = _OTHER_NAMES.get(name.lower().strip("_"))
            if hook is not None and hook not in own and callable(getattr(step, name)):
                sentences.append(f"{step.__name__}.{name} is never called: did you mean {hook}?")
    return sentences


def is_scattered(found: Sequence[type[Analysis]], number: int) -> bool:
    """Whether an earlier step reduces: then step `number` (from 0) gets its input in parts.

    The parts are cut by partition, so the order of that input is the order of its keys.
    """
    return any(step.reduce is not None for step in found[:number])


def parameters(analysis: type[Analysis]) -> dict[str, Any]:
    """The parameters of an analysis with their defaults."""
    bases = [base for base in reversed(analysis.__mro__) if base not in Analysis.__mro__]
    names = dict.fromkeys(name for base in bases for name in vars(base))
    found = {name: inspect.getattr_static(analysis, name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("_")
        and name not in _RESERVED
        and not callable(value)
        # Properties and their like.
        and not hasattr(type(value), "__get__")
    }


def _settable(analysis: type[Analysis]) -> dict[str, Any]:
    return parameters(analysis) | {name: getattr(analysis, name) for name in SETTINGS}


def known_parameters(analysis: type[Analysis], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, once every one is a parameter of some step, or a setting that makes sense.

    Raises UsageError.
    """
    _check_names(analysis, values)
    _check_settings(analysis, values)
    return dict(values)


def _check_names(analysis: type[Analysis], names: Iterable[str]) -> None:
    own = {name for step in steps(analysis) for name in parameters(step)}
    for name in names:
        if name not in own and name not in SETTINGS:
            listed = ", ".join([*sorted(own), *SETTINGS])
            raise UsageError(f"{analysis.__name__} has no parameter {name!r}; it has: {listed}.")


def _check_settings(analysis: type[Analysis], values: Mapping[str, Any]) -> None:
    first, *_, last = [analysis, *steps(analysis)]
    for step in steps(analysis):
        found = {name: values.get(name, getattr(step, name)) for name in SETTINGS}
        least, mask = found["min_count"], found["mask_literals"]
        if type(least) is not int or least < 0:
            raise UsageError(
                f"{step.__name__}: min_count is a whole number of at least 0, not {least!r:.200}."
            )
        if type(mask) is not bool:
            raise UsageError(f"{step.__name__}: mask_literals is True or False, not {mask!r:.200}.")
        if "min_count" not in values and step is not last and least:
            raise UsageError(
                f"{step.__name__} has a min_count, which counts in the last step only; move it to "
                f"{last.__name__}."
            )
        if "mask_literals" not in values and mask and not first.mask_literals:
            raise UsageError(
                f"{step.__name__} has mask_literals, which counts in the first step only; move it "
                f"to {first.__name__}."
            )
    if values.get("min_count", last.min_count):
        if last.reduce is None:
            raise UsageError(
                f"{last.__name__} has no reduce, so its rows have no count; leave min_count out."
            )
        if last.publish is not None:
            raise UsageError(
                f"{last.__name__} publishes files, which min_count does not reach; leave it out."
            )


def parse_parameters(found: Sequence[type[Analysis]], texts: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of some steps given as text, each by its default's type. Raises UsageError."""
    defaults: dict[str, Any] = {}
    for step in reversed(found):
        defaults.update(_settable(step))
    parsed = {}
    _check_names(found[0], texts)
    for name, text in texts.items():
        try:
            parsed[name] = _parse(text, defaults[name])
        except (ValueError, TypeError):
            raise UsageError(
                f"--set {name}={text}: must be like its default, {defaults[name]!r}."
            ) from None
    return known_parameters(found[0], parsed)


def _parse(text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() in ("true", "yes", "1", "on"):
            return True
        if text.lower() in ("false", "no", "0", "off"):
            return False
        raise ValueError(text)
    if isinstance(default, int | float):
        return type(default)(text)
    if isinstance(default, str):
        return text
    if isinstance(default, bytes):
        return text.encode("utf-8", "surrogateescape")
    try:
        value = json.loads(text)
    except ValueError:
        if default is None:
            return text
        raise
    if isinstance(default, tuple | set | frozenset) and isinstance(value, list):
        return type(default)(value)
    if default is not None and not isinstance(value, type(default)):
        raise ValueError(text)
    return value


def column_names(analysis: type[Analysis], values: Mapping[str, Any]) -> list[str]:
    """The names of the result's columns with these parameters. Raises UsageError for odd ones."""
    last = steps(analysis)[-1]
    names = instantiate(last, values).columns
    is_good = not isinstance(names, str) and all(isinstance(name, str) and name for name in names)
    if not is_good or len({*names}) < len(names):
        raise UsageError(
            f"{last.__name__}.columns must be different names for columns, not {names!r:.200}."
        )
    return [*names]


def instantiate(analysis: type[Analysis], values: Mapping[str, Any]) -> Analysis:
    """An instance with those parameters that its class has."""
    instance = analysis()
    known = _settable(analysis)
    for name, value in values.items():
        if name in known:
            setattr(instance, name, value)
    return instance
