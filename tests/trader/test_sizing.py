"""Sizes: never more than the budget, never off the grid."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trader.driver import listing

from gnomon.errors import Invalid
from gnomon.exchange.fees import reserve_units
from gnomon.exchange.order import Side
from gnomon.exchange.rules import FeeAsset, Fees
from gnomon.trader.sizing import (
    Costs,
    lots_for,
    lots_of,
    misfit,
    price_ticks,
    share_of,
    shortfall,
    spendable,
    stop_ticks,
    units_of,
    whole_steps,
)

ONE = listing()
RATES = st.integers(0, 10_000_000)


@given(st.decimals("0.1", "1000000", places=4))
def test_a_limit_is_snapped_away_from_aggression_by_less_than_a_tick(price: Decimal) -> None:
    bid, ask = (price_ticks(ONE, price, side) * ONE.tick for side in (Side.BUY, Side.SELL))
    assert bid <= price <= ask
    assert ask - bid <= ONE.tick
    assert (bid == ask) == (price % ONE.tick == 0)
    assert stop_ticks(ONE, price, rises=True) * ONE.tick == ask
    assert stop_ticks(ONE, price, rises=False) * ONE.tick == bid


def test_a_float_is_the_decimal_that_it_prints_as() -> None:
    assert price_ticks(ONE, 0.3, Side.BUY) == 3
    assert price_ticks(ONE, 100.1, Side.SELL) == 1001
    assert lots_of(ONE, 0.007) == 7


@given(st.decimals("0.001", "5000", places=6), st.integers(1, 50))
def test_quantities_go_down_to_the_step(qty: Decimal, step: int) -> None:
    one = listing(step_lots=step)
    lots = lots_of(one, qty)
    assert lots % step == 0
    assert lots * one.lot <= qty < (lots + step) * one.lot


@given(st.integers(0, 10**15), RATES)
def test_what_can_be_spent_is_the_most_that_fits_with_its_fee(budget: int, rate: int) -> None:
    most = spendable(budget, rate)
    assert most + reserve_units(most, rate) <= budget
    more = most + 1
    assert more + reserve_units(more, rate) > budget


@given(st.integers(1, 10**13), st.integers(1, 10**6), RATES, st.integers(1, 20))
def test_lots_for_a_budget_cost_no_more_and_one_step_more_would(budget: int, ticks: int, rate: int, step: int) -> None:
    one = listing(step_lots=step)
    lots = lots_for(one, ticks, budget, rate)

    def cost(n: int) -> int:
        return one.notional(ticks, n) + reserve_units(one.notional(ticks, n), rate)

    assert lots % step == 0
    assert cost(lots) <= budget < cost(lots + step)


def test_money_and_shares_are_rounded_down() -> None:
    assert units_of(ONE.quote, "0.000000019") == 1
    assert share_of(101, 50) == 50
    assert share_of(10**9, Decimal("0.1")) == 10**6
    assert whole_steps(listing(step_lots=5), 14) == 10
    for wrong in (0, -1, "x", 101, float("inf")):
        with pytest.raises(Invalid):
            share_of(100, wrong)


@pytest.mark.parametrize("price", [0, -1, "nan", "1e40", "0.01"])
def test_a_price_off_every_grid_is_refused(price: str) -> None:
    with pytest.raises(Invalid):
        price_ticks(ONE, price, Side.BUY)


def test_the_shortfall_names_the_minimum() -> None:
    one = listing(min_lots=5, min_notional_units=10 * 10**8)
    assert "minimum of 5 (0.005 BTC)" in shortfall(one, 6000, 4)
    assert "below the minimum of 10" in shortfall(one, 6000, 5)
    assert shortfall(one, 6000, 17) == ""
    assert "minimum of 10" in shortfall(one, 6000, 0, 9 * 10**8)
    assert shortfall(one, 6000, 0, 10 * 10**8) == ""


def test_costs_come_on_top_of_a_buy_only_where_the_fee_is_paid_in_the_quote() -> None:
    received, quoted = Costs.of(Fees()), Costs.of(Fees(10, 20, FeeAsset.QUOTE))
    assert (received.buy_rate, received.sell_rate) == (0, 100_000)
    assert (quoted.buy_rate, quoted.sell_rate) == (20, 20)
    assert Costs.of(Fees(-10, -5, FeeAsset.QUOTE)).buy_rate == 0


@given(st.decimals("50", "1000000", places=4))
def test_prices_lie_on_the_step_of_a_filter_that_is_wider_than_a_tick(price: Decimal) -> None:
    wide = listing(step_ticks=25)
    bid, ask = (price_ticks(wide, price, side) for side in (Side.BUY, Side.SELL))
    assert bid % 25 == ask % 25 == 0
    assert bid * wide.tick <= price <= ask * wide.tick
    assert ask - bid in (0, 25)


def test_what_lies_on_no_step_is_said_with_the_step() -> None:
    wide = listing(step_ticks=25, step_lots=7)
    assert misfit(wide, (100, 0), 14) == ""
    assert "15 lots are no multiple of 7 (0.007 BTC)" in misfit(wide, (100, 0), 15)
    assert "101 ticks are no multiple of 25" in misfit(wide, (100, 101), 14)
