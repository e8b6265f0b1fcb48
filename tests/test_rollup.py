"""Merging saved states: the result is that of one run over all, and nothing is counted twice."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import JOBS, Answer
from jobs.systems import Systems
from reference import by_system, records
from test_faults import SLOW, children, commits, gone, start, unfinished, wait_until

import mr
from mr import launch
from mr.directory import DirectoryStore
from mr.saved import STATE, read_saved

#: The days that the tree is cut into.
DAYS = 4

#: Jobs with a combiner: keys of all types, lists, thresholds, a script, a step after one of maps.
LAWFUL = [
    "combined.py",
    "script_sums.py",
    *(f"rollups.py:{name}" for name in ("Median", "Everything", "AfterMaps")),
]
#: Ways of grouping the days, in the order of the command line.
GROUPS = [(0, 1, 2, 3), ((3, 1), (0,), 2), (((0, 1), 2), 3)]


@pytest.fixture(scope="session")
def days(tree, tmp_path_factory) -> list[Path]:
    """The tree's blocks by submission date, in as many trees."""
    folder = tmp_path_factory.mktemp("days")
    paths = sorted(path for path in tree.path.rglob("*") if path.is_file())
    dates = sorted({path.name.split(".")[1] for path in paths})
    for path in paths:
        day = dates.index(path.name.split(".")[1]) * DAYS // len(dates)
        target = folder / f"day-{day}" / path.relative_to(tree.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return [folder / f"day-{day}" for day in range(DAYS)]


def job(name: str) -> str:
    """A job of `tests/jobs`, or a bundled one."""
    return f"{JOBS}/{name}" if ".py" in name else name


def keep(command: Callable[..., Answer], name: str, inputs: Sequence[Path], state: object,
         *options: object) -> Answer:  # fmt: skip
    """Run a job that keeps a state."""
    done = command("run", job(name), *inputs, "--keep-state", state, *options)
    assert done.code == 0, done.err
    return done


def merge(command: Callable[..., Answer], *arguments: object) -> Answer:
    """Merge states."""
    done = command("merge", *arguments)
    assert done.code == 0, done.err
    return done


def merged(command, states: Sequence[object], grouping, prefix: str) -> Answer:
    """The merge of days in groups, and of groups in groups."""

    def of(group, name: str) -> object:
        if isinstance(group, int):
            return states[group]
        inner = [of(one, f"{name}-{number}") for number, one in enumerate(group)]
        merge(command, *inner, "--keep-state", name, "--reducers", len(name) % 3 + 1)
        return name

    inner = [of(one, f"{prefix}-{number}") for number, one in enumerate(grouping)]
    return merge(command, *inner)


@pytest.mark.parametrize("name", LAWFUL)
def test_merged_days_are_one_run_over_all_of_them(command, days, tree, name):
    """Any grouping of the days, and any reducers, give the bytes of one run over all."""
    expected = command("run", job(name), tree.path, "--reducers", 3)
    daily = [
        keep(command, name, [day], f"state-{number}", "--reducers", number + 1)
        for number, day in enumerate(days)
    ]
    states = [f"state-{number}" for number in range(DAYS)]

    found = [merged(command, states, one, f"group-{n}") for n, one in enumerate(GROUPS)]

    assert expected.code == 0, expected.err
    assert len(expected.out) > 40
    assert [one.out for one in found] == [expected.out] * len(GROUPS)
    assert all(one.out != expected.out for one in daily)


def test_state_changes_nothing_of_the_result(command, tree):
    """What goes through the combiner once more gives the same bytes, of any reducers."""
    expected = command("run", job("combined.py"), tree.path)

    for reducers in (1, 3):
        kept = keep(command, "combined.py", [tree.path], f"state-{reducers}",
                    "--reducers", reducers, "--buffer-size", "2KB")  # fmt: skip
        assert kept.out == expected.out
        assert f"state-{reducers}" in kept.err


def test_merge_on_a_cluster(cluster_command, cluster_environment, command, days, tree, tmp_path):
    """States in S3 merge there, and copied here also here; `submit` keeps one, too."""
    expected = command("run", job("rollups.py:Median"), tree.path)
    place = f"s3://mr-telemetry/{tmp_path.name}/states"
    submitted = cluster_command(
        "submit", job("rollups.py:Median"), days[0], "--keep-state", f"{place}/0"
    )
    fetched = cluster_command("fetch", submitted.out.decode().strip(), "--wait")
    for number, day in enumerate(days[1:], 1):
        keep(cluster_command, "rollups.py:Median", [day], f"{place}/{number}", "--reducers", 2)
    states = [f"{place}/{number}" for number in range(DAYS)]

    on_cluster = merge(cluster_command, *states, "--keep-state", f"{place}/week", "-o", "out.jsonl")
    once_more = merge(cluster_command, f"{place}/week", "--reducers", 3)
    assert cluster_command("copy", place, tmp_path / "copied").code == 0
    here = merge(command, *(tmp_path / f"copied/{number}" for number in range(DAYS)))
    local = cluster_command("merge", str(tmp_path / "copied/week"))
    kept_here = cluster_command("run", job("systems.py"), days[0], "--keep-state", "state")

    assert fetched.code == 0, fetched.err
    assert f"is kept in {place}/0" in fetched.err
    assert (tmp_path / "out.jsonl").read_bytes() == expected.out
    assert on_cluster.out == b""
    assert once_more.out == here.out == expected.out
    assert local.code == kept_here.code == 2
    assert "is on this machine" in local.err
    assert "is on this machine" in kept_here.err


@pytest.mark.parametrize("name", ["systems.py", "rollups.py:AfterMaps"])
def test_mrjob_keeps_states(command, environment, days, tree, name):
    """A job that mrjob ran leaves the same state; it merges none."""
    expected = command("run", job(name), tree.path)
    for number, day in enumerate(days):
        engine = ("--engine", "mrjob") if number % 2 else ()
        keep(command, name, [day], f"state-{number}", "--reducers", 2, *engine)

    found = merge(command, *(f"state-{number}" for number in range(DAYS)))
    refused = command("merge", "state-0", "--engine", "mrjob")

    assert found.out == expected.out
    assert refused.code == 2
    assert "mrjob's tasks read blocks, not states" in refused.err


def test_row_below_the_threshold_each_day_is_there_in_the_week(command, days, tree):
    """What no day shows, since it is too little there, counts in the week; at any threshold."""
    numbers = [Counter(identity[:2] for _, _, identity, _ in records(day)) for day in days]
    total = sum(numbers, Counter())
    hidden = {
        prefix for prefix, n in total.items() if n >= 2 and all(day[prefix] < 2 for day in numbers)
    }
    daily = [
        keep(command, "rollups.py:Prefixes", [day], f"state-{number}").rows
        for number, day in enumerate(days)
    ]
    states = [f"state-{number}" for number in range(DAYS)]

    week = merge(command, *states).rows
    all_of_it = merge(command, *states, "--set", "min_count=1", "--keep-state", "all").rows
    again = merge(command, "all").rows
    mixed = merge(command, "all", "--set", "min_count=2", "-o", "-").rows

    assert hidden
    assert all(prefix not in hidden for day in daily for prefix, _ in day)
    assert week == mixed == sorted([p, n] for p, n in total.items() if n >= 2)
    assert {prefix for prefix, _ in week} >= hidden
    assert all_of_it == again == sorted([p, n] for p, n in total.items())


def test_what_is_masked_is_not_merged_with_what_is_not(command, days):
    """It was done before the states were kept, so it cannot be set either."""
    keep(command, "slow_sql", [days[0]], "masked")
    keep(command, "slow_sql", [days[1]], "bare", "--set", "mask_literals=false")

    mixed = command("merge", "masked", "bare")
    given = command("merge", "masked", "--set", "mask_literals=false")

    assert (mixed.code, given.code) == (2, 2)
    assert "SlowSQL.mask_literals was True in the one and False in the other" in mixed.err
    assert "--set mask_literals: SlowSQL.map uses it" in given.err


def test_parameters_of_the_reduce_may_differ_and_be_set(command, days):
    """States of different thresholds need `--set`; of different maps they are refused."""
    for number, least in enumerate((1, 2)):
        keep(command, "rollups.py:Median", [days[number]], f"state-{number}",
             "--set", f"least={least}")  # fmt: skip
    keep(command, "rollups.py:Median", [days[2]], "coarse", "--set", "step=2")

    differ = command("merge", "state-0", "state-1")
    decided = merge(command, "state-0", "state-1", "--set", "least=1")
    coarse = command("merge", "state-0", "coarse")
    of_map = command("merge", "state-0", "coarse", "--set", "step=1")
    unknown = command("merge", "state-0", "--set", "lest=1")
    wrong = command("merge", "state-0", "--set", "least=many")

    assert [one.code for one in (differ, coarse, of_map, unknown, wrong)] == [2] * 5
    assert "state-0" in differ.err
    assert (
        "state-1 cannot be merged: Median.least was 1 in the one and 2 in the other" in differ.err
    )
    assert len(decided.rows) > 3
    assert "Median.step was 1 in the one and 2 in the other" in coarse.err
    assert "--set step: Median.map uses it" in of_map.err
    assert "Median has no parameter 'lest'" in unknown.err
    assert "must be like its default" in wrong.err


@pytest.mark.parametrize("setting", ["scale=2", "digits=2", "floor=2", "named=2"])
def test_what_maps_use_in_any_way_cannot_be_set(command, days, setting):
    """A property, a function of the module, the combiner, and a name in a text are looked into."""
    keep(command, "rollups.py:Indirect", [days[0]], "state")

    refused = command("merge", "state", "--set", setting)
    allowed = merge(command, "state", "--set", "least=1000")

    assert refused.code == 2
    assert "uses it, and that ran before the states were kept" in refused.err
    assert {number for _, number in allowed.rows} == {1000}


def test_report_covers_all_states(command, damaged_tree, days, tmp_path):
    """Blocks, records and counters are sums; damage and missing blocks stand with their states."""
    gone_block = tmp_path / "nothing" / "gone.lzma"
    (tmp_path / "list.txt").write_text(f"{gone_block}\n")
    name, loose = "rollups.py:Median", ("--max-bad-records", "100%")
    keep(command, name, [damaged_tree.path], "bad", "--report", "bad.json", *loose)
    keep(command, name, [days[0]], "good", "--report", "good.json", "--input-list", "list.txt",
         "--limit-blocks", 3)  # fmt: skip

    done = merge(command, "bad", "good", "--report", "both.json", "--keep-state", "both")
    merge(command, "both", "--report", "again.json")
    bad, good, both, again = (
        json.loads((tmp_path / f"{one}.json").read_text())
        for one in ("bad", "good", "both", "again")
    )

    assert bad["records"]["bad"] > 3
    assert bad["bad_blocks"]
    assert good["missing_blocks"] == [str(gone_block)]
    for part in ("blocks", "records", "bytes"):
        total = {name: bad[part][name] + good[part][name] for name in bad[part]}
        assert both[part] == again[part] == total
    assert both["bad_blocks"] == bad["bad_blocks"] + good["bad_blocks"]
    assert both["bad_record_places"] == bad["bad_record_places"]
    assert both["missing_blocks"] == bad["missing_blocks"] + good["missing_blocks"]
    assert not both["complete"]
    first, second = both["states"]
    assert (first["state"], second["state"]) == (str(tmp_path / "bad"), str(tmp_path / "good"))
    assert first["bad_blocks"] == bad["bad_blocks"]
    assert second["missing_blocks"] == [str(gone_block)]
    assert first["records"] == bad["records"]
    assert good["blocks"]["read"] == second["blocks"]["read"] == 3
    assert again["states"][0]["inputs"] == [*bad["inputs"], *good["inputs"]]
    # One for each key of the merged result, not the daily ones as well.
    assert both["counters"] == again["counters"] == {"medians": len(done.rows)}
    assert "Merged 2 states: " in done.err
    assert "Not covered: " in done.err


def test_counters_of_maps_are_added_up(command, days, tree, tmp_path):
    """Each record was counted once, whatever was merged before."""
    for number, day in enumerate(days):
        keep(command, "systems.py", [day], f"state-{number}")
    merge(command, "state-0", "state-1", "--keep-state", "half")
    merge(command, "half", "state-2", "state-3", "--report", "all.json")

    report = json.loads((tmp_path / "all.json").read_text())
    assert report["counters"] == {"seen": tree.truth.written.good}
    assert report["records"]["read"] == tree.truth.written.good
    assert report["complete"] is True
    assert report["raw_mb_per_s"] is None


@pytest.mark.parametrize("option", [(), ("--keep-state", "both")])
def test_states_that_share_a_block_are_refused(command, days, tmp_path, option):
    """The block and both states are named, here and in states of states; also of a copy."""
    keep(command, "systems.py", days[:2], "first")
    keep(command, "systems.py", days[2:], "second")
    shutil.copytree(days[1], tmp_path / "copy")
    keep(command, "systems.py", ["copy"], "third")
    merge(command, "second", "third", "--keep-state", "others")

    direct = command("merge", "second", "first", "third", *option)
    indirect = command("merge", "first", "others", *option)
    twice = command("merge", "first", "first", *option)

    assert direct.code == indirect.code == twice.code == 2
    blocks = {str(path.relative_to(days[1])) for path in days[1].rglob("*.lzma")}
    for refused, other in ((direct, "third"), (indirect, "others")):
        assert any(block in refused.err for block in blocks)
        assert f"{tmp_path / 'first'} and {tmp_path / other} both hold the block" in refused.err
        assert "nothing is counted twice" in refused.err
    assert "is named twice" in twice.err
    assert not (tmp_path / "both" / STATE).exists()


def test_blocks_that_were_not_read_are_in_no_state(command, days, tmp_path):
    """A block that was gone when a job ran can be added later."""
    name, doomed = "rollups.py:Removes", tmp_path / "doomed"
    options = ("--set", f"file={doomed}")
    shutil.copytree(days[0], tmp_path / "day")
    block = min((tmp_path / "day").rglob("*.lzma"))
    data = block.read_bytes()
    expected = command("run", job(name), "day", *options)
    doomed.write_text(str(block))

    kept = keep(command, name, ["day"], "most", "--report", "most.json", *options)
    block.write_bytes(data)
    keep(command, name, [block], "rest", *options)

    report = json.loads((tmp_path / "most.json").read_text())
    assert report["missing_blocks"] == [str(block)]
    assert kept.out != expected.out
    assert merge(command, "most", "rest").out == expected.out


@pytest.fixture
def states(command, days) -> list[Path]:
    """Two states of one analysis."""
    keep(command, "systems.py", [days[0]], "one", "--reducers", 2)
    keep(command, "systems.py", [days[1]], "two", "--reducers", 2)
    return [Path("one"), Path("two")]


def refused(answer: Answer) -> str:
    """The one sentence of a command that was refused."""
    assert answer.code == 2, answer.err
    (line,) = answer.err.splitlines()
    assert line.startswith("mr-telemetry: ")
    assert answer.out == b""
    return line


def test_damaged_states_are_told_in_a_sentence(command, states, tmp_path):
    """A byte of a part, its end, the part itself, the list of blocks, the code, `state.json`."""
    two = tmp_path / "two"

    def broken(change) -> str:
        shutil.rmtree(tmp_path / "spoiled", ignore_errors=True)
        shutil.copytree(two, tmp_path / "spoiled")
        change(tmp_path / "spoiled")
        return refused(command("merge", "one", "spoiled"))

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def some(kind: str) -> Callable[[Path], Path]:
        return lambda state: min((state / kind).iterdir())

    def edit(old: str, new: str) -> Callable[[Path], None]:
        def change(state: Path) -> None:
            text = (state / STATE).read_text()
            assert old in text
            (state / STATE).write_text(text.replace(old, new))

        return change

    part = some("parts")(two).name
    spoiled = f"{tmp_path / 'spoiled'}"
    assert f"{spoiled}/parts/{part} is damaged: its content is not that" in broken(
        lambda state: flip(some("parts")(state))
    )
    assert f"{spoiled}/parts/{part} is damaged: it has 20 bytes, and state.json says" in broken(
        lambda state: os.truncate(some("parts")(state), 20)
    )
    assert f"{spoiled}/parts/{part} is damaged: it is not there" in broken(
        lambda state: some("parts")(state).unlink()
    )
    assert "/bundle/" in broken(lambda state: flip(some("bundle")(state)))
    assert "/blocks/" in broken(lambda state: some("blocks")(state).unlink())
    assert "/blocks/" in broken(lambda state: flip(some("blocks")(state)))
    assert "spoiled/state.json is damaged: it cannot be read" in broken(
        lambda state: os.truncate(state / STATE, 700)
    )
    assert "spoiled holds no state, for there is no state.json in it" in broken(
        lambda state: (state / STATE).unlink()
    )
    assert "was made by another version of mr-telemetry" in broken(
        edit('"version": 1,\n  "analysis"', '"version": 2,\n  "analysis"')
    )
    assert "is no object of a state" in broken(edit("parts/", "../parts/"))
    assert "nowhere holds no state" in refused(command("merge", "nowhere"))
    assert "no state: name" in refused(command("merge"))


def test_states_of_other_analyses_or_code_are_refused(command, states, days, tmp_path):
    """Other classes, other text of the same class, other samples: both states are named."""
    keep(command, "rollups.py:Prefixes", [days[2]], "other")
    keep(command, "systems.py", [days[2]], "sample", "--sample", "50%")
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "systems.py"
    copy.write_bytes((JOBS / "systems.py").read_bytes())
    assert command("run", copy, days[2], "--keep-state", "same").code == 0
    copy.write_text(copy.read_text().replace("yield key, sum", "yield key, 2 * sum"))
    assert command("run", copy, days[3], "--keep-state", "changed").code == 0

    first = f"{tmp_path / 'one'} and {tmp_path}"
    other = refused(command("merge", "one", "two", "other"))
    changed = refused(command("merge", "one", "changed"))
    sample = refused(command("merge", "one", "sample"))

    assert f"{first}/other cannot be merged: one is of Systems, the other of Prefixes" in other
    assert (
        f"{first}/changed cannot be merged: the code of Systems, or a value that it uses, was"
        in changed
    )
    assert f"{first}/sample cannot be merged: they were made with different --sample" in sample
    # The same text from another folder is the same code.
    assert len(merge(command, "one", "same").rows) > 2


def test_code_is_loaded_only_once_its_digest_was_checked(command, states, tmp_path):
    """A bundle that was replaced, with all that names it but its digest, never runs."""
    bundle = next((tmp_path / "one" / "bundle").iterdir())
    evil = bundle.read_bytes().replace(b"prefix", b"Prefix")
    assert evil != bundle.read_bytes()
    bundle.write_bytes(evil)

    told = refused(command("merge", "one", "two"))

    assert f"{bundle} is damaged: its content is not that of its digest" in told


def test_code_of_another_python_is_not_loaded(command, states, tmp_path):
    """A state's code that cannot run here is refused, unless another state has what can."""
    (bundle,) = (tmp_path / "one" / "bundle").iterdir()
    here = f'"python": "{platform.python_version()}"'.encode()
    data = bundle.read_bytes()
    assert data.count(here) == 1
    data = data.replace(here, here.replace(b"3.", b"9."))
    digest = hashlib.sha256(data).hexdigest()
    bundle.unlink()
    (bundle.parent / digest).write_bytes(data)
    facts = tmp_path / "one" / STATE
    facts.write_text(facts.read_text().replace(bundle.name, digest))

    alone = refused(command("merge", "one"))
    together = merge(command, "one", "two")

    assert f"the code in {tmp_path / 'one'} cannot run here: Python is " in alone
    assert len(together.rows) > 2


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rollups.py:OnlyMaps", "OnlyMaps has no reduce"),
        ("rollups.py:NoCombine", "NoCombine has no combine"),
        ("rollups.py:Prepared", "Prepared has a prepare"),
        ("rollups.py:AfterReduce", "OfLetters goes over what a reduce of the same job gives"),
        ("histograms", "Histograms publishes files"),
    ],
)
def test_jobs_that_leave_no_state_are_refused(command, days, tmp_path, name, told):
    """Before anything is read, in one sentence."""
    named = job(name) if ".py" in name else name
    output = ("-o", "published/") if name == "histograms" else ()

    answer = refused(command("run", named, days[0], "--keep-state", "state", *output))

    assert f"--keep-state: {told}" in answer
    assert not (tmp_path / "state").exists()


