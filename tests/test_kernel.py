"""The compiled scanner: it is sure of good lines only, and adds up what the plain code would."""

import io
import itertools
import json
from collections.abc import Iterator

import hostile
import pytest
import simdjson
from hostile import GOOD_JSON, HOSTILE, ORDINARY, joined
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import Line, ordinary_lines, skim, skim_each
from reading import block_of, exact

from mr import codecs, skimming
from mr.generate.damage import BAD_RECORD_KINDS, spoilt
from mr.kernel.building import Functions
from mr.lines import BlockAccount
from mr.records import Record, read_chunks, read_records
from mr.skimming import Skimmer
from mr.validity import check_line, parse_plain

# --- skimming: verdicts and members ---


def assert_true(text: bytes, found: list[Line]) -> int:
    """Assert that the lines are those of the text, and right where it was sure; return how many.

    A line of which it was sure is good, and its members' names and values are those that the json
    module finds, in order, equal names included.
    """
    lines = text.split(b"\n")
    assert lines.pop() == b""
    assert len(found) == len(lines)
    begin = sure = 0
    for line, (first, start, end, members) in zip(lines, found, strict=True):
        assert (first, end) == (begin, begin + len(line))
        begin += len(line) + 1
        if members is None:
            continue
        sure += 1
        assert check_line(line) is None, line
        record_id, _, raw = line.partition(b"\t")
        assert start == first + len(record_id) + 1
        assert record_id.isascii()
        pairs = outermost_pairs(raw)
        assert len(members) == len(pairs)
        for (name_begin, name_end, value_begin, value_end), (name, value) in zip(
            members, pairs, strict=True
        ):
            assert first < name_begin <= name_end < value_begin < value_end <= end
            assert text[name_begin:name_end].decode() == name
            token = text[value_begin:value_end]
            assert token == token.strip(b" \t\r")
            assert repr(parse_plain(token)) == repr(value)
    return sure


def outermost_pairs(raw: bytes) -> list[tuple[str, object]]:
    """Names and values of the outermost object, as the json module meets them."""
    pairs: list = []

    def keep_last(found: list[tuple[str, object]]) -> dict:
        pairs[:] = found
        return dict(found)

    json.loads(raw.decode(), object_pairs_hook=keep_last)
    return pairs


@pytest.mark.parametrize("lines", [hostile.by_hand, hostile.all_bytes, hostile.cut_and_spliced])
def test_it_is_sure_of_good_lines_only(compiled, lines):
    """Whatever is wrong with a line, and wherever, it is not sure; and where it is, it is right."""
    text = joined(lines())
    assert assert_true(text, skim(compiled, text, 4000, 20_000)) > 0


@settings(max_examples=250, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda start, raw: start + raw,
            st.sampled_from([b"id\t", b"id\t", b"", b"\t", b"\xc3\xa9\t", b"\xef\xbb\xbf\t"]),
            HOSTILE | GOOD_JSON,
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_it_is_sure_of_good_lines_only_among_any(compiled, lines, most_lines, most_members):
    """So it is with generated lines, also when it stops and goes on after each few."""
    text = joined(lines)
    assert_true(text, skim(compiled, text, most_lines, most_members))


def test_it_is_sure_of_every_ordinary_record(compiled, tree):
    """So nearly no line is left to the plain code."""
    lines = ordinary_lines(tree.path)
    text = joined(lines)
    assert assert_true(text, skim(compiled, text, 4000, 20_000)) == len(lines)


def test_it_is_sure_of_whatever_the_json_module_writes_of_the_plain_kind(compiled):
    """Names without escapes, strings without surrogates, numbers of common size: all is sure."""
    value = {
        "": [], "a b": {}, "\u00e9\U0001f600": [[], [{}], {"a": []}],
        "n": [0, -1, 10**99, -(10**98)],
        "f": [0.5, -0.0, 1e-7, 1.5e99, 1e-99, 123456.789012345678], "c": [True, False, None],
        "s": ['"\\/\b\f\n\r\t\0\x1f', "\x7f\u2028\ud7ff\ue000\uffff", ""],
        "z": [0] * 50, "e": {"\n": 1},
    }  # fmt: skip
    for separators in ((", ", ": "), (",", ":")):
        for ascii_only in (False, True):
            raw = json.dumps(value, separators=separators, ensure_ascii=ascii_only)
            # Escapes in names of the outermost object, and of surrogates, are what it leaves out.
            raw = raw.replace("\\u00e9\\ud83d\\ude00", "\u00e9\U0001f600")
            text = f"id\t{raw}\n".encode()
            assert assert_true(text, skim(compiled, text)) == 1


def test_it_is_sure_of_short_numbers_where_they_are_some(compiled):
    """Of numbers of every length, and of what looks like one, beside each other and at the ends."""
    good = ["0", "7", "10", "407", "6090", "10203", "123456", "1234567", "12345678", "123456789"]
    bad = [
        "",
        "01",
        "00",
        "007",
        "0123456",
        "1a",
        "1:",
        "1/",
        "\x0b1",
        "1\xb2",
        "\xb0",
        "1 2",
        "+1",
    ]
    lines = []
    for token in (*good, *bad, "-0", "0.5", "1e5", "[]", '"1"', "null"):
        for comma in (",", ", ", " ,", ",  ", ",\t", ",,"):
            for before, after in ((0, 0), (1, 0), (0, 1), (1, 2), (9, 9)):
                numbers = comma.join(["0"] * before + [token] + ["12"] * after)
                lines.append(f'id\t{{"a":[{numbers}]}}'.encode("latin-1"))
    text = joined(lines)
    sure = assert_true(text, skim(compiled, text, 4000, 20_000))
    assert sure == sum(check_line(line) is None and b"\t" not in line[3:] for line in lines), (
        "every good one is sure, but for one with a tab"
    )


# --- memory ---


def texts_at_bounds() -> Iterator[bytes]:
    """Single lines for every rule; and a long record, cut everywhere."""
    yield from (line + b"\n" for line in hostile.by_hand())
    yield from (line + b"\n" for line in hostile.cut_and_spliced())
    yield from (line + b"\n" for line in itertools.islice(hostile.all_bytes(), 0, None, 29))
    yield from (ORDINARY[:end] + b"\n" for end in range(len(ORDINARY)))


def test_skimming_never_reads_outside_its_text(compiled, guarded, checked):
    """Beside memory that nobody may touch, and with every index checked, it says the same."""
    texts = [text for text in texts_at_bounds() if text.count(b"\n") == 1]
    found = skim_each(compiled, texts)
    assert guarded.skim_each(texts) == found
    assert checked.skim_each(texts) == found


def test_bounds_are_checked(checked):
    """The check above would fail: a text without a newline is read past its end."""
    with pytest.raises(AssertionError, match="IndexError"):
        checked.skim_each([b'id\t{"a":1}'])


@settings(max_examples=100, deadline=None)
@given(st.lists(HOSTILE | GOOD_JSON, min_size=1, max_size=3), st.integers(1, 4), st.integers(1, 6))
def test_skimming_any_never_reads_outside_its_text(
    compiled, guarded, checked, raws, most_lines, most_members
):
    """Nor of generated lines, also where its tables are small."""
    texts = [joined(b"id\t" + raw for raw in raws)]
    options = {"most_lines": most_lines, "most_members": most_members}
    found = skim_each(compiled, texts, **options)
    assert guarded.skim_each(texts, **options) == found
    assert checked.skim_each(texts, **options) == found


# --- skimming: records ---


def all_of(record: Record) -> tuple:
    """What a record says in its turn, asked in all manners."""
    names = list(record._object())
    return (
        record.id, record.line, record.raw, len(record._object()), names,
        exact({name: record[name] for name in names}), exact(record._object()),
        [name in record for name in (*names, "no such name", "a\0", 5)],
        record.get("no such name", 1), exact(record.payload), list(record.payload),
    )  # fmt: skip


def read_both(data: bytes, functions: Functions, **options: object) -> None:
    """Assert that a block's records and its account are the same with the scanner and without."""
    accounts = BlockAccount(), BlockAccount()
    ways = [
        read_records(
            block_of(data),
            lambda: io.BytesIO(data),
            account,
            find_skimmer=lambda skimmer=skimmer: skimmer,
        )
        for account, skimmer in zip(accounts, (None, Skimmer(functions)), strict=True)
    ]
    for plain, skimmed in itertools.zip_longest(*ways):
        assert all_of(skimmed) == all_of(plain)
    assert accounts[0] == accounts[1]
    chunks = [
        list(
            read_chunks(
                block_of(data),
                lambda: io.BytesIO(data),
                BlockAccount(),
                find_skimmer=lambda skimmer=skimmer: skimmer,
            )
        )
        for skimmer in (None, Skimmer(functions))
    ]
    assert chunks[0] == chunks[1]


@pytest.fixture(params=[None, 1, 2, 3])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So few lines and members that the scanner stops and goes on all the time."""
    if request.param is not None:
        monkeypatch.setattr(skimming, "MOST_LINES", request.param)
        monkeypatch.setattr(skimming, "MOST_MEMBERS", request.param + 1)


@pytest.mark.usefixtures("small")
def test_a_block_gives_the_same_records(functions, tree):
    """Good and bad lines, of few and of many members, give the same records and account."""
    good = ordinary_lines(tree.path)[:12]
    bad = [spoilt(line + b"\n", kind) for line, kind in zip(good, BAD_RECORD_KINDS, strict=False)]
    few = [b'%d\t{"a":{"b":%d}}\n' % (n, n) for n in range(20)]
    many = [b"m\t{%b}\n" % b",".join(b'"%d":[{"a":%d}]' % (n, n) for n in range(40))]
    odd = [
        b"\xc3\xa9\t{}\n",
        b"\t{}\n",
        b'o\t{"a":1,"a":{"a":2}}\n',
        b'o\t{"\\u0061":1}\r\n',
        b"\n",
    ]
    lines = [*few, *many, *odd, *bad, *few, *(line + b"\n" for line in good), *many, *odd]
    read_both(b"".join(lines), functions)
    read_both(b"".join(lines).removesuffix(b"\n"), functions)


@settings(max_examples=100, deadline=None)
@given(st.lists(HOSTILE | GOOD_JSON, max_size=5), st.integers(1, 3), st.integers(1, 4))
def test_any_block_gives_the_same_records(functions, raws, most_lines, most_members):
    """So do generated lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skimming, "MOST_LINES", most_lines)
        patch.setattr(skimming, "MOST_MEMBERS", most_members)
        read_both(joined(b"id\t" + raw for raw in raws), functions)


