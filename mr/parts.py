"""The parts of a job's result, and the result as one stream, or a piece of it."""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mr import items, layout
from mr.commits import Commit, committed_tasks, read_commits
from mr.items import ItemStream
from mr.runs import Rows, merge_in_passes
from mr.sources import Run, Sources
from mr.spec import JobSpec
from mr.store import Store

T = TypeVar("T")

#: Items that are decoded at a time.
ITEMS_AT_A_TIME = 1000


@dataclass(frozen=True)
class Part:
    """A part of the result: an object, and after a reduce where some keys are in it."""

    store: Store
    job: str
    commit: Commit

    @property
    def length(self) -> int:
        """Its length."""
        return self.commit.spans[0].length

    def run(self, begin: bytes = b"", end: bytes | None = None) -> Run:
        """The run of it that has all rows with keys from `begin` up to `end`, and others."""
        start, stop = 0, self.length
        for mark in self.commit.marks:
            if mark.key < begin:
                start = mark.offset
            if end is not None and mark.key >= end:
                stop = mark.offset
                break
        name = layout.result_name(self.job, self.commit.task, self.commit.attempt)
        return Run(self.store, name, start, stop - start)


@dataclass(frozen=True)
class Piece:
    """A piece of a result: of some of its parts what lies under some of the keys."""

    first: int = 0
    last: int | None = None
    begin: bytes = b""
    end: bytes | None = None


def read_result(store: Store, spec: JobSpec, folder: Path, piece: Piece = Piece()) -> ItemStream:
    """The items of a job that is done, in the result's one order.

    After a reduce: by the key that was given to it, then by order of yield. Without any: in the
    order of the blocks. `folder` serves merges of very many parts.
    """
    return ItemStream(
        items.decode_all(
            under[start : start + ITEMS_AT_A_TIME], column[start : start + ITEMS_AT_A_TIME]
        )
        for under, column, _ in _result_rows(store, spec, folder, piece)
        for start in range(0, len(under), ITEMS_AT_A_TIME)
    )


def _result_rows(store: Store, spec: JobSpec, folder: Path, piece: Piece) -> Iterator[Rows]:
    parts = result_parts(store, spec)[piece.first : piece.last]
    with Sources(store) as sources:
        if has_order(spec):
            runs = [part.run(piece.begin, piece.end) for part in parts]
            merged = merge_in_passes([sources.of(run) for run in runs if run.length], folder)
            yield from _between(merged, piece.begin, piece.end)
        else:
            yield from sources.in_turn(sources.of(part.run()) for part in parts)


def _between(merged: Iterable[Rows], begin: bytes, end: bytes | None) -> Iterator[Rows]:
    for rows in merged:
        keys = rows[0]
        if not keys or keys[-1] < begin:
            continue
        start = bisect_left(keys, begin)
        stop = len(keys) if end is None else bisect_left(keys, end)
        yield tuple(column[start:stop] for column in rows)
        if stop < len(keys):
            return


def has_order(spec: JobSpec) -> bool:
    """Whether the parts of the result are sorted, to be merged."""
    return any(step.has_reduce for step in spec.steps)


def result_parts(store: Store, spec: JobSpec) -> list[Part]:
    """The parts of the result in the order of their tasks."""
    tasks = sorted(committed_tasks(store, spec.job, spec.last_stage))
    return [Part(store, spec.job, commit) for commit in read_commits(store, spec.job, tasks)]


def cut_result(spec: JobSpec, parts: list[Part], number: int, first: int = 0) -> list[Piece]:
    """Cut these parts of the result, of which `first` is the first, into pieces of about one size.

    They are at most `number`, and fewer where there are not enough marks or parts. One after the
    other they hold what the parts hold, each item once.
    """
    last = first + len(parts)
    if not has_order(spec):
        ends = _cuts([(n, part.length) for n, part in enumerate(parts, first + 1)], number)
        return [Piece(*ends) for ends in itertools.pairwise([first, *ends, last])]
    marks = sorted(
        (mark.key, mark.offset - before.offset)
        for part in parts
        for before, mark in itertools.pairwise(part.commit.marks)
    )
    keys = [b"", *_cuts(marks, number), None]
    return [Piece(first, last, begin, end) for begin, end in itertools.pairwise(keys)]


def _cuts(places: list[tuple[T, int]], number: int) -> list[T]:
    """The places that cut into `number` pieces; with each comes what lies before it."""
    cuts: list[T] = []
    total, reached = sum(size for _, size in places), 0
    for place, size in places:
        reached += size
        if len(cuts) + 1 < number and reached * number >= total * (len(cuts) + 1):
            cuts.append(place)
    return cuts
