"""Where a job's time went: of each worker by stage of the work, and of each task by function."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mr import layout
from mr.commits import Commit, committed_tasks, read_commits
from mr.errors import StoreUnavailable, UsageError
from mr.spec import PROFILES, JobSpec
from mr.stopwatch import STAGES, Spent, add_spent
from mr.store import Store
from mr.text import counted

#: Workers that are shown, those that were at it longest; and columns that stand beside each other.
WORKERS_SHOWN, COLUMNS = 12, 4
#: Characters of a column: seconds, and MB/s.
SECONDS_WIDTH, RATE_WIDTH, STAGE_WIDTH = 9, 8, 11


def profile_report(commits: Iterable[Commit]) -> dict[str, Any]:
    """What the committed attempts spent by stage, of each worker and in all, as JSON values."""
    total: dict[str, Spent] = {}
    workers: dict[str, dict[str, Spent]] = {}
    tasks: dict[str, int] = {}
    for commit in commits:
        add_spent(total, commit.profile)
        add_spent(workers.setdefault(commit.worker, {}), commit.profile)
        tasks[commit.worker] = tasks.get(commit.worker, 0) + 1
    # By length first: worker-2 comes before worker-10.
    names = sorted(workers, key=lambda name: (len(name), name))
    return {
        "total": _shown(total, sum(tasks.values())),
        "workers": {name: _shown(workers[name], tasks[name]) for name in names},
    }


def _shown(spent: Mapping[str, Spent], tasks: int) -> dict[str, Any]:
    return {
        "tasks": tasks,
        "seconds": round(sum(one.seconds for one in spent.values()), 6),
        "stages": {
            name: {
                "seconds": round(spent[name].seconds, 6),
                "bytes": spent[name].bytes,
                "mb_per_s": _rate(spent[name]),
            }
            for name in STAGES
            if name in spent
        },
    }


def _rate(spent: Spent) -> float | None:
    """MB/s; None where nothing went through the stage, or in no time."""
    if not spent.bytes or not spent.seconds:
        return None
    return round(spent.bytes / 1e6 / spent.seconds, 3)


def profile_table(profile: Mapping[str, Any]) -> str:
    """The `profile` of a report as a table: stages below each other, workers side by side."""
    workers: dict[str, Any] = profile["workers"]
    longest = sorted(workers, key=lambda name: -workers[name]["seconds"])[:WORKERS_SHOWN]
    columns = {name: workers[name] for name in workers if name in longest}
    if len(workers) > 1:
        columns = {f"all {len(workers):,} workers": profile["total"], **columns}
    lines = ["Where the time of the tasks went, in seconds and MB/s:"]
    titles = list(columns)
    for start in range(0, len(titles), COLUMNS):
        lines += ["", *_rows(titles[start : start + COLUMNS], columns)]
    if len(workers) > WORKERS_SHOWN:
        left = counted(len(workers) - WORKERS_SHOWN, "worker")
        lines += ["", f"{left} that took less time: see --report."]
    return "\n".join(lines)


def _rows(titles: Sequence[str], columns: Mapping[str, Any]) -> Iterator[str]:
    width = SECONDS_WIDTH + RATE_WIDTH
    yield _row("", (_fitting(title, width - 2).rjust(width) for title in titles))
    found = [columns[title] for title in titles]
    yield _row("tasks", (f"{one['tasks']:>{SECONDS_WIDTH},}".ljust(width) for one in found))
    for name in STAGES:
        # All tables have the rows of the first, which is of all workers.
        if any(name in one["stages"] for one in columns.values()):
            cells = (_cell(one["stages"].get(name)) for one in found)
            yield _row(name.replace("_", " "), cells)
    yield _row("sum", (_seconds(one["seconds"]).ljust(width) for one in found))


def _row(name: str, cells: Iterable[str]) -> str:
    return f"{name:<{STAGE_WIDTH}}{''.join(cells)}".rstrip()


def _cell(stage: Mapping[str, Any] | None) -> str:
    if stage is None:
        return " " * (SECONDS_WIDTH + RATE_WIDTH)
    rate = stage["mb_per_s"]
    shown = "" if rate is None else f"{rate:,.1f}" if rate < 10 else f"{rate:,.0f}"
    return _seconds(stage["seconds"]) + shown.rjust(RATE_WIDTH)


def _seconds(seconds: float) -> str:
    return f"{seconds:>{SECONDS_WIDTH},.{2 if seconds < 10_000 else 0}f}"


def _fitting(name: str, width: int) -> str:
    """The end of a name, which tells workers of one machine apart."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


# By function


def check_profile(profile: str, folder: Path) -> None:
    """Raise UsageError for a wish that cannot be met: before a long job, not after it."""
    if profile not in ("", *PROFILES):
        raise UsageError(f"profile {profile!r}: there are {' and '.join(PROFILES)}.")
    if profile == "cpu" and not os.access(folder, os.W_OK):
        raise UsageError(
            f"--profile=cpu: no permission to write to {folder}, where the profiles are to go; "
            "change to another folder."
        )


def told_profile(store: Store, spec: JobSpec, report: Mapping[str, Any], folder: Path) -> str:
    """What a person is told of where the time went; copies what there is by function to `folder`.

    Raises StoreUnavailable when that cannot be read or written.
    """
    profile = report.get("profile")  # an earlier version wrote none
    if not profile or not profile["workers"]:
        return "No task was done, so nothing tells where the time went."
    text = profile_table(profile)
    if spec.profiles_cpu:
        target = folder / f"profile-{spec.job}"
        number = fetch_profiles(store, spec.job, target)
        text += (
            f"\n\nBy function: the profiles of {counted(number, 'task')} are in {target} "
            "(`python -m pstats FILE` reads one)."
        )
    return text


def fetch_profiles(store: Store, job: str, folder: Path) -> int:
    """Copy the profile of each task's committed attempt to `<task>.pstats`.

    They are not looked into: `marshal`, which reads them, trusts what it reads. Returns their
    number. Raises StoreUnavailable when a file cannot be written.
    """
    prefix = layout.profiles_prefix(job)
    tasks = {entry.name[len(prefix) :].partition("/")[0] for entry in store.list(prefix)}
    # Those of attempts that did not commit stay where they are.
    done = sorted(tasks & committed_tasks(store, job))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for commit in read_commits(store, job, done):
            data = store.read(layout.profile_name(job, commit.task, commit.attempt))
            (folder / f"{commit.task}.pstats").write_bytes(data)
    except OSError as error:
        raise StoreUnavailable(
            f"{error.filename or folder}: cannot be written: {error.strerror}. The profiles are "
            f"kept with the job: `mr-telemetry fetch {job}`, in another folder, gets them."
        ) from None
    return len(done)
