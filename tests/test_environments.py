"""Environments for requirements: made once, whole or not at all, with all that is here in them."""

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy
import pytest
from packaging.requirements import Requirement

from mr import environments
from mr.environments import interpreter_for, is_satisfied
from mr.errors import AnalysisError, RetryElsewhere


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Keep pip from asking any index, whatever this machine's settings are."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def wheel(folder, name="tiny", version="1.0", needs=(), source="WORD = 'tiny'\n"):
    """A wheel of one module; what requires it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return f"{name} @ {path.as_uri()}"


def says(python, script):
    """What an interpreter prints, in an environment without our PYTHONPATH."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", script],
        cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def homes(folder):
    """The environments under a folder, whole or not."""
    return [one for one in (folder / "environments").iterdir() if one.is_dir()]


def test_this_interpreter_is_enough_for_what_it_has(tmp_path):
    """Without requirements, or with satisfied ones, nothing is made."""
    satisfied = ["numpy>=1", "Click", "nosuch; python_version < '3'"]

    assert interpreter_for([], tmp_path) == Path(sys.executable)
    assert interpreter_for(satisfied, tmp_path) == Path(sys.executable)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy", True),
        (f"numpy=={numpy.__version__}", True),
        ("numpy<1", False),
        ("NumPy>1; python_version >= '3'", True),
        ("numpy<1; python_version < '3'", True),
        ("nosuch", False),
        ("numpy @ file:///x.whl", False),
        ("mr_telemetry[parquet]", True),
        ("mr-telemetry>1000", False),
        ("hypothesis[numpy]", True),
        ("hypothesis[django]", False),
        ("hypothesis[all]", False),
    ],
)
def test_satisfied_is_what_pip_would_leave_alone(text, expected):
    """Versions, markers and extras count; nobody knows of a URL whether it is what is here."""
    assert is_satisfied(Requirement(text)) is expected


def test_an_environment_has_what_is_required_and_what_is_here(tmp_path):
    """The packages required are installed in it, and win; all others are this process's own."""
    requirements = [
        wheel(tmp_path, needs=["numpy>=1"]),
        wheel(tmp_path, "click", "99.0", source="WORD = 'other'\n"),
    ]

    python = interpreter_for(requirements, tmp_path)

    script = (
        "import tiny, click, numpy, msgspec, mr.child, sys, importlib.metadata as m;"
        "print(tiny.WORD, click.WORD, m.version('click'), numpy.__file__, mr.__file__);"
        "print(sys.prefix)"
    )
    first, prefix = says(python, script).splitlines()
    assert first == f"tiny other 99.0 {numpy.__file__} {environments.mr.__file__}"
    assert Path(prefix) == python.parent.parent == homes(tmp_path)[0]
    assert says(sys.executable, "import click; print(hasattr(click, 'WORD'))") == "False"


def test_an_environment_is_made_once_for_its_requirements(tmp_path):
    """The same ones in another order lead to the same place, unchanged; others to another."""
    one, other = wheel(tmp_path), wheel(tmp_path, "tinier")

    python = interpreter_for([one, other], tmp_path)
    made = (python.parent.parent / "complete").stat()
    again = interpreter_for([other, one, one], tmp_path)

    assert again == python
    assert (python.parent.parent / "complete").stat() == made
    assert interpreter_for([one], tmp_path) != python
    assert len(homes(tmp_path)) == 2


#: Prints when the environment that it waits for was made.
ASK = """
import os, sys
from pathlib import Path
from mr.environments import interpreter_for
python = interpreter_for([sys.argv[1]], Path(sys.argv[2]))
print(os.stat(python.parent.parent / "complete").st_mtime_ns)
"""


def test_of_several_who_ask_one_makes_it(tmp_path):
    """Three processes and three threads at once: all get the environment that one has made."""
    requirement = wheel(tmp_path)
    found = []

    def ask():
        python = interpreter_for([requirement], tmp_path)
        found.append((python.parent.parent / "complete").stat().st_mtime_ns)

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, requirement, tmp_path], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found += [int(process.communicate(timeout=60)[0]) for process in processes]

    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_half_made_one_is_made_anew(tmp_path):
    """Who is killed while making one leaves nothing that anybody takes for whole."""
    requirement = wheel(tmp_path)
    maker = subprocess.Popen([sys.executable, "-c", ASK, requirement, tmp_path])
    until = time.monotonic() + 30
    while not list((tmp_path / "environments").glob("*/pyvenv.cfg")):
        assert time.monotonic() < until
        time.sleep(0.002)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    (home,) = homes(tmp_path)
    assert not (home / "complete").exists()
    (home / "junk").write_text("left behind")

    python = interpreter_for([requirement], tmp_path)

    assert says(python, "import tiny; print(tiny.WORD)") == "tiny"
    assert not (home / "junk").exists()


def test_one_whose_python_is_gone_is_made_anew(tmp_path):
    """An environment whose interpreter has been removed is none."""
    requirement = wheel(tmp_path)
    python = interpreter_for([requirement], tmp_path)
    python.unlink()
    python.symlink_to(tmp_path / "nowhere")

    assert interpreter_for([requirement], tmp_path) == python
    assert says(python, "import tiny; print(tiny.WORD)") == "tiny"


def test_what_cannot_be_installed_is_the_analysis_fault(tmp_path):
    """No such package, or none for this Python: an AnalysisError with pip's own words."""
    for requirement in ("nosuch-package==7", wheel(tmp_path, needs=["nosuch-package==7"])):
        with pytest.raises(AnalysisError) as error:
            interpreter_for([requirement], tmp_path)
        assert "No matching distribution found for nosuch-package==7" in str(error.value)
        assert str(error.value).startswith(f"the packages {requirement} cannot be installed")

    missing = wheel(tmp_path, "later")
    (tmp_path / "later-1.0-py3-none-any.whl").rename(tmp_path / "aside")
    with pytest.raises(AnalysisError):
        interpreter_for([missing], tmp_path)
    (tmp_path / "aside").rename(tmp_path / "later-1.0-py3-none-any.whl")
    assert says(interpreter_for([missing], tmp_path), "import later; print(later.WORD)") == "tiny"


def test_no_network_is_nobodys_fault(tmp_path, monkeypatch):
    """An index that does not answer is no reason to fail the job."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")

    with pytest.raises(RetryElsewhere, match="nosuch cannot be installed; pip says"):
        interpreter_for(["nosuch"], tmp_path)


def test_without_pip_the_environment_brings_its_own(tmp_path, monkeypatch):
    """This Python has no pip, but ensurepip: the environment's own pip installs."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    requirement = wheel(tmp_path)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))

    python = interpreter_for([requirement], tmp_path)

    assert says(python, "import tiny, msgspec; print(tiny.WORD)") == "tiny"


def test_without_any_pip_the_machine_is_at_fault(tmp_path, monkeypatch):
    """This Python has neither: another worker may have."""
    stub = tmp_path / "python"
    stub.write_text("#!/bin/sh\necho No module named $2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))

    with pytest.raises(RetryElsewhere, match="it has neither pip nor ensurepip"):
        interpreter_for(["nosuch"], tmp_path)
    stub.unlink()
    with pytest.raises(RetryElsewhere, match="cannot be started"):
        interpreter_for(["nosuch"], tmp_path)
