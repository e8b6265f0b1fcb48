"""From what a person asks for to a planned job, and to its end: what all faces have in common."""

import datetime
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from mr import layout, values
from mr import spec as specs
from mr.analysis import (
    Analysis,
    column_names,
    instantiate,
    is_scattered,
    near_misses,
    parse_parameters,
    steps,
)
from mr.aside import Aside
from mr.bundle import digest_of, header_of, pack_bundle
from mr.config import Settings, parse_bad_limit, parse_named
from mr.coverage import listing_facts
from mr.errors import AnalysisError, PlanAgain, StoreError, UsageError
from mr.job import plan_job
from mr.listing import Listing, list_blocks, why_nothing_matches
from mr.publishing import InputBlocks
from mr.sameness import code_digest, parameter_texts
from mr.saved import is_kept
from mr.schema import Schema, load_filter, load_schema
from mr.scratch import scratch_folder, scratch_root
from mr.scripts import ScriptAnalysis
from mr.spec import JobSpec, Keep, Step
from mr.splits import fitting_reducers, fitting_size
from mr.store import Store
from mr.stores import is_local, open_store
from mr.usercode import own_traceback

T = TypeVar("T")

#: How often a job is planned anew because another one published first.
MOST_PLANS = 5

#: Bad records that a job goes on in spite of, unless told otherwise.
DEFAULT_MAX_BAD = "1%"


@dataclass(frozen=True)
class Request:
    """What a person asks for; texts are as on the command line."""

    analysis: type[Analysis]
    #: What they called it.
    name: str
    inputs: Sequence[str]
    #: Inputs of an input list: missing ones are reported, not refused.
    listed: Sequence[str] = ()
    schema: str | Path | None = None
    filter: str | Path | Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sample: float | None = None
    limit_blocks: int | None = None
    max_bad_records: str = DEFAULT_MAX_BAD
    strict: bool = False
    #: Where an analysis that publishes does so: a folder; None to keep it with the job.
    output: str | None = None
    #: Whether what it publishes is wanted as one document.
    document: bool = False
    #: Folders that travel with the analysis.
    ship: Sequence[str | PathLike[str]] = ()
    #: What is to be told of where the time goes: one of `mr.spec.PROFILES`, or "" for nothing.
    profile: str = ""
    #: No task is begun once the machines have cost so much, or the job has run for so long.
    max_usd: float | None = None
    max_hours: float | None = None
    #: Where a state is kept for later merges; None for none.
    keep_state: str | None = None


def prepare_job(request: Request, settings: Settings, store: Store) -> tuple[JobSpec, Listing]:
    """Plan a job in the store: from now on it can be run, and resumed.

    Raises UsageError for anything that the person must put right.
    """
    listing = list_input(request, settings, store)
    return plan_listing(request, settings, store, listing), listing


def list_input(request: Request, settings: Settings, store: Store) -> Listing:
    """Find the blocks; raises UsageError for what the person must put right."""
    if not request.inputs and not request.listed:
        raise UsageError("no input: name a directory, a file, or an input list.")
    if request.limit_blocks is not None and request.limit_blocks < 1:
        raise UsageError(f"--limit-blocks: {request.limit_blocks} is not at least 1.")
    parse_named("--max-bad-records", parse_bad_limit, request.max_bad_records)
    schema, selection = _selected(request)
    check_steps(request.analysis)
    check_reach(request, store)
    if request.keep_state is not None:
        check_keeping(request, store)
    pack_bundle(request.analysis, request.parameters, request.ship)  # fails before a long listing
    store.check_conditions()
    with scratch_folder(scratch_root(store, settings.scratch)) as folder:
        listing = list_blocks(
            request.inputs, schema, selection, listed=request.listed, folder=folder
        )
    if request.strict and listing.missing:
        raise UsageError(
            f"--strict: {listing.missing[0]}, of the input list, is not there; leave --strict out "
            "to go on and report what is missing."
        )
    return listing


def _selected(request: Request) -> tuple[Schema, Schema]:
    """The dimensions, and the filter in force."""
    schema = load_schema(request.schema)
    chosen = request.filter if request.filter is not None else request.analysis.filter
    return schema, load_filter(chosen, schema)


