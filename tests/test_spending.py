"""What a job costs, its receipt, and the limits at which it stops and can be resumed."""

import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import JOBS, run_command
from servers import ministack  # noqa: F401 - a fixture

from mr.aws.spot import machine_name
from mr.commits import Commit
from mr.compatibility import Platform
from mr.config import load_settings
from mr.directory import DirectoryStore
from mr.engines.cluster import Unheard
from mr.engines.onemachine import local_cluster
from mr.errors import LimitReached
from mr.fleet import Running, Sign
from mr.launch import Request, prepare_job
from mr.loading import load_analysis
from mr.prices import Machine, PriceTable, load_prices
from mr.spending import Spending, receipt, told_receipt
from mr.stages import IDLE_LOOKS, Conduct, run_stage
from mr.tally import Tally
from mr.taskqueue import MemoryQueue

PRICES = PriceTable("here", "today", {"big": Machine(8, 16, 0.8, 0.4)})


def commit(seconds, machine="big spot", processes=8, deliveries=1, read=0, attempt="a"):
    """A commit of an attempt that took so long."""
    tally = Tally(compressed_bytes=read)
    return Commit("1-map-0000000", attempt, [], tally, seconds=seconds, machine=machine,
                  processes=processes, deliveries=deliveries)  # fmt: skip


def sign(job, since, now, machine="big spot", attempt="b"):
    """A worker's sign, with an attempt that has run since then."""
    running = [Running(job, "1-map-0000001", attempt, since)]
    return Sign("w", "h", 1, 0.0, now, 8, Platform(), running, machine=machine)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_an_attempt_costs_its_share_of_its_machine():
    """Eight at a time for an hour cost the machine's price of an hour."""
    spending = Spending(PRICES, max_usd=0.399, max_hours=None, clock=Clock())

    for number in range(7):
        spending.committed(commit(3600, attempt=f"c{number}"))
    assert spending.usd == pytest.approx(0.35)
    assert spending.reached() == ""

    spending.looked([sign("job", 0, 3600), sign("other", 0, 3600)], "job")
    assert spending.usd == pytest.approx(0.40)
    assert spending.reached() == "--max-cost 0.399 is reached: machines cost 0.40 USD so far"


def test_what_was_lost_has_cost_something():
    """An attempt that runs no more and is not committed; one that is committed counts once."""
    spending = Spending(PRICES, max_usd=1, max_hours=None, clock=Clock())

    spending.looked([sign("job", 0, 3600)], "job")
    spending.looked([], "job")
    assert (spending.usd_lost, spending.usd) == (pytest.approx(0.05), pytest.approx(0.05))

    spending.looked([sign("job", 3600, 7200, attempt="c")], "job")
    spending.committed(commit(3600, attempt="c"))
    spending.looked([sign("job", 3600, 7210, attempt="c")], "job")  # its sign is late
    spending.looked([], "job")
    assert spending.usd == pytest.approx(0.10)


def test_hours_count_from_when_it_is_coordinated():
    """A job that was resumed has its hours anew."""
    clock = Clock()
    clock.now = 1000.0
    spending = Spending(PRICES, max_usd=None, max_hours=0.5, clock=clock)

    clock.now += 1799
    assert spending.reached() == ""
    clock.now += 1
    assert spending.reached() == "--max-hours 0.5 is reached"


def test_a_limit_of_cost_cannot_be_judged_without_prices():
    """While a worker is there of which none is known, the job stops, rather than go on for ever."""
    spending = Spending(PRICES, max_usd=9.0, max_hours=None, clock=Clock())

    spending.looked([sign("job", 0, 1), sign("job", 0, 1, machine="")], "job")
    assert "no price is known of a worker's machine (it does not say what it is)" in (
        spending.reached()
    )
    spending.looked([sign("job", 0, 2)], "job")
    assert spending.reached() == ""
    assert Spending(PRICES, max_usd=None, max_hours=9, clock=Clock()).reached() == ""


