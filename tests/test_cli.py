"""Every command as a person uses it: its output, its exit code, and what it says of mistakes."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import COMMAND_TIMEOUT_S, JOBS
from reference import by_system, records

from mr import progress
from mr.cli import outcome
from mr.cli.main import COMMANDS, main
from mr.commits import Commit
from mr.directory import DirectoryStore
from mr.errors import UsageError
from mr.generate import generate
from mr.orders import Progress
from mr.tally import Tally

#: What `--help` must not wait for.
HEAVY = {"cloudpickle", "msgspec", "numpy", "pandas", "pyarrow", "rich", "simdjson", "simplejson"}

SEVERAL = """
from mr import Analysis

class One(Analysis):
    def map(self, record):
        yield 1, 1

class Other(Analysis):
    def map(self, record):
        yield 2, 1

class NoMap(Analysis):
    def reduce(self, key, values):
        yield key, 1

class NoReduce(Analysis):
    def map(self, record):
        yield 1, 1

    def combine(self, key, values):
        yield key, 1

class UnknownField(One):
    filter = {"nope": "x"}

class Locked(One):
    import threading
    lock = threading.Lock()

class Again(One):
    pass

Again.then = Again
"""

KNOBS = """
from mr import Analysis

class Knobs(Analysis):
    number = 1
    share = 0.5
    word = "a"
    flag = False
    raw = b"x"
    names = ("a",)
    kinds = frozenset({"a"})
    levels = [1]
    limits = {"a": 1}
    some = None

    def map(self, record):
        for name in ("number", "share", "word", "flag", "raw", "names", "kinds", "levels",
                     "limits", "some"):
            yield name, repr(getattr(self, name))

    def reduce(self, key, values):
        yield key, sorted(set(values))
"""

NIGHTLY = """
from mr import Analysis

class Nightly(Analysis):
    filter = {"appUpdateChannel": "nightly"}

    def map(self, record):
        yield tuple(record.dimensions)[:3], 1

    def reduce(self, key, values):
        yield key, sum(values)
"""


@pytest.fixture
def files(tmp_path):
    """Files that the mistakes below name, in the folder where commands run."""
    texts = {
        "several.py": SEVERAL,
        "knobs.py": KNOBS,
        "nightly.py": NIGHTLY,
        "nothing.py": "x = 1\n",
        "syntax.py": "def map(\n",
        "raises.py": "def broken():\n    raise ValueError('at import')\n\nbroken()\n",
        "exits.py": "import sys\nsys.exit(5)\n",
        "broken.json": "{",
        "list.json": "[]",
        "field.json": '{"appNam": "Firefox"}',
        "value.json": '{"appName": 3}',
        "version.json": '{"version": 2, "dimensions": []}',
        "short.json": '{"version": 1, "dimensions": [{"field_name": "a", "allowed_values": "*"}]}',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()


# Starting


def test_help_of_every_command_imports_nothing_heavy(environment, tmp_path):
    """`--help` explains each command, without the modules that would make it slow."""
    program = f"""
import sys
from mr.cli.main import main
for name in [None, *{list(COMMANDS)}]:
    sys.argv = ["mr-telemetry", *([name] if name else []), "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
    loaded = {HEAVY} & set(sys.modules)
    assert not loaded, (name, loaded)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True
    )

    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode()
    assert text.count("Usage: mr-telemetry") == 1 + len(COMMANDS)
    for name in COMMANDS:
        assert f"Usage: mr-telemetry {name} " in text
        assert f"\n  {name} " in text
    assert "--max-bad-records" in text


def test_version_and_unknown_command(command):
    """`--version` tells the version; a command that does not exist is wrong usage."""
    version, unknown = command("--version"), command("frobnicate")

    assert (version.code, version.out.split()[0]) == (0, b"mr-telemetry")
    assert unknown.code == 2
    assert "No such command 'frobnicate'" in unknown.err


# Mistakes

