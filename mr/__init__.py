"""mr-telemetry: map/reduce classes over terabytes of compressed telemetry JSON.

from mr import Analysis, run
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mr.analysis import Analysis
    from mr.exact import exact_partial, exact_sum
    from mr.notebook import Result, local_cluster, merge, run

__all__ = [
    "Analysis",
    "Result",
    "exact_partial",
    "exact_sum",
    "local_cluster",
    "merge",
    "run",
]

#: Where each public name lives; loaded at first use, so that importing mr costs nothing.
_HOMES = {
    "Analysis": "mr.analysis",
    "Result": "mr.notebook",
    "exact_partial": "mr.exact",
    "exact_sum": "mr.exact",
    "local_cluster": "mr.notebook",
    "merge": "mr.notebook",
    "run": "mr.notebook",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mr' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
