"""Where a store lies in S3: its bucket, and the keys of its objects."""

import re

from mr.errors import BadName, ObjectMissing, UsageError
from mr.store import check_name, check_prefix
from mr.text import is_utf8, utf8

#: Bytes of the longest key that S3 takes.
KEY_BYTES = 1024

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Place:
    """A bucket, and the prefix of all keys in it that are a store's.

    Raises UsageError for what is no s3://BUCKET/PREFIX.
    """

    def __init__(self, url: str) -> None:
        shown = utf8(url).decode()
        scheme, _, rest = url.partition("://")
        self.bucket, _, prefix = rest.partition("/")
        if scheme.lower() != "s3" or not _BUCKET.fullmatch(self.bucket):
            raise UsageError(
                f"{shown}: write s3://BUCKET/PREFIX, with a bucket's name of 3 to 63 lower-case "
                "letters, digits, dots and hyphens"
            )
        prefix = prefix.removesuffix("/")
        try:
            if prefix:
                check_name(prefix)
                _check_unicode(prefix)
        except BadName as error:
            raise UsageError(f"{shown}: {error}") from None
        self._root = prefix and prefix + "/"
        #: The same in its one form, without a "/" at the end.
        self.url = f"s3://{self.bucket}/{prefix}".removesuffix("/")

    def asked(self, name: str) -> dict[str, str]:
        """What a request for this object says; raises BadName."""
        check_name(name)
        _check_unicode(name)
        key = self._root + name
        if len(key.encode()) > KEY_BYTES:
            raise BadName(f"{name!r} cannot name an object: S3 takes {KEY_BYTES} bytes at most")
        return {"Bucket": self.bucket, "Key": key}

    def under(self, prefix: str) -> dict[str, str]:
        """What a request for all objects under this prefix says; raises BadName."""
        check_prefix(prefix)
        _check_unicode(prefix)
        return {"Bucket": self.bucket, "Prefix": self._root + prefix}

    def name(self, key: str) -> str:
        """The name of the object that has this key; it may be none that is valid."""
        return key[len(self._root) :]

    def where(self, name: str) -> str:
        """How a person is told of an object."""
        return f"{self.url}/{name}"

    def missing(self, name: str) -> ObjectMissing:
        """Return the error that says there is no such object."""
        return ObjectMissing(f"there is no object {self.where(name)}")


def is_name(name: str) -> bool:
    """Whether an object may be called so; what others put into a bucket may not be."""
    try:
        check_name(name)
    except BadName:
        return False
    return True


def _check_unicode(name: str) -> None:
    if not is_utf8(name):
        raise BadName(f"{name!r} cannot name an object of S3: it is not valid Unicode")
