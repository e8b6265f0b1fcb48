"""S3 as a store: the contract on two servers, and what is true of S3 alone."""

import gzip
import io
import os
import random
import secrets
import subprocess
import sys
import time
import tracemalloc

import pytest
from botocore.awsrequest import AWSResponse
from botocore.retries.bucket import TokenBucket
from botocore.retries.standard import ExponentialBackoff
from contracts import ODD_NAMES, StoreContract, kill, names, start_python
from faulty import Fault, Rates, faulty
from urllib3.exceptions import ProtocolError

import mr.aws.s3
from mr.aws.clients import READ_S, client
from mr.aws.emulator import free_port
from mr.aws.objects import CONFLICT_PAUSES, READ_PAUSES, headers_for, part_bytes
from mr.aws.s3 import S3Store
from mr.config import Settings
from mr.errors import (
    BadName,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    ShortRead,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from mr.metering import METER
from mr.stores import open_store

BUCKET = "tests"
#: More tries than boto3 takes for one request.
TRIES = 12
#: The smallest part that S3 takes before the last one.
SMALL_PART = 5 * 1024 * 1024
TWO_PARTS = random.Random(1).randbytes(SMALL_PART + 100_000)
DATA = random.Random(2).randbytes(3_000_000)

WRITER_IN_PARTS = """
import sys, time
from mr.aws.s3 import S3Store
with S3Store(sys.argv[1], part_bytes=5 << 20).create("killed") as writer:
    writer.write(bytes(6 << 20))
    writer.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


def use(server, monkeypatch, url=None):
    """Let this process and its children speak to a server (by another URL, say a proxy's)."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url or server.url)


def hasten(monkeypatch):
    """Let boto3 try again at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(TokenBucket, "acquire", lambda *_, **__: True)


def fresh_url():
    """Return the URL of a prefix without objects, in a bucket that is there."""
    s3 = client("s3")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"


@pytest.fixture(params=["ministack", "seaweed"])
def server(request):
    """Return each server in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(server, monkeypatch):
    """Return a prefix without objects, on each server in turn."""
    use(server, monkeypatch)
    return open_store(fresh_url())


@pytest.fixture
def near(ministack, monkeypatch):
    """Return a prefix without objects on the server that adds nothing of its own."""
    use(ministack, monkeypatch)
    return open_store(fresh_url())


@pytest.fixture
def proxy(server, monkeypatch):
    """Return a proxy to each server in turn, by which this process speaks to it from now on."""
    use(server, monkeypatch)
    hasten(monkeypatch)
    with faulty(server.url) as proxy:
        use(server, monkeypatch, proxy.url)
        yield proxy


@pytest.fixture
def behind(proxy):
    """Return a prefix without objects behind the proxy, and a store that does not wait."""
    return S3Store(fresh_url(), part_bytes=SMALL_PART, sleep=lambda _: None)


@pytest.fixture
def fake(monkeypatch):
    """Return a function that puts other answers, (status, code), before those of an operation."""
    registered = []

    def register(operation, *answers):
        left, s3 = list(answers), client("s3")

        def answer(request, **_):
            if not left:
                return None
            status, code = left.pop(0)
            text = f"<Error><Code>{code}</Code><Message>Faked.</Message></Error>".encode()
            raw = io.BytesIO(b"" if operation == "HeadObject" else text)
            raw.stream = lambda *_, **__: iter([raw.read()])
            return AWSResponse(request.url, status, {}, raw)

        s3.meta.events.register_first(f"before-send.s3.{operation}", answer)
        registered.append((s3, f"before-send.s3.{operation}", answer))

    hasten(monkeypatch)
    yield register
    for s3, event, answer in registered:
        s3.meta.events.unregister(event, answer)


def asked():
    """Return how many requests there were since this was last called, by operation."""
    return {name.removeprefix("s3."): count for name, count in METER.take().items()}


def head(store, name):
    """Return all that S3 says of an object."""
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    return client("s3").head_object(Bucket=bucket, Key=f"{prefix}/{name}")


def put(store, key):
    """Write an object of any key at all."""
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    client("s3").put_object(Bucket=bucket, Key=prefix + key, Body=b"")


def uploads(store):
    """Return the uploads under the store's prefix that are not finished."""
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    found = client("s3").list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    return found.get("Uploads", [])


class TestMinistack(StoreContract):
    """The server of tutorials."""

    @pytest.fixture
    def store(self, ministack, monkeypatch):
        """Return a prefix without objects."""
        use(ministack, monkeypatch)
        return open_store(fresh_url())


class TestSeaweed(StoreContract):
    """A real server of S3, with two ways of its own."""

    RACES = 5  # losers wait a second or more

    @pytest.fixture
    def store(self, seaweed, monkeypatch):
        """Return a prefix without objects."""
        use(seaweed, monkeypatch)
        return open_store(fresh_url())

    @pytest.mark.parametrize("name", [name for name in ODD_NAMES if "\\" not in name])
    def test_odd_names(self, store, name):
        """It lists a backslash as a slash; all else may be in a name."""
        super().test_odd_names(store, name)

    def test_no_level_stays_without_objects(self, store):
        """It lists a level for a while after the last object below is gone, but no object."""
        store.write("a/b/c", b"")
        store.delete("a/b/c")

        assert store.list_level() in (([], []), (["a/"], []))
        assert list(store.list()) == []


# Which store.


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("S3://my.bucket-1/a/b/", "s3://my.bucket-1/a/b"),
        ("s3://bucket/a b?c#d%20é", "s3://bucket/a b?c#d%20é"),
    ],
)
def test_url(given, url):
    """A store's URL is in one form, and opens the same store again; no request is made."""
    asked()

    assert open_store(given).url == open_store(url).url == url
    assert open_store(given).is_remote
    assert asked() == {}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://", "s3://BUCKET/PREFIX"),
        ("s3:///prefix", "s3://BUCKET/PREFIX"),
        ("s3://Bucket/x", "lower-case"),
        ("s3://no_bucket/x", "lower-case"),
        ("s3://key:secret@bucket/x", "lower-case"),
        ("s3://bucket//x", "empty part"),
        ("s3://bucket/../x", '".."'),
        ("s3://bucket/\udcff", "not valid Unicode"),
    ],
)
def test_url_refused(url, words):
    """What is no bucket or no prefix is refused in a sentence that can be printed."""
    with pytest.raises(UsageError, match=words) as raised:
        open_store(url)

    assert str(raised.value).encode()


