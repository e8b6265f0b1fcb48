"""Frequent stacks of chrome hangs and late writes.

Output: the application, its build (an offset says the same only within one), "hang" or "late
write", the innermost frames with " | " between them; how often the stack came, in how many records,
and the seconds in all (0 for late writes). `--set min_count=10` gives the more frequent ones.
"""

from collections import defaultdict

from mr.analyses._stacks import stacks_of

from mr import Analysis, exact_partial, exact_sum


class HangStacks(Analysis):
    """Counts stacks by their innermost frames."""

    columns = ("application", "build", "kind", "stack", "times", "records", "seconds")
    #: How often a stack must have come to be in the result.
    min_count = 2
    #: How many frames tell one stack from another.
    frames = 5

    def map(self, record):
        """One for each different stack of a record."""
        found = defaultdict(list)
        for stack in stacks_of(record, self.count):
            shown = " | ".join(stack.frames[: self.frames])
            found[stack.kind, shown].append(stack.duration or 0)
        place = record.dimensions.appName, record.dimensions.appBuildID
        for key, durations in found.items():
            yield (*place, *key), (len(durations), 1, exact_partial(durations))

    def combine(self, key, values):
        """Add up."""
        stacks, records, durations = zip(*values, strict=True)
        yield key, (sum(stacks), sum(records), exact_partial(durations))

    def reduce(self, key, values):
        """Add up, to plain seconds."""
        for _, (stacks, records, durations) in self.combine(key, values):
            yield key, (stacks, records, exact_sum([durations]))
