"""Ten thousand tasks: what a coordinator holds does not grow beyond its bound."""

import json
import subprocess
import sys
from pathlib import Path

#: Map tasks, and partitions of each.
TASKS, REDUCERS = 10_000, 32
#: What the coordinator may hold in all, as the design says.
MOST_BYTES = 300_000_000

SCRIPT = """
import dataclasses, json, sys, threading
from pathlib import Path
import msgspec
from mr import layout
from mr.commits import Commit, write_commit
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.engines.cluster import Unheard
from mr.job import conduct_job
from mr.launch import Request, prepare_job
from mr.loading import load_analysis
from mr.plans import open_plan, write_plan
from mr.report import job_report
from mr.runs import Span
from mr.spec import blocks_line
from mr.stages import Conduct
from mr.tally import BadRecord, Tally
from mr.taskqueue import MemoryQueue
from mr.tasks import Event, TaskState, decode_task

folder, tree, tasks_wanted, reducers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = DirectoryStore(folder, durable=False)
settings = load_settings({"reducers": str(reducers)})
analysis = load_analysis("os_distribution")
request = Request(analysis, "os_distribution", [tree], max_bad_records="100%")
spec, _ = prepare_job(request, settings, store)
name = layout.plan_name(spec.job, "1-map")
line = next(open_plan(store, name).lines())
store.delete(name)
write_plan(store, name, ((line, 1) for _ in range(tasks_wanted)))

tasks, events = MemoryQueue(), MemoryQueue()
most = 0

def work():
    global most
    while True:
        for message in tasks.receive(most=10, wait_s=1, lease_s=60):
            most = max(most, tasks.waiting())
            task = decode_task(message.body)
            spans = [Span(n * 100, 100) for n in range(reducers)] if task.is_map else [Span(0, 0)]
            path = "a block's path of some length, as they are"
            places = [BadRecord(path, n, "not JSON") for n in range(20)]
            tally = Tally(1, 100, 80, 1000, 10_000, {"not JSON": 20}, places if task.is_map else [])
            tally.counters = {"seen": 80}
            write_commit(store, task.job, Commit(task.id, "a" * 32, spans, tally, pairs=80))
            tasks.acknowledge(message)
            events.send([Event(task.job, task.id, TaskState.COMMITTED).encode()])

threading.Thread(target=work, daemon=True).start()
conduct = Conduct(store, tasks, events, Unheard(), window=100)
end = conduct_job(conduct, spec)
report = job_report(conduct, spec, end, 1.0)
reduces = open_plan(store, layout.plan_name(spec.job, "1-reduce"))
line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
peak = int(line.split()[1]) * 1024
print(json.dumps({
    "state": end.state.value,
    "tasks": report["tasks"],
    "lines": report["records"]["lines"],
    "bad": report["records"]["bad"],
    "places": len(report["bad_record_places"]),
    "counters": report["counters"],
    "most_waiting": most,
    "manifests": [len(line["runs"]) for line in reduces.lines()],
    "peak_bytes": peak,
}))
"""


def test_a_coordinator_of_ten_thousand_tasks_stays_small(tree, tmp_path: Path):
    """10,000 maps with 32 partitions each: all is counted, one manifest a reducer, under 300 MB."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "jobs", tree.path, str(TASKS), str(REDUCERS)],
        capture_output=True,
        text=True,
        timeout=250,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["state"] == "done"
    assert found["tasks"] == {"1-map": TASKS, "1-reduce": REDUCERS}
    assert found["lines"] == 100 * TASKS
    assert found["bad"] == 20 * TASKS
    assert found["places"] == 1000
    assert found["counters"] == {"seen": 80 * (TASKS + REDUCERS)}
    assert found["manifests"] == [TASKS] * REDUCERS
    assert found["most_waiting"] <= 100
    assert found["peak_bytes"] < MOST_BYTES
