"""From inputs to blocks: what a listing finds, what it says of the rest, and what it asks for."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mr.directory import DirectoryStore
from mr.errors import SchemaError, UsageError
from mr.inputs import resolve_input
from mr.listing import STRAYS_KEPT, list_blocks
from mr.schema import load_filter, load_schema

SCHEMA = load_schema()
EVERYTHING = load_filter(None, SCHEMA)

FIRST = "idle_daily/Firefox/nightly/22.0a1/20130101000000.20130102.v2.log.aa.lzma"
SECOND = "saved_session/Firefox/beta/21.0/20130201000000.20130202.v2.log.bb.lzma"
THIRD = "saved_session/Fennec/nightly/22.0a1/20130101000000.20130103.v2.log.cc.lzma"

#: Names of folders, some of them spelt as the pipeline would not.
NAMES = st.sampled_from(["Firefox", "B2G", "saved_session", "saved-session", "22.0a1", "x y", ".t"])
BUILDS = st.sampled_from(["20130101", "20130101000000", "2013", "2013-01", "2013_01", ""])
DATES = st.sampled_from(["20130102", "20130103", "2013"])
PATHS = st.builds(
    lambda folders, build, date, end: "/".join([*folders, f"{build}.{date}{end}"]),
    st.one_of(st.lists(NAMES, min_size=4, max_size=4), st.lists(NAMES, max_size=5)),
    BUILDS,
    DATES,
    st.sampled_from([".v2.log.aa.lzma", ".x", ""]),
)


def allowed(values):
    """Any form of allowed values, of these and of some that no path can hold."""
    texts = st.one_of(values, st.sampled_from(["", ".", "..", "/", "a/b", "../x", "a\0", "\ud800"]))
    return st.one_of(
        st.just("*"),
        texts,
        st.lists(texts, max_size=4),
        st.dictionaries(st.sampled_from(["min", "max"]), texts, min_size=1),
    )


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        field: allowed({4: BUILDS, 5: DATES}.get(place, NAMES))
        for place, field in enumerate(SCHEMA.fields)
    },
)


def plant(root, *keys):
    """Put a file of some bytes at each key."""
    for key in keys:
        path = os.path.join(root, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(b"x" * len(key))
    return str(root)


def listing_of(*inputs, filter=None, listed=()):
    """The listing of some inputs by the bundled schema."""
    return list_blocks(inputs, SCHEMA, load_filter(filter, SCHEMA), listed=listed)


def keys_of(listing):
    """The keys of a listing's blocks, in its order."""
    return [block.key for block in listing.blocks]


def walk_and_filter(root, selection):
    """The keys that a listing should find: everything that lies as the schema says, filtered."""
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            key = os.path.relpath(os.path.join(folder, name), root)
            dimensions = SCHEMA.dimensions_of(key)
            if dimensions is not None and selection.matches(dimensions):
                found.append(key)
    return sorted(found, key=str.encode)


@pytest.fixture
def requests(monkeypatch):
    """What directory stores are asked to list, in order: the call and its prefix."""
    asked = []
    for name in ("list", "list_level"):
        method = getattr(DirectoryStore, name)

        def spy(self, prefix="", *, name=name, method=method):
            asked.append((name, prefix))
            return method(self, prefix)

        monkeypatch.setattr(DirectoryStore, name, spy)
    return asked


def test_a_block_is_described(tmp_path):
    """A block has its place, its size and tag, and its dimensions by name."""
    root = plant(tmp_path, SECOND)

    (block,) = listing_of(root).blocks

    assert block.key == SECOND
    assert block.path == f"{root}/{SECOND}"
    assert block.size == len(SECOND)
    assert block.dimensions.appUpdateChannel == "beta"
    assert DirectoryStore(block.store_url).read(block.key, tag=block.tag) == b"x" * len(SECOND)


def test_blocks_come_in_byte_order(tmp_path):
    """The order is that of the keys' UTF-8, not of the file system, nor of UTF-16."""
    folders = ["b", "a", "a.b", "\uff21", "\U0001f600", "A"]
    root = plant(tmp_path, *(f"{name}/a/b/c/1.2.log" for name in folders))

    found = keys_of(listing_of(root))

    assert found == sorted(found, key=str.encode)
    assert len(found) == len(folders)


