"""Work (d): one field of every record, map-only."""

from mr import Analysis


class Uptimes(Analysis):
    """Exports the uptime of each record."""

    def map(self, record):
        yield record.id, record["simpleMeasurements"]["uptime"]