#: Arguments (TREE stands for a tree), and what the sentence must say.
MISTAKES = [
    ("run nosuch TREE", "nosuch: no bundled analysis", "os_distribution", "file.py"),
    ("run nosuch.py TREE", "nosuch.py: no such analysis file"),
    ("run nosuch.module:Class TREE", "there is no module nosuch"),
    ("run no-such:Class TREE", "'no-such' is not a module's name"),
    ("run os_distribution:Nope TREE", "Nope is not an Analysis class there"),
    ("run nothing.py TREE", "nothing.py: holds neither an Analysis class nor a function map"),
    ("run several.py TREE", "holds several analyses", "several.py:Class", "One, Other"),
    ("run several.py:NoMap TREE", "NoMap has neither map nor map_block"),
    ("run several.py:NoReduce TREE", "NoReduce has a combine", "add a reduce"),
    ("check several.py:NoReduce TREE", "NoReduce has a combine", "add a reduce"),
    ("run several.py:UnknownField TREE", "no dimension nope", "the schema has reason"),
    ("run several.py:Locked TREE", "Locked cannot be sent to a worker", "setup()"),
    ("run several.py:Again TREE", "Again follows itself by `then`"),
    ("run os_distribution", "no input", "--input-list FILE"),
    ("run os_distribution nowhere", "nowhere: no such file or folder"),
    ("run os_distribution TREE/saved_session", "nothing here lies as <reason>/", "give the folder"),
    ("run os_distribution s3://bucket/x", "there are no AWS credentials; set AWS_PROFILE"),
    ("run os_distribution s3://B/x", "write s3://BUCKET/PREFIX"),
    ("run os_distribution ftp://bucket/x", "a store is a directory, a file:// URL or s3://"),
    ("run os_distribution ftp://bucket/x", "not ftp://"),
    ("run os_distribution TREE -o nowhere/out.csv", "nowhere/out.csv", "create it first"),
    ("run os_distribution TREE -o out.xls", "no output format has the ending '.xls'", ".jsonl"),
    ("run os_distribution TREE --format xls", "--format xls: there are text, jsonl, json"),
    ("run os_distribution TREE --report nowhere/r", "--report nowhere/r", "create it first"),
    ("run os_distribution TREE --report folder", "--report folder: it is a folder"),
    ("run os_distribution TREE --report -", "--report '-': name a file"),
    ("run os_distribution TREE -o several.py/", "cannot write to several.py: it is a file"),
    ("run os_distribution TREE --output=", "--output: it is empty", "- to print"),
    ("run os_distribution TREE -o s3://bucket/res/", "there are no AWS credentials"),
    ("run os_distribution TREE -o ftp://x/y.csv", "a store is a directory, a file:// URL or s3"),
    ("run os_distribution TREE -o file:///tmp/x.csv", "--output file:///tmp/x.csv", "name a file"),
    ("run os_distribution TREE --filter nofile.json", "nofile.json: cannot be read"),
    ("run os_distribution TREE --filter broken.json", "broken.json: not JSON", "line 1, column 2"),
    ("run os_distribution TREE --filter list.json", "list.json: must be a JSON object, not list"),
    ("run os_distribution TREE --filter field.json", "field.json: no dimension appNam", "appName"),
    ("run os_distribution TREE --filter value.json", "value.json: appName: allowed_values is 3"),
    ("run os_distribution TREE --filter version.json", "version is 2; only 1 is known"),
    ("run os_distribution TREE --filter folder", "folder: cannot be read"),
    ("run os_distribution TREE --schema broken.json", "broken.json: not JSON"),
    ("run os_distribution TREE --schema short.json", "short.json: needs at least 2 dimensions"),
    ("run os_distribution TREE --set a", "--set a: must be name=value"),
    ("run os_distribution TREE --set a=b", "no parameter 'a'; it has: min_count, mask_literals"),
    ("run knobs.py TREE --set number=x", "--set number=x: must be like its default, 1"),
    ("run knobs.py TREE --set share=x", "--set share=x: must be like its default, 0.5"),
    ("run knobs.py TREE --set flag=maybe", "--set flag=maybe: must be like its default, False"),
    ("run knobs.py TREE --set names=5", "--set names=5: must be like its default, ('a',)"),
    ("run knobs.py TREE --set limits=[1]", "--set limits=[1]: must be like its default, {'a': 1}"),
    ("run os_distribution TREE --workers 0", "--workers: '0' is not a whole number of at least 1"),
    ("run os_distribution TREE --workers 1001", "--workers: '1001' is too many; at most 1,000"),
    ("run os_distribution TREE --reducers x", "--reducers: 'x' is not a whole number"),
    ("run os_distribution TREE --split-size 5XB", "--split-size: '5XB' is not a size", "500MB"),
    ("run os_distribution TREE --buffer-size 0", "--buffer-size: '0' is not a size"),
    ("run os_distribution TREE --sample 5", "--sample: '5' is not a percentage such as 1%"),
    ("run os_distribution TREE --max-bad-records x", "--max-bad-records: 'x' is neither a number"),
    ("run os_distribution TREE --max-failures 0", "--max-failures: '0' is not a whole number"),
    ("run os_distribution TREE --hang-limit 1d", "--hang-limit: '1d' is not a duration", "10m"),
    ("run os_distribution TREE --limit-blocks 0", "'--limit-blocks'", "x>=1"),
    ("run os_distribution TREE --engine cluster", "a cluster keeps its jobs in S3"),
    ("run os_distribution TREE --engine hadoop", "--engine: 'hadoop' is none of the engines"),
    ("run os_distribution TREE --store s3://x", "write s3://BUCKET/PREFIX"),
    ("run os_distribution TREE --store s3:/b/x", "--store: 's3:/b/x' is neither a folder"),
    ("run os_distribution TREE --store list.json", "list.json is a file: a store is a directory"),
    ("run os_distribution --input-list nofile", "--input-list nofile: cannot be read"),
    ("run os_distribution --input-list latin.txt", "--input-list latin.txt", "UTF-8"),
    ("run --frobnicate", "No such option '--frobnicate'"),
    ("resume nosuch", "there is no job nosuch in", "`mr-telemetry jobs` lists them"),
    ("resume ../../etc", "there is no job ../../etc in"),
    ("jobs nosuch", "there is no job nosuch in"),
    ("check os_distribution", "no input"),
    ("check os_distribution empty", "no record to check with"),
    ("check knobs.py TREE --set a=1", "no parameter 'a'; it has: flag, kinds"),
    ("ls", "no input"),
    ("ls nowhere", "nowhere: no such file or folder"),
    ("ls TREE --by nope", "--by nope: the schema has reason"),
    ("cat folder", "folder: must be one block's file", "`ls --blocks`"),
    ("cat nowhere", "nowhere: no such file or folder"),
    ("new 1a", "1a: must be a Python name, such as flash_versions"),
    ("new class", "class: must be a Python name"),
    ("new none", "none: must be a Python name"),
    ("new a/b", "a/b: must be a Python name"),
    ("new _", "_: must be a Python name"),
    ("new json", "json: would hide the module json", "choose another name"),
    ("new mr", "mr: would hide the module mr"),
    ("new nothing", "nothing.py exists; remove it or choose another name"),
    ("new x --dir nowhere", "cannot write to nowhere"),
    ("generate TREE", "is not empty; name a new directory"),
    ("generate list.json", "list.json is a file"),
    ("generate new --size x", "--size: 'x' is not a size"),
    ("generate new --record-size 1", "record size is 1 bytes", "at least"),
    ("generate new --bad-blocks 200%", "--bad-blocks: '200%' is not a percentage"),
    ("generate new --report nowhere/x", "--report nowhere/x", "create it first"),
]


