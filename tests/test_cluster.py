"""Commands that use a cluster, as a person would: each on real servers and real workers."""

import json
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from clusters import plan
from conformance import Checked, check_published
from conftest import COMMAND_TIMEOUT_S, JOBS, in_s3, run_command
from published import payload, times, write_block, write_definitions
from reference import by_system, every_hook

from mr.cli import fetch
from mr.directory import DirectoryStore
from mr.ends import cancelled, write_end
from mr.errors import JobFailed
from mr.histograms import open as open_published
from mr.stores import open_store


def until(condition, what: str):
    """Wait for something that must come, and return it."""
    deadline = time.monotonic() + COMMAND_TIMEOUT_S / 2
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.1)
    return found


@pytest.fixture
def aws(cluster, monkeypatch):
    """This process speaks to the cluster's servers too."""
    for name, value in cluster.settings.items():
        monkeypatch.setenv(name, value)


def test_a_submitted_job_is_done_by_workers_alone(cluster_command, tree):
    """`submit` returns at once; `status` tells how it stands, `fetch --wait` gives the result."""
    submitted = cluster_command("submit", JOBS / "every_hook.py", tree.path)
    job = submitted.out.decode().strip()
    early = cluster_command("fetch", job, "-o", "early.jsonl")

    fetched = cluster_command("fetch", job, "--wait", "--report", "report.json")
    status = cluster_command("status", job, "--json")
    short = cluster_command("status", job[-6:])

    assert submitted.code == fetched.code == status.code == 0, fetched.err
    assert early.code in (0, 1)
    assert early.code == 0 or "has no result yet" in early.err
    assert fetched.rows == every_hook(tree.path)
    stood = json.loads(status.out)
    assert stood["state"] == "done"
    assert {one["stage"]: one["committed"] for one in stood["stages"]} == {
        one["stage"]: one["tasks"] for one in stood["stages"]
    }
    assert [one["stage"] for one in stood["stages"]] == ["1-map", "1-reduce", "2-map", "2-reduce"]
    assert (stood["messages"], stood["dead_letters"]) == (0, 0)
    assert "0 messages in the queue" in short.out.decode()
    assert job in short.out.decode()
    assert job in cluster_command("jobs").out.decode()


def test_who_waits_is_told_of_a_job_that_nobody_coordinates(tree, store, monkeypatch):
    """Once, after a while, with how to go on; waiting goes on till the job has ended."""
    jobs = DirectoryStore(store)
    spec = plan(jobs, tree.path, "every_hook")
    now, looks = 0.0, 0

    def sleep(seconds):
        nonlocal now, looks
        now, looks = now + seconds, looks + 1
        if looks == 100:
            write_end(jobs, spec.job, cancelled("enough"))

    clock = SimpleNamespace(sleep=sleep, monotonic=lambda: now)
    monkeypatch.setattr(fetch, "time", clock)
    told = []
    monkeypatch.setattr(fetch.click, "echo", lambda text, **to: told.append((now, text, to)))
    asked = ["--store", str(store), spec.job, "--wait"]
    done = CliRunner().invoke(fetch.command, asked)

    assert isinstance(done.exception, JobFailed)
    assert "enough" in str(done.exception)
    [(when, text, to)] = told
    assert fetch.TELL_AFTER_S <= when <= fetch.TELL_AFTER_S + 2 * fetch.LOOK_S
    assert f"`mr-telemetry resume {spec.job}`" in text
    assert to == {"err": True}


def test_logs_reach_the_store(cluster_command, tree):
    """Each attempt has a line in `logs`, and what the analysis printed stands below it."""
    done = cluster_command("run", f"{JOBS / 'failing.py'}:Prints", tree.path, "--quiet")
    assert done.code == 0, done.err
    job = [
        line.split()[0] for line in cluster_command("jobs").out.decode().splitlines()
        if "failing" in line
    ][-1]  # fmt: skip

    lines = until(
        lambda: (found := cluster_command("logs", job, "--json")).code == 0 and found.rows,
        "a piece of the log",
    )

    assert {line["job"] for line in lines} == {job}
    maps = [line for line in lines if line["task"].startswith("1-map")]
    assert {line["state"] for line in lines} == {"committed"}
    assert any("hello from map" in text for line in maps for text in line["output"])
    shown = cluster_command("logs", job, maps[0]["task"])
    assert "'1-map-7' is no task's id" in cluster_command("logs", job, "1-map-7").err
    assert "committed" in shown.out.decode()
    assert "hello from map" in shown.out.decode()


