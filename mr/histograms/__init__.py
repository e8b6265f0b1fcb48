"""Histograms of telemetry records: which buckets a measure has, and merging what records hold.

- `expressions`, `bounds`, `definitions`: what definition files say; the buckets that follow
- `extraction`, `merging`, `gathering`: the measures of one record; sums of many, in any order the
  same; the records of one block at once

All of it is pure: nothing here knows of stores or jobs.
"""
