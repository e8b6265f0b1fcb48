"""From saved states to a planned job that merges them.

The job is one of every engine: its maps emit what the states hold, its reduces are those of the
analysis that came with the states. So user code runs, fails, and is resumed as in any job.
"""

import datetime
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mr import spec as specs
from mr import values
from mr.analysis import Analysis, column_names, known_parameters
from mr.bundle import Bundle, header_of, load_bundle
from mr.compatibility import differences, our_version, this_platform
from mr.config import Settings
from mr.coverage import state_coverage, summed_listing
from mr.errors import AnalysisError, UsageError
from mr.job import write_job
from mr.launch import check_free, describe_steps, new_job_id, parse_settings_of_analysis
from mr.plans import Planned
from mr.sameness import code_digest, parameter_texts, used_before_reduce
from mr.saved import SavedState, check_disjoint, check_pieces, read_saved
from mr.schema import parse_schema
from mr.scratch import scratch_folder, scratch_root
from mr.scripts import ScriptAnalysis
from mr.shipping import is_everywhere
from mr.spec import JobSpec, Keep, Source, state_line
from mr.splits import fitting_reducers, fitting_size
from mr.store import Store
from mr.stores import is_local, open_store
from mr.tally import Tally
from mr.usercode import own_traceback

#: What an engine is told that cannot merge.
NOT_BY_MRJOB = "merge: mrjob's tasks read blocks, not states; take --engine local or cluster."


@dataclass(frozen=True)
class MergeRequest:
    """What a person asks for: paths or URLs of states, and parameters of the final reduce."""

    states: Sequence[str]
    #: As on the command line, `NAME=VALUE`; or as values.
    settings: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: Where the merged state is kept; None for nowhere.
    keep_state: str | None = None


def prepare_merge(request: MergeRequest, settings: Settings, store: Store) -> JobSpec:
    """Plan a job that merges states; from now on it can be run, and resumed.

    Raises UsageError for states that are not whole or not alike, or that share a block.
    """
    if not request.states:
        raise UsageError("no state: name the places that run --keep-state has written to.")
    for place in request.states:
        if store.is_remote and is_local(place):
            raise UsageError(
                f"{place} is on this machine, and a cluster's workers cannot read it; "
                f"`mr-telemetry copy {place} s3://BUCKET/PREFIX` brings it where they can."
            )
    store.check_conditions()
    states = [read_saved(place) for place in request.states]
    _check_alike(states)
    changed = {
        *request.parameters, *(text.partition("=")[0] for text in request.settings)
    }  # fmt: skip
    _check_same_parameters(states, changed)
    if request.keep_state is not None:
        check_free(request.keep_state, store)
    with scratch_folder(scratch_root(store, settings.scratch)) as folder:
        for state in states:
            check_pieces(state)
        check_disjoint(states, folder)
        chosen, data = _code_for_here(states)
        with _loaded(chosen, data, folder) as bundle:
            return _plan(request, settings, store, states, chosen, data, bundle)


# Whether the states go together


def _check_alike(states: Sequence[SavedState]) -> None:
    """Raise UsageError for the first state that is of something else than the first of all."""
    first = states[0]
    for state in states[1:]:
        one, other = first.facts, state.facts
        if state.url == first.url:
            raise UsageError(f"{state.url} is named twice, and nothing is counted twice.")
        if one.steps != other.steps:
            why = f"one is of {one.steps[0]}, the other of {other.steps[0]}"
        elif one.code != other.code:
            why = (
                f"the code of {one.steps[0]}, or a value that it uses, was changed between them; "
                "run one of them anew"
            )
        elif parse_schema(one.schema).fields != parse_schema(other.schema).fields:
            why = "they were made with a --schema of other dimensions"
        elif one.sample != other.sample:
            why = "they were made with different --sample"
        else:
            continue
        raise UsageError(f"{first.url} and {state.url} cannot be merged: {why}.")


def _check_same_parameters(states: Sequence[SavedState], changed: set[str]) -> None:
    """Raise UsageError where states differ in a parameter that is not given anew."""
    first = states[0]
    for state in states[1:]:
        for name, told in first.facts.parameters.items():
            own = state.facts.parameters.get(name)
            parameter = name.partition(".")[2]
            if own != told and parameter not in changed:
                raise UsageError(
                    f"{first.url} and {state.url} cannot be merged: {name} was {told:.200} in the "
                    f"one and {own or 'nothing':.200} in the other (--set {parameter}=VALUE says "
                    "which, if only the reduce uses it)."
                )


