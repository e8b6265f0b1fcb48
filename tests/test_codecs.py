"""Decompression: every kind of block, and every byte that a damaged one still holds."""

import gzip
import io
import lzma
import random
import shutil
import subprocess
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mr import codecs
from mr.codecs import Damage, decompress, kind_of

TEXT = b"".join(b'%032x\t{"a": [%d, 0, 0, 1], "OS": "WINNT"}\n' % (i * i, i) for i in range(2000))


def lzma_alone(data: bytes) -> bytes:
    """Compress as legacy `.lzma`, with an end marker in place of the size."""
    return lzma.compress(data, format=lzma.FORMAT_ALONE, preset=1)


def lzma_with_size(data: bytes) -> bytes:
    """Compress as other writers of `.lzma` do: the size in the header, and no end marker.

    Python's writes no such block, but the only chunk of a small LZMA2 stream is the body of one.
    """
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 20}]
    chunk = lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)
    assert int.from_bytes(chunk[3:5], "big") + 1 + 7 == len(chunk), "one chunk and the end"
    properties = chunk[5:6]
    header = properties + (1 << 20).to_bytes(4, "little") + len(data).to_bytes(8, "little")
    return header + chunk[6:-1]


def xz(data: bytes) -> bytes:
    """Compress as one stream of `.xz`."""
    return lzma.compress(data, preset=1)


class Blocks:
    """Opens the same bytes again and again, and keeps the streams."""

    def __init__(self, data: bytes):
        self.data = data
        self.opened: list[io.BytesIO] = []

    def __call__(self) -> io.BytesIO:
        """Open them."""
        self.opened.append(io.BytesIO(self.data))
        return self.opened[-1]


class ShortStream(io.BytesIO):
    """A stream whose reads give few bytes, as a network's may."""

    def read(self, size: int = -1) -> bytes:
        """Read 7 bytes at most."""
        return super().read(min(size, 7))


def read_all(data: bytes, name: str) -> tuple[bytes, list[Damage]]:
    """Decompress a block; also every damage that was reported."""
    damages: list[Damage] = []
    return b"".join(decompress(Blocks(data), name, report=damages.append)), damages


LZMA, XZ, GZIP = lzma_alone(TEXT), xz(TEXT), gzip.compress(TEXT)
WHOLE = {
    "lzma": (lzma_alone(TEXT), "a.lzma"),
    "lzma with its size": (lzma_with_size(TEXT), "a.lzma"),
    "xz": (xz(TEXT), "a.xz"),
    "xz streams": (xz(TEXT[:999]) + xz(b"") + xz(TEXT[999:]), "a.xz"),
    "xz streams with padding": (xz(TEXT[:9]) + bytes(8) + xz(TEXT[9:]) + bytes(4), "a.xz"),
    "gzip": (gzip.compress(TEXT), "a.gz"),
    "gzip members": (gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:]), "a.gz"),
    "gzip with padding": (gzip.compress(TEXT) + bytes(100), "a.gz"),
    "plain": (TEXT, "a.txt"),
    "plain, named as compressed": (TEXT, "a.lzma"),
    "xz, named as plain": (xz(TEXT), "a.log"),
    "xz, named as lzma": (xz(TEXT), "a.lzma"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_block_comes_back(case):
    """Every kind of block gives its text, whatever its name, and no damage."""
    data, name = WHOLE[case]
    assert read_all(data, name) == (TEXT, [])


@pytest.mark.parametrize("case", WHOLE)
def test_short_reads_change_nothing(case):
    """A stream that gives a few bytes at a time gives the same block."""
    data, name = WHOLE[case]
    damages: list[Damage] = []
    found = b"".join(decompress(lambda: ShortStream(data), name, report=damages.append))
    assert (found, damages) == (TEXT, [])


def test_pieces_are_bounded():
    """A block of zeros, which is tiny, comes out in pieces of at most `OUTPUT_BYTES`."""
    zeros = bytes(5 * codecs.OUTPUT_BYTES + 1)
    for data, name in [(lzma_alone(zeros), "a.lzma"), (xz(zeros), "a.xz"), (zeros, "a")]:
        sizes = [len(piece) for piece in decompress(Blocks(data), name, report=pytest.fail)]
        assert sum(sizes) == len(zeros)
        assert max(sizes) <= codecs.OUTPUT_BYTES


def test_a_whole_block_is_read_once_and_closed():
    """Only damage makes a block be opened again; every stream is closed."""
    blocks = Blocks(xz(TEXT))
    list(decompress(blocks, "a.xz", report=pytest.fail))
    assert [stream.closed for stream in blocks.opened] == [True]


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (xz(b"")[:12], "a", "xz"),
        (b"\xfd7z", "a.xz", "xz"),
        (b"\xfd7z", "a", "plain"),
        (gzip.compress(b"", mtime=0), "a", "gzip"),
        (b"\x1f", "a.gz", "gzip"),
        (lzma_alone(b"")[:13], "a", "lzma"),
        (b"]\0\0", "a.lzma", "lzma"),
        (b"]", "a.lzma", "lzma"),
        (b"]", "a", "plain"),
        (b"a\t{}\n", "a.lzma", "plain"),
        ("é\t{}\n".encode(), "a.xz", "plain"),
        (b"\xff\xfe\t{}\n", "a.xz", "plain"),
        (b"\0\1\2\3" * 9, "a.lzma", None),
        (b"\0\1\2\3" * 9, "a.gz", None),
        (b"\0\1\2\3" * 9, "a", "plain"),
        # LZMA's header: properties, dictionary of 2^n or 2^n + 2^(n-1) bytes, size
        (b"\x5d" + (3 << 20).to_bytes(4, "little") + b"\xff" * 8, "a", "lzma"),
        (b"\x5d" + (5 << 20).to_bytes(4, "little") + b"\xff" * 8, "a.lzma", None),
        (b"\x5d" + bytes(4) + b"\xff" * 8, "a.lzma", None),
        (b"\x5d" + b"\xff" * 12, "a.lzma", "lzma"),
        (b"\xe1" + (1 << 20).to_bytes(4, "little") + b"\xff" * 8, "a.lzma", None),
        (b"\x08" + (1 << 20).to_bytes(4, "little") + b"\xff" * 8, "a.lzma", None),
        (b"\x5d\0\0\x10\0" + (1 << 38).to_bytes(8, "little"), "a.lzma", None),
        (b"\x5d\0\0\x10\0" + ((1 << 38) - 1).to_bytes(8, "little"), "a.lzma", "lzma"),
    ],
)
def test_kind_by_the_first_bytes(head, name, kind):
    """The first bytes tell the kind; the name only tells damage from plain text."""
    assert kind_of(head, name) == kind


