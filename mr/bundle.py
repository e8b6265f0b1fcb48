"""The code bundle: an analysis class and its parameters, packed so that a worker can load it.

The class goes by value together with the modules that lie beside it, so that a class from a
script, from a notebook cell or from an installed module all travel the same way. What its code
imports as it runs goes along as source files (see `shipping`). A bundle is the only thing that is
ever unpickled, and only after its digest is checked.

It has three parts: a line of JSON, the header; the archive of source files; the pickle. The header
has the lengths of the other two.
"""

import dis
import hashlib
import io
import json
import linecache
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import msgspec

from mr.analysis import Analysis, instantiate, steps
from mr.compatibility import Platform, packages_of, requirements_of, this_platform
from mr.decoding import from_plain
from mr.errors import FormatError, UsageError
from mr.shipping import (
    Root,
    arrive,
    file_of,
    gather,
    is_everywhere,
    is_installed,
    own_path,
    places,
    show_lines,
    unpack,
    whole_folders,
)


@dataclass(frozen=True)
class Header:
    """What a bundle says of itself; nothing need be unpickled to read it."""

    #: The sender's environment, with the installed packages that the analysis imports.
    platform: Platform
    #: The packages that the analysis asks for.
    requirements: list[str]
    #: The folders that the archive's files were taken from.
    roots: list[Root]
    #: All folders that the sender could import from.
    path: list[str]
    #: The text of code that is in no file, a notebook's, by the names that tracebacks give it.
    cells: dict[str, str]
    #: The lengths of the two parts that follow.
    archive: int
    pickle: int


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


def header_of(data: bytes) -> Header:
    """The header of a bundle. Raises FormatError when it is damaged."""
    line = data[: data.find(b"\n") + 1]
    try:
        # Not by msgspec alone: names of folders may hold lone surrogates.
        header = from_plain(json.loads(line), Header)
    except (ValueError, msgspec.ValidationError) as error:
        raise FormatError(f"the code bundle's header is damaged: {error}.") from error
    if len(line) + header.archive + header.pickle != len(data):
        raise FormatError("the code bundle is not as long as its header says.")
    return header


# Packing


def pack_bundle(
    analysis: type[Analysis],
    parameters: Mapping[str, Any],
    ship: Sequence[str | PathLike[str]] = (),
) -> bytes:
    """The bundle of an analysis, with all files of the folders `ship`.

    Raises UsageError when something cannot be packed, is not there, or is too large.
    """
    requirements = requirements_of(analysis)
    whole = whole_folders(ship)
    out = io.BytesIO()
    packer = _Packer(out, protocol=5)
    try:
        with _by_value(analysis, whole):
            packer.dump((steps(analysis), dict(parameters)))
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{analysis.__name__} cannot be sent to a worker: {error}. Make such objects in "
            "setup() instead of at module or class level."
        ) from error
    own = _own_modules(analysis)
    homes = {file_of(sys.modules[name]): _home_of(name) for name in sorted(own)}
    # "<stdin>" is no file, though Python calls it so.
    files = [(home, f) for f, home in homes.items() if f and f.is_file() and not is_installed(f)]
    shipment = gather(files, sorted(packer.names | own), whole)
    # The pickle itself needs cloudpickle, whatever it holds.
    packages = packages_of(shipment.imports - {cloudpickle.__name__}) | {cloudpickle.__name__}
    packed = out.getvalue()
    header = Header(
        platform=this_platform(packages),
        requirements=requirements,
        roots=shipment.roots,
        path=own_path(),
        cells=packer.cells,
        archive=len(shipment.archive),
        pickle=len(packed),
    )
    return b"".join([json.dumps(asdict(header)).encode(), b"\n", shipment.archive, packed])


class _ShippedFile(str):
    """A module's `__file__` in a folder that travels whole: the path is another one elsewhere."""

    root: Path


class _Packer(cloudpickle.Pickler):
    """Notes the modules that what is packed comes from, or imports, and the text of cells."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.names: set[str] = set()
        self.cells: dict[str, str] = {}

    def reducer_override(self, obj: Any) -> Any:
        self.names.update(_modules_of(obj))
        if not isinstance(obj, CodeType):
            return super().reducer_override(obj)
        name = obj.co_filename
        if not os.path.exists(name) and (lines := linecache.getlines(name)):
            self.cells[name] = "".join(lines)
        make, arguments = self.dispatch_table[CodeType](obj)
        return _named_code, (make, name, arguments)

    def persistent_id(self, obj: Any) -> tuple[str, str] | None:
        if type(obj) is not _ShippedFile:
            return None
        return str(obj.root), Path(obj).relative_to(obj.root).as_posix()


def _named_code(make: Callable[..., CodeType], filename: str, arguments: Sequence) -> CodeType:
    """A function's code with the name of its file, which cloudpickle leaves out."""
    return make(*arguments).replace(co_filename=filename)


