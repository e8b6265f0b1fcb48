"""A result is the same in one piece, in several, and as several processes write it."""

import errno
import io
import itertools
import os
import subprocess
import sys
import tempfile
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr import assembly, items, keys, layout, runs
from mr.assembly import write_pieces
from mr.commits import Commit, write_commit
from mr.directory import DirectoryStore
from mr.errors import FormatError
from mr.parts import parts_of, read_piece, read_result
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

    pieces = parts_of(store, spec).cut(number)

    whole = list(read_result(store, spec, None))
    assert len(whole) == sum(len(part) + 2 for part in parts)
    assert [item for piece in pieces for item in read_piece(store, piece, None)] == whole
    assert 1 <= len(pieces) <= number
    assert all(piece.stretches for piece in pieces) or not parts


@pytest.mark.usefixtures("tiny_frames")
def test_one_frequent_key_is_cut_once_at_most(tmp_path):
    """All of its items are in one piece."""
    store, spec = DirectoryStore(tmp_path), spec_of(has_reduce=True)
    write_parts(store, spec, [[(keys.encode("k"), items.Pair("k", n)) for n in range(500)]])

    pieces = parts_of(store, spec).cut(5)

    sizes = [sum(1 for _ in read_piece(store, piece, None)) for piece in pieces]
    assert sorted(size for size in sizes if size) == [500]
    assert len(pieces) <= 2


@pytest.mark.parametrize(
    ("sizes", "number", "found"),
    [
        ([5], 3, [1]),
        ([5, 5], 2, [1, 1]),
        ([1, 100], 2, [2]),
        ([9, 1, 1, 9], 2, [2, 2]),
        ([], 2, [0]),
    ],
)
def test_parts_that_are_not_sorted_are_cut_between(tmp_path, sizes, number, found):
    """A piece has whole parts, and no process is begun for none."""
    store, spec = DirectoryStore(tmp_path), spec_of(has_reduce=False)
    write_parts(store, spec, [[(b"", items.Line("x" * 1000))] * 50 * size for size in sizes])

    assert [len(piece.stretches) for piece in parts_of(store, spec).cut(number)] == found


@pytest.mark.usefixtures("tiny_frames")
def test_pieces_are_about_equal(tmp_path):
    """Each of four holds between a fifth and a third of the items, and reads no more of parts."""
    store, spec = DirectoryStore(tmp_path), spec_of(has_reduce=True)
    write_parts(store, spec, [counts(f"{n:05d}" for n in range(k, 3000, 2)) for k in range(2)])
    parts = parts_of(store, spec)

    pieces = parts.cut(4)

    sizes = [sum(1 for _ in read_piece(store, piece, None)) for piece in pieces]
    read = [stretch.length for piece in pieces for stretch in piece.stretches]
    assert len(sizes) == 4
    assert all(600 <= size <= 1000 for size in sizes)
    assert sum(read) < 1.2 * parts.length