@pytest.fixture
def told(environment, tmp_path, monkeypatch, capsys):
    """Run a command in this process, which is quicker: exit code, standard output and error."""
    for name in ("MR_TELEMETRY_STORE", "HOME"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mr-telemetry", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[0])
def test_mistake_is_told_in_a_sentence(told, files, store, tree, mistake):
    """Wrong usage exits with 2, says what is wrong, where and what to do, and starts no job."""
    line, *words = mistake

    code, out, err = told(*(word.replace("TREE", str(tree.path)) for word in line.split()))

    assert code == 2, err
    assert out == ""
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert not (store / "jobs").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("syntax.py", ["SyntaxError", "syntax.py", "line 1"]),
        ("raises.py", ["ValueError: at import", "line 2, in broken"]),
        ("exits.py", ["SystemExit: 5", "sys.exit(5)"]),
    ],
)
@pytest.mark.parametrize("verb", ["run", "check"])
def test_analysis_that_cannot_be_imported_shows_its_own_place(
    command, files, tree, verb, name, words
):
    """The person sees the line of theirs at which the import failed, and no frame of ours."""
    done = command(verb, name, tree.path)

    assert done.code == 2
    assert done.err.startswith(f"mr-telemetry: {name} cannot be imported: ")
    for word in words:
        assert word in done.err
    for frame in ("/mr/", "click", "<frozen"):
        assert frame not in done.err


# From an idea to its answer


def test_new_analysis_passes_its_test_and_check_and_runs(command, environment, tree, tmp_path):
    """What `new` writes is a working start: its test and `check` pass, and `run` counts right."""
    made = command("new", "by-system", "--dir", tmp_path)
    test = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_by_system.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    checked = command("check", "by_system.py", tree.path)
    done = command("run", "by_system.py", tree.path)
    other = command("run", "by_system.py", tree.path, "--set", "field=appName")

    assert made.code == 0, made.err
    assert "mr-telemetry run" in made.out.decode()
    assert "3 passed" in test.stdout, test.stdout + test.stderr
    assert checked.code == 0, checked.err
    assert b"BySystem: the same answer in all " in checked.out
    assert done.rows == by_system(tree.path)
    apps = Counter(payload["info"]["appName"] for _, _, _, payload in records(tree.path))
    assert len(apps) > 1
    assert other.rows == [list(pair) for pair in sorted(apps.items())]


def test_check_tells_the_key_that_differs(command, tmp_path, tree):
    """`check` fails with exit code 1 and says which key differs, and when."""
    (tmp_path / "averages.py").write_text(
        """
from mr import Analysis

class Averages(Analysis):
    divisor = 1

    def map(self, record):
        yield record["info"]["OS"], len(record.raw)

    def reduce(self, key, values):
        values = list(values)
        yield key, sum(values) / len(values) / self.divisor

    combine = reduce
"""
    )

    wrong = command("check", "averages.py", tree.path)
    crash = command("check", "averages.py", tree.path, "--set", "divisor=0")

    assert wrong.code == crash.code == 1
    assert "Averages depends on how its input is cut: key '" in wrong.err
    assert "with its combiner" in wrong.err
    assert "Averages fails on some of " in crash.err
    assert "ZeroDivisionError" in crash.err
    assert 'averages.py", line 12, in reduce' in crash.err
    assert "/mr/" not in crash.err


def test_check_reads_what_the_filter_and_records_allow(command, files, tree):
    """`check` takes the analysis's own filter, and as many records as it is told."""
    nightly = [1 for key, *_ in records(tree.path) if key.split("/")[2] == "nightly"]

    few = command("check", "nightly.py", tree.path, "--records", 5)
    every = command("check", "nightly.py", tree.path, "--records", 1000000)

    assert b"over 5 records" in few.out
    assert f"over {len(nightly)} records".encode() in every.out


# Choosing the input


def expected_by_channel(tree: Path, keep) -> list:
    """What `nightly.py` answers over the blocks whose dimensions `keep` allows."""
    counts = Counter(tuple(key.split("/")[:3]) for key, *_ in records(tree) if keep(key.split("/")))
    return [[list(key), count] for key, count in sorted(counts.items())]


def test_filter_of_the_analysis_and_of_the_person(command, files, tree, tmp_path):
    """A class's own filter holds unless the person gives another."""
    (tmp_path / "firefox.json").write_text('{"appName": "Firefox", "reason": ["saved_session"]}')

    own = command("run", "nightly.py", tree.path)
    given = command("run", "nightly.py", tree.path, "--filter", "firefox.json")

    assert own.rows == expected_by_channel(tree.path, lambda key: key[2] == "nightly")
    assert given.rows == expected_by_channel(
        tree.path, lambda key: key[:2] == ["saved_session", "Firefox"]
    )
    assert 1 < len(own.rows) != len(given.rows) > 1


