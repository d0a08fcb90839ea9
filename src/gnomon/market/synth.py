"""Synthetic markets: seeded candles and prints, good enough for tutorials, the demo and tests. No claim of realism.

A series belongs to its identity (seed, instrument, timeframe): it does not depend on what else is generated, and a
longer span starts with the same bars. Every series has volatility that clusters, a daily profile of volume and
volatility, gaps over closed hours, highs and lows from the Brownian bridge between open and close, and prices on the
tick grid. Two timeframes of one instrument are two series: their bars do not add up.

| kind     | what moves the price besides noise                               |
|----------|------------------------------------------------------------------|
| `walk`   | nothing                                                          |
| `trend`  | a slowly changing drift: returns lean the way of the recent ones |
| `revert` | a pull back to a level that itself wanders                       |
| `jump`   | a rare large move, up or down                                    |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from gnomon.chance import generator, uniform
from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.market.calendar import Bars, Sessions
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instrument
from gnomon.market.trades import Trades
from gnomon.units import DAY_NS, HOUR_NS, SECOND_NS, FloatArray, Grid, IntArray

Kind = Literal["walk", "trend", "revert", "jump"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_YEAR_NS: Final = 365.25 * DAY_NS
_MILLISECOND_NS: Final = SECOND_NS // 1000
_GAP_SHARE: Final = 0.2  # of a day's variance that a closed day adds


@dataclass(frozen=True, slots=True)
class Climate:
    """What a class of instruments is like: the price to start from, its volatility, its turnover."""

    start_price: float
    annual_volatility: float  # standard deviation of the log return of a year
    daily_turnover: float  # in units of the quote asset


_CRYPTO: Final = Climate(100.0, 0.60, 4e8)
_CURRENCY: Final = Climate(1.0, 0.08, 5e9)
_COMMODITY: Final = Climate(100.0, 0.25, 5e8)
_EQUITY: Final = Climate(100.0, 0.28, 6e9)

START_PRICES: Final = {
    "BTCUSDT": 60_000.0,
    "ETHUSDT": 2_500.0,
    "SOLUSDT": 150.0,
    "BNBUSDT": 600.0,
    "XRPUSDT": 0.6,
    "ADAUSDT": 0.45,
    "DOGEUSDT": 0.15,
    "AVAXUSDT": 30.0,
    "EURUSD": 1.09,
    "GBPUSD": 1.27,
    "USDJPY": 148.0,
    "AUDUSD": 0.66,
    "USDCAD": 1.36,
    "USDCHF": 0.88,
    "NZDUSD": 0.61,
    "GOLD": 2_300.0,
    "SILVER": 28.0,
    "OIL": 75.0,
    "SPY": 500.0,
    "QQQ": 430.0,
    "AAPL": 190.0,
    "NVDA": 120.0,
    "TSLA": 200.0,
    "DXY": 104.0,
    "VIX": 16.0,
}
"""Where the shipped instruments start; any other starts at the price of its class."""


def synthetic_candles(
    instrument: Instrument,
    sessions: Sessions,
    timeframe: Timeframe,
    first_ns: int,
    last_ns: int,
    *,
    kind: Kind = "walk",
    seed: int,
) -> Candles:
    """Raw bars for every scheduled bar within [first_ns, last_ns], knowable at their close.

    Raises `Invalid` for an unknown kind and where the calendar has no bar in the span.
    """
    if kind not in KINDS:
        raise Invalid(f"no kind {kind!r} of synthetic market", hint=f"one of {', '.join(KINDS)}")
    bars = sessions.between(timeframe, first_ns, last_ns)
    if not len(bars):
        raise Invalid(
            f"calendar {sessions.name} has no bar of {timeframe} from {iso(first_ns)} to {iso(last_ns)}",
            hint="choose a longer span",
        )
    chance = _Chance(seed, instrument.id, str(timeframe), len(bars))
    climate, shares = _climate(instrument), _shares(instrument, bars.open_ns, first_ns)
    course = _course(kind, chance, sessions, bars, climate.annual_volatility * np.sqrt(_profile(sessions, bars)))
    scale = climate.start_price / float(instrument.tick.step) / shares
    opened, closed, high, low = (_ticks(log, scale) for log in (course.open, course.close, course.high, course.low))
    high, low = np.maximum(high, np.maximum(opened, closed)), np.minimum(low, np.minimum(opened, closed))
    units = climate.daily_turnover / climate.start_price * _activity(chance, sessions, bars, course) * shares
    volume = np.maximum(np.rint(units / float(instrument.lot.step)).astype(np.int64), 1)
    amount = np.rint((opened + high + low + closed) / 4 * volume).astype(np.int64)
    return Candles(
        instrument=instrument.id,
        timeframe=timeframe,
        basis="raw",
        tick=instrument.tick,
        lot=instrument.lot,
        money=Grid(instrument.tick.step * instrument.lot.step),  # one lot at one tick: amounts are exact
        open_ns=bars.open_ns,
        close_ns=bars.close_ns,
        knowable_ns=bars.close_ns.copy(),
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume=volume,
        amount=np.clip(amount, low * volume, high * volume),
        flags=np.zeros(len(bars), np.uint8),
    )


def synthetic_market(
    instruments: Iterable[Instrument],
    sessions_by_calendar: Mapping[str, Sessions],
    timeframe: Timeframe,
    first_ns: int,
    last_ns: int,
    *,
    seed: int = 0,
) -> list[Candles]:
    """Candles of each instrument, in order; which kind a series is follows from the seed and its identity."""
    return [
        synthetic_candles(
            one,
            sessions_by_calendar[one.calendar],
            timeframe,
            first_ns,
            last_ns,
            kind=KINDS[int(uniform(seed, "synth kind", one.id) * len(KINDS))],
            seed=seed,
        )
        for one in instruments
    ]


def synthetic_trades(
    instrument: Instrument,
    sessions: Sessions,
    first_ns: int,
    last_ns: int,
    *,
    mean_gap_ns: int = 2 * SECOND_NS,
    seed: int,
) -> Trades:
    """Prints in [first_ns, last_ns) while the calendar is open, `mean_gap_ns` apart on average.

    Busy and quiet times alternate, three prints in ten belong to the order of the print before (same time, same side, a
    tick further), and the time is in whole milliseconds. The aggressor's side persists and pushes the price; buyers pay
    the ask and sellers get the bid. Ids count from 1. A recorder hears of each a few milliseconds later, in order.
    Raises `Invalid` for a gap below a nanosecond and where the calendar is closed throughout the span.
    """
    if mean_gap_ns < 1:
        raise Invalid(f"mean_gap_ns is {mean_gap_ns}", hint="at least 1 nanosecond between prints on average")
    begin_ns, end_ns = (int(at) for at in _traded(sessions, np.array([first_ns, last_ns])))
    if end_ns <= begin_ns:
        raise Invalid(
            f"calendar {sessions.name} is closed from {iso(first_ns)} to {iso(last_ns)}", hint="choose a longer span"
        )
    gaps_ns = _arrivals(seed, instrument.id, mean_gap_ns, end_ns - begin_ns)
    chance, rows = _Chance(seed, instrument.id, "trades", len(gaps_ns)), np.arange(len(gaps_ns))
    time_ns = _instants(sessions, begin_ns + np.cumsum(gaps_ns)) // _MILLISECOND_NS * _MILLISECOND_NS
    time_ns = np.maximum(time_ns, first_ns)  # a span may begin within a millisecond

    climate, shares, (year_ns, day_ns) = _climate(instrument), _shares(instrument, time_ns, first_ns), _pace(sessions)
    sigma = climate.annual_volatility * np.sqrt(mean_gap_ns / year_ns)
    side = np.where(_smooth(chance.normal("flow"), 0.6) < 0, -1, 1)
    moves = sigma * (0.8 * np.exp(_log_volatility(chance)) * chance.normal("move") + 0.3 * side)
    mid = np.exp(np.cumsum(moves)) * climate.start_price / float(instrument.tick.step) / shares
    half_spread = np.maximum(0.5, 1e-5 * mid)  # in ticks: a spread of one, or of a fifth of a basis point
    lead = np.maximum.accumulate(np.where(gaps_ns > 0, rows, 0))  # the first print of the same order
    price = mid[lead] + side[lead] * (half_spread[lead] + rows - lead)
    units = mean_gap_ns / day_ns * climate.daily_turnover / climate.start_price * shares
    size = units * np.exp(1.2 * chance.normal("size") - 0.72) / float(instrument.lot.step)
    latency_ns = (5 * _MILLISECOND_NS * np.exp(0.3 * chance.normal("latency"))).astype(np.int64)
    return Trades(
        instrument=instrument.id,
        tick=instrument.tick,
        lot=instrument.lot,
        time_ns=time_ns,
        received_ns=np.maximum.accumulate(time_ns + latency_ns),
        id=rows + 1,
        price=np.maximum(np.rint(price), 1).astype(np.int64),
        size=np.maximum(np.rint(size), 1).astype(np.int64),
        side=side[lead].astype(np.int8),
        flags=np.zeros(len(rows), np.uint8),
    )


# --- chance ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chance:
    """Columns of luck, each with a generator of its own: more rows, or another column, change none of the others."""

    seed: int
    instrument: str
    series: str
    rows: int

    def normal(self, column: str) -> FloatArray:
        return generator(self.seed, "synth", self.instrument, self.series, column).standard_normal(self.rows)

    def uniform(self, column: str) -> FloatArray:
        """In (0, 1]: its logarithm is finite."""
        return 1.0 - generator(self.seed, "synth", self.instrument, self.series, column).random(self.rows)


def _smooth(noise: FloatArray, keep: float) -> FloatArray:
    """The stationary AR(1) of unit variance, x_t = keep x_{t-1} + sqrt(1 - keep^2) noise_t, started at noise_0.

    1 / (1 - kB) = (1 + kB)(1 + k^2 B^2)(1 + k^4 B^4) …, so a few shifted sums do without a loop over rows.
    """
    x: FloatArray = noise * np.sqrt(1.0 - keep**2)
    x[:1] = noise[:1]
    lag, weight = 1, keep
    while lag < len(x) and weight > 1e-18:
        x[lag:] += weight * x[:-lag]
        lag, weight = 2 * lag, weight**2
    return x


def _log_volatility(chance: _Chance) -> FloatArray:
    """A slow and a quick part; shifted so that the mean variance is one."""
    slow, quick = _smooth(chance.normal("volatility"), 0.99), _smooth(chance.normal("agitation"), 0.85)
    return 0.35 * slow + 0.25 * quick - (0.35**2 + 0.25**2)


# --- prices ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """Logarithms of the four prices over the price to start from, and how large each bar's move was for its sigma."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    effort: FloatArray


