"""The cluster of spot machines: its template, what it makes, and what its workers may do."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml
from conftest import JOBS, run_command
from faulty import faulty
from test_docs import ACTIONS

from mr.aws.clients import client
from mr.aws.stacks import find_stack, group_of
from mr.cli.cluster import up
from mr.engines.onemachine import start_worker
from mr.fleet import MESSAGES_PER_PROCESS
from mr.generate import generate
from mr.prices import load_prices
from mr.spotfleet import MOST_MACHINES
from mr.stores import open_store
from mr.wheel import own_wheel

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "conf/fleet.yaml"


@pytest.fixture(scope="module")
def template():
    """The template as YAML has it."""
    return yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))


@pytest.fixture
def aws(ministack, monkeypatch, tmp_path):
    """An account of the emulator's, for this process and for commands."""
    for name, value in {**ministack.environment, "AWS_ENDPOINT_URL": ministack.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MR_TELEMETRY_STORE", raising=False)
    return ministack


@pytest.fixture
def cluster(aws, tmp_path):
    """The command line's `cluster`, and what it makes is removed again."""
    names = set()

    def run(*arguments):
        names.add(arguments[1])
        return run_command(("cluster", *arguments), dict(os.environ), tmp_path)

    yield run
    for name in names:
        run("down", name, "--purge")


# The template


def test_the_template_is_clean():
    """cfn-lint finds nothing."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout) == (0, "")
    assert len(TEMPLATE.read_bytes()) < 51_200  # what CloudFormation takes in a request


def test_machines_are_spot_and_come_and_go(template):
    """All spot but for a base, over several types, to none; replaced before they are taken."""
    resources = template["Resources"]
    group = resources["Workers"]["Properties"]
    mixed = group["MixedInstancesPolicy"]

    assert mixed["InstancesDistribution"] == {
        "OnDemandBaseCapacity": {"Ref": "OnDemandBase"},
        "OnDemandPercentageAboveBaseCapacity": 0,
        "SpotAllocationStrategy": "price-capacity-optimized",
    }
    assert len(mixed["LaunchTemplate"]["Overrides"]) == 6
    assert group["CapacityRebalance"] is True
    assert group["MinSize"] == {"Ref": "LeastMachines"}
    assert template["Parameters"]["LeastMachines"]["Default"] == 0
    assert template["Parameters"]["OnDemandBase"]["Default"] == 0
    types = [template["Parameters"][f"InstanceType{n}"]["Default"] for n in range(1, 7)]
    assert len({load_prices().machine(name).processors for name in types}) == 1
    # Nothing ends machines that work: those that are idle, or cannot work, leave by themselves.
    policies = {
        name: one["Properties"].get("AdjustmentType")
        for name, one in resources.items()
        if one["Type"] == "AWS::AutoScaling::ScalingPolicy"
    }
    assert policies == {"Grow": None, "Wake": "ChangeInCapacity"}
    tracking = resources["Grow"]["Properties"]["TargetTrackingConfiguration"]
    assert tracking["DisableScaleIn"] is True


def test_more_machines_come_only_where_a_job_can_have_tasks_for_them(template):
    """A job keeps four tasks for each process in the queue: the backlog asked for is below that."""
    types = [template["Parameters"][f"InstanceType{n}"]["Default"] for n in range(1, 7)]
    least = min(load_prices().machine(name).processors for name in types)
    assert template["Parameters"]["Backlog"]["Default"] < MESSAGES_PER_PROCESS * least


def test_the_queue_is_as_the_code_would_make_it(template):
    """Retention, lease and deliveries are those of `mr.aws.sqs`."""
    from mr.aws import sqs

    tasks = template["Resources"]["Tasks"]["Properties"]

    assert tasks["MessageRetentionPeriod"] == sqs.RETENTION_S
    assert tasks["VisibilityTimeout"] == sqs.VISIBILITY_S
    assert tasks["RedrivePolicy"]["maxReceiveCount"] == sqs.MOST_RECEIVES
    dead = template["Resources"]["DeadLetters"]["Properties"]
    assert dead["QueueName"]["Fn::Sub"] == "${QueueName}" + sqs.DEAD
    assert dead["MessageRetentionPeriod"] == sqs.RETENTION_S
    assert tasks["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True


def test_jobs_expire_and_what_is_published_does_not(template):
    """Each rule has a prefix of its own, but for that on unfinished uploads."""
    bucket = template["Resources"]["Bucket"]
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]

    assert {one.get("Prefix"): one.get("ExpirationInDays") for one in rules} == {
        "jobs/": {"Ref": "JobDays"}, "tombstones/": 30, "workers/": 2, "probes/": 2, None: None,
    }  # fmt: skip
    assert rules[-1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"


# What is made


def test_a_cluster_comes_up_changes_and_goes(cluster, tmp_path):
    """Its parts are there as they were asked for; its bucket outlives it, and is used again."""
    up = cluster(
        "up", "one", "--machines", 5, "--on-demand", 1, "--type", "c6i.2xlarge", "--type",
        "m6i.2xlarge", "--input", "s3://blocks-elsewhere/telemetry/", "--email", "a@example.org",
        "--job-days", 7,
    )  # fmt: skip

    assert up.code == 0, up.err
    bucket = "mr-telemetry-one-000000000000-us-east-1"
    assert up.out.decode().splitlines() == [
        f"export MR_TELEMETRY_STORE=s3://{bucket}",
        "export MR_TELEMETRY_QUEUE=mr-telemetry-one",
    ]
    stack = find_stack("mr-telemetry-one")
    wanted = {
        "MostMachines": "5", "OnDemandBase": "1", "InstanceType2": "m6i.2xlarge",
        "InstanceType3": "", "Backlog": "16", "InputBucket": "blocks-elsewhere",
        "InputPrefix": "telemetry/",
        "AlarmEmail": "a@example.org", "JobDays": "7", "LeastMachines": "0",
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }  # fmt: skip
    assert wanted.items() <= stack.parameters.items()
    assert len(stack.parameters["Subnets"].split(",")) == 3
    _check_bucket(bucket)
    _check_machines(stack)
    _check_boot(stack, bucket, tmp_path)

    changed = cluster("up", "one", "--machines", 7)

    assert changed.code == 0, changed.err
    after = find_stack("mr-telemetry-one")
    assert after.parameters == {**stack.parameters, "MostMachines": "7"}
    (group,) = client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=["mr-telemetry-one"]
    )["AutoScalingGroups"]
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (0, 7, 0)

    down = cluster("down", "one")

    assert down.code == 0
    assert f"s3://{bucket} stays, with 2 objects" in down.err
    assert find_stack("mr-telemetry-one") is None
    assert cluster("up", "one").code == 0
    again = find_stack("mr-telemetry-one").parameters
    assert (again["WorkBucket"], again["BucketName"]) == (bucket, bucket)
    _check_policy(bucket)
    assert "keeps its rules" in cluster("up", "one", "--job-days", 3).err
    assert cluster("down", "one").code == 0
    assert cluster("down", "one", "--purge").code == 0  # there is nothing left but the bucket
    assert bucket not in [one["Name"] for one in client("s3").list_buckets()["Buckets"]]


def _check_bucket(bucket):
    s3 = client("s3")
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    _check_policy(bucket)


def _check_policy(bucket):
    s3 = client("s3")
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def _check_machines(stack):
    resources = client("cloudformation").describe_stack_resources(StackName=stack.name)
    ids = {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources["StackResources"]
    }
    (version,) = client("ec2").describe_launch_template_versions(LaunchTemplateId=ids["Template"])[
        "LaunchTemplateVersions"
    ]
    data = version["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] in (True, "true")
    alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = {
        (one["MetricName"], one["Dimensions"][0]["Value"])
        for one in alarms
        if one["AlarmName"].startswith(stack.name)
    }
    assert watched == {
        ("ApproximateNumberOfMessagesVisible", "mr-telemetry-one"),
        ("ApproximateNumberOfMessagesVisible", "mr-telemetry-one-dead"),
    }


def _check_boot(stack, bucket, folder):
    """Machines start with exactly this package, checked by its digest."""
    import hashlib

    store, prefix = open_store(f"s3://{bucket}"), stack.parameters["BootPrefix"]
    script = store.read(f"{prefix}worker-boot")
    assert script == (ROOT / "bin/worker-boot").read_bytes()
    assert hashlib.sha256(script).hexdigest() == stack.parameters["BootDigest"]
    wheel = store.read(f"{prefix}{stack.parameters['WheelName']}")
    assert hashlib.sha256(wheel).hexdigest() == stack.parameters["WheelDigest"]
    assert wheel == own_wheel(folder).read_bytes()


def test_the_state_of_a_cluster_is_shown(cluster):
    """Machines by kind, workers, tasks and the cost of an hour."""
    assert cluster("up", "two", "--start", 2, "--type", "c6i.2xlarge").code == 0

    shown, as_json = cluster("status", "two"), cluster("status", "two", "--json")

    assert shown.code == 0, shown.err
    lines = dict(re.findall(r"^(\w+) +(.*)$", shown.out.decode(), re.MULTILINE))
    assert lines["queue"] == "mr-telemetry-two"
    assert lines["tasks"] == "0 waiting, 0 dead letters"
    assert lines["workers"] == "0, for 0 tasks at a time, 0 running"
    assert " of 2 wanted" in lines["machines"]
    facts = json.loads(as_json.out)
    assert (facts["wanted"], facts["waiting"], facts["dead_letters"]) == (2, 0, 0)


def test_what_a_cluster_has_at_most_is_as_in_the_template(template):
    """The number that options are held against before there is a stack."""
    assert template["Parameters"]["MostMachines"]["Default"] == MOST_MACHINES


def test_starting_machines_ends_none(cluster):
    """Asked for fewer than there are, it leaves those that work."""
    more = cluster("up", "three", "--start", 3)
    fewer = cluster("up", "three", "--start", 1)

    assert more.code == fewer.code == 0, more.err + fewer.err
    assert group_of("mr-telemetry-three")[0] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("up", "Two_"), "small letters"),
        (("up", "a" * 23), "up to 22 small letters"),
        (("status", "nowhere"), "there is no cluster nowhere in this region"),
        (("down", "nowhere"), "there is no cluster nowhere in this region"),
        (("up", "bad", "--type", "c6i.xlarge", "--type", "c7g.xlarge"), "not of both"),
        (("up", "bad", "--type", "c6i.xlarge", "--type", "c6i.xlarge"), "stands there twice"),
        (("up", "bad", *(f"--type=c{n}i.large" for n in range(7))), "at most 6"),
        (("up", "bad", "--input", "blocks"), "name s3://BUCKET/PREFIX"),
        (("up", "bad", "--bucket", "not-there-at-all"), "there is no bucket not-there-at-all"),
        (("up", "bad", "--least", 5, "--machines", 2), "--least 5: the cluster has 2 machines at"),
        (("up", "bad", "--on-demand", 30), "--on-demand 30: the cluster has 20 machines at most"),
        (("up", "bad", "--start", 21), "--start 21: the cluster has 20 machines at most"),
        (("up", "bad", "--email", "me"), "--email me: that is no address"),
        (("up", "bad", "--image", "ami-1"), "--image ami-1: "),
        (("up", "bad", "--type", "large"), "--type large: a type of machine is such as"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(cluster, arguments, said):
    """Nothing is made of it."""
    done = cluster(*arguments)

    assert done.code == 2
    assert said in done.err
    assert done.err.startswith("mr-telemetry: ")
    assert len(done.err.splitlines()) == 1
    assert find_stack("mr-telemetry-bad") is None


# What the machines start


def test_the_boot_script_installs_the_package_and_its_service(tmp_path):
    """Run here, with stand-ins for the machine's programs, it leaves the package and a unit."""
    root, tools = tmp_path / "root", tmp_path / "tools"
    (root / "etc").mkdir(parents=True)
    tools.mkdir()
    wheel = own_wheel(tmp_path)
    digest = subprocess.check_output(["sha256sum", wheel], text=True).split()[0]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    # What the role lets the machine fetch; and an environment that has what the package needs.
    _script(tools / "aws", f'cp "{wheel}" "${{@: -1}}"')
    _script(tools / f"python{python}", f'exec {sys.executable} -m venv --system-site-packages "$3"')
    settings = {
        "BOOT": "s3://work/boot/01/", "WHEEL": wheel.name, "WHEEL_SHA256": digest,
        "PYTHON": python, "IDLE": "15m", "REGION": "eu-west-1",
    }  # fmt: skip
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    (root / "etc/mr-telemetry.boot").write_text(lines)
    environment = {
        **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "MR_BOOT_ROOT": str(root),
        "PIP_NO_DEPS": "1",
    }  # fmt: skip

    done = subprocess.run(
        ["bash", ROOT / "bin/worker-boot"], env=environment, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    home = root / "opt/mr-telemetry"
    unit = (root / "etc/systemd/system/mr-telemetry-worker.service").read_text()
    assert f"ExecStart={home}/bin/mr-telemetry worker --idle-exit 15m\n" in unit
    assert f"ExecStopPost=+{home}/bin/leave\n" in unit
    assert "TimeoutStopSec=90\n" in unit
    assert "OOMPolicy=continue\n" in unit
    assert "OnFailure=mr-telemetry-failed.service\n" in unit
    failed = (root / "etc/systemd/system/mr-telemetry-failed.service").read_text()
    assert f"ExecStart={home}/bin/leave failed\n" in failed
    assert "EnvironmentFile=/etc/mr-telemetry.env\n" in unit
    leave = (home / "bin/leave").read_text()
    assert "--region eu-west-1" in leave
    assert "--should-decrement-desired-capacity" in leave
    subprocess.run(["bash", "-n", home / "bin/leave"], check=True)
    assert (home / "bin/mr-telemetry").exists()

    # Another package than the one that was named is not installed.
    (root / "etc/mr-telemetry.boot").write_text(lines.replace(digest, "0" * 64))
    refused = subprocess.run(["bash", ROOT / "bin/worker-boot"], env=environment,
                             capture_output=True, text=True)  # fmt: skip
    assert refused.returncode != 0
    assert "FAILED" in refused.stdout


@pytest.mark.parametrize(
    ("how", "result", "state", "notice", "leaves"),
    [
        ("", "success", "running", 404, True),
        ("", "success", "running", 200, False),  # EC2 takes it away: another one is to come
        ("", "success", "stopping", 404, False),
        ("", "exit-code", "running", 404, False),  # systemd starts it again
        ("failed", "", "running", 404, True),
        ("failed", "", "running", 200, False),
    ],
)
@pytest.mark.parametrize("is_least", [False, True])
def test_an_idle_machine_leaves_for_good(tmp_path, how, result, state, notice, leaves, is_least):
    """And no other: the group is to replace those that are taken away.

    Where the group is as small as may be, AWS refuses, and the worker begins again.
    """
    text = (ROOT / "bin/worker-boot").read_text()
    body = re.search(r'cat > "\$home/bin/leave" <<END\n(.*?)\nEND\n', text, re.DOTALL)[1]
    shell = subprocess.run(
        ["bash", "-c", f"REGION=eu-west-1\ncat <<END\n{body}\nEND"], capture_output=True, text=True
    )
    leave = tmp_path / "leave"
    leave.write_text(shell.stdout)
    told = tmp_path / "told"
    begun = tmp_path / "begun"
    _script(
        tmp_path / "systemctl",
        f'[ "$1" = is-system-running ] && echo {state} || echo "$*" >> {begun}',
    )
    _script(tmp_path / "aws", f'echo "$*" >> {told}\nexit {int(is_least)}')
    _script(
        tmp_path / "curl",
        f'case "$*" in *instance-action*) [ {notice} = 200 ];; *instance-id*) echo i-0123;; '
        "*) echo token;; esac",
    )
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SERVICE_RESULT": result, "EXIT_STATUS": "0",
    }  # fmt: skip

    subprocess.run(["bash", leave, *how.split()], env=environment, check=True)

    assert told.exists() is leaves
    if leaves:
        assert told.read_text() == (
            "autoscaling terminate-instance-in-auto-scaling-group --region eu-west-1 "
            "--instance-id i-0123 --should-decrement-desired-capacity\n"
        )
    assert begun.exists() is (leaves and is_least)
    if begun.exists():
        assert "start --no-block mr-telemetry-worker" in begun.read_text()


def _script(path, text):
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


# What the machines may do


def test_the_role_allows_what_the_code_asks_for_and_nothing_else(template):
    """Every call of `mr/aws` that a worker makes is allowed, and nothing that none makes."""
    code = "".join((ROOT / f"mr/aws/{name}.py").read_text() for name in ("s3", "objects", "sqs"))
    made = set(re.findall(r"\b(?:_s3|_client|client)\.([a-z0-9_]+)\(", code)) - {"client"}
    allowed = {action for one in _statements(template) for action in _listed(one["Action"])}

    # Unfinished uploads are listed by `jobs --clean` alone.
    needed = {ACTIONS[name] for name in made} - {"s3:ListBucketMultipartUploads"}
    assert allowed == needed | {"autoscaling:TerminateInstanceInAutoScalingGroup"}
    assert not [one for one in _statements(template) if "*" in _listed(one["Resource"])]


def test_a_worker_asks_for_nothing_that_the_role_forbids(cluster, aws, tmp_path):
    """Whole jobs, coordinated by a worker: each request is allowed by the role as it was made."""
    assert cluster("up", "three", "--input", "s3://role-input/blocks/").code == 0
    client("s3").create_bucket(Bucket="role-input")
    generate(tmp_path / "tree", size=400_000, seed=3)
    environment = {
        **os.environ,
        "MR_TELEMETRY_STORE": "s3://mr-telemetry-three-000000000000-us-east-1",
        "MR_TELEMETRY_QUEUE": "mr-telemetry-three",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def command(*arguments):
        done = run_command(arguments, environment, tmp_path)
        return done.out.decode().strip(), done.code, done.err

    command("copy", tmp_path / "tree", "s3://role-input/blocks")
    with faulty(aws.url) as proxy, _worker(proxy.url, environment, tmp_path):
        store = environment["MR_TELEMETRY_STORE"]
        jobs = [
            ("every_hook", command("submit", JOBS / "every_hook.py", "s3://role-input/blocks")),
            ("histograms", command("submit", "histograms", "s3://role-input/blocks", "-o",
                                   f"{store}/published/")),
            ("fails", command("submit", f"{JOBS / 'failing.py'}:Raises", "s3://role-input/blocks",
                              "--max-failures", 1)),
        ]  # fmt: skip
        codes = {}
        for name, (job, code, err) in jobs:
            assert code == 0, err
            codes[name] = command("fetch", job, "--wait")[1]
        deadline = time.monotonic() + 60
        while _dead_letters() == 0 and time.monotonic() < deadline:
            time.sleep(0.2)

    assert codes == {"every_hook": 0, "histograms": 0, "fails": 1}
    assert _dead_letters() == 1
    (policy,) = _policies("mr-telemetry-three")
    asked = {_s3_request(*one) for one in proxy.seen} | {_sqs_request(*one) for one in proxy.asked}
    asked -= {None}
    forbidden = [one for one in asked if not _allows(policy, *one)]
    assert forbidden == []
    used = {action for action, _ in asked}
    assert {"s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject", "sqs:SendMessage",
            "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:CreateQueue", "sqs:DeleteQueue",
            } <= used  # fmt: skip
    assert not _allows(policy, "s3:PutObject", f"arn:aws:s3:::{store[5:]}/boot/01/worker-boot")
    assert not _allows(policy, "s3:PutObject", "arn:aws:s3:::role-input/blocks/a")
    assert not _allows(policy, "s3:GetObject", "arn:aws:s3:::role-input/other")
    assert not _allows(policy, "sqs:DeleteQueue", "arn:aws:sqs:us-east-1:000000000000:"
                       "mr-telemetry-three")  # fmt: skip


@contextmanager
def _worker(url, environment, folder):
    settings = {**environment, "AWS_ENDPOINT_URL_S3": url, "AWS_ENDPOINT_URL_SQS": url}
    process = start_worker(folder / "worker.log", settings)
    try:
        yield
    finally:
        process.terminate()
        process.wait(90)


def _dead_letters():
    from mr.queues import open_queue

    return open_queue("mr-telemetry-three", make=False).dead_letters_waiting()


def _policies(stack):
    iam = client("iam")
    for role in iam.list_roles()["Roles"]:
        if role["RoleName"].startswith(f"{stack}-"):
            for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                yield iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)[
                    "PolicyDocument"
                ]


def _s3_request(method, path):
    """The action and the resource of a request to S3; None for one to SQS."""
    parts = urlsplit(path)
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    if not bucket or bucket == "000000000000":
        return None
    if not key:
        action = {"POST": "s3:DeleteObject"}.get(method, "s3:ListBucket")
        # A request that removes many names them in its body: all lie in one job.
        key = "jobs/" if action == "s3:DeleteObject" else ""
        return action, f"arn:aws:s3:::{bucket}" + (f"/{key}x" if key else "")
    actions = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject",
               "POST": "s3:PutObject", "DELETE": "s3:DeleteObject"}  # fmt: skip
    action = "s3:AbortMultipartUpload" if method == "DELETE" and "uploadId" in query else None
    return action or actions[method], f"arn:aws:s3:::{bucket}/{key}"


