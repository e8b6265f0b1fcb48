"""The state that a job leaves: what its last reduces are given, kept in passing, then put together.

A reduce task keeps its part with its files; placing brings it to the state, and publishing makes
the state whole. So only committed attempts count, and all of it may be repeated.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from mr import layout
from mr.analysis import Analysis
from mr.blocks import Block
from mr.commits import Commit, committed_tasks, read_commits
from mr.mapping import Position
from mr.plans import open_plan
from mr.runs import Rows, RunWriter, Span
from mr.saved import (
    BUNDLE,
    PARTS,
    VERSION,
    Facts,
    HashingWriter,
    Piece,
    block_rows,
    merged_blocks,
    piece_name,
    put_blocks,
    put_facts,
    put_piece,
)
from mr.schema import parse_schema
from mr.shuffle import Combiner, combined_rows
from mr.spec import JobSpec, line_blocks
from mr.stopwatch import COMBINE, MERGE, WATCH
from mr.store import Store
from mr.stores import open_store
from mr.tally import Tally
from mr.text import counted


class Keeper:
    """Combines what a reduce is given, and keeps it as a part of a state on the way."""

    def __init__(self, analysis: Analysis, out: BinaryIO, position: Position) -> None:
        self._combine = Combiner(analysis.combine, type(analysis).__name__)
        self._hashed = HashingWriter(out)
        self._writer = RunWriter(self._hashed)
        self._position = position

    def through(self, merged: Iterable[Rows]) -> Iterator[Rows]:
        """The merged rows, combined."""
        rows = combined_rows(WATCH.within(MERGE, self._moving(merged)), self._combine)
        try:
            for few in WATCH.within(COMBINE, rows):
                self._writer.extend(few)
                yield few
        except Exception:
            self._position.key = None  # it is not the key that was reduced last
            raise

    def _moving(self, merged: Iterable[Rows]) -> Iterator[Rows]:
        """Show that it goes on, however long the values of one key are combined."""
        for rows in merged:
            self._position.moves += 1
            yield rows

    def finish(self) -> dict[str, Span]:
        """The part by the name that it is to have; nothing where there was nothing."""
        self._writer.flush()
        if not self._writer.written:
            return {}
        return {piece_name(PARTS, self._hashed.digest): Span(0, self._writer.written)}


def place_part(store: Store, job: str, commit: Commit, url: str, moved: Callable[[], None]) -> None:
    """Put the part of one reduce task's commit in place."""
    for name, span in commit.files.items():
        kept = layout.files_name(job, commit.task, commit.attempt)
        with store.open(kept, start=span.offset, end=span.offset + span.length) as source:
            put_piece(open_store(url), name, source, moved)


def save_state(
    store: Store, spec: JobSpec, read: Tally, folder: Path, moved: Callable[[], None]
) -> str:
    """Make a job's state whole, once its parts are in place; returns what to say of it.

    `read` is what the maps read and counted; `folder` is local and empty.
    """
    target = open_store(spec.keep.url)
    tasks = sorted(committed_tasks(store, spec.job, spec.last_stage))
    parts = [
        Piece(name, span.length)
        for commit in read_commits(store, spec.job, tasks)
        for name, span in commit.files.items()
    ]
    name = layout.bundle_name(spec.job)
    bundle = Piece(piece_name(BUNDLE, spec.bundle), store.stat(name).size)
    with store.open(name) as source:
        put_piece(target, bundle.name, source, moved)
    inputs = dict.fromkeys(text for one in spec.states for text in one.covers["inputs"])
    put_facts(
        target,
        Facts(
            version=VERSION,
            analysis=spec.analysis,
            steps=spec.keep.steps,
            code=spec.keep.code,
            parameters=spec.keep.parameters,
            given=spec.given,
            schema=spec.schema,
            sample=spec.sample,
            filter=spec.filter,
            inputs=list(inputs) if spec.states else spec.inputs,
            listing=spec.listing,
            tally=read,
            bundle=bundle,
            blocks=put_blocks(target, _rows_of_blocks(store, spec, read, folder), folder, moved),
            parts=parts,
        ),
    )
    return f"The state of {counted(read.blocks, 'block')} is kept in {target.url}."


def _rows_of_blocks(store: Store, spec: JobSpec, read: Tally, folder: Path) -> Iterator[Rows]:
    """The blocks that the job has read, or of a merge those of its states."""
    if spec.states:
        lists = [(one.url, one.blocks) for one in spec.states]
        return ((names, found, []) for names, found, _ in merged_blocks(lists, folder))
    unread = {*read.missing, *(one.block for one in read.bad_blocks if one.unread)}
    return block_rows(pair for pair in _planned_blocks(store, spec) if pair[0].path not in unread)


def _planned_blocks(store: Store, spec: JobSpec) -> Iterator[tuple[Block, bool]]:
    """Every block of the plan, in order, and whether it is of the layout."""
    dimensions_of = parse_schema(spec.schema).dimensions_of
    plan = open_plan(store, layout.plan_name(spec.job, layout.stage_id(1, "map")))
    for line in plan.lines():
        for block in line_blocks(line, spec):
            yield block, dimensions_of(block.key) is not None
