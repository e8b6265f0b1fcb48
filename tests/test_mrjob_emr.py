"""Jobs on EMR by mrjob's runner: the cluster that is asked for, and what is sent to it.

ministack's EMR takes clusters and steps, and says that these are done at once, without running
them. In one test they are run by `fake_hadoop.py` instead, in the place where mrjob waits for them.
"""

import json
import logging
import shlex
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import boto3
import fake_hadoop
import mrjobs  # noqa: F401 - or else this is skipped
import pytest
from clusters import plan, result_of
from conftest import JOBS
from mrjob.conf import load_opts_from_mrjob_conf
from mrjob.emr import EMRJobRunner
from mrjob.runner import _runner_class
from mrjobs import own_places_fixture  # noqa: F401 - a fixture
from published import payload, write_block

from mr.aws.emulator import make_bucket
from mr.directory import DirectoryStore
from mr.ends import EndState
from mr.engines.local import run_here
from mr.engines.mrjob.engine import RUNNERS, Runner, run_by_mrjob
from mr.engines.mrjob.parcel import open_parcel
from mr.kernel.building import SWITCH
from mr.progress import Display

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mrjob")

CONF = Path(__file__).parent.parent / "conf/mrjob.conf"
BUCKET = "emr"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Service:
    """EMR and S3 of a test, and how mrjob is told to use them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.s3 = boto3.client("s3", endpoint_url=url)
        self.emr = boto3.client("emr", endpoint_url=url)
        endpoints = (f"--{name}-endpoint={url}" for name in ("emr", "s3", "iam", "ec2"))
        self.options = (
            *endpoints, "--region=us-east-1", "--check-cluster-every=0.1",
            "--cloud-fs-sync-secs=0", f"--cloud-tmp-dir=s3://{BUCKET}/tmp/",
        )  # fmt: skip

    def clusters(self) -> set[str]:
        """The ids of all clusters that ever were."""
        return {cluster["Id"] for cluster in self.emr.list_clusters()["Clusters"]}

    def files(self, prefix: str) -> dict[str, bytes]:
        """The objects below a prefix, by the rest of their names."""
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        keys = [entry["Key"] for entry in listed]
        read = {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix(prefix): data for key, data in read.items()}


@pytest.fixture
def service(ministack, environment, monkeypatch):
    """The services, in the environment of commands and of this process."""
    make_bucket(ministack.url, BUCKET)
    settings = {**ministack.environment, "AWS_EC2_METADATA_DISABLED": "true"}
    environment.update(settings)
    for name, text in settings.items():
        monkeypatch.setenv(name, text)
    return Service(ministack.url)


@pytest.fixture
def tree(command, service, tmp_path):
    """The URL of a tree of three blocks, and their keys."""
    keys = [
        write_block(tmp_path / "tree", map(payload, names), number=number)
        for number, names in enumerate((["WINNT", "Linux"], ["Darwin"], ["Linux", "WINNT"]))
    ]
    url = f"s3://{BUCKET}/trees/{tmp_path.name}"
    copied = command("copy", tmp_path / "tree", url)
    assert copied.code == 0, copied.err
    return url, keys


def option(arguments, name):
    """The value of an option of a streaming step."""
    return arguments[arguments.index(name) + 1]


def test_what_is_sent_to_emr(command, service, tree, tmp_path):
    """The cluster of the configuration, its bootstrap, the planned blocks, and the two steps."""
    url, keys = tree
    before = service.clusters()
    (tmp_path / "needy.py").write_text(
        (JOBS / "every_hook.py")
        .read_text()
        .replace("    keep = 3\n", '    keep = 3\n    requirements = ["simplejson>=3.1"]\n')
    )

    done = command(
        "run", "needy.py:EveryHook", url, "--reducers", 2, "--engine", "mrjob", "-r", "emr",
        "--conf-path", CONF, *service.options, "--cleanup", "CLUSTER",
    )  # fmt: skip

    # Nothing has run there, which is no empty result.
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "mr-telemetry: mrjob's output is not whole: it covers 0 of 3 blocks."
    )
    (cluster,) = service.clusters() - before
    check_cluster(service, cluster)
    (action,) = service.emr.list_bootstrap_actions(ClusterId=cluster)["BootstrapActions"]
    prefix = action["ScriptPath"].removeprefix(f"s3://{BUCKET}/").removesuffix("b.sh")
    files = service.files(prefix)
    (wheel,) = [name for name in files if name.endswith(".whl")]
    script = [line.strip() for line in files["b.sh"].decode().splitlines()]
    assert f"aws s3 cp s3://{BUCKET}/{prefix}{wheel} $__mrjob_PWD/{wheel}" in script
    assert script[-3:] == [
        f"sudo dnf install -y {PYTHON} {PYTHON}-pip",
        f"sudo {PYTHON} -m pip install $__mrjob_PWD/{wheel} 'simplejson>=3.1'",
        "} 1>&2",
    ]
    with zipfile.ZipFile(BytesIO(files[wheel])) as opened:
        assert opened.testzip() is None
        assert "mr/engines/mrjob/telemetry_job.py" in opened.namelist()
    uris = [f"{url}/{key}" for key in sorted(keys)]
    assert files["input-manifest.txt"].decode() == "".join(f"{uri}\n" for uri in uris)
    (tmp_path / "parcel.sqlite").write_bytes(files["wd/parcel.sqlite"])
    with open_parcel(str(tmp_path / "parcel.sqlite")) as parcel:
        spec = parcel.spec()
        assert [parcel.block(spec, uri)[0] for uri in uris] == [0, 1, 2]
        assert [parcel.block(spec, uri)[1].path for uri in uris] == uris
    assert {name for name in files if name.startswith("wd/")} == {
        "wd/manifest-setup.sh", "wd/mrjob.zip", "wd/parcel.sqlite", "wd/setup-wrapper.sh",
        "wd/telemetry_job.py",
    }  # fmt: skip
    check_steps(service, cluster, f"s3://{BUCKET}/{prefix}", spec.bundle)


def check_cluster(service, cluster):
    """Check that a cluster is what conf/mrjob.conf asks for, and that it has ended."""
    found = service.emr.describe_cluster(ClusterId=cluster)["Cluster"]
    assert found["ReleaseLabel"] == "emr-7.5.0"
    assert found["Status"]["State"] == "TERMINATED"
    groups = service.emr.list_instance_groups(ClusterId=cluster)["InstanceGroups"]
    named = ("InstanceGroupType", "InstanceType", "RequestedInstanceCount", "Market")
    assert [tuple(one[name] for name in named) for one in groups] == [
        ("MASTER", "m6i.xlarge", 1, "ON_DEMAND"),
        ("CORE", "m6i.xlarge", 1, "ON_DEMAND"),
        ("TASK", "c6i.2xlarge", 10, "SPOT"),
    ]


def check_steps(service, cluster, folder, digest):
    """Check the two steps of a job whose files are in a folder."""
    first, second = (step["Config"] for step in service.emr.list_steps(ClusterId=cluster)["Steps"])
    ours = f"--parcel parcel.sqlite --code {digest} --planned --rows"
    for number, config in enumerate((first, second)):
        arguments = config["Args"]
        assert config["Jar"] == "command-runner.jar"
        assert arguments[0] == "hadoop-streaming"
        assert f"{folder}wd/parcel.sqlite#parcel.sqlite" in option(arguments, "-files").split(",")
        assert "mapreduce.job.reduces=2" in arguments
        assert "mapreduce.partition.keypartitioner.options=-k1,1" in arguments
        assert "stream.num.map.output.key.fields=2" in arguments
        assert option(arguments, "-partitioner") == fake_hadoop.BY_FIELDS
        assert option(arguments, "-reducer") == (
            f"/bin/sh -x setup-wrapper.sh {PYTHON} telemetry_job.py --step-num={number} --reducer "
            + ours
        )
    assert option(first["Args"], "-inputformat") == fake_hadoop.LINES
    assert option(first["Args"], "-input") == f"{folder}input-manifest.txt"
    assert option(first["Args"], "-mapper") == (
        f"/bin/sh -x manifest-setup.sh {PYTHON} telemetry_job.py --step-num=0 --mapper {ours}"
    )
    assert option(second["Args"], "-input") == option(first["Args"], "-output")
    assert "-inputformat" not in second["Args"]
    assert option(second["Args"], "-mapper") == (
        f"/bin/sh -x setup-wrapper.sh {PYTHON} telemetry_job.py --step-num=1 --mapper {ours}"
    )


def write_program(path: Path, *words: object) -> None:
    """Write a program that is other words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
    path.chmod(0o755)


