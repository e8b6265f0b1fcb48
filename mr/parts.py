"""The parts of a job's result, and the result as one stream."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from mr import items, layout
from mr.commits import Commit, committed_tasks, read_commits
from mr.items import Item
from mr.runs import Rows, merge_in_passes, pieces
from mr.sources import Run, Sources
from mr.spec import JobSpec
from mr.store import Store


def read_result(store: Store, spec: JobSpec, folder: Path) -> Iterator[Item]:
    """The items of a job that is done, in the result's one order.

    After a reduce: by the key that was given to it, then by order of yield. Without any: in the
    order of the blocks. `folder` serves merges of very many parts.
    """
    return items_of(_result_rows(store, spec, folder))


def items_of(run: Iterable[Rows]) -> Iterator[Item]:
    """The items of a part of the result, or of several that are merged."""
    return itertools.chain.from_iterable(
        items.decode_all(under, column) for rows in run for under, column, _ in pieces(rows)
    )


def _result_rows(store: Store, spec: JobSpec, folder: Path) -> Iterator[Rows]:
    with Sources(store) as sources:
        parts = [sources.of(part) for part in result_parts(store, spec)]
        if any(step.has_reduce for step in spec.steps):
            yield from merge_in_passes(parts, folder)
        else:
            yield from sources.in_turn(parts)


def result_parts(store: Store, spec: JobSpec) -> list[Run]:
    """The parts of the result in the order of their tasks; calling one starts reading it."""
    tasks = sorted(committed_tasks(store, spec.job, spec.last_stage))
    return [_part(store, spec.job, commit) for commit in read_commits(store, spec.job, tasks)]


def _part(store: Store, job: str, commit: Commit) -> Run:
    name = layout.result_name(job, commit.task, commit.attempt)
    return Run(store, name, 0, commit.spans[0].length)