def _code_for_here(states: Sequence[SavedState]) -> tuple[SavedState, bytes]:
    """The first state whose code can run here, and that; raises UsageError where none can.

    It is the same in all, but packed in environments that may have changed meanwhile.
    """
    why = ""
    for state in states:
        data = state.store.read(state.facts.bundle.name)
        header = header_of(data)
        # It need not have been packed by this version of ours: the state itself has one.
        sent, here = replace(header.platform, version=""), this_platform(header.platform.packages)
        found = differences(sent, here, header.requirements)
        if not found:
            return state, data
        why = why or f"the code in {state.url} cannot run here: {'; '.join(found)}."
    raise UsageError(why)


@contextmanager
def _loaded(state: SavedState, data: bytes, folder: Path) -> Iterator[Bundle]:
    """The code of a state in a with-block; raises UsageError where it cannot be loaded."""
    facts, where = state.facts, f"the code in {state.url}"
    before = list(sys.path)
    try:
        with own_traceback(UsageError, f"{where} cannot be loaded"):
            bundle = load_bundle(data, facts.bundle.digest, folder / "code")
        # What is ours does not travel, but is imported: it may be another by now.
        ours = all(is_everywhere(step.__module__) for step in bundle.steps)
        if ours and code_digest(bundle.steps, data) != facts.code:
            raise UsageError(
                f"{where} is not what {facts.steps[0]} is in this version of mr-telemetry; run "
                "its job anew."
            )
        yield bundle
    finally:
        sys.path[:] = before


# Planning


def _plan(
    request: MergeRequest,
    settings: Settings,
    store: Store,
    states: Sequence[SavedState],
    chosen: SavedState,
    data: bytes,
    bundle: Bundle,
) -> JobSpec:
    facts, header = chosen.facts, header_of(data)
    found = list(bundle.steps)
    given = values.decode(facts.given) if facts.given else {}
    given |= _given(request, found)
    size = sum(part.size for state in states for part in state.facts.parts)
    split_bytes = fitting_size(size, settings.workers, settings.split_size)
    reducers = settings.reducers
    if store.is_remote and "reducers" not in settings.given:
        reducers = fitting_reducers(size, settings.workers, split_bytes)
    keep = None
    if request.keep_state is not None:
        keep = Keep(
            url=open_store(request.keep_state).url,
            steps=facts.steps,
            code=facts.code,
            parameters=parameter_texts(found, {**bundle.parameters, **given}),
        )
    filters = [state.facts.filter for state in states]
    spec = JobSpec(
        version=specs.VERSION,
        job=new_job_id(facts.analysis),
        analysis=facts.analysis,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        bundle=facts.bundle.digest,
        schema=facts.schema,
        filter=filters[0] if all(one == filters[0] for one in filters) else None,
        inputs=list(request.states),
        stores=[],
        steps=describe_steps(found[-1:]),
        reducers=reducers,
        split_bytes=split_bytes,
        buffer_bytes=settings.buffer_size,
        sample=facts.sample,
        max_bad_records=None,
        max_bad_share=None,
        strict=False,
        max_failures=settings.max_failures,
        hang_s=settings.hang_limit,
        is_script=issubclass(found[0], ScriptAnalysis),
        listing=summed_listing(states),
        requirements=header.requirements,
        # The code may be older, but the job is made by this version of ours.
        platform=replace(header.platform, version=our_version()),
        keep=keep,
        states=[Source(state.url, state.facts.blocks, state_coverage(state)) for state in states],
        given=values.encode(given) if given else b"",
        columns=column_names(found[0], {**bundle.parameters, **given}),
    )
    write_job(store, spec, data, _lines(states, split_bytes))
    return spec


def _given(request: MergeRequest, found: Sequence[type[Analysis]]) -> dict[str, Any]:
    """The parameters that the final reduce is to have. Raises UsageError for others."""
    given = known_parameters(found[0], request.parameters)
    given |= parse_settings_of_analysis(found[0], request.settings)
    for name, value in given.items():
        if user := used_before_reduce(found, name):
            raise UsageError(
                f"--set {name}: {user} uses it, and that ran before the states were kept; only "
                "what the last reduce alone uses can be set here."
            )
        try:
            values.encode(value)
        except AnalysisError as error:
            raise UsageError(f"--set {name}: {error}") from None
    return given


def _lines(states: Sequence[SavedState], most_bytes: int) -> Iterator[Planned]:
    """Each state's parts in tasks of about so many bytes; its first one tells what was read."""
    for number, state in enumerate(states):
        read, parts, size = state.facts.tally, [], 0
        for part in state.facts.parts:
            if parts and size + part.size > most_bytes:
                yield state_line(number, parts, read)
                read, parts, size = Tally(), [], 0
            parts.append(part)
            size += part.size
        yield state_line(number, parts, read)
