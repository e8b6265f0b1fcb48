"""What requests to S3 and SQS cost, at list prices, and what machines do, by a table.

The table is `conf/prices.json`, or one that was refreshed from EC2's own spot prices.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import msgspec

from mr.decoding import from_plain
from mr.errors import UsageError

#: US dollars for one request. S3 Standard in us-east-1 ("PUT, COPY, POST, LIST" and "GET and all
#: other"), and standard queues beyond the free million; https://aws.amazon.com/s3/pricing/ and
#: https://aws.amazon.com/sqs/pricing/. Larger regions of the world cost up to twice as much.
S3_WRITE_USD = 0.005 / 1000
S3_READ_USD = 0.0004 / 1000
SQS_USD = 0.40 / 1_000_000

#: Requests that only take away cost nothing.
_FREE = frozenset({"s3.DeleteObject", "s3.DeleteObjects", "s3.AbortMultipartUpload"})
_READS = frozenset({"s3.GetObject", "s3.HeadObject", "s3.HeadBucket"})


def price_usd(requests: Mapping[str, int]) -> float:
    """The price of requests, counted by "service.Operation"."""
    return sum(count * _price_of(request) for request, count in requests.items())


def _price_of(request: str) -> float:
    if request in _FREE:
        return 0.0
    if request.startswith("sqs."):
        return SQS_USD
    return S3_READ_USD if request in _READS else S3_WRITE_USD


@dataclass(frozen=True, slots=True)
class Machine:
    """A type of machine: its processors (vCPUs), and its prices in US dollars an hour."""

    processors: int
    memory_gb: float
    on_demand_usd: float
    spot_usd: float


@dataclass(frozen=True)
class PriceTable:
    """Types of machines and their prices in one region."""

    region: str
    as_of: str
    machines: dict[str, Machine]

    def machine(self, name: str) -> Machine:
        """A type of machine. Raises UsageError for one that the table does not have."""
        if name not in self.machines:
            known = ", ".join(sorted(self.machines))
            raise UsageError(f"{name}: no price is known of such a machine; there are: {known}.")
        return self.machines[name]

    def usd_an_hour(self, machine: str) -> float | None:
        """The price of a machine as workers name it ("TYPE spot" or "TYPE"); None if not known."""
        name, _, market = machine.partition(" ")
        known = self.machines.get(name)
        if known is None:
            return None
        return known.spot_usd if market == "spot" else known.on_demand_usd

    def shares(self, machine: str, processes: int) -> int:
        """Into how many parts a machine is divided: its processors, or the processes if more."""
        known = self.machines.get(machine.partition(" ")[0])
        return max(1, processes, known.processors if known else 0)


def load_prices(path: str | Path | None = None) -> PriceTable:
    """The table in a file, or the one that comes with the package. Raises UsageError."""
    try:
        if path is None:
            text = resources.files("mr.conf").joinpath("prices.json").read_text(encoding="utf-8")
        else:
            text = Path(path).read_text(encoding="utf-8")
        return from_plain(json.loads(text), PriceTable)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: is no table of prices: {error}.") from None
