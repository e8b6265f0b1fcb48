"""Publishing merged histograms by the command line: what a person sees, and what is on disk."""

import json
import os
import shutil
import signal
from pathlib import Path

import histogram_reference
import pytest
import reference
import zstandard
from conformance import check_published
from conftest import COMMAND_TIMEOUT_S
from published import content, payload, times, versions, write_block, write_definitions
from test_faults import children, start, unfinished, wait_until

from mr.histograms.shelves import shelf_of
from mr.schema import load_schema

REAL = Path(__file__).parents[2] / "shared" / "data"
CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture
def publish(command, tmp_path):
    """Publish a tree to `out`, with the definitions of the tests."""
    definitions = write_definitions(tmp_path)

    def run(tree: Path, *options: object, output: str = "out/"):
        return command(
            "run", "histograms", tree, "-o", output, "--definitions", definitions, *options
        )

    return run


@pytest.fixture
def blocks(tmp_path) -> Path:
    """A tree of three blocks: two days of one channel, and one of another."""
    tree = tmp_path / "tree"
    write_block(tree, [payload(TIMES=times(1, 2)), payload("Linux", "3.13.0", TIMES=times(0, 4))])
    write_block(tree, [payload(TIMES=times(3))], submission_date="20140603")
    write_block(tree, [payload(SEEN=[1, 0, 0, 0, -1, -1, 0, 0])], appUpdateChannel="beta")
    return tree


def coverage(root: Path, version: str = "nightly/31") -> dict:
    """What a version's folder covers."""
    return json.loads((root / versions(root)[version] / "coverage.json").read_bytes())


def rows(root: Path, measure: str, kind: str = "build", version: str = "nightly/31") -> dict:
    """Date to rows."""
    folder = root / versions(root)[version]
    return json.loads((folder / f"{measure}-by-{kind}-date.json").read_bytes())


def submissions(root: Path, measure: str = "TIMES") -> int:
    """All submissions of a measure, by build date."""
    return sum(row[-2] for found in rows(root, measure).values() for row in found)


def test_a_generated_tree_conforms_and_equals_the_reference(command, tree, tmp_path):
    """Every number is the slow plain reference's; two processes or one give the same files."""
    answer = command("run", "histograms", tree.path, "-o", "out/", "--workers", 2)

    assert answer.code == 0, answer.err
    checked = check_published(tmp_path / "out")
    schema = load_schema()
    records = [
        (dict(schema.dimensions_of(key)), found)
        for key, _, _, found in reference.records(tree.path)
    ]
    definitions = json.loads((CONF / "definitions.json").read_bytes())
    expected = histogram_reference.expected(records, definitions)
    assert histogram_reference.published(tmp_path / "out") == expected
    assert checked.folders == len(expected) > 3
    assert checked.measures == sum(len(one["measures"]) for one in expected.values()) > 1000
    assert "GC_REASON_2" in answer.err


def test_cut_and_workers_change_no_byte(publish, blocks, tmp_path):
    """Splits of one block, many reducers, one worker: the same files."""
    assert publish(blocks).code == 0
    other = publish(blocks, "--workers", 1, "--reducers", 5, "--split-size", "1KB", output="other")

    assert other.code == 0, other.err
    assert content(tmp_path / "other") == content(tmp_path / "out")
    assert check_published(tmp_path / "out").folders == 2
    assert submissions(tmp_path / "out") == 3


def test_daily_updates_end_like_one_run(publish, blocks, tmp_path):
    """Blocks that come in turn, each counted once, however often the command is run."""
    whole = publish(blocks, output="whole/")
    part = tmp_path / "part"
    seen = []
    for path in sorted(blocks.rglob("*.lzma"), reverse=True):
        target = part / path.relative_to(blocks)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        assert publish(part).code == 0
        seen.append(versions(tmp_path / "out"))
    again = publish(part)

    assert whole.code == again.code == 0
    assert "Nothing new to publish." in again.err
    assert "not read again: 3 blocks" in again.err
    assert versions(tmp_path / "out") == seen[-1]
    # A version without new blocks keeps its folder.
    assert seen[0]["nightly/31"] != seen[1]["nightly/31"]
    assert seen[1]["nightly/31"] == seen[2]["nightly/31"]
    assert content_but_tags(tmp_path / "out") == content_but_tags(tmp_path / "whole")
    check_published(tmp_path / "out")


