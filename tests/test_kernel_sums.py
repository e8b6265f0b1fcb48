"""The compiled scanner adds up what the plain code would, exactly, or leaves a record untouched."""

import math
import random
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator

import hostile
import numpy as np
import pytest
from hostile import ORDINARY, joined
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernels import (
    Gathered,
    Path_,
    gather,
    gather_each,
    measure_of,
    ordinary_lines,
    records_in,
    rows_of,
    rows_spilled,
    spill,
    sums_in,
)

from mr.exact import exact_partial
from mr.histograms.extraction import histograms, simple_histogram, simple_measures
from mr.histograms.merging import Sums, sums_of
from mr.histograms.sheets import COUNT_LIMIT, scaled
from mr.kernel import layout
from mr.kernel.layout import LARGEST_COUNT, MOST_RECORDS
from mr.validity import check_line, find_members, parse_plain

# --- numbers ---


def bits_of(mantissa: int, decimals: int) -> int:
    """What Python makes of the same decimal number."""
    (bits,) = struct.unpack("<q", struct.pack("<d", float(f"{mantissa}e-{decimals}")))
    return bits


#: Mantissas near powers of 2 and 10, halfway between two doubles, and of many digits.
MANTISSAS = (
    st.integers(1, 10**19 - 1)
    | st.integers(10**16, 10**19 - 1)
    | st.integers(1, 1 << 20)
    | st.builds(
        lambda exponent, near: max(1, min((1 << exponent) + near, 10**19 - 1)),
        st.integers(0, 63),
        st.integers(-3, 3),
    )
    | st.builds(
        lambda double, shift, near: max(1, min((2 * double + 1 << shift) + near, 10**19 - 1)),
        st.integers(1 << 52, (1 << 53) - 1),
        st.integers(0, 10),
        st.integers(-1, 1),
    )
    | st.builds(lambda digits, near: 10**digits + near, st.integers(1, 18), st.integers(-1, 1))
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(MANTISSAS, st.integers(0, layout.MOST_DECIMALS)), max_size=40))
@example([(9007199254740993, 0), (9007199254740991, 0), (9007199254740993, 1), (1, 0), (5, 1)])
@example([(2**63, 0), (2**63 + 1024, 0), (2**63 + 1023, 0), (10**19 - 1, 0), (10**19 - 1, 27)])
def test_doubles_are_the_nearest(checked, numbers):
    """A decimal number's double is that of Python, to the last bit."""
    assert checked.doubles(numbers) == [bits_of(*number) for number in numbers]


def halves() -> Iterator[tuple[int, int]]:
    """Decimal numbers that lie exactly halfway between two doubles, and their neighbours."""
    rng = random.Random(5)
    for decimals in range(layout.MOST_DECIMALS + 1):
        for _ in range(200):
            # An odd number of 54 bits times 2**exponent, as a decimal number of so many digits.
            exponent = rng.randrange(-decimals, 11)
            odd = rng.randrange(1 << 53, 1 << 54) | 1
            scaled = odd * 10**decimals
            mantissa = scaled << exponent if exponent >= 0 else scaled >> -exponent
            yield from ((mantissa + near, decimals) for near in (-1, 0, 1))


def closest() -> Iterator[tuple[int, int]]:
    """Decimal numbers of 17 to 19 digits that come as close to halfway as any."""
    rng = random.Random(6)
    for decimals in range(layout.MOST_DECIMALS + 1):
        for _ in range(200):
            odd = rng.randrange(1 << 53, 1 << 54) | 1
            # The scale at which the mantissa has 18 or 19 digits.
            for shift in range(-decimals * 4 - 10, 12):
                numerator = odd * 10**decimals
                mantissa = numerator << shift if shift >= 0 else numerator >> -shift
                if 10**17 <= mantissa < 10**19 - 1:
                    yield from ((mantissa + near, decimals) for near in (0, 1))


def test_doubles_nearly_halfway_between_two_are_the_nearest(checked):
    """Where rounding is hardest it is right."""
    numbers = [number for number in (*halves(), *closest()) if 0 < number[0] < 10**19]
    assert len(numbers) > 10_000
    assert checked.doubles(numbers) == [bits_of(*number) for number in numbers]


# --- the plain reference ---


