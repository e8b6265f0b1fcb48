"""The command: simulate, print tables, and write them into the page."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bench.pages import replaced
from bench.simulation.parts import PARTS, shown

PAGE = Path(__file__).parents[2] / "docs/scale.md"


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="only this (repeatable)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/scale.md")
    parser.add_argument(
        "--requests",
        action="store_true",
        help="only measure what a request takes of the processor, with the test servers",
    )
    options = parser.parse_args(arguments)
    if options.requests:
        from bench.simulation.asking import measured

        print(measured())
        return
    found = {name: PARTS[name]() for name in options.part or PARTS}
    if options.json:
        print(json.dumps({name: part.values for name, part in found.items()}, indent=1))
        return
    for part in found.values():
        print("\n".join(shown(part.blocks)))
        if options.write:
            text = PAGE.read_text()
            for name, block in part.blocks.items():
                text = replaced(text, *marks(name), block)
            PAGE.write_text(text)
            for name, picture in part.pictures.items():
                PAGE.with_name(name).write_text(picture)


def marks(name: str) -> tuple[str, str]:
    """What a block of the page stands between."""
    return f"<!-- simulated: {name} -->", f"<!-- end: {name} -->"
