"""The user's contract: parameters by type, steps, counters, and what a base class gives."""

import functools
from abc import ABC, abstractmethod
from collections import Counter

import numpy as np
import pytest

from mr.analysis import Analysis, column_names, instantiate, parameters, parse_parameters, steps
from mr.errors import AnalysisError, UsageError


class Typed(Analysis):
    """Has a parameter of each type."""

    flag = False
    number = 3
    share = 0.5
    name = "x"
    raw = b"x"
    words = ("a", "b")
    things = ["a"]  # noqa: RUF012
    kinds = {"a"}  # noqa: RUF012
    frozen = frozenset("a")
    table = {"a": 1}  # noqa: RUF012
    anything = None
    _private = 1

    class Helper:
        """Is no parameter."""

    @property
    def computed(self):
        """Is no parameter."""

    @functools.cached_property
    def cached(self):
        """Is no parameter."""

    @staticmethod
    def static():
        """Is no parameter."""

    @classmethod
    def of_class(cls):
        """Is no parameter."""

    def map(self, record):
        """Yield nothing."""

    def helper(self):
        """Is no parameter."""


PARAMETERS = {
    "flag": False,
    "number": 3,
    "share": 0.5,
    "name": "x",
    "raw": b"x",
    "words": ("a", "b"),
    "things": ["a"],
    "kinds": {"a"},
    "frozen": frozenset("a"),
    "table": {"a": 1},
    "anything": None,
}


def test_class_attributes_are_parameters():
    """Plain values are; methods, properties, classes and private names are not."""
    assert parameters(Typed) == PARAMETERS


def test_the_contract_itself_has_no_parameters():
    """What `Analysis` defines, overridden or not, is no parameter."""

    class Full(Typed):
        filter = {"reason": "main"}  # noqa: RUF012
        then = Typed

        def reduce(self, key, values):
            yield key, 1

        combine = reduce

    assert parameters(Analysis) == {}
    assert parameters(Full) == PARAMETERS


def test_parameters_are_inherited():
    """From bases and mixins; the nearest default counts, and a method takes a name away."""

    class Mixin:
        limit = 10
        depth = 1

    class First(Mixin, Analysis):
        limit = 20
        gone = 1

    class Second(First):
        limit = 30

        def gone(self):
            """Is now a method."""

    class Abstract(Analysis, ABC):
        size = 1

        @abstractmethod
        def make(self):
            """Must be overridden."""

    assert parameters(First) == {"limit": 20, "depth": 1, "gone": 1}
    assert parameters(Second) == {"limit": 30, "depth": 1}
    assert parameters(Abstract) == {"size": 1}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("flag", "true", True),
        ("flag", "Yes", True),
        ("flag", "1", True),
        ("flag", "on", True),
        ("flag", "FALSE", False),
        ("flag", "no", False),
        ("flag", "0", False),
        ("flag", "off", False),
        ("number", "-12", -12),
        ("number", "1" * 30, int("1" * 30)),
        ("share", "2", 2.0),
        ("share", "1e-3", 0.001),
        ("name", "", ""),
        ("name", "[1]", "[1]"),
        ("name", "a=b", "a=b"),
        ("raw", "é", "é".encode()),
        ("words", '["c"]', ("c",)),
        ("things", '["c", 1]', ["c", 1]),
        ("kinds", '["c", "c"]', {"c"}),
        ("frozen", "[]", frozenset()),
        ("table", '{"b": [2]}', {"b": [2]}),
        ("anything", "text", "text"),
        ("anything", "12", 12),
        ("anything", "null", None),
    ],
)
def test_a_parameter_is_read_by_the_type_of_its_default(name, text, value):
    """The text of `--set` becomes a value of the default's type."""
    found = parse_parameters([Typed], {name: text})[name]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("flag", "maybe"),
        ("flag", "2"),
        ("number", "1.5"),
        ("number", ""),
        ("number", "9" * 5000),
        ("share", "half"),
        ("words", "a,b"),
        ("words", '{"a": 1}'),
        ("things", "{}"),
        ("things", '"a"'),
        ("kinds", "[[1]]"),
        ("frozen", "[{}]"),
        ("table", "[]"),
        ("table", ""),
    ],
)
def test_a_text_of_another_type_is_refused(name, text):
    """The error shows what was set, and the default to be like."""
    with pytest.raises(UsageError) as error:
        parse_parameters([Typed], {name: text})

    assert f"--set {name}={text}: must be like its default, " in str(error.value)


def test_an_unknown_parameter_is_named_with_those_that_are_known():
    """A slip in a name is a UsageError that lists the parameters."""

    class Bare(Analysis):
        pass

    with pytest.raises(UsageError, match="Typed has no parameter 'size'; it has: anything, flag"):
        parse_parameters([Typed], {"size": "1"})
    with pytest.raises(
        UsageError, match="Bare has no parameter 'size'; it has: min_count, mask_literals"
    ):
        parse_parameters([Bare], {"size": "1"})
    with pytest.raises(UsageError, match="no parameter 'map'"):
        parse_parameters([Typed], {"map": "1"})