@pytest.mark.parametrize(
    ("data", "name", "text", "damage"),
    [
        (b"", "a.lzma", b"", Damage("empty", 0)),
        (b"", "a", b"", Damage("empty", 0)),
        (bytes(100), "a.lzma", b"", Damage("not LZMA data", 0)),
        (bytes(100), "a.xz", b"", Damage("not xz data", 0)),
        (bytes(100), "a.GZ", b"", Damage("not gzip data", 0)),
        (XZ[:10], "a.xz", b"", Damage("truncated", 10)),
        (LZMA[:5], "a.lzma", b"", Damage("truncated", 5)),
        (LZMA + b"x", "a.lzma", TEXT, Damage("trailing garbage", len(LZMA))),
        (LZMA + b"\0", "a.lzma", TEXT, Damage("trailing garbage", len(LZMA))),
        (XZ + b"garbage", "a.xz", TEXT, Damage("trailing garbage", len(XZ))),
        (XZ + bytes(4) + b"x", "a.xz", TEXT, Damage("trailing garbage", len(XZ) + 4)),
        (XZ + bytes(3), "a.xz", TEXT, Damage("trailing garbage", len(XZ))),
        (XZ + bytes(3) + XZ, "a.xz", TEXT, Damage("trailing garbage", len(XZ) + 3)),
        (XZ + b"\xfd7z", "a.xz", TEXT, Damage("truncated", len(XZ) + 3)),
        (GZIP + b"x", "a.gz", TEXT, Damage("trailing garbage", len(GZIP))),
    ],
)
def test_damage_is_told_with_its_place(data, name, text, damage):
    """Damage is reported once, with the compressed byte where it is; the text before it stays."""
    assert read_all(data, name) == (text, [damage])


