"""What users' own tests stand on: record builders, `run_analysis`, and the checker of the law."""

import json

import pytest
from conftest import JOBS
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs.laws import (
    Averages,
    Counts,
    CountsInCombine,
    CountsSplits,
    Different,
    ExactFloats,
    First,
    Floats,
    ForgetsInCombine,
    Ids,
    NumbersOfTask,
    OfReducer,
    OfTask,
    TwoSteps,
    YieldsNothing,
)
from reference import every_hook, records

from mr import Analysis
from mr.analysis import near_misses
from mr.checking import check_laws, manners
from mr.errors import AnalysisError
from mr.inline import Manner, run_inline
from mr.listing import list_blocks
from mr.loading import load_analysis
from mr.sampling import sample_records
from mr.schema import load_filter, load_schema
from mr.testing import assert_lawful, count_analysis, ping, run_analysis

SYSTEMS = ["Linux", "WINNT", "Linux", "Darwin", "WINNT", "Linux", "WINNT"]
RECORDS = [ping(id=f"{number:02d}", info={"OS": name}) for number, name in enumerate(SYSTEMS)]


# Records to test with


def test_ping_is_a_valid_record_that_can_be_changed():
    """A ping has the usual sections, and what is given replaces parts of them."""

    class Shows(Analysis):
        def map(self, record):
            yield record.id, (record.payload, dict(record.dimensions), record.line)

    plain = ping()
    changed = ping(
        id="x",
        dimensions={"appName": "Fennec", "appUpdateChannel": "release-cck"},
        info={"OS": "Android"},
        extra={"a": [1]},
    )
    exact = ping({"only": 1}, id="y")

    found = run_analysis(Shows, [plain, changed, exact])

    payloads = [value[0] for _, value in found]
    assert [key for key, _ in found] == [plain.id, "x", "y"]
    assert set(payloads[0]) == {"ver", "info", "simpleMeasurements", "histograms"}
    assert payloads[0]["info"]["OS"] == "WINNT"
    assert payloads[1]["info"]["OS"] == "Android"
    assert payloads[1]["info"]["appName"] == "Fennec"
    assert payloads[1]["info"]["arch"] == "x86"
    assert payloads[1]["extra"] == {"a": [1]}
    assert payloads[2] == {"only": 1}
    assert found[0][1][1]["appName"] == "Firefox"
    assert found[1][1][1]["appName"] == "Fennec"
    assert found[1][1][1]["appUpdateChannel"] == "release_cck"
    assert found[1][1][1]["reason"] == "saved_session"


def test_mapping_among_the_records_is_a_payload():
    """A plain dict will do for a record."""
    found = run_analysis(Counts, [{"info": {"OS": "Linux"}}, ping(info={"OS": "Linux"})])

    assert found == [("Linux", 2)]


# Running


def test_run_analysis_gives_sorted_pairs():
    """The answer is that of a job: pairs in the order of their keys."""
    expected = [("Darwin", 1), ("Linux", 3), ("WINNT", 3)]

    assert run_analysis(Counts, RECORDS) == expected
    assert run_analysis(Counts, RECORDS, splits=3, combine=False) == expected
    assert run_analysis(Counts, RECORDS, least=2) == expected[1:]
    assert run_analysis(Counts, []) == []
    assert run_analysis(TwoSteps, RECORDS, splits=4) == [("largest", (3, "WINNT"))]
    assert run_analysis(Ids, RECORDS[:2], splits=2) == [("00", "Linux"), ("01", "WINNT")]


def test_run_analysis_gives_a_scripts_lines():
    """A script's text comes as strings, its header first."""
    script = load_analysis(str(JOBS / "plain_script.py"))

    lines = run_analysis(script, RECORDS, splits=2)

    assert lines[0].strip() == "app,os,count"
    assert [line.strip() for line in lines[1:]] == [
        "Firefox,Darwin,1", "Firefox,Linux,3", "Firefox,WINNT,3"
    ]  # fmt: skip


