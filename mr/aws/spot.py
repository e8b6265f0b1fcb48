"""Tells when this EC2 machine is about to be taken away (spot interruption).

EC2 announces it two minutes before, in the machine's own metadata (version 2, with a token), and
only to who asks.
"""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, InvalidURL
from urllib.error import HTTPError
from urllib.parse import urlsplit

#: Where the metadata of a machine is, unless AWS_EC2_METADATA_SERVICE_ENDPOINT says otherwise.
ENDPOINT = "http://169.254.169.254"
#: Says what machine this is where that cannot be asked.
MACHINE_VARIABLE = "MR_TELEMETRY_MACHINE"
#: What EC2 may do to a spot machine.
ACTIONS = ("terminate", "stop", "hibernate")
#: Seconds until a request must be answered: the answer comes from the machine's own host.
TIMEOUT_S = 1.0
#: Looks without any answer, from the first on, after which this is no machine of EC2's.
LOOKS = 2
#: How often it is asked what machine this is.
NAME_LOOKS = 4

_TOKEN_TTL_S = 6 * 3600
_MOST_BYTES = 64 * 1024


def watch_spot(
    on_notice: Callable[[str], None], stop: threading.Event, *, every_s: float = 5.0
) -> None:
    """Look every few seconds whether EC2 takes this machine away; for a thread of its own.

    Calls `on_notice` once, with a sentence that says what happens and when, and returns. It returns
    without calling it when `stop` is set, when nothing answers the first two looks (this is no
    machine of EC2's) and when AWS_EC2_METADATA_DISABLED is true. Nothing that goes wrong later
    raises or ends the watching.
    """
    metadata = _Metadata.of_environment()
    unanswered = 0  # looks; None once there was an answer
    while metadata is not None and not stop.is_set():
        try:
            notice = metadata.notice()
            unanswered = None
        except ConnectionError:
            notice = None
            if unanswered is not None:
                unanswered += 1
                if unanswered == LOOKS:
                    return
        if notice is not None:
            on_notice(notice)
            return
        stop.wait(every_s)


def machine_name() -> str:
    """What machine this is, "TYPE spot" or "TYPE" (on demand); "" if it is none of EC2's.

    MR_TELEMETRY_MACHINE says it elsewhere. It may take seconds: nothing may answer.
    """
    if named := os.environ.get(MACHINE_VARIABLE):
        return named
    metadata = _Metadata.of_environment()
    if metadata is None:
        return ""
    try:
        kind = metadata.read("instance-type")
        return f"{kind} spot" if metadata.read("instance-life-cycle") == "spot" else kind
    except (OSError, HTTPException, InvalidURL, ValueError):
        return ""


def machine_names(*, every_s: float = 10.0) -> Iterator[str]:
    """What machine this is, once it is known; asked a few times, for the answer may be late."""
    for _ in range(NAME_LOOKS):
        if name := machine_name():
            yield name
            return
        time.sleep(every_s)


class _Metadata:
    """The metadata service of this machine."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token: str | None = None
        # HTTP alone: no proxies, for the address is this machine's own, and no redirects.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPErrorProcessor,
        ):
            self._opener.add_handler(handler())

    @classmethod
    def of_environment(cls) -> "_Metadata | None":
        """The service that the environment names; None if it is off, or its address is none."""
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return None
        endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ENDPOINT
        try:
            parts = urlsplit(endpoint)
        except ValueError:
            return None
        return cls(endpoint) if parts.scheme in ("http", "https") and parts.hostname else None

    def notice(self) -> str | None:
        """A sentence if the machine is about to be taken away, None if not or not understood.

        Raises ConnectionError when nothing answers.
        """
        try:
            try:
                return self._look()
            except HTTPError as error:
                if error.code != 401 or self._token is None:
                    raise
                self._token = None  # it has expired
                return self._look()
        except HTTPError as error:
            if error.code == 401:
                self._token = None
            return None  # with 404: nothing is planned
        except (InvalidURL, OSError) as error:
            raise ConnectionError("the metadata service does not answer") from error
        except (HTTPException, ValueError, RecursionError):  # an answer, but none of EC2's
            return None

    def _look(self) -> str | None:
        answer = json.loads(self.read("spot/instance-action"))
        if not isinstance(answer, dict) or answer.get("action") not in ACTIONS:
            return None
        when = str(answer.get("time", "an unknown time"))[:40]
        return f"EC2 takes this spot machine away: {answer['action']} at {when}"

    def read(self, name: str) -> str:
        """A piece of the metadata. Raises OSError, HTTPException, InvalidURL and ValueError."""
        if self._token is None:
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_TTL_S)}
            self._token = self._ask("PUT", "api/token", ttl).decode("ascii").strip()
        header = {"X-aws-ec2-metadata-token": self._token}
        return self._ask("GET", f"meta-data/{name}", header).decode("utf-8").strip()

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(
            f"{self._endpoint}/latest/{path}", headers=headers, method=method
        )
        with self._opener.open(request, timeout=TIMEOUT_S) as response:
            return response.read(_MOST_BYTES)
