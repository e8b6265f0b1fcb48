"""A bucket of S3, or a prefix in one, as a store; also of clouds and servers that speak S3."""

import io
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from mr.aws.answers import explain, explain_entry, explained
from mr.aws.clients import client
from mr.aws.failures import FAILURES, code_of, status_of
from mr.aws.objects import (
    PART_BYTES,
    READ_PAUSES,
    ObjectReader,
    Patience,
    Upload,
    changed,
    headers_for,
    tag_of,
)
from mr.aws.place import Place, is_name
from mr.errors import ObjectExists, StoreError
from mr.store import Entry, Level, Store, Writer

#: Bytes that a reader of an object holds in memory, and a writer beside its part.
BUFFER_BYTES = 128 * 1024
#: Most objects of one answer, and of one request to delete.
PAGE = 1000
#: Bytes of each part of a large copy, which is made within S3.
COPY_PART_BYTES = 256 * 1024 * 1024
#: Seconds after which `sweep` takes an unfinished upload for a dead writer's.
SWEEP_AFTER_S = 24 * 3600

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
#: What XML cannot hold, so that no request to delete several objects can name it.
_NO_XML = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")


class S3Store(Store):
    """The objects of a bucket whose keys begin with a prefix.

    An object's tag is S3's ETag. Two contents that are equal have the same one: of writers with
    `if_match` who write back what was there already, each is right, and each wins.

    A conditional write whose answer was lost, and that had been carried out, is known by the
    object's metadata (`x-amz-meta-writer`). If somebody else has replaced it in the meantime it
    counts as refused.

    Raises UsageError for what is no s3:// URL. Opening makes no request.
    """

    is_remote = True

    def __init__(
        self,
        url: str,
        *,
        part_bytes: int = PART_BYTES,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = Place(url)
        self.url = self._place.url
        self._part_bytes = part_bytes
        self._sleep = sleep
        self._clock = clock
        self._monotonic = monotonic

    def __repr__(self) -> str:
        return f"S3Store({self.url!r})"

    @property
    def _s3(self) -> Any:
        return client("s3")

    # Listing.

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object whose name starts with `prefix`, a page of 1,000 at a time.

        What has no valid name (folder markers, that end in "/", for one) is left out.
        """
        pages = self._pages(prefix)
        return (entry for page in pages for entry in self._entries(page))

    def list_level(self, prefix: str = "") -> Level:
        """Return the sub-prefixes and the objects directly under `prefix`; see `list`."""
        if prefix and not prefix.endswith("/"):
            raise ValueError(f'a level is "" or ends in "/", not {prefix!r}')
        folders: list[str] = []
        entries: list[Entry] = []
        for page in self._pages(prefix, Delimiter="/"):
            found = (self._place.name(item["Prefix"]) for item in page.get("CommonPrefixes", ()))
            folders += (name for name in found if is_name(name.removesuffix("/")))
            entries += self._entries(page)
        return folders, entries

    def _pages(self, prefix: str, **options: str) -> Iterator[dict]:
        return self._answers({**self._place.under(prefix), **options})

    def _answers(self, asked: dict[str, str]) -> Iterator[dict]:
        doing = f"cannot list s3://{asked['Bucket']}/{asked['Prefix']}"
        while True:
            with explained(doing):
                page = self._s3.list_objects_v2(**asked, MaxKeys=PAGE)
            yield page
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _entries(self, page: dict) -> Iterator[Entry]:
        for item in page.get("Contents", ()):
            name = self._place.name(item["Key"])
            if is_name(name):
                yield Entry(name, item["Size"], tag_of(item))

    # Reading.

    def stat(self, name: str) -> Entry | None:
        """Return what `list` says of this one object; see `Store.stat`."""
        found = self._head(name)
        return found and Entry(name, found["ContentLength"], tag_of(found))

    def _head(self, name: str) -> dict | None:
        asked = self._place.asked(name)
        try:
            return self._s3.head_object(**asked)
        except FAILURES as error:
            if isinstance(error, ClientError) and status_of(error) == 404:
                return None
            raise explain(error, f"cannot look at {self._place.where(name)}") from error

    def open(
        self, name: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> BinaryIO:
        """Open the bytes [start, end) of an object; see `Store.open`.

        They come by one request, and by another one from wherever a connection breaks.
        """
        self._place.asked(name)
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"[{start}, {end}) is no range of bytes")
        if start == end:
            found = self.stat(name)
            if found is None:
                raise self._place.missing(name)
            if tag is not None and found.tag != tag:
                raise changed(self._place.where(name))
            return io.BytesIO()
        answer = self._get(name, start, end, tag, self._patience())
        if answer is None:
            return io.BytesIO()
        end = min(answer["size"], answer["size"] if end is None else end)
        if start >= end:
            answer["Body"].close()
            return io.BytesIO()

        def fetch(position: int, end: int, tag: str, patience: Patience) -> Any:
            again = self._get(name, position, end, tag, patience)
            if again is None:
                raise changed(self._place.where(name))
            return again["Body"]

        reader = ObjectReader(
            answer["Body"],
            self._place.where(name),
            start,
            end,
            tag_of(answer),
            fetch,
            self._sleep,
            self._monotonic,
        )
        return io.BufferedReader(reader, min(BUFFER_BYTES, end - start))

    def _patience(self) -> Patience:
        return Patience(READ_PAUSES, self._sleep, self._monotonic)

    def _get(
        self, name: str, start: int, end: int | None, tag: str | None, patience: Patience
    ) -> dict | None:
        """Return the answer with the bytes [start, end), and the object's whole "size" in it.

        None if the object has no bytes there.
        """
        where = self._place.where(name)
        asked: dict[str, Any] = self._place.asked(name)
        if start or end is not None:
            asked["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if tag is not None:
            asked["IfMatch"] = f'"{tag}"'
        try:
            answer = self._get_object(asked, patience)
        except FAILURES as error:
            if isinstance(error, ClientError):
                if code_of(error) == "NoSuchKey":
                    raise self._place.missing(name) from None
                if status_of(error) == 412:
                    raise changed(where) from None
                if status_of(error) == 416:
                    return None
            raise explain(error, f"cannot read {where}") from error
        got = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        if got is None and "ContentLength" not in answer:
            answer["Body"].close()
            raise StoreError(f"cannot read {where}: the server does not say how long it is")
        if start and (got is None or int(got[1]) != start):
            answer["Body"].close()
            raise StoreError(f"cannot read {where}: the server ignores ranges; use another store")
        answer["size"] = int(got[2]) if got else answer["ContentLength"]
        return answer

    def _get_object(self, asked: dict[str, Any], patience: Patience) -> dict:
        """Ask, and ask again where the connection breaks within a refusal ("no such key").

        botocore reads that only after its retries, since the answers to this request are streams.
        """
        while True:
            try:
                return self._s3.get_object(**asked)
            except (HTTPError, OSError) as error:
                if isinstance(error, BotoCoreError) or not patience.wait():
                    raise

    # Writing.

    @contextmanager
    def create(
        self, name: str, *, if_absent: bool = False, if_match: str | None = None
    ) -> Iterator[Writer]:
        """Write an object in a with-block; see `Store.create`."""
        if if_absent and if_match is not None:
            raise ValueError("if_absent and if_match exclude each other")
        with self._upload(name, if_absent=if_absent, if_match=if_match) as writer:
            yield writer

    @contextmanager
    def _upload(self, name: str, **options: Any) -> Iterator[Writer]:
        key = self._place.asked(name)["Key"]
        upload = Upload(
            self._s3,
            self._place.bucket,
            key,
            self._place.where(name),
            self._sleep,
            first_part=self._part_bytes,
            clock=self._monotonic,
            **options,
        )
        try:
            writer = Writer(upload, BUFFER_BYTES)
            yield writer
            if not writer.closed:  # a wrapper around it may have closed it: the bytes are there
                writer.flush()
            writer.tag = upload.finish()
        finally:
            upload.close()  # before its buffer: what an exception left there is not to be written
            upload.discard()

    def check_conditions(self) -> None:
        """See `Store.check_conditions`; large objects, written otherwise, are tried as well."""
        super().check_conditions()
        name = f"probes/{secrets.token_hex(16)}"
        try:
            self.write(name, b"old")
            try:
                with self._upload(name, if_absent=True, in_parts=True) as writer:
                    writer.write(b"probe")
            except ObjectExists:
                return
            self._refuse("if_absent for large objects (two writers would both win)")
        finally:
            self.delete(name)

    # Deleting and copying.

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        asked = self._place.asked(name)
        with explained(f"cannot delete {self._place.where(name)}"):
            self._s3.delete_object(**asked)

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete these objects, 1,000 by one request; see `Store.delete_all`."""
        left = iter(names)
        while group := list(islice(left, PAGE)):
            keys = {}
            for name in group:
                if _NO_XML.search(name):
                    self.delete(name)
                else:
                    keys[self._place.asked(name)["Key"]] = name
            if keys:
                self._delete_batch(keys)

    def _delete_batch(self, keys: dict[str, str]) -> None:
        asked = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with explained(f"cannot delete objects in {self.url}"):
            answer = self._s3.delete_objects(Bucket=self._place.bucket, Delete=asked)
        for error in answer.get("Errors", ()):
            if error.get("Code") != "NoSuchKey":
                doing = f"cannot delete s3://{self._place.bucket}/{error.get('Key', '')}"
                raise explain_entry(error, doing)

    def copy(self, source: str, target: str) -> None:
        """Copy an object within S3, without its bytes coming here; see `Store.copy`."""
        origin, asked = self._place.asked(source), self._place.asked(target)
        if source == target:
            if self._head(source) is None:
                raise self._place.missing(source)
            return
        headers: dict[str, str] = {}
        if _ending(source) != _ending(target):
            # The copy would be announced as its source is.
            headers = headers_for(target, self.read(source, end=2))
            headers["MetadataDirective"] = "REPLACE"
        try:
            self._s3.copy_object(**asked, CopySource=origin, **headers)
        except FAILURES as error:
            if isinstance(error, ClientError):
                if code_of(error) == "NoSuchKey":
                    raise self._place.missing(source) from None
                if code_of(error) in ("InvalidRequest", "EntityTooLarge"):
                    self._copy_large(source, target)
                    return
            raise explain(error, f"cannot copy {self._place.where(source)} to {target}") from error

    def _copy_large(self, source: str, target: str) -> None:
        """Copy what is too large for one request (over 5 GB)."""
        found = self._head(source)
        if found is None:
            raise self._place.missing(source)
        options = {
            **headers_for(target, self.read(source, end=2, tag=tag_of(found))),
            "CopySourceIfMatch": found["ETag"],
        }
        settings = TransferConfig(
            multipart_threshold=COPY_PART_BYTES, multipart_chunksize=COPY_PART_BYTES
        )
        with explained(f"cannot copy {self._place.where(source)} to {target}"):
            self._s3.copy(
                self._place.asked(source),
                **self._place.asked(target),
                ExtraArgs=options,
                Config=settings,
            )

    def sweep(self) -> int:
        """Abort the uploads that nobody has finished for a day; return how many."""
        aborted = 0
        with explained(f"cannot list the unfinished uploads in {self.url}"):
            pages = self._s3.get_paginator("list_multipart_uploads").paginate(
                **self._place.under("")
            )
            old = [
                {"Key": item["Key"], "UploadId": item["UploadId"]}
                for page in pages
                for item in page.get("Uploads", ())
                if item["Initiated"].timestamp() < self._clock() - SWEEP_AFTER_S
            ]
        for upload in old:
            try:
                self._s3.abort_multipart_upload(Bucket=self._place.bucket, **upload)
                aborted += 1
            except FAILURES as error:
                if isinstance(error, ClientError) and status_of(error) == 404:
                    continue  # finished, or swept by another
                doing = f"cannot abort an unfinished upload in {self.url}"
                raise explain(error, doing) from error
        return aborted


def _ending(name: str) -> tuple[bool, bool]:
    """What `headers_for` looks at in a name."""
    return name.endswith(".json"), name.endswith(".gz")
