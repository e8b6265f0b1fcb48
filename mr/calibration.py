"""What a few splits of a job take here: a small job of its own over some of the blocks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mr.blocks import Block, BlockList
from mr.commits import Commit, committed_tasks, read_commits
from mr.config import Settings, processors
from mr.directory import DirectoryStore
from mr.ends import EndState, failure_of
from mr.engines.local import LocalObserver, run_here
from mr.estimating import Measured
from mr.launch import Request, plan_listing
from mr.layout import stage_id
from mr.listing import Listing
from mr.stages import REPLAY
from mr.tally import Tally

#: Splits that are tried, and the compressed bytes of each.
SPLITS = 4
SPLIT_BYTES = 8_000_000
#: Processes that try them.
MOST_PROCESSES = 4


def calibrate(
    request: Request,
    settings: Settings,
    listing: Listing,
    blocks: Sequence[Block],
    folder: Path,
    observer: LocalObserver,
) -> Measured:
    """Run the analysis over these blocks, which `sampled_blocks` chose.

    Publishing goes to `folder`, too. Raises what a job that fails raises.
    """
    store = DirectoryStore(folder / "store", durable=False)
    few = replace(
        request, output=None, document=False, limit_blocks=None, strict=False,
        max_bad_records="100%", profile="", keep_state=None,
    )  # fmt: skip
    chosen = replace(listing, blocks=BlockList.of(blocks))
    # No more processes than there are processors: each is to be timed as in a real job. And few, so
    # that splits are large enough for the compiled code.
    processes = min(settings.workers, processors(), MOST_PROCESSES)
    sized = replace(settings, split_size=SPLIT_BYTES, workers=processes)
    spec = plan_listing(few, sized, store, chosen)
    end, _ = run_here(store, spec, workers=processes, scratch=folder / "scratch", observer=observer)
    if end.state is not EndState.DONE:
        # The job goes with its folder: nobody can replay a task of it.
        raise failure_of(replace(end, reason=end.reason.partition(REPLAY)[0]))
    maps = _commits(store, spec.job, stage_id(1, "map"))
    reduces = _commits(store, spec.job, stage_id(1, "reduce")) if spec.steps[0].has_reduce else []
    return measure(maps, reduces, processes)


def _commits(store: DirectoryStore, job: str, stage: str) -> list[Commit]:
    return list(read_commits(store, job, sorted(committed_tasks(store, job, stage))))


def measure(maps: Sequence[Commit], reduces: Sequence[Commit], processes: int) -> Measured:
    """What commits of maps and reduces tell."""
    total = Tally()
    for commit in maps:
        total.add(commit.tally)
    paces = [
        commit.seconds / commit.tally.compressed_bytes
        for commit in maps
        if commit.tally.compressed_bytes
    ]
    read = total.compressed_bytes
    output = sum(span.length for commit in maps for span in commit.spans) if reduces else 0
    return Measured(
        splits=len(maps),
        blocks=total.blocks,
        compressed_bytes=read,
        raw_bytes=total.raw_bytes,
        records=total.records,
        fastest_s=min(paces, default=0.0),
        mean_s=sum(commit.seconds for commit in maps) / read if read else 0.0,
        slowest_s=max(paces, default=0.0),
        output_bytes=output,
        output_bytes_a_task=output / len(maps) if maps else 0.0,
        reduce_s=sum(commit.seconds for commit in reduces) / output if output else 0.0,
        processes=processes,
    )


def sampled_blocks(
    splits: Iterable[Sequence[Block]], number: int, total_bytes: int
) -> Iterator[Block]:
    """The first blocks of some of a plan's splits, spread evenly over all of its `number`.

    All blocks of an input that is no larger than what would be tried of it. Else of each split
    about `SPLIT_BYTES`. Blocks are tried whole, so of those that are larger than that only one is:
    the smallest of the first such split.
    """
    if total_bytes <= SPLITS * SPLIT_BYTES:
        for blocks in splits:
            yield from blocks
        return
    wanted = {(2 * place + 1) * number // (2 * SPLITS) for place in range(SPLITS)}
    has_large = False
    for place, blocks in enumerate(splits):
        if place not in wanted:
            continue
        small = [block for block in blocks if block.size <= SPLIT_BYTES]
        if not small and not has_large:
            has_large = True
            yield min(blocks, key=lambda one: one.size)
        size = 0
        for block in small:
            size += block.size
            if size > SPLIT_BYTES:
                break
            yield block
