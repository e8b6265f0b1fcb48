"""The parts of a job's result, and the result as one stream, or as pieces of it."""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mr import items, layout
from mr.commits import committed_tasks, read_commits
from mr.items import ItemStream
from mr.runs import Mark, Rows, merge_in_passes
from mr.sources import Run, Sources
from mr.spec import JobSpec
from mr.store import Store

T = TypeVar("T")

#: Items that are decoded at a time.
ITEMS_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a result: an object of so many bytes, and where some keys are in it."""

    name: str
    length: int
    marks: list[Mark]

    def between(self, begin: bytes, end: bytes | None) -> "Stretch":
        """The stretch of it that has all rows with keys from `begin` up to `end`, and others."""
        start, stop = 0, self.length
        for mark in self.marks:
            if mark.key < begin:
                start = mark.offset
            if end is not None and mark.key >= end:
                stop = mark.offset
                break
        return Stretch(self.name, start, stop - start)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some frames of a part."""

    name: str
    offset: int
    length: int


@dataclass(frozen=True)
class Piece:
    """A piece of a result: what lies under the keys from `begin` up to `end`.

    What is sorted is merged; the rest is read one stretch after the other, whole.
    """

    stretches: list[Stretch]
    is_sorted: bool
    begin: bytes = b""
    end: bytes | None = None


@dataclass(frozen=True)
class Parts:
    """All parts of a result, or some of them."""

    parts: list[Part]
    is_sorted: bool

    @property
    def length(self) -> int:
        """Its bytes in the store."""
        return sum(part.length for part in self.parts)

    def alone(self) -> "Iterator[Parts]":
        """Each part for itself."""
        return (Parts([part], self.is_sorted) for part in self.parts)

    def whole(self) -> Piece:
        """All of it in one piece."""
        return self._piece(self.parts, b"", None)

    def cut(self, number: int) -> list[Piece]:
        """At most `number` pieces of about the same size, by keys or, if not sorted, by parts.

        One after the other they hold what the parts hold, each item once. They are fewer where
        there are not enough marks or parts.
        """
        if not self.is_sorted:
            sizes = [(n, part.length) for n, part in enumerate(self.parts[:-1], 1)]
            bounds = [0, *_cuts(sizes, number, self.length), len(self.parts)]
            return [
                self._piece(self.parts[first:last], b"", None)
                for first, last in itertools.pairwise(bounds)
            ]
        marks = sorted(
            (mark.key, mark.offset - before.offset)
            for part in self.parts
            for before, mark in itertools.pairwise(part.marks)
        )
        keys = [b"", *_cuts(marks, number, sum(size for _, size in marks)), None]
        return [self._piece(self.parts, begin, end) for begin, end in itertools.pairwise(keys)]

    def _piece(self, parts: list[Part], begin: bytes, end: bytes | None) -> Piece:
        stretches = [part.between(begin, end) for part in parts]
        return Piece([one for one in stretches if one.length], self.is_sorted, begin, end)


def _cuts(places: list[tuple[T, int]], number: int, total: int) -> list[T]:
    """The places that cut into `number` pieces; with each comes what lies before it."""
    cuts: list[T] = []
    reached = 0
    for place, size in places:
        reached += size
        is_far = reached * number >= total * (len(cuts) + 1)
        if is_far and len(cuts) + 1 < number and place not in cuts[-1:]:
            cuts.append(place)
    return cuts


def parts_of(store: Store, spec: JobSpec) -> Parts:
    """The result of a job that is done, its parts in the order of their tasks."""
    tasks = sorted(committed_tasks(store, spec.job, spec.last_stage))
    parts = [
        Part(
            layout.result_name(spec.job, commit.task, commit.attempt),
            commit.spans[0].length,
            commit.marks,
        )
        for commit in read_commits(store, spec.job, tasks)
    ]
    return Parts(parts, is_sorted=any(step.has_reduce for step in spec.steps))


def read_result(store: Store, spec: JobSpec, folder: Path) -> ItemStream:
    """The items of a job that is done, in the result's one order.

    After a reduce: by the key that was given to it, then by order of yield. Without any: in the
    order of the blocks. `folder` serves merges of very many parts.
    """
    return read_piece(store, parts_of(store, spec).whole(), folder)


def read_piece(store: Store, piece: Piece, folder: Path) -> ItemStream:
    """The items of a piece of a result; `folder` as for `read_result`."""
    return ItemStream(
        items.decode_all(
            under[start : start + ITEMS_AT_A_TIME], column[start : start + ITEMS_AT_A_TIME]
        )
        for under, column, _ in _rows(store, piece, folder)
        for start in range(0, len(under), ITEMS_AT_A_TIME)
    )


def _rows(store: Store, piece: Piece, folder: Path) -> Iterator[Rows]:
    with Sources(store) as sources:
        runs = [sources.of(Run(store, one.name, one.offset, one.length)) for one in piece.stretches]
        if piece.is_sorted:
            yield from _between(merge_in_passes(runs, folder), piece.begin, piece.end)
        else:
            yield from sources.in_turn(runs)


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
