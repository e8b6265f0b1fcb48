"""Lines: whole whatever the pieces of their block, and an account of what is left out."""

import gzip
import io
import itertools
import lzma
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import LINES, block_of, read

from mr.errors import ObjectMissing, ShortRead
from mr.lines import BlockAccount, read_lines, split_lines
from mr.records import read_records


def test_read_lines_gives_whole_lines():
    """The raw way to read a block: numbered chunks of whole lines, and their account."""
    data = lzma.compress(LINES)
    account = BlockAccount()
    chunks = list(read_lines(block_of(data, "a.xz"), lambda: io.BytesIO(data), account))
    assert b"".join(chunk for _, chunk in chunks) == LINES
    assert chunks[0][0] == 1
    assert (account.lines, account.raw_bytes) == (3000, len(LINES))


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12),
    ends_whole=st.booleans(),
    cuts=st.lists(st.integers(0, 150), max_size=12),
    damage=st.sampled_from([None, "truncated"]),
)
def test_lines_do_not_depend_on_the_pieces(lines, ends_whole, cuts, damage):
    """However a block is cut into pieces, the same lines come under the same numbers."""
    data = b"".join(line + b"\n" for line in lines)
    data = data if ends_whole else data[:-1]
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    account = BlockAccount(damage=damage)
    found = {}
    for number, chunk in split_lines(pieces, account, max_line_bytes=8):
        assert chunk.endswith(b"\n")
        for offset, line in enumerate(chunk[:-1].split(b"\n")):
            found[number + offset] = line
    whole = data.split(b"\n")
    if not whole[-1] or damage:
        whole.pop()
    assert account.lines == len(whole)
    long = dict.fromkeys(n for n in range(1, len(whole) + 1) if n not in found)
    assert all(len(whole[n - 1]) > 8 for n in long)
    assert account.bad_places == [(n, "line over 64 MB") for n in long]
    assert found == {n: line for n, line in enumerate(whole, 1) if n not in long}


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_a_line_over_the_limit_is_skipped(pieces):
    """A line of just the limit is kept, a longer one is bad whatever the pieces."""
    data = b"a" * 8 + b"\n" + b"b" * 9 + b"\n" + b"c" * 3000 + b"\nd"
    cut = [data[start : start + pieces] for start in range(0, len(data), pieces)]
    account = BlockAccount()
    chunks = list(split_lines(cut, account, max_line_bytes=8))
    text = b"".join(chunk for _, chunk in chunks)
    assert b"a" * 8 + b"\n" in text
    assert text.endswith(b"d\n")
    assert b"c" not in text or pieces >= 1000
    assert account.lines == 4


def test_a_line_over_the_limit_is_not_kept():
    """Reading past a long line takes no more memory than its limit."""
    pieces = itertools.chain(
        [b"1\n2"], (b"x" * 100_000 for _ in range(500)), [b"x\n3\n", b"y" * 100_000]
    )
    account = BlockAccount()
    tracemalloc.start()
    try:
        found = list(split_lines(pieces, account, max_line_bytes=300_000))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [(1, b"1\n"), (3, b"3\n"), (4, b"y" * 100_000 + b"\n")]
    assert account.bad_places == [(2, "line over 64 MB")]
    assert peak_bytes < 2_000_000


def test_a_long_record_is_a_record():
    """A line of 20 MB is read whole."""
    data = b'1\t{}\n2\t{"a":"' + b"x" * 20_000_000 + b'"}\n3\t{}\n'
    found, account = read(lzma.compress(data, preset=0), "a.xz")
    assert [len(record.raw) for record in found] == [2, 20_000_008, 2]
    assert len(found[1]["a"]) == 20_000_000
    assert (account.records, account.raw_bytes) == (3, len(data))


def test_a_line_over_64_mb_is_read_past():
    """A line of 65 MB is a bad record, and the lines around it are read."""
    line = b'2\t{"a":"' + b"x" * (65 << 20) + b'"}\n'
    found, account = read(gzip.compress(b"1\t{}\n" + line + b"3\t{}\n", 1), "a.gz")
    assert [(record.id, record.line) for record in found] == [("1", 1), ("3", 3)]
    assert account.bad_places == [(2, "line over 64 MB")]
    assert account.lines == 3


