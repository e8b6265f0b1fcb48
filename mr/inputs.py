"""From what a person writes to where to look for blocks."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from mr.directory import DirectoryStore
from mr.errors import InputMissing, UsageError
from mr.schema import Schema
from mr.store import Entry, Store
from mr.stores import open_store
from mr.text import is_utf8, utf8

#: A lone file's folders are its dimensions only when its name is one of the pipeline's.
_PIPELINE_NAME = re.compile(r"\.v\d+\.log\.")


@dataclass(frozen=True, slots=True)
class Input:
    """Where to look: a store, and the one object in it when the input is a file."""

    store: Store
    file: Entry | None = None


def resolve_input(text: str, schema: Schema) -> Input:
    """The input that a person wrote.

    Raises InputMissing when there is no such file or folder, and UsageError for a path that
    cannot be written down: the job's description and plan are UTF-8.
    """
    if not text:
        raise UsageError("an input is empty: name a file or a folder.")
    if "://" in text and not text.startswith("file://"):
        return _resolve_url(text, schema)
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"), errors="surrogateescape")
    path = Path(os.path.abspath(text))
    _check_utf8(text, str(path))
    if os.path.isdir(path):
        return Input(DirectoryStore(path))
    if not os.path.isfile(path):
        raise InputMissing(f"{text}: no such file or folder.")
    depth = _depth(path.name, len(path.parts) - 1, schema)
    store = DirectoryStore(path.parents[depth - 1])
    entry = store.stat("/".join(path.parts[-depth:]))
    if entry is None:
        raise InputMissing(f"{text}: no such file or folder.")
    return Input(store, entry)


def _resolve_url(text: str, schema: Schema) -> Input:
    """The object of that name, or else all objects under it."""
    _check_utf8(text)
    store = open_store(text)
    scheme, _, rest = text.partition("://")
    root, *parts = rest.split("/")
    if parts and parts[-1]:
        depth = _depth(parts[-1], len(parts), schema)
        above = open_store("/".join([f"{scheme}://{root}", *parts[:-depth]]))
        entry = above.stat("/".join(parts[-depth:]))
        if entry is not None:
            return Input(above, entry)
    if next(iter(store.list()), None) is None:
        raise InputMissing(f"{text} holds no objects.")
    return Input(store)


def _depth(name: str, parts: int, schema: Schema) -> int:
    """How many of a file's `parts` are its key, from the end."""
    depth = schema.folders + 1
    return depth if _PIPELINE_NAME.search(name) and parts >= depth else 1


def _check_utf8(*names: str) -> None:
    for name in names:
        if not is_utf8(name):
            raise UsageError(f"{utf8(name).decode()}: the name is not UTF-8; rename it.")
