"""Stages of work on a clock that the test moves: they exclude each other, and nothing is lost."""

import io
from dataclasses import dataclass
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr import Analysis
from mr.blocks import Block
from mr.mapping import Position, map_blocks
from mr.schema import Dimensions
from mr.stopwatch import (
    COMBINE,
    MAP,
    OTHER,
    READ,
    STAGES,
    UNMEASURED_BYTES,
    WATCH,
    WRITE,
    Spent,
    Stopwatch,
    add_spent,
)


@dataclass
class Clock:
    """A clock that only moves when it is told to."""

    now: float = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """One that stands still."""
    return Clock()


@pytest.fixture
def watch(clock):
    """A stopwatch by that clock."""
    return Stopwatch(clock)


def seconds(watch):
    """Seconds by stage, of those that were entered."""
    return {name: spent.seconds for name, spent in watch.stop().items()}


def test_what_is_done_within_a_stage_counts_for_its_own_alone(watch, clock):
    """The outer stage holds what is before and after, not what is between."""
    clock.now += 1
    watch.enter(MAP)
    clock.now += 2
    before = watch.enter(READ)
    clock.now += 4
    watch.enter(before)
    clock.now += 8
    watch.enter(OTHER)
    clock.now += 16

    assert seconds(watch) == {"other": 17, "map": 10, "read": 4}


def test_start_begins_anew(watch, clock):
    """Nothing of the attempt before is left."""
    watch.enter(MAP)
    watch.add(MAP, 7)
    clock.now += 1
    watch.start()
    clock.now += 2

    assert watch.stop() == {"other": Spent(2, 0)}


def test_within_counts_the_getting_alone_and_keeps_nothing(watch, clock):
    """What the consumer does counts for its own stage; errors pass."""

    def come():
        for number in range(3):
            clock.now += 1
            yield number
        clock.now += 1
        raise ValueError("no more")

    watch.enter(MAP)
    coming = watch.within(READ, come())
    got = []
    for number in islice(coming, 3):
        clock.now += 10
        got.append(number)
    with pytest.raises(ValueError, match="no more"):
        next(coming)
    watch.enter(MAP)

    assert got == [0, 1, 2]
    assert seconds(watch) == {"read": 4, "map": 30}


@pytest.mark.parametrize("number", [0, 1, 2, 15, 16, 17, 100])
def test_turns_share_out_what_is_not_measured(watch, clock, number):
    """Of steady work the shares are exact, whatever the number; what is nested is not in them."""

    def come():
        for one in range(number):
            clock.now += 1
            before = watch.enter(READ)
            clock.now += 5
            watch.enter(before)
            yield one

    got = []
    for one in watch.turns(come()):
        clock.now += 3
        before = watch.enter(COMBINE)
        clock.now += 7
        watch.enter(before)
        got.append(one)

    assert got == list(range(number))
    expected = {"read": 5 * number, "parse": number, "map": 3 * number, "combine": 7 * number}
    assert seconds(watch) == pytest.approx(expected if number else {})


def test_large_items_are_each_measured(watch, clock):
    """However uneven they are."""
    costs = [(1, 5), (4, 2), (0, 3)] * 10

    def come():
        for get, use in costs:
            clock.now += get
            yield use

    for use in watch.turns(come(), lambda use: UNMEASURED_BYTES + 1):
        clock.now += use

    assert seconds(watch) == {"parse": 50, "map": 100}


def test_turns_that_are_left_early_do_no_harm(watch, clock):
    """Whoever goes on enters a stage of its own; a generator that is dropped changes nothing."""
    for one in watch.turns(iter(range(100))):
        clock.now += 1
        if one == 40:
            break
    watch.enter(WRITE)
    clock.now += 2

    assert seconds(watch) == pytest.approx({"map": 41, "write": 2})


def test_a_generator_of_the_attempt_before_may_go_on(watch, clock):
    """What user code has kept of it is still to be read."""
    kept = watch.turns(iter(range(40)))
    next(kept)
    watch.start()

    assert list(kept) == list(range(1, 40))


@given(st.lists(st.tuples(st.integers(0, len(STAGES) - 1), st.integers(1, 9)), max_size=50))
def test_seconds_add_up_to_all_that_has_passed(steps):
    """No second is lost, and none counts twice."""
    clock = Clock()
    watch = Stopwatch(clock)
    for stage, passed in steps:
        watch.enter(stage)
        clock.now += passed

    assert sum(seconds(watch).values()) == sum(passed for _, passed in steps)


def test_spent_adds_up():
    """Sums of what several attempts spent."""
    total = {"read": Spent(1.0, 10)}
    add_spent(total, {"read": Spent(0.5, 5), "map": Spent(2.0, 0)})

    assert total == {"read": Spent(1.5, 15), "map": Spent(2.0, 0)}


def test_a_block_is_counted_to_the_byte(monkeypatch, clock):
    """Each stage of a map has the bytes of the block; time that passes in map is map's."""
    monkeypatch.setattr(WATCH, "_clock", clock)
    line = b'0123\t{"n": 1}\n'
    data = line * 50 + b"bad\n" + line

    class Slow(Analysis):
        """Takes three seconds for each record."""

        def map(self, record):
            clock.now += 3
            yield record.id, 1

    class Sink:
        """Takes a second for each pair."""

        origin = b""

        def take(self, pairs, where):
            for _ in pairs:
                clock.now += 1

    block = Block("memory:", "a", len(data), "t", Dimensions(("reason",), ["x"]))
    WATCH.start()
    map_blocks(Slow(), [block], Sink(), Position(), open_block=lambda _: io.BytesIO(data))

    found = WATCH.stop()
    assert found["map"].seconds == pytest.approx(4 * 51)
    assert sum(spent.seconds for spent in found.values()) == pytest.approx(4 * 51)
    assert {name: spent.bytes for name, spent in found.items()} == dict.fromkeys(
        ("read", "decompress", "split_lines", "parse", "map"), len(data)
    )
