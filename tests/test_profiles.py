"""Where the time went: the table of a job, the report's numbers, and the profiles by function."""

import cProfile
import json
import marshal
import pstats

import msgspec
import pytest
from conftest import JOBS

import mr
from mr import layout
from mr.commits import (
    Commit,
    PackedProfile,
    committed_tasks,
    held,
    read_commit,
    write_commit,
)
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.errors import StoreUnavailable, UsageError
from mr.launch import Request, prepare_job
from mr.loading import load_analysis
from mr.profiles import (
    COLUMNS,
    WORKERS_SHOWN,
    check_profile,
    fetch_profiles,
    profile_report,
    profile_table,
    told_profile,
)
from mr.stopwatch import STAGES, Spent

#: Small enough that every map spills, and combines what it has spilled.
SPILLING = ("--buffer-size", "2KB", "--reducers", 2, "--workers", 2)

PROFILE = {"read": Spent(0.5, 1_000_000), "map": Spent(2.0, 3_000_000), "other": Spent(0.25, 0)}


def commit(number, worker, profile=PROFILE):
    """A commit of a map task."""
    return Commit(layout.task_id("1-map", number), "a", [], worker=worker, profile=profile)


# The numbers


def test_the_report_adds_up_by_worker():
    """Sums of the commits of each worker, and of all; worker-10 comes after worker-2."""
    report = profile_report([commit(0, "worker-10"), commit(1, "worker-2"), commit(2, "worker-2")])

    assert list(report["workers"]) == ["worker-2", "worker-10"]
    assert report["workers"]["worker-2"] == {
        "tasks": 2,
        "seconds": 5.5,
        "stages": {
            "read": {"seconds": 1.0, "bytes": 2_000_000, "mb_per_s": 2.0},
            "map": {"seconds": 4.0, "bytes": 6_000_000, "mb_per_s": 1.5},
            "other": {"seconds": 0.5, "bytes": 0, "mb_per_s": None},
        },
    }
    assert report["total"]["tasks"] == 3
    assert report["total"]["stages"]["map"]["bytes"] == 9_000_000


def test_a_commit_keeps_its_profile():
    """It is the same when it is read back, and when a coordinator holds it packed."""
    written = commit(0, "w")

    back = msgspec.json.decode(msgspec.json.encode(written), type=Commit)
    packed = held(back).profile

    assert back == written
    assert isinstance(packed, PackedProfile)
    assert dict(packed) == PROFILE
    assert list(packed) == [name for name in STAGES if name in PROFILE]
    for name in ("write", "nothing of ours"):
        with pytest.raises(KeyError):
            packed[name]


def test_a_commit_without_a_profile_can_be_read():
    """One that an earlier version wrote."""
    old = msgspec.json.decode(b'{"task":"1-map-0000000","attempt":"a","spans":[]}', type=Commit)

    assert dict(held(old).profile) == {}
    assert profile_report([old])["total"] == {"tasks": 1, "seconds": 0, "stages": {}}


# The table


def test_the_table_shows_stages_and_workers():
    """Stages in the order of the work, the sum of all workers first."""
    table = profile_table(profile_report([commit(0, "worker-1"), commit(1, "worker-2")]))

    assert table == (
        "Where the time of the tasks went, in seconds and MB/s:\n"
        "\n"
        "               all 2 workers         worker-1         worker-2\n"
        "tasks              2                1                1\n"
        "read            1.00     2.0     0.50     2.0     0.50     2.0\n"
        "map             4.00     1.5     2.00     1.5     2.00     1.5\n"
        "other           0.50             0.25             0.25\n"
        "sum             5.50             2.75             2.75"
    )


def test_one_worker_is_no_sum():
    """It has one column."""
    table = profile_table(profile_report([commit(0, "worker-1")]))

    assert table.splitlines()[2].split() == ["worker-1"]


def test_many_workers_fit_on_a_terminal():
    """Several tables below each other, long names cut, and of very many those that took longest."""
    names = [f"ip-10-0-0-7-{number}-a1b2c3-1" for number in range(WORKERS_SHOWN + 3)]
    slow = {"read": Spent(9.0, 1)}
    profile = profile_report(
        commit(n, name, slow if n == WORKERS_SHOWN + 2 else PROFILE) for n, name in enumerate(names)
    )

    table = profile_table(profile)

    lines = table.splitlines()
    assert max(map(len, lines)) < 80
    assert "all 15 workers" in lines[2]
    assert sum(line.startswith("sum") for line in lines) == -(-(WORKERS_SHOWN + 1) // COLUMNS)
    assert names[-1][-14:] in table
    assert lines[-1] == "3 workers that took less time: see --report."


# A job from the command line


def stages(report):
    """Bytes by stage of all workers."""
    return {name: one["bytes"] for name, one in report["profile"]["total"]["stages"].items()}


@pytest.mark.parametrize("engine", ["local", "cluster"])
def test_every_stage_of_a_job_is_told(request, tree, tmp_path, engine):
    """Map, combine, spill, merge, reduce and write have bytes; seconds are of the tasks."""
    command = request.getfixturevalue("command" if engine == "local" else "cluster_command")
    job = JOBS / "combined.py"

    done = command(
        "run", "--profile", job, tree.path, *SPILLING, "--report", "report.json", "--quiet"
    )

    assert done.code == 0, done.err
    report = json.loads((tmp_path / "report.json").read_text())
    profile, found = report["profile"], stages(report)
    assert report["spills"] > 0
    assert list(found) == list(STAGES)
    assert all(size for name, size in found.items() if name != "other")
    for name in ("decompress", "split_lines", "parse", "map"):
        assert found[name] == report["bytes"]["raw"]
    assert found["read"] > report["bytes"]["compressed"]
    assert profile["total"]["tasks"] == sum(report["tasks"].values())
    assert sum(one["tasks"] for one in profile["workers"].values()) == profile["total"]["tasks"]
    for one in (profile["total"], *profile["workers"].values()):
        told = sum(stage["seconds"] for stage in one["stages"].values())
        assert one["seconds"] == pytest.approx(told, abs=1e-4)
    for line in profile_table(profile).splitlines():
        assert line in done.err


def test_a_map_without_reduce_reads_its_input_once(command, tree, tmp_path):
    """Nothing is merged or spilled, and what is read is what the report says."""
    done = command(
        "run", JOBS / "map_only.py", tree.path, "-o", "out.jsonl", "--report", "report.json"
    )

    assert done.code == 0, done.err
    assert "Where the time" not in done.err
    report = json.loads((tmp_path / "report.json").read_text())
    found = stages(report)
    assert found["read"] == report["bytes"]["compressed"]
    assert found["write"] > 0
    assert not {"merge", "reduce", "spill", "combine"} & set(found)


def test_attempts_tell_no_more_seconds_than_they_took(command, tree, store):
    """In each commit; and the worker's name stands in it."""
    assert command("run", JOBS / "combined.py", tree.path, *SPILLING, "-o", "o.jsonl").code == 0

    jobs = DirectoryStore(store)
    (folder,), _ = jobs.list_level(layout.JOBS)
    job = folder.split("/")[1]
    for task in committed_tasks(jobs, job):
        one = read_commit(jobs, job, task)
        assert one.worker in ("worker-1", "worker-2")
        assert 0 < sum(spent.seconds for spent in one.profile.values()) < one.seconds + 0.5


@pytest.mark.parametrize("engine", ["local", "cluster"])
def test_profiles_by_function_name_the_users_code(request, tree, tmp_path, engine):
    """Each task leaves a file that pstats reads; `fetch` brings them again."""
    command = request.getfixturevalue("command" if engine == "local" else "cluster_command")

    done = command("run", JOBS / "combined.py", tree.path, "--profile=cpu", "--quiet",
                   "--report", "report.json")  # fmt: skip

    assert done.code == 0, done.err
    report = json.loads((tmp_path / "report.json").read_text())
    folder = tmp_path / f"profile-{report['job']}"
    assert f"are in {folder.name} (" in done.err
    names = {path.stem: path for path in folder.iterdir()}
    assert len(names) == sum(report["tasks"].values())
    for name, path in names.items():
        found = pstats.Stats(str(path)).stats
        called = {(file.rpartition("/")[2], function) for file, _, function in found}
        assert ("combined.py", name.split("-")[1]) in called, name
    for path in names.values():
        path.unlink()
    again = command("fetch", report["job"], "--quiet", "-o", "again.jsonl")
    assert again.code == 0, again.err
    assert {path.stem for path in folder.iterdir()} == set(names)


def test_a_submitted_job_tells_when_it_is_fetched(cluster_command, tree):
    """`--profile` of `submit` is kept with the job."""
    job = cluster_command("submit", "os_distribution", tree.path, "--profile").out.decode().strip()

    done = cluster_command("fetch", job, "--wait", "--quiet")

    assert done.code == 0, done.err
    assert "Where the time of the tasks went" in done.err


def test_what_a_job_has_is_told_later(command, tree):
    """`fetch` and `resume` show it of any job when they are asked."""
    done = command("run", "os_distribution", tree.path)
    job = done.err.partition("Job ")[2].partition(":")[0]

    plain, fetched = command("fetch", job), command("fetch", job, "--profile")
    resumed = command("resume", "--profile", job, "--quiet")

    assert "Where the time" not in plain.err
    assert "Where the time" in fetched.err
    assert "Where the time" in resumed.err
    assert plain.out == fetched.out == resumed.out == done.out


def test_a_job_that_fails_tells_too(command, tree):
    """Of the tasks that were done."""
    job = f"{JOBS / 'failing.py'}:FailsInReduce"

    failed = command("run", job, tree.path, "--profile", "--quiet")

    assert failed.code == 1
    assert "Where the time" in failed.err
    assert "KeyError: 'Linux'" in failed.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--profile=foo", "os_distribution"), 2),
        (("--profile", "foo.py"), 2),
        (("--profile", "os_distribution"), 0),
        (("os_distribution", "--profile"), 0),
        (("os_distribution", "--profile", "table"), 0),
    ],
    ids=str,
)
def test_a_lone_profile_takes_no_other_word_for_its_value(command, tree, words, code):
    """The analysis may come after it, and what it cannot be is refused."""
    done = command("run", *words, tree.path, "--limit-blocks", 1, "--quiet")

    assert done.code == code, done.err
    assert ("Where the time" in done.err) == (code == 0)
    if words[0] == "--profile=foo":
        assert "'foo' is not one of 'table', 'cpu'" in done.err


