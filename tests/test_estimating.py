"""The plan with its price: what it reckons from, and the command that prints it."""

import json
import os
import re
from dataclasses import replace

import boto3
import pytest
from botocore.stub import Stubber
from conftest import JOBS, run_command
from hypothesis import given
from hypothesis import strategies as st

from mr.aws import stacks
from mr.blocks import Block
from mr.calibration import SPLIT_BYTES, SPLITS, measure, sampled_blocks
from mr.commits import Commit
from mr.estimating import Assumed, Facts, Measured, estimate, makespan, requests_of
from mr.prices import load_prices, price_usd
from mr.runs import Span
from mr.schema import load_schema
from mr.tally import Tally

EXACT = Assumed(slower=(1, 1), again=(0, 0), start_s=(0, 0), end_s=(0, 0), idle_s=(0, 0))
MEASURED = Measured(
    splits=4, blocks=4, compressed_bytes=4000, raw_bytes=40_000, records=7, fastest_s=0.01,
    mean_s=0.01, slowest_s=0.01, output_bytes=400, output_bytes_a_task=100.0, reduce_s=0.5,
)  # fmt: skip
FACTS = Facts(blocks=8, bytes=8000, largest_block=1000, splits=[1000] * 8, reducers=2)


def test_hours_and_dollars_are_those_of_the_arithmetic():
    """8 splits of 10 s on 4 processes: 20 s; 800 bytes for 2 reduces, half a second each: 200 s."""
    found = estimate(FACTS, MEASURED, machines=2, processes=2, usd_an_hour=3.6, assumed=EXACT)

    assert found.map_hours.low == found.map_hours.high == pytest.approx(20 / 3600)
    assert found.reduce_hours.low == found.reduce_hours.high == pytest.approx(200 / 3600)
    assert found.hours.high == pytest.approx(220 / 3600)
    assert found.machine_hours.high == pytest.approx(440 / 3600)
    assert found.machines_usd.high == pytest.approx(0.44)
    assert found.usd.high == pytest.approx(0.44 + found.requests_usd.high)
    assert found.requests_usd.high == pytest.approx(price_usd(found.requests))


def test_the_range_has_what_is_assumed():
    """Slower machines, work done twice, the start and the end."""
    assumed = Assumed(slower=(1, 2), again=(0, 0.5), start_s=(10, 20), end_s=(1, 2), idle_s=(0, 36))

    found = estimate(FACTS, MEASURED, machines=2, processes=2, usd_an_hour=0, assumed=assumed)

    assert found.hours.low == pytest.approx((10 + 20 + 200 + 1) / 3600)
    assert found.hours.high == pytest.approx((20 + 3 * 220 + 2) / 3600)
    assert found.machine_hours.high == pytest.approx(2 * (20 + 3 * 220 + 2 + 36) / 3600)


def test_a_split_that_is_larger_than_the_rest_holds_all_up():
    """However many machines there are."""
    skewed = replace(FACTS, splits=[1000] * 7 + [9000])

    found = estimate(skewed, MEASURED, machines=100, processes=8, usd_an_hour=0, assumed=EXACT)

    assert found.map_hours.low == pytest.approx(90 / 3600)


def test_what_is_added_up_hardly_grows_with_a_split():
    """So the output of the maps is a range: as many bytes a task, or in proportion."""
    large = replace(FACTS, bytes=80_000, splits=[10_000] * 8)

    found = estimate(large, MEASURED, machines=1, processes=2, usd_an_hour=0, assumed=EXACT)

    assert found.reduce_hours.low == pytest.approx(200 / 3600)
    assert found.reduce_hours.high == pytest.approx(2000 / 3600)


def test_a_map_only_job_reduces_nothing():
    """Neither in time nor in requests."""
    found = estimate(
        replace(FACTS, has_reduce=False), MEASURED, machines=1, processes=2, usd_an_hour=0,
        assumed=EXACT,
    )  # fmt: skip

    assert found.reduce_hours.high == 0
    assert found.requests["sqs.DeleteMessage"] == 2 * len(FACTS.splits)


@given(
    tasks=st.lists(st.floats(0, 1000), max_size=50),
    slots=st.integers(1, 20),
    more=st.integers(1, 9),
)
def test_a_fleet_is_as_fast_as_its_work_and_its_longest_task(tasks, slots, more):
    """Never below either, and never above their sum (Graham, 1969)."""
    found, total, longest = makespan(tasks, slots), sum(tasks), max(tasks, default=0)

    assert found >= max(longest, total / slots) - 1e-6
    assert found <= longest + total / slots + 1e-6
    assert makespan(tasks, slots + more) <= found + longest


