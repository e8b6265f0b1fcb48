"""Reading back what a job keeps in its store as JSON: its description, commits, end and so on."""

from typing import TypeVar

import msgspec

from mr.decoding import from_json
from mr.errors import FormatError
from mr.store import Store

T = TypeVar("T")


def read_state(store: Store, name: str, kind: type[T]) -> T:
    """The object of that name as the type that it was written from.

    Raises ObjectMissing, and FormatError that names the object when it is damaged.
    """
    data = store.read(name)
    try:
        return from_json(data, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{store.url}/{name}: damaged, cannot be read: {error}.") from None
