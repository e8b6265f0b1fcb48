"""Memory is bounded by settings, never by the size of a block, a split, or a key's values."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMAND_TIMEOUT_S, JOBS

from mr.generate import generate

#: Raw bytes of one block: far more than the bounds below allow to be held.
BLOCK_BYTES = 120_000_000
#: Bytes of one line: nearly as many as a record may have.
LINE_BYTES = 60_000_000
#: What a process that maps may take for any input, in MB.
MAP_MB = 400

_MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([done.returncode, peak / 1024, done.stdout.decode()]))
"""


@pytest.fixture(scope="module")
def large_block(tmp_path_factory: pytest.TempPathFactory):
    """A tree of one large block, and its truth."""
    path = tmp_path_factory.mktemp("large") / "blocks"
    return path, generate(path, size=BLOCK_BYTES, seed=9, blocks=1)


def peak_of(environment: dict[str, str], folder: Path, *arguments: object) -> tuple[float, list]:
    """The largest process of a command in MB, and its rows."""
    command = [sys.executable, "-m", "mr.cli.main", *map(str, arguments), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    code, peak, out = json.loads(done.stdout)
    assert code == 0, done.stderr.decode()
    return peak, [json.loads(line) for line in out.splitlines()]


def test_a_large_block_is_streamed(environment, tmp_path, large_block):
    """Mapping a block of 120 MB takes less memory than the block."""
    blocks, truth = large_block

    peak, rows = peak_of(environment, tmp_path, "run", "os_distribution", blocks)

    assert sum(count for _, count in rows) == truth.written.good > 2_000
    assert peak < 90


def test_a_mapper_that_emits_everything_spills(environment, tmp_path, large_block):
    """What a map task may hold is the buffer, whatever it emits."""
    blocks, truth = large_block

    peak, rows = peak_of(
        environment, tmp_path, "run", f"{JOBS / 'large.py'}:EveryHistogram", blocks,
        "--buffer-size", "16MB",
    )  # fmt: skip

    assert len(rows) == truth.written.good
    assert peak < 110


def test_values_of_one_key_are_a_stream(environment, tmp_path, tree):
    """A reducer with very many values of one key holds few of them."""
    each = 20_000

    peak, rows = peak_of(
        environment, tmp_path, "run", f"{JOBS / 'large.py'}:OneKey", tree.path,
        "--set", f"values_each={each}", "--buffer-size", "16MB",
    )  # fmt: skip

    records = tree.truth.written.good
    assert rows == [["key", [records * each, records * each * (each - 1) // 2]]]
    assert records * each > 1_000_000
    assert peak < 110


#: A long record: how it begins, what fills it, how it ends.
LONG_GOOD = {
    "string": (b'{"info":{"OS":"Linux"},"a":"', b"x", b'"}'),
    "numbers": (b'{"a":[', b"1,", b'1],"info":{"OS":"Linux"}}'),
    "equal names": (b"{", b'"":"xxxxxxxxxxxx",', b'"info":{"OS":"Linux"}}'),
}
LONG_BAD = {
    "NaN": (b'{"a":[', b'"x",', b"NaN]}", "NaN or Infinity"),
    "cut": (b'{"a":[', b'"x",', b"", "not JSON"),
    "cut in a string": (b'{"a":"', b'\\"', b"", "not JSON"),
    "float of many digits": (b'{"a":', b"7", b".0}", "number out of range"),
}


def long_line(start: bytes, filler: bytes, end: bytes) -> bytes:
    """A line of `LINE_BYTES`, with its newline."""
    times = (LINE_BYTES - len(start) - len(end)) // len(filler)
    return b"long\t" + start + filler * times + end + b"\n"


def run_with_long(environment: dict[str, str], folder: Path, data: bytes) -> tuple[float, dict]:
    """The largest process of a job in MB, and the rows; `data` stands between two good records."""
    block = folder / "block.gz"
    good = b'id\t{"info":{"OS":"WINNT"}}\n'
    block.write_bytes(gzip.compress(good + data + good, 1))
    peak, rows = peak_of(
        environment, folder, "run", "os_distribution", block, "--max-bad-records", "100%",
        "--report", "report.json",
    )  # fmt: skip
    return peak, dict(rows)


@pytest.mark.parametrize("kind", LONG_GOOD)
def test_a_long_record_is_read_in_bounded_memory(environment, tmp_path, kind):
    """A record of 60 MB is mapped like any, and so is the same one right after it."""
    line = long_line(*LONG_GOOD[kind])

    peak, rows = run_with_long(environment, tmp_path, line * 2 if kind == "string" else line)

    assert rows == {"WINNT": 2, "Linux": 2 if kind == "string" else 1}
    assert peak < MAP_MB


@pytest.mark.parametrize("kind", LONG_BAD)
def test_a_long_bad_record_is_told_in_bounded_memory(environment, tmp_path, kind):
    """What is wrong with a line of 60 MB is found without building it; its neighbours are read."""
    *parts, reason = LONG_BAD[kind]

    peak, rows = run_with_long(environment, tmp_path, long_line(*parts))

    assert rows == {"WINNT": 2}
    report = json.loads((tmp_path / "report.json").read_text())
    (place,) = report["bad_record_places"]
    assert (place["line"], place["reason"]) == (2, reason)
    assert peak < MAP_MB


def test_a_long_line_that_damage_cuts_is_left_out_in_bounded_memory(environment, tmp_path):
    """A block that ends within a line of 60 MB gives the records before it."""
    block = tmp_path / "block.gz"
    good = b'id\t{"info":{"OS":"WINNT"}}\n'
    data = gzip.compress(good + long_line(b'{"a":[', b"1,", b"1]}"), 1)
    block.write_bytes(data[:-100])

    peak, rows = peak_of(environment, tmp_path, "run", "os_distribution", block)

    assert rows == [["WINNT", 1]]
    assert peak < MAP_MB
