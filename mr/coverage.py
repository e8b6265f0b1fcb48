"""What a job read, counted and left out: the part of its report that its result rests on."""

from collections.abc import Sequence
from typing import Any

from mr.listing import STRAYS_KEPT, Listing
from mr.publishing import InputBlocks, UnreadBlock
from mr.saved import SavedState
from mr.schema import Schema, parse_schema
from mr.spec import JobSpec
from mr.tally import Tally, to_json


def listing_facts(listing: Listing, offered: InputBlocks, why_empty: str = "") -> dict[str, Any]:
    """What is known before a job of what it will not read, as JSON values."""
    chosen = offered.chosen
    return {
        "selected": len(chosen),
        "left_out": len(listing.blocks) - len(offered),
        "covered": offered.covered,
        "set_aside": offered.set_aside,
        "set_aside_examples": offered.set_aside_examples,
        "filtered": listing.filtered,
        "repeated": listing.repeated,
        "strays": listing.strays,
        "stray_examples": listing.stray_examples,
        "missing": listing.missing,
        "bytes": chosen.bytes,
        "why_empty": why_empty,
    }


def coverage(
    about: dict[str, Any], listing: dict[str, Any], read: Tally, counters: dict[str, int]
) -> dict[str, Any]:
    """What a job covers, as JSON values.

    `about` is what the person asked for, `listing` comes from `listing_facts`, and `read` is the
    sum of the tallies of the first maps.
    """
    missing = listing["missing"] + read.missing
    tally = to_json(read)
    return {
        **about,
        "complete": not (missing or read.bad_blocks or read.bad)
        and not (listing["left_out"] or listing["set_aside"])
        and about.get("sample") is None,
        "blocks": {
            "selected": listing["selected"],
            "read": read.blocks,
            "bad": len(read.bad_blocks),
            "missing": len(missing),
            "filtered": listing["filtered"],
            "repeated": listing["repeated"],
            "left_out": listing["left_out"],
            "covered": listing["covered"],
            "set_aside": listing["set_aside"],
            "not_of_the_layout": listing["strays"],
        },
        "records": {"read": read.records, "bad": read.bad, "lines": read.lines},
        "bad_records": tally["bad_records"],
        "bad_record_places": tally["bad_places"],
        "bad_blocks": tally["bad_blocks"],
        "missing_blocks": missing,
        "set_aside_blocks": listing["set_aside_examples"],
        "not_of_the_layout": listing["stray_examples"],
        "why_empty": listing["why_empty"],
        "counters": counters,
        "bytes": {"compressed": read.compressed_bytes, "raw": read.raw_bytes},
    }


def job_coverage(spec: JobSpec, read: Tally, counters: dict[str, int]) -> dict[str, Any]:
    """What a planned job covers, as JSON values."""
    about = {
        "job": spec.job,
        "analysis": spec.analysis,
        "inputs": spec.inputs,
        "filter": spec.filter,
        "sample": spec.sample,
    }
    covered = coverage(about, spec.listing, read, counters)
    return covered | {"states": [one.covers for one in spec.states]}


def state_coverage(state: SavedState) -> dict[str, Any]:
    """What a saved state covers, as JSON values; places of bad records are told of all together."""
    facts = state.facts
    about = {
        "state": state.url,
        "inputs": facts.inputs,
        "filter": facts.filter,
        "sample": facts.sample,
    }
    covered = coverage(about, facts.listing, facts.tally, facts.tally.counters)
    del covered["bad_record_places"]
    return covered


def summed_listing(states: Sequence[SavedState]) -> dict[str, Any]:
    """What was known before the jobs of some states of what they would not read, of all."""
    total = dict(states[0].facts.listing)
    for state in states[1:]:
        for name, found in state.facts.listing.items():
            if name != "why_empty":
                total[name] = total[name] + found
    total["stray_examples"] = total["stray_examples"][:STRAYS_KEPT]
    if total["selected"]:
        total["why_empty"] = ""
    return total


def unread_blocks(spec: JobSpec, found: dict[str, Any]) -> list[UnreadBlock]:
    """The blocks of which nothing was read, and entries of input lists that are not there."""
    paths = [*found["missing_blocks"], *(b["block"] for b in found["bad_blocks"] if b["unread"])]
    schema = parse_schema(spec.schema)
    keys = sorted({_key(path, spec.stores, schema) for path in paths})
    return [UnreadBlock(key, schema.dimensions_of(key)) for key in keys]


def _key(path: str, stores: list[str], schema: Schema) -> str:
    """A block's key; the path itself where it is in no store of the job and not of the layout."""
    for store in stores:
        if path.startswith(prefix := store.rstrip("/") + "/"):
            return path.removeprefix(prefix)
    key = "/".join(path.split("/")[-schema.folders - 1 :])
    return path if schema.dimensions_of(key) is None else key
