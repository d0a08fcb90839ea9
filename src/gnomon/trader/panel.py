"""Panels: whole arrays for strategies that compute everything at once, and the proof that they do not look ahead.

Row `t` of the weights is decided at the close of bar `t`. Before they are used they are computed again on data that
ends at some bars: what was decided there must be the same, bit for bit. `Quotes` likewise, on prints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon import chance
from gnomon.errors import Invalid, Refused, Unavailable
from gnomon.market.candles import Candles
from gnomon.trader.market import Issued
from gnomon.units import FloatArray, IntArray

CUTS: Final = 8

Lookup = Callable[[str, int, int], Issued | None]
"""`(forecaster, column, at_ns)`: the newest forecast known then."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """Forecasts of the next close as known at each bar: (bars, instruments) float64, NaN where there was none."""

    low: FloatArray
    median: FloatArray
    high: FloatArray
    p_up: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Closed bars, oldest first: arrays (bars, instruments). Where a bar is missing `mask` is false, prices are NaN."""

    instruments: tuple[str, ...]
    time: IntArray  # (bars,) closes, ns
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    mask: npt.NDArray[np.bool_]
    lookup: Lookup | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: slice) -> Panel:
        """The chosen bars; memory is shared."""
        names = ("time", "open", "high", "low", "close", "volume", "mask")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def forecast(self, name: str, band: tuple[float, float] = (0.1, 0.9)) -> Outlook:
        """Medians and bands of one forecaster as known at each bar."""
        if self.lookup is None:
            raise Unavailable(f"no forecasts of {name!r} here", hint="name it in needs, and replay with forecasts")
        columns = np.full((4, *self.close.shape), np.nan)
        for row, at_ns in enumerate(self.time.tolist()):
            for column in range(len(self.instruments)):
                issued = self.lookup(name, column, at_ns)
                if issued is not None:
                    said = issued.quantile(band[0]), issued.median(), issued.quantile(band[1]), issued.p_up()
                    columns[:, row, column] = said
        return Outlook(*columns)


def panel_of(series: Sequence[Candles], lookup: Lookup | None = None) -> Panel:
    """Candles of one timeframe side by side, by their closes."""
    if len({one.timeframe for one in series}) > 1:
        raise Invalid("candles of different timeframes in one panel", hint="one timeframe")
    time = np.unique(np.concatenate([one.close_ns for one in series])) if series else np.empty(0, np.int64)
    shape = len(time), len(series)
    columns = {name: np.full(shape, np.nan) for name in ("open", "high", "low", "close", "volume")}
    mask = np.zeros(shape, np.bool_)
    for column, one in enumerate(series):
        rows = np.searchsorted(time, one.close_ns)
        mask[rows, column] = True
        for name in ("open", "high", "low", "close"):
            columns[name][rows, column] = one.tick.floats(getattr(one, name))
        columns["volume"][rows, column] = one.lot.floats(one.volume)
    names = tuple(one.instrument for one in series)
    return Panel(names, time, mask=mask, lookup=lookup, **columns)


def checked_weights(strategy: Any, panel: Panel, seed: int) -> FloatArray:
    """`strategy.weights(panel)`, (bars, instruments); `Refused` when a row depends on later bars."""
    rows = _weights(strategy, panel)
    for k in cuts(len(panel), seed):
        if _weights(strategy, panel[:k])[-1].tobytes() != rows[k - 1].tobytes():
            raise Refused(
                f"weights look ahead at bar {k - 1}",
                hint="row t may use bars up to t alone: no shift(-1), no mean of the whole",
                detail={"kind": "look_ahead", "bar": k - 1},
            )
    return rows


def _weights(strategy: Any, panel: Panel) -> FloatArray:
    rows = np.asarray(strategy.weights(panel), np.float64)
    if rows.shape != panel.close.shape:
        raise Invalid(f"weights of shape {rows.shape}", hint=f"one row a bar: {panel.close.shape}")
    return rows


def cuts(n: int, seed: int) -> list[int]:
    """Up to eight lengths from 1 to n, drawn by identity, without repeats."""
    return sorted({1 + int(chance.uniform(seed, "causality", i) * n) for i in range(CUTS)}) if n else []


@dataclass(frozen=True, slots=True, eq=False)
class PrintPanel:
    """Prints of one instrument in tape order: ns, ticks, lots, aggressor (1, -1, 0)."""

    instrument: str
    time_ns: IntArray
    price_ticks: IntArray
    lots: IntArray
    side: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.time_ns)

    def __getitem__(self, rows: slice) -> PrintPanel:
        names = ("time_ns", "price_ticks", "lots", "side")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Standing pairs to be sent at some prints: exactly `desk.quote_ticks` in a wake at each position of `at`.

    `at` may be an integer n for every n-th print. Prices in ticks, 0 withdraws a side.
    """

    at: IntArray | int
    bid_ticks: IntArray
    ask_ticks: IntArray
    lots: IntArray | int
    post_only: bool = False
    keep: bool = True

    def spread_over(self, prints: int) -> Quotes:
        """With every array written out; `Invalid` where lengths, order or signs are wrong."""
        at = np.arange(self.at - 1, prints, self.at) if isinstance(self.at, int) else np.asarray(self.at, np.int64)
        bid, ask = np.asarray(self.bid_ticks, np.int64), np.asarray(self.ask_ticks, np.int64)
        lots = np.broadcast_to(np.asarray(self.lots, np.int64), at.shape)
        if not bid.shape == ask.shape == at.shape:
            raise Invalid(f"{len(at)} wakes, {bid.shape} bids, {ask.shape} asks", hint="one pair for each wake")
        if len(at) and not (at[0] >= 0 and at[-1] < prints and bool((np.diff(at) > 0).all())):
            raise Invalid("at is not a rising sequence of tape positions", hint=f"from 0 to {prints - 1}")
        if len(at) and (bid.min() < 0 or ask.min() < 0 or lots.min() < 1):
            raise Invalid("a negative price, or no lots", hint="prices of 0 withdraw a side; at least one lot")
        return replace(self, at=at, bid_ticks=bid, ask_ticks=ask, lots=lots)


def checked_quotes(strategy: Any, panel: PrintPanel, seed: int) -> Quotes:
    """`strategy.quotes(panel)` written out; `Refused` when a pair depends on prints after its own."""
    whole: Quotes = strategy.quotes(panel).spread_over(len(panel))
    for k in cuts(len(panel), seed):
        part = strategy.quotes(panel[:k]).spread_over(k)
        known = int(np.searchsorted(whole.at, k))
        for name in ("at", "bid_ticks", "ask_ticks", "lots"):
            if getattr(part, name).tobytes() != getattr(whole, name)[:known].tobytes():
                raise Refused(
                    f"quotes look ahead: {name} before print {k} changes with later prints",
                    hint="a pair may use the prints up to its own alone",
                    detail={"kind": "look_ahead", "print": k},
                )
    return whole


class QuoteScript:
    """The hook that sends written-out quotes one by one: the slow way, which a compiled loop must equal."""

    __slots__ = ("_rows",)

    def __init__(self, quotes: Quotes, instrument: int = 0) -> None:
        columns = [np.asarray(one).tolist() for one in (quotes.bid_ticks, quotes.ask_ticks, quotes.lots)]
        tail = (instrument, quotes.post_only, quotes.keep)
        self._rows = iter([(*row, *tail) for row in zip(*columns, strict=True)])

    def __call__(self, desk: Any, _trade: Any) -> None:
        desk.quote_ticks(*next(self._rows))
