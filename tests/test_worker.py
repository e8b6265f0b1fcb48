"""A worker: every message may come twice, late, or be nonsense; a task's output counts once."""

import contextlib
import os
import signal
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from conftest import COMMAND_TIMEOUT_S, JOBS

from mr import layout
from mr.commits import Commit, committed_tasks, read_commit, read_failures, write_commit
from mr.compatibility import Platform
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.ends import End, EndState, write_end
from mr.errors import LeaseLost, ObjectExists, PlanAgain, QueueUnavailable, StoreUnavailable
from mr.fleet import Sign
from mr.heartbeat import alive, is_alive
from mr.job import conduct_job, run_stages
from mr.jobs import remove_job
from mr.launch import Request, prepare_job
from mr.loading import load_analysis
from mr.parts import read_result
from mr.plans import open_plan
from mr.processes import Child
from mr.runs import Span
from mr.stages import Conduct, Stopped, run_stage
from mr.surroundings import Surroundings, telling
from mr.taskqueue import MemoryQueue
from mr.tasks import Event, Task, TaskState, decode_task
from mr.worker import Worker


class Quiet:
    """An observer that keeps what it hears of trouble."""

    def __init__(self):
        self.troubles = []

    def stage(self, name, tasks, done):
        """A stage begins."""

    def committed(self, commit):
        """A task is done."""

    def trouble(self, text):
        """Something went wrong."""
        self.troubles.append(text)

    def running(self, attempts):
        """These attempts are running."""


class Twice(MemoryQueue):
    """Delivers every message twice."""

    def send(self, bodies):
        """Send each body two times."""
        super().send([body for body in bodies for _ in range(2)])


@pytest.fixture
def jobs(tmp_path: Path) -> DirectoryStore:
    """The store of jobs."""
    return DirectoryStore(tmp_path / "jobs")


def plan(jobs, tree, job="every_hook", pause_s=0.0, profile="", **settings):
    """A planned job over the tree, with several map tasks that pause at each record."""
    chosen = replace(load_settings({"split_size": "100KB", "workers": "2"}), **settings)
    request = Request(
        load_analysis(str(JOBS / f"{job}.py")),
        job,
        [str(tree.path)],
        parameters={"pause_s": pause_s},
        profile=profile,
    )
    return prepare_job(request, chosen, jobs)[0]


def map_tasks(jobs, spec) -> list[Task]:
    """The first stage's tasks."""
    found = open_plan(jobs, layout.plan_name(spec.job, "1-map"))
    return [
        Task(spec.job, "1-map", number, *found.span(number), spec.bundle)
        for number in range(found.tasks)
    ]


def serve(surroundings: Surroundings, until, workers: int = 1) -> None:
    """Run workers until something holds."""
    running = [Worker(surroundings, f"w{n}") for n in range(workers)]
    threads = [threading.Thread(target=worker.run) for worker in running]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + COMMAND_TIMEOUT_S / 2
    try:
        while not until():
            assert time.monotonic() < deadline, "the workers never got there"
            time.sleep(0.02)
    finally:
        for worker in running:
            worker.stop()
        for thread in threads:
            thread.join()


def around(store, tasks, events, folder: Path, **options) -> Surroundings:
    """What a worker works with, with one queue of events."""
    return Surroundings(store, tasks, telling(events), folder, folder / "environments", **options)


def conduct_and_serve(jobs, spec, tasks: MemoryQueue, scratch: Path) -> tuple[End, Quiet]:
    """Run a planned job to its end with two workers over this queue."""
    events, observer = MemoryQueue(), Quiet()
    ends = []
    conduct = Conduct(jobs, tasks, events, observer, window=8)
    coordinator = threading.Thread(
        target=lambda: ends.append(conduct_job(conduct, spec)), daemon=True
    )
    coordinator.start()
    surroundings = around(jobs, tasks, events, scratch, backoff_s=0.01)
    serve(surroundings, lambda: not coordinator.is_alive(), workers=2)
    return ends[0], observer


def items(jobs, spec, scratch):
    """The result as a list."""
    return list(read_result(jobs, spec, scratch))


def objects(jobs, prefix) -> list[str]:
    """The names under a prefix."""
    return sorted(entry.name for entry in jobs.list(prefix))


