"""The law of an analysis: its answer does not depend on how its input is cut.

An analysis is run over the same records in many manners: one split or many, forwards, backwards
and shuffled, with its combiner never, once and at every chance, with one reducer and several,
spilling at once and never. Wherever an answer differs from the first one, the law is broken.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mr import items, keys
from mr.analysis import Analysis, steps
from mr.inline import Manner, Outcome, RawRecord, run_inline
from mr.items import Line
from mr.mapping import AFTER_ALL_KEYS

#: How many shuffles of the records are tried.
SHUFFLES = 3


@dataclass(frozen=True)
class Difference:
    """Where two manners of running an analysis disagree."""

    manner: str
    #: The key that was given to reduce (of a map-only analysis: the differing pair's key); None
    #: when the counters differ.
    key: Any
    expected: list[Any]
    found: list[Any]
    in_counters: bool = False

    def __str__(self) -> str:
        place = "the counters" if self.in_counters else f"key {self.key!r}"
        return (
            f"{place}: {_brief(self.expected)} in one split and in order, but "
            f"{_brief(self.found)} {self.manner}"
        )


def _brief(rows: list[Any]) -> str:
    text = ", ".join(map(repr, rows[:3])) + (", ..." if len(rows) > 3 else "")
    return text or "nothing"


def check_laws(
    analysis: type[Analysis],
    records: Sequence[RawRecord],
    parameters: Mapping[str, Any] | None = None,
) -> Difference | None:
    """The first difference found, or None when every manner gives the same answer and counters."""
    plain = Manner(combine=False)
    has_reduce = any(step.reduce is not None for step in steps(analysis))
    expected = run_inline(analysis, records, plain, parameters)
    for words, manner, chosen in manners(analysis, records):
        found = run_inline(analysis, chosen, manner, parameters)
        difference = _compare(expected, found, words, has_reduce=has_reduce)
        if difference is not None:
            return difference
    return None


def manners(
    analysis: type[Analysis], records: Sequence[RawRecord]
) -> Iterator[tuple[str, Manner, Sequence[RawRecord]]]:
    """Every manner that is tried: in words, and with its order of the records."""
    many = min(len(records), 50)
    combines = any(step.combine is not None for step in steps(analysis))
    backwards = list(reversed(records))
    yield "when it runs once more", Manner(combine=False), records
    for splits in sorted({2, 3, 7, many} - {0, 1}):
        yield f"in {splits} splits", Manner(splits, combine=False), records
    yield "with 7 reducers", Manner(3, reducers=7, combine=False), records
    yield "when every pair spills", Manner(2, combine=False, buffer_bytes=1), records
    yield "with the records backwards", Manner(combine=False), backwards
    for seed in range(SHUFFLES):
        shuffled = list(records)
        random.Random(seed).shuffle(shuffled)
        yield f"with the records shuffled (seed {seed})", Manner(3, combine=False), shuffled
    if combines:
        yield "with its combiner", Manner(), records
        yield "with its combiner in 3 splits", Manner(3), records
        yield "with its combiner at every second value", Manner(2, combine_values=2), records
        yield "with its combiner, spilling", Manner(3, buffer_bytes=1), records


def _compare(
    expected: Outcome, found: Outcome, words: str, *, has_reduce: bool
) -> Difference | None:
    first, second = _by_key(expected, has_reduce), _by_key(found, has_reduce)
    for key in sorted(first.keys() | second.keys()):
        left, right = first.get(key, []), second.get(key, [])
        if left != right:
            shown = keys.decode(key) if key else None
            return Difference(words, shown, _readable(left), _readable(right))
    if expected.tally.counters != found.tally.counters:
        counters = [expected.tally.counters], [found.tally.counters]
        return Difference(words, None, *counters, in_counters=True)
    return None


def _by_key(outcome: Outcome, has_reduce: bool) -> dict[bytes, list[bytes]]:
    """Each reduce key's items in order; those that have no order by their own keys.

    Those are the items of a map-only answer, and what `finish_reduce` yields in each partition.
    """
    found: dict[bytes, list[bytes]] = {}
    unordered: dict[bytes, list[bytes]] = {}
    for key, item in outcome.items:
        if has_reduce and key != AFTER_ALL_KEYS:
            found.setdefault(key, []).append(items.encode(item))
        else:
            key = b"" if isinstance(item, Line) else keys.encode(item.key)
            unordered.setdefault(key, []).append(items.encode(item))
    for key, data in unordered.items():
        found.setdefault(key, []).extend(sorted(data))
    return found


def _readable(encoded: list[bytes]) -> list[Any]:
    decoded = map(items.decode, encoded)
    return [item.text if isinstance(item, Line) else (item.key, item.value) for item in decoded]
