"""What the compiled code and the Python around it agree on: the columns of their arrays.

Places are byte offsets into the text that is scanned. All arrays are int64, unless said otherwise.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Objects and arrays within each other that the scanner follows; as deep as a record may be.
DEPTH = 512

# A line that was skimmed: where it begins, where its JSON does, its newline, the first of its
# members, and how many it has: UNSURE where the plain code must look at the line.
LINE_COLUMNS = 5
LINE_BEGIN, LINE_JSON, LINE_END, LINE_MEMBER, LINE_MEMBERS = range(LINE_COLUMNS)
#: What stands for "not sure", and for "a table is full".
UNSURE, FULL = -1, -2

# A member of a record's outermost object: its name without the quotes, its value.
MEMBER_COLUMNS = 4
NAME_BEGIN, NAME_END, VALUE_BEGIN, VALUE_END = range(MEMBER_COLUMNS)

# How far a scan is: where it goes on, lines done, and members (`skim`) or refused lines (`gather`)
# written; for `gather` also how many records were taken, and whether it stopped since it is full.
CURSOR_COLUMNS = 5
PLACE, LINES, WRITTEN, TAKEN, IS_FULL = range(CURSOR_COLUMNS)

# A line that `gather` refused: its number among the lines of the text, its begin, its newline.
REFUSED_COLUMNS = 3

# --- gathering ---

# A name (or another token) that was met: the kind and the parent that it belongs to, its bytes in
# the arena, its hash, the last record that had it; of the end of a path its records, and of a
# measure's name whether it may be one.
NAME_COLUMNS = 6
NAME_PREFIX, NAME_OFFSET, NAME_LENGTH, NAME_HASH, NAME_STAMP, NAME_RECORDS = range(NAME_COLUMNS)
IS_PLAIN = NAME_RECORDS
# Kinds of names. An INNER name's parent is the outer name; a path goes from a place, which is
# numbered by the caller, by OS, version and arch to the revision.
HISTOGRAM, SIMPLE, INNER, OS, VERSION, ARCH, REVISION = range(7)
#: A prefix is a kind, shifted so far, and the number of a parent.
KIND_SHIFT = 32

# A histogram of the record at hand: its name, how many numbers it has, its first entry, the one
# behind its last, and its row. An entry is a number that is not 0: its index, whether it is a
# float, its value or bits.
PENDING_COLUMNS = 5
PENDING_ROW = 4
ENTRY_COLUMNS = 3

# A row: what was added up of one measure, path and number of buckets: its key, submissions, the
# kinds of its five statistics (two bits each: some int was added, some float), their exact sums,
# and its counts. A sum is a number of 192 bits in two's complement, in units of 2**-FRACTION_BITS,
# lowest word first.
ROW_KEY, ROW_SUBMISSIONS, ROW_KINDS, ROW_SUMS = range(4)
STATISTICS, SUM_WORDS, FRACTION_BITS = 5, 3, 96
ROW_COUNTS = ROW_SUMS + STATISTICS * SUM_WORDS
KIND_INT, KIND_FLOAT, KIND_BITS = 1, 2, 2
# A key holds the numbers of path and name, and how many buckets.
PATH_SHIFT, NAME_SHIFT = 40, 20
BUCKETS_MASK = 2**NAME_SHIFT - 1
#: A histogram of more buckets is refused, and does not fit into a sheet, which has all of them for
#: each row.
MOST_BUCKETS = 10_000
# Spilled, a sum is six limbs of 32 bits, of which the highest is signed.
LIMBS, LIMB_BITS = 6, 32

# What is used of the tables: names, bytes of the arena, rows, words of the rows; and the number of
# the record at hand.
USED_COLUMNS = 5
USED_NAMES, USED_ARENA, USED_ROWS, USED_WORDS, SERIAL = range(USED_COLUMNS)

# How much the tables of `gather` hold; the slots of a hash table are a power of 2, at least twice
# its names or rows.
MOST_REFUSED = 4096
MOST_PENDING, MOST_ENTRIES, MOST_SIMPLE = 4096, 65_536, 1024
MOST_NAMES, NAME_SLOTS, ARENA_BYTES = 32_768, 65_536, 4 * 1024 * 1024
MOST_ROWS, ROW_SLOTS, CELL_WORDS = 65_536, 131_072, 6 * 1024 * 1024
#: Begin and end of the values of OS, version, arch and revision.
TOKENS = 8
#: Lower bounds of a simple measure's buckets.
SIMPLE_BUCKETS = 50

#: A count beyond this is refused, and a statistic from 2**64 on, so that what MOST_RECORDS records
#: add up to in a row fits into a sheet: counts below 2**40, sums below 2**94.
LARGEST_COUNT = 2**24
MOST_RECORDS = 2**15
#: Places of a hash table that are looked at for one name. Names that were chosen to fall together
#: would make each look for one walk past all others.
MOST_PROBES = 64

#: Digits after the point that a float may have.
MOST_DECIMALS = 27


def powers_of_ten() -> "np.ndarray":
    """10**-n for n up to MOST_DECIMALS, as 128-bit mantissas: uint64 of shape (n, 2), high first.

    The mantissas of 5**-n, rounded up, with the highest bit set (Lemire, "Number Parsing at a
    Gigabyte per Second", 2021, section 5).
    """
    import numpy as np  # here, since it is slow to import, and skimming does not need it

    rows = []
    for decimals in range(MOST_DECIMALS + 1):
        power = 5**decimals
        mantissa = 2 ** ((power - 1).bit_length() + 127) // power + 1 if decimals else 1 << 127
        rows.append((mantissa >> 64, mantissa & (2**64 - 1)))
    return np.array(rows, np.uint64)
