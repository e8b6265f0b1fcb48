"""Simulated time: what is to happen, and the clock that stands where it last did."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class World:
    """A clock, and a heap of what is to happen. Seconds.

    The coordinator's code runs at one moment of this time; time passes while it waits, in `spend`
    and `wait`. What other threads of it spend is paid by the next of these calls.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        #: In nanoseconds: whole numbers, whose sum does not depend on which thread was first.
        self._owed_ns = 0
        #: Processor time that the simulation itself has taken.
        self.own_cpu_s = 0.0

    def clock(self) -> float:
        """The time since the beginning."""
        return self._now

    def is_own_thread(self) -> bool:
        """Whether this is the thread in which time passes."""
        return threading.get_ident() == self._thread

    def at(self, moment: float, do: Callable[[], None]) -> None:
        """Do something at a moment; what is due at the same one happens in order of asking."""
        heapq.heappush(self._coming, (max(moment, self._now), next(self._numbers), do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something some time from now."""
        self.at(self._now + seconds, do)

    def spend(self, seconds: float) -> None:
        """Let time pass for the coordinator: all that is due meanwhile happens."""
        if not self.is_own_thread():
            with self._lock:
                self._owed_ns += round(seconds * 1e9)
            return
        self._pass(self._now + self._paid() + seconds, lambda: False)

    def wait(self, seconds: float, until: Callable[[], bool]) -> None:
        """Let time pass until something has come true, or so long."""
        self.spend(0.0)
        if not until():
            self._pass(self._now + seconds, until)

    def _paid(self) -> float:
        with self._lock:
            owed, self._owed_ns = self._owed_ns, 0
        return owed / 1e9

    def _pass(self, end: float, until: Callable[[], bool]) -> None:
        coming = self._coming
        with self.own_time():
            while coming and coming[0][0] <= end:
                self._now, _, do = heapq.heappop(coming)
                do()
                if until():
                    break
            else:
                self._now = end

    @contextmanager
    def own_time(self) -> Iterator[None]:
        """Count the processor's time of the with-block as the simulation's own."""
        began = time.process_time()
        yield
        self.own_cpu_s += time.process_time() - began