def test_a_receipt_adds_up():
    """Machine-hours and dollars by machine, and what was given out again."""
    found = receipt(
        [
            commit(3600, deliveries=3, read=100),
            commit(7200),
            commit(3600, machine="big", processes=4, read=7),
            commit(3600, machine="big", processes=16),
        ],
        0.25,
        PRICES,
        lost=1,
    )

    assert found == {
        "machines": {
            # Of a machine of 8 processors; where more run at once, their parts are smaller.
            "big": {"hours": 0.1875, "usd": 0.15},
            "big spot": {"hours": 0.375, "usd": 0.15},
        },
        "machine_hours": 0.5625,
        "machines_usd": 0.3,
        "requests_usd": 0.25,
        "usd": 0.55,
        "interruptions": 1,
        "retried_bytes": 100,
    }
    assert told_receipt(found) == (
        "Cost about 0.55 USD: 0.56 machine-hours for 0.30, requests for 0.25. 1 interruption: "
        "0.0 MB of input were given out again."
    )


def test_a_receipt_of_unknown_machines_names_no_price():
    """Their hours are told all the same."""
    found = receipt([commit(3600, machine="")], 0.0, PRICES, lost=0)

    assert found["machines"] == {"unknown": {"hours": 0.125, "usd": None}}
    assert found["usd"] is None
    assert told_receipt(found) == ""


def test_the_price_is_that_of_the_market():
    """A worker names its type, and that it is a spot machine."""
    table = load_prices()
    machine = table.machine("c6i.2xlarge")

    assert table.usd_an_hour("c6i.2xlarge spot") == machine.spot_usd < machine.on_demand_usd
    assert table.usd_an_hour("c6i.2xlarge") == machine.on_demand_usd
    assert table.usd_an_hour("z9.large spot") is None
    assert table.usd_an_hour("") is None


def test_a_machine_that_is_none_of_ec2s_may_be_named(monkeypatch):
    """By the environment; else it is not known."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert machine_name() == ""
    monkeypatch.setenv("MR_TELEMETRY_MACHINE", "c6i.2xlarge spot")
    assert machine_name() == "c6i.2xlarge spot"


# Jobs


def test_a_job_stops_at_its_hours_and_goes_on(command, tree):
    """What was begun is finished; resumed, its bytes are those of a job without a limit."""
    whole = command("run", JOBS / "every_hook.py", tree.path)
    stopped = command(
        "run", JOBS / "every_hook.py", tree.path, "--split-size", "20KB", "--workers", 1,
        "--max-hours", 0.00001,
    )  # fmt: skip

    assert stopped.code == 130
    assert stopped.out == b""
    assert "--max-hours 1e-05 is reached. What is done is kept:" in stopped.err
    (job,) = re.findall(r"`mr-telemetry resume (\S+)`", stopped.err)
    standing = json.loads(command("status", job, "--json").out)
    assert standing["state"] == "interrupted"
    resumed = command("resume", job)
    assert resumed.code == 0
    assert resumed.out == whole.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-cost", 5), "--max-cost: only a cluster's machines have a price"),
        (("--max-cost", 0), "'0' is no number over 0"),
        (("--max-hours", "nan"), "'nan' is no number over 0"),
        (("--max-hours", "1h"), "'1h' is no number over 0"),
        (("--max-cost", 1, "--engine", "mrjob"), "--max-cost: mrjob's tasks are not ours"),
        (("--max-hours", 1, "--engine", "mrjob"), "--max-hours: mrjob's tasks are not ours"),
    ],
)
def test_a_limit_that_cannot_hold_is_refused(command, tree, arguments, said):
    """Before anything is read."""
    done = command("run", "os_distribution", tree.path, *arguments)

    assert done.code == 2
    assert said in done.err


@pytest.fixture(scope="module")
def priced(tmp_path_factory):
    """A cluster whose worker says that it is a spot machine of EC2's."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MR_TELEMETRY_MACHINE", "c6i.2xlarge spot")
        folder = tmp_path_factory.mktemp("priced")
        with local_cluster(folder, 1) as running:
            yield replace(running, settings={**running.settings, "LOGS": str(folder)})


