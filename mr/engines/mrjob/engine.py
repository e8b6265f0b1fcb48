"""The mrjob engine: a planned job whose maps and reduces run by one of mrjob's runners.

What they leave is committed to the job's store as if workers of ours had done it, so that all that
follows (judging, publishing, the result, the report) is what every engine does.
"""

import logging
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrjob.job import MRJob
from mrjob.runner import MRJobRunner
from mrjob.step import StepFailedException

from mr import layout
from mr.commits import committed_tasks
from mr.ends import End, failed, read_end, write_end
from mr.engines.local import LocalObserver, run_here
from mr.engines.mrjob.collecting import Collector
from mr.engines.mrjob.parcel import Packed, write_parcel
from mr.engines.mrjob.tasks import TaskFailed
from mr.engines.mrjob.telemetry_job import ODD, TelemetryJob
from mr.errors import JobError, JobFailed, JobInterrupted, MrError, UsageError
from mr.plans import open_plan
from mr.scratch import scratch_folder
from mr.spec import JobSpec, line_blocks
from mr.store import Store
from mr.stores import is_local
from mr.wheel import own_wheel

#: Where mrjob can run a job.
RUNNERS = ("inline", "local", "hadoop", "emr", "dataproc", "spark")
#: Those that run on this machine.
HERE = ("inline", "local")


