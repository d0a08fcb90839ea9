"""Parameters of signed requests: texts by name, each read once, refused in the venue's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from gnomon.serve.venue import codes
from gnomon.units import DAY_NS, INT64_MAX

Params = Mapping[str, str]

DEFAULT_LIMIT: Final = 500
LARGEST_LIMIT: Final = 1_000
MICROSECONDS_FROM: Final = 10**14

_number: Final = re.compile(r"[0-9]{1,20}").fullmatch
_client_id: Final = re.compile(r"[a-zA-Z0-9_-]{1,36}").fullmatch
_symbol: Final = re.compile(r"[A-Z0-9_.-]{1,20}").fullmatch


def given(params: Params, name: str) -> str | None:
    """The text, None where it was not sent; -1105 where it was sent empty."""
    text = params.get(name)
    if text == "":
        raise codes.empty_parameter(name)
    return text


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
    value = int(text)
    if value > INT64_MAX:
        raise codes.overflowed(name)
    return value


def needed_number(params: Params, name: str) -> int:
    value = number(params, name)
    if value is None:
        raise codes.mandatory(name)
    return value


def choice(params: Params, name: str, choices: Mapping[str, object], default: str) -> str:
    """One of some words; -1130 for another."""
    text = given(params, name)
    if text is None:
        return default
    if text not in choices:
        raise codes.invalid_data(name)
    return text


def client_id(params: Params, name: str) -> str | None:
    """A client's own id of an order, list or cancel."""
    text = given(params, name)
    if text is not None and _client_id(text) is None:
        raise codes.illegal_characters(name, codes.CLIENT_ID_RANGE)
    return text


def symbol_text(params: Params) -> str:
    text = needed(params, "symbol")
    if _symbol(text) is None:
        raise codes.illegal_characters("symbol", codes.SYMBOL_RANGE)
    return text


def flag(params: Params, name: str) -> bool:
    text = given(params, name)
    if text is None:
        return False
    if text.lower() not in ("true", "false"):
        raise codes.invalid_data(name)
    return text.lower() == "true"


def limit(params: Params) -> int:
    """How many rows at most: 500 unless said, never more than 1,000."""
    value = number(params, "limit")
    if value is None:
        return DEFAULT_LIMIT
    if value == 0:
        raise codes.invalid_data("limit")
    return min(value, LARGEST_LIMIT)


class Span(NamedTuple):
    """Which rows by time, both ends included, in ms; None is no bound."""

    start_ms: int | None
    end_ms: int | None

    def holds(self, time_ns: int) -> bool:
        at_ms = time_ns // 1_000_000
        return (self.start_ms is None or at_ms >= self.start_ms) and (self.end_ms is None or at_ms <= self.end_ms)

    @property
    def is_open(self) -> bool:
        return self.start_ms is None and self.end_ms is None


def span(params: Params) -> Span:
    """startTime and endTime, ms or (from 10^14) us; -1127 where they are more than a day apart."""
    start, end = number(params, "startTime"), number(params, "endTime")
    found = Span(_ms(start), _ms(end))
    if found.start_ms is not None and found.end_ms is not None:
        if found.start_ms > found.end_ms:
            raise codes.optional_combination()
        if found.end_ms - found.start_ms > DAY_NS // 1_000_000:
            raise codes.more_than_a_day()
    return found


def _ms(value: int | None) -> int | None:
    return value // 1_000 if value is not None and value >= MICROSECONDS_FROM else value
