"""The compiled scanner: of lines of JSON, and of what it adds up on the way.

`tokens`, `skim`, `numbers`, `rows` and `gather` are Python that numba compiles, and that only
`building` (and tests) imports; `layout` is what they and the Python around them agree upon.

The plain code, `mr.validity` and `mr.histograms.extraction`, is the definition of what a record is
and of what it gives. Whatever the scanner does not fully understand it leaves to the plain code:
escapes in names, surrogates, long numbers, other types than expected, names that come twice, and
all that is no JSON. So it may say "sure" of good lines only.
"""
