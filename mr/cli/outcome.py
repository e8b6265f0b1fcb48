"""What a command does once its job has ended: the result, the report, one line of summary."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mr import layout
from mr.assembly import write_pieces
from mr.commits import read_commit
from mr.ends import End, EndState, failure_of
from mr.engines.choice import Engine
from mr.errors import (
    JobFailed,
    JobInterrupted,
    MrError,
    ObjectExists,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from mr.heartbeat import alive
from mr.parts import parts_of, read_result
from mr.plans import open_plan
from mr.profiles import told_profile
from mr.progress import Display
from mr.report import summary
from mr.results import (
    FORMATS,
    check_output,
    format_of,
    whole_file,
    write_items,
)
from mr.scratch import scratch_folder
from mr.spec import JobSpec
from mr.store import Store
from mr.stores import open_store, split_url
from mr.text import counted

#: Endings of results that no block has, not even one of plain text.
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
#: The file in a folder of result parts that says whose they are.
CLAIM = "_job"


@dataclass(frozen=True)
class Output:
    """Where the result goes, in which format (None: by the ending), and where the report does."""

    place: str
    format: str | None
    report: str | None
    #: Whether the analysis publishes files: to a folder, or as one document.
    publishes: bool = False

    @property
    def prints(self) -> bool:
        """Whether the result goes to standard output."""
        # A pipe's name cannot be opened everywhere, but we hold it open already.
        return self.place in ("-", "/dev/stdout")

    @property
    def is_url(self) -> bool:
        """Whether the result goes to a store that is named by its URL."""
        return "://" in self.place

    @property
    def is_folder(self) -> bool:
        """Whether the result goes to a folder, as parts."""
        if self.prints:
            return False
        if self.is_url:
            return self.place.endswith("/") or (self.publishes and not Path(self.place).suffix)
        named = self.publishes and not Path(self.place).suffix and not Path(self.place).exists()
        return self.place.endswith("/") or Path(self.place).is_dir() or named

    @property
    def folder(self) -> str | None:
        """The folder to publish to; None where one document is wanted."""
        return self.place if self.is_folder else None

    def format_for(self, spec: JobSpec | None = None) -> str:
        """The format's name; a script's result prints as text."""
        default = "text" if spec is not None and spec.is_script else "jsonl"
        if self.publishes:
            default = "json"
        if self.format is not None:
            return self.format
        return default if self.prints or self.is_folder else format_of(self.place, default)

    def check_inputs(self, inputs: Sequence[str]) -> None:
        """Raise UsageError where a result would lie in an input, or an input looks like one."""
        for text in inputs:
            if text.lower().endswith(TABLE_ENDINGS):
                raise UsageError(f"{text} is no block; to write the result there: -o {text}")
            if (
                not self.prints
                and not self.is_url
                and Path(self.place).resolve().is_relative_to(Path(text).resolve())
            ):
                raise UsageError(
                    f"-o {self.place} lies in the input {text}; write the result elsewhere."
                )

    def check_for(self, spec: JobSpec) -> None:
        """Raise UsageError for what cannot be had of a job that is planned already."""
        if spec.output and not spec.document and self.place != "-":
            raise UsageError(f"job {spec.job} publishes to {spec.output}; leave -o out.")
        if spec.document and self.is_folder:
            raise UsageError(
                f"job {spec.job} makes one document: name a file.json, or - to print it."
            )
        self.check()

    def check(self) -> None:
        """Raise UsageError for what cannot be written: before a long job, not after it."""
        if self.format is not None and self.format not in FORMATS:
            raise UsageError(f"--format {self.format}: there are {', '.join(FORMATS)}.")
        if not self.place:
            raise UsageError("--output: it is empty; name a file, a folder, or - to print.")
        if self.place.lower().startswith("file:"):
            raise UsageError(
                f"--output {self.place}: name a file or a folder of this machine by its path."
            )
        if self.is_url:
            target = open_store(self.place) if self.is_folder else split_url(self.place)[0]
            next(iter(target.list()), None)  # a bucket that is not there says so now
        elif self.is_folder and Path(self.place).is_file():
            raise UsageError(
                f"cannot write to {self.place.rstrip('/')}: it is a file; name a folder."
            )
        if self.publishes and self.format_for() != "json":
            raise UsageError(
                "this analysis publishes files: name a folder (-o FOLDER/), a file.json for one "
                "document, or - to print that."
            )
        if self.is_folder and self.publishes:
            if not self.is_url:
                check_folder(Path(self.place))
        elif self.is_folder:
            check_claim(open_store(self.place), None)
        elif not self.prints and not self.is_url:
            check_output(self.place, self.format_for())
        if self.report is not None:
            check_report(self.report)


def check_report(path: str) -> None:
    """Raise UsageError for a report that cannot be written: before a long job, not after it."""
    if path in ("", "-"):
        raise UsageError(f"--report {path!r}: name a file; only the result can be printed.")
    target = Path(path).absolute()
    if target.is_dir():
        raise UsageError(f"--report {path}: it is a folder; name a file in it.")
    if not target.parent.is_dir():
        raise UsageError(f"--report {path}: there is no folder {target.parent}; create it first.")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise UsageError(f"--report {path}: no permission to write there; choose another place.")


def write_json(path: str, report: dict[str, Any]) -> None:
    """Write a report; raises StoreUnavailable when the disk does not take it."""
    try:
        Path(path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreUnavailable(f"--report {path}: cannot be written: {error.strerror}.") from None


def introduction(store: Store, spec: JobSpec) -> str:
    """A planned job in a sentence: with its id a person can go on, whatever becomes of us."""
    plan = open_plan(store, layout.plan_name(spec.job, layout.stage_id(1, "map")))
    selected, size = spec.listing["selected"], spec.listing["bytes"] / 1e6
    splits = plan.tasks if plan is not None else 0
    if spec.states:
        states = counted(len(spec.states), "state")
        return f"Job {spec.job}: {states} of {counted(selected, 'block')}."
    return (
        f"Job {spec.job}: {counted(selected, 'block')}, {size:,.1f} MB in "
        f"{counted(splits, 'split')}."
    )


def run_and_finish(
    engine: Engine, spec: JobSpec, output: Output, *, quiet: bool, profile: bool = False
) -> None:
    """Run a planned job to its end and give its result; nobody cleans it away meanwhile."""
    with alive(engine.store, spec.job):
        with Display(spec.listing["bytes"], quiet=quiet or engine.tells) as display:
            end, report = engine.run(spec, display)
        finish(
            engine.store,
            engine.scratch,
            spec,
            end,
            report,
            output,
            quiet=quiet,
            profile=profile,
            workers=engine.settings.workers,
        )


def finish(
    store: Store,
    scratch: Path,
    spec: JobSpec,
    end: End,
    report: dict[str, Any],
    output: Output,
    *,
    quiet: bool,
    profile: bool = False,
    workers: int = 1,
) -> None:
    """Write the report, then the result, by up to so many processes; raises for a job that failed.

    With `profile`, or where the job was made with it, tells where the time went.
    """

    def tell_profile() -> None:
        if profile or spec.profile:
            click.echo(told_profile(store, spec, report, Path()), err=True)

    if output.report is not None:
        write_json(output.report, report)
    if end.state is not EndState.DONE:
        tell_profile()
        raise failure_of(end)
    try:
        write_result(store, scratch, spec, output, workers)
    except KeyboardInterrupt:
        raise JobInterrupted(
            "stopped while the result was being written. The job is done and its result is kept: "
            f"`mr-telemetry resume {spec.job} -o OUTPUT` writes it."
        ) from None
    except MrError as error:
        raise JobFailed(
            f"{str(error).rstrip('.')}. The job is done and its result is kept: "
            f"`mr-telemetry resume {spec.job} -o OUTPUT` writes it elsewhere."
        ) from error
    if not quiet:
        click.echo(summary(report), err=True)
        if report["published"]:
            click.echo(report["published"], err=True)
    tell_profile()


def write_result(store: Store, scratch: Path, spec: JobSpec, output: Output, workers: int) -> None:
    """Write the result of a job that is done to where the person wants it."""
    if spec.output:
        if spec.document:
            write_document(store, spec, output)
        return
    name = output.format_for(spec)
    with scratch_folder(scratch) as folder:
        if output.prints:
            out = sys.stdout.buffer
            write_items(lambda: read_result(store, spec, folder), name, out, spec.columns)
            sys.stdout.buffer.flush()
        elif output.is_folder:
            write_parts(store, spec, open_store(output.place), name, folder, workers)
        elif output.is_url:
            target, key = split_url(output.place)
            with target.create(key) as file:
                write_pieces(
                    file, store, parts_of(store, spec), name, folder, workers, spec.columns
                )
        else:
            check_output(output.place, name)
            with whole_file(output.place) as file:
                write_pieces(
                    file, store, parts_of(store, spec), name, folder, workers, spec.columns
                )


def write_document(store: Store, spec: JobSpec, output: Output) -> None:
    """Write what a job published as its one document."""
    task = layout.task_id(layout.stage_id(len(spec.steps), "publish"), 0)
    attempt = read_commit(store, spec.job, task).attempt
    with store.open(layout.result_name(spec.job, task, attempt)) as document:
        if output.prints:
            shutil.copyfileobj(document, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif output.is_url:
            target, key = split_url(output.place)
            with target.create(key) as file:
                shutil.copyfileobj(document, file)
        else:
            with whole_file(output.place) as file:
                shutil.copyfileobj(document, file)


def write_parts(
    store: Store, spec: JobSpec, target: Store, name: str, folder: Path, workers: int
) -> None:
    """Write each part of the result as an object of its own; each is sorted by key."""
    check_claim(target, spec.job)
    ending = FORMATS[name][0]
    for number, part in enumerate(parts_of(store, spec).alone()):
        with target.create(f"part-{number:05d}{ending}") as out:
            write_pieces(out, store, part, name, folder, workers, spec.columns)


def check_folder(folder: Path) -> None:
    """Raise UsageError for a folder that cannot be published to: before a long job, not after."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"cannot publish to {folder}: {place} is a file; name a folder.")
    if not os.access(place, os.W_OK):
        raise UsageError(f"cannot publish to {folder}: no permission to write to {place}.")


def check_claim(target: Store, job: str | None) -> None:
    """Claim a folder for one job's parts; with no job only look whether it could be.

    Raises UsageError when it holds another job's parts: the two would mix.
    """
    try:
        if job is not None and not _foreign(target):
            # Of two jobs at once only one can create it.
            with suppress(ObjectExists):
                target.write(CLAIM, f"{job}\n".encode(), if_absent=True)
        claimed = target.stat(CLAIM) is not None
        owner = target.read(CLAIM).decode("utf-8", "replace").strip() if claimed else None
        if (claimed and owner != job) or _foreign(target):
            what = f"the result parts of {owner}" if owner else "other things"
            raise UsageError(f"{target.url} holds {what}; name an empty folder for these parts.")
    except StoreError as error:
        raise UsageError(f"cannot write to {target.url}: {error}") from None


def _foreign(target: Store) -> bool:
    """Whether something is there, and nobody has claimed the place for parts."""
    return target.stat(CLAIM) is None and next(iter(target.list()), None) is not None
