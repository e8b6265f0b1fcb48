"""Every object name in a job store, as a pure function.

    jobs/<job>/job                         what the job is; the job exists once this does
    jobs/<job>/bundle                      the analysis's code
    jobs/<job>/prepared                    what the analysis prepared for its tasks
    jobs/<job>/plans/<stage>               one line for each task of a stage, with an index
    jobs/<job>/runs/<task>/<attempt>       output of a map task: sorted runs, by partition
    jobs/<job>/results/<task>/<attempt>    result part of a reduce (or map-only) task
    jobs/<job>/files/<task>/<attempt>      files that a reduce task wrote, until they are in place
    jobs/<job>/profiles/<task>/<attempt>   where a task's processor time went, if it was asked for
    jobs/<job>/commits/<task>              which attempt won, and all that a later step needs of it
    jobs/<job>/failures/<task>/<attempt>   one counted failure, as a capsule
    jobs/<job>/heartbeat                   the coordinator's last sign of life
    jobs/<job>/end                         how the job ends: done, publishing, failed or cancelled
    jobs/<job>/stopped                     at which limit it has stopped, to be resumed
    jobs/<job>/published                   how publishing ended: done or failed
    jobs/<job>/report                      what the job read, counted and left out
    jobs/<job>/output/...                  what the job published, where the person named no folder
    jobs/<job>/logs/<worker>/<piece>       what a worker tells of the attempts that it ran
    workers/<worker>                       a worker's last sign of life
    tombstones/<job>                       the job is being removed, or was

Ids match `[a-z0-9-]+`. A stage is `<step>-map`, `<step>-reduce`, `<step>-place` or
`<step>-publish`; a task `<stage>-<number>`. The stage `0-coordinate` has no plan: its one task is
to coordinate the job.
"""

import hashlib
import re

from mr.errors import FormatError

JOBS = "jobs/"
WORKERS = "workers/"
TOMBSTONES = "tombstones/"

#: The stage of the task to coordinate a job.
COORDINATE = "0-coordinate"

#: A stage has no more tasks than this, so that their ids are of one length.
MOST_TASKS = 10**7

#: Tasks whose ids begin alike; one request to S3 lists as many names.
COMMITS_LISTED = 1000

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")


def checked_id(text: str) -> str:
    """The text itself when it is a well-formed id; raises FormatError otherwise."""
    if not _ID.fullmatch(text):
        raise FormatError(f"{text!r} is not an id (lower-case letters, digits and hyphens).")
    return text


def stage_id(step: int, kind: str) -> str:
    """The id of a stage: the kind is map, reduce, place or publish; steps count from 1."""
    return f"{step}-{kind}"


def task_id(stage: str, number: int) -> str:
    """The id of a task; ids of one stage sort as their numbers do."""
    return f"{stage}-{number:07d}"


def task_number(task: str, stage: str) -> int | None:
    """The number of a task in its stage; None for a task of another stage."""
    prefix, _, number = task.rpartition("-")
    return int(number) if prefix == stage and number.isdecimal() else None


def job_prefix(job: str) -> str:
    """The prefix under which everything of a job lies."""
    return f"{JOBS}{checked_id(job)}/"


def spec_name(job: str) -> str:
    """Where the job says what it is."""
    return f"{job_prefix(job)}job"


def bundle_name(job: str) -> str:
    """Where the analysis's code lies."""
    return f"{job_prefix(job)}bundle"


def prepared_name(job: str) -> str:
    """Where what the analysis prepared lies."""
    return f"{job_prefix(job)}prepared"


def plan_name(job: str, stage: str) -> str:
    """Where a stage's plan lies."""
    return f"{job_prefix(job)}plans/{checked_id(stage)}"


def run_name(job: str, task: str, attempt: str) -> str:
    """Where an attempt at a map task puts its runs."""
    return f"{job_prefix(job)}runs/{checked_id(task)}/{checked_id(attempt)}"


