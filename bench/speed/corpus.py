"""What is read: trees of blocks with the truth about each, made once and kept.

All blocks are `.lzma` of xz's preset 2, so that one command, `xz -dc`, is the floor of all.
"""

import gzip
import json
import lzma
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from random import Random

from msgspec import convert

from bench.speed.answers import Digest, digest
from bench.speed.timing import timed

#: Changed when the same options give another corpus.
VERSION = 2
PRESET = 2
FOLDER = "saved_session/Firefox/nightly/25.0a1"

#: Records of a tiny block, and bytes of each, about.
TINY_RECORDS, TINY_RECORD_BYTES = 3, 1_000
SYSTEMS = ("WINNT", "Darwin", "Linux", "Android")

#: Words in a record's text, and raw bytes of a block of such records.
RECORD_WORDS, WORD_BLOCK_BYTES = 1_000, 4_000_000
#: Words that come often, the first the most, and how many words there are that come seldom; the
#: share of the text that the latter have.
COMMON_WORDS, SELDOM_WORDS, SELDOM_SHARE = 50_000, 8_000_000, 0.45


@dataclass(frozen=True)
class Tree:
    """A folder of blocks; `truth` is the digest of each work's answer that is known."""

    path: Path
    raw_bytes: int
    compressed_bytes: int
    records: int
    truth: dict[str, Digest]

    @property
    def blocks(self) -> list[Path]:
        """Its blocks, in order."""
        return sorted(self.path.rglob("*.lzma"))

    @property
    def megabytes(self) -> float:
        """Raw megabytes."""
        return self.raw_bytes / 1e6


def telemetry(
    folder: Path, size: str, seed: int, works: Sequence[str], blocks: int | None = None
) -> Tree:
    """Telemetry records as `mr-telemetry generate` makes them, with the answers of some works.

    In so many blocks, or as many as it makes of so much.
    """

    def make(path: Path) -> Tree:
        report = path.with_suffix(".json")
        command = [sys.executable, "-m", "mr.cli.main", "generate", path, "--size", size]
        command += ["--blocks", str(blocks)] if blocks else []
        subprocess.run([*command, "--seed", str(seed), "--report", report], check=True)
        files = [file for file in path.rglob("*") if file.is_file()]
        with _processes() as pool:
            list(pool.map(recompress, files))
        made = json.loads(report.read_text())
        tree = _measured(path, made["raw_bytes"], made["written"]["records"], works)
        systems = Digest.of(made["written"]["by_os"].items())
        if tree.truth.get("a", systems) != systems:
            raise SystemExit("the plain loop disagrees with the generator: it is no truth")
        return tree

    return _kept(folder / f"telemetry-{size}-{seed}", {"works": list(works)}, make)


