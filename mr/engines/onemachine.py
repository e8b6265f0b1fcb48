"""A cluster on this machine: the servers and some workers, each a process; stops clean."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mr.aws.emulator import emulator, make_bucket, settings_for
from mr.errors import UsageError
from mr.parents import end_with_parent
from mr.text import shell_exports

BUCKET = "mr-telemetry"
QUEUE = "mr-telemetry"
#: Seconds that a worker has to leave.
LEAVE_S = 60.0


@dataclass(frozen=True)
class LocalCluster:
    """A running cluster: the environment by which every command uses it, and its workers.

    folder: where its data and its logs lie.
    """

    settings: Mapping[str, str]
    workers: list[subprocess.Popen]
    folder: Path

    @property
    def bucket(self) -> str:
        """Where input may be copied to: the URL of its bucket."""
        return f"s3://{BUCKET}"

    @property
    def store(self) -> str:
        """Where its jobs live."""
        return self.settings["MR_TELEMETRY_STORE"]

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self.settings["MR_TELEMETRY_QUEUE"]

    def exports(self) -> str:
        """The settings as lines for a shell."""
        return shell_exports(self.settings)


@contextmanager
def local_cluster(
    folder: Path | None, workers: int, *, port: int | None = None, options: tuple[str, ...] = ()
) -> Iterator[LocalCluster]:
    """Run a cluster in a with-block; what it stores lies in `folder`, and so do its logs.

    Without a folder all of it is gone at the end. `options` go to each worker. Raises UsageError
    when the servers are not installed or do not start.
    """
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mr-")))
        stack.enter_context(_alone(folder))
        url = stack.enter_context(emulator(folder, port))
        make_bucket(url, BUCKET)
        settings = {
            **settings_for(url),
            "MR_TELEMETRY_STORE": f"s3://{BUCKET}/jobs",
            "MR_TELEMETRY_QUEUE": QUEUE,
        }
        running: list[subprocess.Popen] = []
        stack.callback(_end, running)
        for number in range(1, workers + 1):
            running.append(start_worker(folder / f"worker-{number}.log", settings, options))
        yield LocalCluster(settings, running, folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder, in which two servers would spoil each other's files. Raises UsageError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder} is in use by another local cluster; stop it, or name another folder."
            ) from None
        yield


def start_worker(
    log: Path, settings: Mapping[str, str], options: tuple[str, ...] = ()
) -> subprocess.Popen:
    """Start one worker process, with one task at a time unless told otherwise."""
    command = [sys.executable, "-m", "mr.cli.main", "worker", "--processes", "1", *options]
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C is for us to hand on, in our order
            preexec_fn=end_with_parent,
        )


def _end(workers: list[subprocess.Popen]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        try:
            worker.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