def test_what_user_code_raises_comes_out_as_it_is():
    """A test sees the analysis's own exception; a wrong key is an AnalysisError."""

    class WrongKey(Analysis):
        def map(self, record):
            yield [1], 1

    with pytest.raises(KeyError, match="nope"):
        run_analysis(type("Fails", (Counts,), {"map": lambda self, r: [r["nope"]]}), RECORDS)
    with pytest.raises(AnalysisError, match=r"WrongKey\.map yielded the key"):
        run_analysis(WrongKey, RECORDS)


def test_count_analysis_gives_the_counters():
    """Counters are summed over all tasks."""
    assert count_analysis(Counts, RECORDS) == {"mapped": 7}
    assert count_analysis(Counts, []) == {}


def test_inline_job_answers_as_the_reference(tree):
    """Over a tree's records the job in memory gives what the plain reference gives."""
    analysis = load_analysis(str(JOBS / "every_hook.py"))
    schema = load_schema()
    found = sample_records([str(tree.path)], schema, load_filter(None, schema), most=10**6)

    assert len(found) == tree.truth.written.good
    expected = every_hook(tree.path)
    for manner in (Manner(), Manner(5, reducers=3), Manner(40, buffer_bytes=100)):
        items = run_inline(analysis, found, manner).items
        answer = json.loads(json.dumps([[item.key, item.value] for _, item in items]))
        assert answer == expected


# The law


@pytest.mark.parametrize("lawful", [Counts, ExactFloats, Ids, TwoSteps])
def test_lawful_analyses_pass(lawful):
    """What does not depend on how the input is cut passes."""
    assert check_laws(lawful, RECORDS) is None
    assert_lawful(lawful, RECORDS)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Averages, ["key 'Linux': ('Linux', 2.33", "with its combiner"]),
        (First, ["key 'Linux': ('Linux', '00')", "('Linux', '05')", "backwards"]),
        (CountsInCombine, ["the counters: {'mapped': 7}", "'combined':", "with its combiner"]),
        (ForgetsInCombine, ["key 'Linux': ('Linux', 3)", "but ('Linux', 1) with its combiner"]),
        (YieldsNothing, ["key 'Darwin': ('Darwin', 1)", "but nothing with its combiner"]),
        (OfTask, ["key 'tasks': ('tasks', 1)", "but ('tasks', 2) in 2 splits"]),
        (OfReducer, ["('Linux', 1)", "with 7 reducers"]),
        (Floats, ["key 'sum': ('sum', "]),
        (NumbersOfTask, ["key '04': ('04', 5)", "but ('04', 1) in 2 splits"]),
        (CountsSplits, ["the counters: ", "'tasks': 2", "in 2 splits"]),
        (Different, ["when it runs once more"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_broken_analyses_fail_with_the_differing_key(broken, words):
    """What depends on the cut fails, and the sentence says which key, what, and when."""
    with pytest.raises(AssertionError) as caught:
        assert_lawful(broken, RECORDS)

    text = str(caught.value)
    assert text.startswith(f"{broken.__name__}: ")
    for word in words:
        assert word in text


def test_combiner_that_changes_keys_is_refused():
    """A combiner may yield only the key that it was given."""

    class Renames(Counts):
        def combine(self, key, values):
            yield key.lower(), sum(values)

    with pytest.raises(AnalysisError, match=r"Renames\.combine yielded the key 'linux' for"):
        assert_lawful(Renames, RECORDS)


def test_law_is_checked_with_the_parameters_given():
    """Parameters reach every run."""

    class Choice(Counts):
        order_matters = False

        def reduce(self, key, values):
            yield key, list(values) if self.order_matters else sum(values)

    assert_lawful(Choice, RECORDS)
    with pytest.raises(AssertionError, match="key 'Linux'"):
        assert_lawful(Choice, RECORDS, order_matters=True)


def test_few_records_are_enough_to_ask():
    """One record, or none, is checked without complaint."""
    assert check_laws(Counts, []) is None
    assert check_laws(Counts, RECORDS[:1]) is None


def test_manners_cover_splits_orders_reducers_and_combiners():
    """Every manner has all the records; combiners are tried only where there are some."""
    every = list(manners(Counts, RECORDS))
    plain = list(manners(First, RECORDS))

    assert len(plain) < len(every)
    for _, _, chosen in every:
        assert sorted(record.id for record in chosen) == [record.id for record in RECORDS]
    assert {manner.splits for _, manner, _ in every} == {1, 2, 3, 7}
    assert {manner.combine for _, manner, _ in every} == {False, True}
    assert not any(manner.combine for _, manner, _ in plain)
    assert any(chosen[0].id == "06" for _, _, chosen in every)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=12),
    st.integers(1, 13),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from([1, 300, 10**6]),
)
def test_answer_of_a_lawful_analysis_is_the_plain_count(names, splits, reducers, combine, buffer):
    """Any manner of running gives the counts that a loop gives."""
    found = [ping(info={"OS": name}) for name in names]
    manner = Manner(splits, reducers, combine, combine_values=2, buffer_bytes=buffer)

    outcome = run_inline(Counts, found, manner)

    assert [(item.key, item.value) for _, item in outcome.items] == [
        (name, names.count(name)) for name in sorted(set(names))
    ]
    assert outcome.tally.counters.get("mapped", 0) == len(names)


