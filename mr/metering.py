"""What this process has asked of S3 and SQS: each request is counted, for each has its price."""

import threading
from collections import Counter
from collections.abc import Mapping


class Meter:
    """Counts requests by "service.Operation" (as "s3.GetObject"), from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, request: str) -> None:
        """Count one request; a repeated one is another."""
        with self._lock:
            self._counts[request] += 1

    def add(self, counts: Mapping[str, int]) -> None:
        """Count what another process has asked."""
        with self._lock:
            self._counts.update(counts)

    def take(self) -> dict[str, int]:
        """Return what was counted since the last `take`, and begin anew."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return dict(taken)


#: The one of this process.
METER = Meter()
