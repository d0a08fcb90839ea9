"""Arithmetic for those who cannot do their own: numbers, `+ - * / // % **`, brackets, and a few functions."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, Final

from gnomon.errors import Invalid

LONGEST: Final = 500
LARGEST_POWER: Final = 1_000

_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Any]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": abs, "min": min, "max": max, "round": round, "sqrt": math.sqrt, "log": math.log, "exp": math.exp,
}  # fmt: skip


def calc(expression: str) -> int | float:
    """The value of an expression of numbers; `Invalid` for anything else, and where it has no finite value."""
    try:
        if len(expression) > LONGEST:
            raise ValueError(f"longer than {LONGEST} characters")
        value: int | float = _value(ast.parse(expression.strip(), mode="eval").body)
        if not math.isfinite(value):
            raise ValueError("not finite")
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:  # too deep
        raise Invalid(
            f"cannot calculate {expression[:80]!r}: {error}", hint="numbers and + - * / // % ** ( )"
        ) from error
    return value


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            one, other = _value(left), _value(right)
            if isinstance(op, ast.Pow) and (abs(other) > LARGEST_POWER or abs(one) > 1e9):
                raise ValueError("too large a power")
            return _BINARY[type(op)](one, other)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*map(_value, arguments))
    raise ValueError(f"{type(node).__name__} is not arithmetic")
