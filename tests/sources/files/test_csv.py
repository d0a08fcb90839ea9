"""Plain CSV: headers in any case and order, times in any spelling, and every bad row with its line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.market.instrument import Instruments
from gnomon.market.trades import Trades
from gnomon.sources.files.read import Imported, read

Write = Callable[..., Path]
NAME = "BTC_USDT-1h.csv"


@pytest.fixture
def load(write: Write, instruments: Instruments) -> Callable[..., Imported]:
    def load_file(content: object, name: str = NAME, **options: object) -> Imported:
        return read(write(name, content), instruments=instruments, **options)

    return load_file


def _candles(imported: Imported) -> Candles:
    (only,) = imported.series
    assert isinstance(only, Candles)
    return only


Load = Callable[..., Imported]

# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_plain_csv_becomes_candles_on_the_grid_of_the_instrument(load: Load, hourly: list[str]) -> None:
    imported = load(hourly)
    candles = _candles(imported)
    assert (imported.format, candles.key) == ("csv", ("binance:BTCUSDT", "1h", "raw"))
    assert (candles.open[0], candles.low[0], str(candles.tick.step)) == (4200050, 4190025, "0.01")
    assert candles.lot.floats(candles.volume).tolist() == [12.5, 10.25, 8, 9.125, 7.5, 6]
    assert (candles.amount == UNKNOWN_AMOUNT).all()
    assert iso(int(candles.close_ns[0])) == "2024-01-01T01:00:00Z"
    assert (candles.knowable_ns == candles.close_ns).all()


def test_the_same_content_in_another_dress_has_the_same_hash(load: Load, hourly: list[str]) -> None:
    plain = load(hourly).passport.hash
    rows = [line.split(",") for line in hourly]
    shuffled = [[row[5], row[2], row[4], row[0], row[1], row[3]] for row in rows]
    shuffled[0] = ["VOLUME", "High ", "Close", "", "OPEN", " low"]
    epochs = [[str(parse_instant(row[0]) // 10**6), *row[1:]] for row in rows[1:]]
    dressed = {
        "order, case, unnamed index": [",".join(row) for row in shuffled],
        "semicolons": [line.replace(",", ";") for line in hourly],
        "tabs and carriage returns": "\r\n".join(line.replace(",", "\t") for line in hourly),
        "a byte order mark": "\ufeff" + "\n".join(hourly),
        "quotes": [",".join(f'"{cell}"' for cell in row) for row in rows],
        "trailing zeros": [hourly[0], *(f"{line}000" if "." in line.split(",")[5] else line for line in hourly[1:])],
        "milliseconds": [hourly[0], *(",".join(row) for row in epochs)],
        "blank lines": [hourly[0], "", *hourly[1:3], "   ", *hourly[3:], "", ""],
        "spaces": [line.replace(",", " , ") for line in hourly],
        "newest first": [hourly[0], *reversed(hourly[1:])],
        "a row twice": [*hourly[:3], hourly[2], *hourly[3:]],
    }
    for how, content in dressed.items():
        assert load(content).passport.hash == plain, how
    assert load(gzip.compress("\n".join(hourly).encode()), "BTC_USDT-1h.csv.gz").passport.hash == plain
    assert load(hourly, "other.csv", instrument="BTCUSDT").passport.hash == plain


def test_what_was_done_to_the_rows_is_noted(load: Load, hourly: list[str]) -> None:
    def notes(rows: list[str]) -> str:
        return " | ".join(load(rows).passport.series[0].notes)

    assert "turned round" in notes([hourly[0], *reversed(hourly[1:])])
    assert "1 rows repeat another in every cell: dropped" in notes([*hourly, hourly[3]])
    assert "no column of volumes" in notes([line.rsplit(",", 1)[0] for line in hourly])
    assert "columns not read: Adj Close" in notes([f"{hourly[0]},Adj Close", *(f"{line},1" for line in hourly[1:])])


def test_turnover_is_read_where_there_is_a_column_and_unknown_where_a_cell_is_empty(
    load: Load, hourly: list[str]
) -> None:
    rows = [f"{hourly[0]},turnover", *(f"{line},{n * 1000.5}" for n, line in enumerate(hourly[1:], 1))]
    rows[3] = rows[3].rsplit(",", 1)[0] + ","
    candles = _candles(load(rows))
    assert candles.money.floats(candles.amount[:2]).tolist() == [1000.5, 2001.0]
    assert candles.amount[2] == UNKNOWN_AMOUNT


def test_amounts_beyond_the_usual_money_unit_choose_a_coarser_one(load: Load, hourly: list[str]) -> None:
    rows = [f"{hourly[0]},amount", *(f"{line},123456789012345" for line in hourly[1:])]
    candles = _candles(load(rows))
    assert (candles.amount[0], str(candles.money.step)) == (123456789012345, "1")


def test_volumes_in_the_quote_currency_are_converted_on_demand(load: Load) -> None:
    rows = [
        "time,open,high,low,close,volume",
        "1704067200000,10,12,9,11.25,1075",
        "1704070800000,10,10,10,10,50000000.5",
    ]
    imported = load(rows, "BTC_USDT-1h.csv", timeframe="1h", quote_volume=True)
    candles = _candles(imported)
    assert candles.lot.floats(candles.volume).tolist() == [100, 5_000_000.05]
    assert candles.money.floats(candles.amount).tolist() == [1075, 50_000_000.5]
    assert imported.passport.recipe["quote_volume"] is True
    assert "volumes were in the quote currency" in " ".join(imported.passport.series[0].notes)
    plain = _candles(load(rows, "BTC_USDT-1h.csv", timeframe="1h"))
    assert plain.lot.floats(plain.volume).tolist() == [1075, 50_000_000.5]
    with pytest.raises(Invalid, match="has no volumes to convert"):
        load([row.rpartition(",")[0] for row in rows], "BTC_USDT-1h.csv", timeframe="1h", quote_volume=True)


def test_trades_are_known_by_their_columns(load: Load) -> None:
    rows = [
        "time,price,qty,side",
        "1704067200000,42000.5,0.5,buy",
        "1704067200000,42000.25,1,SELL",
        "1704067200500,42001,2,",
    ]
    (trades,) = load(rows, "BTC_USDT-trades.csv").series
    assert isinstance(trades, Trades)
    assert trades.side.tolist() == [1, -1, 0]
    assert trades.id.tolist() == [2, 3, 4]  # the lines: there are no ids
    assert trades.price.tolist() == [4200050, 4200025, 4200100]


def test_repeated_prints_without_ids_are_all_kept_and_with_ids_dropped_once(load: Load) -> None:
    row = "1704067200000,42000.5,0.5,buy"
    assert load(["time,price,qty,side", row, row], "BTC_USDT-trades.csv").passport.rows == 2
    imported = load(["id,time,price,qty,side", f"7,{row}", f"7,{row}", f"8,{row}"], "BTC_USDT-trades.csv")
    assert imported.passport.rows == 2
    assert "1 rows repeat another" in " ".join(imported.passport.series[0].notes)
    with pytest.raises(Invalid, match="line 3: id comes twice with different values"):
        load(["id,time,price,qty,side", f"7,{row}", "7,1704067200000,42000.5,0.75,buy"], "BTC_USDT-trades.csv")


def test_ids_that_are_words_are_replaced_by_row_numbers_with_a_note(load: Load) -> None:
    imported = load(["id,time,price,qty", "a-1,1704067200,1,1", "b-2,1704067201,1,1"], "BTC_USDT-trades.csv")
    (trades,) = imported.series
    assert isinstance(trades, Trades)
    assert trades.id.tolist() == [2, 3]
    assert "ids are no whole numbers" in " ".join(imported.passport.series[0].notes)


def test_a_column_of_symbols_names_the_instrument_and_must_be_constant(load: Load, hourly: list[str]) -> None:
    rows = [f"{hourly[0]},symbol", *(f"{line},ETH/USDT" for line in hourly[1:])]
    assert _candles(load(rows, "whatever.csv")).instrument == "binance:ETHUSDT"
    rows[4] = rows[4].replace("ETH/USDT", "BTC/USDT")
    with pytest.raises(
        Invalid, match=r"line 5: another symbol than that of the other rows \(ETH/USDT\), received 'BTC/USDT'"
    ):
        load(rows, "whatever.csv")


def test_stamps_on_the_clock_of_the_exchange_are_noticed(load: Load) -> None:
    """Without an offset UTC is read, unless only New York's clock puts the bars into its sessions."""
    bars = [f"2024-01-0{day} {hour:02}:30:00,100,101,99,100.5,7" for day in (2, 3, 4, 5) for hour in range(9, 16)]
    imported = load(["Date,Open,High,Low,Close,Volume", *bars], "AAPL.csv")
    assert iso(int(_candles(imported).open_ns[0])) == "2024-01-02T14:30:00Z"
    assert iso(int(_candles(imported).close_ns[6])) == "2024-01-02T21:00:00Z"  # the last one is half an hour
    notes = " ".join(imported.passport.series[0].notes)
    assert "stamps without a zone are read on the clock of America/New_York: 100% of them then lie in sessions" in notes
    assert not imported.passport.series[0].missing_bars