def test_places_that_can_hold_no_state_are_refused(command, states, days, tmp_path):
    """One that holds a state, one among the blocks, a file, none at all."""
    shutil.copytree(days[2], tmp_path / "day")
    (tmp_path / "file").touch()
    run = ("run", job("systems.py"), "day", "--keep-state")

    assert "one: it holds a state already" in refused(command(*run, "one"))
    assert "one: it holds a state already" in refused(
        command("merge", "two", "--keep-state", "one")
    )
    assert "lies in the input day" in refused(command(*run, "day/state"))
    assert "--keep-state: it is empty" in refused(command(*run, ""))
    assert "/file is a file" in refused(command(*run, "file"))
    assert not (tmp_path / "day" / "state").exists()


def test_state_in_a_bucket_lies_in_no_folder(tmp_path, monkeypatch):
    """Its URL is no path below the current folder, even if that is the input."""
    target = DirectoryStore(tmp_path / "bucket")
    monkeypatch.setattr(launch, "open_store", lambda url: target)
    request = launch.Request(Systems, "systems", ["."], keep_state="s3://bucket/state")

    launch.check_keeping(request, DirectoryStore(tmp_path / "store"))
    target.write(STATE, b"{}")
    with pytest.raises(mr.errors.UsageError, match="s3://bucket/state: it holds a state already"):
        launch.check_keeping(request, DirectoryStore(tmp_path / "store"))


