"""This very package as a wheel: of a checkout, and of what was installed."""

import subprocess
import sys
import zipfile

import pytest

from mr import wheel as wheels
from mr.errors import UsageError


def listed(path):
    """The files of a wheel with their bytes."""
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel of this checkout."""
    return wheels.own_wheel(tmp_path_factory.mktemp("built"))


def test_the_wheel_of_a_checkout_has_every_module_and_what_they_read(built):
    """Subpackages, the analyses, and what lies in conf/ and bin/."""
    files = listed(built)

    assert built.name.startswith("mr_telemetry-")
    assert {
        "mr/__init__.py", "mr/engines/mrjob/telemetry_job.py", "mr/aws/stacks.py",
        "mr/analyses/histograms.py", "mr/conf/fleet.yaml", "mr/conf/prices.json",
        "mr/conf/mrjob.conf", "mr/conf/schema.json", "mr/bin/worker-boot", "mr/py.typed",
    } <= files.keys()  # fmt: skip
    assert not [name for name in files if name.startswith(("tests/", "build/", "analyses/"))]


def test_it_is_the_same_each_time(built, tmp_path):
    """So that a machine can tell by its digest that nothing is new."""
    assert wheels.own_wheel(tmp_path).read_bytes() == built.read_bytes()


def test_an_installed_package_is_put_together_again(built, tmp_path):
    """With the same files, from which pip installs the same again."""
    home, target = tmp_path / "home", tmp_path / "out"
    target.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", home, built], check=True)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from mr.wheel import own_wheel\n"
        "print(own_wheel(Path(sys.argv[2])))"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(home), str(target)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (again,) = target.iterdir()
    before, after = listed(built), listed(again)
    (record,) = [name for name in before if name.endswith(".dist-info/RECORD")]
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} <= {record}
    assert sorted(after[record].splitlines()) == sorted(before[record].splitlines())
    subprocess.run([*pip, "--target", tmp_path / "twice", again], check=True)
    assert (tmp_path / "twice/mr/engines/mrjob/rows.py").exists()


def test_what_is_only_importable_cannot_be_packed(monkeypatch, tmp_path):
    """It is said in a sentence."""
    monkeypatch.setattr(wheels.importlib.metadata, "distributions", lambda **_: iter(()))

    with pytest.raises(UsageError, match="not installed here, only importable"):
        wheels.own_wheel(tmp_path)


def test_the_command_writes_it_to_a_folder(command, tmp_path):
    """And prints where it is."""
    done = command("wheel", tmp_path)

    assert done.code == 0
    assert done.out.decode().strip().endswith("-py3-none-any.whl")
    assert list(tmp_path.glob("mr_telemetry-*.whl"))
    assert command("wheel", tmp_path / "nowhere").code == 2