def _sqs_request(operation, said):
    """The action and the resource of a request to SQS."""
    name = said.get("QueueName") or said["QueueUrl"].rpartition("/")[2]
    action = f"sqs:{operation.removesuffix('Batch')}"
    return action, f"arn:aws:sqs:us-east-1:000000000000:{name}"


def _allows(policy, action, resource):
    return any(
        statement["Effect"] == "Allow"
        and action in _listed(statement["Action"])
        and any(fnmatchcase(resource, one) for one in _listed(statement["Resource"]))
        for statement in policy["Statement"]
    )


def _statements(template):
    (policy,) = template["Resources"]["WorkerRole"]["Properties"]["Policies"]
    found = policy["PolicyDocument"]["Statement"]
    return [one["Fn::If"][1] if "Fn::If" in one else one for one in found]


def _listed(value):
    return value if isinstance(value, list) else [value]


# The page


def test_the_page_names_every_option():
    """Each option of `cluster up` stands in its table."""
    page = (ROOT / "docs/fleet.md").read_text()
    options = [option for one in up.params for option in one.opts if option.startswith("--")]

    assert len(options) == 13
    assert [one for one in options if not re.search(rf"^\| `{one}[ `]", page, re.MULTILINE)] == []


def test_the_boot_script_is_clean():
    """shellcheck finds nothing."""
    command = [str(Path(sys.executable).with_name("shellcheck")), str(ROOT / "bin/worker-boot")]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "")