def test_whole_bucket(near):
    """A store without prefix is all of a bucket."""
    bucket = f"whole-{secrets.token_hex(8)}"
    client("s3").create_bucket(Bucket=bucket)
    store = open_store(f"s3://{bucket}")

    store.write("a/b", b"1")

    assert names(store.list()) == ["a/b"]
    assert store.list_level() == (["a/"], [])
    assert store.read("a/b") == b"1"
    assert store.sweep() == 0


@pytest.mark.parametrize("name", ["a/\udcff", "é" * 512])
def test_names_that_s3_cannot_have(near, name):
    """A name that is not Unicode, or too long with the prefix, is refused at once."""
    asked()
    for use_name in [near.read, near.stat, near.delete, lambda n: near.write(n, b"")]:
        with pytest.raises(BadName):
            use_name(name)
    with pytest.raises(BadName):
        near.delete_all([name])

    assert asked() == {}
    with pytest.raises(BadName):
        near.list("a\udcff")


def test_siblings_are_not_ours(near):
    """What lies beside the prefix is another's, also if its key begins alike."""
    put(near, "-beside/a")
    near.write("a", b"")

    assert names(near.list()) == ["a"]
    assert near.list_level() == ([], list(near.list()))


def test_what_others_left(near):
    """Keys that are no names (folder markers, for one) are not listed, and break nothing."""
    for key in ["/", "/folder/", "/a//b", "//abs", "/a/./b", "/folder/a", "/odd/../a"]:
        put(near, key)

    assert names(near.list()) == ["folder/a"]
    levels, entries = near.list_level()
    assert (sorted(levels), entries) == (["a/", "folder/", "odd/"], [])
    assert near.list_level("folder/") == ([], list(near.list("folder/")))


