"""A proxy before a server of SQS that does what SQS may do, all the time (for `chaos.py`).

Every message is sent twice, so each is delivered twice. Some answers to ReceiveMessage come after
the lease that they give has ended. Beside that there are the faults of `tests/faulty.py`.

    python bench/chaos_sqs.py --listen 9000 --target http://127.0.0.1:4566 --lease 4 --seed 1
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from faulty import Fault, FaultyServer, Rates, _Handler

#: How much longer than the lease an answer is held back, at most, in seconds.
LATE_S = 3.0


class SqsHandler(_Handler):
    """Tells the server which operation each request is."""

    def do_POST(self) -> None:  # noqa: N802
        self.server.asked.operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.do_any()


class SqsServer(FaultyServer):
    """The proxy's server."""

    def __init__(self, port: int, target: str, lease_s: float, late: float, rates: Rates) -> None:
        super().__init__(target, rates, port, keep=False)
        self.RequestHandlerClass = SqsHandler
        #: The operation of the request at hand, in its thread.
        self.asked = threading.local()
        self._lease_s = lease_s
        self._late = late

    def draw(self, method: str, path: str) -> Fault | None:
        """The fault for this request, if any."""
        operation = getattr(self.asked, "operation", "")
        if operation in ("SendMessage", "SendMessageBatch"):
            return self._count("sent twice", Fault("twice"))
        with self._lock:
            share, more = self._random.random(), self._random.random() * LATE_S
        if operation == "ReceiveMessage" and share < self._late:
            late_s = self._lease_s + more
            return self._count("received after the lease", Fault("delay", seconds=late_s))
        return super().draw(method, path)

    def _count(self, name: str, fault: Fault) -> Fault:
        with self._lock:
            self.proxy.done[name] += 1
        return fault


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--lease", type=float, required=True, help="the workers', in seconds")
    parser.add_argument("--late", type=float, default=0.08, help="share of late receives")
    parser.add_argument("--slowdown", type=float, default=0.01)
    parser.add_argument("--drop", type=float, default=0.02)
    parser.add_argument("--delay", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rates = Rates(slowdown=given.slowdown, drop=given.drop, delay=given.delay, seed=given.seed)
    with SqsServer(given.listen, given.target, given.lease, given.late, rates) as server:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        try:
            server.serve_forever()
        except (KeyboardInterrupt, SystemExit):
            print(dict(server.proxy.done), flush=True)


if __name__ == "__main__":
    main()
