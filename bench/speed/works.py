"""What is run, how, and what is asked of it."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.speed.answers import digest
from bench.speed.corpus import Tree
from bench.speed.timing import Timed, timed

JOBS = Path(__file__).parent / "jobs"


class WrongAnswer(Exception):
    """A fast wrong answer is no answer."""


@dataclass(frozen=True)
class Work:
    """One analysis over one tree.

    `target` is the least ratio to the decompressor alone, on one core, that is asked for.
    """

    letter: str
    title: str
    analysis: str
    target: float | None = None
    #: The name of its answer: its ending, or that it is a folder, tells the format.
    answer: str = "answer.jsonl"


WORKS = {
    work.letter: work
    for work in (
        Work("a", "count by operating system", "os_distribution", 0.70),
        Work("b", "one field, chosen by another", str(JOBS / "processors.py"), 0.70),
        Work("c", "merge and publish all histograms", "histograms", 0.50, "published/"),
        Work("d", "export a field, map-only", str(JOBS / "uptimes.py"), 0.65),
        Work("e", "count millions of words", str(JOBS / "words.py")),
    )
}
#: Those over telemetry records, which have the decompressor for a floor.
FLOORED = "abcd"

_numbers = count()


def mr_telemetry(*words: object) -> list[object]:
    """A command of ours."""
    return [sys.executable, "-m", "mr.cli.main", *words]


@dataclass(frozen=True)
class Place:
    """A folder of this run of the benchmark, on the disk where the trees are.

    All that is written stays until its end: ext4 looks for inodes that were not freed lately, which
    makes 12,000 files take 4 s more after as many were removed.
    """

    folder: Path

    def new(self) -> Path:
        """A new folder in it."""
        path = self.folder / f"run-{next(_numbers)}"
        path.mkdir(parents=True)
        return path


def answering(
    place: Place,
    command: Callable[[Path], Sequence[object]],
    check: Callable[[Path], None],
    *,
    answer: str = "answer.jsonl",
    cores: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Timed:
    """Time a command, given where its answer goes, then see whether that is right."""
    path = place.new() / answer
    took = timed([command(path)], cores=cores, environment=environment)
    check(path)
    return took


def ours(place: Place, work: Work, tree: Tree, *, workers: int, cores: int | None = None) -> Timed:
    """Run a work of ours as a whole command, and check its answer."""

    def command(answer: Path) -> list[object]:
        output = f"{answer}/" if work.answer.endswith("/") else answer
        store = answer.parent / "jobs"
        options = ["--workers", workers, "--store", store, "--quiet", "-o", output]
        return mr_telemetry("run", work.analysis, tree.path, *options)

    check = checker(tree, work.letter)
    return answering(place, command, check, answer=work.answer, cores=cores)


def checker(tree: Tree, work: str, who: str = "mr-telemetry") -> Callable[[Path], None]:
    """Looks whether an answer is the truth; raises WrongAnswer."""

    def check(answer: Path) -> None:
        expected = tree.truth.get(work)
        if expected is None:  # histograms of a large tree: the smaller one's are looked at whole
            read = sum(records_covered(answer))
            if read != tree.records:
                raise WrongAnswer(f"({work}) {who}: {read} records of {tree.records}")
            return
        found = digest(work, answer)
        if not found.same(expected):
            raise WrongAnswer(f"({work}) {who}: {found}, and the truth is {expected}")

    return check


def records_covered(published: Path) -> Iterator[int]:
    """Records in each version of a published folder."""
    for folder in json.loads((published / "versions.json").read_text()).values():
        yield json.loads((published / folder / "coverage.json").read_text())["records"]["read"]
