"""Jobs whose maps are done: the outputs of real map tasks, repeated as often as wanted.

    python -m bench.speed.replay map STORE TREE OUTPUTS      prints the job whose maps it has run
    python -m bench.speed.replay repeat STORE JOB OUTPUT N   prints a job of N map outputs

The second job is as after a run that was stopped once its maps were committed: `mr-telemetry
resume` goes on with its reduces, and publishes.
"""

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from mr import layout
from mr.attempts import Attempt, read_job, run_attempt
from mr.commits import read_commit, write_commit
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.launch import Request, prepare_job
from mr.loading import load_analysis
from mr.plans import open_plan, write_plan
from mr.spec import JobSpec, line_blocks, read_spec
from mr.tasks import Task

MAPS = layout.stage_id(1, "map")


def map_all(folder: Path, tree: Path, outputs: int) -> str:
    """Run the maps of a job over a tree that is cut into about so many splits."""
    store = DirectoryStore(folder, durable=False)
    size = sum(block.stat().st_size for block in tree.rglob("*.lzma")) // outputs
    spec = _planned(store, tree, folder / "unpublished", split_size=size)
    with ProcessPoolExecutor() as pool:
        numbers = range(_plan(store, spec).tasks)
        list(pool.map(_map, [(folder, spec.job, number) for number in numbers]))
    return spec.job


def _planned(store: DirectoryStore, tree: Path, output: Path, split_size: int) -> JobSpec:
    settings = load_settings({"split_size": str(split_size), "workers": "1"})
    analysis = load_analysis("histograms")
    request = Request(analysis, "histograms", [str(tree)], output=str(output))
    return prepare_job(request, settings, store)[0]


def _plan(store: DirectoryStore, spec: JobSpec):
    return open_plan(store, layout.plan_name(spec.job, MAPS))


def _map(task: tuple[Path, str, int]) -> None:
    """Run one map task and commit it."""
    folder, job, number = task
    store = DirectoryStore(folder, durable=False)
    spec = read_spec(store, job)
    span = _plan(store, spec).span(number)
    wanted = Task(job, MAPS, number, *span, spec.bundle, layout.store_digest(store.url))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name in ("job", "attempt"):
            Path(scratch, name).mkdir()
        found = read_job(store, wanted, Path(scratch, "job"))
        attempt = Attempt(store, found, wanted, "a" * 32, Path(scratch, "attempt"))
        write_commit(store, job, run_attempt(attempt))


def blocks_of(folder: Path, job: str) -> Iterator[list[Path]]:
    """The blocks that each map output is of."""
    store = DirectoryStore(folder, durable=False)
    spec = read_spec(store, job)
    for line in _plan(store, spec).lines():
        yield [Path(block.store_url, block.key) for block in line_blocks(line, spec)]


def repeat(folder: Path, job: str, output: Path, number: int) -> str:
    """A job of `number` map outputs: those of `job`, one after the other, again and again."""
    store = DirectoryStore(folder, durable=False)
    source = read_spec(store, job)
    (tree,) = source.inputs
    spec = _planned(store, Path(tree), output, source.split_bytes)
    lines = [(line, 0) for line in _plan(store, source).lines()]
    name = layout.plan_name(spec.job, MAPS)
    store.delete(name)
    write_plan(store, name, islice(cycle(lines), number))
    for place in range(number):
        commit = read_commit(store, job, layout.task_id(MAPS, place % len(lines)))
        task = layout.task_id(MAPS, place)
        runs = store.read(layout.run_name(job, commit.task, commit.attempt))
        store.write(layout.run_name(spec.job, task, commit.attempt), runs)
        write_commit(store, spec.job, replace(commit, task=task))
    return spec.job


def main() -> None:
    """Do what the command line says, and print the job."""
    what, folder, *rest = sys.argv[1:]
    if what == "map":
        tree, outputs = rest
        print(map_all(Path(folder), Path(tree), int(outputs)))
    else:
        job, output, number = rest
        print(repeat(Path(folder), job, Path(output), int(number)))


if __name__ == "__main__":
    main()
