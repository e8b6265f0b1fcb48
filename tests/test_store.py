"""The directory store: the contract, and what is true of directories alone."""

import errno
import fcntl
import io
import json
import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from contracts import StoreContract, broken_write, kill, names, start_killed_writer

from mr.directory import DirectoryStore
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
from mr.stores import open_store

#: A user who may nothing (the usual number of "nobody").
NOBODY = 65534

LIMITED_WRITER = """
import json, resource, sys
from mr.errors import StoreUnavailable
from mr.stores import open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = open_store(sys.argv[1])
try:
    store.write("big", bytes(1_000_000))
except StoreUnavailable as error:
    print(json.dumps([str(error), [entry.name for entry in store.list()]]))
"""


@pytest.fixture
def root(tmp_path):
    """Return where the store lies; it is not there yet."""
    return tmp_path / "store"


@pytest.fixture
def store(root):
    """Return a store without files."""
    return DirectoryStore(root)


@pytest.fixture
def tree(root):
    """Return a folder with files that the store did not make."""
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "c").write_bytes(b"12345678")
    (root / "a" / "d").write_bytes(b"12")
    return root


@pytest.fixture
def full_disk(tmp_path):
    """Return a file system of 1 MB, mounted for this test."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def forbidden(tree):
    """Return a tree that the user of this test may neither read nor write."""
    if os.geteuid() == 0:  # permissions do not bind this user: be somebody else for a while
        os.seteuid(NOBODY)
        yield tree
        os.seteuid(0)
    else:
        tree.chmod(0)
        yield tree
        tree.chmod(0o700)


def snapshot(folder):
    """Return all paths under a folder."""
    return sorted(str(path) for path in folder.rglob("*"))


def failing(number):
    """Return a function that fails as the system does with this error."""

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fail


class TestDirectoryStore(StoreContract):
    """The directory store that brings every object to the disk."""


class TestHastyDirectoryStore(StoreContract):
    """The directory store that leaves it to the system when bytes reach the disk."""

    @pytest.fixture
    def store(self, root):
        """Return a store without files."""
        return DirectoryStore(root, durable=False)


# Durability.


@pytest.mark.parametrize(("durable", "synced"), [(True, 1), (False, 0)])
def test_durable(root, monkeypatch, durable, synced):
    """A durable store syncs each object's bytes, once, before the object is visible."""
    visible = []
    monkeypatch.setattr(os, "fsync", lambda _: visible.append((root / "a").exists()))

    DirectoryStore(root, durable=durable).write("a", b"")

    assert visible == [False] * synced


# Replacing.


def test_if_match_against_a_write_in_between(store, monkeypatch):
    """Between the check of a tag and the replacement no other write can take place."""
    tag = store.write("a", b"old")
    rename = os.rename
    lost = []

    def write_late():
        try:
            store.write("a", b"late", if_match=tag)
        except ObjectChanged:
            lost.append("late")

    late = threading.Thread(target=write_late)

    def rename_slowly(source, target):
        monkeypatch.setattr(os, "rename", rename)
        late.start()
        late.join(timeout=0.3)  # it waits for us, so this wait is in vain
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_slowly)
    store.write("a", b"early", if_match=tag)
    late.join()

    assert lost == ["late"]
    assert store.read("a") == b"early"


@pytest.mark.parametrize("error", [None, ValueError])
def test_writer_is_dead_after_its_block(store, tmp_path, error):
    """A writer that somebody kept cannot write any more, least of all into another's file."""
    kept = []
    with suppress(ValueError), store.create("a") as writer:
        kept.append(writer)
        writer.write(b"buffered")
        if error:
            raise error

    with open(tmp_path / "other", "wb", buffering=0):  # gets the number of the closed file
        assert kept[0].closed
        kept[0].close()
        with pytest.raises(ValueError, match="closed"):
            kept[0].write(b"more")

    assert (tmp_path / "other").read_bytes() == b""


# Files that are not ours.


