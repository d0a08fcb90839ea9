"""Every file of the shared data folder, with the verdict and the numbers that its README gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.market.depth import SNAPSHOT, Depth, best_prices
from gnomon.market.instrument import Instruments
from gnomon.market.quotes import Quotes
from gnomon.market.trades import EXTENDED_HOURS, SUSPICIOUS, Trades
from gnomon.sources.files.read import Imported, read


@dataclass(frozen=True)
class Whole:
    """An imported file: format, key of the first series, rows, missing bars and series in all."""

    form: str
    first: tuple[str, str, str]
    rows: int
    missing: int = 0
    series: int = 1


@dataclass(frozen=True)
class No:
    """A refused file: words of the reason, and of what to do."""

    reason: str
    hint: str = "supported:"


BTC_PERPETUAL = "binance-futures:BTCUSDT-PERP"
CLOCK = "shift it, --clock-shift-ns 127"
INVERSE = "not supported yet"

SYMBOLS = (
    "AAPL AEP AMAT AMD AMZN ARM ASML AVGO CHTR COST CPRT CRWD CSCO FAST "
    "GOOG GOOGL META MRVL MSFT MU NVDA ORLY PEP PYPL QCOM QQQ SNPS TTD"
)
PROSE = No("plain text")
HOUR, RAW = "1h", "raw"

VERDICTS: dict[str, Whole | No] = {
    "README.md": PROSE,
    "backtesting_py/README.md": PROSE,
    "backtesting_py/BTCUSD.csv": Whole("csv", ("local:BTCUSD", "1mo", RAW), 156),
    "backtesting_py/EURUSD.csv": Whole("csv", ("fx:EURUSD", HOUR, RAW), 5000, 48),
    "backtesting_py/GOOG.csv": Whole("csv", ("local:GOOG", "1d", RAW), 2148),
    "binance_spot_1h/README.md": PROSE,
    "binance_spot_1h/BTC_USDT-1h.json.gz": Whole("freqtrade-json", ("binance:BTCUSDT", HOUR, RAW), 45024, 127),
    "binance_spot_1h/ETH_USDT-1h.json.gz": Whole("freqtrade-json", ("binance:ETHUSDT", HOUR, RAW), 45024, 127),
    "binance_spot_1h/BNB_USDT-1h.json.gz": Whole("freqtrade-json", ("binance:BNBUSDT", HOUR, RAW), 43087, 121),
    "binance_spot_1h/ADA_USDT-1h.json.gz": Whole("freqtrade-json", ("binance:ADAUSDT", HOUR, RAW), 39232, 87),
    "binance_spot_1h/XRP_USDT-1h.json.gz": Whole("freqtrade-json", ("binance:XRPUSDT", HOUR, RAW), 38820, 87),
    "binance_spot_1h/LINK_USDT-1h.json.gz": Whole("freqtrade-json", ("local:LINKUSDT", HOUR, RAW), 32678, 59),
    "binance_spot_1h/SOL_USDT-1h.json.gz": Whole("freqtrade-json", ("binance:SOLUSDT", HOUR, RAW), 18970, 19),
    "binance_spot_1h/SOL_USDT-15m.json.gz": Whole("freqtrade-json", ("binance:SOLUSDT", "15m", RAW), 75856, 89),
    "binance_spot_1h/APE_USDT-5m.json.gz": Whole("freqtrade-json", ("local:APEUSDT", "5m", RAW), 56673, 0),
    "freqtrade_testdata/README.md": PROSE,
    "freqtrade_testdata/ETH_BTC-1m_20180120_20180130.json.gz": Whole(
        "freqtrade-json-objects", ("local:ETHBTC", "1m", RAW), 14397, 1
    ),
    "freqtrade_testdata/ETH_BTC-5m.feather": Whole("feather", ("local:ETHBTC", "5m", RAW), 5760),
    "freqtrade_testdata/LTC_BTC-5m.feather": Whole("feather", ("local:LTCBTC", "5m", RAW), 5760),
    "freqtrade_testdata/XRP_ETH-trades.feather": Whole("feather", ("local:XRPETH", "trades", RAW), 12477),
    "freqtrade_testdata/XRP_ETH-1m.feather": Whole("feather", ("local:XRPETH", "1m", RAW), 2469, 1091),
    "freqtrade_testdata/XRP_USDT_USDT-5m-futures.feather": Whole("feather", ("local:XRPUSDT-PERP", "5m", RAW), 1999),
    "freqtrade_testdata/XRP_USDT_USDT-8h-mark.feather": Whole("feather", ("local:XRPUSDT-MARK", "8h", RAW), 91),
    "freqtrade_testdata/XRP_USDT_USDT-8h-funding_rate.feather": No(
        "funding rates, no candles: the rate stands in `open`"
    ),
    "ftx_btc_perp_1m/README.md": PROSE,
    "ftx_btc_perp_1m/btc-perp-20211231-20220201_1m.csv.gz": Whole("csv", ("local:BTC-PERP", "1m", RAW), 45031),
    "hftbacktest_feeds/README.md": PROSE,
    "hftbacktest_feeds/spot_btcusdt_20240809.gz": No(
        "184,168 of 184,168 rows were received before they happened", CLOCK
    ),
    "hftbacktest_feeds/usdm_btcusdt_20240808.gz": No(
        "532,923 of 532,923 rows were received before they happened", CLOCK
    ),
    "kronos_5m/README.md": PROSE,
    "kronos_5m/XSHG_5min_600977.csv": Whole("kronos-csv", ("XSHG:600977", "5m", RAW), 2500),
    "lean_spy_ticks/README.md": PROSE,
    "lean_spy_ticks/spy_20131007_trade.zip": Whole("lean-ticks", ("us:SPY", "trades", RAW), 250601),
    "lean_spy_ticks/spy_20131008_trade.zip": Whole("lean-ticks", ("us:SPY", "trades", RAW), 451545),
    "nasdaq100/README.md": PROSE,
    "nasdaq100/LICENSE-upstream.txt": PROSE,
    **{
        f"nasdaq100/daily_raw/daily_prices_{symbol}.json": Whole("alpha-vantage", (f"us:{symbol}", "1d", RAW), 106)
        for symbol in SYMBOLS.split()
    },
    "nasdaq100/merged_daily_2025-10-30.jsonl": Whole("ai-trader", ("us:AAPL", "1d", RAW), 27 * 99, 0, 27),
    "nasdaq100/merged_daily_2025H1_adjusted.jsonl": Whole("ai-trader", ("us:AAPL", "1d", "adjusted"), 28 * 121, 0, 28),
    "nasdaq100/merged_hourly_2025-11-10.jsonl": Whole("ai-trader", ("us:AAPL", HOUR, "adjusted"), 27 * 173, 0, 27),
    **{
        f"nasdaq100/ledgers/{model}/position.jsonl": No("positions of an agent (a ledger)")
        for model in ("gpt-5", "deepseek-chat-v3.1", "qwen3-max")
    },
    "nasdaq100/ledgers/expected_nav.csv": No("cash and net values of accounts"),
    "tardis_samples/README.md": PROSE,
    "tardis_samples/trades.csv.gz": Whole("tardis-trades", ("binance-futures:BTCUSDT-PERP", "trades", RAW), 9999),
    "tardis_samples/quotes.csv.gz": Whole("tardis-quotes", (BTC_PERPETUAL, "quotes", RAW), 9999),
    "tardis_samples/binance-futures_book_snapshot_25_BTCUSDT.csv": Whole(
        "tardis-book-snapshot", (BTC_PERPETUAL, "depth", RAW), 500
    ),
    "tardis_samples/binance-futures_book_snapshot_5_BTCUSDT.csv": Whole(
        "tardis-book-snapshot", (BTC_PERPETUAL, "depth", RAW), 100
    ),
    "tardis_samples/deribit_incremental_book_L2_BTC-PERPETUAL.csv": No("BTC-PERPETUAL of deribit is inverse", INVERSE),
    "tardis_samples/btcusdt-depth-snap.csv": Whole("binance-depth", (BTC_PERPETUAL, "depth", RAW), 100),
    "tardis_samples/btcusdt-depth-update.csv": Whole("binance-depth", (BTC_PERPETUAL, "depth", RAW), 100),
    "tardis_samples/xrpusdt-ob500.data.zip": Whole("bybit-book", ("bybit:XRPUSDT", "depth", RAW), 3966),
    "tardis_samples/btcusdt-trades.parquet": Whole("parquet", ("binance:BTCUSDT", "trades", RAW), 2001),
}

SLOW = {"lean_spy_ticks/spy_20131008_trade.zip", "nasdaq100/merged_hourly_2025-11-10.jsonl"}


def _params() -> list[object]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in VERDICTS]


def test_the_table_names_every_file_of_the_folder(shared: Path) -> None:
    root = shared / "data"
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == set(VERDICTS)


@pytest.mark.parametrize("name", _params())
def test_each_file_is_imported_whole_or_refused_by_name(name: str, shared: Path, instruments: Instruments) -> None:
    verdict = VERDICTS[name]
    path = shared / "data" / name
    if isinstance(verdict, No):
        with pytest.raises(Invalid) as caught:
            read(path, instruments=instruments)
        assert caught.value.message.startswith(path.name)
        assert verdict.reason in caught.value.message
        assert verdict.hint in caught.value.hint
        return
    imported = read(path, instruments=instruments)
    passport = imported.passport
    first = imported.series[0]
    assert (imported.format, first.key, passport.rows) == (verdict.form, verdict.first, verdict.rows)
    assert (len(imported.series), sum(one.missing_bars for one in passport.series)) == (verdict.series, verdict.missing)
    assert not imported.rejects
    assert len(imported.instruments) == verdict.series
    assert [one.id for one in imported.instruments] == [one.key[0] for one in imported.series]
    assert set(passport.files) == {path.name}
    for series in imported.series:
        series.check()


# --- what the READMEs say about the content ---------------------------------------------------------------------------


def _candles(imported: Imported, instrument: str | None = None) -> Candles:
    chosen = next(one for one in imported.series if instrument in (None, one.key[0]))
    assert isinstance(chosen, Candles)
    return chosen


def _trades(imported: Imported) -> Trades:
    (only,) = imported.series
    assert isinstance(only, Trades)
    return only


def _notes(imported: Imported, instrument: str | None = None) -> str:
    return "\n".join(
        note for one in imported.passport.series if instrument in (None, one.instrument) for note in one.notes
    )


def _bar(candles: Candles, opened: str) -> dict[str, float]:
    row = int(np.flatnonzero(candles.open_ns == parse_instant(opened))[0])
    return {name: float(candles.tick.floats(getattr(candles, name))[row]) for name in ("open", "high", "low", "close")}


def test_the_minute_candles_of_xrp_eth_are_the_trades_of_the_same_days(shared: Path, instruments: Instruments) -> None:
    """Two readers, one market: each minute's first, highest, lowest, last price and sum of sizes."""
    folder = shared / "data" / "freqtrade_testdata"
    candles = _candles(read(folder / "XRP_ETH-1m.feather", instruments=instruments))
    trades = _trades(read(folder / "XRP_ETH-trades.feather", instruments=instruments))
    assert (candles.tick, candles.lot) == (trades.tick, trades.lot)
    minutes = trades.time_ns // 60_000_000_000 * 60_000_000_000
    for row, opened in enumerate(candles.open_ns.tolist()):
        of_minute = np.flatnonzero(minutes == opened)
        prices = trades.price[of_minute]
        assert (prices[0], prices.max(), prices.min(), prices[-1], trades.size[of_minute].sum()) == (
            candles.open[row],
            candles.high[row],
            candles.low[row],
            candles.close[row],
            candles.volume[row],
        )
    assert set(minutes.tolist()) == set(candles.open_ns.tolist())


