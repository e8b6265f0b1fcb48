"""The documentation says what the code does: examples run, links and options exist."""

import ast
import json
import re
import shlex
from dataclasses import fields
from inspect import signature
from pathlib import Path

import click
import pytest
from test_imports import FILES, imports_of

from mr import Result, config, run, testing
from mr.analysis import SETTINGS, Analysis, parameters, steps
from mr.cli.main import COMMANDS, cli
from mr.generate import generate
from mr.loading import bundled_analyses, load_analysis
from mr.schema import load_schema, parse_filter, parse_schema

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
#: A command on a line of its own in an example, and one within a sentence.
_COMMAND_LINE = re.compile(r"^(?: {4}|\$ )(mr-telemetry .*)$", re.MULTILINE)
_COMMAND_IN_TEXT = re.compile(r"`(mr-telemetry\s[^`]*)`")


def text(page: str) -> str:
    """A page of the documentation."""
    return (ROOT / page).read_text(encoding="utf-8")


def examples(page: Path, language: str) -> list[str]:
    """The examples of a page in one language."""
    return [code for found, code in _FENCE.findall(page.read_text("utf-8")) if found == language]


def anchors(page: Path) -> set[str]:
    """What links within a page may name."""
    prose = _FENCE.sub("", page.read_text("utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose))
    return {heading.replace(" ", "-") for heading in plain}


def section(page: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def typed(line: str) -> list[str]:
    """The words of a command line, without a comment or where its output goes."""
    return shlex.split(line.replace("[options]", "").partition(" > ")[0], comments=True)


def table_rows(page: str) -> list[list[str]]:
    """The cells of every table row of a page."""
    lines = (line.strip() for line in text(page).splitlines())
    return [line.strip("|").split(" | ") for line in lines if line.startswith("|")]


@pytest.fixture
def beside_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with blocks under `telemetry`, and jobs of its own."""
    generate(tmp_path / "telemetry", size=2_000_000, seed=1)
    (tmp_path / "demo-data").mkdir()
    (tmp_path / "demo-data/blocks").symlink_to(tmp_path / "telemetry")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MR_TELEMETRY_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if examples(page, "python")], ids=lambda page: page.name
)
def test_python_examples_run(page, beside_telemetry):
    """The examples of a page run one after the other, and their assertions hold."""
    names = {"__name__": "__main__"}

    for number, code in enumerate(examples(page, "python")):
        compiled = compile(code, f"{page.name}, example {number + 1}", "exec")
        if "\ndef map(" in code:
            script = beside_telemetry / f"script_{number}.py"
            script.write_text(code)
            assert len(testing.run_analysis(load_analysis(str(script)), [testing.ping()])) > 1
        else:
            exec(compiled, names)

    classes = [one for one in names.values() if isinstance(one, type)]
    analyses = [one for one in classes if issubclass(one, Analysis)]
    assert analyses
    assert all(steps(one)[0] is one for one in analyses)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Every relative link names a file that is there, and a heading in it."""
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_command_lines_can_be_typed():
    """Every command line names a command, and options that it has."""
    checked = 0
    for page in PAGES:
        found = page.read_text("utf-8")
        for line in _COMMAND_LINE.findall(found) + _COMMAND_IN_TEXT.findall(found):
            _, name, *arguments = typed(line)
            if name.startswith("-"):
                assert name in ("--version", "--help"), line
                continue
            command = cli.get_command(click.Context(cli), name)
            assert command is not None, line
            try:
                command.make_context(name, arguments)
            except click.MissingParameter:
                assert not arguments, line  # a sentence may speak of the command alone
            checked += 1

    assert checked > 30


#: What each method of boto3's clients needs; deleting several objects is deleting each.
ACTIONS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "copy": "s3:PutObject",
    "copy_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "delete_objects": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "get_paginator": "s3:ListBucketMultipartUploads",
    "head_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "put_object": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "change_message_visibility": "sqs:ChangeMessageVisibility",
    "create_queue": "sqs:CreateQueue",
    "delete_message": "sqs:DeleteMessage",
    "delete_queue": "sqs:DeleteQueue",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "get_queue_url": "sqs:GetQueueUrl",
    "receive_message": "sqs:ReceiveMessage",
    "send_message": "sqs:SendMessage",
    "send_message_batch": "sqs:SendMessage",
}


def test_permissions_are_what_the_code_asks_for():
    """The policies on the page allow every request that the code makes, and nothing else."""
    code = "".join((ROOT / f"mr/aws/{name}.py").read_text() for name in ("s3", "objects", "sqs"))
    made = set(re.findall(r"\b(?:_s3|_client|client)\.([a-z0-9_]+)\(", code)) - {"client"}
    policies = [json.loads(one) for one in examples(ROOT / "docs/cluster.md", "json")]

    allowed = set()
    for policy in policies:
        for statement in policy["Statement"]:
            actions = statement["Action"]
            allowed |= {actions} if isinstance(actions, str) else set(actions)
    assert len(policies) == 2
    assert {ACTIONS[name] for name in made} == allowed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name):
    """The page on running names each command, and each option that it has."""
    page = text("docs/running.md")
    command = cli.get_command(click.Context(cli), name)

    assert f"`mr-telemetry {name}" in page or name == "run"
    for parameter in command.params:
        for option in parameter.opts if isinstance(parameter, click.Option) else ():
            assert re.search(rf"`{option}[ `]", page), option


def test_every_hook_is_documented():
    """The page on analyses names every attribute of `Analysis`, and every helper for tests."""
    page = text("docs/analyses.md")

    names = [name for name in vars(Analysis) if not name.startswith("_")]
    assert len(names) > 10
    assert [
        name for name in [*names, *testing.__all__] if not re.search(rf"\b{name}\b", page)
    ] == []


def test_every_bundled_analysis_is_documented():
    """The table names each, with its question, its parameters, and the settings it chooses."""
    rows = {row[0].strip("` "): row for row in table_rows("docs/analyses.md") if len(row) == 4}
    del rows["name"]

    assert list(rows) == list(bundled_analyses())
    for name, path in bundled_analyses().items():
        analysis = load_analysis(name)
        question = ast.get_docstring(ast.parse(path.read_text("utf-8"))).partition("\n")[0]
        told = set(re.findall(r"`([\w=]+)`", rows[name][3]))
        chosen = {one for one in SETTINGS if getattr(analysis, one) != getattr(Analysis, one)}
        expected = {*parameters(analysis), *(f"{one}={getattr(analysis, one)}" for one in chosen)}
        assert rows[name][1] == question
        assert told == expected, name


def test_every_option_of_run_in_python_is_documented():
    """The page on Python, and those that it leads to, name the parameters and the methods."""
    page = "".join(text(f"docs/{name}.md") for name in ("python", "running", "configuration"))

    options = [
        one.name for one in signature(run).parameters.values() if one.kind == one.KEYWORD_ONLY
    ]
    methods = [name for name in vars(Result) if not name.startswith("_")]
    assert len(options) > 10
    assert len(methods) > 3
    assert [name for name in options if f"`{name}`" not in page] == []
    assert [name for name in methods if f"`{name}(" not in page] == []


def test_every_setting_is_documented(tmp_path, monkeypatch):
    """The page on configuration names each setting's three places, and its file can be read."""
    rows = table_rows("docs/configuration.md")
    (example,) = examples(ROOT / "docs/configuration.md", "toml")
    (tmp_path / config.FILE_NAME).write_text(example)
    monkeypatch.chdir(tmp_path)

    commands = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
    flags = {option for command in commands for one in command.params for option in one.opts}

    for name in [setting.name for setting in fields(config.Settings) if setting.name != "given"]:
        flag = "--" + name.replace("_", "-")
        told = f"`{flag}`" if flag in flags else "(none)"
        variable = config.ENVIRONMENT_PREFIX + name.upper()
        assert any(f"`{name}`" in row[0] and told in row[1] and variable in row[2]
                   for row in rows if len(row) == 5), name  # fmt: skip
    assert config.load_settings(environment={}).workers == 4


def test_every_variable_is_documented():
    """Each variable of ours that the code reads stands on the page on configuration."""
    code = "".join(path.read_text("utf-8") for path in sorted((ROOT / "mr").rglob("*.py")))
    page = text("docs/configuration.md")

    named = set(re.findall(r'"(MR_TELEMETRY_[A-Z]+)"', code))
    assert len(named) >= 2
    assert [name for name in named if f"`{name}`" not in page] == []


def test_every_field_of_the_report_is_documented(command, tree, tmp_path):
    """The page on running names each field of a report, with the objects in it."""
    command("run", "os_distribution", tree.path, "--report", "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    documented = {
        name for row in table_rows("docs/running.md") for name in re.findall(r"`([\w.]+)`", row[0])
    }

    expected = set()
    for name, value in report.items():
        inner = name in ("blocks", "records", "bytes")
        expected |= {f"{name}.{field}" for field in value} if inner else {name}
    assert len(expected) > 30
    assert expected <= documented


@pytest.mark.parametrize(
    ("heading", "least"), [("Anywhere", 21), ("A cluster", 21), ("A fleet", 6)]
)
def test_messages_to_look_up_are_messages_of_ours(heading, least):
    """The left column of a table of messages quotes what the code says."""
    code = "".join(path.read_text("utf-8") for path in sorted((ROOT / "mr").rglob("*.py")))
    joined = re.sub(r'"\s*f?"', "", code)
    page = section("docs/troubleshooting.md", heading)
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)

    assert len(quoted) >= least
    assert [message for message in quoted if message not in joined] == []


