"""Gathering: the histograms and simple measures of records, added up."""

import math

import numpy as np
from numba.extending import register_jitable

from mr.kernel.layout import (
    FRACTION_BITS,
    FULL,
    HISTOGRAM,
    INNER,
    IS_FULL,
    IS_PLAIN,
    KIND_BITS,
    KIND_FLOAT,
    KIND_INT,
    KIND_SHIFT,
    LINES,
    NAME_RECORDS,
    NAME_STAMP,
    OS,
    PENDING_ROW,
    PLACE,
    ROW_COUNTS,
    ROW_KINDS,
    ROW_SUBMISSIONS,
    ROW_SUMS,
    SERIAL,
    SIMPLE,
    SIMPLE_BUCKETS,
    STATISTICS,
    SUM_WORDS,
    TAKEN,
    UNSURE,
    USED_NAMES,
    USED_ROWS,
    USED_WORDS,
    WRITTEN,
)
from mr.kernel.numbers import (
    scan_numbers,
)
from mr.kernel.rows import (
    add_double,
    add_int,
    add_shifted,
    is_named,
    name_of,
    prefetch,
    row_of,
)
from mr.kernel.tokens import (
    CLOSE_OBJECT,
    LETTER_E,
    MINUS,
    NEWLINE,
    OPEN_ARRAY,
    OPEN_OBJECT,
    POINT,
    QUOTE,
    ZERO,
    after_member,
    byte,
    find_newline,
    find_tab,
    into_object,
    is_digit,
    name_and_value,
    skip_value,
)

_MINUS_ONE_BITS = -0x4010000000000000
#: Digits of a simple measure that surely fit into a double.
_SIMPLE_DIGITS = 15
#: A logarithm squared from here on has no bits below 2**-44, and below it fits 2**62 in 2**-54ths.
_LARGE_SQUARE = 256.0


@register_jitable
def scan_histograms(
    text, place, size, powers, pending, entries, used, names, slots, arena
):  # fmt: skip
    """The object of histograms. Gives (place, histograms); the place may be UNSURE or FULL."""
    histograms = 0
    written = 0
    place = into_object(text, place)
    while place >= 0 and byte(text, place) == QUOTE:
        begin = place + 1
        end, place = name_and_value(text, place, size)
        if end < 0 or byte(text, place) != OPEN_ARRAY or histograms == len(pending):
            return UNSURE, histograms
        name = name_of(text, begin, end, HISTOGRAM << KIND_SHIFT, used, names, slots, arena)
        if name < 0:
            return FULL, histograms
        if names[name, NAME_STAMP] == used[SERIAL]:
            return UNSURE, histograms
        names[name, NAME_STAMP] = used[SERIAL]
        if begin == end or not names[name, IS_PLAIN]:
            return UNSURE, histograms
        first = written
        place, numbers, written = scan_numbers(text, place + 1, size, powers, entries, first)
        if place < 0:
            return UNSURE, histograms
        pending[histograms, 0] = name
        pending[histograms, 1] = numbers
        pending[histograms, 2] = first
        pending[histograms, 3] = written
        histograms += 1
        place = after_member(text, place)
    return place + 1 if place >= 0 else UNSURE, histograms


@register_jitable
def scan_measure(text, place, size, depth, stack, name, simple, measures):
    """A value among the simple measures. Gives (place, measures)."""
    found = byte(text, place)
    if not is_digit(found) and found != MINUS:
        return skip_value(text, place, size, depth, stack), measures
    is_negative = found == MINUS
    if is_negative:
        place += 1
    start = place
    value = np.int64(0)
    while is_digit(byte(text, place)):
        value = value * 10 + np.int64(byte(text, place) - ZERO)
        place += 1
    digits = place - start
    after = byte(text, place)
    if digits == 0 or digits > _SIMPLE_DIGITS or measures == len(simple):
        return UNSURE, measures
    if (digits > 1 and byte(text, start) == ZERO) or after == POINT or (after | 0x20) == LETTER_E:
        return UNSURE, measures
    simple[measures, 0] = name
    simple[measures, 1] = -value if is_negative else value
    return place, measures + 1


