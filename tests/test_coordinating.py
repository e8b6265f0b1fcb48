"""A coordinator bears a store that does not answer for a while, and no longer than that."""

import threading

import pytest

from mr.directory import DirectoryStore
from mr.engines import coordinating
from mr.engines.cluster import Unheard
from mr.errors import JobFailed, JobInterrupted, QueueUnavailable
from mr.stages import Conduct, Stopped
from mr.taskqueue import MemoryQueue


class Clock:
    """A clock that only sleeping moves."""

    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    """Return a clock at 0."""
    return Clock()


@pytest.fixture
def conduct(tmp_path, clock):
    """Return what a coordinator works with."""
    store = DirectoryStore(tmp_path / "jobs")
    return Conduct(store, MemoryQueue(), MemoryQueue(), Unheard(), window=1, clock=clock)


def patiently(conduct, do, clock, patience_s):
    """Do it as a coordinator would."""
    return coordinating._patiently(do, conduct, patience_s, clock.sleep)


def test_a_short_outage_is_borne(conduct, clock):
    """What fails for less than the patience is done in the end."""

    def do():
        if clock.now < 50:
            raise QueueUnavailable("no answer")
        return "done"

    assert patiently(conduct, do, clock, 60) == "done"
    assert 50 <= clock.now < 60


def test_a_long_outage_is_not(conduct, clock):
    """What fails for longer is told."""

    def do():
        raise QueueUnavailable("no answer")

    with pytest.raises(QueueUnavailable):
        patiently(conduct, do, clock, 60)
    assert 60 <= clock.now < 70


def test_outages_far_apart_are_each_borne(conduct, clock):
    """Patience begins anew when it went well for long enough."""
    began = []

    def do():
        began.append(clock.now)
        if len(began) < 4:
            clock.now += 400
            raise QueueUnavailable("no answer")
        return "done"

    assert patiently(conduct, do, clock, 60) == "done"


def test_the_local_engine_gives_up_at_once(conduct, clock, monkeypatch):
    """Without patience the job is left to be resumed, in words; so it is at Ctrl-C."""
    ways = ((QueueUnavailable("no answer"), JobFailed), (KeyboardInterrupt, JobInterrupted))
    for error, expected in ways:

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(coordinating, "conduct_job", fail)
        spec = type("Spec", (), {"job": "job-1", "max_usd": None, "max_hours": None})()
        with pytest.raises(expected, match="resume job-1"):
            coordinating.coordinate(conduct, spec, sleep=clock.sleep)


def test_told_to_stop_it_leaves_the_job(conduct, monkeypatch):
    """A coordinator that is stopped neither ends the job nor reports it."""

    def stopped(*_):
        raise Stopped

    monkeypatch.setattr(coordinating, "conduct_job", stopped)
    conduct.stop = threading.Event()
    spec = type("Spec", (), {"job": "job-1", "max_usd": None, "max_hours": None})()
    with pytest.raises(Stopped):
        coordinating.coordinate(conduct, spec)
    assert list(conduct.store.list()) == []
