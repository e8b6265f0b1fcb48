"""The compiled scanner, called in three ways that must agree.

`Compiled` calls it as it is; `Guarded` puts the text between two pages of memory that nobody may
touch; `Checked` runs the same code with the bounds of every array checked. The last two run in a
process of their own, a `Served`, for one of them may crash and the other compiles for long.
"""

import ctypes
import mmap
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mr.codecs import decompress
from mr.histograms.bounds import exponential
from mr.histograms.extraction import SIMPLE_HIGH, SIMPLE_LOW, SIMPLE_PREFIX
from mr.histograms.merging import Sums
from mr.kernel import layout
from mr.kernel.building import GATHER_ARRAYS, SWITCH, Functions, load
from mr.kernel.layout import (
    CURSOR_COLUMNS,
    DEPTH,
    FRACTION_BITS,
    HISTOGRAM,
    INNER,
    KIND_BITS,
    KIND_FLOAT,
    KIND_INT,
    KIND_SHIFT,
    LIMB_BITS,
    LIMBS,
    LINE_COLUMNS,
    LINES,
    MEMBER_COLUMNS,
    NAME_LENGTH,
    NAME_OFFSET,
    NAME_PREFIX,
    NAME_RECORDS,
    NAME_SHIFT,
    OS,
    PATH_SHIFT,
    PLACE,
    REVISION,
    ROW_COUNTS,
    ROW_KEY,
    ROW_KINDS,
    ROW_SUBMISSIONS,
    ROW_SUMS,
    SIMPLE,
    SIMPLE_BUCKETS,
    STATISTICS,
    SUM_WORDS,
    UNSURE,
    USED_ARENA,
    USED_COLUMNS,
    USED_NAMES,
    USED_ROWS,
    USED_WORDS,
)

#: Columns of a row that is spilled, before its counts: submissions and limbs.
COUNTS_AT = 1 + STATISTICS * LIMBS
#: Stands in arrays where nothing was written.
UNWRITTEN = -77
#: An answer that takes longer has hung.
ANSWER_TIMEOUT_S = 120
#: A guarded text may be this long.
GUARDED_BYTES = 1 << 20
_PROT_NONE = 0


# --- the ways to call it ---


class Compiled:
    """The compiled functions, over a bytes object's own memory."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def skim(self, text: bytes, lines: Any, members: Any, stack: Any, cursor: Any) -> None:
        self._functions.skim(
            self.text(text), len(text), lines.ctypes, len(lines), members.ctypes, len(members),
            stack.ctypes, cursor.ctypes,
        )  # fmt: skip

    def gather(self, text: bytes, block: int, arrays: dict[str, Any]) -> None:
        for name, (shape, _) in GATHER_ARRAYS.items():
            assert arrays[name].shape == shape
        self._functions.gather(
            self.text(text), len(text), block, *(array.ctypes for array in arrays.values())
        )

    def spill(self, cells: Any, starts: Any, buckets: Any, found: Any, kinds: Any) -> int:
        return self._functions.spill(
            cells.ctypes, len(cells), starts.ctypes, buckets.ctypes, len(starts),
            *(one.ctypes for one in found), found.shape[1], kinds.ctypes,
        )  # fmt: skip

    def text(self, text: bytes) -> Any:
        return text


class Guarded(Compiled):
    """The compiled functions, over memory before or behind which they must not read."""

    def __init__(self, functions: Functions) -> None:
        super().__init__(functions)
        self.is_at_end = True
        self._memory = mmap.mmap(-1, GUARDED_BYTES + 2 * mmap.PAGESIZE)
        first = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._begin = first + mmap.PAGESIZE
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (first, self._begin + GUARDED_BYTES):
            if libc.mprotect(ctypes.c_void_p(guard), mmap.PAGESIZE, _PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")

    def text(self, text: bytes) -> Any:
        begin = self._begin + (GUARDED_BYTES - len(text)) * self.is_at_end
        ctypes.memmove(begin, text, len(text))
        return ctypes.c_char_p(begin)


class Checked:
    """The same code with every index checked; NUMBA_BOUNDSCHECK must be 1 before numba is known."""

    def __init__(self) -> None:
        from numba import njit

        from mr.kernel.gather import gather
        from mr.kernel.numbers import double_bits
        from mr.kernel.rows import spill
        from mr.kernel.skim import skim

        compiled = njit(error_model="numpy")

        @compiled
        def doubles(mantissas, decimals, powers, found):
            for at in range(len(found)):
                found[at] = double_bits(mantissas[at], decimals[at], powers)

        self._skim, self._gather, self._spill = map(compiled, (skim, gather, spill))
        self._doubles = doubles

    def skim(self, text: bytes, lines: Any, members: Any, stack: Any, cursor: Any) -> None:
        self._skim(np.frombuffer(text, np.uint8), len(text), lines, members, stack, cursor)

    def gather(self, text: bytes, block: int, arrays: dict[str, Any]) -> None:
        self._gather(np.frombuffer(text, np.uint8), len(text), block, *arrays.values())

    def spill(self, cells: Any, starts: Any, buckets: Any, found: Any, kinds: Any) -> int:
        return self._spill(cells, starts, buckets, *found, kinds)

    def doubles(self, numbers: list[tuple[int, int]]) -> list[int]:
        """The bits of mantissa / 10**decimals."""
        found = np.zeros(len(numbers), np.int64)
        self._doubles(
            np.array([mantissa for mantissa, _ in numbers], np.uint64),
            np.array([decimals for _, decimals in numbers], np.int64),
            layout.powers_of_ten(),
            found,
        )
        return found.tolist()


# --- what it says ---


class Line(NamedTuple):
    """A line that was skimmed; the members' places are None where it is not sure."""

    begin: int
    start: int
    end: int
    members: list[tuple[int, int, int, int]] | None


