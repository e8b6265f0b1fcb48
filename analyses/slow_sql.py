"""Slow SQL statements, by thread, of over 100 invocations.

Output: the thread ("mainThread" or "otherThreads"), the statement with its literals masked, how
often it was slow, the number of records that name it, the milliseconds in all, and the median of
milliseconds: each record counts once, with its mean time of one invocation. `--set min_count=1`
gives all statements.
"""

from collections import defaultdict
from collections.abc import Mapping

from mr.analyses._measures import added, counted, is_measure, median

from mr import Analysis, exact_partial, exact_sum
from mr.masking import masked


class SlowSQL(Analysis):
    """Adds up the slow statements of records."""

    columns = ("thread", "statement", "invocations", "records", "total_ms", "median_ms")
    #: How often a statement must have been slow to be in the result.
    min_count = 101
    mask_literals = True

    def map(self, record):
        """One for each thread and statement of a record."""
        section = record.find("slowSQL")
        if not isinstance(section, Mapping):
            self.count("records without slowSQL")
            return
        for thread in ("mainThread", "otherThreads"):
            found = defaultdict(list)
            for statement, slow in self._statements(section.get(thread)):
                found[masked(statement) if self.mask_literals else statement].append(slow)
            # A record counts once for statements that differ in what is masked.
            for statement, slows in found.items():
                times = sum(number for number, _ in slows)
                total = exact_sum(total for _, total in slows)
                yield (thread, statement), (times, 1, total, counted([total / times]))

    def _statements(self, statements):
        if not isinstance(statements, Mapping):
            self.count("odd threads in slowSQL")
            return
        for statement, slow in statements.items():
            match slow:
                case [int(times), total, *_] if (
                    is_measure(times) and times > 0 and is_measure(total)
                ):
                    yield statement, (times, total)
                case _:
                    self.count("odd statements in slowSQL")

    def combine(self, key, values):
        """Add up."""
        times, records, totals, means = zip(*values, strict=True)
        means = added(pair for found in means for pair in found)
        yield key, (sum(times), sum(records), exact_partial(totals), means)

    def reduce(self, key, values):
        """Add up, and take the median."""
        for _, (times, records, total, means) in self.combine(key, values):
            yield key, (times, records, exact_sum([total]), median(means))
