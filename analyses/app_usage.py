"""Use and startup of each document, as a table: `-o usage.csv`.

Output: for each document, as it was first submitted, its id, its dimensions, the operating system
with version and architecture, the uptime in minutes, and when startup reached which point, in
milliseconds. What a document does not tell is empty. `--set measures=uptime,js.setProto` chooses
other simple measures.
"""

from mr.analyses._measures import is_measure

from mr import Analysis

DIMENSIONS = (
    "submission_date", "reason", "appName", "appUpdateChannel", "appVersion", "appBuildID",
)  # fmt: skip
INFO = ("OS", "version", "arch")


class AppUsage(Analysis):
    """Yields one row for each document."""

    #: Names in `simpleMeasurements`, with commas between them and dots within them.
    measures = (
        "uptime,start,main,AMI_startup_begin,XPI_startup_begin,XPI_bootstrap_addons_begin,"
        "XPI_bootstrap_addons_end,XPI_startup_end,AMI_startup_end,createTopLevelWindow,firstPaint,"
        "firstLoadURI,sessionRestoreInitialized,sessionRestored,delayedStartupFinished"
    )

    @property
    def columns(self):
        """With the measures that were chosen."""
        return ["id", *DIMENSIONS, *INFO, *self._chosen()]

    def _chosen(self):
        return [name.strip() for name in self.measures.split(",")]

    def setup(self):
        """Take the measures' names apart, once."""
        self._measures = self._chosen()

    def map(self, record):
        """The row of one submission."""
        where = [record.dimensions[name] for name in DIMENSIONS]
        info = [record.find("info", name) for name in INFO]
        measures = [record.find("simpleMeasurements", *m.split(".")) for m in self._measures]
        info = [self._checked(v, isinstance(v, str) or is_measure(v)) for v in info]
        measures = [self._checked(value, is_measure(value)) for value in measures]
        # Text, since some clients sent the version as a number.
        info = [value if value is None else str(value) for value in info]
        yield record.id, (*where, *info, *measures)

    def _checked(self, value, is_good):
        if is_good or value is None:
            return value
        self.count("odd fields")
        return None

    def combine(self, key, values):
        """Keep the first submission."""
        yield key, min(values, key=lambda row: (row[0], repr(row)))

    reduce = combine