def test_stamps_at_the_ends_of_bars_are_noticed(load: Load) -> None:
    ends = [f"2024-01-0{day}T{hour:02}:00:00Z,100,101,99,100.5,7" for day in (2, 3, 4, 5) for hour in range(15, 22)]
    imported = load(["Date,Open,High,Low,Close,Volume", *ends], "AAPL.csv")
    assert iso(int(_candles(imported).close_ns[6])) == "2024-01-02T21:00:00Z"
    assert "they mark the close of their bar" in " ".join(imported.passport.series[0].notes)


def test_prices_of_shares_off_the_cent_are_questioned(load: Load) -> None:
    rows = [f"2024-{m:02}-{d:02},{(p := 50 + d * 1.0123 + m):.4f},{p + 1:.4f},{p - 1:.4f},{p + 0.1234:.4f},100"
            for m in (1, 2) for d in (8, 9, 10, 11, 12, 22, 23, 24, 25, 26, 29)]  # fmt: skip
    rows = [row for row in rows if not row.startswith("2024-02-10") and not row.startswith("2024-02-11")]
    head = ["Date,Open,High,Low,Close,Volume"]
    imported = load([*head, *rows], "AAPL.csv")
    assert _candles(imported).basis == "raw"
    assert "if they are adjusted prices, say so by the basis" in " ".join(imported.passport.series[0].notes)
    told = load([*head, *rows], "AAPL.csv", basis="adjusted")
    assert (_candles(told).basis, told.passport.recipe) == ("adjusted", {"basis": "adjusted"})
    assert told.passport.hash != imported.passport.hash


