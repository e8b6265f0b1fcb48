"""Records by the dimensions of their blocks.

Output: the values of the dimensions that `by` names (all of the schema's, unless it names some:
`--set by=appName,appUpdateChannel`), and the number of records.
"""

from mr import Analysis


class RecordCount(Analysis):
    """Counts records by dimensions, without looking into them."""

    #: Names of dimensions, with commas between them; "" for all.
    by = ""

    @property
    def columns(self):
        """Named for the dimensions, if some are chosen."""
        return [*self._chosen(), "records"] if self.by else ()

    def _chosen(self):
        return [name.strip() for name in self.by.split(",")]

    def map_block(self, block):
        """All of a block's records are alike in this."""
        names = self._chosen() if self.by else block.dimensions.fields
        place = tuple(block.dimensions[name] for name in names)
        count = sum(len(chunk) for chunk in block.chunks())
        if count:
            yield place, count

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce
