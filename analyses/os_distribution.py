"""Pings by operating system.

Output: the operating system's name (`info.OS`), and the number of records.
"""

from mr import Analysis


class OSDistribution(Analysis):
    """Counts records by operating system."""

    columns = ("OS", "records")

    def map(self, record):
        """One for each record that names its system."""
        system = record.find("info", "OS")
        if isinstance(system, str):
            yield system, 1
        else:
            self.count("records without an operating system")

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce
