"""Blocks made of bytes at hand, and reading them through."""

import io
import math

from mr.blocks import Block
from mr.lines import BlockAccount
from mr.records import JsonObject, Record, read_records
from mr.schema import load_schema

DIMENSIONS = load_schema().dimensions(["idle_daily", "Firefox", "nightly", "22", "2013", "2014"])
#: The text of a block: 3,000 good lines.
LINES = b"".join(b'%032x\t{"a":[%d]}\n' % (n * n, n) for n in range(3000))


def block_of(data: bytes, name: str = "a/b.log", *, size: int | None = None) -> Block:
    """A block of these bytes; `size` is what was planned."""
    return Block("memory:", name, len(data) if size is None else size, "", DIMENSIONS)


def read(data: bytes, name: str = "a/b.log", **options) -> tuple[list[Record], BlockAccount]:
    """The records of a block, which are read through to the end, and its account."""
    account = BlockAccount()
    block = block_of(data, name)
    return list(read_records(block, lambda: io.BytesIO(data), account, **options)), account


def on_turn(raw: bytes) -> Record:
    """A record while it has its turn."""
    data = b"id\t" + raw + b"\n"
    return next(read_records(block_of(data), lambda: io.BytesIO(data), BlockAccount()))


def exact(value: object) -> object:
    """A form that tells 1 from 1.0 and True, and 0.0 from -0.0; order of names does not count."""
    if isinstance(value, JsonObject):
        value = {name: value[name] for name in value}
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return (type(value).__name__, value, math.copysign(1, value) if value == 0.0 else 0)
