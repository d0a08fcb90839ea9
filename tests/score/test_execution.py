"""How a run traded: each figure counted by hand, exposure beside a walk over every instant."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.score.by_hand import LATENCY_NS, START_NS, Trade, played

from gnomon.score.execution import execution, exposure, mean_equity, percentiles, slippage, slippage_bps
from gnomon.units import HOUR_NS

BP = Fraction(1, 10_000)
MAKER = Trade(HOUR_NS, 100, 99.0, maker=True, queued_ns=600, fee=BP, decision_price=100.0, arrival_price=99.5)
TAKER = Trade(2 * HOUR_NS, -100, 101.0, fee=10 * BP, decision_price=101.5, arrival_price=101.0)


def test_figures_are_counted_by_hand() -> None:
    record = played([100.0, 100.0, 101.0, 101.0], [MAKER, TAKER], rejects=["-2010", "-1013", "-2010"])
    found = execution(record)
    assert (found.fills, found.orders, found.accepted) == (2, 5, 2)
    assert found.notional == pytest.approx(9.9 + 10.1)
    assert found.maker_share == pytest.approx(9.9 / 20)
    assert found.fees == pytest.approx({"USDT": 9.9e-4 + 10.1e-3})
    assert found.fees_quote == pytest.approx(9.9e-4 + 10.1e-3)
    assert found.fees_bps == pytest.approx((9.9e-4 + 10.1e-3) / 20 * 1e4)
    assert found.turnover == pytest.approx(20 / mean_equity(record.marks))
    assert found.turnover_a_year == pytest.approx(found.turnover * 365 * 24 / 3)
    assert found.exposure == pytest.approx(1 / 3)
    assert (found.fill_ratio, found.filled_share) == (1.0, 1.0)
    assert found.rejects == {"-2010": 2, "-1013": 1}
    assert (found.queue.n, found.queue.p50, found.queue.longest) == (1, 600, 600)
    assert (found.entry_latency.n, found.entry_latency.p99) == (5, LATENCY_NS)
    assert (found.reply_latency.n, found.reply_latency.p50) == (2, 2 * LATENCY_NS)


def test_slippage_is_a_cost_for_whoever_pays_more_or_gets_less() -> None:
    by = {(one.reference, one.role): one for one in slippage(played([100.0, 100.0, 101.0], [MAKER, TAKER]))}
    assert by["decision", "maker"].mean == pytest.approx(-100.0)
    assert by["arrival", "maker"].mean == pytest.approx((99 / 99.5 - 1) * 1e4)
    assert by["decision", "taker"].mean == pytest.approx(0.5 / 101.5 * 1e4)
    assert by["arrival", "taker"].mean == 0.0
    assert by["decision", "all"].cost == pytest.approx(0.1 * (-1.0 + 0.5))
    total = by["decision", "all"]
    assert total.mean == pytest.approx(0.1 * (-1.0 + 0.5) / (0.1 * (100 + 101.5)) * 1e4)
    assert (total.n, total.median, total.p95) == (2, pytest.approx(0.5 / 101.5 * 1e4), pytest.approx(0.5 / 101.5 * 1e4))
    np.testing.assert_allclose(slippage_bps([1, -1], [101, 101], [100, 100]), [100, -100])


def test_a_fill_without_a_reference_is_missing_and_not_zero() -> None:
    bare = replace(MAKER, decision_price=np.nan)
    found = slippage(played([100.0, 100.0, 101.0], [bare]))
    assert (found[0].reference, found[0].n, found[0].missing, found[0].mean) == ("decision", 0, 1, None)
    assert (found[3].reference, found[3].n, found[3].missing) == ("arrival", 1, 0)


def test_fees_are_kept_apart_by_asset() -> None:
    trades = [
        MAKER,
        replace(TAKER, fee_asset="BNB", after_ns=HOUR_NS + 5),
        replace(MAKER, fee_asset="base", after_ns=HOUR_NS + 9),
    ]
    found = execution(played([100.0, 100.0, 100.0], trades))
    assert found.fees == pytest.approx({"USDT": 9.9e-4, "BTC": 0.1e-4, "BNB": 10.1e-3 / 300})
    assert found.fees_quote == pytest.approx(9.9e-4 + 9.9e-4 + 10.1e-3)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.sampled_from([-2, -1, 1, 2])), max_size=12),
    st.lists(st.sampled_from([0, 0, 3]), min_size=2, max_size=2),
)
def test_exposure_is_what_a_look_at_every_instant_gives(trades: list[tuple[int, int, int]], lots: list[int]) -> None:
    trades.sort(key=lambda one: one[1])
    record = played(
        np.full((4, 2), 100.0), [Trade(at, n, 100.0, which) for which, at, n in trades], lots=lots, step_ns=10
    )
    held = 0
    for instant in range(30):
        holding = list(lots)
        for which, at, n in trades:
            if at <= instant:
                holding[which] += n
        held += any(holding)
    assert exposure(record) == pytest.approx(held / 30)


def test_a_rest_below_the_smallest_quantity_is_no_exposure() -> None:
    trades = [Trade(10, 10, 100.0, fee=10 * BP, fee_asset="base"), Trade(20, -9, 100.0)]
    record = played([100.0] * 5, trades, step_ns=10)
    assert 0 < record.marks.position[-1, 0] < 0.001
    assert exposure(record) == pytest.approx(0.25)


def test_an_order_that_was_never_filled_lowers_the_ratio() -> None:
    record = played([100.0, 100.0, 101.0], [MAKER, TAKER])
    half = replace(record.orders, executed=record.orders.executed * np.array([0.25, 1.0]))
    found = execution(replace(record, orders=half))
    assert (found.fill_ratio, found.filled_share) == (0.625, 0.5)
    by_money = replace(half, quantity=half.quantity * np.array([0.0, 1.0]))
    left = execution(replace(record, orders=by_money))
    assert (left.fill_ratio, left.filled_share, left.accepted) == (1.0, 1.0, 2)


def test_percentiles_are_durations_that_happened() -> None:
    found = percentiles(np.arange(100, 0, -1))
    assert (found.n, found.p50, found.p95, found.p99, found.longest) == (100, 50, 95, 99, 100)
    assert percentiles(np.array([7])).p50 == 7
    assert percentiles(np.zeros(0, np.int64)).p99 is None


def test_a_run_that_did_nothing_has_no_figures_and_no_faults() -> None:
    idle = execution(played([100.0, 101.0]))
    assert (idle.fills, idle.orders, idle.turnover, idle.exposure, idle.fees) == (0, 0, 0.0, 0.0, {})
    assert (idle.maker_share, idle.fees_bps, idle.fill_ratio, idle.filled_share) == (None, None, None, None)
    assert idle.turnover_a_year == 0.0
    opening = played([100.0])
    assert execution(opening).turnover_a_year is None
    assert exposure(opening) == 0.0


def test_mean_equity_weighs_each_mark_by_how_long_it_held() -> None:
    marks = played([100.0, 100.0, 100.0]).marks
    uneven = replace(marks, at_ns=START_NS + np.array([0, 10, 40]), equity=np.array([100.0, 200.0, 999.0]))
    assert mean_equity(uneven) == pytest.approx((100 * 10 + 200 * 30) / 40)
