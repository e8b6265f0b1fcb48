"""Reading ahead: as direct opening, but sooner; within its budget, and never in a deadlock."""

import itertools
import lzma
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remote import RemoteDirectory

from mr import Analysis, prefetch
from mr.aws.clients import client
from mr.blocks import Block
from mr.codecs import PIECE_BYTES
from mr.errors import ObjectChanged, ObjectMissing, ShortRead, StoreError, StoreUnavailable
from mr.mapping import Position, map_blocks, open_planned
from mr.prefetch import read_ahead
from mr.schema import load_schema
from mr.stores import open_store

SCHEMA = load_schema()
NONE = SCHEMA.dimensions("" for _ in SCHEMA.fields)

#: More than any test here should wait for another thread.
PATIENCE_S = 20


class Fake:
    """Blocks in memory, whose every reading is counted."""

    def __init__(self, contents, delay_s=0.0):
        self.contents = contents
        self.delay_s = delay_s
        self.lock = threading.Lock()
        self.opened = []
        self.streams = []
        #: Bytes that streams gave, less those that the mapper has or has let go of; and the most.
        self.held = self.most_held = 0
        self.going = self.most_going = 0
        self.errors = {}

    @property
    def blocks(self):
        """The blocks, by number."""
        return [
            Block("fake:", str(number), len(data), "t", NONE)
            for number, data in enumerate(self.contents)
        ]

    def open(self, block):
        """Open a block, or fail."""
        number = int(block.key)
        with self.lock:
            self.opened.append(number)
        with self:
            time.sleep(self.delay_s)
        at, error = self.errors.get(number, (None, None))
        if at == "open":
            raise error
        stream = FakeStream(self, self.contents[number], at, error)
        with self.lock:
            self.streams.append(stream)
        return stream

    def __enter__(self):
        with self.lock:
            self.going += 1
            self.most_going = max(self.going, self.most_going)

    def __exit__(self, *error):
        with self.lock:
            self.going -= 1

    def count(self, size):
        """Count bytes given, or with a minus, taken."""
        with self.lock:
            self.held += size
            self.most_held = max(self.held, self.most_held)

    @property
    def still_open(self):
        """Streams that nobody has closed."""
        return sum(not stream.closed for stream in self.streams)


class FakeStream:
    """A stream that may break at some byte, and may not be used by two threads at once."""

    def __init__(self, fake, data, fails_at, error):
        self.fake = fake
        self.data = data
        self.position = 0
        self.fails_at = fails_at
        self.error = error
        self.closed = False
        self.in_use = threading.Lock()

    def read(self, size=-1):
        """Read, after a while."""
        assert not self.closed
        assert self.in_use.acquire(blocking=False), "two threads read one stream"
        try:
            with self.fake:
                time.sleep(self.fake.delay_s)
            end = len(self.data) if size < 0 else min(len(self.data), self.position + size)
            if self.fails_at is not None and end >= self.fails_at:
                raise self.error
            data = self.data[self.position : end]
            self.position = end
            self.fake.count(len(data))
            return data
        finally:
            self.in_use.release()

    def close(self):
        """Close it."""
        assert self.in_use.acquire(blocking=False), "closed while it is read"
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def content(number, size):
    """Bytes of one block, unlike those of any other."""
    return (b"%d." % number * size)[:size]


