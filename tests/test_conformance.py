"""The checker of published folders finds what is wrong with one."""

import json
from pathlib import Path

import pytest
from conformance import Checked, check_published
from mr.analyses.histograms import Histograms
from published import payload, times, versions, write_definitions

from mr.testing import ping, run_analysis

TIMES = "TIMES-by-build-date.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A published folder of two records."""
    records = [ping(payload(TIMES=times(1))), ping(payload("Linux", "3.2", TIMES=times(2)))]
    definitions = [str(write_definitions(tmp_path))]
    run_analysis(Histograms, records, output=tmp_path / "out", definitions=definitions)
    return tmp_path / "out"


def change(path: Path, edit) -> None:
    """Edit a JSON file in place."""
    data = json.loads(path.read_bytes())
    edit(data)
    path.write_text(json.dumps(data))


def edit_row(edit):
    """A mutation of the first row of TIMES."""
    return lambda folder: change(folder / TIMES, lambda data: edit(data["20130226"][0]))


def test_a_published_folder_conforms(root):
    """Two measures, each with two rows by build and two by submission date."""
    assert check_published(root) == Checked(folders=1, measures=2, rows=8, submissions=4)


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (lambda f: (f / TIMES).unlink(), "should (not) be there"),
        (lambda f: (f / "X-by-build-date.json").write_text("{}"), "should (not) be there"),
        (lambda f: change(f / "revisions.json", lambda d: d.pop("TIMES")), "other measures"),
        (lambda f: change(f / "revisions.json", lambda d: d["TIMES"].update(length=9)), "length"),
        (
            lambda f: change(f / "histograms.json", lambda d: d["TIMES"].update(n_buckets=11)),
            "length",
        ),
        (edit_row(lambda row: row.insert(0, 0)), "numbers, 10 buckets"),
        (edit_row(lambda row: row.__setitem__(0, 0.5)), "counts"),
        (edit_row(lambda row: row.__setitem__(-2, 0)), "0"),
        (edit_row(lambda row: row.__setitem__(-1, 5)), "no filter 5"),
        (edit_row(lambda row: row.__setitem__(12, -2)), "a statistic of"),
        (edit_row(lambda row: row.__setitem__(10, "5")), "'5'"),
        (lambda f: change(f / TIMES, lambda d: d["20130226"].append(d["20130226"][0])), "twice"),
        (lambda f: change(f / TIMES, lambda d: d.update({"2013022": []})), "is no date"),
        (lambda f: (f / TIMES).write_text('{"20130226": [[NaN]]}'), "NaN is no JSON"),
        (lambda f: (f / TIMES).write_text('{"20130226": [], "20130226": []}'), "comes twice"),
        (lambda f: change(f / "filter-tree.json", lambda d: d.update(_id=1)), "root's id"),
        (lambda f: change(f / "filter-tree.json", lambda d: d.update(name="OS")), "level OS"),
        (
            lambda f: change(f / "filter-tree.json", lambda d: d["saved_session"].update(_id=9)),
            "id 9",
        ),
        (lambda f: (f / "FILES_PROCESSED").write_text("b\na\n"), "not sorted"),
        (lambda f: (f.parent / "FILES_PROCESSED").write_text(""), "is not all that"),
        (
            lambda f: change(f / "coverage.json", lambda d: d["records"].update(read=3)),
            "do not add up",
        ),
        (lambda f: next((f / "state/measures").iterdir()).unlink(), "states of other measures"),
        (lambda f: next((f / "state/measures").iterdir()).write_bytes(b""), "of other measures"),
        (
            lambda f: (f.parent / "FILES_MISSING").write_bytes(
                (f.parent / "FILES_PROCESSED").read_bytes()
            ),
            "names what was processed",
        ),
        (
            lambda f: (f.parent / "versions.json").write_text(json.dumps({"nightly/23": f.name})),
            "is no name for nightly/23",
        ),
    ],
)
def test_each_breach_is_found(root, mutate, message):
    """With a message that tells it."""
    mutate(root / versions(root)["nightly/22"])

    with pytest.raises(AssertionError) as found:
        check_published(root)
    assert message in str(found.value)
