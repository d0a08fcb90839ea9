"""Bots that decide by row: `decisionFunction(row) -> -1, 0, 1`, asked at the close of each bar.

One instrument: 1 with cash buys with all cash, -1 with a holding sells everything, else hold. Several: each is asked
with `_current_ticker` set, then one rebalance, sells before buys:

| decision | target |
|---|---|
| 1 | one full sleeve: investable divided by the priced instruments |
| 0 | never funded, but capped at one sleeve |
| -1 | zero, a full exit |

`row` holds symbol, timestamp, open, high, low, close, volume and the 86 indicators of `trader.strategies.indicators`,
each computed when it is read, on the bars closed by then; gaps are filled forward, then with zero. Rows of the warm-up
(ADX 0 or missing) are skipped. Orders fill as the session's rules say: by default at the next open, not at the deciding
close.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.exchange.order import Side
from gnomon.trader import trader
from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar, Candle
from gnomon.trader.strategies.indicators import COLUMNS, Frame
from gnomon.units import FloatArray

FIELDS: Final = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
DECISIONS: Final = (-1, 0, 1)
MIN_TRADE: Final = Decimal(25)
"""In the quote asset: less is not worth its costs."""

ENDLESS: Final = 10**6


class History:
    """The bars of one instrument, as far as they are closed."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self._frame: Frame | None = None

    def add(self, row: tuple[float, ...]) -> None:
        self.rows.append(row)
        self._frame = None

    @property
    def frame(self) -> Frame:
        if self._frame is None:
            columns: FloatArray = np.array(self.rows, np.float64).reshape(-1, 5).T
            self._frame = Frame(*columns)
        return self._frame


class Row(Mapping[str, Any]):
    """The newest bar with its indicators: `row["momentum_rsi"]`, `row.close`, `row.get("trend_adx", 0)`."""

    __slots__ = ("_frame", "_own")

    def __init__(self, own: dict[str, Any], frame: Frame) -> None:
        self._own = own
        self._frame = frame

    def __getitem__(self, name: str) -> Any:
        if name in self._own:
            return self._own[name]
        if name not in COLUMNS:
            raise KeyError(name)
        return float(self._frame.filled(name)[-1])

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[str]:
        yield from (*self._own, *COLUMNS)

    def __len__(self) -> int:
        return len(self._own) + len(COLUMNS)


class DecisionTrader(trader.Strategy):
    """A trader made of an object with `decisionFunction(row)`; its counters live as long as it does."""

    def __init__(self, bot: Any) -> None:
        """`NotImplementedError` for a bot that overrides `makeOneIteration` alone: it cannot be replayed bar by bar."""
        if not callable(getattr(bot, "decisionFunction", None)):
            if callable(getattr(bot, "makeOneIteration", None)):
                raise NotImplementedError(
                    f"{type(bot).__name__} is event-driven: it only overrides makeOneIteration, which reads the "
                    "present; write decisionFunction(row) to replay it"
                )
            raise Invalid(f"{type(bot).__name__} has no decisionFunction", hint="write decisionFunction(self, row)")
        super().__init__()
        self.bot = bot
        self._histories: dict[str, History] = {}

    def document(self) -> dict[str, Any]:
        kind = type(self.bot)
        return {**super().document(), "bot": f"{kind.__module__}:{kind.__qualname__}"}

    def on_start(self, desk: Desk) -> None:
        self._histories = {one.id: History() for one in desk.instruments()}
        if self.warmup:
            for listing in desk.instruments():
                for row in desk.candles(listing.number, ENDLESS).ohlcva()[:, :5].tolist():
                    self._histories[listing.id].add(tuple(row))

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        decisions = {}
        for name, candle in bar.candles.items():
            row = self._row(name, candle)
            if row["trend_adx"]:
                decisions[name] = self._asked(name, row)
        if len(self._histories) == 1:
            for name, decision in decisions.items():
                _follow(desk, name, decision)
        elif decisions:
            self._rebalance(desk, decisions)

    def _row(self, name: str, candle: Candle) -> Row:
        values = (candle.open, candle.high, candle.low, candle.close, float(candle.volume))
        history = self._histories[name]
        history.add(values)
        own = dict(zip(FIELDS, (name, iso(candle.open_ns), *values), strict=True))
        return Row(own, history.frame)

    def _asked(self, name: str, row: Row) -> int:
        self.bot._current_ticker = name
        decision = self.bot.decisionFunction(row)
        if decision not in DECISIONS:
            raise Invalid(f"decisionFunction answered {decision!r} for {name}", hint="-1, 0 or 1")
        return int(decision)

    def _rebalance(self, desk: Desk, decisions: Mapping[str, int]) -> None:
        """An instrument that was not asked now keeps what it has, up to one sleeve, as for 0."""
        priced = [name for name in self._histories if desk.price_ticks(name)]
        equity = desk.equity_units
        if not priced or equity <= 0:
            return
        sleeve = 1 / len(priced)
        weights = {}
        for name in priced:
            decision = decisions.get(name, 0)
            listing = next(one for one in desk.instruments() if one.id == name)
            held = listing.notional(desk.price_ticks(name), desk.position_lots(name)) / equity
            weights[name] = sleeve if decision == 1 else min(held, sleeve) if decision == 0 else 0.0
        desk.target({name: weight for name, weight in weights.items() if weight > 0})


def _follow(desk: Desk, name: str, decision: int) -> None:
    """All in or all out."""
    listing = desk.instruments()[0]
    if decision == 1 and desk.free_units >= listing.quote.units(MIN_TRADE) and not _buys(desk):
        desk.buy(name)
    elif decision == -1 and desk.position_lots(name):
        desk.close(name)


def _buys(desk: Desk) -> bool:
    return any(one.side is Side.BUY for one in desk.orders())


def trader_of(kind: type[Any], **params: Any) -> DecisionTrader:
    """A trader from a class with `decisionFunction`."""
    return DecisionTrader(kind(**params))
