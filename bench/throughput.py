"""Speed of the main job as a ratio to the decompressor alone, on the same blocks in one run.

    python bench/throughput.py [--size 200MB] [--runs 5]

Both read every byte of a generated tree: `xz -dc` of all blocks on one core, and `mr-telemetry run
os_distribution` with one worker. Runs take turns, since shared machines drift; ratios are taken
pair by pair.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mr.cli.main", *map(str, arguments)]


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="200MB", help="raw JSON to generate (200MB)")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (5)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tree, truth = root / "blocks", root / "truth.json"
        generate = command("generate", tree, "--size", chosen.size, "--report", truth)
        subprocess.run(generate, check=True)
        facts = json.loads(truth.read_text())
        expected = sorted(map(list, facts["written"]["by_os"].items()))
        blocks = sorted(path for path in tree.rglob("*") if path.suffix in (".lzma", ".xz"))
        zipped = sorted(tree.rglob("*.gz"))
        environment = {**os.environ, "MR_TELEMETRY_STORE": str(root / "jobs")}

        def floor() -> None:
            subprocess.run(["xz", "-dc", *blocks], stdout=subprocess.DEVNULL, check=True)
            if zipped:
                subprocess.run(["gzip", "-dc", *zipped], stdout=subprocess.DEVNULL, check=True)

        def ours() -> None:
            run = command("run", "os_distribution", tree, "--workers", 1, "--quiet")
            done = subprocess.run(run, capture_output=True, check=True, env=environment)
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            assert rows == expected, "a fast wrong answer is no answer"

        floor(), ours()
        pairs = [(seconds(floor), seconds(ours)) for _ in range(chosen.runs)]
    megabytes = facts["raw_bytes"] / 1e6
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"{megabytes:,.0f} MB raw, {chosen.runs} runs; minimum / median / maximum")
    print(f"xz -dc           {spread([megabytes / floor for floor, _ in pairs])} MB/s")
    print(f"os_distribution  {spread([megabytes / ours for _, ours in pairs])} MB/s")
    print(f"ratio            {spread([floor / ours for floor, ours in pairs])}")


if __name__ == "__main__":
    main()
