"""The watching for spot notices, against a metadata service on loopback."""

import socket
import threading
import time

import pytest
from metadata import ACTION, TOKEN, MetadataServer

from mr.aws import spot
from mr.aws.spot import watch_spot


@pytest.fixture
def metadata(monkeypatch):
    """Return the metadata service that this process asks."""
    with MetadataServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


class Watching:
    """A thread that watches, in a with-block; `notices` is what it was told."""

    def __init__(self):
        self.notices = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.failure = None

    def _run(self):
        try:
            watch_spot(self.notices.append, self.stop, every_s=0.01)
        except BaseException as error:
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert self.failure is None

    def ends(self):
        """Wait until it has ended by itself."""
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self


def eventually(condition):
    """Wait until a condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def looks(metadata):
    """How often the notice was asked for."""
    return sum(path == ACTION for _, path, _ in metadata.requests)


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
def test_notice(metadata, action):
    """A notice is told once, with what happens and when, and then the watching is over."""
    with Watching() as watching:
        eventually(lambda: looks(metadata) > 2)
        assert watching.notices == []

        metadata.arm(action)
        watching.ends()

    [notice] = watching.notices
    assert action in notice
    assert "T" in notice.partition(" at ")[2]


def test_one_token_is_enough(metadata):
    """A token is used for as long as it is good; a new one is taken when it has expired."""
    with Watching() as watching:
        eventually(lambda: looks(metadata) > 5)
        assert [path for _, path, _ in metadata.requests].count(TOKEN) == 1

        metadata.expire_tokens()
        seen = looks(metadata)
        eventually(lambda: looks(metadata) > seen + 3)
        assert [path for _, path, _ in metadata.requests].count(TOKEN) == 2

        metadata.arm()
        metadata.expire_tokens()
        watching.ends()

    assert len(watching.notices) == 1


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (ACTION, (500, b"")),
        (ACTION, (503, b"later")),
        (ACTION, (401, b"")),
        (ACTION, (302, b"")),
        (ACTION, (200, b"")),
        (ACTION, (200, b"{")),
        (ACTION, (200, b"\xff")),
        (ACTION, (200, b"[" * 60_000)),
        (ACTION, (200, b"null")),
        (ACTION, (200, b'"terminate"')),
        (ACTION, (200, b'{"action": ["terminate"]}')),
        (ACTION, (200, b'{"action": "none"}')),
        (TOKEN, (500, b"")),
        (TOKEN, (403, b"")),
        (TOKEN, (200, b"\xff")),
        (TOKEN, (200, b"a\r\n b")),
        (TOKEN, (200, b"")),
    ],
)
def test_odd_answers(metadata, path, answer):
    """What is no notice is none, and the watching goes on until there is one."""
    metadata.answers[path] = answer
    with Watching() as watching:
        eventually(lambda: [asked for _, asked, _ in metadata.requests].count(path) > 3)
        assert watching.thread.is_alive()
        assert watching.notices == []

        del metadata.answers[path]
        metadata.arm()
        watching.ends()

    assert len(watching.notices) == 1


def test_notice_without_a_time(metadata):
    """A notice that does not say when is one."""
    metadata.answers[ACTION] = (200, b'{"action": "stop"}')
    with Watching() as watching:
        watching.ends()

    assert watching.notices == ["EC2 takes this spot machine away: stop at an unknown time"]


def test_later_silence(metadata, monkeypatch):
    """A service that answered once may be silent for a while."""
    silent = threading.Event()
    failures = []
    ask = spot._Metadata._ask

    def fails(self, *arguments):
        if silent.is_set():
            failures.append(1)
            raise TimeoutError
        return ask(self, *arguments)

    monkeypatch.setattr(spot._Metadata, "_ask", fails)
    with Watching() as watching:
        eventually(lambda: looks(metadata) > 1)
        silent.set()
        eventually(lambda: len(failures) > 5)
        metadata.arm()
        silent.clear()
        watching.ends()

    assert len(watching.notices) == 1


def test_stop(metadata):
    """The watching ends when it is told to, without a notice."""
    with Watching() as watching:
        eventually(lambda: looks(metadata) > 1)
        watching.stop.set()
        watching.ends()

    assert watching.notices == []


def test_nothing_there(monkeypatch):
    """Off EC2 the watching ends by itself, quietly."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        with Watching() as watching:
            watching.ends()

    assert watching.notices == []


def test_no_answer(monkeypatch):
    """Who takes a connection and says nothing is no metadata service; that takes two seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        begun = time.monotonic()
        with Watching() as watching:
            watching.ends()

    assert 1.9 < time.monotonic() - begun < 10


def test_silent_only_at_first(metadata, monkeypatch):
    """A first look without an answer is not yet the end."""
    ask = spot._Metadata._ask
    asked = []

    def fails_once(self, *arguments):
        asked.append(1)
        if len(asked) == 1:
            raise TimeoutError
        return ask(self, *arguments)

    monkeypatch.setattr(spot._Metadata, "_ask", fails_once)
    metadata.arm()
    with Watching() as watching:
        watching.ends()

    assert len(watching.notices) == 1


@pytest.mark.parametrize("value", ["true", "True"])
def test_switched_off(metadata, monkeypatch, value):
    """Where metadata is disabled nobody is asked."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", value)
    metadata.arm()
    with Watching() as watching:
        watching.ends()

    assert watching.notices == []
    assert metadata.requests == []


@pytest.mark.parametrize(
    "endpoint", ["file:///etc", "ftp://127.0.0.1", "127.0.0.1", "http://", "http://[", "data:,x"]
)
def test_senseless_endpoints(monkeypatch, endpoint):
    """What is no address of a server is never opened."""
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setattr(spot._Metadata, "_ask", None)
    with Watching() as watching:
        watching.ends()

    assert watching.notices == []


def test_no_proxies(metadata, monkeypatch):
    """The address is this machine's own: whatever proxy is set, it is not asked."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    metadata.arm()
    with Watching() as watching:
        watching.ends()

    assert len(watching.notices) == 1