def test_reading_creates_nothing(tree):
    """To list and read a tree of files leaves it as it was."""
    store = DirectoryStore(tree)
    before = snapshot(tree)

    assert names(store.list()) == ["a/b/c", "a/d"]
    assert names(store.list_level("a/")[1]) == ["a/d"]
    assert store.read("a/b/c") == b"12345678"
    with pytest.raises(ObjectMissing):
        store.read("a/x")
    store.delete("a/x")
    assert store.sweep() == 0

    assert snapshot(tree) == before


def test_absent_root(root, store):
    """A folder that is not there lists as empty and is not made by reading."""
    assert list(store.list()) == []
    assert store.list_level() == ([], [])
    assert store.sweep() == 0
    store.delete("a")

    assert not root.exists()


def test_links_are_followed(tree, tmp_path):
    """A link to a file or a folder counts as what it leads to."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "e").write_bytes(b"123")
    (tree / "folder").symlink_to(outside)
    (tree / "file").symlink_to(outside / "e")
    store = DirectoryStore(tree)

    sizes = {entry.name: entry.size for entry in store.list()}
    assert sizes == {"a/b/c": 8, "a/d": 2, "folder/e": 3, "file": 3}
    prefixes, entries = store.list_level()
    assert sorted(prefixes) == ["a/", "folder/"]
    assert store.read("file", tag=entries[0].tag) == store.read("folder/e") == b"123"


def test_replacing_a_link(tree, tmp_path):
    """A write under a link's name replaces the link, not the file that it leads to."""
    (tmp_path / "target").write_bytes(b"kept")
    (tree / "link").symlink_to(tmp_path / "target")

    DirectoryStore(tree).write("link", b"new")

    assert (tmp_path / "target").read_bytes() == b"kept"
    assert (tree / "link").read_bytes() == b"new"


@pytest.mark.parametrize("target", ["nowhere", "a/d/x", "lost"])
def test_links_that_lead_nowhere(tree, target):
    """A link to nothing (or to itself) is listed and then missing, so that it is noticed."""
    (tree / "lost").symlink_to(tree / target)
    store = DirectoryStore(tree)

    [entry] = store.list_level()[1]

    assert (entry.name, entry.size) == ("lost", 0)
    assert store.stat("lost") == entry
    assert names(store.list()) == ["a/b/c", "a/d", "lost"]
    with pytest.raises(ObjectMissing):
        store.open("lost")
    store.delete("lost")
    assert names(store.list()) == ["a/b/c", "a/d"]


@pytest.mark.parametrize("prefix", ["", "a/", "a/b/"])
def test_links_in_circles(tree, prefix):
    """A folder that holds itself by a link is an error, not an endless listing."""
    (tree / "a" / "b" / "up").symlink_to(tree / "a")
    with pytest.raises(StoreError, match="remove the link"):
        list(DirectoryStore(tree).list(prefix))


def test_two_ways_to_one_folder(tree):
    """A folder that is met twice, but not within itself, is listed twice."""
    (tree / "again").symlink_to(tree / "a")

    assert names(DirectoryStore(tree).list()) == ["a/b/c", "a/d", "again/b/c", "again/d"]


def test_pipes_are_no_objects(tree):
    """What is neither file nor folder is not listed, and opening it does not block."""
    os.mkfifo(tree / "pipe")
    os.mknod(tree / "socket", stat.S_IFSOCK | 0o600)
    store = DirectoryStore(tree)

    assert names(store.list()) == ["a/b/c", "a/d"]
    for name in ["pipe", "socket"]:
        assert store.stat(name) is None
        with pytest.raises(ObjectMissing):
            store.open(name)


def test_names_that_are_not_utf8(tree):
    """A file whose name is not UTF-8 is listed with surrogates, and readable by that name."""
    with open(os.fsencode(tree) + b"/bad-\xff", "wb") as file:
        file.write(b"123")
    store = DirectoryStore(tree)

    [entry] = store.list("bad")

    assert entry.name == "bad-\udcff"
    assert store.read(entry.name, tag=entry.tag) == b"123"