def test_every_message_delivered_twice_changes_nothing(jobs, tree, tmp_path):
    """Each task is committed once, its result is the same, and no loser's output stays."""
    quiet, twice = plan(jobs, tree), plan(jobs, tree)

    conduct_and_serve(jobs, quiet, MemoryQueue(), tmp_path)
    end, _ = conduct_and_serve(jobs, twice, Twice(), tmp_path)

    assert end == End(EndState.DONE)
    found = items(jobs, twice, tmp_path)
    assert found == items(jobs, quiet, tmp_path)
    assert len(found) > 1
    for task in committed_tasks(jobs, twice.job, "1-map"):
        attempt = read_commit(jobs, twice.job, task).attempt
        outputs = objects(jobs, layout.run_name(twice.job, task, attempt).rpartition("/")[0] + "/")
        assert outputs == [layout.run_name(twice.job, task, attempt)]


def test_nonsense_goes_to_the_dead_letters_at_once(jobs, tree, tmp_path):
    """A message that is no task is put aside with the reason, and blocks nothing after it."""
    spec, tasks = plan(jobs, tree), MemoryQueue()
    good = map_tasks(jobs, spec)[0]
    tasks.send([b"\xff nonsense", b'{"version": 1, "task": {"job": "../x"}}', good.encode()])

    serve(
        around(jobs, tasks, MemoryQueue(), tmp_path),
        lambda: committed_tasks(jobs, spec.job) == {good.id},
    )

    assert [body for body, _ in tasks.dead] == [
        b"\xff nonsense",
        b'{"version": 1, "task": {"job": "../x"}}',
    ]
    assert all("message" in reason for _, reason in tasks.dead)


@pytest.mark.parametrize("fate", ["ended", "removed", "never planned"])
def test_message_of_a_job_that_is_over_is_acknowledged_unrun(jobs, tree, tmp_path, fate):
    """Nobody runs a task of a job that has ended, was removed, or never was."""
    spec, tasks, events = plan(jobs, tree), MemoryQueue(), MemoryQueue()
    task = map_tasks(jobs, spec)[0]
    if fate == "ended":
        write_end(jobs, spec.job, End(EndState.CANCELLED))
    elif fate == "removed":
        jobs.write(layout.tombstone_name(spec.job), b"removed")
    else:
        task = replace(task, job="nobody")
    tasks.send([task.encode()])

    serve(around(jobs, tasks, events, tmp_path), lambda: tasks.waiting() == 0)

    assert tasks.receive(lease_s=1) == []
    assert tasks.dead == []
    assert committed_tasks(jobs, spec.job) == set()


def test_the_first_commit_wins_for_ever(jobs, tree, tmp_path):
    """An attempt that wakes up after another has committed changes nothing and leaves nothing."""
    spec, tasks = plan(jobs, tree, profile="cpu"), MemoryQueue()
    task = map_tasks(jobs, spec)[0]
    winner = Commit(task.id, uuid.uuid4().hex, [Span(0, 0)] * spec.reducers)

    class Late(DirectoryStore):
        """A store in which another attempt commits just before ours does."""

        def write(self, name, data, **conditions):
            if name == layout.commit_name(spec.job, task.id) and b"winner" not in data:
                with_winner = super().write
                with contextlib.suppress(ObjectExists):
                    with_winner(name, commit_bytes(winner), if_absent=True)
            return super().write(name, data, **conditions)

    tasks.send([task.encode()])
    serve(
        around(Late(jobs.url), tasks, MemoryQueue(), tmp_path),
        lambda: committed_tasks(jobs, spec.job) and not tasks.waiting(),
    )

    assert read_commit(jobs, spec.job, task.id) == winner
    assert objects(jobs, layout.runs_prefix(spec.job)) == []
    assert objects(jobs, layout.profiles_prefix(spec.job)) == []


def commit_bytes(commit: Commit) -> bytes:
    """A commit as it lies in a store."""
    return msgspec.json.encode(commit)


