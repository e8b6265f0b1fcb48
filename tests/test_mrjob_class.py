"""An analysis as a job of mrjob's own: scripts, mrjob's tools, and `python -m mr.engines.mrjob`."""

import importlib.util
import json
import subprocess
import sys

import pytest
from clusters import small_tree_fixture  # noqa: F401 - a fixture
from conftest import COMMAND_TIMEOUT_S, JOBS, Answer
from mrjobs import need_spark, own_places_fixture  # noqa: F401 - a fixture
from published import payload, write_block
from reference import by_system, every_hook, records

from mr.engines.mrjob import as_mrjob
from mr.errors import UsageError

JOB = """
from mr import Analysis
from mr.engines.mrjob import as_mrjob


class Systems(Analysis):
    prefix = ""

    def map(self, record):
        yield (self.prefix + record["info"]["OS"], record.dimensions.appName), 1
        self.count("seen")

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce


class SystemsJob(as_mrjob(Systems)):
    pass


if __name__ == "__main__":
    SystemsJob.run()
"""
#: What it prints of the small tree.
LINES = [
    '["Android", "Fennec"]\t22',
    '["Darwin", "Firefox"]\t2',
    '["Linux", "Firefox"]\t1',
    '["WINNT", "Firefox"]\t16',
    '["WINNT", "Thunderbird"]\t1',
]


@pytest.fixture
def job(tmp_path):
    """The script of a job."""
    path = tmp_path / "systems_job.py"
    path.write_text(JOB)
    return path


@pytest.fixture
def blocks(small_tree):
    """The files of the small tree."""
    return [path for path in sorted(small_tree.rglob("*")) if path.is_file()]


@pytest.fixture
def python(environment, tmp_path):
    """Run Python with these arguments, in a folder of its own."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        return Answer(done.returncode, done.stdout, done.stderr.decode())

    return run


def lines_of(done):
    """The lines that a job printed, in order."""
    assert done.code == 0, done.err
    return sorted(done.out.decode().splitlines())


def write_filter(folder, **allowed):
    """A file with a filter."""
    fields = ("reason", "appName", "appUpdateChannel", "appVersion", "appBuildID")
    dimensions = [
        {"field_name": field, "allowed_values": allowed.get(field, "*")}
        for field in (*fields, "submission_date")
    ]
    path = folder / "filter.json"
    path.write_text(json.dumps({"version": 1, "dimensions": dimensions}))
    return path


# A class of one's own


def test_a_script_runs_in_its_own_process(python, job, blocks):
    """Inline: the lines exactly, and the counters in mrjob's log."""
    done = python(job, "-r", "inline", *blocks)

    assert lines_of(done) == LINES
    assert "\n\tSystems\n\t\tseen=42\n\tmr-telemetry\n\t\tblocks=24\n" in done.err


def test_a_script_runs_in_processes(python, job, blocks):
    """Its tasks are this very script, in another folder, where there is nothing else."""
    done = python(job, "-r", "local", "--partitions", 3, *blocks[:6])

    assert lines_of(done) == ['["Android", "Fennec"]\t20', '["WINNT", "Firefox"]\t4']


def test_a_script_runs_on_spark(python, job, blocks, own_places, tmp_path):
    """There it takes lists of blocks: plain paths, and URIs."""
    need_spark()
    uris = [path.as_uri() if number % 2 else path for number, path in enumerate(blocks)]
    (tmp_path / "blocks.txt").write_text("".join(f"{uri}\n" for uri in uris))

    done = python(job, "-r", "spark", "--python-bin", sys.executable, "blocks.txt")

    assert lines_of(done) == LINES
    assert "seen=42" in done.err
    assert list(own_places.glob("systems_job*")) == []


def test_lists_can_be_taken_everywhere(python, job, blocks, tmp_path):
    """With `--blocks listed`; blank lines do not count."""
    (tmp_path / "blocks.txt").write_text("\n".join(["", *map(str, blocks), "", ""]))

    done = python(job, "-r", "inline", "--blocks", "listed", "blocks.txt")

    assert lines_of(done) == LINES


def test_mrjobs_own_tools_run_it(job, blocks, own_places, monkeypatch, tmp_path):
    """Its runner in a program: the parsed output, and the counters."""
    monkeypatch.setattr("tempfile.tempdir", str(own_places))
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("systems_job", job)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "systems_job", module)
    spec.loader.exec_module(module)
    told = module.SystemsJob(args=["-r", "inline", "--set", "prefix=on ", *map(str, blocks)])

    with told.make_runner() as runner:
        runner.run()
        pairs = sorted(told.parse_output(runner.cat_output()))
        counters = runner.counters()

    assert pairs == [
        (["on Android", "Fennec"], 22),
        (["on Darwin", "Firefox"], 2),
        (["on Linux", "Firefox"], 1),
        (["on WINNT", "Firefox"], 16),
        (["on WINNT", "Thunderbird"], 1),
    ]
    assert counters == [
        {
            "Systems": {"seen": 42},
            "mr-telemetry": {
                "blocks": 24,
                "records": 42,
                "compressed bytes": sum(path.stat().st_size for path in blocks),
                "raw bytes": 1491567,
            },
        }
    ]


