"""A reduce, then a map-only step: its order is that of the reduce's keys."""

from mr import Analysis


class Rows(Analysis):
    """Two rows for each group."""

    def map(self, pair):
        key, number = pair
        yield key, number
        yield (key, "twice"), 2 * number


class Regrouped(Analysis):
    """Counts by the first characters of the id."""

    then = Rows

    def map(self, record):
        yield record.id[:2], 1

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce

    def setup_reduce(self, output):
        output.write("header", 0)
