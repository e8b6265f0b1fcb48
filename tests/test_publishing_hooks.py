"""Analyses that publish files: whole, once, in their place, and repeatable."""

import io
import json
import os
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
import reference
from conftest import COMMAND_TIMEOUT_S, JOBS
from test_faults import children, start, unfinished, wait_until

from mr import Analysis, run
from mr.errors import AnalysisError
from mr.runs import Span
from mr.staging import StagedFiles
from mr.testing import ping, run_analysis

SHELVES = JOBS / "shelves.py"


def expected(tree: Path) -> dict[str, list[str]]:
    """Every file's content, by the plain reader."""
    found = defaultdict(list)
    for _, _, identity, payload in reference.records(tree):
        info = payload["info"]
        found[f"shelves/{info['OS']}/{str(info.get('version')) or 'none'}.json"].append(identity)
    return dict(found)


def published(folder: Path) -> dict[str, list[str]]:
    """Every published file's content, but the index."""
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_bytes())
        for path in folder.glob("shelves/*/*")
    }


def test_files_of_reduces_are_published(command, tree, tmp_path, store):
    """Every file is in its place, the index tells them all, and nothing is left in the store."""
    answer = command(
        "run", SHELVES, tree.path, "-o", "out/", "--reducers", 5, "--report", "report.json"
    )

    assert answer.code == 0, answer.err
    assert answer.out == b""
    files = published(tmp_path / "out")
    assert files == expected(tree.path)
    assert len(files) > 5
    index = json.loads((tmp_path / "out/index.json").read_bytes())
    assert index["names"] == sorted(files)
    assert index["records"] == tree.truth.written.good
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["published"] == f"{len(files)} shelves"
    assert answer.err.rstrip().endswith(report["published"])
    assert report["counters"]["files"] == len(files)
    assert report["tasks"]["1-publish"] == 1
    assert not list(store.glob("jobs/*/files/*"))
    (job,) = command("jobs").out.decode().splitlines()
    assert " done " in job


def test_what_is_published_may_be_one_document(command, tree, tmp_path):
    """To a file or printed, the document holds what the folder does; resume gives it again."""
    command("run", SHELVES, tree.path, "-o", "all.json")
    printed = command("run", SHELVES, tree.path)

    assert json.loads((tmp_path / "all.json").read_bytes()) == expected(tree.path)
    assert printed.out == (tmp_path / "all.json").read_bytes()
    job = command("jobs").out.split()[0].decode()
    again = command("resume", job)
    assert again.out == printed.out


def test_prepare_leaves_blocks_out_and_tells_every_task(command, tree, tmp_path):
    """Blocks that were left out are not read, and reported; what prepare returned is kept."""
    answer = command(
        "run", SHELVES, tree.path, "-o", "out", "--set", "without=Fennec", "--report", "report.json"
    )

    assert answer.code == 0, answer.err
    report = json.loads((tmp_path / "report.json").read_bytes())
    blocks = report["blocks"]
    fennec = [path for path in tree.path.glob("*/Fennec/**/*") if path.is_file()]
    assert blocks["set_aside"] == len(fennec) > 0
    assert report["set_aside_blocks"][0]["reason"] == "Fennec is not wanted"
    assert not report["complete"]
    assert f"{len(fennec)} blocks set aside" in answer.err
    index = json.loads((tmp_path / "out/index.json").read_bytes())
    assert index["seen"] == blocks["selected"] + len(fennec)
    assert command("run", SHELVES, tree.path, "-o", "out").code == 0
    assert json.loads((tmp_path / "out/index.json").read_bytes())["tag"] == index["seen"]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--set", "same_name=yes"], 1, "two reduce tasks wrote the file same"),
        (["--set", "fault=raise"], 1, "ValueError: the shelf is full"),
        (["--format", "csv"], 2, "this analysis publishes files"),
        (["--rebuild"], 2, "Shelves has no parameter 'rebuild'"),
    ],
)
def test_what_cannot_be_published_is_told(command, tree, tmp_path, options, code, sentence):
    """One sentence, and an output without an index."""
    answer = command("run", SHELVES, tree.path, "-o", "out/", "--reducers", 3, *options)

    assert answer.code == code
    assert sentence in answer.err
    assert "mr/attempts.py" not in answer.err
    assert not (tmp_path / "out/index.json").exists()


