"""The names of a job's objects: apart from each other, in order, and never outside the job."""

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr import layout
from mr.errors import FormatError
from mr.store import check_name

IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}", fullmatch=True)

HOSTILE = ["", "-", "-a", "..", ".", "a/b", "A", "a_b", "a\n", "a\0", "é", "٣", "a" * 101, "a b"]

#: Every function that names one object, with how many ids it takes after the job's.
NAMES = {
    layout.spec_name: 0,
    layout.bundle_name: 0,
    layout.plan_name: 1,
    layout.run_name: 2,
    layout.result_name: 2,
    layout.files_name: 2,
    layout.prepared_name: 0,
    layout.published_name: 0,
    layout.stopped_name: 0,
    layout.commit_name: 1,
    layout.failure_name: 2,
    layout.heartbeat_name: 0,
    layout.end_name: 0,
    layout.report_name: 0,
    layout.log_name: 2,
    layout.profile_name: 2,
}


def test_every_function_that_names_an_object_is_tested_here():
    """A new kind of object cannot be forgotten by these tests."""
    functions = {f for name, f in inspect.getmembers(layout) if name.endswith("_name")}

    assert functions == {*NAMES, layout.tombstone_name, layout.worker_name}


@given(ids=st.lists(IDS, min_size=3, max_size=3), others=st.lists(IDS, min_size=3, max_size=3))
def test_different_objects_have_different_names(ids, others):
    """Two names are equal only when they are of one kind and of the same ids."""
    named = {
        (function.__name__, *chosen[: count + 1]): function(*chosen[: count + 1])
        for chosen in (ids, others)
        for function, count in NAMES.items()
    }

    assert len(set(named.values())) == len(named)


@given(ids=st.lists(IDS, min_size=3, max_size=3), other=IDS)
def test_a_job_keeps_to_its_own_prefix(ids, other):
    """Every object of a job is a good name under its prefix, and under no other job's."""
    for function, count in NAMES.items():
        name = function(*ids[: count + 1])

        check_name(name)
        assert name.startswith(layout.job_prefix(ids[0]))
        assert other == ids[0] or not name.startswith(layout.job_prefix(other))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_id_is_refused(text):
    """An id that could leave its place, or look like another, is a FormatError everywhere."""
    for function, count in NAMES.items():
        for place in range(count + 1):
            ids = ["job", "task", "attempt"][: count + 1]
            ids[place] = text
            with pytest.raises(FormatError, match="is not an id"):
                function(*ids)
    for function in (layout.tombstone_name, layout.worker_name):
        with pytest.raises(FormatError, match="is not an id"):
            function(text)
    with pytest.raises(FormatError, match="is not an id"):
        layout.events_queue("q", text)


def test_a_tombstone_outlives_its_job():
    """A removed job's tombstone is not under what is removed."""
    assert not layout.tombstone_name("j").startswith(layout.job_prefix("j"))


@given(queue=st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True), ids=st.lists(IDS, min_size=2))
def test_each_job_has_a_queue_of_its_own(queue, ids):
    """Beside the workers' queue, and of a name that SQS takes."""
    found = {job: layout.events_queue(queue, job) for job in ids}

    assert len(set(found.values())) == len(found)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) for name in found.values())
    assert all(name.startswith(queue[:50]) for name in found.values())


def test_a_task_knows_its_number_in_its_stage():
    """The number of a task of another stage, or of none, is None."""
    assert layout.task_number("1-map-0000012", "1-map") == 12
    assert layout.task_number("11-map-0000012", "1-map") is None
    assert layout.task_number("1-map-x", "1-map") is None


@given(
    numbers=st.lists(st.integers(0, layout.MOST_TASKS - 1), max_size=20), step=st.integers(1, 99)
)
def test_tasks_sort_by_their_number(numbers, step):
    """Ids of one stage sort as their numbers do."""
    stage = layout.stage_id(step, "map")

    ids = sorted(layout.task_id(stage, number) for number in numbers)

    assert ids == [layout.task_id(stage, number) for number in sorted(numbers)]


def test_the_commits_of_a_stage_are_those_of_no_other():
    """A stage's prefix holds its own commits alone, also where one step's number begins another's.

    (Steps 1 and 11; map and reduce.)
    """
    stages = [layout.stage_id(step, kind) for step in (1, 11) for kind in ("map", "reduce")]
    names = {stage: layout.commit_name("j", layout.task_id(stage, 7)) for stage in stages}

    for stage in stages:
        prefix = layout.commits_prefix("j", stage)
        assert [s for s, name in names.items() if name.startswith(prefix)] == [stage]


def test_a_thousand_tasks_have_a_prefix_of_their_own():
    """So that one request lists their commits, however many tasks the stage has."""
    for number in (0, 999, 1000, 1999, 2000, layout.MOST_TASKS - 1):
        name = layout.commit_name("j", layout.task_id("1-map", number))
        thousand = number // layout.COMMITS_LISTED

        assert name.startswith(layout.commits_prefix("j", "1-map", thousand))
        assert not name.startswith(layout.commits_prefix("j", "1-map", thousand + 1))
        assert not name.startswith(layout.commits_prefix("j", "1-reduce", thousand))


def test_prefixes_hold_their_objects():
    """Each prefix that is listed begins the names that it is listed for."""
    assert layout.run_name("j", "t", "a").startswith(layout.runs_prefix("j"))
    assert layout.commit_name("j", "t").startswith(layout.commits_prefix("j"))
    assert layout.failure_name("j", "t", "a").startswith(layout.failures_prefix("j", "t"))
    assert layout.failure_name("j", "t", "a").startswith(layout.failures_prefix("j"))
    assert not layout.failure_name("j", "tt", "a").startswith(layout.failures_prefix("j", "t"))
