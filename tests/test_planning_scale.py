"""A job of very many blocks is planned in little memory, by a coordinator of its own."""

import json
import subprocess
import sys

import pytest
from conftest import COMMAND_TIMEOUT_S

#: Plans a job over blocks that a store makes up as they are listed: sys.argv[1] of them, with the
#: jobs in sys.argv[2]. Prints what the plan holds, the memory that it took, and the seconds.
SCRIPT = '''
import itertools, json, sys, time
from mr import Analysis, inputs, layout
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.launch import Request, prepare_job
from mr.plans import open_plan
from mr.store import Entry

count, folder = int(sys.argv[1]), sys.argv[2]


class Fake(DirectoryStore):
    """Lists blocks that are not there, in no order."""

    def __init__(self, url):
        self.url, self.count = url, int(url.removeprefix("fake://"))

    def list(self, prefix=""):
        for number in range(self.count):
            number = number * 7_654_321 % self.count
            yield Entry(
                f"saved_session/{('Firefox', 'Fennec')[number % 2]}/nightly/{number % 29}.0a1/"
                f"2013{number % 12 + 1:02}{number % 28 + 1:02}030201.20140101.v2.log."
                f"{number:032x}.lzma",
                1000 + number % 5000,
                f"{number * 12_345_678_901_234_567_890:032x}",
            )


class Counting(Analysis):
    """Leaves some blocks out."""

    def prepare(self, blocks, output):
        for number, block in enumerate(blocks):
            assert block.place == number
            if block.size == 1000:
                blocks.leave_out(block, "it is small")
        return sum(block.size for block in blocks.chosen)

    def map(self, record):
        yield 1, 1


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def plan(count):
    request = Request(Counting, "scale.py", [f"fake://{count}"])
    return prepare_job(request, settings, store)[0]


inputs.open_store = Fake
settings = load_settings({"store": folder})
store = DirectoryStore(folder)
plan(100)
before, start = peak(), time.monotonic()
spec = plan(count)
took = {"MB": peak() - before, "peak MB": peak(), "seconds": time.monotonic() - start}
lines = open_plan(store, layout.plan_name(spec.job, "1-map")).lines()
splits = blocks = size = 0
last, in_order = "", True
for line in lines:
    splits += 1
    for _, key, one, _ in line["blocks"]:
        blocks += 1
        size += one
        in_order &= last < key
        last = key
print(json.dumps({"splits": splits, "blocks": blocks, "bytes": size, "in order": in_order,
    "listing": spec.listing, "stores": spec.stores, "split bytes": spec.split_bytes, **took}))
'''


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_very_many_blocks_are_planned_in_little_memory(environment, tmp_path):
    """200,000 blocks: each stands in the plan once, in order, and few were in memory at a time."""
    count = 200_000

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count), str(tmp_path / "jobs")],
        env={**environment, "MR_TELEMETRY_WORKERS": "4"},
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
    )

    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    left_out = count // 5000
    expected = sum(1000 + number % 5000 for number in range(count)) - 1000 * left_out
    assert found["in order"]
    assert (found["blocks"], found["bytes"]) == (count - left_out, expected)
    assert found["listing"]["selected"] == count - left_out
    assert found["listing"]["set_aside"] == left_out
    assert found["listing"]["bytes"] == expected
    assert found["stores"] == [f"fake://{count}"]
    # Full ones of 5,000 blocks, which come before `split bytes` does.
    assert found["split bytes"] == -(-expected // 16)
    assert found["splits"] == -(-(count - left_out) // 5000)
    assert found["MB"] < 60
