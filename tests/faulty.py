"""A proxy between a client and a server of S3 or SQS that does harm, by chance or by order.

In a test: `with faulty(server.url) as proxy`, then `proxy.faults.append(Fault("cut", after=10))`
and requests to `proxy.url`. By itself, for long runs (all but port and target may be left out):

    python tests/faulty.py --listen 9000 --target http://127.0.0.1:18333 \\
        --cut 0.05 --slowdown 0.05 --drop 0.02 --delay 0.01 --twice 0.01 --seed 1

Requests go on unchanged, with their `Host`, on which their signatures rest.
"""

import argparse
import json
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO
from urllib.parse import urlsplit

SLOWDOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
#: What concerns one connection and is not handed on.
HOP = {"connection", "keep-alive", "expect", "transfer-encoding", "content-length"}
#: Bytes of a request that are held in memory, and that are moved at a time.
SPOOL_BYTES, MOVE_BYTES = 1024 * 1024, 64 * 1024


@dataclass(frozen=True)
class Fault:
    """One fault, for the next request that it suits.

    `kind` is "cut" (the body ends after `after` bytes), "reset" (the same, by a reset of the
    connection), "slowdown" (503, and nothing is done), "drop" (done, but never answered), "delay"
    (answered after `seconds`), "twice" (done twice, the first answer is given) or "refuse" (the
    connection is closed before anything is done).
    """

    kind: str
    after: int = 0
    seconds: float = 1.0
    #: The request's method, and a part of its path; "" suits any.
    method: str = ""
    path: str = ""

    def suits(self, method: str, path: str) -> bool:
        """Whether it is for this request."""
        return self.method in ("", method) and self.path in path


@dataclass(frozen=True)
class Rates:
    """The shares of requests that meet each fault, and how bad it is.

    Only answers with a body are cut, and only what changes something is dropped or done twice.
    """

    cut: float = 0.0
    reset: float = 0.0
    slowdown: float = 0.0
    drop: float = 0.0
    delay: float = 0.0
    twice: float = 0.0
    refuse: float = 0.0
    seed: int = 0
    #: Bytes after which bodies are cut at the latest, and the longest delay in seconds.
    cut_within: int = 1_000_000
    delay_within: float = 2.0


