"""States: the same bytes however they are written; nothing of a damaged one is believed."""

import io
import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.errors import FormatError
from mr.histograms.entries import BLOCK, StateFile, read_entries

#: Some hundred kilobytes that compress to a tenth, and entries of all sizes.
ENTRIES = [
    ((BLOCK, f"key-{number}"), ["é\n", number, "x" * (number % 400)]) for number in range(3_000)
]
LINES = [json.dumps(entry).encode() + b"\n" for entry in ENTRIES]


class Kept(io.BytesIO):
    """A file whose bytes are kept when it is closed."""

    def close(self) -> None:
        """Keep them."""
        self.kept = self.getvalue()
        super().close()


def written(*batches: list[bytes]) -> bytes:
    """A file of one state, of these lines, written some at a time."""
    file = Kept()
    states = StateFile(file)
    writer = states.begin()
    for lines in batches:
        writer.write_lines(lines)
    place = writer.close()
    states.close()
    assert place == (0, len(file.kept))
    return file.kept


def read(data: bytes) -> list:
    """The entries of a state."""
    return list(read_entries(io.BytesIO(data), "state.jsonl.zst"))


def test_entries_are_read_as_they_were_written():
    """All of them, in order, and none where none were written."""
    assert read(written(LINES)) == ENTRIES
    assert read(written()) == []


@given(st.lists(st.integers(0, len(LINES)), max_size=6).map(sorted))
def test_the_bytes_depend_on_the_entries_alone(cuts):
    """Not on how many were written at a time."""
    batches = [LINES[slice(*pair)] for pair in itertools.pairwise([0, *cuts, len(LINES)])]

    assert written(*batches) == written(LINES)


def test_a_cut_state_is_refused():
    """Wherever it ends, also where all of its lines are there."""
    data = written(LINES)
    for end in (*range(20), *range(20, len(data), 997), len(data) - 4, len(data) - 1):
        with pytest.raises(FormatError, match="the state of what is published is damaged"):
            read(data[:end])
    with pytest.raises(FormatError, match="it is cut off"):
        read(written([b'[["block", "a"], 1]']))


def test_a_changed_state_is_refused():
    """Its checksum tells any byte, and nothing may follow its end."""
    data = written(LINES)
    rng = random.Random(3)
    for _ in range(60):
        bad = bytearray(data)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        with pytest.raises(FormatError, match="--rebuild"):
            read(bytes(bad))
    for more in (b"x", data):
        with pytest.raises(FormatError, match="--rebuild"):
            read(data + more)
