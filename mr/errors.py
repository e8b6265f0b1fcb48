"""Every error that mr-telemetry raises, as one tree.

    MrError
    ├── UsageError              what the person asked for cannot be done as asked (exit code 2)
    │   ├── SchemaError             a schema or filter file is wrong
    │   └── InputMissing            an input is not there
    ├── AnalysisError           the analysis's own fault: counts as a failure of its task
    ├── RetryElsewhere          the surroundings' fault: tried again, never counted
    │   ├── StoreUnavailable
    │   ├── QueueUnavailable
    │   ├── ShortRead
    │   ├── BlockChanged
    │   └── LeaseLost
    ├── StoreError              a store's answer to one request
    │   ├── ObjectMissing
    │   ├── ObjectExists
    │   ├── ObjectChanged
    │   └── BadName
    ├── FormatError             bytes of ours that are not what they should be
    ├── WrongMessage            a message that does not fit the job that it names
    └── JobError                how a job can end other than done (exit code 1)
        ├── JobFailed
        ├── PlanAgain               somebody else published first
        ├── TooManyBadRecords       (exit code 3)
        └── JobInterrupted          (exit code 130)

A damaged record or block is no exception: it is counted and reported (see `lines`).
"""


class MrError(Exception):
    """The root; its text is one sentence that says what, where and what to do."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the sentence, without the lines of our code that led to it."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(MrError):
    """Raised when what the person asked for cannot be done as asked."""

    exit_code = 2


class SchemaError(UsageError):
    """Raised when a schema or filter is not of the documented form."""


class InputMissing(UsageError):
    """Raised when an input is not there."""


class AnalysisError(MrError):
    """Raised when an analysis breaks its contract (a key of a wrong type, say)."""


class RetryElsewhere(MrError):
    """Raised when the surroundings fail; the same work may succeed later or elsewhere."""


class StoreUnavailable(RetryElsewhere):
    """Raised when a store does not answer, or a disk is full."""


class QueueUnavailable(RetryElsewhere):
    """Raised when a queue does not answer."""


class ShortRead(RetryElsewhere):
    """Raised when fewer bytes came than the object has."""


class BlockChanged(RetryElsewhere):
    """Raised when a block is replaced while it is read: its records would be a mixture."""


class LeaseLost(RetryElsewhere):
    """Raised when a message's lease ran out and somebody else may hold it now."""


class StoreError(MrError):
    """Raised for a store's definite answer to one request."""


class ObjectMissing(StoreError):
    """Raised when the object does not exist."""


class ObjectExists(StoreError):
    """Raised when a write if absent finds the object there."""


class ObjectChanged(StoreError):
    """Raised when the object's tag is not the expected one."""


class BadName(StoreError):
    """Raised when an object's name could leave its store or cannot be a file's path."""


class FormatError(MrError):
    """Raised when bytes of our own (a message, plan, run, bundle) cannot be decoded."""


class WrongMessage(MrError):
    """Raised when a message does not fit the job that it names: nobody can do what it asks for."""


class JobError(MrError):
    """Raised when a job ends other than done."""


class JobFailed(JobError):
    """Raised when a task has failed for good."""


class PlanAgain(JobError):
    """Raised when what a job was planned on has changed: the same job planned anew may succeed."""


class TooManyBadRecords(JobError):
    """Raised when more records are bad than the job allows."""

    exit_code = 3


class JobInterrupted(JobError):
    """Raised when the person stops the job; it can be resumed."""

    exit_code = 130


class LimitReached(JobInterrupted):
    """Raised when a job stops at a limit of cost or time; it can be resumed."""
