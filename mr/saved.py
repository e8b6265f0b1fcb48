"""A saved state: what a job's last reduce was given, kept so that jobs can be added up later.

    state.json         what it is, what it covers, and its other objects; written last, if absent
    bundle/<digest>    the analysis's code, as the job had it
    blocks/<digest>    the blocks that were read: a run, by what a block is known by
    parts/<digest>     runs of combined pairs; each key is in one of them

Every object but the first is named by the SHA-256 of its content. So jobs that write to one place
at a time spoil nothing of each other's, and nothing is ever replaced.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from mr.blocks import Block
from mr.decoding import from_json
from mr.errors import FormatError, ObjectExists, ObjectMissing, UsageError
from mr.runs import Rows, RunWriter, merge_in_passes, read_run
from mr.store import Store
from mr.stores import is_local, open_store
from mr.tally import Tally

#: The only version of a state that this code writes and reads.
VERSION = 1
#: The object that makes a state whole.
STATE = "state.json"
#: The kinds of the other objects.
BUNDLE, BLOCKS, PARTS = "bundle", "blocks", "parts"

#: Objects that are checked at a time where each takes a round trip.
CHECKERS = 16
#: Bytes that are read at a time.
PIECE_BYTES = 1024 * 1024
#: Blocks that are written together.
BLOCKS_AT_A_TIME = 1000

_NAME = re.compile(rf"({BUNDLE}|{BLOCKS}|{PARTS})/[0-9a-f]{{64}}")
#: What a list of blocks says of each: the store's URL, the size, the tag.
_Found = tuple[str, int, str]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Found).decode


@dataclass(frozen=True, slots=True)
class Piece:
    """An object of a state: `<kind>/<digest>`, and its bytes."""

    name: str
    size: int

    @property
    def digest(self) -> str:
        """The SHA-256 of its content."""
        return self.name.rpartition("/")[2]


def piece_name(kind: str, digest: str) -> str:
    """The name of an object of that kind with that digest."""
    return f"{kind}/{digest}"


@dataclass(frozen=True)
class Facts:
    """What `state.json` says; nothing in it tells when, or by which job, it was made."""

    version: int
    #: What the person named, the classes of its steps, and a digest of their sources.
    analysis: str
    steps: list[str]
    code: str
    #: All parameters in words, and (by `mr.values`) those that the reduces have in the place of the
    #: bundle's.
    parameters: dict[str, str]
    given: bytes
    #: What was read: the dimensions, the share of lines, the filter (None for several), the inputs.
    schema: dict[str, Any]
    sample: float | None
    filter: dict[str, Any] | None
    inputs: list[str]
    #: What the listing found beside the blocks, and what the maps read and counted.
    listing: dict[str, Any]
    tally: Tally
    bundle: Piece
    blocks: Piece
    parts: list[Piece]


@dataclass(frozen=True)
class SavedState:
    """A state that was found at `url`."""

    url: str
    store: Store
    facts: Facts

    @property
    def pieces(self) -> list[Piece]:
        """Its objects but `state.json`."""
        return [self.facts.bundle, self.facts.blocks, *self.facts.parts]

    def path(self, piece: Piece) -> str:
        """Where an object of it is, as a person would write it."""
        return f"{self.url.rstrip('/')}/{piece.name}"


def is_kept(store: Store) -> bool:
    """Whether a store holds a state."""
    return store.stat(STATE) is not None


# Reading


def read_saved(place: str) -> SavedState:
    """The state at a path or URL. Raises UsageError for what is none, or is not whole."""
    if is_local(place) and Path(place).is_file():
        raise UsageError(
            f"{place} is a file, and a state is a folder: name the one that --keep-state was given."
        )
    store = open_store(place)
    try:
        data = store.read(STATE)
    except ObjectMissing:
        raise UsageError(
            f"{place} holds no state, for there is no {STATE} in it: a job that keeps one writes "
            "that last; `mr-telemetry resume JOB` finishes one that was interrupted."
        ) from None
    try:
        version = msgspec.json.decode(data, type=dict[str, Any])["version"]
        if version != VERSION:
            raise UsageError(
                f"{place} was made by another version of mr-telemetry (its state is of version "
                f"{version!r:.50}, and {VERSION} is read here): merge it by that, or run its job "
                "anew."
            )
        facts = from_json(data, Facts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise _damaged(f"{place}/{STATE}", f"it cannot be read: {error}") from None
    state = SavedState(store.url, store, facts)
    for piece in state.pieces:
        if not _NAME.fullmatch(piece.name) or piece.size < 0:
            raise _damaged(f"{place}/{STATE}", f"{piece.name!r:.200} is no object of a state")
    return state


def _damaged(path: str, why: str) -> UsageError:
    return UsageError(f"{path} is damaged: {why}; run its job anew, and keep the state elsewhere.")


def check_pieces(state: SavedState) -> None:
    """Read every object of a state; raises UsageError for the first that is not as was written."""
    check = partial(_check_piece, state)
    if not state.store.is_remote:
        for piece in state.pieces:
            check(piece)
        return
    with ThreadPoolExecutor(CHECKERS) as pool:
        for _ in pool.map(check, state.pieces):
            pass


def _check_piece(state: SavedState, piece: Piece) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with state.store.open(piece.name) as stream:
            while data := stream.read(PIECE_BYTES):
                digest.update(data)
                size += len(data)
    except ObjectMissing:
        raise _damaged(state.path(piece), "it is not there") from None
    if size != piece.size:
        raise _damaged(state.path(piece), f"it has {size:,} bytes, and {STATE} says {piece.size:,}")
    if digest.hexdigest() != piece.digest:
        raise _damaged(state.path(piece), "its content is not that of its digest")


# Blocks


def block_rows(blocks: Iterator[tuple[Block, bool]]) -> Iterator[Rows]:
    """Blocks in order, and whether each is of the layout, as the rows of a list of blocks."""
    rows: Rows = ([], [], [])
    for block, in_layout in blocks:
        # As a listing knows blocks: those outside the layout are others in each store.
        known_by = block.key if in_layout else f"{block.key}\0{block.store_url}"
        rows[0].append(known_by.encode("utf-8", "surrogateescape"))
        rows[1].append(_encode((block.store_url, block.size, block.tag)))
        if len(rows[0]) == BLOCKS_AT_A_TIME:
            yield rows
            rows = ([], [], [])
    yield rows


def read_blocks(place: str, piece: Piece, origin: bytes = b"") -> Iterator[Rows]:
    """The rows of a state's list of blocks; with an origin, each bears that."""
    store = open_store(place)
    with store.open(piece.name) as stream:
        for names, found, _ in read_run(stream, piece.size, f"{place.rstrip('/')}/{piece.name}"):
            yield names, found, [origin] * len(names) if origin else []