def test_commit_whose_answer_was_lost_counts_as_won(jobs, tree):
    """An attempt told "exists" reads the commit: if it is its own, it has won."""
    spec = plan(jobs, tree)
    mine = Commit("1-map-0000000", "a" * 32, [])

    class Repeats(DirectoryStore):
        """A store whose answer to the first write is lost, so that the client writes again."""

        def write(self, name, data, **conditions):
            super().write(name, data, **conditions)
            return super().write(name, data, **conditions)

    assert write_commit(Repeats(jobs.url), spec.job, mine) is True
    assert write_commit(jobs, spec.job, replace(mine, attempt="b" * 32)) is False
    assert read_commit(jobs, spec.job, mine.task).attempt == mine.attempt


def test_trouble_with_the_store_is_never_counted(jobs, tree, tmp_path):
    """A store that fails now and then costs time: no failure is told, and the job is done."""
    spec = plan(jobs, tree)

    class Shaky(DirectoryStore):
        """Fails every third write of a commit."""

        calls = 0

        def write(self, name, data, **conditions):
            if "/commits/" in name:
                Shaky.calls += 1
                if Shaky.calls % 3 == 1:
                    raise StoreUnavailable("no answer")
            return super().write(name, data, **conditions)

    end, observer = conduct_and_serve(Shaky(jobs.url), spec, MemoryQueue(), tmp_path)

    assert end.state is EndState.DONE
    assert list(read_failures(jobs, spec.job)) == []
    assert any("no answer" in trouble for trouble in observer.troubles)


def test_a_lost_lease_is_given_up_and_the_task_done_by_another(jobs, tree, tmp_path):
    """A worker whose lease is gone stops; the message's next holder commits."""
    spec = plan(jobs, tree, pause_s=0.05)

    class Forgetful(MemoryQueue):
        """Loses the first lease that is extended."""

        lost = 0

        def extend(self, message, lease_s):
            if not Forgetful.lost:
                Forgetful.lost += 1
                self.release(message)
                raise LeaseLost("run out")
            super().extend(message, lease_s)

    tasks, events, observer = Forgetful(), MemoryQueue(), Quiet()
    conduct = Conduct(jobs, tasks, events, observer, window=8)
    ends = []
    coordinator = threading.Thread(
        target=lambda: ends.append(conduct_job(conduct, spec)), daemon=True
    )
    coordinator.start()
    surroundings = around(jobs, tasks, events, tmp_path, heartbeat_s=0.0)
    serve(surroundings, lambda: not coordinator.is_alive(), workers=2)

    assert ends == [End(EndState.DONE)]
    assert Forgetful.lost == 1
    assert list(read_failures(jobs, spec.job)) == []


def test_a_bundle_of_another_digest_is_never_loaded(jobs, tree, tmp_path):
    """Code that is not what the message names does not run: the task fails instead."""
    spec, tasks = plan(jobs, tree, max_failures=1), MemoryQueue()
    marker = tmp_path / "loaded"
    evil = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
    jobs.write(layout.bundle_name(spec.job), evil)
    tasks.send([map_tasks(jobs, spec)[0].encode()])

    serve(around(jobs, tasks, MemoryQueue(), tmp_path), lambda: tasks.dead)

    (failure,) = read_failures(jobs, spec.job)
    assert "bundle" in failure.error
    assert not marker.exists()


def test_a_store_that_fails_at_a_heartbeat_mixes_up_nothing(jobs, tree, tmp_path):
    """A look for the job's end that gets no answer neither ends an attempt nor confuses two."""
    quiet, spec = plan(jobs, tree), plan(jobs, tree, pause_s=0.02)
    conduct_and_serve(jobs, quiet, MemoryQueue(), tmp_path)

    class Shaky(DirectoryStore):
        """Answers every second look at whether a job has ended with a fault."""

        looks = 0

        def stat(self, name):
            if name == layout.end_name(spec.job):
                Shaky.looks += 1
                if Shaky.looks % 2:
                    raise StoreUnavailable("no answer")
            return super().stat(name)

    tasks, events, observer, ends = MemoryQueue(), MemoryQueue(), Quiet(), []
    conduct = Conduct(jobs, tasks, events, observer, window=8)
    coordinator = threading.Thread(
        target=lambda: ends.append(conduct_job(conduct, spec)), daemon=True
    )
    coordinator.start()
    shaky = around(Shaky(jobs.url), tasks, events, tmp_path, heartbeat_s=0.0, backoff_s=0.01)
    serve(shaky, lambda: not coordinator.is_alive(), workers=2)

    assert ends == [End(EndState.DONE)]
    assert Shaky.looks > 20
    assert items(jobs, spec, tmp_path) == items(jobs, quiet, tmp_path)
    assert list(read_failures(jobs, spec.job)) == []


