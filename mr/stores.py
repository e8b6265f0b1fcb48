"""The stores that there are, by their URLs."""

import re
from urllib.parse import unquote, urlsplit

from mr.directory import DirectoryStore
from mr.errors import UsageError
from mr.store import Store


def open_store(url: str) -> Store:
    """Return the store at `url`: a path or a file:// URL is a directory.

    Raises UsageError for a URL of a kind that is not known.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if scheme is None:
        return DirectoryStore(url)
    if scheme[1].lower() == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"{url} names another machine: write file:///PATH (three slashes)")
        return DirectoryStore(unquote(parts.path, errors="surrogateescape"))
    if scheme[1].lower() == "s3":
        raise UsageError(f"{url}: S3 is not available in this version; give a directory")
    raise UsageError(f"{url}: a store is a directory or a file:// URL, not {scheme[1]}://")
