"""A result is the same in one piece, in several, and as several processes write it."""

import io
import itertools
import os
import subprocess
import sys
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr import assembly, items, keys, layout, runs
from mr.assembly import write_result_to
from mr.commits import Commit, write_commit
from mr.directory import DirectoryStore
from mr.errors import FormatError
from mr.parts import Piece, cut_result, read_result, result_parts
from mr.results import LINE_FORMATS, write_items
from mr.runs import MARKED_KEY_BYTES, MOST_MARKS, Marks, RunWriter, Span
from mr.spec import VERSION, JobSpec, Step, write_spec
from mr.writing import PieceOrder

JOB = "20260101-000000-made-000000"


def spec_of(*, has_reduce):
    """A job of one step."""
    return JobSpec(
        version=VERSION,
        job=JOB,
        analysis="a",
        created="",
        bundle="",
        schema={},
        filter={},
        inputs=[],
        stores=[],
        steps=[Step("a", has_reduce, ordered=False)],
        reducers=1,
        split_bytes=1,
        buffer_bytes=1,
        sample=None,
        max_bad_records=None,
        max_bad_share=None,
        strict=False,
        max_failures=1,
        hang_s=1.0,
        is_script=False,
        listing={},
    )


def write_parts(store, spec, parts):
    """Commit parts of a result: of each the rows (key, item)."""
    for number, rows in enumerate(parts):
        task = layout.task_id(spec.last_stage, number)
        out = io.BytesIO()
        writer = RunWriter(out)
        for under, item in rows:
            writer.add(under, items.encode(item))
        writer.flush()
        store.write(layout.result_name(JOB, task, "x"), out.getvalue())
        commit = Commit(task, "x", [Span(0, writer.written)], marks=writer.marks.found)
        write_commit(store, JOB, commit)
    return spec


def counts(names):
    """Rows of counts under their keys, with lines before and after all keys."""
    rows = [(keys.encode(name), items.Pair(name, n)) for n, name in enumerate(sorted(names))]
    return [(b"", items.Line("before")), *rows, (b"\xff", items.Line("after"))]


@pytest.fixture
def tiny_frames(monkeypatch):
    """A frame holds two or three rows."""
    monkeypatch.setattr(runs, "FRAME_BYTES", 250)


@pytest.fixture
def long_result(tmp_path, tiny_frames, monkeypatch):
    """A store with a result of 3 parts that is worth several processes, and its spec."""
    monkeypatch.setattr(assembly, "PIECE_BYTES", 1000)
    store, spec = DirectoryStore(tmp_path / "jobs"), spec_of(has_reduce=True)
    write_spec(store, spec)
    write_parts(store, spec, [counts(f"n{n}" for n in range(k, 900, 3)) for k in range(3)])
    return store, spec


@settings(deadline=None, max_examples=50)
@given(
    parts=st.lists(st.lists(st.text("abé\x00", max_size=3), max_size=40), max_size=4),
    number=st.integers(1, 9),
    has_reduce=st.booleans(),
)
@pytest.mark.usefixtures("tiny_frames")
def test_pieces_hold_each_item_once_in_order(tmp_path_factory, parts, number, has_reduce):
    """Whatever the keys, with a reduce (by keys) and without (by parts)."""
    store, spec = DirectoryStore(tmp_path_factory.mktemp("s")), spec_of(has_reduce=has_reduce)
    write_parts(store, spec, map(counts, parts))
    found = result_parts(store, spec)

    pieces = cut_result(spec, found, number)

    whole = list(read_result(store, spec, None))
    assert len(whole) == sum(len(part) + 2 for part in parts)
    assert [item for piece in pieces for item in read_result(store, spec, None, piece)] == whole
    assert 1 <= len(pieces) <= number


