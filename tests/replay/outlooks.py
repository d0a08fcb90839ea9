"""Grounds on which something is said: regular bars, forecasts at their closes, a calendar; and traders that listen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from tests.replay.scene import MINUTE, T0, listing, plan, rules, tape

from gnomon.exchange.bars import Bars
from gnomon.exchange.rules import Latency, Leg
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.forecast import LEVELS, Forecast
from gnomon.market.calendar import always
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.market.instrument import Instrument
from gnomon.replay.archive import Archive, Stated
from gnomon.replay.ground import Ground
from gnomon.replay.run import RunPlan
from gnomon.replay.wire import Compute
from gnomon.trader.trader import Strategy
from gnomon.units import DAY_NS, MINUTE_NS, Grid

START = T0 // MINUTE_NS * MINUTE_NS
DAY = START // DAY_NS
ALWAYS = always(DAY - 3, DAY + 30)


def steady_bars(seed: int, n: int, first_ns: int = START) -> Bars:
    """One a minute, none missing."""
    chance = np.random.default_rng(seed)
    close = np.maximum(500, 10_000 + np.cumsum(chance.integers(-15, 16, n)))
    first = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(first, close) + 3, np.minimum(first, close) - 3
    open_ns = first_ns + MINUTE_NS * np.arange(n)
    return Bars(open_ns, open_ns + MINUTE_NS, first, high, low, close, np.full(n, 1_000))


def at(bar: int) -> int:
    """The close of a bar."""
    return START + (bar + 1) * MINUTE_NS


def said(instrument: int, issued_ns: int, ratio: float, name: str = "oracle", base: float = 1_000.0) -> Stated:
    """A forecast of one step whose median is `ratio` times its base."""
    targets = np.array([issued_ns + MINUTE_NS])
    cutoff_ns, chance = issued_ns // MINUTE_NS * MINUTE_NS, np.array([0.6 if ratio > 1 else 0.5])
    spread = 1 + (np.array(LEVELS) - 0.5) * 0.02
    one = Forecast(
        name, "1-aaaaaaaa", "model", listing(instrument).id, MINUTE, cutoff_ns, base, targets - MINUTE_NS, targets,
        LEVELS, (base * ratio * spread)[None, :], chance, 0, "",
    )  # fmt: skip
    return Stated.of(instrument, issued_ns, one)


def event(number: int, scheduled_ns: int, knowable_ns: int, **more: Any) -> CalendarEvent:
    return CalendarEvent(
        f"s:{number}", "s", "cpi", "US", "CPI", "high", scheduled_ns, min(knowable_ns, START), knowable_ns, **more
    )


def grounded(*bars: Bars, stated: Any = (), events: Any = None) -> Ground:
    book = None if events is None else EventBook(events)
    return Ground(tuple(tape(n, one) for n, one in enumerate(bars)), MINUTE, bytes(32), Archive(stated, book))


def computing(ground: Ground, **more: Any) -> RunPlan:
    """Over the ground, with two baselines that are computed."""
    instruments = [
        Instrument(one.id.partition(":")[2], "t", "crypto", "always", Grid(one.tick), Grid(one.lot))
        for one in ground.listings
    ]
    known = {name: forecaster(name) for name in ("ewma", "momentum")}
    how = Compute(known, instruments, [ALWAYS] * len(instruments), horizon_bars=4, lookback_bars=80)
    compute = replace(how, **{name: more.pop(name) for name in list(more) if name in how.__dataclass_fields__})
    how_rules = rules(latency=Latency(Leg(more.pop("feed_ns", 0)), Leg(0), Leg(0)))
    return plan(replace(ground, archive=None), how_rules, compute=compute, **more)


class Follows(Strategy):
    """Reads at every bar, and buys or sells what it read."""

    class Params:
        forecaster: str = "oracle"

    def on_start(self, _desk: Any) -> None:
        self.seen: list[tuple[int, str | None]] = []

    def on_bar(self, desk: Any, bar: Any) -> None:
        for name in bar.candles:
            issued = desk.forecast(self.params.forecaster, name)
            self.seen.append((desk.now, None if issued is None else issued.id))
            if issued is None:
                continue
            if issued.median() > issued.forecast.base_price * 1.0005:
                desk.buy(name, lots=3)
            elif desk.position_lots(name) > 3:
                desk.sell(name, lots=3)


class Listens(Strategy):
    """Keeps what it is told, in the order of the calls."""

    class Params:
        forecaster: str = "oracle"

    def on_start(self, desk: Any) -> None:
        self.told: list[tuple[int, str, Any]] = [(desk.now, "start", None)]

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.told.append((desk.now, "bar", bar.time_ns))

    def on_forecast(self, desk: Any, issued: Any) -> None:
        self.told.append((desk.now, "forecast", issued.id))
        if issued.median() > issued.forecast.base_price:
            desk.buy(issued.forecast.instrument, lots=1)

    def on_calendar(self, desk: Any, one: Any) -> None:
        self.told.append((desk.now, "calendar", (one.id, one.released_ns)))
        desk.note(one.title)
