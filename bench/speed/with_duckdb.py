"""The works as queries of DuckDB, over lines that `xz -dc` has unpacked to a file.

python -m bench.speed.with_duckdb WORK OUTPUT BLOCK...
"""

import subprocess
import sys
from pathlib import Path

import duckdb

from bench.speed.plain import LOCALE

THREADS = 2
LINES = """
    read_csv('{file}', header = false, delim = '\t', quote = '', escape = '',
             columns = {{'id': 'VARCHAR', 'body': 'VARCHAR'}},
             max_line_size = 67108864, auto_detect = false)
"""
QUERIES = {
    "a": "SELECT body ->> '$.info.OS' AS key, count(*) FROM {lines} GROUP BY key",
    "b": f"""SELECT body ->> '$.info.cpucount' AS key, count(*) FROM {{lines}}
             WHERE body ->> '$.info.locale' = '{LOCALE}' GROUP BY key""",
    "d": "SELECT id, body ->> '$.simpleMeasurements.uptime' FROM {lines}",
    "e": """SELECT word, count(*) FROM
            (SELECT unnest(string_split(body ->> '$.text', ' ')) AS word FROM {lines})
            GROUP BY word""",
}


def main():
    work, output, *blocks = sys.argv[1:]
    unpacked = Path(output).with_name("unpacked")
    with unpacked.open("wb") as out:
        subprocess.run(["xz", "-dc", *blocks], stdout=out, check=True)
    query = QUERIES[work].format(lines=LINES.format(file=unpacked))
    connection = duckdb.connect(config={"threads": THREADS})
    connection.execute(f"COPY ({query}) TO '{output}' (HEADER false, DELIMITER '\t', QUOTE '')")


if __name__ == "__main__":
    main()
