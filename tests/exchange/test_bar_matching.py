"""Matching on bars: when an order is in time, where it fills, and which bars are counted as ambiguous."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.replay.scene import T0, ground, plan, rough_bars, rough_prints, rules, seeded_prints

from gnomon.exchange.bars import Bars
from gnomon.exchange.order import OrderType, Place, Side, Status
from gnomon.exchange.outcome import Changed, Filled, FillFlag, Refusal, Role, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Fees, FillMoment, Fills, Latency, Leg, Resolve, Resting
from gnomon.replay.ground import bars_from_prints
from gnomon.replay.run import Played, play
from gnomon.trader.orders import OrderRequest
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS, SECOND_NS

START = T0 // MINUTE_NS * MINUTE_NS
TOUCH = Fills(resting=Resting.TOUCH, share=0)
FREE = Fees(0, 0)


def candles(*rows: tuple[int, int, int, int], volume: int = 400) -> Bars:
    """One a minute."""
    open_, high, low, close = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    open_ns = START + MINUTE_NS * np.arange(len(rows))
    return Bars(open_ns, open_ns + MINUTE_NS, open_, high, low, close, np.full(len(rows), volume, np.int64))


class Once(Strategy):
    """Acts at the close of the first bar."""

    def __init__(self, act: Callable[[Any], object]) -> None:
        super().__init__()
        self.act: Callable[[Any], object] | None = act

    def on_bar(self, desk: Any, _bar: Any) -> None:
        if self.act is not None:
            self.act(desk)
            self.act = None


def run(bars: Bars, act: Callable[[Any], object], fills: Fills = TOUCH, entry_ns: int = 0) -> Played:
    how = rules(fills, FREE, Latency(entry=Leg(entry_ns)))
    return play(plan(ground(bars), how), Once(act))


def fills_of(played: Played) -> list[tuple[int, int, int, Rule]]:
    return [(one.print, one.price, one.lots, one.rule) for _, one in played.told if type(one) is Filled]


def send(kind: OrderType, side: Side, price: int = 0, stop: int = 0, lots: int = 10) -> Callable[[Any], object]:
    request = OrderRequest("t:A0", side, kind, lots=lots, price_ticks=price or None, stop_ticks=stop or None)
    return lambda desk: desk.submit(request)


BUY = send(OrderType.MARKET, Side.BUY)
PLAIN = candles((100, 104, 98, 101), (102, 106, 97, 103), (105, 109, 103, 107), (107, 108, 106, 107))

# --- B6 being in time, B7 fill moment -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry_ns", "bar", "price"),
    [
        (0, 1, 102),
        (15 * SECOND_NS, 1, 102),  # a quarter of the bar
        (15 * SECOND_NS + 1, 2, 105),
        (MINUTE_NS - 1, 2, 105),
        (MINUTE_NS + 1, 2, 105),  # decided a minute before that bar opened, and in its grace
    ],
)
def test_a_market_order_fills_at_the_open_of_the_bar_that_it_is_in_time_for(
    entry_ns: int, bar: int, price: int
) -> None:
    assert fills_of(run(PLAIN, BUY, entry_ns=entry_ns)) == [(bar, price, 10, Rule.BAR_OPEN)]


def test_no_grace_at_all_means_the_next_bar() -> None:
    strict = replace(TOUCH, open_grace=(0, 1))
    assert fills_of(run(PLAIN, BUY, strict)) == [(2, 105, 10, Rule.BAR_OPEN)]


def test_next_close_fills_at_the_close_of_the_bar_it_arrives_in() -> None:
    fills = replace(TOUCH, moment=FillMoment.NEXT_CLOSE)
    assert fills_of(run(PLAIN, BUY, fills)) == [(1, 103, 10, Rule.BAR_CLOSE)]


def test_this_close_fills_at_the_close_that_was_decided_on() -> None:
    fills = replace(TOUCH, moment=FillMoment.THIS_CLOSE)
    assert fills_of(run(PLAIN, BUY, fills)) == [(0, 101, 10, Rule.BAR_CLOSE)]


@pytest.mark.parametrize("moment", list(FillMoment))
def test_slippage_is_added_against_the_taker(moment: FillMoment) -> None:
    fills = replace(TOUCH, moment=moment)
    plain = fills_of(run(PLAIN, BUY, fills))[0][1]
    assert fills_of(run(PLAIN, BUY, replace(fills, slippage_ticks=2)))[0][1] == plain + 2
    sold = fills_of(run(PLAIN, send(OrderType.MARKET, Side.SELL), replace(fills, slippage_ticks=2)))[0][1]
    assert sold == plain - 2


def test_a_limit_in_time_meets_the_open_as_a_taker() -> None:
    found = run(PLAIN, send(OrderType.LIMIT, Side.BUY, 103))
    assert fills_of(found) == [(1, 102, 10, Rule.BAR_OPEN)]
    assert [one.role for _, one in found.told if type(one) is Filled] == [Role.TAKER]


def test_a_limit_away_from_the_open_is_filled_by_the_path_of_a_later_bar_at_its_price() -> None:
    assert fills_of(run(PLAIN, send(OrderType.LIMIT, Side.SELL, 108))) == [(2, 108, 10, Rule.BAR_PATH)]


def test_a_gap_over_a_resting_limit_fills_it_at_the_open() -> None:
    bars = candles((100, 101, 99, 100), (100, 101, 99, 100), (110, 111, 109, 110))
    assert fills_of(run(bars, send(OrderType.LIMIT, Side.SELL, 105))) == [(2, 110, 10, Rule.BAR_OPEN)]


# --- B9 size --------------------------------------------------------------------------------------------------------


def test_a_market_order_gets_its_share_of_the_open_and_the_rest_expires() -> None:
    found = run(replace(PLAIN, volume=np.full(4, 24)), BUY, replace(TOUCH, share=500_000))
    assert fills_of(found) == [(1, 102, 3, Rule.BAR_OPEN)]
    assert [one.remaining for _, one in found.told if type(one) is Changed] == [7]


def test_two_orders_at_one_open_share_its_lots() -> None:
    found = run(
        replace(PLAIN, volume=np.full(4, 48)), lambda desk: (BUY(desk), BUY(desk)), replace(TOUCH, share=1_000_000)
    )
    assert [lots for _, _, lots, _ in fills_of(found)] == [10, 2]


# --- B8 ambiguity ---------------------------------------------------------------------------------------------------


def bracket(desk: Any) -> None:
    """Sells above and below, one cancels the other."""
    desk.send_pair(
        Place(0, Side.SELL, OrderType.LIMIT_MAKER, 10, 108), Place(0, Side.SELL, OrderType.STOP_LOSS, 10, stop=95), None
    )


WIDE = candles((100, 101, 99, 100), (100, 110, 94, 100), (100, 101, 99, 100))


def test_a_bar_whose_path_decides_is_counted_and_flagged() -> None:
    found = run(WIDE, bracket)
    assert found.ambiguous_bars == 1
    assert fills_of(found) == [(1, 95, 10, Rule.BAR_STOP)]  # low is nearer to the open
    assert [one.flags for _, one in found.told if type(one) is Filled] == [FillFlag.AMBIGUOUS_BAR]


def test_a_bar_that_fills_the_same_either_way_is_not() -> None:
    found = run(WIDE, send(OrderType.LIMIT, Side.SELL, 108))
    assert (found.ambiguous_bars, found.fills) == (0, 1)
    assert [one.flags for _, one in found.told if type(one) is Filled] == [0]


def test_the_worse_of_two_paths_may_be_asked_for() -> None:
    high_first = candles((100, 101, 99, 100), (100, 108, 90, 100), (100, 101, 99, 100))
    assert fills_of(run(high_first, bracket)) == [(1, 108, 10, Rule.BAR_PATH)]
    worst = replace(TOUCH, resolve=Resolve.WORST)
    found = run(high_first, bracket, worst)
    assert fills_of(found) == [(1, 95, 10, Rule.BAR_STOP)]
    assert found.ambiguous_bars == 1
    assert fills_of(run(WIDE, bracket, worst)) == [(1, 95, 10, Rule.BAR_STOP)]


FINER = replace(TOUCH, resolve=Resolve.FINER)
THIRD = MINUTE_NS // 3


def inside(bars: Bars, *parts: tuple[int, int, int, int]) -> Bars:
    """The second candle in three, as finer ones show it."""
    open_, high, low, close = (np.array(column, np.int64) for column in zip(*parts, strict=True))
    open_ns = START + MINUTE_NS + THIRD * np.arange(len(parts))
    finer = Bars(open_ns, open_ns + THIRD, open_, high, low, close, np.full(len(parts), 100, np.int64))
    return replace(bars, finer=finer)


@pytest.mark.parametrize(
    ("parts", "fill", "ambiguous"),
    [
        ([(100, 110, 99, 105), (105, 105, 94, 95), (95, 100, 95, 100)], (1, 108, 10, Rule.BAR_PATH), 0),
        ([(100, 101, 94, 95), (95, 110, 95, 105), (105, 105, 100, 100)], (1, 95, 10, Rule.BAR_STOP), 0),
        ([(100, 101, 99, 100), (100, 110, 94, 100)], (1, 95, 10, Rule.BAR_STOP), 1),  # it does not say
        ([(100, 109, 99, 105), (105, 105, 94, 95)], (1, 95, 10, Rule.BAR_STOP), 1),  # not the same market
    ],
)
def test_finer_candles_say_which_extreme_came_first(parts: Any, fill: Any, ambiguous: int) -> None:
    found = run(inside(WIDE, *parts), bracket, FINER)
    assert fills_of(found) == [fill]
    assert found.ambiguous_bars == ambiguous
    flags = FillFlag.AMBIGUOUS_BAR if ambiguous else 0
    assert [one.flags for _, one in found.told if type(one) is Filled] == [flags]
    assert fills_of(run(inside(WIDE, *parts), bracket)) == [(1, 95, 10, Rule.BAR_STOP)]  # unless they are asked


def test_prints_say_it_too_and_without_anything_finer_it_is_counted() -> None:
    at_ns = START + MINUTE_NS + np.arange(4)
    prints = Prints(at_ns, np.array([100, 110, 94, 100]), np.ones(4, np.int64), np.ones(4, np.int8))
    found = run(replace(WIDE, finer=prints), bracket, FINER)
    assert (fills_of(found), found.ambiguous_bars) == ([(1, 108, 10, Rule.BAR_PATH)], 0)
    alone = run(WIDE, bracket, FINER)
    assert (fills_of(alone), alone.ambiguous_bars) == ([(1, 95, 10, Rule.BAR_STOP)], 1)
    elsewhere = replace(prints, time_ns=at_ns + 10 * MINUTE_NS)
    assert run(replace(WIDE, finer=elsewhere), bracket, FINER).ambiguous_bars == 1


@pytest.mark.parametrize("seed", range(6))
def test_the_path_that_finer_rows_show_is_that_of_a_loop(seed: int) -> None:
    finer = rough_prints(seed, 600)
    bars = replace(bars_from_prints(finer, 7 * SECOND_NS), finer=finer)
    for row in range(len(bars)):
        held = [
            (at, price)
            for at, price in zip(finer.time_ns.tolist(), finer.price.tolist(), strict=True)
            if bars.open_ns[row] <= at < bars.close_ns[row]
        ]
        prices = [price for _, price in held]
        high, low = prices.index(max(prices)), prices.index(min(prices))
        first, last = prices[0], prices[-1]
        expected = (first, max(prices), min(prices), last) if high < low else (first, min(prices), max(prices), last)
        assert bars.seen_path(row) == (None if high == low else expected)


def test_a_stop_that_costs_more_than_there_is_expires() -> None:
    how = rules(TOUCH, FREE, balances={"USDT": Decimal("1.05")})  # 100 lots at 104 ticks cost 1.04
    act = lambda desk: send(OrderType.STOP_LOSS, Side.BUY, stop=104, lots=100)(desk)  # noqa: E731 - shorter than a def
    gapped = candles((100, 101, 99, 100), (100, 101, 99, 100), (120, 121, 119, 120))
    found = play(plan(ground(gapped), how), Once(act))
    assert fills_of(found) == []
    ended = [one for _, one in found.told if type(one) is Changed]
    assert [(one.status, one.reason) for one in ended] == [(Status.EXPIRED, Refusal.INSUFFICIENT_BALANCE)]
    assert found.balances["USDT"] == Decimal("1.05")


# --- prints and candles agree ---------------------------------------------------------------------------------------


class Turns(Strategy):
    """Buys and sells by turns, by MARKET, at every close."""

    def on_start(self, _desk: Any) -> None:
        self.count = 0

    def on_bar(self, desk: Any, _bar: Any) -> None:
        self.count += 1
        (desk.buy if self.count % 2 else desk.sell)(lots=3)


def test_candles_made_of_prints_fill_market_orders_as_the_prints_do() -> None:
    """Where a print stands at the bar's open. Sides are such that the quote is met at the print's own price."""
    first = seeded_prints(24_000)
    time_ns = START + (np.arange(len(first)) * 50_000_000)
    on_open = time_ns % MINUTE_NS == 0
    turns = time_ns // MINUTE_NS - START // MINUTE_NS
    side = np.where(on_open, np.where(turns % 2 == 1, 1, -1), first.side).astype(np.int8)
    prints = Prints(time_ns, first.price, np.full(len(first), 100, np.int64), side)
    bars = bars_from_prints(prints, MINUTE_NS)
    window = START, int(bars.close_ns[-1])
    by_prints = play(plan(ground(prints), rules(Fills(), FREE), window=window), Turns())
    by_bars = play(plan(ground(bars), rules(Fills(), FREE), window=window), Turns())
    found = [
        [(one.side, one.price, one.lots) for _, one in played.told if type(one) is Filled]
        for played in (by_prints, by_bars)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == len(bars) - 1


def test_no_fill_on_rough_bars_is_outside_its_bar() -> None:
    bars = rough_bars(5, 400)
    found = play(plan(ground(bars), rules(Fills(), FREE)), Turns())
    inside = [bars.low[one.print] <= one.price <= bars.high[one.print] for _, one in found.told if type(one) is Filled]
    assert len(inside) > 100
    assert all(inside)
