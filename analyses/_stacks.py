"""Stacks of a record: those of chrome hangs and of late writes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mr.analyses._measures import is_measure

from mr.records import Record

#: What a stack is of, and the section that it stands in.
SECTIONS = {"hang": "chromeHangs", "late write": "lateWrites"}


class Stack(NamedTuple):
    """One stack of a record."""

    #: "hang" or "late write".
    kind: str
    #: Its place in the section, from 0.
    place: int
    #: Of a hang, in seconds; None where it is not told.
    duration: float | None
    #: The innermost first, each as "library+0xoffset".
    frames: list[str]


def stacks_of(record: Record, count: Callable[[str], None]) -> Iterator[Stack]:
    """Every stack of a record; what cannot be read is left out and counted."""
    for kind, section in SECTIONS.items():
        stacks = record.find(section, "stacks")
        if not isinstance(stacks, list):
            if record.find(section) is not None:
                count(f"odd sections {section}")
            continue
        libraries = record.find(section, "memoryMap")
        durations = record.find(section, "durations")
        for place, stack in enumerate(stacks):
            if not isinstance(stack, list):
                count(f"odd stacks in {section}")
                continue
            duration = _item(durations, place)
            if kind == "hang" and not is_measure(duration):
                count("hangs without a duration")
                duration = None
            yield Stack(kind, place, duration, [_frame(frame, libraries) for frame in stack])


def _frame(frame: Any, libraries: Any) -> str:
    """An index into the memory map and an offset, as text."""
    library, offset = _item(_item(libraries, _item(frame, 0)), 0), _item(frame, 1)
    name = library if isinstance(library, str) else "unknown"
    return f"{name}+{offset:#x}" if type(offset) is int and offset >= 0 else name


def _item(found: Any, place: Any) -> Any:
    """The item of a list, None where there is none."""
    is_there = isinstance(found, list) and type(place) is int and 0 <= place < len(found)
    return found[place] if is_there else None
