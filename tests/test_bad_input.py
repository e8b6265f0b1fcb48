"""Bad records and blocks: each is counted with place and reason, and everything else is read."""

import dataclasses
import gzip
import json
import lzma
from collections import Counter
from pathlib import Path

import pytest
from conftest import JOBS

from mr.config import Settings
from mr.launch import Request, prepare_job
from mr.loading import load_analysis
from mr.stores import open_store

FOLDER = "saved_session/Firefox/nightly/22.0a1"
DAY = "20130226031002.201310{day:02d}.v2.log.{letter}"


def line(identity: str, payload: str = '{"info": {"OS": "WINNT"}}') -> bytes:
    """A record's line."""
    return identity.encode() + b"\t" + payload.encode() + b"\n"


def block_key(day: int, ending: str = ".lzma") -> str:
    """Where the block of a day lies in a tree."""
    return f"{FOLDER}/" + DAY.format(day=day, letter="ab") + ending


def put(tree: Path, key: str, data: bytes) -> Path:
    """Write a block's file."""
    path = tree / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def packed(*lines: bytes) -> bytes:
    """A legacy `.lzma` block of these lines."""
    return lzma.compress(b"".join(lines), format=lzma.FORMAT_ALONE, preset=0)


@pytest.fixture
def export(command, tmp_path):
    """Run the map-only export over `tmp_path/tree`; gives (block, line, id) of each record too."""

    def run(*arguments):
        done = command("run", JOBS / "map_only.py", "tree", "--report", "report.json", *arguments)
        report = tmp_path / "report.json"
        found = [(place[0], place[1], identity) for identity, place in done.rows]
        return done, found, json.loads(report.read_text()) if report.exists() else None

    return run


def places(report: dict, tree: Path) -> list[tuple[str, int, str]]:
    """The bad records of a report: block under the tree, line, reason."""
    return [
        (str(Path(bad["block"]).relative_to(tree)), bad["line"], bad["reason"])
        for bad in report["bad_record_places"]
    ]


# Against the truth of the generator

#: How the generator names a damage, and what we say of it.
REASONS = {
    "no tab": "no tab",
    "not UTF-8": "not UTF-8",
    "half a JSON": "not JSON",
    "NaN token": "NaN or Infinity",
    "array on top": "not an object",
    "lone surrogate": "lone surrogate",
    "deep nesting": "nested deeper than 512",
}


def test_damaged_tree_is_read_as_far_as_the_truth_says(command, damaged_tree, tmp_path):
    """Good records by system, bad records by reason, bad blocks by path and kind: all are exact."""
    done = command(
        "run", "os_distribution", damaged_tree.path, "--max-bad-records", "100%",
        "--report", "report.json",
    )  # fmt: skip

    truth = damaged_tree.truth
    assert done.code == 0, done.err
    assert dict(done.rows) == truth.readable.by_os
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["complete"] is False
    assert report["records"]["read"] == truth.readable.good > 50
    bad = {REASONS[kind]: count for kind, count in truth.readable.bad.items()}
    assert report["bad_records"] == bad
    assert report["records"]["bad"] == sum(bad.values()) > 5
    assert Counter(place["reason"] for place in report["bad_record_places"]) == bad
    assert report["blocks"]["read"] == truth.written.blocks
    expected = {(block.path, block.kind) for block in truth.bad_blocks}
    found = {
        (str(Path(block["block"]).relative_to(damaged_tree.path)), kind_of(block["reason"]))
        for block in report["bad_blocks"]
    }
    assert found == expected
    assert report["blocks"]["bad"] == len(expected) > 3
    assert {"truncated", "corrupt", "empty", "trailing garbage"} >= {kind for _, kind in found}
    assert f"{len(expected)} bad blocks read as far as possible" in done.err


def kind_of(reason: str) -> str:
    """A block's damage without its place."""
    return reason.partition(" at ")[0].partition(" (")[0]


