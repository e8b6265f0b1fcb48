"""A cluster for a test of faults: its own queue and folder of S3, coordinators and workers.

Coordinators and workers run in this process, where a test can time what happens to them, or as
processes of their own, which it can kill.
"""

import io
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND_TIMEOUT_S, JOBS, Answer, run_command

from mr import layout
from mr.aws.emulator import make_bucket
from mr.aws.s3 import S3Store
from mr.aws.sqs import BATCH, SqsQueue, _decode
from mr.commits import committed_tasks, read_commit, read_failures
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.ends import End, EndState
from mr.engines import cluster, serving
from mr.engines.cluster import Unheard, run_on_cluster
from mr.engines.local import run_here
from mr.engines.onemachine import start_worker
from mr.engines.serving import Service, serve
from mr.generate import generate
from mr.launch import Request, prepare_job
from mr.loading import load_analysis
from mr.logs import LogLine, read_logs
from mr.parts import read_result
from mr.progress import Display
from mr.results import write_items
from mr.spec import JobSpec
from mr.store import Store
from mr.taskqueue import TaskQueue

BUCKET = "faults"
#: What of a report does not depend on how a job went.
SAME = ("records", "blocks", "bytes", "counters", "pairs_mapped", "complete")
#: Each block is a split, and reduces are two.
SMALL = {"split_size": 20_000, "reducers": 2}


@dataclass(frozen=True)
class Quiet:
    """How a job goes without faults: the bytes of its result, and its report."""

    result: bytes
    report: dict[str, Any]


@pytest.fixture(name="small_tree", scope="session")
def small_tree_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of 1.5 MB: some twenty blocks, of one or two records each."""
    path = tmp_path_factory.mktemp("small") / "blocks"
    generate(path, size=1_500_000, seed=3)
    return path


@pytest.fixture(name="quiet", scope="session")
def quiet_fixture(
    small_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Quiet]:
    """How a job of `tests/jobs` goes on this machine."""
    folder = tmp_path_factory.mktemp("quiet")
    store = DirectoryStore(folder)

    @cache
    def run(job: str) -> Quiet:
        spec = plan(store, small_tree, job)
        end, report = run_here(
            store, spec, workers=2, scratch=folder / "scratch", observer=Display(0, quiet=True)
        )
        assert end.state is EndState.DONE
        return Quiet(result_of(store, spec, folder), report)

    return run


def plan(
    store: Store,
    tree: Path | str,
    job: str,
    *,
    parameters: dict[str, Any] | None = None,
    request: dict[str, Any] | None = None,
    **settings: Any,
) -> JobSpec:
    """A planned job of `tests/jobs`, as NAME or NAME:CLASS."""
    name, _, class_ = job.partition(":")
    named = f"{JOBS / name}.py" + (class_ and f":{class_}")
    asked = Request(
        load_analysis(named), named, [str(tree)], parameters=parameters or {}, **(request or {})
    )
    return prepare_job(asked, replace(load_settings(), **{**SMALL, **settings}), store)[0]


def result_of(store: Store, spec: JobSpec, folder: Path) -> bytes:
    """The result of a job that is done, as `run` prints it."""
    out = io.BytesIO()
    write_items(lambda: read_result(store, spec, folder), "jsonl", out)
    return out.getvalue()


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that run user code for a worker."""
    found = []
    with suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def signal_all(pid: int, number: int) -> None:
    """Send a worker and the processes that run user code for it a signal."""
    for one in (pid, *children(pid)):
        with suppress(ProcessLookupError):
            os.kill(one, number)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Heard(Unheard):
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self.commits: list[str] = []

    def committed(self, commit) -> None:
        self.commits.append(commit.task)

    def trouble(self, text) -> None:
        self.troubles.append(text)


