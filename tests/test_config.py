"""Settings: the forms of their values, and which of file, environment and flag wins."""

import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr.config import (
    FILE_NAME,
    load_settings,
    parse_bad_limit,
    parse_count,
    parse_duration,
    parse_share,
    parse_size,
)
from mr.errors import UsageError

PARSERS = [parse_size, parse_duration, parse_share, parse_bad_limit, parse_count]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder and an empty home."""
    home = tmp_path / "home"
    (home / ".config").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("1B", 1),
        ("500MB", 500_000_000),
        ("500 mb", 500_000_000),
        (" 1.5 GB ", 1_500_000_000),
        ("2KB", 2_000),
        ("1TB", 10**12),
        ("0.3KB", 300),
    ],
)
def test_sizes_are_decimal(text, size):
    """A size is bytes, and MB is 10^6 of them."""
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("5", 5)])
def test_durations_are_seconds(text, seconds):
    """A duration is seconds, whatever it is written in."""
    assert parse_duration(text) == seconds


def test_shares_are_percentages():
    """A share is written as a percentage of at most 100."""
    assert parse_share("1%") == 0.01
    assert parse_share("0.5 %") == 0.005
    assert parse_share("100%") == 1


def test_a_limit_of_bad_records_is_a_number_or_a_percentage():
    """Exactly one of the two is given back."""
    assert parse_bad_limit("0") == (0, None)
    assert parse_bad_limit("12") == (12, None)
    assert parse_bad_limit("1%") == (None, 0.01)


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (parse_size, ["", "0", "0.5", "-1", "1XB", "MB", "1e6", "nan", "inf", "1 000", "9" * 400]),
        (parse_duration, ["", "0", "0s", "-1s", "1d", "s", "inf", "9" * 400]),
        (parse_share, ["", "1", "101%", "-1%", "%", "nan%", "1e1%"]),
        (parse_bad_limit, ["", "-1", "1.5", "many", "200%", "9" * 5000]),
        (parse_count, ["", "0", "-1", "1.5", "1e3", "two", "9" * 5000]),
    ],
)
def test_what_is_no_such_value_is_refused(parse, texts):
    """The error shows the text and what it should be like."""
    for text in texts:
        with pytest.raises(UsageError, match="is n"):
            parse(text)


@given(st.text())
def test_no_text_breaks_a_parser(text):
    """Any text is either a sensible number or a UsageError."""
    for parse in PARSERS:
        try:
            found = parse(text)
        except UsageError:
            continue
        numbers = [n for n in (found if isinstance(found, tuple) else [found]) if n is not None]
        assert len(numbers) == 1
        assert 0 <= numbers[0] < math.inf


def test_workers_and_reducers_have_a_most():
    """What no machine could serve is refused in a sentence, wherever it stands."""
    found = load_settings({"workers": "1000", "reducers": "10000"}, {})
    assert (found.workers, found.reducers) == (1000, 10000)

    with pytest.raises(UsageError, match=r"^--workers: '1001' is too many; at most 1,000 are"):
        load_settings({"workers": "1001"}, {})
    with pytest.raises(UsageError, match=r"^MR_TELEMETRY_REDUCERS: '10001' is too many; at most "):
        load_settings({}, {"MR_TELEMETRY_REDUCERS": "10001"})


def test_defaults_need_no_file(folder):
    """Without file, environment and flags everything has a sensible value."""
    found = load_settings(environment={})

    assert found.store == os.path.expanduser("~/.local/state/mr-telemetry")
    assert found.workers >= 1
    assert found.reducers == found.workers
    assert found.split_size == 0


def test_the_state_folder_can_be_chosen(folder):
    """Jobs lie under XDG_STATE_HOME where it is set."""
    assert load_settings(environment={"XDG_STATE_HOME": "/s"}).store == "/s/mr-telemetry"


def test_flags_win_over_the_environment_and_that_over_the_file(folder):
    """Each source wins over those before it, setting by setting."""
    (folder / FILE_NAME).write_text('workers = 1\nreducers = 1\nsplit_size = "1MB"\n')
    environment = {"MR_TELEMETRY_WORKERS": "2", "MR_TELEMETRY_REDUCERS": "2"}

    found = load_settings({"workers": "3", "reducers": None}, environment)

    assert (found.workers, found.reducers, found.split_size) == (3, 2, 1_000_000)


def test_the_file_here_wins_over_the_one_at_home(folder):
    """Only one file is read: the current folder's, else the person's own."""
    home = folder.parent / "home" / ".config" / FILE_NAME
    home.write_text("workers = 7\nreducers = 7\n")
    assert load_settings(environment={}).workers == 7

    (folder / FILE_NAME).write_text("workers = 8\n")
    assert load_settings(environment={}).workers == 8
    assert load_settings(environment={}).reducers == 8


def test_an_empty_environment_variable_is_none_at_all(folder):
    """An empty variable counts as not set."""
    assert load_settings(environment={"MR_TELEMETRY_STORE": ""}).store.endswith("mr-telemetry")


def test_a_store_may_be_a_url_or_begin_at_home(folder):
    """A tilde is the home folder; a URL stays as it is."""
    assert load_settings({"store": "~/x"}, {}).store == os.path.expanduser("~/x")
    assert load_settings({"store": "s3://b/~p"}, {}).store == "s3://b/~p"
    assert load_settings({"store": "~nobody-of-that-name/x"}, {}).store == "~nobody-of-that-name/x"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("workers = 0", "mr-telemetry.toml: workers: '0'"),
        ("workers = true", "mr-telemetry.toml: workers: must be text or a number"),
        ("split_size = ['1MB']", "mr-telemetry.toml: split_size: must be text or a number"),
        ("[store]\npath = 'x'", "mr-telemetry.toml: store: must be text or a number"),
        ("speed = 9", "mr-telemetry.toml: speed: no such setting; there are: store, workers"),
        ("workers = ", "mr-telemetry.toml: cannot be read"),
        ("store = ''", "mr-telemetry.toml: store: it is empty"),
    ],
)
def test_a_mistake_in_the_file_is_named(folder, content, where):
    """The error names the file and the setting."""
    (folder / FILE_NAME).write_text(content)

    with pytest.raises(UsageError) as error:
        load_settings(environment={})

    assert where in str(error.value)


def test_a_file_that_is_no_text_is_named(folder):
    """Bytes that are not UTF-8, and a folder of that name, are one sentence."""
    (folder / FILE_NAME).write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings(environment={})

    (folder / FILE_NAME).unlink()
    (folder / FILE_NAME).mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings(environment={})


def test_a_mistake_in_a_variable_or_flag_is_named(folder):
    """The error names the variable, or the flag as it is typed."""
    with pytest.raises(UsageError, match=r"^MR_TELEMETRY_SPLIT_SIZE: 'big' is not a size"):
        load_settings(environment={"MR_TELEMETRY_SPLIT_SIZE": "big"})
    with pytest.raises(UsageError, match=r"^--split-size: 'big' is not a size"):
        load_settings({"split_size": "big"}, {})
    with pytest.raises(UsageError, match=r"^--store: it is empty"):
        load_settings({"store": ""}, {})


def test_without_a_home_the_store_must_be_named(folder, monkeypatch):
    """Where there is no home folder, settings work with --store and say so without."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)

    assert load_settings({"store": "/jobs"}, {}).store == "/jobs"
    with pytest.raises(UsageError, match="--store"):
        load_settings(environment={})


def test_a_home_that_is_no_folder_has_no_file(folder, monkeypatch):
    """A home such as /dev/null is as good as an empty one."""
    monkeypatch.setenv("HOME", "/dev/null")

    assert load_settings({"store": "/jobs"}, {}).store == "/jobs"
