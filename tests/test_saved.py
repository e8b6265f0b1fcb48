"""The law of states, without a job around it; lists of blocks; what makes code the same."""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import JOBS
from hypothesis import given
from hypothesis import strategies as st

from mr import items, keys, values
from mr.analysis import Analysis
from mr.blocks import Block
from mr.bundle import pack_bundle
from mr.directory import DirectoryStore
from mr.errors import FormatError, UsageError
from mr.keeping import Keeper
from mr.loading import load_analysis
from mr.mapping import Position, partition_function, takes_function
from mr.reducing import reduce_runs
from mr.runs import RunWriter, Span, read_run
from mr.sameness import code_digest, parameter_texts, used_before_reduce
from mr.saved import (
    STATE,
    VERSION,
    Facts,
    Piece,
    SavedState,
    block_rows,
    check_disjoint,
    put_blocks,
    put_facts,
    read_saved,
)
from mr.schema import load_schema
from mr.shuffle import Combiner, MapBuffer
from mr.tally import Tally

#: A value that the code of an analysis uses.
WIDE = 1
UNKNOWN = load_schema().dimensions("" for _ in load_schema().fields)


class Spread(Analysis):
    """Sorted values and how many they are, of keys that have enough; reads not always all."""

    least = 3

    def combine(self, key, values):
        """Sorted lists, of two halves: as many values as it likes."""
        found = sorted(one for some in values for one in some)
        yield key, found[::2]
        if found[1::2]:
            yield key, found[1::2]

    def reduce(self, key, values):
        """All of them, or for a short text whether there is any."""
        if key == "":
            yield key, next(iter(values)) is not None
            return
        found = sorted(one for some in values for one in some)
        if len(found) >= self.least:
            yield key, (len(found), found)


#: Sorted rows by partition, and where each partition's lie.
_Runs = tuple[bytes, Sequence[Span]]


def mapped(pairs: Sequence[tuple[Any, Any]], reducers: int, folder: Path) -> _Runs:
    """What a map task writes."""
    analysis, out = Spread(), io.BytesIO()
    buffer = MapBuffer(
        partitions=reducers,
        partitions_of=partition_function(analysis, reducers),
        folder=Path(tempfile.mkdtemp(dir=folder)),
        combine=Combiner(analysis.combine, "Spread"),
        limit_bytes=2_000,
        combine_values=3,
    )
    buffer.take(pairs, "Spread.map")
    spans = buffer.write(out)
    return out.getvalue(), spans


def reduced(outputs: Sequence[_Runs], reducers: int, folder: Path) -> tuple[list, list[bytes]]:
    """The result of reduces, and the parts of a state that they keep."""
    found, parts = [], []
    for partition in range(reducers):
        analysis, out, kept = Spread(), io.BytesIO(), io.BytesIO()
        writer, keeper = RunWriter(out), Keeper(analysis, kept, Position())
        reduce_runs(
            analysis,
            partition,
            [lambda d=d, s=spans[partition]: rows(d, s) for d, spans in outputs],
            writer,
            folder,
            Position(),
            takes=takes_function(analysis, reducers, partition),
            through=keeper.through,
        )
        assert sum(span.length for span in keeper.finish().values()) == len(kept.getvalue())
        parts += [kept.getvalue()] if kept.getvalue() else []
        for under, column, _ in rows(out.getvalue(), Span(0, writer.written)):
            found += zip(under, items.decode_all(under, column), strict=True)
    return sorted(found, key=lambda pair: pair[0]), parts


def rows(data: bytes, span: Span):
    """The rows of a run."""
    stream = io.BytesIO(data)
    stream.seek(span.offset)
    return read_run(stream, span.length, "memory")


def merge(states: Sequence[list[bytes]], reducers: int, folder: Path) -> tuple[list, list[bytes]]:
    """States as one: their pairs emitted once more, by a map for each."""
    outputs = []
    for parts in states:
        pairs = [
            pair
            for part in parts
            for under, column, _ in rows(part, Span(0, len(part)))
            for pair in zip(keys.decode_all(under), values.decode_all(column), strict=True)
        ]
        outputs.append(mapped(pairs, reducers, folder))
    return reduced(outputs, reducers, folder)


KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 0.5, -1.5]),
    st.sampled_from(["", "a", "b\ud800", "\0"]), st.sampled_from([b"", b"a"]),
    st.tuples(st.sampled_from(["x", "y"]), st.integers(0, 1)),
)  # fmt: skip
DAY = st.lists(st.tuples(KEYS, st.lists(st.integers(0, 9), min_size=1, max_size=3)), max_size=40)


@given(
    days=st.lists(DAY, min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 5), max_size=3),
    reducers=st.lists(st.integers(1, 4), min_size=8, max_size=8),
)
def test_any_grouping_gives_the_result_of_all(days, cuts, reducers):
    """Days of any pairs, in any groups of groups, by any reducers: one run's result."""
    numbers = iter(reducers * 4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected, _ = reduced(
            [mapped([pair for day in days for pair in day], 1, folder)], 1, folder
        )
        states = [
            reduced([mapped(day, number, folder)], number, folder)[1]
            for day, number in zip(days, numbers, strict=False)
        ]
        for cut in cuts:
            first, rest = states[: cut + 1], states[cut + 1 :]
            states = [merge(first, next(numbers), folder)[1], *rest]
        found, parts = merge(states, next(numbers), folder)
        again, _ = merge([parts], next(numbers), folder)

    assert found == expected == again


# Lists of blocks


def saved(folder: Path, *blocks: tuple[str, str, bool]) -> SavedState:
    """A state of these blocks, as far as a look at its blocks goes."""
    store = DirectoryStore(folder)
    found = sorted(blocks, key=lambda one: (one[1], "" if one[2] else one[0]))
    pairs = ((Block(url, key, 10, "tag", UNKNOWN), in_layout) for url, key, in_layout in found)
    with tempfile.TemporaryDirectory() as scratch:
        piece = put_blocks(store, block_rows(pairs), Path(scratch), lambda: None)
    nothing = Piece(f"bundle/{'0' * 64}", 0)
    facts = Facts(
        VERSION, "a", ["A"], "", {}, b"", {}, None, None, [], {}, Tally(), nothing, piece, []
    )
    put_facts(store, facts)
    return read_saved(str(folder))


@given(
    first=st.sets(st.integers(0, 40)), second=st.sets(st.integers(0, 40)),
    third=st.sets(st.integers(0, 40)),
)  # fmt: skip
def test_states_share_a_block_or_do_not(first, second, third):
    """Whether two of three states share one is what sets say."""
    with tempfile.TemporaryDirectory() as name:
        states = [
            saved(Path(name, str(number)), *((f"s3://{number}", f"k{n:03d}", True) for n in some))
            for number, some in enumerate((first, second, third))
        ]
        shared = (first & second) | (first & third) | (second & third)
        if not shared:
            check_disjoint(states, Path(name))
            return
        with pytest.raises(UsageError, match=f"k{min(shared):03d}, and nothing is counted twice"):
            check_disjoint(states, Path(name))


def test_block_outside_the_layout_is_another_in_each_store(tmp_path):
    """As a listing knows blocks; within the layout a copy is the same block."""
    one = saved(tmp_path / "1", ("s3://a", "loose", False), ("s3://a", "laid", True))
    two = saved(tmp_path / "2", ("s3://b", "loose", False))
    three = saved(tmp_path / "3", ("s3://b", "laid", True))

    check_disjoint([one, two], tmp_path)
    with pytest.raises(UsageError, match=f"{tmp_path}/1 and {tmp_path}/3 both hold the block"):
        check_disjoint([one, two, three], tmp_path)


def test_many_states_and_blocks_are_looked_through_in_passes(tmp_path):
    """More states than are merged at a time; the last block of the last one is found."""
    states = [
        saved(tmp_path / f"{n:03d}", *(("s3://a", f"{k:04d}-{n:03d}", True) for k in range(20)))
        for n in range(140)
    ]
    check_disjoint(states, tmp_path)
    last = saved(tmp_path / "last", ("s3://a", "0019-139", True))

    with pytest.raises(UsageError, match=f"{tmp_path}/139 and {tmp_path}/last both hold"):
        check_disjoint([*states, last], tmp_path)


def test_another_state_is_never_replaced(tmp_path):
    """The first `state.json` stays; the same one may be written again."""
    state = saved(tmp_path, ("s3://a", "one", True))
    before = (tmp_path / STATE).read_bytes()

    saved(tmp_path, ("s3://a", "one", True))
    with pytest.raises(FormatError, match="holds another state by now"):
        saved(tmp_path, ("s3://a", "two", True))

    assert (tmp_path / STATE).read_bytes() == before
    assert read_saved(str(tmp_path)).facts == state.facts


# The same code


def test_code_is_the_same_whenever_it_is_packed():
    """Bundles of one class differ from process to process; their sources do not."""
    found = [load_analysis(f"{JOBS}/{name}.py") for name in ("systems", "systems", "combined")]
    bundles = [pack_bundle(one, {}) for one in found]

    digests = [code_digest([one], data) for one, data in zip(found, bundles, strict=True)]

    assert bundles[0] != bundles[1]
    assert digests[0] == digests[1] != digests[2]


def defined(text: str) -> type[Analysis]:
    """A class that is in no file."""
    names = {"Analysis": Analysis, "__name__": "__main__"}
    exec(text, names)
    return names["One"]


def test_code_without_a_source_counts_by_what_it_is():
    """The same text compiled twice is the same; another constant, method or function is not."""
    text = (
        "SCALE = 2\n"
        "class Scale:\n    def by(self, n):\n        return SCALE * n\n"
        "def scaled(n):\n    return Scale().by(n)\n"
        "from mr import exact_sum\n"
        "class One(Analysis):\n"
        "    def reduce(self, key, values):\n"
        "        yield key, exact_sum(values)\n"
        "    def map(self, record):\n"
        "        if record.id in {'a', 'b', 'c'}:\n            yield 1, scaled(1)\n"
    )
    digests = [
        code_digest([one], pack_bundle(one, {}))
        for one in map(
            defined,
            [
                text,
                text,
                text.replace("* n", "+ n"),
                text.replace("'c'", "'d'"),
                text.replace("= 2", "= 3"),
            ],
        )
    ]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_values_around_the_code_count():
    """What a function has from the one around it, or from its module, is the same or not."""

    def made(length: int) -> str:
        class One(Analysis):
            def map(self, record):
                yield record.id[:length], WIDE

        return code_digest([One], pack_bundle(One, {}))

    def widened() -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(globals(), "WIDE", 2)
            return made(1)

    assert made(1) == made(1)
    assert len({made(1), made(2), widened()}) == 3


def test_parameters_in_words_are_the_same_in_every_process():
    """Sets in order, and no addresses; each by its step."""

    class Later(Analysis):
        some = frozenset("hgfedcba")
        thing = object()

    class Sooner(Analysis):
        most = 3
        then = Later

    assert parameter_texts([Sooner, Later], {"most": 4}) == {
        "Sooner.most": "4",
        "Later.some": f"frozenset({sorted(map(repr, 'abcdefgh'))})",
        "Later.thing": "<object object>",
        "Sooner.mask_literals": "False",
    }


def test_use_of_a_parameter_is_found_in_hooks_before_the_last_reduce():
    """Of an earlier step in any hook; of the last one in none of the reduce's own."""

    class Last(Analysis):
        low = high = 1

        def setup(self):
            self.both = [self.low for _ in range(2)]

        def reduce(self, key, values):
            yield key, self.high

        def finish_reduce(self):
            yield "high", self.high

    class First(Analysis):
        width = 1
        then = Last

        def map(self, record):
            yield self.cut(record), 1

        def cut(self, record):
            return record.id[: self.width]

    found = [First, Last]
    assert used_before_reduce(found, "width") == "First.map"
    assert used_before_reduce(found, "low") == "Last.setup"
    assert used_before_reduce(found, "high") == ""
    assert used_before_reduce(found, "cut") == "First.map"