def test_filter_that_matches_nothing_gives_an_empty_answer(command, tree, tmp_path):
    """Nothing to read is an empty result with exit code 0, and is said."""
    (tmp_path / "none.json").write_text('{"appName": "Netscape"}')
    (tmp_path / "empty").mkdir()

    none = command("run", "os_distribution", tree.path, "--filter", "none.json")
    empty = command("run", "os_distribution", "empty")

    assert (none.code, none.out) == (empty.code, empty.out) == (0, b"")
    assert "No block matches the filter, so the result is empty" in none.err
    assert "The input holds no blocks, so the result is empty" in empty.err


def test_every_type_of_parameter_can_be_set(command, files, tree):
    """`--set` takes each parameter by the type of its default, JSON for containers."""
    texts = ["number=-7", "share=1e-3", "word=b=c", "flag=yes", "raw=é", 'names=["b", "c"]',
             'kinds=["z"]', "levels=[2, [3]]", 'limits={"b": null}', 'some={"x": 1}']  # fmt: skip

    plain = command("run", "knobs.py", tree.path, "--limit-blocks", 1)
    done = command("run", "knobs.py", tree.path, "--limit-blocks", 1,
                   *(part for text in texts for part in ("--set", text)))  # fmt: skip

    assert dict(plain.rows)["names"] == ["('a',)"]
    assert done.code == 0, done.err
    assert dict(done.rows) == {
        "number": ["-7"],
        "share": ["0.001"],
        "word": ["'b=c'"],
        "flag": ["True"],
        "raw": [repr("é".encode())],
        "names": ["('b', 'c')"],
        "kinds": ["frozenset({'z'})"],
        "levels": ["[2, [3]]"],
        "limits": ["{'b': None}"],
        "some": ["{'x': 1}"],
    }


def test_input_list_is_read_and_its_gaps_reported(command, tree, tmp_path):
    """A line of an input list that is not there is counted and told; --strict refuses it."""
    (tmp_path / "inputs.txt").write_text(f"{tree.path}\n\n  /nowhere/x \n")

    done = command("run", "os_distribution", "--input-list", "inputs.txt", "--report", "r.json")
    strict = command("run", "os_distribution", "--input-list", "inputs.txt", "--strict")

    assert done.code == 0
    assert done.rows == by_system(tree.path)
    assert "Not covered: 1 block missing." in done.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["missing_blocks"] == ["/nowhere/x"]
    assert report["blocks"]["missing"] == 1
    assert report["complete"] is False
    assert strict.code == 2
    assert "--strict: /nowhere/x, of the input list, is not there" in strict.err


def test_inputs_that_overlap_are_counted_once(command, tree, tmp_path):
    """The same block by several ways is one block; a lone file keeps its dimensions."""
    block = min(path for path in tree.path.rglob("*") if path.is_file())

    done = command(
        "run", "os_distribution", tree.path, block, f"{tree.path}/../{tree.path.name}",
        f"file://{tree.path}", "--report", "r.json",
    )  # fmt: skip
    lone = command("run", JOBS / "map_only.py", block)

    assert done.rows == by_system(tree.path)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["blocks"]["read"] == tree.truth.written.blocks
    assert report["blocks"]["repeated"] == 2 * tree.truth.written.blocks + 1
    key = block.relative_to(tree.path).as_posix()
    assert [row[0] for row in lone.rows] == [
        identity for found, _, identity, _ in records(tree.path) if found == key
    ]
    assert lone.rows[0][1][0] == key


def test_sample_of_nothing_is_no_complete_answer(command, tree, tmp_path):
    """`--sample 0%` reads no record, and the report does not call that complete."""
    done = command("run", "os_distribution", tree.path, "--sample", "0%", "--report", "r.json")

    assert (done.code, done.out) == (0, b"")
    assert "a sample of 0.00% only" in done.err
    assert json.loads((tmp_path / "r.json").read_text())["complete"] is False


# Output


def test_output_is_refused_before_the_job_runs(command, store, tree, tmp_path):
    """A folder that is not there is told at once: no job is made, no record read."""
    done = command("run", "os_distribution", tree.path, "-o", "missing/out.csv")

    assert done.code == 2
    assert f"there is no folder {tmp_path / 'missing'}; create it first" in done.err
    assert not (store / "jobs").exists()


