"""String literals in text: what is in quotes goes, all else stays, in linear time."""

import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.errors import AnalysisError
from mr.items import Line, Pair
from mr.masking import PRIVATE, masked, masked_pairs, masked_value
from mr.scripts import Context

#: Text outside of literals, and what a literal holds: no character is in both.
PUBLIC = st.text(alphabet="abc =(),%\n\\é", max_size=8)
SECRET = "XYZ69ß;"
QUOTES = st.sampled_from("'\"")


@st.composite
def literals(draw, quote=None):
    """A literal with the text that it hides, doubled and escaped quotes among it."""
    quote = quote or draw(QUOTES)
    other = "'" if quote == '"' else '"'
    inside = ["\\" + quote, quote * 2, "\\\\", other, other * 2, "\n", *SECRET]
    return quote + "".join(draw(st.lists(st.sampled_from(inside), max_size=8))) + quote


@given(st.lists(st.tuples(PUBLIC, literals())), PUBLIC)
def test_nothing_from_inside_a_literal_survives(parts, end):
    """What stands between literals does, in order, as long as they do not touch."""
    text = "".join(f"{public} {literal} " for public, literal in parts) + end

    found = masked(text)

    assert found == "".join(f"{public} {PRIVATE} " for public, _ in parts) + end
    assert not set(found) & set(SECRET) - set(PRIVATE)


@given(PUBLIC, literals(), st.data())
def test_an_unfinished_literal_goes_to_the_end(public, literal, data):
    """Wherever the text is cut off within it."""
    cut = data.draw(st.integers(1, len(literal)))

    assert masked(public + literal[:cut]) == public + PRIVATE


@given(st.text())
def test_text_without_quotes_is_unchanged(text):
    """Whatever else stands in it, backslashes too."""
    plain = re.sub("['\"]", "", text)

    assert masked(plain) is plain


@given(st.text(alphabet="a'\"\\ \n"))
def test_masking_twice_is_masking_once(text):
    """And leaves no quote."""
    once = masked(text)

    assert masked(once) == once
    assert not {"'", '"'} & set(once)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WHERE c = 'it''s' AND d = 1", "WHERE c = :private: AND d = 1"),
        (r"x = 'it\'s' y", "x = :private: y"),
        ("x IN ('a', \"b 'c'\")", "x IN (:private:, :private:)"),
        ("''", ":private:"),
        ("'''", ":private:"),
        ("'a''b'", ":private:"),
        ("'a'\"b\"", ":private::private:"),
        ("x = 'line\nbreak' y", "x = :private: y"),
        ("x = 'end\\", "x = :private:"),
        ("'a\ud800'\ud800", ":private:\ud800"),
        ("", ""),
    ],
)  # fmt: skip
def test_examples(text, expected):
    """What a literal is."""
    assert masked(text) == expected


@pytest.mark.parametrize("part", ["'", "''", "\\'", "'\\", "\\", "a", "'\"", "'a' ", "\\\\'"])
def test_it_takes_linear_time(part):
    """A megabyte of what could make an expression try again and again."""
    for text in (part * 500_000, "'" + part * 500_000, "\"'" + part * 500_000):
        start = time.process_time()
        masked(text)
        assert time.process_time() - start < 5


def test_texts_are_masked_at_any_depth():
    """In tuples, lists and dicts, names too; with their types."""
    value = ("'a'", [1, {"'b'": "'c'", "d": (None, True, 2.5)}], b"'e'")

    assert masked_value(value) == (PRIVATE, [1, {PRIVATE: PRIVATE, "d": (None, True, 2.5)}], b"'e'")
    assert masked_value(array := np.arange(3)) is array


def test_an_object_of_a_record_is_masked():
    """It is written as a dict, so it is masked as one."""

    class Part:
        def to_dict(self):
            return {"'a'": ["'b'"]}

    assert masked_value(Part()) == {PRIVATE: [PRIVATE]}


def test_a_scripts_lines_keep_their_separators():
    """Also where a literal does not end, or the key is a tuple, whose text has quotes."""
    context = Context()
    context.field_separator, context.record_separator = " | ", ";\n"
    context.write("it's", "'x")
    context.write(("a", "'b'"), 1)
    context.writeline("x = 'a")

    first, second, line = masked_pairs(context.take(), "map")

    assert first == Pair("it:private:", PRIVATE, "it:private: | :private:;\n")
    assert second == Pair(("a", PRIVATE), 1, f"{('a', PRIVATE)} | 1;\n")
    assert line == Line("x = :private:", ";\n")


@pytest.mark.parametrize(
    ("pair", "words"),
    [("'a'", "must yield"), (("a", "b", "c"), "must yield"), (["a", "b"], "must yield")],
)
def test_what_is_no_pair_is_refused(pair, words):
    """As without masking."""
    with pytest.raises(AnalysisError, match=words):
        list(masked_pairs([pair], "One.map"))


def test_what_is_nested_too_deep_is_refused():
    """As deep as a value may be is fine; what holds itself is not."""
    deep, endless = "'a'", []
    for _ in range(590):
        deep = [deep]
    endless.append(endless)

    assert str(dict([*masked_pairs([("k", deep)], "One.map")])).count(PRIVATE) == 1
    with pytest.raises(AnalysisError, match=r"One\.map yielded what is nested too deep"):
        list(masked_pairs([("k", endless)], "One.map"))