@register_jitable
def scan_simple(
    text, place, size, depth, prefix, stack, simple, measures, used, names, slots, arena
):  # fmt: skip
    """The members of an object of simple measures. Gives (place, measures).

    An object inside is scanned likewise; that one's own objects are only skipped.
    """
    outer = -1
    place = into_object(text, place)
    while place >= 0 and byte(text, place) == QUOTE:
        begin = place + 1
        end, place = name_and_value(text, place, size)
        if end < 0:
            return UNSURE, measures
        name = name_of(text, begin, end, prefix, used, names, slots, arena)
        if name < 0:
            return FULL, measures
        if names[name, NAME_STAMP] == used[SERIAL]:
            return UNSURE, measures
        names[name, NAME_STAMP] = used[SERIAL]
        if outer < 0 and byte(text, place) == OPEN_OBJECT:
            place = into_object(text, place)
            if place < 0:
                return UNSURE, measures
            if byte(text, place) == QUOTE:
                outer = name
                prefix = (INNER << KIND_SHIFT) | name
                continue
            place += 1
        else:
            before = measures
            place, measures = scan_measure(
                text, place, size, depth + (2 if outer >= 0 else 1), stack, name, simple, measures
            )
            if place < 0:
                return UNSURE, measures
            is_bad = not names[name, IS_PLAIN] or (outer >= 0 and not names[outer, IS_PLAIN])
            if measures > before and is_bad:
                return UNSURE, measures
        place = after_member(text, place)
        if outer >= 0 and place >= 0 and byte(text, place) == CLOSE_OBJECT:
            outer = -1
            prefix = SIMPLE << KIND_SHIFT
            place = after_member(text, place + 1)
    return place + 1 if place >= 0 else UNSURE, measures


@register_jitable
def scan_info(text, place, size, stack, tokens):
    """The info object: writes begin and end of the values that make the path, 0 for none."""
    for at in range(len(tokens)):
        tokens[at] = 0
    place = into_object(text, place)
    while place >= 0 and byte(text, place) == QUOTE:
        begin = place + 1
        end, value = name_and_value(text, place, size)
        if end < 0:
            return UNSURE
        place = skip_value(text, value, size, 2, stack)
        if place < 0:
            return UNSURE
        chosen = -1
        if is_named(text, begin, end, b"OS"):
            chosen = 0
        elif is_named(text, begin, end, b"version"):
            chosen = 2
        elif is_named(text, begin, end, b"arch"):
            chosen = 4
        elif is_named(text, begin, end, b"revision"):
            chosen = 6
        if chosen >= 0:
            first = byte(text, value)
            if tokens[chosen] != 0 or first == OPEN_OBJECT or first == OPEN_ARRAY:
                return UNSURE
            tokens[chosen] = value
            tokens[chosen + 1] = place
        place = after_member(text, place)
    return place + 1 if place >= 0 else UNSURE


@register_jitable
def path_of(text, tokens, block, used, names, slots, arena):
    """The number of the path: a name below a name, from the block's place on."""
    path = block
    for step in range(4):
        prefix = ((OS + step) << KIND_SHIFT) | path
        path = name_of(
            text, tokens[2 * step], tokens[2 * step + 1], prefix, used, names, slots, arena
        )
        if path < 0:
            return FULL
    return path


@register_jitable
def add_histogram(cells, row, buckets, entries, begin, end):
    cells[row + ROW_SUBMISSIONS] += 1
    given = kinds = 0
    for entry in range(begin, end):
        index = entries[entry, 0]
        value = entries[entry, 2]
        if index < buckets:
            cells[row + ROW_COUNTS + index] += value
            continue
        index -= buckets
        given |= 1 << index
        if entries[entry, 1]:
            if value != _MINUS_ONE_BITS:
                kinds |= KIND_FLOAT << (KIND_BITS * index)
                add_double(cells, row, index, value)
        elif value != -1:
            kinds |= KIND_INT << (KIND_BITS * index)
            add_int(cells, row, index, value)
    for index in range(STATISTICS):
        # It is 0 where none is given, which is an int.
        kinds |= (1 - ((given >> index) & 1)) * KIND_INT << (KIND_BITS * index)
    cells[row + ROW_KINDS] |= kinds


@register_jitable
def add_measure(cells, row, value, bounds):
    cells[row + ROW_SUBMISSIONS] += 1
    if value >= 0:
        bucket = 0
        while bucket + 1 < SIMPLE_BUCKETS and bounds[bucket + 1] <= value:
            bucket += 1
        cells[row + ROW_COUNTS + bucket] += 1
    add_int(cells, row, 0, value)
    # The same function of the same library as Python's. The logarithm of an int is 0, or it has no
    # bits below 2**-53.
    log = math.log(float(abs(value)) + 1.0)
    cells[row + ROW_KINDS] |= KIND_INT | (KIND_FLOAT | KIND_FLOAT << KIND_BITS) << KIND_BITS
    mantissa = np.int64(log * 2.0**53)
    add_shifted(cells, row + ROW_SUMS + SUM_WORDS, mantissa, FRACTION_BITS - 53, False)
    square = log * log
    if square < _LARGE_SQUARE:
        mantissa, bits = np.int64(square * 2.0**54), 54
    else:
        mantissa, bits = np.int64(square * 2.0**44), 44
    add_shifted(cells, row + ROW_SUMS + 2 * SUM_WORDS, mantissa, FRACTION_BITS - bits, False)


