"""Columns of numbers placed on a calendar, counted, and checked row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe, parse_instant
from gnomon.errors import Invalid
from gnomon.sources.bars import GAP, NO_CANDLE, OFF_SCHEDULE, TWICE, Columns, scheduled_close
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.units import HOUR_NS, IntArray

FIRST_NS = parse_instant("2024-07-02T13:30:00Z")
HOUR = Timeframe.parse("1h")


def columns(rows: int = 5, open_ns: list[int] | None = None, **changes: Any) -> Columns:
    opens = np.array([FIRST_NS + at * HOUR_NS for at in range(rows)] if open_ns is None else open_ns, np.int64)
    base = np.arange(len(opens), dtype=np.float64)
    prices = {"open": 100 + base, "high": 101 + base, "low": 99 + base, "close": 100.5 + base}
    prices |= {name: np.array(column, np.float64) for name, column in changes.items() if name in prices}
    found = Columns(shipped_instruments().find("SPY"), HOUR, opens, opens + HOUR_NS, tuple(prices.values()))
    found.volume = np.array(changes["volume"], np.float64) if "volume" in changes else 10 * base
    found.amount = np.array(changes["amount"], np.float64) if "amount" in changes else None
    return found


def left(found: Columns) -> list[tuple[str, int]]:
    return [(one.reason, one.rows) for one in found.left_out]


def test_rows_become_candles_on_the_instruments_grids() -> None:
    bars = columns(amount=[1000.25] * 5).candles("split")
    assert (bars.key, str(bars.tick.step), str(bars.lot.step)) == (("us:SPY", "1h", "split"), "0.01", "1")
    assert bars.money.floats(bars.amount).tolist() == [1000.25] * 5
    assert bars.knowable_ns.tolist() == bars.close_ns.tolist()


def test_values_between_the_ticks_have_a_finer_grid() -> None:
    bars = columns(1, open=[100.005], high=[101], low=[99], close=[100.1]).candles("raw")
    assert (str(bars.tick.step), bars.tick.floats(bars.open).tolist()) == ("0.001", [100.005])


def test_a_volume_or_amount_that_is_missing_is_none_or_unknown() -> None:
    found = columns(2, volume=[np.nan, 5], amount=[np.nan, 3])
    bars = found.candles("raw")
    assert (bars.volume.tolist(), bars.amount.tolist()) == ([0, 5], [-1, -1])


def test_gaps_are_left_out() -> None:
    found = columns(close=[100.5, np.nan, 102.5, np.inf, 104.5])
    found.drop_gaps()
    assert (len(found), left(found)) == (3, [(GAP, 2)])
    assert len(found.candles("raw")) == 3


def test_rows_that_are_no_candles_are_left_out_and_many_of_them_refused() -> None:
    found = columns(high=[101, 50, 103, 104, 105], low=[99, 100, 101, -1, 103])
    assert found.candles("raw").open_ns.tolist() == [FIRST_NS + at * HOUR_NS for at in (0, 2, 4)]
    assert left(found) == [(NO_CANDLE, 2)]
    with pytest.raises(Invalid, match="5 of 5 rows are no candles"):
        columns(high=[1.0] * 5).candles("raw")
    assert len(columns(2, volume=[-1, 4]).candles("raw")) == 1


def test_the_window_is_of_opens_and_of_what_has_closed() -> None:
    found = columns(6)
    found.within(FIRST_NS + HOUR_NS, FIRST_NS + 5 * HOUR_NS, FIRST_NS + 4 * HOUR_NS)
    assert found.open_ns.tolist() == [FIRST_NS + at * HOUR_NS for at in (1, 2, 3)]
    assert left(found) == [], "rows outside the window are no fault"


def test_rows_come_in_order_and_each_once() -> None:
    found = columns(open_ns=[FIRST_NS + at * HOUR_NS for at in (2, 0, 1, 0, 3)])
    found.within(0, 2**62, 2**62)
    assert found.open_ns.tolist() == [FIRST_NS + at * HOUR_NS for at in range(4)]
    assert (found.prices[0].tolist(), left(found)) == ([101.0, 102.0, 100.0, 104.0], [(TWICE, 1)])
    found.candles("raw").check()


def test_a_close_is_the_calendars() -> None:
    sessions = load_sessions("nyse")
    found = columns(8, open_ns=[FIRST_NS + at * HOUR_NS for at in range(7)] + [FIRST_NS + HOUR_NS // 4])
    found.place(sessions)
    assert (found.close_ns[-1] - found.open_ns[-1], left(found)) == (HOUR_NS // 2, [(OFF_SCHEDULE, 1)])
    with pytest.raises(Invalid, match="5 of 5 rows open where calendar nyse has no bar"):
        columns(open_ns=[FIRST_NS + at * HOUR_NS + 1 for at in range(5)]).place(sessions)


def test_no_rows_are_no_fault() -> None:
    found = columns(0)
    found.place(load_sessions("nyse"))
    found.drop_gaps()
    found.within(0, 1, 1)
    assert len(found.candles("raw")) == 0


def naive_close(open_ns: IntArray, timeframe: Timeframe, calendar: str) -> list[int]:
    bars = load_sessions(calendar).between(timeframe, parse_instant("2024-06-01"), parse_instant("2024-09-01"))
    known = dict(zip(bars.open_ns.tolist(), bars.close_ns.tolist(), strict=True))
    return [known.get(one, 0) for one in open_ns.tolist()]


@given(
    offsets=st.lists(st.integers(0, 30 * 24 * 4), min_size=1, max_size=20),
    calendar=st.sampled_from(["nyse", "fx", "cme", "always"]),
    timeframe=st.sampled_from(["30m", "1h", "4h", "1d", "1w"]),
)
def test_the_close_equals_that_of_a_search_through_all_bars(offsets: list[int], calendar: str, timeframe: str) -> None:
    first_ns = parse_instant("2024-07-01T00:00:00Z")
    open_ns = np.array([first_ns + one * HOUR_NS // 4 for one in offsets], np.int64)
    length = Timeframe.parse(timeframe)
    assert scheduled_close(open_ns, length, load_sessions(calendar)).tolist() == naive_close(open_ns, length, calendar)
