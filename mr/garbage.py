"""Cyclic garbage is looked for less often: nothing of ours that comes in numbers makes cycles."""

import gc

#: New objects after which the newest are looked at: not many, for an analysis may make cycles that
#: hold large things. With Python's 700 it took 2% of the time of a job over millions of keys, and
#: 10% of that of writing its result; with this a quarter of it.
MOST_NEW = 5_000


def look_for_less() -> None:
    """Leave out what is imported by now, and wait for more of the rest."""
    gc.freeze()
    gc.set_threshold(MOST_NEW, 20, 20)
