"""The works as queries of Polars, over lines that `xz -dc` has unpacked to a file.

POLARS_MAX_THREADS=2 python -m bench.speed.with_polars WORK OUTPUT BLOCK...
"""

import subprocess
import sys
from pathlib import Path

import polars as pl

from bench.speed.plain import LOCALE


def field(path):
    return pl.col("body").str.json_path_match(path)


def query(work, lines):
    if work == "a":
        return lines.group_by(field("$.info.OS").alias("key")).len()
    if work == "b":
        chosen = lines.filter(field("$.info.locale") == LOCALE)
        return chosen.group_by(field("$.info.cpucount").alias("key")).len()
    if work == "d":
        return lines.select("id", field("$.simpleMeasurements.uptime").alias("value"))
    words = lines.select(field("$.text").str.split(" ").alias("key")).explode("key")
    return words.group_by("key").len()


def main():
    work, output, *blocks = sys.argv[1:]
    unpacked = Path(output).with_name("unpacked")
    with unpacked.open("wb") as out:
        subprocess.run(["xz", "-dc", *blocks], stdout=out, check=True)
    lines = pl.scan_csv(
        unpacked,
        has_header=False,
        separator="\t",
        quote_char=None,
        schema={"id": pl.String, "body": pl.String},
    )
    found = query(work, lines).collect(engine="streaming")
    found.write_csv(output, include_header=False, separator="\t", quote_style="never")


if __name__ == "__main__":
    main()
