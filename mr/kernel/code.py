"""The compiled code: a scanner of lines of JSON, and what it adds up on the way.

This is Python that numba compiles, and that only `building` (and tests) imports. The plain code,
`mr.validity` and `mr.histograms.extraction`, is the definition of what a record is and of what it
gives. Whatever the scanner does not fully understand it leaves to the plain code: escapes in names,
surrogates, exponents, long numbers, other types than expected, names that come twice, and all that
is no JSON. So it may say "sure" of good lines only.

Every text ends with a newline, which no token goes past: so a token is scanned without a look at
the end of the text. Only reads of whole words look.
"""

import math

import numpy as np
from numba.extending import register_jitable

from mr.kernel.layout import (
    DEPTH,
    FRACTION_BITS,
    HISTOGRAM,
    INNER,
    IS_FULL,
    IS_PLAIN,
    KIND_BITS,
    KIND_FLOAT,
    KIND_INT,
    KIND_SHIFT,
    LARGEST_COUNT,
    LIMB_BITS,
    LIMBS,
    LINE_BEGIN,
    LINE_END,
    LINE_JSON,
    LINE_MEMBER,
    LINE_MEMBERS,
    LINES,
    MOST_BUCKETS,
    MOST_DECIMALS,
    MOST_PROBES,
    NAME_BEGIN,
    NAME_END,
    NAME_HASH,
    NAME_LENGTH,
    NAME_OFFSET,
    NAME_PREFIX,
    NAME_RECORDS,
    NAME_SHIFT,
    NAME_STAMP,
    OS,
    PATH_SHIFT,
    PLACE,
    ROW_COUNTS,
    ROW_KEY,
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
    USED_ARENA,
    USED_NAMES,
    USED_ROWS,
    USED_WORDS,
    VALUE_BEGIN,
    VALUE_END,
    WRITTEN,
)

#: What a scan gives when a table is full.
FULL = -2

TAB, NEWLINE, SPACE, QUOTE, COMMA, MINUS, POINT, ZERO, NINE, COLON = b'\t\n ",-.09:'
OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT, BACKSLASH, SLASH = b"[]{}\\/"
LETTER_A, LETTER_B, LETTER_D, LETTER_E, LETTER_F, LETTER_L = b"abdefl"
LETTER_N, LETTER_R, LETTER_S, LETTER_T, LETTER_U, LETTER_Z, UNDERSCORE = b"nrstuz_"

#: Each byte of a word.
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2020202020202020)
_QUOTES = np.uint64(0x2222222222222222)
_BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)
#: Runs of empty buckets: eight with spaces are three words, four without are one.
_SPACED_0, _SPACED_1, _SPACED_2, _DENSE = (
    np.uint64(int.from_bytes(word, "little"))
    for word in (b"0, 0, 0,", b" 0, 0, 0", b", 0, 0, ", b"0,0,0,0,")
)
_SPACED_BYTES, _SPACED_NUMBERS = 24, 8
_WORD_BYTES, _DENSE_NUMBERS = 8, 4

_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_29 = np.uint64(29)

#: Digits that surely fit: of an int into int64, of a float's mantissa into uint64, of a simple
#: measure into a double.
_INT_DIGITS, _MANTISSA_DIGITS, _SIMPLE_DIGITS = 18, 19, 15
_LIMB_MASK = 0xFFFFFFFF
#: The kinds of statistics that floats took part in.
_ALL_FLOATS = 0b10_10_10_10_10
#: Doubles whose exponent field is from here up to there have no bit below 2**-FRACTION_BITS, and
#: are less than 2**64.
_LEAST_EXPONENT_FIELD = 1075 - FRACTION_BITS
_MOST_EXPONENT_FIELD = 1023 + 64
_MANTISSA_BITS = 52
_MINUS_ONE_BITS = -0x4010000000000000
#: A logarithm squared from here on has no bits below 2**-44, and below it fits 2**62 in 2**-54ths.
_LARGE_SQUARE = 256.0


# --- bytes and words ---


