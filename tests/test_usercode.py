"""What a person's code raises is shown as theirs, without our frames."""

from pathlib import Path

import pytest

import mr
from mr.usercode import own_frames

PACKAGE = Path(mr.__file__).parent


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        (f"{PACKAGE}/mapping.py", False),
        (f"{PACKAGE}/cli/run.py", False),
        ("<frozen importlib._bootstrap>", False),
        (f"{PACKAGE}/analyses/os_distribution.py", True),
        (f"{PACKAGE}_jobs/x.py", True),
        (f"{PACKAGE}/analyses_of_ours.py", False),
        ("/home/me/x.py", True),
    ],
)
def test_a_frame_is_ours_by_its_folder(filename, shown):
    """A folder whose name only begins as ours does is not ours."""
    code = compile("raise ValueError('x')", filename, "exec")
    try:
        exec(code, {})
    except ValueError as error:
        frames = own_frames(error.with_traceback(error.__traceback__.tb_next))

    assert (filename in frames) == shown