def _modules_of(obj: Any) -> Iterator[str]:
    if isinstance(obj, ModuleType):
        yield obj.__name__
    elif isinstance(obj, CodeType):
        if not os.path.exists(obj.co_filename):  # else its file is read for that
            yield from _imported_in(obj)
    else:
        described = obj if isinstance(obj, type | FunctionType | BuiltinFunctionType) else type(obj)
        if isinstance(described.__module__, str):
            yield described.__module__


def _imported_in(code: CodeType) -> Iterator[str]:
    """The modules that a function imports as it runs, or may: names of a module as well."""
    source = ""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            source = instruction.argval
            yield source
        elif instruction.opname == "IMPORT_FROM":
            yield f"{source}.{instruction.argval}"


@contextmanager
def _by_value(analysis: type[Analysis], whole: Sequence[Path]) -> Iterator[None]:
    with ExitStack() as stack:
        for name in sorted({*_local_modules(analysis), "__main__"}):
            module = sys.modules[name]
            root = _shipped_with(module, whole)
            if root is not None and name == _name_in(root, file_of(module).resolve()):
                continue  # it arrives as a module
            if root is not None:
                names = module.__dict__
                stack.callback(names.__setitem__, "__file__", names["__file__"])
                names["__file__"] = _ShippedFile(file_of(module).resolve())
                names["__file__"].root = root
            if name != "__main__":  # goes by value anyhow
                cloudpickle.register_pickle_by_value(module)
                stack.callback(cloudpickle.unregister_pickle_by_value, module)
        yield


def _shipped_with(module: ModuleType, whole: Sequence[Path]) -> Path | None:
    """The folder with which a module's file travels, if it does so: the innermost one."""
    file = file_of(module)
    around = [root for root in whole if file is not None and file.resolve().is_relative_to(root)]
    return max(around, key=lambda root: len(root.parts), default=None)


def _name_in(root: Path, file: Path) -> str:
    """The name by which a file under a folder is imported from there."""
    inner = file.relative_to(root).with_suffix("")
    return ".".join(inner.parent.parts if inner.name == "__init__" else inner.parts)


def _own_modules(analysis: type[Analysis]) -> set[str]:
    """The modules that hold the steps, and the functions of a script."""
    found = steps(analysis)
    functions = [one for step in found for one in getattr(step, "_functions", {}).values()]
    names = {getattr(one, "__module__", None) for one in [*found, *functions]}
    return {name for name in names if name in sys.modules and not is_everywhere(name)}


def _local_modules(analysis: type[Analysis]) -> list[str]:
    """The modules of every step, and all that lie beside them and are imported."""
    own = _own_modules(analysis)
    packages = {name.partition(".")[0] for name in own}
    folders = {_home_of(name) for name in own}
    for name, module in list(sys.modules.items()):
        file = file_of(module)
        if file is None or is_everywhere(name) or is_installed(file):
            continue
        beside = not folders.isdisjoint((file.parent, file.parent.parent))
        if beside or name.partition(".")[0] in packages:
            own.add(name)
    own.discard("__main__")
    return [name for name in sorted(own) if sys.modules[name].__name__ == name]


def _home_of(name: str) -> Path:
    """The folder that a module is imported from: of a package's modules, the one it lies in."""
    file = file_of(sys.modules[name])
    if file is None:
        return Path.cwd()  # a notebook's class
    levels = name.count(".") + (file.name == "__init__.py")
    return file.parents[min(levels, len(file.parents) - 1)]


# Loading


class _Unpacker(pickle.Unpickler):
    def __init__(self, data: bytes, folders: Mapping[str, str]) -> None:
        super().__init__(io.BytesIO(data))
        self._folders = folders

    def persistent_load(self, pid: tuple[str, str]) -> str:
        root, inner = pid
        return os.path.join(self._folders[root], inner)


def load_bundle(data: bytes, digest: str, folder: Path) -> Bundle:
    """Unpack a bundle whose digest is right; raises FormatError when it is not, or is damaged.

    Its source files go to a folder of its own under `folder`, once, and must stay there for as
    long as its code runs. They can be imported from now on, and so can what its sender could
    import, as far as this machine has it. A process has one bundle at a time: what an earlier one
    made importable is so no longer.
    """
    if digest_of(data) != digest:
        raise FormatError("the code bundle is not the one that the job was started with.")
    header = header_of(data)
    start = len(data) - header.pickle
    target = folder / digest[:32]
    unpack(data[start - header.archive : start], target)
    folders = places(header.roots, target)
    arrive(list(folders.values()), header.path)
    for name, text in header.cells.items():
        show_lines(name, text)
    return Bundle(*_Unpacker(data[start:], folders).load())
