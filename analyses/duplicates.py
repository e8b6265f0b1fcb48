"""Documents that were submitted more than once.

Output: the document's id, how often it was submitted, and the first and the last date of that.
`--set min_count=1` gives all documents.
"""

from mr import Analysis


class Duplicates(Analysis):
    """Counts submissions of each document."""

    columns = ("document", "submissions", "first", "last")
    #: How often a document must have been submitted to be in the result.
    min_count = 2

    def map(self, record):
        """One submission."""
        day = record.dimensions.submission_date
        yield record.id, (1, day, day)

    def combine(self, key, values):
        """Add up, and keep the range of dates."""
        count, first, last = 0, None, None
        for number, begin, end in values:
            count += number
            first = begin if first is None else min(first, begin)
            last = end if last is None else max(last, end)
        yield key, (count, first, last)

    reduce = combine
