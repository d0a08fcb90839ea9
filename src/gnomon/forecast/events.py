"""The event channels: encoder `events-1`, which turns a calendar and four leaders into 20 numbers a bar.

Bar t spans [o_t, c_t). A release falls on the first bar with c_t > its instant at whose close it was known; an event to
come, on the first bar with c_t > its scheduled time. Row t of the past uses only what was knowable at c_t, so a row is
the same in a long training window and in a live context. Future rows use what was knowable at the cutoff.

Nothing here is a matrix of rows by events: everything is sorted once and found by `searchsorted`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.forecast.forecast import Context
from gnomon.market.candles import Basis
from gnomon.market.events import N_CHANNELS, CalendarEvent, EventBook, Events, Kinds, Releases
from gnomon.market.instrument import Instrument
from gnomon.market.tape import Series, Tape
from gnomon.units import DAY_NS, HOUR_NS, FloatArray, IntArray

ENCODER: Final = "events-1"

FOMC: Final[Kinds] = (("fomc", "FED"),)
US: Final[dict[str, Kinds]] = {kind: ((kind, "US"),) for kind in ("cpi", "nfp", "gdp", "pce")}

SURPRISE_FLOORS: Final = {"cpi": 0.05, "nfp": 10.0}
"""The least deviation of a surprise, by kind: percentage points, and thousands of jobs."""
SURPRISE_RELEASES: Final = 20
MIN_SURPRISE_RELEASES: Final = 6
SURPRISE_LIMIT: Final = 3.0
FOMC_PERIOD_DAYS: Final = 64.0
CPI_PERIOD_DAYS: Final = 48.0
LEADER_DECAY: Final = 0.94
LEADER_RETURNS: Final = 500
"""Returns behind the deviation of a leader; those further back would weigh 4e-14."""
MIN_LEADER_RETURNS: Final = 20
LEADER_LIMIT: Final = 5.0
VIX_CLOSES: Final = 252
VIX_LIMIT: Final = 4.0
VIX_AGE_NS: Final = 5 * DAY_NS
AHEAD_NS: Final = 24 * HOUR_NS
FULL_IMPACT: Final = 3
EVENTS_AHEAD: Final = 8
"""How many coming events `event_context` names."""

Future = Literal["scheduled", "masked", "zero"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of the encoding: its formula in words, its range, and what future rows hold."""

    name: str
    formula: str
    low: float
    high: float
    future: Future


_CIRCLE: Final = "{} of 2 pi min(d, 0.9 P)/P, d days from c_t to the next listed {} scheduled at or after o_t, P {}"
_SURPRISE: Final = "clip((first print - consensus)/sigma, -3, 3) on its bar; sigma of 20 before, 6 least, floor {}"
_LEADER: Final = "clip(log return/EWMA(0.94) deviation before it, -5, 5) of {} closed in (c_t-1, c_t]; 20 returns least"

