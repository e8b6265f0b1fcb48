"""The source files that travel with an analysis, as an archive.

They are all files of the folders that the person names (`--with`), and those modules and packages
of the person's own that the analysis imports anywhere in its text, also within functions. Installed
packages, Python's library and mr-telemetry itself do not travel.

Each file belongs to a root, a folder that the sender imports from. Where the code arrives a root
is a folder again, from which it is imported before all else.
"""

import ast
import filecmp
import importlib
import importlib.machinery
import io
import linecache
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import resolve_name
from os import PathLike
from pathlib import Path, PurePosixPath
from types import ModuleType

from mr.errors import FormatError, UsageError

#: All files that travel may have this many bytes, before compression.
MOST_BYTES = 50_000_000
#: Folders of these names hold installed modules: a worker has its own.
INSTALLED = frozenset({"site-packages", "dist-packages"})

_CODE = (".py", *importlib.machinery.EXTENSION_SUFFIXES)
#: The archive's files all have this time, so that the same files make the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Root:
    """A folder of the sender's; `whole` if all of its files travel, not only modules."""

    folder: str
    whole: bool


@dataclass(frozen=True)
class Shipment:
    """What travels: `archive` has each file as `<number of its root>/<path in it>`."""

    roots: list[Root]
    archive: bytes
    #: Other top-level modules that the code imports: installed ones, or none at all.
    imports: set[str]


def is_everywhere(module: str) -> bool:
    """Whether a worker has the module too: it is ours, or Python's own."""
    top = module.partition(".")[0]
    return top != "__main__" and (top == "mr" or top in sys.stdlib_module_names)


def is_installed(file: Path) -> bool:
    """Whether a module's file belongs to an installed package."""
    return not INSTALLED.isdisjoint(file.parts)


def file_of(module: ModuleType) -> Path | None:
    """The file of a module, if it has one."""
    # By the dictionary, since asking a lazy module would load it.
    file = getattr(module, "__dict__", {}).get("__file__")
    return Path(file).absolute() if isinstance(file, str) else None


def own_path() -> list[str]:
    """The folders of `sys.path` that are not the interpreter's own."""
    own = (sys.prefix, sys.base_prefix)
    folders = filter(os.path.isdir, (os.path.abspath(entry) for entry in sys.path))
    return [one for one in folders if not any(Path(one).is_relative_to(prefix) for prefix in own)]


def whole_folders(folders: Iterable[str | PathLike[str]]) -> list[Path]:
    """The folders that a person names, to travel whole. Raises UsageError for what is none."""
    found = []
    for folder in folders:
        if not os.path.isdir(folder):
            raise UsageError(f"--with {os.fspath(folder)}: no such folder.")
        found.append(Path(folder).resolve())
    return list(dict.fromkeys(found))


# Gathering


def gather(
    files: Iterable[tuple[Path, Path]], names: Iterable[str], whole: Sequence[Path]
) -> Shipment:
    """What travels with code that begins in some files, and imports modules of some names.

    A file comes with the folder that it is imported from. Raises UsageError for too much.
    """
    files = list(files)
    path = [Path(folder) for folder in own_path() if not is_installed(Path(folder))]
    # In the order of `sys.path`: which of two modules of one name is meant depends on it.
    first = [folder for folder in [*whole, *(home for home, _ in files)] if folder not in path]
    search = _Search(list(dict.fromkeys([*first, *path])))
    for home, file in files:
        search.take(home, file)
    for name in names:
        search.take_name(name)
    search.follow()
    for folder in whole:
        search.found[folder] = dict(_every_file(folder))
    roots = [folder for folder in search.folders if search.found.get(folder)]
    archive = _archive([search.found[folder] for folder in roots], roots)
    return Shipment([Root(str(one), one in whole) for one in roots], archive, search.imports)


@dataclass
class _Search:
    """Follows imports from file to file."""

    folders: Sequence[Path]
    #: By folder: the path within it and the file.
    found: dict[Path, dict[str, Path]] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _unread: list[tuple[str, Path]] = field(default_factory=list)

    def take(self, folder: Path, file: Path) -> None:
        inner = file.relative_to(folder).as_posix()
        if inner not in self.found.setdefault(folder, {}):
            self.found[folder][inner] = file
            self._unread.append((inner, file))

    def take_name(self, name: str) -> None:
        top = name.partition(".")[0]
        if name in self._names or top == "__main__" or is_everywhere(name):
            return
        self._names.add(name)
        place = self._find(name)
        if place is None:
            self.imports.add(top)
            return
        folder, files = place
        for file in files:
            self.take(folder, file)

    def follow(self) -> None:
        """Read every file that was found, until there is no new one."""
        while self._unread:
            inner, file = self._unread.pop()
            if file.suffix == ".py":
                package = ".".join(PurePosixPath(inner).parent.parts)
                for name in _imported(file, package):
                    self.take_name(name)

    def _find(self, name: str) -> tuple[Path, list[Path]] | None:
        """The folder that a module is imported from, and its file, or all of its package."""
        top, *rest = name.split(".")
        for folder in self.folders:
            if files := _module_files(folder / top):
                return folder, files
        for folder in self.folders:  # packages without __init__: what is named of them
            inner = folder / top
            for part in rest:
                inner /= part
                if files := _module_files(inner):
                    return folder, files
        return None


def _module_files(path: Path) -> list[Path]:
    """The files of the module or package that would lie here; none if there is none."""
    if (path / "__init__.py").is_file():
        return list(_code_files(path))
    files = (path.with_name(path.name + suffix) for suffix in _CODE)
    return [file for file in files if file.is_file()][:1]


