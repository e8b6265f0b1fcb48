"""The definitions of the measures, and the buckets that follow from them."""

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any


def definitions() -> dict[str, dict[str, Any]]:
    """Measure to its kind and bucket numbers (`low`, `high`, `n_buckets`, `n_values`)."""
    text = resources.files("mr.conf").joinpath("definitions.json").read_text("utf-8")
    return json.loads(text)


def bucket_bounds(definition: Mapping[str, Any]) -> list[int]:
    """The lower bounds of a measure's buckets, one for each."""
    kind = definition["kind"]
    if kind in ("boolean", "flag"):
        return [0, 1, 2]
    if kind == "enumerated":
        return list(range(definition["n_values"] + 1))
    low, high, buckets = definition.get("low") or 1, definition["high"], definition["n_buckets"]
    if kind == "linear":
        return [0] + [
            math.floor((low * (buckets - 1 - i) + high * (i - 1)) / (buckets - 2) + 0.5)
            for i in range(1, buckets)
        ]
    bounds = [0, low]
    for i in range(2, buckets):
        log = math.log(bounds[-1])
        bound = math.floor(math.exp(log + (math.log(high) - log) / (buckets - i)) + 0.5)
        bounds.append(max(bound, bounds[-1] + 1))
    return bounds