def merged_blocks(lists: Sequence[tuple[str, Piece]], folder: Path) -> Iterator[Rows]:
    """The blocks of several states, each with the number of its state as origin.

    `folder` is for what is more than can be merged at a time.
    """
    sources = [
        partial(read_blocks, place, piece, str(number).encode())
        for number, (place, piece) in enumerate(lists)
    ]
    return merge_in_passes(sources, folder)


def check_disjoint(states: Sequence[SavedState], folder: Path) -> None:
    """Raise UsageError that names a block which two states have; `folder` as before."""
    last = whose = b""
    for names, found, origins in merged_blocks(
        [(one.url, one.facts.blocks) for one in states], folder
    ):
        for name, value, origin in zip(names, found, origins, strict=True):
            if name == last and whose:
                store, _, _ = _decode(value)
                key = name.decode("utf-8", "surrogateescape").partition("\0")[0]
                raise UsageError(
                    f"{states[int(whose)].url} and {states[int(origin)].url} both hold the block "
                    f"{store.rstrip('/')}/{key}, and nothing is counted twice: leave one of the "
                    "two out."
                )
            last, whose = name, origin


# Writing


class HashingWriter:
    """Hands on what is written, and takes its digest."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write bytes."""
        self._digest.update(data)
        return self._out.write(data)

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written."""
        return self._digest.hexdigest()


def put_piece(store: Store, name: str, source: BinaryIO, moved: Callable[[], None]) -> None:
    """Write an object of a state unless it is there; `moved` hears of each piece."""
    with suppress(ObjectExists), store.create(name, if_absent=True) as out:
        while data := source.read(PIECE_BYTES):
            out.write(data)
            moved()


def put_blocks(
    store: Store, rows: Iterator[Rows], folder: Path, moved: Callable[[], None]
) -> Piece:
    """Write a list of blocks by way of a file in `folder`: its name is its content's."""
    path = folder / "blocks"
    with path.open("wb") as file:
        out = HashingWriter(file)
        writer = RunWriter(out, moved)
        for few in rows:
            writer.extend(few)
        writer.flush()
    piece = Piece(piece_name(BLOCKS, out.digest), writer.written)
    with path.open("rb") as file:
        put_piece(store, piece.name, file, moved)
    path.unlink()
    return piece


def put_facts(store: Store, facts: Facts) -> None:
    """Make a state whole. Raises FormatError when another one is there by now."""
    data = msgspec.json.format(msgspec.json.encode(facts))
    try:
        store.write(STATE, data, if_absent=True)
    except ObjectExists:
        if store.read(STATE) != data:
            raise FormatError(
                f"{store.url} holds another state by now; name another place."
            ) from None