def test_the_steps_that_are_submitted_give_the_same_bytes(service, tree, tmp_path, monkeypatch):
    """A Hadoop of ours runs them where mrjob waits: its scripts copy blocks by `aws s3 cp`."""
    url, keys = tree
    root, programs = tmp_path / "hadoop", tmp_path / "bin"
    hadoop = [sys.executable, "-I", "-S", fake_hadoop.__file__, root]
    write_program(programs / PYTHON, sys.executable)
    # `aws s3 cp FROM TO` is `hadoop fs -copyToLocal FROM TO`.
    (programs / "aws").write_text(
        '#!/bin/sh\n[ "$1 $2" = "s3 cp" ] && shift 2 && '
        f'exec {shlex.join(map(str, hadoop))} fs -copyToLocal "$@"\n'
    )
    (programs / "aws").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    there = root / "s3" / BUCKET

    def run_steps(runner: EMRJobRunner) -> None:
        for name, data in service.files("").items():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_bytes(data)
        for step in runner._steps_to_submit():
            words = step["HadoopJarStep"]["Args"]
            subprocess.run([*hadoop, "jar", *words], check=True, capture_output=True)
        output = there / runner._output_dir.removeprefix(f"s3://{BUCKET}/")
        for path in output.iterdir():
            service.s3.put_object(
                Bucket=BUCKET, Key=str(path.relative_to(there)), Body=path.read_bytes()
            )

    monkeypatch.setattr(EMRJobRunner, "_wait_for_steps_to_complete", run_steps)
    options = (*service.options, "--conf-path", str(CONF), f"--cmdenv={SWITCH}=0")
    store = DirectoryStore(tmp_path / "store")
    how = {"workers": 1, "scratch": tmp_path / "scratch", "observer": Display(0, quiet=True)}
    spec, again = (plan(store, url, "every_hook") for _ in range(2))

    end, report = run_by_mrjob(store, Runner("emr", options), spec, quiet=True, **how)

    assert end.state is run_here(store, again, **how)[0].state is EndState.DONE
    assert result_of(store, spec, tmp_path) == result_of(store, again, tmp_path)
    assert report["counters"]["seen"] == 5
    assert report["blocks"]["read"] == len(keys)


@pytest.mark.parametrize("release", [(), ("--release-label", "emr-6.15.0")])
def test_a_release_that_cannot_install_our_python_is_refused(command, service, tree, release):
    """mrjob's own default is one: before any node is paid for, and exit code 2."""
    before = service.clusters()

    done = command(
        "run", "os_distribution", tree[0], "--engine", "mrjob", "-r", "emr", *service.options,
        *release,
    )  # fmt: skip

    assert done.code == 2
    assert f"-r emr: nodes of {release[1] if release else 'emr-6.0.0'} cannot install" in done.err
    assert "set release_label to emr-7.0.0 or later" in done.err
    assert service.clusters() == before


def test_no_bucket_can_be_reached_without_credentials(command, environment, small_tree_path):
    """What boto3 raises is one sentence."""
    for name in [name for name in environment if name.startswith("AWS_")]:
        del environment[name]
    environment["AWS_EC2_METADATA_DISABLED"] = "true"

    done = command("run", "os_distribution", small_tree_path, "--engine", "mrjob", "-r", "emr")

    assert done.code == 2
    assert "mr-telemetry: -r emr: mrjob says: Unable to locate credentials." in done.err
    assert "Traceback" not in done.err


@pytest.fixture
def small_tree_path(tmp_path):
    """A tree of one block."""
    write_block(tmp_path / "tree", [payload()])
    return tmp_path / "tree"


# The example of a configuration


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_example_has_only_options_that_a_runner_knows(runner):
    """By mrjob's own loader, for each of the runners."""
    ((path, found),) = load_opts_from_mrjob_conf(runner, str(CONF))

    assert path == str(CONF)
    assert set(found) <= set(_runner_class(runner).OPT_NAMES)
    assert bool(found) == (runner not in ("inline", "local"))


@pytest.mark.parametrize("runner", ["inline", "local", "hadoop", "spark"])
def test_the_example_is_taken_without_a_warning(runner, caplog):
    """Each value is of the kind that it should be."""
    with caplog.at_level(logging.WARNING, logger="mrjob"):
        made = _runner_class(runner)(conf_paths=[str(CONF)])

    ((_, found),) = load_opts_from_mrjob_conf(runner, str(CONF))
    expected = [] if found else [f"No configs specified for {runner} runner"]
    assert [record.message for record in caplog.records] == expected
    for name, value in found.items():
        taken = made._opts[name]
        assert taken in (value, shlex.split(value) if isinstance(value, str) else value)


def test_the_example_says_json_values_as_yaml_has_them():
    """Numbers that Hadoop and EMR take as text are text."""
    ((_, emr),) = load_opts_from_mrjob_conf("emr", str(CONF))
    ((_, hadoop),) = load_opts_from_mrjob_conf("hadoop", str(CONF))

    assert emr["task_instance_bid_price"] == json.loads('"0.34"')
    assert hadoop["jobconf"] == {"mapreduce.map.speculative": "false"}