def test_a_cluster_stops_at_a_cost_and_tells_what_it_took(priced, tree, tmp_path):
    """It drains, is left resumable, and the receipt of the whole adds up at the table's price."""
    environment = {**os.environ, **priced.settings, "HOME": str(tmp_path)}

    def command(*arguments):
        return run_command(arguments, environment, tmp_path)

    command("copy", tree.path, "s3://mr-telemetry/priced")
    run = ("os_distribution", "s3://mr-telemetry/priced", "--split-size", "20KB")
    stopped = command("run", *run, "--max-cost", 0.0000001)

    assert stopped.code == 130, stopped.err
    assert re.search(r"--max-cost 1e-07 is reached: machines cost \S+e-\d+ USD", stopped.err)
    (job,) = re.findall(r"`mr-telemetry resume (\S+)`", stopped.err)
    resumed = command("resume", job, "--report", "report.json")
    assert resumed.code == 0
    assert resumed.rows == [list(pair) for pair in sorted(tree.truth.written.by_os.items())]
    assert re.search(r"Cost about 0\.00\d+ USD: ", resumed.err)
    receipt = json.loads((tmp_path / "report.json").read_text())["receipt"]
    (machine,) = receipt["machines"]
    assert machine == "c6i.2xlarge spot"
    price = load_prices().machine("c6i.2xlarge").spot_usd
    assert receipt["machine_hours"] > 0
    assert receipt["machines_usd"] == pytest.approx(receipt["machine_hours"] * price, abs=2e-6)
    assert receipt["requests_usd"] > 0
    assert receipt["usd"] == pytest.approx(
        receipt["machines_usd"] + receipt["requests_usd"], abs=2e-6
    )


def test_a_submitted_job_stops_at_its_limit_too(priced, tree, tmp_path):
    """Nobody coordinates it any more until it is resumed."""
    environment = {**os.environ, **priced.settings, "HOME": str(tmp_path)}

    def command(*arguments):
        return run_command(arguments, environment, tmp_path)

    command("copy", tree.path, "s3://mr-telemetry/submitted")
    submitted = command(
        "submit", "os_distribution", "s3://mr-telemetry/submitted", "--split-size", "20KB",
        "--max-hours", 0.0000001,
    )  # fmt: skip
    job = submitted.out.decode().strip()

    log = Path(priced.settings["LOGS"], "worker-1.log")
    deadline = time.monotonic() + 60
    while (
        job not in (told := log.read_text()).partition("--max-hours 1e-07 is reached. What is")[2]
    ):
        assert time.monotonic() < deadline, told[-2000:]
        time.sleep(0.2)
    waited = command("fetch", job, "--wait")
    assert waited.code == 130
    assert "--max-hours 1e-07 is reached" in waited.err
    assert "--max-hours 1e-07 is reached" in command("status", job).out.decode()
    assert command("resume", job).rows == [
        list(pair) for pair in sorted(tree.truth.written.by_os.items())
    ]


def test_a_job_at_its_limit_does_not_wait_for_nobody(tmp_path, tree):
    """Messages that no worker takes are left in the queue, once it was looked a few times."""
    store, clock = DirectoryStore(tmp_path / "store"), Clock()
    request = Request(load_analysis("os_distribution"), "os_distribution", [str(tree.path)])
    spec, _ = prepare_job(request, load_settings({"split_size": "20KB"}), store)
    looks = []

    def fleet():
        looks.append(clock.now)
        clock.now += 3600.0  # the first look is before anything is sent
        return []

    tasks = MemoryQueue()
    spending = Spending(PRICES, max_usd=None, max_hours=1.5, clock=clock)
    conduct = Conduct(store, tasks, MemoryQueue(), Unheard(), window=3, fleet=fleet, poll_s=0.01,
                      rescan_s=0.0, clock=clock, spending=spending)  # fmt: skip

    with pytest.raises(LimitReached, match=r"--max-hours 1\.5 is reached"):
        run_stage(conduct, spec, "1-map")

    assert tasks.waiting() == 3
    assert len(looks) == 2 + IDLE_LOOKS