def skim(
    runner: Compiled | Checked, text: bytes, most_lines: int = 50, most_members: int = 50
) -> list[Line]:
    """All lines of a text, in as many calls as it takes."""
    found: list[Line] = []
    cursor = np.full(CURSOR_COLUMNS, UNWRITTEN, np.int64)
    cursor[PLACE] = 0
    stack = np.zeros(DEPTH, np.uint8)
    while cursor[PLACE] < len(text):
        lines = np.full((most_lines, LINE_COLUMNS), UNWRITTEN, np.int64)
        members = np.full((most_members, MEMBER_COLUMNS), UNWRITTEN, np.int64)
        runner.skim(text, lines, members, stack, cursor)
        places = list(map(tuple, members.tolist()))
        assert cursor[LINES] > 0, "it goes on for ever"
        for begin, start, end, first, number in lines[: cursor[LINES]].tolist():
            own = None if number == UNSURE else places[first : first + number]
            assert own is None or len(own) == number
            found.append(Line(begin, start, end, own))
    return found


def skim_each(
    runner: Compiled | Checked, texts: list[bytes], most_lines: int = 3, most_members: int = 20
) -> list[list[Line]]:
    """The same of many texts. If they are guarded, then both before and behind."""
    found = [skim(runner, text, most_lines, most_members) for text in texts]
    if isinstance(runner, Guarded):
        runner.is_at_end = False
        assert found == [skim(runner, text, most_lines, most_members) for text in texts]
        runner.is_at_end = True
    return found


class Gathered(NamedTuple):
    """What a call of `gather` left: of the tables only what it has added."""

    cursor: list[int]
    refused: list[list[int]]
    used: list[int]
    names: list[list[int]]
    arena: bytes
    rows: list[int]
    cells: list[int]


#: The tables are large, and used again.
_TABLES: dict[tuple, dict[str, np.ndarray]] = {}


def gather(
    runner: Compiled | Checked,
    text: bytes,
    *,
    block: int = 0,
    used: tuple[int, ...] = (0,) * USED_COLUMNS,
    sizes: dict[str, int] | None = None,
    place: int = 0,
) -> Gathered:
    """One call over a text from `place` on, with empty tables of which `used` is taken already.

    `sizes` are the lengths of tables that are to be smaller, which only checked code allows.
    """
    key = tuple(sorted((sizes or {}).items()))
    if key not in _TABLES:
        _TABLES[key] = {
            name: np.zeros((dict(key).get(name, shape[0]), *shape[1:]), kind)
            for name, (shape, kind) in GATHER_ARRAYS.items()
        }
        _TABLES[key]["powers"][:] = layout.powers_of_ten()
        _TABLES[key]["bounds"][:] = exponential(SIMPLE_LOW, SIMPLE_HIGH, SIMPLE_BUCKETS)
    arrays = _TABLES[key]
    arrays["slots"].fill(-1)
    arrays["row_slots"].fill(-1)
    arrays["used"][:] = used
    cursor = arrays["cursor"]
    cursor.fill(UNWRITTEN)
    cursor[PLACE], cursor[LINES] = place, 0
    runner.gather(text, block, arrays)
    now = arrays["used"].tolist()
    return Gathered(
        cursor.tolist(),
        arrays["refused"][: cursor[layout.WRITTEN]].tolist(),
        now,
        arrays["names"][used[USED_NAMES] : now[USED_NAMES]].tolist(),
        arrays["arena"][used[USED_ARENA] : now[USED_ARENA]].tobytes(),
        arrays["rows"][used[USED_ROWS] : now[USED_ROWS]].tolist(),
        arrays["cells"][used[USED_WORDS] : now[USED_WORDS]].tolist(),
    )


