"""Task queues: messages that are lent for a while, and come back unless acknowledged.

A queue delivers at least once, so whoever takes a message must bear that it is taken twice; the
store, not the queue, is the truth about what is done. Every queue passes the same contract
suite.
"""

import heapq
import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mr.errors import LeaseLost


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery: the body, the receipt of this lease, and how often it was delivered so far."""

    body: bytes
    receipt: str
    receives: int


class TaskQueue(ABC):
    """Messages, delivered at least once. Every method may raise QueueUnavailable."""

    @abstractmethod
    def send(self, bodies: Sequence[bytes]) -> None:
        """Add messages, in about this order."""

    @abstractmethod
    def receive(self, *, most: int = 1, wait_s: float = 0.0, lease_s: float) -> list[Message]:
        """Take up to `most` messages, which nobody else gets for `lease_s` seconds.

        Waits up to `wait_s` seconds for the first one; an empty list means that none came.
        """

    @abstractmethod
    def extend(self, message: Message, lease_s: float) -> None:
        """Let the lease run out `lease_s` seconds from now.

        Raises LeaseLost when it has run out already: somebody else may hold the message.
        """

    @abstractmethod
    def release(self, message: Message, delay_s: float = 0.0) -> None:
        """Give a message back, to be delivered again after `delay_s` seconds.

        Does nothing when the lease was lost; so do `acknowledge` and `dead_letter`.
        """

    @abstractmethod
    def acknowledge(self, message: Message) -> None:
        """Remove a message for good."""

    @abstractmethod
    def dead_letter(self, message: Message, reason: str) -> None:
        """Put a message aside with the reason, never to be delivered again."""

    @abstractmethod
    def waiting(self) -> int:
        """Return about how many messages nobody holds."""


@dataclass(slots=True)
class _Item:
    """A message in a `MemoryQueue`; either ready (`due` is None), lent or delayed."""

    number: int
    body: bytes
    receives: int = 0
    receipt: str | None = None
    due: float | None = None


class MemoryQueue(TaskQueue):
    """A queue in this process, for any number of threads; first in, first out, leases allowing.

    A message that comes back keeps its place before those sent later. `dead` holds the dead
    letters as (body, reason). `clock` (seconds, never backwards) is what leases and delays run by.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.dead: list[tuple[bytes, str]] = []
        self._clock = clock
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._ready: list[tuple[int, _Item]] = []
        # When leases and delays end. An extended lease leaves its old end in here, which then
        # differs from the item's `due` and means nothing.
        self._ends: list[tuple[float, int, _Item]] = []
        self._lent: dict[str, _Item] = {}
        self._delayed = 0
        self._is_closed = False

    def close(self) -> None:
        """Let nobody wait for a message any more: who does comes back without one."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def send(self, bodies: Sequence[bytes]) -> None:
        """Add messages, in this order."""
        with self._changed:
            for body in bodies:
                number = next(self._numbers)
                heapq.heappush(self._ready, (number, _Item(number, bytes(body))))
            self._changed.notify_all()

    def receive(self, *, most: int = 1, wait_s: float = 0.0, lease_s: float) -> list[Message]:
        """Take up to `most` messages; see `TaskQueue.receive`."""
        if most < 1 or lease_s <= 0:
            raise ValueError(f"cannot take {most} messages for {lease_s} s: both must be positive")
        with self._changed:
            deadline = time.monotonic() + wait_s
            while True:
                now = self._clock()
                self._return_due(now)
                pause = deadline - time.monotonic()
                if self._ready or pause <= 0 or self._is_closed:
                    break
                if self._ends:
                    pause = min(pause, self._ends[0][0] - now)
                self._changed.wait(pause)
            count = min(most, len(self._ready))
            return [self._lend(heapq.heappop(self._ready)[1], now + lease_s) for _ in range(count)]

    def extend(self, message: Message, lease_s: float) -> None:
        """Let the lease run out `lease_s` seconds from now, or raise LeaseLost."""
        with self._changed:
            item = self._held(message)
            if item is None:
                raise LeaseLost("the lease of a message ran out: it may be delivered again")
            self._set_end(item, self._clock() + lease_s)

    def release(self, message: Message, delay_s: float = 0.0) -> None:
        """Give a message back, to be delivered again after `delay_s` seconds."""
        with self._changed:
            item = self._take_back(message)
            if item is not None:
                self._delayed += 1
                self._set_end(item, self._clock() + delay_s)

    def acknowledge(self, message: Message) -> None:
        """Remove a message for good."""
        with self._changed:
            self._take_back(message)

    def dead_letter(self, message: Message, reason: str) -> None:
        """Put a message aside in `dead`, with the reason."""
        with self._changed:
            item = self._take_back(message)
            if item is not None:
                self.dead.append((item.body, reason))

    def waiting(self) -> int:
        """Return how many messages nobody holds, those with a delay among them."""
        with self._changed:
            self._return_due(self._clock())
            return len(self._ready) + self._delayed

    # The rest is called with the condition held.

    def _lend(self, item: _Item, end: float) -> Message:
        item.receives += 1
        item.receipt = f"{item.number}-{item.receives}"
        self._lent[item.receipt] = item
        self._set_end(item, end)
        return Message(item.body, item.receipt, item.receives)

    def _set_end(self, item: _Item, end: float) -> None:
        item.due = end
        heapq.heappush(self._ends, (end, next(self._numbers), item))
        self._changed.notify_all()  # a waiting receiver may now have to wake earlier

    def _held(self, message: Message) -> _Item | None:
        self._return_due(self._clock())
        return self._lent.get(message.receipt)

    def _take_back(self, message: Message) -> _Item | None:
        item = self._held(message)
        if item is not None:
            del self._lent[message.receipt]
            item.receipt = item.due = None
        return item

    def _return_due(self, now: float) -> None:
        """Make ready what has come to the end of its lease or delay."""
        while self._ends and self._ends[0][0] <= now:
            end, _, item = heapq.heappop(self._ends)
            if item.due != end:
                continue
            if item.receipt is None:
                self._delayed -= 1
            else:
                del self._lent[item.receipt]
            item.receipt = item.due = None
            heapq.heappush(self._ready, (item.number, item))
