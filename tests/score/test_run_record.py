"""The columns of a run: what fits together is taken, what does not is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.clock import Timeframe, parse_instant
from gnomon.errors import Invalid
from gnomon.score.run_record import Fills, Listing, Marks, Orders, Periods, RunRecord
from gnomon.units import DAY_NS, HOUR_NS

START_NS = parse_instant("2024-01-01")


def idle(marks: int = 3, **changes: object) -> RunRecord:
    """A run that holds its cash and does nothing."""
    at_ns = START_NS + HOUR_NS * np.arange(marks)
    flat = np.full(marks, 100.0)
    table = np.ones((marks, 1))
    record = RunRecord(
        run="run_1",
        quote="USDT",
        listings=(Listing("BTCUSDT", "BTC"),),
        assets=("USDT",),
        marks=Marks(at_ns, flat, flat, 0.0 * table, table),
        fills=Fills.none(),
        orders=Orders.none(),
        periods=Periods.regular(START_NS, int(at_ns[-1]), "always", Timeframe.parse("1h")),
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # each test names the field


def test_a_run_that_never_traded_is_a_run() -> None:
    record = idle()
    assert (len(record.marks), len(record.fills), len(record.orders)) == (3, 0, 0)
    assert record.opening == 100.0
    assert record.fills.maker.dtype == np.bool_
    assert record.fills.number.dtype == np.int64


def test_columns_that_do_not_fit_are_refused_by_name() -> None:
    good = idle()
    with pytest.raises(Invalid, match=r"Marks\.cash has the shape \(2,\), expected \(3,\)"):
        replace(good, marks=replace(good.marks, cash=np.ones(2)))
    with pytest.raises(Invalid, match=r"Marks\.low has the shape \(3,\), expected \(3, 1\)"):
        replace(good, marks=replace(good.marks, low=np.ones(3)))
    with pytest.raises(Invalid, match=r"Fills\.price"):
        replace(good, fills=replace(good.fills, price=np.ones(2)))
    with pytest.raises(Invalid, match=r"Orders\.status"):
        replace(good, orders=replace(good.orders, status=("NEW",)))
    with pytest.raises(Invalid, match="no mark"):
        replace(good, marks=Marks(*(np.zeros(0, np.int64), *[np.zeros(0)] * 2, *[np.zeros((0, 1))] * 2)))
    with pytest.raises(Invalid, match=r"opens with an equity of 0"):
        replace(good, marks=replace(good.marks, equity=np.zeros(3)))
    with pytest.raises(Invalid, match="not in the order of time"):
        replace(good, marks=replace(good.marks, at_ns=good.marks.at_ns[::-1]))


def test_an_index_that_names_nothing_is_refused() -> None:
    orders = Orders(*[np.array([4])] * 7, *[np.ones(1)] * 2, ("LIMIT",), ("NEW",), ("",))
    with pytest.raises(Invalid, match="instrument of an order: index 4 of 1"):
        idle(orders=orders)


def test_periods_end_on_the_grid_and_know_their_year() -> None:
    days = Periods.regular(START_NS + 5, START_NS + 3 * DAY_NS, "always", Timeframe.parse("1d"))
    assert ((days.ends_ns - START_NS) // DAY_NS).tolist() == [1, 2, 3]
    assert (days.name, days.a_year) == ("1d", 365.0)
    sessions = Periods.of("nyse", Timeframe.parse("1d"), days.ends_ns)
    assert sessions.a_year == 252.0
    with pytest.raises(Invalid, match="XSHG"):
        Periods.of("XSHG", Timeframe.parse("1d"), days.ends_ns)
    with pytest.raises(Invalid, match="not in the order"):
        Periods("1d", np.array([2, 2]), 365.0)
    with pytest.raises(Invalid, match="0 periods a year"):
        Periods("1d", np.array([1, 2]), 0)
