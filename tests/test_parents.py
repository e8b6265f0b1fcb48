"""A process that was started by one that has ended knows it."""

import subprocess
import sys
import time

from mr.parents import is_orphan

#: Tells whether it is an orphan: while its parent lives, and once that has ended.
CHILD = """
import os, sys, time
from mr.parents import is_orphan
parent = os.getppid()
print(is_orphan(), flush=True)
while os.getppid() == parent:
    time.sleep(0.01)
print(is_orphan(), flush=True)
"""

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=open(sys.argv[2], "w"))
while not open(sys.argv[2]).read():
    time.sleep(0.01)
"""


def test_an_orphan_knows_that_it_is_one(tmp_path):
    """Its parent's end gives it one of another session; before that it is none."""
    said = tmp_path / "said"

    subprocess.run(
        [sys.executable, "-c", PARENT, CHILD, str(said)], start_new_session=True, check=True
    )

    deadline = time.monotonic() + 60
    while said.read_text().count("\n") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert said.read_text().split() == ["False", "True"]
    assert not is_orphan()