def test_signs_of_life_never_hide_how_a_block_ended(jobs):
    """A store that fails while signs of life are given or taken back raises nothing of its own."""

    class Broken(DirectoryStore):
        """Neither reads nor writes."""

        def open(self, name, **range_and_tag):
            raise StoreUnavailable("no answer")

        def write(self, name, data, **conditions):
            raise StoreUnavailable("no answer")

    with pytest.raises(ZeroDivisionError), alive(Broken(jobs.url), "j"):
        raise ZeroDivisionError

    with alive(jobs, "j"):
        deadline = time.monotonic() + COMMAND_TIMEOUT_S / 2
        while not is_alive(jobs, "j"):
            assert time.monotonic() < deadline, "no sign of life came"
            time.sleep(0.01)
    assert not is_alive(jobs, "j")


def test_an_idle_child_that_dies_is_nobodys_failure(jobs, tree, tmp_path):
    """A process killed between two tasks is replaced; the next task does not count it."""
    spec, tasks, events = plan(jobs, tree), MemoryQueue(), MemoryQueue()
    first, second = map_tasks(jobs, spec)[:2]
    worker = Worker(around(jobs, tasks, events, tmp_path), "w")
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        for task in (first, second):
            tasks.send([task.encode()])
            deadline = time.monotonic() + COMMAND_TIMEOUT_S / 2
            while task.id not in committed_tasks(jobs, spec.job):
                assert time.monotonic() < deadline, "the task was never committed"
                time.sleep(0.01)
            child = worker.child_pid
            os.kill(child, signal.SIGKILL)
            # Dead is what can be waited for: its first thread alone may be gone before the others.
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    finally:
        worker.stop()
        thread.join()

    assert committed_tasks(jobs, spec.job) == {first.id, second.id}
    assert list(read_failures(jobs, spec.job)) == []


def test_a_job_removed_while_it_runs_ends(jobs, tree, tmp_path):
    """A coordinator whose job is removed under it says so, instead of waiting for ever."""
    spec, tasks, events, ends = plan(jobs, tree, pause_s=0.05), MemoryQueue(), MemoryQueue(), []
    conduct = Conduct(jobs, tasks, events, Quiet(), window=8)
    coordinator = threading.Thread(
        target=lambda: ends.append(conduct_job(conduct, spec)), daemon=True
    )
    coordinator.start()
    remover = threading.Timer(0.5, remove_job, (jobs, spec.job))
    remover.start()

    surroundings = around(jobs, tasks, events, tmp_path, heartbeat_s=0.1)
    serve(surroundings, lambda: not coordinator.is_alive(), workers=2)

    remover.join()
    assert [end.state for end in ends] == [EndState.CANCELLED]
    assert "removed" in ends[0].reason


def test_an_error_that_cannot_be_shown_is_still_a_failure(jobs, tree, tmp_path):
    """An exception whose text raises in its turn fails the task, and ends no process."""
    request = Request(
        load_analysis(f"{JOBS / 'failing.py'}:Unspeakable"), "unspeakable", [str(tree.path)]
    )
    settings = replace(load_settings({"workers": "1"}), max_failures=1)
    spec = prepare_job(request, settings, jobs)[0]

    end, _ = conduct_and_serve(jobs, spec, MemoryQueue(), tmp_path)

    assert end.state is EndState.FAILED
    assert "Unspeakable" in end.reason
    assert "signal" not in end.reason