CHANNELS: Final = (
    Channel("is_fomc", "1 on the bar of an FOMC statement", 0, 1, "scheduled"),
    Channel("is_cpi", "1 on the bar of US CPI", 0, 1, "scheduled"),
    Channel("is_nfp", "1 on the bar of the US employment situation", 0, 1, "scheduled"),
    Channel("is_gdp", "1 on the bar of a US GDP estimate", 0, 1, "scheduled"),
    Channel("is_pce", "1 on the bar of the US PCE price index", 0, 1, "scheduled"),
    Channel("cpi_surprise_z", _SURPRISE.format("0.05 points"), -3, 3, "masked"),
    Channel("fomc_hawkish_score", "clip(rate change/25 bp, -2, 2)/2 on the statement bar", -1, 1, "masked"),
    Channel("nfp_surprise_z", _SURPRISE.format("10 thousand"), -3, 3, "masked"),
    Channel("is_earnings", "1 on the bar of a report of a share in earnings_of", 0, 1, "scheduled"),
    Channel("is_rate_decision", "1 on the bar of a decision of a central bank of the instrument", 0, 1, "scheduled"),
    Channel("days_to_fomc_sin", _CIRCLE.format("sin", "FOMC", 64), -1, 1, "scheduled"),
    Channel("days_to_fomc_cos", _CIRCLE.format("cos", "FOMC", 64), -1, 1, "scheduled"),
    Channel("days_to_cpi_sin", _CIRCLE.format("sin", "US CPI", 48), -1, 1, "scheduled"),
    Channel("days_to_cpi_cos", _CIRCLE.format("cos", "US CPI", 48), -1, 1, "scheduled"),
    Channel("btc_log_return", _LEADER.format("binance:BTCUSDT"), -5, 5, "masked"),
    Channel("spy_log_return", _LEADER.format("us:SPY"), -5, 5, "masked"),
    Channel("dxy_log_return", _LEADER.format("fx:DXY"), -5, 5, "masked"),
    Channel("vix_level_z", "clip((V - mean)/deviation, -4, 4) over 252 closes up to V, 5 days old", -4, 4, "masked"),
    Channel("leaders_open", "share of channels 14 to 16 present", 0, 1, "zero"),
    Channel("impact_ahead", "min(1, n/3), n high-impact events in [c_t, c_t + max(24 h, a bar))", 0, 1, "scheduled"),
)
"""The table of the encoder, in the order of the columns."""

_COLUMN: Final = {channel.name: column for column, channel in enumerate(CHANNELS)}


def _table_hash() -> str:
    rows = [[c.name, c.formula, float(c.low), float(c.high), c.future] for c in CHANNELS]
    return hashlib.blake2b(json.dumps([ENCODER, rows]).encode(), digest_size=16).hexdigest()


ENCODER_HASH: Final = _table_hash()
"""BLAKE2b-128 of the encoder's id and table: what an adapter that was trained on it keeps."""


# --- leaders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class LeaderSeries:
    """One number a bar of a leader, oldest first, each knowable in its turn; NaN where too little came before."""

    close_ns: IntArray
    knowable_ns: IntArray
    standardised: FloatArray

    def newest(self, as_of_ns: IntArray) -> IntArray:
        """Index of the newest bar closed and knowable at each instant, -1 where there is none."""
        closed = np.searchsorted(self.close_ns, as_of_ns, side="right")
        known = np.searchsorted(self.knowable_ns, as_of_ns, side="right")
        return np.minimum(closed, known) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Leaders:
    """The four leaders at one timeframe, prepared once for every instrument and cutoff. None is absent: masked."""

    timeframe: Timeframe
    btc: LeaderSeries | None = None
    spy: LeaderSeries | None = None
    dxy: LeaderSeries | None = None
    vix: LeaderSeries | None = None

    @classmethod
    def of(cls, tape: Tape, timeframe: Timeframe) -> Leaders:
        """The leaders that a tape holds: BTC, SPY and DXY at the timeframe, the VIX by its daily closes.

        Bars count as they were first known, and one that became known only after a later one is left out, so that what
        is learned afterwards changes no earlier row. A row is the same whatever the tape holds further back than 501
        bars of a leader and 252 of the VIX.
        """
        prices = (_first_prints(tape, name, timeframe) for name in ("binance:BTCUSDT", "us:SPY", "fx:DXY"))
        btc, spy, dxy = (None if found is None else _standardised_returns(*found) for found in prices)
        levels = _first_prints(tape, "us:VIX", Timeframe.of_ns(DAY_NS))
        return cls(timeframe, btc, spy, dxy, None if levels is None else _standardised_levels(*levels))


_BASES: Final[tuple[Basis, ...]] = ("raw", "split", "adjusted")


def _first_prints(tape: Tape, instrument: str, timeframe: Timeframe) -> tuple[IntArray, IntArray, FloatArray] | None:
    """Closes, when they were knowable, and prices in the shares of the first instant; None where there is no bar."""
    stored = tape.keys()
    basis = next((one for one in _BASES if (instrument, str(timeframe), one) in stored), None)
    if basis is None or not len(tape.series(instrument, timeframe, basis).history):
        return None
    series: Series = tape.series(instrument, timeframe, basis)
    bars = series.history.first_revisions()
    later = np.minimum.accumulate(bars.knowable_ns[::-1])[::-1]  # the earliest knowledge of this bar or a later one
    bars = bars.take(bars.knowable_ns <= later)
    prices = bars.tick.floats(bars.close) / series.share_factor(bars.open_ns, 0)
    return bars.close_ns, bars.knowable_ns, prices