def _course(kind: Kind, chance: _Chance, sessions: Sessions, bars: Bars, annual: FloatArray) -> _Course:
    """The way of the price through the bars, `annual` being each one's volatility of a year."""
    year_ns, day_ns = _pace(sessions)
    volatility = annual * np.exp(_log_volatility(chance))
    sigma = volatility * np.sqrt(_traded_within(sessions, bars) / year_ns)
    closed_days = np.append(0, bars.open_ns[1:] - bars.close_ns[:-1]) / DAY_NS
    gap_sigma = volatility * np.sqrt(_GAP_SHARE * day_ns / year_ns * np.sqrt(np.minimum(closed_days, 4.0)))
    moves = sigma * _moves(kind, chance)
    close = np.cumsum(moves + gap_sigma * chance.normal("gap"))
    span, middle = np.abs(moves), close - moves / 2
    # The extremes of a Brownian bridge from open to close, each drawn from its exact marginal distribution.
    up, down = (np.sqrt(span**2 - 2.0 * sigma**2 * np.log(chance.uniform(side))) / 2 for side in ("high", "low"))
    return _Course(close - moves, middle + up, middle - down, close, span / sigma)


def _moves(kind: Kind, chance: _Chance) -> FloatArray:
    """Returns from open to close in units of sigma, with a variance of about one whatever the kind."""
    noise = chance.normal("move")
    if kind == "trend":
        return 0.97 * noise + 0.25 * _smooth(chance.normal("drift"), 0.92)
    if kind == "revert":
        stretch: FloatArray = np.diff(_smooth(noise, 0.9), prepend=0.0) / np.sqrt(1.0 - 0.9**2)
        return 0.9 * stretch + 0.35 * chance.normal("level")
    if kind == "jump":
        size = chance.normal("jump size")
        return 0.88 * noise + np.where(chance.uniform("jump") < 0.01, size + np.copysign(4.0, size), 0.0)
    return noise


