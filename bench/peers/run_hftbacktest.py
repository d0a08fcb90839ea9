"""hftbacktest on quotes: woken per trade, compiled or as plain Python, no-partial-fill exchange, risk-averse queue.

Its venue knows prints alone here (no depth), so an order that arrives crossed rests, as with `taker = rest`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.order import FILLED
from hftbacktest.types import event_dtype
from numba import njit

from report import FEE, HALF_SPREAD_TICKS, LOT, ORDER_LOTS, TICK, account, asked, columns, emit, least

FEED = 2  # what `wait_next_feed` answers at a print
NEVER_NS = 10**18
PRINT_NS = 50_000_000


def events(ts: Any, price: Any, lots: Any, buy: Any) -> Any:
    found = np.zeros(len(ts), event_dtype)
    found["ev"] = TRADE_EVENT | EXCH_EVENT | LOCAL_EVENT
    found["ev"] |= np.where(buy, BUY_EVENT, SELL_EVENT).astype(np.uint64)
    found["exch_ts"] = found["local_ts"] = ts
    found["px"] = price * TICK
    found["qty"] = lots * LOT
    return found


def venue(data: Any, latency_ns: int) -> Any:
    asset = (
        BacktestAsset()
        .data(data)
        .linear_asset(1.0)
        .constant_order_latency(latency_ns, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(FEE, FEE)
        .tick_size(TICK)
        .lot_size(LOT)
        .last_trades_capacity(0)
    )
    return HashMapMarketDepthBacktest([asset])


def strategy(compiled: Callable[[Any], Any], work: str) -> Any:
    """A function of (venue, prices, every, fills); `compiled` is what makes machine code of a function, or nothing."""

    def requote(hbt: Any, around: Any, order: int) -> int:
        """A pair in place of the pair before it, whose second order this is. An order known to be filled must not be
        cancelled: this version would apply its fill once more."""
        orders = hbt.orders(0)
        for old in (order - 1, order):
            if old > 0:
                one = orders.get(old)
                if one is not None and one.cancellable:
                    hbt.cancel(0, old, False)
        hbt.clear_inactive_orders(0)
        hbt.submit_buy_order(0, order + 1, (around - HALF_SPREAD_TICKS) * TICK, ORDER_LOTS * LOT, GTC, LIMIT, False)
        hbt.submit_sell_order(0, order + 2, (around + HALF_SPREAD_TICKS) * TICK, ORDER_LOTS * LOT, GTC, LIMIT, False)
        return order + 2

    replace = compiled(requote)

    def waking(hbt: Any, price: Any, every: int, fills: Any) -> int:  # noqa: ARG001 - the three have one signature
        """One wake a print."""
        k = order = 0
        while hbt.wait_next_feed(False, NEVER_NS) == FEED:
            k += 1
            if k % every == 0:
                order = replace(hbt, price[k - 1], order)
        return k

    def elapsing(hbt: Any, price: Any, every: int, fills: Any) -> int:  # noqa: ARG001 - the three have one signature
        """From quote to quote by the clock."""
        k = order = 0
        hbt.wait_next_feed(False, NEVER_NS)
        pause = (every - 1) * PRINT_NS
        while hbt.elapse(pause) == 0:
            k += every
            if k > len(price):
                break
            order = replace(hbt, price[k - 1], order)
            pause = every * PRINT_NS
        return k

    def watching(hbt: Any, price: Any, every: int, fills: Any) -> int:
        """One wake a print, and every fill written down: time, side, ticks. Answers how many."""
        k = order = count = 0
        while hbt.wait_next_feed(False, NEVER_NS) == FEED:
            k += 1
            values = hbt.orders(0).values()
            while values.has_next():
                one = values.get()
                if one.status == FILLED:
                    fills[count, 0], fills[count, 1], fills[count, 2] = one.exch_timestamp, one.side, one.price_tick
                    count += 1
            hbt.clear_inactive_orders(0)
            if k % every == 0:
                order = replace(hbt, price[k - 1], order)
        return count

    return compiled({"waking": waking, "elapsing": elapsing, "watching": watching}[work])


WORKS = {
    "compiled": (njit, "waking"),
    "python": (lambda one: one, "waking"),
    "python_elapse": (lambda one: one, "elapsing"),
}


def main() -> None:
    given = asked()
    ts, price, lots, buy = columns(given, "ts", "price", "lots", "buy")
    data = events(ts, price, lots, buy)
    every, latency = given.every, given.latency_ns
    run = strategy(*WORKS[given.work])
    warm = venue(data[:5_000], latency)
    run(warm, price, 10, None)  # every path once: a plain caller compiles the methods that it calls, cancels too
    warm.close()
    hbt, cpu_s = least(lambda: venue(data, latency), lambda one: (run(one, price, every, None), one)[1], given.repeat)
    state = hbt.state_values(0)
    own = {"fills_own": state.num_trades, "position_own": state.position, "cash_own": state.balance}
    own |= {"fees_own": state.fee}
    hbt.close()
    checked = checked_fills(data, price, every, latency) if given.work == "compiled" else {"fills": own["fills_own"]}
    emit("hftbacktest", cpu_s=cpu_s, prints=len(ts), **checked, **own)


def checked_fills(data: Any, price: Any, every: int, latency_ns: int) -> dict[str, Any]:
    """Exact figures of the fills, from a run of its own that writes them down."""
    found = np.zeros((len(data), 3), np.int64)  # at most one of ours a print
    hbt = venue(data, latency_ns)
    count = strategy(njit, "watching")(hbt, price, every, found)
    hbt.close()
    first = int(data["exch_ts"][0])
    rows = sorted(((int(at) - first) // PRINT_NS + 1, int(side), int(tick)) for at, side, tick in found[:count])
    return account((k, "B" if side == 1 else "S", tick, ORDER_LOTS) for k, side, tick in rows)


if __name__ == "__main__":
    main()
