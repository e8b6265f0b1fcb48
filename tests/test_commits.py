"""Commits and failures: what makes a task done, and what makes it hopeless."""

import pytest

from mr.commits import Failure, is_hopeless, read_failures, write_failure
from mr.directory import DirectoryStore


def failure(number, error="KeyError: 'OS'", block="b", line=3, key=""):
    """A failure of one task."""
    return Failure("1-map-0000000", f"a{number}", error, block=block, line=line, key=key)


@pytest.mark.parametrize(
    ("failures", "hopeless"),
    [
        ([], False),
        ([failure(1)], False),
        ([failure(1), failure(2)], True),
        ([failure(1, key="'a'", line=0), failure(2, key="'a'", line=0)], True),
        ([failure(1), failure(2, line=4)], False),
        ([failure(1), failure(2, error="ValueError")], False),
        ([failure(1, line=0), failure(2, line=0)], False),
        ([failure(number, line=number) for number in range(1, 5)], False),
        ([failure(number, line=number) for number in range(1, 6)], True),
        ([failure(number, line=0) for number in range(5)], True),
    ],
)
def test_a_task_is_hopeless_after_many_failures_or_the_same_one_twice(failures, hopeless):
    """Chance is given five tries; the same error at the same record is no chance."""
    assert is_hopeless(failures, 5) is hopeless


def test_failures_are_kept_by_task(tmp_path):
    """Each attempt's failure is told once, apart from other tasks'."""
    store = DirectoryStore(tmp_path)
    other = Failure("1-map-0000001", "b1", "killed")

    for one in (failure(2), failure(1), failure(1), other):
        write_failure(store, "j", one)

    assert list(read_failures(store, "j", "1-map-0000000")) == [failure(1), failure(2)]
    assert list(read_failures(store, "j")) == [failure(1), failure(2), other]
