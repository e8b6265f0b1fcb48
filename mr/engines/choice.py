"""Choosing the engine: by its name, or by where jobs are kept."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mr.config import Settings
from mr.directory import DirectoryStore
from mr.ends import End
from mr.engines.local import LocalObserver, run_here
from mr.errors import UsageError
from mr.launch import Request, publishes
from mr.queues import open_queue
from mr.scratch import scratch_root
from mr.spec import JobSpec
from mr.store import Store
from mr.stores import open_store
from mr.taskqueue import TaskQueue

#: Runs a planned job to its end: the end, and the report.
Run = Callable[[JobSpec, LocalObserver], tuple[End, dict[str, Any]]]


@dataclass(frozen=True)
class Engine:
    """Where a job runs."""

    name: str
    store: Store
    #: Local disk for what must be spilled.
    scratch: Path
    #: What was asked for, and for so many workers as there are.
    settings: Settings
    run: Run
    #: Whether it tells itself how a job goes.
    tells: bool = False
    #: Raises UsageError for a request that it could not carry out, before it is planned.
    check: Callable[[Request], None] = lambda request: None


def choose_engine(
    settings: Settings,
    runner: str | None = None,
    options: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> Engine:
    """The engine that settings ask for. Raises UsageError for settings that go ill together.

    Of mrjob's engine, `runner` is one of mrjob's, and `options` are those of its command line.
    """
    store = open_store(settings.store)
    name = engine_name(settings, store)
    if name != "mrjob" and (runner is not None or options):
        raise UsageError(
            f"{options[0]}: no such option." if options else "-r: is for --engine mrjob."
        )
    if name != "cluster":
        if not isinstance(store, DirectoryStore):
            raise UsageError(
                f"--store {settings.store}: the {name} engine keeps its jobs in a directory; name "
                "one, or --engine cluster."
            )
        scratch = scratch_root(store, settings.scratch)
        if name == "mrjob":
            run, check = _mrjob(store, settings.workers, scratch, runner, options, quiet)
            return Engine(name, store, scratch, settings, run, tells=True, check=check)
        run = partial(_run_here, store, settings.workers, scratch)
        return Engine(name, store, scratch, settings, run)
    from mr.engines.cluster import fleet_size

    queue = open_cluster_queue(settings, store)
    sized = settings.sized(fleet_size(store))
    run = partial(_run_on_cluster, store, queue)
    return Engine("cluster", store, scratch_root(store, settings.scratch), sized, run)


def engine_name(settings: Settings, store: Store) -> str:
    """The engine's name: what was asked for, or else what goes with the store."""
    return settings.engine or ("local" if isinstance(store, DirectoryStore) else "cluster")


def open_cluster_queue(settings: Settings, store: Store) -> TaskQueue:
    """The queue of a cluster whose jobs lie in this store. Raises UsageError."""
    if isinstance(store, DirectoryStore):
        raise UsageError(
            f"--store {settings.store}: a cluster keeps its jobs in S3, where every worker can "
            "reach them; name s3://BUCKET/PREFIX."
        )
    if not settings.queue:
        raise UsageError(
            "--queue: a cluster needs a queue; give the name of one (it is made if it is missing), "
            "or set MR_TELEMETRY_QUEUE."
        )
    return open_queue(settings.queue)


def _run_here(
    store: Store, workers: int, scratch: Path, spec: JobSpec, observer: LocalObserver
) -> tuple[End, dict[str, Any]]:
    return run_here(store, spec, workers=workers, scratch=scratch, observer=observer)


def _mrjob(
    store: Store,
    workers: int,
    scratch: Path,
    name: str | None,
    options: Sequence[str],
    quiet: bool,
) -> tuple[Run, Callable[[Request], None]]:
    try:
        from mr.engines.mrjob.engine import Runner, check_output, run_by_mrjob
    except ImportError as error:
        old = "" if sys.version_info < (3, 13) else " (which no Python after 3.12 can import)"
        raise UsageError(
            f"--engine mrjob needs mrjob{old}: pip install 'mr-telemetry[mrjob]' ({error})."
        ) from None
    runner = Runner(name or "inline", tuple(options))
    runner.check()

    def check(request: Request) -> None:
        if publishes(request.analysis):
            check_output(request.output or store.url, runner)

    def run(spec: JobSpec, observer: LocalObserver) -> tuple[End, dict[str, Any]]:
        check_output(spec.output, runner)
        return run_by_mrjob(
            store, runner, spec, observer, workers=workers, scratch=scratch, quiet=quiet
        )

    return run, check


def _run_on_cluster(
    store: Store, queue: TaskQueue, spec: JobSpec, observer: LocalObserver
) -> tuple[End, dict[str, Any]]:
    from mr.engines.cluster import run_on_cluster

    return run_on_cluster(store, queue, spec, observer)
