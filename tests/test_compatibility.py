"""What differs between two environments, and which of that matters; what an analysis requires."""

import importlib.metadata
import json
import platform
import sys

import msgspec
import pytest

from mr.analysis import Analysis, parameters, parse_parameters
from mr.compatibility import (
    Platform,
    differences,
    installed_packages,
    packages_of,
    requirements_of,
    this_platform,
)
from mr.errors import UsageError
from mr.loading import load_analysis

SENT = Platform("3.11.7", "0.2.0", {"numpy": "2.1.0", "tiny": "0.4.1"})


def test_this_platform_is_what_is_installed_here():
    """All distributions but ours, or the named ones that there are, by normalized names."""
    whole = this_platform(None)
    some = this_platform(["NumPy", "hypothesis", "nosuch"])

    assert whole.python == some.python == platform.python_version()
    assert whole.version == some.version == importlib.metadata.version("mr-telemetry")
    assert whole.packages["typing-extensions" if sys.version_info < (3, 11) else "python-dateutil"]
    assert len(whole.packages) > 20
    assert "mr-telemetry" not in whole.packages
    expected = {name: importlib.metadata.version(name) for name in ("hypothesis", "numpy")}
    assert some.packages == expected
    assert expected.items() <= whole.packages.items()
    assert installed_packages() is installed_packages()


def test_a_platform_travels_as_json():
    """As a job's description and a worker's sign of life hold it."""
    assert msgspec.json.decode(msgspec.json.encode(SENT), type=Platform) == SENT
    assert json.loads(msgspec.json.encode(Platform())) == {
        "python": "",
        "version": "",
        "packages": {},
    }


def test_modules_lead_to_their_distributions():
    """By the name of the top-level module, which may be another than the distribution's."""
    assert packages_of(["dateutil", "numpy", "mr", "nosuch", "json"]) == {
        "python-dateutil",
        "numpy",
    }
    assert packages_of([]) == set()


@pytest.mark.parametrize(
    "here",
    [
        SENT,
        Platform("3.11.0", "0.2.0", {"numpy": "2.99.1", "tiny": "0.4.99", "more": "1"}),
        Platform("3.11.99rc1", "0.2.0", {"numpy": "2.0.0rc1+local", "tiny": "0.4"}),
        Platform("", "", SENT.packages),
    ],
)
def test_what_does_not_matter_is_no_difference(here):
    """Patch levels, minor versions from 1.0 on, packages that were not sent, what is unknown."""
    assert differences(SENT, here, []) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"python": "3.12.7"}, "Python is 3.12.7 here, and 3.11.7 where the job was made"),
        ({"python": "3.1.7"}, "Python is 3.1.7 here, and 3.11.7 where the job was made"),
        ({"version": "0.2.1"}, "mr-telemetry is 0.2.1 here, and 0.2.0 where the job was made"),
        ({"numpy": "1.26.4"}, "numpy is 1.26.4 here, and 2.1.0 where the job was made"),
        ({"numpy": "1!2.1.0"}, "numpy is 1!2.1.0 here, and 2.1.0 where the job was made"),
        ({"numpy": None}, "numpy is not installed here, and 2.1.0 where the job was made"),
        ({"tiny": "0.5.1"}, "tiny is 0.5.1 here, and 0.4.1 where the job was made"),
        ({"tiny": "1.4.1"}, "tiny is 1.4.1 here, and 0.4.1 where the job was made"),
        ({"tiny": "odd version"}, "tiny is odd version here, and 0.4.1 where the job was made"),
    ],
)
def test_each_difference_that_matters_is_one_line(change, line):
    """Python's minor version, ours, a package that is missing or makes other promises."""
    packages = {name: change.get(name, version) for name, version in SENT.packages.items()}
    here = Platform(
        change.get("python", SENT.python),
        change.get("version", SENT.version),
        {name: version for name, version in packages.items() if version is not None},
    )

    assert differences(SENT, here, []) == [line]


def test_what_is_required_is_installed_and_no_difference():
    """A requirement is for whatever version; by any spelling of the name."""
    sent = Platform("3.11.7", "0.2.0", {"numpy": "2.1.0", "my-tiny": "0.4.1", "other": "1.0"})
    here = Platform("3.11.7", "0.2.0", {"numpy": "1.0"})

    found = differences(sent, here, ["NumPy>=2", "My_Tiny @ file:///tiny.whl"])

    assert found == ["other is not installed here, and 1.0 where the job was made"]


class Second(Analysis):
    """A later step."""

    requirements = ("tiny == 1", "numpy>=2")

    def map(self, pair):
        """Nothing."""


class First(Analysis):
    """Requires something, and so does its second step."""

    requirements = ("numpy>=2", "other[extra]; python_version > '3'")
    then = Second

    def map(self, record):
        """Nothing."""


def test_requirements_of_all_steps_are_joined():
    """In their order, each once; none are required by default."""
    assert requirements_of(First) == [*First.requirements, "tiny == 1"]
    assert requirements_of(Analysis) == []


def test_requirements_are_no_parameter():
    """`--set` does not know them."""
    assert parameters(First) == {}
    with pytest.raises(UsageError, match="no parameter 'requirements'"):
        parse_parameters([First, Second], {"requirements": "[]"})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("numpy", r"First.requirements must be a list of texts such as 'numpy>=2', not 'numpy'"),
        (None, r"First.requirements must be a list"),
        (["numpy", "2 many"], r"First.requirements: '2 many' is no requirement such as"),
        (["numpy=>2"], r"'numpy=>2' is no requirement"),
        ([3], r"3 is no requirement such as 'numpy>=2': it is no text"),
        ([""], r"'' is no requirement"),
    ],
)
def test_what_is_no_requirement_is_refused(monkeypatch, given, words):
    """In a sentence that names the analysis and the text."""
    monkeypatch.setattr(First, "requirements", given)

    with pytest.raises(UsageError, match=words):
        requirements_of(First)


def test_a_plain_script_has_requirements_of_its_module(tmp_path, monkeypatch):
    """A list at the top of the script."""
    source = "requirements = ['tiny>=1']\ndef map(key, dimensions, value, context): pass\n"
    (tmp_path / "needy_script.py").write_text(source)
    monkeypatch.setattr(sys, "path", list(sys.path))

    analysis = load_analysis(str(tmp_path / "needy_script.py"))

    assert requirements_of(analysis) == ["tiny>=1"]
    assert parameters(analysis) == {}
