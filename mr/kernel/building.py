"""Building the compiled code, and loading what was built.

    kernel/<digest>.o       the object code for this processor, with its own digest before it
    kernel/<digest>.lock    held by whoever builds it
    kernel/<digest>.failed  why it could not be built; it is not tried again

numba translates the code to LLVM's language, which takes seconds and much memory, so it happens in
a process of its own, once for each release, LLVM and processor. What comes out needs nothing of
Python or numba: loading it takes some 40 ms (importing numba alone would take 300).
"""

import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mr.kernel import layout
from mr.scratch import cache_folder

#: What the object code is made of.
_SOURCES = ("tokens", "skim", "numbers", "rows", "gather", "layout", "building")
_DIGEST_BYTES = 32
#: The names of the compiled functions in the object code, and what they may call beside each other.
SKIM, GATHER, SPILL = "mr_skim", "mr_gather", "mr_spill"
_OUTSIDE = {"log", "memset", "memcpy", "memmove"}

#: The arrays that `gather` works on, in the order of its arguments: shape and type.
GATHER_ARRAYS = {
    "cursor": ((layout.CURSOR_COLUMNS,), "int64"),
    "refused": ((layout.MOST_REFUSED, layout.REFUSED_COLUMNS), "int64"),
    "stack": ((layout.DEPTH,), "uint8"),
    "tokens": ((layout.TOKENS,), "int64"),
    "powers": ((layout.MOST_DECIMALS + 1, 2), "uint64"),
    "bounds": ((layout.SIMPLE_BUCKETS,), "int64"),
    "pending": ((layout.MOST_PENDING, layout.PENDING_COLUMNS), "int64"),
    "entries": ((layout.MOST_ENTRIES, layout.ENTRY_COLUMNS), "int64"),
    "simple": ((layout.MOST_SIMPLE, 2), "int64"),
    "used": ((layout.USED_COLUMNS,), "int64"),
    "names": ((layout.MOST_NAMES, layout.NAME_COLUMNS), "int64"),
    "slots": ((layout.NAME_SLOTS,), "int32"),
    "arena": ((layout.ARENA_BYTES,), "uint8"),
    "cells": ((layout.CELL_WORDS,), "int64"),
    "rows": ((layout.MOST_ROWS,), "int64"),
    "row_slots": ((layout.ROW_SLOTS,), "int32"),
}

#: Switches the compiled code off ("0"), or on for input of any size ("1").
SWITCH = "MR_TELEMETRY_COMPILED"


@dataclass(frozen=True)
class Functions:
    """The compiled functions as ctypes calls them; the arguments are those of the same names."""

    skim: Any
    gather: Any
    spill: Any
    #: Keeps the code in memory.
    engine: Any


# --- loading ---


def load(folder: Path | None = None) -> Functions | None:
    """The compiled functions; None where they were not built, or cannot be.

    `folder` is where built code is kept, by default in the person's cache.
    """
    if os.environ.get(SWITCH) == "0":
        return None
    # Whatever is wrong with this machine's LLVM, the plain code does all of it.
    with suppress(Exception):
        import llvmlite.binding as llvm

        code = _read(object_path(folder))
        return None if code is None else _linked(llvm, code)
    return None


def object_path(folder: Path | None = None) -> Path:
    """Where the object code of this release is, for this processor. Needs llvmlite."""
    import llvmlite
    import llvmlite.binding as llvm

    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    numba = importlib.metadata.version("numba")
    versions = numba, llvmlite.__version__, platform.machine()
    for fact in (*versions, llvm.get_host_cpu_name(), features):
        digest.update(b"\0" + fact.encode())
    if folder is None:
        folder = cache_folder() / "kernel"
        if not folder.is_absolute():  # without a home: whose folder it is, nobody knows
            raise FileNotFoundError(f"no place to keep compiled code: {folder} is not absolute")
    return folder.absolute() / f"{digest.hexdigest()[:32]}.o"


