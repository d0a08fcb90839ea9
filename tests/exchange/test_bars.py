"""Bars: a candle as four points, and what its path does to orders, by hand-made candles (engine.md 8)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.replay.scene import rough_bars

from gnomon.exchange.bars import Act, Bars, capped, opposite, walk_through, worth_at_close
from gnomon.exchange.order import Order, OrderType, Place, Side
from gnomon.exchange.outcome import Role, Rule
from gnomon.exchange.rules import Fills, Path, Resting
from gnomon.exchange.thresholds import Thresholds
from gnomon.units import INT64_MAX, MINUTE_NS

TOUCH, BEYOND = Fills(resting=Resting.TOUCH, share=0), Fills(resting=Resting.THROUGH, share=0)


def candle(open_: int, high: int, low: int, close: int, volume: int = 400, at_ns: int = 0) -> Bars:
    columns = (at_ns, at_ns + MINUTE_NS, open_, high, low, close, volume)
    return Bars(*(np.array([value], np.int64) for value in columns))


def order(side: Side, price: int, lots: int = 10, number: int = 1, **more: int) -> Order:
    kind = OrderType(more.pop("kind", OrderType.LIMIT))
    one = Order.of(Place(0, side, kind, lots, price, **more), 0, 0)  # type: ignore[arg-type]  # whole numbers all
    one.number = number
    return one


def acts(orders: list[Order], bars: Bars, fills: Fills = TOUCH, kind: Path = Path.ADAPTIVE) -> list[Act]:
    return walk_through(orders, bars.path(0, kind), bars.volumes(0), fills)


# --- B1 path, B2 times, B3 volume -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ohlc", "path"),
    [
        ((100, 110, 97, 108), (100, 97, 110, 108)),  # the example of the specification: low is nearer
        ((100, 102, 90, 95), (100, 102, 90, 95)),  # high is nearer
        ((100, 105, 95, 103), (100, 95, 105, 103)),  # a tie, and it rose
        ((100, 105, 95, 97), (100, 105, 95, 97)),  # a tie, and it fell
        ((100, 105, 95, 100), (100, 95, 105, 100)),  # a tie, and it stands: low first
    ],
)
def test_the_adaptive_path_visits_the_nearer_extreme_first(ohlc: tuple[int, ...], path: tuple[int, ...]) -> None:
    assert candle(*ohlc).path(0, Path.ADAPTIVE) == path


def test_a_fixed_path_has_its_own_order() -> None:
    bar = candle(100, 110, 97, 108)
    assert bar.path(0, Path.OHLC) == (100, 110, 97, 108)
    assert bar.path(0, Path.OLHC) == (100, 97, 110, 108)
    assert opposite(bar.path(0, Path.OHLC)) == bar.path(0, Path.OLHC)


def test_points_are_a_third_of_the_bar_apart_and_the_last_is_before_its_close() -> None:
    assert candle(1, 1, 1, 1, at_ns=600).times_ns(0) == (
        600, 600 + MINUTE_NS // 3, 600 + 2 * MINUTE_NS // 3, 600 + MINUTE_NS - 1,
    )  # fmt: skip


@pytest.mark.parametrize(("volume", "points"), [(400, (100,) * 4), (403, (100, 100, 100, 103)), (3, (0, 0, 0, 3))])
def test_each_point_has_a_quarter_of_the_volume_and_the_close_the_rest(volume: int, points: tuple[int, ...]) -> None:
    assert candle(1, 1, 1, 1, volume).volumes(0) == points


@pytest.mark.parametrize("fills", [TOUCH, replace(TOUCH, share=1_000_000)])
def test_a_bar_without_volume_fills_nothing(fills: Fills) -> None:
    assert acts([order(Side.BUY, 105)], candle(100, 110, 90, 100, 0), fills) == []


# --- B4 movement, B5 touch ------------------------------------------------------------------------------------------


def test_a_limit_that_the_move_passes_fills_at_its_own_price() -> None:
    assert acts([order(Side.BUY, 98)], candle(100, 110, 97, 108)) == [Act(1, 98, 10, Rule.BAR_PATH, Role.MAKER, False)]


def test_a_limit_that_the_open_jumped_over_fills_at_the_open() -> None:
    assert acts([order(Side.SELL, 95)], candle(100, 110, 97, 108)) == [
        Act(1, 100, 10, Rule.BAR_OPEN, Role.TAKER, False)
    ]


def test_a_stop_beyond_the_open_triggers_and_fills_at_the_open() -> None:
    stop = order(Side.SELL, 0, kind=OrderType.STOP_LOSS, stop=105)
    assert acts([stop], candle(100, 110, 97, 108)) == [
        Act(1, 100, 0, Rule.BAR_STOP, Role.TAKER, True),
        Act(1, 100, 10, Rule.BAR_STOP, Role.TAKER, False),
    ]


def test_a_stop_inside_the_bar_triggers_and_fills_at_its_own_price_plus_slippage() -> None:
    stop = order(Side.BUY, 0, kind=OrderType.STOP_LOSS, stop=104)
    slipped = replace(TOUCH, slippage_ticks=2)
    assert acts([stop], candle(100, 110, 97, 108), slipped)[1] == Act(1, 106, 10, Rule.BAR_STOP, Role.TAKER, False)


def test_slippage_never_passes_the_limit_of_a_stop() -> None:
    stop = order(Side.BUY, 105, kind=OrderType.STOP_LOSS_LIMIT, stop=104)
    assert acts([stop], candle(100, 110, 97, 108), replace(TOUCH, slippage_ticks=5))[1].price == 105


def test_a_triggered_limit_out_of_reach_rests_until_the_path_comes_back() -> None:
    """Stop at 104 on the way up, limit 102: filled on the way down to the close."""
    stop = order(Side.BUY, 102, kind=OrderType.STOP_LOSS_LIMIT, stop=104)
    assert acts([stop], candle(100, 110, 99, 101)) == [
        Act(1, 104, 0, Rule.BAR_STOP, Role.TAKER, True),
        Act(1, 102, 10, Rule.BAR_PATH, Role.MAKER, False),
    ]


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, 97), (Side.SELL, 110)])
def test_an_extreme_exactly_at_the_limit_fills_under_touch_only(side: Side, price: int) -> None:
    bar, sign = candle(100, 110, 97, 108), 1 if side is Side.BUY else -1
    assert len(acts([order(side, price)], bar, TOUCH)) == 1
    for resting in (Resting.THROUGH, Resting.QUEUE):
        strict = replace(BEYOND, resting=resting)
        assert acts([order(side, price)], bar, strict) == []
        assert len(acts([order(side, price + sign)], bar, strict)) == 1


def test_the_order_that_the_path_meets_first_is_served_first() -> None:
    both = [order(Side.SELL, 105, number=1), order(Side.BUY, 98, number=2)]
    assert [act.number for act in acts(both, candle(100, 110, 97, 108))] == [2, 1]
    assert [act.number for act in acts(both, candle(100, 110, 97, 108), kind=Path.OHLC)] == [1, 2]


def test_of_a_pair_the_leg_met_first_ends_the_other() -> None:
    class Pair:
        number = 7

    profit, loss = order(Side.SELL, 105, number=1), order(Side.SELL, 0, number=2, kind=OrderType.STOP_LOSS, stop=98)
    profit.pair = loss.pair = Pair()  # type: ignore[assignment]  # its number is all that is read
    found = acts([profit, loss], candle(100, 110, 97, 108))
    assert [(act.number, act.price, act.lots) for act in found] == [(2, 98, 0), (2, 98, 10)]
    other = acts([profit, loss], candle(100, 110, 97, 108), kind=Path.OHLC)
    assert [(act.number, act.price, act.lots) for act in other] == [(1, 105, 10)]


def test_a_trailing_stop_follows_the_path_and_fires_on_its_way_back() -> None:
    """From 1,000 up to 1,100; 3 % below is 1,067, passed on the way to the close."""
    stop = order(Side.SELL, 0, kind=OrderType.STOP_LOSS, trailing_bips=300)
    stop.reference = 1_000
    found = acts([stop], candle(1_000, 1_100, 990, 1_050))
    assert [(act.price, act.lots) for act in found] == [(1_067, 0), (1_067, 10)]


# --- B9 size --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "lots"), [(0, [30]), (1_000_000, [10, 10]), (500_000, [5, 5])])
def test_a_share_caps_what_each_point_gives(share: int, lots: list[int]) -> None:
    """40 lots of volume: 10 a point. The bid at 98 is met on the way down and, below it, by no other move."""
    bars, fills = candle(100, 101, 90, 91, 40), replace(BEYOND, share=share)
    path = (100, 97, 101, 90)
    found = walk_through([order(Side.BUY, 98, 30)], path, bars.volumes(0), fills)
    assert [act.lots for act in found] == lots


def test_the_lots_of_a_point_are_given_out_once() -> None:
    fills = replace(TOUCH, share=1_000_000)
    found = acts([order(Side.BUY, 99, 6, 1), order(Side.BUY, 98, 30, 2)], candle(100, 101, 90, 91, 40), fills)
    assert [(act.number, act.lots) for act in found][:2] == [(1, 6), (2, 4)]


def test_without_a_share_any_volume_at_all_is_enough() -> None:
    assert capped(1, replace(TOUCH, share=0)) == INT64_MAX
    assert capped(0, replace(TOUCH, share=0)) == 0
    assert capped(7, replace(TOUCH, share=500_000)) == 3


def test_what_fills_are_worth_at_the_close_is_their_gain_in_ticks_times_lots() -> None:
    found = [Act(1, 100, 5, Rule.BAR_PATH, Role.MAKER, False), Act(2, 90, 2, Rule.BAR_PATH, Role.MAKER, False)]
    sides = {1: order(Side.BUY, 1), 2: order(Side.SELL, 1, number=2)}
    assert worth_at_close(found, sides, 103) == 3 * 5 - 13 * 2


# --- columns --------------------------------------------------------------------------------------------------------


def test_until_is_past_all_bars_that_have_opened() -> None:
    bars = rough_bars(4, 60)
    for time_ns in (0, *bars.open_ns.tolist(), *(bars.open_ns - 1).tolist()):
        expected = sum(one <= time_ns for one in bars.open_ns.tolist())
        assert bars.until(time_ns) == expected
        assert bars.until(time_ns, expected) == expected


@pytest.mark.parametrize(
    "wanted", [Thresholds(), Thresholds(bid=9_990), Thresholds(ask=10_010), Thresholds(up=10_004, down=9_970)]
)
def test_a_bar_reaches_what_its_extremes_reach(wanted: Thresholds) -> None:
    bars = rough_bars(4, 60)
    expected = [
        low <= max(wanted.bid, wanted.down) or high >= min(wanted.ask, wanted.up)
        for low, high in zip(bars.low[5:50].tolist(), bars.high[5:50].tolist(), strict=True)
    ]
    assert bars.reached(5, 50, wanted).tolist() == expected
