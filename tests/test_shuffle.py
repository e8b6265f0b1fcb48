"""The shuffle: with any memory, spills and passes, every key has its values in order."""

import heapq
import io
import itertools
import tempfile
from collections import Counter, defaultdict
from operator import itemgetter
from pathlib import Path
from random import Random

import msgspec
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mr import keys, shuffle, values
from mr.errors import AnalysisError, FormatError, ShortRead
from mr.runs import (
    FRAME_BYTES,
    ROW_BYTES,
    RunWriter,
    Span,
    _size,
    group,
    merge_in_passes,
    merge_runs,
    pieces,
    read_run,
    repeated,
    write_run,
)
from mr.shuffle import (
    COMBINE_VALUES,
    KEY_OVERHEAD_BYTES,
    VALUE_OVERHEAD_BYTES,
    Combiner,
    MapBuffer,
)

#: Few keys and many values, so that keys come again.
NAMES = st.sampled_from(["", "a", "b", "ab", "\x00", "é"]).map(keys.encode)
PAIRS = st.lists(st.tuples(NAMES, st.integers(-5, 5).map(values.encode)), max_size=60)

#: From "spills at every pair" to "never".
LIMITS = st.sampled_from([1, 300, 1000, 3000, 10**6])

FEWER = settings(deadline=None, max_examples=60)


def add_up(key, found):
    """An analysis's combine: one value for many."""
    yield key, sum(found)


def keep_all(key, found):
    """A combine that combines nothing."""
    for value in found:
        yield key, value


def spread(pairs, partitions=1, ordered=False, origins=None, **options):
    """The bytes of a map task's object, its spans, and how often it spilled."""
    with tempfile.TemporaryDirectory() as folder:
        buffer = MapBuffer(
            partitions=partitions,
            partitions_of=lambda many: [keys.partition(key, partitions) for key in many],
            folder=Path(folder),
            ordered=ordered,
            **options,
        )
        for number, (key, value) in enumerate(pairs):
            if origins is not None:
                buffer.origin = origins[number]
            buffer.take([(keys.decode(key), values.decode(value))], "A.map")
        out = io.BytesIO()
        spans = buffer.write(out)
    assert buffer.pairs == len(pairs)
    return out.getvalue(), spans, buffer.spills


def frames_of(data, span):
    """The frames of a run."""
    stream = io.BytesIO(data)
    stream.seek(span.offset)
    return list(read_run(stream, span.length, "memory"))


def grouped(merged):
    """Key to values, in order; asserts that each key comes once."""
    found = []
    for names, each in group((names, column) for names, column, _ in merged):
        # Together, and not one by one: a stream is read before the next names come.
        found += [(name, list(some)) for name, some in zip(names, each, strict=True)]
    assert len(dict(found)) == len(found)
    return dict(found)


def reference(pairs):
    """Key to values, as a plain dict has them."""
    found = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(sorted(found.items()))


def rows_of(triples):
    """Rows of keys, values and origins (or None)."""
    return (
        [key for key, _, _ in triples],
        [value for _, value, _ in triples],
        [origin for _, _, origin in triples if origin is not None],
    )


def run_of(triples):
    """A run in memory: its bytes and its span."""
    out = io.BytesIO()
    span = write_run(RunWriter(out), [rows_of(triples)])
    return out.getvalue(), span


def flat(frames):
    """Key, value and origin (or None) of each value."""
    return [row for rows in frames for row in itertools.zip_longest(*rows)]


# Runs


#: Values of all sizes, up to over a frame's.
BYTES = st.binary(max_size=300) | st.integers(0, 2 * FRAME_BYTES).map(bytes)


@given(
    triples=st.lists(st.tuples(st.binary(max_size=5), BYTES, st.binary(max_size=2)), max_size=20),
    with_origins=st.booleans(),
    cuts=st.lists(st.integers(0, 20), max_size=3).map(sorted),
)
@example(  # a large row among many, and one more after it
    triples=[(b"a", bytes(2 * FRAME_BYTES), b""), (b"b", b"", b"")], with_origins=False, cuts=[0, 1]
)
def test_a_run_gives_back_its_rows(triples, with_origins, cuts):
    """What is written to a run, one by one or many at once, is read from it in order."""
    triples = [(key, value, origin if with_origins else None) for key, value, origin in triples]
    out = io.BytesIO()
    writer = RunWriter(out)
    for number, (start, end) in enumerate(itertools.pairwise([0, *cuts, len(triples)])):
        if number % 2:
            writer.extend(rows_of(triples[start:end]))
        else:
            for key, value, origin in triples[start:end]:
                writer.add(key, value, origin)
    writer.flush()

    found = frames_of(out.getvalue(), Span(0, writer.written))

    cut = [
        one
        for pair in itertools.pairwise([0, *cuts, len(triples)])
        for one in triples[slice(*pair)]
    ]
    assert flat(found) == cut
    assert all(_size(tuple(column[:-1] for column in rows)) <= FRAME_BYTES for rows in found)


@given(sizes=st.lists(st.integers(0, FRAME_BYTES), min_size=1, max_size=40))
def test_pieces_of_rows_fit_into_a_frame(sizes):
    """Rows are cut where they must be, and not much more often."""
    rows = ([b"k"] * len(sizes), list(map(bytes, sizes)), [])

    found = list(pieces(rows))

    assert flat(found) == flat([rows])
    assert all(_size(piece) <= FRAME_BYTES or len(piece[0]) == 1 for piece in found)
    assert len(found) <= 4 * _size(rows) // FRAME_BYTES + 1


def test_a_frame_is_small_however_many_values_a_key_has():
    """A frequent key spans frames, so that a merge of many runs holds little memory."""
    count = 5 * FRAME_BYTES // ROW_BYTES

    found = frames_of(*run_of([(b"k", b"", None)] * count))

    assert len(found) >= 5
    assert flat(found) == [(b"k", b"", None)] * count


def test_an_empty_run_is_no_bytes():
    """A partition without keys takes no room, and can be read."""
    assert run_of([]) == (b"", Span(0, 0))
    assert frames_of(b"", Span(0, 0)) == []


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [[b"k"], [b"v"]],
        [[b"k"], [b"v"], [], []],
        [[b"k"], [], []],
        [[], [b"v"], []],
        [[b"a", b"b"], [b"1", b"2"], [b"o"]],
        [[b"k"], [1], []],
        [[b"k"], b"v", []],
        {"keys": [b"k"]},
        None,
    ],
)
def test_a_frame_of_another_form_is_refused(columns):
    """Whole by its checksum, and yet not what a run consists of."""
    compress = zstandard.ZstdCompressor(write_checksum=True).compress
    frame = compress(msgspec.msgpack.encode(columns))
    data = len(frame).to_bytes(4, "little") + frame

    with pytest.raises(FormatError, match=r"^memory: a frame of the run is damaged"):
        frames_of(data, Span(0, len(data)))


SMALL, SMALL_SPAN = run_of([(b"k%d" % n, b"value" * n, None) for n in range(20)])


@given(at=st.integers(0, len(SMALL) - 1), change=st.integers(1, 255))
def test_a_damaged_frame_is_noticed(at, change):
    """A changed byte is a FormatError or ShortRead, and never other entries than were written."""
    bad = bytearray(SMALL)
    bad[at] ^= change

    try:
        found = frames_of(bytes(bad), SMALL_SPAN)
    except (FormatError, ShortRead):
        return
    assert found == frames_of(SMALL, SMALL_SPAN)


@pytest.mark.parametrize("at", [4, len(SMALL) // 2, len(SMALL) - 1])
def test_damage_in_a_frame_names_the_run(at):
    """The error says which run it is."""
    bad = bytearray(SMALL)
    bad[at] ^= 0xFF

    with pytest.raises(FormatError, match=r"^memory: a frame of the run is damaged"):
        frames_of(bytes(bad), SMALL_SPAN)


@given(length=st.integers(0, len(SMALL) - 1))
def test_a_run_that_is_cut_is_a_short_read(length):
    """Fewer bytes than the commit says are the network's fault: to be tried again."""
    with pytest.raises(ShortRead, match="memory: it ends within a frame"):
        frames_of(SMALL[:length], SMALL_SPAN)


@given(length=st.integers(1, len(SMALL) - 1))
def test_a_frame_keeps_to_its_run(length):
    """A run's last frame may not reach into what follows it."""
    with pytest.raises(FormatError, match="longer than the run"):
        frames_of(SMALL + SMALL, Span(0, len(SMALL) + length))


def test_a_stream_may_give_little_at_a_time():
    """A store's stream that returns fewer bytes than were asked for is read on."""

    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    assert list(read_run(Trickle(SMALL), len(SMALL), "x")) == frames_of(SMALL, SMALL_SPAN)


# The map side


@FEWER
@given(pairs=PAIRS, partitions=st.integers(1, 9), limit=LIMITS)
def test_a_map_task_writes_what_was_emitted(pairs, partitions, limit):
    """Each partition has its keys in order, each with its values in order of emission."""
    data, spans, _ = spread(pairs, partitions, limit_bytes=limit)
    runs = [grouped(frames_of(data, span)) for span in spans]

    for number, run in enumerate(runs):
        assert list(run) == sorted(run)
        assert all(keys.partition(key, partitions) == number for key in run)
    assert {key: found for run in runs for key, found in run.items()} == reference(pairs)


@FEWER
@given(pairs=PAIRS, partitions=st.integers(1, 9), limit=LIMITS, most=st.integers(1, 5))
def test_combining_changes_no_sum(pairs, partitions, limit, most):
    """However often values are combined, each key has one value left, which is right."""
    data, spans, _ = spread(
        pairs, partitions, limit_bytes=limit, combine=Combiner(add_up, "A"), combine_values=most
    )
    found = {
        keys.decode(key): [values.decode(value) for value in stream]
        for span in spans
        for key, stream in grouped(frames_of(data, span)).items()
    }

    assert found == {
        keys.decode(key): [sum(map(values.decode, each))] for key, each in reference(pairs).items()
    }


@FEWER
@given(pairs=PAIRS, limit=LIMITS, most=st.integers(1, 5))
def test_a_combine_that_combines_nothing_keeps_the_order(pairs, limit, most):
    """Values that a combine gives back one by one are in order of emission still."""
    data, (span,), _ = spread(
        pairs, limit_bytes=limit, combine=Combiner(keep_all, "A"), combine_values=most
    )

    assert grouped(frames_of(data, span)) == reference(pairs)


@FEWER
@given(pairs=PAIRS, partitions=st.integers(1, 9), limit=LIMITS, cuts=st.integers(1, 5))
def test_ordered_values_come_by_their_origin(pairs, partitions, limit, cuts):
    """In a later step, whichever task has which part, values come in the order of their origins."""
    origins = [b"%04d" % number for number in range(len(pairs))]
    # Parts are scattered: each task has every so many-th pair, in order.
    tasks = [list(enumerate(pairs))[start::cuts] for start in range(cuts)]
    objects = [
        spread(
            [pair for _, pair in task],
            partitions,
            ordered=True,
            origins=[origins[number] for number, _ in task],
            limit_bytes=limit,
        )
        for task in tasks
    ]

    found = {}
    for number in range(partitions):
        runs = [frames_of(data, spans[number]) for data, spans, _ in objects]
        found.update(grouped(merge_runs(runs, ordered=True)))

    assert found == reference(pairs)


def test_memory_is_given_back_by_spilling():
    """What is over the limit goes to disk, no sooner, and comes back as one run in order."""
    pairs = [(keys.encode(number % 50), values.encode(number)) for number in range(5_000)]
    limit = 20_000

    data, (span,), spills = spread(pairs, limit_bytes=limit)

    held = sum(len(value) + VALUE_OVERHEAD_BYTES for _, value in pairs)
    held += spills * sum(len(key) + KEY_OVERHEAD_BYTES for key in dict(pairs))
    assert 2 <= spills <= held // limit + 1
    assert grouped(frames_of(data, span)) == reference(pairs)


@pytest.mark.parametrize("length", [3, 12])
@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("combine", [None, Combiner(add_up, "A")])
def test_many_keys_come_out_in_order(monkeypatch, length, partitions, combine):
    """Sorted by their first bytes, of which many have the same; spilled before memory is full."""
    monkeypatch.setattr(shuffle, "NUMPY_KEYS", 500)
    monkeypatch.setattr(shuffle, "CACHED_KEYS", 1000)
    random = Random(3)
    names = ["same beginning "[:length] + str(random.randrange(3000)) for _ in range(10_000)]
    names[::7] = [random.randrange(1000) for _ in names[::7]]
    names[::11] = [b"\0" * random.randrange(20) for _ in names[::11]]
    pairs = [(keys.encode(name), values.encode(n)) for n, name in enumerate(names)]

    data, spans, spills = spread(pairs, partitions, combine=combine)

    assert spills > 2
    runs = [grouped(frames_of(data, span)) for span in spans]
    expected = reference(pairs)
    if combine is not None:
        expected = {
            key: [values.encode(sum(map(values.decode, found)))] for key, found in expected.items()
        }
    for number, run in enumerate(runs):
        assert list(run) == sorted(run)
        assert all(keys.partition(key, partitions) == number for key in run)
    assert {key: found for run in runs for key, found in run.items()} == expected


def test_keys_that_come_again_are_spilled_less_and_less(monkeypatch):
    """The buffer grows to hold them all, as far as its limit allows."""
    monkeypatch.setattr(shuffle, "CACHED_KEYS", 1000)
    pairs = [(keys.encode(n % 3001), values.encode(1)) for n in range(100_000)]

    _, _, spills = spread(pairs, combine=Combiner(add_up, "A"))
    _, _, more = spread(pairs, combine=Combiner(add_up, "A"), limit_bytes=200_000)

    assert spills < 10 < more


def test_a_combine_keeps_memory_small():
    """A frequent key that combines well never makes a map task spill."""
    pairs = [(keys.encode("k"), values.encode(1))] * 20_000

    data, (span,), spills = spread(pairs, limit_bytes=100_000, combine=Combiner(add_up, "A"))

    assert spills == 0
    assert grouped(frames_of(data, span)) == {keys.encode("k"): [values.encode(20_000)]}


@pytest.mark.parametrize("limit", [50_000, 10**9])
def test_a_combine_that_shrinks_nothing_is_not_quadratic(limit):
    """How many values a useless combine is shown grows with their number, not with its square."""
    shown = Counter()

    def useless(key, found):
        for value in found:
            shown[key] += 1
            yield key, value

    for count in (2_000, 20_000):
        pairs = [(keys.encode(count), values.encode(number)) for number in range(count)]
        spread(pairs, limit_bytes=limit, combine=Combiner(useless, "A"))

    assert shown[20_000] <= 6 * 20_000
    assert shown[20_000] >= COMBINE_VALUES


def test_a_combine_may_leave_nothing():
    """A key whose combine yields nothing, or returns None, is not there."""
    pairs = [(keys.encode(name), values.encode(1)) for name in "abab"]

    for combine in (lambda key, found: None, lambda key, found: []):
        data, (span,), _ = spread(pairs, combine=Combiner(combine, "A"))
        assert frames_of(data, span) == []


def test_a_stream_of_combined_values_is_not_held(tmp_path):
    """The combine of spilled values streams: it is asked for more as they are written."""
    alive = []

    def lazy(key, found):
        for value in found:
            alive.append(value)
            yield key, value

    run = Combiner(lazy, "A")(keys.encode("k"), iter([values.encode(n) for n in range(10)]))

    next(iter(run))
    assert len(alive) == 1


@pytest.mark.parametrize(
    ("yielded", "sentence"),
    [
        (("other", 1), r"^A\.combine yielded the key 'other' for 'k'; it must yield pairs of the"),
        ((1, 1), r"^A\.combine yielded the key 1 for 'k'"),
        (5, r"^A\.combine yielded 5; it must yield \(key, value\) pairs"),
        (["k", 1], r"^A\.combine yielded \['k', 1\]; it must yield"),
        (("k", object), r"^A\.combine yielded the key 'k': .*type"),
        (([], 1), r"^A\.combine yielded the key \[\]: .*list"),
    ],
)
def test_a_combine_that_breaks_its_contract_is_named(yielded, sentence):
    """The error names the analysis, what it yielded, and what it must yield."""
    run = Combiner(lambda key, found: [yielded], "A")

    with pytest.raises(AnalysisError, match=sentence):
        list(run(keys.encode("k"), []))


def test_equal_keys_of_another_type_are_other_keys():
    """A combine that turns 1 into 1.0 or True is told so; -0.0 is 0.0."""
    for key, other in ((1, 1.0), (1, True)):
        run = Combiner(lambda _, found, other=other: [(other, 1)], "A")
        with pytest.raises(AnalysisError):
            list(run(keys.encode(key), []))
    same = Combiner(lambda _, found: [(-0.0, 1)], "A")
    assert list(same(keys.encode(0.0), [])) == [values.encode(1)]


# Merging


RUNS = st.lists(
    st.lists(st.tuples(NAMES, st.integers(0, 9).map(values.encode)), max_size=6), max_size=12
)


@FEWER
@given(runs=RUNS, width=st.integers(2, 5))
def test_merging_in_passes_is_merging(runs, width):
    """However few runs are open at a time, keys come in order, and values by run, then place."""
    sorted_runs = [sorted(run, key=lambda pair: pair[0]) for run in runs]
    sources = [lambda run=run: [rows_of([(k, v, None) for k, v in run])] for run in sorted_runs]
    with tempfile.TemporaryDirectory() as folder:
        found = grouped(merge_in_passes(sources, Path(folder), width=width))

    assert list(found.items()) == list(reference(itertools.chain(*sorted_runs)).items())


@FEWER
@given(runs=RUNS, width=st.integers(2, 5))
def test_merging_by_origin_in_passes_is_merging(runs, width):
    """With origins, values of a key come by origin; of equal origin by run, then place."""
    triples = [
        sorted((k, b"%d" % (index % 3), v, number, index) for index, (k, v) in enumerate(run))
        for number, run in enumerate(runs)
    ]
    triples = [sorted(run, key=lambda one: (one[0], one[1], one[4])) for run in triples]
    sources = [lambda run=run: [rows_of([(k, v, o) for k, o, v, _, _ in run])] for run in triples]
    expected = sorted(itertools.chain(*triples), key=lambda one: (one[0], one[1], one[3], one[4]))
    with tempfile.TemporaryDirectory() as folder:
        found = grouped(merge_in_passes(sources, Path(folder), ordered=True, width=width))

    assert found == reference((k, v) for k, _, v, _, _ in expected)


def test_many_runs_are_never_open_at_once(tmp_path):
    """A hundred runs at a width of three: passes over disk, each file deleted after its pass."""
    open_now, most_open = set(), []

    def source(number):
        def read():
            open_now.add(number)
            most_open.append(len(open_now))
            for key in range(20):
                yield [keys.encode(key)], [values.encode(number)], []
            open_now.discard(number)

        return read

    found = grouped(merge_in_passes([source(n) for n in range(100)], tmp_path, width=3))

    assert found == {
        keys.encode(key): [values.encode(number) for number in range(100)] for key in range(20)
    }
    assert max(most_open) <= 3
    assert len(list(tmp_path.iterdir())) <= 3


def test_merging_nothing_gives_nothing(tmp_path):
    """A partition without runs has no keys."""
    assert list(merge_in_passes([], tmp_path)) == []
    assert list(merge_runs([])) == []


def test_groups_may_be_left_unread():
    """A reduce that ignores some of a key's values gets the next key all the same."""
    merged = [([b"a", b"a"], [b"1", b"2"]), ([b"a", b"b"], [b"3", b"4"]), ([b"b"], [b"5"])]

    found = [(names, [next(iter(some)) for some in each]) for names, each in group(merged)]

    assert found == [([b"a"], [b"1"]), ([b"b"], [b"4"])]


def test_a_group_is_a_stream():
    """A key's values are read as they are asked for, so that they need not fit in memory."""
    read = []

    def merged():
        for number in range(1000):
            read.append(number)
            yield [b"k"], [b"%d" % number]

    _, (stream,) = next(group(merged()))
    next(stream)

    assert len(read) <= 2


@given(
    column=st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=30).map(sorted),
    cuts=st.lists(st.integers(0, 30), max_size=8).map(sorted),
    read=st.integers(0, 3),
)
def test_groups_are_the_same_however_the_rows_are_cut(column, cuts, read):
    """Each key once, with all its values in order, of which any number is read."""
    places = list(range(len(column)))
    merged = [
        (column[start:end], places[start:end])
        for start, end in itertools.pairwise([0, *cuts, len(column)])
    ]

    found = [
        (name, list(itertools.islice(some, read)))
        for names, each in group(merged)
        for name, some in zip(names, each, strict=True)
    ]

    assert found == [
        (name, [place for place in places if column[place] == name][:read])
        for name in sorted(set(column))
    ]


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=12).map(sorted))
def test_repeated_keys_are_found(column):
    """Where each key that comes several times begins and ends."""
    expected = [
        (column.index(key), column.index(key) + count)
        for key, count in sorted(Counter(column).items())
        if count > 1
    ]
    assert repeated(column) == expected


