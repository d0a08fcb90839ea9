"""What file names say."""

from __future__ import annotations

import pytest

from gnomon.sources.files.names import read_name, stem, symbol_name


@pytest.mark.parametrize(
    ("file", "symbol", "timeframe", "series"),
    [
        ("BTC_USDT-1h.json.gz", "BTCUSDT", "1h", ""),
        ("ETH_BTC-1m_20180120_20180130.json.gz", "ETHBTC", "1m", ""),
        ("XRP_ETH-trades.feather", "XRPETH", "", ""),
        ("XRP_USDT_USDT-5m-futures.feather", "XRPUSDT-PERP", "5m", "futures"),
        ("XRP_USDT_USDT-8h-mark.feather", "XRPUSDT-MARK", "8h", "mark"),
        ("XRP_USDT_USDT-8h-funding_rate.feather", "XRPUSDT-PERP", "8h", "funding_rate"),
        ("BTCUSDT-1h-2024-01.zip", "BTCUSDT", "1h", ""),
        ("BTCUSDT-1mo-2024-01.zip", "BTCUSDT", "1mo", ""),
        ("BTCUSDT-1h-2024-01-31.csv", "BTCUSDT", "1h", ""),
        ("BTCUSDT-aggTrades-2024-01.zip", "BTCUSDT", "", ""),
        ("XSHG_5min_600977.csv", "600977", "5min", ""),
        ("btc-perp-20211231-20220201_1m.csv.gz", "BTC-PERP", "1m", ""),
        ("GOOG.csv", "GOOG", "", ""),
        ("aapl_daily_2024.csv", "AAPL", "1d", ""),
        ("daily_prices_AAPL.json", "AAPL", "1d", ""),
        ("btcusdt-trades.parquet", "BTCUSDT", "", ""),
        ("BTC-USD_1D.csv", "BTCUSD", "1D", ""),
        ("BRK.B.csv", "BRK.B", "", ""),
    ],
)
def test_symbol_timeframe_and_series_of_a_name(file: str, symbol: str, timeframe: str, series: str) -> None:
    found = read_name(file)
    assert (found.name.symbols[0], found.name.timeframe, found.series) == (symbol, timeframe, series)


@pytest.mark.parametrize(
    "file", ["trades.csv.gz", "data.csv", "2024-01.csv", "my very long file name of things.csv", "-.csv"]
)
def test_names_that_say_nothing_give_no_symbol(file: str) -> None:
    assert read_name(file).name.symbols == ()


def test_the_exchange_code_is_the_venue() -> None:
    assert read_name("XSHG_5min_600977.csv").name.venue == "XSHG"


def test_a_pair_offers_the_spellings_that_a_configuration_may_hold() -> None:
    assert set(read_name("BTC_USDT-1h.json").name.symbols) == {"BTCUSDT", "BTC_USDT", "BTC/USDT", "BTC-USDT"}


def test_symbols_are_fit_for_an_identity() -> None:
    assert symbol_name(" btc/usdt:usdt ") == "BTC-USDT-USDT"
    assert symbol_name("///") == ""
    assert stem("BTC_USDT-1h.json.gz") == "BTC_USDT-1h"
