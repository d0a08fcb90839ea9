"""One point of a curve: a run of Gnomon on seeded prints, in a process of its own, so that its peak memory is its own.

`quotes` replaces a pair every so many prints, `orders` keeps so many resting orders around the price and replaces the
oldest of them, `arrays` computes the pairs at once. `first` is `quotes` or `arrays` (`--policy`) once, for whoever
measures the whole process: nothing is loaded, prepared or measured beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from run_gnomon import MINUTE_NS, PAIR, Computing, plan_of

from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.prints import Prints
from gnomon.market.block_index import BlockIndex
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.record import Kept
from gnomon.replay.run import RunPlan, play
from gnomon.replay.runners import runner
from gnomon.trader.desk import Desk
from gnomon.trader.events import Trade
from gnomon.trader.trader import Strategy
from report import HALF_SPREAD_TICKS, ORDER_LOTS, emit, least, peak_rss_mb

ENOUGH = "10000000000"


class Pairs(Strategy):
    """A pair around the newest price of whatever instrument printed."""

    def on_trade(self, desk: Desk, trade: Trade) -> None:
        price, number = trade.price_ticks, trade.listing.number
        desk.quote_ticks(price - HALF_SPREAD_TICKS, price + HALF_SPREAD_TICKS, ORDER_LOTS, number, keep=False)


class Resting(Strategy):
    """So many orders rest, buying below and selling above in turn; each decision replaces the oldest one."""

    open_orders = 1

    def on_start(self, _: Desk) -> None:
        self.resting: list[Any] = []
        self.sent = 0

    def on_trade(self, desk: Desk, trade: Trade) -> None:
        self.resting = [one for one in self.resting if one.is_open]
        if len(self.resting) == self.open_orders:
            desk.cancel(self.resting.pop(0))
        while len(self.resting) < self.open_orders:
            self.resting.append(self._place(desk, trade))

    def _place(self, desk: Desk, trade: Trade) -> Any:
        self.sent += 1
        away = HALF_SPREAD_TICKS + self.sent // 2 % max(1, self.open_orders // 2)
        if self.sent % 2:
            return desk.buy(lots=ORDER_LOTS, limit=(trade.price_ticks - away) * trade.listing.tick)
        return desk.sell(lots=ORDER_LOTS, limit=(trade.price_ticks + away) * trade.listing.tick)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("work", choices=["quotes", "orders", "arrays", "first"])
    parser.add_argument("--every", type=int, default=1_000, help="prints a decision")
    parser.add_argument("--rows", type=int, default=0, help="of the input, from its start; 0 for all")
    parser.add_argument("--orders", type=int, default=1, help="that rest at a time, for `orders`")
    parser.add_argument("--instruments", type=int, default=1, help="among whom the prints are dealt in turn")
    parser.add_argument("--resting", choices=["touch", "queue"], default="touch")
    parser.add_argument("--journal", choices=["off", "digest", "full"], default="digest")
    parser.add_argument("--runner", choices=["jump", "kernel", "naive"], default="jump")
    parser.add_argument("--policy", choices=["quotes", "arrays"], default="quotes")
    parser.add_argument("--repeat", type=int, default=1)
    return parser.parse_args()


def tapes_of(given: argparse.Namespace) -> tuple[Tape, ...]:
    """The prints of the input, dealt in turn among the instruments: as many in all, over the same time."""
    ts, price, lots, buy = (
        np.load(given.input / f"{name}.npy")[: given.rows or None] for name in ("ts", "price", "lots", "buy")
    )
    side = np.where(buy, 1, -1).astype(np.int8)
    found = []
    for number in range(given.instruments):
        some = slice(number, None, given.instruments)
        columns = [np.ascontiguousarray(one[some]) for one in (ts, price, lots, side)]
        prints = Prints(*columns)
        name = f"B{number}" if number else "BTC"
        listing = Listing(number, f"sim:{name}-USDT", Asset(name), Asset("USDT"), PAIR.tick, PAIR.lot)
        found.append(Tape(listing, prints, BlockIndex.of_prints(*columns[1:]), bars_from_prints(prints, MINUTE_NS)))
    return tuple(found)


def planned(given: argparse.Namespace, tapes: tuple[Tape, ...]) -> RunPlan:
    fills = {"resting": given.resting, "volume_share": "none", "taker": "rest"}
    balances = {one.listing.base.name: ENOUGH for one in tapes} | {"USDT": ENOUGH}
    one = plan_of(tapes[0], fills, 0, balances)
    ground = Ground(tapes, one.ground.timeframe, one.ground.digest)
    first_ns, last_ns = ground.span()
    return RunPlan(ground, one.rules, first_ns, last_ns, seed=1, limits=one.limits)


def policy(given: argparse.Namespace, work: str) -> Strategy:
    if work == "arrays":
        Computing.every = given.every
        return Computing()
    kind: type[Strategy] = Pairs
    if work == "orders":
        Resting.open_orders = given.orders
        kind = Resting
    kind.wake = {"every_nth_print": given.every}
    return kind()


def main() -> None:
    given = asked()
    tapes = tapes_of(given)
    plan = planned(given, tapes)
    if given.work == "first":
        play(plan, policy(given, given.policy), keeps=False, search=runner(given.runner))
        sys.stdout.write(json.dumps({"has_numba": "numba" in sys.modules, "rss_mb": peak_rss_mb()}) + "\n")
        return
    search = runner(given.runner)

    def run(trader: Strategy) -> Any:
        sink = Kept() if given.journal == "full" else None
        return play(plan, trader, sink=sink, mode=given.journal, search=search, keeps=False)

    if given.work == "arrays" or given.runner == "kernel":
        run(policy(given, given.work))  # compilation is apart
    played, cpu_s = least(lambda: policy(given, given.work), run, given.repeat)
    prints = sum(len(one.tape) for one in tapes)
    decisions = sum(len(one.tape) // given.every for one in tapes)
    counts = {"prints": prints, "decisions": decisions, "prints_a_decision": given.every}
    emit("gnomon", cpu_s=cpu_s, **counts, orders_sent=played.orders, fills=played.fills)


if __name__ == "__main__":
    main()
