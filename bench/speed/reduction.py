"""Reduce and publish: merging a thousand map outputs of the histograms, beside the json module."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.speed.answers import digest, published_measures
from bench.speed.corpus import Tree
from bench.speed.replay import blocks_of
from bench.speed.timing import Spread, Timed, ratios, spread, taking_turns, timed
from bench.speed.works import Place, WrongAnswer, mr_telemetry

#: Map outputs that are merged, the last as many as the json module merges; how many are different.
NUMBERS, DIFFERENT = (250, 500, 1_000), 20
#: How many times as fast as the json module, and bytes of the largest process.
TARGET, PEAK_BYTES = 10.0, 400_000_000
KINDS = ("by-build-date", "by-submission-date")


@dataclass(frozen=True)
class Merged:
    """Seconds by the number of outputs, those of the json module for the last; bytes."""

    numbers: list[int]
    seconds: list[Spread]
    json_s: Spread
    #: How many times as fast ours is.
    ratio: Spread
    peak_bytes: int
    json_peak_bytes: int
    #: Mean bytes of a map output, and of the JSON file that holds the same.
    output_bytes: int
    json_bytes: int


def measure(
    place: Place,
    tree: Tree,
    runs: int,
    numbers: tuple[int, ...] = NUMBERS,
    different: int = DIFFERENT,
) -> Merged:
    """One worker on one core, whole commands; the json module likewise, which publishes nothing."""
    folder = place.new()
    store = folder / "jobs"
    job = _module("replay", "map", store, tree.path, different)
    files = [
        _as_json(folder / f"output-{number}", blocks)
        for number, blocks in enumerate(blocks_of(store, job))
    ]
    outputs = [file.stat().st_size for file in (store / "jobs" / job / "runs").rglob("a*")]
    texts = [file.stat().st_size for file in files]

    def merge(number: int, check: Callable[[Path], None] = lambda _: None) -> Timed:
        published = place.new() / "published"
        repeated = _module("replay", "repeat", store, job, published, number)
        took = timed(
            [mr_telemetry("resume", repeated, "--workers", 1, "--store", store, "--quiet")], cores=1
        )
        check(published)
        return took

    def add_lists(number: int, output: object = "-") -> Timed:
        command = [sys.executable, "-m", "bench.speed.with_json", number, output, *files]
        return timed([command], cores=1)

    def check(published: Path) -> None:
        answer = folder / "sums.jsonl"
        add_lists(numbers[0], answer)
        expected, found = digest("c", answer), digest("c", published)
        if not found.same(expected):
            raise WrongAnswer(f"merging map outputs: {found}, and the json module {expected}")

    merge(numbers[0], check)
    contestants = {str(number): lambda n=number: merge(n) for number in numbers}
    took = taking_turns(contestants, runs, warm_up=False)
    alone = add_lists(numbers[-1])  # once: it takes ten minutes
    return Merged(
        numbers=list(numbers),
        seconds=[spread([one.seconds for one in took[str(number)]]) for number in numbers],
        json_s=spread([alone.seconds]),
        ratio=ratios([alone] * runs, took[str(numbers[-1])]),
        peak_bytes=max(one.peak_bytes for number in numbers for one in took[str(number)]),
        json_peak_bytes=alone.peak_bytes,
        output_bytes=sum(outputs) // len(outputs),
        json_bytes=sum(texts) // len(texts),
    )


def _module(name: str, *words: object) -> str:
    """Run a module of the benchmark in a process of its own; what it prints."""
    command = [sys.executable, "-m", f"bench.speed.{name}", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _as_json(folder: Path, blocks: list[Path]) -> Path:
    """What one map output publishes alone, as one JSON file."""
    options = ["--store", folder / "jobs", "--quiet", "-o", f"{folder / 'published'}/"]
    timed([mr_telemetry("run", "histograms", *blocks, *options)])
    content = defaultdict(lambda: {"paths": {}, "rows": {kind: {} for kind in KINDS}})
    for version, measure_, place, paths in published_measures(folder / "published"):
        content[version]["paths"] = paths
        for kind in KINDS:
            dates = json.loads((place / f"{measure_}-{kind}.json").read_text())
            content[version]["rows"][kind][measure_] = dates
    file = folder.with_suffix(".json")
    file.write_text(json.dumps(content))
    return file