def test_trades_of_freqtrade_keep_the_ids_and_sides_of_the_venue(shared: Path, instruments: Instruments) -> None:
    trades = _trades(read(shared / "data/freqtrade_testdata/XRP_ETH-trades.feather", instruments=instruments))
    assert trades.id[:2].tolist() == [13519807, 13519808]
    assert (int((trades.side == 1).sum()), int((trades.side == -1).sum())) == (6524, 5953)
    assert int(trades.time_ns[0]) == 1570752011620_000_000
    assert (trades.received_ns == trades.time_ns).all()


def test_the_kronos_bars_end_where_they_are_stamped_and_rest_at_noon(shared: Path, instruments: Instruments) -> None:
    imported = read(shared / "data/kronos_5m/XSHG_5min_600977.csv", instruments=instruments)
    candles = _candles(imported)
    assert iso(int(candles.close_ns[0])) == "2024-06-18T03:15:00Z"  # 11:15 in Shanghai
    assert iso(int(candles.open_ns[0])) == "2024-06-18T03:10:00Z"
    local_open = (candles.open_ns // 60_000_000_000 + 8 * 60) % (24 * 60)
    assert set(local_open.tolist()) == {*range(570, 690, 5), *range(780, 900, 5)}  # 09:30-11:30, 13:00-15:00
    assert candles.money.floats(candles.amount)[0] == 427161.0
    (instrument,) = imported.instruments
    assert (instrument.calendar, instrument.stamp_zone, instrument.asset_class) == ("XSHG", "Asia/Shanghai", "equity")
    assert "stamps mark the close of their bar" in _notes(imported)


def test_euro_dollar_lacks_two_holidays_and_has_two_hours_after_the_close(
    shared: Path, instruments: Instruments
) -> None:
    imported = read(shared / "data/backtesting_py/EURUSD.csv", instruments=instruments)
    gaps = imported.passport.series[0].gaps
    assert [gap.row()["from"][:10] for gap in gaps] == ["2017-12-24", "2017-12-31"]
    assert "2 bars are off the schedule of calendar fx" in _notes(imported)


def test_month_end_stamps_become_whole_months(shared: Path, instruments: Instruments) -> None:
    candles = _candles(read(shared / "data/backtesting_py/BTCUSD.csv", instruments=instruments))
    assert (iso(int(candles.open_ns[0])), iso(int(candles.close_ns[0]))) == (
        "2012-01-01T00:00:00Z",
        "2012-02-01T00:00:00Z",
    )
    assert iso(int(candles.close_ns[-1])) == "2025-01-01T00:00:00Z"


def test_the_volume_of_ftx_is_in_dollars(shared: Path, instruments: Instruments) -> None:
    path = shared / "data/ftx_btc_perp_1m/btc-perp-20211231-20220201_1m.csv.gz"
    candles = _candles(read(path, instruments=instruments, quote_volume=True))
    assert candles.money.floats(candles.amount)[0] == 2300413.7295
    assert candles.lot.floats(candles.volume)[0] == round(2300413.7295 / ((46385 + 46319 + 46377) / 3), 6)


def test_google_opens_and_closes_with_new_york(shared: Path, instruments: Instruments) -> None:
    candles = _candles(read(shared / "data/backtesting_py/GOOG.csv", instruments=instruments))
    assert (iso(int(candles.open_ns[0])), iso(int(candles.close_ns[0]))) == (
        "2004-08-19T13:30:00Z",
        "2004-08-19T20:00:00Z",
    )
    assert iso(int(candles.open_ns[-1])) == "2013-03-01T14:30:00Z"
    assert (candles.knowable_ns == candles.close_ns).all()


def test_older_freqtrade_objects_carry_the_turnover(shared: Path, instruments: Instruments) -> None:
    path = shared / "data/freqtrade_testdata/ETH_BTC-1m_20180120_20180130.json.gz"
    candles = _candles(read(path, instruments=instruments))
    assert candles.tick.floats(candles.open)[0] == 0.08939998
    assert candles.lot.floats(candles.volume)[0] == 81.45320695
    assert candles.money.floats(candles.amount)[0] == 7.26133691


def test_binary_noise_in_the_feather_files_is_named_and_gone(shared: Path, instruments: Instruments) -> None:
    imported = read(shared / "data/freqtrade_testdata/ETH_BTC-5m.feather", instruments=instruments)
    candles = _candles(imported)
    assert str(candles.tick.step) == "1E-8"
    assert (candles.amount == UNKNOWN_AMOUNT).all()
    assert "prices carry binary noise and are taken as the decimal they stand for" in _notes(imported)


def test_mark_prices_are_kept_apart_and_never_forecast(shared: Path, instruments: Instruments) -> None:
    path = shared / "data/freqtrade_testdata/XRP_USDT_USDT-8h-mark.feather"
    (instrument,) = read(path, instruments=instruments).instruments
    assert (instrument.id, instrument.forecast) == ("local:XRPUSDT-MARK", False)
    with pytest.raises(Invalid, match="mark prices are no trades of binance:XRPUSDT"):
        read(path, instruments=instruments, instrument="XRPUSDT")


def test_lean_ticks_keep_their_order_and_flags(shared: Path, instruments: Instruments) -> None:
    trades = _trades(read(shared / "data/lean_spy_ticks/spy_20131007_trade.zip", instruments=instruments))
    assert iso(int(trades.time_ns[0])) == "2013-10-07T08:00:00.464Z"  # 04:00:00.464 in New York, summer time
    assert trades.tick.floats(trades.price)[0] == 167.41
    assert trades.id[:3].tolist() == [1, 2, 3]
    assert trades.size[:6].tolist() == [100, 1400, 100, 100, 199, 150]
    outside = (trades.flags & EXTENDED_HOURS).astype(bool)
    regular = (trades.time_ns >= parse_instant("2013-10-07T13:30:00Z")) & (
        trades.time_ns < parse_instant("2013-10-07T20:00:00Z")
    )
    assert (outside == ~regular).all()
    assert outside.any()
    assert not (trades.flags & SUSPICIOUS).any()
    assert not trades.side.any()


def test_tardis_trades_are_those_of_the_perpetual(shared: Path, instruments: Instruments) -> None:
    trades = _trades(read(shared / "data/tardis_samples/trades.csv.gz", instruments=instruments))
    assert (iso(int(trades.time_ns[0])), int(trades.received_ns[0])) == (
        "2020-02-22T00:00:02.111Z",
        1582329602418379_000,
    )
    assert (int(trades.id[0]), int(trades.side[0])) == (42377944, 1)
    assert (str(trades.tick.step), str(trades.lot.step)) == ("0.01", "0.001")


@pytest.mark.slow
def test_the_identity_of_a_day_of_ticks_never_moves(shared: Path, instruments: Instruments) -> None:
    for day, rows, regular, hash_ in (("07", 250_601, 241_504, "6d99ad5f"), ("08", 451_545, 440_353, "66ef9ee9")):
        path = shared / f"data/lean_spy_ticks/spy_201310{day}_trade.zip"
        passport = read(path, instruments=instruments).passport
        assert (passport.rows, passport.hash[:8]) == (rows, hash_)
        kept = read(path, instruments=instruments, regular_hours=True).passport
        assert (kept.rows, dict(kept.series[0].dropped)) == (regular, {"outside regular hours": rows - regular})


def test_tardis_quotes_and_books_are_those_of_the_perpetual(shared: Path, instruments: Instruments) -> None:
    folder = shared / "data/tardis_samples"
    (quotes,) = read(folder / "quotes.csv.gz", instruments=instruments).series
    assert isinstance(quotes, Quotes)
    assert (int(quotes.time_ns[0]), int(quotes.received_ns[0])) == (1582329601096000_000, 1582329603502092_000)
    assert quotes.tick.floats(quotes.bid)[:3].tolist() == [9681.92, 9681.83, 9681.44]
    assert quotes.lot.floats(quotes.ask_qty)[0] == 0.84
    assert (quotes.bid < quotes.ask).all()
    shallow, deep = (
        read(folder / f"binance-futures_book_snapshot_{levels}_BTCUSDT.csv", instruments=instruments).series[0]
        for levels in (5, 25)
    )
    assert isinstance(shallow, Depth)
    assert isinstance(deep, Depth)
    assert len(list(best_prices(deep))) == len(list(best_prices(shallow))) == 10
    assert [shallow.price[k] for k in range(10)] == [deep.price[k] for k in range(10)]
    for book in (shallow, deep):
        assert all(bid < ask for _, bid, ask in best_prices(book) if bid and ask)
        assert book.valid_from_ns == book.time_ns[0]


def test_the_book_of_bybit_never_crosses_after_its_snapshot(shared: Path, instruments: Instruments) -> None:
    (book,) = read(shared / "data/tardis_samples/xrpusdt-ob500.data.zip", instruments=instruments).series
    assert isinstance(book, Depth)
    best = list(best_prices(book))
    assert len(best) == 50
    assert int((book.kind == SNAPSHOT).sum()) == 1000
    assert all(bid is not None and ask is not None and bid < ask for _, bid, ask in best)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows", "valid_from", "hash_"),
    [
        ("usdm_btcusdt_20240808.gz", (21313, 66089, 445521), "2024-08-08T23:54:16.352Z", "07b6e6ca1d179297"),
        ("spot_btcusdt_20240809.gz", (10147, 45134, 174021), "2024-08-09T00:00:01.374Z", "a2de124d1b0a18a9"),
    ],
)
def test_the_feeds_of_binance_are_whole_once_their_clock_is_shifted(
    name: str, rows: tuple[int, ...], valid_from: str, hash_: str, shared: Path, instruments: Instruments
) -> None:
    path = shared / "data/hftbacktest_feeds" / name
    with pytest.raises(Invalid) as caught:
        read(path, instruments=instruments)
    shift_ns = caught.value.detail["clock.shift_ns"]
    assert 1_270_000_000 < shift_ns < 1_280_000_000
    imported = read(path, instruments=instruments, clock_shift_ns=shift_ns)
    trades, quotes, book = imported.series
    assert isinstance(trades, Trades)
    assert isinstance(quotes, Quotes)
    assert isinstance(book, Depth)
    assert (len(trades), len(quotes), len(book)) == rows
    assert min(int((one.received_ns - one.time_ns).min()) for one in (trades, quotes, book)) == 0
    assert len({(one.tick, one.lot) for one in (trades, quotes, book)}) == 1
    assert iso(book.valid_from_ns) == valid_from
    assert imported.passport.hash.startswith(hash_)
    assert (np.diff(trades.id) > 0).all()
    assert set(trades.side.tolist()) == {-1, 1}
    assert not any(one.dropped or one.lifted for one in imported.passport.series)
    assert (quotes.bid < quotes.ask).all()


