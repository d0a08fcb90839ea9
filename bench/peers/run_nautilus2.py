"""NautilusTrader 2 on quotes, a callback a trade (`quotes`), and on bars, two averages in Python (`averages`).

Its face in Python changed from 1.x, the rules did not: see `run_nautilus.py`.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LoggerConfig, LogLevel
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import (
    AccountType,
    AggressorSide,
    Bar,
    BarType,
    Currency,
    CurrencyPair,
    InstrumentId,
    Money,
    OmsType,
    OrderSide,
    Price,
    Quantity,
    Symbol,
    TradeId,
    TradeTick,
    Venue,
)
from nautilus_trader.risk import RiskEngineConfig
from nautilus_trader.trading import Strategy, StrategyConfig

from report import FAST, HALF_SPREAD_TICKS, ORDER_LOTS, SLOW, TICK, asked, columns, emit, least

BTC, USDT = Currency.from_str("BTC"), Currency.from_str("USDT")
FEE = Decimal("0.0005")
PAIR = InstrumentId.from_str("BTCUSDT.SIM")
BAR_TYPE = BarType.from_str(f"{PAIR}-1-MINUTE-LAST-EXTERNAL")
LOTS = Quantity(ORDER_LOTS / 1000, 3)


class Quoting(Strategy):
    every = 100

    def on_start(self) -> None:
        self.seen = self.fills = 0
        self.pair: list[Any] = []
        self.subscribe_trades(PAIR)

    def on_trade(self, trade: TradeTick) -> None:
        self.seen += 1
        if self.seen % self.every:
            return
        for order in self.pair:
            self.cancel_order(order)
        around, apart = float(trade.price), HALF_SPREAD_TICKS * TICK
        pair = [
            self.order_factory.limit(PAIR, OrderSide.BUY, LOTS, Price(around - apart, 1)),
            self.order_factory.limit(PAIR, OrderSide.SELL, LOTS, Price(around + apart, 1)),
        ]
        self.pair = [order.client_order_id for order in pair]
        for order in pair:
            self.submit_order(order)

    def on_order_filled(self, event: Any) -> None:
        self.fills += 1
        if event.client_order_id in self.pair and event.last_qty == LOTS:
            self.pair.remove(event.client_order_id)


class Averages(Strategy):
    def on_start(self) -> None:
        self.fills, self.long = 0, False
        self.closes: deque[float] = deque(maxlen=SLOW)
        self.fast = self.slow = 0.0
        self.subscribe_bars(BAR_TYPE)

    def on_bar(self, bar: Bar) -> None:
        close, closes = float(bar.close), self.closes
        if len(closes) == SLOW:
            self.slow -= closes[0]
        if len(closes) >= FAST:
            self.fast -= closes[-FAST]
        closes.append(close)
        self.fast += close
        self.slow += close
        if len(closes) < SLOW:
            return
        above = 3 * self.fast > self.slow + 1e-6
        if above != self.long:
            side = OrderSide.BUY if above else OrderSide.SELL
            self.submit_order(self.order_factory.market(PAIR, side, LOTS))
            self.long = above

    def on_order_filled(self, _: Any) -> None:
        self.fills += 1


def engine(data: list[Any], make: Any) -> tuple[BacktestEngine, Strategy]:
    silent = LoggerConfig(
        stdout_level=LogLevel.OFF, bypass_logging=True
    )  # `bypass_logging` of the engine leaves logs on
    risk = RiskEngineConfig(bypass=True)
    made = BacktestEngine(BacktestEngineConfig(logging=silent, run_analysis=False, risk_engine=risk))
    made.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        starting_balances=[Money(10_000_000, USDT), Money(10, BTC)],
        fee_model=MakerTakerFeeModel(FEE, FEE),
    )
    tick, lot = Price.from_str("0.1"), Quantity.from_str("0.001")
    made.add_instrument(CurrencyPair(PAIR, Symbol("BTCUSDT"), BTC, USDT, 1, 3, tick, lot, 0, 0))
    made.add_data(data)
    strategy = make(StrategyConfig())
    made.add_strategy(strategy)
    return made, strategy


def trades(ts: Any, price: Any, lots: Any, buy: Any) -> list[TradeTick]:
    rows = zip(ts.tolist(), price.tolist(), lots.tolist(), buy.tolist(), strict=True)
    sides = {True: AggressorSide.BUY, False: AggressorSide.SELL}
    one_id = TradeId("1")
    return [
        TradeTick(PAIR, Price(ticks * TICK, 1), Quantity(lot / 1000, 3), sides[buyer], one_id, stamp, stamp)
        for stamp, ticks, lot, buyer in rows
    ]


def candles(ts: Any, opened: Any, high: Any, low: Any, close: Any) -> list[Bar]:
    rows = zip(*(column.tolist() for column in (ts, opened, high, low, close)), strict=True)
    volume = Quantity(10_000, 3)
    return [
        Bar(BAR_TYPE, *(Price(ticks * TICK, 1) for ticks in prices), volume, stamp + 60 * 10**9, stamp + 60 * 10**9)
        for stamp, *prices in rows
    ]


def replay(data: list[Any], make: Any, repeat: int) -> dict[str, Any]:
    def run(ready: tuple[BacktestEngine, Strategy]) -> int:
        made, strategy = ready
        made.run()
        return strategy.fills

    run(engine(data[:500], make))  # what it loads at its first run
    fills, cpu_s = least(lambda: engine(data, make), run, repeat)
    return {"cpu_s": cpu_s, "fills": fills}


def main() -> None:
    given = asked()
    if given.work == "quotes":
        data: list[Any] = trades(*columns(given, "ts", "price", "lots", "buy"))
        Quoting.every = given.every
        emit("nautilus_trader", prints=len(data), **replay(data, Quoting, given.repeat))
    else:
        data = candles(*columns(given, "open_ts", "open", "high", "low", "close"))
        emit("nautilus_trader", bars=len(data), **replay(data, Averages, given.repeat))


if __name__ == "__main__":
    main()
