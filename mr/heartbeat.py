"""Signs of life: a process that runs a job, or writes its result, says so in the store."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import msgspec

from mr import clock, layout
from mr.errors import FormatError, MrError, ObjectMissing
from mr.state import read_state
from mr.store import Store

#: How often a sign is given.
HEARTBEAT_S = 10.0
#: A process that was not heard of for this long is taken for dead.
DEAD_AFTER_S = 3 * HEARTBEAT_S


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life: seconds since the epoch, and who gave it."""

    time: float
    host: str
    pid: int


@contextmanager
def alive(store: Store, job: str) -> Iterator[None]:
    """Give signs of life for a job until the block ends."""
    name, ended = layout.heartbeat_name(job), threading.Event()

    def beat() -> None:
        while True:
            sign = Heartbeat(clock.now(), socket.gethostname(), os.getpid())
            # A sign that cannot be given is no reason to stop living.
            with suppress(MrError):
                store.write(name, msgspec.json.encode(sign))
            if ended.wait(HEARTBEAT_S):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        # Nor may a store that fails now hide how the block ended.
        with suppress(MrError):
            last = last_heartbeat(store, job)
            if last is not None and (last.host, last.pid) == (socket.gethostname(), os.getpid()):
                store.delete(name)


def is_alive(store: Store, job: str, *, now: float | None = None) -> bool:
    """Whether somebody gave a sign of life for the job lately."""
    last = last_heartbeat(store, job)
    return last is not None and last.time > (now or clock.now()) - DEAD_AFTER_S


def last_heartbeat(store: Store, job: str) -> Heartbeat | None:
    """The last sign of life; None where there is none that can be read."""
    try:
        return read_state(store, layout.heartbeat_name(job), Heartbeat)
    except (ObjectMissing, FormatError):
        return None