def test_tag_of_a_rewritten_file(tree):
    """A file that somebody else rewrites in place has a new tag."""
    store = DirectoryStore(tree)
    [before] = store.list("a/d")
    status = os.stat(tree / "a" / "d")

    (tree / "a" / "d").write_bytes(b"34")
    os.utime(tree / "a" / "d", ns=(status.st_atime_ns, status.st_mtime_ns + 1))

    with pytest.raises(ObjectChanged):
        store.open("a/d", tag=before.tag)


def test_tag_of_a_swapped_file(tree):
    """A file of equal size and time, moved over another, has another tag."""
    store = DirectoryStore(tree)
    [before] = store.list("a/d")
    status = os.stat(tree / "a" / "d")
    (tree / "new").write_bytes(b"34")
    os.utime(tree / "new", ns=(status.st_atime_ns, status.st_mtime_ns))

    os.rename(tree / "new", tree / "a" / "d")

    with pytest.raises(ObjectChanged):
        store.open("a/d", tag=before.tag)


@pytest.mark.parametrize("read_all", [True, False])
def test_file_changed_under_the_reader(tree, read_all):
    """A file rewritten in place while it is read is an error, though its size is the same."""
    path = tree / "big"
    path.write_bytes(b"o" * 1_000_000)
    os.utime(path, ns=(1, 1))

    with DirectoryStore(tree).open("big") as reader:
        reader.read(10)
        path.write_bytes(b"n" * 1_000_000)
        with pytest.raises(ObjectChanged):
            read_to_end(reader, read_all)


@pytest.mark.parametrize("read_all", [True, False])
def test_file_cut_under_the_reader(tree, read_all):
    """A file that is cut short while it is read is an error."""
    (tree / "big").write_bytes(bytes(1_000_000))

    with DirectoryStore(tree).open("big") as reader:
        reader.read(10)
        os.truncate(tree / "big", 500_000)
        with pytest.raises(ObjectChanged):
            read_to_end(reader, read_all)


@pytest.mark.parametrize("read_all", [True, False])
def test_short_read(tree, monkeypatch, read_all):
    """Fewer bytes than the file has (as a network's file system may give) may be tried again."""
    monkeypatch.setattr(os, "read", lambda *_: b"")
    monkeypatch.setattr(os, "readv", lambda *_: 0)

    with (
        DirectoryStore(tree).open("a/b/c", start=1) as reader,
        pytest.raises(ShortRead, match="7 bytes early"),
    ):
        read_to_end(reader, read_all)


def read_to_end(reader, at_once):
    """Read all at once or in pieces."""
    if at_once:
        reader.read()
    else:
        while reader.read(10_000):
            pass


# Names that a directory cannot have.


def test_unfinished_files_have_no_names(store):
    """The folder of unfinished files is neither listed nor reached by a name."""
    store.write("a", b"")

    for name in [".tmp", ".tmp/lock"]:
        with pytest.raises(BadName, match="unfinished"):
            store.read(name)
        with pytest.raises(BadName, match="unfinished"):
            store.write(name, b"")
    assert list(store.list(".tmp")) == list(store.list(".tmp/")) == []
    assert store.list_level(".tmp/") == ([], [])
    assert store.list_level() == ([], list(store.list()))


@pytest.mark.parametrize("if_absent", [True, False])
@pytest.mark.parametrize("name", ["a", "a/b/c", "a/b/c/d", "x" * 300])
def test_names_in_each_others_way(store, name, if_absent):
    """A file cannot be a folder too, nor its name be too long: a clear error, not a retry."""
    store.write("a/b", b"kept")

    with pytest.raises(BadName):
        store.write(name, b"", if_absent=if_absent)

    assert names(store.list()) == ["a/b"]
    assert names(store.list("a/b/")) == []
    assert store.list_level("a/b/") == ([], [])


