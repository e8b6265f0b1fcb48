"""How a job stands, as `status` tells it."""

import time

import pytest
from clusters import plan, small_tree_fixture  # noqa: F401 - a fixture

from mr.compatibility import this_platform
from mr.directory import DirectoryStore
from mr.ends import End, EndState, write_end
from mr.fleet import Running, Sign, write_sign
from mr.standing import job_standing


class Remote(DirectoryStore):
    """A store that workers elsewhere give their signs to."""

    is_remote = True


@pytest.mark.parametrize("state", [None, EndState.DONE, EndState.CANCELLED])
def test_nobody_works_for_a_job_that_has_ended(small_tree, tmp_path, state):
    """Though a worker's sign, which is younger than that, still says so."""
    spec = plan(DirectoryStore(tmp_path), small_tree, "map_only")
    store = Remote(tmp_path)
    task = Running(spec.job, "1-map-0000000", "a", time.time())
    write_sign(store, Sign("w", "h", 1, 0.0, time.time(), 1, this_platform(()), running=[task]))
    if state is not None:
        write_end(store, spec.job, End(state))

    found = job_standing(store, spec)

    assert found.workers == 1
    assert found.running == ([task] if state is None else [])
