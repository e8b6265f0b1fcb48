"""A queue in SQS as a task queue."""

import base64
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mr.aws import clients
from mr.aws.failures import FAILURES, code_of, explain, is_denied, shown
from mr.errors import FormatError, LeaseLost, QueueUnavailable, UsageError
from mr.taskqueue import Message, TaskQueue

#: A new queue keeps messages as long as SQS can, and lends them for five minutes by default.
RETENTION_S, VISIBILITY_S = 14 * 24 * 3600, 300
#: How often a message may be received before SQS puts it aside by itself. Failures are counted in
#: the store, so this only ends what would otherwise go round for ever.
MOST_RECEIVES = 1000
#: What is added to a queue's name for its dead-letter queue.
DEAD = "-dead"

#: The limits of one request: messages, and bytes in older queues and older emulators.
BATCH, BATCH_BYTES = 10, 256 * 1024
#: The longest that a request waits for a message, and that a message is lent in all.
MOST_WAIT_S, MOST_LEASE_S = 20, 12 * 3600
#: The largest message that SQS has, and how much of it a reason may take.
MESSAGE_BYTES, REASON_BYTES = 1024 * 1024, 1024

#: Tries of what SQS refused in part or does not know yet, and the first wait between them; the
#: wait doubles.
TRIES, PAUSE_S = 5, 0.2
#: Leases that are remembered; SQS lends no more than 120,000 messages of a queue at once.
#: Those that have ended are forgotten each time that their number has doubled, from so many on.
MOST_LEASES, PRUNE_AT = 120_000, 1_000

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ENCODED = "base64:"
#: Texts that travel as they are: our own, and what else SQS takes.
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_TAKEN = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd]+")
#: How SQS says that nobody holds a message by this receipt (any more).
_STALE = {"InvalidParameterValue", "ReceiptHandleIsInvalid", "MessageNotInflight"}
_BY_RECEIPT = {"ChangeMessageVisibility", "DeleteMessage"}
_LOST = "the lease of a message ran out: it may be delivered again"
_MISSING = "QueueDoesNotExist"


@dataclass(slots=True)
class _Lease:
    """When a lease began and when it ends, by this process's clock."""

    begun: float
    end: float