def path_in(raw: bytes, block: int) -> Path_:
    """The path of a record as its own JSON spells it."""
    (info,) = (raw[begin:end] for name, begin, end in find_members(raw, 0) if name == "info")
    tokens = {}
    if info.strip(b"{} "):
        tokens = {name: info[begin:end] for name, begin, end in find_members(info, 0)}
    return (block, *(tokens.get(name, b"") for name in ("OS", "version", "arch", "revision")))


def plain_sums(raws: list[bytes], block: int) -> dict[tuple[str, Path_, int], Sums]:
    """What the plain code adds up of records, of which it may leave nothing out."""
    rows = defaultdict(list)
    for raw in raws:
        path, payload = path_in(raw, block), parse_plain(raw)
        for measure, counts, statistics in histograms(payload, must_not):
            rows[measure, path, len(counts)].append((counts, statistics))
        for measure, value in simple_measures(payload, must_not):
            counts, statistics = simple_histogram(value)
            rows[measure, path, len(counts)].append((counts, statistics))
    return {
        key: sums_of(np.array([counts for counts, _ in found]), [one for _, one in found], "", "")
        for key, found in rows.items()
    }


def must_not(reason: str, name: str) -> None:
    """Refuse that anything is left out."""
    raise AssertionError(f"{name}: {reason}")


def plainly(sums: dict[tuple[str, Path_, int], Sums]) -> dict:
    """Sums as plain values."""
    return {
        key: (one.submissions, one.statistics, one.counts.tolist()) for key, one in sums.items()
    }


def assert_adds_up(text: bytes, gathered: Gathered, block: int = 0) -> int:
    """Assert that exactly what was not refused was added up, as by the plain code; how many."""
    lines = text.split(b"\n")[:-1]
    taken = assert_lines_told(text, lines, gathered)
    for line in taken:
        assert check_line(line) is None, line
    raws = [line.partition(b"\t")[2] for line in taken]
    assert plainly(sums_in(gathered)) == plainly(plain_sums(raws, block))
    assert records_in(gathered) == Counter(path_in(raw, block) for raw in raws)
    return len(taken)


def assert_lines_told(text: bytes, lines: list[bytes], gathered: Gathered) -> list[bytes]:
    """Assert that refused lines are told rightly; return the others."""
    place, number, written, taken, is_full = gathered.cursor
    assert (place, number, written, is_full) == (len(text), len(lines), len(gathered.refused), 0)
    refused = set()
    for line, begin, end in gathered.refused:
        assert text[begin:end] == lines[line]
        assert text[:begin].count(b"\n") == line
        refused.add(line)
    assert taken == len(lines) - len(refused)
    return [line for at, line in enumerate(lines) if at not in refused]


# --- records ---

COMMAS = st.sampled_from([", ", ", ", ",", " , ", ",  "])
COLONS = st.sampled_from([": ", ": ", ":", " : "])
COUNTS = st.sampled_from(
    [
        "0",
        "0",
        "0",
        "1",
        "7",
        "12",
        "407",
        "6090",
        "10203",
        "123456",
        "-1",
        "-0",
        str(LARGEST_COUNT),
        str(-LARGEST_COUNT),
        "9" * 7,
    ]
)
STATISTICS = (
    st.sampled_from(["-1", "-1", "0", "0.0", "-0", "-0.0", "-1.0", "-1.000", "1", "-2", "0.000"])
    | st.integers(-(10**18) + 1, 10**18 - 1).map(str)
    | st.floats(-1e12, 1e12).map(lambda number: format(number, "f"))
    | st.floats(0.001, 1e6).map(repr)
    | st.builds(
        lambda sign, whole, fraction: f"{sign}{whole}.{fraction}",
        st.sampled_from(["", "-"]),
        st.integers(1, 10**8),
        st.text("0123456789", min_size=1, max_size=10),
    )
    # Around the least that fits, 2**-44, and the most digits that do.
    | st.sampled_from(["0.00000000000005684341887", "-0.0000000000001", "0." + "0" * 27])
    | st.sampled_from(["1." + "0" * 18, "9" * 18, "-" + "9" * 18, "9" * 18 + ".9"])
)
#: Numbers that it may refuse, and what is none.
ODD_NUMBERS = (
    st.sampled_from(
        [str(LARGEST_COUNT + 1), "9" * 18, "9" * 19, "9" * 40, "1.0", "0.5", "1e3", "1E3"]
    )
    | st.sampled_from(
        ["01", "-0.0", "0.0", "null", "[]", "true", '"1"', "{}", "-", "1.", "NaN", ""]
    )
    | st.sampled_from(["0.00000000000005684341886", "1e400", "-0.00000000000001", "1." + "0" * 19])
    | st.sampled_from(["0." + "0" * 26 + "1", "0." + "0" * 27 + "1", "0." + "0" * 28])
)


