"""Whether two jobs ran the same code with the same parameters, so that their states can be merged.

Sources are compared, not bundles: pickling one class twice gives two bundles.
"""

import hashlib
import io
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mr.analysis import HOOKS, Analysis, parameters
from mr.bundle import header_of
from mr.shipping import file_of, is_everywhere, is_installed

#: The setting of every analysis that acts on what maps yield.
MASKING = "mask_literals"
#: Hooks whose work is done once the last step's reduce begins; `setup` runs in maps too.
_REDUCING = ("setup_reduce", "reduce", "finish_reduce")
#: Values of a module that count with a function that uses them.
_PLAIN = (bool, int, float, str, bytes, tuple, list, dict, set, frozenset)
#: Where an object is in memory says nothing of it.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def code_digest(found: Sequence[type[Analysis]], data: bytes) -> str:
    """SHA-256 of the sources of these steps, of which `data` is the bundle, just packed.

    It is the same wherever and whenever the same sources were packed, if what they use of plain
    values around them was the same. Functions that are in no file of the bundle, as those of a
    notebook's cell, count by what they were compiled to.
    """
    header = header_of(data)
    archive = data[len(data) - header.pickle - header.archive : len(data) - header.pickle]
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        files = [(*info.filename.split("/", 1), opened.read(info)) for info in opened.infolist()]
    # By their paths within their roots: a checkout may lie elsewhere another day.
    texts = [(inner, text) for _, inner, text in files]
    known = {os.path.join(header.roots[int(root)].folder, inner) for root, inner, _ in files}
    for step in found:
        file = file_of(sys.modules[step.__module__]) if step.__module__ in sys.modules else None
        # An installed analysis does not travel as a file.
        if file is not None and (is_everywhere(step.__module__) or is_installed(file)):
            texts.append((step.__module__, file.read_bytes()))
            known.add(str(file))
        for function in _reached(step, vars(step)):
            if _is_elsewhere(function):
                continue
            name, code = function.__qualname__, function.__code__
            texts.append((name, repr(_values_used(function)).encode()))
            if code.co_filename not in known:
                texts.append((name, repr(_compiled(code)).encode()))
    digest = hashlib.sha256()
    for step in found:
        digest.update(f"{step.__qualname__}\0".encode())
    for name, text in sorted(texts):
        digest.update(f"{name}\0{len(text)}\0".encode("utf-8", "surrogatepass"))
        digest.update(text)
    return digest.hexdigest()


def _is_elsewhere(function: FunctionType) -> bool:
    """Whether it does not travel, since it is ours, Python's, or of an installed package."""
    return is_everywhere(function.__module__) or is_installed(Path(function.__code__.co_filename))


def parameter_texts(found: Sequence[type[Analysis]], values: Mapping[str, Any]) -> dict[str, str]:
    """All parameters of some steps as `Step.name`, with the values that they have, in words.

    Among them is the setting that acts on what maps yield.
    """
    told = {
        f"{step.__name__}.{name}": _told(values.get(name, default))
        for step in found
        for name, default in parameters(step).items()
    }
    masks = values.get(MASKING, getattr(found[0], MASKING))
    return {**told, f"{found[0].__name__}.{MASKING}": _told(masks)}


def _told(value: Any) -> str:
    if isinstance(value, set | frozenset):  # whose order differs from process to process
        return f"{type(value).__name__}({sorted(map(_told, value))})"
    if type(value) in (tuple, list):
        return f"{type(value).__name__}({list(map(_told, value))})"
    return _ADDRESS.sub("", repr(value))


def used_before_reduce(found: Sequence[type[Analysis]], name: str) -> str:
    """The hook that uses a parameter before the last step's reduce does: `Step.hook`; "" if none.

    As far as its code says so: by name, in what it calls too.
    """
    if name == MASKING:
        return f"{found[0].__name__}.map"
    for step in found:
        hooks = [hook for hook in HOOKS if step is not found[-1] or hook not in _REDUCING]
        for hook in hooks:
            if name in _names(step, hook):
                return f"{step.__name__}.{hook}"
    return ""


def _names(step: type[Analysis], hook: str) -> set[str]:
    """Every name, and every text, in the code of a hook and of what it calls by name."""
    reached = _reached(step, [hook])
    return {name for function in reached for name in _names_in(function.__code__)}


def _reached(step: type[Analysis], names: Iterable[str]) -> Iterator[FunctionType]:
    """The functions under these names in a class, and what they call by name."""
    seen: set[CodeType] = set()
    left = [function for name in names for function in _functions(step, name)]
    while left:
        function = left.pop()
        if function.__code__ in seen:
            continue
        seen.add(function.__code__)
        yield function
        for name in _names_in(function.__code__):
            left += _functions(step, name)
            used = function.__globals__.get(name)
            if isinstance(used, FunctionType):
                left.append(used)
            elif isinstance(used, type) and used.__module__ == function.__module__:
                left += [one for one in vars(used).values() if isinstance(one, FunctionType)]


def _functions(step: type[Analysis], name: str) -> Iterator[FunctionType]:
    """What a method or a property of that name runs, in the class and in its bases."""
    for base in step.__mro__:
        if base not in Analysis.__mro__ and name in vars(base):
            member: Any = vars(base)[name]
            found: list[Callable[..., Any] | None] = [
                getattr(member, "__func__", member),
                *(getattr(member, part, None) for part in ("fget", "func")),
            ]
            yield from (one for one in found if isinstance(one, FunctionType))


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
        elif isinstance(constant, str):
            yield constant


def _values_used(function: FunctionType) -> list[tuple[str, str]]:
    """The plain values that a function has from its module, or from a function around it."""
    names = {name for name in _names_in(function.__code__) if not name.startswith("__")}
    around = {name: function.__globals__[name] for name in names if name in function.__globals__}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        with suppress(ValueError):  # it is empty
            around[name] = cell.cell_contents
    around["defaults"] = function.__defaults__
    plain = around.items()
    return sorted((name, _told(value)) for name, value in plain if isinstance(value, _PLAIN))


def _compiled(code: CodeType) -> tuple[Any, ...]:
    """What code does, in values whose text is the same in every process."""
    constants = [
        _compiled(one) if isinstance(one, CodeType) else _told(one) for one in code.co_consts
    ]
    return code.co_name, code.co_code, code.co_names, code.co_varnames, constants
