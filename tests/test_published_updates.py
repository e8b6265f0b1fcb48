"""Updates of a published folder: racing, dying at any write, hostile and broken surroundings."""

import hashlib
import json
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from conformance import check_published
from hypothesis import given
from hypothesis import strategies as st
from mr.analyses.histograms import Histograms
from published import content, payload, times, versions, write_definitions

from mr import attempts, inline
from mr.attempts import Attempt
from mr.blocks import BlockList
from mr.directory import DirectoryStore
from mr.errors import AnalysisError, FormatError, PlanAgain, StoreUnavailable, UsageError
from mr.histograms import swapping
from mr.histograms.filters import FilterTree, escaped, path_id, tree_paths, unescaped
from mr.histograms.placing import Place, place_of
from mr.histograms.swapping import remove_old, swap, write_root_lists
from mr.histograms.updates import plan_update
from mr.inline import Manner, run_inline
from mr.publishing import Commits, InputBlocks
from mr.schema import load_schema
from mr.testing import ping

PATH = ("saved_session", "Firefox", "Linux", "3.1", "x86")


def record(first: int, **dimensions: str):
    """A record of TIMES."""
    return ping(payload(TIMES=times(first)), dimensions=dimensions)


def publish(store: DirectoryStore, records, folder: Path, **parameters) -> None:
    """Publish records in this process."""
    definitions = [str(write_definitions(folder))]
    run_inline(Histograms, records, Manner(), {"definitions": definitions, **parameters}, store)


