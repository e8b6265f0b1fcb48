"""What travels through mrjob: rows come back as they went, and nothing that lacks is taken."""

import base64
import itertools
import json
import random
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import mrjobs  # noqa: F401 - or else this is skipped
import pytest
from clusters import plan, result_of
from hypothesis import example, given
from hypothesis import strategies as st
from published import payload, write_block

from mr.commits import write_commit
from mr.directory import DirectoryStore
from mr.ends import EndState
from mr.engines.local import run_here
from mr.engines.mrjob import collecting
from mr.engines.mrjob.collecting import Collector
from mr.engines.mrjob.engine import Packing, Runner, _lines, pack
from mr.engines.mrjob.parcel import open_parcel
from mr.engines.mrjob.rows import (
    FILES,
    PART,
    RUN,
    TOLD,
    LineProtocol,
    Row,
    RowProtocol,
    decode_row,
    encode_row,
)
from mr.errors import FormatError, JobFailed, MrError
from mr.progress import Display
from mr.spec import JobSpec

PARTITIONS = st.integers(0, 99_999)
#: Where rows of one step come from: all of them from the same depth.
SOURCES = st.integers(0, 3).flatmap(
    lambda depth: st.tuples(
        st.integers(0, 9_999_999_999).map("{:010d}".format),
        *[st.integers(0, 2**32 - 1).map("{:08x}".format)] * depth,
    ).map(".".join)
)
NUMBERS = st.integers(0, 2**32 - 1)
ROWS = st.builds(
    Row, PARTITIONS, SOURCES, NUMBERS, st.sampled_from([RUN, PART, FILES, TOLD]), st.binary()
)

#: A line as it should be, of which hostile ones are made.
WHOLE = encode_row(Row(3, "0000000017", 2, RUN, b"some bytes"))


# Rows


@given(ROWS)
def test_rows_come_back_as_they_went(row):
    """Whatever they hold: one line each, without a line's end in it."""
    line = encode_row(row)

    assert decode_row(line) == row
    assert RowProtocol().read(RowProtocol().write(row.partition, row)) == (row.partition, row)
    assert not set(line) & set(b"\r\n")
    assert line.count(b"\t") == 2


@given(
    st.integers(0, 2).flatmap(
        lambda depth: st.lists(
            st.tuples(
                PARTITIONS,
                st.tuples(*[st.integers(0, 2**32 - 1)] * (depth + 1)),
                st.one_of(st.integers(0, 20), NUMBERS),
            ),
            unique=True,
        )
    )
)
def test_bytes_sort_by_partition_source_and_number(places):
    """As Hadoop, `sort` and Spark sort lines, so the places do that they name."""

    def line(place):
        partition, numbers, number = place
        first, *others = numbers
        source = ".".join([f"{first:010d}", *(f"{other:08x}" for other in others)])
        return encode_row(Row(partition, source, number, RUN, b"x"))

    assert sorted(map(line, places)) == [line(place) for place in sorted(places)]


@given(
    st.lists(st.tuples(st.binary(min_size=1), st.integers(0, 99)), unique=True),
    st.randoms(use_true_random=False),
)
def test_names_in_hexadecimal_sort_as_they_are(places, chance):
    """Sources of a job that nobody planned are names of blocks: one may begin another."""
    expected = sorted(places)
    chance.shuffle(places)

    lines = sorted(encode_row(Row(0, name.hex(), number, RUN, b"")) for name, number in places)

    found = [(bytes.fromhex(row.source), row.number) for row in map(decode_row, lines)]
    assert found == expected


def mutated(line):
    """A line some of whose bytes are others, or missing."""
    places = st.integers(0, len(line))
    return st.tuples(places, places, st.binary(max_size=4)).map(
        lambda cut: line[: min(cut[:2])] + cut[2] + line[max(cut[:2]) :]
    )


@given(st.one_of(st.binary(), mutated(WHOLE), st.text().map(str.encode)))
@example(b"")
@example(b"\t\t")
@example(b"1\t.\trun:")
@example(b"1\t0.0\tnobody:AAAA")
@example(b"1\t0.0\trun:A")
@example(b"1\t0.0\trun:\xff")
@example(b"1\t\xff.0\trun:")
@example(b"9" * 5000 + b"\t0.0\trun:")
@example(WHOLE + b"\t")
def test_hostile_lines_raise_nothing_but_our_error(line):
    """Any bytes are either a row or a FormatError, which shows a short piece of them."""
    try:
        row = decode_row(line)
    except FormatError as error:
        said = str(error)
    else:
        said = ""
        assert row.kind in (RUN, PART, FILES, TOLD)
    assert len(said) < 1000


