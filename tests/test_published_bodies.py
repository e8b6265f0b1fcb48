"""Bodies of published files: gzipped in a remote store, plain in a directory, read back as both."""

import gzip
import json
import os
from pathlib import Path

import pytest
from conformance import check_published
from conftest import JOBS
from hypothesis import given
from hypothesis import strategies as st
from mr.analyses.histograms import Histograms
from published import content, payload, times, versions, write_block, write_definitions
from remote import RemoteDirectory

import mr.histograms
from mr.aws.clients import client
from mr.directory import DirectoryStore
from mr.errors import FormatError, UsageError
from mr.histograms.bodies import body_of, packing, pieces, read_body
from mr.histograms.document import write_document
from mr.histograms.folders import read_json, read_versions
from mr.inline import Manner, run_inline
from mr.parts import read_result
from mr.spec import read_spec
from mr.stores import open_store
from mr.testing import ping

GZIP = b"\x1f\x8b"

#: A record of each of three days.
DAYS = [
    ping(payload(TIMES=times(day)), dimensions={"submission_date": f"2013030{day}"})
    for day in range(1, 4)
]


def publish(store: DirectoryStore, records, folder: Path) -> None:
    """Publish records in this process."""
    parameters = {"definitions": [str(write_definitions(folder))]}
    run_inline(Histograms, records, Manner(), parameters, store)


def test_a_remote_folder_is_gzipped_where_the_client_reads(tmp_path):
    """Every JSON file that it reads, without a time or a name; lists stay text."""
    publish(RemoteDirectory(tmp_path / "far"), DAYS, tmp_path)
    publish(DirectoryStore(tmp_path / "near"), DAYS, tmp_path)

    far, near = tmp_path / "far", tmp_path / "near"
    folder = far / versions(far)["nightly/22"]
    files = [far / "versions.json", *folder.glob("*.json")]
    assert len(files) == 1 + 4 + 2 * 2
    for path in files:
        data = path.read_bytes()
        assert data.startswith(GZIP)
        # No flags, and so no name; no time.
        assert data[3:8] == bytes(5)
        json.loads(gzip.decompress(data))
    assert not (folder / "FILES_PROCESSED").read_bytes().startswith(GZIP)
    assert not (far / "FILES_PROCESSED").read_bytes().startswith(GZIP)
    # Packed once.
    states = list((folder / "state").rglob("*.zst"))
    assert len(states) == 3
    assert not any(path.read_bytes().startswith(GZIP) for path in states)
    assert not any(path.read_bytes().startswith(GZIP) for path in near.rglob("*.json"))
    assert content(far) == content(near)
    assert check_published(far) == check_published(near)


def test_the_same_content_has_the_same_bytes(tmp_path):
    """Twice the same, but for folders' names."""
    for name in ("one", "other"):
        publish(RemoteDirectory(tmp_path / name), DAYS[:1], tmp_path)

    one, other = (
        {
            path.name: path.read_bytes()
            for path in (tmp_path / name / versions(tmp_path / name)["nightly/22"]).glob("*-*.json")
        }
        for name in ("one", "other")
    )
    assert one == other
    assert len(one) == 5


def test_updates_go_on_whatever_the_base_is(tmp_path):
    """Near on far on near: as where a bucket was copied to a folder, or back."""
    for day, kind in enumerate((DirectoryStore, RemoteDirectory, DirectoryStore), 1):
        publish(kind(tmp_path / "out"), DAYS[:day], tmp_path)
        is_packed = (tmp_path / "out/versions.json").read_bytes().startswith(GZIP)
        assert is_packed == kind.is_remote
        check_published(tmp_path / "out")
    publish(DirectoryStore(tmp_path / "whole"), DAYS, tmp_path)

    assert content(tmp_path / "out") == content(tmp_path / "whole")
    # The base is read from the far kind, too.
    publish(RemoteDirectory(tmp_path / "out"), DAYS, tmp_path)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_document_is_plain_whatever_the_bodies_are(tmp_path):
    """The same bytes from both, but for the folder's name."""
    documents = []
    for kind in (DirectoryStore, RemoteDirectory):
        root = tmp_path / kind.__name__
        publish(kind(root), DAYS, tmp_path)
        with (tmp_path / "merged.json").open("wb") as file:
            write_document(kind(root), file)
        data = (tmp_path / "merged.json").read_bytes()
        documents.append(data.replace(versions(root)["nightly/22"].encode(), b"FOLDER"))

    assert documents[0] == documents[1]
    assert set(json.loads(documents[0])["nightly/22"]["by-build-date"]["TIMES"]) == {"20130226"}


