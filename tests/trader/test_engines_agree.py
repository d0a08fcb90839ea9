"""The naive engine of these tests and that of `gnomon.replay` tell a trader the same: all outcomes, all calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trader.driver import START_NS, Drive, bars, prints

from gnomon.clock import Timeframe
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import ListKind, OrderType, Side
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Rules
from gnomon.market.block_index import BlockIndex
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.run import Played, RunPlan, play
from gnomon.trader.orders import OrderRequest
from gnomon.trader.strategies.catalog import strategy
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS

NOISE = np.random.default_rng(11)
WALK = (5000 + np.cumsum(NOISE.integers(-30, 31, 200))).tolist()
STEPS = prints((6000 + np.cumsum(NOISE.integers(-3, 4, 500))).tolist(), step_ns=700_000_000, lots=500)


def rules_of(btc: int = 20, **latency: int) -> Rules:
    legs = {name: {"const_ms": ms} for name, ms in latency.items()}
    rules = Rules.parse(
        {"fills": {"resting": "touch", "volume_share": "0.5", "ahead": "none"},
         "fees": {"maker": "0.0002", "taker": "0.001", "asset": "quote"}, "latency": legs}
    )  # fmt: skip
    return rules.with_balances({"USD": Decimal(100_000), "BTC": Decimal(btc)})


def both(
    make: Any, tape: Prints | Bars, rules: Rules, listings: Sequence[Listing] = (), *, every: int = 1
) -> tuple[Drive, Played]:
    naive = Drive(make(), tape, listings, rules=rules, every=every).run()
    plan = RunPlan(ground(naive.listings, naive.tapes), rules, START_NS, naive.plan.end_ns, 0)
    return naive, play(plan, make())


def ground(listings: Sequence[Listing], tapes: Mapping[int, Prints | Bars]) -> Ground:
    made = []
    for one in listings:
        tape = tapes[one.number]
        if isinstance(tape, Bars):
            made.append(Tape(one, tape, BlockIndex.of_ranges(tape.low, tape.high, tape.volume), tape))
        else:
            made.append(
                Tape(
                    one, tape, BlockIndex.of_prints(tape.price, tape.lots, tape.side), bars_from_prints(tape, MINUTE_NS)
                )
            )
    return Ground(tuple(made), Timeframe.parse("1m"), bytes(32))


@pytest.mark.parametrize(
    ("name", "params"),
    [("buy_and_hold", {}), ("sma_cross", {"fast": 5, "slow": 20}), ("ema_cross", {"fast": 5, "slow": 20}),
     ("mean_reversion", {"k": 1.0})],
)  # fmt: skip
def test_shipped_strategies_on_bars(name: str, params: dict[str, Any]) -> None:
    naive, played = both(lambda: strategy(name, params), bars(WALK), rules_of(0))
    assert played.fills == len(naive.desk.fills()) > 0
    assert [one for _, one in played.told] == naive.told


@pytest.mark.parametrize("latency", [{}, {"entry": 300, "reply": 900}])
def test_the_market_maker_on_prints(latency: dict[str, int]) -> None:
    params = {"every": 7, "distance": 2, "lots": 100, "skew": 1}
    naive, played = both(lambda: strategy("market_maker", params), STEPS, rules_of(**latency), every=7)
    assert played.fills == len(naive.desk.fills()) > 20
    assert [one for _, one in played.told] == naive.told


class Anything(Strategy):
    """Does what a list says, wake by wake: orders with guards, cancels, quotes, timers that trade."""

    def __init__(self, acts: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.acts = list(acts)
        self.heard: list[tuple[int, str]] = []

    def on_trade(self, desk: Any, trade: Any) -> None:
        if self.acts:
            self._do(desk, trade.price, *self.acts.pop(0))

    def on_timer(self, desk: Any, name: str) -> None:
        self.heard.append((desk.now, name))
        desk.buy(lots=3)

    def on_order(self, desk: Any, order: Any) -> None:
        self.heard.append((desk.now, f"{order.state} {order.side.name} {order.lots} {order.executed_lots}"))

    def on_fill(self, desk: Any, fill: Any) -> None:
        self.heard.append((desk.now, f"{fill.lots} at {fill.price_ticks}, {desk.position_lots()} held"))

    def _do(self, desk: Any, price: float, act: int, size: int, off: int) -> None:
        match act:
            case 0:
                desk.buy(lots=size, tp=price * 1.002, sl=price * 0.998)
            case 1:
                desk.sell(lots=size, limit=price + 0.1 * off)
            case 2:
                desk.quote(price - 0.2, price + 0.3, Decimal(size) / 1000)
            case 3:
                desk.after(size * 10_000_000, f"t{off}")
            case 4:
                desk.cancel_all()
            case 5:
                desk.note(f"{desk.equity_units} {desk.price(0)}" if off > 0 else "nothing to say")
            case 6:
                name, at = desk.instruments()[0].id, desk.price_ticks(0)
                first = OrderRequest(name, Side.BUY, OrderType.LIMIT, lots=size, price_ticks=at - off)
                profit = OrderRequest(name, Side.SELL, OrderType.LIMIT_MAKER, lots=size, price_ticks=at + 8)
                loss = OrderRequest(name, Side.SELL, OrderType.STOP_LOSS, lots=size, stop_ticks=at - 9)
                desk.submit_list(ListKind.OTOCO, [first, profit, loss])
            case _:
                pass


ACTS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 900), st.integers(-5, 5)), min_size=1, max_size=200)


@settings(max_examples=25, deadline=None)
@given(ACTS, st.sampled_from([{}, {"entry": 20}, {"entry": 1_000, "reply": 1_500}]))
def test_whatever_a_trader_does(acts: list[tuple[int, int, int]], latency: dict[str, int]) -> None:
    made: list[Anything] = []

    def make() -> Anything:
        made.append(Anything(acts))
        return made[-1]

    naive, played = both(make, STEPS, rules_of(**latency))
    assert [one for _, one in played.told] == naive.told
    assert made[1].heard == made[0].heard