def test_measuring_adds_up_commits():
    """Paces are seconds for a compressed byte; the reduces' for a byte of the maps' output."""
    maps = [
        Commit("1-map-0000000", "a", [Span(0, 30), Span(30, 10)], _tally(100, 900), seconds=1.0),
        Commit("1-map-0000001", "a", [Span(0, 0), Span(0, 40)], _tally(400, 3600), seconds=2.0),
    ]
    reduces = [Commit(f"1-reduce-000000{n}", "a", [Span(0, 5)], seconds=2.0) for n in range(2)]

    found = measure(maps, reduces, 2)

    assert (found.splits, found.blocks, found.compressed_bytes, found.raw_bytes) == (
        2,
        2,
        500,
        4500,
    )
    assert (found.fastest_s, found.mean_s, found.slowest_s) == (0.005, 0.006, 0.01)
    assert (found.output_bytes, found.output_bytes_a_task, found.reduce_s) == (80, 40.0, 0.05)
    assert (found.raw_ratio, found.output_ratio) == (9.0, 0.16)


def _tally(compressed, raw):
    return Tally(blocks=1, records=3, compressed_bytes=compressed, raw_bytes=raw)


def _blocks(*sizes):
    unknown = load_schema().dimensions("" for _ in load_schema().fields)
    return [Block("/b", f"{n}", size, "", unknown) for n, size in enumerate(sizes)]


def test_the_sample_is_spread_over_the_plan():
    """The first blocks of four splits of forty, up to some megabytes of each."""
    splits = [_blocks(*[SPLIT_BYTES // 3] * 9) for _ in range(40)]
    chosen = [id(block) for place in (5, 15, 25, 35) for block in splits[place][:3]]

    assert [id(block) for block in sampled_blocks(splits, 40, 10**10)] == chosen


def test_the_sample_has_one_large_block_at_most():
    """For blocks are tried whole."""
    splits = [_blocks(3 * SPLIT_BYTES, 2 * SPLIT_BYTES)] * SPLITS

    found = sampled_blocks(splits, SPLITS, 5 * SPLITS * SPLIT_BYTES)

    assert [block.size for block in found] == [2 * SPLIT_BYTES]


def test_a_small_input_is_tried_whole():
    """Nothing need be guessed of it."""
    splits = [_blocks(5, 6), _blocks(7)] * SPLITS

    assert [one.size for one in sampled_blocks(splits, 2 * SPLITS, 72)] == [5, 6, 7] * SPLITS
    assert list(sampled_blocks([], 0, 0)) == []


# Beside what a job really asks


def test_requests_are_about_those_of_a_real_job(cluster_command, tree, tmp_path):
    """Within a third of what workers and coordinator of a cluster counted, task by task."""
    done = cluster_command("run", JOBS / "combined.py", tree.path, "--split-size", "20KB",
                           "--reducers", 3, "--report", "report.json")  # fmt: skip
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "report.json").read_text())
    counted = report["requests"]["counts"]
    facts = Facts(
        blocks=report["blocks"]["read"], bytes=0, largest_block=0,
        splits=[1] * report["tasks"]["1-map"], reducers=report["tasks"]["1-reduce"],
    )  # fmt: skip

    found = requests_of(facts, output_bytes=0, hours=report["seconds"] / 3600, machines=1, slots=2)

    for service in ("s3", "sqs"):
        real = sum(n for name, n in counted.items() if name.startswith(f"{service}."))
        reckoned = sum(n for name, n in found.items() if name.startswith(f"{service}."))
        assert real > 100
        assert reckoned == pytest.approx(real, rel=1 / 3), service


# The command


def test_a_plan_for_this_machine(command, tree, store):
    """What would be read, how it would be cut, and how long it would take; nothing is kept."""
    done = command("plan", "os_distribution", tree.path)

    assert done.code == 0, done.err
    lines = done.out.decode().splitlines()
    read = tree.truth.compressed_bytes / 1e3
    assert lines[0] == f"input     40 blocks, {read:.1f} KB, about 4.0 MB raw"
    assert lines[3] == "on        this machine, 2 processes"
    assert re.match(r"time      [\d.]+ s to [\d.]+ s$", lines[4])
    assert not any("cost" in line for line in lines)
    assert not (store / "jobs").exists()


def test_a_plan_for_a_fleet_as_json(command, tree):
    """Splits and reduces are those for the fleet; the cost is its machines' and the requests'."""
    done = command("plan", JOBS / "combined.py", tree.path, "--machines", 3, "--type",
                   "c6i.4xlarge", "--json")  # fmt: skip

    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["fleet"]["processes"] == 48
    assert told["blocks"] == tree.truth.written.blocks
    assert told["bytes"] == tree.truth.compressed_bytes
    assert told["reducers"] == 48
    found, price = told["estimate"], load_prices().machine("c6i.4xlarge").spot_usd
    for end in ("low", "high"):
        idle = {"low": 0, "high": 0.25}[end]
        assert found["machine_hours"][end] == pytest.approx(3 * (found["hours"][end] + idle))
        assert found["machines_usd"][end] == pytest.approx(price * found["machine_hours"][end])
        assert found["usd"][end] == pytest.approx(
            found["machines_usd"][end] + found["requests_usd"][end]
        )
    assert 120 / 3600 < found["hours"]["low"] < found["hours"]["high"] < 0.5
    assert told["measured"]["records"] == tree.truth.written.good


def test_on_demand_machines_cost_more(command, tree):
    """And the text says what it rests on."""
    spot, on_demand = (
        command("plan", "os_distribution", tree.path, "--machines", 2, *more).out.decode()
        for more in ((), ("--on-demand",))
    )

    assert "on        2 x c6i.2xlarge, spot, 16 processes" in spot
    assert "on        2 x c6i.2xlarge, on demand, 16 processes" in on_demand
    machine = load_prices().machine("c6i.2xlarge")
    assert f"costs {machine.spot_usd:g} USD an hour (prices of 2026-11, us-east-1)" in spot
    assert f"costs {machine.on_demand_usd:g} USD an hour" in on_demand
    assert "in the whole job each takes 1 to 2 times as long; up to 10% is done twice" in spot
    assert re.search(r"splits of \d+ blocks tried here", spot)


def test_what_publishes_is_planned_without_publishing(command, tree, tmp_path):
    """The folder that it would go to is as it was; what that covers is not read again."""
    assert command("run", "histograms", tree.path, "-o", "published/").code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "published").rglob("*")}
    done = command("plan", "histograms", tree.path, "-o", "published/", "--machines", 2)
    fresh = command("plan", "histograms", tree.path, "-o", "other/", "--machines", 2)

    assert done.code == fresh.code == 0, done.err + fresh.err
    assert len(before) > 20
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "published").rglob("*")} == before
    assert done.out.decode().startswith("input     0 blocks")
    assert "cost      " in fresh.out.decode()
    assert not list(tmp_path.glob("other/**/*"))


