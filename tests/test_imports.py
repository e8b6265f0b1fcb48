"""Imports go one way: a later step of a record's journey imports earlier ones, never later ones."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

import pytest

import mr

ROOT = Path(mr.__file__).parent

#: Earlier to later. An entry stands for all below it too, unless these have their own.
ORDER = [
    "mr.errors",
    "mr.layout",
    "mr.config",
    "mr.text",
    "mr.decoding",
    "mr.tables",
    "mr.extras",
    "mr.plotting",
    "mr.clock",
    "mr.garbage",
    "mr.metering",
    "mr.prices",
    "mr.concurrency",
    "mr.parents",
    "mr.stopwatch",
    # keys and values
    "mr.keys",
    "mr.values",
    "mr.exact",
    "mr.items",
    "mr.tally",
    # the user's contract
    "mr.analysis",
    "mr.scripts",
    "mr.shipping",
    "mr.loading",
    "mr.usercode",
    "mr.compatibility",
    "mr.environments",
    "mr.wheel",
    "mr.bundle",
    "mr.sameness",
    # the two interfaces
    "mr.store",
    "mr.files",
    "mr.directory",
    "mr.aside",
    "mr.taskqueue",
    "mr.aws",
    "mr.stores",
    "mr.queues",
    "mr.state",
    "mr.scratch",
    # what is sorted, in memory or beyond it
    "mr.runs",
    "mr.sources",
    "mr.sorting",
    # list, split, queue
    "mr.schema",
    "mr.blocks",
    "mr.inputs",
    "mr.listing",
    "mr.publishing",
    "mr.splits",
    "mr.plans",
    "mr.tasks",
    # decode, map, shuffle, reduce, merge
    "mr.kernel",
    "mr.kernel.layout",
    "mr.kernel.tokens",
    "mr.kernel.skim",
    "mr.kernel.numbers",
    "mr.kernel.rows",
    "mr.kernel.gather",
    "mr.kernel.building",
    "mr.kernel.ready",
    "mr.codecs",
    "mr.validity",
    "mr.lines",
    "mr.scanned",
    "mr.skimming",
    "mr.records",
    "mr.prefetch",
    "mr.masking",
    "mr.mapping",
    "mr.staging",
    "mr.shuffle",
    "mr.suppressing",
    "mr.reducing",
    "mr.cells",
    "mr.columns",
    "mr.parquet",
    "mr.results",
    # histograms
    "mr.histograms",
    # a job in a store
    "mr.commits",
    "mr.saved",
    "mr.spec",
    "mr.keeping",
    "mr.coverage",
    "mr.parts",
    "mr.ends",
    # who runs it
    "mr.heartbeat",
    "mr.fleet",
    "mr.spotfleet",
    "mr.spending",
    "mr.logs",
    "mr.orders",
    "mr.attempts",
    "mr.replaying",
    "mr.child",
    "mr.processes",
    "mr.writing",
    "mr.assembly",
    "mr.surroundings",
    "mr.submitted",
    "mr.worker",
    "mr.lateness",
    "mr.stages",
    "mr.job",
    "mr.jobs",
    "mr.standing",
    "mr.profiles",
    "mr.report",
    "mr.engines",
    "mr.launch",
    "mr.rollup",
    "mr.estimating",
    "mr.calibration",
    "mr.forecast",
    "mr.engines.mrjob",
    "mr.engines.choice",
    # on this machine and in memory
    "mr.inline",
    "mr.checking",
    "mr.sampling",
    "mr.testing",
    "mr.generate",
    # the faces
    "mr.progress",
    "mr.notebook",
    "mr.dashboard",
    "mr.cli",
    "mr.analyses",
    "mr.bin",
    "mr.conf",
]

#: The packages whose import alone takes longer than a short command should.
HEAVY = [
    "boto3",
    "numpy",
    "rich",
    "simdjson",
    "msgspec",
    "zstandard",
    "cloudpickle",
    "simplejson",
    "pyarrow",
    "pandas",
    "matplotlib",
    "mrjob",
]


def files():
    """Every module of ours, by name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("mr", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    for package in ("analyses", "bin", "conf"):
        for path in sorted((ROOT.parent / package).glob("*.py")):
            name = f"mr.{package}" + ("" if path.stem == "__init__" else f".{path.stem}")
            found[name] = path
    return found


FILES = files()


@cache
def imports_of(name):
    """All that a module imports anywhere in its text, by whole names."""
    package = name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                home = mr._HOMES.get(alias.name, source) if source == "mr" else source
                found.add(whole if whole in FILES else home)
    return frozenset(found)


def place_of(name):
    """A module's place in the order, by the longest entry that it is below."""
    while name not in ORDER:
        name = name.rpartition(".")[0]
        if not name:
            return None
    return ORDER.index(name)


@pytest.mark.parametrize("name", [name for name in FILES if name != "mr"])
def test_a_module_imports_earlier_ones_only(name):
    """Each module has its place in the order above, and imports nothing that comes later."""
    assert place_of(name) is not None, f"{name} has no place in ORDER yet"

    ours = {other for other in imports_of(name) if other.startswith("mr.")}
    assert [other for other in ours if place_of(other) > place_of(name)] == []


def test_imports_have_no_circle():
    """Also among the modules of one package."""
    graph = {name: imports_of(name) & FILES.keys() - {name, "mr"} for name in FILES if name != "mr"}

    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_only_the_cloud_imports_boto3():
    """The cloud's library is imported under mr/aws and nowhere else."""
    users = [
        name
        for name in FILES
        if any(other.partition(".")[0] in ("boto3", "botocore") for other in imports_of(name))
    ]

    assert [name for name in users if not name.startswith("mr.aws")] == []


def test_the_packages_names_are_at_home():
    """Each public name of the package is where its table says."""
    assert set(mr.__all__) == set(mr._HOMES)
    for name, home in mr._HOMES.items():
        assert getattr(mr, name).__module__.startswith(home)


@pytest.mark.parametrize("module", ["mr", "mr.cli.main"])
def test_starting_is_light(module):
    """The command line answers without loading what only a job needs."""
    script = f"import {module}, sys; print([name for name in {HEAVY} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"