def run(function):
    """Run a function in a thread of its own: a deadlock fails the test instead of hanging it."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert outcome, "it waits for ever"
    (value, error), *_ = outcome
    if error is not None:
        raise error
    return value


def threads():
    """How many threads there are."""
    return threading.active_count()


# What is read of a block: nothing, its first bytes (then closed, or left open), all of it, twice.
WAYS = st.sampled_from(["skip", "open", "part", "left", "whole", "twice", "small reads"])


@settings(deadline=None, max_examples=150)
@given(
    plan=st.lists(st.tuples(st.integers(0, 90), WAYS), max_size=25),
    budget=st.integers(1, 200),
    most=st.integers(1, 9),
    count=st.integers(1, 4),
    piece=st.integers(1, 30),
    wanted=st.integers(1, 40),
)
def test_any_blocks_read_in_any_way(plan, budget, most, count, piece, wanted):
    """Every byte is the block's own; nothing waits for ever, exceeds the budget, or stays open."""
    fake = Fake([content(number, size) for number, (size, _) in enumerate(plan)])
    blocks = fake.blocks
    before = threads()

    def read(open_block, number, way):
        data = fake.contents[number]
        stream = open_block(blocks[number])
        if way == "open":
            stream.close()
        elif way in ("part", "left"):
            assert stream.read(wanted) == data[:wanted]
            if way == "part":
                stream.close()
            return stream
        elif way == "small reads":
            with stream:
                found = list(iter(lambda: stream.read(wanted), b""))
            assert b"".join(found) == data
            assert all(len(part) == wanted for part in found[:-1])
        else:
            with stream:
                assert stream.read() == data
                assert stream.read(1) == b""
            if way == "twice":
                read(open_block, number, "whole")
        return None

    def work():
        left = []
        with read_ahead(
            blocks, fake.open, budget_bytes=budget, most_blocks=most, threads=count
        ) as open_block:
            ahead = open_block.__self__
            for number, (_, way) in enumerate(plan):
                if way != "skip":
                    left.append(read(open_block, number, way))
                with ahead._changed:
                    coming = list(ahead._coming.values())
                    assert sum(one.set_aside for one in coming) <= budget
                    assert all(one.held <= one.room for one in coming)
                    assert len(coming) <= most

    original, prefetch.PIECE_BYTES = prefetch.PIECE_BYTES, piece
    try:
        run(work)
    finally:
        prefetch.PIECE_BYTES = original
    assert threads() == before
    # What was opened directly is the caller's own to close.
    assert fake.still_open <= sum(way == "left" for _, way in plan)
    for number, (_, way) in enumerate(plan):
        assert fake.opened.count(number) <= 1 + (way == "twice")


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(0, 200), min_size=1, max_size=40), budget=st.integers(1, 400))
def test_bytes_ahead_stay_within_the_budget(sizes, budget):
    """What streams gave and the mapper does not have yet: never more than the budget."""
    fake = Fake([content(number, size) for number, size in enumerate(sizes)])

    def work():
        with read_ahead(fake.blocks, fake.open, budget_bytes=budget) as open_block:
            for block in fake.blocks:
                with open_block(block) as stream:
                    assert not isinstance(stream, FakeStream)
                    while data := stream.read(7):
                        fake.count(-len(data))

    run(work)
    # Seven more: those that the mapper has, and has not counted yet.
    assert fake.most_held <= budget + 7
    assert fake.held == 0


def test_memory_and_threads_are_bounded_for_very_many_blocks():
    """Thousands of blocks: a few threads, at most as many blocks ahead as are allowed."""
    size = 1000
    fake = Fake([bytes(size)] * 3000)
    before, most = threads(), 0
    ahead = 0

    with read_ahead(fake.blocks, fake.open) as open_block:
        for number, block in enumerate(fake.blocks):
            with open_block(block) as stream:
                fake.count(-len(stream.read()))
            most = max(most, threads() - before)
            ahead = max(ahead, len(fake.opened) - number)

    assert most <= prefetch.THREADS
    assert ahead <= prefetch.MOST_BLOCKS + 1
    assert fake.most_held <= (prefetch.MOST_BLOCKS + 1) * size
    assert sorted(fake.opened) == list(range(3000))
    assert fake.still_open == 0