@st.composite
def arrays(draw: st.DrawFn, *, is_odd: bool) -> str:
    """A histogram: buckets with runs of empty ones, five statistics; or with something else."""
    comma = draw(COMMAS)
    numbers: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        numbers += ["0"] * draw(st.integers(0, 30)) + draw(st.lists(COUNTS, min_size=1, max_size=4))
    numbers += draw(st.lists(STATISTICS, min_size=5, max_size=5))
    if is_odd:
        numbers[draw(st.integers(0, len(numbers) - 1))] = draw(ODD_NUMBERS)
    space = draw(st.sampled_from(["", "", " "]))
    return f"[{space}{comma.join(numbers)}{space}]"


OLDER = '{"range": [1, 3], "bucket_count": 3, "histogram_type": 1, "values": {"0": 1}, "sum": 1}'
ODD_HISTOGRAMS = st.sampled_from(
    ["null", '"a"', "1", "[]", "{}", "[[1, 2, 3, 4, 5, 6]]", "[1, 2, 3, 4, 5]", OLDER]
)
SIMPLE_VALUES = (
    st.integers(-100, 30_100).map(str)
    | st.integers(-(10**15) + 1, 10**15 - 1).map(str)
    | st.sampled_from(["0", "-0", "true", "false", "null", '"a"', '"\\u00e9"', "[]", "[1, {}]"])
)
ODD_SIMPLE_VALUES = st.sampled_from(["1.5", "1e3", "0.0", "9" * 16, "01", "-", "", "1.", "9" * 30])
NAMES = st.sampled_from(["READ_MS", "b.c-d", "x", "X", "js", "SIMPLE_MEASURES_X", "a_b", "9", "b"])
ODD_NAMES = st.sampled_from(["", "a b", "\u00e9", "a\\u0062", "\\n", 'a\\"b', "\u0130", "x" * 300])


@st.composite
def objects(
    draw: st.DrawFn, names: st.SearchStrategy, values: st.SearchStrategy, *, is_odd: bool
) -> str:
    """An object of distinct names, or perhaps of equal ones."""
    distinct = draw(st.lists(names, max_size=4, unique=not is_odd))
    comma, colon = draw(COMMAS), draw(COLONS)
    space = draw(st.sampled_from(["", "", " "]))
    members = comma.join(f'"{name}"{colon}{draw(values)}' for name in distinct)
    return f"{{{space}{members}{space}}}"


def sections(*, is_odd: bool) -> dict[str, st.SearchStrategy]:
    """The sections of a record; perhaps with something that it refuses in them."""

    def usual(often: st.SearchStrategy, odd: st.SearchStrategy) -> st.SearchStrategy:
        return often | odd if is_odd else often

    measures = usual(NAMES, ODD_NAMES)
    simple = usual(SIMPLE_VALUES, ODD_SIMPLE_VALUES)
    nested = objects(measures, simple | st.just('{"a": [{}]}'), is_odd=is_odd)
    histograms = usual(arrays(is_odd=is_odd), ODD_HISTOGRAMS)
    info = st.sampled_from(['"Linux"', '"6.1"', "6.1", "5", "true", "null", '"\\u00e9"', '""'])
    odd_info = st.sampled_from(["{}", "[]", '{"a": 1}', "NaN"])
    facts = st.sampled_from(["OS", "version", "arch", "revision", "x"])
    found = {
        "info": objects(usual(facts, ODD_NAMES), usual(info, odd_info), is_odd=is_odd),
        "histograms": objects(measures, histograms, is_odd=is_odd),
        "simpleMeasurements": objects(measures, simple | nested | st.just("{}"), is_odd=is_odd),
        "other": st.sampled_from(["1", "{}", '[0, 0, {"a": "\\\\"}]', "null", "[0,0,0,0,0,0,0,0]"]),
    }
    none = st.sampled_from(["null", "[]", "1", '"info"', "{}", "{"])
    return {name: usual(section, none) for name, section in found.items()}


