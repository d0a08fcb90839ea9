"""LEAN's ticks beyond the real samples: names, bad rows, early closes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.instrument import Instruments
from gnomon.market.trades import EXTENDED_HOURS, SUSPICIOUS, Trades
from gnomon.sources.files.read import read

ROWS = ["34200000,1674100,100,P,20002000,0", "34200000,1674150,1400,Q,2000,1", "46800000,1674100,5,P,,0"]


@pytest.fixture
def ticks(write: Callable[..., Path], instruments: Instruments) -> Callable[..., Trades]:
    def read_ticks(
        rows: list[str],
        file: str = "spy_20131129_trade.zip",
        member: str = "20131129_spy_Trade_Tick.csv",
        **options: object,
    ) -> Trades:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(member, "\n".join(rows) + "\n")
        (only,) = read(write(file, buffer.getvalue()), instruments=instruments, **options).series
        assert isinstance(only, Trades)
        return only

    return read_ticks


@pytest.mark.slow
def test_prints_are_flagged_and_keep_their_order_within_a_millisecond(ticks: Callable[..., Trades]) -> None:
    trades = ticks(ROWS)
    assert [iso(int(at)) for at in trades.time_ns] == [
        "2013-11-29T14:30:00Z",
        "2013-11-29T14:30:00Z",
        "2013-11-29T18:00:00Z",
    ]
    assert trades.price.tolist() == [167_410, 167_415, 167_410]  # a tick of 0.001: the second is off the cent
    assert trades.flags.tolist() == [0, SUSPICIOUS, EXTENDED_HOURS]  # the day after Thanksgiving closes at 13:00


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
