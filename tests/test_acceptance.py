"""The main job from the built wheel, outside the checkout: nothing of the source tree helps it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conformance import Checked, check_published
from published import payload, times, write_block, write_definitions

from mr.generate import generate

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a clean copy of the source, so that no stale build joins in."""
    copy = tmp_path_factory.mktemp("source")
    names = ("mr", "analyses", "bin", "conf", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
    subprocess.run(["cp", "-r", *(ROOT / name for name in names), copy], check=True)
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, copy]
    subprocess.run(build, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed apart from the checkout (its dependencies are this environment's)."""
    target = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return target


@pytest.fixture
def run(installed: Path, tmp_path: Path):
    """Run the installed command, in an empty folder with an empty home."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path / "home"),
        "MR_TELEMETRY_STORE": str(tmp_path / "jobs"),
    }

    def call(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, installed / "bin" / "mr-telemetry", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)

    return call


def test_wheel_holds_every_module(wheel):
    """A subpackage that setup.cfg forgets works in a checkout and is missing from the wheel."""
    held = set(zipfile.ZipFile(wheel).namelist())

    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mr").rglob("*.py")}
    expected |= {f"mr/analyses/{path.name}" for path in (ROOT / "analyses").glob("*.py")}
    expected |= {f"mr/conf/{path.name}" for path in (ROOT / "conf").glob("*.*")}
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mr/dashboard/page").iterdir()}
    assert len(page) > 10
    expected |= page
    assert len(expected) > 40
    assert expected <= held
    assert not any(name.startswith(("analyses/", "conf/", "tests/")) for name in held)


def test_main_job_runs_from_the_wheel(run, installed, tmp_path):
    """Generated blocks give exactly the numbers that were generated, by the installed package."""
    generated = run("generate", "blocks", "--size", "5MB", "--seed", 7, "--report", "truth.json")
    truth = json.loads((tmp_path / "truth.json").read_text())

    done = run("run", "os_distribution", "blocks", "-o", "out.jsonl", "--report", "report.json")

    assert generated.returncode == done.returncode == 0, done.stderr.decode()
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == sorted(map(list, truth["written"]["by_os"].items()))
    assert sum(count for _, count in rows) == truth["written"]["good"] > 80
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["records"]["read"] == truth["written"]["good"]
    where = run("run", "os_distribution", "nowhere")
    assert where.returncode == 2
    assert b"nowhere" in where.stderr


def test_histograms_are_published_from_the_wheel(run, tmp_path):
    """Three records give three submissions of each measure, in conforming files; then a fourth."""
    tree = tmp_path / "blocks"
    definitions = write_definitions(tmp_path)
    write_block(tree, [payload(TIMES=times(1, 2)), payload("Linux", "3.13.0", TIMES=times(0, 4))])
    write_block(tree, [payload(TIMES=times(3))], submission_date="20140603")
    job = ("run", "histograms", "blocks", "-o", "out/", "--definitions", definitions)

    first = run(*job)
    assert first.returncode == 0, first.stderr.decode()
    # Two measures: TIMES, and the simple one that each record has.
    assert check_published(tmp_path / "out") == Checked(1, 2, 10, 6)
    write_block(tree, [payload(TIMES=times(7))], number=3)
    second = run(*job)

    assert second.returncode == 0, second.stderr.decode()
    assert check_published(tmp_path / "out") == Checked(1, 2, 10, 8)
    shown = run("show", "out", "nightly/31", "TIMES", "--format", "json")
    assert json.loads(shown.stdout)["count"] == 17
    written = run("dashboard", "out", "-o", "site")
    assert written.returncode == 0, written.stderr.decode()
    (copy,) = (tmp_path / "site/published").glob("*-31-nightly/TIMES-by-build-date.json")
    (live,) = (tmp_path / "out").glob(f"{copy.parent.name}/{copy.name}")
    assert copy.read_bytes() == live.read_bytes()
    assert "Chart.js" in (tmp_path / "site/Chart.bundle.js").read_text("utf-8")


def test_mrjob_runs_what_is_installed(run, installed, tmp_path):
    """Its tasks are processes that import the installed package, and a script of it."""
    pytest.importorskip("mrjob", reason="mrjob is not installed (extra [mrjob])")
    for number, system in enumerate(["WINNT", "Linux", "WINNT"]):
        write_block(tmp_path / "blocks", [payload(system), payload()], number=number)
    (tmp_path / "where.py").write_text(
        "import mr\nfrom mr import Analysis\n\n\nclass Where(Analysis):\n"
        '    def map(self, record):\n        yield mr.__file__, record["info"]["OS"]\n'
    )
    mrjob = ("--engine", "mrjob", "-r", "local")

    done = run("run", "os_distribution", "blocks", *mrjob)
    where = run("run", "where.py", "blocks", *mrjob)

    assert done.returncode == 0, done.stderr.decode()
    assert [json.loads(line) for line in done.stdout.splitlines()] == [["Linux", 1], ["WINNT", 5]]
    assert {json.loads(line)[0] for line in where.stdout.splitlines()} == {
        str(installed / "mr/__init__.py")
    }


@pytest.fixture
def cluster(installed: Path, tmp_path: Path):
    """The environment of a cluster that the installed command runs on this machine."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(tmp_path / "home")}
    program = [sys.executable, installed / "bin" / "mr-telemetry"]
    with (tmp_path / "cluster.err").open("wb") as errors:
        running = subprocess.Popen(
            [*program, "local-cluster", "--workers", "1", "--dir", tmp_path / "cluster"],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    try:
        settings = {}
        while "MR_TELEMETRY_QUEUE" not in settings:
            line = running.stdout.readline()
            assert line, (tmp_path / "cluster.err").read_text()
            name, _, value = line.removeprefix("export ").strip().partition("=")
            settings[name] = value
        yield {**environment, **settings}
    finally:
        running.terminate()
        assert running.wait(60) == 0


def test_a_cluster_runs_from_the_wheel(installed, cluster, tmp_path):
    """Servers, a worker and every command of the installed package count what was generated."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, installed / "bin" / "mr-telemetry", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=cluster, capture_output=True, timeout=100)
        assert done.returncode == 0, done.stderr.decode()
        return done

    truth = generate(tmp_path / "blocks", size=3_000_000, seed=8)
    run("copy", "blocks", "s3://mr-telemetry/blocks")

    done = run("run", "os_distribution", "s3://mr-telemetry/blocks", "--report", "report.json")
    job = run("submit", "os_distribution", "s3://mr-telemetry/blocks").stdout.decode().strip()
    fetched = run("fetch", job, "--wait")

    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == sorted(map(list, truth.written.by_os.items()))
    assert sum(count for _, count in rows) == truth.written.good > 40
    assert fetched.stdout == done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["records"]["read"] == truth.written.good
    assert report["requests"]["counts"]["s3.PutObject"] > report["tasks"]["1-map"]


def test_the_installed_package_is_what_runs(installed, tmp_path):
    """The acceptance tests would say nothing if they ran the checkout's code."""
    code = "import mr, mr.analyses; print(mr.__file__); print(mr.analyses.__path__[0])"
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )

    assert all(Path(line).is_relative_to(installed) for line in shown.stdout.split())


def test_same_seed_same_bytes_from_the_wheel(run, tmp_path):
    """The command writes the same tree as the function does, for the same seed."""
    run("generate", "blocks", "--size", "1MB", "--seed", 11)
    generate(tmp_path / "again", size=1_000_000, seed=11)

    def contents(root: Path) -> dict[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}

    found = contents(tmp_path / "blocks")
    assert len(found) > 10
    assert found == contents(tmp_path / "again")


def test_a_missing_record_would_be_noticed(run, tmp_path):
    """The numbers come from the blocks: one block less gives less."""
    truth = generate(tmp_path / "blocks", size=2_000_000, seed=5)
    whole = run("run", "os_distribution", "blocks")
    next(path for path in sorted((tmp_path / "blocks").rglob("*")) if path.is_file()).unlink()

    less = run("run", "os_distribution", "blocks")

    def total(done: subprocess.CompletedProcess) -> int:
        return sum(json.loads(line)[1] for line in done.stdout.splitlines())

    assert total(whole) == truth.written.good
    assert 0 < total(less) < total(whole)
