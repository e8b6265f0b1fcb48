"""A long run in a cluster where everything fails all the time, which must end with identical bytes.

    python bench/chaos.py --minutes 15 [--seed 1] [--workers 4] [--size 40MB] [--s3 seaweed]

Workers and coordinators are killed, stopped and told to leave; the S3 server is killed; S3 and SQS
are spoken to through proxies that cut answers, refuse, delay, drop and repeat (`chaos_rig.py`,
`chaos_sqs.py`, `tests/faulty.py`). Meanwhile jobs run, one after the other in each lane
(`chaos_jobs.py`): the result of each, and the part of its report that tells what was read, must be
the local engine's, to the byte. At the end nothing may be left in the queue, and exactly the poison
in the dead-letter queue. What runs is a copy of the checkout, made at the start.

Prints what happened. At the first difference it stops with exit code 1, and keeps its folder.
"""

import argparse
import base64
import contextlib
import itertools
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from chaos_jobs import Job, Run, Stopped
from chaos_rig import QUEUE, ROOT, Counts, Enemy, Fleet, Servers, plain_client, queue_url

#: Seconds after which the queue must be empty, once all jobs have ended.
EMPTY_S = 120.0
#: What is never to be in a log.
TRACES = ("Traceback (most recent call last)", "Exception ignored in", "Fatal Python error")


def work(run: Run, numbers: Iterator[int], until: float) -> None:
    """Run job after job."""
    while time.monotonic() < until and not run.counts.stop.is_set():
        job, began = Job(run, next(numbers)), time.monotonic()
        try:
            job.go()
        except Stopped:
            return
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            run.counts.problem(f"{job.name} ({job.manner}), {job.id}: {problem}; see {job.folder}")
            return
        kills = sum(n for name, n in run.counts.numbers.items() if name.startswith("kills"))
        seconds = time.monotonic() - began
        print(f"{job.name:<16} {job.manner:<12} {seconds:5.0f} s  {kills} kills so far", flush=True)


# The end


def check_queue(run: Run, poison: list[str]) -> None:
    """Nothing may be left in the queue; and all poison, and nothing else, is put aside."""
    client = plain_client("sqs", run.servers.sqs_url)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + EMPTY_S
    while True:
        asked = client.get_queue_attributes(QueueUrl=queue_url(client, QUEUE), AttributeNames=names)
        left = sum(int(asked["Attributes"][name]) for name in names)
        if not left:
            break
        if time.monotonic() > deadline:
            run.counts.problem(f"{left} messages are left in the queue")
            break
        time.sleep(1)
    found, dead = set(), queue_url(client, f"{QUEUE}-dead")
    while messages := client.receive_message(
        QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=600
    ).get("Messages"):
        found |= {plain(message["Body"]) for message in messages}
    if found != set(poison):
        missing, more = set(poison) - found, found - set(poison)
        run.counts.problem(f"dead letters: {missing} are missing, {more} are no poison")
    urls = client.list_queues(QueueNamePrefix=f"{QUEUE}-").get("QueueUrls", [])
    left = [url.rpartition("/")[2] for url in urls if url != dead]
    run.counts.add("queues of events that are left", len(left))
    print("Queues of events that are left:", *left or ["none"])


def plain(body: str) -> str:
    """What a dead letter says: what looks like our own encoding of bytes is put aside in it."""
    with contextlib.suppress(ValueError):
        return base64.b64decode(body.removeprefix("base64:"), validate=True).decode()
    return body


def check_logs(run: Run) -> None:
    """No process may have shown a trace of our code."""
    for log in (*run.folder.glob("workers/*.log"), *run.folder.glob("jobs/*/*.log")):
        text = log.read_text(errors="replace")
        for trace in TRACES:
            if trace in text:
                run.counts.problem(f"{log}: {text[text.index(trace) :][-1000:]}")
                return


def freeze_code(folder: Path) -> None:
    """Copy the package, for others may work on the checkout meanwhile."""
    shutil.copytree(ROOT / "mr", folder / "mr")
    for name in ("analyses", "conf"):
        shutil.copytree(ROOT / name, folder / "mr" / name)
    shutil.copytree(ROOT / "tests/jobs", folder / "jobs")


def show(run: Run, minutes: float) -> None:
    print(f"\n{minutes:.1f} minutes, seed {run.seed}")
    for name, number in sorted(run.counts.numbers.items()):
        print(f"{number:>12,.0f}  {name}")
    for problem in run.counts.problems:
        print(f"\nDIFFERENCE: {problem}")
    print("\nNo difference." if not run.counts.problems else f"\nEverything is kept: {run.folder}")


def chaos(run: Run, fleet: Fleet, enemy: Enemy, lanes: int, until: float) -> None:
    """Let jobs and their enemy run until then, and check what is left."""
    over = threading.Event()
    hostile = threading.Thread(target=guarded, args=(run.counts, enemy.run, over))
    hostile.start()
    numbers = itertools.count()
    try:
        with ThreadPoolExecutor(lanes) as pool:
            try:
                for lane in [pool.submit(work, run, numbers, until) for _ in range(lanes)]:
                    lane.result()
            except BaseException:
                run.counts.stop.set()
                raise
    finally:
        over.set()
        hostile.join()
    if not run.counts.problems:
        check_queue(run, enemy.poison)


def guarded(counts: Counts, call: Callable[..., None], *arguments: object) -> None:
    try:
        call(*arguments)
    except Exception as error:
        counts.problem(f"the enemy failed: {error!r}")


def interrupt_once(*_: object) -> None:
    """End the run; what comes after the first signal is not to disturb the tidying up."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--size", default="40MB", help="raw JSON to generate (40MB)")
    parser.add_argument("--s3", choices=["seaweed", "ministack"], default="seaweed")
    parser.add_argument("--lanes", type=int, default=3, help="jobs at a time (3)")
    parser.add_argument("--every", type=float, default=4.0, help="seconds between harms (4)")
    parser.add_argument("--lease", type=float, default=4.0, help="the workers' lease, seconds (4)")
    chosen = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt_once)
    counts, folder = Counts(), Path(tempfile.mkdtemp(prefix="mr-chaos-"))
    (folder / "workers").mkdir()
    freeze_code(folder / "code")
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        servers = Servers(folder, chosen.s3, chosen.lease, chosen.seed)
        stack.callback(lambda: counts.numbers.update(servers.close()))
        run = Run(folder, chosen.seed, counts, servers)
        run.prepare(chosen.size)
        fleet = Fleet(folder / "workers", servers.harmed, chosen.lease, counts)
        stack.callback(fleet.close)
        for _ in range(chosen.workers):
            fleet.grow()
        enemy = Enemy(fleet, servers, counts, Random(chosen.seed), chosen.every)
        print(f"Everything is in {folder}; {chosen.minutes:g} minutes begin.", flush=True)
        began = time.monotonic()
        chaos(run, fleet, enemy, chosen.lanes, began + 60 * chosen.minutes)
    check_logs(run)
    show(run, (time.monotonic() - began) / 60)
    if counts.problems:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; everything is stopped, and what was written is kept.")