def test_a_coordinator_that_missed_the_last_commits_still_publishes_all(jobs, tree, tmp_path):
    """Whoever finds the job publishing learns of every commit before it plans what to place."""
    spec, tasks, observer = plan(jobs, tree, "shelves", reducers=3), MemoryQueue(), Quiet()
    first = Conduct(jobs, tasks, MemoryQueue(), observer, window=8)
    ends: list[End] = []

    def run(conduct, coordinate):
        coordinator = threading.Thread(
            target=lambda: ends.append(coordinate(conduct, spec)), daemon=True
        )
        coordinator.start()
        surroundings = around(jobs, tasks, conduct.events, tmp_path, backoff_s=0.01)
        serve(surroundings, lambda: not coordinator.is_alive(), workers=2)

    run(first, run_stages)
    second = Conduct(jobs, tasks, MemoryQueue(), observer, window=8)
    # It was still at the reduces, of which it knows one.
    second.commits["1-map"] = dict(first.commits["1-map"])
    second.commits["1-reduce"] = {0: first.commits["1-reduce"][0]}
    run(second, conduct_job)

    assert [end.state for end in ends] == [EndState.PUBLISHING, EndState.DONE]
    written = {name for commit in first.commits["1-reduce"].values() for name in commit.files}
    placed = set(objects(DirectoryStore(spec.output), "shelves/"))
    assert len(written) > 5
    assert placed == written


def lying(jobs, spec) -> list[Task]:
    """Messages of a stranger who knows the job's id: each asks for what must not be done."""
    first, second = map_tasks(jobs, spec)[:2]
    return [
        replace(second, start=first.start, end=first.end),  # another task's split, as its own
        replace(first, end=second.end),  # two splits at once
        replace(first, stage="1-reduce"),  # a stage that is not planned
        replace(first, stage="1-publish"),
        replace(first, bundle="0" * 64),  # other code
    ]


def test_a_message_that_lies_is_put_aside_and_never_counts(jobs, tree, tmp_path):
    """Ranges, stages and digests that do not fit the job run nothing and fail nothing."""
    spec, tasks = plan(jobs, tree), MemoryQueue()
    lies = lying(jobs, spec)
    tasks.send([task.encode() for task in lies])

    serve(around(jobs, tasks, MemoryQueue(), tmp_path), lambda: len(tasks.dead) == len(lies))

    assert {body for body, _ in tasks.dead} == {task.encode() for task in lies}
    assert committed_tasks(jobs, spec.job) == set()
    assert list(read_failures(jobs, spec.job)) == []


def test_a_message_for_another_store_is_left_alone(jobs, tree, tmp_path):
    """Workers of two stores that share a queue by mistake say so, and eat no message."""
    spec, tasks, lines = plan(jobs, tree), MemoryQueue(), []
    task = replace(map_tasks(jobs, spec)[0], store=layout.store_digest("s3://other/store"))
    tasks.send([task.encode()])

    surroundings = around(jobs, tasks, MemoryQueue(), tmp_path, log=lines.append)
    serve(surroundings, lambda: lines)

    assert lines[0].state == "trouble"
    assert jobs.url in lines[0].text
    assert tasks.waiting() == 1
    assert tasks.dead == []
    assert committed_tasks(jobs, spec.job) == set()


def test_events_that_lie_do_not_stop_a_coordinator(jobs, tree, tmp_path):
    """Commits that are not there, names that are no ids, nonsense: the job goes on."""
    spec, events, ends = plan(jobs, tree), MemoryQueue(), []
    last = map_tasks(jobs, spec)[-1]
    events.send(
        [
            Event(spec.job, last.id, TaskState.COMMITTED).encode(),
            Event(spec.job, "../x", TaskState.FAILED).encode(),
            Event(spec.job, "1-map-9999999", TaskState.COMMITTED).encode(),
            Event(spec.job, last.id, TaskState.FAILED, "x" * 300_000).encode(),
            b"nonsense",
        ]
    )
    tasks = MemoryQueue()
    conduct = Conduct(jobs, tasks, events, Quiet(), window=8)
    coordinator = threading.Thread(
        target=lambda: ends.append(conduct_job(conduct, spec)), daemon=True
    )
    coordinator.start()
    serve(around(jobs, tasks, events, tmp_path), lambda: not coordinator.is_alive(), workers=2)

    assert ends == [End(EndState.DONE)]