# --- bad rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "column", "cell", "said"),
    [
        (4, 1, "abc", "open is not a number, received 'abc'"),
        (4, 1, "", "open is not a number, received nothing"),
        (4, 2, "NaN", "high is not a finite number, received 'NaN'"),
        (4, 2, "inf", "high is not a finite number, received 'inf'"),
        (4, 2, "1e999", "high is not a finite number, received '1e999'"),
        (5, 3, "-1", "low must be positive, received '-1'"),
        (5, 3, "0", "low must be positive, received '0'"),
        (2, 5, "-0.5", "volume must not be negative, received '-0.5'"),
        (2, 5, "", "volume is not a number, received nothing"),
        (2, 5, "1,5", "a row has 7 fields where 6 are expected"),
        (3, 2, "42000", "low <= open, close <= high does not hold, received open='42050' high='42000' low='42000' cl"),
        (3, 3, "42060", "low <= open, close <= high does not hold"),
        (7, 0, "yesterday", "not a time (ISO 8601, or an epoch in one unit), received 'yesterday'"),
        (7, 0, "", "not a time (ISO 8601, or an epoch in one unit), received nothing"),
        (7, 0, "2024-01-01 00:30:00", "time goes back, received '2024-01-01 00:30:00'"),
        (3, 0, "2031-01-01 00:00:00", "time goes back, received '2031-01-01 00:00:00'"),
        (3, 0, "2024-01-01 00:00:00", "time comes twice with different values"),
        (3, 1, "4205０", "open is not a number"),  # a full-width digit
        (3, 1, '"', "open is not a number"),
        (3, 5, "1e16", "the volumes of this row are too large or too fine for those of the others"),
    ],
)  # fmt: skip
def test_a_bad_cell_is_named_with_line_value_and_rule(
    line: int, column: int, cell: str, said: str, load: Load, hourly: list[str]
) -> None:
    row = hourly[line - 1].split(",")
    row[column] = cell
    rows = [*hourly[: line - 1], ",".join(row), *hourly[line:]]
    with pytest.raises(Invalid) as caught:
        load(rows)
    assert f"{NAME}, line {line}: {said}" in caught.value.message
    assert caught.value.detail["bad_rows"] == 1
    kept = load(rows, skip_bad=True)
    assert (kept.passport.rows, kept.passport.rejected_rows) == (5, 1)
    (reject,) = kept.rejects
    assert (reject.file, reject.line) == (NAME, line)
    assert said.startswith(reject.rule)
    assert kept.passport.recipe == {"skip_bad": True}
    whole = _candles(load(hourly))
    others = np.delete(np.arange(6), line - 2)
    for name in ("open_ns", "open", "high", "low", "close"):
        assert (getattr(_candles(kept), name) == getattr(whole, name)[others]).all()


