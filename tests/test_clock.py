"""Machines whose clocks differ agree on the time of the server that they share."""

import time
from email.utils import formatdate

import pytest

from mr import clock


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Each test begins without having heard of any server."""
    monkeypatch.setattr(clock, "_offset_s", 0.0)
    monkeypatch.setattr(clock, "_known_at", float("-inf"))


def test_without_a_server_it_is_the_machines_own(monkeypatch):
    """Nothing is known, so nothing is changed."""
    clock.learn(None)
    clock.learn("no date at all")

    assert abs(clock.now() - time.time()) < 1


@pytest.mark.parametrize("wrong_s", [-3600.0, -90.0, 90.0, 3600.0])
def test_a_wrong_clock_is_put_right(wrong_s):
    """A machine that is off by minutes or hours says what the server says."""
    server = time.time() - wrong_s

    clock.learn(formatdate(server, usegmt=True))

    assert abs(clock.now() - server) < 2


def test_less_than_a_dates_precision_is_no_difference():
    """Dates are whole seconds: a clock that agrees with them is left alone."""
    clock.learn(formatdate(time.time(), usegmt=True))

    assert clock._offset_s == 0.0


def test_answers_are_asked_now_and_then():
    """One date serves for a minute; a later one within it changes nothing."""
    clock.learn(formatdate(time.time() - 100, usegmt=True))
    clock.learn(formatdate(time.time() + 100, usegmt=True))

    assert abs(clock.now() - (time.time() - 100)) < 2


def test_every_answer_of_s3_tells_the_time(ministack, monkeypatch):
    """The clients hand on what the server says."""
    from mr.aws import clients

    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    heard = []
    monkeypatch.setattr(clock, "learn", heard.append)

    clients.client("s3").list_buckets()

    (date,) = heard
    assert abs(time.time() - clock.parsedate_to_datetime(date).timestamp()) < 60
