"""Building and loading the compiled scanner: whole and our own, or else the plain code runs."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from hostile import joined
from kernels import decompressed
from mr.analyses.histograms import Histograms
from published import content

from mr import codecs, inline
from mr.directory import DirectoryStore
from mr.inline import RawRecord, run_inline
from mr.kernel import building, ready
from mr.kernel.building import SWITCH, build, build_here, load, object_path, write_object
from mr.kernel.layout import LARGEST_COUNT
from mr.kernel.ready import LEAST_BYTES, Ready
from mr.listing import list_blocks
from mr.mapping import map_blocks
from mr.schema import load_filter, load_schema


@pytest.fixture
def cache(tmp_path: Path, kernel_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The built code, in a person's cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(SWITCH, raising=False)
    path = object_path()
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(object_path(kernel_folder).read_bytes())
    path.chmod(0o600)
    return path


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, kernel_folder: Path) -> list[int]:
    """Grows with each build, which is a fast one here."""
    built = []
    code = object_path(kernel_folder).read_bytes()[32:]

    def compiled() -> bytes:
        built.append(1)
        time.sleep(0.2)
        return code

    monkeypatch.setattr(building, "_compiled", compiled)
    return built


def write(path: Path, data: bytes) -> None:
    """Write the file anew, as a build does."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    new.replace(path)


def spoil(path: Path, how: str) -> None:
    """Do to a file what must not be loaded."""
    data = path.read_bytes()
    if how == "corrupt":
        data = data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]
    elif how == "truncated":
        data = data[:-1]
    elif how == "longer":
        data += b"\0"
    elif how == "empty":
        data = b""
    elif how == "digest only":
        data = data[:32]
    write(path, data)
    if how == "others may write":
        path.chmod(0o602)
    elif how == "the group may write":
        path.chmod(0o620)
    elif how == "of somebody else":
        if os.geteuid():
            pytest.skip("only root can give files away")
        os.chown(path, 12345, -1)


@pytest.mark.parametrize(
    "how",
    [
        "corrupt",
        "truncated",
        "longer",
        "empty",
        "digest only",
        "others may write",
        "the group may write",
        "of somebody else",
    ],
)
def test_code_that_is_not_whole_or_not_ours_is_built_again(cache, builds, how):
    """It is not loaded, and the next build replaces it."""
    assert load() is not None
    spoil(cache, how)
    assert load() is None
    build_here(None)
    assert len(builds) == 1
    assert load() is not None
    build_here(None)
    assert len(builds) == 1


@pytest.mark.parametrize("how", ["others may write", "of somebody else"])
def test_code_in_a_folder_of_others_is_not_loaded(cache, builds, how):
    """Who may write to the folder may replace the file; so nothing is built there either."""
    if how == "of somebody else":
        if os.geteuid():
            pytest.skip("only root can give folders away")
        os.chown(cache.parent, 12345, -1)
    else:
        cache.parent.chmod(0o777)
    assert load() is None
    with pytest.raises(PermissionError):
        build_here(None)
    assert not builds
    assert not build()


