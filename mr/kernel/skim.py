"""Skimming: which lines are surely good, and where the members of their objects stand."""

from numba.extending import register_jitable

from mr.kernel.layout import (
    FULL,
    LINE_BEGIN,
    LINE_END,
    LINE_JSON,
    LINE_MEMBER,
    LINE_MEMBERS,
    LINES,
    NAME_BEGIN,
    NAME_END,
    PLACE,
    UNSURE,
    VALUE_BEGIN,
    VALUE_END,
    WRITTEN,
)
from mr.kernel.tokens import (
    NEWLINE,
    OPEN_OBJECT,
    QUOTE,
    after_member,
    byte,
    find_newline,
    find_tab,
    into_object,
    name_and_value,
    skip_value,
)


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
        end, value = name_and_value(text, place, size)
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
