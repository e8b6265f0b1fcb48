"""The page and what is published, by a small server for the people of this machine."""

import errno
import gzip
import mimetypes
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from mr.dashboard.page import INDEX, page_files
from mr.errors import BadName, FormatError, MrError, ObjectMissing, UsageError
from mr.histograms.bodies import read_body
from mr.histograms.folders import VERSIONS, read_versions
from mr.histograms.placing import is_name
from mr.store import Store

PUBLISHED = "/published/"
#: Bodies shorter than this are not worth packing.
_LEAST_PACKED_BYTES = 1024
_PACKING_LEVEL = 3
_KINDS = mimetypes.MimeTypes()


def make_server(published: Store, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound and waits to be started: it reads, and only what the page asks for.

    Raises UsageError when nothing is published, or the host or port cannot be had.
    """
    _, tag = read_versions(published)
    if tag is None:
        raise UsageError(f"{published.url} is no published folder: it has no {VERSIONS}.")
    files = page_files(PUBLISHED.lstrip("/"))

    class Handler(_Handler):
        store, page = published, files

    class Server(_Server):
        address_family = _family_of(host)

    try:
        return Server((host, port), Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        option = "--host" if getattr(error, "errno", None) == errno.EADDRNOTAVAIL else "--port"
        raise UsageError(
            f"cannot serve on {host}:{port} ({reason}): name another {option}."
        ) from None


def _family_of(host: str) -> socket.AddressFamily:
    """Whether a host is one of IPv4 or IPv6. Raises UsageError for one that is not there."""
    try:
        return socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM)[0][0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot serve on {host} ({reason}): name another --host.") from None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle of an answer is nothing to be told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    store: Store
    page: dict[str, bytes]
    protocol_version = "HTTP/1.1"
    # Else an answer waits for the browser's word that the headers have come: 40 ms each.
    disable_nagle_algorithm = True
    server_version = "mr-telemetry"
    sys_version = ""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        try:
            if path.startswith(PUBLISHED):
                name = path.removeprefix(PUBLISHED)
                self._answer(name, self._published(name))
            else:
                name = path.removeprefix("/") or INDEX
                self._answer(name, self.page[name])
        except (KeyError, ObjectMissing, BadName):
            self._answer("", b"There is no such file.\n", HTTPStatus.NOT_FOUND)
        except MrError as error:
            self._answer("", f"{error}\n".encode(), HTTPStatus.BAD_GATEWAY)

    do_HEAD = do_GET  # noqa: N815

    def _published(self, name: str) -> bytes:
        """A file of the published folder: versions.json, or JSON of one of its folders."""
        parts = name.split("/")
        is_read = name == VERSIONS or (len(parts) == 2 and name.endswith(".json"))
        if not is_read or not all(map(is_name, parts)):
            raise ObjectMissing(name)
        try:
            return read_body(self.store, name)
        except ValueError as error:
            raise FormatError(f"{error}: publish it again.") from None

    def _answer(self, name: str, data: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _KINDS.guess_type(name)[0] or "text/plain")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'"
        )
        if len(data) >= _LEAST_PACKED_BYTES and self._takes_gzip():
            data = gzip.compress(data, _PACKING_LEVEL, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _takes_gzip(self) -> bool:
        weights = {}
        for part in self.headers.get("Accept-Encoding", "").lower().split(","):
            coding, _, weight = part.replace(" ", "").partition(";q=")
            weights[coding] = not weight or weight.strip("0.") != ""
        return weights.get("gzip", weights.get("*", False))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: whoever looks at the page sees what went wrong."""
