"""Connections to AWS: where their credentials come from, and how long a request may take."""

import time
from datetime import UTC, datetime

import pytest
from botocore.exceptions import NoCredentialsError
from metadata import CREDENTIALS, TOKEN, MetadataServer

from mr.aws import clients
from mr.aws.objects import SILENT_S
from mr.aws.sqs import MOST_WAIT_S
from mr.config import Settings
from mr.errors import UsageError


class Busy(MetadataServer):
    """A metadata service that has no time for its first requests of a path."""

    def __init__(self):
        super().__init__()
        self.busy = {}
        #: Seconds until the first request for credentials is answered.
        self.slow_s = 0.0

    def _put(self, path, headers):
        return self._refusal(path) or super()._put(path, headers)

    def _get(self, path, headers):
        if path == CREDENTIALS:
            slow_s, self.slow_s = self.slow_s, 0.0
            time.sleep(slow_s)
        return self._refusal(path) or super()._get(path, headers)

    def _refusal(self, path):
        if self.busy.get(path, 0) <= 0:
            return None
        self.busy[path] -= 1
        return 503, b""


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return the metadata service of a machine with a role, the only source of credentials."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_METADATA_SERVICE_TIMEOUT",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with Busy() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def can_sign(made):
    """Tell whether a client has credentials; asks nobody."""
    try:
        made.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    except NoCredentialsError:
        return False
    return True


def test_one_client_for_each_environment(machine, monkeypatch):
    """A client is made once for each environment, and a bounded number is kept."""
    first = clients.client("s3")
    assert clients.client("s3") is first
    for number in range(clients.KEPT + 1):
        monkeypatch.setenv("AWS_MAX_POOL", str(number))
        assert clients.client("s3") is not first
        assert clients.client("s3") is clients.client("s3")

    assert len(clients._clients) == clients.KEPT


@pytest.mark.parametrize("path", [TOKEN, CREDENTIALS, CREDENTIALS + "role"])
def test_a_metadata_service_that_is_busy(machine, path):
    """A machine whose metadata do not answer at once is asked again."""
    machine.busy[path] = 3

    assert can_sign(clients.client("s3"))


def test_a_metadata_service_that_is_slow(machine, monkeypatch):
    """An answer may take longer than a second."""
    monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
    machine.slow_s = 1.3

    assert can_sign(clients.client("s3"))


@pytest.mark.parametrize("where", ["environment", "file"])
def test_what_the_person_has_set_of_the_metadata_service(machine, monkeypatch, tmp_path, where):
    """The person's own number of tries counts."""
    if where == "environment":
        monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "2")
    else:
        (tmp_path / "config").write_text("[default]\nmetadata_service_num_attempts = 2\n")
    machine.busy[CREDENTIALS] = 2
    assert not can_sign(clients.client("s3"))

    machine.busy[CREDENTIALS] = 1
    assert can_sign(clients.client("s3"))


def test_no_credentials_now_may_be_some_later(machine):
    """A client without credentials is not kept; one that has them is."""
    machine.answers[CREDENTIALS] = (404, b"")
    assert not can_sign(clients.client("s3"))

    del machine.answers[CREDENTIALS]
    found = clients.client("s3")

    assert can_sign(found)
    assert clients.client("s3") is found


def test_an_unknown_profile(machine, monkeypatch):
    """A profile that is not there is the person's to set right."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(UsageError, match=r"AWS cannot be asked \(s3\): .*nobody"):
        clients.client("s3")


def test_how_long_a_request_may_take():
    """What S3 does not answer is told of before a task is ended as one that hangs."""
    pauses = sum(2**number for number in range(clients.ATTEMPTS - 1))
    request_s = clients.ATTEMPTS * (clients.CONNECT_S + clients.READ_S) + pauses

    assert request_s <= 190
    assert SILENT_S + 2 * request_s < Settings().hang_limit
    assert clients.READ_S > MOST_WAIT_S


@pytest.mark.parametrize(
    ("text", "time_of"),
    [
        ("2026-11-24T19:38:58.250Z", datetime(2026, 11, 24, 19, 38, 58, 250_000, UTC)),
        ("2026-11-24T19:38:58Z", datetime(2026, 11, 24, 19, 38, 58, 0, UTC)),
        ("2026-11-24T19:38:58.1234567Z", datetime(2026, 11, 24, 19, 38, 58, 123_456, UTC)),
        ("2026-11-24T20:38:58+01:00", datetime(2026, 11, 24, 19, 38, 58, 0, UTC)),
        ("Tue, 24 Nov 2026 19:38:58 GMT", datetime(2026, 11, 24, 19, 38, 58, 0, UTC)),
        ("1795549138", datetime.fromtimestamp(1_795_549_138, UTC)),
        (1_795_549_138.5, datetime.fromtimestamp(1_795_549_138.5, UTC)),
    ],
)
def test_times_in_answers(text, time_of):
    """Whatever the form in which a server tells a time, it is the same."""
    assert clients._time_of(text) == time_of


def test_what_is_no_time_is_refused():
    """As botocore does, which makes an error of the answer."""
    with pytest.raises(ValueError, match="2026-99"):
        clients._time_of("2026-99-24T19:38:58Z")
