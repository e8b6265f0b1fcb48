"""Where a block belongs: channel, version and dates, or the reason why it cannot be published."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import DIMENSIONS as FULL

from mr.histograms.placing import DIMENSIONS, Place, place_of
from mr.schema import Dimensions, load_schema


def placed(**changed: str) -> Place | str:
    """Where the tests' block belongs with some dimensions changed."""
    return place_of({**FULL, **changed})


def test_a_place_by_hand():
    """All that the dimensions tell."""
    place = placed()

    assert place == Place(
        channel="nightly",
        major="31",
        build="20140601030201",
        build_date="20140601",
        submission_date="20140602",
        path_submission_date="20140602",
        reason="saved_session",
        app="Firefox",
    )
    assert place.version == "nightly/31"


def test_dimensions_of_a_block_are_taken():
    """Those of a real listing, which are no dict."""
    schema = load_schema()
    dimensions = schema.dimensions(FULL[name] for name in schema.fields)

    assert place_of(dimensions) == placed()


@pytest.mark.parametrize("missing", DIMENSIONS)
def test_a_schema_without_a_dimension(missing):
    """The reason names the dimension that the schema lacks."""
    left = {name: value for name, value in FULL.items() if name != missing}

    for dimensions in (left, Dimensions(tuple(left), left.values())):
        assert place_of(dimensions) == f"the schema has no dimension {missing}"


@pytest.mark.parametrize("channel", ["", "a b", "a/b", "é", "nightly\n", "a%2Fb", "a:b"])
def test_a_channel_that_no_url_can_hold(channel):
    """The reason shows the channel."""
    reason = placed(appUpdateChannel=channel)

    assert reason == f"its channel, {channel!r}, cannot stand in a URL"


@pytest.mark.parametrize("version", ["", ".5", "3 1.0", "31\n", "é.0", "3/1"])
def test_a_version_that_no_url_can_hold(version):
    """The reason shows the whole version."""
    reason = placed(appVersion=version)

    assert reason == f"its version, {version!r}, cannot stand in a URL"


@pytest.mark.parametrize(
    ("version", "major"),
    [("31.0a1", "31"), ("31", "31"), ("31a1", "31a1"), ("4.0.1", "4"), ("x_y-z.1", "x_y-z")],
)
def test_the_major_version_ends_at_the_first_dot(version, major):
    """Whatever it is made of."""
    assert placed(appVersion=version).major == major


@pytest.mark.parametrize(
    "build",
    [
        "",
        "2014",
        "unknown",
        "20140631030201",
        "20140229",
        "00000101",
        "2014060a",
        "٢٠١٤٠٦٠١",
        " 20140601",
    ],
)
def test_a_build_without_a_date(build):
    """Eight ASCII digits that are a day of the calendar, or the block has no place."""
    reason = placed(appBuildID=build)

    assert reason == f"its build id, {build!r}, does not begin with a date"


@pytest.mark.parametrize("build", ["20140601", "20140601030201", "20140601x"])
def test_a_build_that_begins_with_a_date(build):
    """The id is kept whole beside its date."""
    place = placed(appBuildID=build)

    assert (place.build, place.build_date) == (build, "20140601")


@pytest.mark.parametrize(
    ("submitted", "counts"),
    [
        ("20140601", "20140601"),
        ("20140731", "20140731"),  # 60 days
        ("20140801", None),  # 61 days
        ("20140531", "20140531"),  # before the build
        ("20130101", "20130101"),  # long before it
        ("20150601", None),
    ],
)
def test_sixty_days(submitted, counts):
    """A record counts by submission date up to 60 days after its build, and at any time before."""
    place = placed(submission_date=submitted)

    assert place.submission_date == counts
    assert place.path_submission_date == submitted


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(-4000, 4000))
def test_sixty_days_of_any_calendar(build, days):
    """Days are counted over ends of months, leap days and years."""
    submitted = (build + timedelta(days)).strftime("%Y%m%d")
    place = placed(appBuildID=build.strftime("%Y%m%d"), submission_date=submitted)

    assert place.submission_date == (submitted if days <= 60 else None)
    assert place.path_submission_date == submitted


@pytest.mark.parametrize("submitted", ["", "unknown", "20140631", "2014060", "201406011"])
def test_a_submission_date_that_is_none(submitted):
    """The block is published by build date alone."""
    place = placed(submission_date=submitted)

    assert place.build_date == "20140601"
    assert place.submission_date is None
    assert place.path_submission_date == ""
