"""Two processes: what a second worker gains, beside what a second `xz -dc` gains."""

from dataclasses import dataclass

from bench.speed.corpus import Tree
from bench.speed.floor import decompress
from bench.speed.timing import Spread, ratios, spread, taking_turns
from bench.speed.works import WORKS, Place, ours

#: The works that are looked at, and the least share of what two decompressors gain.
LETTERS, TARGET = "ac", 0.93


@dataclass(frozen=True)
class Gain:
    """How many times as fast two processes are as one; "" is `xz -dc`. `share`: of its gain."""

    letter: str
    gain: Spread
    share: Spread


def measure(place: Place, tree: Tree, runs: int, letters: str = LETTERS) -> list[Gain]:
    """One worker and two, one decompressor and two, all free to use all cores."""
    contestants = {}
    for number in (1, 2):
        contestants[f"{number}"] = lambda n=number: decompress(tree, processes=n)
        for letter in letters:
            contestants[f"{number}{letter}"] = lambda w=WORKS[letter], n=number: ours(
                place, w, tree, workers=n
            )
    took = taking_turns(contestants, runs)
    gains = []
    for letter in ("", *letters):
        shares = [
            (took[f"1{letter}"][n].seconds / took[f"2{letter}"][n].seconds)
            / (took["1"][n].seconds / took["2"][n].seconds)
            for n in range(runs)
        ]
        gains.append(Gain(letter, ratios(took[f"1{letter}"], took[f"2{letter}"]), spread(shares)))
    return gains
