"""Finishing an update: the folder's last files, the swap that makes it live, what is tidied up.

Everything here may be repeated, and may stop anywhere: before the swap nobody sees the new folders,
and after it what is left to do is done by whoever comes next. `moved` is called again and again, so
that what takes long is not taken to hang.
"""

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from mr.errors import ObjectChanged, ObjectExists, ObjectMissing, PlanAgain
from mr.histograms.bodies import body_of
from mr.histograms.folders import (
    COVERAGE_VERSION,
    MISSING,
    PROCESSED,
    STATE_VERSION,
    VERSIONS,
    FolderInfo,
    measures_name,
    read_info,
    read_versions,
    write_info,
    write_json,
)
from mr.histograms.updates import FolderPlan, UpdatePlan
from mr.publishing import unwatched
from mr.store import Store

#: Objects that are deleted between two signs of going on: as many as S3 takes in one request.
BATCH = 1_000


def finish_folder(
    output: Store,
    folder: FolderPlan,
    plan: UpdatePlan,
    results: Mapping[str, Mapping[str, Any]],
    covered: Mapping[str, Any],
    unread: list[str],
    moved: Callable[[], None] = unwatched,
) -> None:
    """Write what tells of all measures, and declare the folder complete.

    `results` are those of the measures' sections, `covered` that of the folder's, `unread` the keys
    of the version's blocks of which nothing was read.
    """
    published = {name: one for name, one in sorted(results.items()) if not one["left_out"]}
    for file, part in (("histograms", "definition"), ("revisions", "revision")):
        content = {name: one[part] for name, one in published.items()}
        write_json(output, f"{folder.folder}/{file}.json", content)
        moved()
    coverage = {
        "version": COVERAGE_VERSION,
        "channel/version": folder.key,
        "folder": folder.folder,
        **covered,
        "blocks": {**covered["blocks"], "unread": sorted(unread)},
        "measures": {
            "published": len(published),
            "left_out": _told(results, "left_out"),
            "mismatches": _told(results, "mismatch"),
        },
    }
    write_json(output, f"{folder.folder}/coverage.json", coverage)
    moved()
    states = {name: one["state"] for name, one in sorted(results.items())}
    write_json(output, measures_name(folder.folder), states)
    moved()
    info = FolderInfo(
        version=STATE_VERSION,
        key=folder.key,
        folder=folder.folder,
        base=folder.base,
        chain=folder.chain,
        filter=plan.filter,
        sample=plan.sample,
    )
    write_info(output, info)
    moved()


def _told(results: Mapping[str, Mapping[str, Any]], part: str) -> dict[str, str]:
    return {name: one[part] for name, one in sorted(results.items()) if one[part]}


def swap(output: Store, plan: UpdatePlan, moved: Callable[[], None] = unwatched) -> None:
    """Make the new folders the live ones, all at once. Raises PlanAgain if another was first."""
    while True:
        live, tag = read_versions(output)
        changed = dict(live)
        for key, folder in plan.folders.items():
            moved()
            if not _is_done(output, folder, live.get(key)):
                if live.get(key) != folder.replaces:
                    raise PlanAgain(
                        f"{key} in {output.url} was published by another run meanwhile "
                        f"({live.get(key)})."
                    )
                changed[key] = folder.folder
        for key, folder in plan.dropped.items():
            if live.get(key) == folder:
                del changed[key]
        if changed == live and tag is not None:
            return
        try:
            _write_versions(output, dict(sorted(changed.items())), tag)
            moved()
            return
        except (ObjectChanged, ObjectExists):
            continue  # Somebody else's version was swapped meanwhile, or ours.


def _is_done(output: Store, folder: FolderPlan, now: str | None) -> bool:
    """Whether the live folder is this one, or was built on it."""
    if now is None or now == folder.replaces:
        return False
    if now == folder.folder:
        return True
    info = read_info(output, now)
    return info is not None and folder.folder in info.chain


def _write_versions(output: Store, versions: dict[str, str], tag: str | None) -> None:
    data = (json.dumps(versions, indent=1) + "\n").encode()
    output.write(VERSIONS, body_of(output, data), if_absent=tag is None, if_match=tag)


def write_root_lists(
    output: Store, unread: Iterable[str], moved: Callable[[], None] = unwatched
) -> None:
    """Bring the lists at the root up to date: copies of what the live folders say.

    `unread` are keys of blocks of which nothing was read: they stay listed as missing until a
    live folder holds them.
    """
    missing = sorted(set(unread))

    def still_missing(tag: str | None) -> Iterator[str]:
        old = _lines(output, MISSING, moved, tag)
        return _without(_union([old, missing]), _processed(output, moved))

    _rewrite(output, PROCESSED, lambda tag: _processed(output, moved), moved)
    _rewrite(output, MISSING, still_missing, moved)


def _rewrite(
    output: Store,
    name: str,
    lines: Callable[[str | None], Iterable[str]],
    moved: Callable[[], None],
) -> None:
    """Replace a list, and again if another was quicker: theirs may know less than ours.

    `lines` are given the tag of the list as it is, None where there is none.
    """
    while True:
        moved()
        entry = output.stat(name)
        tag = None if entry is None else entry.tag
        try:
            with output.create(name, if_absent=tag is None, if_match=tag) as out:
                for line in lines(tag):
                    out.write(f"{line}\n".encode())
            return
        except (ObjectChanged, ObjectExists):
            continue


def _processed(output: Store, moved: Callable[[], None]) -> Iterator[str]:
    live, _ = read_versions(output)
    return _union(_lines(output, f"{folder}/{PROCESSED}", moved) for folder in set(live.values()))


def _lines(
    output: Store, name: str, moved: Callable[[], None], tag: str | None = None
) -> Iterator[str]:
    """Yield the lines of a list; one that is not there has none."""
    try:
        stream = output.open(name, tag=tag)
    except ObjectMissing:
        return
    with stream:
        for line in stream:
            moved()
            yield line.decode("utf-8").removesuffix("\n")


def _union(sorted_lists: Iterable[Iterable[str]]) -> Iterator[str]:
    return map(itemgetter(0), groupby(heapq.merge(*sorted_lists)))


def _without(lines: Iterator[str], others: Iterator[str]) -> Iterator[str]:
    other = next(others, None)
    for line in lines:
        while other is not None and other < line:
            other = next(others, None)
        if line != other:
            yield line


def remove_old(output: Store, plan: UpdatePlan, moved: Callable[[], None] = unwatched) -> None:
    """Delete the folders that the new ones have made old, but for `plan.keep` of each version.

    Only folders that a live folder names as those that went before it.
    """
    live, _ = read_versions(output)
    for key, folder in plan.folders.items():
        if live.get(key) != folder.folder:
            continue
        old = []
        for earlier in folder.chain[plan.keep :]:
            moved()
            names = []
            for entry in output.list(f"{earlier}/"):
                names.append(entry.name)
                moved()
            if not names:
                break  # What went before it was removed before it.
            if earlier not in live.values():
                old.append(names)
        for names in reversed(old):
            for start in range(0, len(names), BATCH):
                output.delete_all(names[start : start + BATCH])
                moved()