def word_texts(folder: Path, size: int, seed: int = 3) -> Tree:
    """Records of texts, whose words are millions at 100 MB."""

    def make(path: Path) -> Tree:
        numbers = range(max(1, size // WORD_BLOCK_BYTES))
        each = min(size, WORD_BLOCK_BYTES)
        with _processes() as pool:
            parts = list(pool.map(_write_words, [(path, seed, n, each) for n in numbers]))
        return _measured(path, sum(raw for raw, _ in parts), sum(n for _, n in parts), ["e"])

    return _kept(folder / f"words-{size}-{seed}", {}, make)


def tiny_blocks(folder: Path, number: int) -> Tree:
    """Blocks of a few short records."""

    def make(path: Path) -> Tree:
        with _processes() as pool:
            tasks = [(path, n) for n in range(number)]
            raw = sum(pool.map(_write_tiny, tasks, chunksize=100))
        systems = Counter(SYSTEMS[_tiny_system(n, r)] for n in range(number)
                          for r in range(TINY_RECORDS))  # fmt: skip
        tree = _measured(path, raw, number * TINY_RECORDS, [])
        return Tree(**{**vars(tree), "truth": {"a": Digest.of(systems.items())}})

    return _kept(folder / f"tiny-{number}", {}, make)


# What every tree has


def _kept(path: Path, options: dict, make: Callable[[Path], Tree]) -> Tree:
    """The tree of an earlier run, or a new one: it counts once its stamp is there."""
    stamp = path.with_suffix(".stamp")
    wanted = {"version": VERSION, "preset": PRESET, **options}
    if stamp.exists():
        found = json.loads(stamp.read_text())
        if found["made"] == wanted:
            truth = {work: convert(one, Digest) for work, one in found["truth"].items()}
            return Tree(path, truth=truth, **found["tree"])
    print(f"Making {path} ...", flush=True)
    shutil.rmtree(path, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = make(path)
    facts = {
        "raw_bytes": tree.raw_bytes,
        "compressed_bytes": tree.compressed_bytes,
        "records": tree.records,
    }
    truth = {work: asdict(one) for work, one in tree.truth.items()}
    stamp.write_text(json.dumps({"made": wanted, "tree": facts, "truth": truth}))
    return tree


def _measured(path: Path, raw_bytes: int, records: int, works: Sequence[str]) -> Tree:
    """A tree that was just written, with the plain loop's answers."""
    blocks = sorted(path.rglob("*.lzma"))
    truth = {}
    for work in works:
        answer = path.with_suffix(".jsonl")
        timed([[sys.executable, "-m", "bench.speed.plain", work, answer, *blocks]])
        truth[work] = digest(work, answer)
        answer.unlink()
    compressed = sum(block.stat().st_size for block in blocks)
    return Tree(path, raw_bytes, compressed, records, truth)


def _processes() -> ProcessPoolExecutor:
    """Fresh processes: the memory of what is made is theirs, not that of whoever measures."""
    return ProcessPoolExecutor(mp_context=get_context("spawn"))


def recompress(file: Path) -> None:
    """Replace a block by the same in the one form that all blocks have."""
    data = file.read_bytes()
    raw = gzip.decompress(data) if file.suffix == ".gz" else lzma.decompress(data)
    file.unlink()
    _write(file.with_suffix(".lzma"), raw)


def _write(file: Path, raw: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lzma.compress(raw, format=lzma.FORMAT_ALONE, preset=PRESET))


def _block(path: Path, build: int, number: int) -> Path:
    """A name in the layout of telemetry."""
    return path / FOLDER / f"2013{build % 12 + 1:02d}01030201.20131231.v2.log.{number:032x}.lzma"


# Tiny blocks


def _tiny_system(number: int, record: int) -> int:
    return (number + record * record) % len(SYSTEMS)


def _write_tiny(task: tuple[Path, int]) -> int:
    path, number = task
    rng = Random(number)
    lines = []
    for record in range(TINY_RECORDS):
        info = {"OS": SYSTEMS[_tiny_system(number, record)], "locale": "de", "cpucount": 2}
        counts = [rng.randrange(10) for _ in range(TINY_RECORD_BYTES // 3 - 60)]
        body = {"ver": 2, "info": info, "histograms": {"GC_MS": counts}}
        lines.append(f"{rng.getrandbits(128):032x}\t{json.dumps(body)}\n")
    raw = "".join(lines).encode()
    _write(_block(path, number, number), raw)
    return len(raw)


# Texts


def word(number: int) -> str:
    """A word for each number, of syllables."""
    syllables = ("ka", "re", "mi", "to", "su", "na", "le", "po", "di", "va", "gu", "shi", "be",
                 "lon", "tar", "fe")  # fmt: skip
    text = ""
    while True:
        number, last = divmod(number, len(syllables))
        text += syllables[last]
        if not number:
            return text


def _write_words(task: tuple[Path, int, int, int]) -> tuple[int, int]:
    """Write a block of texts; returns its raw bytes and records."""
    path, seed, number, size = task
    lines, raw_bytes = [], 0
    for text in _texts(Random(f"{seed}/{number}")):
        line = f"{seed:08x}-{number:08x}-{len(lines):08x}\t{json.dumps({'text': text})}\n".encode()
        lines.append(line)
        raw_bytes += len(line)
        if raw_bytes >= size:
            break
    _write(_block(path, number, number), b"".join(lines))
    return raw_bytes, len(lines)


def _texts(rng: Random) -> Iterator[str]:
    common = [word(n) for n in range(COMMON_WORDS)]
    weights = list(accumulate(1 / (rank + 10) for rank in range(COMMON_WORDS)))
    seldom = int(RECORD_WORDS * SELDOM_SHARE)
    while True:
        found = rng.choices(common, cum_weights=weights, k=RECORD_WORDS - seldom)
        found += [word(COMMON_WORDS + int(rng.random() * SELDOM_WORDS)) for _ in range(seldom)]
        rng.shuffle(found)
        yield " ".join(found)
