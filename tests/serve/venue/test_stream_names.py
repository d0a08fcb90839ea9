"""Names of streams: what each asks for."""

from __future__ import annotations

import pytest
from tests.serve.venue.market_scene import listing

from gnomon.serve.venue.intervals import Interval
from gnomon.serve.venue.stream_names import ALL, Asked, parsed
from gnomon.serve.venue.symbols import Symbols
from gnomon.units import SECOND_NS

SYMBOLS = Symbols([listing(0, "BTC"), listing(1, "ETH")])


@pytest.mark.parametrize(
    "name, asked",
    [
        ("btcusdt@trade", Asked("trade", 0)),
        ("ethusdt@aggTrade", Asked("aggTrade", 1)),
        ("ethusdt@kline_1m", Asked("kline", 1, Interval.parse("1m"), pace_ns=2 * SECOND_NS)),
        ("ethusdt@kline_1M", Asked("kline", 1, Interval.parse("1M"), pace_ns=2 * SECOND_NS)),
        ("btcusdt@kline_1s", Asked("kline", 0, Interval.parse("1s"))),
        ("btcusdt@kline_1d@+08:00", Asked("kline", 0, Interval.parse("1d", "8"), pace_ns=2 * SECOND_NS)),
        ("btcusdt@depth", Asked("depth", 0)),
        ("btcusdt@depth@100ms", Asked("depth", 0, pace_ns=SECOND_NS // 10)),
        ("btcusdt@depth20@100ms", Asked("depth", 0, levels=20, pace_ns=SECOND_NS // 10)),
        ("btcusdt@ticker_4h", Asked("ticker_4h", 0)),
        ("!ticker_1d@arr", Asked("ticker_1d", ALL)),
        ("!miniTicker@arr", Asked("miniTicker", ALL)),
        ("!bookTicker", Asked("bookTicker", ALL)),
    ],
)  # fmt: skip
def test_a_name_says_what_it_asks_for(name: str, asked: Asked) -> None:
    assert parsed(name, SYMBOLS) == asked


NO_STREAMS = (
    "", "!", "@", "btcusdt", "btcusdt@", "BTCUSDT@trade", "btcusdt@Trade", "btcusdt@kline", "btcusdt@kline_1m@8",
    "btcusdt@kline_2m", "btcusdt@depth15", "btcusdt@depth@1s", "btcusdt@ticker_1h@arr", "!ticker_1h", "!trade@arr",
    "btcusdt@trade@trade", "btcusdt@kline_1d@+15:00", "btcusdt@blockTrade",
)  # fmt: skip


@pytest.mark.parametrize("name", NO_STREAMS)
def test_other_names_have_no_stream(name: str) -> None:
    assert parsed(name, SYMBOLS) is None
