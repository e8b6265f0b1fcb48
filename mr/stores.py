"""The stores that there are, by their URLs."""

import re
from urllib.parse import unquote, urlsplit

from mr.directory import DirectoryStore
from mr.errors import UsageError
from mr.store import Store


def open_store(url: str) -> Store:
    """Return the store at `url`: a path or a file:// URL is a directory, s3://BUCKET/PREFIX is S3.

    No request is made. Raises UsageError for a URL of a kind that is not known.
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
        from mr.aws.s3 import S3Store  # boto3 is slow to import

        return S3Store(url)
    raise UsageError(
        f"{url}: a store is a directory, a file:// URL or s3://BUCKET/PREFIX, not {scheme[1]}://"
    )


def is_local(place: str) -> bool:
    """Whether a path or a URL names something on this machine."""
    return "://" not in place or place.lower().startswith("file:")


def split_url(place: str) -> tuple[Store, str]:
    """The store of the folder that one object or file lies in, and its name there."""
    folder, _, name = place.rpartition("/")
    return open_store(folder or ("/" if place.startswith("/") else ".")), name
