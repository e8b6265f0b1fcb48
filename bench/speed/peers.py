"""The same works by other means, each in the way that its users would write."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.speed.corpus import Tree
from bench.speed.timing import Timed, taking_turns
from bench.speed.works import WORKS, Place, answering, checker, ours

ROOT = Path(__file__).parent.parent.parent
#: Of work (e): how many times as fast as mrjob on as many processes, and as Spark, ours is to be.
WORDS_TARGETS = {"mrjob, local": 5.0, "PySpark, local[2]": 1.0}


@dataclass(frozen=True)
class Peer:
    """One of them; `package` is "" for what Python brings, `needs` a program beside it."""

    name: str
    package: str
    processes: int
    works: str
    command: Callable[[str, Path, Sequence[Path]], Sequence[object]]
    needs: str = ""

    @property
    def missing(self) -> str:
        """What it lacks here, or ""."""
        if self.needs and shutil.which(self.needs) is None:
            return self.needs
        return self.package if self.package and installed(self.package) is None else ""


def installed(package: str) -> str | None:
    """A package's version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _script(name: str) -> Callable[[str, Path, Sequence[Path]], Sequence[object]]:
    module = f"bench.speed.{name}"
    return lambda work, answer, blocks: [sys.executable, "-m", module, work, answer, *blocks]


def _mrjob(runner: str, *options: object) -> Callable:
    def command(work: str, answer: Path, blocks: Sequence[Path]) -> Sequence[object]:
        where = ["--output-dir", answer, "--no-cat-output"]
        script = [sys.executable, "-m", "bench.speed.with_mrjob", "--no-conf", "-r", runner]
        return [*script, "--work", work, *options, *where, *blocks]

    return command


PEERS = (
    Peer("plain loop", "", 1, "ac", _script("plain")),
    Peer("mrjob, inline", "mrjob", 1, "ace", _mrjob("inline")),
    Peer("mrjob, local", "mrjob", 2, "ace", _mrjob("local", "--num-cores", 2)),
    Peer("PySpark, local[2]", "pyspark", 2, "ace", _script("with_spark"), needs="java"),
    Peer("DuckDB after xz -dc", "duckdb", 2, "abde", _script("with_duckdb")),
    Peer("Polars after xz -dc", "polars", 2, "abde", _script("with_polars")),
)


@dataclass(frozen=True)
class Beside:
    """A peer beside ours: the best seconds of each with as many processes; None: not installed."""

    letter: str
    peer: str
    processes: int
    megabytes: float
    seconds: float | None
    ours_s: float | None
    #: Of our largest process.
    ours_bytes: int
    missing: str = ""

    @property
    def times_as_fast(self) -> float | None:
        """How many times as fast ours is."""
        return self.seconds / self.ours_s if self.seconds and self.ours_s else None


def measure(
    place: Place, trees: Mapping[str, Tree], runs: int, peers: Sequence[Peer] = PEERS
) -> list[Beside]:
    """Each work by ours and by its peers, taking turns, the best of some runs; answers are checked.

    A peer of one process has one core, one of two has two, and so has ours beside it.
    """
    found = []
    for letter, tree in trees.items():
        able = [peer for peer in peers if letter in peer.works]
        here = [peer for peer in able if not peer.missing]
        contestants: dict[str, Callable[[], Timed]] = {
            str(n): lambda w=WORKS[letter], t=tree, n=n: ours(place, w, t, workers=n, cores=n)
            for n in sorted({peer.processes for peer in here})
        }
        for peer in here:
            contestants[peer.name] = lambda p=peer, t=tree, w=letter: _peers(place, p, t, w)
        took = taking_turns(contestants, runs, warm_up=False)
        best = {name: min(one.seconds for one in times) for name, times in took.items()}
        found += [
            Beside(
                letter,
                peer.name,
                peer.processes,
                tree.megabytes,
                best.get(peer.name),
                best.get(str(peer.processes)),
                max((one.peak_bytes for one in took.get(str(peer.processes), ())), default=0),
                peer.missing,
            )
            for peer in able
        ]
    return found


def _peers(place: Place, peer: Peer, tree: Tree, work: str) -> Timed:
    blocks = tree.blocks
    return answering(
        place,
        lambda answer: peer.command(work, answer, blocks),
        checker(tree, work, peer.name),
        answer="answer",
        cores=peer.processes,
        environment={
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "0",  # Spark wants it the same in all its processes
            "PYSPARK_PYTHON": sys.executable,
            "POLARS_MAX_THREADS": str(peer.processes),
        },
    )
