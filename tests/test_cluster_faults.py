"""Whatever happens to workers and messages: the same bytes, the same counters, each task once."""

import itertools
import os
import signal
import threading
import time
from dataclasses import replace

from clusters import (  # noqa: F401 - fixtures
    SAME,
    HeldUp,
    Twice,
    children,
    gone,
    quiet_fixture,
    rig_fixture,
    s3_tree_fixture,
    signal_all,
    small_tree_fixture,
    wait_until,
)
from conftest import JOBS
from metadata import MetadataServer

from mr import compatibility, lateness, layout
from mr.ends import EndState, read_end
from mr.engines import cluster, serving
from mr.heartbeat import last_heartbeat
from mr.plans import open_plan
from mr.report import read_report

#: The shortest lease: what a killed worker held comes back after so long.
LEASE = ("--lease", "3s")


def freeze(rig, workers) -> None:
    """Stop workers with all their processes, each in the middle of a task."""
    scratch, deadline = rig.folder / "cache/mr-telemetry/scratch", time.monotonic() + 60
    while True:
        for worker in workers:
            signal_all(worker.pid, signal.SIGSTOP)
        # Each attempt has a folder as long as it runs.
        if all(list(scratch.glob(f"*/*-{worker.pid}-*-1-*")) for worker in workers):
            return
        assert time.monotonic() < deadline, "the workers were never all at work"
        for worker in workers:
            signal_all(worker.pid, signal.SIGCONT)
        time.sleep(0.1)


def map_tasks(rig, spec) -> int:
    """How many tasks the first stage has; all of them are sent at once."""
    return open_plan(rig.store, layout.plan_name(spec.job, "1-map")).tasks


def test_killed_workers_are_replaced(rig):
    """A child, a parent, and a whole worker killed with -9 in mid-task cost retries only."""
    spec = rig.plan(pause_s=0.12)
    workers = [rig.worker(*LEASE) for _ in range(3)]
    running = rig.coordinate(spec)
    wait_until(lambda: rig.committed(spec) >= 3, "the third commit")
    freeze(rig, workers)
    (first,), (second,) = children(workers[0].pid), children(workers[1].pid)
    os.kill(first, signal.SIGKILL)
    workers[1].kill()
    signal_all(workers[2].pid, signal.SIGKILL)
    signal_all(workers[0].pid, signal.SIGCONT)
    os.kill(second, signal.SIGCONT)

    with rig.serve(lease_s=3):
        report = running.report

    rig.check_same(spec, running.end, report, "every_hook")
    wait_until(lambda: gone(second), "the end of the orphan")
    assert workers[0].poll() is None
    assert workers[1].poll() == workers[2].poll() == -signal.SIGKILL
    (failure,) = rig.failures(spec)
    assert "killed by signal 9" in failure.error
    assert report["attempts"]["lost"] == 1
    assert report["attempts"]["delivered"] >= sum(report["tasks"].values()) + 2


def test_every_message_twice(rig):
    """A queue that delivers all messages twice changes nothing."""
    spec = rig.plan()
    twice = Twice(rig.queue.url)

    with rig.serve(2):
        running = rig.coordinate(spec, twice)
        rig.check_same(spec, running.end, running.report, "every_hook")
        wait_until(lambda: rig.queue.waiting() + rig.lent() == 0, "the end of the messages")

    assert twice.sent == sum(running.report["tasks"].values())
    assert rig.failures(spec) == []
    rig.check_tidy(spec)


def test_a_message_that_comes_when_its_lease_is_over(rig):
    """A worker that gets a message too late does no harm: another has got it by then."""
    spec = rig.plan("combined")
    held_up = HeldUp(rig.queue.url)

    with rig.serve(queue=held_up, lease_s=3):
        running = rig.coordinate(spec)
        wait_until(lambda: held_up.held_up, "the message that is held up")
        with rig.serve(lease_s=3):
            rig.check_same(spec, running.end, running.report, "combined")
            assert held_up.held_up == 1

    assert running.report["attempts"]["delivered"] == sum(running.report["tasks"].values()) + 1
    assert rig.failures(spec) == []


def test_a_worker_that_wakes_up_when_the_job_has_ended(rig):
    """A worker that was stopped while others did its task finds that nobody needs it."""
    spec = rig.plan(pause_s=0.1)
    zombie = rig.worker(*LEASE)
    running = rig.coordinate(spec)
    wait_until(lambda: rig.committed(spec) >= 1, "the first commit")
    freeze(rig, [zombie])

    with rig.serve(2, lease_s=3):
        rig.check_same(spec, running.end, running.report, "every_hook")
    before = rig.names("")
    signal_all(zombie.pid, signal.SIGCONT)
    wait_until(
        lambda: '"state":"lost"' in zombie.log.read_text() or '"over"' in zombie.log.read_text(),
        "what became of the attempt",
    )
    zombie.terminate()

    assert zombie.wait(30) == 0
    assert running.report["attempts"]["delivered"] > sum(running.report["tasks"].values())
    assert rig.failures(spec) == []
    new = {name for name in rig.names("") - before if "/logs/" not in name}
    assert new == set()
    rig.check_same(spec, running.end, running.report, "every_hook")
    rig.check_tidy(spec)


def test_a_worker_that_is_stopped_for_a_while(rig):
    """A worker that stands still longer than its process may, but not than its lease, goes on."""
    spec = rig.plan(pause_s=0.3, hang_limit=5.0, request={"limit_blocks": 3})
    worker = rig.worker()
    running = rig.coordinate(spec)
    wait_until(lambda: rig.committed(spec) >= 1, "the first commit")
    freeze(rig, [worker])
    time.sleep(5.5)
    worker.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    signal_all(worker.pid, signal.SIGCONT)

    assert running.end.state is EndState.DONE
    assert running.report["attempts"]["lost"] == 0
    assert running.report["attempts"]["delivered"] == sum(running.report["tasks"].values())
    assert rig.failures(spec) == []


def test_workers_that_must_leave_hand_their_tasks_back(rig):
    """SIGTERM and a notice of EC2's: out in seconds, and nobody waits for a lease of minutes."""
    spec = rig.plan(pause_s=0.15)
    with MetadataServer() as metadata:
        workers = [rig.worker(), rig.worker(**metadata.environment)]
        running = rig.coordinate(spec)
        wait_until(lambda: rig.committed(spec) >= 2, "the second commit")
        freeze(rig, workers)
        workers[0].terminate()
        metadata.arm()
        for worker in workers:
            worker.send_signal(signal.SIGCONT)  # what it was at goes no further
        began = time.monotonic()
        codes = [worker.wait(30) for worker in workers]
        took = time.monotonic() - began

    with rig.serve(2):
        rig.check_same(spec, running.end, running.report, "every_hook")

    assert codes == [0, 0]
    assert took < 12  # EC2 is asked every five seconds
    logs = [worker.log.read_text() for worker in workers]
    for log in logs:
        assert '"state":"lost"' in log
        assert "given up" in log
    assert "EC2 takes this spot machine away: terminate" in logs[1]
    assert time.monotonic() - began < 60
    assert running.report["attempts"]["delivered"] == sum(running.report["tasks"].values()) + 2
    assert rig.failures(spec) == []


def test_a_task_handed_back_fifty_times_is_healthy(rig):
    """How often a message was delivered never counts as failure."""
    spec, queue = rig.plan(max_failures=2), rig.queue
    running = rig.coordinate(spec)
    tasks = map_tasks(rig, spec)
    wait_until(lambda: queue.waiting() == tasks, "the messages")
    message, *others = [queue.receive(wait_s=5, lease_s=60)[0] for _ in range(tasks)]
    for _ in range(50):
        queue.release(message)
        (message,) = queue.receive(wait_s=5, lease_s=60)
    for one in (message, *others):
        queue.release(one)

    with rig.serve(2):
        rig.check_same(spec, running.end, running.report, "every_hook")

    delivered = sum(running.report["tasks"].values()) + tasks + 50
    assert running.report["attempts"]["delivered"] == delivered
    assert rig.failures(spec) == []
    assert queue.dead_letters_waiting() == 0


def test_lost_messages_are_sent_again(rig, monkeypatch):
    """A queue that has lost everything costs time only."""
    monkeypatch.setattr(cluster, "RESCAN_S", 0.5)
    monkeypatch.setattr(
        cluster, "Conduct", lambda *given, **named: CONDUCT(*given, **named, ring_s=2.0)
    )
    spec, queue = rig.plan("combined"), rig.queue
    running = rig.coordinate(spec)
    tasks = map_tasks(rig, spec)
    wait_until(lambda: queue.waiting() == tasks, "the messages")
    queue._client.purge_queue(QueueUrl=queue.url)
    assert queue.waiting() == 0

    with rig.serve(2):
        rig.check_same(spec, running.end, running.report, "combined")

    assert running.report["attempts"]["sent_again"] >= tasks
    assert rig.failures(spec) == []


CONDUCT = cluster.Conduct


def test_a_late_task_is_tried_beside(rig, monkeypatch):
    """A worker that has come to a standstill keeps its task no longer than another takes."""
    monkeypatch.setattr(cluster, "RESCAN_S", 0.3)
    monkeypatch.setattr(lateness, "LATE_LEAST_S", 1.5)
    spec = rig.plan()
    before = set(children(os.getpid()))

    with rig.serve(1, lease_s=3) as stalled:
        running = rig.coordinate(spec)
        wait_until(lambda: rig.committed(spec) >= 2, "the second commit")
        (child,) = set(children(os.getpid())) - before
        os.kill(child, signal.SIGSTOP)
        with rig.serve(1, lease_s=3):
            rig.check_same(spec, running.end, running.report, "every_hook")
        wait_until(lambda: gone(child), "the end of the process that stands still")

    assert running.report["attempts"]["sent_late"] == 1
    assert [line.state for line in stalled if line.state != "committed"] == ["lost"]
    assert rig.failures(spec) == []
    rig.check_tidy(spec)


def test_workers_of_another_version_leave_a_job_to_others(rig, monkeypatch):
    """Who cannot run a job says so; where nobody can, the job fails and tells why."""

    def platform(packages):
        found = compatibility.this_platform(packages)
        if threading.current_thread().name != "other":
            return found
        return replace(found, python="3.99.1", version="0.0.1")

    monkeypatch.setattr(serving, "this_platform", platform)
    monkeypatch.setattr(cluster, "RESCAN_S", 0.3)
    spec = rig.plan("combined")
    queue = rig.queue

    with rig.serve(name="other") as refusing:
        wait_until(lambda: rig.names("workers/"), "its sign")
        running = rig.coordinate(spec)
        failed = rig.plan("combined")
        assert running.end.state is EndState.FAILED
        assert "no worker can run this job" in running.end.reason
        assert "Python is 3.99.1 here" in running.end.reason
        assert "mr-telemetry is 0.0.1 here" in running.end.reason
        with rig.serve():
            wait_until(lambda: len(rig.names("workers/")) == 2, "the sign of the other")
            second = rig.coordinate(failed, queue)
            wait_until(lambda: second.heard.troubles, "a refusal")
            rig.check_same(failed, second.end, second.report, "combined")

    assert refusing == []
    assert any("cannot run the job: Python is 3.99.1" in text for text in second.heard.troubles)
    assert rig.failures(failed) == []


def test_two_jobs_share_the_workers_and_an_idle_worker_leaves(rig, monkeypatch):
    """Neither of two jobs waits for the other's end; without work a worker goes by itself."""
    monkeypatch.setattr(cluster, "WINDOW", 3)
    first, second = rig.plan(), rig.plan("combined")
    coordinators = [rig.coordinate(first), rig.coordinate(second)]
    wait_until(lambda: rig.queue.waiting() == 6, "the messages of both")
    worker = rig.worker("--idle-exit", "1s")

    for running, spec, job in zip(
        coordinators, (first, second), ("every_hook", "combined"), strict=True
    ):
        rig.check_same(spec, running.end, running.report, job)
    assert worker.wait(30) == 0

    order = [line.job for line in sorted(rig.logs(first) + rig.logs(second), key=_time)]
    half = list(itertools.islice(order, len(order) // 2))
    assert min(half.count(first.job), half.count(second.job)) > len(half) // 4
    assert rig.names("workers/") == set()


def _time(line):
    return line.time


def test_submitted_jobs_outlive_their_coordinator(rig):
    """A worker that coordinates two jobs is killed: another goes on when its lease is over."""
    worker = rig.worker(*LEASE)
    jobs = []
    for analysis in ("every_hook", "combined"):
        submitted = rig.command(
            "submit", JOBS / f"{analysis}.py", rig.tree, "--set", "pause_s=0.1",
            "--split-size", "20KB", "--reducers", 2,
        )  # fmt: skip
        assert submitted.code == 0, submitted.err
        jobs.append(submitted.out.decode().strip())
    for job in jobs:
        wait_until(lambda job=job: last_heartbeat(rig.store, job), "a coordinator")
        assert last_heartbeat(rig.store, job).pid == worker.pid
    wait_until(lambda: rig.committed(jobs[0]) >= 1, "a commit")
    signal_all(worker.pid, signal.SIGKILL)
    assert [read_end(rig.store, job) for job in jobs] == [None, None]

    with rig.serve(2, lease_s=3):
        answers = [rig.command("fetch", job, "--wait") for job in jobs]

    for answer, analysis in zip(answers, ("every_hook", "combined"), strict=True):
        assert answer.code == 0, answer.err
        assert answer.out == rig.quiet(analysis).result
    for job, analysis in zip(jobs, ("every_hook", "combined"), strict=True):
        report = read_report(rig.store, job)
        assert {name: report[name] for name in SAME} == {
            name: rig.quiet(analysis).report[name] for name in SAME
        }
