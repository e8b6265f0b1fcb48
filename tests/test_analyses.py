"""The bundled analyses: each by its name, against a slow plain reading of the same records."""

from collections import Counter, defaultdict
from urllib.parse import unquote

import pytest
from reference import records

from mr.generate import generate
from mr.loading import load_analysis
from mr.testing import assert_lawful, ping, run_analysis

DIMENSIONS = ("reason", "appName", "appUpdateChannel", "appVersion", "appBuildID")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Some records of all kinds."""
    folder = tmp_path_factory.mktemp("analyses") / "tree"
    generate(folder, size=600_000, seed=11)
    return folder


@pytest.fixture
def answer(command, tree):
    """Run an analysis by its name, as a person would: the rows of its result."""

    def run(name, *more):
        done = command("run", name, tree, *more)
        assert done.code == 0, done.err
        assert done.rows
        return done.rows

    return run


def place_of(key):
    """A block's dimensions, by its path."""
    *folders, name = key.split("/")
    build, date = name.split(".")[:2]
    return dict(zip((*DIMENSIONS, "submission_date"), (*folders, build, date), strict=True))


def rows_of(counts):
    """Counts as a result has them."""
    keys = sorted(counts)
    return [[list(key) if isinstance(key, tuple) else key, counts[key]] for key in keys]


# record_count


def test_records_are_counted_by_all_dimensions_or_some(answer, tree):
    """Of the block, so that no record is read for it."""
    places = [place_of(key) for key, *_ in records(tree)]

    assert answer("record_count") == rows_of(Counter(tuple(p.values()) for p in places))
    assert answer("record_count", "--set", "by=appName, submission_date") == rows_of(
        Counter((place["appName"], place["submission_date"]) for place in places)
    )


def test_a_dimension_that_is_none_is_told(command, tree):
    """With those that there are."""
    done = command("run", "record_count", tree, "--set", "by=channel")

    assert done.code == 1
    assert "no dimension 'channel'; the schema has reason, appName" in done.err


# distribution


@pytest.mark.parametrize("field", ["info.cpucount", "info.locale"])
def test_any_field_is_counted(answer, tree, field):
    """A number, or a text."""
    name = field.partition(".")[2]
    found = Counter(payload["info"][name] for *_, payload in records(tree))

    assert answer("distribution", "--set", f"field={field}") == rows_of(found)


def test_what_has_no_such_field_is_left_out_and_counted():
    """Objects and lists are counted as their JSON; missing is another thing than null."""
    payloads = [
        {"a": {"b": [1, {"y": 2, "x": 1}]}}, {"a": {"b": {"y": 2, "x": None}}}, {"a": {"b": None}},
        {"a": {"b": {"x": None, "y": 2}}}, {"a": 5}, {"a": {}}, {},
    ]  # fmt: skip

    found = run_analysis(load_analysis("distribution"), [*map(ping, payloads)], field="a.b")

    assert found == [(None, 1), ('[1,{"x":1,"y":2}]', 1), ('{"x":null,"y":2}', 2)]


# duplicates


def test_documents_that_came_twice_are_found():
    """With the range of dates; `min_count` 1 gives all."""
    given = [("a", "20130302"), ("b", "20130301"), ("a", "20130301"), ("a", "20130305")]
    pings = [ping(id=name, dimensions={"submission_date": day}) for name, day in given]
    duplicates = load_analysis("duplicates")

    assert run_analysis(duplicates, pings) == [("a", (3, "20130301", "20130305"))]
    assert [key for key, _ in run_analysis(duplicates, pings, min_count=1)] == ["a", "b"]
    assert_lawful(duplicates, pings)


def test_all_documents_of_a_tree_are_told(answer, tree):
    """By their ids."""
    days = defaultdict(list)
    for key, _, name, _ in records(tree):
        days[name].append(place_of(key)["submission_date"])

    assert answer("duplicates", "--set", "min_count=1") == [
        [name, [len(found), min(found), max(found)]] for name, found in sorted(days.items())
    ]


# addon_versions


def test_addons_are_counted_by_version(answer, tree):
    """Decoded; ids with colons too."""
    counts = Counter()
    for key, _, _, payload in records(tree):
        place = place_of(key)
        for addon in filter(None, payload["info"]["addons"].split(",")):
            name, _, version = unquote(addon).rpartition(":")
            counts[name, version, place["appName"], place["appUpdateChannel"]] += 1

    assert len(counts) > 10
    assert answer("addon_versions") == rows_of(counts)


def test_addons_that_make_no_sense_are_counted_apart():
    """Nothing of a record is promised."""
    found = ["x%2Cy:1,x%2Cy:1,,noversion", 7, ""]
    pings = [ping(info={"addons": addons}) for addons in found]

    rows = run_analysis(load_analysis("addon_versions"), [*pings, ping({}), ping({"info": None})])

    assert rows == [(("x,y", "1", "Firefox", "nightly"), 1)]


@pytest.mark.parametrize("name", ["record_count", "distribution", "duplicates", "addon_versions"])
def test_the_answer_does_not_depend_on_how_the_work_is_cut(name, tree):
    """The law, on generated records."""
    pings = [ping(payload, id=name) for _, _, name, payload in records(tree)][:40]

    assert_lawful(load_analysis(name), pings)
