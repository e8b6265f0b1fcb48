"""The code bundle: an analysis class and its parameters, packed so that a worker can load it.

The class goes by value together with the modules that lie beside it, so that a class from a
script, from a notebook cell or from an installed module all travel the same way. A bundle is the
only thing that is ever unpickled, and only after its digest is checked.

Before the pickle stands one line of JSON: the folders that the sender could import from, for what
user code imports as it runs.
"""

import hashlib
import json
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mr.analysis import Analysis, instantiate, steps
from mr.errors import FormatError, UsageError

#: Folders of these names hold installed modules: a worker has its own.
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds."""

    steps: list[type[Analysis]]
    parameters: Mapping[str, Any]

    def analysis(self, step: int) -> Analysis:
        """A fresh instance of a step's analysis (steps count from 1)."""
        return instantiate(self.steps[step - 1], self.parameters)


def digest_of(data: bytes) -> str:
    """SHA-256 of a bundle, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pack_bundle(analysis: type[Analysis], parameters: Mapping[str, Any]) -> bytes:
    """The bundle of an analysis; raises UsageError when something in it cannot be packed."""
    import cloudpickle

    try:
        with _by_value(cloudpickle, analysis):
            packed = cloudpickle.dumps((steps(analysis), dict(parameters)), protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{analysis.__name__} cannot be sent to a worker: {error}. Make such objects in "
            "setup() instead of at module or class level."
        ) from error
    return json.dumps(_path()).encode() + b"\n" + packed


def _path() -> list[str]:
    """The folders of `sys.path` that are not the interpreter's own."""
    own = (sys.prefix, sys.base_prefix)
    folders = (os.path.abspath(entry) for entry in sys.path)
    return [folder for folder in folders if os.path.isdir(folder) and not folder.startswith(own)]


@contextmanager
def _by_value(cloudpickle: ModuleType, analysis: type[Analysis]) -> Iterator[None]:
    with ExitStack() as stack:
        for module in _local_modules(analysis):
            cloudpickle.register_pickle_by_value(module)
            stack.callback(cloudpickle.unregister_pickle_by_value, module)
        yield


def _local_modules(analysis: type[Analysis]) -> list[ModuleType]:
    """The modules of every step, and all that lie beside them and are imported."""
    found = steps(analysis)
    functions = [one for step in found for one in getattr(step, "_functions", {}).values()]
    names = {getattr(one, "__module__", None) for one in [*found, *functions]}
    own = {name for name in names if name in sys.modules and not _is_everywhere(name)}
    packages = {name.partition(".")[0] for name in own}
    folders = {_home_of(name) for name in own}
    for name, module in list(sys.modules.items()):
        file = _file_of(module)
        if file is None or _is_everywhere(name) or not _INSTALLED.isdisjoint(file.parts):
            continue
        beside = not folders.isdisjoint((file.parent, file.parent.parent))
        if beside or name.partition(".")[0] in packages:
            own.add(name)
    own.discard("__main__")  # goes by value anyhow
    return [sys.modules[name] for name in sorted(own) if sys.modules[name].__name__ == name]


def _is_everywhere(name: str) -> bool:
    """Whether a worker has the module too: it is ours, or Python's own."""
    top = name.partition(".")[0]
    return top != "__main__" and (top == "mr" or top in sys.stdlib_module_names)


def _file_of(module: ModuleType) -> Path | None:
    # By the dictionary, since asking a lazy module would load it.
    file = getattr(module, "__dict__", {}).get("__file__")
    return Path(file).absolute() if isinstance(file, str) else None


def _home_of(name: str) -> Path:
    """The folder that a module is imported from: of a package's modules, the one it lies in."""
    file = _file_of(sys.modules[name])
    if file is None:
        return Path.cwd()  # a notebook's class
    levels = name.count(".") + (file.name == "__init__.py")
    return file.parents[min(levels, len(file.parents) - 1)]


def load_bundle(data: bytes, digest: str) -> Bundle:
    """Unpack a bundle whose digest is right; raises FormatError when it is not.

    What its sender could import becomes importable here, as far as this machine has it.
    """
    if digest_of(data) != digest:
        raise FormatError("the code bundle is not the one that the job was started with.")
    path, _, packed = data.partition(b"\n")
    sys.path += [folder for folder in json.loads(path) if folder not in sys.path]
    return Bundle(*pickle.loads(packed))
