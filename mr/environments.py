"""Python environments for analyses that need packages which are not installed here.

    environments/<hash>/            one for each set of requirements
    environments/<hash>/complete    it is whole, and never changes again
    environments/<hash>.lock        held by whoever makes it

An environment also has all that this process can import; what is required comes before it.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mr
from mr.compatibility import OURS, installed_packages, our_version
from mr.errors import AnalysisError, RetryElsewhere

_COMPLETE = "complete"
#: Lines of what pip says that are shown.
LINES_SHOWN = 12
#: Folders of these names hold installed packages.
_INSTALLED = frozenset({"site-packages", "dist-packages"})
#: The folder in setuptools that it puts on the path when it is imported.
_VENDOR = "_vendor"

#: What pip says when the fault is the machine's or the network's.
_SURROUNDINGS = (
    "after connection broken by",
    "Failed to establish a new connection",
    "Max retries exceeded",
    "Temporary failure in name resolution",
    "Read timed out",
    "ReadTimeoutError",
    "ConnectTimeoutError",
    "Connection reset by peer",
    "ProxyError",
    "SSLError",
    "No space left on device",
    "Disk quota exceeded",
    "Server Error",
    "Too Many Requests",
    "externally-managed-environment",
)


def interpreter_for(requirements: Sequence[str], folder: Path) -> Path:
    """A Python that has what is required: this one, or one of an environment under `folder`.

    The environment is made when it is first asked for, and kept; of several who ask at once one
    makes it and the others wait. Raises AnalysisError when something cannot be installed, and
    RetryElsewhere when that is the network's or this machine's fault.
    """
    if all(is_satisfied(Requirement(text)) for text in requirements):
        return Path(sys.executable)
    wanted = sorted(set(requirements))
    home = folder / "environments" / _hash(wanted)
    python = home / "bin" / "python"
    if _is_complete(home, python):
        return python
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(home, python):
            _make(home, python, wanted, lock.fileno())
    return python


def is_satisfied(requirement: Requirement, *, within: Collection[str] = ()) -> bool:
    """Whether what is installed here is what is required, with the extras that it names.

    Of a requirement that names a URL nobody can say so. `within` are those being looked at.
    """
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return True
    return _is_installed(requirement, within)


def _is_installed(requirement: Requirement, within: Collection[str]) -> bool:
    name = canonicalize_name(requirement.name)
    version = our_version() if name == OURS else installed_packages().get(name)
    if not version or requirement.url:
        return False
    if not requirement.specifier.contains(version, prereleases=True):
        return False
    text = str(requirement)
    if text in within:
        return True  # its extras lead back to it
    needs = importlib.metadata.requires(requirement.name) if requirement.extras else None
    return all(
        _is_installed(need, {*within, text})
        for need in map(Requirement, needs or ())
        for extra in requirement.extras
        if need.marker is not None
        and need.marker.evaluate({"extra": extra})
        and not need.marker.evaluate({"extra": ""})
    )


def _hash(wanted: Sequence[str]) -> str:
    """What the environment depends on, as a name."""
    parts = [wanted, sys.version, sysconfig.get_platform(), our_version(), sys.executable]
    text = json.dumps([*parts, _installed_folders(), _our_folder()])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _installed_folders() -> list[str]:
    """Where this process has its installed packages, but for what setuptools adds for itself."""
    folders = (os.path.abspath(entry) for entry in sys.path)
    parts = {one: Path(one).parts for one in folders}
    return [
        one
        for one, names in parts.items()
        if not _INSTALLED.isdisjoint(names) and _VENDOR not in names
    ]


def _our_folder() -> str:
    return str(Path(mr.__file__).absolute().parent.parent)


def _is_complete(home: Path, python: Path) -> bool:
    # The Python that it was made of may be gone.
    return (home / _COMPLETE).exists() and python.exists()


def _make(home: Path, python: Path, wanted: Sequence[str], lock: int) -> None:
    shutil.rmtree(home, ignore_errors=True)  # half-made: its maker was killed
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    if not _run([sys.executable, "-m", "pip", "--version"], lock)[0]:
        pip = [str(python), "-m", "pip"]
    alone = pip[0] == str(python)
    venv = [sys.executable, "-m", "venv", str(home), *([] if alone else ["--without-pip"])]
    made, said = _run(venv, lock)
    if not made:
        reason = "it has neither pip nor ensurepip" if alone else "it cannot make environments"
        raise RetryElsewhere(
            f"the packages {_listed(wanted)} cannot be installed by this machine's Python, "
            f"{sys.executable}: {reason}.\n{said}"
        )
    _share(home)
    installed, said = _run([*pip, "install", "--no-input", "--quiet", *wanted], lock)
    if not installed:
        fault = any(sign in said for sign in _SURROUNDINGS)
        raised = RetryElsewhere if fault else AnalysisError
        raise raised(f"the packages {_listed(wanted)} cannot be installed; pip says:\n{said}")
    marker = home / f"{_COMPLETE}.tmp"
    marker.write_text("\n".join(wanted))
    marker.replace(home / _COMPLETE)


def _share(home: Path) -> None:
    """Let the environment import what this process can, after what is installed in it."""
    (packages,) = home.glob("lib/python*/site-packages")
    # As site folders, whose own .pth files count: a package may be installed editable.
    lines = [f"import site; site.addsitedir({folder!r})" for folder in _installed_folders()]
    (packages / "shared.pth").write_text("\n".join([*lines, _our_folder(), ""]))


def _run(command: Sequence[str], lock: int) -> tuple[bool, str]:
    """Whether a command succeeds, and the last lines of what it says.

    It holds the lock as well: should we be killed, nobody begins anew before it has ended.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            pass_fds=(lock,),
        )
    except OSError as error:
        raise RetryElsewhere(f"{command[0]} cannot be started: {error}") from error
    return done.returncode == 0, "\n".join(done.stdout.strip().splitlines()[-LINES_SHOWN:])


def _listed(wanted: Sequence[str]) -> str:
    return ", ".join(wanted)