def test_lines_are_counted_as_a_person_counts_them(load: Load, hourly: list[str]) -> None:
    rows = ["", *hourly[:2], "", "   ", *hourly[2:]]
    rows[6] = rows[6].replace("42150.75", "what")
    with pytest.raises(Invalid, match="line 7: open is not a number"):
        load(rows)
    with pytest.raises(Invalid, match="line 4: open is not a number"):
        load("\r\n".join([*hourly[:3], hourly[3].replace("42150.75", "what"), *hourly[4:]]))


def test_all_bad_rows_are_returned_in_the_order_of_the_file(load: Load, hourly: list[str]) -> None:
    rows = [*hourly]
    rows[1] = rows[1].replace("42000.5", "x")
    rows[3] += ",7"
    rows[5] = rows[5].replace("7.5", "-7.5")
    with pytest.raises(Invalid, match=r"line 2: open is not a number, received 'x' \(and 2 more bad rows\)"):
        load(rows)
    kept = load(rows, skip_bad=True)
    assert [reject.line for reject in kept.rejects] == [2, 4, 6]
    assert kept.rejects[1].value == repr(rows[3])
    assert kept.passport.rows == 3


def test_a_line_break_inside_quotes_costs_its_own_rows_and_not_the_rest(load: Load, hourly: list[str]) -> None:
    rows = [*hourly[:3], '2024-01-01 02:00:00,"42150', *hourly[4:]]
    with pytest.raises(Invalid, match="line 4: a row has 2 fields where 6 are expected"):
        load(rows)
    assert load(rows, skip_bad=True).passport.rows == 5


def test_bytes_that_are_no_utf8_are_met_where_they_stand(load: Load, hourly: list[str]) -> None:
    data = "\n".join(hourly).encode()
    with pytest.raises(
        Invalid, match=r"line 3: open is not a number, received '42\\ufffd050'|line 3: open is not a number"
    ):
        load(data.replace(b"42050,42200", b"42\xe9050,42200"))
    harmless = load("\n".join([f"{hourly[0]},note", *(f"{line},caf\xe9" for line in hourly[1:])]).encode("latin-1"))
    assert harmless.passport.rows == 6
    assert "bytes that are no UTF-8, first on line 2" in " ".join(harmless.passport.series[0].notes)


