"""The workers as they tell of themselves: each writes a sign of life, and what it is at.

    workers/<worker>        the last sign of one worker process

A sign is a hint, as everything that passes: what is done stands in the commits.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from mr import clock, layout
from mr.compatibility import Platform
from mr.errors import FormatError, ObjectMissing, ShortRead
from mr.state import read_state
from mr.store import Store

#: How often a worker gives a sign, in seconds.
SIGN_S = 20.0
#: A worker that was not heard of for this long is taken for dead.
DEAD_AFTER_S = 3 * SIGN_S
#: A sign this old is removed by whoever meets it.
FORGOTTEN_AFTER_S = 24 * 3600.0
#: Messages of a job in the queue for each attempt that the workers can run at once.
MESSAGES_PER_PROCESS = 4
#: Signs that are read at a time.
READERS = 16


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt that a worker is at; `since` in seconds since the epoch."""

    job: str
    task: str
    attempt: str
    since: float
    records: int = 0
    compressed_bytes: int = 0
    raw_bytes: int = 0


@dataclass(frozen=True)
class Sign:
    """One worker process: who and where it is, and what it does; times since the epoch."""

    worker: str
    host: str
    pid: int
    started: float
    time: float
    #: Attempts that it can run at once.
    processes: int
    platform: Platform
    running: list[Running] = field(default_factory=list)
    #: Tasks it has committed, and messages it has put aside as dead letters.
    committed: int = 0
    dead_letters: int = 0
    #: What machine it runs on, "TYPE spot" or "TYPE"; "" if it is not known.
    machine: str = ""


def write_sign(store: Store, sign: Sign) -> None:
    """Give a sign of life."""
    store.write(layout.worker_name(sign.worker), msgspec.json.encode(sign))


def remove_sign(store: Store, worker: str) -> None:
    """Take the sign back: the worker is gone."""
    store.delete(layout.worker_name(worker))


def read_fleet(store: Store, *, now: float | None = None) -> list[Sign]:
    """The workers that were heard of lately, by name. Forgets those long dead."""
    now = clock.now() if now is None else now
    names = [entry.name for entry in store.list(layout.WORKERS)]
    alive = []
    for sign in _read_signs(store, names):
        if sign.time > now - DEAD_AFTER_S:
            alive.append(sign)
        elif sign.time < now - FORGOTTEN_AFTER_S:
            remove_sign(store, sign.worker)
    return sorted(alive, key=lambda sign: sign.worker)


def _read_signs(store: Store, names: Iterable[str]) -> Iterator[Sign]:
    def read(name: str) -> Sign | None:
        # One that is just being taken back, is damaged, or was written by another version.
        with suppress(ObjectMissing, FormatError, ShortRead):
            return read_state(store, name, Sign)
        return None

    with ThreadPoolExecutor(READERS) as pool:
        yield from filter(None, pool.map(read, names))


def capacity(fleet: Iterable[Sign]) -> int:
    """How many attempts the workers can run at once."""
    return sum(sign.processes for sign in fleet)
