"""The engine of mrjob by the command line: the bytes and reports of the local engine."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import mrjobs  # noqa: F401 - or else this is skipped
import pytest
from clusters import (  # noqa: F401 - fixtures
    plan,
    s3_tree_fixture,
    small_tree_fixture,
    wait_until,
)
from conftest import COMMAND_TIMEOUT_S, JOBS
from mrjob.step import StepFailedException
from mrjobs import need_spark, own_places_fixture  # noqa: F401 - a fixture
from published import content, payload, times, versions, write_block, write_definitions

from mr import run
from mr.blocks import Block
from mr.directory import DirectoryStore
from mr.ends import EndState
from mr.engines.local import run_here
from mr.engines.mrjob.engine import Runner, _explaining, run_by_mrjob
from mr.engines.mrjob.telemetry_job import _open_copy
from mr.errors import JobFailed, ObjectChanged
from mr.progress import Display

#: What of a report does not depend on where a job ran.
SAME = (
    "complete", "blocks", "records", "bad_records", "bad_record_places", "bad_blocks",
    "missing_blocks", "why_empty", "counters", "bytes", "pairs_mapped", "state", "reason",
)  # fmt: skip

#: The second step gets nothing, and says so.
NOTHING = """
from mr import Analysis


class Second(Analysis):
    def map(self, pair):
        yield pair
        self.count("mapped")

    def setup_reduce(self, output):
        output.write("header", 0)

    def reduce(self, key, values):
        yield key, list(values)


class MapOnly(Analysis):
    def map(self, pair):
        yield pair


class Reduced(Analysis):
    then = Second

    def map(self, record):
        yield record.id, 1
        self.count("records")

    def reduce(self, key, values):
        yield from ()


class Exported(Reduced):
    then = MapOnly


class Thrice(Reduced):
    class Between(Reduced):
        then = Second

        def map(self, pair):
            yield pair

    then = Between
"""


@pytest.fixture
def both(command, tmp_path):
    """Run a job on the local engine and by mrjob; gives both answers, with their reports."""

    def run_both(runner, *arguments):
        found = []
        for engine in (("local",), ("mrjob", "-r", runner)):
            report = tmp_path / f"{engine[0]}.json"
            done = command("run", *arguments, "--report", report.name, "--engine", *engine)
            told = json.loads(report.read_text()) if report.exists() else {}
            found.append((done, {name: told.get(name) for name in SAME}))
        return found

    return run_both


def check_both(both, *arguments):
    """Check that a job gives the same either way; returns what mrjob's gave."""
    (done, told), (other, other_told) = both(*arguments)
    assert done.code == other.code == 0, other.err
    assert other.out == done.out
    assert other_told == told
    return other, other_told


# The same bytes


@pytest.mark.parametrize(
    ("job", "cut", "lines"),
    [("every_hook", ("--limit-blocks", 16), 1), ("map_only", ("--limit-blocks", 8), 26),
     ("plain_script", ("--limit-blocks", 8), 3)],
)  # fmt: skip
def test_tasks_in_processes_give_the_same_bytes(both, small_tree, job, cut, lines):
    """Each block to a process of its own, by mrjob's shell scripts: the result and the report."""
    done, _ = check_both(both, "local", JOBS / f"{job}.py", small_tree, "--reducers", 3, *cut)

    assert len(done.out.splitlines()) == lines
    assert "Running step 1 of" in done.err


def test_spark_gives_the_same_bytes(both, small_tree, own_places):
    """Two steps whose order matters, in three partitions; nothing stays on the disk."""
    need_spark()

    done, _ = check_both(
        both, "spark", JOBS / "every_hook.py", small_tree, "--reducers", 3, "--workers", 3
    )

    assert len(done.out.splitlines()) == 2
    assert "Counters for step 2: 2" in done.err
    assert [path.name for path in own_places.glob("telemetry_job*")] == []


def write_tree(folder):
    """A tree of three blocks of two versions, with definitions."""
    tree = folder / "tree"
    write_block(tree, [payload(TIMES=times(1, 2)), payload("Linux", "3.13.0", TIMES=times(0, 4))])
    write_block(tree, [payload(TIMES=times(3), SEEN=[2, 1, 0, 1, 1, 1, -1, -1])], number=1)
    write_block(tree, [payload("Darwin", "12", TIMES=times(5))], appVersion="32.0a1")
    return tree, ("--definitions", write_definitions(folder), "--reducers", 2)


