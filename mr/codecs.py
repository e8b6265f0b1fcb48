"""The bytes of a block, decompressed as they come, in bounded memory.

Legacy `.lzma` (LZMA_alone), `.xz` (streams may follow each other, with padding between them),
`.gz` (several members) and plain text. The first bytes decide which it is; the name only tells
a damaged compressed block from a plain one.

Damage is no exception: every byte before it is delivered, then it is reported once.
"""

import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

#: Compressed bytes handed to the decoder at a time (64 KB to 1 MB are equally fast).
PIECE_BYTES = 256 * 1024
#: Decompressed bytes taken from the decoder at a time.
OUTPUT_BYTES = 1024 * 1024
#: Bytes an LZMA decoder may take for its dictionary, as the block's header asks for them.
LZMA_MEMORY_BYTES = 256 * 1024 * 1024
#: First bytes looked at to tell the kind of a block.
HEAD_BYTES = 512

#: A decoder throws away what it had decoded in the call that fails. So a corrupt block is decoded
#: again, from the last good call on in smaller calls: (bytes in, bytes out) for each attempt.
_GRAINS = ((PIECE_BYTES, OUTPUT_BYTES), (1024, 4096), (1, 1))

_XZ_MAGIC = b"\xfd7zXZ\0"
_GZIP_MAGIC = b"\x1f\x8b"
_LZMA_HEADER_BYTES = 13
#: An LZMA_alone header with another size than "unknown" or less than this is no LZMA (as in xz).
_LZMA_SIZE_LIMIT_BYTES = 1 << 38
#: Control characters that text does not have.
_NOT_TEXT = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
#: Endings of names that say the block is compressed, and what it should be.
_COMPRESSED_NAMES = {".lzma": "LZMA", ".xz": "xz", ".gz": "gzip"}


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a block's bytes, and where: `offset` counts compressed bytes."""

    reason: str
    offset: int

    def __str__(self) -> str:
        return f"{self.reason} at compressed byte {self.offset:,}" if self.offset else self.reason


def kind_of(head: bytes, name: str) -> str | None:
    """Tell a block's kind ("xz", "lzma", "gzip" or "plain") by its first bytes.

    `head` holds the first `HEAD_BYTES` bytes, or all if there are fewer. None means a block whose
    name says that it is compressed, and whose bytes are neither that nor text.
    """
    says = _format_named(name)
    if head.startswith(_XZ_MAGIC) or (says == "xz" and _is_cut(head, _XZ_MAGIC)):
        return "xz"
    if head.startswith(_GZIP_MAGIC) or (says == "gzip" and _is_cut(head, _GZIP_MAGIC)):
        return "gzip"
    if _is_lzma_header(head, may_be_cut=says == "LZMA"):
        return "lzma"
    if says is None or head.translate(None, _NOT_TEXT) == head:
        return "plain"
    return None


def decompress(
    reopen: Callable[[], BinaryIO], name: str, *, report: Callable[[Damage], None]
) -> Iterator[bytes]:
    """Yield a block's decompressed bytes, in pieces of at most `OUTPUT_BYTES`.

    `reopen` opens the block from its start; it is called again when the block turns out corrupt,
    so that every byte `xz -dc` would write is delivered (but for one at most, where the decoder
    finds the damage together with the last byte; and for what xz makes of bytes past the end of a
    corrupt chunk, before it notices). Damage (an empty block, a truncated or
    corrupt one, bytes after its end) is reported once, after the last piece.
    """
    delivered = 0
    sound_bytes = 0
    for grain in _GRAINS:
        with reopen() as stream:
            head = _read_head(stream)
            kind = kind_of(head, name)
            if kind == "plain" or not head or kind is None:
                yield from _plain(stream, head, kind, name, report)
                return
            pieces = _pieces(stream, head, sound_bytes, grain[0])
            skip = delivered
            try:
                for output in _decode(kind, pieces, grain[1], report):
                    if skip >= len(output):
                        skip -= len(output)
                        continue
                    delivered += len(output) - skip
                    yield output[skip:] if skip else output
                    skip = 0
                return
            except _CorruptError as error:
                sound_bytes = error.damage.offset
                damage = error.damage
    report(damage)


class _CorruptError(Exception):
    """Raised when the decoder fails; `damage.offset` is the start of the piece it failed in."""

    def __init__(self, damage: Damage):
        super().__init__(damage)
        self.damage = damage


def _plain(
    stream: BinaryIO, head: bytes, kind: str | None, name: str, report: Callable[[Damage], None]
) -> Iterator[bytes]:
    """Yield a block that is not compressed; report one that is empty or of no known format."""
    if not head:
        report(Damage("empty", 0))
    elif kind is None:
        report(Damage(f"not {_format_named(name)} data", 0))
    else:
        yield head
        while piece := stream.read(OUTPUT_BYTES):
            yield piece


def _format_named(name: str) -> str | None:
    """Return the format that a name's ending stands for, None for another ending."""
    return next((f for end, f in _COMPRESSED_NAMES.items() if name.lower().endswith(end)), None)