def test_reading_a_remote_folder(tmp_path):
    """By the same functions."""
    publish(RemoteDirectory(tmp_path / "out"), DAYS, tmp_path)

    version = mr.histograms.open(tmp_path / "out")["nightly/22"]
    assert version.histogram("TIMES").count == 1 + 2 + 3
    assert version.coverage["records"]["read"] == 3
    assert version.filters["OS"] == ["WINNT"]


def test_a_bucket_announces_its_bodies(ministack, monkeypatch, tmp_path):
    """Type and encoding of each JSON file; what it holds is what a folder does; updates go on."""
    for name, value in ministack.environment.items():
        monkeypatch.setenv(name, value)
    s3 = client("s3")
    s3.create_bucket(Bucket="published")
    store = open_store("s3://published/here")
    publish(store, DAYS[:2], tmp_path)
    publish(store, DAYS, tmp_path)
    publish(DirectoryStore(tmp_path / "near"), DAYS, tmp_path)
    versions_file = store.stat("versions.json")
    folder = json.loads(read_body(store, versions_file.name))["nightly/22"]

    for entry in [versions_file, *store.list(f"{folder}/")]:
        if entry.name.endswith(".json") and "/state/" not in entry.name:
            found = s3.get_object(Bucket="published", Key=f"here/{entry.name}")
            assert (found["ContentType"], found["ContentEncoding"]) == ("application/json", "gzip")
        # The bucket as a folder.
        (tmp_path / "far" / entry.name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "far" / entry.name).write_bytes(store.read(entry.name))
    for name in ("FILES_PROCESSED", "FILES_MISSING"):
        (tmp_path / "far" / name).write_bytes(store.read(name))
    assert content(tmp_path / "far") == content(tmp_path / "near")
    assert check_published(tmp_path / "far") == check_published(tmp_path / "near")
    read = mr.histograms.open("s3://published/here")["nightly/22"]
    assert read.histogram("TIMES").count == 1 + 2 + 3


JSON = st.recursive(st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)


@given(data=JSON | st.binary(max_size=3), cuts=st.lists(st.integers(1, 50), max_size=5))
def test_what_is_written_is_read(tmp_path_factory, data, cuts):
    """Whole, or by and by; nearby, or remote; anything that does not begin as gzip does."""
    folder = tmp_path_factory.mktemp("bodies")
    if data.startswith(GZIP):
        return
    for store in (DirectoryStore(folder, durable=False), RemoteDirectory(folder)):
        store.write("a.json", body_of(store, data))
        file = packing(lambda name: (folder / name).open("wb"), store)("b.json")
        rest = data
        for cut in cuts:
            file.write(rest[:cut])
            rest = rest[cut:]
        file.write(rest)
        file.close()

        assert read_body(store, "a.json") == read_body(store, "b.json") == data
        for name in ("a.json", "b.json"):
            assert store.read(name).startswith(GZIP) == store.is_remote


def test_a_body_is_read_in_bounded_pieces(tmp_path):
    """However well it was packed."""
    store = RemoteDirectory(tmp_path)
    store.write("a.json", body_of(store, b" " * 10**7))

    sizes = [len(piece) for piece in pieces(store, "a.json")]

    assert sum(sizes) == 10**7
    assert max(sizes) < 10**6