def result_name(job: str, task: str, attempt: str) -> str:
    """Where an attempt puts its part of the result."""
    return f"{job_prefix(job)}results/{checked_id(task)}/{checked_id(attempt)}"


def runs_prefix(job: str) -> str:
    """The prefix of all map output: not needed once the job has ended."""
    return f"{job_prefix(job)}runs/"


def files_name(job: str, task: str, attempt: str) -> str:
    """Where an attempt at a reduce task puts its files until they are put in place."""
    return f"{files_prefix(job)}{checked_id(task)}/{checked_id(attempt)}"


def files_prefix(job: str) -> str:
    """The prefix of all files that are to be put in place: not needed once the job has ended."""
    return f"{job_prefix(job)}files/"


def profile_name(job: str, task: str, attempt: str) -> str:
    """Where an attempt tells by function where its processor time went."""
    return f"{profiles_prefix(job)}{checked_id(task)}/{checked_id(attempt)}"


def profiles_prefix(job: str) -> str:
    """The prefix of all profiles of a job."""
    return f"{job_prefix(job)}profiles/"


def commit_name(job: str, task: str) -> str:
    """Where a task's commit lies; it exists once the task is done."""
    return f"{commits_prefix(job)}{checked_id(task)}"


def commits_prefix(job: str, stage: str = "", thousand: int | None = None) -> str:
    """The prefix of all commits of a job, or of one stage of it, or of a thousand tasks of that."""
    prefix = f"{job_prefix(job)}commits/" + (f"{checked_id(stage)}-" if stage else "")
    return prefix if thousand is None else f"{prefix}{thousand:04d}"


def failure_name(job: str, task: str, attempt: str) -> str:
    """Where one counted failure of a task is told."""
    return f"{failures_prefix(job, checked_id(task))}{checked_id(attempt)}"


def failures_prefix(job: str, task: str = "") -> str:
    """The prefix of all failures of a job, or of one task."""
    return f"{job_prefix(job)}failures/" + (f"{checked_id(task)}/" if task else "")


def heartbeat_name(job: str) -> str:
    """Where the coordinator shows that it lives."""
    return f"{job_prefix(job)}heartbeat"


def end_name(job: str) -> str:
    """Where the job's end stands, once it is decided."""
    return f"{job_prefix(job)}end"


def stopped_name(job: str) -> str:
    """Where it stands at which limit a job has stopped, until it is resumed."""
    return f"{job_prefix(job)}stopped"


def published_name(job: str) -> str:
    """Where it stands how publishing ended."""
    return f"{job_prefix(job)}published"


def output_prefix(job: str) -> str:
    """Where a job publishes when the person named no folder; without a final "/"."""
    return f"{job_prefix(job)}output"


def report_name(job: str) -> str:
    """Where the job's report lies."""
    return f"{job_prefix(job)}report"


def log_name(job: str, worker: str, piece: str) -> str:
    """Where a worker puts a piece of its log of a job."""
    return f"{logs_prefix(job)}{checked_id(worker)}/{checked_id(piece)}"


def logs_prefix(job: str) -> str:
    """The prefix of all logs of a job."""
    return f"{job_prefix(job)}logs/"


def worker_name(worker: str) -> str:
    """Where a worker gives signs of life."""
    return f"{WORKERS}{checked_id(worker)}"


def events_queue(queue: str, job: str) -> str:
    """The name of the queue by which a job's coordinator hears of attempts.

    Beside the workers' queue; at most 80 characters (the limit of SQS), whatever the job's id.
    """
    digest = hashlib.sha256(checked_id(job).encode()).hexdigest()
    return f"{queue[:50]}-job-{digest[:24]}"


def store_digest(url: str) -> str:
    """What stands for a store in a message, which holds no address."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def tombstone_name(job: str) -> str:
    """Outside the job, so that it outlives it: the job was removed."""
    return f"{TOMBSTONES}{checked_id(job)}"