def _activity(chance: _Chance, sessions: Sessions, bars: Bars, course: _Course) -> FloatArray:
    """The share of an ordinary day's volume that trades in each bar."""
    share = _traded_within(sessions, bars) / _pace(sessions)[1] * _profile(sessions, bars)
    mood: FloatArray = np.exp(0.5 * _smooth(chance.normal("activity"), 0.8) - 0.125)
    return share * mood * (0.5 + 0.6 * course.effort)


def _arrivals(seed: int, instrument: str, mean_gap_ns: int, span_ns: int) -> IntArray:
    """Gaps between prints, of traded time, as many as stay below `span_ns` together."""
    rows = int(1.1 * span_ns / mean_gap_ns) + 64
    while True:
        chance = _Chance(seed, instrument, "trades", rows)
        pace = np.exp(0.8 * _smooth(chance.normal("pace"), 0.95) - 0.32)
        pace[chance.uniform("sweep") <= 0.3] = 0.0
        gaps_ns = np.rint(-np.log(chance.uniform("arrival")) * pace * (mean_gap_ns / 0.7)).astype(np.int64)
        until_ns = np.cumsum(gaps_ns)
        if until_ns[-1] >= span_ns:
            return gaps_ns[: int(np.searchsorted(until_ns, span_ns))]
        rows *= 2  # a longer draw begins with the same numbers


# --- the calendar ---------------------------------------------------------------------------------------------------


def _traded(sessions: Sessions, at_ns: IntArray) -> IntArray:
    """How long the calendar has been open since its beginning, at each instant."""
    length_ns = sessions.close_ns - sessions.open_ns
    before_ns: IntArray = np.cumsum(length_ns) - length_ns
    index = np.clip(np.searchsorted(sessions.open_ns, at_ns, side="right") - 1, 0, None)
    within_ns: IntArray = np.minimum(np.maximum(at_ns - sessions.open_ns[index], 0), length_ns[index])
    return before_ns[index] + within_ns


def _traded_within(sessions: Sessions, bars: Bars) -> IntArray:
    return _traded(sessions, bars.close_ns) - _traded(sessions, bars.open_ns)


def _instants(sessions: Sessions, traded_ns: IntArray) -> IntArray:
    """The instants at which the calendar has been open for so long: the inverse of `_traded`."""
    length_ns = sessions.close_ns - sessions.open_ns
    until_ns: IntArray = np.cumsum(length_ns)
    index = np.searchsorted(until_ns, traded_ns, side="right")
    return sessions.close_ns[index] - (until_ns[index] - traded_ns)


def _pace(sessions: Sessions) -> tuple[float, float]:
    """Nanoseconds of trading in a year and in an ordinary day."""
    length_ns = (sessions.close_ns - sessions.open_ns).astype(np.float64)
    years = (int(sessions.close_ns[-1]) - int(sessions.open_ns[0])) / _YEAR_NS
    days = 1 + np.count_nonzero(np.diff(sessions.day))
    return float(length_ns.sum() / years), float(length_ns.sum() / days)


def _profile(sessions: Sessions, bars: Bars) -> FloatArray:
    """How busy each bar's part of the day is, about one on average.

    A short session is lively at both ends, a long one in the hours of London and New York; whole days are alike.
    """
    index = np.searchsorted(sessions.open_ns, bars.open_ns, side="right") - 1
    length_ns = (sessions.close_ns - sessions.open_ns)[index]
    progress = (bars.open_ns - sessions.open_ns[index]) / length_ns
    hour = (bars.open_ns % DAY_NS) / HOUR_NS
    ends = 0.65 + 1.05 * (2.0 * progress - 1.0) ** 2
    waves = 0.7 + 0.9 * np.exp(-(((hour - 14.5) / 4.5) ** 2))
    busy = np.where(length_ns < DAY_NS // 2, ends, waves)
    return np.where(bars.close_ns - bars.open_ns < length_ns, busy, 1.0)


# --- the instrument -------------------------------------------------------------------------------------------------


def _climate(instrument: Instrument) -> Climate:
    if instrument.asset_class == "crypto":
        base = _CRYPTO
    elif instrument.asset_class == "equity":
        base = _EQUITY
    else:
        base = _COMMODITY if instrument.continuous or instrument.calendar == "cme" else _CURRENCY
    price = START_PRICES.get(instrument.symbol, max(base.start_price, 1000 * float(instrument.tick.step)))
    return Climate(float(price), base.annual_volatility, base.daily_turnover)


def _shares(instrument: Instrument, at_ns: IntArray, first_ns: int) -> FloatArray:
    """How many shares one share of the first instant has become: a raw price falls by it and a volume grows."""
    shares = np.ones(len(at_ns))
    for split in instrument.splits:
        if split.effective_ns > first_ns:
            shares[at_ns >= split.effective_ns] *= split.numerator / split.denominator
    return shares


def _ticks(log: FloatArray, scale: FloatArray) -> IntArray:
    return np.maximum(np.rint(np.exp(log) * scale), 1).astype(np.int64)
