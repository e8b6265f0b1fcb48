"""A cluster of spot machines as a stack of CloudFormation: made, shown and removed.

bucket   jobs/ workers/ probes/ tombstones/   as in `mr.layout`
         published/                           what analyses publish there
         boot/<digest>/                       what machines start with: a script and the package
"""

import hashlib
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from mr.aws.stacks import (
    Instance,
    Stack,
    account_and_region,
    find_stack,
    group_of,
    has_bucket,
    image_of,
    keep_where_they_are,
    make_stack,
    network_of,
    remove_bucket,
    remove_stack,
    set_machines,
)
from mr.errors import MrError, UsageError
from mr.fleet import MESSAGES_PER_PROCESS, Sign, read_fleet
from mr.prices import PriceTable, load_prices
from mr.queues import open_queue
from mr.store import Store
from mr.stores import open_store
from mr.wheel import own_wheel

#: Names of clusters: the queue's, the stack's and the bucket's names are made of them.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,21}")  # a bucket's name has at most 63 characters
#: The public parameters of SSM that name the newest Amazon Linux 2023.
_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
#: Instance types whose processors are ARM's have a "g" after the generation, as c7g and m6gd.
_ARM = re.compile(r"[a-z]+[0-9]+[a-z]*g[a-z]*\.|a1\.")
#: Types that the template has room for.
MOST_TYPES = 6
#: Machines that a cluster has at most, unless told otherwise (as in the template).
MOST_MACHINES = 20


@dataclass(frozen=True)
class Wanted:
    """What a person wants of a cluster; None and "" leave it as it is, or to the template."""

    name: str
    #: s3://BUCKET/PREFIX of the blocks, if they are not in the cluster's own bucket.
    input: str = ""
    bucket: str = ""
    most_machines: int | None = None
    least_machines: int | None = None
    on_demand: int | None = None
    types: Sequence[str] = ()
    disk_gb: int | None = None
    idle_minutes: int | None = None
    job_days: int | None = None
    email: str = ""
    image: str = ""
    subnets: Sequence[str] = ()


@dataclass(frozen=True)
class Cluster:
    """A cluster that is there."""

    name: str
    status: str
    reason: str
    store: str
    queue: str
    #: How many machines it is to have, and those that it has.
    wanted: int
    machines: list[Instance] = field(default_factory=list)
    #: Workers by their signs of life; None where they cannot be read.
    workers: list[Sign] | None = None
    #: Messages that wait, and dead letters; None where the queue cannot be asked.
    waiting: int | None = None
    dead_letters: int | None = None
    #: What could not be set when it was made, in words.
    note: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """The environment by which every command uses it."""
        return {"MR_TELEMETRY_STORE": self.store, "MR_TELEMETRY_QUEUE": self.queue}

    def usd_an_hour(self, prices: PriceTable) -> float | None:
        """What its machines cost an hour by a table; None where that does not know one of them."""
        known = prices.machines
        if any(one.type not in known for one in self.machines):
            return None
        return sum(
            known[one.type].spot_usd if one.is_spot else known[one.type].on_demand_usd
            for one in self.machines
        )