def test_words_after_two_hyphens_are_left_alone(command, tree):
    """There `--profile` is an input."""
    done = command("run", "os_distribution", "--quiet", "--", tree.path, "--profile")

    assert done.code == 2
    assert "--profile: no such file or folder" in done.err


# From Python


def test_profile_from_python(store, tree, tmp_path, monkeypatch, capsys):
    """The numbers are in the report always; files only where they are asked for."""
    monkeypatch.chdir(tmp_path)
    quiet = {"store": str(store), "quiet": True}

    plain = mr.run("os_distribution", tree.path, **quiet)
    assert capsys.readouterr().err == ""
    cpu = mr.run("os_distribution", tree.path, profile="cpu", **quiet)

    assert plain.report["profile"]["total"]["stages"]["map"]["bytes"] == tree.truth.raw_bytes
    assert not plain.report["profile"].keys() ^ cpu.report["profile"].keys()
    assert "Where the time of the tasks went" in capsys.readouterr().err
    (folder,) = tmp_path.glob("profile-*")
    assert [file.name for file in folder.iterdir() if "map" in file.name]
    with pytest.raises(UsageError, match="profile 'flame': there are table and cpu"):
        mr.run("os_distribution", tree.path, profile="flame", **quiet)


def test_a_folder_that_cannot_be_written_to_is_told_before(tmp_path, monkeypatch):
    """Not after hours."""
    monkeypatch.setattr("os.access", lambda path, mode: False)

    check_profile("table", tmp_path)
    with pytest.raises(UsageError, match="no permission to write to"):
        check_profile("cpu", tmp_path)


# What is fetched


@pytest.fixture
def job(store, tree):
    """A planned job with a profile by function, in its store."""
    jobs = DirectoryStore(store)
    request = Request(load_analysis("os_distribution"), "x", [str(tree.path)], profile="cpu")
    spec, _ = prepare_job(request, load_settings(environment={}), jobs)
    return jobs, spec


def test_only_committed_attempts_are_fetched(job, tmp_path):
    """A profile of an attempt that lost, or never ended, stays where it is."""
    jobs, spec = job
    profiler = cProfile.Profile()
    profiler.runcall(sorted, [])
    profiler.create_stats()
    data = marshal.dumps(profiler.stats)
    done, other = layout.task_id("1-map", 0), layout.task_id("1-map", 1)
    for task, attempt in ((done, "lost"), (done, "a"), (other, "a")):
        name = layout.profile_name(spec.job, task, attempt)
        jobs.write(name, data if attempt == "a" else b"no profile")
    write_commit(jobs, spec.job, commit(0, "worker-1"))

    assert fetch_profiles(jobs, spec.job, tmp_path / "found") == 1
    (found,) = (tmp_path / "found").iterdir()
    assert found.name == f"{done}.pstats"
    assert found.read_bytes() == data


def test_a_folder_that_is_a_file_is_an_error_that_says_what_is_kept(job, tmp_path):
    """The profiles can still be had."""
    jobs, spec = job
    (tmp_path / f"profile-{spec.job}").write_text("mine")
    report = {"profile": profile_report([commit(0, "worker-1")])}

    with pytest.raises(StoreUnavailable, match="The profiles are kept with the job"):
        told_profile(jobs, spec, report, tmp_path)


def test_a_job_without_tasks_has_nothing_to_tell(job, tmp_path):
    """Nor has the report of an earlier version."""
    jobs, spec = job

    for report in ({}, {"profile": profile_report([])}):
        assert told_profile(jobs, spec, report, tmp_path).startswith("No task was done")