# What it costs.


def test_requests(store):
    """What is small costs one request."""
    asked()

    tag = store.write("a", b"12345")
    assert asked() == {"PutObject": 1}
    tag = store.write("a", b"1234567", if_match=tag)
    assert asked() == {"PutObject": 1}
    with pytest.raises(ObjectExists):
        store.write("a", b"", if_absent=True)
    with pytest.raises(ObjectChanged):
        store.write("a", b"", if_match="0" * 32)
    assert asked() == {"PutObject": 2}
    assert store.read("a") == store.read("a", tag=tag) == b"1234567"
    assert store.read("a", start=2, end=4) == b"34"
    assert store.read("a", start=9) == b""
    assert asked() == {"GetObject": 4}
    store.stat("a")
    store.stat("b")
    assert asked() == {"HeadObject": 2}
    list(store.list())
    store.list_level()
    assert asked() == {"ListObjectsV2": 2}
    store.copy("a", "b")
    assert asked() == {"CopyObject": 1}
    store.delete_all(["a", "b"])
    assert asked() == {"DeleteObjects": 1}
    store.delete("a")
    assert asked() == {"DeleteObject": 1}


def test_large_read_is_one_request(store):
    """A large object is read by one request, in pieces or not."""
    store.write("a", DATA)
    asked()

    assert store.read("a") == DATA
    with store.open("a") as reader:
        assert b"".join(iter(lambda: reader.read(70_000), b"")) == DATA

    assert asked() == {"GetObject": 2}


def test_pages(store, monkeypatch):
    """A listing asks for a page when it comes to it, and misses nothing that is not deleted."""
    monkeypatch.setattr(mr.aws.s3, "PAGE", 10)
    wanted = sorted(f"a/{number % 12}/{number}" for number in range(35))
    for name in wanted:
        store.write(name, b"")
    asked()

    listing = store.list("a/")
    assert asked() == {}
    next(listing)
    assert asked() == {"ListObjectsV2": 1}
    assert names(store.list()) == wanted
    assert asked() == {"ListObjectsV2": 4}
    assert len(store.list_level("a/")[0]) == 12
    store.delete_all(entry.name for entry in store.list())
    assert list(store.list()) == []


# Reading on.


@pytest.mark.parametrize("kind", ["cut", "reset"])
@pytest.mark.parametrize("piece", [-1, 50_000])
def test_broken_connections(proxy, behind, kind, piece):
    """Reading goes on where a connection broke, as long as some bytes come now and then."""
    behind.write("a", DATA)
    proxy.faults += [Fault(kind, after) for after in [0, 0, 1, 0, *[300_000] * 8, 0, 0]]

    with behind.open("a", start=7, end=2_900_000) as reader:
        got = b"".join(iter(lambda: reader.read(piece), b""))

    assert got == DATA[7:2_900_000]
    assert proxy.done[kind] == 14


@pytest.mark.parametrize(("kind", "expected"), [("cut", ShortRead), ("reset", StoreUnavailable)])
def test_no_byte_comes(proxy, behind, kind, expected):
    """When one request after the other brings no byte, the reader says so."""
    behind.write("a", DATA)
    waited = []
    store = S3Store(behind.url, sleep=waited.append)
    proxy.faults += [Fault(kind, 100_000)] + [Fault(kind)] * (len(READ_PAUSES) + 1)

    with pytest.raises(expected, match=behind.url):
        store.read("a")

    assert sorted(set(waited)) == sorted(READ_PAUSES)


class SlowTime:
    """A clock on which each request takes as long as one may, and each pause what it says."""

    REQUEST_S = 190.0

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        """Return the time in seconds."""
        return self.now_s

    def sleep(self, seconds):
        """Let time pass."""
        self.now_s += seconds

    def ask(self, **_):
        """Let a request take its time."""
        self.now_s += self.REQUEST_S


