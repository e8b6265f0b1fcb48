"""The files of the page: our own, and the library that draws, from the package that brings it."""

from html import escape
from importlib import metadata, resources

from mr.errors import UsageError

#: Chart.js, as this package brings it.
LIBRARY, LIBRARY_PACKAGE = "Chart.bundle.js", "chartkick"
INDEX = "index.html"

_PLACE = '<meta name="published" content="published/">'


def page_files(published: str = "published/") -> dict[str, bytes]:
    """Name to content of every file of the page, which looks for what is published at that URL.

    Raises UsageError when the library is not installed.
    """
    files = {
        entry.name: entry.read_bytes()
        for entry in resources.files("mr.dashboard").joinpath("page").iterdir()
        if entry.is_file()
    }
    index = files[INDEX].decode("utf-8")
    place = _PLACE.replace("published/", escape(published.rstrip("/") + "/"))
    files[INDEX] = index.replace(_PLACE, place).encode("utf-8")
    files[LIBRARY] = _library()
    return dict(sorted(files.items()))


def _library() -> bytes:
    try:
        installed = metadata.files(LIBRARY_PACKAGE) or []
    except metadata.PackageNotFoundError:
        installed = []
    for file in installed:
        if file.name == LIBRARY:
            return file.read_binary()
    raise UsageError(
        "the dashboard needs the library that draws: pip install 'mr-telemetry[dashboard]'"
    )