def test_of_several_who_build_at_once_one_does(cache, builds):
    """The others wait, and find it built."""
    cache.unlink()
    threads = [threading.Thread(target=build_here, args=(None,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert load() is not None


def test_where_nothing_can_be_written_nothing_is_built(tmp_path, kernel_folder, capfd):
    """The answer is no, and nothing is said."""
    (tmp_path / "file").touch()
    assert not build(tmp_path / "file" / "kernel")
    assert load(tmp_path / "file" / "kernel") is None
    assert capfd.readouterr() == ("", "")


def test_a_build_that_was_killed_leaves_nothing(cache, builds, capfd):
    """Its unfinished file is gone with the next build."""
    cache.unlink()
    cache.with_name(f"{cache.name}-123").touch()
    assert not build(timeout_seconds=0.01)
    assert capfd.readouterr() == ("", "")
    build_here(None)
    assert sorted(left.suffix for left in cache.parent.iterdir()) == [".lock", ".o"]


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(tmp_path, monkeypatch):
    """What was written until then is removed."""
    monkeypatch.setattr(building, "_compiled", lambda: b"code")
    path = tmp_path / "code.o"
    path.mkdir()
    with pytest.raises(OSError, match=r"code\.o"):
        write_object(path)
    assert list(tmp_path.iterdir()) == [path]
    path.rmdir()
    write_object(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == hashlib.sha256(b"code").digest() + b"code"
    assert path.stat().st_mode & 0o777 == 0o600


# --- when it is used ---


def test_a_person_can_switch_it_off(cache, monkeypatch):
    """Whatever was built."""
    monkeypatch.setenv(SWITCH, "0")
    assert load() is None
    assert Ready().functions(10**9) is None
    cache.unlink()
    assert not build()
    assert not cache.exists()


def test_small_tasks_do_without_it(cache, monkeypatch):
    """Loading takes longer than it saves, unless the person says otherwise."""
    assert Ready().functions(LEAST_BYTES - 1) is None
    assert Ready().functions(LEAST_BYTES) is not None
    monkeypatch.setenv(SWITCH, "1")
    assert Ready().functions(0) is not None


def test_a_task_takes_it_up_once_it_is_built(cache, builds, monkeypatch):
    """Nobody waits for it, and who looked too early looks again."""
    monkeypatch.setattr(ready, "LOOK_S", 0)
    cache.unlink()
    one = Ready()
    assert one.functions(LEAST_BYTES) is None
    build_here(None)
    found = one.functions(LEAST_BYTES)
    assert found is not None
    assert one.functions(LEAST_BYTES) is found


@pytest.fixture
def without(tmp_path: Path, environment: dict[str, str]):
    """An environment whose Python has not got a package, and an empty cache."""

    def environment_without(package: str) -> dict[str, str]:
        blocked = tmp_path / "blocked" / package
        blocked.mkdir(parents=True)
        (blocked / "__init__.py").write_text(f"raise ImportError('no {package} here')\n")
        return {
            **environment,
            "PYTHONPATH": str(blocked.parent),
            "XDG_CACHE_HOME": str(tmp_path / "empty"),
            SWITCH: "1",
        }

    return environment_without


TRY = """
from mr.kernel.building import build, load
print(build(), load())
"""


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_without_its_packages_the_plain_code_runs(without, package, tmp_path):
    """Nothing is built, nothing is said, and jobs give the same."""
    environment = without(package)
    tried = subprocess.run([sys.executable, "-c", TRY], env=environment, capture_output=True)
    assert tried.stdout.split() == [b"False", b"None"]
    assert tried.stderr == b""
    (tmp_path / "block.log").write_bytes(joined([b'id\t{"info":{"OS":"a"}}'] * 10))
    done = subprocess.run(
        [sys.executable, "-m", "mr.cli.main", "run", "os_distribution", "block.log", "--quiet"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [["a", 10]]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What would have been run to build."""
    found = []

    def note(command: list[str], **options: object) -> None:
        found.append((command, options))

    monkeypatch.setattr(building.subprocess, "run", note)
    monkeypatch.setattr(building.subprocess, "Popen", note)
    return found


def test_modules_in_the_folder_at_hand_do_not_get_into_a_build(tmp_path, monkeypatch, begun):
    """A person's folder may hold a module of any name; the build has its own."""
    (tmp_path / "numba.py").touch()
    monkeypatch.delenv(SWITCH)
    monkeypatch.chdir(tmp_path)
    assert not build(Path("kernel"))
    ((command, options),) = begun
    assert not (Path(options["cwd"]) / "numba.py").exists()
    assert command[-1] == str(tmp_path / "kernel")


def test_code_that_cannot_be_compiled_is_tried_once(tmp_path, monkeypatch, begun):
    """What takes seconds to fail is not begun again by each job; by hand it may be."""
    monkeypatch.delenv(SWITCH)

    def fail():
        raise RuntimeError("no such thing")

    with monkeypatch.context() as patch:
        patch.setattr(building, "_compiled", fail)
        with pytest.raises(RuntimeError):
            build_here(tmp_path / "kernel")
    assert not build(tmp_path / "kernel")
    assert begun == []

    with monkeypatch.context() as patch:
        patch.setattr(building, "_compiled", lambda: b"code")
        build_here(tmp_path / "kernel")
    assert object_path(tmp_path / "kernel").exists()
    assert list((tmp_path / "kernel").glob("*.failed")) == []


def test_a_longer_job_builds_it_meanwhile(cache, begun):
    """A short one does not, nor does one for which it is there."""
    building._begin()
    cache.unlink()
    with building.building(after_seconds=3600):
        pass
    assert not begun
    with building.building(after_seconds=0):
        while not begun:
            time.sleep(0.01)


def test_a_job_gives_the_same_with_it_and_without(cache, command, environment, damaged_tree):
    """Result and account of bad input are the same."""
    answers = []
    for switch in ("0", "1"):
        environment[SWITCH] = switch
        report = cache.parent / f"report-{switch}.json"
        answer = command(
            "run", "os_distribution", damaged_tree.path, "--report", report,
            "--max-bad-records", "100%", "--quiet",
        )  # fmt: skip
        assert answer.code == 0, answer.err
        facts = json.loads(report.read_text())
        answers.append((answer.rows, {name: facts[name] for name in facts if "bad" in name}))
    assert answers[0] == answers[1]
    assert answers[0][0]


def test_what_does_not_fit_into_a_sheet_is_published_all_the_same(
    cache, command, environment, tmp_path
):
    """A record of garbage, or many of them, end no job: the counts are added up exactly."""

    def line(name, *counts):
        numbers = ",".join(map(str, (*counts, 5, 1.5, 2.5, -1, -1)))
        info = '{"OS":"a","version":"1","arch":"x","revision":"r"}'
        return f'id\t{{"info":{info},"histograms":{{"{name}":[{numbers}]}}}}'.encode()

    lines = [
        *(line("GC_MS", count, 0, 0) for count in (2**40, 2**39 + 1, 2**39 + 1, LARGEST_COUNT)),
        *[line("CYCLE_COLLECTOR", LARGEST_COUNT, 0, -LARGEST_COUNT)] * 300,
        *(line("A11Y_CONSUMERS", *[1] * buckets) for buckets in (9_999, 10_000, 10_001)),
    ]
    name = "idle_daily/Firefox/nightly/22.0a1/20130101000000.20130102.v2.log.a"
    block = tmp_path / "blocks" / name
    block.parent.mkdir(parents=True)
    block.write_bytes(joined(lines))
    folders = []
    for switch in ("0", "1"):
        environment[SWITCH] = switch
        folders.append(tmp_path / switch)
        answer = command("run", "histograms", tmp_path / "blocks", "-o", folders[-1], "--quiet")
        assert answer.code == 0, answer.err
    plain, compiled = map(content, folders)
    assert plain == compiled
    assert any(str(2**41 + 2 + LARGEST_COUNT) in text.decode() for text in plain.values())


def test_histograms_are_published_the_same_with_it_and_without(
    cache, command, environment, damaged_tree, tmp_path
):
    """To the last byte: sums are exact however they are added up."""
    folders = []
    for switch in ("0", "1"):
        environment[SWITCH] = switch
        folders.append(tmp_path / switch)
        answer = command(
            "run", "histograms", damaged_tree.path, "-o", folders[-1],
            "--max-bad-records", "100%", "--quiet",
        )  # fmt: skip
        assert answer.code == 0, answer.err
    plain, compiled = map(content, folders)
    assert len(plain) > 100
    assert compiled == plain


def test_histograms_are_published_the_same_when_it_is_ready_within_a_block(
    functions, tree, tmp_path, monkeypatch
):
    """What plain code has begun the scanner goes on with."""
    monkeypatch.setattr(codecs, "OUTPUT_BYTES", 100_000)
    schema = load_schema()
    records = [
        RawRecord(record_id.decode(), raw, block.dimensions)
        for block in list_blocks([str(tree.path)], schema, load_filter(None, schema)).blocks
        for line in decompressed(Path(block.store_url, block.key)).splitlines()
        for record_id, _, raw in [line.partition(b"\t")]
    ]
    folders = []
    for chunks in (0, 1, 7, 10**9):
        ready = itertools.chain(itertools.repeat(None, chunks), itertools.repeat(functions))
        mapped = partial(map_blocks, compiled=ready.__next__)
        monkeypatch.setattr(inline, "map_blocks", mapped)
        folders.append(tmp_path / str(chunks))
        run_inline(Histograms, records, output=DirectoryStore(folders[-1], durable=False))
    scanned, *others = map(content, folders)
    assert len(scanned) > 100
    assert all(other == scanned for other in others)
