"""A person's code: what it raises is shown as theirs, without our frames."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mr.errors import MrError

_PACKAGE = Path(__file__).parent
#: Bundled analyses lie inside the package, but read as a person's code.
_ANALYSES = _PACKAGE / "analyses"


@contextmanager
def own_traceback(raised: type[MrError], sentence: str) -> Iterator[None]:
    """Raise `raised` for anything that a person's code raises, also when it exits.

    Its text is `sentence` with the error, and their traceback. Our own errors pass.
    """
    try:
        yield
    except MrError:
        raise
    except (Exception, SystemExit) as error:
        text = f"{sentence}: {error_line(error)}"
        raise raised(f"{text}\n\n{own_frames(error)}".rstrip()) from error


def error_line(error: BaseException) -> str:
    """The error as a traceback's last line tells it; a sentence of ours as it is."""
    if isinstance(error, MrError):
        return str(error)
    # Not `str(error)`: that is user code too, and may raise.
    *_, last = traceback.TracebackException.from_exception(error).format_exception_only()
    return last.strip()


def own_frames(error: BaseException) -> str:
    """The traceback of an error without our frames; nothing where only ours are left."""
    trace = traceback.TracebackException.from_exception(error)
    _leave_ours_out(trace)
    if trace.stack:
        return "".join(trace.format()).rstrip()
    if isinstance(error, SyntaxError):  # whose place is not in the stack
        return "".join(trace.format_exception_only()).rstrip()
    return ""


def _leave_ours_out(trace: traceback.TracebackException | None) -> None:
    """Drop our frames, and the import machinery's, from a traceback and from what caused it."""
    while trace is not None:
        own = [frame for frame in trace.stack if not _is_ours(frame.filename)]
        trace.stack = traceback.StackSummary.from_list(own)
        _leave_ours_out(trace.__cause__)
        trace = trace.__context__


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    if filename.startswith("<frozen ") or path.parts[-2:] == ("importlib", "__init__.py"):
        return True
    return path.is_relative_to(_PACKAGE) and not path.is_relative_to(_ANALYSES)