@pytest.mark.usefixtures("tiny_frames")
def test_pieces_are_about_equal(tmp_path):
    """Each of four holds between a fifth and a third of the items, and reads no more of parts."""
    store, spec = DirectoryStore(tmp_path), spec_of(has_reduce=True)
    write_parts(store, spec, [counts(f"{n:05d}" for n in range(k, 3000, 2)) for k in range(2)])
    parts = result_parts(store, spec)

    pieces = cut_result(spec, parts, 4)

    sizes = [sum(1 for _ in read_result(store, spec, None, piece)) for piece in pieces]
    read = [part.run(piece.begin, piece.end).length for piece in pieces for part in parts]
    assert len(sizes) == 4
    assert all(600 <= size <= 1000 for size in sizes)
    assert sum(read) < 1.2 * sum(part.length for part in parts)


@given(st.lists(st.binary(max_size=2), min_size=1, max_size=500).map(sorted))
def test_marks_are_few_true_and_spread(names):
    """Also of a long run: never over the most, at least half of it, all as far apart."""
    marks = Marks()
    for offset, key in enumerate(names):
        marks.add(key, offset)

    assert all(names[mark.offset] == mark.key for mark in marks.found)
    assert min(len(names), MOST_MARKS // 2) <= len(marks.found) <= MOST_MARKS
    gaps = {b.offset - a.offset for a, b in itertools.pairwise(marks.found)}
    assert len(gaps) <= 1


def test_a_long_key_makes_no_mark():
    """It would make a commit large."""
    marks = Marks()
    marks.add(b"k" * (MARKED_KEY_BYTES + 1), 0)

    assert marks.found == []


@pytest.mark.parametrize("format", LINE_FORMATS)
def test_several_processes_write_what_one_does(long_result, tmp_path, format):
    """Byte for byte, and leave nothing behind."""
    store, spec = long_result
    alone, together, folder = io.BytesIO(), io.BytesIO(), tmp_path / "folder"
    folder.mkdir()
    write_items(lambda: read_result(store, spec, folder), format, alone)

    write_result_to(together, store, spec, format, folder, processes=3)

    assert alone.getvalue().count(b"\n") == 906
    assert together.getvalue() == alone.getvalue()
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_each_part_can_be_written_by_several(long_result, tmp_path):
    """As for a folder."""
    store, spec = long_result
    found = []
    for part in range(3):
        out = io.BytesIO()
        write_result_to(out, store, spec, "jsonl", tmp_path, processes=2, part=part)
        found.append(out.getvalue().splitlines())

    assert [len(lines) for lines in found] == [302, 302, 302]
    assert [lines[1] for lines in found] == [b'["n0", 0]', b'["n1", 0]', b'["n101", 0]']


def test_a_process_that_dies_is_made_up_for(long_result, tmp_path, monkeypatch):
    """The piece is written here."""
    store, spec = long_result
    monkeypatch.setattr(assembly, "environment_of", lambda python: {"PYTHONHOME": "/nowhere"})
    alone, together, folder = io.BytesIO(), io.BytesIO(), tmp_path / "folder"
    folder.mkdir()
    write_items(lambda: read_result(store, spec, folder), "jsonl", alone)

    write_result_to(together, store, spec, "jsonl", folder, processes=3)

    assert together.getvalue() == alone.getvalue()


def test_what_a_process_cannot_read_is_told_here(long_result, tmp_path):
    """In its own words."""
    store, spec = long_result
    part = result_parts(store, spec)[1]
    name = layout.result_name(JOB, part.commit.task, "x")
    store.write(name, store.read(name)[: -part.length // 4].ljust(part.length, b"x"))

    with pytest.raises(FormatError, match=r"1-reduce-0000001.*damaged|longer than the run"):
        write_result_to(io.BytesIO(), store, spec, "jsonl", tmp_path, processes=3)


def test_a_process_ends_with_its_parent(long_result, tmp_path):
    """A parent that is killed leaves nobody writing."""
    store, _ = long_result
    order = PieceOrder(store.url, JOB, Piece(), "jsonl", str(tmp_path))
    pipe, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while True:
            os.write(full, b"x")
    os.set_blocking(full, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "mr.writing"], stdin=subprocess.PIPE, stdout=full
    )
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)  # it cannot write

    process.stdin.close()

    assert process.wait(timeout=30) == 1
    os.close(pipe)
    os.close(full)
