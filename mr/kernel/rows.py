"""Tables: names, and the rows that things are added up in; rows as what of them is not 0."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, register_jitable
from numba.np.arrayobj import make_array

from mr.kernel.layout import (
    FULL,
    KIND_SHIFT,
    LIMB_BITS,
    LIMBS,
    MOST_PROBES,
    NAME_HASH,
    NAME_LENGTH,
    NAME_OFFSET,
    NAME_PREFIX,
    NAME_RECORDS,
    NAME_SHIFT,
    NAME_STAMP,
    OS,
    PATH_SHIFT,
    ROW_COUNTS,
    ROW_KEY,
    ROW_KINDS,
    ROW_SUBMISSIONS,
    ROW_SUMS,
    SUM_WORDS,
    USED_ARENA,
    USED_NAMES,
    USED_ROWS,
    USED_WORDS,
)
from mr.kernel.numbers import (
    LEAST_EXPONENT_FIELD,
    MANTISSA_BITS,
)
from mr.kernel.tokens import (
    LETTER_A,
    LETTER_Z,
    MINUS,
    POINT,
    UNDERSCORE,
    WORD_BYTES,
    byte,
    is_digit,
    word,
)

_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_29, _32 = np.uint64(29), np.uint64(32)
_LIMB_MASK = 0xFFFFFFFF
#: The kinds of statistics that floats took part in.
_ALL_FLOATS = 0b10_10_10_10_10


# --- names ---


@register_jitable
def hash_of(text, begin, end, prefix):
    value = np.uint64(prefix) * _HASH_FACTOR
    place = begin
    while place + WORD_BYTES <= end:
        value = (value ^ word(text, place)) * _HASH_FACTOR
        value = value ^ (value >> _29)
        place += WORD_BYTES
    rest = np.uint64(end - begin)
    if place > begin and place < end:  # the last word, of which some bytes were looked at
        rest += word(text, end - WORD_BYTES)
        place = end
    while place < end:
        rest = (rest << np.uint64(8)) | np.uint64(byte(text, place))
        place += 1
    value = (value ^ rest) * _HASH_FACTOR
    return value ^ (value >> _32)


@register_jitable
def is_same(text, begin, arena, offset, length):
    at = 0
    while at + WORD_BYTES <= length:
        if word(text, begin + at) != word(arena, offset + at):
            return False
        at += WORD_BYTES
    if length > WORD_BYTES:  # the last word, of which some bytes were compared
        return word(text, begin + length - WORD_BYTES) == word(arena, offset + length - WORD_BYTES)
    while at < length:
        if byte(text, begin + at) != byte(arena, offset + at):
            return False
        at += 1
    return True


@register_jitable
def name_of(text, begin, end, prefix, used, names, slots, arena):
    """The number of a name, which is added when it is new; FULL when there is no room."""
    hashed = hash_of(text, begin, end, prefix)
    mask = np.uint64(len(slots) - 1)
    slot = hashed & mask
    signed = np.int64(hashed)
    length = end - begin
    probes = 0
    while slots[slot] >= 0:
        name = np.int64(slots[slot])
        probes += 1
        if probes > MOST_PROBES:
            return FULL
        if (
            names[name, NAME_HASH] == signed
            and names[name, NAME_PREFIX] == prefix
            and names[name, NAME_LENGTH] == length
            and is_same(text, begin, arena, names[name, NAME_OFFSET], length)
        ):
            return name
        slot = (slot + np.uint64(1)) & mask
    name = used[USED_NAMES]
    offset = used[USED_ARENA]
    if name == len(names) or offset + length > len(arena):
        return FULL
    for at in range(length):
        arena[offset + at] = byte(text, begin + at)
    names[name, NAME_PREFIX] = prefix
    names[name, NAME_OFFSET] = offset
    names[name, NAME_LENGTH] = length
    names[name, NAME_HASH] = signed
    names[name, NAME_STAMP] = 0
    names[name, NAME_RECORDS] = 0 if prefix >> KIND_SHIFT >= OS else is_plain(text, begin, end)
    slots[slot] = name
    used[USED_NAMES] = name + 1
    used[USED_ARENA] = offset + length
    return name


@register_jitable
def is_plain(text, begin, end):
    """Whether a measure may have this name, or part of one: A-Z a-z 0-9 _ . - only."""
    for place in range(begin, end):
        found = byte(text, place)
        is_letter = (found | 0x20) >= LETTER_A and (found | 0x20) <= LETTER_Z
        is_mark = found == UNDERSCORE or found == POINT or found == MINUS
        if not (is_letter or is_digit(found) or is_mark):
            return 0
    return 1


@register_jitable
def is_named(text, begin, end, name):
    if end - begin != len(name):
        return False
    for at in range(len(name)):
        if byte(text, begin + at) != name[at]:
            return False
    return True


# --- rows ---


@intrinsic
def prefetch(context, array, place):
    """Have the processor fetch what stands at a place of an array; it changes nothing."""

    def generate(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        # To be written, to be kept in every cache, and data.
        builder.call(function, [pointer, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, place), generate


@register_jitable
def row_of(path, name, buckets, used, cells, rows, row_slots):
    """Where a row begins in `cells`; it is made when it is new, and there is room for it."""
    mask = np.uint64(len(row_slots) - 1)
    key = (path << PATH_SHIFT) | (name << NAME_SHIFT) | buckets
    hashed = np.uint64(key) * _HASH_FACTOR
    slot = (hashed ^ (hashed >> _32)) & mask
    while row_slots[slot] >= 0:
        begin = np.int64(row_slots[slot])
        if cells[begin + ROW_KEY] == key:
            return begin
        slot = (slot + np.uint64(1)) & mask
    begin = used[USED_WORDS]
    rows[used[USED_ROWS]] = begin
    row_slots[slot] = begin
    used[USED_ROWS] += 1
    used[USED_WORDS] = begin + ROW_COUNTS + buckets
    for at in range(ROW_COUNTS + buckets):
        cells[begin + at] = 0
    cells[begin + ROW_KEY] = key
    return begin


@register_jitable
def add_shifted(cells, total, magnitude, shift, is_negative):
    """Add a magnitude below 2**63, shifted by less than 128 bits, to a sum of three words."""
    at = total + (shift >> 6)
    down = np.uint64(shift & 63)
    value = np.uint64(magnitude)
    low = value << down
    high = (value >> np.uint64(1)) >> (np.uint64(63) - down)
    old = np.uint64(cells[at])
    if is_negative:
        new = old - low
        over = np.uint64(new > old)
    else:
        new = old + low
        over = np.uint64(new < old)
    cells[at] = np.int64(new)
    high += over  # no overflow: the magnitude's highest bit is 0
    old = np.uint64(cells[at + 1])
    if is_negative:
        new = old - high
        cells[at + 1] = np.int64(new)
        if at == total and new > old:
            cells[at + 2] -= 1
    else:
        new = old + high
        cells[at + 1] = np.int64(new)
        if at == total and new < old:
            cells[at + 2] += 1


@register_jitable
def add_int(cells, row, index, value):
    """Add an int to a sum, whose lowest 96 bits are a fraction."""
    at = row + ROW_SUMS + SUM_WORDS * index + 1
    old = np.uint64(cells[at])
    new = old + (np.uint64(value) << _32)
    cells[at] = np.int64(new)
    cells[at + 1] += (value >> 32) + np.int64(new < old)


@register_jitable
def add_double(cells, row, index, bits):
    """Add a double to a sum; its bits are not those of infinity or of what is no number."""
    field = (bits >> MANTISSA_BITS) & 0x7FF
    if field == 0:  # zero: there are no subnormal ones
        return
    mantissa = (bits & ((1 << MANTISSA_BITS) - 1)) | (1 << MANTISSA_BITS)
    total = row + ROW_SUMS + SUM_WORDS * index
    add_shifted(cells, total, mantissa, field - LEAST_EXPONENT_FIELD, bits < 0)


# --- spilling: rows as what of them is not 0 ---


@register_jitable
def spill(cells, starts, buckets, rows, columns, numbers, kinds):
    """Write the numbers of rows that are not 0, row by row; gives how many they are.

    A row's columns are its submissions, its limbs, its counts; a sum that a float took part in is
    one of floats.
    """
    written = 0
    for row in range(len(starts)):
        begin = starts[row]
        rows[written] = row
        columns[written] = 0
        numbers[written] = cells[begin + ROW_SUBMISSIONS]
        written += 1
        kind = cells[begin + ROW_KINDS]
        kinds[row] = kind & ~((kind & _ALL_FLOATS) >> 1)
        column = 1
        for at in range(begin + ROW_SUMS, begin + ROW_COUNTS):
            if cells[at] != 0:
                is_top = (column - 1) % LIMBS == LIMBS - 2
                high = cells[at] >> LIMB_BITS
                if not is_top:
                    high &= _LIMB_MASK
                low = cells[at] & _LIMB_MASK
                if low != 0:
                    rows[written] = row
                    columns[written] = column
                    numbers[written] = low
                    written += 1
                if high != 0:
                    rows[written] = row
                    columns[written] = column + 1
                    numbers[written] = high
                    written += 1
            column += 2
        for count in range(begin + ROW_COUNTS, begin + ROW_COUNTS + buckets[row]):
            if cells[count] != 0:
                rows[written] = row
                columns[written] = column
                numbers[written] = cells[count]
                written += 1
            column += 1
    return written
