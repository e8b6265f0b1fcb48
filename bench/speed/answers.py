"""Answers as digests that do not depend on order or format: equal digests, equal answers."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from mr.generate import UNDEFINED_MEASURES

#: Exact numbers of a row of histograms end here: after its statistics stand the submissions.
STATISTICS = 5
#: Sums of floats that were added in another order differ by no more than this share.
TOLERANCE = 1e-9

_json = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Digest:
    """Rows, the sum of their hashes (mod 2**64), and sums of what is not exact in them."""

    rows: int
    exact: int
    inexact: tuple[float, ...] = ()

    @staticmethod
    def of(rows: Iterable[tuple[Any, Any]]) -> "Digest":
        """The digest of pairs."""
        number = exact = 0
        for key, value in rows:
            number += 1
            exact += _hash(f"{key}\t{value}")
        return Digest(number, exact % 2**64)

    def same(self, other: "Digest") -> bool:
        """Whether both are of the same answer."""
        return (self.rows, self.exact) == (other.rows, other.exact) and all(
            math.isclose(one, another, rel_tol=TOLERANCE)
            for one, another in zip(self.inexact, other.inexact, strict=True)
        )


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def digest(work: str, answer: Path) -> Digest:
    """The digest of a work's answer, whichever of the formats below it is in.

    Of histograms those without a definition are left out, as they are of what is published.
    """
    if work != "c":
        return Digest.of(pairs(answer))
    rows = published_rows(answer) if (answer / "versions.json").exists() else pairs(answer)
    number = exact = 0
    inexact = [0.0] * (STATISTICS - 1)
    for key, row in rows:
        if key[2] not in UNDEFINED_MEASURES:
            number += 1
            exact += _hash(f"{list(key)}\t{exact_part(row)}")
            # Absent statistics are -1; who adds them as if they were numbers is not wrong in this.
            for place, one in enumerate(row[-STATISTICS:-1]):
                inexact[place] += max(one, 0)
    return Digest(number, exact % 2**64, tuple(inexact))


def exact_part(row: list) -> list:
    """Of buckets, five statistics and submissions: what is an exact sum (the first is `sum`)."""
    return [*row[:-STATISTICS], row[-1]]


# Formats


def pairs(answer: Path) -> Iterator[tuple[Any, Any]]:
    """Key and value of each line of a file, or of the parts of a folder.

    A line is a JSON pair, or JSON or text on both sides of a tab.
    """
    files = sorted(answer.glob("part-*")) if answer.is_dir() else [answer]
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                key, tab, value = line.rstrip(b"\n").partition(b"\t")
                yield (_plain(key), _json(value)) if tab else _json(line)


def _plain(key: bytes) -> Any:
    return _json(key) if key[:1] in b'"[' else key.decode()


def published_rows(root: Path) -> Iterator[tuple[list[str], list]]:
    """Cells of a published folder, as the plain loop gives them."""
    for version, measure, folder, paths in published_measures(root):
        for kind in ("by-build-date", "by-submission-date"):
            dates = _json((folder / f"{measure}-{kind}.json").read_bytes())
            for day, rows in dates.items():
                for *row, path in rows:
                    yield [version, kind, measure, day, *paths[path]], row


def published_measures(root: Path) -> Iterator[tuple[str, str, Path, dict[int, tuple]]]:
    """Version, measure, folder, and filter paths by their ids, of all that is published."""
    for version, name in json.loads((root / "versions.json").read_text()).items():
        folder = root / name
        paths = dict(_leaves(json.loads((folder / "filter-tree.json").read_text())))
        for measure in json.loads((folder / "histograms.json").read_text()):
            yield version, measure, folder, paths


def _leaves(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[int, tuple]]:
    if "name" not in node:
        yield node["_id"], path
    for option, child in node.items():
        if option not in ("_id", "name"):
            yield from _leaves(child, (*path, option))
