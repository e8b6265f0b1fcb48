"""What tests of the dashboard share: a server, and published folders that are written by hand."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mr.dashboard.serving import make_server
from mr.stores import open_store

#: Filter ids, and their paths.
PATHS = {
    1: ("saved_session", "Firefox", "WINNT", "6.1", "x86"),
    2: ("saved_session", "Firefox", "Darwin", "12", "x86"),
}
LEVELS = ("reason", "appName", "OS", "osVersion", "arch")
COVERAGE = {
    "version": 1,
    "blocks": {"processed": 1, "bad": [], "unread": []},
    "records": {"read": 3, "bad": 0, "left_out": 0},
}

#: Measure to day to rows.
Data = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The page over a published folder, by our own server, in a with-block."""
    server = make_server(open_store(str(folder)), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def row(
    counts: Sequence[int],
    total: float = -1,
    logs: Sequence[float] = (-1, -1),
    squares: Sequence[float] = (-1, -1),
    *,
    submissions: int = 1,
    path: int = 1,
) -> list[float]:
    """A published row."""
    return [*counts, total, *logs, *squares, submissions, path]


def filter_tree(paths: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """The tree of some filters, their values as they are."""
    root: dict[str, Any] = {"_id": 0, "name": LEVELS[0]}
    for number, path in paths.items():
        node = root
        for level, value in enumerate(path):
            if value not in node:
                last = level + 1 == len(path)
                name = {} if last else {"name": LEVELS[level + 1]}
                node[value] = {"_id": number if last else number * 1000 + level, **name}
            node = node[value]
    return root


def write_published(
    root: Path,
    versions: Mapping[str, tuple[Mapping[str, Any], Data]],
    *,
    coverage: Any = COVERAGE,
    paths: Mapping[int, Sequence[str]] = PATHS,
    stamp: str = "20140609201622",
) -> Path:
    """Write a published folder: version to definitions and data, the same by both dates."""
    live = {}
    for version, (definitions, data) in versions.items():
        channel, major = version.split("/")
        live[version] = f"{stamp}-{major}-{channel}"
        folder = root / live[version]
        folder.mkdir(parents=True)
        files = {
            "histograms": definitions,
            "filter-tree": filter_tree(paths),
            "coverage": coverage,
        }
        for measure in definitions:
            for kind in ("build", "submission"):
                files[f"{measure}-by-{kind}-date"] = data.get(measure, {})
        for name, value in files.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
    (root / "versions.json").write_text(json.dumps(live))
    return root
