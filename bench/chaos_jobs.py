"""The jobs of a chaos run (`chaos.py`): how each is begun, driven to its end, and compared."""

import json
import re
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from chaos_rig import BUCKET, ROOT, Counts, Servers, kill_group, start

sys.path.insert(0, str(ROOT / "tests"))

from published import content

TREE = f"s3://{BUCKET}/blocks"
#: What of a report does not depend on how the job went.
FACTS = (
    "state", "complete", "why_empty", "blocks", "records", "bad_records", "bad_record_places",
    "bad_blocks", "missing_blocks", "set_aside_blocks", "not_of_the_layout", "counters", "bytes",
    "pairs_mapped", "published",
)  # fmt: skip
#: Every job's options: killed children count as failures of their tasks.
ALWAYS = ("--max-bad-records", "100%", "--max-failures", 100_000)
#: How a job is coordinated.
MANNERS = ("run", "run, killed", "run, killed", "submit", "submit", "two at once")
#: Seconds after which a job must have ended.
JOB_S = 600.0
#: How often a command may end because S3 or SQS did not answer, before that is a problem.
MOST_GIVEN_UP = 20


@dataclass(frozen=True)
class Kind:
    """A job that is run over and over."""

    name: str
    arguments: tuple[str, ...]
    publishes: bool = False
    #: A parameter that makes tasks last, on the cluster.
    pause: tuple[str, ...] = ("--set", "pause_s=0.01")
    #: As many as it needs; 0 for any number.
    reducers: int = 0


KINDS = (
    Kind("every_hook", ("CODE/jobs/every_hook.py:EveryHook",)),
    Kind("combined", ("CODE/jobs/combined.py",)),
    Kind("histograms", ("histograms", "--filter", "filter.json"), True, pause=(), reducers=16),
    Kind("shelves", ("CODE/jobs/shelves.py",), True),
)
#: Histograms publish some 700 files for each channel and version, so only of one. A task that puts
#: a reducer's files in place begins anew after each kill, so it must have few.
FILTER = {"appUpdateChannel": "release", "appVersion": "22.0"}


class Stopped(Exception):
    """The run is at its end before this job is."""


class Difference(Exception):
    """Something is not as it must be."""


@dataclass(frozen=True)
class Answer:
    """What a job gave: its result, or the files it published, and the facts of its report."""

    result: dict[str, bytes]
    facts: dict[str, Any]

    def difference(self, other: "Answer") -> str:
        """Where another one differs, or nothing."""
        for mine, its in ((self.result, other.result), (self.facts, other.facts)):
            for name in sorted(mine.keys() | its.keys()):
                if mine.get(name) != its.get(name):
                    return f"{name}: {mine.get(name)!r:.300} is not {its.get(name)!r:.300}"
        return ""


