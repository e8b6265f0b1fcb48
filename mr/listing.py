"""From inputs to blocks: a listing that a filter prunes level by level.

An input is a directory or `s3://bucket/prefix` that holds the schema's first folders, or one
file. A block's identity is its dimension path under the input, so inputs that overlap count it
once. There may be millions of blocks: few are in memory at a time.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mr.blocks import BlockList, BlockSorter
from mr.concurrency import in_order, interleave
from mr.errors import InputMissing, UsageError
from mr.inputs import Input, resolve_input
from mr.schema import Schema
from mr.sorting import SORT_BYTES
from mr.store import Entry, Level, Store
from mr.text import utf8

#: How many names outside the layout a listing keeps as examples.
STRAYS_KEPT = 20

#: Names that are looked at to tell why nothing matches, and values shown of a dimension.
NAMES_LOOKED_AT, VALUES_SHOWN = 10_000, 6

#: Requests at a time to a store where each is a round trip.
REQUESTS = 16
#: So many prefixes are listed at a time as well as any number: few folders hold most blocks.
ENOUGH_PREFIXES = 4 * REQUESTS


@dataclass
class Listing:
    """What the inputs hold."""

    #: In byte order of their keys.
    blocks: BlockList = field(default_factory=lambda: BlockList.of([]))
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
        return self.blocks.bytes

    def add_stray(self, path: str) -> None:
        """Count a name that is not of the layout."""
        self.strays += 1
        if len(self.stray_examples) < STRAYS_KEPT:
            self.stray_examples.append(path)


def list_blocks(
    inputs: Sequence[str],
    schema: Schema,
    selection: Schema,
    *,
    listed: Iterable[str] = (),
    folder: Path | None = None,
    limit_bytes: int = SORT_BYTES,
) -> Listing:
    """The blocks of all inputs that the selection (a filter) allows.

    `listed` are inputs of an input list: those that are not there are reported as missing, while
    a missing one of `inputs` raises UsageError, as does an input without any name of the layout.
    What is more than `limit_bytes` of memory is kept in `folder`, or else where temporary files
    go, in files without names.
    """
    listing = Listing()
    found = BlockSorter(schema, folder, limit_bytes)
    resolved = [resolve_input(text, schema) for text in inputs]
    for source in resolved:
        _list_input(source, schema, selection, listing, found)
    for source in _there(listed, schema, listing):
        _list_input(source, schema, selection, listing, found)
    listing.blocks = found.finish()
    listing.repeated = found.repeated
    return listing


def _there(listed: Iterable[str], schema: Schema, listing: Listing) -> Iterator[Input]:
    """The inputs of an input list that are there, in its order."""

    def resolve(text: str) -> Input | str:
        try:
            return resolve_input(text, schema)
        except InputMissing:
            return text

    listed = list(listed)
    is_remote = any("://" in text for text in listed)
    found = in_order(resolve, listed, REQUESTS) if is_remote else map(resolve, listed)
    for one in found:
        if isinstance(one, Input):
            yield one
        else:
            listing.missing.append(one)


def why_nothing_matches(inputs: Sequence[str], schema: Schema, selection: Schema) -> str:
    """What keeps a selection from matching, judged by some names of the inputs; "" if unknown."""
    names = (
        schema.dimensions_of(entry.name)
        for text in inputs
        for source in [resolve_input(text, schema)]
        for entry in (source.store.list() if source.file is None else [source.file])
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


def _list_input(
    source: Input, schema: Schema, selection: Schema, listing: Listing, found: BlockSorter
) -> None:
    in_layout, stray = 0, ""
    is_lone = source.file is not None
    url = source.store.url
    unknown = schema.dimensions("" for _ in schema.fields)
    is_selective = not all(allowed.any for allowed in selection.allowed)
    store = found.store_number(url)
    for entry in _entries(source, selection):
        name = _name_of(entry)
        known = None if name is None else schema.dimensions_of(entry.name)
        if name is None or (known is None and not is_lone):
            stray = utf8(f"{url.rstrip('/')}/{entry.name}").decode()
            listing.add_stray(stray)
            continue
        in_layout += 1
        if is_selective and not selection.matches(known or unknown):
            listing.filtered += 1
        else:
            found.add(store, entry, name, in_layout=known is not None)
    if stray and not in_layout and not is_selective:
        raise UsageError(
            f"{url}: nothing here lies as {schema.layout} (found {stray}); give "
            f"the folder that holds the <{schema.fields[0]}> folders, or the right --schema."
        )


def _name_of(entry: Entry) -> bytes | None:
    """An entry's name as UTF-8; None if that is the name of no block."""
    name = entry.name
    if name.startswith(".", name.rfind("/") + 1) or "\0" in name:
        return None
    try:
        return name.encode()
    except UnicodeEncodeError:
        return None


def _entries(source: Input, selection: Schema) -> Iterator[Entry]:
    """Every object that the selection may allow: selective levels prune, the rest lists flat."""
    if source.file is not None:
        yield source.file
        return
    store = source.store
    threads = REQUESTS if store.is_remote else 1
    builds = selection.allowed[selection.folders].spellings
    depth = selection.folders
    while builds is None and depth and selection.allowed[depth - 1].any:
        depth -= 1
    prefixes: Iterable[str] = [""]
    for level in range(depth):
        prefixes = list(_next_level(store, prefixes, selection, level, threads))
    if builds is not None:
        # A dot would end the build in a file's name, so none has one.
        whole = [build for build in builds if "." not in build]
        prefixes = (f"{prefix}{build}." for prefix in prefixes for build in whole)
    elif store.is_remote:
        prefixes = yield from _fan_out(store, prefixes, selection.folders - depth)
    yield from interleave(store.list, prefixes, threads)


def _next_level(
    store: Store, prefixes: Iterable[str], selection: Schema, level: int, threads: int
) -> Iterator[str]:
    allowed = selection.allowed[level]

    def below(prefix: str) -> list[str]:
        folders, _ = store.list_level(prefix)
        return [folder for folder in folders if allowed.matches(folder[len(prefix) : -1])]

    if allowed.spellings is None:
        return interleave(below, prefixes, threads)
    return (f"{prefix}{value}/" for prefix in prefixes for value in allowed.spellings)


def _fan_out(
    store: Store, prefixes: Iterable[str], levels: int
) -> Generator[Entry, None, Iterable[str]]:
    """Go down some levels until there are enough prefixes to list at a time, which it returns.

    A flat listing is one request after the other, a thousand names each. Yields the objects that
    lie directly in the levels passed.
    """

    def look(prefix: str) -> list[Level]:
        return [store.list_level(prefix)]

    prefixes = list(prefixes)
    while levels and len(prefixes) < ENOUGH_PREFIXES:
        below: list[str] = []
        for folders, entries in interleave(look, prefixes, REQUESTS):
            below += folders
            yield from entries
        prefixes = below
        levels -= 1
    return prefixes
