"""Tasks and their states.

A task is one line of a stage's plan. The message that stands for it in a queue holds ids and a
byte range, nothing that a worker must trust: everything else is read from the worker's own store.
"""

import enum
import re
from dataclasses import dataclass, replace

import msgspec

from mr import layout
from mr.decoding import from_json
from mr.errors import FormatError

#: The only message version that this code writes and reads.
VERSION = 1
#: No plan is as long as this; beyond it no file has offsets.
MOST_BYTES = 2**63

#: Characters of an event's text.
MOST_TEXT = 2_000

_STAGE = re.compile(rf"[1-9][0-9]{{0,2}}-(map|reduce|place|publish)|{layout.COORDINATE}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class TaskState(enum.Enum):
    """The states of a task, each with its sentence."""

    WAITING = "waiting", "It has no commit yet; a message for it is queued, or will be."
    RUNNING = "running", "An attempt holds its lease and makes progress."
    REFUSED = "refused", "A worker cannot run it, for it is not as the sender; another one may."
    LOST = "lost", "Its attempt ended without fault of the analysis; another one will run."
    FAILED = (
        "failed",
        "The analysis failed in it; after as many times as are allowed, so does the job.",
    )
    COMMITTED = "committed", "Its commit exists and names the attempt whose output counts."
    OVER = "over", "Nobody needs it any more: its job has ended, or another attempt was first."

    sentence: str

    def __new__(cls, name: str, sentence: str) -> "TaskState":
        """The name is what travels; the sentence is for people."""
        state = object.__new__(cls)
        state._value_ = name
        state.sentence = sentence
        return state


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a job, as it travels through a queue."""

    job: str
    stage: str
    number: int
    #: The byte range of its line in the stage's plan.
    start: int
    end: int
    #: SHA-256 of the job's code bundle, in hexadecimal.
    bundle: str
    #: What stands for the job's store (`layout.store_digest`): workers of another one that share
    #: the queue by mistake leave it alone. "" for any.
    store: str = ""

    @property
    def id(self) -> str:
        """The task's id within its job."""
        return layout.task_id(self.stage, self.number)

    @property
    def is_map(self) -> bool:
        """Whether this is a map task."""
        return self.kind == "map"

    @property
    def kind(self) -> str:
        """What the task does: map, reduce, place (what reduces wrote), publish, or coordinate."""
        return self.stage.partition("-")[2]

    @property
    def publishes(self) -> bool:
        """Whether the task runs once the job's result is decided."""
        return publishes(self.stage)

    @property
    def step(self) -> int:
        """The step that the task belongs to, from 1."""
        return int(self.stage.partition("-")[0])

    def encode(self) -> bytes:
        """The message body: a few hundred bytes."""
        return msgspec.json.encode(_Message(VERSION, self))


def is_task_id(text: str) -> bool:
    """Whether a text has the form of a task's id."""
    stage, _, number = text.rpartition("-")
    return bool(_STAGE.fullmatch(stage)) and len(number) == 7 and number.isdecimal()


def coordinate_task(job: str, bundle: str, store: str) -> Task:
    """The task to coordinate a job; its byte range means nothing."""
    return Task(job, layout.COORDINATE, 0, 0, 1, bundle, store)


def publishes(stage: str) -> bool:
    """Whether a stage runs once the job's result is decided."""
    return stage.endswith(("-place", "-publish"))


@dataclass(frozen=True, slots=True)
class _Message:
    version: int
    task: Task


def decode_task(body: bytes) -> Task:
    """The task of a message body; raises FormatError for anything that is not one."""
    try:
        message = from_json(body, _Message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"a message is not a task: {error}.") from None
    task = message.task
    if message.version != VERSION:
        raise FormatError(f"a message has version {message.version}; only {VERSION} is known.")
    layout.checked_id(task.job)
    if not _STAGE.fullmatch(task.stage):
        raise FormatError(f"a message names the stage {task.stage!r:.200}.")
    if not (0 <= task.number < layout.MOST_TASKS and 0 <= task.start < task.end < MOST_BYTES):
        raise FormatError("a message's numbers are out of range.")
    if not _DIGEST.fullmatch(task.bundle):
        raise FormatError("a message's digest is not one.")
    return task


@dataclass(frozen=True, slots=True)
class Event:
    """What a worker tells of an attempt at a task: a hint, for the store is the truth."""

    job: str
    task: str
    state: TaskState
    text: str = ""

    def encode(self) -> bytes:
        """The message body; a long text is cut, and what is not Unicode in it is escaped."""
        text = self.text[:MOST_TEXT].encode("utf-8", "backslashreplace").decode()
        return msgspec.json.encode(replace(self, text=text))


def decode_event(body: bytes) -> Event:
    """The event of a message body; raises FormatError."""
    try:
        event = from_json(body, Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"a message is not an event: {error}.") from None
    layout.checked_id(event.job)
    layout.checked_id(event.task)
    return event
