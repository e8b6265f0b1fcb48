"""Thousands of tasks on a cluster: the coordinator's memory, and what a task costs in requests.

    python bench/many_tasks.py --tasks 10000 --reducers 32 --workers 2

Everything is real: an S3 server, an SQS server, worker processes, and the command as a user would
give it. Each task has one tiny block. The figures are printed as a table; the answer is checked.
"""

import argparse
import json
import lzma
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mr.engines.onemachine import local_cluster
from mr.stores import open_store

SYSTEMS = ("WINNT", "Darwin", "Linux", "Android")

ANALYSIS = '''
from mr import Analysis

class Spread(Analysis):
    """Records by a part of their id: keys for every reducer."""

    def map(self, record):
        yield record.id[:2], 1

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce
'''


def main() -> None:
    """Run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--reducers", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as folder:
        place = Path(folder)
        with local_cluster(place / "cluster", options.workers) as cluster:
            os.environ.update(cluster.settings)
            expected = write_blocks("s3://mr-telemetry/blocks", options.tasks)
            (place / "spread.py").write_text(ANALYSIS)
            run(place, options, expected)


def write_blocks(url: str, number: int) -> dict[str, int]:
    """Write as many blocks of two records; returns what the analysis must answer."""
    store, expected = open_store(url), {}

    def write(block: int) -> None:
        lines = []
        for line in range(2):
            identity = f"{(block * 7919 + line) % 256:02x}-{block}-{line}"
            payload = json.dumps({"info": {"OS": SYSTEMS[block % 4]}})
            lines.append(f"{identity}\t{payload}\n")
        name = f"idle_daily/Firefox/nightly/22/20130101000000.20130102.v2.log.{block:06d}.lzma"
        store.write(name, lzma.compress("".join(lines).encode(), format=lzma.FORMAT_ALONE))

    for block in range(number):
        for line in range(2):
            key = f"{(block * 7919 + line) % 256:02x}"
            expected[key] = expected.get(key, 0) + 1
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(number)))
    return expected


def run(folder: Path, options: argparse.Namespace, expected: dict[str, int]) -> None:
    """Run the job, watch the coordinator's memory, check the answer."""
    arguments = [
        "run", "spread.py", "s3://mr-telemetry/blocks", "--split-size", "1",
        "--reducers", str(options.reducers), "-o", "out.jsonl", "--report", "report.json",
    ]  # fmt: skip
    start = time.monotonic()
    command = subprocess.Popen([sys.executable, "-m", "mr.cli.main", *arguments], cwd=folder)
    peak = 0
    while command.poll() is None:
        peak = max(peak, peak_bytes(command.pid))
        time.sleep(0.5)
    seconds = time.monotonic() - start
    if command.returncode:
        sys.exit(command.returncode)
    rows = dict(json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines())
    if rows != expected:
        sys.exit("the answer is wrong")
    report = json.loads((folder / "report.json").read_text())
    requests = report["requests"]
    tasks = sum(report["tasks"].values())
    print(f"| tasks | {report['tasks']} |")
    print(f"| seconds, tasks a second | {seconds:.0f}, {tasks / seconds:.1f} |")
    print(f"| coordinator's peak memory | {peak / 1e6:.0f} MB |")
    print(f"| requests for each task | {requests['for_each_task']} |")
    print(f"| price at list prices | {requests['usd']:.4f} USD in all, "
          f"{requests['usd_for_each_task'] * 1e6:.1f} USD for a million tasks |")  # fmt: skip
    print(f"| attempts | {report['attempts']} |")
    for name, count in requests["counts"].items():
        print(f"| {name} | {count:,} ({count / tasks:.2f} a task) |")


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return max(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), default=0
    )


if __name__ == "__main__":
    main()