def test_the_buyer_as_maker_means_that_the_seller_aggressed(shared: Path, instruments: Instruments) -> None:
    trades = _trades(read(shared / "data/tardis_samples/btcusdt-trades.parquet", instruments=instruments))
    assert trades.side[:3].tolist() == [-1, 1, 1]
    assert int(trades.id[0]) == 553287559


def test_the_split_of_orly_is_noticed_and_not_undone(shared: Path, instruments: Instruments) -> None:
    imported = read(shared / "data/nasdaq100/daily_raw/daily_prices_ORLY.json", instruments=instruments)
    assert "looks like a split of 15:1 on 2025-06-10: close 1348.1, then 91.71" in _notes(imported)
    assert _bar(_candles(imported), "2025-06-09T13:30:00Z")["close"] == 1348.10


def test_real_moves_are_no_splits(shared: Path, instruments: Instruments) -> None:
    for symbol in ("TTD", "SNPS", "AMD", "CHTR", "MRVL"):
        imported = read(shared / f"data/nasdaq100/daily_raw/daily_prices_{symbol}.json", instruments=instruments)
        assert "split" not in _notes(imported)


def test_the_two_bases_of_the_first_half_year_stay_two(shared: Path, instruments: Instruments) -> None:
    folder = shared / "data/nasdaq100"
    raw = _candles(read(folder / "daily_raw/daily_prices_AAPL.json", instruments=instruments))
    adjusted = read(folder / "merged_daily_2025H1_adjusted.jsonl", instruments=instruments)
    assert {one.key[2] for one in adjusted.series} == {"adjusted"}
    assert "in 19 of the 28 series" in _notes(adjusted, "us:AMZN")
    assert _bar(raw, "2025-06-02T13:30:00Z")["open"] == 200.28
    assert _bar(_candles(adjusted, "us:AAPL"), "2025-06-02T13:30:00Z")["open"] == 200.053