@pytest.fixture
def slow():
    """Return a clock, and a function that lets a store go by it."""
    slow_time, events = SlowTime(), []

    def slowed(store):
        events.append(client("s3").meta.events)
        events[-1].register("before-send.s3", slow_time.ask)
        return S3Store(store.url, sleep=slow_time.sleep, monotonic=slow_time)

    yield slow_time, slowed
    for one in events:
        one.unregister("before-send.s3", slow_time.ask)


#: Seconds without progress after which a task is ended.
HANG_S = Settings().hang_limit


def test_slow_answers_without_bodies(proxy, behind, slow):
    """A reader tells of S3 before its task would be ended as one that hangs."""
    slow_time, slowed = slow
    behind.write("a", DATA)
    proxy.faults += [Fault("cut", 100_000)] + [Fault("cut")] * (len(READ_PAUSES) + 1)

    with slowed(behind).open("a") as reader:
        reader.read(10)
        begun = slow_time.now_s
        with pytest.raises(StoreUnavailable, match=f"{behind.url}/a: no byte came for 180 s"):
            reader.read()

    assert slow_time.now_s - begun + READ_S < HANG_S


def test_slow_refusals_that_break(near, slow, monkeypatch):
    """So does one that is opening an object, and one that is opening it anew."""
    slow_time, slowed = slow

    def breaks(**_):
        slow_time.ask()
        raise ProtocolError("Connection broken")

    monkeypatch.setattr(client("s3"), "get_object", breaks)
    with pytest.raises(StoreUnavailable, match=f"cannot read {near.url}/a"):
        slowed(near).open("a")

    assert slow_time.now_s < HANG_S


def test_slow_conflicts(near, fake, slow):
    """So does a writer that meets others."""
    slow_time, slowed = slow
    store = slowed(near)
    fake("PutObject", *[(409, "ConditionalRequestConflict")] * 6)

    with pytest.raises(StoreUnavailable, match="at the same time"):
        store.write("a", b"ours", if_absent=True)

    assert slow_time.now_s + SlowTime.REQUEST_S < HANG_S


@pytest.mark.parametrize("change", ["replace", "delete"])
def test_changed_between_connections(proxy, behind, change):
    """A reader that has to ask again, and finds another object, gets an error, no mixture."""
    behind.write("a", DATA)
    proxy.faults.append(Fault("cut", 1_500_000))

    with behind.open("a") as reader:
        reader.read(1_000_000)
        if change == "replace":
            behind.write("a", bytes(len(DATA)))
        else:
            behind.delete("a")
        with pytest.raises(ObjectChanged):
            reader.read()


def test_closing_early(near):
    """A reader that is closed before its end keeps no connection."""
    near.write("a", DATA)
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(30):
        with near.open("a") as reader:
            reader.read(10)

    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_server_without_ranges(near, fake):
    """A server that answers with other bytes than were asked for is not believed."""
    near.write("a", b"12345")
    s3 = client("s3")

    def forget(params, **_):
        params["headers"].pop("Range", None)

    s3.meta.events.register("before-call.s3.GetObject", forget)
    try:
        assert near.read("a", end=3) == b"123"
        with pytest.raises(StoreError, match="ignores ranges"):
            near.read("a", start=2)
    finally:
        s3.meta.events.unregister("before-call.s3.GetObject", forget)


# Writing.


def test_parts(store):
    """A large object goes up in parts, and is not there before the last."""
    store = S3Store(store.url, part_bytes=SMALL_PART)
    asked()

    with store.create("a", if_absent=True) as writer:
        writer.write(TWO_PARTS)
        writer.write(TWO_PARTS)
        writer.flush()
        assert writer.tell() == 2 * len(TWO_PARTS)
        assert store.stat("a") is None

    assert asked() == {
        "CreateMultipartUpload": 1,
        "UploadPart": 3,
        "HeadObject": 1,
        "CompleteMultipartUpload": 1,
    }
    assert store.read("a", tag=writer.tag) == 2 * TWO_PARTS
    assert [entry.tag for entry in store.list()] == [writer.tag]
    assert uploads(store) == []