def test_histograms_in_processes_are_published_alike(command, tmp_path):
    """Every file that the local engine publishes, and a second run finds nothing new."""
    tree, options = write_tree(tmp_path)
    ours = command("run", "histograms", tree, *options, "-o", "ours/")
    job = ("run", "histograms", tree, *options, "-o", "theirs/", "--engine", "mrjob", "-r", "local")

    done = command(*job)
    again = command(*job)

    assert ours.code == done.code == again.code == 0, done.err + again.err
    assert set(versions(tmp_path / "theirs")) == {"nightly/31", "nightly/32"}
    assert content(tmp_path / "theirs") == content(tmp_path / "ours")
    assert len(content(tmp_path / "ours")) > 20
    assert "Published already, so not read again: 3 blocks." in again.err


def test_histograms_of_the_small_tree_are_published_alike(command, small_tree, tmp_path):
    """Hundreds of measures, by the tasks of this process."""
    ours = command("run", "histograms", small_tree, "-o", "ours/")
    done = command("run", "histograms", small_tree, "-o", "theirs/", "--engine", "mrjob")

    assert ours.code == done.code == 0, done.err
    assert content(tmp_path / "theirs") == content(tmp_path / "ours")
    assert len(content(tmp_path / "ours")) > 1000


def test_spark_publishes_into_a_bucket(command, environment, ministack, s3_tree, tmp_path):
    """Its tasks read what lies in a bucket, and write there; into a folder of ours they may not."""
    need_spark()
    environment.update(ministack.environment)
    tree, options = write_tree(tmp_path)
    job = ("run", "histograms", tree, *options)
    spark = ("--engine", "mrjob", "-r", "spark", "--workers", 2)
    place = s3_tree.replace("trees/small", "published-by-spark")
    ours = command(*job, "-o", "ours/")

    refused = command(*job, "-o", "theirs/", *spark)
    done = command(*job, "-o", f"{place}/", *spark)
    fetched = command("copy", place, "theirs")

    assert refused.code == 2
    assert "theirs/ is on this machine, where -r spark cannot publish" in refused.err
    assert ours.code == done.code == fetched.code == 0, done.err + fetched.err
    assert content(tmp_path / "theirs") == content(tmp_path / "ours")


def test_blocks_in_s3_are_read_by_their_tasks(both, environment, ministack, s3_tree, small_tree):
    """Blocks of a bucket, and one of this machine beside them, which is the same as one there."""
    environment.update(ministack.environment)
    one = next(path for path in sorted(small_tree.rglob("*")) if path.is_file())

    done, report = check_both(both, "inline", JOBS / "every_hook.py", s3_tree, one, "--reducers", 2)

    assert report["blocks"]["read"] == 24
    assert report["blocks"]["repeated"] == 1
    assert len(done.out.splitlines()) == 2


