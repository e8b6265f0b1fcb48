"""One block: its lines, drawn, compressed, written, damaged if so planned, and counted."""

import lzma
import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from mr.generate.damage import BAD_RECORD_KINDS, damage_block, spoilt
from mr.generate.drawing import below, hex_digits, weighted
from mr.generate.frequencies import SYSTEMS
from mr.generate.planning import BlockPlan
from mr.generate.records import record_json
from mr.generate.report import BadBlock, Counts

#: Bytes of lines given to a compressor at a time; in .xz, the bytes of one stream of several.
CHUNK_BYTES = 1_000_000
#: Bytes of the compressor's window, at least and at most. Speed matters more here than the last
#: percent of size, and a window larger than its block costs time for nothing.
LEAST_WINDOW_BYTES, GREATEST_WINDOW_BYTES = 1 << 16, 1 << 20
#: Share of records whose id is that of the record before.
REPEATED_ID_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class _Line:
    """What is to be known of a line once it is written; `bad` is None or the kind of damage."""

    checksum: int
    id: str
    os: str
    bad: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one block has become."""

    path: str
    raw_bytes: int
    compressed_bytes: int
    written: Counts
    readable: Counts
    bad: BadBlock | None


def write_block(
    root: Path, plan: BlockPlan, seed: int, bad_records: float, record_size: int
) -> Outcome:
    """Write the block where its plan says; raises OSError."""
    rng = Random(f"{seed}/block/{plan.index}")
    file = root / plan.path
    file.parent.mkdir(parents=True, exist_ok=True)
    lines: list[_Line] = []
    raw_bytes = 0

    def chunks() -> Iterator[bytes]:
        nonlocal raw_bytes
        for chunk in _chunks(_lines(rng, plan, bad_records, record_size, lines)):
            raw_bytes += len(chunk)
            yield chunk

    with file.open("wb") as stream:
        for piece in _compressed(chunks(), plan.suffix, plan.raw_bytes):
            stream.write(piece)
    left, bad = lines, None
    if plan.damage is not None:
        checksums = [line.checksum for line in lines]
        left = lines[: damage_block(rng, file, plan.damage, checksums)]
        bad = BadBlock(plan.path, plan.damage, len(lines), len(left))
    return Outcome(
        path=plan.path,
        raw_bytes=raw_bytes,
        compressed_bytes=file.stat().st_size,
        written=_count(plan, lines),
        readable=_count(plan, left),
        bad=bad,
    )


def _lines(
    rng: Random, plan: BlockPlan, bad_records: float, record_size: int, facts: list[_Line]
) -> Iterator[bytes]:
    """The lines of a block, until they come to about `plan.raw_bytes`; a fact of each is noted."""
    remaining = plan.raw_bytes
    id_ = ""
    while not facts or remaining > 0.2 * record_size:
        if not id_ or rng.random() >= REPEATED_ID_SHARE:
            id_ = str(uuid.UUID(hex=hex_digits(rng, 32), version=4))
        system = weighted(rng, SYSTEMS[plan.build.app])
        target = _record_target(rng, remaining, record_size)
        line = f"{id_}\t{record_json(rng, plan, system, target)}\n".encode()
        bad = None
        if rng.random() < bad_records:
            bad = BAD_RECORD_KINDS[below(rng, len(BAD_RECORD_KINDS))]
            line = spoilt(line, bad)
        facts.append(_Line(zlib.crc32(line), id_, system, bad))
        remaining -= len(line)
        yield line


def _record_target(rng: Random, remaining: float, record_size: int) -> float:
    """Bytes that the next record should have, so that none is left a sliver at the end."""
    if remaining <= 1.6 * record_size:
        return remaining
    target = record_size * (0.4 + 0.6 * (rng.random() + rng.random()))
    return target if remaining - target >= 0.4 * record_size else remaining / 2


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines joined, `CHUNK_BYTES` at a time: memory stays small, and the compressor busy."""
    waiting: list[bytes] = []
    waiting_bytes = 0
    for line in lines:
        waiting.append(line)
        waiting_bytes += len(line)
        if waiting_bytes >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, waiting_bytes = [], 0
    if waiting:
        yield b"".join(waiting)


def _compressed(chunks: Iterable[bytes], suffix: str, raw_bytes: int) -> Iterator[bytes]:
    window_bytes = min(max(LEAST_WINDOW_BYTES, 1 << raw_bytes.bit_length()), GREATEST_WINDOW_BYTES)
    settings = {"preset": 0, "dict_size": window_bytes}
    if suffix == "xz":
        for chunk in chunks:  # a stream each: readers must go on after the first
            yield lzma.compress(chunk, filters=[{"id": lzma.FILTER_LZMA2, **settings}])
        return
    if suffix == "gz":
        compressor: Any = zlib.compressobj(level=1, wbits=31)  # 31: a gzip header, its time 0
    else:
        filters = [{"id": lzma.FILTER_LZMA1, **settings}]
        compressor = lzma.LZMACompressor(lzma.FORMAT_ALONE, filters=filters)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _count(plan: BlockPlan, lines: Sequence[_Line]) -> Counts:
    good = [line for line in lines if line.bad is None]
    return Counts(
        blocks=1,
        records=len(lines),
        good=len(good),
        repeated_ids=len(good) - len({line.id for line in good}),
        bad=dict(Counter(line.bad for line in lines if line.bad is not None)),
        by_os=dict(Counter(line.os for line in good)),
        by_dimensions={plan.dimensions: len(good)} if good else {},
    )
