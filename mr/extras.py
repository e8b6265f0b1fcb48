"""Libraries that only notebooks need: imported when they are used, and named when missing."""

from typing import Any

from mr.errors import UsageError


def import_pandas() -> Any:
    """The module pandas. Raises UsageError when it is not installed."""
    try:
        import pandas
    except ImportError:
        raise UsageError("to_pandas() needs pandas: pip install 'mr-telemetry[notebook]'") from None
    return pandas


def import_pyplot() -> Any:
    """The module matplotlib.pyplot. Raises UsageError when it is not installed."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise UsageError("plot() needs matplotlib: pip install 'mr-telemetry[notebook]'") from None
    return pyplot
