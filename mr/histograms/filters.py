"""Filter paths: where a record belongs, by an id in the published rows and a tree that tells ids.

A path has one component for each level. A node of the tree has `_id`, and below the root an id is
the first 52 bits of the SHA-256 of the node's escaped path: so reducers agree on ids without
talking. A node that is no leaf has `name`, the level that chooses among its children; every other
key is an option that holds a child:

    {"_id": 0, "name": "reason", "saved_session": {"_id": 1834, "name": "appName", ...}}
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from mr.errors import AnalysisError, FormatError

LEVELS = ("reason", "appName", "OS", "osVersion", "arch")

#: One component for each level.
Path = tuple[str, str, str, str, str]

#: Hexadecimal digits of an id: 52 bits, which every JSON reader holds exactly.
_ID_DIGITS = 13
_RESERVED = ("name", "_id")


def escaped(component: str) -> str:
    """The component as an option of the tree: one that cannot break it, and tells the component."""
    if component in _RESERVED:
        return f"%{ord(component[0]):02X}{component[1:]}"
    return component.replace("%", "%25").replace("/", "%2F")


def unescaped(option: str) -> str:
    """The component of an option."""
    return unquote(option, errors="surrogatepass")


def path_id(path: Sequence[str]) -> int:
    """The id of a node: 0 for the root, whose path is empty."""
    if not path:
        return 0
    text = "/".join(map(escaped, path))
    return int(hashlib.sha256(text.encode("utf-8")).hexdigest()[:_ID_DIGITS], 16)


class FilterTree:
    """Paths and their ids; those of `base`, the JSON of an earlier tree, keep theirs.

    Raises FormatError when `base` is no such tree.
    """

    def __init__(self, base: Mapping[str, Any] | None = None) -> None:
        self._ids: dict[tuple[str, ...], int] = {} if base is None else dict(_nodes(base))
        self._leaves = {path for path in self._ids if len(path) == len(LEVELS)}

    def id_of(self, path: Path) -> int:
        """The id of a path, in the tree or not."""
        found = self._ids.get(path)
        if found is None:
            found = self._ids[path] = path_id(path)
        return found

    def add(self, path: Path) -> None:
        """Take a path into the tree."""
        self._leaves.add(path)

    def to_json(self) -> dict[str, Any]:
        """The tree; raises AnalysisError when two of its nodes have one id."""
        root: dict[str, Any] = {"_id": 0, "name": LEVELS[0]}
        owners: dict[int, tuple[str, ...]] = {0: ()}
        for path in sorted(self._leaves):
            node = root
            for depth in range(1, len(path) + 1):
                option = escaped(path[depth - 1])
                if option not in node:
                    node[option] = self._node(path[:depth], owners)
                node = node[option]
        return root

    def _node(self, path: tuple[str, ...], owners: dict[int, tuple[str, ...]]) -> dict[str, Any]:
        number = self._ids.get(path)
        number = path_id(path) if number is None else number
        if (owner := owners.setdefault(number, path)) != path:
            raise AnalysisError(
                f"the filters {'/'.join(owner)} and {'/'.join(path)} have one id, {number}: "
                "publish them to different folders."
            )
        node: dict[str, Any] = {"_id": number}
        if len(path) < len(LEVELS):
            node["name"] = LEVELS[len(path)]
        return node


def tree_paths(tree: Mapping[str, Any]) -> Iterator[tuple[Path, int]]:
    """Yield each leaf's path and id. Raises FormatError for what is no tree."""
    return ((path, number) for path, number in _nodes(tree) if len(path) == len(LEVELS))


def _nodes(
    node: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], int]]:
    leaf = len(path) == len(LEVELS)
    if (
        not isinstance(node, Mapping)
        or type(node.get("_id")) is not int
        or node.get("name") != (None if leaf else LEVELS[len(path)])
    ):
        shown = "/".join(path) or "its root"
        raise FormatError(f"a filter tree is damaged: {shown} is no node of it.")
    yield path, node["_id"]
    for option, child in node.items():
        if option not in _RESERVED:
            if leaf:
                raise FormatError(f"a filter tree is damaged: {'/'.join(path)} has children.")
            yield from _nodes(child, (*path, unescaped(option)))
