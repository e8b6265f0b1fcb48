"""An analysis with a parameter and a counter, imported as a module."""

from mr import Analysis


class Systems(Analysis):
    """Records by system."""

    prefix = ""

    def map(self, record):
        yield self.prefix + record["info"]["OS"], 1
        self.count("seen")

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce
