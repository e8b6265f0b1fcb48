"""Jobs on Hadoop by mrjob's runner: whole, through its shell scripts, with `fake_hadoop.py`."""

import itertools
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import fake_hadoop
import pytest
from clusters import BUCKET, small_tree_fixture  # noqa: F401 - a fixture
from conftest import COMMAND_TIMEOUT_S, JOBS
from mrjobs import own_places_fixture  # noqa: F401 - a fixture
from published import payload, write_block

from mr.aws.emulator import make_bucket
from mr.kernel.building import SWITCH

MANY_COUNTERS = """
from mr import Analysis


class Counting(Analysis):
    def map(self, record):
        for number in range(100):
            self.count(f"counter {number}")
        yield "records", 1

    def reduce(self, key, values):
        yield key, sum(values)
"""


@dataclass(frozen=True)
class Fake:
    """A Hadoop of the test's own, and how mrjob is told to use it."""

    root: Path

    options = (
        "--engine", "mrjob", "-r", "hadoop", "--python-bin", sys.executable,
        "--cmdenv", f"{SWITCH}=0",
    )  # fmt: skip

    def calls(self, *begin: str) -> list[list[str]]:
        """The commands that it was asked for that begin so."""
        lines = (self.root / "calls.jsonl").read_text().splitlines()
        return [call for call in map(json.loads, lines) if call[: len(begin)] == list(begin)]

    def puts(self) -> list[str]:
        """What was uploaded, below the folder of the job's files."""
        return sorted(call[-1].partition("/files/")[2] for call in self.calls("fs", "-put"))

    def left(self) -> list[Path]:
        """The files that are in it."""
        return [path for path in (self.root / "hdfs").rglob("*") if path.is_file()]


@pytest.fixture
def hadoop(environment, tmp_path):
    """A Hadoop that mrjob finds by $HADOOP_HOME."""
    root = tmp_path / "hadoop"
    (root / "bin").mkdir(parents=True)
    (root / "hdfs").mkdir()
    (root / "hadoop-streaming-3.3.6.jar").touch()
    program = root / "bin/hadoop"
    words = [sys.executable, "-I", "-S", fake_hadoop.__file__, str(root)]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    environment["HADOOP_HOME"] = str(root)
    return Fake(root)


def write_tree(folder):
    """A tree of three blocks of systems in an order of their own."""
    tree = folder / "tree"
    for number, names in enumerate((["WINNT", "Linux"], ["Darwin"], ["Linux", "WINNT"])):
        write_block(tree, map(payload, names), number=number)
    return tree


def option(call, name):
    """The values of an option of a command."""
    return [value for word, value in itertools.pairwise(call) if word == name]


def test_a_job_runs_whole(command, hadoop, small_tree):
    """Two steps over blocks of this machine, which mrjob uploads: the same bytes."""
    job = ("run", JOBS / "every_hook.py", small_tree, "--limit-blocks", 8, "--reducers", 3)

    done = command(*job, *hadoop.options)

    assert done.code == 0, done.err
    assert done.out == command(*job).out
    assert len(done.out) > 500
    assert "\n\tEveryHook\n\t\trecords of Fennec=22\n\t\trecords of Firefox=4\n" in done.err
    assert hadoop.puts() == [
        *(f"0000000{number:03}" for number in range(8)),
        "input-manifest.txt",
        "mrjob.zip",
        "wd/manifest-setup.sh",
        "wd/mrjob.zip",
        "wd/parcel.sqlite",
        "wd/setup-wrapper.sh",
        "wd/telemetry_job.py",
    ]
    assert hadoop.left() == []


def test_what_hadoop_is_asked_for(command, hadoop, tmp_path):
    """A line of the manifest for each mapper, by mrjob's script; partitions by the first field."""
    done = command("run", JOBS / "every_hook.py", write_tree(tmp_path), "--reducers", 2,
                   *hadoop.options)  # fmt: skip

    first, second = hadoop.calls("jar")
    assert done.code == 0, done.err
    for call in (first, second):
        assert call[1] == str(hadoop.root / "hadoop-streaming-3.3.6.jar")
        assert option(call, "-partitioner") == [fake_hadoop.BY_FIELDS]
        conf = dict(pair.split("=", 1) for pair in option(call, "-D"))
        assert conf["mapreduce.job.reduces"] == "2"
        assert conf["mapreduce.partition.keypartitioner.options"] == "-k1,1"
        assert conf["stream.num.map.output.key.fields"] == "2"
        (files,) = option(call, "-files")
        assert {file.rpartition("#")[2] for file in files.split(",")} == {
            "manifest-setup.sh", "mrjob.zip", "parcel.sqlite", "setup-wrapper.sh",
            "telemetry_job.py",
        }  # fmt: skip
        (reducer,) = option(call, "-reducer")
        assert reducer.startswith(f"/bin/sh -ex setup-wrapper.sh {sys.executable} telemetry_job.py")
    assert option(first, "-inputformat") == [fake_hadoop.LINES]
    assert option(second, "-inputformat") == []
    (mapper,) = option(first, "-mapper")
    assert mapper.startswith(f"/bin/sh -ex manifest-setup.sh {sys.executable} telemetry_job.py ")
    assert "--step-num=0 --mapper --parcel parcel.sqlite --code " in mapper
    assert mapper.endswith(" --planned --rows")
    assert option(second, "-input") == option(first, "-output")


def copy_to_s3(command, environment, ministack, hadoop, tree, name):
    """Copy a tree to a bucket, and to where the fake has it; gives its URL."""
    make_bucket(ministack.url, BUCKET)
    environment.update(ministack.environment)
    url = f"s3://{BUCKET}/{name}"
    copied = command("copy", tree, url)
    assert copied.code == 0, copied.err
    shutil.copytree(tree, hadoop.root / "s3" / BUCKET / name)
    return url


def test_blocks_in_s3_are_copied_to_each_mapper(command, environment, ministack, hadoop, tmp_path):
    """The manifest has the planned blocks; a damaged one is counted, a lost attempt repeated."""
    tree = write_tree(tmp_path)
    damaged = next(path for path in sorted(tree.rglob("*")) if path.is_file())
    damaged.with_suffix(".gz").write_bytes(b"\x1f\x8b not gzip at all")
    url = copy_to_s3(command, environment, ministack, hadoop, tree, "hadoop")
    (hadoop.root / "flaky").touch()
    job = ("run", JOBS / "every_hook.py", url, "--reducers", 2, "--report")

    done = command(*job, "theirs.json", *hadoop.options, "--cleanup", "NONE")
    ours = command(*job, "ours.json")

    assert done.code == ours.code == 0, done.err
    assert done.out == ours.out
    reports = [json.loads((tmp_path / name).read_text()) for name in ("theirs.json", "ours.json")]
    for name in ("records", "blocks", "bad_blocks", "bytes", "counters"):
        assert reports[0][name] == reports[1][name]
    assert reports[0]["blocks"]["bad"] == 1
    keys = sorted(p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file())
    (manifest,) = [path for path in hadoop.left() if path.name == "input-manifest.txt"]
    assert manifest.read_text() == "".join(f"{url}/{key}\n" for key in keys)
    copied = [call[2] for call in hadoop.calls("fs", "-copyToLocal")]
    assert sorted(copied) == sorted(2 * [f"{url}/{key}" for key in keys])
    assert not [name for name in hadoop.puts() if name.startswith("0000")]


def test_what_a_task_told_is_shown(command, hadoop, tmp_path):
    """The cause is in the logs of the task; the job ends with a sentence that names no file."""
    done = command("run", f"{JOBS / 'failing.py'}:FailsInReduce", write_tree(tmp_path),
                   "--reducers", 1, *hadoop.options)  # fmt: skip

    assert done.code == 1
    assert "Probable cause of failure:" in done.err
    assert "TaskFailed: key 'Linux': KeyError: 'Linux'" in done.err
    assert f'File "{JOBS / "failing.py"}", line 64, in reduce' in done.err
    assert done.err.splitlines()[-1] == (
        "mr-telemetry: mrjob's -r hadoop: Step 1 of 1 failed: its command returned non-zero exit "
        "status 256; its log above has the cause."
    )


def test_an_analysis_with_many_counters_runs(command, hadoop, tmp_path):
    """Hadoop would end a job with so many: some are in its log, all are in the report."""
    (tmp_path / "counting.py").write_text(MANY_COUNTERS)

    done = command("run", "counting.py", write_tree(tmp_path), "--report", "report.json",
                   *hadoop.options)  # fmt: skip

    assert done.code == 0, done.err
    assert done.rows == [["records", 5]]
    assert done.err.count("\t\tcounter ") == 56
    counters = json.loads((tmp_path / "report.json").read_text())["counters"]
    assert counters == {f"counter {number}": 5 for number in range(100)}


@pytest.mark.parametrize("name", ["my block.lzma", "block*.lzma", "it's.lzma", "a{b}.lzma"])
def test_names_that_a_shell_takes_apart_are_refused(
    command, environment, ministack, hadoop, tmp_path, name
):
    """Before anything is uploaded."""
    tree = tmp_path / "tree"
    block = tree / write_block(tree, [payload()])
    block.rename(block.with_name(name))
    url = copy_to_s3(command, environment, ministack, hadoop, tree, f"odd-{len(name)}")
    place = f"{url}/{(block.with_name(name)).relative_to(tree)}"

    done = command("run", "os_distribution", place, *hadoop.options)

    assert done.code == 1
    assert (
        f"mr-telemetry: {place}: mrjob's -r hadoop cannot take a block of such a name" in done.err
    )
    assert not (hadoop.root / "calls.jsonl").exists()


def test_blocks_from_two_places_are_refused(command, environment, ministack, hadoop, tmp_path):
    """Some of this machine, some in S3: mrjob's manifest cannot have both."""
    tree = write_tree(tmp_path)
    url = copy_to_s3(command, environment, ministack, hadoop, tree, "two")
    write_block(tmp_path / "more", [payload()], number=7)

    done = command("run", "os_distribution", url, tmp_path / "more", *hadoop.options)

    assert done.code == 1
    assert "-r hadoop takes blocks from this machine or from S3, not from both:" in done.err
    assert not (hadoop.root / "calls.jsonl").exists()


def test_blocks_that_only_hadoop_can_read(environment, hadoop, tmp_path):
    """A job of mrjob's own over a pattern in HDFS, with a filter by the blocks' paths."""
    tree = write_tree(tmp_path)
    write_block(tree, [payload("BeOS")], appName="Fennec")
    shutil.copytree(tree, hadoop.root / "hdfs/telemetry")
    fields = ("reason", "appUpdateChannel", "appVersion", "appBuildID", "submission_date")
    dimensions = [{"field_name": field, "allowed_values": "*"} for field in fields]
    dimensions.insert(1, {"field_name": "appName", "allowed_values": "Firefox"})
    (tmp_path / "filter.json").write_text(json.dumps({"version": 1, "dimensions": dimensions}))
    words = ["os_distribution", "-r", "hadoop", *hadoop.options[4:], "--partitions", "2"]

    done = subprocess.run(
        [sys.executable, "-m", "mr.engines.mrjob", *words, "--filter", "filter.json",
         "hdfs:///telemetry/*/*/*/*/*.lzma"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ['"Darwin"\t1', '"Linux"\t2', '"WINNT"\t2']
    assert "blocks left out by the filter=1\n" in done.stderr
    assert "wd/filter.json" in hadoop.puts()