def test_a_failure_is_replayed_here(cluster_command, tree):
    """A job that fails shows the analysis's traceback, block and line, and so does `replay`."""
    failed = cluster_command("run", f"{JOBS / 'failing.py'}:Raises", tree.path)
    job = [
        line.split()[0] for line in cluster_command("jobs").out.decode().splitlines()
        if "failing" in line
    ][-1]  # fmt: skip
    status = json.loads(cluster_command("status", job, "--json").out)
    task = status["failures_shown"][0].split()[0]

    replayed = cluster_command("replay", job, task)
    assert failed.code == replayed.code == 1
    assert status["state"] == "failed"
    for text in ("no Darwin, please", ", line ", "failing.py"):
        assert text in failed.err
        assert text in replayed.err
    assert cluster_command("replay", job, "1-map-9999999").code == 2
    assert cluster_command("replay", job, "../x").code == 2


def test_a_healthy_task_is_replayed_too(cluster_command, tree):
    """`replay` says so when a task runs to its end here."""
    done = cluster_command("run", f"{JOBS / 'failing.py'}:FailsInReduce", tree.path)
    job = [
        line.split()[0] for line in cluster_command("jobs").out.decode().splitlines()
        if "FailsInReduce" in line
    ][-1]  # fmt: skip

    replayed = cluster_command("replay", job, "1-map-0000000")

    assert done.code == 1
    assert "key 'Linux'" in done.err
    assert replayed.code == 0, replayed.err
    assert "runs to its end here" in replayed.err


def test_results_go_to_s3(cluster_command, tree, aws, tmp_path):
    """A file's name or a prefix in S3 takes the result, in any format."""
    where = f"s3://mr-telemetry/results/{tmp_path.name}"
    one = cluster_command("run", "os_distribution", tree.path, "-o", f"{where}/out.csv")
    many = cluster_command(
        "run", "os_distribution", tree.path, "-o", f"{where}/parts/", "--reducers", 3
    )
    again = cluster_command(
        "run", "os_distribution", tree.path, "-o", f"{where}/parts/", "--reducers", 3
    )
    assert cluster_command("copy", where, tmp_path / "here").code == 0

    assert one.code == many.code == 0, one.err + many.err
    assert again.code == 2
    assert "holds the result parts of" in again.err
    rows = (tmp_path / "here/out.csv").read_text().splitlines()
    assert rows == ["OS,records", *(f"{name},{count}" for name, count in by_system(tree.path))]
    parts = sorted((tmp_path / "here/parts").glob("part-*.jsonl"))
    found = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert sorted(found) == by_system(tree.path)


def test_histograms_are_published_to_s3(cluster_command, aws, tmp_path):
    """The published folder in a bucket is what one on disk is, gzipped; the second day adds."""
    blocks = tmp_path / "blocks"
    definitions = write_definitions(tmp_path)
    write_block(blocks, [payload(TIMES=times(1, 2)), payload("Linux", "3.1", TIMES=times(0, 4))])
    write_block(blocks, [payload(TIMES=times(3))], submission_date="20140603")
    published = f"s3://mr-telemetry/published/{tmp_path.name}"

    first = cluster_command(
        "run", "histograms", blocks, "-o", f"{published}/", "--definitions", definitions
    )
    assert first.code == 0, first.err
    assert cluster_command("copy", published, tmp_path / "first").code == 0
    write_block(blocks, [payload(TIMES=times(7))], number=3)
    more = in_s3(blocks, {}, tmp_path)
    for entry in DirectoryStore(blocks).list():
        if open_store(more).stat(entry.name) is None:
            open_store(more).write(entry.name, DirectoryStore(blocks).read(entry.name))
    second = cluster_command(
        "run", "histograms", blocks, "-o", f"{published}/", "--definitions", definitions
    )

    assert second.code == 0, second.err
    assert "not read again: 2 blocks" in second.err
    assert check_published(tmp_path / "first") == Checked(1, 2, 10, 6)
    version = open_published(published)["nightly/31"]
    assert version.histogram("TIMES").submissions == 4
    assert version.histogram("TIMES").count == 17


