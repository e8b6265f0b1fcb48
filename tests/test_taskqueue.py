"""The queue in memory: the contract, and what it promises beyond."""

import threading
from collections import Counter

import pytest
from contracts import QueueContract, run_threads, take_all
from hypothesis import given, settings
from hypothesis import strategies as st

from mr.errors import LeaseLost
from mr.taskqueue import MemoryQueue


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        """Return the time in seconds."""
        return self.now_s

    def advance(self, seconds):
        """Let time pass."""
        self.now_s += seconds


@pytest.fixture
def clock():
    """Return a clock that only the test moves."""
    return Clock()


@pytest.fixture
def advance(clock):
    """Return how time passes for the queue."""
    return clock.advance


@pytest.fixture
def queue(clock):
    """Return an empty queue."""
    return MemoryQueue(clock)


class TestMemoryQueue(QueueContract):
    """The queue in memory, its clock moved by the tests."""


def test_order(queue):
    """Messages come in the order in which they were sent."""
    bodies = [b"%d" % number for number in range(100)]
    queue.send(bodies[:50])
    queue.send(bodies[50:])

    assert [message.body for message in take_all(queue)] == bodies


def test_order_of_redelivery(queue, advance):
    """A message that comes back keeps its place before those sent after it."""
    queue.send([b"1", b"2", b"3", b"4"])
    _, second = queue.receive(most=2, lease_s=10)
    queue.release(second)
    advance(11)

    assert [message.body for message in take_all(queue)] == [b"1", b"2", b"3", b"4"]


def test_end_of_a_lease(queue, advance):
    """A lease holds up to its end and not at it."""
    queue.send([b"one"])
    queue.receive(lease_s=10)

    advance(9.999)
    assert queue.receive(lease_s=10) == []
    advance(0.001)
    assert [message.receives for message in queue.receive(lease_s=10)] == [2]


def test_acknowledged_too_late(queue, advance):
    """An acknowledgement after the lease's end does nothing, even if nobody else took it."""
    queue.send([b"one"])
    [message] = queue.receive(lease_s=10)
    advance(10)

    queue.acknowledge(message)

    assert queue.waiting() == 1


def test_dead_letters(queue):
    """Dead letters are kept with their reasons, once each."""
    queue.send([b"one", b"two"])
    one, two = queue.receive(most=2, lease_s=10)

    queue.dead_letter(two, "no such job")
    queue.dead_letter(one, "not a message")
    queue.dead_letter(one, "again")

    assert queue.dead == [(b"two", "no such job"), (b"one", "not a message")]
    assert queue.waiting() == 0


@pytest.mark.parametrize(("most", "lease_s"), [(0, 10), (-1, 10), (1, 0), (1, -1)])
def test_senseless_receives(queue, most, lease_s):
    """To take no messages, or for no time, is a mistake of the caller's."""
    queue.send([b"one"])
    with pytest.raises(ValueError, match="positive"):
        queue.receive(most=most, lease_s=lease_s)

    assert queue.waiting() == 1


def test_waits_no_longer_than_asked(queue):
    """A receiver whose wait is over goes away empty, whatever the leases' clock says."""
    queue.send([b"one"])
    queue.receive(lease_s=0.001)

    assert queue.receive(wait_s=0.02, lease_s=10) == []


def receive_elsewhere(queue):
    """Start a thread that waits for one message (an hour); return it and what it gets."""
    got = []
    thread = threading.Thread(
        target=lambda: got.extend(queue.receive(wait_s=3600, lease_s=3600)), daemon=True
    )
    thread.start()
    return thread, got


def assert_wakes(thread, got, body):
    """Fail unless the thread ends, long before its hour is over, with this message."""
    thread.join(timeout=60)
    assert [message.body for message in got] == [body]


def test_wakes_on_send():
    """A receiver that waits wakes when a message is sent."""
    queue = MemoryQueue()
    thread, got = receive_elsewhere(queue)

    queue.send([b"one"])

    assert_wakes(thread, got, b"one")


def test_wakes_on_release():
    """A receiver that waits wakes when a message is given back."""
    queue = MemoryQueue()
    queue.send([b"one"])
    [message] = queue.receive(lease_s=3600)
    thread, got = receive_elsewhere(queue)

    queue.release(message, delay_s=0.01)

    assert_wakes(thread, got, b"one")


