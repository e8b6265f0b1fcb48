"""Pings by the value of any field: `--set field=info.cpucount`.

Output: the field's value (an object or a list as compact JSON), and the number of records that have
it. Records without the field are counted in the report.
"""

import json
from collections.abc import Mapping

from mr import Analysis

_MISSING = object()


class Distribution(Analysis):
    """Counts records by one field."""

    #: Where it stands in a record: names with dots between them.
    field = "info.OS"

    @property
    def columns(self):
        """Named for the field."""
        return self.field, "records"

    def setup(self):
        """Take the field's name apart, once."""
        self._names = self.field.split(".")

    def map(self, record):
        """One for each record that has the field."""
        value = record.find(*self._names, default=_MISSING)
        if value is _MISSING:
            self.count(f"records without {self.field}")
        else:
            yield _key(value), 1

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce


def _key(value):
    if isinstance(value, Mapping):
        value = value.to_dict()
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return value