# Lines of a result


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    ),
    st.integers(),
)
def test_printed_lines_can_be_parsed(key, value):
    """What is printed for a key and a value gives them back, as mrjob's `parse_output` reads it."""
    protocol = LineProtocol(is_text=False)
    line = json.dumps(key).encode() + b"\t" + json.dumps(value).encode()

    assert protocol.read(protocol.write(None, line) + b"\n") == (key, value)


def test_lines_of_text_have_no_key():
    """Of a script's lines, tabs and all, and of a line that an analysis wrote."""
    assert LineProtocol(is_text=True).read(b"a\tb\tc\n") == (None, "a\tb\tc")
    assert LineProtocol(is_text=True).read(b"1\t2") == (None, "1\t2")
    assert LineProtocol(is_text=False).read("äpp,os\n".encode()) == (None, "äpp,os")


def test_integers_of_any_length_can_be_parsed():
    """Longer than Python parses by itself."""
    assert LineProtocol(is_text=False).read(b'"n"\t' + b"7" * 5000) == ("n", SEVENS)


SEVENS = 7 * (10**5000 - 1) // 9


# What the tasks of a job have put out


@dataclass(frozen=True)
class Output:
    """A job of two steps, and the lines that mrjob's inline runner gave of it."""

    store: DirectoryStore
    spec: JobSpec
    packing: Packing
    lines: list[bytes]

    def rows(self, kind: str) -> list[Row]:
        """The rows of one kind."""
        return [row for row in map(decode_row, self.lines) if row.kind == kind]

    def told(self, stage: str) -> dict[bytes, dict]:
        """What a stage's tasks told of themselves, by their lines."""
        rows = {line: decode_row(line) for line in self.lines}
        told = {line: json.loads(row.data) for line, row in rows.items() if row.kind == TOLD}
        return {line: one for line, one in told.items() if one["stage"] == stage}


def outputs_of(folder: Path, job: str, **settings) -> Output:
    """What mrjob puts out of a job over four blocks, of one line each in the result's parts."""
    tree = folder / "tree"
    for number in range(4):
        systems = [payload(f"System {n % 3}", str(n)) for n in range(number, 30 + number)]
        write_block(tree, systems, number=number)
    store = DirectoryStore(folder / "store", durable=False)
    spec = plan(store, tree, job, split_size=1, reducers=3, **settings)
    (folder / "pack").mkdir()
    runner = Runner("inline")
    packing = pack(store, runner, spec, folder / "pack")
    with packing.job(runner, "--rows").make_runner() as running:
        running.run()
        lines = list(_lines(running.cat_output()))
    return Output(store, spec, packing, lines)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Of the job with every hook."""
    return outputs_of(tmp_path_factory.mktemp("output"), "every_hook")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Of a map-only job, in whose result are rows of four tasks."""
    return outputs_of(tmp_path_factory.mktemp("exported"), "map_only")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Of a job whose reduces write files."""
    folder = tmp_path_factory.mktemp("published")
    return outputs_of(folder, "shelves", request={"output": str(folder / "shelves")})


def collect(output: Output, lines: list[bytes], folder: Path, store=None) -> None:
    """Take these lines, and commit what they tell."""
    collector = Collector(output.spec, folder)
    for line in lines:
        collector.take(line)
    store = store or DirectoryStore(folder / "other", durable=False)
    collector.commit(store, output.packing.firsts, output.packing.blocks)


def test_lines_may_come_task_by_task_in_any_order(output, tmp_path):
    """Whatever task is first, the job gives the bytes that the local engine gives."""
    by_task: dict[tuple[str, str], list[bytes]] = {}
    for line in output.lines:
        row = decode_row(line)
        by_task.setdefault((row.kind, row.source), []).append(line)
    tasks = list(by_task.values())
    random.Random(5).shuffle(tasks)
    scratch = {"workers": 1, "scratch": tmp_path, "observer": Display(0, quiet=True)}

    collect(output, [line for task in tasks for line in task], tmp_path, output.store)
    end, report = run_here(output.store, output.spec, **scratch)

    again = plan(output.store, output.spec.inputs[0], "every_hook", reducers=3)
    assert end.state is run_here(output.store, again, **scratch)[0].state is EndState.DONE
    found = result_of(output.store, output.spec, tmp_path)
    assert found == result_of(output.store, again, tmp_path)
    assert len(found) > 1000
    assert report["counters"]["seen"] == report["records"]["read"] == 120


@pytest.mark.parametrize("name", ["output", "exported"])
def test_a_kill_between_two_commits_costs_nothing_but_time(request, name, tmp_path, monkeypatch):
    """Wherever it comes, the job goes on from there to the same bytes."""
    output = request.getfixturevalue(name)
    job = "every_hook" if name == "output" else "map_only"
    scratch = {"workers": 1, "scratch": tmp_path, "observer": Display(0, quiet=True)}
    results = []
    for allowed in itertools.count():
        spec = plan(output.store, output.spec.inputs[0], job, split_size=1, reducers=3)
        written = itertools.count(1)

        def write(*commit, allowed=allowed, written=written):
            if next(written) > allowed:
                raise InterruptedError
            return write_commit(*commit)

        monkeypatch.setattr(collecting, "write_commit", write)
        with suppress(InterruptedError):
            collect(replace(output, spec=spec), output.lines, tmp_path, output.store)
        end, report = run_here(output.store, spec, **scratch)
        assert end.state is EndState.DONE
        assert report["records"]["read"] == 120
        results.append(result_of(output.store, spec, tmp_path))
        if next(written) <= allowed + 1:
            break

    # The first is the local engine's alone, the last mrjob's.
    assert len(results) == 1 + (10 if name == "output" else 4)
    assert len(set(results)) == 1
    assert len(results[0]) > 1000


@pytest.mark.parametrize("name", ["output", "exported", "published"])
def test_every_line_is_needed(request, name, tmp_path):
    """Whichever line lacks, the job fails, and says so in a sentence."""
    output = request.getfixturevalue(name)
    # A reduce that nothing came for is run again where it has told nothing.
    reduces = {**output.told("1-reduce"), **output.told("2-reduce")}
    idle = {line for line, told in reduces.items() if not told["taken"]}
    collect(output, [line for line in output.lines if line not in idle], tmp_path)

    for number, line in enumerate(output.lines):
        if line in idle:
            continue
        left = output.lines[:number] + output.lines[number + 1 :]
        with pytest.raises(JobFailed, match=r"^mrjob's output is not (whole|in order): [^\n]*\.$"):
            collect(output, left, tmp_path)
    assert len(output.lines) - len(idle) > 5


def test_a_task_without_its_lines_is_told_by_what_it_should_have_had(output, tmp_path):
    """The file of a reducer may be lost whole: its runs say that there was something."""
    parts, told = output.rows(PART), output.told("2-reduce")
    left = [line for line in output.lines if line not in told and decode_row(line) not in parts]
    assert len(left) < len(output.lines) - 1

    with pytest.raises(JobFailed, match=r"reduce \d had 0 of [\d,]+ bytes that were left there\.$"):
        collect(output, left, tmp_path)


def test_blocks_that_no_task_tells_of_are_missed(output, tmp_path):
    """A map that has told nothing had a block."""
    first = next(iter(output.told("1-map")))
    left = [line for line in output.lines if line != first]

    with pytest.raises(JobFailed, match="it covers 3 of 4 blocks"):
        collect(output, left, tmp_path)


@pytest.mark.parametrize("name", ["output", "exported", "published"])
def test_no_line_may_come_twice(request, name, tmp_path):
    """As it would where two attempts of a task both left something."""
    output = request.getfixturevalue(name)

    for line in output.lines:
        with pytest.raises(JobFailed, match=r"^mrjob's output (has the task at|is not in order)"):
            collect(output, [*output.lines, line], tmp_path)


def test_rows_of_a_task_may_not_come_out_of_order(tmp_path):
    """Else the result would be in another order."""
    spec = plan(DirectoryStore(tmp_path / "store"), tree_of_one(tmp_path), "map_only")
    first, second = (encode_row(Row(0, "0000000000", n, PART, b"x")) for n in (0, 1))
    collector = Collector(spec, tmp_path)
    with pytest.raises(JobFailed, match="of the task at 0000000000 came row 1 after 0 rows"):
        collector.take(second)
    collector.take(first)
    collector.take(second)


def tree_of_one(folder: Path) -> Path:
    """A tree of one block."""
    write_block(folder / "tree", [payload()])
    return folder / "tree"


@pytest.mark.parametrize(
    "line",
    [
        b"no row",
        encode_row(Row(0, "0000000000", 0, TOLD, b"no JSON")),
        encode_row(Row(0, "0000000000", 0, TOLD, b'{"stage": "1-map"}')),
        encode_row(
            Row(0, "x", 0, TOLD, b'{"stage":"1-map","source":"x","commit":{"task":"","attempt":"",'
                b'"spans":[]}}')
        ),
        b"00000\t0000000000.00000000\tpart:" + base64.b64encode(b"x") + b"!",
    ],
)  # fmt: skip
def test_damaged_lines_fail_the_job_in_a_sentence(tmp_path, line):
    """Whatever is damaged in them."""
    spec = plan(DirectoryStore(tmp_path / "store"), tree_of_one(tmp_path), "map_only")

    with pytest.raises(JobFailed, match=r"^mrjob's output is damaged: [^\n]+\.?$"):
        Collector(spec, tmp_path).take(line)


# The parcel


@pytest.fixture
def parcel(output):
    """The path of a job's parcel."""
    return output.packing.arguments[output.packing.arguments.index("--parcel") + 1]


