"""Bytes, words and tokens: each function gives the place behind what it knows, or UNSURE.

Every text ends with a newline, which no token goes past: so a token is scanned without a look at
the end of the text. Only reads of whole words look.
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import register_jitable

from mr.kernel.layout import (
    DEPTH,
    UNSURE,
)

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
ZEROS = np.uint64(0x3030303030303030)
#: Added to a byte that is at most 9 it leaves the highest bit 0, to any other of ASCII not.
_TO_HIGH = np.uint64(0x7676767676767676)
_3, _8 = np.uint64(3), np.uint64(8)
#: Runs of empty buckets: eight with spaces are three words, four without are one.
SPACED_0, SPACED_1, SPACED_2, DENSE = (
    np.uint64(int.from_bytes(word, "little"))
    for word in (b"0, 0, 0,", b" 0, 0, 0", b", 0, 0, ", b"0,0,0,0,")
)
SPACED_BYTES, SPACED_NUMBERS = 24, 8
WORD_BYTES, DENSE_NUMBERS = 8, 4
#: Digits that fit into a word together with what comes behind them.
SHORT_DIGITS = 6


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
    while place + WORD_BYTES <= size:
        found = word(text, place) ^ _NEWLINES
        if ((found - _ONES) & ~found & _HIGHS) != 0:
            break
        place += WORD_BYTES
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
def skip_plain(text, place, size):
    """To the next byte that is no plain one of a string: a quote, a backslash, or not ASCII text.

    Or to fewer than eight bytes before the end of the text.
    """
    while place + WORD_BYTES <= size:
        found = word(text, place)
        quotes, backslashes = found ^ _QUOTES, found ^ _BACKSLASHES
        # Above the first byte that is not plain others may seem not to be; none below it does.
        others = (
            found
            | ((found - _SPACES) & ~found)
            | ((quotes - _ONES) & ~quotes)
            | ((backslashes - _ONES) & ~backslashes)
        ) & _HIGHS
        if others != 0:
            return place + np.int64(trailing_zeros(others) >> _3)
        place += WORD_BYTES
    return place


@register_jitable
def skip_string(text, place, size):
    """A string, from behind its opening quote to behind its closing one."""
    while True:
        place = skip_plain(text, place, size)
        found = byte(text, place)
        if found == QUOTE:
            return place + 1
        if found == BACKSLASH:
            place = skip_escape(text, place)
        elif found >= 0x80:
            place = skip_character(text, place)
        elif found >= 0x20:
            place += 1
        else:
            return UNSURE
        if place < 0:
            return UNSURE


@register_jitable
def skip_name(text, place, size):
    """A name without escapes, from behind its opening quote to its closing one."""
    while True:
        place = skip_plain(text, place, size)
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
        place + SPACED_BYTES <= size
        and word(text, place) == SPACED_0
        and word(text, place + WORD_BYTES) == SPACED_1
        and word(text, place + 2 * WORD_BYTES) == SPACED_2
    ):
        place += SPACED_BYTES
    return place - start


@register_jitable
def digits_of(found):
    """How many of a word's bytes, from the first on, are digits."""
    others = found ^ ZEROS
    # Above the first byte that is no digit others may seem to be none; all below it are.
    others = (others + _TO_HIGH | others) & _HIGHS
    return np.int64(trailing_zeros(others) >> _3)


@register_jitable
def short_number(found, digits):
    """Bytes of a short natural number with so many digits and the comma behind it, or 0.

    `found` is the word that begins with it. A space behind the comma belongs to it.
    """
    behind = found >> (np.uint64(digits) * _8 & np.uint64(63))
    is_number = digits == 1 or (found & np.uint64(0xFF)) != ZERO
    is_short = digits > 0 and digits <= SHORT_DIGITS and (behind & np.uint64(0xFF)) == COMMA
    if not (is_short and is_number):
        return 0
    return digits + 1 + np.int64((behind >> _8 & np.uint64(0xFF)) == SPACE)


@register_jitable
def skip_numbers(text, place, size):
    """Short natural numbers with the commas behind them, as many as stand here."""
    while place + WORD_BYTES <= size:
        place += empty_buckets(text, place, size)
        if place + WORD_BYTES > size:
            break
        found = word(text, place)
        length = short_number(found, digits_of(found))
        if length == 0:
            break
        place += length
    return skip_spaces(text, place)


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
                place = skip_numbers(text, place, size)
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
                    place = skip_numbers(text, place, size)
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
def name_and_value(text, place, size):
    """From the quote of a name: where the name ends, and where the value begins; or UNSURE, twice.

    A name with escapes is not sure.
    """
    end = skip_name(text, place + 1, size)
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
