"""What a job would read, take and cost: planned in a folder of its own, tried on a few splits."""

from dataclasses import dataclass, replace
from pathlib import Path

from mr.calibration import calibrate, sampled_blocks
from mr.config import MOST_WORKERS, Settings
from mr.directory import DirectoryStore
from mr.engines.local import LocalObserver
from mr.estimating import HERE, Assumed, Estimate, Facts, Measured, estimate
from mr.launch import Request, list_input, plan_listing
from mr.layout import plan_name, stage_id
from mr.plans import Plan, open_plan
from mr.prices import Machine, PriceTable
from mr.spec import JobSpec, line_blocks
from mr.splits import fitting_reducers, fitting_size


@dataclass(frozen=True)
class Fleet:
    """The machines that a job is to run on; `machine` is None for this one."""

    machines: int
    kind: str
    machine: Machine | None
    processes: int
    on_demand: bool = False

    @classmethod
    def here(cls, processes: int) -> "Fleet":
        """This machine."""
        return cls(1, "this machine", None, processes)

    @classmethod
    def of(cls, machines: int, kind: str, prices: PriceTable, *, on_demand: bool) -> "Fleet":
        """So many machines of a type. Raises UsageError for one whose price is not known."""
        machine = prices.machine(kind)
        return cls(machines, kind, machine, machine.processors, on_demand)

    @property
    def usd_an_hour(self) -> float:
        """What one machine costs; nothing for this one."""
        if self.machine is None:
            return 0.0
        return self.machine.on_demand_usd if self.on_demand else self.machine.spot_usd

    @property
    def assumed(self) -> Assumed:
        """What is assumed of it."""
        return HERE if self.machine is None else Assumed()

    def sized(self, settings: Settings, input_bytes: int) -> Settings:
        """The settings that a job for this fleet would be cut by, as far as nobody gave others."""
        if self.machine is None:
            return settings
        if "workers" not in settings.given:
            workers = min(self.machines * self.processes, MOST_WORKERS)
            settings = replace(settings, workers=workers)
        if "reducers" in settings.given:
            return settings
        split_bytes = fitting_size(input_bytes, settings.workers, settings.split_size)
        reducers = fitting_reducers(input_bytes, settings.workers, split_bytes)
        return replace(settings, reducers=reducers)


@dataclass(frozen=True)
class Forecast:
    """The answer; None for what was not tried, or could not be for want of input."""

    facts: Facts
    measured: Measured | None
    estimate: Estimate | None


def forecast(
    request: Request,
    settings: Settings,
    fleet: Fleet,
    folder: Path,
    observer: LocalObserver,
    *,
    tries: bool = True,
) -> Forecast:
    """Plan the job for the fleet and try a few splits here, all in `folder`.

    Raises what planning raises, and a job that fails.
    """
    store = DirectoryStore(folder / "plan", durable=False)
    listing = list_input(request, settings, store)
    size = listing.blocks.first(request.limit_blocks).bytes
    aside = DirectoryStore(folder / "aside", durable=False)
    spec = plan_listing(request, fleet.sized(settings, size), store, listing, aside=aside)
    plan = open_plan(store, plan_name(spec.job, stage_id(1, "map")))
    facts = facts_of(spec, plan)
    if not tries or not facts.blocks:
        return Forecast(facts, None, None)
    splits = (line_blocks(line, spec) for line in plan.lines())
    blocks = list(sampled_blocks(splits, plan.tasks, facts.bytes))
    measured = calibrate(request, settings, listing, blocks, folder, observer)
    if not measured.compressed_bytes:
        return Forecast(facts, measured, None)
    found = estimate(
        facts,
        measured,
        machines=fleet.machines,
        processes=fleet.processes,
        usd_an_hour=fleet.usd_an_hour,
        assumed=fleet.assumed,
    )
    return Forecast(facts, measured, found)


def facts_of(spec: JobSpec, plan: Plan) -> Facts:
    """What a plan of maps says."""
    splits, blocks, largest = [], 0, 0
    for line in plan.lines():
        sizes = [size for _, _, size, _ in line["blocks"]]
        splits.append(sum(sizes))
        blocks += len(sizes)
        largest = max(largest, *sizes)
    return Facts(
        blocks=blocks,
        bytes=sum(splits),
        largest_block=largest,
        splits=splits,
        reducers=spec.reducers,
        has_reduce=spec.steps[0].has_reduce,
        steps=len(spec.steps),
    )
