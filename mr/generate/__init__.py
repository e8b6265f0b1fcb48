"""Sample data: a tree of realistic telemetry blocks, with the truth about what is in it.

`generate` plans the blocks, writes each from its own random stream, so that neither threads nor
their order change a byte, and counts what it wrote. Only `Random.random` is drawn from, the one
method that Python promises to keep, floats are added by `fsum` alone (`sum` differs between
versions of Python), and nothing depends on the last bits of the platform's `log`: the same seed
gives the same lines on every machine. (The compressed bytes are the same as long as liblzma and
zlib are.)

Imports go one way, in the order of this list:

- `report`: what was written
- `drawing`, `frequencies`: how values are drawn, and which values there are
- `damage`, `planning`: bad lines and bad blocks; what each block is to be
- `histograms`, `measures`: one rendered histogram, all measures
- `records`, `writing`, `tree`: one record, one block, all blocks
"""

from mr.generate.damage import BAD_BLOCK_KINDS, BAD_RECORD_KINDS
from mr.generate.measures import UNDEFINED_MEASURES
from mr.generate.report import BadBlock, Counts, GenerateReport
from mr.generate.tree import generate

__all__ = [
    "BAD_BLOCK_KINDS",
    "BAD_RECORD_KINDS",
    "UNDEFINED_MEASURES",
    "BadBlock",
    "Counts",
    "GenerateReport",
    "generate",
]
