"""Measures by many keys of many types, with a combiner."""

import time

from mr import Analysis, exact_partial, exact_sum


class Combined(Analysis):
    """Exact sums of a measure by keys of several types."""

    pause_s = 0.0

    def map(self, record):
        if self.pause_s:
            time.sleep(self.pause_s)
        info, simple = record["info"], record["simpleMeasurements"]
        uptime = simple.get("uptime", 0)
        yield ("by system", info["OS"]), uptime
        yield record.id[:3], uptime / 7
        yield info.get("cpucount"), 1
        yield float(len(record.raw) % 50), 1
        yield record.dimensions, (1, uptime)

    def combine(self, key, values):
        yield key, self._sum(key, values, exact_partial)

    def reduce(self, key, values):
        yield key, self._sum(key, values, exact_sum)

    @staticmethod
    def _sum(key, values, add):
        if isinstance(key, tuple) and len(key) == 6:
            pairs = list(values)
            return sum(one for one, _ in pairs), sum(other for _, other in pairs)
        return add(values)
