"""`mr-telemetry new`."""

import keyword
import sys
from pathlib import Path
from string import Template

import click

_ANALYSIS = Template('''\
"""What $class_name answers, in one sentence.

Output: the key, and what its value means.
"""

from mr import Analysis


class $class_name(Analysis):
    """Counts records by the value of one field of `info`."""

    #: A parameter: `--set field=locale` counts by another field.
    field = "OS"

    def map(self, record):
        value = record["info"].get(self.field)
        if isinstance(value, str):
            yield value, 1
        else:
            self.count("records without the field")

    def reduce(self, key, values):
        yield key, sum(values)

    combine = reduce
''')

_TEST = Template('''\
"""What $class_name promises."""

from $module import $class_name

from mr.testing import assert_lawful, count_analysis, ping, run_analysis

RECORDS = [ping(info={"OS": "Linux"}), ping(info={"OS": "WINNT"}), ping(info={"OS": "Linux"})]


def test_counts_records_by_field():
    assert run_analysis($class_name, RECORDS) == [("Linux", 2), ("WINNT", 1)]


def test_counts_what_it_leaves_out():
    assert count_analysis($class_name, [ping(info={"OS": None})]) == {
        "records without the field": 1
    }


def test_does_not_depend_on_how_the_input_is_cut():
    assert_lawful($class_name, RECORDS)
''')


@click.command("new")
@click.argument("name")
@click.option("--dir", "folder", default=".", metavar="DIR", help="Where to write (here).")
def command(name: str, folder: str) -> None:
    """Write NAME.py, an analysis to start from, and its test test_NAME.py."""
    from mr.errors import UsageError

    module = name.removesuffix(".py").replace("-", "_")
    class_name = "".join(word[:1].upper() + word[1:] for word in module.split("_"))
    if not (_is_name(module) and _is_name(class_name)):
        raise UsageError(f"{name}: must be a Python name, such as flash_versions.")
    if module == "mr" or module in sys.stdlib_module_names:
        raise UsageError(
            f"{name}: would hide the module {module}, which is needed; choose another name."
        )
    names = {"module": module, "class_name": class_name}
    target = Path(folder)
    files = {target / f"{module}.py": _ANALYSIS, target / f"test_{module}.py": _TEST}
    for path in files:
        if path.exists():
            raise UsageError(f"{path} exists; remove it or choose another name.")
    try:
        for path, template in files.items():
            path.write_text(template.substitute(names), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {target}: {error.strerror}.") from None
    analysis, test = files
    click.echo(f"Wrote {analysis} and {test}. Next:")
    click.echo(f"  python -m pytest {test}")
    click.echo(f"  mr-telemetry check {analysis} INPUT")
    click.echo(f"  mr-telemetry run {analysis} INPUT")


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)
