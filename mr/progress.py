"""How a running job shows itself: live on a terminal or in a notebook, else by a line at times."""

import html
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from mr.commits import Commit
from mr.fleet import Running
from mr.orders import Progress

#: How often a line is printed when standard error is no terminal.
LINE_S = 5.0
#: How often the display in a notebook's cell is brought up to date, at most.
CELL_S = 0.2
#: Narrow, so that all of it stands on a terminal of 80 columns.
BAR_COLUMNS = 12


class Display:
    """Hears how a job goes and shows it on standard error; nothing but trouble when quiet.

    With `in_cell` it shows it in the notebook's cell that is running, if one is: in one place,
    which in the end holds the line that `conclude` was given, or else how far the job came.
    """

    def __init__(self, total_bytes: int, *, quiet: bool = False, in_cell: bool = False) -> None:
        self._total = total_bytes
        self._quiet = quiet
        self._lock = threading.Lock()
        self._running: dict[str, Progress] = {}
        self._bytes = self._records = self._raw = 0
        self._stage, self._tasks, self._done = "", 0, 0
        self._start = self._printed = time.monotonic()
        self._live: Any = None
        self._bar: Any = None
        self._show_in_cell = _cell_display() if in_cell and not quiet else None
        self._conclusion = ""

    def __enter__(self) -> "Display":
        if self._show_in_cell is not None:
            self._show_in_cell("starting", None)
        elif not self._quiet and sys.stderr.isatty():
            self._open_live()
        return self

    def __exit__(self, *_: object) -> None:
        if self._show_in_cell is not None:
            with self._lock:
                self._show_in_cell(self._conclusion or f"{self._stage}: {self._facts()}", None)
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

    def conclude(self, text: str) -> None:
        """The job is over: what a cell says of it from now on."""
        self._conclusion = text

    def trouble(self, text: str) -> None:
        """Something went wrong that does not end the job."""
        with self._lock:
            if self._live is not None:
                self._live.console.print(f"mr-telemetry: {text}", markup=False, highlight=False)
            else:
                print(f"mr-telemetry: {text}", file=sys.stderr, flush=True)

    # Showing

    def _show(self) -> None:
        now = time.monotonic()
        if self._show_in_cell is not None:
            if now - self._printed >= CELL_S:
                self._printed = now
                self._show_in_cell(f"{self._stage}: {self._facts()}", self._progress())
        elif self._live is not None:
            done, total = self._progress()
            self._live.update(
                self._bar, description=self._stage, completed=done, total=total, facts=self._facts()
            )
        elif not self._quiet and now - self._printed >= LINE_S:
            self._printed = now
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


def _cell_display() -> Callable[[str, tuple[int, int] | None], None] | None:
    """What shows a text, with a bar for so much of so much, in the cell that is running.

    Each call takes the place of the one before. None where no notebook runs this.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    handle: Any = None

    def show(text: str, progress: tuple[int, int] | None) -> None:
        nonlocal handle
        bar = "<progress value={} max={}></progress> ".format(*progress) if progress else ""
        shown = {"text/plain": text, "text/html": f"<div>{bar}{html.escape(text)}</div>"}
        if handle is None:
            handle = display(shown, raw=True, display_id=True)
        else:
            handle.update(shown, raw=True)

    return show