@settings(max_examples=150, deadline=None)
@given(paths=st.sets(PATHS, max_size=12), filter=FILTERS)
def test_pruning_finds_what_filtering_everything_finds(paths, filter):
    """A filter, however selective, chooses the blocks that it would choose from a full listing."""
    selection = load_filter(filter, SCHEMA)
    with tempfile.TemporaryDirectory() as root:
        for path in paths:
            # One path's file may be another's folder: then it has no place.
            if not any(other.startswith(path + "/") for other in paths):
                plant(root, path)
        expected = walk_and_filter(root, selection)

        if selection != EVERYTHING:
            listing = list_blocks([root], SCHEMA, selection)
            assert keys_of(listing) == expected
            assert listing.repeated == 0


def test_explicit_values_are_addressed(tmp_path, requests):
    """Levels with explicit values, builds among them, are addressed and never listed."""
    root = plant(tmp_path, FIRST, SECOND, THIRD)
    filter = {
        "reason": "main",
        "appName": ["Firefox", "Fennec"],
        "appUpdateChannel": "nightly",
        "appVersion": "22.0a1",
        "appBuildID": "20130101000000",
    }

    listing_of(root, filter=filter)

    assert requests == [
        ("list", "main/Fennec/nightly/22.0a1/20130101000000."),
        ("list", "main/Firefox/nightly/22.0a1/20130101000000."),
    ]


def test_levels_below_the_last_selective_one_are_listed_flat(tmp_path, requests):
    """A level that must be looked at is listed alone; what lies below is one listing."""
    root = plant(tmp_path, FIRST, SECOND, THIRD)

    listing = listing_of(root, filter={"reason": {"min": "s"}, "appName": "Firefox"})
    assert requests == [("list_level", ""), ("list", "saved_session/Firefox/")]
    assert keys_of(listing) == [SECOND]

    requests.clear()
    listing = listing_of(root, filter={"reason": {"min": "s"}})
    assert requests == [("list_level", ""), ("list", "saved_session/")]
    assert keys_of(listing) == [THIRD, SECOND]


def test_a_filter_that_cannot_prune_lists_once(tmp_path, requests):
    """Dates stand behind the build in a name, so a filter of dates alone is one listing."""
    root = plant(tmp_path, FIRST, SECOND, THIRD)

    listing = listing_of(root, filter={"submission_date": ["20130102", "20130202"]})

    assert requests == [("list", "")]
    assert keys_of(listing) == [FIRST, SECOND]
    assert listing.filtered == 1


def test_a_build_that_begins_another_is_listed_once(tmp_path):
    """A value that no build can be, since it has a dot, neither adds nor repeats anything."""
    root = plant(tmp_path, FIRST)
    build = "20130101000000"

    listing = listing_of(root, filter={"appBuildID": [build, f"{build}.20130102"]})

    assert keys_of(listing) == [FIRST]
    assert listing.repeated == 0


def test_a_cleaned_value_finds_every_spelling(tmp_path):
    """A filter's value finds the folders that are the same value when cleaned."""
    keys = [f"{name}/Firefox/a/b/1.2.log" for name in ("saved_session", "saved-session")]
    root = plant(tmp_path, *keys, "saved/Firefox/a/b/1.2.log")

    for value in ("saved-session", "saved_session", "saved session"):
        assert keys_of(listing_of(root, filter={"reason": value})) == sorted(keys)


def test_a_filter_that_matches_nothing_is_no_error(tmp_path):
    """The listing is empty, and says how many blocks the filter left out."""
    root = plant(tmp_path, FIRST, SECOND)

    listing = listing_of(root, filter={"submission_date": "19990101"})

    assert (list(listing.blocks), listing.filtered, listing.bytes) == ([], 2, 0)


def test_an_empty_folder_is_an_empty_input(tmp_path):
    """There is nothing in it, and nothing wrong with it."""
    assert list(listing_of(str(tmp_path)).blocks) == []