def test_output_closed_early_is_no_failure(environment, tree, tmp_path):
    """`-o - | head -1` ends well: exit code 0, and nothing on standard error about it."""
    script = tmp_path / "many.py"
    script.write_text(
        "from mr import Analysis\n\n"
        "class Many(Analysis):\n"
        "    def map(self, record):\n"
        "        for number in range(2000):\n"
        "            yield number, 'x' * 50\n"
    )
    line = f"{sys.executable} -m mr.cli.main"
    for verb in (f"run {script} {tree.path} --quiet", f"ls --blocks {tree.path}"):
        done = subprocess.run(
            ["bash", "-c", f"{line} {verb} -h | true; {line} {verb} | head -1; "
                           'echo "${PIPESTATUS[0]}"'],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip

        first, code = done.stdout.splitlines()
        assert code == "0"
        assert first.startswith("[0, ") or "idle_daily" in first
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr


def test_standard_output_that_takes_nothing_is_told(environment, tree, tmp_path):
    """Printing to a full device is a sentence and exit code 1."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mr.cli.main", "run", "os_distribution", tree.path],
            cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_to_dev_stdout_prints(command, tree):
    """`/dev/stdout` is standard output, also when that is a pipe."""
    done = command("run", "os_distribution", tree.path, "-o", "/dev/stdout")

    assert done.code == 0, done.err
    assert done.rows == by_system(tree.path)


def test_job_is_introduced_before_it_runs(command, store, tree):
    """The first line names the job, so that it can be resumed, and says how large it is."""
    done = command("run", "os_distribution", tree.path, "--split-size", "100KB")

    first = done.err.splitlines()[0]
    (job,) = (path.name for path in (store / "jobs").iterdir())
    maps = len(list(store.glob("jobs/*/commits/1-map-*")))
    blocks, size = tree.truth.written.blocks, tree.truth.compressed_bytes / 1e6
    assert first == f"Job {job}: {blocks} blocks, {size:.1f} MB in {maps} splits."
    assert maps > 1


def test_display_measures_against_what_is_read(told, tree, monkeypatch):
    """With --limit-blocks the bar is full when those blocks are read, not all that were listed."""
    totals = []

    class Display(progress.Display):
        def __init__(self, total_bytes, **options):
            totals.append(total_bytes)
            super().__init__(total_bytes, **options)

    monkeypatch.setattr(outcome, "Display", Display)

    code, _, err = told("run", "os_distribution", str(tree.path), "--limit-blocks", "1")

    first = min(path for path in tree.path.rglob("*") if path.is_file())
    assert code == 0, err
    assert totals == [first.stat().st_size]


def test_stopping_while_the_result_is_written_names_the_job(told, store, tree, monkeypatch):
    """Ctrl-C at the end of a job says that it is done, and how its result is had."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(outcome, "write_items", interrupted)

    code, out, err = told("run", "os_distribution", str(tree.path), "--quiet")

    (job,) = (path.name for path in (store / "jobs").iterdir())
    assert (code, out) == (130, "")
    assert "The job is done and its result is kept" in err
    assert f"`mr-telemetry resume {job} -o OUTPUT`" in err


def test_folder_of_parts_is_claimed_by_one_job(tmp_path, monkeypatch):
    """Of two jobs that want one folder at the same time the second to claim it is refused."""
    folder = DirectoryStore(tmp_path / "parts")
    write = folder.write

    def claimed_meanwhile(name, data, **conditions):
        monkeypatch.setattr(folder, "write", write)
        outcome.check_claim(folder, "first")
        return write(name, data, **conditions)

    monkeypatch.setattr(folder, "write", claimed_meanwhile)

    with pytest.raises(UsageError, match="holds the result parts of first; name an empty folder"):
        outcome.check_claim(folder, "second")

    outcome.check_claim(folder, "first")
    assert folder.read(outcome.CLAIM) == b"first\n"


def test_quiet_says_nothing(command, tree):
    """`--quiet` leaves standard error empty when all goes well."""
    done = command("run", "os_distribution", tree.path, "--quiet")

    assert (done.code, done.err) == (0, "")
    assert done.rows == by_system(tree.path)


def test_report_is_written_for_a_job_that_fails(command, tree, tmp_path):
    """A failed job leaves its report, which says that it failed and why, and no result."""
    done = command(
        "run", f"{JOBS / 'failing.py'}:Raises", tree.path, "--max-failures", 1, "-o", "out.jsonl",
        "--report", "r.json",
    )  # fmt: skip

    assert done.code == 1
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["state"] == "failed"
    assert report["complete"] is False
    assert "no Darwin, please" in report["reason"]
    assert not (tmp_path / "out.jsonl").exists()


def test_progress_lines_where_there_is_no_terminal(monkeypatch, capsys):
    """Without a terminal each change is a line, a few seconds apart; quiet shows trouble alone."""
    monkeypatch.setattr(progress, "LINE_S", 0.0)
    commit = Commit("1-map-0", "a", [], Tally(records=10, compressed_bytes=500, raw_bytes=10**6))
    for quiet in (False, True):
        with progress.Display(1000, quiet=quiet) as display:
            display.stage("1-map", 2, 0)
            display.committed(commit)
            display.progress("w", Progress(records=5, compressed_bytes=250, raw_bytes=10**6))
            display.trouble("a worker was lost.")
            display.progress("w", None)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("1-map: 0%, 0/2 tasks, 0 records, ")
    assert lines[1].startswith("1-map: 50%, 1/2 tasks, 10 records, ")
    assert lines[2].startswith("1-map: 75%, 1/2 tasks, 15 records, ")
    assert lines[3] == "mr-telemetry: a worker was lost."
    assert lines[5:] == ["mr-telemetry: a worker was lost."]


def test_terminal_gets_a_live_display_and_a_clean_result(environment, tree, tmp_path):
    """On a terminal one display is redrawn; standard output holds the result alone."""
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "mr.cli.main", "run", "os_distribution", tree.path],
        cwd=tmp_path, env={**environment, "TERM": "xterm", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # How Linux tells that the other side is closed.
    out = run.stdout.read()
    os.close(ours)

    assert run.wait(COMMAND_TIMEOUT_S) == 0
    assert [json.loads(line) for line in out.splitlines()] == by_system(tree.path)
    assert b"tasks" in shown
    assert b"\x1b[" in shown
    assert b"Read %d records" % tree.truth.written.good in shown


# Jobs


def test_done_job_gives_its_result_again(command, tree, tmp_path):
    """`jobs` lists what was run; `resume` of a job that is done writes its result anew."""
    none = command("jobs")
    done = command("run", "os_distribution", tree.path)
    failed = command("run", f"{JOBS / 'failing.py'}:Dies", tree.path, "--max-failures", 1)
    listed = command("jobs").out.decode().splitlines()
    first, second = (line.split()[0] for line in listed)
    again = command("resume", first, "-o", "again.csv", "--report", "r.json")
    still_failed = command("resume", second)

    assert "No jobs in" in none.err
    assert done.code == again.code == 0, again.err
    assert [line.split()[1] for line in listed] == ["done", "failed"]
    assert "os_distribution over" in listed[0]
    header, *rows = (line.split(",") for line in (tmp_path / "again.csv").read_text().splitlines())
    assert header == ["OS", "records"]
    assert [[system, int(count)] for system, count in rows] == done.rows
    assert json.loads((tmp_path / "r.json").read_text())["state"] == "done"
    assert failed.code == still_failed.code == 1
    assert "exit code 7" in still_failed.err


def test_disk_that_is_full_is_told_and_resume_finishes(command, environment, tree, tmp_path):
    """A store that takes no more is told while the job waits; with room `resume` finishes it."""
    import resource

    (tmp_path / "large.py").write_text(
        "from mr import Analysis\n\n"
        "class Large(Analysis):\n"
        "    def map(self, record):\n"
        "        yield record.id, record.raw.decode()\n\n"
        "    def reduce(self, key, values):\n"
        "        yield key, sorted(values)\n"
    )
    expected = command("run", "large.py", tree.path)
    limit = 50_000
    run = subprocess.Popen(
        [sys.executable, "-m", "mr.cli.main", "run", "large.py", tree.path],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # As `ulimit -f`: where no test can fill a disk, no file may become large.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    told = ""
    while "could not run" not in told:
        line = run.stderr.readline().decode()
        assert line, told
        told += line
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=COMMAND_TIMEOUT_S)
    (job,) = [
        line.split()[0] for line in command("jobs").out.decode().splitlines() if "done" not in
        line.split()[1]
    ]  # fmt: skip
    resumed = command("resume", job)

    assert "no larger file is allowed here" in told
    assert "it is tried again" in told
    assert (run.returncode, out) == (130, b"")
    assert resumed.code == 0, resumed.err
    assert len(expected.out) > 1_000_000
    assert resumed.out == expected.out


def test_settings_come_from_flag_environment_and_file(command, environment, store, tree, tmp_path):
    """A flag wins over the environment, which wins over `mr-telemetry.toml`."""
    (tmp_path / "mr-telemetry.toml").write_text('store = "from-file"\nreducers = 3\n')
    by_flag = command("run", "os_distribution", tree.path, "--store", "from-flag")
    by_environment = command("run", "os_distribution", tree.path)
    del environment["MR_TELEMETRY_STORE"]
    by_file = command("run", "os_distribution", tree.path)
    (tmp_path / "mr-telemetry.toml").write_text("wrkers = 3\n")
    wrong_file = command("run", "os_distribution", tree.path)
    (tmp_path / "mr-telemetry.toml").unlink()
    environment["MR_TELEMETRY_WORKERS"] = "many"
    wrong_variable = command("run", "os_distribution", tree.path)

    assert by_flag.rows == by_environment.rows == by_file.rows == by_system(tree.path)
    for folder in (tmp_path / "from-flag", store, tmp_path / "from-file"):
        (job,) = (folder / "jobs").iterdir()
        spec = json.loads((job / "job").read_text())
        assert spec["reducers"] == 3
    assert wrong_file.code == wrong_variable.code == 2
    assert "mr-telemetry.toml: wrkers: no such setting; there are: store" in wrong_file.err
    assert "MR_TELEMETRY_WORKERS: 'many' is not a whole number" in wrong_variable.err


# Looking at the input


def test_ls_counts_blocks_and_bytes(command, tree, tmp_path):
    """`ls` shows every combination of dimensions; its sums are the tree's."""
    files = {
        path.relative_to(tree.path).as_posix(): path.stat().st_size
        for path in tree.path.rglob("*") if path.is_file()
    }  # fmt: skip
    (tmp_path / "nightly.json").write_text('{"appUpdateChannel": "nightly"}')

    table = command("ls", tree.path)
    by_app = command("ls", tree.path, "--by", "appName", "--by", "reason")
    each = command("ls", tree.path, "--blocks", "--filter", "nightly.json")

    rows = [line.split() for line in table.out.decode().splitlines()]
    assert rows[0][:6] == [
        "reason", "appName", "appUpdateChannel", "appVersion", "blocks", "bytes"
    ]  # fmt: skip
    assert {tuple(row[:4]) for row in rows[1:]} == {tuple(key.split("/")[:4]) for key in files}
    assert sum(int(row[4]) for row in rows[1:]) == len(files) == tree.truth.written.blocks
    assert sum(int(row[5].replace(",", "")) for row in rows[1:]) == tree.truth.compressed_bytes
    assert f"{len(files)} blocks, {sum(files.values()):,} bytes" in table.err
    found = [line.split() for line in by_app.out.decode().splitlines()]
    assert found[0][:4] == ["appName", "reason", "blocks", "bytes"]
    assert sum(int(row[2]) for row in found[1:]) == len(files)
    nightly = sorted(key for key in files if key.split("/")[2] == "nightly")
    assert [line.split() for line in each.out.decode().splitlines()] == [
        [str(files[key]), f"{tree.path}/{key}"] for key in nightly
    ]
    assert 0 < len(nightly) < len(files)


def test_ls_tells_what_it_left_out(command, tmp_path):
    """Strays, missing inputs and repeated blocks are named in the last line of `ls`."""
    folder = tmp_path / "tree/saved_session/Firefox/nightly/22.0a1"
    folder.mkdir(parents=True)
    (folder / "20130226031002.20131011.v2.log.aa.lzma").write_bytes(b"x")
    (tmp_path / "tree/README").write_text("hello")
    (tmp_path / "inputs.txt").write_text("tree\nnowhere\n")

    done = command("ls", "tree", "--input-list", "inputs.txt")

    assert done.code == 0
    assert "1 block, 1 byte (1 listed twice, 1 missing, 2 files not of the layout)" in done.err


def test_cat_prints_records_whole_raw_and_alone(command, tree):
    """`cat` shows every record of a block, as indented JSON or as it stands, or one line of it."""
    found = {}
    for key, line, identity, payload in records(tree.path):
        found.setdefault(key, []).append((line, identity, payload))
    key = max(found, key=lambda key: len(found[key]))
    path = tree.path / key

    pretty = command("cat", path, "--limit", 2).out.decode()
    raw = command("cat", path, "--raw").out.splitlines()
    one = command("cat", path, "--line", 3, "--raw").out.splitlines()

    assert len(raw) == len(found[key]) > 3
    split = [line.partition(b"\t") for line in raw]
    assert [(identity.decode(), json.loads(text)) for identity, _, text in split] == [
        (identity, payload) for _, identity, payload in found[key]
    ]
    assert one == [raw[2]]
    shown = [text.partition("\n") for text in pretty.split("# line ")[1:]]
    assert [(head, json.loads(body)) for head, _, body in shown] == [
        (f"{line}: {identity}", payload) for line, identity, payload in found[key][:2]
    ]


def test_cat_tells_what_is_bad(command, tmp_path):
    """Bad records and damage stand on standard error; what can be read is printed."""
    (tmp_path / "block.log").write_bytes(b'a\t{"x": 1}\nno tab\nb\t{"x": \nc\t{"x": 2}\n')

    (tmp_path / "many.log").write_bytes(b"bad\n" * 150)

    done = command("cat", "block.log", "--raw")
    bad = command("cat", "block.log", "--line", 3)
    beyond = command("cat", "block.log", "--line", 5)
    many = command("cat", "many.log")

    assert done.out == b'a\t{"x": 1}\nc\t{"x": 2}\n'
    assert done.err == "line 2: bad record: no tab\nline 3: bad record: not JSON\n"
    assert bad.err == "line 3: bad record: not JSON\n"
    assert (beyond.code, beyond.out) == (2, b"")
    assert "block.log: there is no record at line 5 of 4 lines" in beyond.err
    assert many.err.splitlines()[99:] == ["line 100: bad record: no tab", "and 50 more bad records"]


def test_analyses_lists_the_bundled_ones(command):
    """`analyses` gives each name that `run` takes, with a sentence."""
    done = command("analyses")

    assert done.code == 0
    assert b"os_distribution      Pings by operating system.\n" in done.out


def test_generate_writes_what_it_says(command, tmp_path):
    """The same seed gives the same bytes as from Python, and the report is exact."""
    arguments = ("--size", "300KB", "--seed", 9, "--bad-records", "10%", "--bad-blocks", "20%")

    done = command("generate", "blocks", *arguments, "--report", "truth.json")
    other = command("generate", "other", "--size", "300KB", "--seed", 10)

    assert done.code == other.code == 0, done.err
    twin = generate(tmp_path / "twin", size=300_000, seed=9, bad_records=0.1, bad_blocks=0.2)
    assert contents(tmp_path / "blocks") == contents(tmp_path / "twin")
    assert contents(tmp_path / "blocks") != contents(tmp_path / "other")
    truth = json.loads((tmp_path / "truth.json").read_text())
    expected = json.loads(json.dumps(twin.to_dict()))
    assert {**truth, "directory": ""} == {**expected, "directory": ""}
    assert f"Wrote {twin.written.records} records in {twin.written.blocks} blocks" in (
        done.out.decode()
    )


def contents(tree: Path) -> dict[str, bytes]:
    """Every file of a tree."""
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }


def test_results_stay_out_of_the_input_and_the_other_way_round(command, tree, tmp_path):
    """Parts are not written among the blocks, and a result's file is not read as a block."""
    (tmp_path / "result.csv").write_text("a,1\n")

    inside = command("run", "os_distribution", tree.path, "-o", tree.path / "parts/")
    as_input = command("run", "os_distribution", tree.path, "result.csv")

    assert inside.code == as_input.code == 2
    assert "lies in the input" in inside.err
    assert "result.csv is no block; to write the result there: -o result.csv" in as_input.err
    assert not (tree.path / "parts").exists()


def test_a_filter_that_matches_nothing_says_what_it_wants_and_what_there_is(
    command, tree, tmp_path
):
    """The sentence names the dimension, what the filter allows, and values of the input."""
    (tmp_path / "typo.json").write_text('{"appUpdateChannel": "nightlyy"}')
    (tmp_path / "dates.json").write_text('{"submission_date": {"min": "20990101"}}')

    typo = command("run", "os_distribution", tree.path, "--filter", "typo.json")
    dates = command("run", "os_distribution", tree.path, "--filter", "dates.json")

    assert typo.code == dates.code == 0
    assert "appUpdateChannel must be nightlyy, and the input has aurora, beta, nightly" in typo.err
    assert "submission_date must be at least 20990101, and the input has 2013" in dates.err


def test_summary_tells_counters_and_an_empty_map(command, tree, tmp_path):
    """Counters stand below the summary; a map that never yields is told of."""
    (tmp_path / "silent.py").write_text(
        "from mr import Analysis\n\n"
        "class Silent(Analysis):\n"
        "    def map(self, record):\n"
        "        self.count('records seen')\n"
        "    def reduce(self, key, values):\n"
        "        yield key, sum(values)\n"
        "    def combiner(self, key, values):\n"
        "        yield key, sum(values)\n"
    )

    done = command("run", "silent.py", tree.path)

    assert done.code == 0
    assert "The result is empty, for map yielded nothing." in done.err
    assert f"  records seen: {tree.truth.written.good}" in done.err
    assert "Silent.combiner is never called: did you mean combine?" in done.err


def test_the_same_error_at_the_same_record_is_not_tried_five_times(command, tree):
    """A plain bug fails the job at its second try, with one message for each try."""
    done = command("run", f"{JOBS / 'failing.py'}:Raises", tree.path, "--workers", 1)

    assert done.code == 1
    assert "the analysis failed 2 times at" in done.err


def test_what_is_printed_last_is_seen(command, tree, tmp_path):
    """Output of user code is not lost when its process ends, and stands in whole lines."""
    (tmp_path / "chatty.py").write_text(
        "from mr import Analysis\n\n"
        "class Chatty(Analysis):\n"
        "    def map(self, record):\n"
        "        print('seen', record.id)\n"
        "        yield 1, 1\n"
        "    def reduce(self, key, values):\n"
        "        print('reduced', key)\n"
        "        yield key, sum(values)\n"
    )

    done = command("run", "chatty.py", tree.path, "--quiet")

    lines = done.err.splitlines()
    assert sum(line.startswith("seen ") for line in lines) == tree.truth.written.good
    assert lines.count("reduced 1") == 1


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("from", "to", ["to/a", "to/b/c"]),
        ("from/a", "to", ["to"]),
        ("from/a", "to/", ["to/a"]),
        ("from/b/c", "from", ["from/a", "from/b/c", "from/c"]),
        ("from/b", "to/x", ["to/x/c"]),
    ],
)
def test_copy_of_folders_and_files(command, tmp_path, source, target, found):
    """A folder is copied with all that is in it; a file to a name, or into a folder."""
    (tmp_path / "from/b").mkdir(parents=True)
    (tmp_path / "from/a").write_bytes(b"1")
    (tmp_path / "from/b/c").write_bytes(b"22")

    done = command("copy", source, target)

    assert done.code == 0, done.err
    root = target.split("/")[0]
    paths = [tmp_path / root] if (tmp_path / root).is_file() else (tmp_path / root).rglob("*")
    names = sorted(p.relative_to(tmp_path).as_posix() for p in paths if p.is_file())
    assert [name for name in names if not name.endswith("/lock")] == found
    assert command("copy", "nowhere", target).code == 2


def test_input_without_any_record_is_no_folder_of_blocks(command, tmp_path):
    """What lies as blocks do and holds none is told so, whatever share may be bad."""
    place = tmp_path / "up" / "blocks" / "a" / "b" / "c" / "d"
    place.mkdir(parents=True)
    (place / "20130101.20130102.log").write_text("one\ntwo\n")

    done = command("run", "os_distribution", "up/blocks", "--max-bad-records", "50%")
    all_allowed = command("run", "os_distribution", "up/blocks", "--max-bad-records", "100%")

    assert done.code == 3
    assert "none of 2 lines is a record, the first: " in done.err
    assert "Is up/blocks the folder that holds the blocks, or one above it?" in done.err
    assert all_allowed.code == 0


def test_filter_that_is_no_file_is_told_what_to_write(command, tree):
    """As people write it who do not know."""
    for text in ("appUpdateChannel=nightly", '{"appUpdateChannel": "nightly"}'):
        done = command("run", "os_distribution", tree.path, "--filter", text)

        assert done.code == 2
        assert "there is no such file, and a filter is one: write JSON into it" in done.err


def test_mapper_is_told_to_be_map(command, tree, tmp_path):
    """A class without a map says which of its methods may have been meant."""
    source = "class Other(Analysis):\n    def mapper(self, record):\n        pass\n"
    (tmp_path / "other.py").write_text(f"from mr import Analysis\n{source}")

    done = command("run", "other.py", tree.path)

    assert done.code == 2
    assert "Other has neither map nor map_block. Other.mapper is never called: did you mean" in (
        done.err
    )


def test_parts_are_not_written_among_other_things(command, tree, tmp_path):
    """Such as what is published, or a person's own files."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")

    done = command("run", "os_distribution", tree.path, "-o", "mine/")

    assert done.code == 2
    assert "holds other things; name an empty folder for these parts." in done.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
