"""What every store and every queue must do, as suites to inherit from.

A test module adds a store by a subclass of `StoreContract` with a fixture `store` (empty, and
reachable by other processes as `open_store(store.url)`), and a queue by a subclass of
`QueueContract` with the fixtures `queue` (empty) and `advance` (lets so many seconds pass).
"""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mr.errors import BadName, LeaseLost, ObjectChanged, ObjectExists, ObjectMissing, UsageError

#: Processes that write at the same time in the races.
WRITERS = 8

ODD_NAMES = ["é/日本/🦊", "a b/c\\d", "a/.hidden", "...", "-rf", "a\nb"]

BAD_NAMES = ["", ".", "..", "/", "/a", "a/", "a//b", "a/../b", "../a", "a/..", "./a", "a/./b"]
BAD_NAMES += ["a\0b", "a\ud800b"]

#: Hypothesis makes many examples of one test, which here share one store.
SHARED_STORE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)

RACER = """
import json, sys
from mr.errors import ObjectChanged, ObjectExists
from mr.stores import open_store
store, me = open_store(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
conditions = json.loads(sys.stdin.readline())
won = []
for name, condition in conditions.items():
    try:
        store.write(name, me.encode(), **condition)
        won.append(name)
    except (ObjectExists, ObjectChanged):
        pass
print(json.dumps(won))
"""

KILLED_WRITER = """
import sys, time
from mr.stores import open_store
with open_store(sys.argv[1]).create("killed") as writer:
    writer.write(bytes(1_000_000))
    writer.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


def start_python(script, *arguments):
    """Run a script in a process of its own, with pipes to its input and from its output."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start_killed_writer(store):
    """Return a process that is in the middle of writing the object "killed"."""
    process = start_python(KILLED_WRITER, store.url)
    assert process.stdout.readline() == "writing\n"
    return process