def test_steps_share_parameters():
    """Each step gets those that it has; for a name of several, the first step's type counts."""

    class Last(Analysis):
        limit = 5
        only_last = "x"

    class First(Analysis):
        limit = 1.5
        then = Last

    found = parse_parameters(steps(First), {"limit": "2.5", "only_last": "y"})

    first, last = (instantiate(step, found) for step in steps(First))
    assert (first.limit, last.limit, last.only_last) == (2.5, 2.5, "y")
    assert not hasattr(first, "only_last")
    assert (First.limit, Last.limit) == (1.5, 5)


def test_steps_follow_by_then():
    """The steps of a job are the analysis and what follows it, in order."""

    class Third(Analysis):
        pass

    class Second(Analysis):
        then = Third

    class First(Analysis):
        then = Second

    assert steps(First) == [First, Second, Third]
    assert steps(Third) == [Third]


@pytest.mark.parametrize("then", ["Second", Typed(), int, Counter])
def test_a_step_that_is_no_analysis_is_refused(then):
    """`then` names an Analysis class."""
    first = type("First", (Analysis,), {"then": then})

    with pytest.raises(UsageError, match=r"First\.then must be an Analysis class, not"):
        steps(first)


def test_steps_must_end():
    """A class that follows itself, at once or later, is refused."""

    class First(Analysis):
        pass

    class Second(Analysis):
        then = First

    First.then = Second
    with pytest.raises(UsageError, match="First follows itself"):
        steps(First)

    First.then = First
    with pytest.raises(UsageError, match="First follows itself"):
        steps(First)


def test_counters_are_the_instances_own():
    """Counting needs no set-up, not even of an `__init__` that forgets its base."""

    class Forgetful(Analysis):
        def __init__(self):
            self.seen = 0

    one, other = Forgetful(), Forgetful()
    one.count("a")
    one.count("a", 2)
    one.count("b", 0)
    one.count("c", -1)

    assert one.counters == {"a": 3, "b": 0, "c": -1}
    assert other.counters == {}


def test_counters_take_any_whole_number():
    """A numpy integer, as sums of arrays are, and a bool count as Python's int."""
    analysis = Typed()
    analysis.count("a", np.arange(4).sum())
    analysis.count("a", True)

    assert analysis.counters == {"a": 7}
    assert type(analysis.counters["a"]) is int


@pytest.mark.parametrize(
    ("name", "n"),
    [("a", 1.5), ("a", None), ("a", "1"), (None, 1), (3, 1), (b"a", 1), ("\ud800", 1)],
)
def test_what_cannot_be_a_counter_is_refused(name, n):
    """A counter that no report could hold is an AnalysisError that names the analysis."""
    analysis = Typed()

    with pytest.raises(AnalysisError, match=r"Typed\.count\(.*whole numbers"):
        analysis.count(name, n)

    assert analysis.counters == {}


class FakeBlock:
    """A block of two records."""

    def records(self):
        """Two records."""
        return iter(["a", "b"])


def test_a_block_is_mapped_record_by_record():
    """By default `map_block` gives what `map` yields, or returns, or nothing for None."""

    class Yields(Analysis):
        def map(self, record):
            yield record, 1
            yield record, 2

    class Returns(Analysis):
        def map(self, record):
            return [(record, 3)] if record == "a" else None

    assert list(Yields().map_block(FakeBlock())) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert list(Returns().map_block(FakeBlock())) == [("a", 3)]


def test_an_analysis_without_map_says_so():
    """The error names the class."""

    class Bare(Analysis):
        pass

    with pytest.raises(UsageError, match="Bare has neither map nor map_block"):
        list(Bare().map_block(FakeBlock()))


def test_the_other_methods_do_nothing_by_default():
    """An analysis is map-only, starts and ends quietly, and spreads keys by the whole key."""
    analysis = Typed()

    assert analysis.reduce is None
    assert analysis.combine is None
    assert analysis.setup_reduce is None
    assert analysis.setup() is None
    assert analysis.finish() is None
    assert analysis.partition_key(("a", 1)) == ("a", 1)


@pytest.mark.parametrize("columns", ["OS", ("OS", "OS"), ("OS", ""), ("OS", 1)])
def test_odd_names_of_columns_are_refused(columns):
    """Before the job: they are different texts, and a text is no list of them."""
    odd = type("Odd", (Analysis,), {"map": lambda self, record: None, "columns": columns})

    with pytest.raises(UsageError, match=r"Odd\.columns must be different names for columns"):
        column_names(odd, {})


def test_columns_may_depend_on_parameters():
    """And are those of the last step."""

    class Last(Analysis):
        field = "OS"

        @property
        def columns(self):
            return self.field, "records"

    class First(Analysis):
        then = Last
        columns = ("no", "matter", "what")

    assert column_names(First, {"field": "arch"}) == ["arch", "records"]
    assert "columns" not in parameters(Last)