@pytest.mark.parametrize("size", [SMALL_PART, SMALL_PART + 1])
def test_exactly_one_part(near, size):
    """What fits into one part is one request."""
    store = S3Store(near.url, part_bytes=SMALL_PART)
    asked()

    store.write("a", bytes(size))

    assert asked() == (
        {"PutObject": 1}
        if size == SMALL_PART
        else {"CreateMultipartUpload": 1, "UploadPart": 2, "CompleteMultipartUpload": 1}
    )
    assert store.read("a") == bytes(size)


def test_writer_holds_one_part(near):
    """However large an object is, its writer holds no more than a part of it."""
    store = S3Store(near.url, part_bytes=SMALL_PART)
    store.write("warm", bytes(SMALL_PART + 1))
    piece = bytes(1 << 20)
    tracemalloc.start()
    try:
        with store.create("a") as writer:
            for _ in range(22):
                writer.write(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert store.stat("a").size == 22 << 20
    assert peak < 1.5 * SMALL_PART


def test_parts_suffice():
    """5 TiB are 10,000 parts, none of over 5 GiB, and the first ones are all alike."""
    sizes = [part_bytes(number) for number in range(1, 10_001)]

    assert sum(sizes) >= 5 << 40
    assert max(sizes) <= 5 << 30
    assert set(sizes[:1000]) == {sizes[0]}


def test_conditions_on_parts(store):
    """Of large objects, too, the first wins; the refused one leaves nothing."""
    store = S3Store(store.url, part_bytes=SMALL_PART)

    tag = store.write("a", TWO_PARTS, if_absent=True)
    with pytest.raises(ObjectExists):
        store.write("a", TWO_PARTS + b"2", if_absent=True)
    new = store.write("a", TWO_PARTS + b"3", if_match=tag)
    with pytest.raises(ObjectChanged):
        store.write("a", TWO_PARTS + b"4", if_match=tag)
    with pytest.raises(ObjectChanged):
        store.write("b", TWO_PARTS, if_match=tag)

    assert store.read("a", tag=new) == TWO_PARTS + b"3"
    assert uploads(store) == []


def test_nothing_of_a_broken_write_in_parts(store):
    """A block left by an exception takes its parts back."""
    store = S3Store(store.url, part_bytes=SMALL_PART)

    def write():
        with store.create("a") as writer:
            writer.write(TWO_PARTS)
            assert len(uploads(store)) == 1
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write()

    assert uploads(store) == []
    assert list(store.list()) == []


def test_a_failed_part_is_not_forgotten(near, fake):
    """A failed write whose error somebody swallowed still makes no object."""
    store = S3Store(near.url, part_bytes=SMALL_PART)
    fake("UploadPart", *[(500, "InternalError")] * TRIES)

    def write():
        with store.create("a") as writer:
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    writer.write(TWO_PARTS)

    with pytest.raises(StoreUnavailable, match="InternalError"):
        write()

    assert list(store.list()) == []
    assert uploads(store) == []


def test_sweep(store):
    """Uploads that nobody has finished for a day are swept, younger ones are not."""
    process = start_python(WRITER_IN_PARTS, store.url)
    assert process.stdout.readline() == "writing\n"
    kill(process)
    assert len(uploads(store)) == 1

    assert store.sweep() == 0
    later = S3Store(store.url, clock=lambda: time.time() + 25 * 3600)
    assert later.sweep() == 1
    assert later.sweep() == 0

    assert uploads(store) == []


def test_sweep_leaves_others(near):
    """Uploads beside the prefix are another's."""
    process = start_python(WRITER_IN_PARTS, near.url + "-beside")
    assert process.stdout.readline() == "writing\n"
    kill(process)

    assert S3Store(near.url, clock=lambda: time.time() + 25 * 3600).sweep() == 0


# Lost answers.


@pytest.mark.parametrize("data", [b"ours", TWO_PARTS], ids=["whole", "in parts"])
@pytest.mark.parametrize("condition", ["none", "if_absent", "if_match"])
def test_lost_answer(proxy, behind, data, condition):
    """A write that was carried out has won, although its answer was lost and the next is no."""
    conditions = {}
    if condition == "if_absent":
        conditions["if_absent"] = True
    elif condition == "if_match":
        conditions["if_match"] = behind.write("a", b"old")
    drop = Fault("drop", method="PUT") if data == b"ours" else Fault("drop", method="POST")
    asked()

    with behind.create("a", **conditions) as writer:
        writer.write(data)
        writer.flush()
        proxy.faults.append(drop)

    assert proxy.done["drop"] == 1
    assert behind.read("a", tag=writer.tag) == data
    assert uploads(behind) == []


@pytest.mark.parametrize("condition", ["if_absent", "if_match"])
def test_lost_answer_of_a_loser(proxy, behind, condition):
    """A repeated write that is refused since another was first has lost."""
    behind.write("a", b"theirs", if_absent=True)
    conditions = {"if_absent": True} if condition == "if_absent" else {"if_match": "0" * 32}
    proxy.faults.append(Fault("drop", method="PUT"))
    asked()

    with pytest.raises((ObjectExists, ObjectChanged)):
        behind.write("a", b"ours", **conditions)

    assert asked() == {"PutObject": 2, "HeadObject": 1}
    assert behind.read("a") == b"theirs"


def test_request_carried_out_twice(proxy, behind):
    """A write that the network repeats has won once."""
    proxy.faults.append(Fault("twice", method="PUT"))

    tag = behind.write("a", b"ours", if_absent=True)

    assert proxy.done["twice"] == 1
    assert behind.read("a", tag=tag) == b"ours"


@pytest.mark.parametrize("kind", ["slowdown", "refuse", "delay"])
def test_passing_trouble(proxy, behind, kind):
    """What passes is not seen."""
    proxy.faults.append(Fault(kind, seconds=0.1))
    tag = behind.write("a", b"ours", if_absent=True)
    proxy.faults.append(Fault(kind, seconds=0.1))

    assert behind.read("a", tag=tag) == b"ours"
    assert proxy.faults == []


def test_conflicts(near, fake):
    """A write that S3 will not decide, since another is under way, is tried again for a while."""
    waited = []
    store = S3Store(near.url, sleep=waited.append)
    conflict = (409, "ConditionalRequestConflict")
    fake("PutObject", *[conflict] * 3)

    store.write("a", b"ours", if_absent=True)

    assert waited == list(CONFLICT_PAUSES[:3])
    fake("PutObject", *[conflict] * 6)
    with pytest.raises(StoreUnavailable, match="at the same time"):
        store.write("b", b"ours", if_absent=True)


def test_chaos(proxy, server, monkeypatch):
    """Through a network that breaks all the time, every write wins once and every read agrees."""
    rates = Rates(
        cut=0.1, reset=0.05, slowdown=0.03, drop=0.1, delay=0.05, twice=0.05, refuse=0.05,
        seed=5, cut_within=400_000, delay_within=0.05,
    )  # fmt: skip
    url = fresh_url()
    with faulty(server.url, rates) as wild:
        use(server, monkeypatch, wild.url)
        store = S3Store(url, part_bytes=SMALL_PART, sleep=lambda _: None)
        sizes = [10, 1_000, 300_000, 2_000_000] * 8 + [SMALL_PART + 10] * 2
        tags = {}
        for number, size in enumerate(sizes):
            data = random.Random(number).randbytes(size)
            tags[f"{number}"] = store.write(f"{number}", data, if_absent=True)
            with pytest.raises(ObjectExists):
                store.write(f"{number}", b"other", if_absent=True)
        for number, size in enumerate(sizes):
            data = random.Random(number).randbytes(size)
            assert store.read(f"{number}", tag=tags[f"{number}"]) == data
        assert {entry.name: entry.tag for entry in store.list()} == tags
        store.delete_all(tags)
        assert list(store.list()) == []
    assert sum(wild.done.values()) > 20


# How objects are announced.


def test_headers():
    """A name and its first bytes say what an object is."""
    zipped = gzip.compress(b"{}")
    plain, json = "application/octet-stream", "application/json"

    assert headers_for("a", b"12") == {"ContentType": plain}
    assert headers_for("a/b.json", b"{}") == {"ContentType": json}
    assert headers_for("a.json", zipped) == {"ContentType": json, "ContentEncoding": "gzip"}
    assert headers_for("a", zipped) == {"ContentType": plain, "ContentEncoding": "gzip"}
    assert headers_for("a.json.gz", zipped) == {"ContentType": plain}
    assert headers_for("a.json", b"") == {"ContentType": json}


def test_headers_in_s3(store):
    """Objects are announced so, whatever their size; what is read are the stored bytes."""
    store = S3Store(store.url, part_bytes=SMALL_PART)
    zipped = gzip.compress(TWO_PARTS)
    store.write("small.json", gzip.compress(b"{}"))
    store.write("large.json", zipped)
    store.write("plain", b"")

    for name in ["small.json", "large.json"]:
        found = head(store, name)
        assert (found["ContentType"], found["ContentEncoding"]) == ("application/json", "gzip")
    assert head(store, "plain")["ContentType"] == "application/octet-stream"
    assert store.read("large.json") == zipped
    assert gzip.decompress(store.read("small.json")) == b"{}"
    with gzip.open(store.open("large.json")) as lines:
        assert lines.read() == TWO_PARTS


def test_headers_of_a_copy(store):
    """A copy is announced by its own name."""
    store.write("a", gzip.compress(b"{}"))

    store.copy("a", "b.json")
    store.copy("b.json", "c.json")

    for name in ["b.json", "c.json"]:
        found = head(store, name)
        assert (found["ContentType"], found["ContentEncoding"]) == ("application/json", "gzip")


def test_headers_of_a_copy_that_says_gzip(seaweed, monkeypatch):
    """Browsers must not undo the gzip of a copy whose name says it (ministack lets them)."""
    use(seaweed, monkeypatch)
    store = open_store(fresh_url())
    store.write("a", gzip.compress(b"{}"))

    store.copy("a", "b.gz")

    assert "ContentEncoding" not in head(store, "b.gz")
    assert store.read("b.gz") == store.read("a")


@pytest.mark.parametrize("target", ["b.json", "b"])
def test_copy_of_what_is_large(store, fake, monkeypatch, target):
    """What is too large for one request is copied in parts, and announced as before."""
    monkeypatch.setattr(mr.aws.s3, "COPY_PART_BYTES", SMALL_PART)
    zipped = b"\x1f\x8b" + TWO_PARTS
    store.write("a.json", zipped)
    fake("CopyObject", (400, "InvalidRequest"))
    asked()

    store.copy("a.json", target)

    assert asked()["UploadPartCopy"] == 2
    assert store.read(target) == zipped
    assert head(store, target)["ContentEncoding"] == "gzip"


def test_copy_of_what_is_large_and_gone(near, fake):
    """What is gone in the meantime is missing."""
    fake("CopyObject", (400, "InvalidRequest"))

    with pytest.raises(ObjectMissing):
        near.copy("a", "b")


# Trouble.


def test_no_bucket(near):
    """A bucket that is not there is the person's to create."""
    store = open_store("s3://no-such-bucket-here/x")

    for use_store in [
        lambda: store.read("a"),
        lambda: store.write("a", b"", if_absent=True),
        lambda: list(store.list()),
        store.list_level,
        lambda: store.copy("a", "b"),
        store.check_conditions,
    ]:
        with pytest.raises(UsageError, match=r"s3://no-such-bucket-here.*there is no such bucket"):
            use_store()


def test_wrong_secret(seaweed, monkeypatch):
    """A wrong secret is said to be wrong, and not shown."""
    use(seaweed, monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrongsecretkey")
    store = open_store("s3://tests/x")

    with pytest.raises(UsageError, match="credentials are not accepted") as raised:
        store.read("a")
    assert "wrongsecretkey" not in str(raised.value)
    with pytest.raises(StoreError, match="access is denied; check the credentials"):
        store.stat("a")


def test_no_credentials(ministack, tmp_path):
    """Without credentials a sentence says how to give them."""
    script = """
import sys
from mr.errors import UsageError
from mr.stores import open_store
try:
    open_store("s3://tests/x").read("a")
except UsageError as error:
    print(error)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment |= {
        "AWS_ENDPOINT_URL_S3": ministack.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )

    assert "s3://tests/x/a" in run.stdout
    assert "AWS_ACCESS_KEY_ID" in run.stdout


@pytest.mark.parametrize(
    ("status", "code", "expected", "words"),
    [
        (403, "AccessDenied", StoreError, "access is denied"),
        (403, "InvalidAccessKeyId", UsageError, "not accepted"),
        (400, "ExpiredToken", UsageError, "expired"),
        (403, "RequestTimeTooSkewed", UsageError, "clock"),
        (400, "AuthorizationHeaderMalformed", UsageError, "another region"),
        (403, "InvalidObjectState", StoreError, "archived"),
        (400, "KeyTooLongError", BadName, "too long"),
    ],
)
def test_refusals(near, fake, status, code, expected, words):
    """A definite no becomes a sentence that says what to do, at once."""
    # Before the second one boto3 may have looked whether the bucket is elsewhere.
    fake("GetObject", *[(status, code)] * TRIES)
    asked()

    with pytest.raises(expected, match=words) as raised:
        near.read("a")

    assert f"{near.url}/a" in str(raised.value)


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (400, "RequestTimeout")]
)
def test_lasting_trouble(near, fake, status, code):
    """What may pass, and does not for long, may be tried again later."""
    near.write("a", b"")
    for operation in ["GetObject", "PutObject", "ListObjectsV2", "DeleteObject", "DeleteObjects"]:
        fake(operation, *[(status, code)] * TRIES)

    for use_store in [
        lambda: near.read("a"),
        lambda: near.write("a", b"", if_absent=True),
        lambda: list(near.list()),
        lambda: near.delete("a"),
        lambda: near.delete_all(["a"]),
    ]:
        with pytest.raises(StoreUnavailable, match=code):
            use_store()


def test_nobody_answers(near, fake, monkeypatch):
    """A server that is not there may be there later."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")

    for use_store in [
        lambda: near.read("a"),
        lambda: near.write("a", b""),
        lambda: near.stat("a"),
        near.sweep,
    ]:
        with pytest.raises(StoreUnavailable, match="s3://tests"):
            use_store()


def test_errors_of_some_deletions(near, monkeypatch):
    """When one of many objects cannot be deleted, it is named."""
    near.write("a", b"")
    s3 = client("s3")
    denied = {"Key": near.url.removeprefix("s3://tests/") + "/a", "Code": "AccessDenied"}

    def answer(parsed, **_):
        parsed["Errors"] = [denied]

    s3.meta.events.register("after-call.s3.DeleteObjects", answer)
    try:
        with pytest.raises(StoreError, match=f"{near.url}/a: access is denied"):
            near.delete_all(["a"])
        denied["Code"] = "InternalError"
        with pytest.raises(StoreUnavailable):
            near.delete_all(["a"])
    finally:
        s3.meta.events.unregister("after-call.s3.DeleteObjects", answer)


# Servers that must be refused.


def test_fauxqs_is_refused(fauxqs, monkeypatch):
    """A server that overwrites what is there is refused before any work."""
    use(fauxqs, monkeypatch)
    store = open_store(fresh_url())

    with pytest.raises(UsageError, match="ignores if_absent"):
        store.check_conditions()

    assert list(store.list()) == []


def test_conditions_ignored_on_parts(near):
    """A server that honours conditions on small objects alone is refused as well."""
    s3 = client("s3")

    def forget(params, **_):
        params["headers"].pop("If-None-Match", None)

    s3.meta.events.register("before-call.s3.CompleteMultipartUpload", forget)
    try:
        with pytest.raises(UsageError, match="ignores if_absent for large objects"):
            near.check_conditions()
    finally:
        s3.meta.events.unregister("before-call.s3.CompleteMultipartUpload", forget)

    assert list(near.list()) == []
    assert uploads(near) == []
