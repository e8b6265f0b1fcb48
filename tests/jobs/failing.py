"""Analyses that fail in one way each."""

import os
import time

from mr import Analysis


class Raises(Analysis):
    """Fails at every record of one system."""

    def map(self, record):
        if record["info"]["OS"] == "Darwin":
            raise ValueError("no Darwin, please")
        yield 1, 1


class Dies(Analysis):
    """Its process dies."""

    def map(self, record):
        os._exit(7)


class UnspeakableError(Exception):
    """Cannot say what it is."""

    def __str__(self):
        raise RuntimeError("no words")


class Unspeakable(Analysis):
    """Raises an error that cannot be shown."""

    def map(self, record):
        raise UnspeakableError


class Hangs(Analysis):
    """Makes no progress."""

    def map(self, record):
        time.sleep(3600)


class BadKey(Analysis):
    """Yields a key of a type that keys cannot have."""

    def map(self, record):
        yield {"a": 1}, 1

    def reduce(self, key, values):
        yield key, 1


class FailsInReduce(Analysis):
    """Fails at one key."""

    def map(self, record):
        yield record["info"]["OS"], 1

    def reduce(self, key, values):
        if key == "Linux":
            raise KeyError("Linux")
        yield key, sum(values)


class Prints(Analysis):
    """Prints while it works, which must not mix with the result."""

    def map(self, record):
        print("hello from map")
        yield "records", 1

    def reduce(self, key, values):
        yield key, sum(values)
