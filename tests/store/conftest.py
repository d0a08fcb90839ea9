"""Small forecasts, candles and passports for the store's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.forecast.forecast import LEVELS, Forecast
from gnomon.market.candles import Candles
from gnomon.market.dataset import AnySeries, Passport, SeriesPassport, content_hash
from gnomon.market.depth import Depth
from gnomon.market.instrument import Instrument
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.store.forecasts import Entry
from gnomon.units import DAY_NS, HOUR_NS, Grid

START_NS = 1_700_000_000 * 10**9 // DAY_NS * DAY_NS


def a_forecast(number: int = 0, **changes: Any) -> Forecast:
    """The forecast of an hour: each number its own cutoff and its own curve."""
    horizon = changes.pop("horizon", 24)
    timeframe = changes.pop("timeframe", Timeframe.parse("1h"))
    levels = changes.pop("levels", LEVELS)
    luck = np.random.default_rng(number)
    cutoff_ns = START_NS + number * timeframe.nominal_ns
    steps = np.arange(horizon, dtype=np.int64)
    base = 100.0 + luck.normal()
    curve = np.sort(base * np.exp(luck.normal(0, 0.01, (horizon, len(levels))) * np.sqrt(steps + 1)[:, None]), axis=1)
    made = Forecast(
        forecaster="ewma",
        version="1",
        role="baseline",
        instrument="binance:BTCUSDT",
        timeframe=timeframe,
        data_cutoff_ns=cutoff_ns,
        base_price=base,
        target_open_ns=cutoff_ns + steps * timeframe.nominal_ns,
        target_close_ns=cutoff_ns + (steps + 1) * timeframe.nominal_ns,
        levels=levels,
        quantiles=curve,
        p_up=luck.uniform(size=horizon),
        seed=number,
        input_hash=f"{number:064x}",
    )
    return replace(made, **changes)


def an_entry(number: int = 0, *, calibrated: bool = False, **changes: Any) -> Entry:
    made = a_forecast(number, **changes)
    return Entry(
        forecast=made,
        as_of_ns=made.data_cutoff_ns + 5,
        valid_until_ns=int(made.target_close_ns[0]) + 600 * 10**9,
        job_key=f"predict:{number}",
        calibrated=made.quantiles * 1.001 if calibrated else None,
        calibration_id=7 if calibrated else None,
        event_context={"active": ["is_cpi"]} if calibrated else {},
    )


def some_candles(rows: int = 100, *, seed: int = 0, first: int = 0, **changes: Any) -> Candles:
    """Hourly bars on a grid of cents and thousandths."""
    luck = np.random.default_rng(seed)
    open_ns = START_NS + (first + np.arange(rows, dtype=np.int64)) * HOUR_NS
    close = 10_000 + np.cumsum(luck.integers(-20, 21, rows))
    opened = np.concatenate([[10_000], close[:-1]]) if rows else close
    made = Candles(
        instrument="binance:BTCUSDT",
        timeframe=Timeframe.parse("1h"),
        basis="raw",
        tick=Grid.of("0.01"),
        lot=Grid.of("0.001"),
        money=Grid.of("0.00000001"),
        open_ns=open_ns,
        close_ns=open_ns + HOUR_NS,
        knowable_ns=open_ns + HOUR_NS,
        open=opened,
        high=np.maximum(opened, close) + luck.integers(0, 5, rows),
        low=np.minimum(opened, close) - luck.integers(0, 5, rows),
        close=close,
        volume=luck.integers(0, 10**6, rows),
        amount=luck.integers(0, 10**12, rows),
        flags=np.zeros(rows, np.uint8),
    )
    return replace(made, **changes)


def some_trades(rows: int = 50) -> Trades:
    luck = np.random.default_rng(1)
    time_ns = START_NS + np.cumsum(luck.integers(0, 10**9, rows))
    return Trades(
        instrument="binance:BTCUSDT",
        tick=Grid.of("0.01"),
        lot=Grid.of("0.001"),
        time_ns=time_ns,
        received_ns=time_ns + 5,
        id=np.arange(rows, dtype=np.int64),
        price=luck.integers(1, 10**6, rows),
        size=luck.integers(1, 10**6, rows),
        side=luck.integers(-1, 2, rows).astype(np.int8),
        flags=np.zeros(rows, np.uint8),
    )


def some_quotes(rows: int = 50) -> Quotes:
    luck = np.random.default_rng(2)
    time_ns = START_NS + np.cumsum(luck.integers(0, 10**9, rows))
    bid = luck.integers(1, 10**6, rows)
    sizes = luck.integers(0, 10**6, (2, rows))
    grids = Grid.of("0.01"), Grid.of("0.001")
    return Quotes("binance:BTCUSDT", *grids, time_ns, time_ns + 5, bid, sizes[0], bid + 1, sizes[1])


def some_depth(rows: int = 50) -> Depth:
    luck = np.random.default_rng(3)
    time_ns = START_NS + np.cumsum(luck.integers(0, 10**9, rows))
    return Depth(
        instrument="binance:BTCUSDT",
        tick=Grid.of("0.01"),
        lot=Grid.of("0.001"),
        time_ns=time_ns,
        received_ns=time_ns + 5,
        side=luck.choice([-1, 1], rows).astype(np.int8),
        price=luck.integers(1, 10**6, rows),
        size=luck.integers(0, 10**6, rows),
        kind=np.zeros(rows, np.uint8),
        update=np.arange(rows, dtype=np.int64),
        valid_from_ns=START_NS + 7,
    )


def a_passport(series: Sequence[AnySeries], name: str = "bars") -> Passport:
    return Passport(
        hash=content_hash(series),
        name=name,
        source="synthetic",
        licence="unknown",
        files={"bars.csv": "0" * 64},
        series=tuple(SeriesPassport.of(one) for one in series),
        recipe={"seed": 1},
    )


def an_instrument(symbol: str = "BTCUSDT", **changes: Any) -> Instrument:
    made = Instrument(
        symbol=symbol,
        venue="binance",
        asset_class="crypto",
        calendar="always",
        tick=Grid.of("0.01"),
        lot=Grid.of("0.00001"),
        sources={"binance": (symbol,)},
    )
    return replace(made, **changes)


@pytest.fixture
def make() -> SimpleNamespace:
    """Makers of forecasts, entries, candles, trades, passports and instruments."""
    return SimpleNamespace(
        forecast=a_forecast,
        entry=an_entry,
        candles=some_candles,
        trades=some_trades,
        quotes=some_quotes,
        depth=some_depth,
        passport=a_passport,
        instrument=an_instrument,
        start_ns=START_NS,
    )
