"""Small things: ten thousand tiny blocks, and the first result of a tiny job."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.speed.answers import pairs
from bench.speed.corpus import Tree
from bench.speed.timing import Spread, Timed, spread, taking_turns
from bench.speed.works import WORKS, Place, WrongAnswer, answering, mr_telemetry, ours

#: Workers for the blocks; blocks a second, and seconds to the first result, that are asked for.
WORKERS, BLOCKS_TARGET, FIRST_TARGET_S = 2, 1_000, 1.0
#: A job of some tenths of a second is measured at least so often.
FIRST_RUNS = 5


@dataclass(frozen=True)
class Tiny:
    """Tiny blocks a second; seconds of a whole command over one block; bytes."""

    blocks: int
    rate: Spread
    first_s: Spread
    peak_bytes: int


def measure(place: Place, tree: Tree, runs: int) -> Tiny:
    """Both, as whole commands."""
    blocks = tree.blocks
    took = taking_turns({"": lambda: ours(place, WORKS["a"], tree, workers=WORKERS)}, runs)[""]
    firsts = taking_turns({"": lambda: first(place, tree)}, max(runs, FIRST_RUNS))[""]
    return Tiny(
        len(blocks),
        spread([len(blocks) / one.seconds for one in took]),
        spread([one.seconds for one in firsts]),
        max(one.peak_bytes for one in took),
    )


def first(place: Place, tree: Tree) -> Timed:
    """A job over one block, with the settings that it has by itself."""
    folder = place.new()
    block = folder / tree.blocks[0].relative_to(tree.path)
    block.parent.mkdir(parents=True)
    shutil.copy(tree.blocks[0], block)

    def command(answer: Path) -> list[object]:
        store = answer.parent / "jobs"
        options = ["--store", store, "--quiet", "-o", answer]
        return mr_telemetry("run", "os_distribution", folder, *options)

    def check(answer: Path) -> None:
        found = sum(count for _, count in pairs(answer))
        if found != tree.records // len(tree.blocks):
            raise WrongAnswer(f"the first result counts {found} records")

    return answering(place, command, check)