def test_a_notebook_runs_in_its_own_process(small_tree, store, environment, monkeypatch):
    """`mr.run` with the engine gives the pairs that the local one gives."""
    for name in ("TMPDIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, environment[name])
    job = str(JOBS / "every_hook.py")

    found = run(job, str(small_tree), store=str(store), engine="mrjob")

    assert list(found) == list(run(job, str(small_tree), store=str(store), engine="local"))
    assert found.report["counters"]["seen"] == 42


def test_a_folder_with_blanks_holds_the_jobs(both, environment, small_tree, tmp_path):
    """mrjob's shell scripts, which quote nothing, get nothing that such a folder names."""
    environment["MR_TELEMETRY_STORE"] = str(tmp_path / "my jobs [1]")

    check_both(both, "local", "os_distribution", small_tree, "--limit-blocks", 3)


def test_names_that_a_shell_would_take_apart_are_read(both, tmp_path):
    """Blocks of any name: what mrjob gets are links to them."""
    tree = tmp_path / "my blocks $HOME"
    write_block(tree, [payload()])
    write_block(tree, [payload("Linux")], appName="Fire*fox", number=1)

    done, _ = check_both(both, "local", "os_distribution", tree)

    assert done.rows == [["Linux", 1], ["WINNT", 1]]


# Nothing to do


@pytest.mark.parametrize("name", ["Reduced", "Exported", "Thrice"])
def test_a_step_without_a_result_gives_what_the_local_engine_gives(
    both, small_tree, tmp_path, name
):
    """A later step gets no rows at all, so that mrjob has nothing to run."""
    (tmp_path / "nothing.py").write_text(NOTHING)

    done, report = check_both(both, "inline", f"nothing.py:{name}", small_tree, "--reducers", 2)

    assert done.rows == ([] if name == "Exported" else [["header", 0]])
    assert report["counters"] == {"records": 42}


def test_an_input_without_blocks_gives_an_empty_result(both, small_tree, tmp_path):
    """A filter that allows none of them: mrjob is not even started."""
    allowed = dict.fromkeys(
        ("reason", "appUpdateChannel", "appVersion", "appBuildID", "submission_date"), "*"
    )
    (tmp_path / "none.json").write_text(filter_text(appName="Nobody", **allowed))

    done, report = check_both(both, "local", "os_distribution", small_tree, "--filter", "none.json")

    assert done.out == b""
    assert report["blocks"]["selected"] == 0
    assert "Running step" not in done.err


def filter_text(**allowed):
    """A filter as a file has it."""
    fields = ("reason", "appName", "appUpdateChannel", "appVersion", "appBuildID")
    dimensions = [
        {"field_name": field, "allowed_values": allowed.get(field, "*")}
        for field in (*fields, "submission_date")
    ]
    return json.dumps({"version": 1, "dimensions": dimensions})


# Damage


def test_a_damaged_tree_gives_the_same_report(both, damaged_tree):
    """Bad records with their places, bad blocks, counters and bytes: all as on the local engine."""
    job = (JOBS / "every_hook.py", damaged_tree.path, "--max-bad-records", "100%")

    _, report = check_both(both, "inline", *job)

    truth = damaged_tree.truth
    assert report["records"]["read"] == truth.readable.good > 50
    assert report["records"]["bad"] == sum(truth.readable.bad.values()) > 5
    assert len(report["bad_record_places"]) == report["records"]["bad"]
    assert report["blocks"]["bad"] == len(truth.bad_blocks) > 3
    assert report["counters"]["seen"] == truth.readable.good


@pytest.mark.parametrize("limit", [("--max-bad-records", 1), ("--strict",)])
def test_too_many_bad_records_fail_with_3(both, damaged_tree, limit):
    """The limits hold, though here they are judged when all blocks have been read."""
    (done, _), (other, told) = both("inline", "os_distribution", damaged_tree.path, *limit)

    assert done.code == other.code == 3, other.err
    assert other.out == b""
    assert told["state"] == "failed"
    bad = sum(damaged_tree.truth.readable.bad.values())
    if limit == ("--strict",):
        assert "leave --strict out" in other.err
    else:
        assert told["records"]["bad"] == bad
        assert "mr-telemetry: more than 1 bad records, the first: " in other.err
        assert "run again with a higher --max-bad-records" in other.err


def test_a_packed_block_that_is_none_is_counted(both, tmp_path):
    """A block is told by its content: a damaged one fails no task, whatever its name."""
    tree = tmp_path / "tree"
    block = tree / write_block(tree, [payload()])
    (block.parent / block.name.replace(".lzma", ".gz")).write_bytes(b"\x1f\x8b damaged")

    _, report = check_both(both, "local", "os_distribution", tree)

    assert report["blocks"]["bad"] == 1
    assert report["bytes"]["compressed"] == block.stat().st_size + 10


def test_blocks_that_go_or_change_after_planning_are_told(store, tmp_path):
    """A deleted block is missing, a replaced one bad, even of the same size: as everywhere."""
    reports = []
    for runner in (None, "inline", "local"):
        tree = tmp_path / "tree"
        paths = [tree / write_block(tree, [payload()], number=number) for number in range(5)]
        jobs = DirectoryStore(store)
        spec = plan(jobs, tree, "every_hook")
        paths[1].unlink()
        write_block(tree, [payload("Linux"), payload()], number=2)
        same = paths[3].read_bytes()
        paths[3].unlink()
        paths[3].write_bytes(same)
        how = {"workers": 1, "scratch": tmp_path / "scratch", "observer": Display(0, quiet=True)}
        if runner is None:
            end, report = run_here(jobs, spec, **how)
        else:
            end, report = run_by_mrjob(jobs, Runner(runner), spec, quiet=True, **how)
        assert end.state is EndState.DONE
        reports.append({name: report[name] for name in SAME})

    assert reports[0]["missing_blocks"] == [str(paths[1])]
    assert [bad["block"] for bad in reports[0]["bad_blocks"]] == [str(paths[2]), str(paths[3])]
    assert reports[0]["counters"]["seen"] == 2
    assert reports[1] == reports[2] == reports[0]


def test_a_copy_of_another_size_is_not_read(small_tree):
    """Of what a cluster has copied the size is all that tells it from what was planned."""
    path = next(path for path in sorted(small_tree.rglob("*")) if path.is_file())
    size = path.stat().st_size
    planned, other = (
        Block("s3://bucket", path.name, number, "tag", ()) for number in (size, size + 1)
    )

    with _open_copy(str(path), planned) as copy:
        assert copy.read() == path.read_bytes()
    with pytest.raises(ObjectChanged, match=f"{path.name} has another size than when the job was"):
        _open_copy(str(path), other)


# Failures


def test_an_exception_of_the_analysis_shows_its_own_traceback(command, small_tree):
    """In this process: where it was, the person's lines, and nothing of ours."""
    done = command("run", f"{JOBS / 'failing.py'}:Raises", small_tree, "--engine", "mrjob")

    assert done.code == 1
    assert done.out == b""
    told = done.err[done.err.index("mr-telemetry: the analysis failed at ") :].splitlines()
    assert told[0].endswith(".lzma, line 1: ValueError: no Darwin, please")
    assert told[1:] == [
        "",
        "Traceback (most recent call last):",
        f'  File "{JOBS / "failing.py"}", line 14, in map',
        '    raise ValueError("no Darwin, please")',
        "ValueError: no Darwin, please",
    ]
    assert "mr/engines" not in done.err


@pytest.mark.parametrize(
    ("job", "cause"),
    [("Raises", "ValueError: no Darwin, please"), ("FailsInReduce", "KeyError: 'Linux'")],
)
def test_what_a_task_told_is_shown(command, tmp_path, job, cause):
    """Of a process mrjob shows the end of its log, even with --quiet; then one sentence of ours."""
    tree, _ = write_tree(tmp_path)

    done = command(
        "run", f"{JOBS / 'failing.py'}:{job}", tree,
        "--engine", "mrjob", "-r", "local", "--quiet", "--num-cores", 2,
    )  # fmt: skip

    assert done.code == 1
    assert "Probable cause of failure:" in done.err
    assert f"\nTaskFailed: {'key' if job == 'FailsInReduce' else tree}" in done.err
    assert f'File "{JOBS / "failing.py"}", line ' in done.err
    assert cause in done.err.splitlines()
    assert done.err.splitlines()[-1] == (
        "mr-telemetry: mrjob's -r local: Step 1 of 1 failed: its command returned non-zero exit "
        "status 1; its log above has the cause."
    )
    # Tasks that are ended because another has failed go without a word.
    assert done.err.count("Traceback") == 1


@pytest.mark.parametrize(
    "ending", ["returned non-zero exit status 256.", "died with <Signals.SIGKILL: 9>."]
)
def test_a_failed_step_is_told_without_its_command_line(ending):
    """Spark's names a file for each split of the input, and there may be thousands."""
    reason = f"Command '['spark-submit', 'it\\'s returned', {'x' * 10_000!r}]' {ending}"
    failed = StepFailedException(reason=reason, step_num=1, num_steps=3)

    with pytest.raises(JobFailed) as caught, _explaining(Runner("spark")):
        raise failed

    assert str(caught.value) == (
        f"mrjob's -r spark: Step 2 of 3 failed: its command {ending[:-1]}; its log above has the "
        "cause."
    )


def test_counters_are_mrjobs_too(command, small_tree):
    """In its log, under the analysis's name and ours, with the numbers of the report."""
    done = command("run", JOBS / "every_hook.py", small_tree, "--engine", "mrjob")

    counters = done.err.partition("Counters: 8\n")[2].partition("\nRunning step 2")[0]
    compressed = sum(path.stat().st_size for path in small_tree.rglob("*") if path.is_file())
    assert counters.split("\n") == [
        "\tEveryHook",
        "\t\trecords of Fennec=22",
        "\t\trecords of Firefox=19",
        "\t\trecords of Thunderbird=1",
        "\t\tseen=42",
        "\tmr-telemetry",
        "\t\tblocks=24",
        f"\t\tcompressed bytes={compressed}",
        "\t\traw bytes=1491567",
        "\t\trecords=42",
        "",
    ]
    groups = sum(len(found) for _, found in done.rows)
    assert f"Counters: 2\n\tRanked\n\t\tgroups={groups}\n\tmr-telemetry\n\t\trecords=" in done.err


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_a_killed_driver_leaves_a_job_that_can_be_resumed(
    command, environment, small_tree, own_places, tmp_path, runner
):
    """Killed with -9 while blocks are mapped: `resume` runs the job anew, with the same bytes."""
    job = (JOBS / "every_hook.py", small_tree, "--set", "pause_s=0.1", "--reducers", 2)
    words = ["run", *job, "--engine", "mrjob", "-r", runner]
    with (tmp_path / "errors").open("wb") as errors:
        driver = subprocess.Popen(
            [sys.executable, "-m", "mr.cli.main", *map(str, words)],
            env=environment, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
        )  # fmt: skip
    try:
        mapped = "telemetry_job*/step/000/mapper/*/output"
        wait_until(
            lambda: sum(path.stat().st_size > 0 for path in own_places.glob(mapped)) > 2,
            "the third block",
        )
        driver.kill()
        assert driver.communicate()[0] == b""
        assert driver.returncode == -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
    told = (tmp_path / "errors").read_text()
    name = told.partition("Job ")[2].partition(":")[0]

    resumed = command("resume", name)

    assert resumed.code == 0, resumed.err
    assert resumed.out == command("run", *job, "--set", "pause_s=0").out
    assert len(resumed.out) > 100


def test_ctrl_c_leaves_a_job_that_can_be_resumed(environment, small_tree, own_places, tmp_path):
    """Stopped, it says how to go on."""
    words = ["run", str(JOBS / "every_hook.py"), str(small_tree), "--set", "pause_s=0.1"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "mr.cli.main", *words, "--engine", "mrjob"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    mapped = "telemetry_job*/step/000/mapper/*/output"
    wait_until(lambda: len(list(own_places.glob(mapped))) > 2, "the third block")

    driver.send_signal(signal.SIGINT)
    out, err = driver.communicate(timeout=COMMAND_TIMEOUT_S)

    assert (driver.returncode, out) == (130, ""), err
    name = err.partition("Job ")[2].partition(":")[0]
    assert f"stopped; `mr-telemetry resume {name}` runs the job anew, on this machine." in err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_no_task_outlives_its_job(environment, small_tree, own_places, tmp_path):
    """Stopped in the midst of a map, the command takes the processes of mrjob's with it."""
    mapping = tmp_path / "mapping"
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n\ndef map(key, dimensions, value, context):\n"
        f"    pathlib.Path({str(mapping)!r}).touch()\n    time.sleep(300)\n"
    )
    words = ["run", str(tmp_path / "slow.py"), str(small_tree)]
    driver = subprocess.Popen(
        [sys.executable, "-m", "mr.cli.main", *words, "--engine", "mrjob", "-r", "local"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(mapping.exists, "a map")
        assert _tasks_of(driver.pid)
        driver.terminate()
        driver.communicate(timeout=COMMAND_TIMEOUT_S)

        assert driver.returncode == 130
        wait_until(lambda: not _tasks_of(driver.pid), "the end of all tasks")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)


def _tasks_of(session):
    """The tasks of mrjob's that run in a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            of = int(status.read_text().rpartition(")")[2].split()[3])
            line = status.with_name("cmdline").read_bytes()
            if of == session and b"--mapper" in line and b"telemetry_job.py" in line:
                found.append(status)
    return found


def test_a_failed_job_is_not_run_again(command, own_places, small_tree):
    """By `resume` either: it tells how the job has ended. Nothing of mrjob's is left."""
    failed = command("run", f"{JOBS / 'failing.py'}:Raises", small_tree, "--engine", "mrjob")
    name = failed.err.partition("Job ")[2].partition(":")[0]

    resumed = command("resume", name, "--engine", "mrjob")

    assert (failed.code, resumed.code) == (1, 1)
    assert "the analysis failed" in resumed.err
    assert "Running step" in failed.err
    assert "Running step" not in resumed.err
    assert list(own_places.glob("telemetry_job*")) == []


# What cannot be asked for


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--engine", "mrjob", "-r", "nowhere"),
            "-r nowhere: mrjob's runners are inline, local, hadoop, emr, dataproc, spark.",
        ),
        (
            ("--engine", "mrjob", "-r", "local", "--no-such-option", "3"),
            "mrjob says: unrecognized arguments: --no-such-option 3.",
        ),
        (
            ("--engine", "mrjob", "-r", "local", "--num-cores", "many"),
            "mrjob says: argument --num-cores: invalid int value: 'many'.",
        ),
        (("-r", "local"), "-r: is for --engine mrjob."),
        (("-r", "local", "--num-cores", "2"), "--num-cores: no such option."),
        (("--engine", "local", "-r", "inline"), "-r: is for --engine mrjob."),
    ],
)
def test_what_mrjob_does_not_have_is_refused(command, tmp_path, words, sentence):
    """One clear sentence and exit code 2, before anything is planned."""
    done = command("run", "os_distribution", tmp_path, *words)

    assert (done.code, done.out) == (2, b"")
    assert done.err == f"mr-telemetry: {sentence}\n"