def test_many_bad_rows_are_counted_and_a_few_shown(load: Load) -> None:
    rows = ["time,price,qty", *(f"{1704067200 + n},x,1" for n in range(1000)), "1704069200,1,1"]
    with pytest.raises(
        Invalid, match=r"line 2: price is not a number, received 'x' \(and 999 more bad rows\)"
    ) as caught:
        load(rows, "BTC_USDT-trades.csv")
    assert len(caught.value.detail["rejects"]) == 20
    assert len(load(rows, "BTC_USDT-trades.csv", skip_bad=True).rejects) == 1000


def test_when_no_row_is_good_that_is_said_even_with_skip_bad(load: Load, hourly: list[str]) -> None:
    rows = [hourly[0], *(line.replace(",", ",x", 1) for line in hourly[1:])]
    with pytest.raises(Invalid, match=r"BTC_USDT-1h\.csv: no row is good\. .*line 2: open is not a number"):
        load(rows, skip_bad=True)


# --- whole files that are refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("timestamp,open,high,low,close,volume\n", "a header and no rows"),
        ("timestamp,open,high,low,close,volume", "a header and no rows"),
        ("\n\n \n", "plain text, no table"),
        ("a,b\n1,2\n3,4\n", "a table with the columns 'a', 'b': neither open, high, low, close nor price and size"),
        ("Dear all,\nplease find, as ever, enclosed\n", "plain text, no table"),
        ("1704067200,1,2,0.5,1.5,3\n1704070800,1,2,0.5,1.5,3\n", "6 columns without a header, of no known kind"),
        ("open,high,low,close,volume\n1,2,0.5,1.5,3\n", "open, high, low and close, but no column of times"),
        ("time,open,open,high,low,close\n1,1,1,1,1,1\n", "two columns are called 'open'"),
        ("date,time,open,high,low,close\n2024-01-01,00:00,1,1,1,1\n", "date and time of day stand in two columns"),
        ("timestamp,symbol,funding_rate\n1,BTCUSDT,0.1\n", "funding rates are no candles"),
        ("\x00\x01\x02binary", "binary data of no known kind"),
    ],
)
def test_what_is_no_table_of_candles_or_trades_is_refused_by_name(content: str, said: str, load: Load) -> None:
    with pytest.raises(Invalid) as caught:
        load(content)
    assert caught.value.message.startswith(f"{NAME}: ")
    assert said in caught.value.message


def test_utf16_is_named(load: Load, hourly: list[str]) -> None:
    with pytest.raises(Invalid, match="UTF-16 text: save it as UTF-8"):
        load("\n".join(hourly).encode("utf-16"))


def test_a_timeframe_that_the_rows_contradict_is_refused(load: Load, hourly: list[str]) -> None:
    with pytest.raises(Invalid, match="the file says 5m, but the rows are most often 1h apart"):
        load(hourly, "BTC_USDT-5m.csv")
    with pytest.raises(Invalid, match="--timeframe says 1d, but the rows are most often 1h apart"):
        load(hourly, timeframe="1d")
    assert _candles(load(hourly, "BTC_USDT-5m.csv", timeframe="1h")).timeframe.nominal_ns == 3600 * 10**9


def test_gaps_are_counted_and_never_filled(load: Load, hourly: list[str]) -> None:
    passport = load([*hourly[:3], *hourly[5:]]).passport.series[0]
    assert (passport.rows, passport.missing_bars) == (4, 2)
    assert passport.gaps[0].row() == {"from": "2024-01-01T02:00:00Z", "until": "2024-01-01T04:00:00Z", "bars": 2}


def test_a_stamp_in_another_century_does_not_count_its_gaps_one_by_one(load: Load) -> None:
    rows = [f"{1704067200 + n},1,1,1,1,1" for n in range(5)]
    imported = load(["time,open,high,low,close,volume", *rows, f"{1704067200 + 10**9},1,1,1,1,1"], "BTC_USDT-1s.csv")
    assert "gaps are not counted" in " ".join(imported.passport.series[0].notes)
    assert imported.passport.series[0].missing_bars == 0


def test_progress_ends_at_the_whole(load: Load, hourly: list[str]) -> None:
    seen: list[tuple[int, int]] = []
    load(hourly, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert seen[-1][0] == seen[-1][1]
    assert all(done <= total for done, total in seen)
