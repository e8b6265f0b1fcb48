"""Merging map outputs with the json module: read each, add its lists to those of the others.

    python -m bench.speed.with_json N OUTPUT FILE...

Reads N files, the given ones again and again. A file holds what one map output publishes alone: by
version the filter paths by their ids and, for each kind, measure to date to rows. OUTPUT takes the
sums as JSON lines, the key and the row; `-` takes nothing.
"""

import json
import sys
from itertools import cycle, islice
from pathlib import Path


def main():
    number, output, *files = sys.argv[1:]
    total = {}
    names = {}
    for file in islice(cycle(files), int(number)):
        for version, content in json.loads(Path(file).read_bytes()).items():
            names.update(content["paths"])
            for kind, measures in content["rows"].items():
                for measure, dates in measures.items():
                    for date, rows in dates.items():
                        for row in rows:
                            path = row.pop()
                            key = version, kind, measure, date, path
                            known = total.get(key)
                            if known is not None:
                                row = [a + b for a, b in zip(known, row, strict=True)]
                            total[key] = row
    if output != "-":
        with Path(output).open("w") as out:
            for (*key, path), row in total.items():
                out.write(json.dumps(([*key, *names[str(path)]], row)) + "\n")


if __name__ == "__main__":
    main()