NOTEBOOK = """
    import mr
    from mr import Analysis

    FACTOR = 2

    class Doubled(Analysis):
        def map(self, record):
            yield record["info"]["OS"], FACTOR

        def reduce(self, key, values):
            yield key, sum(values)

    result = mr.run(Doubled, INPUT, engine="cluster", quiet=True)
    print(result.to_dict())
    print(result.report["records"]["read"])
"""


def test_a_class_of_a_notebook_cell_runs_on_the_cluster(
    cluster_environment, cluster_command, tree, tmp_path
):
    """`mr.run(..., engine="cluster")` takes a class that stands in no file, with its globals."""
    url = in_s3(tree.path, cluster_environment, tmp_path)
    code = textwrap.dedent(NOTEBOOK).replace("INPUT", repr(url))

    done = subprocess.run(
        [sys.executable, "-"],
        input=code,
        cwd=tmp_path,
        env=cluster_environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    )

    assert done.returncode == 0, done.stderr
    shown, read = done.stdout.splitlines()
    assert shown == str({system: 2 * count for system, count in by_system(tree.path)})
    assert int(read) == tree.truth.written.good


def test_modules_and_files_go_along(cluster_command, tree, tmp_path):
    """Workers import what lies beside the analysis, also late, and read what --with sends."""
    (tmp_path / "code").mkdir()
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/naming.py").write_text(
        "from pathlib import Path\n"
        "NAMES = Path(__file__).with_name('names.txt').read_text().split()\n"
    )
    (tmp_path / "lists/names.txt").write_text("WINNT Darwin")
    (tmp_path / "code/late.py").write_text("def label(name):\n    return name.lower()\n")
    (tmp_path / "code/job.py").write_text(
        textwrap.dedent("""
        from mr import Analysis

        class Labels(Analysis):
            def map(self, record):
                from late import label
                from naming import NAMES
                if record["info"]["OS"] in NAMES:
                    yield label(record["info"]["OS"]), 1

            def reduce(self, key, values):
                yield key, sum(values)
        """)
    )

    lists = str(tmp_path / "lists")
    done = cluster_command("run", tmp_path / "code/job.py", tree.path, "--with", lists)

    assert done.code == 0, done.err
    expected = [[name.lower(), count] for name, count in by_system(tree.path)]
    assert done.rows == sorted(row for row in expected if row[0] in ("winnt", "darwin"))
    assert len(done.rows) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--engine", "cluster", "--store", "here"), "a cluster keeps its jobs in S3"),
        (("--engine", "local"), "the local engine keeps its jobs in a directory"),
        (("--queue", "no/such:queue"), "queue"),
        (("--store", "s3://no-such-bucket-here/x"), "no-such-bucket-here"),
        (("--engine", "hadoop"), "none of the engines"),
        (("-o", "s3://no-such-bucket-here/x.csv"), "no-such-bucket-here"),
    ],
)
def test_settings_that_go_ill_together_are_told(cluster_command, arguments, sentence):
    """One sentence says what, where, and what to do; no task is sent."""
    done = cluster_command("run", "os_distribution", "s3://mr-telemetry/x", *arguments)

    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


def test_places_that_workers_cannot_reach_are_refused(cluster_command, tree):
    """Blocks and published folders of this machine are nothing to a cluster."""
    blocks = cluster_command("run", "os_distribution", str(tree.path))
    folder = cluster_command("run", "histograms", tree.path, "-o", "out/")

    assert blocks.code == folder.code == 2
    assert "mr-telemetry copy" in blocks.err
    assert "cannot publish there" in folder.err


def test_without_a_queue_nothing_is_planned(cluster_environment, tmp_path):
    """A store in S3 needs a queue, and says so."""
    environment = {k: v for k, v in cluster_environment.items() if k != "MR_TELEMETRY_QUEUE"}
    done = run_command(("run", "os_distribution", "s3://mr-telemetry/x"), environment, tmp_path)

    assert done.code == 2
    assert "--queue" in done.err
