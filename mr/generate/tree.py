"""The whole tree: the numbers checked, the blocks planned, then written by several threads."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mr.errors import StoreUnavailable, UsageError
from mr.generate.measures import all_measures
from mr.generate.planning import plan_blocks
from mr.generate.records import LEAST_RECORD_BYTES
from mr.generate.report import GenerateReport, total_of
from mr.generate.writing import Outcome, write_block

#: Typical bytes of a record; they run from 0.4 to 1.6 times this.
RECORD_BYTES = 50_000


def generate(
    directory: Path | str,
    *,
    size: int,
    seed: int,
    bad_records: float = 0.0,
    bad_blocks: float = 0.0,
    blocks: int | None = None,
    record_size: int = RECORD_BYTES,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> GenerateReport:
    """Write about `size` bytes of lines (before compression) as blocks under `directory`.

    `blocks` sets their number; many of them, for a small size, make for small records, of about
    2,000 bytes at least. `bad_records` is the chance of each line to be damaged, `bad_blocks` the
    share of blocks that are: both from 0 to 1. `progress` is told the raw bytes of each block that
    is done, in this thread. The answer says what was written; it does not lie in the tree.

    Raises UsageError for numbers that make no sense and for a directory that is not empty (the
    report would not be true of it); StoreUnavailable when the disk does not take the files.
    """
    root = Path(directory)
    _check(root, size, bad_records, bad_blocks, blocks, record_size)
    plans = plan_blocks(size, seed, bad_blocks, blocks, record_size)
    all_measures()  # now, once, rather than in every thread at the same time
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    try:
        # The large ones first: one of them alone at the end would leave the other threads idle.
        futures = [
            pool.submit(write_block, root, plan, seed, bad_records, record_size)
            for plan in sorted(plans, key=lambda plan: (-plan.raw_bytes, plan.index))
        ]
        for future in as_completed(futures):
            outcome = future.result()
            if progress is not None:
                progress(outcome.raw_bytes)
        outcomes = [future.result() for future in futures]
    except OSError as error:
        raise StoreUnavailable(f"Cannot write sample data under {root}: {error}.") from error
    finally:
        pool.shutdown(cancel_futures=True)
    return _report(root, seed, outcomes)


def _check(
    root: Path,
    size: int,
    bad_records: float,
    bad_blocks: float,
    blocks: int | None,
    record_size: int,
) -> None:
    if size < 1:
        raise UsageError(f"The size of sample data is {size} bytes; it must be at least 1.")
    if blocks is not None and blocks < 1:
        raise UsageError(f"The number of blocks is {blocks}; it must be at least 1.")
    if record_size < LEAST_RECORD_BYTES:
        raise UsageError(
            f"The record size is {record_size} bytes; it must be at least {LEAST_RECORD_BYTES}."
        )
    for name, share in (("bad records", bad_records), ("bad blocks", bad_blocks)):
        if not 0 <= share <= 1:
            raise UsageError(f"The share of {name} is {share}; it must be from 0 to 1.")
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; sample data needs a directory that is new or empty.")
    if root.is_dir() and any(root.iterdir()):
        raise UsageError(f"{root} is not empty; name a new directory, or empty this one first.")


def _report(root: Path, seed: int, outcomes: Iterable[Outcome]) -> GenerateReport:
    in_order = sorted(outcomes, key=lambda outcome: outcome.path)
    return GenerateReport(
        directory=str(root),
        seed=seed,
        raw_bytes=sum(outcome.raw_bytes for outcome in in_order),
        compressed_bytes=sum(outcome.compressed_bytes for outcome in in_order),
        written=total_of(outcome.written for outcome in in_order),
        whole=total_of(outcome.written for outcome in in_order if outcome.bad is None),
        readable=total_of(outcome.readable for outcome in in_order),
        bad_blocks=[outcome.bad for outcome in in_order if outcome.bad is not None],
    )
