"""Commands, timed as a whole, and what several times come to."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class CommandFailed(Exception):
    """A command of the benchmark ended with an error."""


@dataclass(frozen=True)
class Timed:
    """A command's wall time, and the memory of the largest process that it and its children had."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Spread:
    """What several figures come to."""

    least: float
    median: float
    most: float

    def text(self, digits: int = 2) -> str:
        """The three for a table."""
        return " / ".join(f"{one:,.{digits}f}" for one in (self.least, self.median, self.most))


def spread(figures: Sequence[float]) -> Spread:
    """Minimum, median and maximum."""
    return Spread(min(figures), statistics.median(figures), max(figures))


def ratios(ones: Sequence[Timed], others: Sequence[Timed]) -> Spread:
    """Seconds of the one by seconds of the other, pair by pair: runs that took turns."""
    return spread([one.seconds / other.seconds for one, other in zip(ones, others, strict=True)])


@contextmanager
def on_cores(number: int | None) -> Iterator[None]:
    """What is started in here runs on so many cores, always the same ones; None: on all."""
    allowed = os.sched_getaffinity(0)
    if number is not None:
        os.sched_setaffinity(0, sorted(allowed)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def timed(
    commands: Sequence[Sequence[object]],
    *,
    cores: int | None = None,
    out: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Timed:
    """Run commands at the same time until all have ended. Raises CommandFailed.

    `out` takes their standard output, which else is thrown away.
    """
    with (
        tempfile.TemporaryFile() as errors,
        Path(os.devnull if out is None else out).open("wb") as output,
    ):
        with on_cores(cores):
            start = time.perf_counter()
            running = [
                subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    env={**os.environ, **(environment or {})},
                )
                for command in commands
            ]
        try:
            # The kernel's own account: it holds the largest of all that a process has waited for.
            # (It begins with the size of whoever starts a process, so the benchmark stays small.)
            ended = [os.wait4(process.pid, 0) for process in running]
        except BaseException:
            for process in running:
                process.terminate()
            raise
        seconds = time.perf_counter() - start
        for process, (_, status, _) in zip(running, ended, strict=True):
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                errors.seek(0)
                told = errors.read().decode(errors="replace")[-4_000:]
                raise CommandFailed(f"{process.args[:6]} ended with {process.returncode}:\n{told}")
    return Timed(seconds, max(usage.ru_maxrss for *_, usage in ended) * 1024)


def taking_turns(
    contestants: Mapping[str, Callable[[], Timed]], runs: int, *, warm_up: bool = True
) -> dict[str, list[Timed]]:
    """Run each once uncounted, then all of them so often, taking turns: shared machines drift."""
    for contestant in contestants.values() if warm_up else ():
        contestant()
    found: dict[str, list[Timed]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, contestant in contestants.items():
            found[name].append(contestant())
    return found