def _read(path: Path) -> bytes | None:
    """Object code that is whole, and that nobody else could have written."""
    try:
        with path.open("rb") as file:
            about, folder = os.fstat(file.fileno()), path.parent.stat()
            data = file.read()
    except OSError:
        return None
    digest, code = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    is_whole = hashlib.sha256(code).digest() == digest
    return code if is_whole and _is_ours(about) and _is_ours(folder) else None


def _is_ours(about: os.stat_result) -> bool:
    return about.st_uid in (0, os.geteuid()) and not about.st_mode & 0o022


def _linked(llvm: Any, code: bytes) -> Functions:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    # The text is a bytes object, whose own memory is read.
    text = ctypes.c_char_p
    types = {
        SKIM: (None, text, size, pointer, size, pointer, size, pointer, pointer),
        GATHER: (None, text, size, size, *[pointer] * len(GATHER_ARRAYS)),
        SPILL: (size, pointer, size, pointer, pointer, size, *[pointer] * 3, size, pointer),
    }
    functions = (
        ctypes.CFUNCTYPE(*kinds)(engine.get_function_address(name)) for name, kinds in types.items()
    )
    return Functions(*functions, engine)


# --- building ---


def build(folder: Path | None = None, *, timeout_seconds: float = 300) -> bool:
    """Build the code if it was not yet; return whether it is there now.

    Where it cannot be built nothing is said, since the plain code does all that it would do;
    `python -m mr.kernel.building` shows the reason.
    """
    with suppress(Exception):
        if _is_to_build(folder):
            subprocess.run(_command(folder), **_QUIETLY, timeout=timeout_seconds, check=False)
        return _read(object_path(folder)) is not None
    return False


@contextmanager
def building(*, after_seconds: float) -> Iterator[None]:
    """Build meanwhile, so that nobody waits for it.

    Nothing is begun in a shorter time than `after_seconds`. What was begun goes on by itself, for
    some seconds, even if this process ends: else short jobs would begin it again and again.
    """
    timer = threading.Timer(after_seconds, _begin)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _begin() -> None:
    with suppress(Exception):
        if _is_to_build(None):
            subprocess.Popen(_command(None), **_QUIETLY, start_new_session=True)


#: How the process runs that builds: not in the person's folder, which may hold modules of any name.
_QUIETLY: dict[str, Any] = {
    "cwd": Path(__file__).parents[2],
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
}


def _is_to_build(folder: Path | None) -> bool:
    """Whether the code is wanted, could be built, and was not yet."""
    if os.environ.get(SWITCH) == "0":
        return False
    if any(importlib.util.find_spec(name) is None for name in ("llvmlite", "numba")):
        return False
    path = object_path(folder)
    return _read(path) is None and not path.with_suffix(".failed").exists()


def _command(folder: Path | None) -> list[str]:
    folders = [] if folder is None else [str(folder.absolute())]
    return [sys.executable, "-P", "-m", "mr.kernel.building", *folders]


def build_here(folder: Path | None) -> None:
    """Build the code in this process, if it was not yet. Of several who do one builds.

    Raises ImportError without numba, OSError where it cannot be written.
    """
    path = object_path(folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_ours(path.parent.stat()):
        raise PermissionError(f"others may write to {path.parent}: nothing in it would be loaded")
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for unfinished in path.parent.glob(f"{path.name}-*"):
            unfinished.unlink(missing_ok=True)  # of a process that was killed
        if _read(path) is None:
            try:
                write_object(path)
            except (ImportError, OSError):
                raise
            except Exception as error:
                # Or every longer job would try again, for as long as it takes to fail.
                path.with_suffix(".failed").write_text(f"{type(error).__name__}: {error}\n")
                raise
            path.with_suffix(".failed").unlink(missing_ok=True)


def write_object(path: Path) -> None:
    """Compile, and write the object code. Raises ImportError without numba."""
    code = _compiled()
    unfinished = path.with_name(f"{path.name}-{os.getpid()}")
    try:
        # Ours from the start: who had it open could write to it for ever.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _compiled() -> bytes:
    os.environ["NUMBA_DISABLE_INTEL_SVML"] = "1"  # Python's own logarithm, to the last bit
    import llvmlite.binding as llvm

    module = llvm.parse_assembly("")
    for name, function in _entries().items():
        # Division by zero gives no exception then; nothing else could, for bounds are not checked.
        found = llvm.parse_assembly(function.inspect_llvm())
        found.get_function(function.native_name).name = name
        module.link_in(found)
    # What nobody else can call, LLVM sees through: that no call fails, so no error is reported, and
    # nothing of Python is needed.
    for one in (*module.functions, *module.global_variables):
        if not one.is_declaration and one.name not in (SKIM, GATHER, SPILL):
            one.linkage = "internal"
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(3))
    passes.getModulePassManager().run(module, passes)
    needed = {
        one.name
        for one in (*module.functions, *module.global_variables)
        if one.is_declaration and not one.name.startswith("llvm.")
    }
    if needed - _OUTSIDE:
        raise RuntimeError(f"the compiled code needs {sorted(needed - _OUTSIDE)}")
    return machine.emit_object(module)


