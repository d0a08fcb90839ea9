"""Recorded bars come in by the clock."""

from __future__ import annotations

import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Invalid, NotFound
from gnomon.market.synth import synthetic_candles
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.recorded import RecordedSource
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import Request, symbol_of
from gnomon.units import HOUR_NS

HOUR = Timeframe.parse("1h")
FIRST_NS, LAST_NS = parse_instant("2024-01-01"), parse_instant("2024-01-03")


def test_what_is_not_knowable_by_the_clock_is_not_there() -> None:
    btc = shipped_instruments().find("BTCUSDT")
    sessions = load_sessions("always")
    bars = synthetic_candles(btc, sessions, HOUR, FIRST_NS, LAST_NS, seed=1)
    clock = SimClock(FIRST_NS + 5 * HOUR_NS + 1)
    source = RecordedSource.of([bars], clock)
    source.page_bars = 2
    pages = list(source.candles(Request(btc, sessions, HOUR, FIRST_NS + HOUR_NS, LAST_NS)))
    assert [len(one) for one in pages] == [2, 2]
    assert int(pages[-1].close_ns[-1]) == FIRST_NS + 5 * HOUR_NS
    with pytest.raises(NotFound, match="no recording"):
        list(source.candles(Request(shipped_instruments().find("ETHUSDT"), sessions, HOUR, FIRST_NS, LAST_NS)))


def test_requests_and_symbols_that_are_none_are_refused() -> None:
    btc = shipped_instruments().find("BTCUSDT")
    with pytest.raises(Invalid, match="window"):
        Request(btc, load_sessions("always"), HOUR, LAST_NS, FIRST_NS)
    assert symbol_of(btc, "binance") == "BTCUSDT"
    with pytest.raises(NotFound, match="no name at source 'moon'"):
        symbol_of(btc, "moon")
