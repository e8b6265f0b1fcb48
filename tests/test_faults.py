"""Whatever dies, the bytes of the result are the same, and counters too."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import COMMAND_TIMEOUT_S, JOBS

#: Makes a job of `tree` last some seconds, so that there is time to kill things in it.
SLOW = ("--set", "pause_s=0.02")


def start(
    environment: dict[str, str], folder: Path, *arguments: object, own_group: bool = False
) -> subprocess.Popen:
    """A command that runs while the test goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "mr.cli.main", *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=own_group,
    )


def children(pid: int) -> list[int]:
    """The processes that run user code for a command."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def commits(store: Path) -> int:
    """How many tasks are committed in the only job of a store."""
    return sum(1 for _ in store.glob("jobs/*/commits/*"))


def wait_until(condition, what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + COMMAND_TIMEOUT_S / 2
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("job", ["every_hook", "combined"])
def test_worker_killed_in_mid_task_changes_nothing(
    command, environment, store, tree, tmp_path, job
):
    """Processes killed with -9 cost retries; bytes and counters are those of a quiet run."""
    analysis = JOBS / f"{job}.py"
    quiet = command("run", analysis, tree.path, "--report", "quiet.json")

    done_before = commits(store)
    run = start(
        environment, tmp_path, "run", analysis, tree.path, *SLOW, "--split-size", "60KB",
        "--workers", 2, "--report", "killed.json",
    )  # fmt: skip
    killed = 0
    while killed < 3:
        wait_until(lambda seen=done_before: commits(store) > seen, "a commit")
        done_before = commits(store)
        for child in children(run.pid)[:1]:
            os.kill(child, signal.SIGKILL)
            killed += 1
    out, err = run.communicate(timeout=COMMAND_TIMEOUT_S)

    assert run.returncode == 0, err.decode()
    assert out == quiet.out
    assert len(out) > 100
    reports = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("quiet", "killed")]
    assert reports[0]["counters"] == reports[1]["counters"]
    assert reports[0]["records"] == reports[1]["records"]
    assert reports[1]["attempts"]["lost"] >= 1
    assert b"killed by signal 9" in err


def test_command_killed_leaves_a_job_that_resume_finishes(
    command, environment, store, tree, tmp_path
):
    """After kill -9 of the command itself nothing lives on, and `resume` gives the same bytes."""
    expected = command("run", JOBS / "every_hook.py", tree.path)
    before = commits(store)
    run = start(
        environment, tmp_path, "run", JOBS / "every_hook.py", tree.path, *SLOW,
        "--split-size", "60KB",
    )  # fmt: skip
    wait_until(lambda: commits(store) > before + 2, "the third commit")
    workers = children(run.pid)
    run.kill()
    run.communicate()

    wait_until(lambda: all(map(gone, workers)), "the end of the workers")
    scratch = list(store.glob(".scratch/*"))
    (job,) = unfinished(command)
    resumed = command("resume", job, "--report", "resumed.json")

    assert resumed.code == 0, resumed.err
    assert resumed.out == expected.out
    report = json.loads((tmp_path / "resumed.json").read_text())
    assert report["records"]["read"] == tree.truth.written.good
    assert report["counters"]["seen"] == tree.truth.written.good
    assert len(scratch) == 1
    command("jobs", "--clean")
    assert list(store.glob(".scratch/*")) == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_a_job_that_resume_finishes(
    command, environment, store, tree, tmp_path, sign
):
    """Ctrl-C exits with 130 and names the job; `resume` goes on, and gives its result again."""
    expected = command("run", JOBS / "combined.py", tree.path)
    before = commits(store)
    run = start(
        environment, tmp_path, "run", JOBS / "combined.py", tree.path, *SLOW, "--split-size", "60KB"
    )
    wait_until(lambda: commits(store) > before + 1, "the second commit")
    run.send_signal(sign)
    out, err = run.communicate(timeout=COMMAND_TIMEOUT_S)

    (job,) = unfinished(command)
    first, second = command("resume", job), command("resume", job)

    assert run.returncode == 130
    assert out == b""
    assert f"mr-telemetry resume {job}" in err.decode()
    assert first.out == second.out == expected.out


def unfinished(command) -> list[str]:
    """The jobs that are not done."""
    lines = command("jobs").out.decode().splitlines()
    return [line.split()[0] for line in lines if "  done  " not in line]


def test_two_coordinators_on_one_job_do_no_harm(command, environment, store, tree, tmp_path):
    """A job that is resumed while it runs gives the same bytes twice."""
    expected = command("run", JOBS / "every_hook.py", tree.path)
    before = commits(store)
    run = start(
        environment, tmp_path, "run", JOBS / "every_hook.py", tree.path, *SLOW,
        "--split-size", "60KB", "--workers", 1,
    )  # fmt: skip
    wait_until(lambda: commits(store) > before, "the first commit")
    (job,) = unfinished(command)

    resumed = command("resume", job)
    out, err = run.communicate(timeout=COMMAND_TIMEOUT_S)

    assert resumed.code == run.returncode == 0, resumed.err + err.decode()
    assert resumed.out == out == expected.out


def test_exception_of_the_analysis_shows_the_users_traceback(command, tree):
    """The person sees their own line, the block and its line; not a frame of ours."""
    done = command("run", f"{JOBS / 'failing.py'}:Raises", tree.path, "--max-failures", 2)

    assert done.code == 1
    assert done.out == b""
    assert "ValueError: no Darwin, please" in done.err
    assert 'raise ValueError("no Darwin, please")' in done.err
    assert "jobs/failing.py" in done.err
    assert ", line " in done.err
    assert "mr/mapping.py" not in done.err
    assert "failed 2 times" in done.err


def test_failure_in_reduce_names_the_key(command, tree):
    """A reduce that fails tells at which key."""
    done = command("run", f"{JOBS / 'failing.py'}:FailsInReduce", tree.path, "--max-failures", 1)

    assert done.code == 1
    assert "at key 'Linux'" in done.err


def test_key_of_a_wrong_type_is_told_with_the_analysis(command, tree):
    """A wrong key names the analysis, the key and the type."""
    done = command("run", f"{JOBS / 'failing.py'}:BadKey", tree.path, "--max-failures", 1)

    assert done.code == 1
    assert "BadKey.map" in done.err
    assert "dict" in done.err
    assert "{'a': 1}" in done.err


def test_process_that_dies_counts_as_a_failure(command, tree):
    """User code that ends its process fails the job after as many tries as are allowed."""
    done = command("run", f"{JOBS / 'failing.py'}:Dies", tree.path, "--max-failures", 2)

    assert done.code == 1
    assert "exit code 7" in done.err


def test_hanging_task_is_ended(command, tree):
    """User code that makes no progress is killed after the limit, which counts as a failure."""
    done = command(
        "run", f"{JOBS / 'failing.py'}:Hangs", tree.path, "--hang-limit", "2s",
        "--max-failures", 1,
    )  # fmt: skip

    assert done.code == 1
    assert "no progress for 2 s" in done.err


def test_jobs_that_ended_can_be_removed(command, environment, store, tree, tmp_path):
    """`jobs --clean` removes what has ended, and keeps what was interrupted."""
    command("run", "os_distribution", tree.path)
    failed = command("run", f"{JOBS / 'failing.py'}:Dies", tree.path, "--max-failures", 1)
    run = start(environment, tmp_path, "run", JOBS / "every_hook.py", tree.path, *SLOW)
    wait_until(lambda: len(list(store.glob("jobs/*/plans/1-map"))) == 3, "the third job")
    wait_until(lambda: len(unfinished(command)) == 2, "its description")
    run.kill()
    run.communicate()

    cleaned = command("jobs", "--clean")

    assert failed.code == 1
    assert "Removed 2 jobs" in cleaned.err
    left = [line.split()[0] for line in command("jobs").out.decode().splitlines()]
    assert len(left) == 1
    assert [path.name for path in (store / "jobs").iterdir()] == left


def test_a_signal_to_the_process_group_is_no_failure(command, environment, store, tree, tmp_path):
    """SIGTERM to all processes at once, as batch systems send it, leaves a job to resume."""
    expected = command("run", JOBS / "every_hook.py", tree.path)
    before = commits(store)
    run = start(
        environment, tmp_path, "run", JOBS / "every_hook.py", tree.path, *SLOW,
        "--split-size", "60KB", own_group=True,
    )  # fmt: skip
    wait_until(lambda: commits(store) > before, "the first commit")
    os.killpg(run.pid, signal.SIGTERM)
    run.communicate(timeout=COMMAND_TIMEOUT_S)

    (job,) = unfinished(command)
    resumed = command("resume", job)

    assert run.returncode == 130
    assert list(store.glob(f"jobs/{job}/failures/*/*")) == []
    assert resumed.out == expected.out


def test_resume_from_elsewhere_imports_what_run_could(command, environment, store, tree, tmp_path):
    """A module that user code imports as it runs is found by `resume` in another folder too."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "slow_helper.py").write_text(
        "import time\n\ndef name(record):\n    time.sleep(0.02)\n    return record['info']['OS']\n"
    )
    (scripts / "lazy.py").write_text(
        "from mr import Analysis\n\n"
        "class Lazy(Analysis):\n"
        "    def map(self, record):\n"
        "        import slow_helper\n"
        "        yield slow_helper.name(record), 1\n"
        "    def reduce(self, key, values):\n"
        "        yield key, sum(values)\n"
    )
    run = start(
        environment, tmp_path, "run", scripts / "lazy.py", tree.path, "--split-size", "60KB"
    )
    wait_until(lambda: commits(store) > 0, "the first commit")
    run.kill()
    run.communicate()

    (job,) = unfinished(command)
    resumed = command("resume", job)

    assert resumed.code == 0, resumed.err
    assert sum(count for _, count in resumed.rows) == tree.truth.written.good