# Samples


def test_sample_is_spread_over_the_blocks_in_order(tree):
    """A sample takes no more than asked, from many blocks, and in the order of the input."""
    schema = load_schema()
    everything = load_filter(None, schema)
    blocks = list(list_blocks([str(tree.path)], schema, everything).blocks)
    order = [(identity, json.dumps(payload)) for _, _, identity, payload in records(tree.path)]

    few = sample_records([str(tree.path)], schema, everything, most=5)
    some = sample_records([str(tree.path)], schema, everything, most=len(blocks))
    every = sample_records([str(tree.path)], schema, everything, most=10**6)

    assert len(few) == 5
    assert len({record.dimensions for record in few}) > 1
    assert len(some) == len(blocks)
    assert [(one.id, json.dumps(json.loads(one.raw))) for one in every] == order
    positions = [order.index((one.id, json.dumps(json.loads(one.raw)))) for one in some]
    assert positions == sorted(positions)


def test_sample_of_fewer_than_the_blocks_reaches_the_last_ones(tree):
    """A sample that cannot take every block leaves out some in between, not those at the end."""
    schema = load_schema()
    everything = load_filter(None, schema)
    blocks = list(list_blocks([str(tree.path)], schema, everything).blocks)
    most = len(blocks) * 2 // 3

    found = sample_records([str(tree.path)], schema, everything, most=most)

    assert len(found) <= most
    ids = {record.id for record in found}
    last = {block.key for block in blocks[most:]}
    assert ids & {identity for key, _, identity, _ in records(tree.path) if key in last}


def test_sample_of_a_damaged_tree_holds_good_records_only(damaged_tree):
    """Bad records and blocks are read past."""
    schema = load_schema()
    found = sample_records([str(damaged_tree.path)], schema, load_filter(None, schema), most=10**6)

    assert len(found) == damaged_tree.truth.readable.good
    assert_lawful(Counts, found)


class ReadsTwice(Analysis):
    """Takes the values for a list."""

    def map(self, record):
        yield record["info"]["OS"], 1

    def reduce(self, key, values):
        number = sum(1 for _ in values)
        yield key, sum(values) / number


class Peeks(ReadsTwice):
    """Takes the first value, then the others."""

    def reduce(self, key, values):
        first = next(values)
        yield key, (first, list(values))


def test_reading_values_to_the_end_twice_is_told():
    """A stream that has ended gives no wrong number in silence: it says what to do."""
    with pytest.raises(AnalysisError, match=r"read only once.*make a list"):
        run_analysis(ReadsTwice, [ping()])


def test_values_can_be_read_in_two_goes():
    """What is not read yet can still be read."""
    assert run_analysis(Peeks, [ping(), ping(), ping()]) == [("WINNT", (1, [1, 1]))]


def test_a_hook_by_another_name_is_noticed():
    """Methods that look like hooks are named with the hook; helpers are not."""

    class Mistaken(Analysis):
        def map(self, record):
            yield 1, 1

        def reducer(self, key, values):
            yield key, sum(values)

        def setUp(self):
            pass

        def helper(self):
            pass

        combiner = reducer

    assert near_misses([Mistaken]) == [
        "Mistaken.combiner is never called: did you mean combine?",
        "Mistaken.reducer is never called: did you mean reduce?",
        "Mistaken.setUp is never called: did you mean setup?",
    ]
