"""S3 and SQS on this machine: a server process on loopback, for tutorials and tests."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3

from mr.errors import UsageError
from mr.parents import end_with_parent

HOST = "127.0.0.1"
#: The only settings of AWS that a process needs to use it, beside its address: any will do.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
#: Seconds until it must answer, and until it must have ended.
START_S, STOP_S = 30.0, 10.0


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def settings_for(url: str) -> dict[str, str]:
    """The environment by which boto3 speaks to the server at `url`."""
    return {"AWS_ENDPOINT_URL_S3": url, "AWS_ENDPOINT_URL_SQS": url, **CREDENTIALS}


@contextmanager
def emulator(folder: Path, port: int | None = None) -> Iterator[str]:
    """Run the server in a with-block, with its data in `folder`, and give its URL.

    Objects and queues outlive it there. Raises UsageError when it is not installed or does not
    start.
    """
    port = port or free_port()
    process = start_emulator(folder, port)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_emulator(folder: Path, port: int) -> subprocess.Popen:
    """Start the server and wait until it answers; raises as `emulator` does."""
    if importlib.util.find_spec("ministack") is None:
        raise UsageError(
            "the servers of a local cluster are not installed: "
            "pip install 'mr-telemetry[local-cluster]'"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if _answers(f"http://{HOST}:{port}"):
        raise UsageError(f"port {port} is in use; name another, or none for any that is free.")
    environment = {
        **os.environ,
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "LOG_LEVEL": "WARNING",
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder / "state"),
    }
    log = folder / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C is for us to hand on, in our order
            preexec_fn=end_with_parent,
        )
    deadline = time.monotonic() + START_S
    while not _answers(f"http://{HOST}:{port}"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise UsageError(f"the S3 and SQS server did not start on port {port}; see {log}.")
        time.sleep(0.05)
    return process


def make_bucket(url: str, bucket: str) -> None:
    """Make a bucket on the server at `url`, if it is not there."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
    )
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=bucket)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
