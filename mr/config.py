"""Settings: from a file, then the environment, then flags; each wins over those before it.

The file is `mr-telemetry.toml` in the current folder, else `~/.config/mr-telemetry.toml`. The
environment variable of a setting is `MR_TELEMETRY_` and its name in capitals.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from mr.errors import UsageError

FILE_NAME = "mr-telemetry.toml"
ENVIRONMENT_PREFIX = "MR_TELEMETRY_"

#: No number, size in bytes or time in seconds is larger: a slip, and too much for what takes it.
MOST = 10**15

#: Each worker is a process, so more would be a slip; each reducer is a list in every map task.
MOST_WORKERS = 1_000
MOST_REDUCERS = 10_000

#: Where tasks may run.
ENGINES = ("local", "cluster", "mrjob")

#: Bounds of a lease: SQS counts whole seconds, and lends for 12 hours at most.
LEAST_LEASE_S, MOST_LEASE_S = 3, 12 * 3600

#: What a map task may hold in memory before it spills.
DEFAULT_BUFFER_BYTES = 128_000_000

#: Decimal, as the sizes of stores are given.
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_WHOLE = r"\s*\d{1,15}\s*"
_SECONDS = {"": 1, "S": 1, "M": 60, "H": 3600}


def parse_size(text: str) -> int:
    """Bytes of a size such as `500MB`, `1.5 GB` or `4096`; MB is 10^6. Raises UsageError."""
    what = "a size such as 500MB (KB, MB, GB, TB; MB is 10^6 bytes)"
    return round(_parse_unit(text, _UNITS, what, least=1))


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `90s`, `10m` or `2h`. Raises UsageError."""
    return _parse_unit(text, _SECONDS, "a duration such as 90s, 10m or 2h", least=0.001)


def _parse_unit(text: str, units: Mapping[str, int], what: str, *, least: float) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    value = float(match[1]) * units.get(match[2].upper(), 0) if match else 0
    if not least <= value <= MOST:
        raise UsageError(f"{text!r} is not {what}.")
    return value


def parse_share(text: str) -> float:
    """The share of a percentage such as `1%`, at most 1. Raises UsageError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if not match or float(match[1]) > 100:
        raise UsageError(f"{text!r} is not a percentage such as 1%.")
    return float(match[1]) / 100


def parse_bad_limit(text: str) -> tuple[int | None, float | None]:
    """`--max-bad-records` as a number or a share: exactly one is not None. Raises UsageError."""
    if re.fullmatch(_WHOLE, text):
        return int(text), None
    try:
        return None, parse_share(text)
    except UsageError:
        raise UsageError(f"{text!r} is neither a number nor a percentage such as 1%.") from None


def parse_named(name: str, parse: Callable[[str], Any], text: str) -> Any:
    """What `parse` makes of the text; its UsageError says at the start whose text it is."""
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def parse_count(text: str, most: int = MOST) -> int:
    """A whole number from 1 to `most`. Raises UsageError."""
    if not re.fullmatch(_WHOLE, text) or int(text) < 1:
        raise UsageError(f"{text!r} is not a whole number of at least 1.")
    if int(text) > most:
        raise UsageError(f"{text!r} is too many; at most {most:,} are allowed.")
    return int(text)


def _parse_store(text: str) -> str:
    if not text:
        raise UsageError("it is empty; name a folder for jobs.")
    if re.match(r"[A-Za-z0-9]+:/(?!/)", text):
        raise UsageError(f"{text!r} is neither a folder nor a URL; write s3://BUCKET/PREFIX.")
    return text if "://" in text else os.path.expanduser(text)


def _parse_engine(text: str) -> str:
    if text not in ENGINES:
        raise UsageError(f"{text!r} is none of the engines: {', '.join(ENGINES)}.")
    return text


def _parse_queue(text: str) -> str:
    if not text:
        raise UsageError("it is empty; give the name or the URL of an SQS queue.")
    return text


def _parse_lease(text: str) -> float:
    seconds = parse_duration(text)
    if not LEAST_LEASE_S <= seconds <= MOST_LEASE_S:
        raise UsageError(f"{text!r} is not between {LEAST_LEASE_S} s and {MOST_LEASE_S} s.")
    return seconds


def _default_store(environment: Mapping[str, str]) -> str:
    state = environment.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if state.startswith("~"):
        raise UsageError("you have no home folder to keep jobs in; name a folder with --store.")
    return os.path.join(state, "mr-telemetry")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """What can be set once for many jobs; sizes are bytes, times seconds."""

    #: Where jobs live.
    store: str = ""
    workers: int = 0
    #: 0: as many as workers.
    reducers: int = 0
    #: 0: by the input.
    split_size: int = 0
    buffer_size: int = DEFAULT_BUFFER_BYTES
    #: Failures that make a task failed.
    max_failures: int = 5
    #: A task without progress for this long is ended, which counts as a failure.
    hang_limit: float = 600.0
    #: Where tasks run: "local", "cluster" or "mrjob"; "" to go by the store.
    engine: str = ""
    #: The cluster's queue: a name, or a URL.
    queue: str = ""
    #: How long a task is lent to a worker of a cluster at a time.
    lease: float = 300.0
    #: Local disk for spills; "" for beside the jobs, or the person's cache.
    scratch: str = ""
    #: The settings that somebody gave, by name.
    given: frozenset[str] = field(default_factory=frozenset)

    def sized(self, workers: int) -> "Settings":
        """The settings for so many workers, as far as nobody gave other numbers."""
        chosen = self if "workers" in self.given else replace(self, workers=workers)
        return chosen if "reducers" in self.given else replace(chosen, reducers=chosen.workers)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "store": _parse_store,
    "workers": partial(parse_count, most=MOST_WORKERS),
    "reducers": partial(parse_count, most=MOST_REDUCERS),
    "split_size": parse_size,
    "buffer_size": parse_size,
    "max_failures": parse_count,
    "hang_limit": parse_duration,
    "engine": _parse_engine,
    "queue": _parse_queue,
    "lease": _parse_lease,
    "scratch": os.path.expanduser,
}


def load_settings(
    flags: Mapping[str, str | None] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force. Raises UsageError that names where a wrong one stands."""
    environment = os.environ if environment is None else environment
    path, table = _read_file()
    texts: dict[str, tuple[str, str]] = {}
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise UsageError(f"{path}: {name}: must be text or a number.")
        texts[name] = (str(value), f"{path}: {name}")
    for setting in fields(Settings):
        if setting.name not in _PARSERS:
            continue
        variable = ENVIRONMENT_PREFIX + setting.name.upper()
        if environment.get(variable):
            texts[setting.name] = (environment[variable], variable)
    for name, text in (flags or {}).items():
        if text is not None:
            texts[name] = (text, "--" + name.replace("_", "-"))
    values = {}
    for name, (text, where) in texts.items():
        if name not in _PARSERS:
            known = ", ".join(_PARSERS)
            raise UsageError(f"{where}: no such setting; there are: {known}.")
        values[name] = parse_named(where, _PARSERS[name], text)
    settings = Settings(**values, given=frozenset(values))
    settings = replace(settings, store=settings.store or _default_store(environment))
    return settings.sized(min(processors(), MOST_WORKERS))


def _read_file() -> tuple[Path, dict[str, Any]]:
    for path in (Path(FILE_NAME), Path(os.path.expanduser("~/.config"), FILE_NAME)):
        try:
            return path, tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path}: cannot be read: {error}.") from None
    return Path(FILE_NAME), {}
