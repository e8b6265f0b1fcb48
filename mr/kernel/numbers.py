"""Numbers: from digits to ints and to the bits of doubles, and the arrays that histograms are."""

import numpy as np
from numba.cpython.unsafe.numbers import leading_zeros
from numba.extending import register_jitable

from mr.kernel.layout import (
    FRACTION_BITS,
    LARGEST_COUNT,
    MOST_BUCKETS,
    MOST_DECIMALS,
    STATISTICS,
    UNSURE,
)
from mr.kernel.tokens import (
    CLOSE_ARRAY,
    COMMA,
    DENSE,
    DENSE_NUMBERS,
    MINUS,
    POINT,
    SPACED_BYTES,
    SPACED_NUMBERS,
    WORD_BYTES,
    ZERO,
    ZEROS,
    byte,
    digits_of,
    empty_buckets,
    is_digit,
    short_number,
    skip_spaces,
    word,
)

_LOW_HALF = np.uint64(0xFFFFFFFF)
_8, _16, _32 = np.uint64(8), np.uint64(16), np.uint64(32)
#: Digits that surely fit: of an int into int64, of a float's mantissa into uint64.
_INT_DIGITS, _MANTISSA_DIGITS = 18, 19
#: Doubles whose exponent field is from here up to there have no bit below 2**-FRACTION_BITS, and
#: are less than 2**64.
LEAST_EXPONENT_FIELD = 1075 - FRACTION_BITS
_MOST_EXPONENT_FIELD = 1023 + 64
MANTISSA_BITS = 52


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
    shift = np.int64(leading_zeros(mantissa))
    normal = mantissa << np.uint64(shift)
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
    return np.int64(bits & np.uint64((1 << 52) - 1)) | (exponent << MANTISSA_BITS)


@register_jitable
def value_of(found, digits):
    """The number that a word begins with, of so many digits (1 to 8).

    Digits are added up in pairs, then pairs, then fours: three multiplications.
    """
    value = (found ^ ZEROS) << (np.uint64(WORD_BYTES - digits) * _8)
    value = (value * np.uint64(10 << 8 | 1)) >> _8 & np.uint64(0x00FF00FF00FF00FF)
    value = (value * np.uint64(100 << 16 | 1)) >> _16 & np.uint64(0x0000FFFF0000FFFF)
    return (value * np.uint64(10_000 << 32 | 1)) >> _32


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
        index += zeros // (SPACED_BYTES // SPACED_NUMBERS)
        while place + WORD_BYTES <= size and word(text, place) == DENSE:
            place += WORD_BYTES
            index += DENSE_NUMBERS
        if place + WORD_BYTES <= size and written < len(entries):
            first_word = word(text, place)
            digits = digits_of(first_word)
            length = short_number(first_word, digits)
            if length > 0:
                value = value_of(first_word, digits)
                entries[written, 0] = index
                entries[written, 1] = 0
                entries[written, 2] = value
                written += value != 0
                index += 1
                place += length
                continue
        place = skip_spaces(text, place)
        found = byte(text, place)
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
            while mantissa != 0 and place + WORD_BYTES <= size:
                eight = word(text, place)
                if digits_of(eight) < WORD_BYTES:
                    break
                mantissa = mantissa * np.uint64(10**WORD_BYTES) + value_of(eight, WORD_BYTES)
                digits += WORD_BYTES
                place += WORD_BYTES
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
                field = bits >> MANTISSA_BITS
                if field < LEAST_EXPONENT_FIELD or field >= _MOST_EXPONENT_FIELD:
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