def stack_name(name: str) -> str:
    """The stack, the queue and the group of a cluster. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r}: a cluster's name has up to 22 small letters, digits and hyphens, "
            "and begins with a letter."
        )
    return f"mr-telemetry-{name}"


def bring_up(wanted: Wanted, *, start: int = 0) -> Cluster:
    """Make the cluster, or change it to what is wanted; with `start` machines at once.

    Raises UsageError, and JobFailed where AWS cannot make it.
    """
    stack = stack_name(wanted.name)
    _check(wanted)
    known = find_stack(stack)
    if known is not None and not known.outputs:
        known = None
    parameters = {**(known.parameters if known else {}), **_parameters(wanted, known)}
    _check_numbers(parameters, start)
    template = resources.files("mr.conf").joinpath("fleet.yaml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        boot = _Boot.of(Path(folder))
        parameters |= boot.parameters
        if known is None:
            # No machine starts before there is a bucket with what it starts with.
            made = make_stack(stack, template, {**parameters, "LeastMachines": "0"})
            boot.upload(open_store(made.outputs["Store"]))
        else:
            boot.upload(open_store(known.outputs["Store"]))
    if known is not None or parameters.get("LeastMachines", "0") != "0":
        make_stack(stack, template, parameters)
    note = ""
    try:
        keep_where_they_are(stack)
    except MrError as error:  # it costs some work at the end of a job, and no more
        note = str(error)
    if start > group_of(stack)[0]:  # fewer would end some that work
        set_machines(stack, start)
    return replace(look_at(wanted.name), note=note)


def look_at(name: str) -> Cluster:
    """How a cluster stands. Raises UsageError when there is none of that name."""
    stack = find_stack(stack_name(name))
    if stack is None:
        raise UsageError(
            f"there is no cluster {name} in this region; `mr-telemetry cluster up {name}` makes it."
        )
    store, queue = stack.outputs.get("Store", ""), stack.outputs.get("Queue", "")
    wanted, machines = group_of(stack.name)
    workers = waiting = dead = None
    try:
        if store:
            workers = read_fleet(open_store(store))
        if queue:
            tasks = open_queue(queue, make=False)
            waiting, dead = tasks.waiting(), tasks.dead_letters_waiting()
    except MrError:  # being made or removed, or not for this person to read
        pass
    return Cluster(
        name, stack.status, stack.reason, store, queue, wanted, machines, workers, waiting, dead
    )


def take_down(name: str, *, purge: bool = False) -> tuple[str, int]:
    """Remove the cluster; returns its store's URL, and how many objects are left there.

    With `purge` the bucket goes too, and everything in it.
    """
    stack = find_stack(stack_name(name))
    account, region = account_and_region()
    own = f"s3://{_own_bucket(name, account, region)}"
    if stack is None:
        if not purge or not has_bucket(own[5:], account):
            raise UsageError(f"there is no cluster {name} in this region.")
        url = own
    else:
        url = stack.outputs.get("Store", "")
        if purge and url not in ("", own):
            raise UsageError(f"{url} was there before the cluster, so it is not for us to remove.")
        remove_stack(stack.name)
    if not url:
        return "", 0
    store = open_store(url)
    if not purge:
        return url, sum(1 for _ in store.list())
    store.delete_all(entry.name for entry in store.list())
    remove_bucket(url.removeprefix("s3://"))
    return url, 0


def _check(wanted: Wanted) -> None:
    """Raise UsageError for what AWS need not be asked about."""
    if wanted.email and not re.fullmatch(r"[^@\s]+@[^@\s]+", wanted.email):
        raise UsageError(f"--email {wanted.email}: that is no address.")
    if wanted.image and not re.fullmatch(r"ami-[0-9a-f]{8,17}", wanted.image):
        raise UsageError(f"--image {wanted.image}: an image is named ami-... by EC2.")
    for kind in wanted.types:
        if not re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", kind):
            raise UsageError(f"--type {kind}: a type of machine is such as c6a.2xlarge.")
    if wanted.input:
        _input(wanted.input)


def _check_numbers(parameters: Mapping[str, str], start: int) -> None:
    """Raise UsageError for more machines than there are to be at most."""
    most = int(parameters.get("MostMachines", MOST_MACHINES))
    for option, number in {
        "--least": int(parameters.get("LeastMachines", 0)),
        "--on-demand": int(parameters.get("OnDemandBase", 0)),
        "--start": start,
    }.items():
        if number > most:
            raise UsageError(f"{option} {number}: the cluster has {most} machines at most.")


def _parameters(wanted: Wanted, known: Stack | None) -> dict[str, str]:
    """What the template is to be given."""
    numbers = {
        "MostMachines": wanted.most_machines,
        "LeastMachines": wanted.least_machines,
        "OnDemandBase": wanted.on_demand,
        "DiskGB": wanted.disk_gb,
        "IdleMinutes": wanted.idle_minutes,
        "JobDays": wanted.job_days,
    }
    found = {key: str(number) for key, number in numbers.items() if number is not None}
    found["QueueName"] = stack_name(wanted.name)
    found["Python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted.email:
        found["AlarmEmail"] = wanted.email
    if wanted.input:
        found |= _input(wanted.input)
    if wanted.types:
        found |= _types(wanted.types)
        # A job keeps four tasks for each process in the queue: asked for half as many, it doubles.
        known_types = load_prices().machines
        processors = [known_types[one].processors for one in wanted.types if one in known_types]
        if processors:
            found["Backlog"] = str(MESSAGES_PER_PROCESS // 2 * min(processors))
    if known is None or wanted.types or wanted.image:
        found["Image"] = wanted.image or image_of(_IMAGE.format(_processor(wanted.types)))
    if known is None or wanted.subnets:
        network, subnets = network_of(wanted.subnets)
        found |= {"Vpc": network, "Subnets": ",".join(subnets)}
    if known is None:
        found |= _bucket(wanted)
    elif wanted.job_days is not None and known.parameters.get("WorkBucket"):
        raise UsageError(
            "--job-days: the cluster's bucket was there before it, and keeps its rules."
        )
    elif wanted.bucket and wanted.bucket != known.outputs["Store"].removeprefix("s3://"):
        raise UsageError(f"cluster {wanted.name} has the bucket {known.outputs['Store']} already.")
    return found


def _bucket(wanted: Wanted) -> dict[str, str]:
    """The bucket that was named, or one that an earlier cluster of that name has left, or none."""
    if wanted.bucket:
        if not has_bucket(wanted.bucket):
            raise UsageError(f"there is no bucket {wanted.bucket}.")
        return {"WorkBucket": wanted.bucket}
    account, region = account_and_region()
    name = _own_bucket(wanted.name, account, region)
    if not has_bucket(name, account):
        return {"BucketName": name}
    if wanted.job_days is not None:
        raise UsageError(
            f"--job-days: the bucket {name} is there from an earlier cluster, and keeps the rules "
            "that it has."
        )
    return {"BucketName": name, "WorkBucket": name}


def _own_bucket(name: str, account: str, region: str) -> str:
    """The bucket that a cluster has unless another was named."""
    return f"{stack_name(name)}-{account}-{region}"


def _input(url: str) -> dict[str, str]:
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", url)
    if match is None:
        raise UsageError(f"--input {url}: workers read blocks in S3; name s3://BUCKET/PREFIX.")
    return {"InputBucket": match[1], "InputPrefix": match[2]}


def _types(types: Sequence[str]) -> dict[str, str]:
    if len(types) > MOST_TYPES:
        raise UsageError(f"--type: {len(types)} are too many; at most {MOST_TYPES}.")
    if len(set(types)) < len(types):
        raise UsageError("--type: one stands there twice.")
    padded = [*types, *[""] * (MOST_TYPES - len(types))]
    return {f"InstanceType{number}": name for number, name in enumerate(padded, 1)}


def _processor(types: Sequence[str]) -> str:
    kinds = Counter("arm64" if _ARM.match(name) else "x86_64" for name in types)
    if len(kinds) > 1:
        raise UsageError("--type: a cluster is of x86 machines, or of ARM machines, not of both.")
    return next(iter(kinds), "x86_64")


@dataclass(frozen=True)
class _Boot:
    """What a machine starts with: the script, and this very package."""

    script: bytes
    wheel: Path
    data: bytes

    @classmethod
    def of(cls, folder: Path) -> "_Boot":
        script = resources.files("mr.bin").joinpath("worker-boot").read_bytes()
        wheel = own_wheel(folder)
        return cls(script, wheel, wheel.read_bytes())

    @property
    def prefix(self) -> str:
        return f"boot/{_sha256(self.script + self.data)[:16]}/"

    @property
    def parameters(self) -> dict[str, str]:
        return {
            "BootPrefix": self.prefix,
            "BootDigest": _sha256(self.script),
            "WheelName": self.wheel.name,
            "WheelDigest": _sha256(self.data),
        }

    def upload(self, store: Store) -> None:
        store.write(f"{self.prefix}worker-boot", self.script)
        store.write(f"{self.prefix}{self.wheel.name}", self.data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
