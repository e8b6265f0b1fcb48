"""Which tasks are late."""

import pytest

from mr.lateness import LATE_FACTOR, LATE_LEAST_S, late_tasks, usual_wait

#: Long enough that only the factor counts.
USUAL_S = 2 * LATE_LEAST_S


@pytest.mark.parametrize(("took_s", "late"), [(0.99, []), (1.01, [7])])
def test_a_task_is_late_once_it_takes_some_times_as_long_as_the_others(took_s, late):
    """The limit is a multiple of what half of the others took."""
    since = {7: 1000.0}
    now = 1000.0 + took_s * LATE_FACTOR * USUAL_S

    assert late_tasks(since, [USUAL_S] * 9, 10, now=now) == late


@pytest.mark.parametrize(("took_s", "late"), [(0.99, []), (1.01, [1])])
def test_no_task_is_late_before_it_could_pay(took_s, late):
    """Where the others took next to nothing, a few seconds more are no delay."""
    assert late_tasks({1: 0.0}, [0.01] * 9, 10, now=took_s * LATE_LEAST_S) == late


def test_what_is_usual_is_the_middle_one():
    """One that took very long, or very short, says nothing of the others."""
    done_s = [0.0, USUAL_S, USUAL_S, USUAL_S, 1e6]

    assert late_tasks({5: 0.0}, done_s, 6, now=LATE_FACTOR * USUAL_S - 1) == []
    assert late_tasks({5: 0.0}, done_s, 6, now=LATE_FACTOR * USUAL_S + 1) == [5]


@pytest.mark.parametrize(("done", "late"), [(0, []), (4, []), (5, [8, 9])])
def test_nobody_can_tell_before_half_are_done(done, late):
    """While most tasks still run none of them is late, however long."""
    assert late_tasks({9: 0.0, 8: 1.0}, [1.0] * done, 10, now=1e6) == late


def test_only_those_that_run_so_long_are_late_in_order():
    """Others that run beside them are left alone."""
    now = 10 * LATE_FACTOR * USUAL_S
    since = {30: 0.0, 4: now - 1, 11: 5.0}

    assert late_tasks(since, [USUAL_S] * 20, 23, now=now) == [11, 30]
    assert late_tasks({}, [USUAL_S] * 20, 23, now=now) == []
    assert late_tasks({4: now + 60}, [USUAL_S] * 20, 23, now=now) == []  # a clock that is ahead


def test_a_task_waits_for_those_before_it():
    """As many as each process has, of the middle one's time."""
    assert usual_wait({}, [0.0, USUAL_S, 1e6], 4, now=0.0) == 4 * USUAL_S
    assert usual_wait({1: 0.0}, [USUAL_S], 4, now=1e6) == 4 * USUAL_S


def test_before_any_is_done_the_running_ones_tell_how_long_tasks_take():
    """At least; and nothing tells it where none runs."""
    assert usual_wait({1: 90.0, 2: 60.0}, [], 4, now=100.0) == 160.0
    assert usual_wait({}, [], 4, now=100.0) == 0.0
