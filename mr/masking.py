"""String literals in text, which `mask_literals` replaces before anything is written.

A literal begins at a single or a double quote and ends at the next one of its kind. Within it a
quote may be doubled, as in SQL, or stand after a backslash. One that does not end goes to the end
of the text.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from mr.errors import AnalysisError
from mr.items import Item, Line, Pair, as_pair

#: What stands for a literal.
PRIVATE = ":private:"

# Nothing is tried twice (`*+`), so that it takes linear time.
_LITERAL = re.compile(
    r"""'[^'\\]*+(?:(?:''|\\.)[^'\\]*+)*+(?:'|\\?\Z)"""
    r"""|"[^"\\]*+(?:(?:""|\\.)[^"\\]*+)*+(?:"|\\?\Z)""",
    re.DOTALL,
)


def masked(text: str) -> str:
    """The text with `:private:` for each literal: no quote, and nothing within quotes, is left."""
    return _LITERAL.sub(PRIVATE, text) if "'" in text or '"' in text else text


def masked_value(value: Any) -> Any:
    """A key or a value with every text in it masked, at any depth; bytes and arrays are no text.

    Names of a dict that become equal leave the last one's value.
    """
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, tuple):
        return tuple(map(masked_value, value))
    if isinstance(value, list):
        return list(map(masked_value, value))
    if not isinstance(value, dict) and callable(getattr(value, "to_dict", None)):
        value = value.to_dict()  # a part of a record
    if isinstance(value, dict):
        return dict(zip(map(masked_value, value), map(masked_value, value.values()), strict=True))
    return value


def masked_pairs(pairs: Iterable[Any], where: str) -> Iterator[Any]:
    """What user code yielded at `where`, masked. Raises AnalysisError for what is no pair."""
    for pair in pairs:
        try:
            found = _masked_pair(pair, where)
        except RecursionError:
            raise AnalysisError(
                f"{where} yielded what is nested too deep to be masked; flatten it."
            ) from None
        yield found


def _masked_pair(pair: Any, where: str) -> tuple[Any, Any] | Item:
    if isinstance(pair, Line):
        return Line(masked(pair.text), pair.end)
    if not isinstance(pair, Pair):
        return masked_value(as_pair(pair, where))
    key, value, text = masked_value(pair.key), masked_value(pair.value), pair.text
    if text is not None:  # a script's line, whose separators stay
        shown = f"{pair.value}"
        rest = text[len(f"{pair.key}") :]
        at = rest.rindex(shown)
        text = f"{key}{rest[:at]}{value}{rest[at + len(shown) :]}"
    return Pair(key, value, text)
