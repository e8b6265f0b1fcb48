"""What a worker works with, and how it keeps what was lent to it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mr.compatibility import Platform
from mr.errors import LeaseLost, MrError
from mr.logs import LogLine
from mr.store import Store
from mr.taskqueue import Message, TaskQueue
from mr.tasks import Event

#: How long a message is leased; a machine that vanishes costs this much waiting.
LEASE_S = 300.0
#: How often the lease is extended and the job's end looked for.
HEARTBEAT_S = 20.0
#: How long one look into the queue, or at the child, takes at most.
POLL_S = 0.25
#: How long a task waits after a failure that is not the analysis's.
BACKOFF_S = 2.0


@dataclass(frozen=True)
class Surroundings:
    """What a worker works with."""

    store: Store
    tasks: TaskQueue
    #: Hears what becomes of attempts; nothing depends on it.
    tell: Callable[[Event], None]
    #: Folders on local disk: for spills, and for environments of analyses that need packages.
    folder: Path
    environments: Path
    lease_s: float = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    backoff_s: float = BACKOFF_S
    #: How long one look into the queue takes at most.
    poll_s: float = POLL_S
    clock: Callable[[], float] = time.monotonic
    #: What this machine has, where jobs come from others; else None.
    platform: Platform | None = None
    #: What machine this is ("TYPE spot" or "TYPE"; "" if it is not known), and how many attempts it
    #: runs at once.
    machine: Callable[[], str] = lambda: ""
    processes: int = 1
    #: Takes a line for each attempt; without it user code's output goes to standard error.
    log: Callable[[LogLine], None] | None = None
    #: Coordinates a job until it has ended, or is told to stop; None where workers do not. Tells
    #: of trouble in words.
    coordinate: Callable[[str, threading.Event, Callable[[str], None]], None] | None = None


def telling(events: TaskQueue) -> Callable[[Event], None]:
    """What sends events to one queue."""
    return lambda event: events.send([event.encode()])


class Lease:
    """Keeps a message lent to us in a with-block, from a thread: nothing else may delay that.

    `lost` is set once somebody else may have the message.
    """

    def __init__(self, surroundings: Surroundings, message: Message) -> None:
        self._with = surroundings
        self._message = message
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.lost = threading.Event()

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        # A test's heartbeat of 0 must not keep a processor busy.
        while not self._ended.wait(max(self._with.heartbeat_s, 0.01)):
            try:
                self._with.tasks.extend(self._message, self._with.lease_s)
            except LeaseLost:
                self.lost.set()
                return
            except MrError:
                continue  # It still holds; the next time may reach the queue.
