"""The works as Spark jobs, on two cores of this machine.

    python -m bench.speed.with_spark WORK OUTPUT BLOCK...

Spark cannot read `.lzma`, so its tasks get the blocks' paths and open them. The output is a folder
of text files: key, a tab, value.
"""

import json
import operator
import sys

from pyspark.sql import SparkSession

from bench.speed import plain

#: Tasks for each core: blocks differ in size.
SLICES = 8


def as_json(pair):
    key, row = pair
    return f"{json.dumps(key)}\t{json.dumps(row)}"


def as_text(pair):
    return f"{pair[0]}\t{pair[1]}"


def main():
    work, output, *blocks = sys.argv[1:]
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "4g")
        .getOrCreate()
    )
    paths = spark.sparkContext.parallelize(blocks, min(len(blocks), SLICES))
    if work == "c":
        pairs = paths.flatMap(lambda path: plain.cells(path).items()).reduceByKey(plain.plus)
        pairs.map(as_json).saveAsTextFile(output)
    else:
        pairs = paths.flatMap(plain.COUNTED[work]).map(lambda thing: (thing, 1))
        pairs.reduceByKey(operator.add).map(as_text).saveAsTextFile(output)
    spark.stop()


if __name__ == "__main__":
    main()