def test_the_scanner_may_come_within_a_block(functions, tree, monkeypatch):
    """A block that is begun without it gives the same records when it is ready later."""
    good = [line + b"\n" for line in ordinary_lines(tree.path)[:40]]
    bad = [spoilt(line, kind) for line, kind in zip(good, BAD_RECORD_KINDS, strict=False)]
    data = b"".join([*good[:20], *bad, *good[20:]])
    monkeypatch.setattr(codecs, "OUTPUT_BYTES", len(data) // 10)
    account = BlockAccount()
    plain = [
        all_of(record) for record in read_records(block_of(data), lambda: io.BytesIO(data), account)
    ]
    for chunks in (1, 2, 7):
        ready = itertools.chain([None] * chunks, itertools.repeat(Skimmer(functions)))
        whole = BlockAccount()
        found = read_records(
            block_of(data), lambda: io.BytesIO(data), whole, find_skimmer=ready.__next__
        )
        assert [all_of(record) for record in found] == plain
        assert whole == account
        assert next(ready) is not None, "the block ended before it was ready"


def test_records_that_are_kept_outlive_their_turn(functions):
    """A record and its parts give their own values while others are read, and after all."""
    lines = [b'%d\t{"o":{"n":%d,"p":{"m":[%d]}},"l":[%d],"q":{}}' % (n, n, n, n) for n in range(50)]
    data = joined(lines)
    kept = []
    for record in read_records(
        block_of(data),
        lambda: io.BytesIO(data),
        BlockAccount(),
        find_skimmer=lambda: Skimmer(functions),
    ):
        untouched = record.id in ("7", "8")
        kept.append((record, None if untouched else record["o"], iter(record._object())))
    for number, (record, part, names) in enumerate(kept):
        assert list(names) == list(record._object()) == ["o", "l", "q"]
        assert record["l"] == record["o"]["p"]["m"] == [number]
        assert part is None or part.to_dict() == {"n": number, "p": {"m": [number]}}
        assert record.payload["o"]["n"] == number


def test_readers_of_several_blocks_do_not_disturb_each_other(functions):
    """Blocks that are read at the same time, each with a scanner of its own."""
    texts = [joined(b'%d\t{"o":{"n":%d}}' % (n, n * k) for n in range(100)) for k in (1, 2, 3)]
    readers = [
        read_records(
            block_of(data),
            lambda data=data: io.BytesIO(data),
            BlockAccount(),
            find_skimmer=lambda: Skimmer(functions),
        )
        for data in texts
    ]
    for n, records in enumerate(zip(*readers, strict=True)):
        objects = [record["o"] for record in records]
        assert [part["n"] for part in objects] == [n, 2 * n, 3 * n]
        assert [record.payload for record in records] == [{"o": {"n": n * k}} for k in (1, 2, 3)]


def test_a_member_is_parsed_once(functions, monkeypatch):
    """However often an object of a record is asked for, it is parsed once, by one parser."""
    made = []
    make = simdjson.Parser
    monkeypatch.setattr(simdjson, "Parser", lambda: made.append(1) or make())
    data = joined([b'id\t{"o":{"n":1},"p":{}}'] * 10)
    for record in read_records(
        block_of(data),
        lambda: io.BytesIO(data),
        BlockAccount(),
        find_skimmer=lambda: Skimmer(functions),
    ):
        for _ in range(100):
            assert record["o"]["n"] == 1
            assert dict(record["p"]) == {}
    assert len(made) == 3


def test_a_chunk_without_a_newline_is_refused(functions):
    """The scanner relies on it."""
    with pytest.raises(ValueError, match="newline"):
        next(Skimmer(functions).skim(b'id\t{"a":1}'))
