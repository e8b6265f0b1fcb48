"""Experiments: who takes part, and how that began or ended, by channel.

Output: the channel; the experiment's id; "activation" or "termination" (an entry of the log), or
"active" (now taking part); for an entry what else stands in it, such as "ACCEPTED" or "EXPIRED",
for "active" the branch; and the number of records.
"""

from mr import Analysis

ENTRIES = {"EXPERIMENT_ACTIVATION": "activation", "EXPERIMENT_TERMINATION": "termination"}


class Experiments(Analysis):
    """Counts records by experiment and what became of it."""

    columns = ("channel", "experiment", "what", "detail", "records")

    def map(self, record):
        """One for each thing that a record tells; a record that tells it twice counts once."""
        channel = record.dimensions.appUpdateChannel
        for found in sorted({*self._logged(record), *self._active(record)}):
            yield (channel, *found), 1

    def _logged(self, record):
        log = record.find("log", default=[])
        if not isinstance(log, list):
            self.count("odd logs")
            return
        for entry in log:
            name = entry[0] if isinstance(entry, list) and entry else None
            what = ENTRIES.get(name) if isinstance(name, str) else None
            if what is None:
                continue
            # After the time come the outcome, the id and perhaps a reason; or the id alone.
            texts = [text for text in entry[2:] if isinstance(text, str)]
            if not texts:
                self.count("odd entries of experiments")
                continue
            named = (text for text in texts if "@" in text)
            experiment = next(named, texts[:2][-1])
            texts.remove(experiment)
            yield experiment, what, " ".join(texts)

    def _active(self, record):
        experiment = record.find("info", "activeExperiment")
        branch = record.find("info", "activeExperimentBranch")
        if isinstance(experiment, str) and isinstance(branch, str | None):
            yield experiment, "active", branch or ""
        elif experiment is not None:
            self.count("odd active experiments")

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce
