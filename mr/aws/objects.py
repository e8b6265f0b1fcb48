"""One object of S3 being read or written: through broken connections, and in parts."""

import io
import mimetypes
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.client import IncompleteRead as ShortChunk
from typing import Any

from botocore.exceptions import ClientError, IncompleteReadError
from urllib3.exceptions import IncompleteRead

from mr.aws.answers import explain, explained, was_retried
from mr.aws.failures import FAILURES, code_of, status_of
from mr.errors import (
    MrError,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    ShortRead,
    StoreUnavailable,
)

#: Bytes of an object that is written by one request, and of each of the first parts of a larger.
PART_BYTES = 16 * 1024 * 1024
#: Parts of that size. Later ones grow: 10,000, the most that there may be, make 5 TiB.
EVEN_PARTS, GROWTH_PARTS = 1000, 125

#: Bytes asked of a connection at a time: what is lost when it breaks.
PIECE_BYTES = 256 * 1024

#: Seconds before each new request that follows one which brought no byte.
READ_PAUSES = (0.1, 0.5, 2.0, 5.0, 10.0)
#: Seconds before a write is tried again that met another one of the same object.
CONFLICT_PAUSES = (0.05, 0.1, 0.3, 1.0, 3.0)
#: Seconds after which neither is tried again, however few tries there were. A task that has not
#: moved for ten minutes is ended, and S3's fault would count as its own. One request takes 190 s
#: at most (see `mr.aws.clients`). A read whose last request begins just in time, and whose body
#: brings nothing for another 30 s: 180 + 190 + 30 = 400 s. A write, with the look at whose the
#: object is: 180 + 190 + 190 = 560 s.
SILENT_S = 180.0

#: Kinds of files by their endings; the standard library's own, whatever this machine's list says.
_KINDS = mimetypes.MimeTypes()

#: The metadata that says who wrote an object.
WRITER = "writer"


