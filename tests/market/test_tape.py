"""The as-of view against a naive filter: nothing knowable later is ever seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, NotFound
from gnomon.market.candles import Candles
from gnomon.market.instrument import Split
from gnomon.market.tape import History, Series, Tape
from gnomon.units import DAY_NS, HOUR_NS

MakeCandles = Callable[..., Candles]
HOUR = Timeframe.parse("1h")

revisions = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30), st.integers(1, 9)), max_size=25)
"""Rows as (hour it opens, hours until it is knowable after its close, price): several may be of one bar."""


def history_of(make: MakeCandles, rows: list[tuple[int, int, int]]) -> History:
    opens = np.array([hour for hour, _, _ in rows], np.int64) * HOUR_NS
    late = np.array([late for _, late, _ in rows], np.int64) * HOUR_NS
    return History(make([price for _, _, price in rows], open_ns=opens, knowable_ns=opens + HOUR_NS + late))


def naive_view(rows: list[tuple[int, int, int]], as_of_hour: float) -> list[tuple[int, int]]:
    """(hour, price) of the newest revision of each bar that is knowable, by loops."""
    best: dict[int, tuple[int, int]] = {}
    for hour, late, price in rows:
        knowable = hour + 1 + late
        if knowable <= as_of_hour and (hour not in best or knowable >= best[hour][0]):
            best[hour] = (knowable, price)
    return [(hour, price) for hour, (_, price) in sorted(best.items())]


@given(rows=revisions, as_of=st.integers(-2, 90), limit=st.one_of(st.none(), st.integers(0, 9)))
def test_the_view_is_that_of_a_slow_filter(
    make_candles: MakeCandles, rows: list[tuple[int, int, int]], as_of: int, limit: int | None
) -> None:
    seen = history_of(make_candles, rows).as_of(as_of * HOUR_NS // 2, limit=limit)
    expected = naive_view(rows, as_of / 2)
    expected = expected if limit is None else expected[max(0, len(expected) - limit) :]
    assert list(zip((seen.open_ns // HOUR_NS).tolist(), seen.close.tolist(), strict=True)) == expected
    assert (seen.knowable_ns <= as_of * HOUR_NS // 2).all()
    assert (np.diff(seen.open_ns) > 0).all()


@given(rows=revisions, as_of=st.integers(0, 45), later=revisions)
def test_rows_that_become_knowable_later_change_nothing(
    make_candles: MakeCandles, rows: list[tuple[int, int, int]], as_of: int, later: list[tuple[int, int, int]]
) -> None:
    unknown = [row for row in later if row[0] + 1 + row[1] > as_of]
    before = history_of(make_candles, rows).as_of(as_of * HOUR_NS)
    after = history_of(make_candles, rows + unknown).as_of(as_of * HOUR_NS)
    assert all(np.array_equal(before.columns()[name], after.columns()[name]) for name in before.columns())


@given(rows=revisions)
def test_first_revisions_are_what_was_known_first(make_candles: MakeCandles, rows: list[tuple[int, int, int]]) -> None:
    first: dict[int, tuple[int, int]] = {}
    for hour, late, price in rows:
        if hour not in first or late < first[hour][0]:
            first[hour] = (late, price)
    found = history_of(make_candles, rows).first_revisions()
    assert dict(zip((found.open_ns // HOUR_NS).tolist(), found.close.tolist(), strict=True)) == {
        hour: price for hour, (_, price) in first.items()
    }


def test_a_revision_is_seen_from_the_very_instant_it_is_knowable(make_candles: MakeCandles) -> None:
    history = history_of(make_candles, [(0, 0, 5), (0, 3, 6), (1, 0, 7)])
    asked = [HOUR_NS - 1, HOUR_NS, 2 * HOUR_NS - 1, 2 * HOUR_NS, 4 * HOUR_NS - 1, 4 * HOUR_NS]
    assert [history.as_of(at_ns).close.tolist() for at_ns in asked] == [[], [5], [5], [5, 7], [5, 7], [6, 7]]


def test_plain_history_is_answered_without_a_copy(make_candles: MakeCandles) -> None:
    bars = make_candles([1, 2, 3, 4])
    assert np.shares_memory(History(bars).as_of(3 * HOUR_NS).close, bars.close)
    assert History(bars).as_of(3 * HOUR_NS, limit=2).close.tolist() == [2, 3]
    assert len(History(bars).as_of(HOUR_NS - 1)) == 0
    assert len(History(make_candles([]))) == len(History(make_candles([])).as_of(0)) == 0


# --- splits -----------------------------------------------------------------------------------------------------------

SPLIT_NS = 10 * DAY_NS
SPLIT = Split(SPLIT_NS, 15, 1)


def split_series(make: MakeCandles, **changed: Any) -> Series:
    """Two daily bars before a 15:1 split and two after it, as printed: 1348.10, 1350.00, 91.71, 90.00."""
    opens = SPLIT_NS + np.array([-2, -1, 0, 1]) * DAY_NS + 14 * HOUR_NS
    fields = {"volume": [10, 20, 150, 300], "close_ns": opens + 6 * HOUR_NS} | changed
    return Series(History(make([134810, 135000, 9171, 9000], open_ns=opens, **fields)), (SPLIT,))


def test_before_a_split_prices_are_as_printed(make_candles: MakeCandles) -> None:
    bars, values = Tape([split_series(make_candles)]).as_of(SPLIT_NS - 1).ohlcva("test:X", HOUR)
    assert values[:, 3].tolist() == [1348.10, 1350.00]
    assert values[:, 4].tolist() == [10, 20]
    assert bars.close.tolist() == [134810, 135000]


def test_from_a_split_on_earlier_prices_are_in_new_shares(make_candles: MakeCandles) -> None:
    tape = Tape([split_series(make_candles)])
    for as_of_ns, closes in ((SPLIT_NS, [1348.10 / 15, 90.0]), (SPLIT_NS + DAY_NS, [1348.10 / 15, 90.0, 91.71])):
        bars, values = tape.as_of(as_of_ns).ohlcva("test:X", HOUR)
        assert values[:, 3] == pytest.approx(closes, rel=1e-15)
        assert values[:2, 4].tolist() == [150, 300]
        assert bars.close[:2].tolist() == [134810, 135000], "the integers stay as printed"
        assert values[:2, 5] == pytest.approx([13481, 27000]), "turnover knows no shares"


def test_a_later_price_is_brought_back_to_the_shares_of_the_instant(make_candles: MakeCandles) -> None:
    series = split_series(make_candles)
    rows = series.history.rows
    assert series.share_factor(rows.open_ns, SPLIT_NS - 1).tolist() == [1, 1, 1 / 15, 1 / 15]
    assert series.share_factor(rows.open_ns, SPLIT_NS).tolist() == [15, 15, 1, 1]


@pytest.mark.parametrize("basis", ["split", "adjusted"])
def test_adjusted_series_are_not_adjusted_again(make_candles: MakeCandles, basis: str) -> None:
    tape = Tape([split_series(make_candles, basis=basis)])
    _, values = tape.as_of(SPLIT_NS + 9 * DAY_NS).ohlcva("test:X", HOUR, basis)  # type: ignore[arg-type]  # a parameter
    assert values[:, 3].tolist() == [1348.10, 1350.00, 91.71, 90.00]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(1, 20)), max_size=4), st.integers(-1, 21))
def test_share_factors_are_products_of_the_splits_between(
    make_candles: MakeCandles, splits: list[tuple[int, int, int]], as_of: int
) -> None:
    series = Series(History(make_candles([1] * 21)), tuple(Split(at * HOUR_NS, n, d) for at, n, d in splits))
    factors = series.share_factor(np.arange(21) * HOUR_NS, as_of * HOUR_NS)
    for hour, factor in enumerate(factors):
        expected = 1.0
        for at, new, old in splits:
            expected *= new / old if hour < at <= as_of else 1.0
            expected /= new / old if as_of < at <= hour else 1.0
        assert factor == pytest.approx(expected, rel=1e-12)


# --- the tape ---------------------------------------------------------------------------------------------------------


def test_a_tape_answers_by_instrument_timeframe_and_basis(make_candles: MakeCandles) -> None:
    tape = Tape(
        [
            Series(History(make_candles([1, 2]))),
            Series(History(make_candles([7, 8], basis="adjusted", instrument="t:Y"))),
        ]
    )
    assert set(tape.keys()) == {("test:X", "1h", "raw"), ("t:Y", "1h", "adjusted")}
    assert tape.as_of(HOUR_NS).candles("test:X", HOUR).close.tolist() == [1]
    assert tape.as_of(9 * HOUR_NS).candles("t:Y", HOUR, "adjusted", limit=1).close.tolist() == [8]


@pytest.mark.parametrize("ask", [("test:Y", "1h", "raw"), ("test:X", "1d", "raw"), ("test:X", "1h", "adjusted")])
def test_a_series_that_is_not_there_is_not_found(make_candles: MakeCandles, ask: tuple[str, str, Any]) -> None:
    tape = Tape([Series(History(make_candles([1])))])
    with pytest.raises(NotFound, match=f"no {ask[2]} bars of {ask[0]} at {ask[1]}"):
        tape.as_of(0).candles(ask[0], Timeframe.parse(ask[1]), ask[2])


def test_one_series_stands_on_a_tape_once(make_candles: MakeCandles) -> None:
    with pytest.raises(Invalid, match="two series of test:X 1h raw"):
        Tape([Series(History(make_candles([1]))), Series(History(make_candles([2])))])
