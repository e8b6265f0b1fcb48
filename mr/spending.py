"""What a job has cost so far in machines, and whether it may go on.

An attempt costs its share of its machine: the machine's price an hour by its time, divided by the
machine's processors. What machines cost while they start or idle, wholly or in part, is nobody's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mr.commits import Commit
from mr.fleet import Sign
from mr.prices import PriceTable
from mr.text import counted, hundredths


class Spending:
    """What a job costs while it is coordinated, and its limits; hours count from now on."""

    def __init__(
        self,
        prices: PriceTable,
        *,
        max_usd: float | None,
        max_hours: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._prices = prices
        self._max_usd = max_usd
        self._max_hours = max_hours
        self._clock = clock
        self._since = clock()
        #: Of what is committed, and of what was lost, in US dollars; and of what runs, by attempt.
        self.usd_done = 0.0
        self.usd_lost = 0.0
        self._seen: dict[str, float | None] = {}
        self._committed: set[str] = set()
        self._unpriced = ""

    def committed(self, commit: Commit) -> None:
        """Add what a commit cost."""
        self._committed.add(commit.attempt)
        self._seen.pop(commit.attempt, None)
        self.usd_done += self._usd(commit.machine, commit.processes, commit.seconds) or 0.0

    def looked(self, fleet: Sequence[Sign], job: str) -> None:
        """Learn what is running, by the signs of the workers.

        What was running, runs no more and is not committed was lost, and cost something.
        """
        running = {
            one.attempt: self._usd(sign.machine, sign.processes, max(0.0, sign.time - one.since))
            for sign in fleet
            for one in sign.running
            if one.job == job and one.attempt not in self._committed
        }
        self.usd_lost += sum(
            usd or 0.0 for attempt, usd in self._seen.items() if attempt not in running
        )
        self._seen = running
        self._unpriced = next(
            (sign.machine or "it does not say what it is" for sign in fleet
             if self._prices.usd_an_hour(sign.machine) is None), "",
        )  # fmt: skip

    @property
    def usd(self) -> float:
        """What the job's attempts have cost so far."""
        return self.usd_done + self.usd_lost + sum(usd or 0.0 for usd in self._seen.values())

    def reached(self) -> str:
        """Which limit is reached, in words; "" for none."""
        hours = (self._clock() - self._since) / 3600
        if self._max_hours is not None and hours >= self._max_hours:
            return f"--max-hours {self._max_hours:g} is reached"
        if self._max_usd is None:
            return ""
        if self._unpriced:
            return (
                f"--max-cost: no price is known of a worker's machine ({self._unpriced}); set "
                "MR_TELEMETRY_MACHINE on workers to a type of conf/prices.json"
            )
        if self.usd >= self._max_usd:
            cost = hundredths(self.usd)
            return f"--max-cost {self._max_usd:g} is reached: machines cost {cost} USD so far"
        return ""

    def _usd(self, machine: str, processes: int, seconds: float) -> float | None:
        price = self._prices.usd_an_hour(machine)
        if price is None:
            return None
        return price * seconds / 3600 / self._prices.shares(machine, processes)


def receipt(
    commits: Iterable[Commit], requests_usd: float, prices: PriceTable, lost: int
) -> dict[str, Any]:
    """What a job took, as JSON values: machine-hours and USD by machine, what was done twice.

    `usd` is None where the price of a machine is not known.
    """
    hours: Counter[str] = Counter()
    again = retried = 0
    for commit in commits:
        shares = prices.shares(commit.machine, commit.processes)
        hours[commit.machine] += commit.seconds / 3600 / shares
        if commit.deliveries > 1:
            again += 1
            retried += commit.tally.compressed_bytes
    by_machine = {
        machine or "unknown": _priced(spent, prices.usd_an_hour(machine))
        for machine, spent in sorted(hours.items())
    }
    priced = [one["usd"] for one in by_machine.values()]
    machines_usd = None if None in priced else sum(priced)
    return {
        "machines": by_machine,
        "machine_hours": round(sum(hours.values()), 6),
        "machines_usd": _rounded(machines_usd),
        "requests_usd": _rounded(requests_usd),
        "usd": _rounded(None if machines_usd is None else machines_usd + requests_usd),
        "interruptions": max(again, lost),
        "retried_bytes": retried,
    }


def _priced(hours: float, price: float | None) -> dict[str, Any]:
    return {"hours": round(hours, 6), "usd": _rounded(None if price is None else hours * price)}


def _rounded(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 6)


def told_receipt(found: Mapping[str, Any]) -> str:
    """The receipt in a sentence; "" where there is nothing to pay for."""
    if found["usd"] is None or not found["machines_usd"]:
        return ""
    names = ("usd", "machine_hours", "machines_usd", "requests_usd")
    usd, hours, machines, requests = (hundredths(found[name]) for name in names)
    text = f"Cost about {usd} USD: {hours} machine-hours for {machines}, requests for {requests}."
    if found["interruptions"]:
        text += (
            f" {counted(found['interruptions'], 'interruption')}: "
            f"{found['retried_bytes'] / 1e6:,.1f} MB of input were given out again."
        )
    return text
