"""Running a person's code in this process: what it raises is shown as theirs, without our frames."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mr.errors import MrError

_PACKAGE = str(Path(__file__).parent.parent)
#: Bundled analyses lie inside the package, but read as a person's code.
_ANALYSES = str(Path(_PACKAGE, "analyses"))


@contextmanager
def own_traceback(raised: type[MrError], sentence: str) -> Iterator[None]:
    """Raise `raised` for anything that a person's code raises, also when it exits.

    Its text is their traceback, and `sentence` with the error at its end. Our own errors pass.
    """
    try:
        yield
    except MrError:
        raise
    except (Exception, SystemExit) as error:
        trace = traceback.TracebackException.from_exception(error)
        _leave_ours_out(trace)
        shown = "".join(trace.format() if trace.stack else trace.format_exception_only())
        name = type(error).__name__
        raise raised(f"{sentence}: {name}: {error}\n\n{shown.rstrip()}") from None


def _leave_ours_out(trace: traceback.TracebackException | None) -> None:
    """Drop our frames, and the import machinery's, from a traceback and from what caused it."""
    while trace is not None:
        own = [frame for frame in trace.stack if not _is_ours(frame.filename)]
        trace.stack = traceback.StackSummary.from_list(own)
        _leave_ours_out(trace.__cause__)
        trace = trace.__context__


def _is_ours(filename: str) -> bool:
    if filename.startswith("<frozen ") or Path(filename).parts[-2:] == ("importlib", "__init__.py"):
        return True
    return filename.startswith(_PACKAGE) and not filename.startswith(_ANALYSES)