def test_publishing_that_dies_is_repeated(command, tree, tmp_path):
    """A process killed in publish costs a retry."""
    answer = command("run", SHELVES, tree.path, "-o", "out/", "--set", "fault=die")

    assert answer.code == 0, answer.err
    assert "killed by signal 9" in answer.err
    assert published(tmp_path / "out") == expected(tree.path)


def test_a_job_whose_plan_is_outdated_is_planned_anew(command, tree, tmp_path):
    """The second plan is published; both jobs have ended, the first one as failed."""
    answer = command("run", SHELVES, tree.path, "-o", "out/", "--set", "fault=again")

    assert answer.code == 0, answer.err
    assert "somebody was first. The job is planned anew." in answer.err
    assert published(tmp_path / "out") == expected(tree.path)
    states = sorted(line.split()[1] for line in command("jobs").out.decode().splitlines())
    assert states == ["done", "failed"]


def test_command_killed_while_publishing_is_resumed(command, environment, store, tree, tmp_path):
    """After kill -9 between the job's end and its publishing `resume` publishes the same files."""
    run = start(
        environment, tmp_path, "run", SHELVES, tree.path, "-o", "out/", "--set", "pause_s=3"
    )  # fmt: skip
    wait_until(lambda: list(store.glob("jobs/*/commits/1-place-*")), "a place task's commit")
    for child in children(run.pid):
        os.kill(child, signal.SIGKILL)
    run.kill()
    run.communicate(timeout=COMMAND_TIMEOUT_S)

    assert not (tmp_path / "out/index.json").exists()
    (job,) = unfinished(command)
    wrong = command("resume", job, "-o", "elsewhere.csv")
    resumed = command("resume", job)

    assert wrong.code == 2
    assert "publishes to" in wrong.err
    assert resumed.code == 0, resumed.err
    assert published(tmp_path / "out") == expected(tree.path)
    index = json.loads((tmp_path / "out/index.json").read_bytes())
    assert index["records"] == tree.truth.written.good


def test_python_publishes_too(tree, tmp_path, monkeypatch):
    """`mr.run` publishes to a folder, or keeps it with the job; the result tells where."""
    monkeypatch.setenv("MR_TELEMETRY_STORE", str(tmp_path / "jobs"))

    named = run(str(SHELVES), tree.path, output=tmp_path / "out", quiet=True)
    kept = run(str(SHELVES), tree.path, quiet=True)

    assert published(tmp_path / "out") == expected(tree.path)
    assert named.output == str(tmp_path / "out")
    assert published(Path(kept.output)) == expected(tree.path)
    assert kept.report["published"] == named.report["published"]


class Tiny(Analysis):
    """One file, in this process."""

    def map(self, record):
        yield record["info"]["OS"], 1

    def reduce(self, key, values):
        with self.output.open(f"{key}.txt") as file:
            file.write(str(sum(values)).encode())

    def publish(self, output, commits):
        output.write("done", str(commits.report["records"]["read"]).encode())


def test_publishing_can_be_tested(tmp_path):
    """`run_analysis` publishes to a folder, in one process."""
    records = [ping(info={"OS": "Linux"}), ping(info={"OS": "WINNT"}), ping(info={"OS": "WINNT"})]

    run_analysis(Tiny, records, splits=2, output=tmp_path)

    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert found == {"Linux.txt": "1", "WINNT.txt": "2", "done": "3"}


def test_only_closed_files_count(tmp_path):
    """A file left by an exception is dropped, one still open at the end is finished."""
    out = io.BytesIO()
    with StagedFiles(out, tmp_path) as files:
        with suppress(ZeroDivisionError), files.open("left") as file:
            file.write(b"%d" % (1 // 0))
        first, second = files.open("first"), files.open("dir/second")
        first.write(b"1" * 1_000_000)
        second.write(b"22")
        with pytest.raises(AnalysisError, match="opened before"):
            files.open("first")
        second.close()
        with pytest.raises(AnalysisError, match="opened before"):
            files.open("dir/second")
        with pytest.raises(AnalysisError, match=r"\.\./up"):
            files.open("../up")
        files.open("left").close()
    with suppress(ZeroDivisionError), StagedFiles(out, tmp_path) as dropped:
        dropped.open("dropped").write(b"%d" % (1 // 0))

    assert out.getvalue() == b"22" + b"1" * 1_000_000
    assert files.spans == {
        "dir/second": Span(0, 2),
        "left": Span(2, 0),
        "first": Span(2, 1_000_000),
    }
    assert dropped.spans == {}
    assert list(tmp_path.iterdir()) == []