def test_schemas_and_filters_are_valid():
    """The JSON of the page on input is a schema, or a filter of the usual dimensions."""
    for example in examples(ROOT / "docs/input.md", "json"):
        data = json.loads(example)
        if "dimensions" in data:
            assert parse_schema(data).fields == load_schema().fields
        assert any(not allowed.any for allowed in parse_filter(data, load_schema()).allowed)


# The table of rooms in docs/architecture.md


def rooms() -> list[str]:
    """The modules that the table names, in its order."""
    cells = [row[1] for row in table_rows("docs/architecture.md") if len(row) == 3]
    paths = [path for cell in cells for path in re.findall(r"`([\w/]+)\.py`", cell)]
    return [f"mr/{path}".removesuffix("/__init__").replace("/", ".") for path in paths]


def test_every_module_stands_in_the_table_once():
    """The table names each module that holds more than a docstring, and nothing that is gone."""
    expected = [
        name
        for name, path in FILES.items()
        if len(ast.parse(path.read_text("utf-8")).body) > 1 and path.is_relative_to(ROOT / "mr")
    ]

    assert sorted(rooms()) == sorted(expected)


def test_modules_import_what_stands_above_them():
    """The order of the table is one in which imports go one way."""
    above = {"mr"}  # the package itself: to import anything of it does so
    for name in rooms():
        assert imports_of(name) & set(rooms()) <= above, name
        above.add(name)
