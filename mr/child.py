"""The process that runs user code: one task after the other, told by its parent.

The parent writes one JSON line for each attempt to standard input; this process answers on its
standard output: lines of progress, then one of `done`, `failed` or `unavailable`. What user code
prints goes to standard error. When standard input ends, the parent is gone and so are we.
"""

import contextlib
import errno
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from mr.attempts import Attempt, Job, read_job, run_attempt
from mr.commits import Failure
from mr.decoding import from_json
from mr.errors import RetryElsewhere, WrongMessage
from mr.garbage import look_for_less
from mr.mapping import Position
from mr.metering import METER
from mr.orders import CODE, Order, Progress, Reply
from mr.stores import open_store
from mr.usercode import error_line, own_frames

#: How often progress is told.
PROGRESS_S = 0.25
#: How much of a key is shown in a failure.
MOST_KEY_CHARACTERS = 1000
#: How much of an exception's text and traceback is kept: of the latter the end, which tells where.
MOST_ERROR_CHARACTERS, MOST_TRACEBACK_CHARACTERS = 4_000, 32_000


def describe_failure(error: BaseException, order: Order, position: Position) -> Failure:
    """A failure with the user's own traceback."""
    return Failure(
        task=order.task.id,
        attempt=order.attempt,
        error=_plain(error_line(error))[:MOST_ERROR_CHARACTERS],
        traceback=_plain(own_frames(error))[-MOST_TRACEBACK_CHARACTERS:],
        block=position.block,
        line=position.line,
        key=_shown_key(position) if order.task.kind == "reduce" else "",
        bundle=order.task.bundle,
    )


def _shown_key(position: Position) -> str:
    """The key being reduced; nothing before the first."""
    return "" if position.key is None else _plain(repr(position.key)[:MOST_KEY_CHARACTERS])


def _plain(text: str) -> str:
    """Text that can be written anywhere: an exception's may hold lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def answer(order: Order, jobs: dict[str, Job], position: Position) -> Reply:
    """Run the attempt that is ordered and say how it ended; `jobs` are those at hand."""
    task = order.task
    try:
        store, folder = open_store(order.store), Path(order.folder)
        code = folder.parent / CODE / task.job
        if task.job not in jobs or not code.exists():
            jobs.clear()
            jobs[task.job] = read_job(store, task, code)
        os.utime(code)  # it is in use
        attempt = Attempt(store, jobs[task.job], task, order.attempt, folder, position)
        return Reply(done=run_attempt(attempt))
    except RetryElsewhere as error:
        return Reply(unavailable=str(error))
    except WrongMessage as error:
        return Reply(misled=str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Reply(unavailable=f"no room on this machine's disk: {error}")
        return Reply(failed=describe_failure(error, order, position))
    except (Exception, SystemExit) as error:
        return Reply(failed=describe_failure(error, order, position))


# The process


def _progress_of(position: Position) -> Progress:
    tally, account = position.tally, position.account
    progress = Progress.of(tally, position.moves)
    if account is None:
        return progress
    return Progress(
        progress.moves + account.lines,
        progress.records + account.records,
        progress.compressed_bytes + account.compressed_bytes,
        progress.raw_bytes + account.raw_bytes,
    )


class _Replies:
    """Writes replies, one at a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def send(self, reply: Reply) -> None:
        with self._lock:
            self._out.write(msgspec.json.encode(reply) + b"\n")
            self._out.flush()


@contextlib.contextmanager
def _telling(replies: _Replies, position: Position) -> Iterator[None]:
    """Tell progress while it moves, from a thread, so that the work need not look at a clock."""
    ended = threading.Event()

    def tell() -> None:
        last = Progress()
        while not ended.wait(PROGRESS_S):
            now = _progress_of(position)
            if now != last:
                last = now
                replies.send(Reply(progress=now))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read_orders(orders: "queue.SimpleQueue[bytes]") -> None:
    for line in sys.stdin.buffer:
        orders.put(line)
    # The parent is gone, however busy user code keeps the main thread.
    os._exit(1)


def main() -> None:
    """Serve the parent until it closes our standard input."""
    look_for_less()
    # These reach the whole terminal or process group; the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    replies = _Replies(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    # In whole lines, whatever the environment says: others write to the same place, and what was
    # not written would die with the process.
    sys.stdout = open(1, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    jobs: dict[str, Job] = {}
    while True:
        order = from_json(orders.get(), Order)
        position = Position()
        with _telling(replies, position):
            reply = answer(order, jobs, position)
        with contextlib.suppress(Exception):  # user code may have closed or replaced it
            sys.stdout.flush()
        replies.send(replace(reply, requests=METER.take()))


if __name__ == "__main__":
    main()
