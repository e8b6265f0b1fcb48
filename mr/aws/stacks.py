"""Stacks of CloudFormation, and what must be known of an account to make one."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mr.aws.clients import client
from mr.aws.failures import FAILURES, code_of, explain
from mr.errors import JobFailed, StoreUnavailable, UsageError

#: How often a stack is looked at while it changes, in seconds.
LOOK_S = 5.0
#: A stack in this state never was, and can only be removed.
_DEAD = "ROLLBACK_COMPLETE"
#: What AWS says where nothing is to be changed.
_UNCHANGED = "No updates are to be performed"


@dataclass(frozen=True)
class Stack:
    """A stack: its state in AWS's words, why, and its parameters and outputs."""

    name: str
    status: str
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_changing(self) -> bool:
        """Whether AWS is at it."""
        return self.status.endswith("_IN_PROGRESS")


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine of a group: its id, type, zone, and what it is at in AWS's words."""

    id: str
    type: str
    zone: str
    state: str
    is_spot: bool = True


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise explain(error, doing, StoreUnavailable) from error


def find_stack(name: str) -> Stack | None:
    """The stack of that name; None if there is none."""
    with _explained(f"the stack {name} cannot be looked at"):
        try:
            (found,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except FAILURES as error:
            if code_of(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    return Stack(
        name,
        found["StackStatus"],
        found.get("StackStatusReason", ""),
        {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters", ())},
        {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())},
    )


def make_stack(
    name: str,
    template: str,
    parameters: Mapping[str, str],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Stack:
    """Make the stack, or bring it to these parameters; returns it once it is done.

    Raises JobFailed, with what AWS says of the first thing that failed, and UsageError.
    """
    known = find_stack(name)
    if known is not None and known.status == _DEAD:
        remove_stack(name, sleep=sleep)
        known = None
    token = secrets.token_hex(16)
    asked = {
        "StackName": name,
        "ClientRequestToken": token,
        "TemplateBody": template,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        "Capabilities": ["CAPABILITY_IAM"],
    }
    cloudformation = client("cloudformation")
    with _explained(f"the stack {name} cannot be made"):
        try:
            if known is None:
                cloudformation.create_stack(**asked)
            else:
                cloudformation.update_stack(**asked)
        except FAILURES as error:
            if _UNCHANGED not in str(error) or known is None:
                raise
            return known
    made = _settled(name, sleep)
    if made is None or made.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise JobFailed(f"the stack {name} was not made: {_first_failure(name, made, token)}.")
    return made


def remove_stack(name: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Remove the stack, and wait until it is gone. Raises JobFailed."""
    token = secrets.token_hex(16)
    with _explained(f"the stack {name} cannot be removed"):
        client("cloudformation").delete_stack(StackName=name, ClientRequestToken=token)
    left = _settled(name, sleep)
    if left is not None and left.status != "DELETE_COMPLETE":
        raise JobFailed(f"the stack {name} was not removed: {_first_failure(name, left, token)}.")


def _settled(name: str, sleep: Callable[[float], None]) -> Stack | None:
    while (stack := find_stack(name)) is not None and stack.is_changing:
        sleep(LOOK_S)
    return stack


def _first_failure(name: str, stack: Stack | None, token: str) -> str:
    """The earliest thing that failed of what was asked for with the token.

    What came later only followed from it; what came before was another time.
    """
    if stack is None:
        return "AWS has removed it again"
    with _explained(f"the events of the stack {name} cannot be read"):
        pages = client("cloudformation").get_paginator("describe_stack_events")
        events = [one for page in pages.paginate(StackName=name) for one in page["StackEvents"]]
    ours = [one for one in events if one.get("ClientRequestToken") == token]
    for event in reversed(ours or events):  # the newest come first
        reason = event.get("ResourceStatusReason", "")
        if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
            return f"{event['LogicalResourceId']}: {reason.rstrip('.') or 'no reason is given'}"
    return stack.reason.rstrip(".") or stack.status


# The account and its network


def account_and_region() -> tuple[str, str]:
    """The account's number, and the region in force."""
    sts = client("sts")
    with _explained("AWS does not say whose credentials these are"):
        return sts.get_caller_identity()["Account"], sts.meta.region_name


def image_of(parameter: str) -> str:
    """The id of the image that a public parameter of SSM names."""
    with _explained(f"the image {parameter} cannot be found; name one by --image"):
        return client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]


def network_of(subnets: Sequence[str]) -> tuple[str, list[str]]:
    """The network that subnets lie in, and these; of none the default network's, one a zone.

    Raises UsageError where there is none, or they lie in several.
    """
    ec2 = client("ec2")
    with _explained("the network cannot be looked at; name --subnet"):
        if subnets:
            found = ec2.describe_subnets(SubnetIds=list(subnets))["Subnets"]
        else:
            asked = [{"Name": "is-default", "Values": ["true"]}]
            default = ec2.describe_vpcs(Filters=asked)["Vpcs"]
            if not default:
                raise UsageError(
                    "this region has no default network; name subnets by --subnet (repeatable)."
                )
            asked = [{"Name": "vpc-id", "Values": [default[0]["VpcId"]]}]
            found = ec2.describe_subnets(Filters=asked)["Subnets"]
    networks = {one["VpcId"] for one in found}
    if len(networks) != 1:
        raise UsageError("the subnets must lie in one network, and be there.")
    by_zone = {one["AvailabilityZone"]: one["SubnetId"] for one in reversed(found)}
    return networks.pop(), list(subnets) or [by_zone[zone] for zone in sorted(by_zone)]


# Buckets and machines


def has_bucket(name: str, account: str | None = None) -> bool:
    """Whether a bucket is there; with an account, one of its own.

    Raises UsageError for one that is somebody else's: anyone may take a name that can be guessed.
    """
    owner = {"ExpectedBucketOwner": account} if account else {}
    with _explained(f"the bucket {name} cannot be looked at"):
        try:
            client("s3").head_bucket(Bucket=name, **owner)
        except FAILURES as error:
            if code_of(error) in ("404", "NoSuchBucket"):
                return False
            raise
    return True


def remove_bucket(name: str) -> None:
    """Remove a bucket that is empty."""
    with _explained(f"the bucket {name} cannot be removed"):
        client("s3").delete_bucket(Bucket=name)


def group_of(name: str) -> tuple[int, list[Instance]]:
    """How many machines an Auto Scaling group is to have, and those that it has."""
    with _explained(f"the machines of {name} cannot be looked at"):
        asked = {"AutoScalingGroupNames": [name]}
        found = client("autoscaling").describe_auto_scaling_groups(**asked)["AutoScalingGroups"]
        if not found:
            return 0, []
        ids = [one["InstanceId"] for one in found[0].get("Instances", ())]
        spot = _spot_ones(ids)
    return found[0]["DesiredCapacity"], [
        Instance(
            one["InstanceId"],
            one.get("InstanceType", ""),
            one.get("AvailabilityZone", ""),
            one["LifecycleState"],
            one["InstanceId"] in spot,
        )
        for one in found[0].get("Instances", ())
    ]


def _spot_ones(ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    # By a filter: one that is so new that EC2 does not know it everywhere is no error then.
    asked = [{"Name": "instance-id", "Values": list(ids)}]
    pages = client("ec2").get_paginator("describe_instances").paginate(Filters=asked)
    return {
        one["InstanceId"]
        for page in pages
        for reservation in page["Reservations"]
        for one in reservation["Instances"]
        if one.get("InstanceLifecycle") == "spot"
    }


def keep_where_they_are(name: str) -> None:
    """Let an Auto Scaling group not move machines between zones: it would end those that work."""
    with _explained(f"{name} cannot be told to leave its machines where they are"):
        client("autoscaling").suspend_processes(
            AutoScalingGroupName=name, ScalingProcesses=["AZRebalance"]
        )


def region_in_force() -> str:
    """The region of the AWS settings."""
    return client("ec2").meta.region_name


def set_machines(name: str, number: int) -> None:
    """Ask an Auto Scaling group for so many machines now."""
    with _explained(f"{name} cannot be asked for machines"):
        client("autoscaling").set_desired_capacity(
            AutoScalingGroupName=name, DesiredCapacity=number, HonorCooldown=False
        )


def spot_prices(types: Sequence[str]) -> dict[str, float]:
    """What spot machines of these types cost now, the mean of the region's zones, USD an hour."""
    pages = client("ec2").get_paginator("describe_spot_price_history")
    found: dict[str, dict[str, float]] = {}
    with _explained("the spot prices cannot be asked for"):
        asked: dict[str, Any] = {
            "InstanceTypes": list(types),
            "ProductDescriptions": ["Linux/UNIX"],
            "StartTime": time.time(),  # those in force
        }
        for page in pages.paginate(**asked):
            for one in page["SpotPriceHistory"]:
                zones = found.setdefault(one["InstanceType"], {})
                zones.setdefault(one["AvailabilityZone"], float(one["SpotPrice"]))
    return {name: sum(zones.values()) / len(zones) for name, zones in found.items()}
