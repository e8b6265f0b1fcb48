"""The main job through the command line, against the truth and a plain reference.

Each test runs on the local engine, on a cluster of two workers and by mrjob, and expects the same.
"""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from conftest import JOBS, run_command
from reference import by_system, every_hook, records

MANNERS = [
    ("--workers", 1),
    ("--workers", 4),
    ("--split-size", "1MB"),
    ("--split-size", "20KB"),
    ("--split-size", "500MB"),
    ("--reducers", 1),
    ("--reducers", 7),
    ("--workers", 3, "--reducers", 5, "--split-size", "50KB", "--buffer-size", "2KB"),
]


@pytest.fixture(params=["local", "cluster", "mrjob"])
def command(request, command):
    """The command line on one of the engines; mrjob's tasks run in its process (`-r inline`)."""
    if request.param == "cluster":
        return request.getfixturevalue("cluster_command")
    if request.param == "mrjob":
        request.getfixturevalue("environment")["MR_TELEMETRY_ENGINE"] = "mrjob"
    return command


@pytest.fixture(scope="session")
def expected(tree, tmp_path_factory):
    """What a job prints over the tree, run once on the local engine."""

    @cache
    def run(job):
        folder = tmp_path_factory.mktemp("expected")
        environment = {**os.environ, "MR_TELEMETRY_STORE": str(folder / "jobs")}
        arguments = ("run", JOBS / f"{job}.py", tree.path, "--workers", 2)
        done = run_command(arguments, environment, folder)
        assert done.code == 0, done.err
        return done.out

    return run


def test_counts_by_system_as_the_truth_says(command, tree, tmp_path):
    """The bundled analysis gives the numbers that the generator wrote, and its report says so."""
    done = command(
        "run", "os_distribution", tree.path, "-o", "out.jsonl", "--report", "report.json"
    )

    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == [list(pair) for pair in sorted(tree.truth.written.by_os.items())]
    assert rows == by_system(tree.path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["state"] == "done"
    assert report["complete"] is True
    assert report["records"]["read"] == tree.truth.written.good > 50
    assert report["blocks"]["read"] == tree.truth.written.blocks > 20
    assert report["bytes"]["raw"] == tree.truth.raw_bytes
    assert report["bytes"]["compressed"] == tree.truth.compressed_bytes


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: " ".join(map(str, manner)))
@pytest.mark.parametrize("job", ["every_hook", "combined", "regrouped"])
def test_bytes_do_not_depend_on_how_the_work_is_cut(command, expected, tree, job, manner):
    """Any engine, workers, reducers, splits and buffers give the same bytes."""
    found = command("run", JOBS / f"{job}.py", tree.path, *manner)

    assert found.code == 0, found.err
    assert len(expected(job)) > 100
    assert found.out == expected(job)


def test_every_hook_answers_as_the_reference(command, tree, tmp_path):
    """Two steps without combiners keep the order of the input, and counters are exact."""
    done = command("run", JOBS / "every_hook.py", tree.path, "--report", "report.json")

    assert done.rows == every_hook(tree.path)
    counters = json.loads((tmp_path / "report.json").read_text())["counters"]
    assert counters["seen"] == tree.truth.written.good
    assert counters["groups"] == sum(len(found) for _, found in done.rows)


def test_map_only_step_after_a_reduce_is_in_the_order_of_its_keys(command, tree):
    """Whatever partition a key was in, its rows stand in order; a header goes to no next step."""
    done = command("run", JOBS / "regrouped.py", tree.path, "--reducers", 5)

    counts = Counter(identity[:2] for _, _, identity, _ in records(tree.path))
    expected = []
    for key, number in sorted(counts.items()):
        expected += [[key, number], [[key, "twice"], 2 * number]]
    assert len(expected) > 50
    assert done.rows == expected


def test_parameters_are_set_by_name(command, tree):
    """`--set` replaces a class attribute by the type of its default."""
    done = command("run", JOBS / "every_hook.py", tree.path, "--set", "keep=1")

    assert done.rows == every_hook(tree.path, keep=1)


def test_map_only_output_is_in_block_order(command, tree):
    """Without a reduce the rows come in the order of the blocks and their lines."""
    done = command("run", JOBS / "map_only.py", tree.path, "--workers", 3, "--split-size", "50KB")

    found = [(row[0], row[1][0], row[1][1]) for row in done.rows]
    expected = [(identity, key, line) for key, line, identity, _ in records(tree.path)]
    assert len(expected) > 50
    assert found == expected


def test_plain_script_runs_as_it_is(command, tree):
    """A script of 2013 prints its lines, its header once and first."""
    done = command("run", JOBS / "plain_script.py", tree.path, "--reducers", 4)

    counts = {}
    for key, _, _, payload in records(tree.path):
        place = (key.split("/")[1], payload["info"]["OS"])
        counts[place] = counts.get(place, 0) + 1
    lines = [f"{app},{system},{count}" for (app, system), count in sorted(counts.items())]
    assert done.out.decode().splitlines() == ["app,os,count", *lines]