def _standardised_returns(close_ns: IntArray, knowable_ns: IntArray, prices: FloatArray) -> LeaderSeries:
    returns = np.diff(np.log(prices))
    scaled = np.full(len(prices), np.nan)
    if len(returns) > MIN_LEADER_RETURNS:
        weights = LEADER_DECAY ** np.arange(min(LEADER_RETURNS, len(returns)))
        summed = np.convolve(returns**2, weights)[: len(returns) - 1]  # each a sum of its own: no rounding is handed on
        counted = np.minimum(np.arange(1, len(returns)), len(weights))
        deviation = np.sqrt(summed / np.cumsum(weights)[counted - 1])  # of the returns before the second one, and so on
        usable = (counted >= MIN_LEADER_RETURNS) & (deviation > 0)
        scaled[2:] = np.divide(returns[1:], deviation, out=np.full(len(deviation), np.nan), where=usable)
    return LeaderSeries(close_ns, knowable_ns, np.clip(scaled, -LEADER_LIMIT, LEADER_LIMIT))


def _standardised_levels(close_ns: IntArray, knowable_ns: IntArray, levels: FloatArray) -> LeaderSeries:
    scaled = np.full(len(levels), np.nan)
    if len(levels) >= VIX_CLOSES:
        windows = np.ascontiguousarray(sliding_window_view(levels, VIX_CLOSES))  # (n - 251, 252)
        mean, deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
        steady = deviation <= 1e-12 * mean  # constant but for rounding: no scale
        scaled[VIX_CLOSES - 1 :] = np.where(steady, np.nan, (windows[:, -1] - mean) / np.where(steady, 1.0, deviation))
    return LeaderSeries(close_ns, knowable_ns, np.clip(scaled, -VIX_LIMIT, VIX_LIMIT))


# --- surprises ------------------------------------------------------------------------------------------------------


def surprise_scale(releases: Releases, floor: float) -> tuple[FloatArray, IntArray]:
    """The deviation that each release is divided by, and of how many surprises it is.

    The sample deviation of the last 20 surprises that were knowable strictly before the release, at least `floor`; NaN
    where there are fewer than 6.
    """
    std, n = np.full(len(releases), np.nan), np.zeros(len(releases), np.int64)
    by_release = np.lexsort((releases.arrival_ns, releases.released_ns))
    known_ns = releases.surprise_known_ns[by_release]
    for index, released_ns in enumerate(releases.released_ns.tolist()):
        before = by_release[known_ns < released_ns][-SURPRISE_RELEASES:]
        n[index] = len(before)
        if len(before) >= MIN_SURPRISE_RELEASES:
            std[index] = max(floor, float(np.std(releases.surprise[before], ddof=1)))
    return std, n


@dataclass(frozen=True, slots=True, eq=False)
class SurpriseStats:
    """What the surprises of a kind were divided by, by the instant of the release, where there was enough before it."""

    as_of_ns: IntArray
    std: FloatArray
    n: IntArray

    def __len__(self) -> int:
        return len(self.as_of_ns)


def surprise_stats(book: EventBook, kind: str) -> SurpriseStats:
    """What the encoder divides by at each release of `cpi` or `nfp`; `Invalid` for another kind."""
    if kind not in SURPRISE_FLOORS:
        raise Invalid(f"{kind!r} has no surprises", hint=f"one of {', '.join(SURPRISE_FLOORS)}")
    releases = book.releases(US[kind])
    std, n = surprise_scale(releases, SURPRISE_FLOORS[kind])
    as_of_ns, first = np.unique(releases.released_ns, return_index=True)
    usable = np.isfinite(std[first])
    return SurpriseStats(as_of_ns[usable], std[first][usable], n[first][usable])


