"""The plan of a stage of reduces: which runs each of them reads."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr import job
from mr.commits import Commit, held
from mr.runs import PackedSpans, Span
from mr.spec import RunRef, line_runs


@dataclass
class Learnt:
    """What a coordinator has learnt, as far as planning needs it."""

    commits: dict = field(default_factory=dict)


def planned(lengths, reducers, output=""):
    """The lines for maps whose runs have these lengths."""
    maps = {}
    for number, of_map in reversed(list(enumerate(lengths))):
        spans, offset = [], 0
        for length in of_map:
            spans.append(Span(offset, length))
            offset += length
        maps[number] = held(Commit(f"1-map-{number:07d}", f"a{number}", spans))
    spec = SimpleNamespace(output=output, steps=[None], reducers=reducers)
    return list(job._reduce_lines(Learnt({"1-map": maps}), spec, "1-map"))


@settings(max_examples=60)
@given(
    lengths=st.integers(1, 7).flatmap(
        lambda reducers: st.lists(
            st.lists(st.sampled_from([0, 0, 1, 5]), min_size=reducers, max_size=reducers),
            max_size=6,
        ).map(lambda found: (reducers, found))
    ),
    output=st.sampled_from(["", "s3://b/out"]),
    at_a_time=st.sampled_from([1, 2, 5, 250_000]),
)
def test_a_reduce_reads_what_is_not_empty_in_the_order_of_the_maps(lengths, output, at_a_time):
    """However many partitions are planned at a time; partition 0 always has its task."""
    reducers, maps = lengths
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "RUNS_AT_A_TIME", at_a_time)

        lines = planned(maps, reducers, output)

    expected = []
    for partition in range(reducers):
        runs = [
            RunRef(f"1-map-{number:07d}", f"a{number}", sum(of_map[:partition]), of_map[partition])
            for number, of_map in enumerate(maps)
            if of_map[partition]
        ]
        if runs or output or partition == 0:
            expected.append(((partition, runs), sum(run.length for run in runs)))
    assert [(line_runs(line), weight) for line, weight in lines] == expected


def test_packed_spans_tell_which_are_filled():
    """From one place up to another, and no further than there are any."""
    spans = PackedSpans([Span(0, 3), Span(3, 0), Span(3, 2), Span(5, 0), Span(5, 7)])

    assert list(spans.filled(0, 5)) == [(0, 0, 3), (2, 3, 2), (4, 5, 7)]
    assert list(spans.filled(1, 4)) == [(2, 3, 2)]
    assert list(spans.filled(3, 99)) == [(4, 5, 7)]