class SqsQueue(TaskQueue):
    """A standard queue of SQS, for any number of threads and processes.

    Messages come in about the order of sending. A lease is counted from before the request that
    took the message, by `clock` (seconds, never backwards): so it is known to have ended even
    where the server does not say so. A message that another queue object received counts as lost.
    Requests: one for each receive, extend, release and acknowledge, one for ten messages sent.

    `url` is the queue's URL, `name` its name.
    """

    def __init__(
        self, url: str, client: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.url = url
        self.name = url.rpartition("/")[2]
        self._client = client if client is not None else clients.client("sqs")
        self._clock = clock
        self._lock = threading.Lock()
        self._leases: dict[str, _Lease] = {}
        self._prune_at = PRUNE_AT
        self._dead: SqsQueue | None = None

    @classmethod
    def open(
        cls, name_or_url: str, *, make: bool = True, dead_letters: bool = True, client: Any = None
    ) -> "SqsQueue":
        """Return the queue of this name or URL; see `mr.queues.open_queue`."""
        is_url = "/" in name_or_url
        name, account = _parse_url(name_or_url) if is_url else (name_or_url, None)
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name_or_url!r} cannot be an SQS queue: its name has 1 to 80 of the characters "
                "A-Z, a-z, 0-9, _ and -"
            )
        client = client if client is not None else clients.client("sqs")
        if is_url:
            _check_region(name_or_url, client.meta.region_name)
        where = _place(client)
        try:
            url = _find(client, name, account)
        except FAILURES as error:
            if not (is_url and is_denied(error)):
                raise explain(
                    error, f"cannot look up queue {name} {where}", QueueUnavailable
                ) from error
            url = name_or_url  # to use a queue by its URL takes no permission to look it up
        if url is None and (is_url or not make):
            how = "give its name to have it made" if is_url else "check the name and the region"
            raise UsageError(f"there is no queue {name_or_url} {where}; {how}")
        return cls(url or _make(client, name, dead_letters), client)

    @property
    def dead(self) -> "SqsQueue | None":
        """The queue's dead-letter queue, None if it has none.

        One that is found is remembered. That there is none is asked each time: of a new queue SQS
        does not know it at once.
        """
        with self._lock:
            if self._dead is not None:
                return self._dead
        with self._asking("look up the dead-letter queue of"):
            answer = self._client.get_queue_attributes(
                QueueUrl=self.url, AttributeNames=["RedrivePolicy"]
            )
            policy = answer.get("Attributes", {}).get("RedrivePolicy")
            target = json.loads(policy)["deadLetterTargetArn"] if policy else None
            url = _find(self._client, *reversed(target.split(":")[-2:])) if target else None
        with self._lock:
            if self._dead is None and url:
                self._dead = SqsQueue(url, self._client, self._clock)
            return self._dead

    def send(self, bodies: Sequence[bytes]) -> None:
        """Add messages, in about this order.

        When it raises, some of them may be in the queue. FormatError: one is over 256 KB, and none
        was sent.
        """
        texts = [_encode(body) for body in bodies]
        longest = max(map(len, texts), default=0)
        if longest > BATCH_BYTES:
            raise FormatError(
                f"cannot send to queue {self.name}: a message of {longest} bytes is over the "
                f"{BATCH_BYTES} that it takes"
            )
        for batch in _batches(texts):
            left = {str(number): text for number, text in enumerate(batch)}
            for attempt in range(TRIES):
                if attempt:
                    time.sleep(PAUSE_S * 2 ** (attempt - 1))
                entries = [{"Id": name, "MessageBody": text} for name, text in left.items()]
                with self._asking("send to"):
                    answer = self._client.send_message_batch(QueueUrl=self.url, Entries=entries)
                for sent in answer.get("Successful", []):
                    left.pop(sent["Id"], None)
                if not left:
                    break
            else:
                failed = answer.get("Failed") or [{}]
                raise QueueUnavailable(
                    f"cannot send to queue {self.name}: SQS refused {len(left)} messages again and "
                    f"again ({shown(str(failed[0].get('Code', 'it did not say why')))})"
                )

    def receive(self, *, most: int = 1, wait_s: float = 0.0, lease_s: float) -> list[Message]:
        """Take up to `most` messages (ten at most), which nobody else gets for `lease_s` seconds.

        SQS waits and lends for whole seconds: the wait is rounded, any wait to at least one
        second, the lease is rounded up (12 hours at most).
        """
        if most < 1 or lease_s <= 0:
            raise ValueError(f"cannot take {most} messages for {lease_s} s: both must be positive")
        lease_s = min(lease_s, MOST_LEASE_S)
        # A lease counts from before the request: one request must not wait it away.
        longest = min(MOST_WAIT_S, max(1, int(lease_s / 2)))
        deadline = time.monotonic() + wait_s
        wait = max(1, round(min(longest, wait_s))) if wait_s > 0 else 0
        while True:
            begun = self._clock()
            with self._asking("receive from"):
                answer = self._client.receive_message(
                    QueueUrl=self.url,
                    MaxNumberOfMessages=min(most, BATCH),
                    WaitTimeSeconds=wait,
                    VisibilityTimeout=math.ceil(lease_s),
                    MessageSystemAttributeNames=["ApproximateReceiveCount"],
                )
            if answer.get("Messages"):
                messages = [_message(given) for given in answer["Messages"]]
                with self._lock:
                    for message in messages:
                        self._remember(message.receipt, _Lease(begun, begun + lease_s))
                return messages
            wait = round(min(longest, deadline - time.monotonic()))
            if wait < 1:
                return []

    def extend(self, message: Message, lease_s: float) -> None:
        """Let the lease run out `lease_s` seconds from now, or raise LeaseLost.

        SQS lends a message for 12 hours in all; what is left of them is the most.
        """
        if lease_s <= 0:
            raise ValueError(f"cannot extend a lease to {lease_s} s: it must be positive")
        with self._lock:
            now = self._clock()
            lease = self._held(message, now)
            if lease is None:
                raise LeaseLost(_LOST)
            end = now + min(lease_s, _rest_s(lease, now))
            # Until SQS has answered, either end may be the true one.
            lease.end = min(lease.end, end)
        self._set_visibility(message, end - now, "extend a lease of")
        with self._lock:
            lease.end = end

    def release(self, message: Message, delay_s: float = 0.0) -> None:
        """Give a message back, to be delivered again after `delay_s` seconds (rounded up)."""
        with self._lock:
            now = self._clock()
            lease = self._held(message, now)
            # Forgotten before SQS is asked: somebody else may have it before the answer is here.
            self._leases.pop(message.receipt, None)
        if lease is not None:
            with suppress(LeaseLost):
                delay_s = min(delay_s, _rest_s(lease, now))
                self._set_visibility(message, delay_s, "give a message back to")

    def acknowledge(self, message: Message) -> None:
        """Remove a message for good."""
        with self._lock:
            held = self._held(message, self._clock()) is not None
        if held:
            with suppress(LeaseLost), self._asking("remove a message from"):
                self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt)
            with self._lock:
                self._leases.pop(message.receipt, None)

    def dead_letter(self, message: Message, reason: str) -> None:
        """Put a message aside in the dead-letter queue, with the reason.

        It is sent there first, so that it may be there twice but is never lost. Where SQS says now
        that there is no dead-letter queue it is removed, and the reason lost.
        """
        with self._lock:
            held = self._held(message, self._clock()) is not None
        if held and (dead := self.dead) is not None:
            dead._send_dead(message.body, reason)
        self.acknowledge(message)

    def waiting(self) -> int:
        """Return about how many messages nobody holds, those with a delay among them."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        with self._asking("count the messages of"):
            answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(answer["Attributes"].get(name, 0)) for name in names)

    def dead_letters_waiting(self) -> int:
        """Return about how many messages are in the dead-letter queue; 0 if there is none."""
        dead = self.dead
        return dead.waiting() if dead is not None else 0

    def remove(self) -> None:
        """Delete the queue and what is in it, but not its dead-letter queue.

        A missing queue is no error. SQS makes no queue of the same name for a minute.
        """
        try:
            with self._asking("delete"):
                self._client.delete_queue(QueueUrl=self.url)
        except QueueUnavailable as error:
            if code_of(error.__cause__) != _MISSING:
                raise

    def _send_dead(self, body: bytes, reason: str) -> None:
        """Add a message to this queue, which is another's dead-letter queue."""
        # A stranger's message stays as it was: as text that it is, it cannot become too long.
        text = _encode(body, _TAKEN)
        room = min(REASON_BYTES, MESSAGE_BYTES - len(text.encode()) - len("reasonString"))
        cut = _sanitised(reason, room)
        attributes = {"reason": {"DataType": "String", "StringValue": cut}} if cut else {}
        with self._asking("send to"):
            self._client.send_message(
                QueueUrl=self.url, MessageBody=text, MessageAttributes=attributes
            )

    def _set_visibility(self, message: Message, seconds: float, doing: str) -> None:
        with self._asking(doing):
            self._client.change_message_visibility(
                QueueUrl=self.url,
                ReceiptHandle=message.receipt,
                VisibilityTimeout=math.ceil(seconds),
            )

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        """Turn what goes wrong with a request in the with-block into our errors."""
        try:
            yield
        except FAILURES as error:
            code = code_of(error)
            if code in _STALE and getattr(error, "operation_name", "") in _BY_RECEIPT:
                raise LeaseLost(_LOST) from error
            if code == _MISSING:
                raise QueueUnavailable(
                    f"cannot {doing} queue {self.name}: there is no such queue (any more)"
                ) from error
            raise explain(error, f"cannot {doing} queue {self.name}", QueueUnavailable) from error

    # The rest is called with the lock held.

    def _held(self, message: Message, now: float) -> _Lease | None:
        lease = self._leases.get(message.receipt)
        if lease is not None and lease.end <= now:
            del self._leases[message.receipt]
            return None
        return lease

    def _remember(self, receipt: str, lease: _Lease) -> None:
        if len(self._leases) >= self._prune_at:
            now = self._clock()
            self._leases = {r: kept for r, kept in self._leases.items() if kept.end > now}
            if len(self._leases) >= MOST_LEASES:
                del self._leases[min(self._leases, key=lambda r: self._leases[r].end)]
            self._prune_at = min(MOST_LEASES, max(PRUNE_AT, 2 * len(self._leases)))
        self._leases[receipt] = lease