# Trouble.


def test_sweep(store, root):
    """What killed writers left is removed; what living ones are writing is not."""
    dead, living = start_killed_writer(store), start_killed_writer(store)
    try:
        kill(dead)
        assert len(os.listdir(root / ".tmp")) == 2

        assert store.sweep() == 1
        assert store.sweep() == 0

        assert len(os.listdir(root / ".tmp")) == 1
    finally:
        kill(living)


def test_sweep_leaves_another_persons_files(store, root, monkeypatch):
    """What this user may not open is no reason to stop: it is its owner's to remove."""
    store.write("a", b"")
    (root / ".tmp" / "left").write_bytes(b"")
    monkeypatch.setattr(os, "open", failing(errno.EACCES))

    assert store.sweep() == 0


def test_sweep_before_a_new_file_is_locked(store, root, monkeypatch):
    """A sweep that meets a file in the moment before its lock removes it, and harms no write."""
    lock = fcntl.flock
    swept = []

    def sweep_first(descriptor, operation):
        monkeypatch.setattr(fcntl, "flock", lock)
        swept.append(store.sweep())
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)

    store.write("a", b"written", if_absent=True)

    assert swept == [1]
    assert store.read("a") == b"written"
    assert os.listdir(root / ".tmp") in ([], ["lock"])


def test_nothing_is_left(store, root):
    """Writes, whether they succeed or fail, leave no unfinished files and no open ones."""
    opened = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None
    tag = store.write("a", b"", if_absent=True)
    store.write("a", b"", if_match=tag)
    with pytest.raises(ObjectExists):
        store.write("a", b"", if_absent=True)
    with pytest.raises(ObjectChanged):
        store.write("a", b"", if_match=tag)
    with pytest.raises(ValueError, match="stop"):
        broken_write(store, "b", ValueError)
    with pytest.raises(ObjectChanged):
        store.open("a", tag="other")

    assert os.listdir(root / ".tmp") == ["lock"]
    if opened is not None:
        assert len(os.listdir("/proc/self/fd")) == opened


def test_writer_behind_a_wrapper_that_is_collected(store):
    """A wrapper whose finaliser closes the writer takes no bytes away."""
    with store.create("a") as writer:
        text = io.TextIOWrapper(writer, encoding="utf-8", write_through=True)
        text.write("é" * 10_000)
        del text

    assert store.read("a") == "é".encode() * 10_000


def test_full_disk(full_disk):
    """On a full disk a write says so, may be tried again, and leaves nothing."""
    store = DirectoryStore(full_disk / "store")
    store.write("small", b"kept")

    with pytest.raises(StoreUnavailable, match="disk is full"):
        store.write("big", bytes(3_000_000))

    assert names(store.list()) == ["small"]
    assert os.listdir(full_disk / "store" / ".tmp") == ["lock"]
    store.write("middle", bytes(500_000))
    assert store.read("small") == b"kept"


def test_full_disk_hidden_by_a_wrapper(full_disk):
    """A failed write whose error somebody swallowed still makes no object."""
    store = DirectoryStore(full_disk)

    def write_on_and_on():
        with store.create("big") as writer, suppress(StoreUnavailable):
            writer.write(bytes(3_000_000))

    with pytest.raises(StoreUnavailable, match="disk is full"):
        write_on_and_on()

    assert list(store.list()) == []


def test_file_size_limit(store):
    """A write beyond the allowed size of files says so and leaves nothing."""
    run = [sys.executable, "-c", LIMITED_WRITER, store.url]

    sentence, listed = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)

    assert "ulimit -f" in sentence
    assert "big" in sentence
    assert listed == []