def test_a_queue_of_events_that_is_gone_costs_only_time(jobs, tree, tmp_path):
    """Events are hints: without any the coordinator looks at the store."""
    spec, tasks, ends = plan(jobs, tree), MemoryQueue(), []

    class Gone(MemoryQueue):
        """A queue that was deleted."""

        def receive(self, **options):
            raise QueueUnavailable("there is no such queue")

    conduct = Conduct(jobs, tasks, Gone(), Quiet(), window=8, poll_s=0.02, rescan_s=0.1)
    coordinator = threading.Thread(
        target=lambda: ends.append(conduct_job(conduct, spec)), daemon=True
    )
    coordinator.start()
    surroundings = around(jobs, tasks, MemoryQueue(), tmp_path)
    serve(surroundings, lambda: not coordinator.is_alive(), workers=2)

    assert ends == [End(EndState.DONE)]
    assert any("no such queue" in text for text in conduct.observer.troubles)


def test_the_longest_task_is_sent_first(jobs, tree):
    """So that none begins when all others are done."""
    spec, tasks = plan(jobs, tree), MemoryQueue()
    lines = open_plan(jobs, layout.plan_name(spec.job, "1-map")).lines()
    sizes = [sum(size for _, _, size, _ in line["blocks"]) for line in lines]
    conduct = Conduct(jobs, tasks, MemoryQueue(), Quiet(), window=len(sizes), poll_s=0.02)

    def coordinate() -> None:
        with contextlib.suppress(Stopped):
            run_stage(conduct, spec, "1-map")

    coordinator = threading.Thread(target=coordinate)
    coordinator.start()
    sent: list[int] = []
    while len(sent) < len(sizes) and (messages := tasks.receive(most=10, wait_s=10, lease_s=60)):
        sent += [decode_task(message.body).number for message in messages]
    conduct.stop.set()
    coordinator.join()

    longest_first = sorted(sizes, reverse=True)
    assert [sizes[number] for number in sent] == longest_first
    assert len(set(sizes)) > 1
    assert sizes != longest_first


def test_a_process_keeps_its_memory_and_one_thread_unless_told_otherwise(jobs, monkeypatch):
    """What its environment says by default, and that a person's own settings count."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    child = Child()
    try:
        found = Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")
    finally:
        child.kill()

    assert b"MALLOC_MMAP_THRESHOLD_=33554432" in found
    assert b"MALLOC_TRIM_THRESHOLD_=7" in found
    assert b"OPENBLAS_NUM_THREADS=1" in found
    assert b"PYTHONHASHSEED=0" in found


def test_an_outdated_plan_is_not_forgotten_by_a_retry(jobs, tree, tmp_path):
    """A coordinator whose first word of it was lost says again that the plan is outdated."""
    spec = plan(jobs, tree)
    task = map_tasks(jobs, spec)[0]
    write_commit(jobs, spec.job, Commit(task.id, "a" * 32, [], again="somebody was first."))
    conduct = Conduct(jobs, MemoryQueue(), MemoryQueue(), Quiet(), window=8)

    for _ in range(2):
        with pytest.raises(PlanAgain, match="somebody was first"):
            run_stage(conduct, spec, "1-map")


def test_each_job_has_a_process_of_its_own(jobs, tree, tmp_path):
    """What one job's code does to its process does not reach the next."""
    first, second, tasks = plan(jobs, tree), plan(jobs, tree), MemoryQueue()
    worker = Worker(around(jobs, tasks, MemoryQueue(), tmp_path), "w")
    thread = threading.Thread(target=worker.run)
    thread.start()
    pids = []
    try:
        for spec, number in ((first, 0), (first, 1), (second, 0)):
            task = map_tasks(jobs, spec)[number]
            tasks.send([task.encode()])
            deadline = time.monotonic() + COMMAND_TIMEOUT_S / 2
            while task.id not in committed_tasks(jobs, spec.job):
                assert time.monotonic() < deadline, "the task was never committed"
                time.sleep(0.01)
            pids.append(worker.child_pid)
    finally:
        worker.stop()
        thread.join()

    assert pids[0] == pids[1] != pids[2]


