"""`make bench`: how fast mr-telemetry is, beside the decompressor alone and beside its peers.

    python -m bench.speed [--quick] [--only PART ...]

Imports go one way, in the order of this list:

- `timing`: commands, timed; what their times come to
- `plain`: each work as a plain loop in Python, which is a peer and also the truth
- `corpus`: what is read, with the truth about it
- `answers`: answers as digests, so that millions of rows compare in little memory
- `works`: what is run, and what is asked of it
- `floor`, `pairs`, `tiny`, `reduction`, `peers`: one part of the benchmark each
- `machine`, `results`: where it ran; what is written of it
- `jobs/`: analyses of ours; `with_*.py`: the same works for each peer, as its users would write them
"""
