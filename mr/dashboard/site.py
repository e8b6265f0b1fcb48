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
from urllib.parse import urlsplit

from mr.dashboard.page import page_files
from mr.errors import FormatError, ObjectMissing, StoreError, UsageError
from mr.histograms.bodies import body_of, read_body
from mr.histograms.folders import VERSIONS, read_json, read_versions, write_json
from mr.histograms.placing import is_name
from mr.store import Entry, Store

#: Where a site keeps what is published, and where it says what was written.
PUBLISHED, SITE = "published", "site.json"
#: The version of site.json.
SITE_VERSION = 1
TWIN = ".js"
#: What every published folder has.
_DEFINITIONS = "histograms.json"
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

    Raises UsageError for a URL that a page cannot read, or when there is something else in the
    place.
    """
    _check_link(url)
    page = page_files(url)
    before = _read_site(site)
    _write_site(site, set(before.get("folders", [])), before.get("live", []))
    for name, data in page.items():
        site.write(name, data)


def write_site(published: Store, site: Store) -> Written:
    """Write the site, or bring one that is there up to date; folders that are there are kept.

    The page of those who have it open goes on: what versions.json names is complete at any time,
    and the folders that it named before stay until the next time.

    Raises UsageError when nothing is published, or not all of it, or when there is something else
    in the place; StoreError when an update deletes a folder meanwhile; and as the stores do.
    """
    versions, tag = read_versions(published)
    if tag is None:
        raise UsageError(f"{published.url} is no published folder: it has no {VERSIONS}.")
    before = _read_site(site)
    live = sorted(set(versions.values()))
    kept = _shown_before(site, before)
    folders = sorted({*live, *kept})
    entries = [entry for folder in live for entry in _missing_files(published, site, folder)]
    page = page_files(f"{PUBLISHED}/")
    # Named before anything is written: what a killed command leaves is known to be ours.
    _write_site(site, {*folders, *before.get("folders", [])}, kept)
    with site.together(), ThreadPoolExecutor(_COPIES) as pool:
        for name, data in page.items():
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
    there = {entry.name: entry for entry in site.list(f"{PUBLISHED}/{folder}/")}
    ending = "" if site.is_remote else TWIN
    _, entries = published.list_level(f"{folder}/")
    if f"{folder}/{_DEFINITIONS}" not in {entry.name for entry in entries}:
        raise UsageError(
            f"{published.url}/{folder} has no {_DEFINITIONS}: run this again if an update has just "
            "deleted it; else publish it again, or copy all of it."
        )
    for entry in sorted(entries, key=lambda entry: entry.name):
        name = entry.name.removeprefix(f"{folder}/")
        is_read = name.endswith(".json") and name != _NOT_READ
        copy = there.get(f"{PUBLISHED}/{entry.name}")
        has_twin = f"{PUBLISHED}/{entry.name}{ending}" in there
        if is_read and not (copy and has_twin and _is_whole(published, entry, site, copy)):
            yield entry


def _is_whole(published: Store, entry: Entry, site: Store, copy: Entry) -> bool:
    """Whether a file's copy has its size, as far as that can be told without fetching it."""
    if published.is_remote or site.is_remote or entry.size == copy.size:
        return True
    # It may be packed in the one place only.
    return len(_read(published, entry.name)) == copy.size


def _copy(published: Store, name: str, site: Store) -> int:
    """Copy a file's JSON, as it is even if it is broken: the page tells what is."""
    return _put(site, name, _read(published, name))


def _read(published: Store, name: str) -> bytes:
    try:
        return read_body(published, name)
    except ValueError as error:
        raise FormatError(f"{published.url}/{name} is damaged: {error}.") from None
    except ObjectMissing:
        raise StoreError(
            f"{published.url}/{name} was deleted while it was copied, as by an update: run this "
            "again."
        ) from None


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


def _check_link(url: str) -> None:
    """Refuse a URL to which a page cannot add the names of files, or which no browser fetches."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"--link {url}: this is no URL ({error}).") from None
    is_web = parts.scheme in ("http", "https") and parts.netloc
    if not url or (parts.scheme and not is_web):
        raise UsageError(
            f"--link {url}: a page reads http:// and https:// URLs, and relative ones as "
            "../published/."
        )
    if "?" in url or "#" in url:
        raise UsageError(
            f"--link {url}: names of files are added to it, so it has no query and no fragment."
        )


def _shown_before(site: Store, before: dict) -> list[str]:
    """The folders that pages which are open now read: those that the site's versions.json names."""
    try:
        versions = read_json(site, f"{PUBLISHED}/{VERSIONS}")
    except (ObjectMissing, FormatError):
        versions = None
    folders = set(before.get("folders", []))
    if isinstance(versions, dict) and all(folder in folders for folder in versions.values()):
        return sorted(set(versions.values()))
    return before.get("live", [])


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