def test_what_the_analysis_started_ends_with_its_process(jobs, tree, tmp_path):
    """A hanging process is ended with its own children."""
    marker = tmp_path / "pid"
    code = tmp_path / "starts.py"
    code.write_text(
        "import subprocess, time\n"
        "from mr import Analysis\n"
        "class Starts(Analysis):\n"
        "    def map(self, record):\n"
        "        child = subprocess.Popen(['sleep', '600'])\n"
        f"        open({str(marker)!r}, 'w').write(str(child.pid))\n"
        "        time.sleep(600)\n"
    )
    request = Request(load_analysis(str(code)), "starts", [str(tree.path)])
    settings = replace(load_settings({"workers": "1"}), max_failures=1, hang_limit=0.5)
    spec = prepare_job(request, settings, jobs)[0]

    end, _ = conduct_and_serve(jobs, spec, MemoryQueue(), tmp_path)

    assert end.state is EndState.FAILED
    assert "no progress" in end.reason
    state = Path(f"/proc/{marker.read_text()}/stat")
    deadline = time.monotonic() + 10
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)


def test_a_worker_that_can_run_nothing_leaves_the_queue_to_others(jobs, tree, tmp_path):
    """A full disk on one machine does not make it take every message at full speed."""
    spec, lines = plan(jobs, tree), []

    class Full(MemoryQueue):
        """Counts how often it is asked."""

        asked = 0

        def receive(self, **options):
            Full.asked += 1
            return super().receive(**options)

    class NoSpec(DirectoryStore):
        """Does not answer when a worker looks at a task."""

        def stat(self, name):
            raise StoreUnavailable("no answer")

    tasks = Full()
    tasks.send([task.encode() for task in map_tasks(jobs, spec)])
    surroundings = around(
        NoSpec(jobs.url), tasks, MemoryQueue(), tmp_path, backoff_s=0.2, log=lines.append
    )
    begun = time.monotonic()
    serve(surroundings, lambda: time.monotonic() - begun > 3)

    # After 0.2, 0.4, 0.8 and 1.6 seconds: a few, not thousands.
    assert 2 <= Full.asked <= 6
    assert [line.state for line in lines] == ["trouble"] * len(lines)
    assert lines


def test_a_package_replaced_under_a_worker_counts_nothing(jobs, tree, tmp_path):
    """A process that reads another version than its parent cannot run here: no fault of the job."""
    spec, tasks, told = plan(jobs, tree), MemoryQueue(), []
    first, second = map_tasks(jobs, spec)[:2]
    surroundings = replace(
        around(jobs, tasks, MemoryQueue(), tmp_path, backoff_s=60.0), tell=told.append
    )
    worker = Worker(surroundings, "w")
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        tasks.send([first.encode()])
        deadline = time.monotonic() + COMMAND_TIMEOUT_S / 2
        while first.id not in committed_tasks(jobs, spec.job):
            assert time.monotonic() < deadline, "the task was never committed"
            time.sleep(0.01)
        jobs.write(layout.spec_name(spec.job), msgspec.json.encode(replace(spec, version=99)))
        os.kill(worker.child_pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.child_pid, os.WEXITED | os.WNOWAIT)
        tasks.send([second.encode()])
        while not any(event.state is TaskState.LOST for event in told):
            assert time.monotonic() < deadline, "nothing was told"
            time.sleep(0.01)
    finally:
        worker.stop()
        thread.join()

    assert "another version" in told[-1].text
    assert list(read_failures(jobs, spec.job)) == []


def test_a_job_keeps_a_few_messages_for_each_process_of_the_fleet(jobs, tree):
    """So that jobs share the queue: many only while nobody is there to take them."""
    sign = Sign("w-1", "h", 1, 0.0, 0.0, processes=1, platform=Platform())
    sent = {}
    for fleet in ((), (sign,)):
        spec, tasks = plan(jobs, tree), MemoryQueue()
        conduct = Conduct(jobs, tasks, MemoryQueue(), Quiet(), window=100, poll_s=0.01)
        conduct.fleet = lambda fleet=fleet, spec=spec: [
            replace(one, platform=spec.platform) for one in fleet
        ]
        threading.Timer(0.5, conduct.stop.set).start()
        with pytest.raises(Stopped):
            run_stage(conduct, spec, "1-map")
        sent[len(fleet)] = tasks.waiting()

    assert sent == {0: len(map_tasks(jobs, spec)), 1: 4}
    assert sent[0] > 4