@register_jitable
def has_room(histograms, measures, pending, used, cells, rows):
    """Whether all that a record may add fits, so that it is added whole or not at all."""
    words = measures * (ROW_COUNTS + SIMPLE_BUCKETS)
    for histogram in range(histograms):
        words += ROW_COUNTS + pending[histogram, 1] - STATISTICS
    is_row_left = used[USED_ROWS] + histograms + measures <= len(rows)
    return is_row_left and used[USED_WORDS] + words <= len(cells)


@register_jitable
def gather_record(
    text, place, size, block, stack, tokens, powers, bounds, pending, entries, simple,
    used, names, slots, arena, cells, rows, row_slots,
):  # fmt: skip
    """Add up the object at `place`; gives the place of its newline, UNSURE or FULL."""
    used[SERIAL] += 1
    histograms = measures = 0
    has_info = has_histograms = has_simple = False
    place = into_object(text, place)
    while place >= 0 and byte(text, place) == QUOTE:
        begin = place + 1
        end, place = name_and_value(text, place, size)
        if end < 0:
            return UNSURE
        is_object = byte(text, place) == OPEN_OBJECT
        if is_named(text, begin, end, b"histograms"):
            if has_histograms or not is_object:
                return UNSURE
            has_histograms = True
            place, histograms = scan_histograms(
                text, place, size, powers, pending, entries, used, names, slots, arena
            )
        elif is_named(text, begin, end, b"simpleMeasurements"):
            if has_simple or not is_object:
                return UNSURE
            has_simple = True
            place, measures = scan_simple(
                text, place, size, 1, SIMPLE << KIND_SHIFT, stack, simple, measures,
                used, names, slots, arena,
            )  # fmt: skip
        elif is_named(text, begin, end, b"info"):
            if has_info or not is_object:
                return UNSURE
            has_info = True
            place = scan_info(text, place, size, stack, tokens)
        else:
            place = skip_value(text, place, size, 1, stack)
        if place < 0:
            return place
        place = after_member(text, place)
    if place < 0 or not has_info or byte(text, place + 1) != NEWLINE:
        return UNSURE
    path = path_of(text, tokens, block, used, names, slots, arena)
    if path < 0 or not has_room(histograms, measures, pending, used, cells, rows):
        return FULL
    names[path, NAME_RECORDS] += 1
    for histogram in range(histograms):
        buckets = pending[histogram, 1] - STATISTICS
        row = row_of(path, pending[histogram, 0], buckets, used, cells, rows, row_slots)
        pending[histogram, PENDING_ROW] = row
        # Rows are in no cache by now; asked for beforehand they come together (8% of gathering).
        prefetch(cells, row + 8)
        prefetch(cells, row + 16)
        if pending[histogram, 2] < pending[histogram, 3]:
            prefetch(cells, row + ROW_COUNTS + entries[pending[histogram, 2], 0])
    for histogram in range(histograms):
        buckets = pending[histogram, 1] - STATISTICS
        row = pending[histogram, PENDING_ROW]
        add_histogram(cells, row, buckets, entries, pending[histogram, 2], pending[histogram, 3])
    for measure in range(measures):
        row = row_of(path, simple[measure, 0], SIMPLE_BUCKETS, used, cells, rows, row_slots)
        add_measure(cells, row, simple[measure, 1], bounds)
    return place + 1


@register_jitable
def gather(
    text, size, block, cursor, refused, stack, tokens, powers, bounds, pending, entries, simple,
    used, names, slots, arena, cells, rows, row_slots,
):  # fmt: skip
    """Add up lines until the text ends, `refused` is full, or a table is.

    A full table stops before the line that needs more; a line that needs more than all there is
    is refused.
    """
    place, line, written, taken = cursor[PLACE], cursor[LINES], 0, 0
    cursor[IS_FULL] = 0
    while place < size and written < len(refused):
        end = np.int64(UNSURE)
        start = find_tab(text, place) + 1
        if start > 0 and byte(text, start) == OPEN_OBJECT:
            is_empty = used[USED_NAMES] == 0
            end = gather_record(
                text, start, size, block, stack, tokens, powers, bounds, pending, entries, simple,
                used, names, slots, arena, cells, rows, row_slots,
            )  # fmt: skip
            if end == FULL and not is_empty:
                cursor[IS_FULL] = 1
                break
        if end >= 0:
            taken += 1
        else:
            end = find_newline(text, place, size)
            refused[written, 0] = line
            refused[written, 1] = place
            refused[written, 2] = end
            written += 1
        place = end + 1
        line += 1
    cursor[PLACE] = place
    cursor[LINES] = line
    cursor[WRITTEN] = written
    cursor[TAKEN] = taken
