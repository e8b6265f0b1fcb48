"""Analyses whose states are merged."""

import re
from pathlib import Path

from mr import Analysis


class Median(Analysis):
    """Median uptime by system, of systems with enough records; lists go through the combiner."""

    least = 1
    step = 1

    def map(self, record):
        uptime = record["simpleMeasurements"].get("uptime", 0)
        yield record["info"]["OS"], [uptime // self.step]
        yield record.dimensions.appUpdateChannel, [uptime // self.step]

    def combine(self, key, values):
        yield key, sorted(uptime for some in values for uptime in some)

    def reduce(self, key, values):
        found = sorted(uptime for some in values for uptime in some)
        self.count("medians")
        if len(found) >= self.least:
            yield key, found[len(found) // 2]


class Prefixes(Analysis):
    """Prefixes of ids that come often enough: in a week, but on no day."""

    min_count = 2

    def map(self, record):
        yield record.id[:2], 1
        self.count("mapped")

    def combine(self, key, values):
        yield key, sum(values)

    reduce = combine


class Everything(Analysis):
    """Every hook that a state goes through; keys stay in the order of their kinds."""

    def partition_key(self, key):
        return key[0]

    def map(self, record):
        yield (record["info"]["OS"], record.id[:1]), 1

    def finish(self):
        yield ("tasks", ""), 0

    def setup_reduce(self, output):
        output.write("system", "records")

    def combine(self, key, values):
        yield key, sum(values)

    def reduce(self, key, values):
        yield key, sum(values)

    def finish_reduce(self):
        self.count("reduces", 0)


class OfDarwin(Prefixes):
    """Fails in its reduce."""

    least = 1000000

    def map(self, record):
        yield record["info"]["OS"], 1

    def reduce(self, key, values):
        total = sum(values)
        if key == "Darwin" and total > self.least:
            raise ValueError(f"{total} are too many")
        yield key, total


class Removes(Prefixes):
    """Removes the block that a file names before it reads any, and that file."""

    min_count = 0

    file = ""

    def setup(self):
        named = Path(self.file)
        if named.exists():
            Path(named.read_text()).unlink(missing_ok=True)
            named.unlink(missing_ok=True)


class OnlyMaps(Analysis):
    """Has no reduce."""

    def map(self, record):
        yield record.id, 1


class NoCombine(OnlyMaps):
    """Has no combine."""

    def reduce(self, key, values):
        yield key, sum(values)


class Prepared(Prefixes):
    """Has a prepare."""

    def prepare(self, blocks, output):
        return len(blocks)


class OfLetters(Prefixes):
    """A second step."""

    def map(self, pair):
        yield pair[0][:1], pair[1]


class AfterMaps(OnlyMaps):
    """A step that has no reduce, then one that has."""

    then = OfLetters


class AfterReduce(NoCombine):
    """Reduces in both steps."""

    then = OfLetters


#: A parameter by way of a function of the module.
def scaled(analysis, number):
    """By a parameter that a map has given on."""
    return number * analysis.scale


class Indirect(Analysis):
    """Uses its parameters in many places."""

    scale = 1
    pattern = re.compile("x")
    digits = 1
    floor = 0
    named = 0
    least = 0

    @property
    def _rounded(self):
        return self.digits

    def map(self, record):
        yield record.id[: self._rounded], scaled(self, 1)

    def combine(self, key, values):
        yield key, max(self.floor, sum(values))

    def partition_key(self, key):
        return getattr(self, "named"), key  # noqa: B009

    def reduce(self, key, values):
        yield key, max(self.least, sum(values))
