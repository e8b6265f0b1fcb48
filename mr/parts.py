"""The parts of a job's result, and the result as one stream."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from mr import items, layout
from mr.commits import Commit, committed_tasks, read_commit
from mr.items import Item
from mr.runs import Entry, merge_in_passes, read_run
from mr.spec import JobSpec
from mr.store import Store


def read_result(store: Store, spec: JobSpec, folder: Path) -> Iterator[Item]:
    """The items of a job that is done, in the result's one order.

    After a reduce: by the key that was given to it, then by order of yield. Without any: in the
    order of the blocks. `folder` serves merges of very many parts.
    """
    for entry in _result_entries(store, spec, folder):
        yield from map(items.decode, entry[1])


def _result_entries(store: Store, spec: JobSpec, folder: Path) -> Iterator[Entry]:
    parts = result_parts(store, spec)
    if any(step.has_reduce for step in spec.steps):
        return merge_in_passes(parts, folder)
    return itertools.chain.from_iterable(part() for part in parts)


def result_parts(store: Store, spec: JobSpec) -> list[Callable[[], Iterator[Entry]]]:
    """The parts of the result in the order of their tasks; calling one starts reading it."""
    tasks = sorted(committed_tasks(store, spec.job, spec.last_stage))
    return [_part(store, spec.job, read_commit(store, spec.job, task)) for task in tasks]


def _part(store: Store, job: str, commit: Commit) -> Callable[[], Iterator[Entry]]:
    name = layout.result_name(job, commit.task, commit.attempt)
    length = commit.spans[0].length

    def read() -> Iterator[Entry]:
        with store.open(name, end=length) as stream:
            yield from read_run(stream, length, name)

    return read
