"""What a job keeps as JSON: a damaged object is named in a sentence, whatever its bytes."""

import pytest

from mr import layout
from mr.commits import Commit, Failure, read_commit, read_failures, write_commit, write_failure
from mr.directory import DirectoryStore
from mr.errors import FormatError, ObjectMissing
from mr.report import read_report, write_report
from mr.spec import read_spec
from mr.state import read_state

JOB, TASK = "j", "1-map-0000001"

DAMAGE = [b"", b"{", b"\xff\xfe", b"[1]", b'"x"', b"[" * 100_000, b'{"task": "\xff"}']

#: Each reader, and the object that it reads.
READERS = {
    layout.spec_name(JOB): lambda store: read_spec(store, JOB),
    layout.commit_name(JOB, TASK): lambda store: read_commit(store, JOB, TASK),
    layout.failure_name(JOB, TASK, "a"): lambda store: list(read_failures(store, JOB)),
    layout.report_name(JOB): lambda store: read_report(store, JOB),
}


@pytest.fixture
def store(tmp_path):
    """An empty store; nothing here outlives the test."""
    return DirectoryStore(tmp_path / "store", durable=False)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda data: repr(data[:20]))
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_object_is_named(store, name, damage):
    """Whatever bytes stand there, reading them is a FormatError that says of which object."""
    store.write(name, damage)

    with pytest.raises(FormatError) as error:
        READERS[name](store)

    assert str(error.value).startswith(f"{store.url}/{name}: damaged, cannot be read: ")


def test_good_objects_are_read_back(store):
    """What was written comes back equal, and what is not there is said to be missing."""
    commit, failure = Commit(TASK, "a", []), Failure(TASK, "b", "it fails")
    write_commit(store, JOB, commit)
    write_failure(store, JOB, failure)
    write_report(store, JOB, {"state": "done"})

    assert read_commit(store, JOB, TASK) == commit
    assert list(read_failures(store, JOB)) == [failure]
    assert read_report(store, JOB) == {"state": "done"}
    assert read_report(store, "other") is None
    with pytest.raises(ObjectMissing):
        read_state(store, "jobs/other/end", dict)
