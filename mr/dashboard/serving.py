"""The page and what is published, by a small server for the people of this machine."""

import gzip
import mimetypes
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from mr.dashboard.page import INDEX, page_files
from mr.errors import BadName, MrError, ObjectMissing, UsageError
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

    Raises UsageError when nothing is published, or the port cannot be had.
    """
    _, tag = read_versions(published)
    if tag is None:
        raise UsageError(f"{published.url} is no published folder: it has no {VERSIONS}.")
    files = page_files(PUBLISHED.lstrip("/"))

    class Handler(_Handler):
        store, page = published, files

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot serve on {host}:{port} ({reason}): name another --port."
        ) from None


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
        return self.store.read(name)

    def _answer(self, name: str, data: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _KINDS.guess_type(name)[0] or "text/plain")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'"
        )
        is_packed = data.startswith(b"\x1f\x8b")
        if not is_packed and len(data) >= _LEAST_PACKED_BYTES and self._takes_gzip():
            data, is_packed = gzip.compress(data, _PACKING_LEVEL, mtime=0), True
        if is_packed and self._takes_gzip():
            self.send_header("Content-Encoding", "gzip")
        elif is_packed:
            data = gzip.decompress(data)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _takes_gzip(self) -> bool:
        return "gzip" in self.headers.get("Accept-Encoding", "")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: whoever looks at the page sees what went wrong."""
