"""Encoder `events-1` as one would write it first: a cell at a time, loops over everything. The oracle."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from gnomon.forecast.forecast import Context
from gnomon.market.candles import Candles
from gnomon.market.events import CalendarEvent
from gnomon.market.instrument import Instrument
from gnomon.units import DAY_NS, HOUR_NS

History = Sequence[CalendarEvent]
Pairs = set[tuple[str, str]]
Cell = float | None  # None is masked


def encode(
    statements: Iterable[CalendarEvent],
    leaders: Sequence[Candles | None],  # BTC, SPY, DXY at the timeframe, VIX by day; every revision in any order
    context: Context,
    instrument: Instrument,
) -> tuple[np.ndarray, np.ndarray]:
    """Values and mask, (T + H, 20) float64 and int."""
    histories: dict[str, list[CalendarEvent]] = {}
    for one in sorted(statements, key=lambda one: (one.id, one.knowable_ns)):
        histories.setdefault(one.id, []).append(one)
    world = list(histories.values())
    assert context.close_ns is not None
    opens = [*context.open_ns.tolist(), *context.target_open_ns.tolist()]
    closes = [*context.close_ns.tolist(), *context.target_close_ns.tolist()]
    first = opens[0] if context.previous_close_ns is None else context.previous_close_ns
    series = [None if one is None else appended(one) for one in leaders]
    rows = [
        row(world, series, context, instrument, opens[t], closes[t], closes[t - 1] if t else first)
        for t in range(len(opens))
    ]
    mask = np.array([[cell is not None for cell in cells] for cells in rows])
    return np.array([[cell or 0.0 for cell in cells] for cells in rows]), mask


def row(
    world: Sequence[History],
    leaders: Sequence[list[tuple[int, int, float]] | None],
    context: Context,
    instrument: Instrument,
    o: int,
    c: int,
    previous: int,
) -> list[Cell]:
    cutoff = context.data_cutoff_ns
    past, now = c <= cutoff, min(c, cutoff)
    fomc, decisions = {("fomc", "FED")}, {("rate_decision", bank) for bank in instrument.central_banks}
    if "FED" in instrument.central_banks:
        decisions |= fomc
    us = [{(kind, "US")} for kind in ("cpi", "nfp", "gdp", "pce")]
    earnings = {("earnings", share) for share in instrument.earnings_of}

    def flag(pairs: Pairs) -> Cell:
        if past:
            return float(bool(fallen(world, pairs, c, previous)))
        return float(any(previous <= one.scheduled_ns < c for one in seen(world, pairs, now)))

    flags = [flag(pairs) for pairs in (fomc, *us)]
    hawkish: Cell = None
    if past:
        statements = fallen(world, fomc, c, previous)
        hawkish = rate_score(statements[-1], c) if statements else 0.0
    days = [day for pairs, period in ((fomc, 64), (us[0], 48)) for day in circle(world, pairs, period, o, c, now)]
    moves: list[Cell] = [leader_return(one, c, previous) if past else None for one in leaders[:3]]
    window = max(24 * HOUR_NS, context.timeframe.nominal_ns)
    due = [
        one
        for one in seen(world, fomc.union(*us, decisions), now)
        if one.impact == "high" and c <= one.scheduled_ns < c + window
    ]
    return [
        *flags,
        surprise_cell(world, us[0], 0.05, c, previous) if past else None,
        hawkish,
        surprise_cell(world, us[1], 10.0, c, previous) if past else None,
        flag(earnings),
        flag(decisions),
        *days,
        *moves,
        vix_level(leaders[3], c) if past else None,
        sum(move is not None for move in moves) / 3 if past else 0.0,
        min(1.0, len(due) / 3),
    ]


def of(world: Sequence[History], pairs: Pairs) -> list[History]:
    return [history for history in world if (history[0].kind, history[0].subject) in pairs]


def seen(world: Sequence[History], pairs: Pairs, now: int) -> list[CalendarEvent]:
    """The newest statement of each event, as of now."""
    known = [[one for one in history if one.knowable_ns <= now] for history in of(world, pairs)]
    return [history[-1] for history in known if history]


def first_release(history: History) -> CalendarEvent | None:
    return next((one for one in history if one.released_ns is not None), None)


def arrival(history: History) -> tuple[int, int, str]:
    one = first_release(history)
    assert one is not None
    assert one.released_ns is not None
    return max(one.released_ns + 1, one.knowable_ns), one.released_ns, one.id


def fallen(world: Sequence[History], pairs: Pairs, c: int, previous: int) -> list[History]:
    """The releases that fall on the bar (previous, c], in order."""

    def out(history: History, close: int) -> bool:
        one = first_release(history)
        return one is not None and one.released_ns is not None and one.released_ns < close and one.knowable_ns <= close

    return sorted((one for one in of(world, pairs) if out(one, c) and not out(one, previous)), key=arrival)


def rate_score(history: History, c: int) -> Cell:
    for one in history:
        if one.released_ns is not None and "rate_change_bp" in one.detail:
            return max(-2.0, min(2.0, one.detail["rate_change_bp"] / 25)) / 2 if one.knowable_ns <= c else None
    return None


def surprise(history: History) -> tuple[float, int] | None:
    """First print minus consensus, and when it was known."""
    release = first_release(history)
    printed = next((one for one in history if one.actual is not None), None)
    if release is None or release.released_ns is None or printed is None or printed.actual is None:
        return None
    before = [one.forecast for one in history if one.forecast is not None and one.knowable_ns < release.released_ns]
    return (printed.actual - before[-1], printed.knowable_ns) if before else None


def surprise_cell(world: Sequence[History], pairs: Pairs, floor: float, c: int, previous: int) -> Cell:
    on_bar = fallen(world, pairs, c, previous)
    if not on_bar:
        return 0.0
    found = surprise(on_bar[-1])
    if found is None or found[1] > c:
        return None
    released = arrival(on_bar[-1])[1]
    earlier = []
    for history in of(world, pairs):
        other = surprise(history)
        if other is not None and other[1] < released:
            at = arrival(history)
            earlier.append(((at[1], at[0], at[2]), other[0]))
    values = [value for _, value in sorted(earlier)][-20:]
    if len(values) < 6:
        return None
    return max(-3.0, min(3.0, found[0] / max(floor, statistics.stdev(values))))


def circle(world: Sequence[History], pairs: Pairs, period: float, o: int, c: int, now: int) -> list[Cell]:
    coming = [one.scheduled_ns for one in seen(world, pairs, now) if one.scheduled_ns >= o]
    if not coming:
        return [None, None]
    days = max(0.0, (min(coming) - c) / DAY_NS)
    angle = 2 * math.pi * min(days, 0.9 * period) / period
    return [math.sin(angle), math.cos(angle)]


def appended(candles: Candles) -> list[tuple[int, int, float]]:
    """(close time, knowable, price) as someone writes them down who never goes back."""
    told = sorted(zip(candles.knowable_ns, candles.close_ns, candles.tick.floats(candles.close), strict=True))
    written: list[tuple[int, int, float]] = []
    for knowable, close, price in told:
        if not written or close > written[-1][0]:
            written.append((int(close), int(knowable), float(price)))
    return written


def leader_return(bars: list[tuple[int, int, float]] | None, c: int, previous: int) -> Cell:
    known = [bar for bar in bars or [] if bar[1] <= c]
    if not known or known[-1][0] <= previous:
        return None
    returns = [math.log(b[2] / a[2]) for a, b in pairwise(known)]
    if len(returns) < 21:
        return None
    weights = [0.94**age for age in range(len(returns) - 1)]
    squares = [value**2 for value in returns[-2::-1]]
    variance = sum(w * s for w, s in zip(weights, squares, strict=True)) / sum(weights)
    return max(-5.0, min(5.0, returns[-1] / math.sqrt(variance))) if variance > 0 else None


def vix_level(bars: list[tuple[int, int, float]] | None, c: int) -> Cell:
    known = [bar for bar in bars or [] if bar[1] <= c]
    if len(known) < 252 or c - known[-1][0] > 5 * DAY_NS:
        return None
    levels = [bar[2] for bar in known[-252:]]
    if len(set(levels)) == 1:
        return None
    return max(-4.0, min(4.0, (levels[-1] - statistics.mean(levels)) / statistics.stdev(levels)))
