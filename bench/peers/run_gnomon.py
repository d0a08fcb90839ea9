"""Gnomon on the work of the peers: a run of a trader through its engine, desk, exchange, ledger and journal.

`quotes` decides every so many prints, `arrays` computes the same quotes as arrays for the compiled runner, `walked` for
plain NumPy, without numba, `trades` hears every print and decides every so many, `averages` hears every bar, `sweep`
buys and holds or trades in turn. The journal is hashed and not written, as in a run that keeps its digests.
"""

from __future__ import annotations

import hashlib
import sys
from decimal import Decimal
from typing import Any

import numpy as np

from gnomon.clock import Timeframe
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import Filled
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Rules
from gnomon.exchange.search import first_crossing
from gnomon.market.block_index import BlockIndex
from gnomon.replay.engine import Search
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.run import Played, RunPlan, play
from gnomon.replay.runners import runner
from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar, Trade
from gnomon.trader.limits import Limits
from gnomon.trader.panel import PrintPanel, Quotes
from gnomon.trader.trader import Strategy
from report import FAST, HALF_SPREAD_TICKS, ORDER_LOTS, SLOW, account, asked, columns, emit, least, sweep_bars

PAIR = Listing(0, "sim:BTC-USDT", Asset("BTC"), Asset("USDT"), Decimal("0.1"), Decimal("0.001"))
MINUTE = Timeframe.parse("1m")
MINUTE_NS = 60_000_000_000
FEES = {"maker": "0.0005", "taker": "0.0005", "asset": "quote"}


class Quoting(Strategy):
    """Asked every so many prints."""

    def on_trade(self, desk: Desk, trade: Trade) -> None:
        price = trade.price_ticks
        desk.quote_ticks(price - HALF_SPREAD_TICKS, price + HALF_SPREAD_TICKS, ORDER_LOTS, keep=False)


class Computing(Strategy):
    """All quotes at once, for the compiled loop."""

    every = 100

    def quotes(self, panel: PrintPanel) -> Quotes:
        price = panel.price_ticks[self.every - 1 :: self.every]
        return Quotes(self.every, price - HALF_SPREAD_TICKS, price + HALF_SPREAD_TICKS, ORDER_LOTS, keep=False)


class Hearing(Strategy):
    """Asked at every print."""

    every = 100

    def on_start(self, _: Desk) -> None:
        self.seen = 0

    def on_trade(self, desk: Desk, trade: Trade) -> None:
        self.seen += 1
        if self.seen % self.every == 0:
            price = trade.price_ticks
            desk.quote_ticks(price - HALF_SPREAD_TICKS, price + HALF_SPREAD_TICKS, ORDER_LOTS, keep=False)


class Averages(Strategy):
    def on_start(self, _: Desk) -> None:
        self.closes: list[int] = []
        self.fast = self.slow = 0

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        close, closes = bar.candle.close_ticks, self.closes
        closes.append(close)
        self.fast += close
        self.slow += close
        if len(closes) > FAST:
            self.fast -= closes[-FAST - 1]
        if len(closes) < SLOW:
            return
        if len(closes) > SLOW:
            self.slow -= closes[-SLOW - 1]
        held = desk.position_lots()
        if 3 * self.fast > self.slow:
            if not held:
                desk.buy(lots=ORDER_LOTS)
        elif held:
            desk.sell(lots=held)


class Holding(Strategy):
    """Trades at the opens of these bars, buying with all its cash and selling all, in turn. Woken by timers alone."""

    wake = {"closed_bars": False, "timers": True}  # noqa: RUF012 - class data, as documented
    dues: Any = ()

    def on_start(self, desk: Desk) -> None:
        for due_ns in self.dues:
            desk.at(due_ns, "trade")

    def on_timer(self, desk: Desk, _: str) -> None:
        held = desk.position_lots()
        if held:
            desk.sell(lots=held)
        else:
            desk.buy()


def on_prints(ts: Any, price: Any, lots: Any, buy: Any) -> Tape:
    side = np.where(buy, 1, -1).astype(np.int8)
    prints = Prints(ts, price, lots, side)
    return Tape(PAIR, prints, BlockIndex.of_prints(price, lots, side), bars_from_prints(prints, MINUTE_NS))


def on_bars(open_ts: Any, opened: Any, high: Any, low: Any, close: Any, volume: Any) -> Tape:
    lots = np.round(volume * 1000).astype(np.int64)
    bars = Bars(open_ts, open_ts + MINUTE_NS, opened, high, low, close, lots)
    return Tape(PAIR, bars, BlockIndex.of_ranges(low, high, lots), bars)


def plan_of(tape: Tape, fills: dict[str, Any], latency_ns: int, balances: dict[str, str]) -> RunPlan:
    ground = Ground((tape,), MINUTE, hashlib.sha256(np.ascontiguousarray(tape.tape.time_ns).tobytes()).digest())
    latency = {"entry": {"const_ns": latency_ns}}
    rules = Rules.parse({"fills": fills, "fees": FEES, "latency": latency, "balances": balances})
    first_ns, last_ns = ground.span()
    return RunPlan(ground, rules, first_ns, last_ns, seed=1, limits=Limits(0, 0, 0))


def figures(played: Played) -> dict[str, Any]:
    """Exact figures of the fills that the run told of; k is the number of the print from 1, or of the bar from 0."""
    filled = [one for _, one in played.told if type(one) is Filled]
    is_bar = bool(filled) and filled[0].quote_kind == 3
    rows = ((one.print + (not is_bar), "B" if one.side is Side.BUY else "S", one.price, one.lots) for one in filled)
    return {**account(rows), "fees_own": sum(one.fee for one in filled), "rejects": played.rejects}


def quoting(given: Any) -> None:
    tape = on_prints(*columns(given, "ts", "price", "lots", "buy"))
    fills = {"resting": "touch", "volume_share": "none", "taker": "rest"}
    plan = plan_of(tape, fills, given.latency_ns, {"USDT": "10000000", "BTC": "10"})

    def trader() -> Strategy:
        if given.work == "trades":
            Hearing.every = given.every
            return Hearing()
        if given.work in ("arrays", "walked"):
            Computing.every = given.every
            return Computing()
        Quoting.wake = {"every_nth_print": given.every}
        return Quoting()

    timed(
        plan, trader, given.repeat, {"prints": len(tape.tape)}, runner("kernel" if given.work == "arrays" else "jump")
    )


def averaging(given: Any) -> None:
    tape = on_bars(*columns(given, "open_ts", "open", "high", "low", "close", "volume"))
    plan = plan_of(tape, {"volume_share": "none"}, 0, {"USDT": "10000000"})
    timed(plan, Averages, given.repeat, {"bars": len(tape.tape)})


def timed(plan: RunPlan, trader: Any, repeat: int, counts: dict[str, int], search: Search = first_crossing) -> None:
    if hasattr(trader(), "quotes"):
        play(plan, trader(), keeps=False, search=search)  # compilation is apart, as it is for the peers
    _, cpu_s = least(trader, lambda one: play(plan, one, keeps=False, search=search), repeat)
    emit("gnomon", cpu_s=cpu_s, **counts, has_numba="numba" in sys.modules, **figures(play(plan, trader())))


def sweeping(given: Any) -> None:
    tape = on_bars(*columns(given, "open_ts", "open", "high", "low", "close", "volume"))
    plan = plan_of(tape, {"volume_share": "none"}, 0, {"USDT": "1000000"})
    opens_ns = tape.bars.open_ns
    seconds, fills = 0.0, 0
    for bars in sweep_bars(given.runs, given.decisions, len(tape.tape)):
        Holding.dues = [int(opens_ns[bar]) for bar in bars]
        played, cpu_s = least(Holding, lambda one: play(plan, one, keeps=False), given.repeat)
        seconds += cpu_s
        fills += played.fills
    counts = {"runs": given.runs, "decisions": given.decisions, "fills": fills}
    emit("gnomon", cpu_s=seconds, cpu_s_per_run=seconds / given.runs, **counts)


def main() -> None:
    given = asked()
    works = {
        "quotes": quoting,
        "arrays": quoting,
        "walked": quoting,
        "trades": quoting,
        "averages": averaging,
        "sweep": sweeping,
    }
    if given.work not in works:
        raise SystemExit(f"NotImplementedError: no {given.work!r} yet; there is {', '.join(works)}")
    works[given.work](given)


if __name__ == "__main__":
    main()
