"""Blocks of a page that a benchmark writes: each stands between two marks."""


def block_of(text: str, begin: str, end: str) -> str:
    """What stands between the marks; empty if they are not there."""
    return text.partition(begin)[2].partition(end)[0].strip("\n")


def replaced(text: str, begin: str, end: str, block: str) -> str:
    """The text with another block. Raises LookupError if the marks are not there."""
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise LookupError(f"no place for a block between {begin!r} and {end!r}")
    return f"{before}{begin}\n{block}\n{end}{after}"