def test_no_records_make_a_state_too(command, days, tree, tmp_path):
    """States of nothing merge to nothing, and to something with something."""
    (tmp_path / "empty").mkdir()
    nothing = keep(command, "rollups.py:Everything", ["empty"], "empty-1")
    keep(command, "rollups.py:Everything", ["empty"], "empty-2")
    expected = command("run", job("rollups.py:Everything"), tree.path)
    keep(command, "rollups.py:Everything", [tree.path], "full")

    both = merge(command, "empty-1", "empty-2", "--keep-state", "none")
    full = merge(command, "none", "full")

    # The header is there in any case, once.
    assert both.out == nothing.out == b'["system", "records"]\n'
    assert "of no block, so the result is empty" in both.err
    assert full.out == expected.out
    assert full.out.count(b'"system"') == 1


def test_reduce_that_fails_is_told_as_in_any_job(command, days):
    """The user's traceback and the key; the job is there to be replayed."""
    name = "rollups.py:OfDarwin"
    for number, day in enumerate(days):
        keep(command, name, [day], f"state-{number}")
    states = [f"state-{number}" for number in range(DAYS)]

    failed = command("merge", *states, "--set", "least=1")
    found = failed.err.partition("mr-telemetry replay ")[2].split("`")[0].split()
    replayed = command("replay", *found)

    assert failed.code == 1
    assert failed.out == b""
    for told in (failed.err, replayed.err):
        assert "are too many" in told
        assert "jobs/rollups.py" in told
        assert "mr/reducing.py" not in told
    assert "at key 'Darwin'" in failed.err
    assert replayed.code == 1


