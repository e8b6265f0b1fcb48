"""An analysis as an mrjob job of its own, which nobody has planned: what its tasks must know."""

import datetime
import os
import re
from collections.abc import Sequence

from mr import spec as specs
from mr.analysis import Analysis, steps
from mr.attempts import Job
from mr.blocks import Block
from mr.bundle import Bundle
from mr.config import DEFAULT_BUFFER_BYTES, MOST_REDUCERS
from mr.errors import UsageError
from mr.inputs import resolve_input
from mr.launch import check_steps, describe_steps, parse_settings_of_analysis, publishes
from mr.schema import Dimensions, Schema, load_filter, load_schema, parse_filter, parse_schema
from mr.scripts import ScriptAnalysis
from mr.spec import JobSpec

_SLASHES = re.compile(r"://+")

#: The id that the job has in its tasks' own stores.
JOB = "mrjob"


def bare_job(
    analysis: type[Analysis],
    *,
    schema: str | None,
    selection: str | None,
    settings: Sequence[str],
    partitions: int,
) -> Job:
    """The job of an analysis; its code is what this process has imported. Raises UsageError."""
    found = steps(analysis)
    check_steps(analysis)
    if publishes(analysis) or analysis.prepare is not None:
        raise UsageError(
            f"{analysis.__name__} prepares or publishes, which takes a planned job: "
            "`mr-telemetry run --engine mrjob`."
        )
    if not 1 <= partitions <= MOST_REDUCERS:
        raise UsageError(f"--partitions {partitions}: take 1 to {MOST_REDUCERS:,}.")
    dimensions = load_schema(schema)
    chosen = load_filter(selection if selection is not None else analysis.filter, dimensions)
    spec = JobSpec(
        version=specs.VERSION,
        job=JOB,
        analysis=analysis.__name__,
        created=datetime.datetime.now(datetime.UTC).isoformat(),
        bundle="",
        schema=dimensions.to_dict(),
        filter=chosen.to_dict(),
        inputs=[],
        stores=[],
        steps=describe_steps(found),
        reducers=partitions,
        split_bytes=0,
        buffer_bytes=DEFAULT_BUFFER_BYTES,
        sample=None,
        max_bad_records=None,
        max_bad_share=None,
        strict=False,
        max_failures=1,
        hang_s=0.0,
        is_script=issubclass(analysis, ScriptAnalysis),
        listing={},
    )
    return Job(spec, Bundle(found, parse_settings_of_analysis(analysis, settings)), None)


def bare_block(spec: JobSpec, place: str, copy: str | None = None) -> Block | None:
    """The block at a path or a URL, of which there may be a copy here; None if it is filtered out.

    Raises UsageError for one that is not there.
    """
    schema = parse_schema(spec.schema)
    if copy is not None and "://" in place:
        block = _named_block(place, os.path.getsize(copy), schema)
    else:
        found = resolve_input(place, schema)
        if found.file is None:
            raise UsageError(f"{place} is a folder; mrjob takes the files of blocks.")
        entry = found.file
        dimensions = schema.dimensions_of(entry.name) or _unknown(schema)
        block = Block(found.store.url, entry.name, entry.size, entry.tag, dimensions)
    return block if parse_filter(spec.filter, schema).matches(block.dimensions) else None


def _named_block(url: str, size: int, schema: Schema) -> Block:
    """A block that is known by its URL alone, for what is read is a copy of it."""
    parts = url.split("/")
    key = "/".join(parts[-schema.folders - 1 :])
    dimensions = schema.dimensions_of(key)
    if dimensions is None:
        key, dimensions = parts[-1], _unknown(schema)
    # A store must be of a kind that we know, if only by its form: Hadoop's short one is a path's.
    return Block(_SLASHES.sub(":/", url.removesuffix(f"/{key}")), key, size, "", dimensions)


def _unknown(schema: Schema) -> Dimensions:
    return schema.dimensions("" for _ in schema.fields)
