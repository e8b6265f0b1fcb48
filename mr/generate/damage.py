"""Lines and blocks that are bad, each in one of several known ways."""

import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from mr.generate.drawing import hex_digits

#: Ways in which a line is damaged.
BAD_RECORD_KINDS = (
    "no tab",
    "not UTF-8",
    "half a JSON",
    "NaN token",
    "array on top",
    "lone surrogate",
    "deep nesting",
)
#: Ways in which a block is damaged.
BAD_BLOCK_KINDS = ("truncated", "corrupt", "empty", "trailing garbage")
#: Levels of a too deeply nested record (512 are allowed).
TOO_DEEP = 1_000
#: Bytes overwritten in the middle of a corrupt block, and appended as trailing garbage.
DAMAGE_BYTES = 48


def spoilt(line: bytes, kind: str) -> bytes:
    """The line, damaged in one of the ways of `BAD_RECORD_KINDS`."""
    id_, _, body = line.removesuffix(b"\n").partition(b"\t")
    insertions = {
        "not UTF-8": b'"note": "\xff\xfe", ',
        "NaN token": b'"note": NaN, ',
        "lone surrogate": b'"note": "\\ud800", ',
        "deep nesting": b'"note": ' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b", ",
    }
    if kind == "no tab":
        return id_ + b" " + body + b"\n"
    if kind == "half a JSON":
        body = body[: len(body) // 2]
    elif kind == "array on top":
        body = b"[" + body + b"]"
    else:
        body = b"{" + insertions[kind] + body[1:]
    return id_ + b"\t" + body + b"\n"


def damage_block(rng: Random, file: Path, kind: str, checksums: Sequence[int]) -> int:
    """Damage the file in one of the ways of `BAD_BLOCK_KINDS`.

    `checksums` are the CRC-32s of its lines; the answer is how many of them still come out
    unchanged, before anything damaged does.
    """
    size = file.stat().st_size
    garbage = bytes.fromhex(hex_digits(rng, 2 * DAMAGE_BYTES))
    first_bad = int(size * (0.3 + 0.6 * rng.random()))
    with file.open("r+b") as stream:
        if kind == "empty":
            stream.truncate(0)
        elif kind == "truncated":
            stream.truncate(first_bad)
        elif kind == "corrupt":
            stream.seek(first_bad)
            stream.write(garbage)
        else:
            stream.seek(size)
            stream.write(garbage)
            return len(checksums)
    return _lines_left(file, first_bad, checksums)


def _lines_left(file: Path, first_bad: int, checksums: Sequence[int]) -> int:
    rest = b""
    left = 0
    with file.open("rb") as stream:
        for piece in _decompressed(_bites(stream.read(), first_bad), file.suffix):
            *complete, rest = (rest + piece).split(b"\n")
            for line in complete:
                if left == len(checksums) or zlib.crc32(line + b"\n") != checksums[left]:
                    return left
                left += 1
    return left


def _bites(data: bytes, first_bad: int) -> Iterator[bytes]:
    """The data in pieces: large ones of what is sound, then single bytes.

    A decompressor that fails gives nothing of the piece at which it fails, so pieces are small
    where it may.
    """
    sound_piece_bytes = 1 << 16
    for start in range(0, first_bad, sound_piece_bytes):
        yield data[start : min(start + sound_piece_bytes, first_bad)]
    for position in range(first_bad, len(data)):
        yield data[position : position + 1]


def _decompressed(pieces: Iterable[bytes], suffix: str) -> Iterator[bytes]:
    """What comes out until the data ends or the decompressor fails."""

    def new() -> Any:
        return zlib.decompressobj(wbits=31) if suffix == ".gz" else lzma.LZMADecompressor()

    decompressor = new()
    for piece in pieces:
        while piece:
            try:
                yield decompressor.decompress(piece)
            except (lzma.LZMAError, zlib.error):
                return
            piece = decompressor.unused_data
            if decompressor.eof:
                decompressor = new()