def test_holidays_are_no_gaps(shared: Path, instruments: Instruments) -> None:
    candles = _candles(read(shared / "data/nasdaq100/daily_raw/daily_prices_QQQ.json", instruments=instruments))
    days = {iso(int(at))[:10] for at in candles.open_ns}
    assert days.isdisjoint({"2025-06-19", "2025-07-04", "2025-09-01"})
    assert _bar(candles, "2025-10-01T13:30:00Z")["open"] == 597.17
    assert _bar(candles, "2025-10-30T13:30:00Z")["close"] == 626.05


def test_the_forming_bar_is_left_out_with_a_note(shared: Path, instruments: Instruments) -> None:
    imported = read(shared / "data/nasdaq100/merged_daily_2025-10-30.jsonl", instruments=instruments)
    assert iso(int(_candles(imported).open_ns[-1])) == "2025-10-29T13:30:00Z"
    assert "the newest bar (2025-10-30) holds only its open" in _notes(imported, "us:AAPL")


@pytest.mark.slow
def test_hourly_bars_of_new_york_stand_on_its_clock_across_the_change_of_time(
    shared: Path, instruments: Instruments
) -> None:
    """Stamps are US/Eastern without an offset; and where a dividend fell into the span the prices give away that they
    are adjusted, which README does not say: those six series must not be joined with raw ones."""
    imported = read(shared / "data/nasdaq100/merged_hourly_2025-11-10.jsonl", instruments=instruments)
    candles = _candles(imported, "us:MSFT")
    opens = [iso(int(at)) for at in candles.open_ns]
    assert opens[0] == "2025-10-01T14:00:00Z"  # 10:00 in summer time
    assert "2025-11-03T15:00:00Z" in opens  # 10:00 in winter time
    assert "2025-11-03T14:00:00Z" not in opens
    adjusted = {one.key[0] for one in imported.series if one.key[2] == "adjusted"}
    assert adjusted == {"us:AAPL", "us:AEP", "us:ASML", "us:COST", "us:CSCO", "us:FAST"}
    assert "do not open where calendar nyse opens" in _notes(imported, "us:MSFT")