def test_a_parcel_has_the_job_and_its_blocks(output, parcel):
    """Blocks by their numbers, or by links whose names are these."""
    with open_parcel(parcel) as opened:
        spec = opened.spec()
        blocks = [opened.block(spec, number) for number in range(4)]
        linked = opened.block(spec, "/anywhere/0000000002")

    assert spec == output.spec
    assert [number for number, _ in blocks] == [0, 1, 2, 3]
    assert linked == blocks[2]
    assert [block.path for _, block in blocks] == sorted(
        str(path) for path in Path(output.spec.inputs[0]).rglob("*") if path.is_file()
    )


def test_code_with_another_digest_is_refused(output, parcel, tmp_path):
    """What came with the parcel is unpickled only if it is what the command line says."""
    with open_parcel(parcel) as opened:
        opened.job(output.spec.bundle, tmp_path / "code")
        with pytest.raises(MrError, match="is not the one that the job was started with"):
            opened.job("0" * 64, tmp_path / "other")


@pytest.mark.parametrize("place", [4, -1, "0000000004", "s3://bucket/a", "0000000001.lzma", ""])
def test_a_block_that_is_not_in_the_plan_is_refused(output, parcel, place):
    """By whatever name it is asked for."""
    told = "is none of the blocks that the job was planned"

    with open_parcel(parcel) as opened, pytest.raises(FormatError, match=told):
        opened.block(output.spec, place)


def test_a_block_in_a_bucket_goes_by_its_uri_alone(output, parcel, tmp_path):
    """One whose name is the number of another is not taken for that."""
    path = tmp_path / "parcel.sqlite"
    path.write_bytes(Path(parcel).read_bytes())
    with sqlite3.connect(path) as database:
        uris = [f"s3://bucket/000000000{number}" for number in (1, 0, 3, 2)]
        for number, uri in enumerate(uris):
            database.execute("update blocks set uri = ? where number = ?", (uri.encode(), number))
    database.close()

    with open_parcel(str(path)) as opened:
        assert [opened.block(output.spec, uri)[0] for uri in uris] == [0, 1, 2, 3]
        with pytest.raises(FormatError):
            opened.block(output.spec, "s3://other/0000000001")


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_damaged_parcel_is_refused(tmp_path, content):
    """In a sentence that names it."""
    path = tmp_path / "parcel.sqlite"
    path.write_bytes(content)

    with (
        pytest.raises(FormatError, match=r"parcel\.sqlite: the job's file cannot be read: "),
        open_parcel(str(path)) as opened,
    ):
        opened.spec()
