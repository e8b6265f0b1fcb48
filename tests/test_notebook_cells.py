"""Jobs in the cells of a real kernel: what a cell holds when they are done, and when they fail."""

import sys
from types import SimpleNamespace

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from notebooks import execute, texts

from mr.progress import _cell_display

PREPARE = """
import time

import mr
import mr.progress
from mr.generate import generate

generate("blocks", size=1_000_000, blocks=6, seed=1)
mr.progress.CELL_S = 0.0
told = []


def telling():
    show = cell_display()

    def both(text, progress):
        told.append((text, progress))
        show(text, progress)

    return both


cell_display, mr.progress._cell_display = mr.progress._cell_display, telling


class Records(mr.Analysis):
    def map(self, record):
        yield "records", 1

    def reduce(self, key, values):
        yield key, sum(values)


class Fails(Records):
    def map(self, record):
        raise ValueError("not <b>today</b>")
"""
CELLS = {
    "prepare": PREPARE,
    "run": 'result = mr.run(Records, "blocks", workers=1, split_size="1KB")',
    "told": "(len(told) > 6, told[0], told[-1][1], sum(one is not None for _, one in told) > 4)",
    "quiet": 'mr.run(Records, "blocks", quiet=True).to_dict()',
    "fail": 'mr.run(Fails, "blocks", workers=1)',
    "usage": 'mr.run(Records, "nowhere")',
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NotebookNode]:
    """Those cells, run one after the other."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS.values()])
    done = execute(notebook, tmp_path_factory.mktemp("cells"), allow_errors=True)
    return dict(zip(CELLS, done.cells, strict=True))


def test_progress_is_one_line_that_ends_as_the_summary(cells: dict[str, NotebookNode]):
    """It is brought up to date in its place, with a bar, and the cell is not flooded."""
    (output,) = cells["run"].outputs

    assert output.output_type == "display_data"
    (text,) = texts(cells["run"])
    assert text.startswith("Read ")
    assert " records of 6 blocks (" in text
    assert texts(cells["run"], "text/html") == [f"<div>{text}</div>"]
    assert texts(cells["told"]) == ["(True, ('starting', None), None, True)"]


def test_a_quiet_run_shows_its_value_alone(cells: dict[str, NotebookNode]):
    """No line, no bar."""
    (output,) = cells["quiet"].outputs

    assert output.output_type == "execute_result"
    assert output.data["text/plain"].startswith("{'records': ")


def test_a_job_that_fails_shows_the_analysis_alone(cells: dict[str, NotebookNode]):
    """The traceback of the cell's code, none of ours; and how far the job came."""
    display, *others = cells["fail"].outputs
    error = next(one for one in others if one.output_type == "error")
    shown = "\n".join(error.traceback)

    assert display.data["text/plain"].startswith("1-map: ")
    assert shown.startswith("JobFailed: the analysis failed ")
    assert 'raise ValueError("not <b>today</b>")' in shown
    assert "notebook.py" not in shown
    assert "launch.py" not in shown


def test_wrong_usage_is_one_sentence(cells: dict[str, NotebookNode]):
    """Without the lines of our code that led to it."""
    errors = [one for one in cells["usage"].outputs if one.output_type == "error"]

    (shown,) = errors[0].traceback
    assert shown.startswith("InputMissing: nowhere: no such file or folder")
    assert "\n" not in shown


def test_no_kernel_no_cell(monkeypatch: pytest.MonkeyPatch):
    """In plain Python, and in a terminal's IPython, the display is that of the terminal."""
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert _cell_display() is None
    terminal = SimpleNamespace(get_ipython=lambda: SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert _cell_display() is None
