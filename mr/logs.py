"""Logs of workers: one structured line for each attempt, kept with the job it belongs to.

A worker writes pieces of many lines, now and then, so that a task costs no object of its own.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec

from mr import layout
from mr.decoding import from_json
from mr.errors import FormatError
from mr.store import Store

#: Characters and lines of what user code prints that are kept of one attempt: the last ones.
OUTPUT_KEPT, OUTPUT_LINES = 16_000, 200


@dataclass(frozen=True)
class LogLine:
    """What became of one attempt; `time` is its end, in seconds since the epoch."""

    time: float
    worker: str
    job: str
    task: str
    attempt: str
    #: The state that it left its task in (`TaskState`).
    state: str
    seconds: float = 0.0
    records: int = 0
    compressed_bytes: int = 0
    raw_bytes: int = 0
    #: Why, where it did not commit.
    text: str = ""
    #: What the analysis printed.
    output: list[str] = field(default_factory=list)

    def without_output(self) -> "LogLine":
        """The line without what the analysis printed."""
        return replace(self, output=[])

    def encode(self) -> bytes:
        """The line as JSON; what is not Unicode in the text is escaped."""
        text = self.text.encode("utf-8", "backslashreplace").decode()
        return msgspec.json.encode(replace(self, text=text))


class JobLogs:
    """Collects a worker's lines, and writes them to their jobs when told to."""

    def __init__(self, store: Store, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._lock = threading.Lock()
        self._lines: dict[str, list[LogLine]] = defaultdict(list)
        self._written = 0

    def add(self, line: LogLine) -> None:
        """Take a line."""
        with self._lock:
            self._lines[line.job].append(line)

    def flush(self) -> None:
        """Write what was collected; lines of jobs that were removed are dropped.

        Raises StoreUnavailable; what is not written then is kept for the next time.
        """
        while True:
            with self._lock:
                if not self._lines:
                    return
                job, lines = self._lines.popitem()
                self._written += 1
                number = self._written
            try:
                if self._store.stat(layout.tombstone_name(job)) is None:
                    data = b"".join(line.encode() + b"\n" for line in lines)
                    self._store.write(layout.log_name(job, self._worker, f"{number:07d}"), data)
            except BaseException:
                with self._lock:
                    self._lines[job][:0] = lines
                raise


def read_logs(store: Store, job: str, task: str | None = None) -> Iterator[LogLine]:
    """The lines of a job, or of one task, in the order of time. Raises FormatError."""
    lines = []
    for entry in store.list(layout.logs_prefix(job)):
        for text in store.read(entry.name).splitlines():
            try:
                line = from_json(text, LogLine)
            except msgspec.DecodeError as error:
                raise FormatError(f"{store.url}/{entry.name}: no log: {error}.") from None
            if task in (None, line.task):
                lines.append(line)
    return iter(sorted(lines, key=lambda line: line.time))
