"""A slow plain reader, independent of ours: the standard library alone, a block at a time."""

import gzip
import json
import lzma
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records(tree: Path) -> Iterator[tuple[str, int, str, dict[str, Any]]]:
    """Each record of an undamaged tree in input order: block's key, line, id, payload."""
    files = (path for path in tree.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path.relative_to(tree).as_posix().encode()):
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else lzma.decompress(data)
        key = path.relative_to(tree).as_posix()
        for number, line in enumerate(text.splitlines(), 1):
            identity, _, raw = line.partition(b"\t")
            yield key, number, identity.decode(), json.loads(raw)


def by_system(tree: Path) -> list[list[Any]]:
    """What `os_distribution` answers."""
    counts = Counter(payload["info"]["OS"] for _, _, _, payload in records(tree))
    return [[system, count] for system, count in sorted(counts.items())]


def every_hook(tree: Path, keep: int = 3) -> list[list[Any]]:
    """What `jobs/every_hook.py` answers."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for _, _, identity, payload in records(tree):
        info = payload["info"]
        groups[info["OS"], str(info.get("version"))].append(identity)
    ranked: dict[int, list[Any]] = defaultdict(list)
    for (system, version), ids in sorted(groups.items()):
        ranked[len(ids) // 10].append([system, version, ids[:keep]])
    return [[rank, found] for rank, found in sorted(ranked.items())]
