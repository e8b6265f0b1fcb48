"""Input and output on the main thread, by file, of over 100 records.

Output: the application, the phase ("startup", "execution" or "shutdown"), the file, the number of
records that report it, the median of milliseconds, and the median of operations (creates, reads,
writes, fsyncs and stats together). `--set min_count=1` gives all files.
"""

from collections.abc import Mapping

from mr.analyses._measures import added, counted, is_measure, median

from mr import Analysis

PHASES = ("startup", "execution", "shutdown")


class MainThreadIO(Analysis):
    """Takes medians over the reports on files."""

    columns = ("application", "phase", "file", "records", "median_ms", "median_operations")
    #: How many records must report a file to have it in the result.
    min_count = 101

    def map(self, record):
        """One for each file and phase that a record reports on."""
        files = record.find("fileIOReports")
        if not isinstance(files, Mapping):
            self.count("records without fileIOReports")
            return
        for file, reports in files.items():
            if not isinstance(reports, list) or len(reports) < len(PHASES):
                self.count("odd reports on files")
                continue
            for phase, report in zip(PHASES, reports, strict=False):
                if report is None:
                    continue
                # Milliseconds in all, creates, reads, writes, fsyncs; stats came later.
                if isinstance(report, list) and len(report) >= 5 and all(map(is_measure, report)):
                    total, *operations = report[:6]
                    place = record.dimensions.appName, phase, file
                    yield place, (1, counted([total]), counted([sum(operations)]))
                else:
                    self.count("odd reports on files")

    def combine(self, key, values):
        """Add up, keeping how often each number came."""
        records, *columns = zip(*values, strict=True)
        totals, operations = (added(pair for one in found for pair in one) for found in columns)
        yield key, (sum(records), totals, operations)

    def reduce(self, key, values):
        """Add up, and take the medians."""
        for _, (records, totals, operations) in self.combine(key, values):
            yield key, (records, median(totals), median(operations))
