"""`mr.run`: jobs from Python, from scripts and from notebooks' cells."""

import json
import subprocess
import sys

import pytest
from conftest import COMMAND_TIMEOUT_S, JOBS
from jobs.systems import Systems
from reference import by_system, every_hook, records

import mr
from mr import notebook
from mr.errors import JobFailed, SchemaError, TooManyBadRecords, UsageError


@pytest.fixture
def run(store, monkeypatch, tmp_path):
    """`mr.run` with a store of the test's own, and nothing from the person's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def with_store(analysis, inputs, **options):
        return mr.run(analysis, inputs, store=str(store), **{"quiet": True, **options})

    return with_store


def test_result_equals_what_the_command_prints(run, command, tree, tmp_path):
    """From Python and from the command line: the same pairs, the same bytes, the same report."""
    script = JOBS / "every_hook.py"
    printed = command("run", script, tree.path, "--report", "report.json")

    result = run(str(script), tree.path)

    result.save("saved.jsonl")
    assert (tmp_path / "saved.jsonl").read_bytes() == printed.out
    assert json.loads(json.dumps(result.to_list())) == printed.rows == every_hook(tree.path)
    report = json.loads((tmp_path / "report.json").read_text())
    for name in ("records", "blocks", "counters", "bad_records", "complete", "state"):
        assert result.report[name] == report[name]
    assert result.report["records"]["read"] == tree.truth.written.good


def test_class_of_a_module_runs_with_every_option(run, tree):
    """Options mean what they mean on the command line; numbers may be numbers."""
    plain = run(Systems, tree.path)
    cut = run(
        Systems, [tree.path, str(tree.path)], workers=3, reducers=5, split_size="50KB",
        max_bad_records=0, strict=True, parameters={"prefix": "on "},
    )  # fmt: skip
    sample = run(Systems, tree.path, sample="30%")
    first = run(Systems, tree.path, limit_blocks=1)

    expected = dict(map(tuple, by_system(tree.path)))
    assert plain.to_dict() == expected
    assert list(plain) == sorted(expected.items())
    assert len(plain) == len(expected)
    assert plain.report["counters"] == {"seen": tree.truth.written.good}
    assert cut.to_dict() == {f"on {name}": count for name, count in expected.items()}
    assert cut.report["blocks"]["repeated"] == tree.truth.written.blocks
    assert 0 < sum(sample.to_dict().values()) < sum(expected.values())
    assert first.report["blocks"]["selected"] == 1


def test_filter_as_a_dict_and_as_a_file(run, tree, tmp_path):
    """A dict of field to values, the long JSON form and a file choose the same blocks."""
    short = {"appName": "Firefox", "appUpdateChannel": ["nightly", "aurora"]}
    long = {
        "version": 1,
        "dimensions": [
            {"field_name": field, "allowed_values": value} for field, value in short.items()
        ],
    }
    (tmp_path / "filter.json").write_text(json.dumps(long))
    expected = {}
    for key, _, _, payload in records(tree.path):
        _, app, channel, *_ = key.split("/")
        if app == "Firefox" and channel in ("nightly", "aurora"):
            expected[payload["info"]["OS"]] = expected.get(payload["info"]["OS"], 0) + 1

    results = [run(Systems, tree.path, filter=one) for one in (short, long, "filter.json")]
    none = run(Systems, tree.path, filter={"appName": "Netscape"})

    assert expected
    assert [result.to_dict() for result in results] == [expected] * 3
    assert none.to_list() == []
    assert "No block matches the filter" in repr(none)


def test_result_can_be_read_again_and_shows_itself(run, tree):
    """Iterating twice reads twice; the table shows the rows and what they cover."""
    result = run("os_distribution", tree.path)

    assert list(result) == list(result) == [tuple(row) for row in by_system(tree.path)]
    assert "WINNT" in repr(result)
    assert f"Read {tree.truth.written.good} records" in repr(result)
    assert "<td>WINNT</td>" in result._repr_html_()


#: A cell or script: no guard around the call, a class by value with what it uses beside it.
PROGRAM = """
import sys
from collections import Counter
import mr

FIELD = "OS"

def field_of(record):
    return record["info"][FIELD]

class Base(mr.Analysis):
    def reduce(self, key, values):
        yield key, sum(values)

class BySystem(Base):
    def map(self, record):
        yield field_of(record), Counter(a=1)["a"]

    combine = Base.reduce

result = mr.run(BySystem, sys.argv[1], workers=2, quiet=True)
for key, value in result:
    print(key, value)
print(len(result), "rows", "started once")
"""


@pytest.mark.parametrize("how", ["script", "standard input", "-c", "cell"])
def test_class_of_a_script_or_cell_needs_no_guard(environment, tree, tmp_path, how):
    """A class from a script without a main guard, from `-c`, or from a cell runs, once."""
    (tmp_path / "script.py").write_text(PROGRAM)
    # As notebooks do it: compiled by itself, run in a __main__ that has no file.
    cell = f"exec(compile({PROGRAM!r}, '<ipython-input-1>', 'exec'), globals())"
    arguments = {
        "script": ["script.py"],
        "standard input": ["-"],
        "-c": ["-c", PROGRAM],
        "cell": ["-c", cell],
    }[how]

    done = subprocess.run(
        [sys.executable, *arguments, tree.path],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
        input=PROGRAM if how == "standard input" else "", timeout=COMMAND_TIMEOUT_S,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    expected = [f"{system} {count}" for system, count in by_system(tree.path)]
    assert done.stdout.splitlines() == [*expected, f"{len(expected)} rows started once"]


def test_module_beside_a_script_travels_with_it(environment, tree, tmp_path):
    """What a script imports from its own folder is there in the workers."""
    (tmp_path / "beside.py").write_text("def name(record):\n    return record['info']['OS']\n")
    (tmp_path / "script.py").write_text(
        "import sys, mr, beside\n"
        "class C(mr.Analysis):\n"
        "    def map(self, record):\n"
        "        yield beside.name(record), 1\n"
        "    def reduce(self, key, values):\n"
        "        yield key, sum(values)\n"
        "print(mr.run(C, sys.argv[1], quiet=True).to_dict())\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", tree.path],
        cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == repr(dict(map(tuple, by_system(tree.path))))


def test_mistakes_are_usage_errors(run, tree):
    """What must be put right is raised as UsageError, in words."""
    mistakes = [
        ({"engine": "hadoop"}, "'hadoop' is none of the engines: local, cluster"),
        ({"parameters": {"nope": 1}}, "Systems has no parameter 'nope'; it has: prefix"),
        ({"workers": 0}, "'0' is not a whole number of at least 1"),
        ({"split_size": "5XB"}, "'5XB' is not a size"),
        ({"sample": "5"}, "'5' is not a percentage"),
        ({"max_bad_records": "x"}, "'x' is neither a number nor a percentage"),
        ({"filter": {"appNam": "x"}}, "no dimension appNam"),
        ({"limit_blocks": 0}, "--limit-blocks: 0 is not at least 1"),
        ({"schema": "nofile.json"}, "nofile.json: cannot be read"),
    ]
    for options, words in mistakes:
        with pytest.raises(UsageError, match=words):
            run(Systems, tree.path, **options)
    with pytest.raises(SchemaError):
        run(Systems, tree.path, filter={"appName": 3})
    with pytest.raises(UsageError, match="nowhere: no such file or folder"):
        run(Systems, "nowhere")
    with pytest.raises(UsageError, match="no input"):
        run(Systems, [])
    with pytest.raises(UsageError, match="no bundled analysis"):
        run("nosuch", tree.path)


def test_failing_job_raises_with_the_users_traceback(run, tree):
    """The exception's text holds the line of the person's code, the block and its line."""

    class Fails(Systems):
        def map(self, record):
            raise ValueError("not today")

    with pytest.raises(JobFailed) as caught:
        run(Fails, tree.path, workers=1)

    text = str(caught.value)
    assert 'raise ValueError("not today")' in text
    assert "test_notebook_run.py" in text
    assert "line 1" in text
    assert "mr/mapping.py" not in text


def test_too_many_bad_records_raise(run, damaged_tree):
    """More bad records than allowed end the job; allowed ones stand in the report."""
    with pytest.raises(TooManyBadRecords, match="run again with a higher --max-bad-records"):
        run(Systems, damaged_tree.path)

    result = run(Systems, damaged_tree.path, max_bad_records="100%")
    assert result.to_dict() == damaged_tree.truth.readable.by_os
    assert result.report["complete"] is False


def test_display_measures_against_what_is_read(run, tree, monkeypatch):
    """With a limit of blocks the bar is full when those are read."""
    totals = []

    class Display(notebook.Display):
        def __init__(self, total_bytes, **options):
            totals.append(total_bytes)
            super().__init__(total_bytes, **options)

    monkeypatch.setattr(notebook, "Display", Display)

    run(Systems, tree.path, limit_blocks=1)

    first = min(path for path in tree.path.rglob("*") if path.is_file())
    assert totals == [first.stat().st_size]


def test_progress_is_quiet_only_when_asked(run, tree, capfd):
    """A run that is not quiet may tell its progress on standard error, and prints nothing else."""
    run(Systems, tree.path, quiet=True)
    quiet = capfd.readouterr()
    run(Systems, tree.path, quiet=False)

    assert quiet == ("", "")
    assert capfd.readouterr().out == ""