@pytest.mark.parametrize("case", ["lzma", "xz", "gzip"])
def test_a_truncated_block_says_where_it_ends(case):
    """A block cut anywhere after its header gives the start of its text, and is truncated."""
    data, name = WHOLE[case]
    for size in (30, len(data) // 2, len(data) - 1):
        found, damages = read_all(data[:size], name)
        assert TEXT.startswith(found)
        assert damages == [Damage("truncated", size)]


def xz_for_memory(size_code: int) -> bytes:
    """A `.xz` block whose header asks for another dictionary: code 40 is 4 GB."""
    header = bytearray(XZ[12:24])
    header[4] = size_code
    header[8:] = zlib.crc32(header[:8]).to_bytes(4, "little")
    return XZ[:12] + bytes(header) + XZ[24:]


def test_a_block_that_asks_for_too_much_memory_is_damage():
    """A dictionary over the limit, which a damaged header may ask for, is not allocated."""
    huge = LZMA[:1] + b"\xff\xff\xff\xff" + LZMA[5:]
    for data, name in [(huge, "a.lzma"), (xz_for_memory(40), "a.xz")]:
        found, damages = read_all(data, name)
        assert found == b""
        assert [damage.reason for damage in damages] == ["corrupt (memory usage limit exceeded)"]
    assert read_all(xz_for_memory(30), "a.xz") == (TEXT, [])


def test_corruption_late_in_a_block_costs_only_what_follows():
    """All the text before a corrupt place comes, though the decoder drops its last output."""
    chance = random.Random(1)
    line = b"%d" + b", 0" * 40 + b"\n"
    text = b"".join(line % chance.getrandbits(40) for _ in range(60_000))
    data = bytearray(lzma.compress(text, preset=0))
    # Near the end of what is decoded at once, after much of it came out.
    place = codecs.HEAD_BYTES + codecs.PIECE_BYTES * 19 // 20
    data[place : place + 50] = bytes(50)
    found, damages = read_all(bytes(data), "a.xz")
    sound = place * len(text) // len(data) * 9 // 10
    assert sound > 2 * codecs.OUTPUT_BYTES
    assert found[:sound] == text[:sound]
    assert len(found) < len(text)
    assert [damage.reason for damage in damages] == ["corrupt"]
    assert place < damages[0].offset < len(data)


def test_a_cut_gzip_block_gives_all_that_its_bytes_hold(monkeypatch):
    """What the decoder still holds when the input ends is asked for, in small pieces too."""
    monkeypatch.setattr(codecs, "_GRAINS", ((64, 7),))
    data = gzip.compress(bytes(100_000) + TEXT)
    for size in range(20, 200):
        found, damages = read_all(data[:size], "a.gz")
        assert found == zlib.decompressobj(wbits=31).decompress(data[:size])
        assert damages == [Damage("truncated", size)]


@pytest.mark.skipif(shutil.which("xz") is None, reason="xz is not installed")
@settings(max_examples=150, deadline=None)
@example(case="xz", damage="flip", share=0.986328125, width=1)
@given(
    case=st.sampled_from(["lzma", "lzma with its size", "xz", "xz streams with padding"]),
    damage=st.sampled_from(["flip", "cut", "zeros", "delete", "append", "none"]),
    share=st.floats(0, 1, exclude_max=True),
    width=st.integers(1, 60),
)
def test_what_xz_reads_is_read(case, damage, share, width):
    """A damaged block gives what `xz -dc` writes before it fails, and fails if `xz -dc` does.

    Fed in large pieces, as xz does, the decoder runs past the end of a corrupt LZMA2 chunk before
    it notices, and writes what it makes of the bytes there: that is not the block's text.
    """
    data, name = WHOLE[case]
    place = int(share * len(data))
    hole = data[place : place + width]
    damaged = {
        "flip": data[:place] + bytes([data[place] ^ width]) + data[place + 1 :],
        "cut": data[:place],
        "zeros": data[:place] + bytes(len(hole)) + data[place + len(hole) :],
        "delete": data[:place] + data[place + width :],
        "append": data + bytes(range(1, width + 1)),
        "none": data,
    }[damage]
    expected = subprocess.run(["xz", "-dc"], input=damaged, capture_output=True, check=False)
    found, damages = read_all(damaged, name)
    if damages:
        pairs = zip(expected.stdout, TEXT, strict=False)
        true = next((at for at, (one, other) in enumerate(pairs) if one != other), len(TEXT))
        true = min(true, len(expected.stdout))
        assert expected.stdout.startswith(found)
        # The last byte is lost when the decoder finds the damage in the same step.
        assert len(found) >= true - 1
        if name.endswith(".lzma"):
            assert len(found) >= len(expected.stdout) - 1
    else:
        assert found == expected.stdout
    assert bool(damages) == (expected.returncode != 0)


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0, 1, exclude_max=True),
    value=st.integers(1, 255),
)
def test_a_damaged_gzip_block_gives_what_byte_by_byte_decoding_gives(share, value):
    """No byte of a corrupt gzip block is lost to the size of the pieces it is decoded in."""
    data = gzip.compress(TEXT)
    place = 2 + int(share * (len(data) - 2))
    damaged = data[:place] + bytes([data[place] ^ value]) + data[place + 1 :]
    inflate = zlib.decompressobj(wbits=31)
    expected = b""
    try:
        for byte in damaged:
            expected += inflate.decompress(bytes([byte]))
    except zlib.error:
        pass
    found, _ = read_all(damaged, "a.gz")
    assert found.startswith(expected)