def test_a_strangers_bucket_of_our_name_is_not_taken(monkeypatch):
    """Anyone may take a name that can be guessed: the owner must be this account."""
    import boto3
    from botocore.stub import Stubber

    from mr.aws import stacks
    from mr.errors import UsageError

    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a",
                      aws_secret_access_key="b")  # fmt: skip
    monkeypatch.setattr(stacks, "client", lambda service: s3)
    with Stubber(s3) as stub:
        asked = {"Bucket": "theirs", "ExpectedBucketOwner": "123456789012"}
        stub.add_client_error("head_bucket", "403", http_status_code=403, expected_params=asked)

        with pytest.raises(UsageError, match="the bucket theirs cannot be looked at"):
            stacks.has_bucket("theirs", "123456789012")


def test_a_machine_that_cannot_start_leaves(template, tmp_path):
    """Its user data, run with stand-ins: without the boot script it takes itself out."""
    text = template["Resources"]["Template"]["Properties"]["LaunchTemplateData"]["UserData"]
    body, _ = text["Fn::Base64"]["Fn::Sub"]
    for name in re.findall(r"\$\{([\w:]+)\}", body):
        body = body.replace("${" + name + "}", "x")
    body = body.replace("/etc/", f"{tmp_path}/").replace("/var/lib/cloud/data", str(tmp_path))
    (tmp_path / "instance-id").write_text("i-0123")
    told = tmp_path / "told"
    _script(tmp_path / "aws", f'[ "$1" = autoscaling ] && echo "$*" >> {told}')
    _script(tmp_path / "user-data", body.removeprefix("#!/bin/bash\n"))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    done = subprocess.run([tmp_path / "user-data"], env=environment, capture_output=True)

    assert done.returncode != 0
    assert told.read_text() == (
        "autoscaling terminate-instance-in-auto-scaling-group --region x --instance-id i-0123 "
        "--should-decrement-desired-capacity\n"
    )
