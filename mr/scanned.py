"""Objects in JSON that is long, or that the parser cannot read: found by scanning the bytes."""

from collections.abc import Iterator
from typing import Any

from mr.validity import find_members, parse_plain

#: Names of a scanned object that are kept once found, at about 200 bytes each; with more of them
#: it is scanned each time.
NAMES_KEPT = 100_000


class ScannedObject:
    """An object in JSON that is long, or that simdjson cannot read: found by scanning the bytes.

    Looking a name up builds only that name's value.
    """

    __slots__ = ("_begin", "_end", "_found", "_raw")

    def __init__(self, raw: bytes, begin: int, end: int) -> None:
        self._raw = raw
        self._begin = begin
        self._end = end
        #: Name to (start, end) of its value, or to its object; None if not known or too many.
        self._found: dict[str, tuple[int, int] | ScannedObject] | None = None

    def __getitem__(self, name: str) -> Any:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        if type(found) is ScannedObject:
            return found
        start, end = found
        if self._raw[start] == ord("{"):
            value = ScannedObject(self._raw, start, end)
            if self._found is not None:
                self._found[name] = value
            return value
        if self._raw[start] == ord('"') and self._raw.find(b"\\", start, end) < 0:
            return str(memoryview(self._raw)[start + 1 : end - 1], "utf-8")
        return parse_plain(self._raw[start:end])

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def as_dict(self) -> dict[str, Any]:
        """All of it as a new plain dict."""
        return parse_plain(self._raw[self._begin : self._end])

    def _names(self) -> dict[str, Any]:
        if self._found is None:
            self._find(None)
        if self._found is not None:
            return self._found
        return dict.fromkeys(name for name, _, _ in find_members(self._raw, self._begin))

    def _find(self, wanted: str | None) -> "tuple[int, int] | ScannedObject | None":
        """Return what the last member of this name has; keep what is found on the way."""
        if self._found is not None:
            return self._found.get(wanted)
        found: dict[str, tuple[int, int]] = {}
        last = None
        for name, start, end in find_members(self._raw, self._begin):
            if name == wanted:
                last = start, end
            if len(found) <= NAMES_KEPT:
                found[name] = start, end
        if len(found) <= NAMES_KEPT:
            self._found = found
        return last