def kill(process):
    """End a process without giving it any chance to clean up."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def race(store, conditions):
    """Let processes write the same objects at once; return {name: [numbers of winners]}."""
    processes = [start_python(RACER, store.url, str(number)) for number in range(WRITERS)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write(json.dumps(conditions) + "\n")
        process.stdin.flush()
    winners = {name: [] for name in conditions}
    for number, process in enumerate(processes):
        output, _ = process.communicate()
        assert process.returncode == 0
        for name in json.loads(output):
            winners[name].append(str(number))
    return winners


def broken_write(store, name, error):
    """Leave the block that writes an object by this exception."""
    with store.create(name) as writer:
        writer.write(bytes(1_000_000))
        raise error("stop")


def names(entries):
    """Return the sorted names of a listing."""
    return sorted(entry.name for entry in entries)


class StoreContract:
    """What every store must do."""

    #: Objects that processes race for, one after the other: some of these races are close.
    RACES = 40

    # Whole objects.

    @pytest.mark.parametrize("size", [0, 1, 300, 3_000_000])
    def test_round_trip(self, store, size):
        """What was written is read, and listed with its size and tag."""
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)

        tag = store.write("a/b", data)

        assert store.read("a/b") == data
        [entry] = store.list()
        assert (entry.name, entry.size, entry.tag) == ("a/b", size, tag)

    def test_many_small_writes(self, store):
        """A writer puts pieces one after the other and knows its position."""
        with store.create("a") as writer:
            for number in range(50_000):
                writer.write(b"%d\n" % number)
            position = writer.tell()

        data = store.read("a")
        assert data.split() == [b"%d" % number for number in range(50_000)]
        assert position == len(data)

    def test_writer_cannot_seek(self, store):
        """A writer refuses to go back, so that code written on one store runs on all."""
        with store.create("a") as writer:
            writer.write(b"12345")
            assert not writer.seekable()
            with pytest.raises(OSError, match="seek"):
                writer.seek(0)
            with pytest.raises(OSError, match="first to last"):
                writer.truncate(2)

        assert store.read("a") == b"12345"

    def test_writer_closed_by_a_wrapper(self, store):
        """A wrapper that closes the writer in the block loses nothing."""
        with store.create("a") as writer:
            writer.write(b"12345")
            writer.close()

        assert store.read("a") == b"12345"

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names(self, store, name):
        """A name may hold whatever characters do not make it leave the store."""
        store.write(name, b"odd")

        assert store.read(name) == b"odd"
        assert names(store.list()) == [name]

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_bad_names(self, store, name):
        """A name that could leave the store, or that has an empty part, is refused everywhere."""
        store.write("a/b", b"")
        with pytest.raises(BadName):
            store.read(name)
        with pytest.raises(BadName):
            store.write(name, b"")
        with pytest.raises(BadName):
            store.delete(name)
        with pytest.raises(BadName):
            store.copy("a/b", name)
        with pytest.raises(BadName):
            store.copy(name, "b")

        assert names(store.list()) == ["a/b"]

    @pytest.mark.parametrize("prefix", ["/", "../", "a//", "a/../", "./", "a\0"])
    def test_bad_prefixes(self, store, prefix):
        """A prefix that no name can have is refused, not answered with nothing."""
        with pytest.raises(BadName):
            store.list(prefix)

    # Visible when complete.

    def test_invisible_until_the_block_ends(self, store):
        """An object is there when its with-block has ended, and not before."""
        with store.create("a") as writer:
            writer.write(bytes(1_000_000))
            writer.flush()
            assert list(store.list()) == []
            assert store.list_level() == ([], [])
            with pytest.raises(ObjectMissing):
                store.open("a")
            assert writer.tag == ""

        [entry] = store.list()
        assert (entry.name, entry.size) == ("a", 1_000_000)
        assert entry.tag == writer.tag != ""

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_nothing_after_an_exception(self, store, error):
        """A block left by an exception writes nothing and lets the exception through."""
        with pytest.raises(error):
            broken_write(store, "a", error)

        assert list(store.list()) == []

    def test_old_content_after_an_exception(self, store):
        """A replacement that fails leaves the object as it was."""
        tag = store.write("a", b"old")
        with pytest.raises(ValueError, match="stop"):
            broken_write(store, "a", ValueError)

        assert store.read("a", tag=tag) == b"old"

    def test_nothing_from_a_killed_writer(self, store):
        """A process that is killed (SIGKILL) in the middle of a write leaves no object."""
        process = start_killed_writer(store)
        assert list(store.list()) == []

        kill(process)

        assert list(store.list()) == []
        with pytest.raises(ObjectMissing):
            store.read("killed")
        store.write("killed", b"again", if_absent=True)
        assert store.read("killed") == b"again"

    # Conditions.

    def test_if_absent(self, store):
        """A write if absent takes place once, and afterwards changes nothing."""
        tag = store.write("a/b", b"first", if_absent=True)
        with pytest.raises(ObjectExists):
            store.write("a/b", b"second", if_absent=True)

        assert store.read("a/b", tag=tag) == b"first"

    def test_if_absent_after_deletion(self, store):
        """A deleted object is absent."""
        store.write("a/b", b"first", if_absent=True)
        store.delete("a/b")

        store.write("a/b", b"second", if_absent=True)

        assert store.read("a/b") == b"second"

    def test_if_absent_is_judged_at_the_end(self, store):
        """The one whose block ends first wins, whoever began first."""
        late = store.create("a", if_absent=True)
        late.__enter__().write(b"late")

        store.write("a", b"early", if_absent=True)

        with pytest.raises(ObjectExists):
            late.__exit__(None, None, None)

        assert store.read("a") == b"early"

    def test_if_match(self, store):
        """A write with the current tag replaces the object; one with an older tag does not."""
        first = store.write("a", b"first")
        second = store.write("a", b"other", if_match=first)
        with pytest.raises(ObjectChanged):
            store.write("a", b"third", if_match=first)

        assert store.read("a", tag=second) == b"other"

    def test_if_match_without_object(self, store):
        """A write that expects a tag fails where there is no object, and makes none."""
        tag = store.write("a/b", b"first")
        store.delete("a/b")
        with pytest.raises(ObjectChanged):
            store.write("a/b", b"second", if_match=tag)

        assert list(store.list()) == []

    def test_one_condition_only(self, store):
        """Both conditions at once make no sense and are refused."""
        with pytest.raises(ValueError, match="exclude"):
            store.write("a", b"", if_absent=True, if_match="x")

    def test_if_absent_has_one_winner(self, store):
        """Of processes that write if absent at the same time exactly one wins, with its bytes."""
        winners = race(store, {f"race/{n}": {"if_absent": True} for n in range(self.RACES)})

        contents = {name: [store.read(name).decode()] for name in names(store.list())}
        assert len(contents) == self.RACES
        assert winners == contents

    def test_if_match_has_one_winner(self, store):
        """Of processes that replace the same version exactly one wins, with its bytes."""
        tags = {f"race/{n}": store.write(f"race/{n}", b"old") for n in range(self.RACES)}

        winners = race(store, {name: {"if_match": tag} for name, tag in tags.items()})

        assert winners == {name: [store.read(name).decode()] for name in tags}

    def test_plain_writes_among_processes(self, store):
        """Processes that replace an object without condition all succeed; one content stays."""
        winners = race(store, {"deep/er/a": {}})

        assert winners == {"deep/er/a": [str(number) for number in range(WRITERS)]}
        assert store.read("deep/er/a").decode() in winners["deep/er/a"]

    def test_check_conditions(self, store):
        """A store that honours both conditions passes the probe, which leaves nothing behind."""
        store.check_conditions()

        assert list(store.list()) == []

    @pytest.mark.parametrize("ignored", ["if_absent", "if_match"])
    def test_check_conditions_refuses(self, store, monkeypatch, ignored):
        """A store that ignores a condition is refused, in a sentence that names it."""
        create = store.create

        def careless(name, **conditions):
            conditions.pop(ignored, None)
            return create(name, **conditions)

        monkeypatch.setattr(store, "create", careless)
        with pytest.raises(UsageError, match=ignored):
            store.check_conditions()

        assert list(store.list()) == []

    # Reading.

    @given(
        data=st.binary(max_size=40), start=st.integers(0, 50), length=st.none() | st.integers(0, 50)
    )
    @SHARED_STORE
    def test_ranges(self, store, data, start, length):
        """A range gives what a slice gives, also beyond the end of the object."""
        store.write("a", data)
        end = None if length is None else start + length

        assert store.read("a", start=start, end=end) == data[start:end]

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1), (3, 2)])
    def test_senseless_ranges(self, store, start, end):
        """A range that is none is a mistake of the caller's."""
        store.write("a", b"12345")
        with pytest.raises(ValueError, match="no range"):
            store.open("a", start=start, end=end)

    @pytest.mark.parametrize("piece", [1_000, 100_000, 5_000_000])
    def test_reading_in_pieces(self, store, piece):
        """An open object is read piece by piece up to the end of its range, and then gives b""."""
        data = b"".join(b"%07d\n" % number for number in range(200_000))
        store.write("a", data)

        with store.open("a", start=5, end=1_500_005) as reader:
            pieces = list(iter(lambda: reader.read(piece), b""))
            assert reader.read(1) == b""

        assert b"".join(pieces) == data[5:1_500_005]
        assert {len(got) for got in pieces[:-1]} <= {piece}

    def test_reading_lines(self, store):
        """An open object is a file of lines."""
        store.write("a", b"one\ntwo\nthree")

        with store.open("a", start=2) as reader:
            assert list(reader) == [b"e\n", b"two\n", b"three"]

    def test_two_readers(self, store):
        """Two readers of one object do not disturb each other."""
        store.write("a", b"12345678")

        with store.open("a") as one, store.open("a", start=4) as two:
            assert [one.read(2), two.read(2), one.read(), two.read()] == [
                b"12",
                b"56",
                b"345678",
                b"78",
            ]

    def test_missing(self, store):
        """An object that is not there is said to be missing, and so is a folder of objects."""
        store.write("a/b", b"")

        for name in ["c", "a", "a/b/c", "a/c"]:
            with pytest.raises(ObjectMissing):
                store.open(name)

    def test_tag_must_agree(self, store):
        """A reader that names a tag gets that content or none, even when the size is the same."""
        old = store.write("a", b"one")
        assert store.read("a", tag=old) == b"one"

        new = store.write("a", b"two")

        assert store.read("a", tag=new) == b"two"
        with pytest.raises(ObjectChanged):
            store.open("a", tag=old)

    def test_every_content_has_its_tag(self, store):
        """Rapid replacements by contents of one size all have tags of their own."""
        tags = [store.write("a", b"%03d" % number) for number in range(200)]

        assert len(set(tags)) == 200

    def test_no_mixture(self, store):
        """An object replaced under its reader gives the old bytes or an error."""
        store.write("a", b"o" * 3_000_000)

        with store.open("a") as reader:
            got = reader.read(1_000_000)
            store.write("a", b"n" * 3_000_000)
            try:
                got += reader.read()
            except ObjectChanged:
                return

        assert got == b"o" * 3_000_000

    # Listing.

    def test_empty(self, store):
        """A store with nothing in it lists as empty, at every prefix."""
        assert list(store.list()) == list(store.list("a/")) == list(store.list("a")) == []
        assert store.list_level() == store.list_level("a/") == ([], [])

    def test_prefixes(self, store):
        """A prefix is the beginning of a name, and may end in the middle of a part."""
        for name in ["a/b", "a/bc/d", "a/bc/e", "ab/c", "b"]:
            store.write(name, b"")

        assert names(store.list("a")) == ["a/b", "a/bc/d", "a/bc/e", "ab/c"]
        assert names(store.list("a/")) == ["a/b", "a/bc/d", "a/bc/e"]
        assert names(store.list("a/b")) == ["a/b", "a/bc/d", "a/bc/e"]
        assert names(store.list("a/bc/")) == ["a/bc/d", "a/bc/e"]
        assert names(store.list("a/b/")) == []
        assert names(store.list("b")) == ["b"]

    def test_levels(self, store):
        """One level has the prefixes below it and its own objects, with their sizes."""
        for name in ["a/b", "a/c/d", "a/c/e/f", "a/g/h", "i"]:
            store.write(name, name.encode())

        prefixes, entries = store.list_level("a/")

        assert sorted(prefixes) == ["a/c/", "a/g/"]
        assert [(entry.name, entry.size) for entry in entries] == [("a/b", 3)]
        assert store.read("a/b", tag=entries[0].tag) == b"a/b"

    def test_a_level_ends_in_a_slash(self, store):
        """A level named without its slash is a mistake of the caller's."""
        with pytest.raises(ValueError, match="ends in"):
            store.list_level("a")

    @given(
        wanted=st.sets(
            st.lists(st.sampled_from(["a", "b", "ab", "é"]), max_size=3).map(
                lambda folders: "/".join([*folders, "leaf"])
            ),
            max_size=12,
        ),
        cut=st.integers(0, 8),
    )
    @SHARED_STORE
    def test_listing_is_a_filter(self, store, wanted, cut):
        """A listing holds exactly the names with the prefix; the levels together hold them all."""
        for entry in store.list():
            store.delete(entry.name)
        for name in wanted:
            store.write(name, b"")

        for prefix in {name[:cut] for name in wanted}:
            assert names(store.list(prefix)) == sorted(n for n in wanted if n.startswith(prefix))
        levels, found = [""], []
        while levels:
            deeper, entries = store.list_level(levels.pop())
            levels += deeper
            found += entries
        assert names(found) == sorted(wanted)

    def test_deleting_while_listing(self, store):
        """Whoever deletes each object as it is listed meets every one."""
        for number in range(300):
            store.write(f"a/{number % 7}/{number}", b"")

        for entry in store.list():
            store.delete(entry.name)

        assert list(store.list()) == []

    # One object.

    def test_stat_says_what_a_listing_says(self, store):
        """One object's entry is that of a listing; a folder and what is not there have none."""
        for name in ["a/b", "a/bc", "é"]:
            store.write(name, name.encode())

        assert [store.stat(entry.name) for entry in store.list()] == list(store.list())
        for name in ["a", "a/b/c", "b", "never/was"]:
            assert store.stat(name) is None

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_stat_of_bad_names(self, store, name):
        """A name that no object can have is refused here too."""
        with pytest.raises(BadName):
            store.stat(name)

    # Deleting and copying.

    def test_delete(self, store):
        """A deleted object is gone; to delete it twice, or what never was, is no error."""
        store.write("a/b", b"")
        store.write("a/c", b"kept")

        store.delete("a/b")
        store.delete("a/b")
        store.delete("a/b/never")
        store.delete("never/was")

        assert names(store.list()) == ["a/c"]
        with pytest.raises(ObjectMissing):
            store.read("a/b")

    def test_delete_is_of_objects(self, store):
        """The name of a folder names no object, and deletes nothing."""
        store.write("a/b", b"kept")

        store.delete("a")

        assert store.read("a/b") == b"kept"

    def test_no_level_stays_without_objects(self, store):
        """When the last object below a level is deleted, the level is gone."""
        store.write("a/b/c", b"")
        store.delete("a/b/c")

        assert store.list_level() == ([], [])

    def test_delete_all(self, store):
        """All that are named are gone, whether they were there or not, and no others."""
        odd = ["é/日本", "a b", "a\nb", "a\rb", "a&<b>", "a\x01b"]
        for name in ["kept", "a/kept", *odd]:
            store.write(name, b"")

        store.delete_all(iter([*odd, "never/was"]))
        store.delete_all([])

        assert names(store.list()) == ["a/kept", "kept"]

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_delete_all_of_bad_names(self, store, name):
        """A name that no object can have is refused among others too."""
        with pytest.raises(BadName):
            store.delete_all(["a", name])

    def test_copy(self, store):
        """A copy has the bytes of its source and a life of its own."""
        data = bytes(range(256)) * 10_000
        store.write("a", data)
        store.write("c/d", b"replaced")

        store.copy("a", "c/d")
        store.write("a", b"new")

        assert store.read("c/d") == data
        store.delete("a")
        assert names(store.list()) == ["c/d"]

    def test_copy_to_itself(self, store):
        """An object copied to its own name keeps its bytes."""
        store.write("a", b"same")

        store.copy("a", "a")

        assert store.read("a") == b"same"

    def test_copy_of_nothing(self, store):
        """A copy of a missing object makes nothing, and leaves the target as it was."""
        store.write("b", b"kept")
        for target in ["b", "c"]:
            with pytest.raises(ObjectMissing):
                store.copy("a", target)

        assert names(store.list()) == ["b"]
        assert store.read("b") == b"kept"


