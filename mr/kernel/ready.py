"""The compiled code when it is ready: nobody waits for it."""

import os
import time

from mr.kernel.building import SWITCH, Functions, load

#: Compressed bytes of a task from which on loading the code (40 ms) pays.
LEAST_BYTES = 1_500_000
#: How often it is looked whether the code was built meanwhile.
LOOK_S = 1.0


class Ready:
    """What is loaded of the compiled code, for one process."""

    def __init__(self) -> None:
        self._functions: Functions | None = None
        self._looked: float | None = None

    def functions(self, size: int) -> Functions | None:
        """The compiled functions for a task of `size` bytes; None where the plain code is to run.

        A task asks again for each chunk, since the code may be built meanwhile.
        """
        if size < LEAST_BYTES and os.environ.get(SWITCH) != "1":
            return None
        if self._functions is None:
            now = time.monotonic()
            if self._looked is None or now - self._looked >= LOOK_S:
                self._functions = load()
                self._looked = now
        return self._functions


#: That of this process.
READY = Ready()
