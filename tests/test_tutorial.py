"""The tutorial runs from a clean kernel, says what is true, and is saved as it runs."""

import base64
import re
from collections import Counter
from pathlib import Path

import pytest
from nbformat import NotebookNode, validate
from notebooks import TUTORIAL, execute, read, texts, tidy
from reference import by_system, records
from test_docs import anchors

#: What differs from run to run, and from machine to machine: how fast it was, and how well blocks
#: were compressed (in the table of `ls` with the room around it).
VARIES = re.compile(r" in \d+\.\d s, [\d,]+ MB/s|\([\d.]+ MB\)|\s+(bytes|\d+,\d+(,\d+)*)\b")
MOST_BYTES = 400_000


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Its cells of code."""
    return [one for one in notebook.cells if one.cell_type == "code"]


def cell(notebook: NotebookNode, source: str) -> NotebookNode:
    """The cell of code that is this, or the one that begins so."""
    cells = code_cells(notebook)
    same = [one for one in cells if one.source == source]
    (found,) = same or [one for one in cells if one.source.startswith(source)]
    return found


def shown(one: NotebookNode) -> list[str]:
    """What a cell has shown as text, but for what varies."""
    return [VARIES.sub("", text) for kind in ("stdout", "text/plain") for text in texts(one, kind)]


def test_it_runs_and_says_what_is_true(tmp_path: Path):
    """One kernel runs all of it, without error or trouble; see what is asserted of it below."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")

    executed = tidy(execute(read(), tmp_path))

    cells = code_cells(executed)
    assert len(cells) > 20
    assert [one.execution_count for one in cells] == [*range(1, len(cells) + 1)]
    assert [text for one in cells for text in texts(one, "stderr")] == []
    assert [out for one in cells for out in one.outputs if out.output_type == "error"] == []
    assert_saved_as_it_runs(executed)
    assert_counts_are_those_of_a_plain_loop(executed, tmp_path / "work/blocks")
    assert_histogram_is_that_of_a_plain_loop(executed, tmp_path / "work/blocks")
    assert_plots_are_pictures(executed)
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"blocks", "jobs", "published"}
    assert not (tmp_path / "home/.local/state/mr-telemetry").exists()


def assert_saved_as_it_runs(executed: NotebookNode) -> None:
    """Cell by cell the same text, and as many pictures: else run `make notebook`."""
    for one, saved in zip(code_cells(executed), code_cells(read()), strict=True):
        assert shown(one) == shown(saved)
        assert len(texts(one, "image/png")) == len(texts(saved, "image/png"))


def assert_counts_are_those_of_a_plain_loop(executed: NotebookNode, blocks: Path) -> None:
    """The table, the dict and the cluster say what a loop over all records counts."""
    expected = by_system(blocks)
    total = sum(count for _, count in expected)
    assert total > 100

    *table, summary = texts(cell(executed, "result"))[0].splitlines()
    assert [line.split() for line in table] == [
        ["key", "value"],
        *([system, str(count)] for system, count in expected),
    ]
    assert summary.startswith(f"Read {total} records of 300 blocks")
    (counted,) = texts(cell(executed, "result.to_dict()"))
    assert counted == repr(dict(map(tuple, expected)))
    assert texts(cell(executed, "with mr.local_cluster"))[-1] == "True"


def assert_histogram_is_that_of_a_plain_loop(executed: NotebookNode, blocks: Path) -> None:
    """Each bucket of the table, from the values in the records themselves."""
    lines = texts(cell(executed, "measure = "))[0].splitlines()
    rows = [line.split()[:2] for line in lines if re.match(r" *[\d,]+ +\d+ ", line)]
    counts = {int(start.replace(",", "")): int(count) for start, count in rows}

    found: Counter[int] = Counter()
    for key, _, _, payload in records(blocks):
        info, measured = payload["info"], payload["simpleMeasurements"]
        known = all(info.get(name) for name in ("OS", "version", "arch"))
        if key.split("/")[2] == "nightly" and key.split("/")[3].startswith("25.") and known:
            found[max(start for start in counts if start <= measured["firstPaint"])] += 1
    assert found.total() > 50
    assert {start: count for start, count in counts.items() if count} == found
    assert f"exponential, {found.total()} submissions, {found.total()} values" in lines


def assert_plots_are_pictures(executed: NotebookNode) -> None:
    """A PNG of some size for each cell that plots, and the text of no Axes beside it."""
    plots = [one for one in code_cells(executed) if ".plot(" in one.source]
    assert len(plots) == 6

    for one in plots:
        (picture,) = texts(one, "image/png")
        data = base64.b64decode(picture)
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5000
        assert "Axes:" not in "".join(texts(one))


def test_it_is_saved_clean():
    """Small, valid, of no particular machine."""
    saved = read()

    validate(saved)
    assert TUTORIAL.stat().st_size < MOST_BYTES
    assert saved == tidy(read())
    plain = "".join(text for one in code_cells(saved) for text in [one.source, *shown(one)])
    assert len(plain) > 5000
    assert [found for found in ("/tmp", "/home", "/root", "/work") if found in plain] == []


def test_its_links_lead_somewhere():
    """To pages that are beside it, and their headings."""
    prose = "".join(one.source for one in read().cells if one.cell_type == "markdown")
    links = re.findall(r"\]\(([^)\s]+)\)", prose)

    assert len(links) > 3
    for link in links:
        path, _, anchor = link.partition("#")
        assert (TUTORIAL.parent / path).exists(), link
        assert not anchor or anchor in anchors(TUTORIAL.parent / path), link