def test_inputs_that_overlap_count_once(tmp_path):
    """A block that several inputs hold, in whatever spelling, is one block."""
    root = plant(tmp_path / "tree", FIRST, SECOND)
    (tmp_path / "link").symlink_to(root)
    spellings = [root, root + "/", f"{root}/../tree", f"file://{root}", str(tmp_path / "link")]

    listing = listing_of(*spellings, f"{root}/{FIRST}")

    assert keys_of(listing) == [FIRST, SECOND]
    assert listing.repeated == 2 * (len(spellings) - 1) + 1
    assert {block.store_url for block in listing.blocks} == {root}


def test_trees_add_up(tmp_path):
    """Blocks of several trees are one listing in one order."""
    one, two = plant(tmp_path / "1", SECOND), plant(tmp_path / "2", FIRST, THIRD)

    listing = listing_of(one, two)

    assert keys_of(listing) == sorted([FIRST, SECOND, THIRD])
    assert listing.bytes == len(FIRST) + len(SECOND) + len(THIRD)


def test_a_lone_file_of_the_pipeline_has_its_dimensions(tmp_path):
    """Its folders and name say what it is, as in the tree, and a filter counts."""
    root = plant(tmp_path, FIRST, SECOND)

    (block,) = listing_of(f"{root}/{SECOND}").blocks
    assert (block.store_url, block.key) == (root, SECOND)
    assert block.dimensions.appName == "Firefox"

    listing = listing_of(f"{root}/{SECOND}", filter={"appUpdateChannel": "nightly"})
    assert (list(listing.blocks), listing.filtered) == ([], 1)


def test_another_lone_file_has_empty_dimensions(tmp_path):
    """A file of any other name is read too; its dimensions are empty."""
    plant(tmp_path, "a/b/c/d/e/1.2.log")

    (block,) = listing_of(f"{tmp_path}/a/b/c/d/e/1.2.log").blocks

    assert block.key == "1.2.log"
    assert set(block.dimensions) == {""}


def test_lone_files_of_one_name_are_different_blocks(tmp_path):
    """Without dimensions a file's place is its identity."""
    plant(tmp_path, "1/x.txt", "2/x.txt")
    inputs = [f"{tmp_path}/1/x.txt", f"{tmp_path}/2/x.txt", f"{tmp_path}/2/../1/x.txt"]

    listing = listing_of(*inputs)

    assert [block.path for block in listing.blocks] == inputs[:2]
    assert listing.repeated == 1


def test_a_lone_file_is_found_by_its_whole_name(tmp_path):
    """A neighbour whose name begins with it is not read."""
    plant(tmp_path, "x.txt", "x.txt.old")

    assert keys_of(listing_of(f"{tmp_path}/x.txt")) == ["x.txt"]


def test_what_does_not_lie_so_is_counted(tmp_path):
    """Names outside the layout are counted, with some examples, and leave the rest alone."""
    strays = [f"README{number}" for number in range(STRAYS_KEPT + 5)]
    root = plant(tmp_path, FIRST, "a/b/c/d/.1.2.log.swp", "a/b/1.2.log", *strays)

    listing = listing_of(root)

    assert keys_of(listing) == [FIRST]
    assert listing.strays == STRAYS_KEPT + 7
    assert len(listing.stray_examples) == STRAYS_KEPT


def test_names_of_strange_bytes_are_reported(tmp_path):
    """A name that is not UTF-8 is no block, and is told in letters that can be printed."""
    root = plant(tmp_path, FIRST)
    folder = os.path.join(os.fsencode(root), b"b\xff/Firefox/nightly/22")
    os.makedirs(folder)
    Path(os.fsdecode(folder + b"/1.2.log")).write_bytes(b"")
    plant(root, "n\n\x1b\u202e/Firefox/nightly/22/1.2.log")

    listing = listing_of(root)

    assert keys_of(listing) == [FIRST, "n\n\x1b\u202e/Firefox/nightly/22/1.2.log"]
    assert [stray.encode() for stray in listing.stray_examples] == [
        f"{root}/b\\udcff/Firefox/nightly/22/1.2.log".encode()
    ]
    assert keys_of(listing_of(root, filter={"reason": {"min": "b"}})) == keys_of(listing)


