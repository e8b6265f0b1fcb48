"""Any analysis as a job of mrjob's, whose output it prints: `key TAB value` in JSON.

    python -m mr.engines.mrjob ANALYSIS [OPTIONS] [MRJOB OPTIONS] INPUT...

ANALYSIS and INPUT are as for `mr-telemetry run`; an INPUT may also be the URI of blocks in a place
that mrjob can read and we cannot, as hdfs:// or gs://. OPTIONS are --set NAME=VALUE, --filter
F.json, --schema F.json and --partitions N; `-r RUNNER` is mrjob's, as are all others.
"""

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mr import values
from mr.analysis import Analysis
from mr.attempts import Job
from mr.bundle import digest_of, header_of, pack_bundle
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.engines.mrjob.bare import bare_job
from mr.engines.mrjob.engine import Packing, Runner, bootstrap, pack, split_arguments
from mr.engines.mrjob.parcel import write_parcel
from mr.engines.mrjob.tasks import TaskFailed
from mr.engines.mrjob.telemetry_job import TelemetryJob
from mr.errors import MrError, UsageError
from mr.launch import Request, prepare_job
from mr.loading import load_analysis

#: Of URLs these are stores of ours; of others mrjob must know.
_OURS = re.compile(r"(s3|file)://|(?![a-z0-9+.-]+://)", re.IGNORECASE)


def main(words: Sequence[str]) -> None:
    """Run the job; raises UsageError."""
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return
    name, *rest = words
    if name.startswith("-"):
        raise UsageError(f"{name}: the analysis comes first, then options.")
    inputs, options = split_arguments(rest)
    asked = TelemetryJob(options).options
    analysis = load_analysis(name)
    runner = Runner(asked.runner or "inline", options)
    bare = bare_job(
        analysis,
        schema=asked.schema,
        selection=asked.filter,
        settings=asked.settings,
        partitions=asked.partitions,
    )
    if not inputs:
        raise UsageError("no input: name a folder, the files of blocks, or their URIs.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "listed" in options or not all(map(_OURS.match, inputs)):
            packed = _pack_unplanned(runner, analysis, bare, inputs, folder)
        else:
            request = Request(
                analysis=analysis,
                name=words[0],
                inputs=inputs,
                schema=asked.schema,
                filter=asked.filter,
                parameters=bare.bundle.parameters,
            )
            settings = load_settings({"reducers": str(asked.partitions)})
            store = DirectoryStore(folder / "store")
            spec, _ = prepare_job(request, settings, store)
            packed = pack(store, runner, spec, folder)
        if packed.blocks:
            packed.job(runner).run_job()


def _pack_unplanned(
    runner: Runner, analysis: type[Analysis], bare: Job, inputs: Sequence[str], folder: Path
) -> Packing:
    """A parcel with the code alone: each task goes by the URI that it gets."""
    bundle = pack_bundle(analysis, bare.bundle.parameters)
    header = header_of(bundle)
    spec = replace(
        bare.spec,
        bundle=digest_of(bundle),
        requirements=header.requirements,
        platform=header.platform,
    )
    parcel = folder / "parcel.sqlite"
    write_parcel(parcel, spec, bundle, values.encode(None), ())
    if runner.name == "spark" and "listed" not in runner.options:
        listed = folder / "blocks.txt"
        listed.write_text("".join(f"{uri}\n" for uri in inputs), encoding="utf-8")
        inputs = [str(listed)]
    arguments = ["--parcel", str(parcel), "--code", spec.bundle, *bootstrap(runner, spec, folder)]
    return Packing(arguments, list(inputs), None, [], len(inputs))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (TaskFailed, MrError) as error:
        print(f"mr.engines.mrjob: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))