def test_a_large_block_is_streamed_and_the_next_ones_come_along():
    """Never more of it in memory than its part of the budget; a third of the next is there."""
    budget = 8 * prefetch.PIECE_BYTES
    sizes = [20 * prefetch.PIECE_BYTES, 30 * prefetch.PIECE_BYTES, 100]
    fake = Fake([bytes(size) for size in sizes])

    with read_ahead(fake.blocks, fake.open, budget_bytes=budget) as open_block:
        with open_block(fake.blocks[0]) as stream:
            deadline = time.monotonic() + PATIENCE_S
            while len(fake.opened) < 3 or fake.held < budget // 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert fake.held <= budget
            while data := stream.read(PIECE_BYTES):
                fake.count(-len(data))
                assert fake.held <= budget
        with open_block(fake.blocks[1]) as stream:
            while data := stream.read(PIECE_BYTES):
                fake.count(-len(data))

    assert fake.most_held <= budget + PIECE_BYTES
    assert fake.opened == [0, 1, 2]


def test_downloads_overlap_with_mapping_and_with_each_other():
    """While the mapper works, several blocks are asked for at a time."""
    fake = Fake([bytes(10)] * 40, delay_s=0.01)
    start = time.monotonic()

    with read_ahead(fake.blocks, fake.open) as open_block:
        for block in fake.blocks:
            time.sleep(0.005)
            with open_block(block) as stream:
                stream.read()

    seconds = time.monotonic() - start
    # One after the other: an opening and two readings of each, and the mapper's own time.
    assert seconds < 40 * 0.035 / 2
    assert fake.most_going > 3


def test_a_block_that_is_passed_over_is_let_go():
    """Its bytes and its stream, once a later block is opened; its room goes to others."""
    fake = Fake([bytes(100)] * 8)

    with read_ahead(fake.blocks, fake.open, budget_bytes=410, most_blocks=4) as open_block:
        ahead = open_block.__self__
        wait_until(lambda: sum(one.held for one in ahead._coming.values()) >= 400)
        with open_block(fake.blocks[3]) as stream:
            assert 0 not in ahead._coming
            assert stream.read() == bytes(100)
        # One that was passed over can be read still.
        with open_block(fake.blocks[1]) as stream:
            assert isinstance(stream, FakeStream)
        wait_until(lambda: 6 in fake.opened)
    assert fake.still_open == 0


def wait_until(holds):
    """Wait for other threads."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


ERRORS = [
    ObjectMissing("gone"),
    ObjectChanged("changed"),
    StoreError("forbidden"),
    StoreUnavailable("no answer"),
    ShortRead("short"),
    RuntimeError("a bug"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("at", ["open", 0, 1, PIECE_BYTES, PIECE_BYTES + 5])
def test_errors_come_where_they_would(error, at):
    """At the opening or at the same reading; blocks before and after are not touched."""
    fake = Fake([bytes(10), bytes(PIECE_BYTES + 10), bytes(20)])
    fake.errors[1] = at, error

    def seen(open_block):
        found = []
        for block in fake.blocks:
            try:
                with open_block(block) as stream:
                    found.append("open")
                    found.extend(iter(lambda: len(stream.read(PIECE_BYTES)), 0))
            except Exception as caught:
                found.append(caught)
        return found

    expected = seen(fake.open)
    with read_ahead(fake.blocks, fake.open) as open_block:
        assert seen(open_block) == expected
    assert error in expected
    assert fake.still_open == 0


def test_leaving_early_ends_threads_and_closes_streams():
    """An exception of the analysis's own: it comes out, and nothing is left behind."""
    fake = Fake([bytes(10**6)] * 50, delay_s=0.001)
    before = threads()

    def work():
        with read_ahead(fake.blocks, fake.open) as open_block:
            stream = open_block(fake.blocks[0])
            stream.read(10)
            raise KeyError("user code")

    with pytest.raises(KeyError, match="user code"):
        work()
    assert threads() == before
    assert fake.streams
    assert fake.still_open == 0


def test_without_blocks_nothing_is_started():
    """Local blocks are opened as ever."""
    fake = Fake([bytes(10)])
    before = threads()

    with read_ahead([], fake.open) as open_block:
        assert threads() == before
        assert isinstance(open_block(fake.blocks[0]), FakeStream)