PLAIN, ODD = sections(is_odd=False), sections(is_odd=True)


@st.composite
def records(draw: st.DrawFn, *, is_plain: bool = False) -> bytes:
    """A line whose record has its sections in any order; or one missing, twice, or odd."""
    names = draw(st.permutations(list(PLAIN)))
    chosen = dict(PLAIN)
    fault = "" if is_plain else draw(st.sampled_from(["", "", "missing", "twice", "odd", "odd"]))
    if fault == "missing":
        del names[0]
    elif fault == "twice":
        names.append(names[0])
    elif fault == "odd":
        chosen[names[0]] = ODD[names[0]]
    comma, colon = draw(COMMAS), draw(COLONS)
    members = comma.join(f'"{name}"{colon}{draw(chosen[name])}' for name in names)
    return f"id\t{{{members}}}".encode()


@settings(max_examples=200, deadline=None)
@given(st.lists(records(), min_size=1, max_size=5), st.integers(0, 1000))
@example([ORDINARY] * 3, 7)
def test_it_adds_up_what_the_plain_code_does(compiled, lines, block):
    """What it takes of any records comes to the same sums; what it refuses has changed nothing."""
    text = joined(lines)
    assert_adds_up(text, gather(compiled, text, block=block), block)


@settings(max_examples=150, deadline=None)
@given(st.lists(records(is_plain=True), min_size=1, max_size=5))
def test_it_takes_plain_records(compiled, lines):
    """It refuses no record that has nothing odd, so that the law above is not an empty one."""
    text = joined(lines)
    assert assert_adds_up(text, gather(compiled, text)) == len(lines)


def test_it_takes_every_ordinary_record(compiled, tree):
    """So nearly no record is left to the plain code."""
    lines = ordinary_lines(tree.path)[:25]
    text = joined([*lines, ORDINARY])
    assert assert_adds_up(text, gather(compiled, text)) == len(lines) + 1


def record(section: str, members: str) -> bytes:
    """A line with one section, beside an info."""
    return f'id\t{{"info":{{"OS":"a"}},"{section}":{{{members}}}}}'.encode()


@pytest.mark.parametrize(
    "line",
    [
        *(record("histograms", f'"A":{value}') for value in ("{}", "null", "1", '"a"', "[]")),
        *(record("histograms", f'"A":[{value}]') for value in ("1,2,3,4,5", "1,2,3,4,5,true")),
        record("histograms", '"A":{"range":[1,3],"bucket_count":3,"histogram_type":1,"values":{}}'),
        record("histograms", '"A":[1,1,1,1,1,1],"A":[1,1,1,1,1,1]'),
        record("histograms", '"A":[1,1,1,1,1,1],"B":[1,1,1,1,1,1],"A":[1,1,1,1,1,1]'),
        record("histograms", '"\\u0041":[1,1,1,1,1,1]'),
        record("histograms", '"":[1,1,1,1,1,1]'),
        record("histograms", '"a b":[1,1,1,1,1,1]'),
        *(
            record("histograms", f'"A":[{count},1,1,1,1,1]')
            for count in (
                "1.5",
                "1.0",
                "0.0",
                "-0.0",
                "1e3",
                str(LARGEST_COUNT + 1),
                str(-LARGEST_COUNT - 1),
            )
        ),
        *(
            record("histograms", f'"A":[1,{number},1,1,1,1]')
            for number in ("9" * 19, "1e5", "1E5", "0.00000000000001", "9" * 18 + ".00", "null")
        ),
        record("simpleMeasurements", '"a":1,"a":2'),
        record("simpleMeasurements", '"a":{"b":1},"c":1,"a":{"d":1}'),
        record("simpleMeasurements", '"a":{"b":1,"b":2}'),
        record("simpleMeasurements", '"a b":1'),
        record("simpleMeasurements", '"a":{"b c":1}'),
        record("simpleMeasurements", '"a b":{"c":1}'),
        *(
            record("simpleMeasurements", f'"a":{number}')
            for number in ("1.5", "1e3", "0.0", "9" * 16, "01")
        ),
        b'id\t{"info":{"OS":"a"},"histograms":[]}',
        b'id\t{"info":{"OS":"a"},"simpleMeasurements":null}',
        b'id\t{"info":[]}',
        b'id\t{"histograms":{}}',
        b"id\t{}",
        b'id\t{"info":{"OS":"a"},"info":{"OS":"a"}}',
        b'id\t{"info":{"OS":"a"},"histograms":{},"histograms":{}}',
        b'id\t{"info":{"OS":"a"},"simpleMeasurements":{},"simpleMeasurements":{}}',
        b'id\t{"inf\\u006f":{"OS":"a"}}',
        b'id\t{"info":{"OS":"a","OS":"b"}}',
        b'id\t{"info":{"arch":{"a":1}}}',
        b'id\t{"info":{"\\u004fS":"a"}}',
        b'\xc3\xa9\t{"info":{}}',
    ],
)
def test_what_it_refuses(compiled, line):
    """What it does not understand wholly is left to the plain code, and has changed nothing."""
    text = joined([ORDINARY, line, ORDINARY])
    gathered = gather(compiled, text)
    assert [number for number, _, _ in gathered.refused] == [1]
    assert assert_adds_up(text, gathered) == 2


@pytest.mark.parametrize(
    "line",
    [
        b'id\t{"info":{}}',
        b'id\t{ "info" : { } , "histograms" : { } , "simpleMeasurements" : { } }',
        b'id\t{"info":{"OS":1,"version":null,"arch":true,"revision":1e5}}',
        b'id\t{"x":1,"x":2,"info":{"y":1,"y":2}}',
        record("histograms", f'"A":[{LARGEST_COUNT},{"9" * 18},{"-" + "9" * 18},0.0,-0.0,-1.0]'),
        record("histograms", '"A":[-0,-0,-0,-0,-0,-0]'),
        record("histograms", f'"A":[1,1,1,1,1,1.{"0" * 18}]'),
        record("histograms", f'"A":[1,1,1,1,1,0.{"0" * 27}]'),
        record("histograms", f'"A":[1,1,1,1,1,{"9" * 18}.9]'),
        record("simpleMeasurements", '"a":{"b":{"c":1},"d":[2],"e":null},"f":true,"g":"1","h":{}'),
        record("simpleMeasurements", '"a":1,"A":2,"a_b":3,"a":{"b":4}'.replace(',"a":', ',"a_":')),
        record("simpleMeasurements", '"":1,"a":{"":2},"":{}'.replace(',"":{}', "")),
        record("simpleMeasurements", f'"a":{"9" * 15},"b":-{"9" * 15},"c":-0,"d":-1'),
        record("simpleMeasurements", '"a b":true,"c":{"d e":null}'),
        record("histograms", '"SIMPLE_MEASURES_A":[1,1,1,1,1,1]'),
    ],
)
def test_what_it_takes(compiled, line):
    """Strange records that it does understand."""
    text = joined([ORDINARY, line, line])
    assert assert_adds_up(text, gather(compiled, text)) == 3


@pytest.mark.parametrize("seed", range(4))
def test_sums_of_many_numbers_carry_and_borrow(compiled, seed):
    """Sums that swing around zero, of very large and very small numbers, are exact."""
    rng = random.Random(seed)

    def number() -> str:
        sign = rng.choice(("", "-"))
        return rng.choice((
            f"{sign}{rng.randrange(2, 10 ** rng.randrange(1, 19))}",
            f"{sign}{rng.randrange(10**18)}.{rng.randrange(10)}",
            f"{sign}0.{rng.randrange(1, 10**6):013d}1",
            f"{sign}{2 ** rng.randrange(59)}.0",
            f"{sign}{2 ** rng.randrange(1, 59)}",
        ))  # fmt: skip

    lines = []
    for _ in range(150):
        numbers = ", ".join(
            [str(rng.randrange(-LARGEST_COUNT, LARGEST_COUNT)), *(number() for _ in range(5))]
        )
        lines.append(record("histograms", f'"A": [{numbers}]'))
    text = joined(lines)
    assert assert_adds_up(text, gather(compiled, text)) == len(lines)
    # Down and up again by one, over all words.
    around = [
        "0.0000000000001",
        "-0.0000000000001",
        "-0.0000000000001",
        "0.0000000000001",
        "1",
        "-2",
    ]
    text = joined(record("histograms", f'"A":[1,{one},0,0,0,{one}]') for one in around)
    for end in range(1, len(around) + 1):
        few = joined(text.splitlines()[:end])
        assert assert_adds_up(few, gather(compiled, few)) == end


def test_logarithms_are_those_of_python(compiled):
    """Logarithms of simple measures, and their squares, are the plain code's to the last bit."""
    rng = random.Random(1)
    values = [0, 1, 2, 3, 2**49, 2**49 - 1, 10**15 - 1, 8_886_109, 8_886_110, 8_886_111]
    values += [
        sign * rng.randrange(10 ** rng.randrange(1, 16)) for sign in (1, -1) for _ in "x" * 700
    ]
    members = ",".join(f'"{number}":{value}' for number, value in enumerate(values[:1000]))
    gathered = gather(compiled, joined([record("simpleMeasurements", members)]))
    assert gathered.cursor[layout.TAKEN] == 1
    found = sums_in(gathered)
    assert len(found) == 1000
    for (measure, _, _), sums in found.items():
        value = values[int(measure.rpartition("_")[2])]
        log = math.log(abs(value) + 1)
        assert sums.statistics[:3] == [value, exact_partial((log,)), exact_partial((log * log,))]
        assert sums.statistics[3:] == [None, None]


# --- spilling ---


@settings(max_examples=100, deadline=None)
@given(st.lists(records(is_plain=True), min_size=1, max_size=4))
@example([ORDINARY] * 2)
def test_what_is_spilled_are_the_same_rows(compiled, checked, lines):
    """Rows and columns rise, all but submissions is not 0, and the sums are those of the cells."""
    gathered = gather(compiled, joined(lines))
    spilled = spill(compiled, gathered)
    assert checked.spill_each([gathered]) == [spilled]
    places = [(row, column) for row, column, _ in spilled.entries]
    assert places == sorted(set(places))
    assert all(number for _, _, number in spilled.entries)
    assert list(rows_spilled(gathered, spilled)) == list(rows_of(gathered))


# --- memory ---


def texts() -> list[bytes]:
    """Records with every kind of value in them, and an ordinary one, cut everywhere."""
    found = [joined([ORDINARY[:end]]) for end in range(len(ORDINARY))]
    found += [joined([ORDINARY[:end] + ORDINARY[end + 1 :]]) for end in range(len(ORDINARY))]
    for value in hostile.VALUES:
        text = value.decode("latin-1")
        found.append(joined([record("histograms", f'"A":[1,1,1,1,1,{text}').rstrip(b"}")]))
        for line in (
            record("histograms", f'"A":[1,1,1,1,1,{text}]'),
            record("histograms", f'"A":{text}'),
            record("histograms", f'"A":[0,0,0,0,{text},0,1,1,1,1]'),
            record("histograms", f'"A":[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, {text}, 1]'),
            record("simpleMeasurements", f'"A":{text}'),
            record("simpleMeasurements", f'"A":{{"B":{text}}}'),
            record("info", f'"OS":{text}').replace(b'"info":{"OS":"a"},', b""),
            record("other", text),
        ):
            found.append(joined([line]))
    found += [
        joined([line.replace(b"{", b'{"info":{},"histograms":{', 1)]) for line in hostile.zeros()
    ]
    return [text for text in found if text.count(b"\n") == 1]


def test_gathering_never_reads_outside_its_text(compiled, guarded, checked):
    """Beside memory that nobody may touch, and with every index checked, it comes to the same."""
    every = texts()
    found = gather_each(compiled, every)
    for text, one in zip(every, found, strict=True):
        assert_adds_up(text, one)
    assert guarded.gather_each(every) == found
    assert checked.gather_each(every) == found


@settings(max_examples=100, deadline=None)
@given(st.lists(records(), min_size=1, max_size=4))
def test_gathering_any_never_reads_outside_its_text(compiled, guarded, checked, lines):
    """Nor of generated records."""
    every = [joined(lines)]
    found = gather_each(compiled, every)
    assert guarded.gather_each(every) == found
    assert checked.gather_each(every) == found


# --- full tables ---

#: What there is of each table, by its place in `used`.
ROOM = {
    layout.USED_NAMES: layout.MOST_NAMES,
    layout.USED_ARENA: layout.ARENA_BYTES,
    layout.USED_ROWS: layout.MOST_ROWS,
    layout.USED_WORDS: layout.CELL_WORDS,
}


