"""LEAN's ticks beyond the real samples: names, bad rows, early closes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.instrument import Instruments
from gnomon.market.trades import EXTENDED_HOURS, Trades
from gnomon.sources.files.read import Imported, read

ROWS = ["34200000,1674100,100,P,20002000,0", "34200000,1674150,1400,Q,2000,1", "46800000,1674100,5,P,,0"]


@pytest.fixture
def read_ticks(write: Callable[..., Path], instruments: Instruments) -> Callable[..., Imported]:
    def read_rows(
        rows: list[str],
        file: str = "spy_20131129_trade.zip",
        member: str = "20131129_spy_Trade_Tick.csv",
        **options: Any,
    ) -> Imported:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(member, "\n".join(rows) + "\n")
        return read(write(file, buffer.getvalue()), instruments=instruments, **options)

    return read_rows


@pytest.fixture
def ticks(read_ticks: Callable[..., Imported]) -> Callable[..., Trades]:
    def one_series(*args: Any, **options: Any) -> Trades:
        (only,) = read_ticks(*args, **options).series
        assert isinstance(only, Trades)
        return only

    return one_series


@pytest.mark.slow
def test_prints_are_flagged_and_keep_their_order_within_a_millisecond(ticks: Callable[..., Trades]) -> None:
    trades = ticks([ROWS[0], f"{ROWS[1][:-1]}0", ROWS[2]])
    assert [iso(int(at)) for at in trades.time_ns] == [
        "2013-11-29T14:30:00Z",
        "2013-11-29T14:30:00Z",
        "2013-11-29T18:00:00Z",
    ]
    assert trades.price.tolist() == [167_410, 167_415, 167_410]  # a tick of 0.001: the second is off the cent
    assert trades.flags.tolist() == [0, 0, EXTENDED_HOURS]  # the day after Thanksgiving closes at 13:00
    assert trades.side.tolist() == [0, 0, 0]


@pytest.mark.slow
def test_suspicious_prints_are_dropped_and_counted_and_others_on_demand(read_ticks: Callable[..., Imported]) -> None:
    imported = read_ticks(ROWS)
    (trades,) = imported.series
    assert isinstance(trades, Trades)
    assert trades.id.tolist() == [1, 3]
    assert imported.passport.series[0].dropped == {"suspicious": 1}
    regular = read_ticks(ROWS, regular_hours=True)
    assert len(regular.series[0]) == 1
    assert regular.passport.series[0].dropped == {"suspicious": 1, "outside regular hours": 1}
    assert regular.passport.recipe == {"regular_hours": True}
    assert regular.passport.series[0].side == "none"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "member"),
    [("20131129_trade.zip", "20131129_spy_Trade_Tick.csv"), ("spy_20131129_trade.zip", "data.csv")],
)
def test_symbol_and_date_come_from_either_name(file: str, member: str, ticks: Callable[..., Trades]) -> None:
    trades = ticks(ROWS, file, member)
    assert (trades.instrument, iso(int(trades.time_ns[0]))[:10]) == ("us:SPY", "2013-11-29")


def test_without_a_date_in_a_name_nothing_can_be_dated(ticks: Callable[..., Trades]) -> None:
    with pytest.raises(Invalid, match=r"spy\.zip: LEAN ticks, but no name in it says the date") as caught:
        ticks(ROWS, "spy.zip", "data.csv")
    assert "SYMBOL_YYYYMMDD_trade.zip" in caught.value.hint
    with pytest.raises(Invalid, match="20131399 is no date"):
        ticks(ROWS, "spy_20131399_trade.zip", "data.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("34200001,x,100,P,2000,0", "line 2: price is not a whole number, received 'x'"),
        ("34200001,1674100.5,100,P,2000,0", "line 2: price is not a whole number, received '1674100.5'"),
        ("34200001,0,100,P,2000,0", "line 2: price must be positive, received '0'"),
        ("34200001,1674100,-5,P,2000,0", "line 2: size must not be negative, received '-5'"),
        ("34100000,1674100,100,P,2000,0", "line 2: time goes back, received '34100000'"),
        ("99999999,1674100,100,P,2000,0", "line 2: not a time of that day, received '99999999'"),
        ("34200001,1674100,100,P,2000,7", "line 2: suspicious is neither 0 nor 1, received '7'"),
        ("34200001,1674100,100,P", "line 2: a row has 4 fields where 6 are expected"),
    ],
)
def test_bad_prints_are_named(row: str, said: str, ticks: Callable[..., Trades]) -> None:
    rows = [ROWS[0], row, ROWS[2]]
    with pytest.raises(Invalid) as caught:
        ticks(rows)
    assert said in caught.value.message
    assert ticks(rows, skip_bad=True).id.tolist() == [1, 3]
