"""Commits: the one write that makes a task done; and the failures that count against it."""

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import msgspec

from mr import layout
from mr.concurrency import interleave
from mr.errors import ObjectExists
from mr.runs import Mark, PackedSpans, Span
from mr.state import read_state
from mr.stopwatch import STAGES, Spent
from mr.store import Store
from mr.tally import Tally

#: Commits that are read at a time.
READERS = 16


@dataclass(frozen=True)
class Commit:
    """Which attempt's output counts, and all that later stages need to know of it."""

    task: str
    attempt: str
    #: The place of each partition's run in the attempt's object; of a result part, one span.
    spans: Sequence[Span]
    tally: Tally = field(default_factory=Tally)
    #: Pairs that a map task emitted before combining, and how often it spilled.
    pairs: int = 0
    spills: int = 0
    seconds: float = 0.0
    #: A reduce task's files: the name in the output, and the place in the object that holds them.
    files: dict[str, Span] = field(default_factory=dict)
    #: Of a result part that is sorted: where some keys are in it.
    marks: list[Mark] = field(default_factory=list)
    #: What publishing has to say to the person; and why the job is to be planned anew, if it is.
    said: str = ""
    again: str = ""
    #: How often the task's message had been delivered, and what its worker has asked of S3 and SQS
    #: since its last commit.
    deliveries: int = 1
    requests: dict[str, int] = field(default_factory=dict)
    #: The worker that ran it, and what the attempt spent by stage of the work.
    worker: str = ""
    profile: Mapping[str, Spent] = field(default_factory=dict)
    #: The worker's machine ("TYPE spot" or "TYPE"; "" if it is not known), and how many attempts
    #: that runs at once.
    machine: str = ""
    processes: int = 1


class PackedProfile(Mapping[str, Spent]):
    """A commit's profile in little memory."""

    def __init__(self, profile: Mapping[str, Spent]) -> None:
        self._stages = bytes(place for place, name in enumerate(STAGES) if name in profile)
        found = [profile[name] for name in self]
        self._seconds = array("d", (spent.seconds for spent in found))
        self._bytes = array("Q", (spent.bytes for spent in found))

    def __len__(self) -> int:
        return len(self._stages)

    def __iter__(self) -> Iterator[str]:
        return (STAGES[place] for place in self._stages)

    def __getitem__(self, name: str) -> Spent:
        place = self._stages.find(STAGES.index(name)) if name in STAGES else -1
        if place < 0:
            raise KeyError(name)
        return Spent(self._seconds[place], self._bytes[place])


@dataclass(frozen=True)
class Failure:
    """One counted failure of a task: enough to tell the person, and to run it again elsewhere."""

    task: str
    attempt: str
    #: One sentence: the user's exception, or how the process died.
    error: str
    #: The user's own traceback, or nothing.
    traceback: str = ""
    #: Where: the block's path and line, or the key being reduced.
    block: str = ""
    line: int = 0
    key: str = ""
    #: SHA-256 of the code bundle.
    bundle: str = ""

    @property
    def where(self) -> str:
        """The place in words."""
        if self.key:
            return f"key {self.key}"
        if not self.block:
            return f"task {self.task}"
        return f"{self.block}, line {self.line}" if self.line else self.block


def write_commit(store: Store, job: str, commit: Commit) -> bool:
    """Commit an attempt; whether it won. The first to write wins, for ever.

    An attempt that is told that a commit exists may have written it itself (its request was
    repeated after a lost answer): so the name in it decides.
    """
    name = layout.commit_name(job, commit.task)
    try:
        store.write(name, msgspec.json.encode(commit), if_absent=True)
    except ObjectExists:
        return read_commit(store, job, commit.task).attempt == commit.attempt
    return True


def read_commit(store: Store, job: str, task: str) -> Commit:
    """A task's commit. Raises ObjectMissing, FormatError."""
    return read_state(store, layout.commit_name(job, task), Commit)


def read_commits(store: Store, job: str, tasks: Sequence[str]) -> Iterator[Commit]:
    """The commits of some tasks, in their order; several at a time where each takes a round trip.

    Raises as `read_commit` does.
    """
    if len(tasks) < 2 or not store.is_remote:
        yield from (read_commit(store, job, task) for task in tasks)
        return
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(lambda task: read_commit(store, job, task), tasks)


def held(commit: Commit) -> Commit:
    """The commit in a form that a coordinator can hold very many of."""
    return replace(
        commit,
        spans=PackedSpans(commit.spans),
        marks=[],
        worker=sys.intern(commit.worker),
        machine=sys.intern(commit.machine),
        profile=PackedProfile(commit.profile),
    )


def committed_tasks(store: Store, job: str, stage: str = "") -> set[str]:
    """The ids of the tasks that are done."""
    prefix = layout.commits_prefix(job)
    return {entry.name[len(prefix) :] for entry in store.list(layout.commits_prefix(job, stage))}


def committed_among(store: Store, job: str, stage: str, numbers: Iterable[int]) -> set[str]:
    """The ids of those that are done of these tasks, and perhaps of others of the stage.

    Takes a request for each thousand that any of them is in, however large the stage is.
    """
    if not store.is_remote:
        return committed_tasks(store, job, stage)
    thousands = sorted({number // layout.COMMITS_LISTED for number in numbers})
    prefixes = [layout.commits_prefix(job, stage, thousand) for thousand in thousands]
    threads = max(1, min(READERS, len(prefixes)))
    start = len(layout.commits_prefix(job))
    return {entry.name[start:] for entry in interleave(store.list, prefixes, threads)}


def is_over(store: Store, job: str, *, publishes: bool = False) -> bool:
    """Whether a job has ended, or was removed; `publishes`: also with what follows its end."""
    end = layout.published_name(job) if publishes else layout.end_name(job)
    names = (end, layout.tombstone_name(job))
    return any(store.stat(name) is not None for name in names)


def write_failure(store: Store, job: str, failure: Failure) -> None:
    """Tell a counted failure."""
    store.write(
        layout.failure_name(job, failure.task, failure.attempt), msgspec.json.encode(failure)
    )


def is_hopeless(failures: Sequence[Failure], most: int) -> bool:
    """Whether a task with these failures has failed for good.

    It has after `most` failures; and as soon as the same error came twice at the same place, for
    then it is the code, not chance, and a third try would only cost the person's time.
    """
    places = {
        (failure.error, failure.block, failure.line, failure.key)
        for failure in failures
        if failure.line or failure.key
    }
    known = sum(1 for failure in failures if failure.line or failure.key)
    return len(failures) >= most or len(places) < known


def read_failures(store: Store, job: str, task: str = "") -> Iterator[Failure]:
    """The failures of a job or of one task, in no order that means anything but a fixed one.

    Raises FormatError.
    """
    entries = store.list(layout.failures_prefix(job, task))
    for name in sorted(entry.name for entry in entries):
        yield read_state(store, name, Failure)
