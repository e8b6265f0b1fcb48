"""The sample data: realistic, the same for the same seed, and truly reported."""

import gzip
import hashlib
import json
import lzma
import os
import re
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from mr.errors import StoreUnavailable, UsageError
from mr.generate import (
    BAD_BLOCK_KINDS,
    BAD_RECORD_KINDS,
    UNDEFINED_MEASURES,
    generate,
)
from mr.histograms.definitions import load_definitions

PATH = re.compile(
    r"(?P<reason>\w+)/(?P<app>\w+)/(?P<channel>\w+)/(?P<version>[\w.]+)/"
    r"(?P<build>\d{14})\.(?P<submitted>\d{8})\.v2\.log\.[0-9a-f]{32}\.(lzma|xz|gz)"
)
DEEPEST = 512


# A slow plain reader, which knows nothing of the generator's.


def files_of(tree: Path) -> list[Path]:
    """Every file, in order of path."""
    return sorted(path for path in tree.rglob("*") if path.is_file())


def digest(tree: Path) -> str:
    """Of every name and every byte."""
    total = hashlib.sha256()
    for path in files_of(tree):
        total.update(str(path.relative_to(tree)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def sound_bytes(path: Path) -> bytes:
    """The lines of an undamaged block."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else lzma.decompress(data)


def salvaged_bytes(path: Path) -> bytes:
    """All that comes out of a damaged block, fed byte by byte."""
    if path.suffix == ".gz":
        return zlib.decompressobj(wbits=31).decompress(path.read_bytes())
    decompressor, out = lzma.LZMADecompressor(), []
    for byte in path.read_bytes():
        try:
            if decompressor.eof:
                decompressor = lzma.LZMADecompressor()
            out.append(decompressor.decompress(bytes([byte])))
        except lzma.LZMAError:
            break
    return b"".join(out)


def depth(value: object) -> int:
    """Levels of nesting."""
    level, deepest = [value], 0
    while level:
        nested = [item for item in level if isinstance(item, dict | list)]
        deepest += bool(nested)
        level = [
            child
            for item in nested
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest


def payload(line: bytes) -> dict | None:
    """The record's object, or None for a bad record."""

    def refuse(token: str) -> None:
        raise ValueError(token)

    try:
        _, body = line.decode("utf-8").split("\t", 1)
        value = json.loads(body, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and depth(value) <= DEEPEST else None


def records_of(tree: Path) -> Iterator[tuple[Path, dict]]:
    """Every record with its block, all of which are good."""
    for path in files_of(tree):
        for line in sound_bytes(path).splitlines():
            record = payload(line)
            assert record is not None
            yield path, record


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory):
    """Two megabytes without anything bad, and their report."""
    tree = tmp_path_factory.mktemp("ordinary")
    return tree, generate(tree, size=2_000_000, seed=1)


# The same seed


def test_same_seed_gives_same_bytes_with_any_threads_and_hash_seed(tmp_path: Path):
    """The bytes depend on the seed and the sizes alone."""
    wanted = {"size": 400_000, "seed": 7, "bad_records": 0.1, "bad_blocks": 0.3, "blocks": 20}
    one = generate(tmp_path / "one", threads=1, **wanted)
    four = generate(tmp_path / "four", threads=4, **wanted)
    script = f"from mr.generate import generate; generate({str(tmp_path / 'other')!r}, **{wanted})"
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONHASHSEED": "77"}
    )

    assert digest(tmp_path / "one") == digest(tmp_path / "four") == digest(tmp_path / "other")
    assert one.to_dict() | {"directory": ""} == four.to_dict() | {"directory": ""}


def test_lines_are_the_same_on_every_machine(tmp_path: Path):
    """The lines of a small tree have the digest they had elsewhere (a new generator renews it)."""
    generate(tmp_path, size=60_000, seed=1, blocks=3)

    lines = b"".join(sound_bytes(path) for path in files_of(tmp_path))

    assert hashlib.sha256(lines).hexdigest() == (
        "9b66733e9f7c7e01e6b614442f59702eab9496dedc8ab1cf8a3b77d9316316a8"
    )


def test_another_seed_gives_other_data(tmp_path: Path):
    """No block of one seed is found under another."""
    generate(tmp_path / "one", size=100_000, seed=1)
    generate(tmp_path / "two", size=100_000, seed=2)

    names = [{path.name for path in files_of(tmp_path / tree)} for tree in ("one", "two")]

    assert names[0]
    assert not names[0] & names[1]


# Layout and sizes


def test_blocks_lie_where_their_records_say(ordinary):
    """The path holds the record's own dimensions, cleaned, and a date 0 to 70 days after."""
    tree, report = ordinary
    seen = 0

    for path, record in records_of(tree):
        match = PATH.fullmatch(str(path.relative_to(tree)))
        info = record["info"]
        names = ("reason", "appName", "appUpdateChannel", "appVersion", "appBuildID")
        cleaned = [re.sub(r"[^a-zA-Z0-9_/.]", "_", info[name]) for name in names]
        days = datetime.strptime(match["submitted"], "%Y%m%d") - datetime.strptime(
            match["build"][:8], "%Y%m%d"
        )
        assert cleaned == list(match.group("reason", "app", "channel", "version", "build"))
        assert 0 <= days.days <= 70
        seen += 1

    assert seen == report.readable.good > 30


def test_size_is_that_of_the_lines(ordinary):
    """The lines come to about the size asked for, and the report has the exact bytes."""
    tree, report = ordinary

    raw = sum(len(sound_bytes(path)) for path in files_of(tree))

    assert report.raw_bytes == raw
    assert report.raw_bytes == pytest.approx(2_000_000, rel=0.1)
    assert report.compressed_bytes == sum(path.stat().st_size for path in files_of(tree))
    assert 24 <= report.written.blocks == len(files_of(tree)) <= 48


def test_a_few_large_blocks_hold_most_bytes(tmp_path: Path):
    """Of a larger tree, the two largest of many blocks hold more than half."""
    report = generate(tmp_path, size=8_000_000, seed=4)

    sizes = sorted(path.stat().st_size for path in files_of(tmp_path))

    assert report.written.blocks == len(sizes) > 50
    assert sum(sizes[-2:]) > sum(sizes) / 2


def test_number_of_blocks_can_be_set(tmp_path: Path):
    """Many tiny blocks are as many as asked for, each with a record; several formats are among."""
    report = generate(tmp_path, size=900_000, seed=5, blocks=300)

    files = files_of(tmp_path)

    assert len(files) == report.written.blocks == 300
    assert report.written.good >= 300
    assert report.raw_bytes < 1_200_000
    assert Counter(path.suffix for path in files).keys() == {".lzma", ".xz", ".gz"}
    first_bytes = {".lzma": b"\x5d\x00\x00", ".xz": b"\xfd7zXZ\x00", ".gz": b"\x1f\x8b\x08"}
    assert all(path.read_bytes().startswith(first_bytes[path.suffix]) for path in files)


def test_progress_counts_every_block(tmp_path: Path):
    """Progress is told the raw bytes of each block, once."""
    told: list[int] = []

    report = generate(tmp_path, size=50_000, seed=1, blocks=5, progress=told.append)

    assert len(told) == 5
    assert sum(told) == report.raw_bytes


# What records hold


def test_histograms_obey_their_definitions(ordinary):
    """Every array has its measure's buckets and five statistics, absent ones as -1."""
    tree, _ = ordinary
    known = load_definitions().definitions | UNDEFINED_MEASURES
    kinds: Counter[str] = Counter()

    for _, record in records_of(tree):
        for name, array in record["histograms"].items():
            definition = known.get(name) or known[name.removeprefix("STARTUP_")]
            bounds = definition.bounds().tolist()
            *buckets, total, log_sum, log_squares, squares_low, squares_high = array
            assert len(buckets) == len(bounds)
            assert all(isinstance(count, int) and count >= 0 for count in buckets)
            assert sum(buckets) > 0
            assert total >= sum(c * low for c, low in zip(buckets, bounds, strict=True))
            if definition.kind == "exponential":
                assert (squares_low, squares_high) == (-1, -1)
                assert log_sum >= 0
                assert log_squares >= 0
            else:
                assert (log_sum, log_squares) == (-1, -1)
                assert -(2**31) <= squares_low < 2**31
                assert squares_high >= 0
            kinds[definition.kind] += 1

    assert kinds.keys() == {"exponential", "linear", "enumerated", "boolean", "flag"}
    assert min(kinds.values()) > 100


def test_records_of_ordinary_size_have_hundreds_of_histograms(tmp_path: Path):
    """Records of tens of kilobytes hold 100 to 600 histograms, GC_MS always among them."""
    generate(tmp_path, size=1_500_000, seed=6, blocks=1)

    records = [record for _, record in records_of(tmp_path)]
    numbers = [len(record["histograms"]) for record in records]

    assert len(records) >= 20
    assert 100 < min(numbers) <= max(numbers) < 600
    assert all("GC_MS" in record["histograms"] for record in records)
    assert all(record["ver"] == 2 for record in records)
    assert all(isinstance(record["simpleMeasurements"]["js"], dict) for record in records)


def test_oddities_are_present_and_os_always_is(tmp_path: Path):
    """A few records miss arch or revision or have a number for a version; none misses its OS."""
    report = generate(tmp_path, size=2_000_000, seed=8, blocks=900)
    infos = [record["info"] for _, record in records_of(tmp_path)]

    odd = Counter(
        oddity
        for info in infos
        for oddity, found in (
            ("no arch", "arch" not in info),
            ("no revision", "revision" not in info),
            ("number", isinstance(info["version"], int | float)),
        )
        if found
    )

    assert Counter(info["OS"] for info in infos) == report.whole.by_os
    assert report.whole.by_os.keys() == {"Android", "Darwin", "Linux", "WINNT"}
    assert report.whole.by_os["WINNT"] > len(infos) / 2
    assert odd.keys() == {"no arch", "no revision", "number"}
    assert max(odd.values()) < len(infos) / 20


def test_some_ids_come_again(tmp_path: Path):
    """The report counts the good records whose id came before in the block."""
    report = generate(tmp_path, size=4_000_000, seed=9, blocks=1, record_size=4_000)
    [path] = files_of(tmp_path)

    ids = [line.split(b"\t")[0] for line in sound_bytes(path).splitlines()]

    assert len(ids) - len(set(ids)) == report.whole.repeated_ids > 0


# The truth


@pytest.mark.parametrize("seed", [1, 2])
def test_report_agrees_with_a_plain_reader(tmp_path: Path, seed: int):
    """Every count of the report is what a slow plain reader finds, whatever is damaged."""
    report = generate(
        tmp_path,
        size=3_000_000,
        seed=seed,
        blocks=40,
        bad_records=0.1,
        bad_blocks=0.25,
        record_size=15_000,
    )
    damaged = {block.path: block for block in report.bad_blocks}
    whole, readable, bad = Counter(), Counter(), 0
    dimensions: Counter[str] = Counter()

    for path in files_of(tmp_path):
        name = str(path.relative_to(tmp_path))
        block = damaged.get(name)
        if block is None or block.kind == "trailing garbage":
            garbage = 48 if block else 0
            data = path.read_bytes()
            intact = tmp_path.with_name("intact" + path.suffix)
            intact.write_bytes(data[: len(data) - garbage])
            lines = sound_bytes(intact).splitlines()
        else:
            complete = salvaged_bytes(path).split(b"\n")[:-1]
            lines = complete[: block.records_left]
            assert not any(payload(line) for line in complete[block.records_left :])
        found = [payload(line) for line in lines]
        systems = Counter(record["info"]["OS"] for record in found if record is not None)
        bad += found.count(None)
        readable += systems
        dimensions["/".join(PATH.fullmatch(name).groups()[:6])] += systems.total()
        if block is None:
            whole += systems
        else:
            assert len(lines) == block.records_left <= block.records

    assert readable == report.readable.by_os
    assert +dimensions == report.readable.by_dimensions
    assert readable.total() == report.readable.good > 80
    assert bad == sum(report.readable.bad.values()) > 0
    assert whole == report.whole.by_os
    assert report.bad_blocks_by_kind.keys() == set(BAD_BLOCK_KINDS)
    assert sum(report.bad_blocks_by_kind.values()) == 10
    assert report.written.blocks == 40
    assert report.written.records > report.readable.records > report.whole.records


def test_every_kind_of_bad_record_is_bad(tmp_path: Path):
    """With a share of 1 all lines are damaged, in all documented ways."""
    report = generate(tmp_path, size=500_000, seed=3, blocks=100, bad_records=1.0)

    lines = [line for path in files_of(tmp_path) for line in sound_bytes(path).splitlines()]

    assert report.written.bad.keys() == set(BAD_RECORD_KINDS)
    assert sum(report.written.bad.values()) == len(lines) == report.written.records >= 100
    assert report.written.good == 0
    assert not any(payload(line) for line in lines)


def test_report_is_plain_data(ordinary):
    """The report goes through JSON unchanged, and names sum to totals."""
    _, report = ordinary

    data = json.loads(json.dumps(report.to_dict()))

    assert data == report.to_dict()
    assert sum(data["whole"]["by_os"].values()) == data["whole"]["good"] > 0
    assert sum(data["whole"]["by_dimensions"].values()) == data["whole"]["good"]
    assert data["bad_blocks_by_kind"] == {}


# What cannot be done


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": 0}, "size"),
        ({"blocks": 0}, "number of blocks"),
        ({"bad_records": 1.5}, "bad records"),
        ({"bad_blocks": -0.1}, "bad blocks"),
        ({"record_size": 10}, "record size"),
    ],
)
def test_senseless_numbers_are_refused(tmp_path: Path, wrong: dict, says: str):
    """A number that makes no sense is named, and nothing is written."""
    with pytest.raises(UsageError, match=says):
        generate(tmp_path / "tree", **({"size": 10_000, "seed": 1} | wrong))

    assert not (tmp_path / "tree").exists()


def test_a_directory_in_use_is_refused(tmp_path: Path):
    """Data beside other data would make the report untrue."""
    (tmp_path / "mine").write_text("precious")

    with pytest.raises(UsageError, match="not empty"):
        generate(tmp_path, size=10_000, seed=1)
    with pytest.raises(UsageError, match="is a file"):
        generate(tmp_path / "mine", size=10_000, seed=1)

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_disk_that_does_not_take_files_is_one_sentence(tmp_path: Path):
    """An error of the file system names the directory."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreUnavailable, match=r"Cannot write sample data under .*tree"):
        generate(tmp_path / "file" / "tree", size=10_000, seed=1)