def _code_files(package: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(package):
        folders[:] = [one for one in folders if not _is_left_out(one) and one not in INSTALLED]
        yield from (Path(folder, one) for one in sorted(names) if one.endswith(_CODE))


def _every_file(root: Path) -> Iterator[tuple[str, Path]]:
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_refuse_folder, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # links may lead in a circle
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(one for one in folders if not _is_left_out(one))
        for name in sorted(names):
            file = Path(folder, name)
            if not _is_left_out(name) and file.is_file():
                yield file.relative_to(root).as_posix(), file


def _refuse_folder(error: OSError) -> None:
    raise UsageError(f"--with: {error.filename} cannot be read: {error.strerror}.")


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _imported(file: Path, package: str) -> Iterator[str]:
    """The modules that a file imports anywhere in its text, or may: names of a module as well."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # it may never be imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                try:
                    source = resolve_name("." * node.level + source, package)
                except ImportError:
                    continue  # beyond the top, so it cannot be imported either
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call) and node.args:
            # importlib.import_module("name"), __import__("name")
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            name = getattr(node.args[0], "value", None)
            if called in ("import_module", "__import__") and isinstance(name, str):
                yield name.lstrip(".")


def _archive(found: Sequence[dict[str, Path]], roots: Sequence[Path]) -> bytes:
    out = io.BytesIO()
    sizes = [0] * len(roots)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, files in enumerate(found):
            for inner, file in sorted(files.items()):
                try:
                    status = file.stat()
                    sizes[number] += status.st_size
                    if sum(sizes) > MOST_BYTES:
                        _refuse(sizes, roots)
                    info = zipfile.ZipInfo(f"{number}/{inner}", _TIME)
                    info.external_attr = status.st_mode << 16
                    info.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(info, file.read_bytes())
                except OSError as error:
                    raise UsageError(f"{file}: cannot be read: {error.strerror}.") from None
                except UnicodeEncodeError:
                    raise UsageError(f"{str(file)!r}: the name is not UTF-8; rename it.") from None
    return out.getvalue()


def _refuse(sizes: Sequence[int], roots: Sequence[Path]) -> None:
    largest = roots[max(range(len(sizes)), key=sizes.__getitem__)]
    raise UsageError(
        f"the files that would travel with the analysis are over {MOST_BYTES // 10**6} MB, most "
        f"of them in {largest}: give --with a folder of just what is needed, and put large files "
        "where every worker can read them."
    )


# Arriving


def unpack(archive: bytes, target: Path) -> None:
    """Unpack an archive to a folder, which appears when it is whole; not if it is there already.

    Raises FormatError for an archive that is damaged, or that would write elsewhere.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        _unpack(archive, fresh)
        fresh.rename(target)
    except OSError:
        if not target.exists():  # else another process was first
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _unpack(archive: bytes, folder: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            for info in opened.infolist():
                parts = PurePosixPath(info.filename).parts
                if len(parts) < 2 or not parts[0].isdigit() or ".." in parts:
                    raise FormatError(f"the code bundle has a file of the name {info.filename!r}.")
                file = folder.joinpath(*parts)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(opened.read(info))
                if info.external_attr >> 16 & 0o100:
                    file.chmod(0o755)
    except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, NotImplementedError) as error:
        raise FormatError(f"the code bundle's archive is damaged: {error}.") from error


def places(roots: Sequence[Root], target: Path) -> dict[str, str]:
    """For each root's folder the one to import from on this machine.

    That is the very folder where its modules are here as they were sent, so that they find what
    lies beside them as they do without us; else what was unpacked. Of a root that travels whole it
    is always the latter.
    """
    found = {}
    for number, root in enumerate(roots):
        unpacked = target / str(number)
        files = [file for file in unpacked.rglob("*") if file.is_file() and file.suffix != ".pyc"]
        inner = [file.relative_to(unpacked) for file in files]
        original = Path(root.folder)
        if not root.whole and all(_is_same(original / one, unpacked / one) for one in inner):
            found[root.folder] = root.folder
            continue
        found[root.folder] = str(unpacked)
        for one in inner:
            if one.suffix == ".py":
                show_lines(str(original / one), (unpacked / one).read_text("utf-8", "replace"))
    return found


def _is_same(original: Path, unpacked: Path) -> bool:
    try:
        return filecmp.cmp(original, unpacked, shallow=False)
    except OSError:
        return False


def show_lines(name: str, text: str) -> None:
    """Let tracebacks show the lines of a file that is not here: code bears the sender's names."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


@dataclass
class _Arrived:
    """What was made importable last."""

    folders: list[str] = field(default_factory=list)
    modules: frozenset[str] = frozenset()


_arrived = _Arrived()


def arrive(first: Sequence[str], last: Sequence[str]) -> None:
    """Import from these folders before, and from those after, all that can be imported here.

    What an earlier call did is undone, and the modules that were imported by it are forgotten:
    two jobs may have each their own module of the same name.
    """
    for folder in _arrived.folders:
        if folder in sys.path:
            sys.path.remove(folder)
    for name, module in list(sys.modules.items()):
        new = name not in _arrived.modules and not is_everywhere(name)
        if new and _lies_in(module, _arrived.folders):
            del sys.modules[name]
    last = [folder for folder in last if folder not in sys.path and folder not in first]
    sys.path[:] = [*first, *sys.path, *last]
    _arrived.folders = [*first, *last]
    _arrived.modules = frozenset(sys.modules)
    importlib.invalidate_caches()


def _lies_in(module: ModuleType, folders: Sequence[str]) -> bool:
    file = file_of(module)
    # A package without __init__ has no file.
    spec = getattr(module, "__dict__", {}).get("__spec__")
    within = [file] if file else map(Path, getattr(spec, "submodule_search_locations", None) or ())
    return any(
        not is_installed(one) and any(one.is_relative_to(folder) for folder in folders)
        for one in within
    )