def part_bytes(number: int, first: int = PART_BYTES) -> int:
    """The size of a part, by its number from 1 on, where the first parts have `first` bytes."""
    return first * (1 + max(0, number - EVEN_PARTS) // GROWTH_PARTS)


def headers_for(name: str, start: bytes) -> dict[str, str]:
    """How an object of this name and beginning is announced to those who fetch it over HTTP.

    JSON and the files of a page are called so, and gzip in a name that does not say it (`.gz`) an
    encoding, which browsers undo.
    """
    kind, packed = _KINDS.guess_type(name)
    headers = {"ContentType": kind if kind and not packed else "application/octet-stream"}
    if start.startswith(b"\x1f\x8b") and not name.endswith(".gz"):
        headers["ContentEncoding"] = "gzip"
    return headers


def tag_of(answer: dict) -> str:
    """The tag in an answer."""
    return answer["ETag"].strip('"')


class Patience:
    """How long something is tried again: after each of some pauses, for SILENT_S seconds in all."""

    def __init__(
        self,
        pauses: Iterable[float],
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._pauses = iter(pauses)
        self._sleep = sleep
        self._clock = clock
        self._end = clock() + SILENT_S
        #: Whether the time is over, not the tries.
        self.is_late = False

    def wait(self) -> bool:
        """Pause before the next try; False, at once, if there is to be none."""
        pause = next(self._pauses, None)
        if pause is None:
            return False
        if self._clock() + pause > self._end:
            self.is_late = True
            return False
        self._sleep(pause)
        return True


class ObjectReader(io.RawIOBase):
    """The bytes [position, end) of an object, fetched anew from where a connection broke.

    `fetch(position, end, tag, patience)` gives the body of another answer, and raises ours; where
    it tries again itself, that counts.
    """

    def __init__(
        self,
        body: Any,
        where: str,
        position: int,
        end: int,
        tag: str,
        fetch: Callable[[int, int, str, Patience], Any],
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._body = body
        self._where = where
        self._start = self._position = position
        self._end = end
        self._tag = tag
        self._fetch = fetch
        self._sleep = sleep
        self._clock = clock

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes of the range are read."""
        return self._position - self._start

    def readinto(self, buffer) -> int:
        """Read into the buffer once; 0 at the end of the range. Raises as `Store.open` says."""
        with memoryview(buffer).cast("B") as view:
            piece = self._read(len(view))
            view[: len(piece)] = piece
        return len(piece)

    def readall(self) -> bytes:
        """Return the rest of the range; raises as `Store.open` says."""
        pieces = []
        while piece := self._read(self._end - self._position):
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, wanted: int) -> bytes:
        """Return some of the wanted bytes; none only at the end of the range."""
        wanted = min(wanted, self._end - self._position, PIECE_BYTES)
        patience = Patience(READ_PAUSES, self._sleep, self._clock)
        while wanted:
            failure: Exception | None = None
            piece = b""
            try:
                if self._body is None:
                    self._body = self._fetch(self._position, self._end, self._tag, patience)
                piece = self._body.read(wanted)
            except ObjectMissing:
                raise ObjectChanged(f"{self._where} was deleted while it was read") from None
            except FAILURES as error:
                failure = error
            if piece:
                self._position += len(piece)
                if self._position == self._end:
                    self._let_go()
                return piece
            self._let_go()
            if not patience.wait():
                raise self._given_up(failure, patience) from failure
        return b""

    def _given_up(self, failure: Exception | None, patience: Patience) -> MrError:
        """The error for requests one after the other that brought no byte."""
        doing = f"cannot read {self._where}"
        if patience.is_late:
            return StoreUnavailable(f"{doing}: no byte came for {SILENT_S:.0f} s")
        if failure is None or is_short(failure):
            left = self._end - self._position
            return ShortRead(f"{self._where} ended {left} bytes early")
        return explain(failure, doing)

    def _let_go(self) -> None:
        """Give the connection up; one whose answer was read to the end is used again."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        """Give the connection up."""
        if not self.closed:
            self._let_go()
        super().close()


def is_short(error: BaseException) -> bool:
    """Whether a body ended before its length, and nothing else was wrong."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, IncompleteReadError | IncompleteRead | ShortChunk):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


class Upload(io.RawIOBase):
    """What a `Writer` writes to. Nothing is visible before `finish`, and after `discard` nothing.

    Holds one part in memory; an object that is no larger goes up by one request, in `finish`.
    With `in_parts`, it goes up in parts however small it is.
    """

    def __init__(
        self,
        s3: Any,
        bucket: str,
        key: str,
        where: str,
        sleep: Callable[[float], None],
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        first_part: int = PART_BYTES,
        in_parts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failure: MrError | None = None
        self._s3 = s3
        self._object = {"Bucket": bucket, "Key": key}
        self._where = where
        self._sleep = sleep
        self._clock = clock
        self._condition: dict[str, str] = {}
        if if_absent:
            self._condition["IfNoneMatch"] = "*"
        elif if_match is not None:
            self._condition["IfMatch"] = f'"{if_match}"'
        self._first_part = first_part
        self._in_parts = in_parts
        self._buffer = bytearray()
        self._sent = 0
        self._upload: dict[str, str] | None = None
        self._parts: list[dict[str, Any]] = []
        self._writer = secrets.token_hex(16)

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._sent + len(self._buffer)

    def truncate(self, size: int | None = None) -> int:
        """Raise UnsupportedOperation."""
        raise io.UnsupportedOperation("an object is written from first to last byte")

    def write(self, data) -> int:
        """Take all the bytes; raises our error, and from then on raises it again."""
        with memoryview(data).cast("B") as view:
            done = 0
            while done < len(view):
                room = part_bytes(len(self._parts) + 1, self._first_part) - len(self._buffer)
                if not room:
                    self._send_part()
                    continue
                with view[done : done + room] as piece:
                    self._buffer += piece
                    done += len(piece)
            return done

    def _send_part(self) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            with explained(f"cannot write {self._where}"):
                if self._upload is None:
                    begun = self._s3.create_multipart_upload(
                        **self._object, **self._headers(), Metadata={WRITER: self._writer}
                    )
                    self._upload = {**self._object, "UploadId": begun["UploadId"]}
                number = len(self._parts) + 1
                sent = self._s3.upload_part(**self._upload, PartNumber=number, Body=self._buffer)
        except MrError as error:
            self.failure = error
            raise
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._sent += len(self._buffer)
        self._buffer = bytearray()

    def _headers(self) -> dict[str, str]:
        return headers_for(self._object["Key"], bytes(self._buffer[:2]))

    def finish(self) -> str:
        """Make the object visible, if the condition holds, and return its tag.

        Raises as `Store.create` does, and what a write has raised.
        """
        if self.failure is not None:  # somebody caught it, or a finaliser swallowed it
            raise self.failure
        if self._upload is None and not self._in_parts:
            who = {"Metadata": {WRITER: self._writer}} if self._condition else {}
            asked = {**self._object, **self._headers(), **who, **self._condition}
            return self._settle(lambda: self._s3.put_object(**asked, Body=self._buffer))
        if self._buffer or not self._parts:
            self._send_part()
        tag = self._settle(
            lambda: self._s3.complete_multipart_upload(
                **self._upload, **self._condition, MultipartUpload={"Parts": self._parts}
            )
        )
        self._upload = None
        return tag

    def _settle(self, write: Callable[[], dict]) -> str:
        """Carry out the write that decides, and return the tag.

        boto3 repeats a write whose answer was lost. If the first one had been carried out, the
        repeated one is refused, although we have won: the object itself says who wrote it.
        """
        doubtful = False
        patience = Patience(CONFLICT_PAUSES, self._sleep, self._clock)
        while True:
            try:
                return tag_of(write())
            except ClientError as error:
                refused, met = _is_refusal(error), status_of(error) == 409
                doubtful = doubtful or was_retried(error)
                if doubtful and (refused or met) and (tag := self._tag_if_ours()):
                    return tag
                if not (met and patience.wait()):
                    raise self._lost(error) if refused else self._explain(error) from error
            except FAILURES as error:
                raise self._explain(error) from error

    def _tag_if_ours(self) -> str | None:
        """The object's tag, if this very write made it."""
        try:
            found = self._s3.head_object(**self._object)
        except ClientError as error:
            if status_of(error) == 404:
                return None
            raise self._explain(error) from error
        except FAILURES as error:
            raise self._explain(error) from error
        return tag_of(found) if found["Metadata"].get(WRITER) == self._writer else None

    def _lost(self, error: ClientError) -> MrError:
        """The error for a refusal that is not about our own object."""
        if code_of(error) == "NoSuchUpload":
            return self._explain(error)
        if "IfNoneMatch" in self._condition:
            return ObjectExists(f"{self._where} exists already")
        if "IfMatch" in self._condition:
            return changed(self._where)
        return self._explain(error)

    def _explain(self, error: Exception) -> MrError:
        return explain(error, f"cannot write {self._where}")

    def discard(self) -> None:
        """Forget what is not finished; what cannot be reached now is for `sweep`."""
        self._buffer = bytearray()
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with suppress(*FAILURES):
                self._s3.abort_multipart_upload(**upload)


def _is_refusal(error: ClientError) -> bool:
    """Whether a write's condition does not hold, or its parts are gone (as by being complete)."""
    return status_of(error) == 412 or code_of(error) in ("NoSuchKey", "NoSuchUpload")


def changed(where: str) -> ObjectChanged:
    """Return the error that says the object is another by now."""
    return ObjectChanged(f"{where} is not the object it was: it was replaced, changed or deleted")