def split_arguments(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The inputs among the words of a command line, and mrjob's options with their values.

    Raises UsageError for an option that mrjob does not have.
    """
    # Of an option that stands alone it cannot be told what follows, but by mrjob's own parser.
    try:
        inputs = TelemetryJob([]).arg_parser.parse_intermixed_args(list(words)).args
    except ValueError as error:
        raise UsageError(f"mrjob says: {error}.") from None
    options, left = [], list(inputs)
    for word in words:
        if left and word == left[0]:
            left.pop(0)
        else:
            options.append(word)
    return tuple(inputs), options


@dataclass(frozen=True)
class Runner:
    """A runner of mrjob's, and its options as mrjob's command line has them."""

    name: str
    options: Sequence[str] = ()

    def check(self) -> None:
        """Raise UsageError for a runner or options that mrjob does not have."""
        if self.name not in RUNNERS:
            raise UsageError(f"-r {self.name}: mrjob's runners are {', '.join(RUNNERS)}.")
        self.job([])

    def job(self, arguments: Sequence[str]) -> TelemetryJob:
        """The job for these arguments of ours; raises UsageError where mrjob refuses any."""
        ours = ["-r", self.name, *arguments]
        if self.name == "spark" and "--spark-master" not in self.options:
            # On this machine its processes are to have what this one has.
            ours += ["--python-bin", sys.executable]
        if self.name in HERE:
            # Its folder below the system's one for such files; what it told stands above.
            ours += ["--cleanup-on-failure", "TMP"]
        try:
            return TelemetryJob([*ours, *self.options])
        except ValueError as error:
            raise UsageError(f"-r {self.name}: mrjob says: {error}.") from None


def run_by_mrjob(
    store: Store,
    runner: Runner,
    spec: JobSpec,
    observer: LocalObserver,
    *,
    workers: int,
    scratch: Path,
    quiet: bool = False,
) -> tuple[End, dict[str, Any]]:
    """Run a planned job to its end; returns the end and the report.

    What mrjob has not done, such as a reduce that nothing came for, is done here. Raises
    JobInterrupted at Ctrl-C.
    """
    since = time.monotonic()
    if read_end(store, spec.job) is None and not committed_tasks(store, spec.job):
        try:
            with scratch_folder(scratch) as folder, _plain(folder) as plain:
                packed = pack(store, runner, spec, plain)
                if packed.blocks:
                    _run_maps_and_reduces(store, runner, spec, packed, folder, quiet=quiet)
        except JobError as error:
            write_end(store, spec.job, failed(error))
        except KeyboardInterrupt:
            raise JobInterrupted(
                f"stopped; `mr-telemetry resume {spec.job}` runs the job anew, on this machine."
            ) from None
    return run_here(store, spec, workers=workers, scratch=scratch, observer=observer, since=since)


@contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """The folder, or one elsewhere: mrjob and Spark take names apart, and look for patterns."""
    if re.fullmatch(r"[\w./=+@~-]*", str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _run_maps_and_reduces(
    store: Store, runner: Runner, spec: JobSpec, packed: "Packing", folder: Path, *, quiet: bool
) -> None:
    collector = Collector(spec, folder)
    job = packed.job(runner, "--rows")
    with (
        _telling(job, quiet=quiet),
        _started(job, runner) as running,
        _explaining(runner),
        _ending_forks(),
    ):
        running.run()
        for line in _lines(running.cat_output()):
            collector.take(line)
    collector.commit(store, packed.firsts, packed.blocks)


def _started(job: TelemetryJob, runner: Runner) -> MRJobRunner:
    """The runner at work; raises UsageError where its settings, or what it needs, are amiss."""
    try:
        return job.make_runner()
    except MrError:
        raise
    except Exception as error:  # of mrjob, or of any library that it reads or asks with
        raise UsageError(f"-r {runner.name}: mrjob says: {_sentence(error)}.") from error


@contextmanager
def _explaining(runner: Runner) -> Iterator[None]:
    """Say in a sentence, as a JobFailed, what goes wrong with mrjob in a with-block."""
    try:
        yield
    except TaskFailed as error:
        raise JobFailed(f"the analysis failed at {error}") from None
    except MrError:
        raise
    except StepFailedException as error:
        # The command names every input, and there may be thousands.
        what = re.sub(r"Command '.*' (?=returned|died)", "its command ", _sentence(error))
        raise JobFailed(f"mrjob's -r {runner.name}: {what}; its log above has the cause.") from None
    except Exception as error:
        if runner.name == "inline" and not isinstance(error, OSError):
            raise  # it comes from our own code
        raise JobFailed(
            f"mrjob's -r {runner.name} cannot go on: {type(error).__name__}: {_sentence(error)}."
        ) from error


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or "no reason is given"


@contextmanager
def _ending_forks() -> Iterator[None]:
    """Let processes that mrjob forks end at SIGTERM at once, whatever this one does at it."""
    before, ours = signal.getsignal(signal.SIGTERM), os.getpid()
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        if os.getpid() == ours:
            before(number, frame)
        else:
            sys.exit(128 + number)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class Packing:
    """A job as mrjob gets it."""

    arguments: list[str]
    #: What mrjob's command line names as its input: blocks, or lists of them.
    inputs: list[str]
    #: Or else a file that names the blocks.
    manifest: Path | None
    #: The number of each split's first block, and of all blocks.
    firsts: list[int]
    blocks: int

    def job(self, runner: Runner, *more: str) -> TelemetryJob:
        """The job for mrjob; raises UsageError where mrjob refuses an option."""
        job = runner.job([*self.arguments, *more, *self.inputs])
        job.manifest = self.manifest
        return job


def pack(store: Store, runner: Runner, spec: JobSpec, folder: Path) -> Packing:
    """Write the parcel, and what names the blocks to mrjob."""
    remote = [url for url in spec.stores if not is_local(url)]
    is_listed = runner.name == "spark" or (runner.name in HERE and bool(remote))
    if remote and len(remote) < len(spec.stores) and not is_listed:
        raise JobFailed(
            f"-r {runner.name} takes blocks from this machine or from S3, not from both: "
            f"`mr-telemetry copy` brings those of this machine to S3."
        )
    inputs: list[str] = []
    uris: list[str] = []
    firsts: list[int] = []
    links, gone = folder / "blocks", folder / "gone"
    links.mkdir()
    gone.touch()
    packed: list[Packed] = []
    plan = open_plan(store, layout.plan_name(spec.job, layout.stage_id(1, "map")))
    for split, line in enumerate(plan.lines()):
        firsts.append(len(packed))
        listed = []
        for block, row in zip(line_blocks(line, spec), line["blocks"], strict=True):
            number = len(packed)
            uri = ""
            if is_listed:
                listed.append(f"{number:010d}\t{block.path}".replace("\n", " ") + "\n")
            elif remote:
                uri = block.path
                uris.append(_checked_uri(uri, runner))
            else:
                link = links / f"{number:010d}"
                # mrjob would not run without it; the task finds out, as of every engine.
                link.symlink_to(block.path if os.path.isfile(block.path) else gone)
                inputs.append(str(link))
            packed.append(Packed(number, uri, tuple(row)))
        if is_listed:
            path = folder / f"blocks-{split:07d}.txt"
            path.write_text("".join(listed), encoding="utf-8")
            inputs.append(str(path))
    parcel = folder / "parcel.sqlite"
    bundle = store.read(layout.bundle_name(spec.job))
    prepared = store.read(layout.prepared_name(spec.job))
    write_parcel(parcel, spec, bundle, prepared, packed)
    arguments = ["--parcel", str(parcel), "--code", spec.bundle, "--planned"]
    arguments += bootstrap(runner, spec, folder)
    if is_listed:
        arguments += ["--blocks", "listed"]
    manifest = None
    if uris:
        manifest = folder / "input-manifest.txt"
        manifest.write_text("".join(f"{uri}\n" for uri in uris), encoding="utf-8")
    return Packing(arguments, inputs, manifest, firsts, len(packed))


def bootstrap(runner: Runner, spec: JobSpec, folder: Path) -> list[str]:
    """Options that bring our Python and this very package to every node of EMR.

    Code travels as byte code, so it must be the same minor version of Python. The package goes
    from `folder`.
    """
    if runner.name != "emr":
        return []
    wheel = own_wheel(folder)
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # mrjob uploads what stands before a lone "#", and puts the copy's path in its place.
    install = f"sudo {python} -m pip install {shlex.quote(str(wheel))}#"
    commands = [
        f"sudo dnf install -y {python} {python}-pip",
        " ".join([install, *map(shlex.quote, spec.requirements)]),
    ]
    return ["--python-bin", python, *(word for c in commands for word in ("--bootstrap", c))]


def _checked_uri(uri: str, runner: Runner) -> str:
    """The URI, if mrjob's shell script can take it. Raises JobFailed."""
    if ODD.search(uri):
        raise JobFailed(
            f"{uri}: mrjob's -r {runner.name} cannot take a block of such a name; copy it to "
            "another, or leave it out by a filter."
        )
    return uri


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of chunks, of which an empty one ends a file."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n") if chunk else (rest, b"")
        yield from (line for line in whole if line)
    if rest:
        yield rest


@contextmanager
def _telling(job: MRJob, *, quiet: bool) -> Iterator[None]:
    """Let mrjob tell what it does, or only what went wrong, on standard error, in a with-block."""
    log = logging.getLogger("mrjob")
    level, handlers = log.level, list(log.handlers)
    job.set_up_logging(verbose=job.options.verbose, stream=sys.stderr)
    if quiet:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        log.handlers = handlers


def check_output(output: str, runner: Runner) -> None:
    """Raise UsageError for a place to publish that the runner's machines cannot reach."""
    if runner.name not in HERE and output and is_local(output):
        raise UsageError(
            f"{output} is on this machine, where -r {runner.name} cannot publish; "
            "name s3://BUCKET/PREFIX/."
        )
