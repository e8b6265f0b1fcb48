"""Runs of a remote store are opened together, none before its batch; results are as ever."""

import io
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remote import RemoteDirectory

from mr.directory import DirectoryStore
from mr.errors import ObjectMissing, ShortRead
from mr.runs import FRAME_BYTES, RunWriter, merge_in_passes, write_run
from mr.sources import THREADS, WHOLE_BYTES, Run, Sources


def write_runs(store, runs):
    """Write runs, each into an object with something before and after it."""
    found = []
    for number, entries in enumerate(runs):
        out = io.BytesIO()
        span = write_run(RunWriter(out), [rows_of(entries)])
        name = f"runs/{number:04d}"
        store.write(name, b"before" + out.getvalue() + b"after")
        found.append(Run(store, name, 6, span.length))
    return found


def rows_of(entries):
    """Rows of keys and their values."""
    pairs = [(key, value) for key, found in entries for value in found]
    return [key for key, _ in pairs], [value for _, value in pairs], []


def small_runs(count):
    """Runs of some keys, all of which come in every run."""
    return [[(b"k%d" % key, [b"%d" % number]) for key in range(3)] for number in range(count)]


def flat(merged):
    """Key and value of each."""
    return [pair for keys, values, _ in merged for pair in zip(keys, values, strict=True)]


@settings(deadline=None, max_examples=25)
@given(
    runs=st.lists(
        st.dictionaries(st.binary(max_size=2), st.lists(st.binary(), min_size=1), max_size=4),
        max_size=9,
    ),
    width=st.integers(2, 4),
)
def test_near_and_far_runs_merge_the_same(tmp_path_factory, runs, width):
    """In one pass or several, and one after the other."""
    folder = tmp_path_factory.mktemp("store")
    entries = [[(key, run[key]) for key in sorted(run)] for run in runs]
    answers = []
    for store in (DirectoryStore(folder, durable=False), RemoteDirectory(folder)):
        with Sources(store) as sources:
            parts = [sources.of(run) for run in write_runs(store, entries)]
            merged = flat(merge_in_passes(parts, tmp_path_factory.mktemp("merge"), width=width))
            answers.append((merged, flat(sources.in_turn(parts))))

    assert answers[0] == answers[1]
    assert answers[0][1] == flat(map(rows_of, entries))
    assert store.still_open == 0


def test_a_batch_is_opened_together_and_no_later_one(tmp_path):
    """Several openings at a time; those of the next batch wait for their turn."""
    store = RemoteDirectory(tmp_path / "store", delay_s=0.005)
    runs = write_runs(store, small_runs(100))
    started = []

    with Sources(store) as sources:
        parts = [sources.of(run) for run in runs]
        assert store.opened == []

        def source(part):
            def begin():
                # Whatever was opened before belongs to the batches that are merged.
                started.append(len(store.opened) // 40)
                return part()

            return begin

        merged = merge_in_passes([source(part) for part in parts], tmp_path, width=40)
        assert flat(merged) == sorted(
            ((b"k%d" % key, b"%d" % number) for number in range(100) for key in range(3)),
            key=lambda pair: (pair[0], int(pair[1])),
        )

    assert store.most_going == THREADS
    assert sorted(store.opened) == [run.name for run in runs]
    # While the first batch is begun none of another is open, and so on.
    assert started == [number // 40 for number in range(100)]
    assert store.still_open == 0


def test_small_runs_are_read_whole_and_large_ones_streamed(tmp_path):
    """A small one costs one request and keeps no stream open; a large one is not in memory."""
    store = RemoteDirectory(tmp_path)
    noise = b"".join(number.to_bytes(8, "big") * 3 for number in range(WHOLE_BYTES // 8))
    values = [bytes([n]) + noise[n * 7 :: 3][:FRAME_BYTES] for n in range(40)]
    small, large = write_runs(store, [small_runs(1)[0], [(b"a", values * 3)]])
    assert small.length <= WHOLE_BYTES < large.length

    with Sources(store) as sources:
        entries = [sources.of(small)(), sources.of(large)()]
        assert [next(one)[0][0] for one in entries] == [b"k0", b"a"]
        assert store.still_open == 1
        assert len(flat(entries[1])) > 100
        assert store.still_open == 0


def test_an_abandoned_merge_closes_all(tmp_path):
    """An exception amid a merge, and before its first entry: no stream, no thread stays."""
    store = RemoteDirectory(tmp_path, delay_s=0.01)
    runs = write_runs(store, [[(b"k", [bytes(100)] * 5000)]] * 40)
    # Said to be large, so that they are streamed.
    runs = [Run(store, run.name, run.offset, WHOLE_BYTES + 1) for run in runs]
    before = threading.active_count()

    def abandon(wanted):
        with Sources(store) as sources:
            merged = merge_in_passes([sources.of(run) for run in runs], tmp_path)
            for _ in range(wanted):
                next(merged)
            raise KeyError("user code")

    for wanted in (0, 5):
        with pytest.raises(KeyError, match="user code"):
            abandon(wanted)
        assert len(store.opened) >= wanted
        assert store.still_open == 0
        assert threading.active_count() == before


def test_errors_come_with_the_first_entry(tmp_path):
    """As without opening ahead: missing objects, runs that are cut."""
    store = RemoteDirectory(tmp_path)
    good, gone, cut = write_runs(store, small_runs(3))
    store.delete(gone.name)
    store.write(cut.name, store.read(cut.name)[:20])

    with Sources(store) as sources:
        streams = [sources.of(run)() for run in (good, gone, cut)]
        assert len(flat(streams[0])) == 3
        with pytest.raises(ObjectMissing):
            next(streams[1])
        with pytest.raises(ShortRead):
            next(streams[2])
        with pytest.raises(ObjectMissing):
            list(sources.in_turn(map(sources.of, (good, gone))))
    assert store.still_open == 0


def test_runs_in_turn_come_ahead_by_a_few(tmp_path):
    """Of thousands only some are asked for before they are read."""
    store = RemoteDirectory(tmp_path)
    runs = write_runs(store, small_runs(300))
    ahead = 0

    with Sources(store) as sources:
        for number, _ in enumerate(sources.in_turn(map(sources.of, runs))):
            ahead = max(ahead, len(store.opened) - number)

    assert 2 < ahead <= THREADS + 1
    assert sorted(store.opened) == [run.name for run in runs]


def test_a_near_run_is_opened_when_it_is_read(tmp_path):
    """No thread, and no stream that waits."""
    store = DirectoryStore(tmp_path)
    before = threading.active_count()

    with Sources(store) as sources:
        (run,) = [sources.of(run) for run in write_runs(store, small_runs(1))]
        entries = run()
        store.delete(run.name)
        with pytest.raises(ObjectMissing):
            next(entries)
        assert threading.active_count() == before
