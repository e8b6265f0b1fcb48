"""How a running job shows itself: a live display on a terminal, else a line every few seconds."""

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from mr.commits import Commit
from mr.fleet import Running
from mr.orders import Progress

#: How often a line is printed when standard error is no terminal.
LINE_S = 5.0
#: Narrow, so that all of it stands on a terminal of 80 columns.
BAR_COLUMNS = 12


class Display:
    """Hears how a job goes and shows it on standard error; nothing but trouble when quiet."""

    def __init__(self, total_bytes: int, *, quiet: bool = False) -> None:
        self._total = total_bytes
        self._quiet = quiet
        self._lock = threading.Lock()
        self._running: dict[str, Progress] = {}
        self._bytes = self._records = self._raw = 0
        self._stage, self._tasks, self._done = "", 0, 0
        self._start = self._printed = time.monotonic()
        self._live: Any = None
        self._bar: Any = None

    def __enter__(self) -> "Display":
        if not self._quiet and sys.stderr.isatty():
            self._open_live()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _open_live(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=BAR_COLUMNS),
            TextColumn("{task.fields[facts]},"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar = self._live.add_task("starting", total=None, facts="")
        self._live.start()

    # What the job tells

    def stage(self, name: str, tasks: int, done: int) -> None:
        """A stage begins."""
        with self._lock:
            self._stage, self._tasks, self._done = name, tasks, done
            self._show()

    def committed(self, commit: Commit) -> None:
        """A task is done."""
        with self._lock:
            self._done += 1
            self._bytes += commit.tally.compressed_bytes
            self._raw += commit.tally.raw_bytes
            self._records += commit.tally.records
            self._running.pop(commit.attempt, None)
            self._show()

    def progress(self, worker: str, progress: Progress | None) -> None:
        """A worker's current attempt is this far, or is over (None)."""
        with self._lock:
            if progress is None:
                self._running.pop(worker, None)
            else:
                self._running[worker] = progress
            self._show()

    def running(self, attempts: Mapping[str, Running]) -> None:
        """These attempts are running on workers elsewhere."""
        with self._lock:
            self._running = {
                name: Progress(0, one.records, one.compressed_bytes, one.raw_bytes)
                for name, one in attempts.items()
            }
            self._show()

    def trouble(self, text: str) -> None:
        """Something went wrong that does not end the job."""
        with self._lock:
            if self._live is not None:
                self._live.console.print(f"mr-telemetry: {text}", markup=False, highlight=False)
            else:
                print(f"mr-telemetry: {text}", file=sys.stderr, flush=True)

    # Showing

    def _show(self) -> None:
        if self._live is not None:
            done, total = self._progress()
            self._live.update(
                self._bar, description=self._stage, completed=done, total=total, facts=self._facts()
            )
        elif not self._quiet and time.monotonic() - self._printed >= LINE_S:
            self._printed = time.monotonic()
            print(f"{self._stage}: {self._facts()}", file=sys.stderr, flush=True)

    def _progress(self) -> tuple[int, int]:
        if self._stage == "1-map" and self._total:
            running = sum(progress.compressed_bytes for progress in self._running.values())
            return min(self._bytes + running, self._total), self._total
        return self._done, self._tasks

    def _facts(self) -> str:
        running = self._running.values()
        seconds = max(time.monotonic() - self._start, 0.001)
        records = self._records + sum(progress.records for progress in running)
        raw = self._raw + sum(progress.raw_bytes for progress in running)
        done, total = self._progress()
        share = f"{done / total:.0%}, " if total else ""
        return (
            f"{share}{self._done}/{self._tasks} tasks, {records:,} records, "
            f"{raw / 1e6 / seconds:,.0f} MB/s"
        )
