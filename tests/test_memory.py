"""Memory is bounded by settings, never by the size of a block, a split, or a key's values."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMAND_TIMEOUT_S, JOBS

from mr.generate import generate

#: Raw bytes of one block: far more than the bounds below allow to be held.
BLOCK_BYTES = 120_000_000

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
