"""Planning an update of what is published: new folders, and the blocks that are new."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mr.blocks import Block
from mr.errors import ObjectExists, UsageError
from mr.histograms.folders import (
    STATE_VERSION,
    FolderInfo,
    claim_name,
    processed_blocks,
    read_info,
    read_versions,
)
from mr.histograms.placing import Place, place_of
from mr.publishing import InputBlocks
from mr.schema import parse_schema
from mr.store import Store

_STAMP = "%Y%m%d%H%M%S"
_STAMP_LENGTH = 14
_SECOND = timedelta(seconds=1)

LINE_BREAK = "its name holds a line break"
COVERED = "its records are published already"
CHANGED = "it changed after it was counted, and is left as it was; --rebuild counts it anew"


@dataclass(frozen=True)
class FolderPlan:
    """One version's new folder."""

    #: "<channel>/<major>".
    key: str
    folder: str
    #: The folder whose state it takes over, and the one that must be live when it takes its place.
    base: str | None
    replaces: str | None
    #: Earlier folders, newest first.
    chain: tuple[str, ...]


@dataclass(frozen=True)
class UpdatePlan:
    """What an update is to publish."""

    folders: dict[str, FolderPlan]
    #: Versions that are published no more, and the folder that each must still name.
    dropped: dict[str, str]
    #: How many earlier folders of each version stay.
    keep: int
    filter: Mapping[str, Any] = field(default_factory=dict)
    sample: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "UpdatePlan":
        """What `to_json` gave."""
        folders = {
            key: FolderPlan(**{**one, "chain": tuple(one["chain"])})
            for key, one in data["folders"].items()
        }
        return cls(**{**data, "folders": folders})


def _now() -> datetime:
    return datetime.now(UTC)


def plan_update(
    blocks: InputBlocks,
    output: Store,
    *,
    rebuild: bool,
    keep: int,
    clock: Callable[[], datetime] = _now,
) -> UpdatePlan:
    """Choose the folders of an update, and leave out what is published already.

    Raises UsageError when the update would mix what must not be mixed, or cannot build on what is
    there.
    """
    if keep < 0:
        raise UsageError(f"keep is {keep}; it must be at least 0.")
    live, _ = read_versions(output)
    versions = set()
    for block in blocks:
        # A list of keys is a file with a line for each.
        place = LINE_BREAK if "\n" in block.key else place_of(block.dimensions)
        if isinstance(place, Place):
            versions.add(place.version)
        else:
            blocks.leave_out(block, place)
    infos = {version: read_info(output, live[version]) for version in versions if version in live}
    if not rebuild:
        for version, info in infos.items():
            _check_base(blocks, output, live[version], info)
        _leave_out_known(blocks, output, [live[version] for version in infos])
    new = _versions_of(blocks.chosen)
    folders = {
        version: _plan_folder(version, live.get(version), infos.get(version), rebuild)
        for version in sorted(new)
    }
    return UpdatePlan(
        folders={key: _claimed(output, folder, clock()) for key, folder in folders.items()},
        dropped={
            version: folder
            for version, folder in live.items()
            if rebuild and version not in new and _selects(blocks.filter, version)
        },
        keep=keep,
        filter=blocks.filter,
        sample=blocks.sample,
    )


def _check_base(blocks: InputBlocks, output: Store, folder: str, info: FolderInfo | None) -> None:
    """Raise UsageError where new blocks would not go with those that the folder holds."""
    where = f"{output.url}/{folder}"
    elsewhere = "name another folder, or --rebuild to publish afresh."
    if info is None:
        raise UsageError(
            f"{where} has no state to add to (another program published it): {elsewhere}"
        )
    if info.version != STATE_VERSION:
        raise UsageError(
            f"{where} was published by another version of mr-telemetry, whose state "
            f"({info.version}) this one does not read: {elsewhere}"
        )
    given = [
        option
        for option, value in (("--sample", blocks.sample), ("--limit-blocks", blocks.limit))
        if value is not None
    ]
    if given:
        raise UsageError(
            f"{given[0]} reads a part of the input only, and {where} is there already: {elsewhere}"
        )
    if info.sample is not None:
        raise UsageError(f"{where} was made of a sample ({info.sample:.2%}): {elsewhere}")
    if dict(info.filter) != dict(blocks.filter):
        raise UsageError(f"{where} was made with another --filter: {elsewhere}")


def _versions_of(blocks: Iterable[Block]) -> set[str]:
    """The versions that blocks belong to, all of which have a place."""
    places = (place_of(block.dimensions) for block in blocks)
    return {place.version for place in places if isinstance(place, Place)}


def _leave_out_known(blocks: InputBlocks, output: Store, bases: list[str]) -> None:
    """Leave out the blocks that the folders hold; both sides are in the order of the keys."""
    known = heapq.merge(*(processed_blocks(output, base) for base in bases), key=lambda one: one[0])
    entry = next(known, None)
    for block in blocks.chosen:
        while entry is not None and entry[0] < block.key:
            entry = next(known, None)
        if entry is None or entry[0] != block.key:
            continue
        size, tag, store_url, *_ = entry[1]
        # A tag means something within its store only.
        if block.size != size or (block.store_url == store_url and block.tag != tag):
            blocks.leave_out(block, CHANGED)
        else:
            blocks.leave_out(block, COVERED, covered=True)


def _plan_folder(
    version: str, live: str | None, info: FolderInfo | None, rebuild: bool
) -> FolderPlan:
    chain = () if live is None else (live, *(info.chain if info is not None else ()))
    return FolderPlan(version, "", None if rebuild else live, live, chain)


def _claimed(output: Store, plan: FolderPlan, now: datetime) -> FolderPlan:
    """The plan with a folder's name: later than any before it, and nobody else's."""
    channel, _, major = plan.key.partition("/")
    time = now.replace(microsecond=0)
    last = _stamp_of(plan.replaces)
    if last is not None:
        time = max(time, last + _SECOND)
    while True:
        folder = f"{time.strftime(_STAMP)}-{major}-{channel}"
        try:
            output.write(claim_name(folder), b"{}\n", if_absent=True)
        except ObjectExists:
            time += _SECOND
        else:
            return FolderPlan(plan.key, folder, plan.base, plan.replaces, plan.chain)


def _stamp_of(folder: str | None) -> datetime | None:
    try:
        return datetime.strptime((folder or "")[:_STAMP_LENGTH], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _selects(selection: Mapping[str, Any], version: str) -> bool:
    """Whether a filter selects all of a version, as far as can be told."""
    if not selection:
        return True
    channel, _, major = version.partition("/")
    parsed = parse_schema(selection)
    allowed = dict(zip(parsed.fields, parsed.allowed, strict=True))
    versions = allowed["appVersion"]
    majors = {text.partition(".")[0] for text in versions.spellings or ()}
    return allowed["appUpdateChannel"].matches(channel) and (versions.any or major in majors)
