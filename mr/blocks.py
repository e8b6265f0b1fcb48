"""From inputs to blocks: a listing that a filter prunes level by level.

An input is a directory or `s3://bucket/prefix` that holds the schema's first folders, or one
file. A block's identity is its dimension path under the input, so inputs that overlap count it
once.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from mr.directory import DirectoryStore
from mr.errors import InputMissing, UsageError
from mr.schema import Dimensions, Schema
from mr.store import Entry, Store
from mr.stores import open_store
from mr.text import is_utf8, utf8

#: How many names outside the layout a listing keeps as examples.
STRAYS_KEPT = 20

#: Names that are looked at to tell why nothing matches, and values shown of a dimension.
NAMES_LOOKED_AT, VALUES_SHOWN = 10_000, 6

#: A lone file's folders are its dimensions only when its name is one of the pipeline's.
_PIPELINE_NAME = re.compile(r"\.v\d+\.log\.")


@dataclass(frozen=True, slots=True)
class Block:
    """One compressed file of records.

    `key` is its path under the store at `store_url`, `size` its compressed bytes, `tag` what the
    store says of its version.
    """

    store_url: str
    key: str
    size: int
    tag: str
    dimensions: Dimensions

    @property
    def path(self) -> str:
        """Where the block is, as a person would write it."""
        return f"{self.store_url.rstrip('/')}/{self.key}"


@dataclass(frozen=True, slots=True)
class Input:
    """Where to look: a store, and the one key in it when the input is a file."""

    store: Store
    key: str | None = None


@dataclass
class Listing:
    """What the inputs hold."""

    #: In byte order of their keys.
    blocks: list[Block] = field(default_factory=list)
    #: Blocks that the filter leaves out, as far as they were listed at all.
    filtered: int = 0
    #: Blocks that another input had already.
    repeated: int = 0
    #: Inputs of an input list that are not there.
    missing: list[str] = field(default_factory=list)
    strays: int = 0
    stray_examples: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Compressed bytes of all blocks."""
        return sum(block.size for block in self.blocks)

    def add_stray(self, path: str) -> None:
        """Count a name that is not of the layout."""
        self.strays += 1
        if len(self.stray_examples) < STRAYS_KEPT:
            self.stray_examples.append(path)


def resolve_input(text: str, schema: Schema) -> Input:
    """The input that a person wrote.

    Raises InputMissing when there is no such file or folder, and UsageError for a path that
    cannot be written down: the job's description and plan are UTF-8.
    """
    if "://" in text and not text.startswith("file://"):
        return Input(open_store(text))
    if not text:
        raise UsageError("an input is empty: name a file or a folder.")
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"), errors="surrogateescape")
    path = Path(os.path.abspath(text))
    for name in (text, str(path)):
        if not is_utf8(name):
            raise UsageError(f"{utf8(name).decode()}: the name is not UTF-8; rename it.")
    if os.path.isdir(path):
        return Input(DirectoryStore(path))
    if not os.path.isfile(path):
        raise InputMissing(f"{text}: no such file or folder.")
    depth = schema.folders + 1
    if _PIPELINE_NAME.search(path.name) and len(path.parts) > depth:
        return Input(DirectoryStore(path.parents[schema.folders]), "/".join(path.parts[-depth:]))
    return Input(DirectoryStore(path.parent), path.name)


def list_blocks(
    inputs: Sequence[str], schema: Schema, selection: Schema, *, listed: Iterable[str] = ()
) -> Listing:
    """The blocks of all inputs that the selection (a filter) allows.

    `listed` are inputs of an input list: those that are not there are reported as missing, while
    a missing one of `inputs` raises UsageError, as does an input without any name of the layout.
    """
    listing = Listing()
    found: dict[str, Block] = {}
    resolved = [resolve_input(text, schema) for text in inputs]
    for text in listed:
        try:
            resolved.append(resolve_input(text, schema))
        except InputMissing:
            listing.missing.append(text)
    for source in resolved:
        _list_input(source, schema, selection, listing, found)
    listing.blocks = sorted(found.values(), key=lambda block: _byte_order(block.key))
    return listing


