"""The candles table against a naive memory of it: a dictionary of decimals."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

import gnomon.store.bars as bars_module
from gnomon.errors import Invalid
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.store.bars import Added, Window, add_bars, common_grid, read_bars
from gnomon.store.engine import reading, writing
from gnomon.store.tables import candle_series, instruments
from gnomon.units import HOUR_NS, Grid

PRICES = ("open", "high", "low", "close")
steps = st.decimals(min_value="0.00000001", max_value="1000", places=8)


@pytest.fixture
def known(engine: Engine) -> Engine:
    with writing(engine) as connection:
        row = {"id": "binance:BTCUSDT", "symbol": "BTCUSDT", "document": "{}", "recorded_at": 0}
        connection.execute(instruments.insert().values(**row))
    return engine


def add(engine: Engine, bars: Candles, recorded_ns: int = 0) -> Added:
    with writing(engine) as connection:
        return add_bars(connection, bars, recorded_ns=recorded_ns)


def stored(engine: Engine, *within: Any) -> tuple[Candles, np.ndarray]:
    with reading(engine) as connection:
        return read_bars(connection, connection.execute(select(candle_series)).one(), *within)


def said(bars: Candles) -> list[tuple[Any, ...]]:
    """What the bars say, exactly, whatever their grids."""
    return [
        (
            int(bars.open_ns[row]),
            int(bars.close_ns[row]),
            *(bars.tick.value(int(getattr(bars, name)[row])) for name in PRICES),
            bars.lot.value(int(bars.volume[row])),
            None if bars.amount[row] == UNKNOWN_AMOUNT else bars.money.value(int(bars.amount[row])),
            int(bars.flags[row]),
        )
        for row in range(len(bars))
    ]


def test_new_bars_are_stored_as_they_came(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(50, flags=np.arange(50, dtype=np.uint8))
    assert add(known, bars, recorded_ns=9 * 10**18) == Added(50, 0, 0)
    found, revision = stored(known)
    assert revision.tolist() == [0] * 50
    for name, column in bars.columns().items():
        np.testing.assert_array_equal(getattr(found, name), column)
        assert getattr(found, name).dtype == column.dtype
    assert (found.key, found.tick, found.lot, found.money) == (bars.key, bars.tick, bars.lot, bars.money)


def test_known_bars_are_not_stored_twice(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(50)
    add(known, bars)
    assert add(known, bars.take(slice(10, 40))) == Added(0, 30, 0)
    assert len(stored(known)[0]) == 50


def test_no_bars_are_no_fault(known: Engine, make: SimpleNamespace) -> None:
    assert add(known, make.candles(0)) == Added(0, 0, 0)
    assert len(stored(known)[0]) == 0


def test_bars_before_between_and_after_are_added(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(60)
    add(known, bars.take(slice(20, 40, 2)))
    assert add(known, bars) == Added(50, 10, 0)
    assert said(stored(known)[0]) == said(bars)


def test_a_changed_bar_is_the_next_revision_from_when_it_was_recorded(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(10)
    add(known, bars)
    recorded_ns = int(bars.close_ns[4]) + 5  # the bars from the fifth on have not closed yet at this odd clock
    changed = replace(bars, volume=bars.volume + (np.arange(10) % 3 == 0))
    assert add(known, changed, recorded_ns=recorded_ns) == Added(0, 6, 4)
    found, revision = stored(known)
    assert len(found) == 14
    for row in np.flatnonzero(revision == 1):
        bar = int((found.open_ns[row] - bars.open_ns[0]) // HOUR_NS)
        assert found.volume[row] == changed.volume[bar]
        assert found.knowable_ns[row] == max(recorded_ns, int(bars.close_ns[bar]))
    assert add(known, changed, recorded_ns=recorded_ns) == Added(0, 10, 0)
    assert add(known, bars, recorded_ns=recorded_ns + 1) == Added(0, 6, 4)  # back again is a change, too
    assert stored(known)[1].max() == 2


def test_a_clock_that_went_back_does_not_reorder_revisions(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(1)
    add(known, bars)
    late_ns = int(bars.close_ns[0]) + 1000
    add(known, replace(bars, volume=bars.volume + 1), recorded_ns=late_ns)
    add(known, replace(bars, volume=bars.volume + 2), recorded_ns=late_ns - 900)
    found, revision = stored(known)
    assert revision.tolist() == [0, 1, 2]
    assert found.knowable_ns.tolist() == [int(bars.close_ns[0]), late_ns, late_ns]


@pytest.mark.parametrize("name", [*PRICES, "volume", "amount", "close_ns", "flags"])
def test_every_value_of_a_bar_counts_as_a_change(known: Engine, make: SimpleNamespace, name: str) -> None:
    bars = make.candles(3)
    add(known, bars)
    column = getattr(bars, name)
    changed = replace(bars, **{name: column + np.array([0, 1, 0], column.dtype)})
    assert add(known, changed, recorded_ns=10**18) == Added(0, 2, 1)


def test_when_a_bar_became_knowable_is_no_change(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(3)
    add(known, bars)
    assert add(known, replace(bars, knowable_ns=bars.knowable_ns + 7)) == Added(0, 3, 0)


def test_a_source_that_does_not_say_the_turnover_contradicts_nobody(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(3)
    silent = replace(bars, amount=np.full(3, UNKNOWN_AMOUNT))
    add(known, silent)
    assert add(known, bars, recorded_ns=10**18) == Added(0, 0, 3)  # but one who says it adds something
    assert add(known, silent, recorded_ns=10**18) == Added(0, 3, 0)


# --- grids --------------------------------------------------------------------------------------------------------


@given(steps.filter(bool), steps.filter(bool))
def test_the_common_grid_holds_both_and_nothing_coarser_does(one: Decimal, other: Decimal) -> None:
    common = common_grid(Grid(one), Grid(other)).step
    first, second = one / common, other / common
    assert first == int(first)
    assert second == int(second)
    assert np.gcd(int(first), int(second)) == 1
    assert common_grid(Grid(other), Grid(one)).step == common


@pytest.mark.parametrize(
    "one, other, common",
    [("0.01", "0.01", "0.01"), ("0.05", "0.02", "0.01"), ("0.5", "0.25", "0.25"), ("100", "30", "10"), ("3", "2", "1")],
)
def test_common_grids_by_hand(one: str, other: str, common: str) -> None:
    assert common_grid(Grid.of(one), Grid.of(other)) == Grid.of(common)


GRIDS = ["0.01", "0.005", "0.00001", "1", "0.03", "0.25"]


@pytest.mark.parametrize("tick", GRIDS)
@pytest.mark.parametrize("lot", ["0.001", "0.0015", "1"])
def test_another_grid_rescales_what_is_stored_exactly(
    known: Engine, make: SimpleNamespace, tick: str, lot: str
) -> None:
    bars, more = make.candles(20), make.candles(20, first=20, seed=1, tick=Grid.of(tick), lot=Grid.of(lot))
    bars = replace(bars, amount=np.where(np.arange(20) % 2, bars.amount, UNKNOWN_AMOUNT))
    more = replace(more, money=Grid.of("0.01"))
    add(known, bars)
    assert add(known, more) == Added(20, 0, 0)
    found, _ = stored(known)
    assert said(found) == said(bars) + said(more)
    assert found.tick == common_grid(bars.tick, more.tick)
    assert (found.lot, found.money) == (common_grid(bars.lot, more.lot), bars.money)


def test_the_same_bars_on_another_grid_are_known(known: Engine, make: SimpleNamespace) -> None:
    bars = make.candles(20)
    add(known, bars)
    finer = bars.regrid(Grid.of("0.0001"), Grid.of("0.0001"), Grid.of("0.0000000001"))
    assert add(known, finer) == Added(0, 20, 0)
    assert add(known, bars) == Added(0, 20, 0)
    assert said(stored(known)[0]) == said(bars)


@pytest.mark.parametrize(
    "changes, grid",
    [
        ({"tick": Grid.of("1E-20")}, "tick"),
        ({"lot": Grid.of("1E-20")}, "lot"),
        ({"money": Grid.of("1E-25")}, "money"),
    ],
)
def test_a_grid_too_fine_for_what_is_stored_is_refused(
    known: Engine, make: SimpleNamespace, changes: dict[str, Any], grid: str
) -> None:
    bars = make.candles(20)
    add(known, bars)
    with pytest.raises(Invalid, match=f"{grid}s .* finer than the stored") as refusal:
        add(known, make.candles(5, first=20, **changes))
    assert refusal.value.detail["grid"] == grid
    found, _ = stored(known)
    assert said(found) == said(bars)
    assert (found.tick, found.lot) == (bars.tick, bars.lot)


def test_bars_too_large_for_the_stored_grid_are_refused(known: Engine, make: SimpleNamespace) -> None:
    add(known, make.candles(5))
    coarse = make.candles(5, first=5, lot=Grid.of("1"))
    with pytest.raises(Invalid, match="overflow"):
        add(known, replace(coarse, volume=np.full(5, 2**62)))


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 2, 7, 19, 20, 21, 1000])
def test_pages_of_any_size_make_the_same_series(
    known: Engine, make: SimpleNamespace, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = make.candles(20)
    add(known, bars)
    for number in (1, 2):
        changed = replace(bars, volume=bars.volume + number * (np.arange(20) % 4 == 0))
        add(known, changed, recorded_ns=10**18 + number)
    whole, revisions = stored(known)
    monkeypatch.setattr(bars_module, "_READ_ROWS", page)
    paged, paged_revisions = stored(known)
    assert said(paged) == said(whole)
    assert paged_revisions.tolist() == revisions.tolist()
    within = Window(int(bars.open_ns[7]))
    assert said(stored(known, within)[0]) == [row for row in said(whole) if row[0] >= int(bars.open_ns[7])]