def _entries() -> dict[str, Any]:
    """The functions as C calls them, over pointers, still in LLVM's language."""
    from numba import carray, cfunc, types

    from mr.kernel import gather as gathering
    from mr.kernel import rows as tables
    from mr.kernel import skim as skimming

    line_columns, member_columns = layout.LINE_COLUMNS, layout.MEMBER_COLUMNS
    cursor_columns, depth = layout.CURSOR_COLUMNS, layout.DEPTH
    shapes = tuple(shape for shape, _ in GATHER_ARRAYS.values())

    def skim(text, size, lines, most_lines, members, most_members, stack, cursor):
        skimming.skim(
            carray(text, (size,)),
            size,
            carray(lines, (most_lines, line_columns)),
            carray(members, (most_members, member_columns)),
            carray(stack, (depth,)),
            carray(cursor, (cursor_columns,)),
        )

    def gather(
        text, size, block, cursor, refused, stack, tokens, powers, bounds, pending, entries,
        simple, used, names, slots, arena, cells, rows, row_slots,
    ):  # fmt: skip
        gathering.gather(
            carray(text, (size,)), size, block,
            carray(cursor, shapes[0]), carray(refused, shapes[1]), carray(stack, shapes[2]),
            carray(tokens, shapes[3]), carray(powers, shapes[4]), carray(bounds, shapes[5]),
            carray(pending, shapes[6]), carray(entries, shapes[7]), carray(simple, shapes[8]),
            carray(used, shapes[9]), carray(names, shapes[10]), carray(slots, shapes[11]),
            carray(arena, shapes[12]), carray(cells, shapes[13]), carray(rows, shapes[14]),
            carray(row_slots, shapes[15]),
        )  # fmt: skip

    def spill(cells, words, starts, buckets, most_rows, rows, columns, numbers, most, kinds):
        return tables.spill(
            carray(cells, (words,)),
            carray(starts, (most_rows,)),
            carray(buckets, (most_rows,)),
            carray(rows, (most,)),
            carray(columns, (most,)),
            carray(numbers, (most,)),
            carray(kinds, (most_rows,)),
        )

    integer = types.int64
    octets, integers = types.CPointer(types.uint8), types.CPointer(types.int64)
    skim_type = types.void(octets, integer, integers, integer, integers, integer, octets, integers)
    spill_type = integer(
        *(integers, integer, integers, integers, integer),
        *(integers, integers, integers, integer, integers),
    )
    pointers = [types.CPointer(getattr(types, kind)) for _, kind in GATHER_ARRAYS.values()]
    gather_type = types.void(octets, integer, integer, *pointers)
    return {
        SKIM: cfunc(skim_type, error_model="numpy")(skim),
        GATHER: cfunc(gather_type, error_model="numpy")(gather),
        SPILL: cfunc(spill_type, error_model="numpy")(spill),
    }


if __name__ == "__main__":
    os.nice(5)  # the job goes first
    build_here(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