def content_but_tags(root: Path) -> dict[str, bytes]:
    """The content but for the blocks' own entries: a copy of a file has another tag."""
    return {name: data for name, data in content(root).items() if "folder.jsonl" not in name}


def test_missing_blocks_are_listed_and_taken_when_they_appear(publish, blocks, tmp_path):
    """An entry of an input list that is not there is in FILES_MISSING until it is."""
    key = write_block(tmp_path / "later", [payload(TIMES=times(9))], number=7)
    entry = blocks / key
    (tmp_path / "list").write_text(f"{entry}\n")

    first = publish(blocks, "--input-list", "list")
    assert first.code == 0, first.err
    assert (tmp_path / "out/FILES_MISSING").read_text() == f"{key}\n"
    assert coverage(tmp_path / "out")["blocks"]["unread"] == [key]
    assert submissions(tmp_path / "out") == 3
    shutil.copy(tmp_path / "later" / key, entry)
    second = publish(blocks, "--input-list", "list")

    assert second.code == 0, second.err
    assert (tmp_path / "out/FILES_MISSING").read_text() == ""
    assert submissions(tmp_path / "out") == 4
    check_published(tmp_path / "out")


def test_a_damaged_block_is_processed_and_told(publish, blocks, tmp_path):
    """What is readable before the damage counts, once; the reason is in coverage.json."""
    key = write_block(blocks, [payload(TIMES=times(1)) for _ in range(500)], number=8)
    whole = (blocks / key).read_bytes()
    (blocks / key).write_bytes(whole[: len(whole) * 2 // 3])

    first, second = publish(blocks), publish(blocks)

    assert first.code == second.code == 0
    (bad,) = coverage(tmp_path / "out")["blocks"]["bad"]
    assert bad["block"] == key
    assert 3 < submissions(tmp_path / "out") < 503
    assert "Nothing new to publish." in second.err
    assert key in (tmp_path / "out/FILES_PROCESSED").read_text().splitlines()


def test_a_changed_block_needs_a_rebuild(publish, blocks, tmp_path):
    """It is reported and not counted again; `--rebuild` counts it anew."""
    publish(blocks)
    key = write_block(blocks, [payload(TIMES=times(5)), payload(TIMES=times(6))])

    update = publish(blocks, "--report", "report.json")
    assert update.code == 0
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert [one["block"] for one in report["set_aside_blocks"]] == [str(blocks / key)]
    assert "--rebuild" in report["set_aside_blocks"][0]["reason"]
    assert not report["complete"]
    assert submissions(tmp_path / "out") == 3
    rebuilt = publish(blocks, "--rebuild")

    assert rebuilt.code == 0, rebuilt.err
    fresh = publish(blocks, output="fresh")
    assert fresh.code == 0
    assert content(tmp_path / "out") == content(tmp_path / "fresh")
    assert rows(tmp_path / "out", "TIMES")["20140601"][0][:2] == [14, 0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--sample", "50%"], "--sample reads a part of the input only"),
        (["--limit-blocks", "1"], "--limit-blocks reads a part of the input only"),
        (["--filter", "filter.json"], "was made with another --filter"),
    ],
)
def test_what_would_mix_is_refused(publish, blocks, tmp_path, options, sentence):
    """Exit code 2, a sentence that names the option, and nothing changes."""
    (tmp_path / "filter.json").write_text('{"appName": "Firefox"}')
    publish(blocks)
    before = content(tmp_path / "out")

    refused = publish(blocks, *options)

    assert refused.code == 2
    assert sentence in refused.err
    assert "--rebuild" in refused.err
    assert content(tmp_path / "out") == before
    assert publish(blocks, *options, "--rebuild").code == 0


def test_another_programs_folder_is_refused(publish, blocks, tmp_path):
    """A folder without a state cannot be added to; `--rebuild` starts afresh and keeps it."""
    folder = tmp_path / "out/20140101000000-31-nightly"
    folder.mkdir(parents=True)
    (folder / "histograms.json").write_text("{}")
    (tmp_path / "out/versions.json").write_text(json.dumps({"nightly/31": folder.name}))

    refused, rebuilt = publish(blocks), publish(blocks, "--rebuild")

    assert refused.code == 2
    assert "has no state to add to" in refused.err
    assert rebuilt.code == 0, rebuilt.err
    assert submissions(tmp_path / "out") == 3
    assert (folder / "histograms.json").exists()


def test_keep_removes_older_folders(publish, blocks, tmp_path):
    """One earlier folder stays unless told otherwise; folders that nobody knows stay always."""
    publish(blocks)
    stranger = tmp_path / "out/20100101000000-31-nightly/x"
    stranger.parent.mkdir()
    stranger.write_text("x")
    folders = [versions(tmp_path / "out")["nightly/31"]]
    for number in range(3):
        write_block(blocks, [payload(TIMES=times(1))], number=100 + number)
        assert publish(blocks).code == 0
        folders.append(versions(tmp_path / "out")["nightly/31"])
    left = {path.name for path in (tmp_path / "out").glob("2*-nightly")}

    assert folders == sorted(set(folders))
    assert left == {*folders[-2:], stranger.parent.name}
    write_block(blocks, [payload(TIMES=times(1))], number=200)
    assert publish(blocks, "--keep", 0).code == 0
    assert len(list((tmp_path / "out").glob("2*-nightly"))) == 2
    assert submissions(tmp_path / "out") == 7
    check_published(tmp_path / "out")


def test_one_document_holds_what_the_folder_does(publish, command, blocks, tmp_path):
    """To a file, or printed."""
    publish(blocks)
    assert publish(blocks, output="merged.json").code == 0
    printed = command("run", "histograms", blocks, "--definitions", tmp_path / "definitions.json")

    merged = json.loads((tmp_path / "merged.json").read_bytes())
    assert merged.keys() == versions(tmp_path / "out").keys()
    one, folder = merged["nightly/31"], tmp_path / "out" / versions(tmp_path / "out")["nightly/31"]
    for part in ("histograms", "revisions", "filter-tree"):
        assert one[part] == json.loads((folder / f"{part}.json").read_bytes())
    for kind in ("build", "submission"):
        assert one[f"by-{kind}-date"]["TIMES"] == rows(tmp_path / "out", "TIMES", kind)
    assert sorted(one["by-build-date"]) == ["SIMPLE_MEASURES_UPTIME", "TIMES"]
    again = json.loads(printed.out)
    assert again["nightly/31"]["by-build-date"] == one["by-build-date"]


def test_the_real_block_publishes_330_measures(command, tmp_path):
    """300 histograms and 30 simple measures; the 12 others are named."""
    if not REAL.is_dir():
        pytest.skip(f"needs {REAL}, which is not part of the repository")
    options = []
    for path in sorted((REAL / "definitions").iterdir()):
        options += ["--definitions", path]

    answer = command("run", "histograms", REAL / "telemetry", "-o", "out", *options)

    assert answer.code == 0, answer.err
    assert check_published(tmp_path / "out").measures == 330
    folder = tmp_path / "out" / versions(tmp_path / "out")["nightly/22"]
    measures = json.loads((folder / "histograms.json").read_bytes())
    assert sum(name.startswith("SIMPLE_MEASURES_") for name in measures) == 30
    left_out = coverage(tmp_path / "out", "nightly/22")["measures"]["left_out"]
    assert len(left_out) == 12
    assert all(name in answer.err for name in left_out)
    # 227 days after the build: nothing by submission date.
    assert rows(tmp_path / "out", "GC_MS", "submission", "nightly/22") == {}
    assert len(rows(tmp_path / "out", "GC_MS", "build", "nightly/22")["20130226"]) == 1


def test_a_killed_update_leaves_the_old_state_and_is_repeated(
    publish, command, environment, blocks, store, tmp_path
):
    """kill -9 while files are put in place: the old folder is live; resume and run both go on."""
    publish(blocks)
    before = content(tmp_path / "out")
    key = write_block(blocks, [payload(TIMES=times(2))], number=5)
    run = start(
        environment, tmp_path, "run", "histograms", blocks, "-o", "out/",
        "--definitions", tmp_path / "definitions.json", "--reducers", 4,
    )  # fmt: skip
    # The job's end is decided once a place task may run; nothing is swapped before the last one.
    wait_until(lambda: ended(store) > 1, "the end of the job's reduces")
    for child in children(run.pid):
        os.kill(child, signal.SIGKILL)
    run.kill()
    run.communicate(timeout=COMMAND_TIMEOUT_S)
    if unfinished(command):  # else it was too quick for us
        assert content(tmp_path / "out") == before
        (job,) = unfinished(command)
        assert command("resume", job).code == 0

    assert submissions(tmp_path / "out") == 4
    assert key in (tmp_path / "out/FILES_PROCESSED").read_text()
    assert "Nothing new" in publish(blocks).err
    assert publish(blocks, output="whole").code == 0
    assert content(tmp_path / "whole") == content(tmp_path / "out")
    check_published(tmp_path / "out")


def ended(store: Path) -> int:
    """How many jobs of the store have decided their end."""
    return len(list(store.glob("jobs/*/end")))


def test_a_resumed_update_that_comes_too_late_is_told(
    publish, command, environment, blocks, store, tmp_path
):
    """When another run has published meanwhile, the late one changes nothing."""
    publish(blocks)
    write_block(blocks, [payload(TIMES=times(2))], number=5)
    run = start(
        environment, tmp_path, "run", "histograms", blocks, "-o", "out/",
        "--definitions", tmp_path / "definitions.json",
    )  # fmt: skip
    wait_until(lambda: unfinished(command), "the second job")
    for child in children(run.pid):
        os.kill(child, signal.SIGKILL)
    run.kill()
    run.communicate(timeout=COMMAND_TIMEOUT_S)
    late = unfinished(command)
    assert publish(blocks).code == 0
    after = content(tmp_path / "out")

    for job in late:  # none, if it was too quick for us
        resumed = command("resume", job)
        assert resumed.code == 1
        assert "was published by another run meanwhile" in resumed.err
    assert content(tmp_path / "out") == after
    assert submissions(tmp_path / "out") == 4


def test_blocks_that_cannot_be_published_are_told(publish, blocks, tmp_path):
    """A build id without a date, a lone file outside the layout: set aside, with the reason."""
    write_block(blocks, [payload(TIMES=times(1))], appBuildID="unknown")
    broken = blocks / write_block(blocks, [payload(TIMES=times(1))], number=9)
    broken.rename(broken.with_name(broken.name.replace("log.", "log.\n")))

    answer = publish(blocks, "--report", "report.json")

    assert answer.code == 0, answer.err
    aside = json.loads((tmp_path / "report.json").read_bytes())["set_aside_blocks"]
    reasons = sorted(one["reason"] for one in aside)
    assert "'unknown', does not begin with a date" in reasons[0]
    assert reasons[1] == "its name holds a line break"
    assert "2 blocks set aside" in answer.err
    assert submissions(tmp_path / "out") == 3


def test_a_state_of_another_version_is_told_and_rebuilt(publish, blocks, tmp_path):
    """One sentence; --rebuild publishes afresh, and removes what was there."""
    publish(blocks)
    folder = tmp_path / "out" / versions(tmp_path / "out")["nightly/31"]
    info = folder / "state/folder.json"
    info.write_text(json.dumps({**json.loads(info.read_bytes()), "version": 1}))
    write_block(blocks, [payload(TIMES=times(2))], number=5)

    answer = publish(blocks)

    assert answer.code == 2
    assert "another version of mr-telemetry" in answer.err
    assert "--rebuild" in answer.err
    assert submissions(tmp_path / "out") == 3
    assert publish(blocks, "--rebuild").code == 0
    assert submissions(tmp_path / "out") == 4


def test_a_damaged_state_is_told(publish, blocks, tmp_path):
    """One sentence that names the file and --rebuild; what is published stays as it is."""
    publish(blocks)
    folder = tmp_path / "out" / versions(tmp_path / "out")["nightly/31"]
    state = folder / f"state/measures/{shelf_of('TIMES'):02}.jsonl.zst"
    state.write_bytes(zstandard.compress(b"[[],[[1,2]\n"))
    write_block(blocks, [payload(TIMES=times(2))], number=5)

    answer = publish(blocks)

    assert answer.code == 1
    assert ".jsonl.zst (TIMES): the state of what is published is damaged" in answer.err
    assert "--rebuild" in answer.err
    assert submissions(tmp_path / "out") == 3
    assert publish(blocks, "--rebuild").code == 0
    assert submissions(tmp_path / "out") == 4
