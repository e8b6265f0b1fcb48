"""`make bench`: how fast mr-telemetry is, beside the decompressor alone and beside its peers.

    python -m bench.speed [--quick] [--only PART ...] [--works LETTERS]

Everything that is read is made once and kept in `bench-data`. What is measured is written to
`bench/results.md`, its first table to README.md too; parts and works that a run leaves out stay as
they were measured before. A wrong answer ends the benchmark with an error.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bench.pages import replaced
from bench.speed import cluster, corpus, floor, pairs, peers, reduction, results, tables, tiny
from bench.speed.corpus import Tree
from bench.speed.machine import machine
from bench.speed.timing import CommandFailed
from bench.speed.works import FLOORED, WORKS, Place, WrongAnswer
from mr.config import parse_size

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Sizes:
    """How much is read: raw bytes as text, and numbers."""

    telemetry: str
    blocks: int
    peers: str
    words: str
    tiny: int
    empty_tasks: int
    runs: int
    peer_runs: int
    outputs: tuple[int, ...]
    different: int


FULL = Sizes(
    *("2GB", 16, "200MB", "100MB", 10_000, 300),
    *(3, 2, reduction.NUMBERS, reduction.DIFFERENT),
)
QUICK = Sizes("20MB", 4, "10MB", "4MB", 500, 20, 1, 1, (10, 20, 40), 4)


class Benchmark:
    """The parts; each makes what it reads if it is not there yet."""

    def __init__(self, data: Path, place: Place, sizes: Sizes, works: str) -> None:
        self._data = data
        self._place = place
        self._sizes = sizes
        self._works = works

    def floor(self) -> tuple[object, str]:
        """One core, beside `xz -dc`."""
        tree = self._telemetry()
        letters = self._chosen(FLOORED)
        return floor.measure(self._place, tree, self._sizes.runs, letters), told(tree)

    def small(self) -> tuple[object, str]:
        """The same for histograms in many small blocks, where little adds up."""
        tree = self._smaller()
        letters = self._chosen("c")
        return floor.measure(self._place, tree, self._sizes.runs, letters), told(tree)

    def pairs(self) -> tuple[object, str]:
        """Two workers beside one."""
        tree = self._telemetry()
        letters = self._chosen(pairs.LETTERS)
        return pairs.measure(self._place, tree, self._sizes.runs, letters), told(tree)

    def tiny(self) -> tuple[object, str]:
        """Tiny blocks, and a tiny job."""
        tree = corpus.tiny_blocks(self._data, self._sizes.tiny)
        return tiny.measure(self._place, tree, self._sizes.runs), told(tree)

    def reduction(self) -> tuple[object, str]:
        """Reduce and publish."""
        tree, sizes = self._smaller(), self._sizes
        measured = reduction.measure(
            self._place, tree, sizes.peer_runs, sizes.outputs, sizes.different
        )
        return measured, f"Of {sizes.different} splits of {told(tree)}"

    def cluster(self) -> tuple[object, str]:
        """A worker of a cluster, beside the local engine."""
        tree, sizes = self._telemetry(), self._sizes
        empty = corpus.tiny_blocks(self._data, sizes.empty_tasks)
        return cluster.measure(self._place, tree, empty, sizes.runs), told(tree)

    def peers(self) -> tuple[object, str]:
        """Peers."""
        trees = {
            letter: self._words() if letter == "e" else self._smaller()
            for letter in self._chosen("".join(WORKS))
        }
        text = " ".join(dict.fromkeys(map(told, trees.values())))
        return peers.measure(self._place, trees, self._sizes.peer_runs), text

    def _chosen(self, letters: str) -> str:
        return "".join(letter for letter in letters if letter in self._works)

    def _telemetry(self) -> Tree:
        sizes = self._sizes
        return corpus.telemetry(self._data, sizes.telemetry, 1, "abd", sizes.blocks)

    def _smaller(self) -> Tree:
        return corpus.telemetry(self._data, self._sizes.peers, 2, "abcd")

    def _words(self) -> Tree:
        return corpus.word_texts(self._data, parse_size(self._sizes.words))


PARTS: dict[str, Callable[[Benchmark], tuple[object, str]]] = {
    "floor": Benchmark.floor,
    "small": Benchmark.small,
    "pairs": Benchmark.pairs,
    "tiny": Benchmark.tiny,
    "reduction": Benchmark.reduction,
    "cluster": Benchmark.cluster,
    "peers": Benchmark.peers,
}


def told(tree: Tree) -> str:
    """What a tree is."""
    return (
        f"{tree.megabytes:,.0f} MB raw, {tree.compressed_bytes / 1e6:,.0f} MB in "
        f"{len(tree.blocks):,} blocks."
    )


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.speed", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="little of everything, to try it")
    parser.add_argument("--size", help=f"raw telemetry records ({FULL.telemetry})")
    parser.add_argument("--blocks", type=int, help=f"blocks of these ({FULL.blocks})")
    parser.add_argument("--peers-size", help=f"the same where peers read them ({FULL.peers})")
    parser.add_argument("--words-size", help=f"raw texts ({FULL.words})")
    parser.add_argument("--tiny-blocks", type=int, help=f"({FULL.tiny:,})")
    parser.add_argument("--runs", type=int, help=f"counted runs of each ({FULL.runs})")
    parser.add_argument("--peer-runs", type=int, help=f"the same beside peers ({FULL.peer_runs})")
    parser.add_argument("--only", action="append", choices=PARTS, help="repeatable")
    parser.add_argument("--works", default="".join(WORKS), help="the letters of some works")
    parser.add_argument("--data", type=Path, default=ROOT / "bench-data", help="(bench-data)")
    parser.add_argument("--output", type=Path, help="(bench/results.md; quick: in bench-data)")
    return parser.parse_args()


def chosen_sizes(chosen: argparse.Namespace) -> Sizes:
    """The sizes that a command line asks for."""
    usual = QUICK if chosen.quick else FULL
    return Sizes(
        telemetry=chosen.size or usual.telemetry,
        blocks=chosen.blocks or usual.blocks,
        peers=chosen.peers_size or usual.peers,
        words=chosen.words_size or usual.words,
        tiny=chosen.tiny_blocks or usual.tiny,
        empty_tasks=usual.empty_tasks,
        runs=chosen.runs or usual.runs,
        peer_runs=chosen.peer_runs or usual.peer_runs,
        outputs=usual.outputs,
        different=usual.different,
    )


def main() -> None:
    """Measure the parts, and write what was measured after each."""
    chosen = options()
    data = chosen.data.absolute()
    output = chosen.output or (data / "quick.md" if chosen.quick else ROOT / "bench/results.md")
    kept = data / ("quick.json" if chosen.quick else "measured.json")
    if shutil.which("xz") is None:
        sys.exit("the benchmark needs the program xz")
    place = Place(data / "runs")
    shutil.rmtree(place.folder, ignore_errors=True)
    benchmark = Benchmark(data, place, chosen_sizes(chosen), chosen.works)
    try:
        for name in chosen.only or PARTS:
            found, text = PARTS[name](benchmark)
            measured = results.load(kept)
            setattr(measured, name, results.renewed(getattr(measured, name), found))
            measured.machine = machine()
            text = f"Measured {date.today()} at {measured.machine['commit']}. {text}"
            if chosen.works != "".join(WORKS):  # figures of the others are older, of other data
                text = f"{measured.parts.get(name, '')} Works {chosen.works}: {text}".strip()
            measured.parts[name] = text
            results.save(kept, measured)
            write(output, measured)
    except (WrongAnswer, CommandFailed) as error:
        sys.exit(f"bench: {error}")
    finally:
        shutil.rmtree(place.folder, ignore_errors=True)
    print(output.read_text())
    print(f"Written to {output}.")


def write(output: Path, measured: results.Measured) -> None:
    """Write the results; the first table of those that are kept to the README too."""
    output.write_text(tables.page(measured))
    if output == ROOT / "bench/results.md":
        readme = ROOT / "README.md"
        page = replaced(readme.read_text(), *results.MARKS, tables.summary(measured))
        readme.write_text(page)


if __name__ == "__main__":
    main()
