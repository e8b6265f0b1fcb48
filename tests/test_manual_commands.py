"""Every command of the manual is typed as it stands there, page by page, and does its work."""

import re
import shutil
from pathlib import Path

import pytest
from test_docs import PAGES, examples
from typing_in import ROOT, Terminal, commands_of, terminal

from mr.generate import generate

#: What is run elsewhere: by whoever runs these tests, or for an hour.
ELSEWHERE = {
    "make demo": "by people, and before each release",
    "make test": "it runs this",
    "make bench": "tests/test_bench.py runs its parts, quickly",
    "make docs": "tests/test_manual.py builds the manual",
    "make notebook": "tests/test_tutorial.py runs the tutorial",
    "pip install": "the extras that it names are read in tests/test_manual_commands.py",
}


def typed_on(page: str) -> list[str]:
    """The commands of a page that are typed here."""
    lines = [line for line in commands_of(ROOT / page) if not line.startswith(tuple(ELSEWHERE))]
    # Any port in the place of the usual one: tests run beside each other.
    return [re.sub(r"^mr-telemetry serve", r"\g<0> --port 0", line) for line in lines]


@pytest.fixture
def place(environment, tmp_path):
    """A terminal in a folder with some blocks, as `telemetry`, `sample` and `demo-data/blocks`."""
    folder = tmp_path / "work"
    generate(folder / "telemetry", size=1_500_000, seed=1)
    (folder / "sample").symlink_to("telemetry")
    (folder / "demo-data").mkdir()
    (folder / "demo-data/blocks").symlink_to(folder / "telemetry")
    with terminal(folder, environment) as found:
        found.words["INPUT"] = "telemetry"
        found.lasting["mr-telemetry serve"] = is_serving
        yield found


@pytest.fixture
def publish(place):
    """Publish the blocks, and let the page's words mean what there is then."""
    place.type("mr-telemetry run histograms telemetry -o published/ --quiet")
    place.words |= {"PUBLISHED": "published", "SITE": "site", "nightly/31": "nightly/26"}
    return place


def has_settings(found: Terminal) -> bool:
    """Whether a cluster has told its settings."""
    path = found.folder / "cluster.env"
    return path.exists() and "MR_TELEMETRY_QUEUE" in path.read_text()


def is_serving(found: Terminal) -> bool:
    """Whether `serve` has told where the page is."""
    return "shows published" in "".join(
        path.read_text() for path in found.folder.glob("started-*.log")
    )


def type_all(found: Terminal, page: str) -> int:
    """Type the commands of a page; returns how many there were."""
    lines = typed_on(page)
    for line in lines:
        found.type(line)
    return len(lines)


def test_every_page_with_commands_is_typed():
    """No page is forgotten here."""
    tested = set(re.findall(r'"((?:docs/)?\w[\w-]*\.md)"', Path(__file__).read_text("utf-8")))

    with_commands = {str(page.relative_to(ROOT)) for page in PAGES if commands_of(page)}
    assert len(with_commands) > 8
    assert {page for page in with_commands if typed_on(page)} <= tested


def test_extras_that_are_to_be_installed_exist():
    """Those that the pages name are those of setup.cfg."""
    declared = (ROOT / "setup.cfg").read_text().partition("[options.extras_require]")[2]
    known = set(re.findall(r"^([\w-]+) =$", declared.partition("\n[")[0], re.MULTILINE))

    named = set()
    for page in PAGES:
        for extras in re.findall(r"mr-telemetry\[([\w,-]+)\]", page.read_text("utf-8")):
            named |= set(extras.split(","))
    assert len(named) > 4
    assert named <= known


def test_the_readme(place):
    """From the first analysis to a cluster; the one on AWS with the emulator as AWS."""
    (place.folder / "os_distribution.py").write_text(examples(ROOT / "README.md", "python")[0])
    (place.folder / "nightly.json").write_text('{"appUpdateChannel": "nightly"}')
    (place.folder / "sample").unlink()  # a command makes it
    place.lasting["mr-telemetry local-cluster"] = has_settings
    lines = typed_on("README.md")
    first_of_fleet = next(n for n, line in enumerate(lines) if " cluster up " in line)
    last_of_fleet = next(n for n, line in enumerate(lines) if " cluster down " in line)

    for number, line in enumerate(lines):
        if first_of_fleet <= number <= last_of_fleet:
            continue  # in a test of its own
        if line.startswith("mr-telemetry plan"):
            place.stop()
            place.sourced = ""
        if "BLOCK" in line:
            block = min((place.folder / "sample").rglob("*.lzma"))
            place.words["BLOCK"] = str(block.relative_to(place.folder))
        place.type(line)

    assert len(lines) > 20


