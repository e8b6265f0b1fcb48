"""One core: ours beside `xz -dc` of the same blocks."""

from dataclasses import dataclass

from bench.speed.corpus import Tree
from bench.speed.timing import Spread, Timed, ratios, spread, taking_turns, timed
from bench.speed.works import FLOORED, WORKS, Place, ours


@dataclass(frozen=True)
class Floored:
    """A work beside the floor, and the floor itself under the letter "": seconds, bytes."""

    letter: str
    seconds: Spread
    ratio: Spread
    peak_bytes: int


def decompress(tree: Tree, processes: int = 1, cores: int | None = None) -> Timed:
    """`xz -dc` of all blocks, in as many processes at once, each with its share of the bytes."""
    return timed([["xz", "-dc", *part] for part in shares(tree, processes)], cores=cores)


def shares(tree: Tree, number: int) -> list[list[object]]:
    """Blocks in parts of about as many bytes: the largest first, each to the smallest part."""
    parts: list[list[object]] = [[] for _ in range(number)]
    sizes = [0] * number
    for block in sorted(tree.blocks, key=lambda block: -block.stat().st_size):
        part = sizes.index(min(sizes))
        parts[part].append(block)
        sizes[part] += block.stat().st_size
    return [part for part in parts if part]


def measure(place: Place, tree: Tree, runs: int, letters: str = FLOORED) -> list[Floored]:
    """One worker on one core beside one `xz -dc` on the same core."""
    contestants = {"": lambda: decompress(tree, cores=1)}
    for letter in letters:
        contestants[letter] = lambda work=WORKS[letter]: ours(place, work, tree, workers=1, cores=1)
    took = taking_turns(contestants, runs)
    floor = took[""]
    return [
        Floored(
            letter,
            spread([one.seconds for one in times]),
            ratios(floor, times),
            max(one.peak_bytes for one in times),
        )
        for letter, times in took.items()
    ]