@pytest.mark.parametrize("engine", [(), ("--engine", "local")])
def test_an_unknown_option_of_another_engine_is_ours(command, tmp_path, engine):
    """It cannot be mrjob's."""
    done = command("run", "os_distribution", tmp_path, *engine, "--num-cores", "2")

    assert done.code == 2
    assert "No such option '--num-cores'" in done.err
    assert "Traceback" not in done.err


def test_mrjobs_options_need_no_runner_but_come_after_the_analysis(command, small_tree):
    """`inline` is the default; before ANALYSIS it cannot be told what is an option's value."""
    one = next(path for path in sorted(small_tree.rglob("*")) if path.is_file())

    done = command("run", "os_distribution", one, "--engine", "mrjob", "--owner", "me", "--verbose")
    refused = command("run", "--owner=me", "os_distribution", one, "--engine", "mrjob")

    assert done.code == 0, done.err
    assert "Active configuration:" in done.err
    assert refused.code == 2
    assert "--owner: no such option; those of mrjob come after ANALYSIS." in refused.err


def test_options_of_mrjob_stand_anywhere(command, small_tree):
    """Before, between and after the inputs."""
    one, *_, other = (path for path in sorted(small_tree.rglob("*")) if path.is_file())
    mrjob = ("--engine", "mrjob", "-r", "inline")

    done = command(
        "run", "os_distribution", *mrjob, "--owner", one, one, "--label", "x", other, "--verbose"
    )

    assert done.code == 0, done.err
    assert done.out == command("run", "os_distribution", one, other).out
    assert "Active configuration:" in done.err


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        (None, "[Errno 2] No such file or directory: 'mrjob.conf'."),
        ("runners: [inline: {", "while parsing a flow node expected the node content"),
        ("runners: {inline: {cleanup: often}}", "cleanup must be one of ALL, "),
    ],
)
def test_a_configuration_that_is_amiss_is_told(command, small_tree, tmp_path, conf, sentence):
    """Whatever raises it: one sentence, exit code 2."""
    if conf is not None:
        (tmp_path / "mrjob.conf").write_text(conf)

    done = command(
        "run", "os_distribution", small_tree,
        "--engine", "mrjob", "-r", "inline", "--conf-path", "mrjob.conf",
    )  # fmt: skip

    assert done.code == 2
    assert f"mr-telemetry: -r inline: mrjob says: {sentence}" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("runner", "sentence"),
    [
        (("hadoop",), "cannot go on: FileNotFoundError: [Errno 2] No such file or directory: "),
        (
            ("hadoop", "--hadoop-bin", "false"),
            "cannot go on: CalledProcessError: Command '['false', 'version']' returned non-zero",
        ),
    ],
)
def test_a_cluster_that_is_not_there_is_told(command, environment, small_tree, runner, sentence):
    """What mrjob raises of what it cannot reach is one sentence, and the job has failed."""
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:/usr/bin:/bin"

    done = command("run", "os_distribution", small_tree, "--engine", "mrjob", "-r", *runner)

    assert done.code == 1
    assert f"mr-telemetry: mrjob's -r hadoop {sentence}" in done.err
    assert "Traceback" not in done.err
