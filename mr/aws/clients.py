"""Connections to S3 and SQS, by boto3's own settings: its environment, profiles, endpoints.

Every request that goes out is counted in `mr.metering.METER`.
"""

import os
import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp

from mr import clock
from mr.errors import UsageError
from mr.metering import METER

#: Connections of one client: a reducer reads 128 runs at once, and a few blocks are read ahead.
CONNECTIONS = 160
#: Seconds to wait for a connection, and for the next byte of an answer. SQS lets us wait for a
#: message for 20 s, so the latter must be longer.
CONNECT_S, READ_S = 5, 30
#: Tries of one request. The waits between them are at most 1, 2, 4 and 8 s (by botocore): where
#: nothing comes, one request takes 5 * (5 + 30) + 15 = 190 s at most. `mr.aws.objects` adds up how
#: that stays below the time without progress after which a task is ended.
ATTEMPTS = 5
#: How a machine's metadata is asked for the credentials of its role: by boto3's own defaults once,
#: for a second, which is too little where many processes start together.
METADATA = {"metadata_service_timeout": 2, "metadata_service_num_attempts": 4}
#: Clients that are kept.
KEPT = 8

_CONFIG = Config(
    # Each request that meets SlowDown waits, longer each time. "adaptive" would let all threads of
    # the client wait for that: with 8 of them, and SlowDown at 2% of the requests, it makes 28
    # requests a second, and "standard" 186.
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    max_pool_connections=CONNECTIONS,
    connect_timeout=CONNECT_S,
    read_timeout=READ_S,
    tcp_keepalive=True,
    # What newer clients send unasked, compatible clouds do not all understand.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    user_agent_extra="mr-telemetry",
)

_lock = threading.Lock()
_clients: OrderedDict[tuple, Any] = OrderedDict()


def client(service: str) -> Any:
    """The client of "s3" or "sqs", for any thread; another one once the environment has changed.

    One that has found no credentials is for its caller alone: the next caller's looks again.
    Raises UsageError where there are no usable settings (no region, an unknown profile).
    """
    key = (service, *sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
    with _lock:  # making one is not safe among threads
        made = _clients.get(key) or _make(service)
        if _has_credentials(made):
            _clients[key] = made
            _clients.move_to_end(key)
            if len(_clients) > KEPT:
                _clients.popitem(last=False)
        return made


def _make(service: str) -> Any:
    try:
        session = boto3.session.Session(botocore_session=_session())
        made = session.client(service, config=_CONFIG)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            f"AWS cannot be asked ({service}): {str(error).rstrip('.')}. Set it up as for the "
            "AWS command line (AWS_DEFAULT_REGION, AWS_PROFILE, ~/.aws/config)."
        ) from None
    made.meta.events.register(f"before-send.{service}", _count)
    made.meta.events.register(f"after-call.{service}", _learn_time)
    return made


def _session() -> botocore.session.Session:
    """The settings of the environment and its files, with METADATA where they say nothing of it."""
    session = botocore.session.Session()
    answers = session.get_component("response_parser_factory")
    answers.set_parser_defaults(timestamp_parser=_time_of)
    in_file = session.get_scoped_config()
    for name, value in METADATA.items():
        if name not in in_file and f"AWS_{name.upper()}" not in os.environ:
            session.set_config_variable(name, value)
    return session


def _time_of(text: Any) -> datetime:
    """A time in an answer; of the usual form far faster than botocore reads it.

    Each object of a listing has one, though nobody looks at it: a page of 1,000 takes 14 ms of
    processor time to read, where it took 57 ms.
    """
    if isinstance(text, str) and text[4:5] == "-" and text.endswith("Z"):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    return parse_timestamp(text)


def _has_credentials(made: Any) -> bool:
    # To ask the session would be to look for them once more.
    return made._request_signer._credentials is not None


def _learn_time(http_response: Any, **_: Any) -> None:
    clock.learn(http_response.headers.get("date"))


def _count(event_name: str, **_: Any) -> None:
    _, service, operation = event_name.split(".")
    METER.count(f"{service}.{operation}")
