"""What a job is, as written once at its start: nothing in it changes later."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from mr import layout
from mr.blocks import Block
from mr.compatibility import Platform
from mr.decoding import from_plain
from mr.errors import FormatError
from mr.plans import Planned
from mr.saved import Piece
from mr.schema import Schema, parse_schema
from mr.state import read_state
from mr.store import Store
from mr.tally import Tally

#: The only version of a job that this code writes and reads.
VERSION = 8

#: What can be told of where the time goes: by stage of the work, and also by function.
PROFILES = ("table", "cpu")


@dataclass(frozen=True, slots=True)
class Step:
    """One map, and perhaps a reduce, of a job."""

    name: str
    has_reduce: bool
    #: Whether values carry their place in the step before, to be merged in its order.
    ordered: bool


@dataclass(frozen=True)
class Keep:
    """The state that a job leaves for a later merge."""

    #: The store that it goes to.
    url: str
    #: The classes of the analysis's steps, a digest of their sources, their parameters in words.
    steps: list[str]
    code: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class Source:
    """A saved state that a job starts from, in the place of blocks."""

    url: str
    #: Its list of blocks.
    blocks: Piece
    #: What it covers, as the report has it.
    covers: dict[str, Any]


@dataclass(frozen=True)
class JobSpec:
    """A job's description; sizes are bytes, times seconds."""

    version: int
    job: str
    #: What the person named, and when (ISO 8601, UTC).
    analysis: str
    created: str
    #: SHA-256 of the code bundle.
    bundle: str
    schema: dict[str, Any]
    #: Of a job that merges states of several filters None.
    filter: dict[str, Any] | None
    #: What the person gave, and the stores that its blocks lie in.
    inputs: list[str]
    stores: list[str]
    steps: list[Step]
    reducers: int
    split_bytes: int
    buffer_bytes: int
    #: The share of lines that is read, or None for all.
    sample: float | None
    #: More bad records than this number, or share of all records, fail the job.
    max_bad_records: int | None
    max_bad_share: float | None
    #: Whether one bad record or block ends the job.
    strict: bool
    #: Failures that make a task failed.
    max_failures: int
    #: A task without progress for this long is killed, which counts as a failure.
    hang_s: float
    #: Whether the analysis is a plain script, whose result prints as text.
    is_script: bool
    #: What the listing found beside the blocks, for the report.
    listing: dict[str, Any]
    #: The store that the last step publishes to; "" where the analysis does not publish.
    output: str = ""
    #: Whether what is published is also to be had as one document.
    document: bool = False
    #: The packages that the analysis needs, and the environment that it was sent from.
    requirements: list[str] = field(default_factory=list)
    platform: Platform = field(default_factory=Platform)
    #: What is to be told of where the time goes: one of `PROFILES`, or "" for nothing.
    profile: str = ""
    #: No task is begun once the machines have cost so much, or the job has run for so long.
    max_usd: float | None = None
    max_hours: float | None = None
    #: The state that it leaves, if any, and the states that it merges.
    keep: Keep | None = None
    states: list[Source] = field(default_factory=list)
    #: Parameters that hold in the place of the bundle's, by `mr.values`; "" for none.
    given: bytes = b""
    #: Names for the columns of the result; empty for none.
    columns: list[str] = field(default_factory=list)

    @property
    def target(self) -> str:
        """Where files of the last step's reduces are put in place; "" where they write none."""
        return self.output or (self.keep.url if self.keep else "")

    @property
    def profiles_cpu(self) -> bool:
        """Whether each attempt tells by function where its processor time went."""
        return self.profile == "cpu"

    @property
    def last_stage(self) -> str:
        """The stage whose tasks write the result."""
        kind = "reduce" if self.steps[-1].has_reduce else "map"
        return layout.stage_id(len(self.steps), kind)


def write_spec(store: Store, spec: JobSpec) -> None:
    """Write the job's description; raises ObjectExists when the id is taken."""
    store.write(layout.spec_name(spec.job), msgspec.json.encode(spec), if_absent=True)


def read_spec(store: Store, job: str) -> JobSpec:
    """The job's description. Raises ObjectMissing, FormatError."""
    spec = read_state(store, layout.spec_name(job), JobSpec)
    if spec.version != VERSION:
        raise FormatError(f"job {job}: made by another version of mr-telemetry ({spec.version}).")
    return spec


# The lines of plans


def place_line(task: str) -> Planned:
    """The reduce task whose files are put in place, as a plan's line."""
    return {"task": task}, 0


def publish_line(coverage: dict[str, Any]) -> Planned:
    """What the job covers, for the analysis's `publish`, as a plan's line."""
    return {"coverage": coverage}, 0


def kept_line(read: Tally) -> Planned:
    """What went into a job's last reduces, for the state that it leaves, as a plan's line."""
    return {"read": read}, 0


def line_read(line: dict[str, Any]) -> Tally:
    """What was read, of such a line or of a state's first one."""
    return from_plain(line["read"], Tally)


def state_line(state: int, parts: list[Piece], read: Tally) -> Planned:
    """Some parts of a state as a plan's line; what was read stands in one line of each state."""
    return {"state": state, "parts": parts, "read": read}, sum(part.size for part in parts)


def line_parts(line: dict[str, Any], spec: JobSpec) -> tuple[Source, list[Piece]]:
    """The state of such a line, and its parts."""
    return spec.states[line["state"]], from_plain(line["parts"], list[Piece])


def blocks_line(blocks: list[Block], stores: list[str]) -> Planned:
    """A split as a plan's line."""
    line = {"blocks": [(stores.index(b.store_url), b.key, b.size, b.tag) for b in blocks]}
    return line, sum(block.size for block in blocks)


def line_blocks(line: dict[str, Any], spec: JobSpec) -> list[Block]:
    """The blocks of a plan's line."""
    schema: Schema = parse_schema(spec.schema)
    unknown = schema.dimensions("" for _ in schema.fields)
    return [
        Block(spec.stores[number], key, size, tag, schema.dimensions_of(key) or unknown)
        for number, key, size, tag in line["blocks"]
    ]


class RunRef(NamedTuple):
    """A run that a later task reads: whose output, and where in it."""

    task: str
    attempt: str
    offset: int
    length: int


def runs_line(partition: int, runs: list[RunRef]) -> Planned:
    """What a task reads of an earlier stage as a plan's line: its manifest."""
    return {"partition": partition, "runs": runs}, sum([run.length for run in runs])


def line_runs(line: dict[str, Any]) -> tuple[int, list[RunRef]]:
    """The partition and the runs of a plan's line."""
    return line["partition"], [RunRef(*run) for run in line["runs"]]