# --- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The bars of a context: T past and H future ones, with the close before each and the instant each looks from."""

    open_ns: IntArray  # (T + H,)
    close_ns: IntArray  # (T + H,)
    previous_ns: IntArray  # (T + H,)
    as_of_ns: IntArray  # (T + H,)
    past: int

    @classmethod
    def of(cls, context: Context) -> _Rows:
        if context.close_ns is None:
            raise Invalid(
                f"a context of {context.instrument} without the closes of its bars",
                hint="take it from `context_at`, or give close_ns",
            )
        open_ns = np.concatenate([context.open_ns, context.target_open_ns])
        close_ns = np.concatenate([context.close_ns, context.target_close_ns])
        past = len(context.open_ns)
        if len(open_ns) != len(close_ns) or not past or (np.diff(close_ns) <= 0).any():
            raise Invalid(
                f"a context of {context.instrument} with {len(open_ns)} opens and {len(close_ns)} closes",
                hint="one close for each bar, strictly increasing",
            )
        first_ns = context.open_ns[0] if context.previous_close_ns is None else context.previous_close_ns
        previous_ns = np.concatenate([[first_ns], close_ns[:-1]])
        return cls(open_ns, close_ns, previous_ns, np.minimum(close_ns, context.data_cutoff_ns), past)

    @property
    def cutoff_ns(self) -> int:
        return int(self.as_of_ns[-1])

    def arrived(self, releases: Releases) -> tuple[IntArray, IntArray]:
        """The past rows that releases fall on, and the indices of those releases."""
        closes = self.close_ns[: self.past]
        first, last = np.searchsorted(releases.arrival_ns, (self.previous_ns[0], closes[-1]), side="right")
        index = np.arange(first, last)
        return np.searchsorted(closes, releases.arrival_ns[index]), index