def test_a_last_line_without_newline_counts():
    """In a whole block the last line needs no newline."""
    found, account = read(b'1\t{}\n2\t{"a":1}')
    assert [record.id for record in found] == ["1", "2"]
    assert (account.lines, account.damage) == (2, None)


@pytest.mark.parametrize("name", ["a.lzma", "a.xz", "a.gz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_truncated_block_keeps_its_whole_lines(name, share):
    """Every whole line before the end is a record; the rest is part of the block's damage."""
    data = {
        "a.lzma": lzma.compress(LINES, format=lzma.FORMAT_ALONE),
        "a.xz": lzma.compress(LINES),
        "a.gz": gzip.compress(LINES),
    }[name]
    data = data[: int(len(data) * share)]
    found, account = read(data, name)
    assert found
    assert (
        b"".join(b"%s\t%s\n" % (r.id.encode(), r.raw) for r in found)
        == (LINES[: LINES.rindex(b"\n", 0, account.raw_bytes) + 1])
    )
    assert account.damage == f"truncated at compressed byte {len(data):,}"
    assert (account.lines, account.bad) == (len(found), {})


def test_a_whole_record_at_the_end_of_a_damaged_block_counts():
    """Damage after the last record, which lacks only its newline, costs no record."""
    whole = lzma.compress(b'1\t{"a":1}\n2\t{"b":2}')
    found, account = read(whole + b"garbage", "a.xz")
    assert [record.payload for record in found] == [{"a": 1}, {"b": 2}]
    assert account.damage == f"trailing garbage at compressed byte {len(whole)}"
    found, account = read(lzma.compress(b"1\t{}\n2\t{} 3\t{") + b"garbage", "a.xz")
    assert [record.id for record in found] == ["1"]
    assert (account.lines, account.bad) == (1, {})


def test_empty_and_unknown_blocks_are_damage():
    """An empty block, and bytes that are nothing that the name says, give only damage."""
    assert read(b"", "a.lzma")[1].damage == "empty"
    assert read(bytes(99), "a.lzma")[1].damage == "not LZMA data"
    found, account = read(lzma.compress(b""), "a.xz")
    assert (found, account.lines, account.damage) == ([], 0, None)


@pytest.mark.parametrize("name", ["a.xz", "a.log"])
@pytest.mark.parametrize("kept", [0, 10, -1])
def test_fewer_bytes_than_planned_is_a_short_read(name, kept):
    """What the network cut off is no damage: it is to be read again."""
    data = lzma.compress(LINES) if name == "a.xz" else LINES
    block = block_of(data, name)
    with pytest.raises(ShortRead, match=f"{name}: only"):
        list(read_records(block, lambda: io.BytesIO(data[:kept]), BlockAccount()))


def test_an_unknown_size_is_not_checked():
    """A negative planned size means that nobody knows it."""
    block = block_of(LINES, size=-1)
    account = BlockAccount()
    assert len(list(read_records(block, lambda: io.BytesIO(LINES), account))) == 3000


def test_errors_of_the_store_pass():
    """What opening the block raises comes out as it is."""

    def open_block():
        raise ObjectMissing("gone")

    with pytest.raises(ObjectMissing, match="gone"):
        list(read_records(block_of(b""), open_block, BlockAccount()))


def test_the_account():
    """Lines, records, bytes and bad records add up, and only some places are kept."""
    text = b"1\t{}\n" + b"bad\n" * 150 + b"2\t{\n" + b"3\t{}\n"
    data = lzma.compress(text)
    _, account = read(data, "a.xz")
    assert (account.lines, account.records) == (153, 2)
    assert account.bad == {"no tab": 150, "not JSON": 1}
    assert account.bad_places == [(line, "no tab") for line in range(2, 102)]
    assert (account.raw_bytes, account.compressed_bytes) == (len(text), len(data))


def test_bytes_of_a_corrupt_block_are_counted_once():
    """A block that is decoded again is not longer for it."""
    data = bytearray(lzma.compress(LINES))
    data[len(data) // 2] ^= 255
    found, account = read(bytes(data), "a.xz")
    assert account.damage.startswith("corrupt at compressed byte")
    assert account.compressed_bytes <= len(data)
    assert account.raw_bytes <= len(LINES)
    assert [r.line for r in found] == sorted({r.line for r in found})
