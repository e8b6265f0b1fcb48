"""What was measured, kept as JSON between runs; and the block that two files share."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.speed.cluster import OnCluster
from bench.speed.floor import Floored
from bench.speed.pairs import Gain
from bench.speed.peers import Beside
from bench.speed.reduction import Merged
from bench.speed.tiny import Tiny

#: What stands between these in one file stands so in the other too.
MARKS = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass
class Measured:
    """The last figures of each part, None for one that was not measured; and how they came about.

    `parts` tells of each when it was measured and of how much.
    """

    machine: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    floor: list[Floored] | None = None
    small: list[Floored] | None = None
    pairs: list[Gain] | None = None
    tiny: Tiny | None = None
    reduction: Merged | None = None
    cluster: OnCluster | None = None
    peers: list[Beside] | None = None


def load(path: Path) -> Measured:
    """What earlier runs have kept; nothing where they have kept it in another form."""
    try:
        return msgspec.convert(json.loads(path.read_text()), Measured)
    except (FileNotFoundError, ValueError, msgspec.ValidationError):
        return Measured()


def save(path: Path, measured: Measured) -> None:
    """Keep it for the next run."""
    path.write_text(json.dumps(asdict(measured), indent=1))


def renewed(kept: Any, found: Any) -> Any:
    """A part's figures: those found now, and of works that were left out those that are kept."""
    if not isinstance(found, list):
        return found
    letters = {one.letter for one in found}
    others = [one for one in kept or () if one.letter not in letters]
    return sorted([*others, *found], key=lambda one: one.letter)