@register_jitable
def byte(text, place):
    """The byte at a place. An unsigned index is never taken to count from the end."""
    return text[np.uint64(place)]


@register_jitable
def word(text, place):
    """Eight bytes, the first one lowest; the compiler makes one load of it."""
    at = np.uint64(place)
    return (
        np.uint64(text[at])
        | np.uint64(text[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(text[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(text[at + np.uint64(3)]) << np.uint64(24)
        | np.uint64(text[at + np.uint64(4)]) << np.uint64(32)
        | np.uint64(text[at + np.uint64(5)]) << np.uint64(40)
        | np.uint64(text[at + np.uint64(6)]) << np.uint64(48)
        | np.uint64(text[at + np.uint64(7)]) << np.uint64(56)
    )


@register_jitable
def skip_spaces(text, place):
    while byte(text, place) == SPACE:
        place += 1
    return place


@register_jitable
def find_newline(text, place, size):
    while place + _WORD_BYTES <= size:
        found = word(text, place) ^ _NEWLINES
        if ((found - _ONES) & ~found & _HIGHS) != 0:
            break
        place += _WORD_BYTES
    while byte(text, place) != NEWLINE:
        place += 1
    return place


@register_jitable
def find_tab(text, place):
    """The first tab of a line; UNSURE where there is none, or an id that is not plain ASCII."""
    while True:
        found = byte(text, place)
        if found == TAB:
            return place
        if found == NEWLINE or found >= 0x80:
            return UNSURE
        place += 1


# --- tokens: each gives the place behind it, or UNSURE ---


@register_jitable
def is_digit(found):
    return found >= ZERO and found <= NINE


@register_jitable
def is_continued(text, place):
    return (byte(text, place) & 0xC0) == 0x80


@register_jitable
def skip_character(text, place):
    """One character of more than one byte (RFC 3629)."""
    first = byte(text, place)
    if first < 0xC2 or first > 0xF4 or not is_continued(text, place + 1):
        return UNSURE
    if first < 0xE0:
        return place + 2
    second = byte(text, place + 1)
    if not is_continued(text, place + 2):
        return UNSURE
    if first < 0xF0:
        if (first == 0xE0 and second < 0xA0) or (first == 0xED and second > 0x9F):
            return UNSURE
        return place + 3
    if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second > 0x8F):
        return UNSURE
    if not is_continued(text, place + 3):
        return UNSURE
    return place + 4


@register_jitable
def is_hex(found):
    return is_digit(found) or ((found | 0x20) >= LETTER_A and (found | 0x20) <= LETTER_F)


@register_jitable
def skip_escape(text, place):
    """A backslash and what it escapes; UNSURE for a surrogate."""
    escaped = byte(text, place + 1)
    if (
        escaped == QUOTE
        or escaped == BACKSLASH
        or escaped == SLASH
        or escaped == LETTER_B
        or escaped == LETTER_F
        or escaped == LETTER_N
        or escaped == LETTER_R
        or escaped == LETTER_T
    ):
        return place + 2
    if escaped != LETTER_U:
        return UNSURE
    for digit in range(2, 6):
        if not is_hex(byte(text, place + digit)):
            return UNSURE
    is_d = (byte(text, place + 2) | 0x20) == LETTER_D
    third = byte(text, place + 3)
    if is_d and (third >= ZERO + 8):  # d8 to df, digits before letters
        return UNSURE
    return place + 6


@register_jitable
def skip_string(text, place, size):
    """A string, from behind its opening quote to behind its closing one."""
    while True:
        while place + _WORD_BYTES <= size:
            found = word(text, place)
            quotes, backslashes = found ^ _QUOTES, found ^ _BACKSLASHES
            # Exact as to whether any byte is none of the plain ones, which is all that is asked.
            others = (
                found
                | ((found - _SPACES) & ~found)
                | ((quotes - _ONES) & ~quotes)
                | ((backslashes - _ONES) & ~backslashes)
            )
            if (others & _HIGHS) != 0:
                break
            place += _WORD_BYTES
        found = byte(text, place)
        while found >= 0x20 and found < 0x80 and found != QUOTE and found != BACKSLASH:
            place += 1
            found = byte(text, place)
        if found == QUOTE:
            return place + 1
        if found == BACKSLASH:
            place = skip_escape(text, place)
        elif found >= 0x80:
            place = skip_character(text, place)
        else:
            return UNSURE
        if place < 0:
            return UNSURE


@register_jitable
def skip_name(text, place):
    """A name without escapes, from behind its opening quote to its closing one."""
    while True:
        found = byte(text, place)
        if found == QUOTE:
            return place
        if found == BACKSLASH or found < 0x20:
            return UNSURE
        if found < 0x80:
            place += 1
            continue
        place = skip_character(text, place)
        if place < 0:
            return UNSURE


@register_jitable
def skip_number(text, place):
    """A number that surely has a double: of few digits, without an exponent or with a small one."""
    start = place
    if byte(text, place) == MINUS:
        place += 1
    if byte(text, place) == ZERO:
        place += 1
    elif is_digit(byte(text, place)):
        while is_digit(byte(text, place)):
            place += 1
    else:
        return UNSURE
    if byte(text, place) == POINT:
        place += 1
        if not is_digit(byte(text, place)):
            return UNSURE
        while is_digit(byte(text, place)):
            place += 1
    if place - start > 100:
        return UNSURE
    if (byte(text, place) | 0x20) == LETTER_E:
        place += 1
        if byte(text, place) == MINUS or byte(text, place) == ord("+"):
            place += 1
        digits = place
        while is_digit(byte(text, place)):
            place += 1
        if place == digits or place > digits + 2:
            return UNSURE
    return place


@register_jitable
def skip_constant(text, place):
    """true, false or null."""
    first = byte(text, place)
    if first == LETTER_T:
        is_true = byte(text, place + 1) == LETTER_R and byte(text, place + 2) == LETTER_U
        return place + 4 if is_true and byte(text, place + 3) == LETTER_E else UNSURE
    if first == LETTER_N:
        is_null = byte(text, place + 1) == LETTER_U and byte(text, place + 2) == LETTER_L
        return place + 4 if is_null and byte(text, place + 3) == LETTER_L else UNSURE
    if first != LETTER_F:
        return UNSURE
    is_false = byte(text, place + 1) == LETTER_A and byte(text, place + 2) == LETTER_L
    is_false = is_false and byte(text, place + 3) == LETTER_S
    return place + 5 if is_false and byte(text, place + 4) == LETTER_E else UNSURE


@register_jitable
def empty_buckets(text, place, size):
    """How many bytes of a run of zeros stand here, three for each number."""
    start = place
    while (
        place + _SPACED_BYTES <= size
        and word(text, place) == _SPACED_0
        and word(text, place + _WORD_BYTES) == _SPACED_1
        and word(text, place + 2 * _WORD_BYTES) == _SPACED_2
    ):
        place += _SPACED_BYTES
    return place - start


@register_jitable
def to_member(text, place, size):
    """From behind a name's opening quote to its member's value."""
    place = skip_string(text, place, size)
    if place < 0:
        return UNSURE
    place = skip_spaces(text, place)
    return skip_spaces(text, place + 1) if byte(text, place) == COLON else UNSURE


@register_jitable
def skip_value(text, place, size, depth, stack):
    """A value of any kind, which stands in `depth` objects and arrays."""
    outside = depth
    while True:
        first = byte(text, place)
        is_closed = True
        if first == QUOTE:
            place = skip_string(text, place + 1, size)
        elif first == OPEN_OBJECT:
            if depth == DEPTH:
                return UNSURE
            place = skip_spaces(text, place + 1)
            if byte(text, place) == CLOSE_OBJECT:
                place += 1
            elif byte(text, place) == QUOTE:
                stack[depth] = OPEN_OBJECT
                depth += 1
                place = to_member(text, place + 1, size)
                is_closed = False
            else:
                return UNSURE
        elif first == OPEN_ARRAY:
            if depth == DEPTH:
                return UNSURE
            place = skip_spaces(text, place + 1)
            if byte(text, place) == CLOSE_ARRAY:
                place += 1
            else:
                stack[depth] = OPEN_ARRAY
                depth += 1
                is_closed = False
        elif is_digit(first) or first == MINUS:
            place = skip_number(text, place)
        else:
            place = skip_constant(text, place)
        if place < 0:
            return UNSURE
        if not is_closed:
            if stack[depth - 1] == OPEN_ARRAY:
                place += empty_buckets(text, place, size)
            continue
        while True:
            if depth == outside:
                return place
            place = skip_spaces(text, place)
            after = byte(text, place)
            is_in_array = stack[depth - 1] == OPEN_ARRAY
            if after == COMMA:
                place = skip_spaces(text, place + 1)
                if is_in_array:
                    place += empty_buckets(text, place, size)
                elif byte(text, place) != QUOTE:
                    return UNSURE
                else:
                    place = to_member(text, place + 1, size)
                    if place < 0:
                        return UNSURE
                break
            if after != (CLOSE_ARRAY if is_in_array else CLOSE_OBJECT):
                return UNSURE
            place += 1
            depth -= 1


# --- members of objects whose names matter ---


@register_jitable
def into_object(text, place):
    """From an object's brace to the quote of its first name, or to its closing brace; or UNSURE."""
    place = skip_spaces(text, place + 1)
    found = byte(text, place)
    return place if found == QUOTE or found == CLOSE_OBJECT else UNSURE


@register_jitable
def name_and_value(text, place):
    """From the quote of a name: where the name ends, and where the value begins; or UNSURE, twice.

    A name with escapes is not sure.
    """
    end = skip_name(text, place + 1)
    if end < 0:
        return UNSURE, UNSURE
    value = skip_spaces(text, end + 1)
    if byte(text, value) != COLON:
        return UNSURE, UNSURE
    return end, skip_spaces(text, value + 1)


@register_jitable
def after_member(text, place):
    """From behind a value to the quote of the next name, or to the closing brace; or UNSURE."""
    place = skip_spaces(text, place)
    found = byte(text, place)
    if found == CLOSE_OBJECT:
        return place
    if found != COMMA:
        return UNSURE
    place = skip_spaces(text, place + 1)
    return place if byte(text, place) == QUOTE else UNSURE


# --- skimming: which lines are surely good, and where the members of their objects stand ---


@register_jitable
def skim_members(text, place, size, stack, members, written):
    """Write the members of the object at `place`; gives how many, UNSURE or FULL.

    The object is followed by a newline.
    """
    first = written
    place = into_object(text, place)
    while place >= 0 and byte(text, place) == QUOTE:
        if written == len(members):
            return FULL
        members[written, NAME_BEGIN] = place + 1
        end, value = name_and_value(text, place)
        if end < 0:
            return UNSURE
        place = skip_value(text, value, size, 1, stack)
        if place < 0:
            return UNSURE
        members[written, NAME_END] = end
        members[written, VALUE_BEGIN] = value
        members[written, VALUE_END] = place
        written += 1
        place = after_member(text, place)
    is_whole = place >= 0 and byte(text, place + 1) == NEWLINE
    return written - first if is_whole else UNSURE


@register_jitable
def skim(text, size, lines, members, stack, cursor):
    """Skim lines until the text ends, or `lines` or `members` are full.

    `cursor` says where to go on; a line with more members than there is room for is not sure.
    """
    place, line, written = cursor[PLACE], 0, 0
    while place < size and line < len(lines):
        found = UNSURE
        start = find_tab(text, place) + 1
        if start > 0 and byte(text, start) == OPEN_OBJECT:
            found = skim_members(text, start, size, stack, members, written)
            if found == FULL:
                if written:
                    break
                found = UNSURE
        lines[line, LINE_BEGIN] = place
        lines[line, LINE_JSON] = start
        lines[line, LINE_MEMBER] = written
        lines[line, LINE_MEMBERS] = found
        if found > 0:
            written += found
            # Behind the last value there are only spaces, the brace and the newline.
            place = find_newline(text, members[written - 1, VALUE_END], size)
        else:
            place = find_newline(text, place, size)
        lines[line, LINE_END] = place
        place += 1
        line += 1
    cursor[PLACE] = place
    cursor[LINES] = line
    cursor[WRITTEN] = written


# --- numbers ---


@register_jitable
def high_product(a, b):
    """The upper 64 bits of the product of two uint64."""
    a_low, a_high = a & _LOW_HALF, a >> _32
    b_low, b_high = b & _LOW_HALF, b >> _32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _32)
    other = a_low * b_high + (middle & _LOW_HALF)
    return a_high * b_high + (middle >> _32) + (other >> _32)


@register_jitable
def double_bits(mantissa, decimals, powers):
    """The bits of the double nearest to mantissa / 10**decimals, for a mantissa that is not 0.

    Lemire's algorithm ("Number Parsing at a Gigabyte per Second", 2021). With so few decimals it
    needs no other to fall back on, and no result is subnormal.
    """
    shift = 0
    normal = mantissa
    for step in (32, 16, 8, 4, 2, 1):
        if (normal >> np.uint64(64 - step)) == 0:
            normal = normal << np.uint64(step)
            shift += step
    high = high_product(normal, powers[decimals, 0])
    low = normal * powers[decimals, 0]
    if (high & np.uint64(0x1FF)) == np.uint64(0x1FF):
        more = high_product(normal, powers[decimals, 1])
        low = low + more
        if more > low:
            high = high + np.uint64(1)
    upper = high >> np.uint64(63)
    down = upper + np.uint64(9)
    bits = high >> down
    if (
        low <= np.uint64(1)
        and decimals <= 4
        and (bits & np.uint64(3)) == np.uint64(1)
        and (bits << down) == high
    ):
        bits = bits & ~np.uint64(1)  # halfway between two doubles: to the even one
    bits = (bits + (bits & np.uint64(1))) >> np.uint64(1)
    exponent = ((217706 * -decimals) >> 16) + 63 + np.int64(upper) - shift + 1023
    if bits >= np.uint64(1 << 53):
        bits = np.uint64(1 << 52)
        exponent += 1
    return np.int64(bits & np.uint64((1 << 52) - 1)) | (exponent << _MANTISSA_BITS)


# --- names ---


@register_jitable
def hash_of(text, begin, end, prefix):
    value = np.uint64(prefix) * _HASH_FACTOR
    place = begin
    while place + _WORD_BYTES <= end:
        value = (value ^ word(text, place)) * _HASH_FACTOR
        value = value ^ (value >> _29)
        place += _WORD_BYTES
    rest = np.uint64(end - begin)
    while place < end:
        rest = (rest << np.uint64(8)) | np.uint64(byte(text, place))
        place += 1
    value = (value ^ rest) * _HASH_FACTOR
    return value ^ (value >> _32)


@register_jitable
def is_same(text, begin, arena, offset, length):
    for at in range(length):
        if byte(text, begin + at) != byte(arena, offset + at):
            return False
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
def mark(cells, row, index, kind):
    cells[row + ROW_KINDS] |= kind << (KIND_BITS * index)


@register_jitable
def add_int(cells, row, index, value):
    mark(cells, row, index, KIND_INT)
    total = row + ROW_SUMS + SUM_WORDS * index
    add_shifted(cells, total, abs(value), FRACTION_BITS, value < 0)


@register_jitable
def add_double(cells, row, index, bits):
    mark(cells, row, index, KIND_FLOAT)
    field = (bits >> _MANTISSA_BITS) & 0x7FF
    if field == 0:  # zero: there are no subnormal ones
        return
    mantissa = (bits & ((1 << _MANTISSA_BITS) - 1)) | (1 << _MANTISSA_BITS)
    total = row + ROW_SUMS + SUM_WORDS * index
    add_shifted(cells, total, mantissa, field - _LEAST_EXPONENT_FIELD, bits < 0)


# --- gathering: histograms and simple measures, added up ---


@register_jitable
def scan_numbers(text, place, size, powers, entries, first):
    """The numbers of an array, from behind its bracket to behind the closing one.

    Gives (place, numbers, entries so far); the place is UNSURE for what is no histogram.
    """
    index = 0
    written = first
    place = skip_spaces(text, place)
    while True:
        zeros = empty_buckets(text, place, size)
        place += zeros
        index += zeros // (_SPACED_BYTES // _SPACED_NUMBERS)
        while place + _WORD_BYTES <= size and word(text, place) == _DENSE:
            place += _WORD_BYTES
            index += _DENSE_NUMBERS
        found = byte(text, place)
        if found == ZERO and byte(text, place + 1) == COMMA and byte(text, place + 2) == SPACE:
            place = skip_spaces(text, place + 3)
            index += 1
            continue
        is_negative = found == MINUS
        if is_negative:
            place += 1
            found = byte(text, place)
        if not is_digit(found):
            return UNSURE, index, written
        mantissa = np.uint64(found - ZERO)
        place += 1
        digits = 1
        if found == ZERO:
            digits = 0
        else:
            while is_digit(byte(text, place)):
                mantissa = mantissa * np.uint64(10) + np.uint64(byte(text, place) - ZERO)
                digits += 1
                place += 1
            if digits > _INT_DIGITS:
                return UNSURE, index, written
        is_float = byte(text, place) == POINT
        bits = np.int64(mantissa)
        if is_float:
            place += 1
            start = place
            while is_digit(byte(text, place)):
                mantissa = mantissa * np.uint64(10) + np.uint64(byte(text, place) - ZERO)
                if mantissa != 0:
                    digits += 1
                place += 1
            decimals = place - start
            if decimals == 0 or decimals > MOST_DECIMALS or digits > _MANTISSA_DIGITS:
                return UNSURE, index, written
            bits = 0
            if mantissa != 0:
                bits = double_bits(mantissa, decimals, powers)
                field = bits >> _MANTISSA_BITS
                if field < _LEAST_EXPONENT_FIELD or field >= _MOST_EXPONENT_FIELD:
                    return UNSURE, index, written
            if is_negative:
                bits |= np.int64(-1) << 63
        elif is_negative:
            bits = -bits
        if is_float or bits != 0:
            if written == len(entries):
                return UNSURE, index, written
            entries[written, 0] = index
            entries[written, 1] = is_float
            entries[written, 2] = bits
            written += 1
        index += 1
        if byte(text, place) != COMMA:
            place = skip_spaces(text, place)
        found = byte(text, place)
        if found == CLOSE_ARRAY:
            break
        if found != COMMA:
            return UNSURE, index, written
        place = skip_spaces(text, place + 1)
    if index <= STATISTICS or index - STATISTICS > MOST_BUCKETS:
        return UNSURE, index, written
    for entry in range(first, written):
        if entries[entry, 0] < index - STATISTICS:
            count = entries[entry, 2]
            if entries[entry, 1] or count > LARGEST_COUNT or count < -LARGEST_COUNT:
                return UNSURE, index, written
    return place + 1, index, written


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
        end, place = name_and_value(text, place)
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
        end, place = name_and_value(text, place)
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
        end, value = name_and_value(text, place)
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
    given = 0
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
                add_double(cells, row, index, value)
        elif value != -1:
            add_int(cells, row, index, value)
    for index in range(STATISTICS):
        if not (given >> index) & 1:
            mark(cells, row, index, KIND_INT)  # it is 0


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
    mark(cells, row, 1, KIND_FLOAT)
    mantissa = np.int64(log * 2.0**53)
    add_shifted(cells, row + ROW_SUMS + SUM_WORDS, mantissa, FRACTION_BITS - 53, False)
    square = log * log
    mark(cells, row, 2, KIND_FLOAT)
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
        end, place = name_and_value(text, place)
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
