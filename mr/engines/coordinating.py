"""What every engine does with a planned job: coordinate it to its end, report, tidy up."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from mr import layout
from mr.ends import End, EndState, read_end, tidy
from mr.errors import JobFailed, JobInterrupted, LimitReached, RetryElsewhere, UsageError
from mr.job import conduct_job, recall
from mr.prices import load_prices
from mr.report import job_report, read_report, write_report
from mr.spec import JobSpec
from mr.spending import Spending
from mr.stages import Conduct, Stopped
from mr.store import Store

T = TypeVar("T")

#: How long to wait before a store or queue that did not answer is asked again.
RETRY_S = 5.0
#: Whoever has worked for so long before a failure has been answered in between: no request is
#: repeated for longer.
GOOD_S = 300.0


def coordinate(
    conduct: Conduct,
    spec: JobSpec,
    *,
    patience_s: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
    since: float | None = None,
) -> tuple[End, dict[str, Any]]:
    """Run a planned job to its end; returns the end and the report, which counts time from `since`.

    The caller shows that the job lives (`mr.heartbeat.alive`). A store or queue that does not
    answer is borne for `patience_s` seconds in a row. Raises JobInterrupted at Ctrl-C: the job is
    left as it is, to be resumed; LimitReached at a limit of the job's, likewise; and Stopped when
    `conduct.stop` is set.
    """
    told = concluded(conduct.store, spec)
    if told is not None:
        return told
    start = time.monotonic() if since is None else since
    if spec.max_usd is not None or spec.max_hours is not None:
        conduct.spending = Spending(
            load_prices(), max_usd=spec.max_usd, max_hours=spec.max_hours, clock=conduct.clock
        )
    conduct.store.delete(layout.stopped_name(spec.job))
    resumes = f"`mr-telemetry resume {spec.job}`"
    try:
        return _patiently(lambda: _to_its_end(conduct, spec, start), conduct, patience_s, sleep)
    except KeyboardInterrupt:
        raise JobInterrupted(f"stopped; what is done is kept: {resumes} goes on.") from None
    except LimitReached as error:
        reason = f"{error}. What is done is kept: {resumes} goes on."
        conduct.store.write(layout.stopped_name(spec.job), reason.encode())
        raise LimitReached(reason) from None
    except RetryElsewhere as error:
        raise JobFailed(
            f"{str(error).rstrip('.')}. What is done is kept: {resumes} goes on once that is put "
            "right."
        ) from error
    except UsageError as error:  # credentials that have expired, a bucket that is gone
        raise UsageError(
            f"{str(error).rstrip('.')}. What is done is kept: {resumes} goes on once that is put "
            "right."
        ) from error


def concluded(store: Store, spec: JobSpec) -> tuple[End, dict[str, Any]] | None:
    """The end and the report of a job that has both; None while there is something to do."""
    end = read_end(store, spec.job)
    if end is None or end.state is EndState.PUBLISHING:
        return None
    report = read_report(store, spec.job)
    return None if report is None else (end, report)


def _to_its_end(conduct: Conduct, spec: JobSpec, start: float) -> tuple[End, dict[str, Any]]:
    store = conduct.store
    end = conduct_job(conduct, spec)
    recall(conduct, spec)
    report = job_report(conduct, spec, end, time.monotonic() - start)
    if store.stat(layout.tombstone_name(spec.job)) is None:
        write_report(store, spec.job, report)
        if end.state is EndState.DONE or end.again:
            tidy(store, spec.job)
    return end, report


def _patiently(
    do: Callable[[], T], conduct: Conduct, patience_s: float, sleep: Callable[[float], None]
) -> T:
    """Do it, and again when a store or queue does not answer: all of it may be repeated."""
    patient_until = conduct.clock() + patience_s
    while True:
        began = conduct.clock()
        try:
            return do()
        except RetryElsewhere as error:
            at = conduct.clock()
            if at - began > GOOD_S:  # it went well meanwhile
                patient_until = at + patience_s
            if at >= patient_until:
                raise
            conduct.tell_trouble(f"{str(error).rstrip('.')}; tried again.")
            sleep(RETRY_S)
            if conduct.stop.is_set():
                raise Stopped from None
