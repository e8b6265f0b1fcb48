"""Where a block's records belong: what its dimensions alone tell."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

#: The dimensions that a block must have.
DIMENSIONS = (
    "reason", "appName", "appUpdateChannel", "appVersion", "appBuildID", "submission_date",
)  # fmt: skip

#: A record counts by submission date only if it came at most so long after its build.
MOST_AGE = timedelta(days=60)

#: Channels, versions and measures stand in URLs.
_NAME = re.compile(r"[A-Za-z0-9_.-]+")

_DATE = re.compile(r"\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """What all records of a block have in common."""

    channel: str
    #: The version before its first dot.
    major: str
    #: The build id, and the date in it (YYYYMMDD).
    build: str
    build_date: str
    #: The date that the records count by; None if they came too late after their build.
    submission_date: str | None
    #: The date in the block's path, "" if there is none.
    path_submission_date: str
    reason: str
    app: str

    @property
    def version(self) -> str:
        """Channel and major version, as in versions.json."""
        return f"{self.channel}/{self.major}"


def is_name(text: Any) -> bool:
    """Whether text may be part of a published object's name, and so of a URL."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None and text.strip(".") != ""


def place_of(dimensions: Mapping[str, str]) -> Place | str:
    """Where a block belongs, or the reason why its records cannot be published."""
    missing = [name for name in DIMENSIONS if name not in dimensions.keys()]  # noqa: SIM118
    if missing:
        return f"the schema has no dimension {missing[0]}"
    reason, app, channel, version, build, submitted = map(dimensions.__getitem__, DIMENSIONS)
    major = version.partition(".")[0]
    if not is_name(channel):
        return f"its channel, {channel!r}, cannot stand in a URL"
    if not is_name(major):
        return f"its version, {version!r}, cannot stand in a URL"
    built = date_of(build[:8])
    if built is None:
        return f"its build id, {build!r}, does not begin with a date"
    came = date_of(submitted)
    in_time = came is not None and came - built <= MOST_AGE
    return Place(
        channel=channel,
        major=major,
        build=build,
        build_date=build[:8],
        submission_date=submitted if in_time else None,
        path_submission_date=submitted if came is not None else "",
        reason=reason,
        app=app,
    )


def date_of(text: str) -> date | None:
    """The date of YYYYMMDD; None where it is none."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