def plan_listing(
    request: Request,
    settings: Settings,
    store: Store,
    listing: Listing,
    *,
    aside: Store | None = None,
) -> JobSpec:
    """Plan a job over blocks that were listed; raises UsageError as `prepare_job` does.

    With `aside` nothing is written to where the job would publish, but there.
    """
    limit = parse_named("--max-bad-records", parse_bad_limit, request.max_bad_records)
    most_bad, bad_share = limit
    schema, selection = _selected(request)
    found = steps(request.analysis)
    bundle = pack_bundle(request.analysis, request.parameters, request.ship)
    header = header_of(bundle)
    job = new_job_id(request.name)
    if request.document and steps(request.analysis)[-1].document is None:
        raise UsageError(f"{request.name} publishes files: name a folder for them (-o FOLDER/).")
    limited = listing.blocks.first(request.limit_blocks)
    offered = InputBlocks(limited, selection.to_dict(), request.sample, request.limit_blocks)
    output = _output_url(request, store, job)
    target = open_store(output) if output else None
    if target is not None and aside is not None:
        target = Aside(target, aside)
    prepared = prepare_analysis(request.analysis, request.parameters, offered, target)
    blocks = offered.chosen
    split_bytes = fitting_size(blocks.bytes, settings.workers, settings.split_size)
    reducers = settings.reducers
    if store.is_remote and "reducers" not in settings.given:
        reducers = fitting_reducers(blocks.bytes, settings.workers, split_bytes)
    spec = JobSpec(
        version=specs.VERSION,
        job=job,
        analysis=request.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        bundle=digest_of(bundle),
        schema=schema.to_dict(),
        filter=selection.to_dict(),
        inputs=[*request.inputs, *request.listed],
        stores=blocks.stores,
        steps=describe_steps(found),
        reducers=reducers,
        split_bytes=split_bytes,
        buffer_bytes=settings.buffer_size,
        sample=request.sample,
        max_bad_records=most_bad,
        max_bad_share=bad_share,
        strict=request.strict,
        max_failures=settings.max_failures,
        hang_s=settings.hang_limit,
        is_script=issubclass(request.analysis, ScriptAnalysis),
        listing=listing_facts(
            listing,
            offered,
            "" if limited else why_nothing_matches(request.inputs, schema, selection),
        ),
        output=output,
        document=request.document,
        requirements=header.requirements,
        platform=header.platform,
        profile=request.profile,
        columns=column_names(request.analysis, request.parameters),
        max_usd=request.max_usd,
        max_hours=request.max_hours,
        keep=None if request.keep_state is None else _keep(request, bundle),
    )
    plan_job(store, spec, bundle, blocks, prepared)
    return spec


def check_reach(request: Request, store: Store) -> None:
    """Raise UsageError for places on this machine, where a cluster's workers cannot go."""
    if not store.is_remote:
        return
    for place in (*request.inputs, *request.listed):
        if is_local(place):
            raise UsageError(
                f"{place} is on this machine, and a cluster's workers cannot read it; "
                f"`mr-telemetry copy {place} s3://BUCKET/PREFIX` brings it where they can."
            )
    if request.output is not None and is_local(request.output):
        raise UsageError(
            f"{request.output} is on this machine, and a cluster's workers cannot publish there; "
            "name s3://BUCKET/PREFIX/."
        )


def check_keeping(request: Request, store: Store) -> None:
    """Raise UsageError for a job of which no state can be kept, or not in that place."""
    found = steps(request.analysis)
    last = found[-1]
    if last.publish is not None:
        why = f"{last.__name__} publishes files, to which a later job adds; leave it out."
    elif last.reduce is None:
        why = f"{last.__name__} has no reduce, so its results of several days can stand together."
    elif last.combine is None:
        why = (
            f"{last.__name__} has no combine, by which values of several days are added up; give "
            "it one, or run it over all days at once."
        )
    elif is_scattered(found, len(found) - 1):
        why = (
            f"{last.__name__} goes over what a reduce of the same job gives, which is not the same "
            "day by day; run it over all days at once."
        )
    elif request.analysis.prepare is not None:
        why = f"{request.analysis.__name__} has a prepare, which sees the blocks of one job only."
    else:
        kept = request.keep_state
        for place in filter(is_local, request.inputs if is_local(kept) else ()):
            if Path(kept).resolve().is_relative_to(Path(place).resolve()):
                raise UsageError(
                    f"--keep-state {kept} lies in the input {place}; keep it elsewhere."
                )
        check_free(kept, store)
        return
    raise UsageError(f"--keep-state: {why}")