def test_wakes_when_a_lease_runs_out():
    """A receiver that waits wakes when another's lease runs out, also one that was shortened."""
    queue = MemoryQueue()
    queue.send([b"one"])
    [message] = queue.receive(lease_s=3600)
    thread, got = receive_elsewhere(queue)

    queue.extend(message, 0.01)

    assert_wakes(thread, got, b"one")


def test_all_waiting_receivers_wake():
    """As many receivers wake as messages are sent at once."""
    queue = MemoryQueue()
    waiting = [receive_elsewhere(queue) for _ in range(4)]

    queue.send([b"1", b"2", b"3", b"4"])

    for thread, _ in waiting:
        thread.join(timeout=60)
    assert sorted(message.body for _, got in waiting for message in got) == [
        b"1",
        b"2",
        b"3",
        b"4",
    ]


def test_many_threads_some_of_which_give_up():
    """Messages that threads give back or let go are all handled in the end."""
    queue = MemoryQueue()
    queue.send([b"%d" % number for number in range(1_000)])
    handled = [[] for _ in range(8)]

    def work(mine):
        while messages := queue.receive(most=2, wait_s=0.2, lease_s=600):
            for message in messages:
                if message.receives == 1 and int(message.body) % 3 == 0:
                    queue.release(message)
                elif message.receives == 1 and int(message.body) % 3 == 1:
                    queue.extend(message, 1e-9)
                else:
                    mine.append(message.body)
                    queue.acknowledge(message)

    run_threads([threading.Thread(target=work, args=(mine,)) for mine in handled])

    bodies = Counter(body for mine in handled for body in mine)
    assert bodies == Counter(b"%d" % number for number in range(1_000))


ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 3)),
    st.tuples(st.just("receive"), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.integers(1, 12)),
    st.tuples(
        st.sampled_from(["acknowledge", "release", "delay", "extend", "dead_letter"]),
        st.integers(0, 10),
    ),
)


@given(actions=st.lists(ACTIONS, max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_message_is_lost_or_lent_twice(actions):
    """Whatever happens, a message has one holder at most, and leaves only by its holder's will."""
    clock = Clock()
    queue = MemoryQueue(clock)
    sent, gone = 0, []
    deliveries = []
    free_at = {}  # body: when it may be delivered again

    for action, number in actions:
        if action == "send":
            bodies = [b"%d" % n for n in range(sent, sent + number)]
            queue.send(bodies)
            sent += number
            free_at.update(dict.fromkeys(bodies, 0.0))
        elif action == "receive":
            free = sorted((int(body) for body, end in free_at.items() if end <= clock.now_s))
            messages = queue.receive(most=number, lease_s=10)
            assert [int(message.body) for message in messages] == free[:number]
            deliveries += messages
            free_at.update((message.body, clock.now_s + 10) for message in messages)
        elif action == "advance":
            clock.advance(number)
        elif deliveries:
            message = deliveries[number % len(deliveries)]
            latest = [m for m in deliveries if m.body == message.body][-1]
            held = message == latest and free_at.get(message.body, 0.0) > clock.now_s
            held = held and message.receipt not in gone
            if action == "extend" and not held:
                with pytest.raises(LeaseLost):
                    queue.extend(message, 20)
            elif action == "extend":
                queue.extend(message, 20)
                free_at[message.body] = clock.now_s + 20
            elif action in ("release", "delay"):
                delay_s = 5.0 if action == "delay" else 0.0
                queue.release(message, delay_s)
                if held:
                    free_at[message.body] = clock.now_s + delay_s
                    gone.append(message.receipt)
            else:
                arguments = ["why"] if action == "dead_letter" else []
                getattr(queue, action)(message, *arguments)
                if held:
                    del free_at[message.body]

    clock.advance(100)
    assert queue.waiting() == len(free_at)
    assert sorted(message.body for message in take_all(queue)) == sorted(free_at)


def test_a_closed_queue_lets_nobody_wait():
    """Who waits for a message comes back without one, and who comes later does not wait."""
    queue = MemoryQueue()
    found = []
    waiting = threading.Thread(target=lambda: found.append(queue.receive(wait_s=600, lease_s=1)))
    waiting.start()
    queue.close()
    waiting.join(60)

    assert found == [[]]
    assert queue.receive(wait_s=600, lease_s=1) == []
