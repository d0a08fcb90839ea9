"""What a forecaster is given (`Context`) and what it answers (`Forecast`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Basis
from gnomon.market.events import Events
from gnomon.market.instrument import Instrument
from gnomon.market.tape import AsOf
from gnomon.units import FloatArray, IntArray

LEVELS: Final = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)
"""The quantile levels of every stored forecast."""

MIN_CONTEXT_BARS: Final = 50
DEFAULT_LOOKBACK_BARS: Final = 2048

Role = Literal["model", "baseline", "ensemble", "shadow"]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """All that a forecaster may know: bars up to the cutoff and the schedule after it.

    `bars` is (L, 6) float64: open, high, low, close, volume, amount, split-adjusted as of the cutoff. Times are UTC ns;
    `local_ns` (L + H,) is what the wall clock of the instrument's stamp zone read at each bar's open. Treat the arrays
    as read-only: what is derived from them is kept. `close_ns` and `previous_close_ns` (the close of the bar before the
    first one, where there is one) are for encoders; `events` are the channels of one, for L or L + H rows.
    """

    instrument: str
    asset_class: str
    timeframe: Timeframe
    as_of_ns: int
    data_cutoff_ns: int
    tick: float
    bars: FloatArray  # (L, 6)
    open_ns: IntArray  # (L,)
    target_open_ns: IntArray  # (H,)
    target_close_ns: IntArray  # (H,)
    local_ns: IntArray  # (L + H,)
    five_session_bars: int
    basis: Basis = "raw"
    close_ns: IntArray | None = None  # (L,)
    previous_close_ns: int | None = None
    events: Events | None = None
    _hash: list[str] = field(default_factory=list, init=False, repr=False)  # `replace` starts without it

    @property
    def closes(self) -> FloatArray:
        return self.bars[:, 3]

    @property
    def base_price(self) -> float:
        return float(self.bars[-1, 3])

    @property
    def horizon(self) -> int:
        return len(self.target_close_ns)

    def input_hash(self) -> str:
        """BLAKE2b-256 over everything a forecaster can see; computed once: several forecasters share a context."""
        if not self._hash:
            state = hashlib.blake2b(digest_size=32)
            bars = (str(self.timeframe), self.basis, self.data_cutoff_ns)
            traits = (self.instrument, self.asset_class, self.tick, self.five_session_bars)
            state.update("|".join(map(repr, (*traits, *bars))).encode())
            for array in (self.bars, self.open_ns, self.target_open_ns, self.target_close_ns, self.local_ns):
                state.update(f"{array.dtype.str}{array.shape}".encode())
                state.update(np.ascontiguousarray(array).data)
            if self.events is not None:  # without events the hash is what it was before there were any
                state.update(f"events|{self.events.encoder!r}|{self.events.values.shape}".encode())
                state.update(np.ascontiguousarray(self.events.values, "<f4").data)
                state.update(np.ascontiguousarray(self.events.mask).data)
            self._hash.append(state.hexdigest())
        return self._hash[0]


def context_at(
    view: AsOf,
    instrument: Instrument,
    sessions: Sessions,
    timeframe: Timeframe,
    horizon: int,
    *,
    basis: Basis = "raw",
    lookback_bars: int = DEFAULT_LOOKBACK_BARS,
) -> Context:
    """The context of an instant: the cutoff is the newest scheduled close by then, and nothing newer is read.

    Raises `Invalid` when the bar scheduled to close at the cutoff is not there (never falls back to the bar before),
    and `NotFound` when the series is unknown.
    """
    cutoff_ns = sessions.newest_closed_ns(timeframe, view.as_of_ns)
    at_cutoff = AsOf(view.tape, cutoff_ns)
    candles, bars = at_cutoff.ohlcva(instrument.id, timeframe, basis, limit=lookback_bars + 1)
    if not len(candles) or int(candles.close_ns[-1]) != cutoff_ns:
        newest = iso(int(candles.close_ns[-1])) if len(candles) else "none"
        raise Invalid(
            f"{instrument.symbol} {timeframe}: the bar that closes at {iso(cutoff_ns)} is missing (newest: {newest})",
            hint="import or ingest newer bars, or choose another instant",
            detail={"instrument": instrument.id, "data_cutoff": iso(cutoff_ns), "reason": "no bar at the cutoff"},
        )
    previous_close_ns = int(candles.close_ns[0]) if len(candles) > lookback_bars else None
    candles, bars = candles.take(slice(-lookback_bars, None)), bars[-lookback_bars:]
    targets = sessions.future(timeframe, cutoff_ns, horizon)
    return Context(
        instrument=instrument.id,
        asset_class=instrument.asset_class,
        timeframe=timeframe,
        as_of_ns=view.as_of_ns,
        data_cutoff_ns=cutoff_ns,
        tick=float(instrument.tick.step),  # not the stored grid: rows that come later may make that one finer
        bars=bars,
        open_ns=candles.open_ns,
        target_open_ns=targets.open_ns,
        target_close_ns=targets.close_ns,
        local_ns=sessions.local_ns(np.concatenate([candles.open_ns, targets.open_ns])),
        five_session_bars=sessions.bars_in_sessions(timeframe, 5),
        basis=basis,
        close_ns=candles.close_ns,
        previous_close_ns=previous_close_ns,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Quantiles of the close for each step, with who said it and from what. Never updated.

    `quantiles` (H, Q) are prices: positive, finite, sorted per step. `p_up` (H,) is P(close > base price). `crossings`
    counts the pairs of neighbouring levels that had to be sorted. `n_paths` counts the paths behind the quantiles;
    `paths` may hold fewer of them.
    """

    forecaster: str
    version: str
    role: Role
    instrument: str
    timeframe: Timeframe
    data_cutoff_ns: int
    base_price: float
    target_open_ns: IntArray  # (H,)
    target_close_ns: IntArray  # (H,)
    levels: tuple[float, ...]
    quantiles: FloatArray  # (H, Q)
    p_up: FloatArray  # (H,)
    seed: int
    input_hash: str
    paths: FloatArray | None = None  # (n, H) closes, or (n, H, 6)
    n_paths: int = 0
    crossings: int = 0
    information: str = "bars"
    basis: Basis = "raw"
    params: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    weights_id: int | None = None  # of an ensemble: the stored fit of its weights

    @property
    def horizon(self) -> int:
        return len(self.target_close_ns)

    def at_level(self, level: float) -> FloatArray:
        """The curve (H,) of one stored level; `Invalid` for a level that was not asked for."""
        if level not in self.levels:
            raise Invalid(f"level {level} was not forecast", hint=f"levels: {', '.join(map(str, self.levels))}")
        return self.quantiles[:, self.levels.index(level)]


def as_stored(forecast: Forecast) -> Forecast:
    """With its quantiles as the ledger keeps them, rounded to float32, and without paths."""
    return replace(forecast, quantiles=forecast.quantiles.astype(np.float32).astype(np.float64), paths=None)