def test_formats_and_places_are_those_of_run(command, days, tree, tmp_path):
    """CSV by the ending, parts in a folder, a script's text."""
    for number, day in enumerate(days):
        keep(command, "script_sums.py", [day], f"state-{number}")
    states = [f"state-{number}" for number in range(DAYS)]
    script = job("script_sums.py")

    command("run", script, tree.path, "-o", "expected.csv")
    command("run", script, tree.path, "-o", "expected/", "--reducers", 1)
    done = merge(command, *states, "-o", "found.csv")
    resumed = command("resume", done.err.split()[1].strip(":"))
    merge(command, *states, "-o", "found/", "--reducers", 1, "--format", "text")
    inside = command("merge", *states, "-o", "found.exe")

    found = tmp_path / "found.csv"
    assert found.read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert found.read_text().startswith("app,os,count\n")
    parts = [path.read_bytes() for path in (tmp_path / "expected").glob("part-*")]
    assert [path.read_bytes() for path in (tmp_path / "found").glob("part-*")] == parts
    assert inside.code == 2
    assert resumed.code == 0
    assert resumed.out.startswith(b"app,os,count\n")
    assert f"Merged {DAYS} states: " in resumed.err


def test_command_killed_leaves_a_job_whose_state_is_the_same(
    command, environment, store, tree, tmp_path
):
    """After kill -9 there is no state; `resume` makes the bytes that a quiet run makes."""
    arguments = (
        "run", job("combined.py"), tree.path, *SLOW, "--split-size", "60KB", "--reducers", 3,
        "--keep-state",
    )  # fmt: skip
    quiet = command(*arguments, "quiet")
    before = commits(store)
    run = start(environment, tmp_path, *arguments, "killed")
    wait_until(lambda: commits(store) > before + 3, "some commits")
    workers = children(run.pid)
    run.kill()
    run.communicate()
    wait_until(lambda: all(map(gone, workers)), "the end of the workers")
    unfinished_state = refused(command("merge", "killed"))

    (killed,) = unfinished(command)
    resumed = command("resume", killed)

    assert "killed holds no state" in unfinished_state
    assert resumed.code == quiet.code == 0, resumed.err + quiet.err
    assert resumed.out == quiet.out
    kept = [parts(tmp_path / name) for name in ("quiet", "killed")]
    assert len(kept[0]) == 3
    assert kept[0] == kept[1]
    facts = [read_saved(str(tmp_path / name)).facts for name in ("quiet", "killed")]
    assert facts[0].blocks == facts[1].blocks
    assert facts[0].tally == facts[1].tally
    assert merge(command, "killed").out == quiet.out


