"""What the blocks are to be: how many, how large, of which dimensions, which of them damaged."""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from mr.generate.damage import BAD_BLOCK_KINDS
from mr.generate.drawing import below, hex_digits, weighted
from mr.generate.frequencies import APPS, CHANNELS, REASONS, SUFFIXES

#: Blocks of a tree of 1 MB; their number grows with the square root of the size.
BLOCKS_AT_1_MB = 20
#: One block in so many is a large one, and the large ones hold this share of the bytes.
BLOCKS_FOR_EACH_LARGE_ONE, LARGE_SHARE = 60, 0.65
#: Bytes: a tree whose small blocks would be smaller than this on average has no large ones.
LEAST_SMALL_BLOCK_BYTES = 20_000
#: The day on which version 25 began its nightly builds; each version has a channel for so many
#: days, then moves on to the next channel. Builds of two such periods are generated.
FIRST_BUILD_DAY, FIRST_MAJOR, DAYS_A_CHANNEL, BUILD_DAYS = date(2013, 6, 24), 25, 42, 84
#: Days between two builds of a channel.
DAYS_BETWEEN_BUILDS = {"nightly": 1, "aurora": 1, "beta": 7, "release": 21}
#: Days from a build to a submission, at most; most come early.
GREATEST_AGE_DAYS = 70
#: Where the source of each channel lies.
REPOSITORIES = {
    "nightly": "mozilla-central",
    "aurora": "releases/mozilla-aurora",
    "beta": "releases/mozilla-beta",
    "release": "releases/mozilla-release",
}


@dataclass(frozen=True, slots=True)
class Build:
    """A build of an application; `day` is its date."""

    app: str
    channel: str
    version: str
    day: date
    build_id: str
    revision: str


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """What one block is to be. `damage` is one of `BAD_BLOCK_KINDS`, or None."""

    index: int
    raw_bytes: int
    reason: str
    build: Build
    submission_date: str
    suffix: str
    id: str
    damage: str | None

    @property
    def dimensions(self) -> str:
        """The six dimensions, cleaned as in the path, joined by "/"."""
        build = self.build
        values = (self.reason, build.app, build.channel, build.version, build.build_id)
        return "/".join(_clean(value) for value in (*values, self.submission_date))

    @property
    def path(self) -> str:
        """Where the block lies under the tree."""
        folder, submission_date = self.dimensions.rsplit("/", 1)
        return f"{folder}.{submission_date}.v2.log.{self.id}.{self.suffix}"


def plan_blocks(
    size: int, seed: int, bad_blocks: float, blocks: int | None, record_size: int
) -> list[BlockPlan]:
    """Every block, in the order of their indexes."""
    rng = Random(f"{seed}/plan")
    sizes = _block_sizes(rng, size, blocks or _default_blocks(size, record_size))
    damages = _damages(rng, len(sizes), bad_blocks)
    return [
        _block_plan(rng, index, raw_bytes, damages.get(index))
        for index, raw_bytes in enumerate(sizes)
    ]


def _default_blocks(size: int, record_size: int) -> int:
    most = max(1, size // record_size)
    return max(1, min(most, math.isqrt(BLOCKS_AT_1_MB**2 * size // 1_000_000)))


def _block_sizes(rng: Random, size: int, blocks: int) -> list[int]:
    """Raw bytes of each block: a few large ones hold most of them, the rest has a long tail."""
    large = math.ceil(blocks / BLOCKS_FOR_EACH_LARGE_ONE)
    small = blocks - large
    if small == 0 or size * (1 - LARGE_SHARE) / small < LEAST_SMALL_BLOCK_BYTES:
        large, small = 0, blocks
    large_bytes = size * LARGE_SHARE if large else 0
    large_weights = [1 + 2 * rng.random() for _ in range(large)]
    small_weights = [1 / (0.2 + rng.random()) for _ in range(small)]
    return [*_parts(large_bytes, large_weights), *_parts(size - large_bytes, small_weights)]


def _parts(total: float, weights: Sequence[float]) -> list[int]:
    """The total, divided by weight."""
    all_weights = math.fsum(weights)
    return [round(total * weight / all_weights) for weight in weights]


def _damages(rng: Random, blocks: int, share: float) -> dict[int, str]:
    """Index of each block to damage, with the kind; the kinds take turns."""
    number = max(1, round(blocks * share)) if share else 0
    indexes = sorted(range(blocks), key=lambda _: rng.random())[:number]
    return {
        index: BAD_BLOCK_KINDS[turn % len(BAD_BLOCK_KINDS)] for turn, index in enumerate(indexes)
    }


def _block_plan(rng: Random, index: int, raw_bytes: int, damage: str | None) -> BlockPlan:
    build = _build(rng, weighted(rng, APPS), weighted(rng, CHANNELS))
    age_days = int((GREATEST_AGE_DAYS + 1) * rng.random() * rng.random())
    suffix = weighted(rng, SUFFIXES)
    if damage == "corrupt" and suffix == "gz":
        suffix = "lzma"  # deflate can find its feet again: what is left would be hard to state
    return BlockPlan(
        index=index,
        raw_bytes=raw_bytes,
        reason=weighted(rng, REASONS),
        build=build,
        submission_date=f"{build.day + timedelta(days=age_days):%Y%m%d}",
        suffix=suffix,
        id=hex_digits(rng, 32),
        damage=damage,
    )


def _build(rng: Random, app: str, channel: str) -> Build:
    every = DAYS_BETWEEN_BUILDS[channel]
    days = every * below(rng, BUILD_DAYS // every)
    channels_behind = [name for name, _ in CHANNELS].index(channel)
    major = FIRST_MAJOR + days // DAYS_A_CHANNEL - channels_behind
    version = f"{major}.0" + {"nightly": "a1", "aurora": "a2"}.get(channel, "")
    if channel == "release" and days % DAYS_A_CHANNEL:
        version += ".1"
    day = FIRST_BUILD_DAY + timedelta(days=days)
    # A build has one time and one revision, whichever block speaks of it.
    digest = hashlib.sha256(f"{app}/{channel}/{day}".encode()).hexdigest()
    time = f"03{int(digest[:4], 16) % 60:02d}{int(digest[4:8], 16) % 60:02d}"
    repository = "comm-central" if app == "Thunderbird" else REPOSITORIES[channel]
    revision = f"http://hg.mozilla.org/{repository}/rev/{digest[-12:]}"
    return Build(app, channel, version, day, f"{day:%Y%m%d}{time}", revision)


def _clean(value: str) -> str:
    """A dimension's value as it stands in a path."""
    return re.sub(r"[^a-zA-Z0-9_/.]", "_", value)
