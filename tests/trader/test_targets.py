"""Targets: sells first, buys that fit what is there, a band that a full exit ignores."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trader.driver import Drive, bars, listing, prints
from tests.trader.test_desk import Script

from gnomon.errors import Invalid
from gnomon.exchange.fees import reserve_units
from gnomon.exchange.order import Side
from gnomon.trader.sizing import Costs
from gnomon.trader.targets import Holding, Step, checked, steps

LISTINGS = [listing(n, name) for n, name in enumerate("ABC")]
FREE = Costs(0, 0, is_quoted=False)
USD = 10**8


def held(number: int, lots: int, ticks: int = 1000) -> Holding:
    return Holding(LISTINGS[number], lots, ticks)


def shares(**weights: str) -> dict[str, Decimal]:
    return {f"{name}/USD": Decimal(weight) for name, weight in weights.items()}


def test_sells_come_first_and_buys_spend_what_they_bring() -> None:
    made = steps([held(0, 0), held(1, 10_000)], shares(A="1"), 1000 * USD, 0, FREE)
    assert made == [
        Step(LISTINGS[1], Side.SELL, lots=10_000),
        Step(LISTINGS[0], Side.BUY, spend_units=1000 * USD),
    ]
    costly = Costs(0, 1_000_000, is_quoted=True)  # 1 %
    sell, buy = steps([held(0, 0), held(1, 10_000)], shares(A="1"), 1000 * USD, 0, costly)
    assert sell.lots == 10_000
    assert buy.spend_units * Decimal("1.01") == pytest.approx(990 * USD)


def test_a_small_difference_is_not_traded_but_an_exit_is() -> None:
    position = held(0, 5_000)  # 500 of 1000
    assert steps([position], shares(A="0.52"), 1000 * USD, 500 * USD, FREE) == []
    assert steps([position], shares(A="0.48"), 1000 * USD, 500 * USD, FREE) == []
    (more,) = steps([position], shares(A="0.53"), 1000 * USD, 500 * USD, FREE)
    assert (more.side, more.spend_units) == (Side.BUY, 30 * USD)
    (less,) = steps([position], shares(A="0.47"), 1000 * USD, 500 * USD, FREE)
    assert (less.side, less.lots) == (Side.SELL, 300)
    (tight,) = steps([position], shares(A="0.52"), 1000 * USD, 500 * USD, FREE, Decimal("0.01"))
    assert tight.spend_units == 20 * USD
    dust = Holding(listing(0, "A", min_notional_units=10 * USD), 50, 1000)
    assert steps([dust], shares(A="0.01"), 1000 * USD, 0, FREE) == []
    (out,) = steps([dust], {}, 1000 * USD, 0, FREE)
    assert out.lots == 50


def test_weights_above_one_and_shorts_where_none_are_allowed_are_refused() -> None:
    by_name = {one.id: one for one in LISTINGS}
    with pytest.raises(Invalid, match=r"sum to 1\.2"):
        checked({"A/USD": 0.6, "B/USD": 0.6}, by_name)
    with pytest.raises(Invalid, match=r"-0\.5"):
        checked({"A/USD": -0.5}, by_name)
    assert checked({"A/USD": 0.1, "B/USD": 0.2, "C/USD": 0.7}, by_name)["A/USD"] == Decimal("0.1")
    short = listing(0, "A", may_short=True)
    (sale,) = steps([Holding(short, 0, 1000)], checked({"A/USD": -0.5}, {"A/USD": short}), 1000 * USD, 0, FREE)
    assert (sale.side, sale.lots) == (Side.SELL, 5_000)


@given(st.data())
def test_buys_never_cost_more_than_what_is_free_and_the_sells_bring(data: st.DataObject) -> None:
    rate = data.draw(st.integers(0, 2_000_000))
    costs = Costs(rate, rate, data.draw(st.booleans()))
    positions = [
        Holding(listing(n, one.base.name, step_lots=data.draw(st.integers(1, 9))), data.draw(st.integers(0, 10_000)),
                data.draw(st.integers(1, 20_000)))
        for n, one in enumerate(LISTINGS)
    ]  # fmt: skip
    free = data.draw(st.integers(0, 10**13))
    cuts = sorted(data.draw(st.lists(st.integers(0, 100), min_size=3, max_size=3)))
    weights = {one.id: Decimal(b - a) / 100 for one, a, b in zip(LISTINGS, [0, *cuts], cuts, strict=False)}
    equity = free + sum(one.value_units for one in positions)
    made = steps(positions, weights, equity, free, costs)
    sides = [one.side for one in made]
    assert sides == sorted(sides, key=lambda side: side is Side.BUY)
    by_id = {one.listing.id: one for one in positions}
    proceeds = spent = 0
    for step in made:
        position = by_id[step.listing.id]
        if step.side is Side.SELL:
            assert 0 < step.lots <= position.lots
            assert step.lots % step.listing.filters.step_lots == 0
            notional = step.listing.notional(position.ticks, step.lots)
            proceeds += notional - reserve_units(notional, costs.sell_rate)
            left = step.listing.notional(position.ticks, position.lots - step.lots)
            assert left >= equity * weights[step.listing.id] - 1  # never below the target
        else:
            spent += step.spend_units + reserve_units(step.spend_units, costs.buy_rate)
            assert position.value_units + step.spend_units <= equity * weights[step.listing.id] + 1
    assert spent <= free + proceeds


def test_the_desk_reaches_its_targets_on_the_real_exchange() -> None:
    listings = [listing(0, "A"), listing(1, "B")]
    tapes = {0: prints([1000] * 30, lots=10**9), 1: prints([2000] * 30, lots=10**9)}
    script = Script({
        4: lambda desk, _: desk.target({"A/USD": 0.5, "B/USD": 0.3}),
        20: lambda desk, _: desk.target({"A/USD": 0.1, "B/USD": 0.9}),
        40: lambda desk, _: desk.target({}),
    })  # fmt: skip
    run = Drive(script, tapes, listings, end_ns=int(tapes[0].time_ns[15])).run()
    equity = float(run.desk.equity)
    assert equity == pytest.approx(1_000_000, rel=1e-3)
    assert float(run.desk.position("A/USD")) * 100 / equity == pytest.approx(0.1, abs=1e-2)
    assert float(run.desk.position("B/USD")) * 200 / equity == pytest.approx(0.9, abs=1e-2)
    assert [one.side for one in run.requests[2:]] == [Side.SELL, Side.BUY]
    run = Drive(Script(script.acts), tapes, listings).run()
    assert run.desk.positions() == {}


def test_a_target_on_bars_fills_at_the_next_open() -> None:
    script = Script({2: lambda desk, _: desk.target({"BTC/USD": 0.5})})
    run = Drive(script, bars([1000, 1000, 1100, 1200])).run()
    (fill,) = run.desk.fills()
    assert fill.price_ticks == 1000


def test_a_short_is_bought_back_by_the_lot_before_anything_else_is_bought() -> None:
    one, two = replace(listing(), may_short=True), replace(listing(), number=1, id="test:TWO")
    holdings = [Holding(one, -100, 1_000), Holding(two, 0, 1_000)]
    worth = one.notional(1_000, 100)
    found = steps(holdings, {"test:TWO": Decimal("0.5")}, 2 * worth, 10 * worth, FREE, Decimal(0))
    assert found[0] == Step(one, Side.BUY, lots=100)
    assert [(step.listing, step.lots) for step in found[1:]] == [(two, 0)]
    half = steps(holdings, {one.id: Decimal("-0.25")}, 2 * worth, 0, FREE, Decimal(0))
    assert half == [Step(one, Side.BUY, lots=50)]


def test_a_short_sale_takes_from_what_buys_may_spend() -> None:
    one, two = replace(listing(), may_short=True), replace(listing(), number=1, id="test:TWO")
    holdings = [Holding(one, 0, 1_000), Holding(two, 0, 1_000)]
    equity = one.notional(1_000, 100)
    weights = {one.id: Decimal(-1), "test:TWO": Decimal(1)}
    margin = replace(FREE, margin_rate=50_000_000)
    sale, buy = steps(holdings, weights, equity, equity, margin, Decimal(0))
    assert (sale.side, sale.lots) == (Side.SELL, 100)
    assert buy.spend_units <= equity // 2