def why_nothing_matches(inputs: Sequence[str], schema: Schema, selection: Schema) -> str:
    """What keeps a selection from matching, judged by some names of the inputs; "" if unknown."""
    names = (
        schema.dimensions_of(entry.name)
        for text in inputs
        for source in [resolve_input(text, schema)]
        for entry in (source.store.list("" if source.key is None else source.key))
    )
    seen = list(islice(filter(None, names), NAMES_LOOKED_AT))
    reasons = []
    for field_name, allowed, values in zip(
        schema.fields, selection.allowed, zip(*seen, strict=True), strict=False
    ):
        if not any(map(allowed.matches, values)):
            found = sorted(set(values))
            more = ", ..." if len(found) > VALUES_SHOWN else ""
            shown = ", ".join(found[:VALUES_SHOWN]) + more
            reasons.append(f"{field_name} must be {allowed}, and the input has {shown}")
    return "; ".join(reasons)


def _byte_order(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _list_input(
    source: Input, schema: Schema, selection: Schema, listing: Listing, found: dict[str, Block]
) -> None:
    in_layout, stray = 0, ""
    for entry in _entries(source, selection):
        path = f"{source.store.url.rstrip('/')}/{entry.name}"
        dimensions = _dimensions(source, entry, schema)
        if dimensions is None:
            stray = utf8(path).decode()
            listing.add_stray(stray)
            continue
        in_layout += 1
        # A file outside the layout has no dimension path, so its place is its identity.
        identity = entry.name if any(dimensions) else path
        if not selection.matches(dimensions):
            listing.filtered += 1
        elif identity in found:
            listing.repeated += 1
        else:
            found[identity] = Block(source.store.url, entry.name, entry.size, entry.tag, dimensions)
    if stray and not in_layout and all(allowed.any for allowed in selection.allowed):
        raise UsageError(
            f"{source.store.url}: nothing here lies as {schema.layout} (found {stray}); give "
            f"the folder that holds the <{schema.fields[0]}> folders, or the right --schema."
        )


def _dimensions(source: Input, entry: Entry, schema: Schema) -> Dimensions | None:
    if entry.name.rpartition("/")[2].startswith(".") or not is_utf8(entry.name):
        return None
    dimensions = schema.dimensions_of(entry.name)
    if dimensions is None and source.key is not None:
        return schema.dimensions("" for _ in schema.fields)
    return dimensions


def _entries(source: Input, selection: Schema) -> Iterator[Entry]:
    """Every object that the selection may allow: selective levels prune, the rest lists flat."""
    if source.key is not None:
        entry = source.store.stat(source.key)
        if entry is not None:
            yield entry
        return
    builds = selection.allowed[selection.folders].spellings
    depth = selection.folders
    while builds is None and depth and selection.allowed[depth - 1].any:
        depth -= 1
    prefixes = [""]
    for level in range(depth):
        prefixes = list(_next_level(source.store, prefixes, selection, level))
    if builds is not None:
        # A dot would end the build in a file's name, so none has one.
        builds = [build for build in builds if "." not in build]
        prefixes = [f"{prefix}{build}." for prefix in prefixes for build in builds]
    for prefix in prefixes:
        yield from source.store.list(prefix)


def _next_level(
    store: Store, prefixes: Iterable[str], selection: Schema, level: int
) -> Iterator[str]:
    allowed = selection.allowed[level]
    for prefix in prefixes:
        if allowed.spellings is not None:
            yield from (f"{prefix}{value}/" for value in allowed.spellings)
            continue
        folders, _ = store.list_level(prefix)
        for folder in folders:
            if allowed.matches(folder[len(prefix) : -1]):
                yield folder