class Dying(DirectoryStore):
    """Fails at the n-th write or deletion, and at every one after it."""

    def __init__(self, path: Path, lives: int, *, is_remote: bool = False) -> None:
        super().__init__(path, durable=False)
        self.lives = lives
        self.is_remote = is_remote

    def _die(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise StoreUnavailable("the store has died")

    def create(self, name, **conditions):
        """Die, or write."""
        self._die()
        return super().create(name, **conditions)

    def delete(self, name):
        """Die, or delete."""
        self._die()
        super().delete(name)


def test_dying_at_any_write_leaves_the_old_state_and_is_repeated(tmp_path):
    """Whatever was the last write: readers see the old files or the new ones, and a repeat ends."""
    old = [record(1), record(2, submission_date="20130302")]
    new = [*old, record(5, submission_date="20130303"), record(7, appUpdateChannel="beta")]
    with tempfile.TemporaryDirectory() as name:
        fresh = DirectoryStore(name, durable=False)
        publish(fresh, old, tmp_path)
        before = content(Path(name))
        publish(fresh, new, tmp_path)
        after = content(Path(name))
    lives = died = 0
    while True:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            publish(DirectoryStore(root, durable=False), old, tmp_path)
            # Every other time as in a bucket, on top of plain files.
            store = Dying(root, lives, is_remote=lives % 2 == 1)
            with suppress(StoreUnavailable):
                publish(store, new, tmp_path)
            live = {key: data for key, data in content(root).items() if ":" in key}
            expected = before if len(versions(root)) == 1 else after
            assert live == {key: data for key, data in expected.items() if ":" in key}
            publish(DirectoryStore(root, durable=False), new, tmp_path)
            assert content(root) == after
            check_published(root)
        if store.lives >= 0:
            break
        died += 1
        lives += 1
    assert died > 15


def plan(store, records, **options):
    """A plan over the blocks of some records, as the analysis makes it."""
    blocks = []

    class Spy(Histograms):
        def prepare(self, found, output):
            blocks.extend(found)
            return super().prepare(found, output)

    with tempfile.TemporaryDirectory() as name:
        run_inline(Spy, records, Manner(), {}, DirectoryStore(name, durable=False))
    return plan_update(
        InputBlocks(BlockList.of(blocks)), store, **{"rebuild": False, "keep": 1, **options}
    )


def test_of_two_publishers_of_one_version_the_second_is_told(tmp_path):
    """Its base is no longer live; publishers of different versions do not disturb each other."""
    store = DirectoryStore(tmp_path / "out")
    publish(store, [record(1)], tmp_path)
    first = plan(store, [record(2, submission_date="20130302")])
    second = plan(store, [record(3, submission_date="20130303")])
    other = plan(store, [record(4, appUpdateChannel="beta")])

    swap(store, first)
    with pytest.raises(PlanAgain, match=r"nightly/22 .* was published by another run meanwhile"):
        swap(store, second)
    swap(store, other)
    # Once more does no harm.
    swap(store, first)

    assert versions(tmp_path / "out") == {
        "beta/22": other.folders["beta/22"].folder,
        "nightly/22": first.folders["nightly/22"].folder,
    }
    names = [one.folders["nightly/22"].folder for one in (first, second)]
    assert names[0] != names[1]
    assert min(names) > first.folders["nightly/22"].base


def test_an_update_that_others_have_built_on_is_done(tmp_path):
    """A publisher that wakes up late finds its folder in the live one's past."""
    store = DirectoryStore(tmp_path / "out")
    publish(store, [record(1)], tmp_path)
    late = plan(store, [record(2, submission_date="20130302")])
    swap(store, late)
    folder = late.folders["nightly/22"].folder
    state = tmp_path / "out" / folder / "state"
    base = tmp_path / "out" / late.folders["nightly/22"].base
    for path in base.rglob("*"):
        target = tmp_path / "out" / folder / path.relative_to(base)
        if path.is_file() and path.name not in ("claim.json",):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    info = json.loads((state / "folder.json").read_bytes())
    info |= {"folder": folder, "chain": [base.name]}
    (state / "folder.json").write_text(json.dumps(info))
    publish(store, [record(1), record(9, submission_date="20130309")], tmp_path)
    live = versions(tmp_path / "out")

    swap(store, late)
    write_root_lists(store, [])
    remove_old(store, late)

    assert versions(tmp_path / "out") == live
    assert live["nightly/22"] > folder


class Watched(DirectoryStore):
    """Counts requests since the last sign of going on, as if each took long."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durable=False)
        self.quiet = self.quietest = 0
        self.deleted: list[int] = []
        self._batch = False

    def moved(self) -> None:
        """A sign of going on."""
        self.quiet = 0

    def _ask(self) -> None:
        self.quiet += 1
        self.quietest = max(self.quiet, self.quietest)

    def list(self, prefix=""):
        """Ask, and list."""
        self._ask()
        return super().list(prefix)

    def open(self, name, **options):
        """Ask, and open."""
        self._ask()
        return super().open(name, **options)

    def stat(self, name):
        """Ask, and look."""
        self._ask()
        return super().stat(name)

    def create(self, name, **conditions):
        """Ask, and write."""
        self._ask()
        return super().create(name, **conditions)

    def delete(self, name):
        """Delete; a request if it is not one of many."""
        if not self._batch:
            self._ask()
            self.deleted.append(1)
        super().delete(name)

    def delete_all(self, names):
        """Ask, and delete."""
        self._ask()
        names = list(names)
        self.deleted.append(len(names))
        self._batch = True
        super().delete_all(names)
        self._batch = False


def test_publishing_shows_that_it_goes_on(tmp_path, monkeypatch):
    """However much there is to write and to delete, few requests pass without a sign."""
    monkeypatch.setattr(swapping, "BATCH", 4)
    store = Watched(tmp_path / "out")
    records = [record(n, appUpdateChannel=name) for n, name in enumerate(("a", "b", "c", "d"))]
    publish(store, records, tmp_path)
    old = [folder for _, folder in sorted(versions(tmp_path / "out").items())]
    files = [sum(1 for _ in store.list(f"{folder}/")) for folder in old]

    def commits(*given):
        store.quiet = store.quietest = 0
        store.deleted.clear()
        return Commits(*given, moved=store.moved)

    monkeypatch.setattr(inline, "Commits", commits)
    publish(store, records, tmp_path, rebuild=True, keep=0)

    assert [
        folder for folder in old if (tmp_path / "out" / folder / "coverage.json").exists()
    ] == []
    assert sum(store.deleted) == sum(files)
    assert len(store.deleted) == sum(-(-number // 4) for number in files)
    assert store.quietest <= 8


def test_a_task_that_publishes_goes_on(tmp_path, monkeypatch):
    """What the analysis shows of its publishing is the attempt's progress."""
    monkeypatch.setattr(attempts, "unread_blocks", lambda *_: [])
    spec = SimpleNamespace(output=str(tmp_path), document=False)
    attempt = Attempt(None, SimpleNamespace(spec=spec), None, "a", tmp_path)

    class Publishes:
        def publish(self, output, commits):
            commits.moved()
            commits.moved()

    attempts._publish(attempt, Publishes(), {"coverage": {}})

    assert attempt.position.moves == 2


def test_folder_names_rise_even_if_the_clock_does_not(tmp_path):
    """A name is later than its base's, and nobody else's."""
    store = DirectoryStore(tmp_path / "out")

    def clock() -> datetime:
        return datetime(2014, 6, 9, 20, 16, 22, 5000, tzinfo=UTC)

    names = []
    for day in range(2, 5):
        found = plan(store, [record(1, submission_date=f"2013030{day}")], clock=clock)
        names.append(found.folders["nightly/22"].folder)
        swap(store, found)
        # Without a state it could not be a base.
        (tmp_path / "out" / names[-1] / "state/folder.json").write_text(
            json.dumps(
                {
                    "version": 2, "key": "nightly/22", "folder": names[-1], "base": None,
                    "chain": [], "filter": {}, "sample": None,
                }
            )
        )  # fmt: skip
        (tmp_path / "out" / names[-1] / "state/folder.jsonl.zst").write_bytes(
            zstandard.compress(b"")
        )

    assert names == [f"201406092016{second}-22-nightly" for second in (22, 23, 24)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"nightly/22": "../up"}', "is not <channel>/<version> and a folder's name"),
        ('{"nightly/22": ".."}', "is not <channel>/<version> and a folder's name"),
        ('{"nightly": "x"}', "is not <channel>/<version> and a folder's name"),
        ('{"nightly/22": 5}', "is not <channel>/<version> and a folder's name"),
    ],
)
def test_a_broken_versions_file_is_told(tmp_path, text, sentence):
    """Nothing is followed out of the folder, and nothing is overwritten."""
    store = DirectoryStore(tmp_path / "out")
    store.write("versions.json", text.encode())

    with pytest.raises(UsageError, match=sentence):
        publish(store, [record(1)], tmp_path)
    assert store.read("versions.json") == text.encode()