class EventEncoder:
    """Encoder `events-1` over a book and the leaders of one timeframe; one for all instruments and cutoffs.

    Without leaders their channels are masked. What can be prepared is kept: a symbol costs a millisecond or two.
    """

    def __init__(self, book: EventBook, leaders: Leaders | None = None) -> None:
        self.book = book
        self.leaders = leaders
        self._surprises = {
            kind: _z(book.releases(US[kind]), surprise_scale(book.releases(US[kind]), floor)[0])
            for kind, floor in SURPRISE_FLOORS.items()
        }

    def encode(self, context: Context, instrument: Instrument) -> Events:
        """The channels of a context's past and future bars: values and mask of shape (T + H, 20).

        Raises `Invalid` for leaders of another timeframe and for a context without the closes of its bars.
        """
        if self.leaders is not None and self.leaders.timeframe != context.timeframe:
            raise Invalid(
                f"leaders at {self.leaders.timeframe} for a context at {context.timeframe}",
                hint="an encoder serves one timeframe",
            )
        rows = _Rows.of(context)
        values = np.zeros((len(rows.close_ns), N_CHANNELS), np.float32)
        mask = np.ones((len(rows.close_ns), N_CHANNELS), np.uint8)
        for column, kinds in _flags(instrument):
            values[self._flagged(rows, kinds), column] = 1.0
        self._put_surprises(rows, values, mask)
        self._put_hawkish(rows, values, mask)
        for name, kinds, period in (("fomc", FOMC, FOMC_PERIOD_DAYS), ("cpi", US["cpi"], CPI_PERIOD_DAYS)):
            first = _COLUMN[f"days_to_{name}_sin"]
            values[:, first : first + 2], mask[:, first : first + 2] = self._circle(rows, kinds, period)
        self._put_leaders(rows, values, mask)
        values[:, _COLUMN["impact_ahead"]] = self._impact_ahead(rows, context.timeframe, instrument)
        return Events(values, mask, ENCODER)

    def _flagged(self, rows: _Rows, kinds: Kinds) -> IntArray:
        """The rows on which these kinds fell, or are scheduled to fall."""
        schedule = self.book.schedule(kinds)
        first, last = np.searchsorted(schedule.scheduled_ns, (rows.cutoff_ns, rows.close_ns[-1]))
        index = np.arange(first, last)
        due_ns = schedule.scheduled_ns[index[schedule.in_effect(index, rows.cutoff_ns)]]
        future = rows.past + np.searchsorted(rows.close_ns[rows.past :], due_ns, side="right")
        return np.concatenate([rows.arrived(self.book.releases(kinds))[0], future])

    def _put_surprises(self, rows: _Rows, values: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8]) -> None:
        for kind, z in self._surprises.items():
            releases = self.book.releases(US[kind])
            _put(rows, releases, z, releases.surprise_known_ns, values, mask, _COLUMN[f"{kind}_surprise_z"])

    def _put_hawkish(self, rows: _Rows, values: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8]) -> None:
        releases = self.book.releases(FOMC)
        score = np.clip(releases.rate_change_bp / 25.0, -2.0, 2.0) / 2.0
        _put(rows, releases, score, releases.rate_known_ns, values, mask, _COLUMN["fomc_hawkish_score"])

    def _circle(self, rows: _Rows, kinds: Kinds, period_days: float) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
        """(n, 2): sine and cosine of the way to the next event, and whether one is listed."""
        schedule = self.book.schedule(kinds)
        index = schedule.next(rows.open_ns, rows.as_of_ns)
        listed = index < len(schedule)
        days = np.zeros(len(index))
        days[listed] = (schedule.scheduled_ns[index[listed]] - rows.close_ns[listed]) / DAY_NS
        angle = 2 * np.pi * np.clip(days, 0.0, 0.9 * period_days) / period_days
        return np.where(listed[:, None], np.column_stack([np.sin(angle), np.cos(angle)]), 0.0), listed[:, None].astype(
            np.uint8
        )

    def _put_leaders(self, rows: _Rows, values: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8]) -> None:
        first, vix, share = (_COLUMN[name] for name in ("btc_log_return", "vix_level_z", "leaders_open"))
        mask[:, first : vix + 1] = 0
        if self.leaders is None:
            return
        past = slice(0, rows.past)
        close_ns, previous_ns = rows.close_ns[past], rows.previous_ns[past]
        for column, series in enumerate((self.leaders.btc, self.leaders.spy, self.leaders.dxy), first):
            values[past, column], mask[past, column] = _newest(series, close_ns, previous_ns)
        values[past, vix], mask[past, vix] = _newest(self.leaders.vix, close_ns, close_ns - VIX_AGE_NS - 1)
        values[past, share] = mask[past, first:vix].sum(axis=1) / 3.0

    def _impact_ahead(self, rows: _Rows, timeframe: Timeframe, instrument: Instrument) -> FloatArray:
        schedule = self.book.schedule(_impact_kinds(instrument), high_impact=True)
        until_ns = rows.close_ns + max(AHEAD_NS, timeframe.nominal_ns)
        return np.minimum(1.0, schedule.count(rows.close_ns, until_ns, rows.as_of_ns) / FULL_IMPACT)


def _z(releases: Releases, std: FloatArray) -> FloatArray:
    return np.clip(releases.surprise / std, -SURPRISE_LIMIT, SURPRISE_LIMIT)


def _put(
    rows: _Rows,
    releases: Releases,
    figure: FloatArray,
    known_ns: IntArray,
    values: npt.NDArray[np.float32],
    mask: npt.NDArray[np.uint8],
    column: int,
) -> None:
    """A figure of each release on its bar: 0 elsewhere in the past, masked where unknown at the close, and in future.

    Of several releases on one bar the newest counts.
    """
    row, index = rows.arrived(releases)
    present = np.isfinite(figure[index]) & (known_ns[index] <= rows.close_ns[row])
    values[row, column] = np.where(present, figure[index], 0.0)
    mask[row, column] = present
    mask[rows.past :, column] = 0


