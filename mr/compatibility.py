"""What a Python environment is, and whether the code of one can run in another.

Code travels as byte code, which each minor version of Python has its own of; and what a worker
has installed need not be what the sender has.

`packaging` takes 30 ms to import, of which most jobs need nothing, so it is where it is needed.
"""

import importlib.metadata
import platform as machine
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from mr.analysis import Analysis, steps
from mr.errors import UsageError

#: Our own distribution.
OURS = "mr-telemetry"


@dataclass(frozen=True)
class Platform:
    """A Python environment; "" where it is not known."""

    #: As in "3.11.7".
    python: str = ""
    #: The version of mr-telemetry.
    version: str = ""
    #: Installed distributions, by their normalized names, and their versions.
    packages: Mapping[str, str] = field(default_factory=dict)


def this_platform(packages: Collection[str] | None) -> Platform:
    """The environment of this process, with some distributions of it, or (None) with all.

    Distributions that are not installed are left out.
    """
    from packaging.utils import canonicalize_name

    if packages is None:
        chosen = dict(installed_packages())
    else:  # all of them would be a tenth of a second
        names = sorted({canonicalize_name(name) for name in packages} - {OURS})
        chosen = {name: version for name in names if (version := _version_of(name))}
    return Platform(machine.python_version(), our_version(), chosen)


def our_version() -> str:
    """The version of mr-telemetry; "" when it is not installed, only importable."""
    return _version_of(OURS)


def _version_of(distribution: str) -> str:
    """The version of an installed distribution; "" when there is none, or its metadata is bad."""
    try:
        return importlib.metadata.version(distribution) or ""
    except (importlib.metadata.PackageNotFoundError, KeyError):
        return ""


@cache
def installed_packages() -> Mapping[str, str]:
    """Every distribution that this process can import but ours, and its version."""
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]  # None when its metadata is damaged
        if name and one.version:
            found.setdefault(canonicalize_name(name), one.version)  # the first is imported
    found.pop(OURS, None)
    return dict(sorted(found.items()))


def packages_of(modules: Iterable[str]) -> set[str]:
    """The distributions, but ours, that top-level modules come from."""
    modules = {name for name in modules if _is_importable(name)}
    if not modules:
        return set()  # the table takes a tenth of a second
    from packaging.utils import canonicalize_name

    table = importlib.metadata.packages_distributions()
    found = {canonicalize_name(name) for module in modules for name in table.get(module, ())}
    return found - {OURS}


def _is_importable(module: str) -> bool:
    """Whether a module could be imported anew: one that was loaded from a file's path cannot."""
    return any(finder.find_spec(module, None) is not None for finder in sys.meta_path)


def differences(sent: Platform, here: Platform, requirements: Sequence[str]) -> list[str]:
    """What keeps code that was sent from running here, a line for each; nothing if it can.

    These matter: another minor version of Python; another version of mr-telemetry; a package of
    the sender's that is missing here, or is of another major version (before 1.0, another minor
    one), unless the requirements name it, for then it is installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = []
    if sent.python and here.python and _minor(sent.python) != _minor(here.python):
        found.append(f"Python is {here.python} here, and {sent.python} where the job was made")
    if sent.version and here.version and sent.version != here.version:
        found.append(f"{OURS} is {here.version} here, and {sent.version} where the job was made")
    named = {canonicalize_name(Requirement(text).name) for text in requirements}
    for name, version in sorted(sent.packages.items()):
        if name in named:
            continue
        own = here.packages.get(name)
        if own is None:
            found.append(f"{name} is not installed here, and {version} where the job was made")
        elif _promise(own) != _promise(version):
            found.append(f"{name} is {own} here, and {version} where the job was made")
    return found


def _minor(python: str) -> list[str]:
    return python.split(".")[:2]


def _promise(version: str) -> tuple:
    """The part of a version that changes when programs must change with it."""
    from packaging.version import InvalidVersion, Version

    try:
        parsed = Version(version)
    except InvalidVersion:
        return (version,)
    return (parsed.epoch, parsed.major) if parsed.major else (parsed.epoch, 0, parsed.minor)


def requirements_of(analysis: type[Analysis]) -> list[str]:
    """The requirements of every step, each once. Raises UsageError for what is none."""
    found: dict[str, None] = {}
    for step in steps(analysis):
        given = step.requirements
        if not isinstance(given, list | tuple):
            raise UsageError(
                f"{step.__name__}.requirements must be a list of texts such as 'numpy>=2', "
                f"not {given!r:.200}."
            )
        for text in given:
            _check(text, step.__name__)
            found[text] = None
    return list(found)


def _check(text: object, where: str) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        if not isinstance(text, str):
            raise InvalidRequirement("it is no text")
        Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"{where}.requirements: {text!r:.200} is no requirement such as 'numpy>=2': {reason}."
        ) from None
