"""The report: what a job read, counted and left out, and how it went."""

import itertools
from typing import Any

import msgspec

from mr import layout
from mr.commits import Commit
from mr.ends import End, EndState
from mr.errors import ObjectMissing
from mr.job import covered_by
from mr.metering import METER
from mr.prices import load_prices, price_usd
from mr.profiles import profile_report
from mr.spec import JobSpec
from mr.spending import receipt, told_receipt
from mr.stages import Conduct
from mr.state import read_state
from mr.store import Store
from mr.tally import add_counts
from mr.text import counted

#: Counters that a summary shows; the report has all.
COUNTERS_SHOWN = 20


def job_report(conduct: Conduct, spec: JobSpec, end: End, seconds: float) -> dict[str, Any]:
    """What the job read, counted and left out, and how it went, as JSON values."""
    covered = covered_by(conduct, spec)
    raw_bytes = covered["bytes"]["raw"]
    commits = [commit for stage in conduct.commits.values() for commit in stage.values()]
    requests = _requests(commits)
    return {
        **covered,
        "state": end.state.value,
        "reason": end.reason,
        "complete": covered["complete"] and end.state is EndState.DONE,
        "published": "".join(commit.said for commit in commits),
        "tasks": {stage: len(found) for stage, found in conduct.commits.items()},
        "attempts": {
            "delivered": sum(commit.deliveries for commit in commits),
            "lost": conduct.attempts_lost,
            "sent_again": conduct.rung_again,
            "sent_late": conduct.sent_late,
        },
        "requests": requests,
        "receipt": receipt(commits, requests["usd"], load_prices(), conduct.attempts_lost),
        "pairs_mapped": sum(commit.pairs for commit in commits),
        "spills": sum(commit.spills for commit in commits),
        "profile": profile_report(commits),
        "seconds": round(seconds, 3),
        # What states cover was read by other jobs.
        "raw_mb_per_s": (
            round(raw_bytes / 1e6 / seconds, 3) if seconds and not spec.states else None
        ),
    }


def _requests(commits: list[Commit]) -> dict[str, Any]:
    """What workers and this coordinator have asked of S3 and SQS, and its price at list prices."""
    counts = METER.take()
    for commit in commits:
        add_counts(counts, commit.requests)
    each = len(commits) or 1
    by_service = {
        service: sum(n for name, n in counts.items() if name.startswith(f"{service}."))
        for service in ("s3", "sqs")
    }
    return {
        "counts": dict(sorted(counts.items())),
        "for_each_task": {name: round(count / each, 2) for name, count in by_service.items()},
        "usd": round(price_usd(counts), 6),
        "usd_for_each_task": round(price_usd(counts) / each, 9),
    }


def write_report(store: Store, job: str, report: dict[str, Any]) -> None:
    """Keep the report with the job."""
    store.write(layout.report_name(job), msgspec.json.format(msgspec.json.encode(report)))


def read_report(store: Store, job: str) -> dict[str, Any] | None:
    """The report that was kept, or None. Raises FormatError."""
    try:
        return read_state(store, layout.report_name(job), dict[str, Any])
    except ObjectMissing:
        return None


def summary(report: dict[str, Any]) -> str:
    """What the result covers, in a sentence or two."""
    blocks, records = report["blocks"], report["records"]
    states = report["states"]
    if not blocks["selected"] and not blocks["missing"]:
        if states:
            return f"Merged {counted(len(states), 'state')} of no block, so the result is empty."
        if blocks["covered"] or blocks["set_aside"]:
            aside = counted(blocks["set_aside"], "block")
            more = f"; {aside} set aside by the analysis (see --report)"
            return "No block is new" + (f"{more}." if blocks["set_aside"] else ".")
        if _allows_all(report["filter"]):
            return "The input holds no blocks, so the result is empty."
        why = report["why_empty"]
        return "No block matches the filter, so the result is empty" + (f": {why}." if why else ".")
    covered = f"{counted(records['read'], 'record')} of {counted(blocks['read'], 'block')}"
    covered += f" ({report['bytes']['raw'] / 1e6:,.1f} MB raw)"
    if states:
        text = f"Merged {counted(len(states), 'state')}: {covered} in {report['seconds']:.1f} s."
    else:
        rate = report["raw_mb_per_s"] or 0
        text = f"Read {covered} in {report['seconds']:.1f} s, {rate:,.0f} MB/s."
    gaps = [
        f"{counted(count, thing)} {what}"
        for count, thing, what in (
            (records["bad"], "bad record", "skipped"),
            (blocks["bad"], "bad block", "read as far as possible"),
            (blocks["missing"], "block", "missing"),
            (blocks["left_out"], "block", "left out by --limit-blocks"),
            (blocks["set_aside"], "block", "set aside by the analysis (see --report)"),
            # Of several filters each may leave out what another one takes.
            (0 if states else blocks["filtered"], "block", "listed and left out by the filter"),
            (blocks["not_of_the_layout"], "file", "not of the layout ignored"),
        )
        if count
    ]
    if report["sample"] is not None:
        gaps.append(f"a sample of {report['sample']:.2%} only")
    if gaps:
        text += f" Not covered: {', '.join(gaps)}."
    if records["read"] and not report["pairs_mapped"]:
        text += " The result is empty, for map yielded nothing."
    for name, count in itertools.islice(report["counters"].items(), COUNTERS_SHOWN):
        text += f"\n  {name}: {count:,}"
    if len(report["counters"]) > COUNTERS_SHOWN:
        text += f"\n  ... {len(report['counters']) - COUNTERS_SHOWN} more counters (see --report)"
    told = told_receipt(report["receipt"])
    return f"{text}\n{told}" if told else text


def _allows_all(selection: dict[str, Any]) -> bool:
    return all(dimension["allowed_values"] == "*" for dimension in selection["dimensions"])