def _newest(
    series: LeaderSeries | None, as_of_ns: IntArray, after_ns: IntArray
) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    """The number of the newest bar knowable at each instant, and whether it closed after `after_ns`."""
    if series is None or not len(series.close_ns):
        return np.zeros(len(as_of_ns)), np.zeros(len(as_of_ns), np.uint8)
    index = series.newest(as_of_ns)
    found = series.standardised[index]
    present = (index >= 0) & (series.close_ns[index] > after_ns) & np.isfinite(found)
    return np.where(present, found, 0.0), present.astype(np.uint8)


def _flags(instrument: Instrument) -> Iterator[tuple[int, Kinds]]:
    yield _COLUMN["is_fomc"], FOMC
    for kind, kinds in US.items():
        yield _COLUMN[f"is_{kind}"], kinds
    yield _COLUMN["is_earnings"], _earnings(instrument)
    yield _COLUMN["is_rate_decision"], _decisions(instrument)


def _earnings(instrument: Instrument) -> Kinds:
    return tuple(("earnings", share) for share in instrument.earnings_of)


def _decisions(instrument: Instrument) -> Kinds:
    """Decisions of the instrument's central banks; the FED's is the FOMC statement."""
    own: Kinds = tuple(("rate_decision", bank) for bank in instrument.central_banks)
    return own + (FOMC if "FED" in instrument.central_banks else ())


def _impact_kinds(instrument: Instrument) -> Kinds:
    return tuple(dict.fromkeys((*FOMC, *(pair for pairs in US.values() for pair in pairs), *_decisions(instrument))))


# --- shapes ---------------------------------------------------------------------------------------------------------


def fit_rows(events: Events | None, past: int, horizon: int) -> Events | None:
    """The events as (past + horizon, 20): those without future rows get masked ones; None stays None.

    Raises `Invalid` for any other number of rows and for another encoder.
    """
    if events is None:
        return None
    if events.encoder != ENCODER:
        raise Invalid(f"events of encoder {events.encoder!r}", hint=f"this version reads {ENCODER!r}")
    if len(events) == past + horizon:
        return events
    if len(events) != past:
        raise Invalid(
            f"events of {len(events)} rows for {past} bars and {horizon} steps",
            hint=f"give {past} or {past + horizon} rows",
        )
    return Events(
        np.concatenate([events.values, np.zeros((horizon, N_CHANNELS), np.float32)]),
        np.concatenate([events.mask, np.zeros((horizon, N_CHANNELS), np.uint8)]),
        events.encoder,
    )


# --- what is stored with a forecast ---------------------------------------------------------------------------------


def event_context(book: EventBook, events: Events, context: Context, instrument: Instrument) -> dict[str, Any]:
    """The document stored with a forecast: what fell on the last bar and what lies ahead of it.

    `active`: the flags that are 1 on the last bar. `ahead`: the next events of the instrument within the horizon, eight
    at most. `surprises`: those of the last bar, by kind.
    """
    last = len(context.open_ns) - 1
    relevant = {*_impact_kinds(instrument), *_earnings(instrument)}
    return {
        "encoder": events.encoder,
        "active": [CHANNELS[column].name for column, _ in _flags(instrument) if events.values[last, column]],
        "ahead": [
            {
                "event": _event_name(one),
                "at": iso(one.scheduled_ns),
                "in_hours": round((one.scheduled_ns - context.data_cutoff_ns) / HOUR_NS, 2),
            }
            for one in book.as_of(context.data_cutoff_ns)
            if (one.kind, one.subject) in relevant
            and one.released_ns is None
            and context.data_cutoff_ns <= one.scheduled_ns < context.target_close_ns[-1]
        ][:EVENTS_AHEAD],
        "surprises": {
            kind: _surprise(float(events.values[last, column]))
            for kind, column in ((kind, _COLUMN[f"{kind}_surprise_z"]) for kind in SURPRISE_FLOORS)
            if events.values[last, _COLUMN[f"is_{kind}"]] and events.mask[last, column]
        },
    }


def _event_name(event: CalendarEvent) -> str:
    return f"{event.kind}:{event.subject}" if event.kind in ("rate_decision", "earnings") else event.kind


def _surprise(z: float) -> Mapping[str, Any]:
    return {"z": round(z, 4), "direction": "above" if z > 0 else "below" if z < 0 else "in line"}