def test_bad_places_say_which_line_of_which_block(damaged_tree, command, tmp_path):
    """The place of each bad record is the line that `cat` calls bad for the same reason."""
    command(
        "run", "os_distribution", damaged_tree.path, "--max-bad-records", "100%",
        "--report", "report.json",
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    by_block = {}
    for place in report["bad_record_places"]:
        by_block.setdefault(place["block"], []).append((place["line"], place["reason"]))
    block = max(by_block, key=lambda block: len(by_block[block]))

    told = command("cat", block, "--raw").err.splitlines()

    assert len(by_block[block]) > 3
    assert told == [f"line {line}: bad record: {reason}" for line, reason in by_block[block]]


# Records

BAD_LINES = [
    (b"no tab at all\n", "no tab"),
    (b'caf\xe9\t{"a": 1}\n', "not UTF-8"),
    (b'x\t{"a": "\xff"}\n', "not UTF-8"),
    (b'x\t{"a": "\xed\xa0\x80"}\n', "not UTF-8"),
    (b'x\t{"a": [1, 2\n', "not JSON"),
    (b"x\t\n", "not JSON"),
    (b"\n", "no tab"),
    (b'x\t{"a": 1} {"b": 2}\n', "not JSON"),
    (b'x\t{"a": 01}\n', "not JSON"),
    (b"x\t{'a': 1}\n", "not JSON"),
    (b'x\t{"a": NaN}\n', "NaN or Infinity"),
    (b'x\t{"a": -Infinity}\n', "NaN or Infinity"),
    (b'x\t{"a": 1e999}\n', "number out of range"),
    (b'x\t{"a": "\\ud800"}\n', "lone surrogate"),
    (b'\xef\xbb\xbfx\t{"a": 1}\n', "byte-order mark"),
    (b'x\t[{"a": 1}]\n', "not an object"),
    (b"x\tnull\n", "not an object"),
    (b'x\t{"a": ' + b"[" * 512 + b"]" * 512 + b"}\n", "nested deeper than 512"),
    (b"x\t" + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", "nested deeper than 512"),
    (b"x " + b"y" * 20_000_000 + b"\n", "no tab"),
    (b'x\t{"a": "' + b"y" * 20_000_000 + b"\n", "not JSON"),
]

GOOD_LINES = [
    line("a"),
    line("", '{"a": 1}'),
    line("two tabs", '{"a":\t1}'),
    line("equal names", '{"a": 1, "a": 2}'),
    line("deep", '{"a": ' + "[" * 511 + "]" * 511 + "}"),
    line("long integer", '{"a": ' + "9" * 1000 + "}"),
    line("pair", '{"a": "\\ud83d\\ude00"}'),
    line("nul", '{"a": "\\u0000"}'),
    line("20 MB", '{"a": "' + "y" * 20_000_000 + '"}'),
    line("carriage return", '{"a": 1}\r'),
    line("last"),
]


def test_every_kind_of_bad_line_is_counted_and_its_neighbours_read(export, tmp_path):
    """Between any two bad lines the good one is read; each bad one has its line and reason."""
    content, expected, bad = [], [], []
    for number, (data, reason) in enumerate(BAD_LINES):
        bad.append((block_key(1), len(content) + 1, reason))
        content += [data, line(f"after {number}")]
        expected.append((block_key(1), len(content), f"after {number}"))
    put(tmp_path / "tree", block_key(1), packed(*content))
    put(tmp_path / "tree", block_key(2), packed(line("next block")))

    done, found, report = export("--max-bad-records", "100%")

    assert done.code == 0, done.err
    assert found == [*expected, (block_key(2), 1, "next block")]
    assert places(report, tmp_path / "tree") == bad
    assert report["bad_records"] == Counter(reason for _, reason in BAD_LINES)
    assert report["records"] == {
        "read": len(BAD_LINES) + 1, "bad": len(BAD_LINES), "lines": 2 * len(BAD_LINES) + 1
    }  # fmt: skip


def test_odd_lines_that_are_good_are_read(export, tmp_path):
    """Long lines, equal names, deep nesting and long integers are records like any other."""
    put(tmp_path / "tree", block_key(1), packed(*GOOD_LINES))

    done, found, report = export()

    assert done.code == 0, done.err
    assert [identity for _, _, identity in found] == [
        data.partition(b"\t")[0].decode() for data in GOOD_LINES
    ]
    assert report["records"]["bad"] == 0
    assert report["complete"] is True


def test_line_over_64_mb_is_read_past(export, tmp_path):
    """A line that is too long is a bad record; those around it are read."""
    long = b'x\t{"a": "' + b"y" * (64 * 1024 * 1024) + b'"}\n'
    put(tmp_path / "tree", block_key(1), packed(line("a"), long, line("b")))

    done, found, report = export("--max-bad-records", 1)

    assert done.code == 0, done.err
    assert [(number, identity) for _, number, identity in found] == [(1, "a"), (3, "b")]
    assert places(report, tmp_path / "tree") == [(block_key(1), 2, "line over 64 MB")]


def test_last_line_without_newline_is_read(export, tmp_path):
    """A whole block may end without a newline: its last line is a record."""
    put(tmp_path / "tree", block_key(1), packed(line("a"), line("b")[:-1]))

    done, found, _ = export()

    assert done.code == 0, done.err
    assert [identity for _, _, identity in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("limit", "code"),
    [("2", 0), ("1", 3), ("0", 3), ("20%", 0), ("19.9%", 3), ("0%", 3), ("100%", 0)],
)
def test_limit_of_bad_records_from_both_sides(export, tmp_path, limit, code):
    """Two bad lines of ten are allowed by 2 and by 20%, and by nothing less."""
    good = [line(str(number)) for number in range(8)]
    put(tmp_path / "tree", block_key(1), packed(*good[:4], b"bad\n", *good[4:], b"worse\n"))

    done, found, report = export("--max-bad-records", limit)

    assert done.code == code, done.err
    assert report["state"] == ("failed" if code else "done")
    assert len(found) == (0 if code else 8)
    if code:
        assert f"{block_key(1)}, line 5: no tab" in done.err
        assert "run again with a higher --max-bad-records" in done.err
    else:
        assert "Not covered: 2 bad records skipped." in done.err


@pytest.mark.parametrize("damage", ["record", "block"])
def test_strict_ends_at_the_first_bad_one(export, tmp_path, damage):
    """`--strict` fails for one bad record or block, and says which."""
    put(tmp_path / "tree", block_key(1), packed(*[line("a")] * 1000))
    bad = packed(line("b"), b"bad\n") if damage == "record" else packed(line("b"))[:-8]
    put(tmp_path / "tree", block_key(2), bad)

    loose, _, _ = export()
    strict, found, report = export("--strict")

    assert loose.code == 0, loose.err
    assert strict.code == 3
    assert found == []
    assert f"--strict: {tmp_path / 'tree' / block_key(2)}" in strict.err
    assert ("line 2: no tab" if damage == "record" else "truncated") in strict.err
    assert "leave --strict out" in strict.err
    assert report["state"] == "failed"


# Blocks


def test_damaged_blocks_are_read_up_to_their_damage(export, tmp_path):
    """Truncated, corrupt, empty, foreign and trailing bytes: what comes before them is read."""
    lines = [line(f"{number:04d}", f'{{"n": {number**9}}}') for number in range(2000)]
    whole = packed(*lines)
    half = len(whole) // 2
    tree = tmp_path / "tree"
    put(tree, block_key(1), whole)
    put(tree, block_key(2), whole[:half])
    put(tree, block_key(3), whole[:half] + bytes(64) + whole[half + 64 :])
    put(tree, block_key(4), b"")
    put(tree, block_key(5), bytes(range(256)) * 4)
    put(tree, block_key(6, ".xz"), lzma.compress(b"".join(lines)) + b"garbage")
    put(tree, block_key(7, ".gz"), gzip.compress(b"".join(lines))[:-20])
    put(tree, block_key(8), whole)

    done, found, report = export()

    counts = Counter(key for key, _, _ in found)
    assert done.code == 0, done.err
    assert counts[block_key(1)] == counts[block_key(8)] == counts[block_key(6, ".xz")] == 2000
    for key in (block_key(2), block_key(3), block_key(7, ".gz")):
        assert 100 < counts[key] < 2000
        ours = [identity for place, _, identity in found if place == key]
        assert ours == [f"{number:04d}" for number in range(len(ours))]
    assert counts[block_key(4)] == counts[block_key(5)] == 0
    reasons = {
        str(Path(bad["block"]).relative_to(tree)): kind_of(bad["reason"])
        for bad in report["bad_blocks"]
    }
    assert reasons == {
        block_key(2): "truncated",
        block_key(3): "corrupt",
        block_key(4): "empty",
        block_key(5): "not LZMA data",
        block_key(6, ".xz"): "trailing garbage",
        block_key(7, ".gz"): "truncated",
    }
    # Legacy LZMA has no checksums, so some of what follows the corrupt bytes may look like lines.
    assert {place for place, _, _ in places(report, tree)} <= {block_key(3)}
    assert report["blocks"]["read"] == 8
    assert "6 bad blocks read as far as possible" in done.err


def test_every_kind_of_compression_is_read_by_content(export, tmp_path):
    """Legacy .lzma, .xz with streams one after the other, .gz of members, plain; misnamed too."""
    tree = tmp_path / "tree"
    first, second = line("a") + line("b")[:7], line("b")[7:] + line("c")
    both = first + second
    datas = {
        ".lzma": lzma.compress(both, format=lzma.FORMAT_ALONE),
        ".xz": lzma.compress(first) + bytes(8) + lzma.compress(second),
        ".gz": gzip.compress(first) + gzip.compress(second),
        "": both,
        ".2.gz": lzma.compress(both),
        ".2.lzma": gzip.compress(both),
        ".2.xz": both,
    }
    for day, (ending, data) in enumerate(datas.items(), 1):
        put(tree, block_key(day, ending), data)

    done, found, report = export("--strict")

    assert done.code == 0, done.err
    assert len(found) == 3 * len(datas)
    for day, ending in enumerate(datas, 1):
        ours = [item for item in found if item[0] == block_key(day, ending)]
        assert [(number, identity) for _, number, identity in ours] == [
            (1, "a"), (2, "b"), (3, "c")
        ]  # fmt: skip
    assert report["bytes"]["raw"] == len(both) * len(datas)


def test_lone_file_needs_no_layout(command, tmp_path):
    """A file that lies nowhere in particular is a block with empty dimensions."""
    (tmp_path / "lone.txt").write_bytes(line("a") + line("b"))

    done = command("run", "os_distribution", "lone.txt")
    twice = command("run", "os_distribution", "lone.txt", tmp_path / "lone.txt")

    assert done.rows == twice.rows == [["WINNT", 2]]


def test_files_outside_the_layout_are_told(export, tmp_path):
    """What does not lie as blocks do is not read, and is counted with examples."""
    tree = tmp_path / "tree"
    put(tree, block_key(1), packed(line("a")))
    put(tree, "README", b"hello\n")
    put(tree, f"{FOLDER}/.hidden.20131001.x", b"hello\n")
    put(tree, f"{FOLDER}/deeper/20130226031002.20131001.v2.log.x", b"hello\n")

    done, found, report = export()

    assert [identity for _, _, identity in found] == ["a"]
    assert report["blocks"]["not_of_the_layout"] == 3
    assert str(tree / "README") in report["not_of_the_layout"]
    assert "3 files not of the layout ignored" in done.err


def planned(store: Path, tree: Path) -> str:
    """The id of a job over a tree that is planned and has not begun."""
    request = Request(
        analysis=load_analysis(str(JOBS / "map_only.py")), name="map_only", inputs=[str(tree)]
    )
    settings = dataclasses.replace(Settings(), store=str(store), workers=2, reducers=2)
    spec, _ = prepare_job(request, settings, open_store(str(store)))
    return spec.job


def test_block_that_goes_or_changes_after_planning_is_told(command, store, tmp_path):
    """A deleted block is missing, a replaced one is bad and gives nothing; all others are read."""
    tree = tmp_path / "tree"
    for day in range(1, 6):
        put(tree, block_key(day), packed(line(f"day {day}")))
    job = planned(store, tree)
    (tree / block_key(2)).unlink()
    put(tree, block_key(3), packed(line("another"), line("version")))
    (tree / block_key(4)).unlink()
    put(tree, block_key(4), packed(line("day 9")))

    done = command("resume", job, "--report", "report.json")

    assert done.code == 0, done.err
    assert [row[0] for row in done.rows] == ["day 1", "day 5"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["missing_blocks"] == [str(tree / block_key(2))]
    assert report["bad_blocks"] == [
        {
            "block": str(tree / block_key(day)),
            "reason": "was replaced after the job was planned",
            "unread": True,
        }
        for day in (3, 4)
    ]
    assert report["complete"] is False
    assert "1 block missing" in done.err
    assert "2 bad blocks" in done.err


def test_whole_input_gone_after_planning_is_no_empty_success(command, store, tmp_path):
    """When every block is gone the answer is empty, and says that all of it is missing."""
    tree = tmp_path / "tree"
    for day in range(1, 4):
        put(tree, block_key(day), packed(line("a")))
    job = planned(store, tree)
    for day in range(1, 4):
        (tree / block_key(day)).unlink()

    done = command("resume", job, "--report", "report.json")

    assert done.out == b""
    assert "3 blocks missing" in done.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["complete"] is False
    assert len(report["missing_blocks"]) == 3
