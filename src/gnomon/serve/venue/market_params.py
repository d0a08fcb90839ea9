"""Parameters of public requests: texts by name, read and refused in the venue's words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from gnomon.serve.venue import codes
from gnomon.serve.venue.market_view import Market, MarketView
from gnomon.units import INT64_MAX

Params = Mapping[str, Any]

MILLISECOND_NS: Final = 1_000_000
MICROSECOND_NS: Final = 1_000
MICROSECONDS_FROM: Final = 10**14
MOST_WINDOWS: Final = 200
SYMBOLS_RANGE: Final = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'

_number: Final = re.compile(r"[0-9]{1,20}").fullmatch
_symbol: Final = re.compile(r"[A-Z0-9_.-]{1,20}").fullmatch


def given(params: Params, name: str) -> str | None:
    """The text, None where it was not sent; -1105 where it was sent empty."""
    text = params.get(name)
    if text == "":
        raise codes.empty_parameter(name)
    return text if text is None or isinstance(text, str) else orjson.dumps(text).decode()


def needed(params: Params, name: str) -> str:
    text = given(params, name)
    if text is None:
        raise codes.mandatory(name)
    return text


def number(params: Params, name: str) -> int | None:
    """A whole number that is not negative."""
    text = given(params, name)
    if text is None:
        return None
    if _number(text) is None:
        raise codes.illegal_characters(name, codes.NUMBER_RANGE)
    if int(text) > INT64_MAX:
        raise codes.overflowed(name)
    return int(text)


def limit(params: Params, default: int, most: int) -> int:
    """A larger one is cut."""
    asked = number(params, "limit")
    if asked is None:
        return default
    if not asked:
        raise codes.invalid_data("limit")
    return min(asked, most)


def instant(params: Params, name: str, is_end: bool = False) -> int | None:
    """ns of ms, or (from 10^14) of us; of an end the last ns that it holds."""
    asked = number(params, name)
    if asked is None:
        return None
    unit_ns = MICROSECOND_NS if asked >= MICROSECONDS_FROM else MILLISECOND_NS
    return min(asked * unit_ns + (unit_ns - 1 if is_end else 0), INT64_MAX - 1)


def market(params: Params, view: MarketView) -> Market:
    """Of the parameter `symbol`."""
    text = needed(params, "symbol")
    if _symbol(text) is None:
        raise codes.illegal_characters("symbol", codes.SYMBOL_RANGE)
    return view.market(text)


def markets(params: Params, view: MarketView) -> Sequence[Market] | None:
    """Of the parameter `symbols`, in its order; None where it was not sent."""
    text = given(params, "symbols")
    if text is None:
        return None
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(one, str) and _symbol(one) for one in names):
        raise codes.illegal_characters("symbols", SYMBOLS_RANGE)
    if not names:
        raise codes.empty_parameter("symbols")
    if len(set(names)) < len(names):
        raise codes.symbol_twice()
    return [view.market(one) for one in names]


def chosen(params: Params, view: MarketView) -> tuple[Sequence[Market], bool] | None:
    """The markets asked for by `symbol` or `symbols`, and whether it is a single one; None where neither was sent."""
    if "symbol" in params and "symbols" in params:
        raise codes.optional_combination()
    if "symbol" in params:
        return [market(params, view)], True
    several = markets(params, view)
    return (several, False) if several is not None else None


def word(params: Params, name: str, words: Sequence[str], default: str) -> str:
    """One of some words; -1130 for another."""
    text = given(params, name)
    if text is not None and text not in words:
        raise codes.invalid_data(name)
    return text or default


def flag(params: Params, name: str, default: bool) -> bool:
    return word(params, name, ("true", "false"), "true" if default else "false") == "true"