def test_a_filter_is_judged_by_the_blocks_paths(python, job, blocks, tmp_path):
    """As `run` does it: a file that lies nowhere in particular has no dimension to be allowed."""
    lone = tmp_path / "lone.txt"
    lone.write_bytes(b'a\t{"info": {"OS": "BeOS"}}\n')
    allowed = write_filter(tmp_path, appName=["Thunderbird", "Fennec"])

    done = python(job, "-r", "inline", "--filter", allowed, lone, *blocks)
    everything = python(job, "-r", "inline", lone, *blocks)

    assert lines_of(done) == [LINES[0], LINES[4]]
    left_out = 1 + sum("/Firefox/" in str(path) for path in blocks)
    assert f"blocks left out by the filter={left_out}\n" in done.err
    assert lines_of(everything) == sorted([*LINES, '["BeOS", ""]\t1'])


def test_a_damaged_block_is_counted(python, job, tmp_path):
    """Nothing judges how many records are bad: the counters tell."""
    block = tmp_path / "tree" / write_block(tmp_path / "tree", [payload(), payload("Linux")])
    block.write_bytes(block.read_bytes()[:-4])
    lone = tmp_path / "lone.txt"
    lone.write_bytes(b'no tab\na\t{"info": {"OS": "BeOS"}}\n')

    done = python(job, "-r", "inline", block, lone)

    assert '["BeOS", ""]\t1' in lines_of(done)
    assert "\n\t\tbad blocks=1\n\t\tbad records=1\n\t\tblocks=2\n" in done.err


def test_blocks_where_lists_are_wanted_are_told(python, job, blocks):
    """A packed block is no list of blocks."""
    done = python(job, "-r", "inline", "--blocks", "listed", blocks[0])

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("UsageError: the input is no list of blocks: ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.lzma", "Error: Input path nowhere.lzma does not exist!"),
        ("a block.lzma", "UsageError: a block.lzma: mrjob's -r local cannot take a file of such a"),
    ],
)
def test_a_file_that_cannot_be_taken_is_a_sentence(python, job, name, said):
    """Also where mrjob says it."""
    done = python(job, "-r", "local", name)

    assert done.code in (1, 2)
    assert said in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_only_analyses_become_jobs():
    """Told when the class is made."""
    with pytest.raises(UsageError, match=r"is no class of mr\.Analysis"):
        as_mrjob(dict)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("FOLDER",), "UsageError: FOLDER is a folder; mrjob takes the files of blocks."),
        (("--partitions", 0, "BLOCK"), "UsageError: --partitions 0: take 1 to 10,000."),
        (
            ("--set", "no=1", "BLOCK"),
            "UsageError: Systems has no parameter 'no'; it has: prefix, min_count, mask_literals.",
        ),
        (("--filter", "none", "BLOCK"), "SchemaError: "),
    ],
)
def test_what_a_script_cannot_do_is_a_sentence(python, job, small_tree, blocks, words, sentence):
    """Exit code 2, and no traceback."""
    known = {"FOLDER": str(small_tree), "BLOCK": str(blocks[0])}
    words = [known.get(word, word) for word in words]

    done = python(job, "-r", "inline", *words)

    assert done.code == 2, done.err
    assert done.err.splitlines()[-1].startswith(sentence.replace("FOLDER", str(small_tree)))
    assert "Traceback" not in done.err


@pytest.mark.parametrize("runner", ["hadoop", "emr", "dataproc"])
def test_files_that_would_lose_their_dimensions_are_refused(python, job, blocks, runner):
    """mrjob would upload them under other names, and a filter or an analysis would go by these."""
    done = python(job, "-r", runner, blocks[0])

    assert done.code == 2
    assert f"UsageError: {blocks[0]} is on this machine, and -r {runner} would copy it" in done.err
    assert f"`python -m mr.engines.mrjob ANALYSIS -r {runner} FOLDER`" in done.err


def test_a_class_without_an_analysis_is_told(python):
    """The base by itself has none."""
    done = python("-m", "mr.engines.mrjob.telemetry_job", "-r", "inline", "a")

    assert done.code == 2
    assert (
        "no analysis: `python -m mr.engines.mrjob ANALYSIS`, or a class from as_mrjob." in done.err
    )


# Any analysis, by its name


def test_an_analysis_by_its_name_prints_its_result(python, small_tree):
    """The blocks of a folder, in three partitions."""
    done = python(
        "-m", "mr.engines.mrjob", "os_distribution", "-r", "inline", small_tree, "--partitions", 3
    )

    expected = [f"{json.dumps(key)}\t{number}" for key, number in by_system(small_tree)]
    assert lines_of(done) == expected
    assert len(expected) == 4


def test_of_several_steps_the_last_ones_result_is_printed(python, small_tree):
    """And no row of what goes between them."""
    done = python(
        "-m", "mr.engines.mrjob", JOBS / "every_hook.py", "-r", "inline", "--partitions", 2,
        "--set", "keep=1", small_tree,
    )  # fmt: skip

    found = [[json.loads(part) for part in line.split("\t")] for line in lines_of(done)]
    assert found == every_hook(small_tree, keep=1)


def test_a_map_only_analysis_prints_what_its_blocks_gave(python, small_tree):
    """Each block's rows in order, in processes."""
    allowed = [path for path in small_tree.glob("*/Thunderbird/**/*") if path.is_file()]
    done = python("-m", "mr.engines.mrjob", JOBS / "map_only.py", "-r", "local", *allowed)

    found = [json.loads(line.split("\t")[1])[:2] for line in lines_of(done)]
    expected = [[key, line] for key, line, *_ in records(small_tree) if "/Thunderbird/" in key]
    assert found == expected
    assert len(found) == 1


def test_a_plain_script_prints_its_lines(python, small_tree):
    """As it writes them, without keys; its header once."""
    done = python("-m", "mr.engines.mrjob", JOBS / "plain_script.py", "-r", "inline", small_tree)

    assert done.code == 0, done.err
    assert done.out.decode().splitlines() == [
        "app,os,count",
        *("Fennec,Android,22", "Firefox,Darwin,2", "Firefox,Linux,1", "Firefox,WINNT,16"),
        "Thunderbird,WINNT,1",
    ]


def test_a_filter_leaves_blocks_out(python, small_tree, tmp_path):
    """Of a folder's blocks those are planned that it allows; where none is, nothing runs."""
    job = ("-m", "mr.engines.mrjob", "os_distribution", "-r", "inline", small_tree, "--filter")

    fennec = python(*job, write_filter(tmp_path, appName="Fennec"))
    nobody = python(*job, write_filter(tmp_path, appName="Nobody"))

    assert lines_of(fennec) == ['"Android"\t22']
    blocks = [path for path in small_tree.glob("*/Fennec/**/*") if path.is_file()]
    assert f"found {len(blocks)} input files" in fennec.err
    assert (nobody.code, nobody.out) == (0, b"")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("os_distribution",), "no input: name a folder, the files of blocks, or their URIs."),
        (("--set", "a=1"), "--set: the analysis comes first, then options."),
        (("nowhere", "TREE"), "nowhere: no bundled analysis of that name (there are: "),
        (("histograms", "TREE"), "Histograms prepares or publishes, which takes a planned job: "),
        (("os_distribution", "no/tree"), "no/tree: no such file or folder."),
        (
            ("os_distribution", "-r", "x", "TREE"),
            "mrjob says: argument -r/--runner: invalid choice",
        ),
        (("os_distribution", "TREE", "--nope"), "mrjob says: unrecognized arguments: --nope."),
        (("os_distribution", "TREE", "--set", "a=1"), "OSDistribution has no parameter"),
        (("os_distribution", "TREE", "--partitions", "0"), "--partitions 0: take 1 to 10,000."),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(python, small_tree, words, sentence):
    """Exit code 2."""
    done = python("-m", "mr.engines.mrjob", *(small_tree if w == "TREE" else w for w in words))

    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith(f"mr.engines.mrjob: {sentence}"), done.err
    assert done.err.count("\n") == 1


def test_an_analysis_that_fails_shows_its_traceback(python, small_tree):
    """In this process: the person's own, and exit code 1."""
    done = python("-m", "mr.engines.mrjob", f"{JOBS / 'failing.py'}:Raises", small_tree)

    assert done.code == 1
    assert done.err.endswith(
        f'  File "{JOBS / "failing.py"}", line 14, in map\n'
        '    raise ValueError("no Darwin, please")\nValueError: no Darwin, please\n'
    )
    assert done.err.count("Traceback") == 1


def test_help_says_how_it_is_used(python):
    """By itself, and with --help."""
    for words in ((), ("--help",)):
        done = python("-m", "mr.engines.mrjob", *words)
        assert done.code == 0
        assert b"python -m mr.engines.mrjob ANALYSIS [OPTIONS]" in done.out
