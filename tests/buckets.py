"""A service of buckets in memory, whose stores can be listed: remote, slow, and watched."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from mr import inputs
from mr.store import Entry, Level


class Service:
    """Objects by URL, and what was asked for; in a `with service.used()` it answers `open_store`.

    A request takes `delay_s`.
    """

    def __init__(self, *, is_remote: bool = True, delay_s: float = 0.0) -> None:
        self.objects: dict[str, tuple[int, str]] = {}
        self.is_remote = is_remote
        self.delay_s = delay_s
        #: The calls with their prefixes, and how many went on at a time.
        self.asked: list[tuple[str, str]] = []
        self.going = self.most_going = 0
        self._lock = threading.Lock()

    def put(self, url: str, *names: str) -> str:
        """Put an object of some size at each name under a URL, which is returned."""
        for name in names:
            self.objects[f"{url}/{name}"] = len(url) + len(name), f"tag of {url}"
        return url

    @contextmanager
    def used(self) -> Iterator["Service"]:
        """Let inputs that are URLs be of this service."""
        with mock.patch.object(inputs, "open_store", lambda url: Bucket(self, url)):
            yield self

    @contextmanager
    def request(self, call: str, prefix: str) -> Iterator[None]:
        """One request."""
        with self._lock:
            self.asked.append((call, prefix))
            self.going += 1
            self.most_going = max(self.most_going, self.going)
        time.sleep(self.delay_s)
        try:
            yield
        finally:
            with self._lock:
                self.going -= 1


class Bucket:
    """What of a store a listing asks for."""

    def __init__(self, service: Service, url: str) -> None:
        self.url = url.rstrip("/")
        self._service = service
        self.is_remote = service.is_remote

    def _entries(self, prefix: str) -> list[Entry]:
        start = len(self.url) + 1
        return [
            Entry(url[start:], *found)
            for url, found in self._service.objects.items()
            if url.startswith(f"{self.url}/{prefix}")
        ]

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`; the request lasts as long as its entries are read."""
        with self._service.request("list", prefix):
            yield from self._entries(prefix)

    def list_level(self, prefix: str = "") -> Level:
        """See `Store.list_level`."""
        folders, entries = {}, []
        with self._service.request("list_level", prefix):
            for entry in self._entries(prefix):
                folder, slash, _ = entry.name[len(prefix) :].partition("/")
                if slash:
                    folders[f"{prefix}{folder}/"] = None
                else:
                    entries.append(entry)
        return list(folders), entries

    def stat(self, name: str) -> Entry | None:
        """See `Store.stat`."""
        with self._service.request("stat", name):
            found = self._service.objects.get(f"{self.url}/{name}")
        return found and Entry(name, *found)
