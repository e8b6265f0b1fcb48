"""Filter trees: ids that everybody agrees on, options that cannot break the tree, and damage."""

import hashlib
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mr.errors import AnalysisError, FormatError
from mr.histograms.filters import LEVELS, FilterTree, escaped, path_id, tree_paths, unescaped

PATH = ("saved_session", "Firefox", "WINNT", "6.1", "x86")
OTHER = ("saved_session", "Firefox", "Linux", "3.2", "x86")

#: Components that are hard to keep apart, and any others that UTF-8 can write.
COMPONENTS = st.one_of(
    st.text(st.sampled_from("%/25FE6_nameid"), max_size=8),
    st.sampled_from(["name", "_id", "%6Eame", "%5Fid", "%", "%25", "a/b", "a%2Fb", "%FF", ""]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
PATHS = st.tuples(*[COMPONENTS] * len(LEVELS))


def by_hand(text: str) -> int:
    """The first 52 bits of a text's SHA-256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") >> 4


@pytest.mark.parametrize(
    ("component", "option"),
    [
        ("6.1", "6.1"),
        ("name", "%6Eame"),
        ("_id", "%5Fid"),
        ("names", "names"),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("%6Eame", "%256Eame"),
        ("", ""),
    ],
)
def test_options_by_hand(component, option):
    """Slashes, percent signs and the tree's own keys are written otherwise."""
    assert escaped(component) == option
    assert unescaped(option) == component


@given(COMPONENTS)
def test_escaping_is_undone(component):
    """An option tells its component, is never a key of the tree's own, and has no slash."""
    option = escaped(component)

    assert unescaped(option) == component
    assert option not in ("name", "_id")
    assert "/" not in option


def test_ids_by_hand():
    """Components are escaped, joined by slashes and hashed; the root is 0."""
    assert path_id(()) == 0
    assert path_id(PATH[:1]) == by_hand("saved_session")
    assert path_id(PATH) == by_hand("saved_session/Firefox/WINNT/6.1/x86")
    assert path_id(("name", "a/b")) == by_hand("%6Eame/a%2Fb")
    assert 0 <= path_id(PATH) < 2**52


@given(PATHS, PATHS)
def test_different_paths_have_different_ids(one, other):
    """No two paths escape to one text, whatever their components hold."""
    assume(one != other)

    assert path_id(one) != path_id(other)


def test_form_of_the_tree():
    """Each node has an id, each but a leaf the level below it."""
    tree = FilterTree()
    tree.add(PATH)

    node = tree.to_json()

    assert node["_id"] == 0
    for depth, level in enumerate(LEVELS):
        assert list(node) == ["_id", "name", PATH[depth]]
        assert node["name"] == level
        node = node[PATH[depth]]
        assert node["_id"] == by_hand("/".join(PATH[: depth + 1]))
    assert list(node) == ["_id"]


@given(st.sets(PATHS, max_size=6))
def test_a_tree_gives_its_paths_back(paths):
    """Through JSON and back: all paths, with the ids that `id_of` tells."""
    tree = FilterTree()
    for path in paths:
        tree.add(path)

    read = json.loads(json.dumps(tree.to_json()))

    assert dict(tree_paths(read)) == {path: tree.id_of(path) for path in paths}


@given(st.lists(PATHS, max_size=6), st.randoms(use_true_random=False))
def test_order_does_not_matter(paths, random):
    """The tree is the same text in whatever order, and however often, its paths came."""
    trees = FilterTree(), FilterTree()
    for path in paths:
        trees[0].add(path)
    for path in random.sample(paths + paths, 2 * len(paths)):
        trees[1].id_of(path)
        trees[1].add(path)

    assert json.dumps(trees[0].to_json()) == json.dumps(trees[1].to_json())


def test_ids_alone_are_no_paths():
    """Asking for an id does not take the path into the tree."""
    tree = FilterTree()
    tree.id_of(PATH)

    assert tree.to_json() == {"_id": 0, "name": "reason"}


def base_with_own_ids() -> dict:
    """A tree whose ids another program chose: 1, 2, ..."""
    tree = FilterTree()
    tree.add(PATH)
    node = root = tree.to_json()
    for number, component in enumerate(PATH, 1):
        node = node[component]
        node["_id"] = number
    return root


def test_ids_of_the_base_are_kept():
    """Also those of inner nodes; what is new gets the id of its path."""
    tree = FilterTree(base_with_own_ids())
    tree.add(OTHER)

    assert tree.id_of(PATH) == 5
    assert tree.id_of(OTHER) == path_id(OTHER)
    found = tree.to_json()
    assert dict(tree_paths(found)) == {PATH: 5, OTHER: path_id(OTHER)}
    assert found["saved_session"]["Firefox"]["_id"] == 2
    assert found["saved_session"]["Firefox"]["Linux"]["_id"] == path_id(OTHER[:3])


def test_two_nodes_with_one_id_are_refused():
    """The sentence names both filters and the id."""
    base = base_with_own_ids()
    base["saved_session"]["Firefox"]["WINNT"]["6.1"]["x86"]["_id"] = path_id(OTHER)
    tree = FilterTree(base)
    tree.add(OTHER)

    with pytest.raises(AnalysisError, match="have one id") as caught:
        tree.to_json()

    for part in ("/".join(PATH), "/".join(OTHER), str(path_id(OTHER))):
        assert part in str(caught.value)


def test_the_roots_id_is_taken():
    """No other node may have 0."""
    base = base_with_own_ids()
    base["saved_session"]["_id"] = 0

    with pytest.raises(AnalysisError, match="have one id, 0"):
        FilterTree(base).to_json()


def damaged(depth: int, **changes: object) -> dict:
    """A tree in which the node at a depth has other items; None removes one."""
    node = root = base_with_own_ids()
    for component in PATH[:depth]:
        node = node[component]
    for key, value in changes.items():
        node[key] = value
        if value is None:
            del node[key]
    return root


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        {},
        damaged(0, name="appName"),
        damaged(0, _id=None),
        damaged(0, saved_session=7),
        damaged(2, name=None),
        damaged(2, _id="2"),
        damaged(2, _id=True),
        damaged(2, _id=2.0),
        damaged(5, _id=None),
        damaged(5, name="arch"),
        damaged(5, deeper={"_id": 9}),
    ],
)
def test_damaged_trees_are_told(tree):
    """What is no tree is a FormatError, wherever in it the damage is."""
    with pytest.raises(FormatError, match="a filter tree is damaged"):
        list(tree_paths(tree))
    if tree is not None:  # which is no base at all
        with pytest.raises(FormatError, match="a filter tree is damaged"):
            FilterTree(tree)
