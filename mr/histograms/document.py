"""What is published as one JSON document, streamed.

{"nightly/31": {"folder": "20140609201622-31-nightly", "histograms": {...}, "revisions": {...},
    "filter-tree": {...}, "coverage": {...}, "by-build-date": {MEASURE: {...}, ...},
    "by-submission-date": {MEASURE: {...}, ...}}, ...}

Each part is the content of the file of that name, unpacked if its body is gzipped.
"""

import json
from typing import BinaryIO

from mr.errors import FormatError
from mr.histograms.bodies import pieces
from mr.histograms.folders import VERSIONS, read_json
from mr.store import Store

PARTS = ("histograms", "revisions", "filter-tree", "coverage")
KINDS = ("by-build-date", "by-submission-date")


def write_document(output: Store, file: BinaryIO) -> None:
    """Write all versions that the published folder `output` holds, as this package writes them.

    Only one measure's names are in memory, not its content.
    """
    versions = read_json(output, VERSIONS)
    file.write(b"{")
    for number, (key, folder) in enumerate(sorted(versions.items())):
        file.write(b",\n" if number else b"\n")
        file.write(b'%s: {"folder": %s' % (_json(key), _json(folder)))
        for part in PARTS:
            file.write(b',\n"%s": ' % part.encode())
            _copy(output, f"{folder}/{part}.json", file)
        measures = sorted(read_json(output, f"{folder}/histograms.json"))
        for kind in KINDS:
            file.write(b',\n"%s": {' % kind.encode())
            for place, measure in enumerate(measures):
                file.write((b",\n" if place else b"\n") + _json(measure) + b": ")
                _copy(output, f"{folder}/{measure}-{kind}.json", file)
            file.write(b"}")
        file.write(b"}")
    file.write(b"\n}\n")


def _json(text: str) -> bytes:
    return json.dumps(text).encode()


def _copy(output: Store, name: str, file: BinaryIO) -> None:
    try:
        for piece in pieces(output, name):
            file.write(piece)
    except ValueError as error:
        raise FormatError(f"{output.url}/{name} is damaged: {error}.") from None
