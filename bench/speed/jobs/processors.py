"""Work (b): one field of the records that another field chooses."""

from mr import Analysis


class Processors(Analysis):
    """Counts records of one language by their number of processors."""

    #: The language.
    locale = "de"

    def map(self, record):
        info = record["info"]
        if info["locale"] == self.locale:
            yield info["cpucount"], 1

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce
