"""Whatever happens to S3, to coordinators and to the analysis: no result but the right one."""

import json
import os
import threading
import time

import pytest
from clusters import (  # noqa: F401 - fixtures
    BUCKET,
    Heard,
    children,
    gone,
    quiet_fixture,
    rig_fixture,
    s3_tree_fixture,
    small_tree_fixture,
    wait_until,
)
from conftest import JOBS
from faulty import Fault, Rates, faulty

from mr import layout, worker
from mr.aws.emulator import HOST, free_port, make_bucket, start_emulator
from mr.aws.s3 import S3Store
from mr.directory import DirectoryStore
from mr.ends import EndState, read_end
from mr.engines import cluster
from mr.engines.coordinating import coordinate
from mr.errors import QueueUnavailable
from mr.job import covered_by, run_stages
from mr.plans import open_plan
from mr.queues import open_queue
from mr.stages import Conduct
from mr.taskqueue import MemoryQueue
from mr.tasks import Task
from mr.worker import is_needless

#: What `run` and `submit` are to do as the tests' own plans do.
SMALL = ("--split-size", "20KB", "--reducers", 2)


def test_connections_to_s3_that_break(rig, ministack, monkeypatch):
    """Bodies of blocks and of runs that are cut or reset in the middle are read on from there."""
    spec = rig.plan()
    with faulty(ministack.url) as proxy:
        proxy.faults += [
            Fault(kind, after=after, method="GET", path=path)
            for kind in ("cut", "reset")
            for path, after in (("/trees/", 5000), ("/trees/", 1), ("/runs/", 10), ("/runs/", 0))
        ]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        with rig.serve(2):
            running = rig.coordinate(spec)
            rig.check_same(spec, running.end, running.report, "every_hook")

    assert proxy.done == {"cut": 4, "reset": 4}
    assert running.report["attempts"]["delivered"] == sum(running.report["tasks"].values())
    assert rig.failures(spec) == []


def test_s3_that_asks_to_slow_down(rig, ministack, monkeypatch):
    """Requests that are refused for a while are made again."""
    spec = rig.plan("combined")
    with faulty(ministack.url, Rates(slowdown=0.02, seed=2)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        with rig.serve(2):
            running = rig.coordinate(spec)
            rig.check_same(spec, running.end, running.report, "combined")

    assert proxy.done["slowdown"] >= 3
    assert rig.failures(spec) == []


def test_a_commit_whose_answer_is_lost_counts_once(rig, ministack, monkeypatch):
    """The commit of a map and of a reduce is written, and nobody hears of it: it has won."""
    spec = rig.plan()
    with faulty(ministack.url) as proxy:
        lost = [f"/commits/{stage}-0000000" for stage in ("1-map", "1-reduce", "2-map")]
        proxy.faults += [Fault("drop", method="PUT", path=path) for path in lost]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        with rig.serve(2):
            running = rig.coordinate(spec)
            rig.check_same(spec, running.end, running.report, "every_hook")

    assert proxy.done == {"drop": 3}
    for path in lost:
        assert sum(method == "PUT" and path in name for method, name in proxy.seen) == 2
    assert running.report["attempts"]["delivered"] == sum(running.report["tasks"].values())
    assert rig.failures(spec) == []
    rig.check_tidy(spec)


def test_an_s3_server_that_dies_and_comes_back(rig, tmp_path, monkeypatch):
    """A server of S3 that is killed with -9 in mid-job costs time only."""
    folder, port = tmp_path / "server", free_port()
    url = f"http://{HOST}:{port}"
    server = start_emulator(folder, port)
    try:
        make_bucket(url, BUCKET)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        blocks = S3Store(rig.tree)
        for entry in (local := DirectoryStore(rig.local_tree)).list():
            blocks.write(entry.name, local.read(entry.name))
        spec = rig.plan(pause_s=0.05)
        with rig.serve(2):
            running = rig.coordinate(spec)
            wait_until(lambda: rig.committed(spec) >= 2, "the second commit")
            server.kill()
            server.wait()
            time.sleep(1.0)
            server = start_emulator(folder, port)
            assert 2 <= rig.committed(spec, "1-map") < 20
            rig.check_same(spec, running.end, running.report, "every_hook")
        assert rig.failures(spec) == []
    finally:
        server.kill()
        server.wait()


def test_a_coordinator_killed_and_two_that_go_on(rig, tmp_path):
    """`run` is killed with -9; `resume` goes on from another folder, and once more when done."""
    (tmp_path / "elsewhere").mkdir()
    with rig.serve(2, lease_s=3):
        run = rig.start("run", JOBS / "every_hook.py", rig.tree, "--set", "pause_s=0.1", *SMALL)
        wait_until(lambda: rig.names(layout.JOBS), "the job")
        wait_until(lambda: any("/commits/" in name for name in rig.names(layout.JOBS)), "a commit")
        job = next(iter(rig.names(layout.JOBS))).split("/")[1]
        run.kill()
        run.communicate()
        before = rig.committed(job)
        assert read_end(rig.store, job) is None
        resumed = rig.start("resume", job, "--report", "r.json", folder=tmp_path / "elsewhere")
        out, err = resumed.communicate(timeout=60)

    assert resumed.returncode == 0, err.decode()
    assert out == rig.quiet("every_hook").result
    report = json.loads((tmp_path / "elsewhere/r.json").read_text())
    assert report["counters"] == rig.quiet("every_hook").report["counters"]
    assert report["records"] == rig.quiet("every_hook").report["records"]
    assert 0 < before < rig.committed(job) == sum(report["tasks"].values())


def test_two_coordinators_at_once(rig, monkeypatch):
    """Two that coordinate one job share its commits, and tell the same of it."""
    monkeypatch.setattr(cluster, "RESCAN_S", 0.5)
    spec = rig.plan()
    with rig.serve(2):
        both = [rig.coordinate(spec) for _ in range(2)]
        for running in both:
            rig.check_same(spec, running.end, running.report, "every_hook")

    assert both[0].report["tasks"] == both[1].report["tasks"]
    assert all(running.heard.commits for running in both)
    assert rig.failures(spec) == []
    rig.check_tidy(spec)


@pytest.mark.parametrize("job", ["every_hook", "shelves"])
def test_a_coordinator_that_finds_the_job_decided(rig, job):
    """One that has heard nothing until another has decided the job's end knows all of it then."""
    spec = rig.plan(job)
    deaf = Conduct(
        rig.store, rig.queue, MemoryQueue(), Heard(), window=100, poll_s=0.05, rescan_s=1e9
    )
    answers = []
    slow = threading.Thread(target=lambda: answers.append(coordinate(deaf, spec)), daemon=True)
    slow.start()
    wait_until(lambda: rig.queue.waiting(), "messages")
    with rig.serve(2):
        # The other one dies when the end is decided, but nothing is published yet.
        quick = Conduct(
            rig.store, rig.queue, MemoryQueue(), Heard(), window=100, poll_s=0.05, rescan_s=0.2
        )
        end = run_stages(quick, spec)
        assert end.state is (EndState.PUBLISHING if spec.output else EndState.DONE)
        assert not answers
        deaf.rescan_s = 0.2
        slow.join(60)

    ((end, report),) = answers
    assert end.state is EndState.DONE
    for name in ("records", "blocks", "counters", "bytes"):
        assert report[name] == covered_by(quick, spec)[name]
    if job == "shelves":
        check_shelves(rig, spec)
    else:
        rig.check_same(spec, end, report, job)


def check_shelves(rig, spec) -> None:
    """Check that everything is published: each file that the index names, and each record."""
    prefix = f"{layout.output_prefix(spec.job)}/"
    index = json.loads(rig.store.read(f"{prefix}index.json"))
    names = rig.names(f"{prefix}shelves/")
    assert {f"{prefix}{name}" for name in index["names"]} == names
    assert len(names) > 3
    ids = [one for name in names for one in json.loads(rig.store.read(name))]
    assert len(ids) == index["records"] == rig.quiet("every_hook").report["records"]["read"]


def test_a_job_that_is_cancelled_ends_everywhere(rig):
    """The command says so and fails, workers give up what they are at, and status tells it."""
    with rig.serve(2, lease_s=3) as lines:
        run = rig.start("run", JOBS / "every_hook.py", rig.tree, "--set", "pause_s=0.5", *SMALL)
        wait_until(lambda: lines, "the first attempt")
        cancelled = rig.command("cancel", lines[0].job)
        out, err = run.communicate(timeout=30)
        wait_until(lambda: rig.queue.waiting() + rig.lent() == 0, "the end of the messages")
        committed = rig.committed(lines[0].job)

    status = rig.command("status", lines[0].job)
    again = rig.command("cancel", lines[0].job)
    assert cancelled.code == 0, cancelled.err
    assert run.returncode == 1
    assert out == b""
    assert "was cancelled" in err.decode()
    assert "Traceback" not in err.decode()
    assert {line.state for line in lines} <= {"committed", "lost", "over"}
    assert any(line.state != "committed" for line in lines)
    assert committed < 20
    assert "cancelled" in status.out.decode().splitlines()[0]
    assert again.code == 0
    fetched = rig.command("fetch", lines[0].job, "--wait")
    assert fetched.code == 1
    assert "was cancelled" in fetched.err


def test_a_job_that_publishes_is_finished_whole(rig):
    """While the result is being published it is too late to cancel: it is finished."""
    spec = rig.plan("shelves", pause_s=3.0)
    with rig.serve(2):
        running = rig.coordinate(spec)
        wait_until(lambda: read_end(rig.store, spec.job) is not None, "the publishing")
        assert read_end(rig.store, spec.job).state is EndState.PUBLISHING
        cancelled = rig.command("cancel", spec.job)
        assert read_end(rig.store, spec.job).state is EndState.PUBLISHING
        assert running.end.state is EndState.DONE

    assert cancelled.code == 1
    assert "publishing its result already" in cancelled.err
    assert running.report["published"].endswith(" shelves")
    check_shelves(rig, spec)


def test_a_coordinator_that_hears_nothing(rig, monkeypatch):
    """One that cannot have a queue of events looks at the store instead, failures included."""

    def refuse(*given, **named):
        raise QueueUnavailable("it was deleted recently")

    monkeypatch.setattr(cluster, "open_queue", refuse)
    monkeypatch.setattr(cluster, "RESCAN_DEAF_S", 0.3)
    spec, failing = rig.plan("combined"), rig.plan("failing:Raises")
    with rig.serve(2):
        running, second = rig.coordinate(spec), rig.coordinate(failing)
        rig.check_same(spec, running.end, running.report, "combined")
        assert second.end.state is EndState.FAILED
    assert "no Darwin, please" in second.end.reason


def test_a_process_that_hangs(rig):
    """User code without progress is ended and tried again; in the end the job fails clearly."""
    spec = rig.plan("failing:Hangs", hang_limit=2.0, max_failures=2, request={"limit_blocks": 1})
    with rig.serve():
        running = rig.coordinate(spec)
        assert running.end.state is EndState.FAILED
        wait_until(lambda: rig.queue.dead_letters_waiting() == 1, "the dead letter")

    failures = rig.failures(spec)
    assert len(failures) == 2
    assert {failure.error for failure in failures} == {
        "no progress for 2 s, so its process was ended"
    }
    assert running.end.reason == (
        "the analysis failed 2 times at task 1-map-0000000: "
        "no progress for 2 s, so its process was ended\n\n"
        f"`mr-telemetry replay {spec.job} 1-map-0000000` runs that task again, here."
    )
    assert running.report["attempts"]["lost"] == 2


def test_a_poison_record(rig):
    """An analysis that raises at a record fails the job with its own traceback, here and later."""
    source = JOBS / "failing.py"
    with rig.serve(2):
        run = rig.start("run", f"{source}:Raises", rig.tree, *SMALL)
        _, err = run.communicate(timeout=60)
        (body, reason), *_ = rig.queue.read_dead()
    text = err.decode()
    task = json.loads(body)["task"]
    failure = next(one for one in rig.failures(task["job"]) if f"{task['number']:07d}" in one.task)
    replayed = rig.command("replay", task["job"], failure.task)
    logs = rig.command("logs", task["job"], failure.task)

    assert run.returncode == 1
    assert "failed 2 times" in reason
    for shown in (text, replayed.err, logs.out.decode()):
        assert "ValueError: no Darwin, please" in shown
        assert 'raise ValueError("no Darwin, please")' in shown
        assert "mr/mapping.py" not in shown
    assert replayed.code == 1
    assert f"{failure.block}, line {failure.line}" in replayed.err
    assert f"failed at {failure.block}, line {failure.line}" in logs.out.decode()
    assert ", line " in text


def test_a_failure_that_nobody_heard_of(rig):
    """A task that failed for good while nobody coordinated fails the job when somebody does."""
    spec = rig.plan("failing:Dies", max_failures=2, request={"limit_blocks": 1})
    first = rig.coordinate(spec)
    wait_until(lambda: rig.queue.waiting(), "the message")
    first.stop()
    with rig.serve():
        wait_until(lambda: rig.queue.dead_letters_waiting(), "a task that failed for good")
    assert read_end(rig.store, spec.job) is None
    open_queue(layout.events_queue(rig.queue.name, spec.job)).remove()  # what workers told is lost

    began = time.monotonic()
    second = rig.coordinate(spec)

    assert second.end.state is EndState.FAILED
    assert "the analysis failed 2 times at task 1-map-0000000" in second.end.reason
    assert "exit code 7" in second.end.reason
    assert time.monotonic() - began < 30


def test_a_reduce_that_comes_when_all_is_tidied_up(rig, monkeypatch):
    """An attempt that nobody needs any more, and that finds its runs gone, is no failure."""
    spec = rig.plan()
    with rig.serve(2):
        running = rig.coordinate(spec)
        assert running.end.state is EndState.DONE
    assert rig.names(layout.runs_prefix(spec.job)) == set()
    plan = open_plan(rig.store, layout.plan_name(spec.job, "1-reduce"))
    late = Task(spec.job, "1-reduce", 0, *plan.span(0), spec.bundle)
    # It began when it was needed still.
    answers = iter([False])
    monkeypatch.setattr(
        worker, "is_needless", lambda *given: next(answers, None) is None and is_needless(*given)
    )

    rig.queue.send([late.encode()])
    with rig.serve() as lines:
        wait_until(lambda: lines, "the attempt")

    assert [line.state for line in lines] == ["over"]
    assert "jobs/" in lines[0].text  # what is missing
    assert rig.failures(spec) == []
    assert rig.queue.waiting() + rig.lent() == 0
    rig.check_same(spec, running.end, running.report, "every_hook")


def test_a_poison_message(rig):
    """What is no task is put aside at once, and harms no job."""
    spec, queue = rig.plan("combined"), rig.queue
    poison = [b"\xff\x00 nonsense", os.urandom(200)]
    queue.send(poison)
    with rig.serve(2) as lines:
        running = rig.coordinate(spec)
        rig.check_same(spec, running.end, running.report, "combined")

    dead: dict[bytes, str] = {}

    def all_dead() -> bool:
        dead.update(queue.read_dead())
        return dead.keys() == set(poison)

    wait_until(all_dead, "the dead letters")
    assert all("a message is not a task" in reason for reason in dead.values())
    assert sum(line.state == "undecodable" for line in lines) == 2
    assert running.report["attempts"]["delivered"] == sum(running.report["tasks"].values())
    assert rig.failures(spec) == []
