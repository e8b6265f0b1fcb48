"""The manual: it builds without a warning, and has every page."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    """The manual, as `make docs` builds it."""
    pytest.importorskip("sphinx", reason="sphinx is not installed (extra [docs])")
    folder = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
               "-d", folder / "doctrees", DOCS, folder / "html"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "html"


def test_the_manual_builds_without_a_warning(manual):
    """Every page is in it, and can be reached from the first."""
    pages = {path.stem for path in DOCS.iterdir() if path.suffix in (".md", ".ipynb")}
    index = (manual / "index.html").read_text("utf-8")

    assert len(pages) > 12
    for page in pages - {"index"}:
        assert (manual / f"{page}.html").exists()
        assert f'href="{page}.html"' in index, page


def test_the_reference_has_what_people_import(manual):
    """With signatures, and what the docstrings say."""
    text = (manual / "api.html").read_text("utf-8")
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))

    for name in ("mr.run", "mr.Result", "mr.Analysis", "mr.testing.run_analysis", "JobFailed"):
        assert f'id="{name}"' in text or name in plain, name
    assert "Run an analysis and return its result, as mr-telemetry run does" in plain
    assert "The value below which p percent lie, estimated within its bucket" in plain
    assert "max_bad_records" in plain


def test_docstrings_are_read_as_plain_text():
    """Paragraphs that go on, examples that are indented, and signs that mean nothing."""
    spec = importlib.util.spec_from_file_location("conf", DOCS / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    lines = [
        "Counts |x| of `a|b` and *.js.", "", "sum: of all,", "    and more.", "",
        "    an *example*", "", "    goes on", "", "- a", "  b", "", "The end.",
    ]  # fmt: skip

    conf.from_plain_text(None, "class", "X", None, None, lines)

    assert lines == [
        r"Counts \|x\| of `a|b` and \*.js.", "", "sum: of all,", "and more.", "", "::", "",
        "    an *example*", "", "    goes on", "", "- a", "  b", "", "The end.",
    ]  # fmt: skip
