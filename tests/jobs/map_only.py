"""A map-only export in the order of the blocks."""

from mr import Analysis


class Export(Analysis):
    """The id and the length of each record."""

    def map(self, record):
        yield record.id, (record.block.key, record.line, len(record.raw))