@dataclass
class Proxy:
    """A running proxy: what it is to do, and what it has done."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    #: Every request, as (method, path).
    seen: list[tuple[str, str]] = field(default_factory=list)
    #: Every request to SQS, as its operation and what it says.
    asked: list[tuple[str, dict]] = field(default_factory=list)
    #: How many of each kind of fault.
    done: Counter = field(default_factory=Counter)


class FaultyServer(ThreadingHTTPServer):
    """The proxy's server; `proxy` says how it goes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, rates: Rates, port: int, *, keep: bool) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 80)
        self.proxy = Proxy(f"http://127.0.0.1:{self.server_port}")
        self._rates = rates
        self._random = random.Random(rates.seed)
        self._lock = threading.Lock()
        self.keeps = keep

    def draw(self, method: str, path: str) -> Fault | None:
        """The fault for this request, if any."""
        with self._lock:
            if self.keeps:
                self.proxy.seen.append((method, path))
            fault = self._ordered(method, path) or self._by_chance(method)
            if fault is not None:
                self.proxy.done[fault.kind] += 1
            return fault

    def _ordered(self, method: str, path: str) -> Fault | None:
        for number, fault in enumerate(self.proxy.faults):
            if fault.suits(method, path):
                return self.proxy.faults.pop(number)
        return None

    def _by_chance(self, method: str) -> Fault | None:
        draw, rates = self._random.random, self._rates
        point = draw()
        after, seconds = int(draw() ** 2 * rates.cut_within), draw() * rates.delay_within
        for kind in ("cut", "reset", "slowdown", "drop", "delay", "twice", "refuse"):
            point -= getattr(rates, kind)
            if point < 0:
                if kind in ("drop", "twice") and method in ("GET", "HEAD"):
                    return None
                return Fault(kind, after, seconds)
        return None

    def shutdown_request(self, request) -> None:
        """Close, without the polite end that a reset is not to have."""
        self.close_request(request)

    def handle_error(self, request, client_address) -> None:
        """Say nothing of clients that have gone."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer
    _upstream: HTTPConnection | None = None

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_any(self) -> None:
        """Carry out one request, or not."""
        fault = self.server.draw(self.command, self.path)
        kind = fault.kind if fault else ""
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as body:
            self._take_body(body)
            self._note_operation(body)
            if kind == "refuse":
                self._hang_up()
                return
            if kind == "slowdown":
                self._answer_slowdown()
                return
            try:
                response = self._forward(body)
                if kind == "twice":
                    answer = response.read()
                    self._forward(body).read()
                    self._give_head(response, len(answer))
                    self.wfile.write(answer)
                    return
            except (OSError, HTTPException):
                self._hang_up()
                return
        if kind == "drop":
            response.read()
            self._hang_up()
            return
        if kind == "delay":
            time.sleep(fault.seconds)
        self._give(response, fault if kind in ("cut", "reset") else None)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any  # noqa: N815

    def _note_operation(self, body: IO[bytes]) -> None:
        _, _, operation = self.headers.get("X-Amz-Target", "").partition("AmazonSQS.")
        if operation and self.server.keeps:
            body.seek(0)
            self.server.proxy.asked.append((operation, json.loads(body.read())))

    def _take_body(self, body: IO[bytes]) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self._move(self.rfile, body, size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            self._move(self.rfile, body, int(self.headers.get("Content-Length", 0)))

    @staticmethod
    def _move(source: IO[bytes], target: IO[bytes], size: int) -> int:
        """Move so many bytes, or all that come; return how many have not come."""
        while size and (piece := source.read(min(size, MOVE_BYTES))):
            target.write(piece)
            size -= len(piece)
        return size

    def _forward(self, body: IO[bytes]) -> HTTPResponse:
        size = body.seek(0, 2)
        for last in (self._upstream is None, True):
            body.seek(0)
            if self._upstream is None:
                self._upstream = HTTPConnection(*self.server.target, timeout=300)
                self._upstream.connect()
                self._upstream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._send(self._upstream, body, size)
                return self._upstream.getresponse()
            except ConnectionError:
                # The server may have closed the connection since the last request.
                self._upstream.close()
                self._upstream = None
                if last:
                    raise
        raise AssertionError("not reached")

    def _send(self, upstream: HTTPConnection, body: IO[bytes], size: int) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP:
                upstream.putheader(name, value)
        if size or "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            upstream.putheader("Content-Length", str(size))
        upstream.endheaders()
        while piece := body.read(MOVE_BYTES):
            upstream.send(piece)

    def _give_head(self, response: HTTPResponse, length: int | None) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP or (self.command == "HEAD" and name != "Connection"):
                self.send_header(name, value)
        if self.command != "HEAD" and response.status not in (204, 304):
            if length is None:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(length))
        self.end_headers()

    def _give(self, response: HTTPResponse, fault: Fault | None) -> None:
        """Answer as the server did, but for the fault."""
        length = response.length  # None for chunks
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        self._give_head(response, length)
        if bodiless:
            response.read()
            return
        if fault is not None and (length is None or fault.after < length):
            if length is None:
                self._give_chunks(response, fault.after)
            else:
                self._move(response, self.wfile, fault.after)
            self._upstream.close()
            self._upstream = None
            self._hang_up(reset=fault.kind == "reset")
        elif length is None:
            self._give_chunks(response)
            self.wfile.write(b"0\r\n\r\n")
        elif self._move(response, self.wfile, length):
            self._hang_up()
        else:
            response.read()  # nothing is left: it says so to the connection

    def _give_chunks(self, response: HTTPResponse, most: int | None = None) -> None:
        while piece := response.read(MOVE_BYTES if most is None else min(most, MOVE_BYTES)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if most is not None:
                most -= len(piece)

    def _answer_slowdown(self) -> None:
        self.send_response_only(503, "Slow Down")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(SLOWDOWN)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(SLOWDOWN)

    def _hang_up(self, *, reset: bool = False) -> None:
        """End the connection without another word."""
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            if reset:
                time.sleep(0.05)  # what was sent is to arrive first
                linger = struct.pack("ii", 1, 0)  # what the closing then sends is a reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def faulty(target: str, rates: Rates | None = None, port: int = 0) -> Iterator[Proxy]:
    """Run the proxy in a with-block, in this process."""
    with FaultyServer(target, rates or Rates(), port, keep=True) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Run the proxy until it is ended, then say what it has done."""
    parser = argparse.ArgumentParser(description="A proxy that does harm by chance.")
    parser.add_argument("--listen", type=int, required=True, help="its port on 127.0.0.1")
    parser.add_argument("--target", required=True, help="the server's URL")
    for rate in fields(Rates):
        name = "--" + rate.name.replace("_", "-")
        parser.add_argument(name, type=type(rate.default), default=rate.default)
    given = vars(parser.parse_args())
    port, target = given.pop("listen"), given.pop("target")
    with FaultyServer(target, Rates(**given), port, keep=False) as server:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        print(f"{server.proxy.url} -> {target}", flush=True)
        try:
            server.serve_forever()
        except (KeyboardInterrupt, SystemExit):
            print(dict(server.proxy.done), flush=True)


if __name__ == "__main__":
    main()
