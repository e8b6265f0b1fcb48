"""Jobs on hundreds of machines in simulated time: the real planner and coordinator at work.

    python -m bench.simulate                    # 2013, then ours; a minute
    python -m bench.simulate --scenario 2013 --inputs

Everything that a scenario assumes is an input by name; `--inputs` prints them, and where each comes
from. S3, SQS and machines are simulated; planning, sending, judging and committing are the code in
`mr/`.
"""

import argparse
import json
from dataclasses import asdict
from typing import Any

from bench.simulation.inputs import listed
from bench.simulation.running import Outcome, simulate
from bench.simulation.scenarios import Told, of_2013, ours


def main() -> None:
    """Run scenarios and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", help="one of them, by name")
    parser.add_argument("--inputs", action="store_true", help="print every input")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    known = {told.scenario.name: told for told in (of_2013(), *ours())}
    if options.scenario is not None and options.scenario not in known:
        parser.error(f"there are {', '.join(known)}")
    for told in [known[options.scenario]] if options.scenario else known.values():
        outcome = simulate(told.scenario)
        if options.json:
            print(json.dumps(as_json(outcome)))
            continue
        print("\n".join(lines(told, outcome)))
        if options.inputs:
            print("\n".join(inputs(told)))
        print()


def lines(told: Told, outcome: Outcome) -> list[str]:
    """What a scenario took, for people."""
    hours, spent = outcome.seconds / 3600, outcome.spent
    fleet = outcome.scenario.fleet
    found = [
        f"{told.title}: {hours:.2f} h, {outcome.usd:.2f} USD",
        f"  {fleet.machines} x {fleet.machine}, {outcome.machine_hours:,.1f} machine-hours for "
        f"{outcome.machines_usd:.2f} USD, requests for {outcome.requests_usd:.2f} USD",
        f"  tasks {sum(outcome.tasks.values()):,}, attempts {spent.attempts:,}: {spent.lost:,} "
        f"lost by {spent.interruptions:,} interruptions, {spent.needless:,} for nothing",
        f"  the coordinator took {outcome.cpu_s:.1f} s of a processor, measured",
    ]
    if told.hours is not None and told.usd is not None:
        found.insert(
            1,
            f"  in life {told.hours:g} h and {told.usd:g} USD: {hours / told.hours - 1:+.0%} and "
            f"{outcome.usd / told.usd - 1:+.0%}",
        )
    return found


def inputs(told: Told) -> list[str]:
    """Every input of a scenario, its value, and where that comes from if it is not usual."""
    return [
        f"  {name:<28} {value!r:>12}  {label}{f' ({origin})' if origin else ''}"
        for name, label, value in listed(told.scenario)
        for origin in [told.origins.get(name, "")]
    ]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """What a scenario took, and all that it goes by, as JSON values."""
    return {**asdict(outcome), "hours": outcome.seconds / 3600, "usd": outcome.usd}


if __name__ == "__main__":
    main()
