"""The numbers of definition files: ints, text of ints, and arithmetic such as `4 * 1024 * 1024`.

An expression is read as Python reads it, and then only what is listed here is calculated: whole
numbers, `+ - * / // ** <<` and parentheses. `/` and `//` are the same division, rounded down. Text
of any other kind, a C++ constant for example, has no value here. Nothing is ever executed.
"""

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

#: Characters of the longest expression; also a limit to how deep parentheses can nest.
MOST_CHARACTERS = 100
#: Every number on the way to the result has at most so many bits.
MOST_BITS = 63

#: What an expression can consist of. The letters are those of hexadecimal numbers, so that no word
#: of Python's passes.
_EXPRESSION = re.compile(r"[0-9a-fA-FxX\s+*/<()-]+")
_NAME = re.compile(r"[A-Za-z_]\w*(::\w+)*")

_OPERATORS: dict[type[ast.AST], Callable[..., int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def whole_number(value: Any) -> int:
    """The number that a value of a definition file stands for.

    Raises ValueError, whose text says what the value is instead ("is 'A::B', a name ...").
    """
    if type(value) is int:
        return _bounded(value)
    if type(value) is float and value.is_integer():
        return _bounded(int(value))
    if type(value) is not str:
        raise ValueError("is no whole number")
    text = value.strip()
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"has more than {MOST_CHARACTERS} characters")
    try:
        if not _EXPRESSION.fullmatch(text):
            raise _NotArithmetic
        return _value(ast.parse(text, mode="eval").body)
    except (_NotArithmetic, SyntaxError):
        if name := _NAME.search(text):
            raise ValueError(f"is {text!r}, and {name[0]} has no value here") from None
        raise ValueError(f"is {text!r}, which is no arithmetic of whole numbers") from None
    except ZeroDivisionError:
        raise ValueError(f"is {text!r}, which divides by zero") from None


class _NotArithmetic(Exception):
    """Raised for a part of an expression that is not calculated."""


def _value(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=value) if type(value) is int:
            return _bounded(value)
        case ast.UnaryOp(op=operation, operand=operand) if type(operation) in _OPERATORS:
            return _OPERATORS[type(operation)](_value(operand))
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATORS:
            return _calculate(type(operation), _value(left), _value(right))
    raise _NotArithmetic


def _calculate(operation: type[ast.operator], left: int, right: int) -> int:
    # These two grow beyond any memory within few characters, so they are judged beforehand.
    if operation is ast.Pow or operation is ast.LShift:
        if right < 0:
            raise _NotArithmetic
        growth = right if operation is ast.LShift else (abs(left).bit_length() - 1) * right
        if growth > MOST_BITS or right > MOST_BITS:
            raise ValueError("is too large a number")
    return _bounded(_OPERATORS[operation](left, right))


def _bounded(number: int) -> int:
    if number.bit_length() > MOST_BITS:
        raise ValueError("is too large a number")
    return number