# Filters


@given(st.text(), st.text())
def test_escaping_keeps_components_apart(one, other):
    """An option tells its component, is no key of a node, and has no slash."""
    assert unescaped(escaped(one)) == one
    assert (escaped(one) == escaped(other)) == (one == other)
    assert escaped(one) not in ("name", "_id")
    assert "/" not in escaped(one)


def test_ids_and_tree_are_as_the_formats_say():
    """52 bits of the SHA-256 of the escaped path; a name at each node but the leaves."""
    tree = FilterTree()
    tree.add(PATH)
    tree.add((*PATH[:3], "a/b", "name"))
    root = tree.to_json()
    digest = hashlib.sha256(b"saved_session/Firefox/Linux/a%2Fb/%6Eame").digest()

    node = root["saved_session"]["Firefox"]["Linux"]["a%2Fb"]["%6Eame"]
    assert root["_id"] == path_id(()) == 0
    assert root["name"] == "reason"
    assert node == {"_id": int.from_bytes(digest[:8], "big") >> 12}
    assert dict(tree_paths(root))[PATH] == tree.id_of(PATH) == path_id(PATH)
    assert len(dict(tree_paths(root))) == 2


def test_paths_of_an_earlier_tree_keep_their_ids():
    """Also where these are not ours; and no two nodes have one id."""
    base = FilterTree()
    base.add(PATH)
    earlier = base.to_json()
    earlier["saved_session"]["Firefox"]["Linux"]["3.1"]["x86"]["_id"] = 77

    tree = FilterTree(earlier)
    tree.add((*PATH[:4], "arm"))
    assert tree.id_of(PATH) == 77
    assert dict(tree_paths(tree.to_json())) == {
        PATH: 77,
        (*PATH[:4], "arm"): path_id((*PATH[:4], "arm")),
    }
    earlier["saved_session"]["_id"] = 77
    with pytest.raises(AnalysisError, match="have one id, 77"):
        FilterTree(earlier).to_json()


@pytest.mark.parametrize(
    "tree", [{}, [], {"_id": 0, "name": "x"}, {"_id": 0, "name": "reason", "a": 1}]
)
def test_a_damaged_tree_is_told(tree):
    """A format error, whatever it is."""
    with pytest.raises(FormatError, match="filter tree is damaged"):
        FilterTree(tree)


# Places


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"appUpdateChannel": ""}, "its channel, '', cannot stand in a URL"),
        ({"appVersion": ".1"}, "its version, '.1', cannot stand in a URL"),
        ({"appBuildID": "2013"}, "its build id, '2013', does not begin with a date"),
        ({"appBuildID": "20130230000000"}, "does not begin with a date"),
    ],
)
def test_blocks_without_a_place(changed, reason):
    """The reason names the value."""
    assert reason in place_of(dimensions(**changed))


@pytest.mark.parametrize(
    ("submitted", "date"),
    [
        ("20130227", "20130227"),
        ("20130427", "20130427"),
        ("20130428", None),
        ("20130101", "20130101"),
        ("OTHER", None),
    ],
)
def test_records_count_by_submission_date_for_sixty_days(submitted, date):
    """Negative ages are kept."""
    place = place_of(dimensions(submission_date=submitted))

    assert isinstance(place, Place)
    assert place.submission_date == date
    assert (place.version, place.build_date) == ("nightly/22", "20130226")


def dimensions(**changed: str):
    """A block's dimensions."""
    values = {
        "reason": "saved_session", "appName": "Firefox", "appUpdateChannel": "nightly",
        "appVersion": "22.0a1", "appBuildID": "20130226031002", "submission_date": "20130301",
    } | changed  # fmt: skip
    return load_schema().dimensions(values.values())
