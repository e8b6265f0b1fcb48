"""A published folder's own files: their names, and what a folder says of itself.

    versions.json                     "<channel>/<major>" to the live folder
    FILES_PROCESSED, FILES_MISSING    keys of blocks, a line each: copies, for people and programs
    <folder>/state/claim.json         somebody has chosen this name
    <folder>/state/folder.json        what the folder is: there once it is complete

A folder never changes once it is complete.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

import msgspec

from mr.decoding import from_json
from mr.errors import FormatError, ObjectMissing, UsageError
from mr.histograms.bodies import body_of, read_body
from mr.histograms.entries import BLOCK, read_entries
from mr.histograms.placing import is_name
from mr.store import Store

VERSIONS = "versions.json"
PROCESSED, MISSING = "FILES_PROCESSED", "FILES_MISSING"

#: The version of coverage.json.
COVERAGE_VERSION = 1
#: The only version of a folder's state that this code writes and reads.
STATE_VERSION = 2


@dataclass(frozen=True)
class FolderInfo:
    """What a complete folder says of itself."""

    version: int
    #: "<channel>/<major>".
    key: str
    folder: str
    #: The folder that it was built on, and all that went before, newest first.
    base: str | None
    chain: tuple[str, ...]
    #: The filter (its JSON form) and the share of records that it was made with.
    filter: Mapping[str, Any]
    sample: float | None


def claim_name(folder: str) -> str:
    """Where a folder's name is claimed."""
    return f"{folder}/state/claim.json"


def info_name(folder: str) -> str:
    """Where a folder says what it is."""
    return f"{folder}/state/folder.json"


def state_name(folder: str) -> str:
    """Where the folder's own state lies."""
    return f"{folder}/state/folder.jsonl.zst"


def states_name(folder: str, shelf: int) -> str:
    """Where the states of a shelf's measures lie, one after the other."""
    return f"{folder}/state/measures/{shelf:02}.jsonl.zst"


def measures_name(folder: str) -> str:
    """Where it stands which measures have a state, and its place in the file of their shelf."""
    return f"{folder}/state/measures.json"


def read_measures(output: Store, folder: str) -> dict[str, tuple[int, int]]:
    """The measures of a folder: where the state of each begins, and its length.

    Raises ObjectMissing, FormatError.
    """
    name = measures_name(folder)
    try:
        return msgspec.convert(read_json(output, name), dict[str, tuple[int, int]])
    except msgspec.ValidationError as error:
        raise FormatError(
            f"{output.url}/{name} is damaged: {error}; --rebuild publishes afresh."
        ) from None


def write_json(output: Store, name: str, value: Any) -> None:
    """Write a small JSON file."""
    # Indented afterwards: `json` does so in Python, which took half of the time of publishing.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    data = msgspec.json.format(text.encode("utf-8"), indent=1) + b"\n"
    output.write(name, body_of(output, data))


def read_json(output: Store, name: str) -> Any:
    """Read a small JSON file. Raises ObjectMissing, FormatError."""
    try:
        return json.loads(read_body(output, name))
    except ValueError as error:
        raise FormatError(f"{output.url}/{name} is damaged: {error}.") from None


def read_versions(output: Store) -> tuple[dict[str, str], str | None]:
    """The live folders by version, and the file's tag; no file is no versions and None.

    Raises UsageError for a file that is not of the form.
    """
    entry = output.stat(VERSIONS)
    if entry is None:
        return {}, None
    where = f"{output.url}/{VERSIONS}"
    try:
        versions = json.loads(read_body(output, VERSIONS, tag=entry.tag))
    except ValueError as error:
        raise UsageError(f"{where} is no JSON ({error}): mend it, or publish elsewhere.") from None
    if not isinstance(versions, dict):
        raise UsageError(f"{where} is no JSON object: mend it, or publish elsewhere.")
    for key, folder in versions.items():
        channel, _, major = key.partition("/")
        if not (is_name(channel) and is_name(major) and is_name(folder)):
            raise UsageError(
                f"{where}: {key!r}: {folder!r} is not <channel>/<version> and a folder's name; "
                "mend it, or publish elsewhere."
            )
    return versions, entry.tag


def read_info(output: Store, folder: str) -> FolderInfo | None:
    """What a folder says of itself; None if it does not (it is not ours, or not complete)."""
    try:
        info = from_json(read_body(output, info_name(folder)), FolderInfo)
    except ObjectMissing:
        return None
    except (msgspec.DecodeError, ValueError) as error:
        raise FormatError(f"{output.url}/{info_name(folder)} is damaged: {error}.") from None
    return info


def write_info(output: Store, info: FolderInfo) -> None:
    """Declare a folder complete."""
    write_json(output, info_name(info.folder), asdict(info))


def processed_blocks(output: Store, folder: str) -> Iterator[tuple[str, list]]:
    """Yield key and entry of each block that a folder holds, in the order of their keys."""
    name = state_name(folder)
    entries = read_entries(output.open(name), f"{output.url}/{name}")
    for suffix, value in takewhile(lambda entry: entry[0][0] == BLOCK, entries):
        yield suffix[1], value
