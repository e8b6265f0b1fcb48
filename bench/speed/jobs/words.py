"""Work (e): counting words, of which there are millions."""

from mr import Analysis


class Words(Analysis):
    """Counts each word of each record's text."""

    def map(self, record):
        for word in record["text"].split():
            yield word, 1

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce
