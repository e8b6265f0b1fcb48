"""The law of the published folder: the same files, however the work is cut and in what updates."""

import json
import tempfile
from pathlib import Path

import histogram_reference as reference
from conformance import check_published
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mr.analyses.histograms import Histograms
from published import DEFINITIONS, content, write_definitions
from remote import RemoteDirectory

from mr.directory import DirectoryStore
from mr.inline import Manner, run_inline
from mr.testing import assert_lawful, ping

COUNTS = st.integers(0, 10**6) | st.sampled_from([2**31, 2**62, 2**64])
STATISTICS = (
    st.just(-1)
    | st.integers(0, 10**12)
    | st.floats(0, 1e12, allow_nan=False)
    | st.sampled_from([1e-300, 1e300, 0.1])
)


def arrays(buckets: list[int]) -> st.SearchStrategy[list]:
    """Histograms of one of these lengths."""
    return st.sampled_from(buckets).flatmap(
        lambda size: st.tuples(
            st.lists(COUNTS, min_size=size, max_size=size),
            st.lists(STATISTICS, min_size=5, max_size=5),
        ).map(lambda parts: [*parts[0], *parts[1]])
    )


HISTOGRAMS = st.fixed_dictionaries(
    {},
    optional={
        "TIMES": arrays([10, 11]),
        "STARTUP_TIMES": arrays([10]),
        "STATES": arrays([4, 3]),
        "SEEN": arrays([3]),
        "UNUSABLE": arrays([4]),
        "UNKNOWN": arrays([2]),
        "LINES": st.sampled_from([[1, 2], ["x"] * 10, [1.5] * 10, None, {}, 7]),
    },
)
INFO = st.fixed_dictionaries(
    {
        "OS": st.sampled_from(["WINNT", "Linux", "name", None]),
        "version": st.sampled_from(["6.1", "3.13.0-24", "3.2", 5, 6.5, "a/b", ""]),
        "arch": st.sampled_from(["x86", "_id"]),
    },
    optional={"revision": st.sampled_from(["http://hg/rev/a", "http://hg/rev/b", None])},
)
SIMPLE = st.dictionaries(
    st.sampled_from(["uptime", "main", "js"]),
    st.integers(-5, 40_000) | st.floats(0, 1e6) | st.just({"a": 1, "b": True}) | st.booleans(),
    max_size=2,
)
PAYLOADS = st.fixed_dictionaries(
    {"info": INFO}, optional={"histograms": HISTOGRAMS, "simpleMeasurements": SIMPLE}
)
PLACES = st.fixed_dictionaries(
    {
        "reason": st.sampled_from(["saved_session", "idle_daily"]),
        "appName": st.sampled_from(["Firefox", "Fennec"]),
        "appUpdateChannel": st.sampled_from(["nightly", "beta"]),
        "appVersion": st.sampled_from(["31.0a1", "31.0"]),
        "appBuildID": st.sampled_from(["20140601030201", "20140602030201", "20140601"]),
        "submission_date": st.sampled_from(["20140531", "20140731", "20140801"]),
    }
)


@st.composite
def jobs(draw):
    """Records with their dimensions, those of equal dimensions together; and a batch for each."""
    groups = draw(
        st.lists(
            st.tuples(PLACES, st.lists(PAYLOADS, min_size=1, max_size=3), st.integers(0, 2)),
            min_size=1,
            max_size=5,
            unique_by=lambda group: tuple(sorted(group[0].items())),
        )
    )
    return groups


MANNERS = st.builds(
    Manner,
    splits=st.integers(1, 4),
    reducers=st.integers(1, 4),
    combine=st.booleans(),
    combine_values=st.integers(2, 4),
    buffer_bytes=st.sampled_from([1, 2000, 10**8]),
)


def publish(
    groups, folder: Path, definitions: Path, manner: Manner, *, is_remote: bool = False
) -> None:
    """Run the analysis in this process over groups of records."""
    records = [
        ping(payload, id=f"{number}", dimensions=place)
        for place, payloads, _ in groups
        for number, payload in enumerate(payloads)
    ]
    parameters = {"definitions": [str(definitions)]}
    store = RemoteDirectory(folder) if is_remote else DirectoryStore(folder, durable=False)
    run_inline(Histograms, records, manner, parameters, store)


@settings(
    deadline=None,
    max_examples=30,
    # Each example is many jobs: shrinking them would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(jobs(), MANNERS, MANNERS, st.randoms(use_true_random=False))
def test_any_cut_and_any_updates_publish_the_same_files(groups, plain, cut, random):
    """One run, any splits, order, reducers and combining, any updates: the same content.

    Plain, or gzipped in a remote store (where the updates go). And the same numbers as a slow
    plain reference has, in files that conform.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        definitions = write_definitions(folder)
        whole, other, daily = folder / "whole", folder / "other", folder / "daily"

        publish(groups, whole, definitions, plain)
        shuffled = random.sample(groups, len(groups))
        publish(shuffled, other, definitions, cut)
        for batch in random.sample(range(3), 3):
            chosen = [group for group in groups if group[2] == batch]
            publish(chosen, daily, definitions, cut, is_remote=True)
        # Once more, which changes nothing.
        publish(groups, daily, definitions, plain, is_remote=True)

        assert content(other) == content(whole)
        assert content(daily) == content(whole)
        checked = check_published(whole)
        assert check_published(daily) == checked
        flat = [(place, payload) for place, payloads, _ in groups for payload in payloads]
        expected = reference.expected(flat, DEFINITIONS)
        assert reference.published(whole) == reference.published(daily) == expected
        assert checked.measures == sum(len(one["measures"]) for one in expected.values())


def test_check_finds_the_analysis_lawful():
    """`mr-telemetry check` is content, too."""
    records = [
        ping(
            info={"OS": system, "version": "6.1", "arch": "x86"},
            histograms={"TELEMETRY_SUCCESS": [1, 0, 0, 5, -1, -1, 0, 0]},
            dimensions={"submission_date": f"2013030{day}"},
        )
        for system in ("WINNT", "Linux")
        for day in range(1, 4)
    ]

    assert_lawful(Histograms, records)


def test_numbers_of_the_reference_are_right_by_hand(tmp_path):
    """Two records, worked out by hand, so that reference and product cannot err together."""
    times = [1, 2, *[0] * 8, 7, 0.5, 0.25, -1, -1]
    more = [0, 1, *[0] * 8, 3, 0.25, -1, -1, -1]
    older = [1] * 11 + [1, -1, -1, -1, -1]
    place = {"appUpdateChannel": "beta", "appVersion": "31.0", "appBuildID": "20140601030201"}
    info = {"OS": "Linux", "version": "3.13.0-24", "arch": "x86", "revision": "r"}
    records = [
        ping(
            {"info": info, "histograms": {"TIMES": array}, "simpleMeasurements": {"uptime": -2}},
            dimensions={**place, "submission_date": "20140602", **changed},
        )
        for array, changed in (
            (times, {}),
            (more, {"submission_date": "20140801"}),
            (older, {"appBuildID": "20140531030201"}),
        )
    ]
    definitions = write_definitions(tmp_path)

    run_inline(
        Histograms,
        records,
        Manner(),
        {"definitions": [str(definitions)]},
        DirectoryStore(tmp_path / "out"),
    )

    (found,) = reference.published(tmp_path / "out").values()
    path = ("saved-session".replace("-", "_"), "Firefox", "Linux", "3.1", "x86")
    both = [1, 3, *[0] * 8, 10, 0.75, 0.25, -1, -1, 2]
    one = [*times, 1]
    measure = found["measures"]["TIMES"]
    assert measure["by-build-date"] == {"20140601": {path: both}}
    # 61 days after the build the second one counts by build date alone.
    assert measure["by-submission-date"] == {"20140602": {path: one}}
    assert measure["revision"] == {"revision": "r", "buildId": "20140601030201", "length": 16}
    simple = found["measures"]["SIMPLE_MEASURES_UPTIME"]["by-build-date"]["20140531"][path]
    assert simple[:51] == [*[0] * 50, -2]
    assert simple[-1] == 1
    (folder,) = json.loads((tmp_path / "out/versions.json").read_bytes()).values()
    coverage = json.loads((tmp_path / "out" / folder / "coverage.json").read_bytes())
    assert list(coverage["measures"]["mismatches"]) == ["TIMES"]
    assert "11 buckets" in coverage["measures"]["mismatches"]["TIMES"]