@given(st.lists(st.binary(min_size=1, max_size=2), min_size=1, max_size=500).map(sorted))
def test_marks_are_few_true_and_spread(names):
    """Also of a long run: never over the most, at least half of it, all as far apart."""
    marks = Marks()
    for offset, key in enumerate(names):
        marks.add(key, offset)

    assert all(names[mark.offset] == mark.key for mark in marks.found)
    assert min(len(names), MOST_MARKS // 2) <= len(marks.found) <= MOST_MARKS
    gaps = {b.offset - a.offset for a, b in itertools.pairwise(marks.found)}
    assert len(gaps) <= 1


@pytest.mark.parametrize("key", [b"", b"k" * (MARKED_KEY_BYTES + 1)])
def test_no_key_and_a_long_one_make_no_mark(key):
    """One would say nothing, the other make a commit large."""
    marks = Marks()
    marks.add(key, 0)

    assert marks.found == []


@pytest.fixture
def pieces_here(monkeypatch):
    """The pieces that this process reads."""
    found = []

    def read(store, piece, folder):
        found.append(piece)
        return read_piece(store, piece, folder)

    monkeypatch.setattr(assembly, "read_piece", read)
    monkeypatch.setattr(assembly, "processors", lambda: 4)
    return found


@pytest.mark.parametrize("format", LINE_FORMATS)
def test_several_processes_write_what_one_does(long_result, tmp_path, format, pieces_here):
    """Byte for byte, and leave nothing behind."""
    store, spec = long_result
    alone, together, folder = io.BytesIO(), io.BytesIO(), tmp_path / "folder"
    folder.mkdir()
    write_items(lambda: read_result(store, spec, folder), format, alone)

    write_pieces(together, store, parts_of(store, spec), format, folder, 3)

    assert len(pieces_here) == 1
    assert alone.getvalue().count(b"\n") == 906
    assert together.getvalue() == alone.getvalue()
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_each_part_can_be_written_by_several(long_result, tmp_path, pieces_here):
    """As for a folder."""
    store, spec = long_result
    found = []
    for part in parts_of(store, spec).alone():
        out = io.BytesIO()
        write_pieces(out, store, part, "jsonl", tmp_path, 2)
        found.append(out.getvalue().splitlines())

    assert len(pieces_here) == 3
    assert [len(lines) for lines in found] == [302, 302, 302]
    assert [lines[1] for lines in found] == [b'["n0", 0]', b'["n1", 0]', b'["n101", 0]']


@pytest.mark.parametrize("fault", ["it dies", "it cannot be started", "no folder can be made"])
def test_a_process_that_fails_is_made_up_for(
    long_result, tmp_path, monkeypatch, pieces_here, fault
):
    """The piece is written here."""
    store, spec = long_result

    def full(*given, **options):
        raise OSError(errno.EAGAIN, "no room")

    if fault == "it dies":
        monkeypatch.setattr(assembly, "environment_of", lambda python: {"PYTHONHOME": "/nowhere"})
    elif fault == "it cannot be started":
        monkeypatch.setattr(subprocess, "Popen", full)
    else:
        monkeypatch.setattr(tempfile, "mkdtemp", full)
    alone, together = io.BytesIO(), io.BytesIO()
    write_items(lambda: read_result(store, spec, tmp_path), "jsonl", alone)

    write_pieces(together, store, parts_of(store, spec), "jsonl", tmp_path, 3)

    assert len(pieces_here) == 3
    assert together.getvalue() == alone.getvalue()


def test_as_many_processes_as_there_are_processors(long_result, tmp_path, pieces_here, monkeypatch):
    """However many workers a cluster has."""
    store, spec = long_result
    monkeypatch.setattr(assembly, "processors", lambda: 1)

    write_pieces(io.BytesIO(), store, parts_of(store, spec), "jsonl", tmp_path, 200)

    assert [piece.begin for piece in pieces_here] == [b""]


def test_what_a_process_cannot_read_is_told_here(long_result, tmp_path):
    """In its own words."""
    store, spec = long_result
    part = parts_of(store, spec).parts[1]
    name = part.name
    store.write(name, store.read(name)[: -part.length // 4].ljust(part.length, b"x"))

    with pytest.raises(FormatError, match=r"1-reduce-0000001.*damaged|longer than the run"):
        write_pieces(io.BytesIO(), store, parts_of(store, spec), "jsonl", tmp_path, 3)


def test_a_process_ends_with_its_parent(long_result, tmp_path):
    """A parent that is killed leaves nobody writing."""
    store, spec = long_result
    order = PieceOrder(store.url, parts_of(store, spec).whole(), "jsonl")
    pipe, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while True:
            os.write(full, b"x")
    os.set_blocking(full, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "mr.writing", str(tmp_path)], stdin=subprocess.PIPE, stdout=full
    )
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)  # it cannot write

    process.stdin.close()

    assert process.wait(timeout=30) == 1
    os.close(pipe)
    os.close(full)
