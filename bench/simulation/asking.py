"""What a request takes of the asking process's processor, measured with the local servers."""

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.simulation.tables import table
from mr.engines.onemachine import QUEUE, local_cluster
from mr.queues import open_queue
from mr.stores import open_store

#: Requests of each kind, and objects that a LIST is asked for.
TIMES, OBJECTS = 300, 3_000


def measured() -> str:
    """A table of milliseconds."""
    with (
        tempfile.TemporaryDirectory(prefix="mr-bench-") as folder,
        local_cluster(Path(folder) / "cluster", 0) as cluster,
    ):
        os.environ.update(cluster.settings)
        store, queue = open_store(cluster.settings["MR_TELEMETRY_STORE"]), open_queue(QUEUE)
        data = b"x" * 1_000

        def write(number: int) -> None:
            store.write(f"jobs/j/commits/1-map-{number:07d}", data)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(OBJECTS)))
        queue.send([data] * TIMES)
        lent = []
        while len(lent) < TIMES:
            lent += queue.receive(most=10, wait_s=1, lease_s=300)
        name = "jobs/j/commits/1-map-0000000"
        rows = {
            "S3: GET": _each_ms(lambda _: store.read(name), TIMES),
            "S3: HEAD": _each_ms(lambda _: store.stat(name), TIMES),
            "S3: PUT": _each_ms(write, TIMES),
            "S3: LIST of 1,000 names": _each_ms(lambda _: list(store.list("jobs/j/commits/")), 5)
            / (OBJECTS / 1_000),
            "SQS: send ten": _each_ms(lambda _: queue.send([data] * 10), TIMES),
            "SQS: delete": _each_ms(lambda number: queue.acknowledge(lent[number]), TIMES),
        }
    return table(("request", "processor, ms"), [(name, f"{ms:.2f}") for name, ms in rows.items()])


def _each_ms(ask: Callable[[int], object], times: int) -> float:
    began = time.process_time()
    for number in range(times):
        ask(number)
    return (time.process_time() - began) / times * 1e3