def test_a_wrong_folder_is_one_sentence(tmp_path):
    """An input where nothing lies as it should names what was found, and what to give."""
    root = plant(tmp_path, "tree/" + FIRST)

    with pytest.raises(UsageError) as error:
        listing_of(root)

    text = str(error.value)
    assert text.startswith(f"{root}: nothing here lies as <reason>/<appName>/<appUpdateChannel>/")
    assert f"{root}/tree/{FIRST}" in text
    assert "give the folder that holds the <reason> folders, or the right --schema" in text


def test_each_input_is_judged_by_itself(tmp_path):
    """Strays of one input say nothing of another, which may be empty, or be the wrong one."""
    good = plant(tmp_path / "good", FIRST, "README")
    (tmp_path / "empty").mkdir()
    wrong = plant(tmp_path / "wrong", "NOTES")

    assert keys_of(listing_of(good, str(tmp_path / "empty"))) == [FIRST]
    with pytest.raises(UsageError, match=r"wrong: nothing here .*wrong/NOTES"):
        listing_of(good, wrong)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an input is empty"),
        ("/nowhere/at/all", "/nowhere/at/all: no such file or folder"),
        ("a\0b", "no such file or folder"),
        ("n" * 5000, "no such file or folder"),
        ("/dev/null", "no such file or folder"),
        ("s3://b/x", "write s3://BUCKET/PREFIX"),
        ("ftp://host/x", "ftp://"),
    ],
)
def test_an_input_that_is_not_there_is_refused(text, sentence):
    """A wrong input is a UsageError before anything is listed."""
    with pytest.raises(UsageError, match=sentence):
        resolve_input(text, SCHEMA)


def test_a_url_of_a_file_may_be_escaped(tmp_path):
    """`%20` in a file:// URL is a space, as everywhere."""
    root = plant(tmp_path / "a b", FIRST)

    assert keys_of(listing_of("file://" + root.replace(" ", "%20"))) == [FIRST]


def test_missing_inputs_of_a_list_are_reported(tmp_path):
    """What an input list names and is not there is told; the rest is read."""
    root = plant(tmp_path, FIRST, SECOND)
    gone = f"{root}/{THIRD}"

    listing = listing_of(listed=[f"{root}/{SECOND}", gone, f"{root}/{FIRST}"])

    assert keys_of(listing) == [FIRST, SECOND]
    assert listing.missing == [gone]


def test_a_long_list_of_one_folders_files_looks_at_each_once(tmp_path, monkeypatch):
    """Listed files are asked for by name: their folder is not read, however many they are."""
    names = [f"{number}.2.v2.log.aa" for number in range(300)]
    root = plant(tmp_path, *(f"main/Firefox/nightly/22/{name}" for name in names))
    scans = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scans.append(path) or scandir(path))

    listing = listing_of(listed=[f"{root}/main/Firefox/nightly/22/{name}" for name in names])

    assert len(listing.blocks) == len(names)
    assert scans == []


def test_an_input_that_cannot_be_written_down_is_refused(tmp_path, monkeypatch):
    """A path that is not UTF-8 is one sentence, however it is named and wherever it stands."""
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/bad-\xff")
    plant(folder, FIRST)
    monkeypatch.chdir(folder)
    escaped = f"file://{tmp_path}/bad-%FF"
    (tmp_path / "link").symlink_to(folder)

    for text in (folder, f"{folder}/{FIRST}", escaped, ".", f"{folder}/../link", f"{folder}/gone"):
        for named in ({"listed": [text]}, {}):
            with pytest.raises(UsageError, match=r"bad-\\udcff.*: the name is not UTF-8"):
                listing_of(*([] if named else [text]), **named)
    assert keys_of(listing_of(str(tmp_path / "link"))) == [FIRST]


def test_a_filter_of_another_schema_is_refused():
    """A filter's dimensions are those of the schema."""
    with pytest.raises(SchemaError):
        listing_of("/", filter={"country": "de"})


def test_a_schema_may_have_no_folders(tmp_path):
    """Two dimensions stand in the names alone; pruning works there too."""
    schema = load_filter(None, SCHEMA)
    flat = type(schema)(("build", "date"), EVERYTHING.allowed[:2])
    root = plant(tmp_path, "1.2.log", "11.2.log", "a/1.2.log")

    found = list_blocks([root], flat, load_filter({"build": "1"}, flat))

    assert keys_of(found) == ["1.2.log"]
    assert found.filtered == 0
