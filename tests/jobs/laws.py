"""Analyses that keep the law, or break it in one way each."""

from mr import Analysis, exact_partial, exact_sum


class Counts(Analysis):
    """Records by system: lawful."""

    least = 1

    def map(self, record):
        yield record["info"]["OS"], 1
        self.count("mapped")

    def combine(self, key, values):
        yield key, sum(values)

    def reduce(self, key, values):
        total = sum(values)
        if total >= self.least:
            yield key, total


class Averages(Counts):
    """An average of averages: the combiner is wrong."""

    def map(self, record):
        yield record["info"]["OS"], int(record.id)

    def reduce(self, key, values):
        found = list(values)
        yield key, sum(found) / len(found)

    combine = reduce


class First(Counts):
    """Keeps the first value that comes: depends on the order."""

    combine = None

    def map(self, record):
        yield record["info"]["OS"], record.id

    def reduce(self, key, values):
        yield key, next(iter(values))


class CountsInCombine(Counts):
    """Counts where it may run any number of times."""

    def combine(self, key, values):
        self.count("combined")
        yield key, sum(values)


class ForgetsInCombine(Counts):
    """A combiner that drops what it should add."""

    def combine(self, key, values):
        yield key, next(iter(values))


class YieldsNothing(Counts):
    """A combiner that loses a key."""

    def combine(self, key, values):
        if key != "Darwin":
            yield key, sum(values)


class OfTask(Analysis):
    """Yields once a task: depends on the splits."""

    def setup(self):
        self.seen = 0

    def map(self, record):
        self.seen += 1

    def finish(self):
        yield "tasks", 1

    def reduce(self, key, values):
        yield key, sum(values)


class OfReducer(Counts):
    """Numbers the keys of a reduce task: depends on the reducers."""

    combine = None

    def setup(self):
        self.keys = 0

    def reduce(self, key, values):
        self.keys += 1
        yield key, self.keys


class Floats(Counts):
    """A plain sum of floats: depends on the grouping in its last digits."""

    def map(self, record):
        yield "sum", [1e16, 1.0, -1e16, 1.0, 3.0, 1e-3, 2.0][int(record.id)]

    def combine(self, key, values):
        yield key, sum(values)

    def reduce(self, key, values):
        yield key, sum(values)


class ExactFloats(Floats):
    """The same sum, exactly: lawful."""

    def combine(self, key, values):
        yield key, exact_partial(values)

    def reduce(self, key, values):
        yield key, exact_sum(values)


class NumbersOfTask(Analysis):
    """Map-only with state: a record's number depends on the splits."""

    def setup(self):
        self.seen = 0

    def map(self, record):
        self.seen += 1
        yield record.id, self.seen


class Ids(Analysis):
    """Map-only without state: lawful."""

    def map(self, record):
        yield record.id, record["info"]["OS"]


class CountsSplits(Counts):
    """A counter that depends on the splits, in an answer that does not."""

    def finish(self):
        self.count("tasks")


class Different(Counts):
    """Not the same answer twice."""

    calls = iter(range(10**9))

    def map(self, record):
        yield record["info"]["OS"], next(Different.calls)


class Largest(Analysis):
    """A second step, over the counts of the first."""

    def map(self, pair):
        yield "largest", (pair[1], pair[0])

    def reduce(self, key, values):
        yield key, max(values)


class TwoSteps(Counts):
    """Counts, then the largest of them: lawful."""

    then = Largest
