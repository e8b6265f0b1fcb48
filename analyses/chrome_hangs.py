"""Every chrome hang and late write, with its stack: an export.

Output: the record's id, "hang" or "late write", its place in the record (from 0), the application,
its channel, version and build, the submission date; the duration in seconds (empty for a late
write), and the stack, innermost frame first, each as "library+0xoffset". A library that the memory
map does not have is "unknown".
"""

from mr.analyses._stacks import stacks_of

from mr import Analysis


class ChromeHangs(Analysis):
    """Yields the stacks of records, in the order of the input."""

    columns = (
        "document",
        "kind",
        "place",
        "application",
        "channel",
        "version",
        "build",
        "submitted",
        "seconds",
        "stack",
    )

    def map(self, record):
        """One row for each stack of a record."""
        where = record.dimensions
        place = (
            where.appName, where.appUpdateChannel, where.appVersion, where.appBuildID,
            where.submission_date,
        )  # fmt: skip
        for stack in stacks_of(record, self.count):
            key = (record.id, stack.kind, stack.place, *place)
            yield key, (stack.duration, stack.frames)
