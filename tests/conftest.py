"""What many tests use: a generated tree with its truth, and the command line as a function."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsers import axe, browser, browser_session  # noqa: F401 - fixtures for every test
from hypothesis import settings
from kernels import Compiled, Served
from servers import fauxqs, ministack, seaweed  # noqa: F401 - fixtures for every test

from mr.engines.onemachine import LocalCluster, local_cluster
from mr.generate import GenerateReport, generate
from mr.kernel.building import SWITCH, Functions, build, load

JOBS = Path(__file__).parent / "jobs"

#: A job that takes longer than this in a test hangs.
COMMAND_TIMEOUT_S = 120

# Else each command with a cache of its own would build the compiled code, for ten seconds. Those
# that are about it switch it on.
os.environ[SWITCH] = "0"

# A shared machine may take any time: what hangs is stopped by pytest's own limit.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


@dataclass(frozen=True)
class Tree:
    """A generated tree and what stands in it."""

    path: Path
    truth: GenerateReport


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: bytes
    err: str

    @property
    def rows(self) -> list:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def own_path() -> Iterator[None]:
    """What a test's code makes importable is so for that test alone."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A tree of 4 MB without damage."""
    path = tmp_path_factory.mktemp("tree") / "blocks"
    return Tree(path, generate(path, size=4_000_000, seed=3))


@pytest.fixture(scope="session")
def damaged_tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A tree of 4 MB with bad records and bad blocks."""
    path = tmp_path_factory.mktemp("damaged") / "blocks"
    return Tree(path, generate(path, size=4_000_000, seed=4, bad_records=0.2, bad_blocks=0.2))


@pytest.fixture(scope="session")
def kernel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the compiled scanner lies; it is built once, whichever worker of xdist comes first."""
    pytest.importorskip("numba", reason="numba is not installed")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SWITCH)
        assert build(folder / "kernel")
    return folder / "kernel"


@pytest.fixture(scope="session")
def functions(kernel_folder: Path) -> Functions:
    """The compiled scanner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SWITCH)
        return load(kernel_folder)


@pytest.fixture(scope="session")
def compiled(functions: Functions) -> Compiled:
    """The compiled scanner as it is."""
    return Compiled(functions)


@pytest.fixture(scope="session")
def guarded(kernel_folder: Path) -> Iterator[Served]:
    """The compiled scanner beside memory that nobody may touch."""
    served = Served("guarded", kernel_folder)
    yield served
    served.stop()


@pytest.fixture(scope="session")
def checked(kernel_folder: Path) -> Iterator[Served]:
    """The scanner's code with every index checked."""
    served = Served("checked", kernel_folder)
    yield served
    served.stop()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a test's jobs live."""
    return tmp_path / "store"


@pytest.fixture
def environment(store: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of commands: jobs in the test's own store, nothing from the person's home."""
    return {**os.environ, "MR_TELEMETRY_STORE": str(store), "HOME": str(tmp_path)}


@pytest.fixture
def command(environment: dict[str, str], tmp_path: Path) -> Callable[..., Answer]:
    """Run `mr-telemetry` with these arguments, in a folder of its own."""
    return lambda *arguments: run_command(arguments, environment, tmp_path)


def run_command(arguments: tuple, environment: dict[str, str], folder: Path) -> Answer:
    """Run `mr-telemetry` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "mr.cli.main", *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    return Answer(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster of two workers on this machine."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    with local_cluster(tmp_path_factory.mktemp("cluster"), 2) as running:
        yield running


@pytest.fixture
def cluster_environment(
    cluster: LocalCluster, environment: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    """The environment of commands on the cluster."""
    return {**environment, **cluster.settings, "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def cluster_command(cluster_environment: dict[str, str], tmp_path: Path) -> Callable[..., Answer]:
    """Run `mr-telemetry` on the cluster; a folder of blocks among the arguments is read from S3."""

    def run(*arguments: object) -> Answer:
        moved = [in_s3(one, cluster_environment, tmp_path) for one in arguments]
        return run_command(tuple(moved), cluster_environment, tmp_path)

    return run


#: Folders that were copied to a cluster's S3.
_COPIED: set[str] = set()


def in_s3(argument: object, environment: dict[str, str], folder: Path) -> object:
    """The argument itself, or the URL of a copy if it is a folder."""
    if not (isinstance(argument, Path) and argument.is_dir()):
        return argument
    url = f"s3://mr-telemetry/trees/{hashlib.sha256(str(argument).encode()).hexdigest()[:16]}"
    if url not in _COPIED:
        copied = run_command(("copy", argument, url), environment, folder)
        assert copied.code == 0, copied.err
        _COPIED.add(url)
    return url
