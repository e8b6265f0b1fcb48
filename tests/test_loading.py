"""Every form in which a person names an analysis, and every way in which that can be wrong."""

import sys
import textwrap

import pytest

from mr.errors import UsageError
from mr.loading import bundled_analyses, load_analysis
from mr.scripts import ScriptAnalysis

ONE = """
    from mr import Analysis

    class One(Analysis):
        def map(self, record):
            yield record.id, 1
"""

TWO = (
    ONE
    + """
    class Two(Analysis):
        pass
"""
)

SCRIPT = """
    def map(key, dimensions, value, context):
        context.write(key, 1)
"""


@pytest.fixture(autouse=True)
def tidy(monkeypatch):
    """Leave no path and no module behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def file_of(tmp_path, monkeypatch):
    """Writes a file in the current folder, and gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(source, name="job.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(source))
        return name

    return write


def refusal(name):
    """The sentence with which a name is refused."""
    with pytest.raises(UsageError) as error:
        load_analysis(name)
    return str(error.value)


def test_a_file_holds_an_analysis(file_of):
    """file.py: the one class in it, by a path of any form."""
    name = file_of(ONE, "jobs/my-job.py")

    assert load_analysis(name).__name__ == "One"
    assert load_analysis(f"./{name}").__name__ == "One"
    assert load_analysis(f"{name}:One").__name__ == "One"


def test_a_file_holds_several(file_of):
    """file.py:Class chooses one of them; without, the error lists them."""
    name = file_of(TWO)

    assert load_analysis(f"{name}:Two").__name__ == "Two"
    assert refusal(name) == (
        "job.py: holds several analyses; choose one as job.py:Class (One, Two)."
    )


def test_an_imported_analysis_is_not_the_files_own(file_of):
    """A base class or helper from elsewhere does not make the choice ambiguous."""
    file_of(TWO, "base.py")
    name = file_of(
        """
        from base import One, Two
        from mr import Analysis

        class Mine(One):
            pass

        Alias = Mine
        """
    )

    assert load_analysis(name).__name__ == "Mine"
    assert load_analysis(f"{name}:Two").__name__ == "Two"


def test_a_later_step_is_not_chosen(file_of):
    """Of classes that follow each other by `then` the first is meant."""
    name = file_of(ONE + "\n    class Start(Analysis):\n        then = One\n")

    assert load_analysis(name).__name__ == "Start"


def test_steps_in_a_circle_are_several(file_of):
    """Where each class follows another, none is the first."""
    name = file_of(TWO + "\n    One.then, Two.then = Two, One\n")

    assert "holds several analyses" in refusal(name)


def test_a_plain_script_is_an_analysis(file_of):
    """A file with a function map needs no class; its name is the file's."""
    name = file_of(SCRIPT, "my-script.py")

    found = load_analysis(name)

    assert issubclass(found, ScriptAnalysis)
    assert found.__name__ == "my_script"
    assert found.reduce is None


def test_a_script_has_the_functions_that_it_defines(file_of):
    """`combine = reduce` counts; reduce imported from functools does not."""
    script = SCRIPT + "\n    def reduce(key, values, context): pass\n    combine = reduce\n"
    found = load_analysis(file_of(script))
    assert found.reduce is not None
    assert found.combine is not None
    assert found.setup_reduce is None

    only_imports = "\n    from functools import reduce\n    from builtins import map\n"
    assert load_analysis(file_of(SCRIPT + only_imports.split("\n    from b")[0])).reduce is None
    assert "neither an Analysis class nor a function map" in refusal(file_of(only_imports))


def test_what_lies_beside_a_file_can_be_imported(file_of):
    """As when Python runs it."""
    file_of("WEIGHT = 3", "weights_beside.py")
    name = file_of("from weights_beside import WEIGHT\n" + textwrap.dedent(ONE))

    assert load_analysis(name).__name__ == "One"


def test_a_module_holds_an_analysis(file_of, monkeypatch):
    """package.module:Class, as Python imports it."""
    file_of("", "package_of_jobs/__init__.py")
    file_of(TWO, "package_of_jobs/counts.py")
    monkeypatch.syspath_prepend(".")

    assert load_analysis("package_of_jobs.counts:Two").__name__ == "Two"


def test_a_bundled_analysis_has_a_name():
    """Those that come with the package are named without a path."""
    assert "os_distribution" in bundled_analyses()

    assert load_analysis("os_distribution").__name__ == "OSDistribution"
    assert load_analysis("os_distribution:OSDistribution").__name__ == "OSDistribution"


@pytest.mark.parametrize("name", sorted(bundled_analyses()))
def test_every_bundled_analysis_loads(name):
    """Each names what it does in its module's first line."""
    assert load_analysis(name).__name__
    assert bundled_analyses()[name].read_text().startswith('"""')


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.py", "absent.py: no such analysis file."),
        ("absent.py:One", "absent.py: no such analysis file."),
        ("folder.py", "folder.py: no such analysis file."),
        ("./text", "is not a Python file."),
        (
            "nonsense",
            "nonsense: no bundled analysis of that name (there are: addon_performance, addon_v",
        ),
        ("", ": no bundled analysis of that name"),
        ("no.such.module:One", "no.such.module:One: there is no module no."),
        ("mr.nothing:One", "mr.nothing:One: there is no module mr.nothing."),
        (":One", ":One: '' is not a module's name."),
        (".relative:One", ".relative:One: '.relative' is not a module's name."),
        ("a..b:One", "a..b:One: 'a..b' is not a module's name."),
        ("job.py:Absent", "job.py:Absent: Absent is not an Analysis class there."),
        ("job.py:NUMBER", "job.py:NUMBER: NUMBER is not an Analysis class there."),
        ("job.py:Other", "job.py:Other: Other is not an Analysis class there."),
        ("json:JSONDecoder", "json:JSONDecoder: JSONDecoder is not an Analysis class there."),
        ("os_distribution:One", "os_distribution:One: One is not an Analysis class there."),
        ("empty.py", "empty.py: holds neither an Analysis class nor a function map."),
    ],
)
def test_a_name_that_is_wrong_is_one_sentence(file_of, tmp_path, name, sentence):
    """The error shows the name and says what is missing."""
    file_of(ONE + "\n    NUMBER = 3\n    class Other: pass\n")
    file_of("x = 1", "empty.py")
    file_of("plain", "text")
    (tmp_path / "folder.py").mkdir()

    assert sentence in refusal(name)


def test_a_files_own_error_passes(file_of):
    """What goes wrong while the person's file is imported is shown as it is."""
    with pytest.raises(ZeroDivisionError):
        load_analysis(file_of("1 / 0"))
    with pytest.raises(SyntaxError):
        load_analysis(file_of("def map(:"))
    with pytest.raises(ModuleNotFoundError, match="no_such_helper"):
        load_analysis(file_of("import no_such_helper"))


def test_a_module_that_misses_another_says_which(file_of, monkeypatch):
    """That a module's own import fails is not told as if the module were missing."""
    file_of("import job_modul", "job_module_broken.py")
    monkeypatch.syspath_prepend(".")

    with pytest.raises(ModuleNotFoundError, match="'job_modul'"):
        load_analysis("job_module_broken:One")
