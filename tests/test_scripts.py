"""Plain scripts of the pipeline's first years: they work as they are, and print what they did."""

import csv
import io
import json
from collections import defaultdict

import pytest
import simplejson

from mr.analysis import parameters
from mr.errors import AnalysisError
from mr.inline import Manner, run_inline
from mr.items import Line, Pair
from mr.results import write_items
from mr.scripts import Context, ScriptAnalysis, script_analysis
from mr.testing import ping

RECORDS = [
    ping(id=f"id{number}", info={"OS": system, "version": version}, simpleMeasurements=measures)
    for number, (system, version, measures) in enumerate(
        [
            ("WINNT", "6.1", {"uptime": 3, "js": {"setProto": 1}}),
            ("Linux", "3.2.0-4", {"uptime": 5}),
            ("WINNT", "5.1", {"uptime": 0}),
            ("Darwin", "12, \"x\"", {"uptime": 7}),
            ("WINNT", "6.1", {"uptime": 4}),
        ]
    )
]  # fmt: skip

MANNERS = [
    Manner(),
    Manner(splits=3, reducers=2, combine=False),
    Manner(splits=5, reducers=1, combine_values=2, buffer_bytes=1),
]


def text_of(functions, manner=MANNERS[0]):
    """What a job over RECORDS with this script prints."""
    outcome = run_inline(script_analysis("script", functions), RECORDS, manner)
    out = io.BytesIO()
    write_items(lambda: (item for _, item in outcome.items), "text", out)
    return out.getvalue().decode()


@pytest.mark.parametrize("manner", MANNERS)
def test_a_count_by_system(manner):
    """The simplest script: one for each record, added up, as lines of key TAB value."""

    def map(k, d, v, cx):
        j = json.loads(v)
        cx.write(j["info"]["OS"], 1)

    def reduce(k, v, cx):
        cx.write(k, sum(v))

    text = text_of({"map": map, "reduce": reduce, "combine": reduce}, manner)

    assert text == "Darwin\t1\nLinux\t1\nWINNT\t3\n"


@pytest.mark.parametrize("manner", MANNERS)
def test_a_table_with_a_header(manner):
    """A script that sets its separator and writes its header before the reduce."""

    def setup_reduce(context):
        context.field_separator = ","
        context.writeline("os,version,count,mean_uptime")

    def map(key, dims, value, context):
        payload = simplejson.loads(value)
        info = payload["info"]
        uptime = payload["simpleMeasurements"].get("uptime", -1)
        if uptime <= 0:
            return
        context.write((info["OS"], info["version"]), uptime)

    def reduce(key, values, context):
        context.write(",".join(key), "%d,%.2f" % (len(values), sum(values) / float(len(values))))  # noqa: UP031

    text = text_of({"map": map, "reduce": reduce, "setup_reduce": setup_reduce}, manner)

    assert text == (
        "os,version,count,mean_uptime\n"
        'Darwin,12, "x",1,7.00\n'
        "Linux,3.2.0-4,1,5.00\n"
        "WINNT,6.1,2,3.50\n"
    )


@pytest.mark.parametrize("manner", MANNERS)
def test_rows_of_comma_separated_values(manner):
    """A script that writes its rows with writecsv, and keeps what it needs in a module's table."""
    buckets = defaultdict(int)

    def setup_reduce(cx):
        cx.writecsv(["os", "versions"])

    def map(uid, dims, value, cx):
        info = json.loads(value)["info"]
        buckets[info["OS"]] += 1
        cx.write(info["OS"], {"version": info["version"], "reason": dims[0]})

    def reduce(key, values, cx):
        cx.writecsv([key, *sorted({one["version"] for one in values})])

    text = text_of({"map": map, "reduce": reduce, "setup_reduce": setup_reduce}, manner)

    assert list(csv.reader(io.StringIO(text))) == [
        ["os", "versions"],
        ["Darwin", '12, "x"'],
        ["Linux", "3.2.0-4"],
        ["WINNT", "5.1", "6.1"],
    ]


@pytest.mark.parametrize("manner", MANNERS)
def test_a_script_without_reduce(manner):
    """A map-only script chooses records and writes them as they are, in the order of the input."""

    def map(key, dimensions, value, context):
        _, app, channel, _, build, date = dimensions
        if "WINNT" in value and channel == "nightly":
            context.writeline(f"{key}\t{date}\t{len(value)}")
            context.field_separator = " "
            context.write(build, app)

    text = text_of({"map": map}, manner)

    lengths = [len(record.raw) for record in RECORDS]
    assert text.splitlines() == [
        line
        for number in (0, 2, 4)
        for line in (f"id{number}\t20130301\t{lengths[number]}", "20130226031002 Firefox")
    ]


def test_a_script_sees_its_record_as_text():
    """A key, a list of dimensions in schema order, the JSON as str; values as a list."""
    seen = []

    def map(key, dimensions, value, context):
        seen.append((type(key), type(dimensions), type(value), json.loads(value)["ver"]))
        context.write(key, [dimensions[0]])

    def reduce(key, values, context):
        seen.append(values)

    text_of({"map": map, "reduce": reduce})

    assert seen == [(str, list, str, 2)] * 5 + [[["saved_session"]]] * 5


def test_a_separator_lasts_as_long_as_a_task():
    """What one task sets is the separator of all that it writes, and of no other task."""
    analysis = script_analysis("script", {"map": lambda key, dims, value, cx: None})
    one, other = analysis(), analysis()
    one.setup()
    other.setup()

    one._context.record_separator = "\n\n"
    one._context.write("a", 1)
    other._context.write("a", 1)
    one._context.writeline("x")

    assert one._context.take() == [Pair("a", 1, "a\t1\n\n"), Line("x", "\n\n")]
    assert other._context.take() == [Pair("a", 1)]


def test_what_was_taken_is_written_once():
    """A context starts anew after each call of the script."""
    context = Context()
    context.write("a", 1)

    assert context.take() == [Pair("a", 1)]
    assert context.take() == []


@pytest.mark.parametrize(
    "row",
    [
        ["a", "b"],
        ["a,b", 'say "x"'],
        ["two\nlines", "or\r\nthree", "old\rmac"],
        ["", None, 1.5, True],
        ["tail\r\n"],
        ["é", "\u2028"],
        [" x "],
        [""],
    ],
)
def test_a_row_is_read_back(row):
    """Any row written with writecsv is read as the same texts by a reader of such files."""
    context = Context()
    context.writecsv(row)
    context.writecsv(["next"])

    text = "".join(line.text + line.end for line in context.take())

    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found == [["" if cell is None else str(cell) for cell in row], ["next"]]


@pytest.mark.parametrize("function", ["map", "combine"])
def test_text_cannot_be_reduced(function):
    """A line written where a reduce follows is an error that says what to use."""

    def good(key, *rest):
        rest[-1].write(key, 1)

    def bad(key, *rest):
        rest[-1].writeline("x")

    functions = {"map": good, "reduce": good, "combine": good, function: bad}

    with pytest.raises(AnalysisError, match=f"^{function} wrote a line of text.*context.write"):
        text_of(functions, Manner(combine_values=1))


def test_a_scripts_own_error_passes():
    """What a script raises is what the person sees."""

    def map(key, dimensions, value, context):
        raise KeyError("info")

    with pytest.raises(KeyError, match="info"):
        text_of({"map": map})


def test_a_script_is_an_analysis():
    """The class has the script's name, only the hooks that the script has, and no parameters."""
    analysis = script_analysis("os_count", {"map": print, "setup_reduce": print})

    assert issubclass(analysis, ScriptAnalysis)
    assert analysis.__name__ == "os_count"
    assert analysis.reduce is None
    assert analysis.combine is None
    assert analysis.setup_reduce is not None
    assert parameters(analysis) == {}
