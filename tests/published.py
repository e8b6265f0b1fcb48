"""What several tests of published histograms share: small trees, and a folder's whole content."""

import gzip
import json
import lzma
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zstandard

#: Measures of the tests, one of each kind.
DEFINITIONS = {
    "TIMES": {"kind": "exponential", "high": "10 * 1000", "n_buckets": 10, "description": "Time"},
    "LINES": {"kind": "linear", "low": 1, "high": 9, "n_buckets": 5, "description": "Lines"},
    "STATES": {"kind": "enumerated", "n_values": 3, "description": "States"},
    "SEEN": {"kind": "boolean", "description": "Seen"},
    "UNUSABLE": {"kind": "enumerated", "n_values": "JS::NUMBER", "description": "None"},
}

DIMENSIONS = {
    "reason": "saved_session",
    "appName": "Firefox",
    "appUpdateChannel": "nightly",
    "appVersion": "31.0a1",
    "appBuildID": "20140601030201",
    "submission_date": "20140602",
}


def payload(system: str = "WINNT", version: Any = "6.1", **histograms: list) -> dict[str, Any]:
    """A record with these histograms, and one simple measure."""
    info = {"OS": system, "version": version, "arch": "x86", "revision": "http://hg/rev/abc"}
    return {"info": info, "simpleMeasurements": {"uptime": 3}, "histograms": histograms}


def times(*counts: int, total: int = 5) -> list[int | float]:
    """A histogram of TIMES."""
    return [*counts, *[0] * (10 - len(counts)), total, 1.5, 2.25, -1, -1]


def write_block(
    tree: Path, payloads: Iterable[dict[str, Any]], number: int = 0, **dimensions: str
) -> str:
    """Write a block and return its key."""
    where = {**DIMENSIONS, **dimensions}
    *folders, build, submitted = where.values()
    key = "/".join([*folders, f"{build}.{submitted}.v2.log.{number:032x}.lzma"])
    path = tree / key
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"id{place}\t{json.dumps(one)}\n" for place, one in enumerate(payloads))
    path.write_bytes(lzma.compress("".join(lines).encode(), format=lzma.FORMAT_ALONE))
    return key


def write_definitions(folder: Path) -> Path:
    """Write the definitions of the tests."""
    path = folder / "definitions.json"
    path.write_text(json.dumps(DEFINITIONS))
    return path


def versions(root: Path) -> dict[str, str]:
    """The live folders."""
    return json.loads(unpacked((root / "versions.json").read_bytes()))


def unpacked(data: bytes) -> bytes:
    """What a file holds, whether it is packed or not."""
    if data.startswith(zstandard.FRAME_HEADER):
        whole = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
        return whole.decompress(data)
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def content(root: Path) -> dict[str, bytes]:
    """What every live file of a published folder holds, but for times and earlier folders."""
    found = {}
    for version, folder in versions(root).items():
        for path in (root / folder).rglob("*"):
            name = path.relative_to(root / folder).as_posix()
            if path.is_file() and name not in ("state/claim.json", "state/folder.json"):
                data = unpacked(path.read_bytes())
                found[f"{version}: {name}"] = data.replace(folder.encode(), b"FOLDER")
    for name in ("FILES_PROCESSED", "FILES_MISSING"):
        found[name] = (root / name).read_bytes()
    return found
