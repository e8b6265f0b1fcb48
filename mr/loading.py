"""From what a person names to an analysis class.

file.py    file.py:Class    package.module:Class    the name of a bundled analysis
"""

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from importlib import resources
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from mr.analysis import Analysis
from mr.errors import UsageError
from mr.scripts import FUNCTIONS, script_analysis
from mr.shipping import whole_folders


def bundled_analyses() -> dict[str, Path]:
    """The analyses that come with the package: name to file."""
    folder = Path(str(resources.files("mr.analyses")))
    return {path.stem: path for path in sorted(folder.glob("[!_]*.py"))}


def load_analysis(name: str, ship: Iterable[str | PathLike[str]] = ()) -> type[Analysis]:
    """The analysis class that a person names. Raises UsageError; an import error passes.

    What lies in the folders `ship`, which travel with it, can be imported from now on.
    """
    make_importable(ship)
    source, _, class_name = name.partition(":")
    if source.endswith(".py") or "/" in source:
        return _pick(_import_file(Path(source)), class_name, name)
    bundled = bundled_analyses()
    if source in bundled:
        return _pick(_import_file(bundled[source]), class_name, name)
    if not class_name:
        known = ", ".join(bundled) or "none"
        raise UsageError(
            f"{name}: no bundled analysis of that name (there are: {known}); name a file.py, "
            "file.py:Class or package.module:Class."
        )
    if not all(part.isidentifier() for part in source.split(".")):
        raise UsageError(f"{name}: {source!r} is not a module's name.")
    try:
        module = importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name and f"{source}.".startswith(f"{error.name}."):
            raise UsageError(f"{name}: there is no module {error.name}.") from None
        raise
    return _pick(module, class_name, name)


def make_importable(folders: Iterable[str | PathLike[str]]) -> None:
    """Put folders on the path of imports, unless they are there. Raises UsageError."""
    for folder in reversed(whole_folders(folders)):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{path}: no such analysis file.")
    path = path.resolve()
    # What lies beside a script can be imported by it, as when Python runs it.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module_name = f"analysis_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def _pick(module: ModuleType, class_name: str, name: str) -> type[Analysis]:
    if class_name:
        found = getattr(module, class_name, None)
        if not (inspect.isclass(found) and issubclass(found, Analysis)):
            raise UsageError(f"{name}: {class_name} is not an Analysis class there.")
        return found
    # Each once, however many names it has.
    classes = dict.fromkeys(
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Analysis)
        and value.__module__ == module.__name__
    )
    # A class that another one's `then` names is a later step, not an analysis to start with.
    firsts = [one for one in classes if all(other.then is not one for other in classes)]
    firsts = firsts or list(classes)
    if len(firsts) == 1:
        return firsts[0]
    if firsts:
        names = ", ".join(one.__name__ for one in firsts)
        raise UsageError(f"{name}: holds several analyses; choose one as {name}:Class ({names}).")
    functions = {
        function: value
        for function in FUNCTIONS
        if callable(value := getattr(module, function, None)) and not _is_library(value)
    }
    if "map" not in functions:
        raise UsageError(f"{name}: holds neither an Analysis class nor a function map.")
    requirements = getattr(module, "requirements", ())
    script = Path(name).stem.replace("-", "_")
    return script_analysis(script, functions, module.__name__, requirements)


def _is_library(function: Any) -> bool:
    """Whether it is only imported, as in `from functools import reduce`."""
    return function is map or function is functools.reduce
