"""`make bench`: how fast mr-telemetry is, beside the decompressor alone and beside its peers.

    python -m bench.speed [--quick] [--only PART ...]

Imports go one way, in the order of this list:

- `timing`: commands, timed; what their times come to
- `plain`: each work as a plain loop in Python, which is a peer and also the truth
- `answers`: answers as digests, so that millions of rows compare in little memory
- `corpus`: what is read, with the truth about it
- `works`: what is run, and what is asked of it
- `floor`, `pairs`, `tiny`, `reduction`, `cluster`, `peers`: one part of the benchmark each
- `machine`, `results`, `tables`: where it ran; what was measured, kept and as tables

`jobs/` holds analyses of ours, `with_*.py` the works as the users of each peer would write them,
`replay` jobs whose maps are done.
"""