def parts(state: Path) -> dict[str, bytes]:
    """The parts of a state."""
    return {path.name: path.read_bytes() for path in (state / "parts").iterdir()}


def test_resuming_a_job_that_is_done_leaves_its_state(command, states, tmp_path):
    """The state of a job that is resumed, or removed, stays as it is."""
    before = (tmp_path / "one" / STATE).read_bytes()
    done = [line.split()[0] for line in command("jobs").out.decode().splitlines()]

    resumed = command("resume", done[0])
    command("jobs", "--clean")

    assert resumed.code == 0
    assert (tmp_path / "one" / STATE).read_bytes() == before
    assert len(merge(command, "one", "two").rows) > 2


def test_plan_keeps_no_state(command, days, tmp_path):
    """Trying a few splits is no run."""
    planned = command("plan", job("systems.py"), days[0], "--keep-state", "state")

    assert planned.code == 0, planned.err
    assert not (tmp_path / "state" / STATE).exists()


# From Python


class Letters(mr.Analysis):
    """Records by the first letter of their ids."""

    least = 0

    def map(self, record):
        """One record."""
        yield record.id[:1], 1

    def combine(self, key, values):
        """Add up."""
        yield key, sum(values)

    def reduce(self, key, values):
        """Of letters that are frequent enough."""
        total = sum(values)
        if total >= self.least:
            yield key, total


