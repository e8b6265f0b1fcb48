"""Directories that behave as stores in a cloud do: far away, and slow to answer."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from mr.directory import DirectoryStore


class RemoteDirectory(DirectoryStore):
    """A directory that says it is remote, and takes a while to open an object.

    It knows how many openings there were and how many went on at a time, and which streams are
    open.
    """

    is_remote = True

    def __init__(self, path: Path, delay_s: float = 0.0) -> None:
        super().__init__(path, durable=False)
        self.delay_s = delay_s
        self.opened: list[str] = []
        self.streams: list = []
        self.going = self.most_going = 0
        #: Told of each opening.
        self.on_open: Callable[[str], None] = lambda name: None
        self._counting = threading.Lock()

    def open(self, name, **options):
        """Wait, and open."""
        with self._counting:
            self.opened.append(name)
            self.going += 1
            self.most_going = max(self.most_going, self.going)
        try:
            time.sleep(self.delay_s)
            self.on_open(name)
            stream = super().open(name, **options)
            with self._counting:
                self.streams.append(stream)
            return stream
        finally:
            with self._counting:
                self.going -= 1

    @property
    def still_open(self) -> int:
        """How many streams nobody has closed."""
        return sum(not stream.closed for stream in self.streams)
