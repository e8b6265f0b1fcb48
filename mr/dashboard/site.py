"""A static site: the page, and a copy of what is published, for any bucket or folder.

    index.html, *.js, page.css          the page
    site.json                           what was written here, so that it can be written again
    published/versions.json             as in the published folder, written last
    published/<folder>/*.json           what the page reads of each live folder, as it is
    published/<folder>/*.json.js        in a directory: each file's twin

A browser lets no page that was opened from a disk fetch files, but lets it run scripts: a twin is a
script that hands over its file's bytes, gzipped. So a site in a directory works when its index.html
is opened, with no server.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mr.dashboard.page import page_files
from mr.errors import FormatError, UsageError
from mr.histograms.bodies import body_of, read_body
from mr.histograms.folders import VERSIONS, read_json, read_versions, write_json
from mr.histograms.placing import is_name
from mr.store import Entry, Store

#: Where a site keeps what is published, and where it says what was written.
PUBLISHED, SITE = "published", "site.json"
#: The version of site.json.
SITE_VERSION = 1
TWIN = ".js"
#: Files of a folder that the page does not read.
_NOT_READ = "revisions.json"
#: Files that are copied at a time.
_COPIES = 8


@dataclass(frozen=True)
class Written:
    """What was written: the versions, and how many files of how many bytes were copied."""

    versions: list[str]
    files: int
    bytes: int


def write_linked_site(url: str, site: Store) -> None:
    """Write the page alone, which reads what is published at that URL, seen from the page.

    Raises UsageError when there is something else in the place.
    """
    before = _read_site(site)
    _write_site(site, set(before.get("folders", [])), before.get("live", []))
    for name, data in page_files(url).items():
        site.write(name, data)


def write_site(published: Store, site: Store) -> Written:
    """Write the site, or bring one that is there up to date; folders that are there are kept.

    The page of those who have it open goes on: what versions.json names is complete at any time,
    and the folders that it named before stay until the next time.

    Raises UsageError when nothing is published, or when there is something else in the place, and
    as the stores do.
    """
    versions, tag = read_versions(published)
    if tag is None:
        raise UsageError(f"{published.url} is no published folder: it has no {VERSIONS}.")
    before = _read_site(site)
    live = sorted(set(versions.values()))
    kept = before.get("live", [])
    folders = sorted({*live, *kept})
    # Named before anything is written: what a killed command leaves is known to be ours.
    _write_site(site, {*folders, *before.get("folders", [])}, kept)
    entries = [entry for folder in live for entry in _missing_files(published, site, folder)]
    with site.together(), ThreadPoolExecutor(_COPIES) as pool:
        for name, data in page_files(f"{PUBLISHED}/").items():
            site.write(name, data)
        sizes = list(pool.map(lambda entry: _copy(published, entry.name, site), entries))
    # Those whose folders were copied: what is published may have gone on.
    sizes.append(_put(site, VERSIONS, json.dumps(versions, indent=1).encode("utf-8") + b"\n"))
    for folder in set(before.get("folders", [])) - set(folders):
        site.delete_all([entry.name for entry in site.list(f"{PUBLISHED}/{folder}/")])
    _write_site(site, set(folders), live)
    return Written(sorted(versions), len(sizes), sum(sizes))


def _missing_files(published: Store, site: Store, folder: str) -> Iterator[Entry]:
    """What the page reads of a folder, and the site has not yet; folders never change."""
    there = {entry.name for entry in site.list(f"{PUBLISHED}/{folder}/")}
    ending = "" if site.is_remote else TWIN
    _, entries = published.list_level(f"{folder}/")
    for entry in sorted(entries, key=lambda entry: entry.name):
        name = entry.name.removeprefix(f"{folder}/")
        is_read = name.endswith(".json") and name != _NOT_READ
        # Of a file and its twin, the twin is written last.
        if is_read and f"{PUBLISHED}/{entry.name}{ending}" not in there:
            yield entry


def _copy(published: Store, name: str, site: Store) -> int:
    """Copy a file's JSON, as it is even if it is broken: the page tells what is."""
    try:
        data = read_body(published, name)
    except ValueError as error:
        raise FormatError(f"{published.url}/{name} is damaged: {error}.") from None
    return _put(site, name, data)


def _put(site: Store, name: str, data: bytes) -> int:
    """Write a file, and its twin where it has one; returns the file's bytes."""
    target = f"{PUBLISHED}/{name}"
    site.write(target, body_of(site, data))
    if not site.is_remote:
        site.write(target + TWIN, twin_of(name, data))
    return len(data)


def twin_of(name: str, data: bytes) -> bytes:
    """The script that hands a file's bytes to the page."""
    packed = base64.b64encode(gzip.compress(data, mtime=0)).decode("ascii")
    return f"takePublished({json.dumps(name)}, {json.dumps(packed)});\n".encode("ascii")


def _read_site(site: Store) -> dict:
    """What a site says of itself; {} for an empty place."""
    if site.stat(SITE) is None:
        if next(iter(site.list()), None) is not None:
            raise UsageError(
                f"{site.url} holds other things than a dashboard: name an empty place."
            )
        return {}
    found = read_json(site, SITE)
    names = [found.get("folders"), found.get("live")] if isinstance(found, dict) else [None]
    if not all(isinstance(some, list) and all(map(is_name, some)) for some in names):
        raise UsageError(f"{site.url}/{SITE} is damaged: remove the site, and write it again.")
    if found.get("version") != SITE_VERSION:
        raise UsageError(f"{site.url} was written by another version: remove it, and try again.")
    return found


def _write_site(site: Store, folders: set[str], live: list[str]) -> None:
    write_json(site, SITE, {"version": SITE_VERSION, "folders": sorted(folders), "live": live})
