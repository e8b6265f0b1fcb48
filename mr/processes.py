"""The process that runs user code, seen from its parent."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec

import mr
from mr.decoding import from_json
from mr.orders import Order, Reply

#: What holds unless the environment says otherwise.
_DEFAULTS = {
    # Memory of chunks stays with the process, where glibc would give it back and ask for it again:
    # a quarter of the page faults, and 2% of the time, of merging histograms.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
    # There is a process for each core. Threads of numpy would spin while they wait for work: as
    # perf shows 0.09 s in each process that imports it.
    "OPENBLAS_NUM_THREADS": "1",
}


def environment_of(python: Path) -> dict[str, str]:
    """The environment of our processes that run with this interpreter."""
    environment = {**_DEFAULTS, **os.environ, "PYTHONHASHSEED": "0"}
    if python == Path(sys.executable):
        # What the analysis imports beside itself is the bundle's to name. Another interpreter
        # finds us by itself, behind the packages that were installed for it.
        path = [str(Path(mr.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return environment


class Child:
    """A process that runs one attempt after the other.

    With `listens` what it prints is heard by whoever asks (`hear`), and passed on to standard
    error; without, it goes there by itself.
    """

    def __init__(self, python: Path | None = None, job: str = "", *, listens: bool = False) -> None:
        self.python = python or Path(sys.executable)
        #: The job whose code it runs.
        self.job = job
        self._process = subprocess.Popen(
            [str(self.python), "-m", "mr.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if listens else None,
            env=environment_of(self.python),
            start_new_session=True,  # what the analysis has started ends with it
        )
        self._heard: tuple[deque[str], int] | None = None
        if listens:
            threading.Thread(target=self._listen, daemon=True).start()
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def hear(self, lines: "deque[str] | None", most: int) -> None:
        """From now on collect what it prints here: the last `most` characters of it."""
        self._heard = None if lines is None else (lines, most)

    def _listen(self) -> None:
        for data in self._process.stderr:
            line = data.decode("utf-8", "backslashreplace").rstrip("\n")
            with suppress(OSError):  # it may be gone, or on a full disk; the pipe must be emptied
                print(line, file=sys.stderr, flush=True)
            heard = self._heard
            if heard is None:
                continue
            lines, most = heard
            lines.append(line[-most:])
            while sum(map(len, lines)) > most:
                lines.popleft()

    def _read(self) -> None:
        for line in self._process.stdout:
            try:
                self._replies.put(from_json(line, Reply))
            except msgspec.DecodeError:
                break  # The process died in the middle of a line.
        self._replies.put(None)

    def send(self, order: Order) -> None:
        """Ask for an attempt; a process that has just died shows at the next `reply`."""
        try:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def reply(self, wait_s: float) -> Reply | None:
        """The next reply, or None when none came in time or the process has ended."""
        try:
            return self._replies.get(timeout=wait_s)
        except queue.Empty:
            return None

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def death(self) -> str:
        """How the process died, in words."""
        code = self._process.wait()
        if code >= 0:
            return f"its process ended by itself with exit code {code}"
        hint = " (often: out of memory)" if code == -9 else ""
        return f"its process was killed by signal {-code}{hint}"

    def kill(self) -> None:
        """End the process now."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):  # an order that it did not live to read
            self._process.stdin.close()
