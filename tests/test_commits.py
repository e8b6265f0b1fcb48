"""Commits and failures: what makes a task done, and what makes it hopeless."""

import pytest

from mr import layout
from mr.commits import (
    Commit,
    Failure,
    committed_among,
    committed_tasks,
    is_hopeless,
    read_failures,
    write_commit,
    write_failure,
)
from mr.directory import DirectoryStore


class Remote(DirectoryStore):
    """A store whose requests are round trips; tells which prefixes were listed."""

    is_remote = True

    def __init__(self, path):
        super().__init__(path, durable=False)
        self.listed = []

    def list(self, prefix=""):
        self.listed.append(prefix)
        return super().list(prefix)


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


def test_some_tasks_are_looked_for_by_the_thousand(tmp_path):
    """What they share a thousand with comes along; the rest of the stage is not listed."""
    store = Remote(tmp_path)
    done = [3, 998, 1_000, 5_000, 1_234_567]
    tasks = {number: layout.task_id("1-map", number) for number in done}
    for task in tasks.values():
        write_commit(store, "j", Commit(task, "a", []))
    write_commit(store, "j", Commit("1-reduce-0000003", "a", []))

    found = committed_among(store, "j", "1-map", [4, 900, 2_500, 1_234_000])

    assert found == {tasks[3], tasks[998], tasks[1_234_567]}
    assert sorted(store.listed) == [
        f"jobs/j/commits/1-map-{thousand}" for thousand in ("0000", "0002", "1234")
    ]
    store.listed.clear()
    assert committed_among(store, "j", "1-map", []) == set()
    assert store.listed == []
    assert committed_tasks(store, "j", "1-map") == set(tasks.values())