def gather_each(runner: Compiled | Checked, texts: list[bytes], **options: Any) -> list[Gathered]:
    """The same of many texts, each with empty tables. If guarded, then both before and behind."""
    found = [gather(runner, text, **options) for text in texts]
    if isinstance(runner, Guarded):
        runner.is_at_end = False
        assert found == [gather(runner, text, **options) for text in texts]
        runner.is_at_end = True
    return found


def doubles(runner: Checked, numbers: list[tuple[int, int]]) -> list[int]:
    """The bits of mantissa / 10**decimals as the code gives them."""
    return runner.doubles(numbers)


# --- what was gathered, as the plain code would say it ---

#: The number of a block's place; the JSON of OS, version, arch and revision ("" where missing).
Path_ = tuple[int, bytes, bytes, bytes, bytes]


def sums_in(gathered: Gathered) -> dict[tuple[str, Path_, int], Sums]:
    """What was added up by measure, path and number of buckets."""
    found: dict[tuple[str, Path_, int], Sums] = {}
    for row in rows_of(gathered):
        sums = Sums(np.array(row.counts, np.int64), row.submissions, row.statistics, "", "")
        key = measure_of(gathered, row.name), path_of(gathered, row.path), len(row.counts)
        if key in found:
            found[key].add(sums)
        else:
            found[key] = sums
    return found


def records_in(gathered: Gathered) -> dict[Path_, int]:
    """How many records there were of each path."""
    return {
        path_of(gathered, number): name[NAME_RECORDS]
        for number, name in enumerate(gathered.names)
        if name[NAME_PREFIX] >> KIND_SHIFT == REVISION and name[NAME_RECORDS]
    }


class Row(NamedTuple):
    """A row as it was gathered."""

    path: int
    name: int
    submissions: int
    #: An int, (mantissa, exponent) where floats took part, None where all were absent.
    statistics: list[int | tuple[int, int] | None]
    counts: list[int]


def rows_of(gathered: Gathered) -> Iterator[Row]:
    """The rows; they must be the first ones."""
    for begin in gathered.rows:
        cells = gathered.cells[begin:]
        path, rest = divmod(cells[ROW_KEY], 1 << PATH_SHIFT)
        name, buckets = divmod(rest, 1 << NAME_SHIFT)
        statistics = []
        for index in range(STATISTICS):
            kinds = cells[ROW_KINDS] >> (KIND_BITS * index) & 3
            first = ROW_SUMS + SUM_WORDS * index
            words = cells[first : first + SUM_WORDS]
            total = words[-1] << (64 * (SUM_WORDS - 1))
            total += sum((word % 2**64) << (64 * place) for place, word in enumerate(words[:-1]))
            statistics.append(partial_of(kinds, total))
        counts = cells[ROW_COUNTS : ROW_COUNTS + buckets]
        yield Row(path, name, cells[ROW_SUBMISSIONS], statistics, counts)


def partial_of(kinds: int, total: int) -> int | tuple[int, int] | None:
    """The exact sum that a statistic stands for."""
    if kinds & KIND_FLOAT:
        if total == 0:
            return 0, 0
        zeros = (total & -total).bit_length() - 1
        return total >> zeros, zeros - FRACTION_BITS
    assert total % 2**FRACTION_BITS == 0
    if not kinds:
        assert total == 0
        return None
    return total >> FRACTION_BITS


def measure_of(gathered: Gathered, number: int) -> str:
    """The measure that a name stands for."""
    kind, parent = divmod(gathered.names[number][NAME_PREFIX], 1 << KIND_SHIFT)
    text = _token(gathered, number).decode()
    if kind == HISTOGRAM:
        return text
    if kind == INNER:
        assert gathered.names[parent][NAME_PREFIX] == SIMPLE << KIND_SHIFT
        text = f"{_token(gathered, parent).decode()}_{text}"
    else:
        assert kind == SIMPLE
    return SIMPLE_PREFIX + text.upper()


def path_of(gathered: Gathered, number: int) -> Path_:
    """The path that ends with a name."""
    tokens = []
    for kind in range(REVISION, OS - 1, -1):
        found, parent = divmod(gathered.names[number][NAME_PREFIX], 1 << KIND_SHIFT)
        assert found == kind
        tokens.append(_token(gathered, number))
        number = parent
    return (number, *reversed(tokens))


