"""What a process that was just started arranges for itself."""

import ctypes
import os
import signal
from contextlib import suppress

#: See prctl(2).
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Let this process, just started, be told to stop when its parent is killed (on Linux)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def is_orphan() -> bool:
    """Whether this process's parent has ended already, as its new one shows: of another session.

    For processes that are started within their parent's session.
    """
    with suppress(OSError):
        return os.getsid(os.getppid()) != os.getsid(0)
    return False