FRAMED_RUNS = st.lists(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), max_size=8),
        max_size=4,
    ),
    max_size=9,
)


@given(runs=FRAMED_RUNS, ordered=st.booleans())
def test_merging_is_what_heapq_does(runs, ordered):
    """Of any frames, empty ones among them, with the order of equal keys, and of equal origins."""
    framed, plain = [], []
    for number, frames in enumerate(runs):
        bounds = list(itertools.accumulate(map(len, frames), initial=0))
        run = sorted(pair for frame in frames for pair in frame)
        rows = [
            (key.encode(), b"%d-%d" % (number, place), origin.encode() if ordered else None)
            for place, (key, origin) in enumerate(run)
        ]
        plain.append(rows)
        framed.append([rows_of(rows[a:b]) for a, b in itertools.pairwise(bounds)])

    found = flat(merge_runs(framed, ordered=ordered))

    by = itemgetter(0, 2) if ordered else itemgetter(0)
    assert found == list(heapq.merge(*plain, key=by))


def test_a_run_on_disk_that_is_cut_is_noticed(tmp_path):
    """A pass over a damaged local file ends in an error and not in fewer values."""
    runs = [[([keys.encode(n)], [values.encode(n)], [])] for n in range(4)]
    merged = merge_in_passes([lambda run=run: run for run in runs], tmp_path, width=2)
    path = sorted(tmp_path.iterdir())[0]
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ShortRead, match=str(path)):
        list(merged)