def _rest_s(lease: _Lease, now: float) -> int:
    """How much longer SQS can lend a message: 12 hours in all, in whole seconds."""
    return MOST_LEASE_S - math.ceil(now - lease.begun)


def _encode(body: bytes, plain: re.Pattern[str] = _PRINTABLE) -> str:
    """The body as a text that SQS takes: as it is, if it is `plain`, or in base64."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if plain.fullmatch(text) and not text.startswith(_ENCODED):
        return text
    return _ENCODED + base64.b64encode(body).decode()


def _decode(text: str) -> bytes:
    """The bytes that `_encode` made a text of; a stranger's text as UTF-8."""
    if text.startswith(_ENCODED):
        with suppress(ValueError):
            body = base64.b64decode(text.removeprefix(_ENCODED), validate=True)
            if _ENCODED + base64.b64encode(body).decode() == text:
                return body
    return text.encode("utf-8", "surrogatepass")


def _sanitised(reason: str, room: int) -> str:
    """The reason with nothing in it that SQS refuses, cut to `room` bytes."""
    text = "".join(c if _TAKEN.fullmatch(c) else "\N{REPLACEMENT CHARACTER}" for c in reason)
    return text.encode()[: max(room, 0)].decode(errors="ignore")


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Group texts (ASCII) as one request can send them."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == BATCH or size + len(text) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _parse_url(url: str) -> tuple[str, str | None]:
    """A queue's name and account, from its URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    # Without repeating it: somebody may have put a secret into it.
    if parts is None or parts.scheme not in ("http", "https") or set(url) & set("@?#"):
        raise UsageError(
            "a queue is named by its name, or by its URL, as https://HOST/ACCOUNT/NAME"
        )
    account, _, name = parts.path.removeprefix("/").rpartition("/")
    return name, account if re.fullmatch(r"\d{12}", account) else None


def _check_region(url: str, region: str | None) -> None:
    """Refuse the URL of a queue in another region: there may be one of its name in this one."""
    host = urlsplit(url).hostname or ""
    found = re.search(r"(?:^|\.)sqs(?:-fips)?\.([a-z0-9-]+)\.", host)
    found = found or re.match(r"([a-z0-9-]+)\.queue\.amazonaws\.com", host)
    if found and found[1] != region:
        raise UsageError(f"{url} is in {found[1]}, but AWS_DEFAULT_REGION is {region}")


def _place(client: Any) -> str:
    """Where the client looks for queues."""
    return f"in {client.meta.region_name} ({shown(client.meta.endpoint_url)})"


def _find(client: Any, name: str, account: str | None = None) -> str | None:
    """The URL of a queue, None if there is none."""
    owner = {"QueueOwnerAWSAccountId": account} if account else {}
    try:
        return client.get_queue_url(QueueName=name, **owner)["QueueUrl"]
    except FAILURES as error:
        if code_of(error) == _MISSING:
            return None
        raise


def _make(client: Any, name: str, dead_letters: bool) -> str:
    """Make a queue, and its dead-letter queue first, and return its URL.

    Whoever does the same at the same time gets the same queues.
    """
    attributes = {"MessageRetentionPeriod": str(RETENTION_S)}
    more = {"VisibilityTimeout": str(VISIBILITY_S)}
    making = name + DEAD if dead_letters else name
    if len(making) > 80:
        raise UsageError(f"the name {name} leaves no room for {DEAD!r}; take one of 75 characters")
    try:
        if dead_letters:
            arn = _settle(client, _create(client, making, attributes))
            policy = {"deadLetterTargetArn": arn, "maxReceiveCount": str(MOST_RECEIVES)}
            more["RedrivePolicy"] = json.dumps(policy)
            making = name
        url = _create(client, name, attributes | more)
        _settle(client, url)
        return url
    except FAILURES as error:
        doing = f"there is no queue {making} {_place(client)}, and it cannot be made"
        raise explain(error, doing, QueueUnavailable) from error


def _create(client: Any, name: str, attributes: dict[str, str]) -> str:
    try:
        return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    except FAILURES as error:
        if code_of(error) not in ("QueueNameExists", "QueueAlreadyExists"):
            raise
        # Somebody else was first and gave it other attributes: it is used as it is.
        return client.get_queue_url(QueueName=name)["QueueUrl"]


def _settle(client: Any, url: str) -> str:
    """Wait until SQS knows a new queue everywhere, a second or so, and return its ARN."""
    for attempt in range(TRIES):
        try:
            answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            break
        except FAILURES as error:
            if code_of(error) != _MISSING or attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_S * 2**attempt)
    return answer["Attributes"]["QueueArn"]


def _message(given: dict[str, Any]) -> Message:
    return Message(
        _decode(given.get("Body", "")),
        given["ReceiptHandle"],
        int(given.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
    )
