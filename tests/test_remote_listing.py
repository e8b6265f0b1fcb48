"""Listing stores where each request is a round trip: the same blocks, by requests at a time."""

import threading

import pytest
from buckets import Service
from hypothesis import given, settings
from hypothesis import strategies as st
from test_blocks import FILTERS, FIRST, PATHS, SCHEMA, SECOND, THIRD, keys_of, listing_of
from test_s3 import fresh_url, use

from mr.errors import InputMissing, UsageError
from mr.inputs import resolve_input
from mr.listing import ENOUGH_PREFIXES, REQUESTS, list_blocks
from mr.schema import load_filter
from mr.stores import open_store

TREE = "s3://bucket/tree"


def facts(listing):
    """A listing, but for its examples of strays, which come as they are met."""
    return list(listing.blocks), listing.filtered, listing.repeated, listing.strays


@settings(deadline=None, max_examples=150)
@given(paths=st.sets(PATHS, min_size=1, max_size=12), filter=FILTERS, limit=st.integers(0, 900))
def test_a_remote_listing_finds_what_a_local_one_does(paths, filter, limit):
    """Whatever the filter: the blocks, and the counts of the rest; or the same error."""
    answers = []
    for is_remote in (False, True):
        service = Service(is_remote=is_remote)
        service.put(TREE, *paths, "one/more/stray")
        with service.used():
            try:
                selection = load_filter(filter, SCHEMA)
                answers.append(facts(list_blocks([TREE], SCHEMA, selection, limit_bytes=limit)))
            except UsageError as error:
                answers.append(str(error).partition("(found")[0])

    assert answers[0] == answers[1]


def wide_tree(service):
    """A tree of many folders and of files beside them; returns the names of its blocks."""
    names = [
        f"{reason}/{app}/{channel}/{version}/1.2.v2.log.{number}"
        for reason in ("idle_daily", "saved_session")
        for app in ("Firefox", "Fennec", "B2G")
        for channel in ("nightly", "beta")
        for version in range(9)
        for number in range(3)
    ]
    service.put(TREE, *names, "README", "idle_daily/README", "idle_daily/B2G/README")
    return sorted(names)


def test_a_whole_listing_fans_out():
    """Without a filter the folders are looked up, then listed; at most 16 requests at a time."""
    service = Service(delay_s=0.005)
    names = wide_tree(service)

    with service.used():
        listing = listing_of(TREE)

    assert keys_of(listing) == names
    assert listing.strays == 3
    # The input was seen to hold something; all else is by folders.
    assert service.asked[:3] == [("stat", "tree"), ("list", ""), ("list_level", "")]
    assert ("list", "") not in service.asked[2:]
    flat = [prefix for call, prefix in service.asked if call == "list" and prefix]
    assert len(flat) == 2 * 3 * 2 * 9
    assert len(flat) >= ENOUGH_PREFIXES
    assert 8 < service.most_going <= REQUESTS


def test_levels_that_a_filter_prunes_are_asked_for_at_a_time():
    """Each level's folders concurrently, then the folders that are left; nothing else."""
    service = Service(delay_s=0.005)
    names = wide_tree(service)

    with service.used():
        listing = listing_of(TREE, filter={"appVersion": {"min": "3"}})

    assert keys_of(listing) == [name for name in names if int(name.split("/")[3]) >= 3]
    assert not any(prefix.endswith(("/1/", "/2/")) for _, prefix in service.asked)
    assert 8 < service.most_going <= REQUESTS


def test_an_error_of_one_request_ends_the_listing(monkeypatch):
    """It comes out as it is, and no thread is left."""
    service = Service()
    wide_tree(service)
    before = threading.active_count()

    with service.used():
        source = resolve_input(TREE, SCHEMA)
        plain = type(source.store).list

        def fail(self, prefix=""):
            if prefix.endswith("Firefox/beta/5/"):
                raise ConnectionError("gone")
            return plain(self, prefix)

        monkeypatch.setattr(type(source.store), "list", fail)
        with pytest.raises(ConnectionError, match="gone"):
            listing_of(TREE)

    assert threading.active_count() == before


def test_a_local_store_is_asked_one_thing_at_a_time():
    """And with one flat listing, as ever."""
    service = Service(is_remote=False)
    wide_tree(service)

    with service.used():
        listing_of(TREE)

    assert service.asked == [("stat", "tree"), ("list", ""), ("list", "")]
    assert service.most_going == 1


def files_of_urls(open_service):
    """What inputs that are URLs come to, in any service that is open."""
    put, tree = open_service
    put(FIRST, SECOND, "notes.txt", "deep/er/x.log")

    def found(url, **named):
        (block,) = listing_of(url, **named).blocks
        return block.store_url, block.key, block.dimensions.appName

    assert found(f"{tree}/{SECOND}") == (tree, SECOND, "Firefox")
    assert found(f"{tree}/notes.txt") == (tree, "notes.txt", "")
    assert found(f"{tree}/deep/er/x.log") == (f"{tree}/deep/er", "x.log", "")
    assert listing_of(f"{tree}/{SECOND}", filter={"appName": "Fennec"}).filtered == 1
    assert keys_of(listing_of(tree, f"{tree}/", f"{tree}/{FIRST}")) == [FIRST, SECOND]
    for gone in (f"{tree}/{THIRD}", f"{tree}/nothing", f"{tree}/notes.txt/", f"{tree}/note"):
        with pytest.raises(InputMissing, match="holds no objects"):
            listing_of(gone)
    names = [f"{tree}/{SECOND}", f"{tree}/{THIRD}", f"{tree}/{FIRST}", f"{tree}/nothing/"]
    listing = listing_of(listed=[*names, f"{tree}/{SECOND}"])
    assert keys_of(listing) == [FIRST, SECOND]
    assert (listing.missing, listing.repeated) == ([names[1], names[3]], 1)


def test_a_url_may_be_one_file():
    """As for local files; a prefix with nothing under it is missing."""
    service = Service()

    with service.used():
        files_of_urls((lambda *names: service.put(TREE, *names), TREE))
        with pytest.raises(UsageError, match=r"bad-\\udcff: the name is not UTF-8"):
            resolve_input("s3://bucket/bad-\udcff", SCHEMA)


def test_a_long_input_list_is_looked_up_at_a_time():
    """Its inputs come in its order all the same: the first one's block counts."""
    service = Service(delay_s=0.005)
    for number in range(60):
        service.put(f"s3://bucket/{number}", FIRST)

    with service.used():
        listing = listing_of(listed=[f"s3://bucket/{n}/{FIRST}" for n in range(59, -1, -1)])

    (block,) = listing.blocks
    assert block.store_url == "s3://bucket/59"
    assert listing.repeated == 59
    assert 8 < service.most_going <= REQUESTS


def test_listing_a_bucket(ministack, monkeypatch, tmp_path):
    """The same by real requests: files, prefixes, and a tree of many folders."""
    use(ministack, monkeypatch)
    url = fresh_url()
    store = open_store(url)

    def put(*names):
        for name in names:
            store.write(name, name.encode())

    files_of_urls((put, url))
    local = Service(is_remote=False)
    names = wide_tree(local)
    other = fresh_url()
    store = open_store(other)
    put(*(name.removeprefix(f"{TREE}/") for name in local.objects))

    listing = listing_of(other)

    assert keys_of(listing) == names
    assert listing.strays == 3
    for block in listing.blocks.every(50):
        assert open_store(block.store_url).read(block.key, tag=block.tag) == block.key.encode()