def check_free(place: str, store: Store) -> None:
    """Raise UsageError for a place where no state can be kept by a job of that store."""
    if not place:
        raise UsageError("--keep-state: it is empty; name a folder, or s3://BUCKET/PREFIX.")
    if store.is_remote and is_local(place):
        raise UsageError(
            f"--keep-state {place}: it is on this machine, where a cluster's workers cannot keep "
            "anything; name s3://BUCKET/PREFIX."
        )
    target = open_store(place)
    try:
        target.check_conditions()
        kept = is_kept(target)
    except StoreError as error:
        raise UsageError(f"--keep-state {place}: {error}") from None
    if kept:
        raise UsageError(
            f"--keep-state {place}: it holds a state already; name another place, or remove that "
            "one."
        )


def _keep(request: Request, bundle: bytes) -> Keep:
    found = steps(request.analysis)
    return Keep(
        url=open_store(request.keep_state).url,
        steps=[step.__qualname__ for step in found],
        code=code_digest(found, bundle),
        parameters=parameter_texts(found, request.parameters),
    )


def publishes(analysis: type[Analysis]) -> bool:
    """Whether an analysis, or the last of its steps, publishes files."""
    return steps(analysis)[-1].publish is not None


def _output_url(request: Request, store: Store, job: str) -> str:
    """The URL of the store that the job publishes to; "" for an analysis that does not."""
    if not publishes(request.analysis):
        return ""
    if request.output is None:
        return f"{store.url}/{layout.output_prefix(job)}"
    return open_store(request.output).url


def prepare_analysis(
    analysis: type[Analysis],
    parameters: Mapping[str, Any],
    blocks: InputBlocks,
    output: Store | None,
) -> Any:
    """Let the analysis prepare the job: it may leave blocks out. What it returns is for the tasks.

    Raises UsageError for what it raises, and for an output that ignores conditions.
    """
    if output is not None and not isinstance(output, Aside):
        output.check_conditions()
    if analysis.prepare is None:
        return None
    where = f"{analysis.__name__}.prepare"
    with own_traceback(UsageError, f"{where} failed"):
        prepared = instantiate(analysis, parameters).prepare(blocks, output)
    try:
        values.encode(prepared)
    except AnalysisError as error:
        raise UsageError(f"{where} returned what cannot be kept: {error}") from None
    return prepared


def plan_until_published(attempt: Callable[[], T], tell: Callable[[str], None]) -> T:
    """Run a job; when another one published first, plan it anew. Raises PlanAgain in the end."""
    for _ in range(MOST_PLANS - 1):
        try:
            return attempt()
        except PlanAgain as error:
            tell(f"{error} The job is planned anew.")
    return attempt()


def check_steps(analysis: type[Analysis]) -> None:
    """Raise UsageError for an analysis, or a later step of it, that could never do its work."""
    for number, step in enumerate(steps(analysis)):
        if number and step.map is Analysis.map:
            raise UsageError(f"{step.__name__} is a later step and has no map.")
        if step.map is Analysis.map and step.map_block is Analysis.map_block:
            told = [f"{step.__name__} has neither map nor map_block.", *near_misses([step])]
            raise UsageError(" ".join(told))
        for hook in ("combine", "setup_reduce", "finish_reduce", "publish"):
            if step.reduce is None and getattr(step, hook) is not None:
                raise UsageError(
                    f"{step.__name__} has a {hook} but no reduce, so it would never run; add a "
                    "reduce."
                )
        if step.then is not None and step.publish is not None:
            raise UsageError(
                f"{step.__name__} has a publish, but only the last step publishes; move it there."
            )
        if number and step.prepare is not None:
            raise UsageError(
                f"{step.__name__} is a later step, and only the first prepares; move prepare there."
            )


def describe_steps(found: Sequence[type[Analysis]]) -> list[Step]:
    """The steps of an analysis as a job's description has them."""
    return [
        Step(
            name=step.__name__,
            has_reduce=step.reduce is not None,
            ordered=is_scattered(found, number) and step.combine is None,
        )
        for number, step in enumerate(found)
    ]


def new_job_id(name: str) -> str:
    """A fresh id that says when the job was made and of what."""
    stem = Path(name.partition(":")[0]).stem.lower()
    word = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem)[:40].strip("-")
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return "-".join(part for part in (now, word, secrets.token_hex(3)) if part)


def parse_settings_of_analysis(analysis: type[Analysis], texts: Iterable[str]) -> dict[str, Any]:
    """Parameters from `name=value` texts, over all steps. Raises UsageError."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--set {text}: must be name=value.")
        pairs[name] = value
    return parse_parameters(steps(analysis), pairs)