def nearly_full(table: int, left: int) -> tuple[int, ...]:
    """Tables with so much left in one of them; a few names are taken in any case."""
    used = [100, 0, 0, 0, 0]
    used[table] = ROOM[table] - left
    return tuple(used)


@pytest.mark.parametrize("table", ROOM)
def test_a_full_table_stops_it_before_the_line(compiled, table):
    """What does not fit is not begun: it stops before the line, and nothing of it was added."""
    text = joined([ORDINARY])
    needed = gather(compiled, text).used[table]
    enough = gather(compiled, text, used=nearly_full(table, needed))
    assert (enough.cursor[layout.TAKEN], enough.cursor[layout.IS_FULL]) == (1, 0)
    assert enough.used[table] == ROOM[table]
    steps = {*range(1, min(needed, 30)), needed // 2, needed, needed - 1} - {0}
    for short in sorted(steps):
        gathered = gather(compiled, text, used=nearly_full(table, needed - short))
        assert gathered.cursor == [0, 0, 0, 0, 1]
        assert not gathered.rows
        assert not gathered.cells
        assert all(
            name[layout.NAME_RECORDS] == 0
            for name in gathered.names
            if name[layout.NAME_PREFIX] >> layout.KIND_SHIFT == layout.REVISION
        )


def test_it_stops_between_lines_and_goes_on_with_empty_tables(compiled):
    """Whoever empties the tables whenever they are full gets all of the sums."""
    lines = [record("histograms", f'"A{n}":[{n},1,1,1,1,1]') for n in range(20)]
    text = joined(lines)
    room = gather(compiled, joined(lines[:3])).used[layout.USED_WORDS]
    place, total, stops = 0, Counter(), 0
    while place < len(text):
        left = nearly_full(layout.USED_WORDS, room)
        gathered = gather(compiled, text, used=left, place=place)
        assert gathered.cursor[layout.PLACE] > place
        place = gathered.cursor[layout.PLACE]
        assert text[place - 1 : place] == b"\n"
        assert not gathered.refused
        stops += gathered.cursor[layout.IS_FULL]
        for begin in gathered.rows:
            row = gathered.cells[begin - left[layout.USED_WORDS] :]
            total[row[layout.ROW_COUNTS]] += row[layout.ROW_SUBMISSIONS]
    assert total == dict.fromkeys(range(20), 1)
    assert stops == 6


@pytest.mark.parametrize(
    "sizes",
    [
        {"names": 4, "slots": 8},
        {"arena": 40},
        {"rows": 2, "row_slots": 4},
        {"cells": 100},
        {"pending": 2},
        {"entries": 6},
        {"simple": 3},
    ],
)
def test_what_needs_more_than_there_is_gets_refused(checked, sizes):
    """A record that no empty table could hold is left to the plain code; smaller ones are not."""
    small = record("histograms", '"A":[1,1,1,1,1,1]')
    (gathered,) = checked.gather_each([joined([ORDINARY])], sizes=sizes)
    assert gathered.cursor[layout.WRITTEN] == 1
    assert gathered.cursor[layout.IS_FULL] == 0
    assert not gathered.rows
    assert not records_in(gathered)
    (gathered,) = checked.gather_each([joined([small, small])], sizes=sizes)
    if "names" in sizes:  # a name for the measure, four for the path
        assert gathered.cursor[layout.WRITTEN] == 1
    else:
        assert gathered.cursor[layout.TAKEN] == 2
        (row,) = rows_of(gathered)
        assert (measure_of(gathered, row.name), row.submissions) == ("A", 2)


def test_it_stops_when_the_list_of_refused_lines_is_full(compiled):
    """It goes on from there in the next call."""
    text = joined([b"bad"] * (layout.MOST_REFUSED + 1) + [ORDINARY])
    first = gather(compiled, text)
    assert first.cursor == [4 * layout.MOST_REFUSED, layout.MOST_REFUSED, layout.MOST_REFUSED, 0, 0]
    second = gather(compiled, text, place=first.cursor[layout.PLACE])
    assert second.cursor == [len(text), 2, 1, 1, 0]


def test_what_a_row_adds_up_to_fits_into_a_sheet():
    """However many records of the largest counts it is given before it is spilled."""
    assert LARGEST_COUNT * MOST_RECORDS < COUNT_LIMIT
    assert scaled(2**64 * MOST_RECORDS) is not None
