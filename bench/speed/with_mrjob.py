"""The works as an mrjob job, which gets each block's path (`mapper_raw`).

    python -m bench.speed.with_mrjob --work a|c|e -r inline|local BLOCK...

Its output lines are JSON, a tab, JSON.
"""

from mrjob.job import MRJob
from mrjob.step import MRStep

from bench.speed import plain


class Job(MRJob):
    """One of the works."""

    def configure_args(self):
        super().configure_args()
        self.add_passthru_arg("--work", choices=("a", "c", "e"))

    def steps(self):
        if self.options.work == "c":
            add = self.add_rows
            return [MRStep(mapper_raw=self.map_histograms, combiner=add, reducer=add)]
        return [MRStep(mapper_raw=self.map_counted, combiner=self.add, reducer=self.add)]

    def map_counted(self, path, uri):
        for thing in plain.COUNTED[self.options.work](path):
            yield thing, 1

    def add(self, key, values):
        yield key, sum(values)

    def map_histograms(self, path, uri):
        # What is read may be a copy; where it was tells the dimensions.
        yield from plain.cells(path, place=uri).items()

    def add_rows(self, key, rows):
        total = next(rows)
        for row in rows:
            total = plain.plus(total, row)
        yield key, total


if __name__ == "__main__":
    Job.run()
