"""Datasets: identity by content, gaps, passports."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.market.calendar import always
from gnomon.market.candles import COLUMNS, Candles
from gnomon.market.dataset import (
    ClockPassport,
    Gap,
    Passport,
    SeriesPassport,
    content_hash,
    gaps,
    off_schedule,
    series_digest,
)
from gnomon.market.depth import Depth
from gnomon.market.trades import Trades
from gnomon.units import HOUR_NS, Grid

MakeCandles = Callable[..., Candles]
SESSIONS = always(0, 20)
GOLDEN = "723df51ec5dd24b6f760cca294891c286d6d751316ea3562dcaad3158356e5ea"


def a_trade(time_ns: int = 1) -> Trades:
    one = np.array([time_ns], np.int64)
    small = np.zeros(1, np.int8), np.zeros(1, np.uint8)
    return Trades("test:X", Grid.of("0.01"), Grid.of(1), one, one, one, one, one, *small)


def test_the_hash_is_the_same_on_every_machine_and_day(make_candles: MakeCandles) -> None:
    assert content_hash([make_candles([100, 101]), a_trade()]) == GOLDEN


def test_identity_does_not_depend_on_the_order_of_series_or_on_memory(make_candles: MakeCandles) -> None:
    bars, trade = make_candles([1, 2, 3, 4]), a_trade()
    assert content_hash([bars, trade]) == content_hash([trade, bars])
    scattered = make_candles([1, 0, 2, 0, 3, 0, 4, 0], open_ns=np.repeat(np.arange(4), 2) * HOUR_NS).take(
        slice(0, 8, 2)
    )
    assert series_digest(scattered) == series_digest(bars)


def test_grids_written_differently_are_one_identity(make_candles: MakeCandles) -> None:
    assert series_digest(make_candles([1], tick=Grid.of("0.010"))) == series_digest(make_candles([1]))


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_counts(make_candles: MakeCandles, column: str) -> None:
    bars = make_candles([5, 6, 7])
    changed = getattr(bars, column).copy()
    changed[1] += 1
    fields = {name: getattr(bars, name) for name in COLUMNS} | {column: changed}
    assert series_digest(make_candles([5, 6, 7], **fields)) != series_digest(bars)


def test_keys_and_grids_count(make_candles: MakeCandles) -> None:
    from gnomon.clock import Timeframe

    variants = [
        make_candles([5]),
        make_candles([5], instrument="test:Y"),
        make_candles([5], basis="adjusted"),
        make_candles([5], timeframe=Timeframe.parse("1d")),
        make_candles([5], tick=Grid.of("0.1")),
        make_candles([5], lot=Grid.of("0.1")),
        make_candles([5], money=Grid.of("0.1")),
        make_candles([5, 5]),
        a_trade(),
    ]
    assert len({series_digest(one) for one in variants}) == len(variants)


@given(kept=st.sets(st.integers(0, 40), min_size=0, max_size=41))
def test_gaps_are_those_of_a_slow_loop(make_candles: MakeCandles, kept: set[int]) -> None:
    hours = sorted(kept)
    bars = make_candles([1] * len(hours), open_ns=np.array(hours, np.int64) * HOUR_NS)
    expected = [
        Gap((one + 1) * HOUR_NS, other * HOUR_NS, other - one - 1) for one, other in pairwise(hours) if other - one > 1
    ]
    assert gaps(bars, SESSIONS) == expected
    assert not len(off_schedule(bars, SESSIONS))


def test_bars_beside_the_schedule_are_found(make_candles: MakeCandles) -> None:
    opens = np.array([0, HOUR_NS, HOUR_NS + HOUR_NS // 2, 3 * HOUR_NS])
    bars = make_candles([1] * 4, open_ns=opens, close_ns=opens + HOUR_NS // 2)
    assert off_schedule(bars, SESSIONS).tolist() == [2], "only opens count: the close is what the source says"
    assert off_schedule(make_candles([]), SESSIONS).tolist() == []


def test_a_passport_says_what_is_inside(make_candles: MakeCandles) -> None:
    bars = make_candles([1, 2, 3], open_ns=np.array([0, 1, 5]) * HOUR_NS)
    series = (
        SeriesPassport.of(bars, gaps=gaps(bars, SESSIONS), notes=["a note"]),
        SeriesPassport.of(a_trade(7)),
    )
    passport = Passport(
        "ab" * 32, "name", "csv", "unknown", {"x.csv": "00"}, series, rejected_rows=2, recipe={"seed": 1}
    )
    row = json.loads(json.dumps(passport.row()))
    assert (row["rows"], row["rejected_rows"], row["recipe"]) == (4, 2, {"seed": 1})
    candles, trades = row["series"]
    assert (candles["kind"], candles["timeframe"], candles["missing_bars"]) == ("candles", "1h", 3)
    assert (candles["from"], candles["until"]) == ("1970-01-01T00:00:00Z", "1970-01-01T06:00:00Z")
    assert candles["gaps"] == [{"from": "1970-01-01T02:00:00Z", "until": "1970-01-01T05:00:00Z", "bars": 3}]
    assert (trades["kind"], trades["timeframe"], trades["rows"]) == ("trades", "", 1)
    assert candles["digest"] == series_digest(bars).hex()
    assert "clock" not in candles
    assert (trades["side"], trades["dropped"], trades["lifted"]) == ("none", {}, 0)
    assert trades["clock"] == {"stamp": "exchange", "shift_ns": 0, "how": ""}


def test_a_passport_of_depth_says_from_when_the_book_may_be_walked() -> None:
    one = np.ones(1, np.int64)
    book = Depth("test:X", Grid.of(1), Grid.of(1), one, one, one.astype(np.int8), one, one, one.astype(np.uint8), one)
    clock = ClockPassport("exchange", 7, "given at the import")
    row = SeriesPassport.of(book, clock=clock, dropped={"stale": 2}, lifted=3).row()
    assert (row["kind"], row["clock"]["shift_ns"], row["dropped"], row["lifted"]) == ("depth", 7, {"stale": 2}, 3)
    assert row["depth"] == {"snapshot": True, "valid_from": None}
    known = replace(book, valid_from_ns=5)
    assert SeriesPassport.of(known).row()["depth"]["valid_from"] == "1970-01-01T00:00:00.000000005Z"
    assert series_digest(known) != series_digest(book), "it moves fills, so it is part of the identity"


def test_the_width_of_a_column_is_no_part_of_the_identity() -> None:
    wide = a_trade(7)
    narrow = replace(wide, price=wide.price.astype(np.int32), size=wide.size.astype(np.int32))
    assert series_digest(narrow) == series_digest(wide)


def test_a_passport_of_synthetic_series_names_them_all(make_candles: MakeCandles) -> None:
    series = [make_candles([1, 2, 3]), a_trade(7)]
    passport = Passport.of(series, "made up")
    assert (passport.hash, passport.name, passport.source) == (content_hash(series), "made up", "synthetic")
    assert [one.rows for one in passport.series] == [3, 1]