class Coordinator(threading.Thread):
    """A coordinator in this process; `end` and `report` wait for it."""

    def __init__(self, run: Callable[..., tuple[End, dict]], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.heard = Heard()
        self._conduct = run
        self._stop_it = stop
        self._answer: tuple[End, dict] | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._conduct(self.heard, stop=self._stop_it)
        except BaseException as error:
            self._error = error

    def stop(self) -> None:
        """Stop, and leave the job as it is."""
        self._stop_it.set()
        self.join()

    def _wait(self) -> tuple[End, dict]:
        self.join(COMMAND_TIMEOUT_S / 2)
        assert not self.is_alive(), f"the job never ended: {self.heard.troubles}"
        if self._error is not None:
            raise self._error
        return self._answer

    @property
    def end(self) -> End:
        """How the job ended."""
        return self._wait()[0]

    @property
    def report(self) -> dict[str, Any]:
        """The job's report."""
        return self._wait()[1]


class Rig:
    """The cluster of one test."""

    def __init__(
        self,
        environment: dict[str, str],
        folder: Path,
        tree: str,
        local_tree: Path,
        quiet: Callable[[str], Quiet],
    ) -> None:
        self.environment = environment
        self.folder = folder
        #: The blocks in S3, and where they come from.
        self.tree = tree
        self.local_tree = local_tree
        self.quiet = quiet
        self._processes: list[subprocess.Popen] = []
        self._stops: list[threading.Event] = []
        self._logs = 0

    @property
    def store(self) -> S3Store:
        """Where its jobs lie."""
        return S3Store(self.environment["MR_TELEMETRY_STORE"])

    @property
    def queue(self) -> "Readable":
        """Its queue."""
        return Readable.open(self.environment["MR_TELEMETRY_QUEUE"])

    def plan(self, job: str = "every_hook", pause_s: float = 0.0, **settings: Any) -> JobSpec:
        """A planned job that pauses at each record; see the function."""
        parameters = {"pause_s": pause_s, **settings.pop("parameters", {})} if pause_s else None
        return plan(self.store, self.tree, job, parameters=parameters, **settings)

    def coordinate(self, spec: JobSpec, queue: TaskQueue | None = None) -> Coordinator:
        """Coordinate a job from here."""
        stop = threading.Event()
        self._stops.append(stop)
        return Coordinator(partial(run_on_cluster, self.store, queue or self.queue, spec), stop)

    @contextmanager
    def serve(
        self, processes: int = 1, queue: TaskQueue | None = None, name: str = "", **service: Any
    ) -> Iterator[list[LogLine]]:
        """Work for its queue from this process; gives the lines of the attempts as they come."""
        lines: list[LogLine] = []
        stop = threading.Event()
        chosen = Service(**{"processes": processes, "scratch": self.folder / "scratch", **service})
        thread = threading.Thread(
            target=serve,
            args=(self.store, queue or self.queue, chosen),
            kwargs={"stop": stop, "show": lines.append},
            name=name or None,
            daemon=True,
        )
        thread.start()
        try:
            yield lines
        finally:
            stop.set()
            thread.join(COMMAND_TIMEOUT_S)
            assert not thread.is_alive()

    def worker(self, *options: str, **environment: str) -> subprocess.Popen:
        """Work for its queue in another process, the leader of a group of its own."""
        self._logs += 1
        log = self.folder / f"worker-{self._logs}.log"
        process = start_worker(log, {**self.environment, **environment}, options)
        process.log = log
        self._processes.append(process)
        return process

    def start(self, *arguments: object, folder: Path | None = None) -> subprocess.Popen:
        """A command that runs while the test goes on."""
        process = subprocess.Popen(
            [sys.executable, "-m", "mr.cli.main", *map(str, arguments)],
            cwd=folder or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def command(self, *arguments: object) -> Answer:
        """Run a command to its end."""
        return run_command(arguments, self.environment, self.folder)

    def committed(self, spec: JobSpec | str, stage: str = "") -> int:
        """How many tasks are committed."""
        return len(committed_tasks(self.store, getattr(spec, "job", spec), stage))

    def lent(self) -> int:
        """How many messages somebody holds."""
        queue = self.queue
        answer = queue._client.get_queue_attributes(
            QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"])

    def result(self, spec: JobSpec) -> bytes:
        """The result of a job that is done."""
        return result_of(self.store, spec, self.folder)

    def logs(self, spec: JobSpec) -> list[LogLine]:
        """What workers told of the attempts, once they have written it."""
        return list(read_logs(self.store, spec.job))

    def failures(self, spec: JobSpec | str) -> list:
        """The counted failures."""
        return list(read_failures(self.store, getattr(spec, "job", spec)))

    def names(self, prefix: str) -> set[str]:
        """The names under a prefix."""
        return {entry.name for entry in self.store.list(prefix)}

    def check_same(self, spec: JobSpec, end: End, report: dict[str, Any], job: str) -> None:
        """Check that a job gave what it gives without faults, and left nothing of lost attempts."""
        quiet = self.quiet(job)
        assert end == End(EndState.DONE)
        assert self.result(spec) == quiet.result
        assert len(quiet.result) > 100
        assert {name: report[name] for name in SAME} == {name: quiet.report[name] for name in SAME}
        assert report["attempts"]["delivered"] >= sum(report["tasks"].values())

    def check_tidy(self, spec: JobSpec) -> None:
        """Check that of each part of the result, and of nothing else, there is one."""
        parts = f"{layout.job_prefix(spec.job)}results/"
        found = {name[len(parts) :].partition("/")[0] for name in self.names(parts)}
        assert len(found) == len(self.names(parts))
        for task in found:
            attempt = read_commit(self.store, spec.job, task).attempt
            assert self.store.stat(layout.result_name(spec.job, task, attempt)) is not None
        assert self.names(layout.runs_prefix(spec.job)) == set()

    def close(self) -> None:
        """End every process and coordinator that is left."""
        for stop in self._stops:
            stop.set()
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture(name="s3_tree", scope="session")
def s3_tree_fixture(ministack, small_tree: Path, tmp_path_factory) -> str:
    """The small tree in S3."""
    make_bucket(ministack.url, BUCKET)
    url = f"s3://{BUCKET}/trees/small"
    environment = {**os.environ, **ministack.environment}
    copied = run_command(("copy", small_tree, url), environment, tmp_path_factory.mktemp("copy"))
    assert copied.code == 0, copied.err
    return url


@pytest.fixture(name="rig")
def rig_fixture(
    ministack, s3_tree: str, small_tree: Path, quiet, tmp_path, monkeypatch
) -> Iterator[Rig]:
    """A fresh queue and a fresh folder, in the environment of this process too."""
    name = f"t{secrets.token_hex(6)}"
    environment = {
        **ministack.environment,
        "MR_TELEMETRY_STORE": f"s3://{BUCKET}/{name}",
        "MR_TELEMETRY_QUEUE": name,
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for variable, text in environment.items():
        monkeypatch.setenv(variable, text)
    # What a fleet takes its time for is to happen soon.
    monkeypatch.setattr(serving, "SIGN_S", 0.3)
    monkeypatch.setattr(serving, "TICK_S", 0.05)
    monkeypatch.setattr(serving, "POLL_S", 1.0)
    monkeypatch.setattr(cluster, "POLL_S", 1.0)
    rig = Rig({**os.environ, **environment}, tmp_path, s3_tree, small_tree, quiet)
    yield rig
    rig.close()


def read_dead(queue: SqsQueue, most: int = BATCH) -> list[tuple[bytes, str]]:
    """Some dead letters (ten at most) as (body, reason), which are left where they are.

    The reason is "" where SQS itself, or somebody else, put a message aside.
    """
    if queue.dead is None:
        return []
    answer = queue._client.receive_message(
        QueueUrl=queue.dead.url,
        MaxNumberOfMessages=most,
        WaitTimeSeconds=1,  # so that all of SQS's machines are asked
        VisibilityTimeout=1,
        MessageAttributeNames=["reason"],
    )
    return [
        (
            _decode(given.get("Body", "")),
            given.get("MessageAttributes", {}).get("reason", {}).get("StringValue", ""),
        )
        for given in answer.get("Messages", [])
    ]


class Readable(SqsQueue):
    """Shows its dead letters."""

    def read_dead(self) -> list[tuple[bytes, str]]:
        """See the function."""
        return read_dead(self)


class Twice(SqsQueue):
    """Has every message twice."""

    sent = 0

    def send(self, bodies) -> None:
        self.sent += len(bodies)
        super().send([body for body in bodies for _ in range(2)])


class HeldUp(SqsQueue):
    """Gives its first message when its lease is over."""

    held_up = 0

    def receive(self, **options):
        messages = super().receive(**options)
        if messages and not self.held_up:
            self.held_up += 1
            time.sleep(options["lease_s"] + 0.5)
        return messages
