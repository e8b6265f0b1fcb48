"""Text that has no UTF-8 form: names that are not UTF-8 on disk, and lone surrogates of JSON."""

from collections.abc import Mapping


def is_utf8(text: str) -> bool:
    """Whether the text has a UTF-8 form: a lone surrogate has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def utf8(text: str) -> bytes:
    r"""Return UTF-8; a lone surrogate, which has none, is written as its escape, \udc80 say."""
    return text.encode("utf-8", "backslashreplace")


def counted(count: int, thing: str) -> str:
    """A number of things in words: `1 block`, `2,000 blocks`."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def hundredths(number: float) -> str:
    """A sum to the cent, and one of less to two digits."""
    return f"{number:,.2f}" if number >= 0.01 or not number else f"{number:.2g}"


def shell_exports(settings: Mapping[str, str]) -> str:
    """Settings as lines for a shell, which set them for all that it starts."""
    return "".join(f"export {name}={value}\n" for name, value in settings.items())
