"""Add-ons and their versions in use.

Output: the add-on's id, its version, the application and its channel, and the number of records
that name it.
"""

from urllib.parse import unquote

from mr import Analysis


class AddonVersions(Analysis):
    """Counts records by add-on and version."""

    columns = ("addon", "version", "application", "channel", "records")

    def map(self, record):
        """One for each add-on of a record: id:version, percent-encoded, with commas between."""
        found = record.find("info", "addons")
        if not isinstance(found, str):
            self.count("records without add-ons")
            return
        where = record.dimensions
        # A document that names one twice counts once.
        for addon in sorted(set(found.split(",")) - {""}):
            name, _, version = addon.rpartition(":")
            if not name:
                self.count("add-ons without a version")
                continue
            yield (unquote(name), unquote(version), where.appName, where.appUpdateChannel), 1

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce
