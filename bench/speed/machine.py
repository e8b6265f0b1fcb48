"""Where it ran, and what ran."""

import os
import platform
import subprocess
from pathlib import Path

from bench.speed.peers import installed

PACKAGES = (
    "mr-telemetry", "numpy", "numba", "msgspec", "pysimdjson", "mrjob", "pyspark", "duckdb",
    "polars",
)  # fmt: skip


def machine() -> dict[str, str]:
    """What a reader needs to know of the machine."""
    return {
        "processor": f"{_cpu()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "xz": _first_words(["xz", "--version"]),
        "commit": _commit(),
        **{name: installed(name) or "not installed" for name in PACKAGES},
    }


def _commit() -> str:
    """The commit that is measured, and whether more was changed than a part before this wrote."""
    ours = [":(top,exclude)bench/results.md", ":(top,exclude)README.md"]
    changed = _first_words(["git", "status", "--porcelain", "--", ":/", *ours])
    return _first_words(["git", "describe", "--always"]) + ("-dirty" if changed else "")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_words(command: list[str]) -> str:
    """What a command prints, in one line; nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return "not installed"
    return ", ".join(done.stdout.split("\n")).strip(", ")