WHOLE = gzip.compress(b'{"nightly/22": "x"}', mtime=0)


@pytest.mark.parametrize(
    "data",
    [WHOLE[:-1], WHOLE[:12], WHOLE[:2], WHOLE[:-6] + b"dama" + WHOLE[-2:], WHOLE + b"more", GZIP],
)
def test_damaged_gzip_is_told(tmp_path, data):
    """By those who plan, who read a base, who copy, who read: as damage of a plain body is."""
    store = RemoteDirectory(tmp_path)
    store.write("versions.json", data)
    store.write("x/state/folder.json", data)

    with pytest.raises(UsageError, match="is no JSON"):
        read_versions(store)
    with pytest.raises(FormatError, match="is damaged"):
        read_json(store, "versions.json")
    with pytest.raises(FormatError, match="is damaged"):
        mr.histograms.folders.read_info(store, "x")
    with pytest.raises(FormatError, match="is damaged"):
        write_document(store, (tmp_path / "document").open("wb"))
    with pytest.raises(UsageError, match="is broken"):
        mr.histograms.open(tmp_path)


def test_members_may_follow_each_other(tmp_path):
    """As some programs write."""
    store = DirectoryStore(tmp_path)
    store.write("a.json", gzip.compress(b"[1,", mtime=0) + gzip.compress(b"2]"))

    assert read_json(store, "a.json") == [1, 2]


@pytest.fixture
def far(environment, tmp_path):
    """All directories are remote to the processes that run tasks."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(
        "import sys\n"
        "if 'mr.child' in sys.orig_argv:\n"
        "    from mr.directory import DirectoryStore\n"
        "    DirectoryStore.is_remote = True\n"
    )
    paths = [str(tmp_path / "site"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def test_a_whole_job_with_far_stores(command, tmp_path, far):
    """Blocks read ahead, runs opened together, bodies gzipped; a document, an update."""
    tree = tmp_path / "tree"
    for number in range(30):
        write_block(tree, [payload(TIMES=times(number))] * 3, number=number)
    options = ["--definitions", write_definitions(tmp_path), "--reducers", 3]
    options += ["--split-size", "2KB"]

    for count in (1, 2):
        answer = command("run", "histograms", tree, "-o", "out/", *options)
        assert answer.code == 0, answer.err
        assert check_published(tmp_path / "out").submissions == 2 * 3 * (29 + count)
        write_block(tree, [payload(TIMES=times(1))] * 3, number=77)
    merged = command("run", "histograms", tree, *options)

    assert (tmp_path / "out/versions.json").read_bytes().startswith(GZIP)
    folder = tmp_path / "out" / versions(tmp_path / "out")["nightly/31"]
    rows = json.loads(gzip.decompress((folder / "TIMES-by-build-date.json").read_bytes()))
    one = json.loads(merged.out)["nightly/31"]
    assert one["by-build-date"]["TIMES"] == rows
    assert rows["20140601"][0][0] == 3 * (sum(range(30)) + 1)


def test_results_of_far_stores_are_those_of_near_ones(command, tree, store, tmp_path, request):
    """Maps, reduces and the merge of parts, which may come in turn: the same items."""
    analyses = ["os_distribution", JOBS / "map_only.py", JOBS / "regrouped.py"]
    runs = [["run", one, tree.path, "--split-size", "500KB", "--reducers", 5] for one in analyses]
    near = [command(*arguments) for arguments in runs]
    request.getfixturevalue("far")
    far = [command(*arguments) for arguments in runs]

    assert {answer.code for answer in near + far} == {0}, far
    assert [answer.out for answer in far] == [answer.out for answer in near]
    jobs = RemoteDirectory(store)
    for path in store.glob("jobs/*"):
        spec = read_spec(jobs, path.name)
        found = list(read_result(jobs, spec, tmp_path))
        assert found == list(read_result(DirectoryStore(store), spec, tmp_path))
        assert found
    assert jobs.opened
    assert jobs.still_open == 0