def facts_of(report: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps({name: report[name] for name in FACTS})
    return json.loads(re.sub(r"\b\d{14}-", "", text))  # folders are named by the time


def files_of(kind: Kind, folder: Path) -> dict[str, bytes]:
    if kind.name == "histograms":
        return content(folder)
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass
class Run:
    """One chaos run: what every job needs."""

    folder: Path
    seed: int
    counts: Counts
    servers: Servers
    truths: dict[str, Answer] = field(default_factory=dict)

    def command(self, *arguments: object) -> list[object]:
        code = str(self.folder / "code")
        texts = (str(argument).replace("CODE", code) for argument in arguments)
        return [sys.executable, "-m", "mr.cli.main", *texts]

    def call(self, log: Path, *arguments: object, **environment: str) -> None:
        """Run a command past the proxies; it must succeed."""
        process = start(self.command(*arguments), log, self.servers.unharmed | environment)
        try:
            if process.wait(JOB_S):
                raise Difference(f"{' '.join(map(str, arguments))} failed; see {log}")
        finally:
            kill_group(process)

    def prepare(self, size: str) -> None:
        """Generate the blocks, copy them to S3, and let the local engine tell the truth of them."""
        (self.folder / "filter.json").write_text(json.dumps(FILTER))
        log, tree = self.folder / "prepare.log", self.folder / "blocks"
        damage = ("--bad-records", "0.5%", "--bad-blocks", "5%")
        sizes = ("--size", size, "--blocks", 48, "--record-size", "20KB", "--seed", self.seed)
        self.call(log, "generate", tree, *sizes, *damage)
        self.call(log, "copy", tree, TREE)
        for kind in KINDS:
            result, report = self.folder / f"truth-{kind.name}", self.folder / "truth-report.json"
            output = f"{result}/" if kind.publishes else result.with_suffix(".jsonl")
            options = ("-o", output, "--report", report, *ALWAYS)
            local = {"MR_TELEMETRY_STORE": str(self.folder / "local")}
            self.call(log, "run", *kind.arguments, TREE, *options, **local)
            found = files_of(kind, result) if kind.publishes else {"": output.read_bytes()}
            self.truths[kind.name] = Answer(found, facts_of(json.loads(report.read_text())))


# A job


class Job:
    """One job on the cluster, from the command that begins it to the comparison."""

    def __init__(self, run: Run, number: int) -> None:
        self.run = run
        self.kind = KINDS[number % len(KINDS)]
        self.random = Random(f"{run.seed}-{number}")
        self.manner = self.random.choice(MANNERS)
        self.name = f"{number:03d}-{self.kind.name}"
        self.folder = run.folder / "jobs" / self.name
        self.folder.mkdir(parents=True)
        (self.folder / "filter.json").write_text(json.dumps(FILTER))
        self.published = f"s3://{BUCKET}/published/{self.name}"
        #: The job's id, once it is known.
        self.id = ""
        self.planned = threading.Event()
        self.given_up = 0
        self.deadline = time.monotonic() + JOB_S

    def go(self) -> None:
        """Run it to its end, and compare."""
        names = ["first"]
        if self.manner == "two at once":
            names.append("second")
            with ThreadPoolExecutor(1) as other:
                second = other.submit(self._second)
                try:
                    self._drive("first")
                finally:
                    self.planned.set()
                second.result()
        elif self.manner == "submit":
            self._drive("first", self._submit)
            self._drive("first", self._fetch)
        else:
            kills = self.random.randint(1, 3) if self.manner == "run, killed" else 0
            self._drive("first", kills=kills)
        files = self._fetch_files() if self.kind.publishes else None
        for name in names:
            self._compare(name, files)
        self._count()

    def _second(self) -> None:
        self.planned.wait()
        if self.id:  # else the first one has failed
            self._drive("second")

    def _drive(self, name: str, command: Any = None, kills: int = 0) -> None:
        """Give a command until it has succeeded, after kills and when S3 or SQS were not there."""
        while True:
            chosen = command or (self._resume if self.id else self._begin)
            until = time.monotonic() + self.random.uniform(1, 20) if kills else self.deadline
            code = self._call(name, chosen(name), until)
            if code == 0:
                return
            if code is None:
                kills -= 1
                self.run.counts.add("kills of coordinators")
                continue
            self._give_up(name, code)

    def _call(self, name: str, command: list[object], until: float) -> int | None:
        """Run one command; None when it was killed because it lasted longer than that."""
        log = self.folder / f"{name}.log"
        with log.open("a") as out:
            out.write(f"$ {' '.join(map(str, command))}\n")
        process = start(self.run.command(*command), log, self.run.servers.harmed)
        try:
            while process.poll() is None:
                self._look_for_id(log)
                if self.run.counts.stop.is_set():
                    raise Stopped
                if time.monotonic() > self.deadline:
                    raise Difference(f"not ended after {JOB_S:.0f} s")
                if time.monotonic() > until:
                    return None
                time.sleep(0.1)
            return process.returncode
        finally:
            kill_group(process)
            process.wait()
            self._look_for_id(log)

    def _look_for_id(self, log: Path) -> None:
        if not self.id and (found := re.findall(r"^Job (\S+):", log.read_text(), re.MULTILINE)):
            self.id = found[-1]
            self.planned.set()

    def _give_up(self, name: str, code: int) -> None:
        """A command ended though nobody killed it: only for want of S3 or SQS may it."""
        said = (self.folder / f"{name}.log").read_text().splitlines()[-1]
        kept = "mr-telemetry resume" in said or re.search(r"cannot .*(s3://|queue)", said)
        self.given_up += 1
        if code != 1 or not kept or self.given_up > MOST_GIVEN_UP:
            raise Difference(f"exit code {code}: {said}")
        self.run.counts.add("commands that gave up, to be given again")
        print(f"  {self.name}: {said}", flush=True)

    # The commands

    def _asked(self) -> tuple[object, ...]:
        split = self.random.choice(["100KB", "250KB", "600KB"])
        reducers = self.kind.reducers or self.random.randint(1, 6)
        cut = ("--split-size", split, "--reducers", reducers)
        output = ("-o", f"{self.published}/") if self.kind.publishes else ()
        return (*self.kind.arguments, TREE, *output, *self.kind.pause, *cut, *ALWAYS)

    def _begin(self, name: str) -> list[object]:
        return ["run", *self._asked(), *self._result(name)]

    def _submit(self, name: str) -> list[object]:
        return ["submit", *self._asked()]

    def _resume(self, name: str) -> list[object]:
        return ["resume", self.id, *self._result(name)]

    def _fetch(self, name: str) -> list[object]:
        return ["fetch", self.id, "--wait", *self._result(name)]

    def _result(self, name: str) -> tuple[object, ...]:
        report = ("--report", self.folder / f"{name}.json")
        result = () if self.kind.publishes else ("-o", self.folder / f"{name}.jsonl")
        return (*report, *result)

    # What has come of it

    def _fetch_files(self) -> dict[str, bytes]:
        """What is published, fetched past the proxies."""
        target = self.folder / "published"
        self.run.call(self.folder / "copy.log", "copy", self.published, target)
        # A command that is killed as it tries the store's conditions leaves its probe.
        shutil.rmtree(target / "probes", ignore_errors=True)
        return files_of(self.kind, target)

    def _compare(self, name: str, files: dict[str, bytes] | None) -> None:
        found = {"": (self.folder / f"{name}.jsonl").read_bytes()} if files is None else files
        answer = Answer(found, facts_of(self.reports[name]))
        if difference := answer.difference(self.run.truths[self.kind.name]):
            raise Difference(f"{name}: {difference}")

    @cached_property
    def reports(self) -> dict[str, Any]:
        paths = self.folder.glob("*.json")
        return {p.stem: json.loads(p.read_text()) for p in paths if p.stem != "filter"}

    def _count(self) -> None:
        counts, report = self.run.counts, self.reports["first"]
        counts.add("jobs")
        counts.add(f"jobs by manner: {self.manner}")
        tasks, attempts = sum(report["tasks"].values()), report["attempts"]
        counts.add("tasks", tasks)
        for name, number in attempts.items():
            counts.add(f"attempts, as reports say: {name}", number)
        counts.add("attempts wasted (delivered, but not a task's commit)",
                   attempts["delivered"] - tasks)  # fmt: skip
        for name, number in report["requests"]["counts"].items():
            counts.add(f"requests of {name.partition('.')[0]}", number)
