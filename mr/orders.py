"""What a parent and the process that runs user code say to each other, a JSON line each."""

from dataclasses import dataclass, field

from mr.commits import Commit, Failure
from mr.tally import Tally
from mr.tasks import Task

#: The folder, beside those of the attempts, for what a process reads of its job.
CODE = "code"


@dataclass(frozen=True, slots=True)
class Order:
    """What the parent asks for: one attempt at a task; `folder` is empty and its own."""

    store: str
    task: Task
    attempt: str
    folder: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is: compressed and raw bytes, records, and moves of any kind."""

    moves: int = 0
    records: int = 0
    compressed_bytes: int = 0
    raw_bytes: int = 0

    @classmethod
    def of(cls, tally: Tally, moves: int = 0) -> "Progress":
        """What a tally says of it."""
        return cls(moves, tally.records, tally.compressed_bytes, tally.raw_bytes)


@dataclass(frozen=True)
class Reply:
    """One line to the parent: exactly one of its first five fields is set."""

    progress: Progress | None = None
    done: Commit | None = None
    failed: Failure | None = None
    #: Why the attempt could not run here and now, through no fault of the analysis.
    unavailable: str | None = None
    #: Why nobody can do what the message asks for.
    misled: str | None = None
    #: What was asked of S3 and SQS meanwhile.
    requests: dict[str, int] = field(default_factory=dict)