def test_merge_from_python(days, tree, store, tmp_path, monkeypatch):
    """`mr.run(keep_state=...)` and `mr.merge` give what one run gives."""
    monkeypatch.chdir(tmp_path)
    options = {"store": str(store), "quiet": True}
    for number, day in enumerate(days):
        mr.run(Letters, day, keep_state=tmp_path / str(number), **options)
    everything = mr.run(Letters, tree.path, **options)

    result = mr.merge([str(number) for number in range(DAYS)], keep_state="all", **options)
    frequent = mr.merge("all", parameters={"least": 5}, reducers=2, **options)

    assert result.to_list() == everything.to_list()
    assert frequent.to_list() == [(key, n) for key, n in everything if n >= 5]
    assert 0 < len(frequent) < len(result)
    assert result.report["records"] == everything.report["records"]
    with pytest.raises(mr.errors.UsageError, match="has no parameter"):
        mr.merge("all", parameters={"nothing": 5}, **options)


def test_cells_of_a_notebook_have_the_same_code_another_day(days, tree, store, tmp_path):
    """A class that is in no file keeps states that merge, and others when it changes."""
    text = (
        "import mr\n"
        "class Systems(mr.Analysis):\n"
        "    def map(self, record):\n"
        "        if record['info']['OS'] in {'WINNT', 'Darwin', 'Linux', 'Android'}:\n"
        "            yield record['info']['OS'], 1\n"
        "    def reduce(self, key, values):\n"
        "        yield key, sum(values)\n"
        "    combine = reduce\n"
    )
    done = []
    for number, day in enumerate(days):
        code = text if number < 3 else text.replace("'Android'", "'B2G'")
        code += f"mr.run(Systems, {str(day)!r}, keep_state='{number}', quiet=True)\n"
        done.append(run_python(code, store, tmp_path, seed=number))

    merging = "import mr; print(mr.merge({}, quiet=True).to_list())"
    same = run_python(merging.format(["0", "1", "2"]), store, tmp_path)
    other = run_python(merging.format(["0", "3"]), store, tmp_path)

    assert [one.code for one in done] == [0] * 4, done
    expected = sum((Counter(dict(by_system(day))) for day in days[:3]), Counter())
    assert same.code == 0, same.err
    assert same.out.decode().strip() == str(sorted(expected.items()))
    assert other.code == 1
    assert "the code of Systems, or a value that it uses, was changed between" in other.err


def run_python(code: str, store: Path, folder: Path, seed: int = 0) -> Answer:
    """Run code that is in no file, as typed at a prompt."""
    environment = {
        **os.environ, "MR_TELEMETRY_STORE": str(store), "HOME": str(folder),
        "PYTHONHASHSEED": str(seed),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, timeout=120
    )
    return Answer(done.returncode, done.stdout, done.stderr.decode())