def test_analyses(place):
    """An analysis with parameters, one that `new` has written, and one with a table beside it."""
    codes = examples(ROOT / "docs/analyses.md", "python")
    (by_field,) = [code for code in codes if "class ByField" in code]
    (place.folder / "by_field.py").write_text(
        "from mr import Analysis\n\n\n" + by_field.partition("\n\n\nassert")[0]
    )
    place.type("mr-telemetry new flash_versions")
    (place.folder / "by_country.py").write_text(
        "import json\nimport pathlib\n\n"
        "from mr.analyses.os_distribution import OSDistribution\n\n\n"
        + next(code for code in codes if "class ByCountry" in code).partition("\n\n\n")[2]
    )
    (place.folder / "countries.json").write_text('{"DE": "Germany"}')

    assert type_all(place, "docs/analyses.md") >= 3


def test_input(place, ministack):
    """Listing and reading blocks, here and in a bucket."""
    place.environment |= ministack.environment
    from mr.aws.clients import client

    with pytest.MonkeyPatch.context() as patch:
        for name, value in ministack.environment.items():
            patch.setenv(name, value)
        client("s3").create_bucket(Bucket="manual-input")
    place.words["BUCKET"] = "manual-input"
    place.type("mr-telemetry copy telemetry s3://manual-input/telemetry --quiet")
    block = min((place.folder / "telemetry").rglob("*.lzma"))
    named = next(line.split()[2] for line in typed_on("docs/input.md") if " cat " in line)
    (place.folder / named).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(block, place.folder / named)

    assert type_all(place, "docs/input.md") >= 6


def test_published(publish):
    """Publishing, one document, reading back, and the page."""
    publish.words["20140601"] = "20130801"

    assert type_all(publish, "docs/published.md") >= 6


def test_dashboard(publish):
    """Serving, a copy, and a page alone."""
    assert type_all(publish, "docs/dashboard.md") >= 3
    index = (publish.folder / "site/index.html").read_text("utf-8")
    assert 'content="../published/"' in index


def test_running(place):
    """A job, its profiles, and days that become a week."""
    place.words["ANALYSIS"] = "os_distribution"
    place.type("mr-telemetry new by_locale")
    for day, seed in (("day-1", 7), ("day-2", 8)):
        place.type(f"mr-telemetry generate {day} --size 500KB --seed {seed}")
    lines = typed_on("docs/running.md")

    for line in lines:
        line = line.replace("... [options]", "")
        if line.endswith("--profile"):
            line += "=cpu"  # the profiles are read further down
        place.type(line)

    assert len(lines) >= 6
    assert (place.folder / "week.csv").stat().st_size > 0
    assert (place.folder / "states/week/state.json").exists()


def test_costs(place):
    """What a job would take, here and on a fleet."""
    assert type_all(place, "docs/costs.md") >= 2


def test_faults(place):
    """Going on with a job, whose id is another one here; and a task once more in the debugger."""
    place.type("mr-telemetry run os_distribution telemetry")
    lines = typed_on("docs/faults.md")

    for line in lines:
        place.type(re.sub(r"20131011-\S+|\b1a76f5\b", "JOB", line))

    assert len(lines) >= 4
    assert (place.folder / "result.csv").stat().st_size > 0


def test_mrjob(place):
    """Inline and local; the others need their clusters, and are tested for themselves."""
    pytest.importorskip("mrjob", reason="mrjob is not installed (extra [mrjob])")

    assert type_all(place, "docs/mrjob.md") >= 4
    assert (place.folder / "by_os.csv").stat().st_size > 0


def test_cluster(place):
    """All of a cluster on one machine, with another worker, and a debugger without a person."""
    (place.folder / "sample").unlink()
    place.lasting["mr-telemetry local-cluster"] = has_settings
    place.lasting["mr-telemetry worker"] = lambda found: True

    assert type_all(place, "docs/cluster.md") >= 11
    assert (place.folder / "result.csv").stat().st_size > 0


@pytest.mark.parametrize("page", ["README.md", "docs/fleet.md"])
def test_fleet(place, ministack, page):
    """With an emulator as AWS: it makes the stack, and a worker of ours is the machines."""
    place.environment |= {
        **ministack.environment,
        "AWS_ENDPOINT_URL": ministack.url,
        "MR_TELEMETRY_MACHINE": "c6a.2xlarge spot",
    }
    name = "manual-" + page.partition(".")[0].lower().replace("/", "-")
    lines = typed_on(page)
    first = next(n for n, line in enumerate(lines) if " cluster up " in line)
    last = next(n for n, line in enumerate(lines) if " cluster down " in line)
    place.lasting["mr-telemetry worker"] = lambda found: True
    place.words["NAME"] = name
    bucket = f"{name}-blocks"
    from mr.aws.clients import client

    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ministack.environment.items():
            patch.setenv(variable, value)
        client("s3").create_bucket(Bucket=bucket)
    place.words["BUCKET"] = bucket
    place.words["PREFIX"] = "telemetry"
    place.type(f"mr-telemetry copy telemetry s3://{bucket}/telemetry --quiet")
    try:
        for line in lines[first : last + 1]:
            place.type(line)
            if line.startswith(". "):
                place.type("mr-telemetry worker --processes 1")
            if " run " in line:
                place.stop()
    finally:
        place.type("mr-telemetry cluster down NAME --purge")
    assert last - first >= 3
