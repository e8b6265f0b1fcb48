"""Days from build to submission.

Output: the application, its channel, the days from the build's date to the submission (negative
where a clock was wrong), and the number of records.
"""

from mr import Analysis
from mr.histograms.placing import date_of


class PingLatency(Analysis):
    """Counts records by age of the build, without looking into them."""

    columns = ("application", "channel", "days", "records")

    def map_block(self, block):
        """All of a block's records are alike in this."""
        where = block.dimensions
        built, submitted = date_of(where.appBuildID[:8]), date_of(where.submission_date)
        records = sum(len(chunk) for chunk in block.chunks())
        if built is None or submitted is None:
            self.count("records without a date of build or submission", records)
        elif records:
            yield (where.appName, where.appUpdateChannel, (submitted - built).days), records

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce
