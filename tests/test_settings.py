"""The settings that every analysis has: `min_count` and `mask_literals`."""

import json

import numpy as np
import pytest
from conftest import JOBS

from mr import Analysis
from mr.analysis import known_parameters, parse_parameters, steps
from mr.checking import check_laws
from mr.errors import AnalysisError, UsageError
from mr.items import Line, Pair
from mr.loading import load_analysis
from mr.mapping import Position, map_pairs
from mr.suppressing import count_of
from mr.testing import assert_lawful, count_analysis, ping, run_analysis

#: Words with a literal in some of them; `word` tells how often each comes.
WORDS = ["a", "b", "b", "say 'x'", "say 'y'", "say 'y''s'", "c"]
RECORDS = [ping(id=f"{n}", info={"word": word}) for n, word in enumerate(WORDS)]


class Counts(Analysis):
    """Counts words, from `map` and from `finish`."""

    def setup(self):
        """Keep what `finish` yields."""
        self._last = []

    def map(self, record):
        """Every word once, in one of two ways."""
        word = record["info"]["word"]
        if record.id == "4":
            self._last.append(word)
        else:
            yield word, 1

    def finish(self):
        """What was kept."""
        yield from ((word, 1) for word in self._last)

    def reduce(self, key, values):
        """Add up."""
        yield key, sum(values)

    combine = reduce


class Sizes(Analysis):
    """How many words come how often."""

    def map(self, pair):
        """One for each word."""
        yield pair[1], 1

    def reduce(self, key, values):
        """Add up, with a word in quotes that a second step may write."""
        yield key, [sum(values), "'mine'"]


class Spread(Counts):
    """Words, then numbers of words."""

    then = Sizes


class MapOnly(Analysis):
    """Yields words."""

    def map(self, record):
        """A pair with texts all over."""
        yield record["info"]["word"], [record["info"], (record["info"]["word"],)]


# min_count


def test_rows_below_it_are_left_out_and_counted():
    """Only complete sums are looked at, however the work is cut."""
    assert run_analysis(Counts, RECORDS, min_count=2) == [("b", 2)]
    assert count_analysis(Counts, RECORDS, min_count=2) == {"rows below min_count": 5}
    for least in (0, 1, 2, 3):
        assert_lawful(Counts, RECORDS, min_count=least)
    assert len(run_analysis(Counts, RECORDS, min_count=0)) == 6
    assert count_analysis(Counts, RECORDS, min_count=0) == {}


def test_a_class_may_have_its_own():
    """A default that a person replaces."""

    class Frequent(Counts):
        min_count = 2

    assert run_analysis(Frequent, RECORDS) == [("b", 2)]
    assert len(run_analysis(Frequent, RECORDS, min_count=1)) == 6
    assert parse_parameters([Frequent], {"min_count": "5"}) == {"min_count": 5}


def test_only_the_last_steps_rows_are_left_out():
    """The first step's go on whole."""
    assert run_analysis(Spread, RECORDS) == [(1, [5, "'mine'"]), (2, [1, "'mine'"])]
    assert run_analysis(Spread, RECORDS, min_count=2) == [(1, [5, "'mine'"])]
    assert count_analysis(Spread, RECORDS, min_count=2) == {"rows below min_count": 1}


def test_rows_of_finish_reduce_are_left_out_and_headers_are_not():
    """What `setup_reduce` writes is no row of the result."""

    class Framed(Counts):
        def setup_reduce(self, output):
            output.writeline("word,count")
            output.write("header", "text")

        def finish_reduce(self):
            yield "few", 1
            yield "many", 7.5

    assert run_analysis(Framed, RECORDS, min_count=2) == [
        "word,count", ("header", "text"), ("b", 2), ("many", 7.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "count"),
    [(3, 3), (2.5, 2.5), ((4, "x"), 4), ([5], 5), (np.int64(6), 6), (np.float32(0.5), 0.5)],
)
def test_the_count_of_a_row_is_its_value_or_the_first_item(value, count):
    """A number of any kind; of a script's row too."""
    assert count_of(("k", value), "One.reduce") == count
    assert count_of(Pair("k", value), "One.reduce") == count


@pytest.mark.parametrize(
    "value",
    [None, True, "3", b"3", (), [], {}, {"n": 3}, (True, 3), ["3"], ((3,), 3), np.arange(3)],
)
def test_a_row_without_a_count_is_refused(value):
    """In one sentence, whatever the value is."""

    class Odd(Counts):
        def reduce(self, key, values):
            yield key, value

    assert len(run_analysis(Odd, RECORDS)) == 6
    with pytest.raises(AnalysisError, match=r"Odd.reduce yielded the key 'a': with min_count a va"):
        run_analysis(Odd, RECORDS, min_count=1)


def test_a_line_or_nonsense_is_refused():
    """A line has no count; what is no pair is told as ever."""
    with pytest.raises(AnalysisError, match=r"One\.reduce yielded the line 'a,1': with min_count"):
        count_of(Line("a,1"), "One.reduce")
    with pytest.raises(AnalysisError, match="must yield"):
        count_of("a", "One.reduce")


def test_a_count_that_is_not_a_number_is_below_it():
    """Suppression errs on the safe side."""

    class NaN(Counts):
        def reduce(self, key, values):
            yield key, float("nan")

    assert run_analysis(NaN, RECORDS, min_count=1) == []


@pytest.mark.parametrize(
    ("analysis", "values", "sentence"),
    [
        (Counts, {"min_count": -1}, "Counts: min_count is a whole number of at least 0, not -1."),
        (Counts, {"min_count": 1.5}, "not 1.5."),
        (Counts, {"min_count": True}, "not True."),
        (Counts, {"min_count": None}, "not None."),
        (Counts, {"mask_literals": 1}, "Counts: mask_literals is True or False, not 1."),
        (MapOnly, {"min_count": 5}, "MapOnly has no reduce, so its rows have no count; leave"),
        (type("Next", (Counts,), {"then": MapOnly}), {"min_count": 5}, "MapOnly has no reduce"),
        (type("Own", (MapOnly,), {"min_count": 5}), {}, "Own has no reduce"),
        (type("Own", (Counts,), {"min_count": "5"}), {}, "Own: min_count is a whole number"),
        (type("Early", (Spread,), {"min_count": 5}), {}, "Early has a min_count, which counts in "
         "the last step only; move it to Sizes."),
        (type("Late", (Counts,), {"then": type("Second", (Sizes,), {"mask_literals": True})}), {},
         "Second has mask_literals, which counts in the first step only; move it to Late."),
        (type("Files", (Counts,), {"publish": lambda *_: None}), {"min_count": 5}, "Files publish"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(analysis, values, sentence):
    """Before the job, in one sentence."""
    with pytest.raises(UsageError) as error:
        known_parameters(analysis, values)

    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("min_count=-5", "min_count is a whole number of at least 0, not -5."),
        ("min_count=many", "--set min_count=many: must be like its default, 0."),
        ("min_count=1.5", "--set min_count=1.5: must be like its default, 0."),
        ("mask_literals=maybe", "--set mask_literals=maybe: must be like its default, False."),
    ],
)
def test_a_text_that_makes_no_sense_is_refused(text, sentence):
    """As that of any parameter."""
    name, _, value = text.partition("=")

    with pytest.raises(UsageError) as error:
        parse_parameters(steps(Counts), {name: value})

    assert sentence in str(error.value)
    assert parse_parameters(steps(Counts), {"min_count": "100", "mask_literals": "yes"}) == {
        "min_count": 100,
        "mask_literals": True,
    }


# mask_literals


def test_keys_that_are_equal_once_masked_meet():
    """Those of `map` and of `finish`."""
    found = run_analysis(Counts, RECORDS, mask_literals=True)

    assert found == [("a", 1), ("b", 2), ("c", 1), ("say :private:", 3)]
    assert run_analysis(Counts, RECORDS, mask_literals=True, min_count=3) == found[-1:]
    assert_lawful(Counts, RECORDS, mask_literals=True)
    assert_lawful(Counts, RECORDS, mask_literals=True, min_count=2)


def test_values_of_a_map_only_analysis_are_masked():
    """Parts of a record too."""
    found = run_analysis(MapOnly, RECORDS[3:4], mask_literals=True)

    ((key, (info, words)),) = found
    assert (key, info["word"], words) == ("say :private:",) * 2 + (("say :private:",),)
    assert "'" not in json.dumps(found)
    assert_lawful(MapOnly, RECORDS, mask_literals=True)


def test_only_the_first_step_is_masked():
    """What a later one yields is made of what was masked."""
    assert run_analysis(Spread, RECORDS, mask_literals=True)[0] == (1, [2, "'mine'"])

    class Kept:
        origin = b""
        found = ()

        def take(self, pairs, where):
            self.found = [*self.found, *pairs]

    class Second(Analysis):
        mask_literals = True

        def map(self, pair):
            yield pair

    sink = Kept()
    map_pairs(Second(), [(b"", Pair("'a'", 1))], sink, Position())
    assert sink.found == [("'a'", 1)]


def test_the_law_is_checked_with_both():
    """`mr-telemetry check` takes them as `run` does."""
    assert check_laws(Counts, RECORDS, {"min_count": 2, "mask_literals": True}) is None


# By the command, on every engine


SOURCE = """
from mr import Analysis


class Quoted(Analysis):
    min_count = 3

    def map(self, record):
        yield f"{record['info']['OS']} '{record.id}'", 1

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce
"""


@pytest.mark.parametrize("engine", [(), ("--engine", "mrjob", "-r", "inline")])
def test_both_hold_on_every_engine(command, tree, tmp_path, engine):
    """The report tells what was left out."""
    if engine:
        pytest.importorskip("mrjob", reason="mrjob is not installed")
    (tmp_path / "quoted.py").write_text(SOURCE)
    counts = dict(command("run", "os_distribution", tree.path).rows)
    least = max(counts.values())
    assert len(counts) > 2

    masked = command("run", "quoted.py", tree.path, "--set", "mask_literals=true", *engine)
    bare = command("run", "quoted.py", tree.path, *engine)
    few = command(
        "run", "quoted.py", tree.path, "--set", "mask_literals=true", "--set",
        f"min_count={least}", "--report", "report.json", *engine,
    )  # fmt: skip

    assert masked.rows == [[f"{name} :private:", n] for name, n in sorted(counts.items()) if n > 2]
    assert bare.rows == []
    assert few.rows == [[f"{name} :private:", n] for name, n in counts.items() if n == least]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["counters"]["rows below min_count"] == len(counts) - len(few.rows)


def test_the_command_refuses_and_checks(command, tree):
    """One sentence, and the exit code of what a person must put right."""
    refused = command("run", "os_distribution", tree.path, "--set", "min_count=-1")
    exported = command("run", JOBS / "map_only.py", tree.path, "--set", "min_count=2")
    checked = command("check", "os_distribution", tree.path, "--set", "min_count=2", "--records", 9)

    assert (refused.code, exported.code, checked.code) == (2, 2, 0)
    assert "min_count is a whole number of at least 0, not -1." in refused.err
    assert "has no reduce, so its rows have no count; leave min_count out." in exported.err


def test_a_plain_script_has_them_too(tmp_path):
    """They are the only parameters of one."""
    script = tmp_path / "script.py"
    script.write_text(
        "def map(key, dimensions, value, context):\n"
        "    context.write(f\"word '{key}'\", 1)\n"
        "def reduce(key, values, context):\n"
        "    context.write(key, sum(values))\n"
    )
    analysis = load_analysis(str(script))

    assert run_analysis(analysis, RECORDS, mask_literals=True) == [("word :private:", len(WORDS))]
    assert run_analysis(analysis, RECORDS, min_count=2) == []
