"""Figures as people read them: money, shares, ratios, durations and instants. What is not there is a dash."""

from __future__ import annotations

import math
from typing import Final

from gnomon.clock import iso
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

ABSENT: Final = "–"
_MINUS: Final = "\N{MINUS SIGN}"
_STEPS: Final = (("d", DAY_NS), ("h", HOUR_NS), ("min", MINUTE_NS), ("s", SECOND_NS))


def number(value: float | None, decimals: int = 2, unit: str = "") -> str:
    """Thousands apart, a true minus, and never a negative zero."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = _MINUS + text[1:] if text.strip("-0.,") else text[1:]
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def money(value: float | None, asset: str) -> str:
    """Two decimals, more where the amount would otherwise read as nothing."""
    small = value is not None and 0 < abs(value) < 0.005
    text = number(value, 8 if small else 2)
    return text if text == ABSENT else f"{text} {asset}"


def amount_of(value: float, asset: str) -> str:
    """As exact as the ledger, without idle zeros: 0.0131 BNB."""
    text = number(value, 8)
    return f"{text.rstrip('0').rstrip('.')} {asset}"


def share(value: float | None, decimals: int = 2) -> str:
    """0.1234 as 12.34 %."""
    return number(None if value is None else 100.0 * value, decimals, "%")


def signed_share(value: float | None, decimals: int = 2) -> str:
    """A share with its sign, as a gain or a loss reads best."""
    text = share(value, decimals)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.\N{NO-BREAK SPACE}%") else text


def count(value: int | None) -> str:
    return ABSENT if value is None else f"{value:,}"


def duration(value_ns: int | None) -> str:
    """The two largest units of a day and less: 3 d 4 h, 12 min 5 s; below a second 250 ms, 1.5 µs, 20 ns."""
    if value_ns is None:
        return ABSENT
    if value_ns < 0:
        return _MINUS + duration(-value_ns)
    for index, (name, length) in enumerate(_STEPS):
        if value_ns >= length:
            whole, rest = divmod(value_ns, length)
            if name == "s":
                return f"{value_ns / length:.3g}\N{NO-BREAK SPACE}s"
            smaller, smaller_length = _STEPS[index + 1]
            head, tail = f"{whole:,}\N{NO-BREAK SPACE}{name}", rest // smaller_length
            return f"{head}\N{NO-BREAK SPACE}{tail}\N{NO-BREAK SPACE}{smaller}" if tail else head
    for name, length in (("ms", 1_000_000), ("µs", 1_000)):
        if value_ns >= length:
            return f"{value_ns / length:.3g}\N{NO-BREAK SPACE}{name}"
    return f"{value_ns}\N{NO-BREAK SPACE}ns"


def instant(at_ns: int) -> str:
    """2024-03-01 05:00:00.125 UTC, as fine as the instant needs."""
    return f"{clock_text(at_ns)} UTC"


def clock_text(at_ns: int) -> str:
    """An instant without its zone, for columns whose head names it."""
    return iso(at_ns).replace("T", " ").removesuffix("Z")


def plural(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
