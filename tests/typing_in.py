"""A person at a terminal who types what a page says, line by line."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: An example of a page: lines that are set in, or of a block of the language `console`.
_LINE = re.compile(r"^(?:    |\$ )(\S.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The words by which a line is a command.
COMMANDS = ("mr-telemetry", "python", "pip", "make", ".")
#: What comes some seconds after what it tells of: a person would ask again.
LATER = "mr-telemetry logs"
#: A line that takes longer hangs.
LINE_TIMEOUT_S = 200


def commands_of(page: Path) -> list[str]:
    """The commands of a page, in its order."""
    text = page.read_text("utf-8")
    prose = _FENCE.sub(lambda found: found[2] if found[1] == "console" else "", text)
    return [line for line in _LINE.findall(prose) if line.split()[0] in COMMANDS]


@dataclass
class Terminal:
    """A folder and an environment in which lines are typed; what was started ends with it."""

    folder: Path
    environment: dict[str, str]
    #: What a page says for things of which each reader has other ones.
    words: dict[str, str] = field(default_factory=dict)
    #: Lines that go on until they are stopped, by their beginning; and what shows that they work.
    lasting: dict[str, Callable[["Terminal"], object]] = field(default_factory=dict)
    #: What was read by ". FILE".
    sourced: str = ""
    started: list[subprocess.Popen] = field(default_factory=list)

    def type(self, line: str) -> str:
        """Type a line; returns what it printed. Fails as the line does."""
        words = "|".join(map(re.escape, sorted(self.words, key=len, reverse=True)))
        typed = (
            re.sub(rf"\b({words})\b", lambda found: self.words[found[0]], line) if words else line
        )
        if typed.startswith(". "):
            self.sourced = f"set -a; {typed.partition('#')[0].strip()}; set +a; "
            typed = "true"
        command = ["bash", "-c", f"{self.sourced}{typed}"]
        how = {"cwd": self.folder, "env": self.environment, "text": True}
        for beginning, works in self.lasting.items():
            if line.startswith(beginning):
                return self._start(command, how, works)
        how |= {"capture_output": True, "stdin": subprocess.DEVNULL, "timeout": LINE_TIMEOUT_S}
        done = subprocess.run(command, **how)
        deadline = time.monotonic() + LINE_TIMEOUT_S
        while line.startswith(LATER) and done.returncode and time.monotonic() < deadline:
            time.sleep(1)
            done = subprocess.run(command, **how)
        assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        if line.startswith("mr-telemetry submit"):
            self.words["JOB"] = done.stdout.strip()
        elif found := re.search(r"^Job (\S+):", done.stderr, re.MULTILINE):
            self.words["JOB"] = found[1]
        return done.stdout

    def _start(self, command: list[str], how: dict, works: Callable[["Terminal"], object]) -> str:
        # `exec`, so that what is signalled is the command itself.
        command[-1] = re.sub(r"(^|; )(mr-telemetry )", r"\1exec \2", command[-1])
        with (self.folder / f"started-{len(self.started)}.log").open("w+") as log:
            process = subprocess.Popen(command, **how, stdout=log, stderr=log)
            self.started.append(process)
            deadline = time.monotonic() + LINE_TIMEOUT_S
            while not works(self):
                log.seek(0)
                assert process.poll() is None, f"{command[-1]} ended: {log.read()}"
                assert time.monotonic() < deadline, f"{command[-1]} does not work"
                time.sleep(0.1)
            log.seek(0)
            return log.read()

    def stop(self) -> None:
        """Press Ctrl-C where something still runs."""
        for process in reversed(self.started):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.started.clear()


@contextmanager
def terminal(folder: Path, environment: dict[str, str], **how: object) -> Iterator[Terminal]:
    """A terminal in a with-block, in which `mr-telemetry` is this checkout's."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    home = folder / ".home"
    home.mkdir()
    mine = {**environment, "PATH": path, "HOME": str(home)}
    mine.pop("MR_TELEMETRY_STORE", None)
    found = Terminal(folder, mine, **how)
    try:
        yield found
    finally:
        found.stop()
