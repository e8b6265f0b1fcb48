"""S3 as the simulation has it: a bucket in memory, whose requests are counted."""

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mr.errors import ObjectChanged, ObjectExists, ObjectMissing
from mr.layout import COMMITS_LISTED
from mr.store import Entry, Level, Store


@dataclass
class Bucket:
    """What a bucket holds, and which requests it was asked.

    Names that differ in their last characters alone lie together: a thousand commits, say.
    """

    shelves: dict[str, dict[str, bytes]] = field(default_factory=dict)
    #: By name, as `mr.metering` counts them.
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, request: str) -> None:
        """Count a request, from any thread."""
        with self._lock:
            self.counts[request] += 1

    def found(self, name: str) -> bytes | None:
        """An object's content."""
        return self.shelves.get(_shelf(name), {}).get(name)

    def put(self, name: str, data: bytes) -> None:
        """Keep an object."""
        self.shelves.setdefault(_shelf(name), {})[name] = data

    def take_away(self, name: str) -> None:
        """Remove an object, if it is there."""
        self.shelves.get(_shelf(name), {}).pop(name, None)

    def below(self, prefix: str) -> list[tuple[str, bytes]]:
        """The objects whose names begin so."""
        return [
            (name, data)
            for shelf, held in self.shelves.items()
            if shelf.startswith(prefix) or prefix.startswith(shelf)
            for name, data in held.items()
            if name.startswith(prefix)
        ]


def _shelf(name: str) -> str:
    return name[:-3]


class SimulatedStore(Store):
    """A bucket, as one of those sees it who use it; `ask` hears of each request and its bytes."""

    url = "s3://simulated"
    is_remote = True

    def __init__(self, bucket: Bucket, ask: Callable[[str, int], None]) -> None:
        self._bucket = bucket
        self._ask = ask

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield the objects below a prefix, a request for each thousand."""
        found = self._bucket.below(prefix)
        for _ in range(max(1, -(-len(found) // COMMITS_LISTED))):
            self._request("ListObjectsV2")
        for name, data in found:
            yield Entry(name, len(data), _tag(data))

    def list_level(self, prefix: str = "") -> Level:
        """Not asked by who coordinates or works."""
        raise NotImplementedError

    def stat(self, name: str) -> Entry | None:
        """Return what is known of an object."""
        self._request("HeadObject")
        data = self._bucket.found(name)
        return None if data is None else Entry(name, len(data), _tag(data))

    def open(
        self, name: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> io.BytesIO:
        """Open a range of an object."""
        return io.BytesIO(self.read(name, start=start, end=end, tag=tag))

    def read(
        self, name: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> bytes:
        """Return a range of an object."""
        data = self._bucket.found(name)
        read = b"" if data is None else data[start:end]
        self._request("GetObject", len(read))
        if data is None:
            raise ObjectMissing(f"{self.url}/{name}: there is no such object.")
        if tag is not None and tag != _tag(data):
            raise ObjectChanged(f"{self.url}/{name}: it was replaced.")
        return read

    @contextmanager
    def create(
        self, name: str, *, if_absent: bool = False, if_match: str | None = None
    ) -> Iterator[io.BytesIO]:
        """Write an object in a with-block."""
        out = io.BytesIO()
        yield out
        self.write(name, out.getvalue(), if_absent=if_absent, if_match=if_match)

    def write(
        self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """Write a whole object."""
        self._request("PutObject", len(data))
        found = self._bucket.found(name)
        if if_absent and found is not None:
            raise ObjectExists(f"{self.url}/{name}: it is there already.")
        if if_match is not None and (found is None or _tag(found) != if_match):
            raise ObjectChanged(f"{self.url}/{name}: it was replaced.")
        self._bucket.put(name, data)
        return _tag(data)

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._request("DeleteObject")
        self._bucket.take_away(name)

    def copy(self, source: str, target: str) -> None:
        """Not asked by who coordinates or works."""
        raise NotImplementedError

    def _request(self, operation: str, size: int = 0) -> None:
        self._bucket.count(f"s3.{operation}")
        self._ask(operation, size)


def _tag(data: bytes) -> str:
    """What stands for a content; two of the same length are not told apart by a simulation."""
    return str(len(data))
