"""Logs of workers in the store: nothing lost, nothing twice, and none for a job that is gone."""

from dataclasses import replace

import pytest

from mr import layout
from mr.directory import DirectoryStore
from mr.errors import FormatError, StoreUnavailable
from mr.logs import JobLogs, LogLine, read_logs


def line(number: int, job: str = "j", task: str = "1-map-0000001") -> LogLine:
    """A line that tells its number."""
    return LogLine(
        float(number), "w-1", job, task, f"a{number}", "committed", output=["é\ud800"[:1]]
    )


@pytest.fixture
def store(tmp_path):
    """A store without files."""
    return DirectoryStore(tmp_path / "store")


def test_lines_come_back_in_the_order_of_time(store):
    """Pieces of several workers, of several jobs, are one log of each job."""
    one, two = JobLogs(store, "w-1"), JobLogs(store, "w-2")
    for number in (1, 4):
        one.add(line(number))
        one.add(line(number + 10, job="other"))
        one.flush()
    two.add(line(3, task="1-map-0000002"))
    two.flush()
    one.add(line(2))
    one.flush()
    one.flush()

    assert [found.time for found in read_logs(store, "j")] == [1, 2, 3, 4]
    assert [found.time for found in read_logs(store, "j", "1-map-0000002")] == [3]
    assert [found.time for found in read_logs(store, "other")] == [11, 14]
    assert next(read_logs(store, "j")) == line(1)


def test_a_store_that_fails_loses_no_line(store):
    """What could not be written is written the next time, once."""

    class Shaky(DirectoryStore):
        """Fails the first time."""

        failed = False

        def write(self, name, data, **conditions):
            if not Shaky.failed:
                Shaky.failed = True
                raise StoreUnavailable("no answer")
            return super().write(name, data, **conditions)

    logs = JobLogs(Shaky(store.url), "w-1")
    logs.add(line(1))
    with pytest.raises(StoreUnavailable):
        logs.flush()
    logs.add(line(2))
    logs.flush()

    assert [found.time for found in read_logs(store, "j")] == [1, 2]


def test_a_removed_job_gets_no_log(store):
    """A late line does not bring a job back that was removed."""
    store.write(layout.tombstone_name("j"), b"removed")
    logs = JobLogs(store, "w-1")
    logs.add(line(1))

    logs.flush()

    assert list(store.list(layout.job_prefix("j"))) == []


def test_a_damaged_log_is_told(store):
    """Bytes that are no log are a FormatError that names the object."""
    store.write(layout.log_name("j", "w-1", "0000001"), b"nonsense\n")

    with pytest.raises(FormatError, match="0000001"):
        list(read_logs(store, "j"))


def test_text_that_is_not_unicode_is_still_told(store):
    """A lone surrogate in an error's text is escaped, and the line is kept."""
    logs = JobLogs(store, "w-1")
    logs.add(replace(line(1), text="no \ud800"))
    logs.flush()

    assert [found.text for found in read_logs(store, "j")] == ["no \\ud800"]
