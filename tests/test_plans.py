"""Plans: lines by byte range, an index, and no trust in damaged bytes."""

import itertools
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mr import layout, plans
from mr.directory import DirectoryStore
from mr.errors import FormatError, ObjectExists, ObjectMissing, UsageError
from mr.plans import MAGIC, Plan, open_plan, read_line, write_plan

NAME = "jobs/j/plans/1-map"

LINES = [{"blocks": [[0, "a\nb", 5, "t"]]}, {"blocks": []}, {"partition": 3, "runs": [["é", 1]]}]

#: The same, each with its weight.
PLANNED = [(line, weight) for line, weight in zip(LINES, (5, 0, 2**40), strict=True)]

SHARED = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def store(tmp_path):
    """An empty store; nothing here outlives the test."""
    return DirectoryStore(tmp_path / "store", durable=False)


def written(store, lines=PLANNED):
    """The bytes of a plan."""
    store.delete(NAME)
    write_plan(store, NAME, lines)
    return store.read(NAME)


def test_a_plan_gives_back_its_lines(store):
    """All lines in order, and each by its byte range alone."""
    write_plan(store, NAME, iter(PLANNED))

    plan = open_plan(store, NAME)

    assert plan.tasks == 3
    assert list(plan.lines()) == LINES
    assert [read_line(store, NAME, *plan.span(number), number) for number in range(3)] == LINES


def test_a_line_is_of_one_task_only(store):
    """The range of one task's line is nothing for another task: a message may lie."""
    written(store)
    plan = open_plan(store, NAME)

    with pytest.raises(FormatError, match="are not the line of task 1"):
        read_line(store, NAME, *plan.span(0), 1)


def test_the_spans_of_lines_follow_each_other(store):
    """A plan begins with its first line, and each line ends where the next begins."""
    write_plan(store, NAME, PLANNED)
    plan = open_plan(store, NAME)
    spans = [plan.span(number) for number in range(plan.tasks)]

    assert spans[0][0] == 0
    assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))


def test_the_longest_tasks_come_first(store, monkeypatch):
    """Tasks are begun in order of their weights, equal ones in order of their numbers."""
    weights = [3, 7, 0, 7, 2**63]
    write_plan(store, NAME, (({}, weight) for weight in weights))

    assert open_plan(store, NAME).order() == [4, 1, 3, 0, 2]
    monkeypatch.setattr(plans, "MOST_WEIGHED", 4)
    assert list(open_plan(store, NAME).order()) == [0, 1, 2, 3, 4]


def test_a_plan_may_be_empty(store):
    """A job over nothing has a plan without tasks."""
    write_plan(store, NAME, [])

    plan = open_plan(store, NAME)

    assert (plan.tasks, list(plan.lines())) == (0, [])


def test_a_plan_has_no_more_tasks_than_ids(store, monkeypatch):
    """An input of too many splits is refused with what to do, and leaves no plan."""
    monkeypatch.setattr(layout, "MOST_TASKS", 3)
    write_plan(store, NAME + "0", PLANNED)

    with pytest.raises(UsageError, match="more than 3 splits; raise --split-size"):
        write_plan(store, NAME, [*PLANNED, ({}, 0)])

    assert open_plan(store, NAME) is None
    assert open_plan(store, NAME + "0").tasks == 3


def test_a_plan_is_written_once(store):
    """The second to write is told, and the first plan stands."""
    write_plan(store, NAME, PLANNED)

    with pytest.raises(ObjectExists):
        write_plan(store, NAME, PLANNED[:1])

    assert list(open_plan(store, NAME).lines()) == LINES


def test_a_plan_is_there_whole_or_not(store):
    """A coordinator that dies while it plans leaves no plan."""

    def lines():
        yield PLANNED[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_plan(store, NAME, lines())

    assert open_plan(store, NAME) is None


def test_a_plan_that_is_not_written_is_none(store):
    """Not even when another plan's name begins with its name."""
    write_plan(store, NAME + "0", PLANNED)

    assert open_plan(store, NAME) is None
    with pytest.raises(ObjectMissing):
        read_line(store, NAME, 0, 5, 0)


def test_a_range_that_is_no_line_is_refused(store):
    """Half a line, two lines, none, or more than the last: only exactly one line is read."""
    size = len(written(store))
    plan = open_plan(store, NAME)
    spans = {plan.span(number) for number in range(plan.tasks)}

    for start in range(plan.span(2)[1]):
        for end in range(start, size + 2):
            if (start, end) not in spans:
                with pytest.raises(FormatError, match="are not the line of task"):
                    read_line(store, NAME, start, end, 0)


def read_all(store, data):
    """The lines of a plan of these bytes, or the FormatError that they give."""
    store.write(NAME, data)
    try:
        return list(Plan(store, NAME, len(data)).lines())
    except FormatError as error:
        return error


@SHARED
@given(data=st.data())
def test_damage_is_noticed(store, data):
    """Any byte changed in the index or footer, and any cut, is a FormatError and no other error.

    But for weights, which only say what is begun first.
    """
    good = written(store)
    footer = len(good) - struct.calcsize("<8sQQ")
    weights = range(footer - 8 * len(LINES), footer)
    lines = len(b"".join(good.split(b"\n")[:3])) + 3
    at = data.draw(st.integers(lines, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(1, 255))

    found = read_all(store, bytes(bad))
    assert found == LINES if at in weights else isinstance(found, FormatError)
    assert isinstance(read_all(store, good[:at]), FormatError)


@pytest.mark.parametrize(("line", "offset"), [(0, 1), (1, 0), (1, 10**6), (3, 5), (2, 2**64 - 1)])
def test_an_index_out_of_order_is_refused(store, line, offset):
    """Lines begin at 0, one after the other, and end where the index begins."""
    good = written(store)
    bad = bytearray(good)
    struct.pack_into("<Q", bad, open_plan(store, NAME).span(2)[1] + 8 * line, offset)
    store.write(NAME, bytes(bad))

    with pytest.raises(FormatError, match="index is damaged"):
        open_plan(store, NAME)


@SHARED
@given(body=st.binary(max_size=60), tasks=st.integers(0, 2**64 - 1), start=st.integers(0, 100))
def test_hostile_bytes_are_no_plan(store, body, tasks, start):
    """Whatever stands before a good footer, and whatever it claims, is a plan or a FormatError."""
    for data in (body, body + struct.pack("<8sQQ", MAGIC, tasks, start)):
        assert isinstance(read_all(store, data), FormatError | list)


def test_a_damaged_line_is_refused(store):
    """A line that is no JSON any more is a FormatError, by range and in passing."""
    bad = b"?" + written(store)[1:]

    assert "are not the line of task" in str(read_all(store, bad))
    with pytest.raises(FormatError):
        read_line(store, NAME, *open_plan(store, NAME).span(0), 0)


def test_nesting_without_end_is_refused(store):
    """A line deeper than can be read is a FormatError."""
    store.write(NAME, b"[" * 100_000 + b"\n")

    with pytest.raises(FormatError):
        read_line(store, NAME, 0, 100_001, 0)