def test_block_shaped_like_the_real_one(command, tmp_path):
    """One record in the pipeline's own place gives one row; a filter that misses it gives none."""
    import lzma

    folder = tmp_path / "telemetry/saved_session/Firefox/nightly/22.0a1"
    folder.mkdir(parents=True)
    name = "20130226031002.20131011.v2.log.e28a4032eb744f089a1828ac7399e5d8.lzma"
    record = {"ver": 2, "info": {"OS": "WINNT", "reason": "saved-session"}, "histograms": {}}
    line = b"024b73d7-2e26-4545-8077-1cc930904eae\t" + json.dumps(record).encode() + b"\n"
    (folder / name).write_bytes(lzma.compress(line, format=lzma.FORMAT_ALONE))
    dates = {"field_name": "submission_date", "allowed_values": {"min": "20131101"}}
    others = ("reason", "appName", "appUpdateChannel", "appVersion", "appBuildID")
    dimensions = [{"field_name": field, "allowed_values": "*"} for field in others]
    later = tmp_path / "later.json"
    later.write_text(json.dumps({"version": 1, "dimensions": [*dimensions, dates]}))

    found = command("run", "os_distribution", tmp_path / "telemetry")
    none = command("run", "os_distribution", tmp_path / "telemetry", "--filter", later, "-o", "-")

    assert (found.code, found.out) == (0, b'["WINNT", 1]\n')
    assert (none.code, none.out) == (0, b"")
    assert "No block matches the filter" in none.err


def test_sample_reads_a_share_of_the_records(command, tree, tmp_path):
    """`--sample` takes the same share of the same records, however the work is cut."""
    first = command("run", JOBS / "map_only.py", tree.path, "--sample", "30%")
    second = command(
        "run", JOBS / "map_only.py", tree.path, "--sample", "30%", "--split-size", "30KB",
        "--report", "report.json",
    )  # fmt: skip

    assert first.out == second.out
    assert 0.1 < len(first.rows) / tree.truth.written.good < 0.6
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["complete"] is False
    assert "sample of 30.00% only" in second.err


def test_limit_blocks_reads_the_first_ones(command, tree):
    """`--limit-blocks` reads whole blocks from the start of the input, and says so."""
    done = command("run", JOBS / "map_only.py", tree.path, "--limit-blocks", 3)

    keys = list(dict.fromkeys(row[1][0] for row in done.rows))
    assert keys == sorted(p.relative_to(tree.path).as_posix() for p in Path(tree.path).rglob("*.*")
                          if p.is_file())[:3]  # fmt: skip
    assert "left out by --limit-blocks" in done.err


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv", "parquet", "txt"])
def test_every_output_format_holds_the_answer(command, tree, tmp_path, ending):
    """The ending of the output's name chooses the format."""
    done = command("run", "os_distribution", tree.path, "-o", f"out.{ending}")

    assert done.code == 0, done.err
    path = tmp_path / f"out.{ending}"
    expected = [tuple(row) for row in by_system(tree.path)]
    if ending == "parquet":
        import pyarrow.parquet

        columns = pyarrow.parquet.read_table(path).to_pydict()
        assert list(zip(*columns.values(), strict=True)) == expected
    elif ending == "json":
        assert [tuple(row) for row in json.loads(path.read_text())] == expected
    else:
        assert all(f"{count}" in path.read_text() for _, count in expected)
        names = ending in ("csv", "tsv")
        assert len(path.read_text().splitlines()) == len(expected) + names


def test_folder_output_holds_sorted_parts(command, tree, tmp_path):
    """A directory as output gets one sorted part for each reducer that has keys."""
    done = command("run", "os_distribution", tree.path, "-o", "parts/", "--reducers", 3)
    again = command("run", "os_distribution", tree.path, "-o", "parts/", "--reducers", 3)

    assert done.code == 0, done.err
    parts = [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted((tmp_path / "parts").glob("part-*.jsonl"))
    ]
    assert all(part == sorted(part) for part in parts)
    assert sorted(row for part in parts for row in part) == by_system(tree.path)
    assert again.code == 2, "the parts of two jobs must not mix"
    assert "holds the result parts of" in again.err


def test_what_user_code_prints_stays_out_of_the_result(command, tree, request):
    """Output of `print` goes to standard error; on a cluster, to the logs of its workers."""
    done = command("run", f"{JOBS / 'failing.py'}:Prints", tree.path)

    assert done.rows == [["records", tree.truth.written.good]]
    if "cluster" not in request.node.name:
        assert "hello from map" in done.err