@pytest.mark.parametrize(
    ("number", "function", "expected", "words"),
    [
        (errno.ENOSPC, "fsync", StoreUnavailable, "disk is full"),
        (errno.EDQUOT, "open", StoreUnavailable, "disk is full"),
        (errno.EIO, "rename", StoreUnavailable, "Input/output error"),
        (errno.EROFS, "makedirs", StoreError, "Read-only"),
    ],
)
def test_trouble_while_writing(store, root, monkeypatch, number, function, expected, words):
    """The system's errors become ours: the passing ones and the definite ones."""
    if function != "makedirs":
        store.write("first", b"")
    before = snapshot(root)
    monkeypatch.setattr(os, function, failing(number))

    with pytest.raises(expected, match=words) as raised:
        store.write("a", b"")
    monkeypatch.undo()

    assert str(root / "a") in str(raised.value)
    assert snapshot(root) == before or snapshot(root) == [*before, str(root / ".tmp" / "lock")]


def test_no_hard_links(store, monkeypatch):
    """A file system that cannot give one winner is refused by the probe, with the reason."""
    monkeypatch.setattr(os, "link", failing(errno.EPERM))

    with pytest.raises(StoreError, match="no hard links"):
        store.check_conditions()

    assert list(store.list()) == []


@pytest.mark.parametrize("function", ["open", "readv", "scandir"])
def test_trouble_while_reading(tree, monkeypatch, function):
    """A disk that does not answer may answer later."""
    store = DirectoryStore(tree)
    monkeypatch.setattr(os, function, failing(errno.EIO))

    use = (lambda: list(store.list())) if function == "scandir" else (lambda: read_one(store))
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        use()


def read_one(store):
    """Read a byte of a file of the tree."""
    with store.open("a/d") as reader:
        reader.read(1)


def test_not_permitted(forbidden):
    """What the user may not do is said in a sentence, and not tried again."""
    store = DirectoryStore(forbidden)

    with pytest.raises(StoreError, match="Permission denied"):
        store.read("a/d")
    with pytest.raises(StoreError, match="Permission denied"):
        list(store.list())
    with pytest.raises(StoreError, match="Permission denied"):
        store.write("a/d", b"")


def test_folders_removed_and_made_at_once(store):
    """Deletions that remove empty folders do not disturb writers who need them."""
    script = """
import sys
from mr.stores import open_store
store = open_store(sys.argv[1])
for number in range(300):
    name = f"a/b/c/{sys.argv[2]}"
    store.write(name, b"", if_absent=True)
    store.delete(name)
"""
    run = [sys.executable, "-c", script, store.url]
    processes = [subprocess.Popen([*run, str(number)]) for number in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]
    assert store.list_level() == ([], [])


# Which store.


def test_open_store(root, monkeypatch):
    """A path, absolute or not, and a file:// URL name a directory; so does a store's own url."""
    url = DirectoryStore(root).url
    monkeypatch.chdir(root.parent)

    for given in [str(root), "store", "./store/", f"file://{root}", f"file://localhost{root}", url]:
        assert open_store(given).url == str(root)
    assert open_store("file:///a%20b").url == "/a b"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://b", "s3://BUCKET/PREFIX"),
        ("http://x/y", "not http"),
        ("file://machine/x", "another machine"),
        ("", "empty"),
    ],
)
def test_open_store_refuses(url, words):
    """A URL of another kind is refused in a sentence."""
    with pytest.raises(UsageError, match=words):
        open_store(url)


def test_a_store_has_a_name_that_can_be_written_down(tmp_path, monkeypatch):
    """A folder whose path is not UTF-8 is refused, also when it is the current one."""
    folder = os.fsencode(tmp_path) + b"/bad-\xff"
    os.mkdir(folder)
    monkeypatch.chdir(os.fsdecode(folder))

    for path in (os.fsdecode(folder), "here"):
        with pytest.raises(UsageError, match=r"bad-\\udcff.*the name is not UTF-8; rename it"):
            DirectoryStore(path)


def test_a_file_is_no_store(tree):
    """A file is refused as a store at once."""
    with pytest.raises(UsageError, match="is a file"):
        DirectoryStore(tree / "a" / "d")
