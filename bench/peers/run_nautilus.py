"""NautilusTrader 1.x on quotes, a callback a trade (`quotes`), and on bars, two averages in Python (`averages`).

`sweep` buys and holds. Its rules are not ours (crossed orders take the last trade, bars fill at their close), so fills
differ; the work a trade, a bar and a decision is the same. Accounts, positions and portfolio are kept, risk checks are
bypassed and logs are off.
"""

from __future__ import annotations

import warnings
from collections import deque
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from report import FAST, HALF_SPREAD_TICKS, ORDER_LOTS, SLOW, TICK, asked, columns, emit, least, sweep_bars

VENUE = Venue("SIM")
PAIR = InstrumentId(Symbol("BTCUSDT"), VENUE)
BAR_TYPE = BarType.from_str(f"{PAIR}-1-MINUTE-LAST-EXTERNAL")
LOTS = Quantity(ORDER_LOTS / 1000, 3)


def instrument() -> CurrencyPair:
    fee = Decimal("0.0005")
    return CurrencyPair(
        instrument_id=PAIR,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=1,
        size_precision=3,
        price_increment=Price.from_str("0.1"),
        size_increment=Quantity.from_str("0.001"),
        maker_fee=fee,
        taker_fee=fee,
        ts_event=0,
        ts_init=0,
    )


class Quoting(Strategy):
    every = 100

    def on_start(self) -> None:
        self.seen = self.fills = 0
        self.pair: list[Any] = []
        self.subscribe_trade_ticks(PAIR)

    def on_trade_tick(self, tick: TradeTick) -> None:
        self.seen += 1
        if self.seen % self.every:
            return
        for order in self.pair:
            if order.is_open:
                self.cancel_order(order)
        around, apart = float(tick.price), HALF_SPREAD_TICKS * TICK
        self.pair = [
            self.order_factory.limit(PAIR, OrderSide.BUY, LOTS, Price(around - apart, 1)),
            self.order_factory.limit(PAIR, OrderSide.SELL, LOTS, Price(around + apart, 1)),
        ]
        for order in self.pair:
            self.submit_order(order)

    def on_order_filled(self, _: Any) -> None:
        self.fills += 1


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


class Holding(Strategy):
    """Trades at the closes of these bars, buying and selling in turn."""

    bars: Any = ()

    def on_start(self) -> None:
        self.seen, self.fills, self.long = 0, 0, False
        self.pending = list(self.bars)[::-1]
        self.subscribe_bars(BAR_TYPE)

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        if self.pending and self.seen >= self.pending[-1]:
            self.pending.pop()
            self.long = not self.long
            if self.long:
                free = float(self.portfolio.account(VENUE).balance_free(USDT))
                self.bought = Quantity(0.99 * free / float(bar.close), 3)  # an overdraft would end the run
            side = OrderSide.BUY if self.long else OrderSide.SELL
            self.submit_order(self.order_factory.market(PAIR, side, self.bought))

    def on_order_filled(self, _: Any) -> None:
        self.fills += 1


def engine(data: list[Any], strategy: Strategy, quote: int) -> tuple[BacktestEngine, Strategy]:
    made = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True), run_analysis=False
        )
    )
    made.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        starting_balances=[Money(quote, USDT), Money(10, BTC)],
        trade_execution=True,
    )
    made.add_instrument(instrument())
    made.add_data(data)
    made.add_strategy(strategy)
    return made, strategy


def trades(ts: Any, price: Any, lots: Any, buy: Any) -> list[TradeTick]:
    rows = zip(ts.tolist(), price.tolist(), lots.tolist(), buy.tolist(), strict=True)
    one_id = TradeId("1")
    return [
        TradeTick(
            PAIR,
            Price(ticks * TICK, 1),
            Quantity(lot / 1000, 3),
            AggressorSide.BUYER if buyer else AggressorSide.SELLER,
            one_id,
            stamp,
            stamp,
        )
        for stamp, ticks, lot, buyer in rows
    ]


def candles(ts: Any, opened: Any, high: Any, low: Any, close: Any) -> list[Bar]:
    rows = zip(*(column.tolist() for column in (ts, opened, high, low, close)), strict=True)
    volume = Quantity(10_000, 3)  # enough for any order: one fill each
    return [
        Bar(BAR_TYPE, *(Price(ticks * TICK, 1) for ticks in prices), volume, stamp + 60 * 10**9, stamp + 60 * 10**9)
        for stamp, *prices in rows
    ]


def replay(data: list[Any], make: Any, repeat: int, quote: int = 10_000_000) -> dict[str, Any]:
    def run(ready: tuple[BacktestEngine, Strategy]) -> int:
        made, strategy = ready
        made.run()
        return strategy.fills

    run(engine(data[:500], make(), quote))  # what it loads at its first run
    fills, cpu_s = least(lambda: engine(data, make(), quote), run, repeat)
    return {"cpu_s": cpu_s, "fills": fills}


def main() -> None:
    warnings.simplefilter("ignore")  # its own use of pandas
    given = asked()
    if given.work == "quotes":
        data: list[Any] = trades(*columns(given, "ts", "price", "lots", "buy"))
        Quoting.every = given.every
        emit("nautilus_trader", prints=len(data), **replay(data, Quoting, given.repeat))
        return
    data = candles(*columns(given, "open_ts", "open", "high", "low", "close"))
    if given.work == "averages":
        emit("nautilus_trader", bars=len(data), **replay(data, Averages, given.repeat))
        return
    runs = []
    for bars in sweep_bars(given.runs, given.decisions, len(data)):
        Holding.bars = bars
        runs.append(replay(data, Holding, 1, 1_000_000))
    seconds, fills = (sum(one[name] for one in runs) for name in ("cpu_s", "fills"))
    counts = {"runs": len(runs), "decisions": given.decisions, "fills": fills}
    emit("nautilus_trader", cpu_s=seconds, cpu_s_per_run=seconds / len(runs), **counts)


if __name__ == "__main__":
    main()
