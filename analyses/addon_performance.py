"""What add-ons cost, as histograms, and exceptions of the add-on manager.

Output: the add-on's id, the measure ("scan_MS", "startup_MS", "shutdown_MS"), the lower bound of a
bucket; the number of records in the bucket, and their milliseconds in all. The buckets are those of
simple measures; empty ones have no row. For the measure "exception" the first column is its
message and place, and the bucket and the milliseconds are 0.
"""

from bisect import bisect_right
from collections.abc import Mapping

from mr.analyses._measures import is_measure

from mr import Analysis, exact_partial, exact_sum
from mr.histograms.definitions import SIMPLE

MEASURES = ("scan_MS", "startup_MS", "shutdown_MS")


class AddonPerformance(Analysis):
    """Counts records by add-on, measure and bucket."""

    columns = ("addon", "measure", "bucket", "records", "total_ms")

    def setup(self):
        """Have the buckets' lower bounds at hand."""
        self._bounds = SIMPLE.bounds().tolist()

    def map(self, record):
        """One for each time of each add-on, and for an exception."""
        problem = record.find("simpleMeasurements", "addonManager", "exception")
        if problem is not None:
            yield (_shown(problem), "exception", 0), (1, 0)
        addons = record.find("addonDetails", "XPI")
        if not isinstance(addons, Mapping):
            self.count("records without details of add-ons")
            return
        for addon, details in addons.items():
            if not isinstance(details, Mapping):
                self.count("odd details of add-ons")
                continue
            for measure in MEASURES:
                if measure not in details:
                    continue
                time = details[measure]
                if is_measure(time):
                    bucket = self._bounds[bisect_right(self._bounds, time) - 1]
                    yield (addon, measure, bucket), (1, time)
                else:
                    self.count("odd times of add-ons")

    def combine(self, key, values):
        """Add up."""
        records, times = zip(*values, strict=True)
        yield key, (sum(records), exact_partial(times))

    def reduce(self, key, values):
        """Add up, to plain milliseconds."""
        for _, (records, times) in self.combine(key, values):
            yield key, (records, exact_sum([times]))


def _shown(problem):
    """An exception as text: its message, and where it was raised."""
    told = problem if isinstance(problem, Mapping) else {"message": problem}
    message, *place = (
        str(value) if isinstance(value := told.get(name), str) or is_measure(value) else ""
        for name in ("message", "file", "line")
    )
    message = message or "no message"
    return f"{message} ({':'.join(place)})" if any(place) else message