def _token(gathered: Gathered, number: int) -> bytes:
    name = gathered.names[number]
    return gathered.arena[name[NAME_OFFSET] : name[NAME_OFFSET] + name[NAME_LENGTH]]


class Spilled(NamedTuple):
    """What of rows is not 0, as (row, column, number); and the rows' kinds."""

    entries: list[tuple[int, int, int]]
    kinds: list[int]


def spill_each(runner: Compiled | Checked, every: list[Gathered]) -> list[Spilled]:
    """The rows of each, in arrays that are no larger than they could have to be."""
    return [spill(runner, gathered) for gathered in every]


def spill(runner: Compiled | Checked, gathered: Gathered) -> Spilled:
    """The rows that were gathered."""
    cells, starts = np.array(gathered.cells, np.int64), np.array(gathered.rows, np.int64)
    buckets = np.array([len(row.counts) for row in rows_of(gathered)], np.int64)
    found = np.full((3, buckets.sum() + len(starts) * COUNTS_AT), UNWRITTEN, np.int64)
    kinds = np.full(len(starts), UNWRITTEN, np.int64)
    written = runner.spill(cells, starts, buckets, found, kinds)
    return Spilled(list(map(tuple, found[:, :written].T.tolist())), kinds.tolist())


def rows_spilled(gathered: Gathered, spilled: Spilled) -> Iterator[Row]:
    """The same rows as they were spilled."""
    for number, row in enumerate(rows_of(gathered)):
        vector = [0] * (COUNTS_AT + len(row.counts))
        for _, column, value in (entry for entry in spilled.entries if entry[0] == number):
            vector[column] = value
        statistics = []
        for index in range(STATISTICS):
            limbs = vector[1 + index * LIMBS : 1 + (index + 1) * LIMBS]
            assert all(0 <= limb < 2**LIMB_BITS for limb in limbs[:-1])
            total = sum(limb << (LIMB_BITS * place) for place, limb in enumerate(limbs))
            kinds = spilled.kinds[number] >> (KIND_BITS * index) & 3
            assert kinds != KIND_INT | KIND_FLOAT
            statistics.append(partial_of(kinds, total))
        yield Row(row.path, row.name, vector[0], statistics, vector[COUNTS_AT:])


def ordinary_lines(folder: Path) -> list[bytes]:
    """The lines of a generated tree."""
    return [
        line
        for path in sorted(folder.rglob("*.log.*"))
        for line in decompressed(path).split(b"\n")[:-1]
    ]


def decompressed(path: Path) -> bytes:
    """The bytes of a sound block."""
    return b"".join(decompress(lambda: path.open("rb"), path.name, report=print))


# --- in a process of its own ---


class Served:
    """A runner in a process of its own, which is started anew if it dies."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._arguments = kind, str(folder)
        self._process: subprocess.Popen | None = None

    def skim_each(self, texts: Iterable[bytes], **options: Any) -> list[list[Line]]:
        return self._ask("skim_each", list(texts), options)

    def gather_each(self, texts: Iterable[bytes], **options: Any) -> list[Gathered]:
        return self._ask("gather_each", list(texts), options)

    def spill_each(self, every: list[Gathered]) -> list[Spilled]:
        return self._ask("spill_each", every, {})

    def doubles(self, numbers: list[tuple[int, int]]) -> list[int]:
        return self._ask("doubles", numbers, {})

    def _ask(self, *question: Any) -> Any:
        if self._process is None:
            self._process = self._start()
        try:
            pickle.dump(question, self._process.stdin)
            self._process.stdin.flush()
            is_good, answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            code = self.stop()
            raise AssertionError(f"the process died with {code}") from None
        if not is_good:
            raise AssertionError(answer)
        return answer

    def _start(self) -> subprocess.Popen:
        environment = {
            **os.environ,
            SWITCH: "1",
            "NUMBA_BOUNDSCHECK": "1",
            "NUMBA_OPT": "0",  # a third less to wait for
            "PYTHONPATH": os.path.dirname(__file__),
        }
        command = [sys.executable, "-c", "import sys, kernels; kernels.serve(*sys.argv[1:])"]
        return subprocess.Popen(
            [*command, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def stop(self) -> int | None:
        """End the process; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.stdin.close()
        process.stdout.close()
        return process.wait(ANSWER_TIMEOUT_S)


def serve(kind: str, folder: str) -> None:
    """Answer until nobody asks any more."""
    runner = Checked() if kind == "checked" else Guarded(load(Path(folder)))
    while True:
        try:
            name, given, options = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = True, globals()[name](runner, given, **options)
        except Exception as error:
            answer = False, f"{type(error).__name__}: {error}"
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()
