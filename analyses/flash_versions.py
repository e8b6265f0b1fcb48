"""Versions of Flash: Firefox on Windows, and Fennec.

Output: the application, its version and channel, the operating system and its version, the version
of Flash ("none" where there is none), and the number of records.
"""

from mr.analyses._measures import is_measure

from mr import Analysis


class FlashVersions(Analysis):
    """Counts records by version of Flash."""

    columns = ("application", "version", "channel", "OS", "OS_version", "Flash_version", "records")

    def map(self, record):
        """One for each record of these applications that names its system."""
        where = record.dimensions
        system = record.find("info", "OS")
        if where.appName != "Fennec" and (where.appName, system) != ("Firefox", "WINNT"):
            return
        version = record.find("info", "version")
        if is_measure(version):  # some clients sent a number
            version = str(version)
        flash = record.find("info", "flashVersion")
        if not isinstance(system, str) or not isinstance(version, str):
            self.count("records without an operating system or its version")
        elif not isinstance(flash, str | None):
            self.count("records with an odd version of Flash")
        else:
            place = where.appName, where.appVersion, where.appUpdateChannel
            yield (*place, system, version, flash or "none"), 1

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce
