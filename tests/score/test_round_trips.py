"""Round trips: first in, first out, beside a queue of single lots; excursions beside a look at every price."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.score.by_hand import START_NS, Trade, played

from gnomon.score.round_trips import OPENING, round_trips, trip_figures
from gnomon.units import HOUR_NS

BP = Fraction(1, 10_000)


def test_a_long_trip_pays_both_fees() -> None:
    trades = [Trade(HOUR_NS, 100, 50.0, fee=10 * BP), Trade(2 * HOUR_NS, -100, 60.0, fee=10 * BP)]
    record = played([50.0, 50.0, 60.0], trades)
    trips = round_trips(record)
    assert len(trips) == 1
    assert (trips.entry[0], trips.exit[0], trips.side[0]) == (1, 2, 1)
    assert trips.entry_price[0] == pytest.approx(50.05)
    assert trips.exit_price[0] == pytest.approx(59.94)
    assert trips.profit[0] == pytest.approx(0.1 * (59.94 - 50.05))
    assert trips.profit[0] == pytest.approx(record.marks.equity[-1] - record.marks.equity[0])
    assert trips.gain[0] == pytest.approx(59.94 / 50.05 - 1)


def test_a_fee_in_the_base_asset_leaves_less_to_sell() -> None:
    trades = [
        Trade(HOUR_NS, 1000, 100.0, fee=Fraction(1, 1000), fee_asset="base"),
        Trade(2 * HOUR_NS, -999, 110.0, fee=Fraction(1, 1000), fee_asset="quote"),
    ]
    record = played([100.0, 100.0, 110.0], trades)
    trips = round_trips(record)
    assert record.marks.position[-1, 0] == 0.0
    assert trips.quantity[0] == pytest.approx(0.999)
    assert trips.profit[0] == pytest.approx(record.marks.equity[-1] - record.marks.equity[0])


def test_the_oldest_piece_goes_first_and_a_reversal_opens_what_is_left() -> None:
    trades = [Trade(1, 10, 100.0), Trade(2, 10, 110.0), Trade(3, -30, 120.0), Trade(4, 10, 90.0)]
    trips = round_trips(played([100.0, 90.0], trades))
    assert trips.entry.tolist() == [1, 2, 3]
    assert trips.exit.tolist() == [3, 3, 4]
    assert trips.side.tolist() == [1, 1, -1]
    np.testing.assert_allclose(trips.profit, [0.01 * 20, 0.01 * 10, 0.01 * 30])
    np.testing.assert_allclose(trips.favourable, [0.2, 10 / 110, 0.25])


def test_what_was_there_from_the_beginning_is_sold_first_at_the_first_mark() -> None:
    trips = round_trips(played([100.0, 120.0], [Trade(1, -4, 110.0)], lots=[10]))
    assert trips.entry.tolist() == [OPENING]
    assert trips.entry_ns.tolist() == [START_NS]
    assert trips.profit[0] == pytest.approx(0.004 * 10)
    assert trip_figures(played([100.0, 120.0], [Trade(1, -4, 110.0)], lots=[10])).open_pieces == 1


def test_excursions_look_inside_the_holding_only() -> None:
    price = np.array([100.0, 100.0, 90.0, 130.0, 110.0, 10.0])
    trades = [Trade(HOUR_NS, 10, 100.0), Trade(4 * HOUR_NS, -10, 110.0)]
    trips = round_trips(played(price, trades))
    assert (trips.adverse[0], trips.favourable[0]) == pytest.approx((0.1, 0.3))
    low, high = price[:, None] - 5, price[:, None] + 5
    wide = round_trips(played(price, trades, extremes=(low, high)))
    assert (wide.adverse[0], wide.favourable[0]) == pytest.approx((0.15, 0.35))
    # bought half an hour later, the stretch that began before does not count
    later = [Trade(3 * HOUR_NS // 2, 10, 100.0), trades[1]]
    assert round_trips(played(price, later, extremes=(low, high))).adverse[0] == 0.0
    short = [Trade(HOUR_NS, -10, 100.0), Trade(4 * HOUR_NS, 10, 110.0)]
    sold = round_trips(played(price, short))
    assert (sold.adverse[0], sold.favourable[0]) == pytest.approx((0.3, 0.1))


def walked_lots(trades: list[tuple[int, int, float]]) -> list[tuple[int, int, int, float]]:
    """Lot by lot: (entry, exit, side, profit of the lot), in the order in which they are closed."""
    queues: dict[int, list[tuple[int, int, float]]] = {0: [], 1: []}
    closed = []
    for number, (instrument, lots, price) in enumerate(trades, 1):
        queue = queues[instrument]
        for _ in range(abs(lots)):
            side = 1 if lots > 0 else -1
            if queue and queue[0][1] != side:
                entry, held, paid = queue.pop(0)
                closed.append((entry, number, held, held * (price - paid)))
            else:
                queue.append((number, side, price))
    return closed


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(-5, 5).filter(bool), st.sampled_from([90.0, 99.5, 100.0, 120.25])),
        max_size=25,
    )
)
def test_pieces_are_what_single_lots_give(trades: list[tuple[int, int, float]]) -> None:
    record = played(
        np.full((3, 2), 100.0), [Trade(n, lots, price, which) for n, (which, lots, price) in enumerate(trades, 1)]
    )
    trips = round_trips(record)
    expected: dict[tuple[int, int], tuple[int, float, float]] = {}
    for entry, out, side, profit in walked_lots(trades):
        _, lots, sum_ = expected.get((entry, out), (side, 0.0, 0.0))
        expected[entry, out] = side, lots + 0.001, sum_ + profit * 0.001
    found = {
        (int(a), int(b)): (int(s), float(q), float(p))
        for a, b, s, q, p in zip(trips.entry, trips.exit, trips.side, trips.quantity, trips.profit, strict=True)
    }
    assert list(found) == list(expected)
    for key, (side, lots, profit) in expected.items():
        assert found[key] == (side, pytest.approx(lots), pytest.approx(profit, abs=1e-9))
    assert np.isfinite(trips.adverse).all()
    assert (trips.adverse >= 0).all()
    assert (trips.favourable >= 0).all()


@given(st.integers(0, 2**32 - 1), st.data())
def test_excursions_over_blocks_are_those_of_every_price(seed: int, data: st.DataObject) -> None:
    price = 100.0 + np.random.default_rng(seed).normal(0, 1, 3000).cumsum() * 0.1
    first = data.draw(st.integers(1, 2998))
    last = data.draw(st.integers(first + 1, 2999))
    trades = [Trade(first * HOUR_NS, 1, 100.0), Trade(last * HOUR_NS, -1, 101.0)]
    [adverse], [favourable] = (lambda t: (t.adverse, t.favourable))(round_trips(played(price, trades)))
    inside = [100.0, 101.0, *price[first : last + 1]]
    assert adverse == pytest.approx(1 - min(inside) / 100)
    assert favourable == pytest.approx(max(inside) / 100 - 1)


def test_figures_of_trips_are_their_means() -> None:
    trades = [Trade(1, 10, 100.0), Trade(2, -10, 110.0), Trade(3, 10, 110.0), Trade(4, -10, 105.0), Trade(5, 1, 9.0)]
    found = trip_figures(played([100.0, 105.0], trades))
    assert (found.n, found.open_pieces, found.hit_rate) == (2, 1, 0.5)
    assert found.average_profit == pytest.approx((0.1 - 0.05) / 2)
    assert (found.best, found.worst) == pytest.approx((0.1, -0.05))
    assert found.profit_factor == pytest.approx(2.0)
    assert found.average_held_ns == 1
    assert found.worst_adverse == pytest.approx(5 / 110)


def test_a_rest_that_a_fee_left_is_no_trip_of_its_own() -> None:
    fee = {"fee": Fraction(1, 1000), "fee_asset": "base"}
    trades = [Trade(n, 100 if n % 2 else -99, 100.0 + n % 2, **(fee if n % 2 else {})) for n in range(1, 9)]
    record = played([100.0, 100.0], trades)
    found = trip_figures(record)
    assert len(round_trips(record)) == 7, "each sale but the first closes an old rest and a new piece"
    assert (found.n, found.hit_rate) == (4, 0.0)
    assert found.open_pieces == 1
    assert found.average_profit == pytest.approx(round_trips(record).profit.sum() / 4)


@given(
    st.lists(
        st.tuples(st.integers(-9, 9).filter(bool), st.sampled_from([90.0, 99.5, 100.0, 120.25]), st.integers(-5, 20)),
        min_size=1,
        max_size=20,
    )
)
def test_profits_of_a_run_that_ends_flat_are_what_its_account_gained(trades: list[tuple[int, float, int]]) -> None:
    made = [Trade(n, lots, price, fee=rate * BP) for n, (lots, price, rate) in enumerate(trades, 1)]
    held = sum(lots for lots, _, _ in trades)
    made += [Trade(99, -held, 101.0, fee=BP)] if held else []
    record = played([100.0, 101.0], made)
    gained = record.marks.equity[-1] - record.marks.equity[0]
    assert round_trips(record).profit.sum() == pytest.approx(gained, abs=1e-9)


def test_a_run_without_trades_has_no_trips() -> None:
    none = trip_figures(played([100.0, 101.0]))
    assert (none.n, none.open_pieces, none.hit_rate, none.profit_factor) == (0, 0, None, None)
    assert len(round_trips(played([100.0, 101.0]))) == 0
