"""Several requests at a time, where each is a round trip: threads, and results as they come.

Both take their items when a thread is free for one and hold few results at a time, so that there
may be any number of either. An error ends the iteration, and no thread outlives it.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: Results that a thread hands over at once: a queue is slow for single ones.
BATCH = 250

_NO_MORE: Any = object()


def interleave(
    function: Callable[[T], Iterable[R]], items: Iterable[T], threads: int
) -> Iterator[R]:
    """Yield what the function gives for every item, those of several items mixed.

    With one thread the items come one after the other, in this thread. `function`, and what it
    returns, is used by the threads; so are `items`, one thread at a time.
    """
    if threads == 1:
        for item in items:
            yield from function(item)
        return
    results: queue.Queue[list[R] | BaseException | None] = queue.Queue(2 * threads)
    shared, taking, stop = iter(items), threading.Lock(), threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                with taking:
                    item = next(shared, _NO_MORE)
                if item is _NO_MORE:
                    return
                batch: list[R] = []
                for result in function(item):
                    batch.append(result)
                    if stop.is_set():
                        return
                    if len(batch) == BATCH:
                        results.put(batch)
                        batch = []
                if batch:
                    results.put(batch)
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    running = 0
    try:
        for _ in range(threads):
            threading.Thread(target=work, daemon=True).start()
            running += 1
        while running:
            found = results.get()
            if found is None:
                running -= 1
            elif isinstance(found, BaseException):
                raise found
            else:
                yield from found
    finally:
        stop.set()
        # A thread may wait for room in the queue: take what it puts there until it is gone.
        while running:
            if results.get() is None:
                running -= 1


def in_order(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield the function's result for every item, in the order of the items."""
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
