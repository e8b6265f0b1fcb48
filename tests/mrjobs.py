"""What tests of mrjob share: an environment that leaves nothing behind, and what they need.

Tests that import this are skipped where mrjob is not installed.
"""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("mrjob", reason="mrjob is not installed (extra [mrjob]; up to Python 3.12)")


@pytest.fixture(name="own_places", autouse=True)
def own_places_fixture(environment: dict[str, str], tmp_path: Path) -> Path:
    """The folder in which mrjob and its tasks write: the test's own, nothing in /tmp or HOME."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment.update(TMPDIR=str(folder), XDG_CACHE_HOME=str(tmp_path / "cache"))
    for name in list(environment):
        if name.startswith(("HADOOP_", "MRJOB_", "SPARK_")):
            del environment[name]
    return folder


def need_spark() -> None:
    """Skip a test where there is no Spark."""
    pytest.importorskip("pyspark", reason="pyspark is not installed (extra [spark])")
    if shutil.which("java") is None:
        pytest.skip("there is no Java on this machine, which Spark needs")