def test_a_plan_without_a_trial_has_no_time(command, tree):
    """It reads nothing."""
    done = command("plan", "os_distribution", tree.path, "--no-calibrate")

    assert [line.split()[0] for line in done.out.decode().splitlines()] == [
        "input", "splits", "reduces",
    ]  # fmt: skip
    assert "raw" not in done.out.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--type", "z9.huge"), 2, "z9.huge: no price is known of such a machine; there are: c6a."),
        (("--prices", "nowhere.json", "--machines", 1), 2, "nowhere.json: cannot be read"),
        (("--prices", "bad.json", "--machines", 1), 2, "bad.json: is no table of prices"),
    ],
)
def test_what_cannot_be_planned_is_said_in_a_sentence(
    command, tree, tmp_path, arguments, code, said
):
    """Exit code 2, as for every command."""
    (tmp_path / "bad.json").write_text('{"region": 1}')

    done = command("plan", "os_distribution", tree.path, *arguments)

    assert (done.code, said in done.err) == (code, True), done.err


def test_an_analysis_that_fails_is_shown_failing(command, tree):
    """The trial shows the person's own traceback, as a job would."""
    done = command("plan", f"{JOBS / 'failing.py'}:Dies", tree.path)

    assert done.code == 1
    assert "the analysis failed" in done.err
    assert "replay" not in done.err  # the trial's job is gone


def test_a_plan_for_mrjob_says_what_it_leaves_out(command, tree):
    """What mrjob itself takes is not measured."""
    done = command("plan", "os_distribution", tree.path, "--engine", "mrjob")

    assert done.code == 0, done.err
    assert b"the local engine: what mrjob itself takes is not in it" in done.out


def test_prices_of_today_come_from_ec2(monkeypatch):
    """The mean of the zones, each with its newest price."""
    client = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="b")  # fmt: skip
    told = [("a", "0.2000"), ("b", "0.4000"), ("a", "0.9000")]
    answer = {
        "SpotPriceHistory": [
            {"InstanceType": "c6i.2xlarge", "AvailabilityZone": zone, "SpotPrice": price}
            for zone, price in told
        ]
    }
    monkeypatch.setattr(stacks, "client", lambda service: client)
    with Stubber(client) as stub:
        stub.add_response("describe_spot_price_history", answer)

        assert stacks.spot_prices(["c6i.2xlarge"]) == {"c6i.2xlarge": pytest.approx(0.3)}


def test_prices_that_cannot_be_asked_for_are_said(ministack, tree, tmp_path):
    """In a sentence: this server does not know of them."""
    environment = {
        **os.environ, **ministack.environment, "AWS_ENDPOINT_URL": ministack.url,
        "HOME": str(tmp_path), "MR_TELEMETRY_STORE": str(tmp_path / "store"),
    }  # fmt: skip

    done = run_command(
        ("plan", "os_distribution", tree.path, "--machines", 1, "--refresh"), environment, tmp_path
    )

    assert done.code == 2
    assert done.err.startswith("mr-telemetry: the spot prices cannot be asked for: ")
