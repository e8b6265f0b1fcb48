"""Dataclasses are read by several threads at once, from the first of them on."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

import mr
from mr.decoding import from_json, from_plain

#: Many classes, each met by three threads at the same moment.
RACE = """
import sys, threading
from dataclasses import make_dataclass
from mr.decoding import from_json, from_plain

sys.setswitchinterval(1e-6)

def meet(kind, barrier, found):
    barrier.wait()
    found.append(from_json(b'{"f3": {"g1": 1}, "f19": null}', kind).f3.g1)
    found.append(from_plain({"f3": {"g1": 2}}, kind).f3.g1)

total = 0
for _ in range(1500):
    inner = make_dataclass("Inner", [(f"g{n}", int, 0) for n in range(3)])
    kind = make_dataclass("Outer", [(f"f{n}", inner | None, None) for n in range(20)])
    barrier, found = threading.Barrier(3), []
    threads = [threading.Thread(target=meet, args=(kind, barrier, found)) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    total += sum(found)
print(total)
"""


@dataclass
class Point:
    """Something to read."""

    x: int
    y: int = 0


def test_a_value_is_as_it_was_written():
    """From bytes and from plain values; what does not fit is refused."""
    assert from_json(b'{"x": 1}', Point) == from_plain({"x": 1}, Point) == Point(1)
    with pytest.raises(msgspec.DecodeError):
        from_json(b'{"x": "1"}', Point)
    with pytest.raises(msgspec.ValidationError):
        from_plain({"y": 1}, Point)


def test_threads_that_meet_a_class_at_once_all_read_it():
    """In a process of its own, which a fault would end."""
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{1500 * 3 * 3}\n", "")


def test_nothing_else_reads_dataclasses():
    """Every other call of msgspec names no class of ours."""
    calls = []
    for path in Path(mr.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and path.name != "decoding.py":
                text = ast.unparse(node.func)
                kinds = [ast.unparse(one.value) for one in node.keywords if one.arg == "type"]
                if text == "msgspec.convert":
                    kinds.append(ast.unparse(node.args[1]))
                if text.startswith("msgspec.") and kinds:
                    calls += kinds

    assert len(calls) >= 2
    assert [kind for kind in calls if not kind.startswith(("tuple[", "dict["))] == []
