"""Several at a time: all results, few of them held, errors told, and no thread left."""

import itertools
import threading
import time

import pytest

from mr.concurrency import BATCH, in_order, interleave

THREADS = 4


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Each test ends with the threads that it began with."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class Work:
    """Takes some time for each item, and knows how many went on at once."""

    def __init__(self, results=1):
        self.results = results
        self.going = self.most = self.made = self.started = 0
        self.lock = threading.Lock()

    def __call__(self, item):
        with self.lock:
            self.started += 1
            self.going += 1
            self.most = max(self.most, self.going)
        time.sleep(0.01)
        for number in range(self.results):
            self.made += 1
            yield item, number
        with self.lock:
            self.going -= 1


@pytest.mark.parametrize("results", [0, 1, BATCH, 3 * BATCH + 1])
def test_every_result_comes_once(results):
    """Those of one item in their order, and no more items at a time than threads."""
    work = Work(results)

    found = list(interleave(work, range(30), THREADS))

    assert sorted(found) == [(item, number) for item in range(30) for number in range(results)]
    for item in range(30):
        assert [number for one, number in found if one == item] == list(range(results))
    assert 1 < work.most <= THREADS


def test_one_thread_is_this_one():
    """Then the items come one after the other, and nothing is done ahead."""
    names = interleave(lambda item: [(item, threading.current_thread())], itertools.count(), 1)

    assert list(itertools.islice(names, 3)) == [(n, threading.main_thread()) for n in range(3)]


def test_few_results_are_held():
    """What is made ahead is bounded, however much there is; so are the items taken."""
    work = Work(1_000_000)
    results = interleave(work, itertools.count(), THREADS)
    next(results)
    time.sleep(0.2)

    assert work.made <= (2 * THREADS + THREADS + 2) * BATCH
    assert work.started == THREADS
    results.close()
    assert work.started == THREADS


@pytest.mark.parametrize("threads", [1, THREADS])
def test_an_error_ends_it(threads):
    """An error of the work, or of the items, comes out, and no further item is begun."""
    begun = []

    def fail(item):
        begun.append(item)
        yield item
        if item == 5:
            raise ZeroDivisionError

    def items():
        yield from range(3)
        raise KeyError

    with pytest.raises(ZeroDivisionError):
        list(interleave(fail, itertools.count(), threads))
    assert 5 in begun
    with pytest.raises(KeyError):
        list(interleave(fail, items(), threads))


def test_nothing_begins_before_it_is_asked_for():
    """Making the iterator starts no thread, and none is left when it is dropped at once."""
    before = threading.active_count()
    results = interleave(Work(), range(3), THREADS)

    assert threading.active_count() == before
    del results


def test_results_in_order():
    """The results of `in_order` come as the items do, some made ahead, and errors in their turn."""
    lock, going = threading.Lock(), [0, 0]

    def slow(item):
        with lock:
            going[0] += 1
            going[1] = max(going)
        time.sleep(0.001 * (item % 3))
        with lock:
            going[0] -= 1
        return 1 // (item - 50)

    results = in_order(slow, itertools.count(51), THREADS)
    assert list(itertools.islice(results, 40)) == [1] + [0] * 39
    results.close()
    assert 1 < going[1] <= THREADS
    results = in_order(slow, range(48, 60), THREADS)
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