class QueueContract:
    """What every queue must do."""

    def test_send_and_receive(self, queue):
        """What was sent is received once, with its bytes, and held by the receiver."""
        queue.send([b"one", b"\x00\xff two"])

        messages = take_all(queue)

        assert Counter(m.body for m in messages) == Counter([b"one", b"\x00\xff two"])
        assert {m.receives for m in messages} == {1}
        assert queue.receive(lease_s=60) == []

    def test_nothing(self, queue):
        """An empty queue gives an empty list, and takes an empty one."""
        queue.send([])

        assert queue.receive(lease_s=60) == []
        assert queue.waiting() == 0

    def test_most(self, queue):
        """No more messages come at once than were asked for."""
        queue.send([b"%d" % number for number in range(5)])

        assert len(queue.receive(lease_s=60)) == 1
        assert 1 <= len(queue.receive(most=2, lease_s=60)) <= 2

    def test_waiting(self, queue):
        """Messages wait until somebody holds them, and again when given back."""
        queue.send([b"one", b"two"])
        assert queue.waiting() == 2

        [message] = queue.receive(lease_s=60)
        assert queue.waiting() == 1

        queue.release(message)
        assert queue.waiting() == 2

    def test_acknowledged_is_gone(self, queue, advance):
        """An acknowledged message never comes again."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=10)

        queue.acknowledge(message)
        queue.acknowledge(message)
        advance(11)

        assert queue.receive(lease_s=10) == []
        assert queue.waiting() == 0

    def test_redelivery(self, queue, advance):
        """A message whose lease ran out comes again, with a new receipt and a higher count."""
        queue.send([b"one"])
        [first] = queue.receive(lease_s=10)
        assert queue.receive(lease_s=10) == []

        advance(11)
        [second] = queue.receive(lease_s=10)

        assert (second.body, second.receives) == (b"one", 2)
        assert second.receipt != first.receipt

    def test_extend(self, queue, advance):
        """An extended lease runs from the moment of its extension."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=10)
        advance(8)
        queue.extend(message, 10)
        advance(8)
        assert queue.receive(lease_s=10) == []

        queue.extend(message, 10)
        advance(11)

        assert [m.body for m in queue.receive(lease_s=10)] == [b"one"]

    def test_extend_can_shorten(self, queue, advance):
        """An extension may also let the lease end sooner."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=1000)

        queue.extend(message, 2)
        advance(3)

        assert [m.receives for m in queue.receive(lease_s=10)] == [2]

    def test_extend_after_the_end(self, queue, advance):
        """A lease that ran out cannot be extended, whether or not somebody else holds it now."""
        queue.send([b"one"])
        [first] = queue.receive(lease_s=10)
        advance(11)
        with pytest.raises(LeaseLost):
            queue.extend(first, 10)

        [second] = queue.receive(lease_s=10)

        with pytest.raises(LeaseLost):
            queue.extend(first, 10)
        queue.extend(second, 10)

    def test_extend_after_acknowledgement(self, queue):
        """Nobody holds a message that is acknowledged."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=10)
        queue.acknowledge(message)

        with pytest.raises(LeaseLost):
            queue.extend(message, 10)

    @pytest.mark.parametrize("action", ["acknowledge", "release", "dead_letter"])
    def test_stale_receipts(self, queue, advance, action):
        """Who has lost a message to another cannot acknowledge it, give it back or bury it."""
        queue.send([b"one"])
        [stale] = queue.receive(lease_s=10)
        advance(11)
        [held] = queue.receive(lease_s=10)

        if action == "dead_letter":
            queue.dead_letter(stale, "too late")
        else:
            getattr(queue, action)(stale)

        assert queue.receive(lease_s=10) == []
        queue.extend(held, 10)
        advance(11)
        assert [m.body for m in queue.receive(lease_s=10)] == [b"one"]

    def test_release(self, queue):
        """A released message is there at once."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=1000)

        queue.release(message)

        assert [m.receives for m in queue.receive(lease_s=10)] == [2]

    def test_release_with_delay(self, queue, advance):
        """A message released with a delay comes when that is over, and not before."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=1000)

        queue.release(message, delay_s=10)

        assert queue.receive(lease_s=10) == []
        advance(11)
        assert [m.receives for m in queue.receive(lease_s=10)] == [2]

    def test_dead_letter(self, queue, advance):
        """A dead letter is never delivered again."""
        queue.send([b"one", b"two"])
        messages = take_all(queue, lease_s=10)
        [dead] = [m for m in messages if m.body == b"one"]

        queue.dead_letter(dead, "it cannot be decoded")
        advance(11)

        assert [m.body for m in take_all(queue)] == [b"two"]

    def test_many_threads(self, queue):
        """Threads that share a queue and stay alive handle every message exactly once."""
        queue.send([b"%d" % number for number in range(1_000)])
        handled = [[] for _ in range(8)]

        def work(mine):
            while messages := queue.receive(most=3, wait_s=0.1, lease_s=600):
                for message in messages:
                    mine.append(message.body)
                    queue.acknowledge(message)

        run_threads([threading.Thread(target=work, args=(mine,)) for mine in handled])

        bodies = Counter(body for mine in handled for body in mine)
        assert bodies == Counter(b"%d" % number for number in range(1_000))
        assert queue.waiting() == 0

    def test_receive_wakes_on_send(self, queue):
        """A receiver that waits gets a message sent in the meantime."""
        got = []
        begun = threading.Event()

        def work():
            begun.set()
            got.extend(queue.receive(wait_s=20, lease_s=60))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        begun.wait()
        queue.send([b"one"])
        thread.join()

        assert [m.body for m in got] == [b"one"]


def take_all(queue, lease_s=600):
    """Receive until nothing comes."""
    messages = []
    while got := queue.receive(most=10, lease_s=lease_s):
        messages += got
    return messages


def run_threads(threads):
    """Run threads to their end."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