def _is_cut(head: bytes, magic: bytes) -> bool:
    """Return whether all there is are the first bytes of `magic`."""
    return 0 < len(head) < len(magic) and magic.startswith(head)


def _is_lzma_header(head: bytes, *, may_be_cut: bool) -> bool:
    """Check properties, dictionary size and size as liblzma does; the format has no magic."""
    properties, dictionary, size = head[:1], head[1:5], head[5:_LZMA_HEADER_BYTES]
    if len(size) < 8 and not (may_be_cut and head):
        return False
    literal_bits = properties[0] % 9 + properties[0] // 9 % 5
    if properties[0] >= 9 * 5 * 5 or literal_bits > 4:
        return False
    if len(dictionary) < 4:
        return True
    dictionary_bytes = int.from_bytes(dictionary, "little")
    # 2^n or 2^n + 2^(n-1): nothing is left below the two highest bits.
    top_bits = dictionary_bytes >> max(dictionary_bytes.bit_length() - 2, 0)
    rest = dictionary_bytes - (top_bits << max(dictionary_bytes.bit_length() - 2, 0))
    if dictionary_bytes == 0 or (dictionary_bytes != 0xFFFFFFFF and rest):
        return False
    if len(size) < 8:
        return True
    size_bytes = int.from_bytes(size, "little")
    return size_bytes == 2**64 - 1 or size_bytes < _LZMA_SIZE_LIMIT_BYTES


def _read_head(stream: BinaryIO) -> bytes:
    """Read `HEAD_BYTES` bytes, fewer only when there are no more."""
    head = b""
    while len(head) < HEAD_BYTES and (more := stream.read(HEAD_BYTES - len(head))):
        head += more
    return head


def _pieces(
    stream: BinaryIO, head: bytes, sound_bytes: int, piece_bytes: int
) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes): large pieces up to `sound_bytes`, then ones of `piece_bytes`."""
    offset = 0
    data = head
    while data:
        start = 0
        while start < len(data):
            sound = sound_bytes - (offset + start)
            end = start + (sound if sound > 0 else piece_bytes)
            piece = data[start:end]
            yield offset + start, piece
            start += len(piece)
        offset += len(data)
        data = stream.read(PIECE_BYTES)


def _decode(
    kind: str,
    pieces: Iterator[tuple[int, bytes]],
    output_bytes: int,
    report: Callable[[Damage], None],
) -> Iterator[bytes]:
    """Yield what `pieces` decode to, at most `output_bytes` at a time.

    A truncated block and bytes after its end are reported; raises `_CorruptError` when the
    decoder fails.
    """
    decoder = _DECODERS[kind]()
    magic = _MAGICS[kind]
    between = b""  # nonzero bytes after the end of a stream, before it is sure what they are
    padding_bytes = 0
    end = 0
    for offset, data in pieces:
        end = offset + len(data)
        while True:
            if decoder is None:
                padding_bytes += 0 if between else len(data) - len(data.lstrip(b"\0"))
                between += data if between else data.lstrip(b"\0")
                aligned = padding_bytes % _PADDING_UNIT[kind] == 0
                if between and not (aligned and magic.startswith(between[: len(magic)])):
                    report(Damage("trailing garbage", end - len(between)))
                    return
                if len(between) < len(magic):
                    break
                decoder, data, between, padding_bytes = _DECODERS[kind](), between, b"", 0
            try:
                output = decoder.decompress(data, output_bytes)
            except (lzma.LZMAError, zlib.error) as error:
                raise _CorruptError(Damage(_reason(error), offset)) from error
            if output:
                yield output
            if decoder.eof:
                data, decoder = decoder.unused_data, None
            elif decoder.needs_input:
                break
            else:
                data = b""
    if decoder is not None or between:
        report(Damage("truncated", end))
    elif padding_bytes % _PADDING_UNIT[kind]:
        report(Damage("trailing garbage", end - padding_bytes))


def _reason(error: Exception) -> str:
    """Say why a decoder failed."""
    detail = str(error).rpartition(": ")[2]  # zlib begins with "Error -3 while decompressing"
    return "corrupt" if detail == "Corrupt input data" else f"corrupt ({detail.lower()})"


class _GzipDecoder:
    """One gzip member, with the interface of `lzma.LZMADecompressor`."""

    def __init__(self):
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        tail = self._inflate.unconsumed_tail
        output = self._inflate.decompress(tail + data if tail else data, max_length)
        self.needs_input = not self._inflate.unconsumed_tail and len(output) < max_length
        return output


_DECODERS = {
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY_BYTES),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY_BYTES),
    "gzip": _GzipDecoder,
}
#: How a further stream begins. An LZMA_alone block has no more than one: nothing begins so.
_MAGICS = {"xz": _XZ_MAGIC, "lzma": b"\0", "gzip": _GZIP_MAGIC}
#: Zero bytes between streams and after the last come in multiples of this.
_PADDING_UNIT = {"xz": 4, "lzma": _LZMA_SIZE_LIMIT_BYTES, "gzip": 1}