def test_streams_that_are_left_open_do_not_stop_others():
    """However many, and with one thread."""
    fake = Fake([content(number, 100) for number in range(20)])

    def work():
        with read_ahead(fake.blocks, fake.open, budget_bytes=200, threads=1) as open_block:
            streams = [open_block(block) for block in fake.blocks]
            for part in range(10):
                for number, stream in enumerate(streams):
                    wanted = content(number, 100)[10 * part : 10 * part + 10]
                    assert stream.read(10) == wanted

    run(work)


def test_blocks_of_a_bucket(ministack, monkeypatch):
    """Small ones and one that is streamed, read, skipped and missing."""
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    client("s3").create_bucket(Bucket="blocks")
    store = open_store("s3://blocks/tree")
    contents = {f"{n:02d}": content(n, 1000 * n) for n in range(30)}
    contents["12"] = content(12, 5_000_000)
    for name, data in contents.items():
        store.write(name, data)
    blocks = [Block(store.url, e.name, e.size, e.tag, NONE) for e in store.list()]
    blocks.sort(key=lambda block: block.key)
    store.delete("20")

    with read_ahead(blocks, open_planned, budget_bytes=2_000_000) as open_block:
        for block in blocks:
            if block.key == "20":
                with pytest.raises(ObjectMissing):
                    open_block(block)
            elif block.key not in ("05", "25"):
                with open_block(block) as stream:
                    assert stream.read() == contents[block.key]


class Names(Analysis):
    """Yields the name in each record, reading blocks in its own way."""

    def map_block(self, block):
        """Skip each fifth block, read a part of each seventh, and each third twice."""
        number = int(block.key.rpartition(".")[2], 16)
        if number % 5 == 4:
            return
        if number % 3 == 2:
            sum(1 for _ in block.records())
        for record in block.records():
            yield record["name"], 1
            if number % 7 == 6:
                break


class Kept:
    """A sink that keeps what is emitted."""

    origin = b""

    def __init__(self):
        self.pairs = []

    def take(self, pairs, where):
        """Keep pairs."""
        self.pairs.extend(pairs)


def test_mapping_is_the_same_with_damage_and_without(tmp_path):
    """Good, damaged, empty, missing and replaced blocks: the same pairs and the same tally."""
    store = RemoteDirectory(tmp_path)
    blocks = []
    for number in range(40):
        lines = b"".join(
            b'%d\t{"name": "%d"}\n' % (line, (number * line) ** 3 % 9973) for line in range(1500)
        )
        data = lzma.compress(lines, format=lzma.FORMAT_ALONE)
        if number % 8 == 1:
            data = data[: len(data) // 2]
        elif number % 8 == 3:
            data = data[:2000] + b"damage" * 9 + data[2100:]
        elif number % 8 == 5:
            data = lines if number % 3 else b""
        key = f"main/Firefox/nightly/22/1.2.v2.log.{number:02x}"
        store.write(key, data)
        entry = store.stat(key)
        blocks.append(Block(store.url, key, entry.size, entry.tag, NONE))
    store.delete(blocks[11].key)
    store.write(blocks[21].key, b"another")

    def open_block(block):
        return store.open(block.key, tag=block.tag)

    def mapped(open_block):
        sink, position = Kept(), Position()
        map_blocks(Names(), blocks, sink, position, open_block=open_block)
        return sink.pairs, position.tally

    direct = mapped(open_block)
    openings = len(store.opened)
    for budget, count in itertools.product((10, 5000, 10**7), (1, 8)):
        with read_ahead(blocks, open_block, budget_bytes=budget, threads=count) as opened:
            assert mapped(opened) == direct
    assert len(direct[1].missing) == 1
    assert len(direct[1].bad_blocks) == 7
    assert openings > len(blocks)
    assert store.still_open == 0
