"""Analyses that make much of little: for tests of memory."""

from mr import Analysis


class EveryHistogram(Analysis):
    """All histograms of all records through the shuffle."""

    def map(self, record):
        yield record.id, record["histograms"].to_dict()

    def reduce(self, key, values):
        for value in values:
            yield key, len(value)


class OneKey(Analysis):
    """Very many values of one key."""

    values_each = 1000

    def map(self, record):
        for number in range(self.values_each):
            yield "key", number

    def reduce(self, key, values):
        number = total = 0
        for value in values:
            number += 1
            total += value
        yield key, (number, total)
