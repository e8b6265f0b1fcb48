"""Connections to S3 and SQS, by boto3's own settings: its environment, profiles, endpoints.

Every request that goes out is counted in `mr.metering.METER`.
"""

import os
import threading
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from mr.errors import UsageError
from mr.metering import METER

#: Connections of one client: a reducer reads 128 runs at once, and a few blocks are read ahead.
CONNECTIONS = 160
#: Seconds to wait for a connection, and for the next byte of an answer.
CONNECT_S, READ_S = 10, 60
#: Tries of one request; the waits between them grow (at most 20 s each, by botocore).
ATTEMPTS = 8

_CONFIG = Config(
    # Adaptive: after SlowDown or throttling the client sends less for a while.
    retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS},
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


def client(service: str) -> Any:
    """The client of "s3" or "sqs", for any thread; another one once the environment has changed.

    Raises UsageError where there are no usable settings (no region, an unknown profile).
    """
    settings = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
    with _lock:  # making one is not safe among threads
        return _client(service, settings)


@lru_cache(maxsize=8)
def _client(service: str, settings: tuple[tuple[str, str], ...]) -> Any:
    try:
        made = boto3.session.Session().client(service, config=_CONFIG)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            f"{service.upper()} cannot be reached: {str(error).rstrip('.')}. Set it up as for the "
            "AWS command line (AWS_DEFAULT_REGION, AWS_PROFILE, ~/.aws/config)."
        ) from None
    made.meta.events.register(f"before-send.{service}", _count)
    return made


def _count(event_name: str, **_: Any) -> None:
    _, service, operation = event_name.split(".")
    METER.count(f"{service}.{operation}")
