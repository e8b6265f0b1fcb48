"""A cluster on one machine: alone in its folder and at its port, and nothing stays when it dies."""

import os
import signal
import subprocess
import sys
import time

import pytest
from clusters import children, gone
from conftest import COMMAND_TIMEOUT_S, run_command
from jobs.systems import Systems
from reference import by_system

import mr

#: A Python that runs a cluster until it is killed.
FROM_PYTHON = """
import time, mr
with mr.local_cluster(workers=1) as cluster:
    print(cluster.folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def started(environment, tmp_path):
    """A running `local-cluster` with one worker: the process, and the settings it printed."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    command = [sys.executable, "-m", "mr.cli.main", "local-cluster", "--workers", "1"]
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--dir", tmp_path / "cluster"],
            env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    settings = {}
    try:
        while "MR_TELEMETRY_QUEUE" not in settings:
            line = process.stdout.readline()
            assert line, (tmp_path / "errors").read_text()
            name, _, value = line.removeprefix("export ").strip().partition("=")
            settings[name] = value
        yield process, settings
    finally:
        process.terminate()
        process.wait(COMMAND_TIMEOUT_S)


def ended(pids: list[int]) -> bool:
    """Whether all of these come to their end soon."""
    deadline = time.monotonic() + 30
    while not all(map(gone, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_second_one_is_refused(started, command, tmp_path):
    """Two servers over one folder would spoil it, and at one port only one can be."""
    _, settings = started
    port = settings["AWS_ENDPOINT_URL_S3"].rpartition(":")[2]

    same_folder = command("local-cluster", "--dir", tmp_path / "cluster")
    same_port = command("local-cluster", "--dir", tmp_path / "other", "--port", port)

    assert same_folder.code == same_port.code == 2
    assert f"{tmp_path / 'cluster'} is in use by another local cluster" in same_folder.err
    assert f"port {port} is in use" in same_port.err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_nothing_stays_when_it_ends(started, number):
    """Killed, its terminal closed, or Ctrl-C: the servers and the worker end with it."""
    process, _ = started
    parts = children(process.pid)
    assert len(parts) == 2

    os.kill(process.pid, number)
    process.wait(COMMAND_TIMEOUT_S)

    assert ended(parts)
    assert process.returncode == (-9 if number == signal.SIGKILL else 0)


def test_without_a_worker_submit_and_status_say_so(started, command, environment, tree):
    """A submitted job waits for workers, and the person is told."""
    process, settings = started
    worker = next(
        pid for pid in children(process.pid)
        if b"worker" in open(f"/proc/{pid}/cmdline", "rb").read()  # noqa: SIM115
    )  # fmt: skip
    os.kill(worker, signal.SIGTERM)
    assert ended([worker])
    environment.update(settings)
    assert command("copy", tree.path, "s3://mr-telemetry/blocks").code == 0

    submitted = command("submit", "os_distribution", "s3://mr-telemetry/blocks")
    status = command("status", submitted.out.decode().strip())

    assert submitted.code == status.code == 0
    assert "no worker is alive" in submitted.err
    assert "0 workers alive" in status.out.decode()
    assert "1 message in the queue" in status.out.decode()


def test_from_python_jobs_run_on_it_within_the_block(monkeypatch, tmp_path, tree):
    """The environment leads there, and is what it was afterwards; no process and no file stays."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    before = dict(os.environ)
    others = set(children(os.getpid()))

    with mr.local_cluster(workers=1) as cluster:
        parts = [pid for pid in children(os.getpid()) if pid not in others]
        blocks = f"{cluster.bucket}/blocks"
        copied = run_command(("copy", tree.path, blocks), dict(os.environ), tmp_path)
        named = mr.run(Systems, blocks, store=cluster.store, queue=cluster.queue, quiet=True)
        unnamed = mr.run(Systems, blocks, quiet=True)
        answers = [named.to_dict(), unnamed.to_dict()]
        settings = dict(cluster.settings)
        folder = cluster.folder

    assert copied.code == 0
    assert answers == [dict(map(tuple, by_system(tree.path)))] * 2
    assert settings["MR_TELEMETRY_STORE"] == "s3://mr-telemetry/jobs"
    assert len(parts) == 2
    assert ended(parts)
    assert dict(os.environ) == before
    assert not folder.exists()


def test_from_python_the_environment_is_restored_after_an_error(tmp_path):
    """What the block raises comes out, and a folder that was named stays."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    before = dict(os.environ)

    def use():
        with mr.local_cluster(1, tmp_path / "kept") as cluster:
            assert os.environ["AWS_ENDPOINT_URL_S3"] == cluster.settings["AWS_ENDPOINT_URL_S3"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()

    assert dict(os.environ) == before
    assert (tmp_path / "kept/worker-1.log").exists()


def test_from_python_nothing_stays_when_it_is_killed(environment):
    """As when a notebook's kernel dies: the server and the worker end with it."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    process = subprocess.Popen(
        [sys.executable, "-c", FROM_PYTHON], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline()
        parts = children(process.pid)
        assert len(parts) == 2
    finally:
        process.kill()
        process.wait(COMMAND_TIMEOUT_S)

    assert ended(parts)
