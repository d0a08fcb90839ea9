"""Recordings of Binance's streams: three series of one file, and the traps of real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gnomon.errors import Invalid
from gnomon.market.depth import NEVER, Depth
from gnomon.market.instrument import Instruments
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.sources.files.read import Imported, read

MS = 1_000_000
START = 1_723_161_256_000  # ms
LATE = 5 * MS  # the recorder is later than the venue, as it should be

Load = Callable[..., Imported]


def line(stream: str, data: dict[str, Any], at_ms: int, late_ns: int = LATE) -> str:
    return f"{(START + at_ms) * MS + late_ns} {json.dumps({'stream': f'btcusdt@{stream}', 'data': data})}"


def trade(number: int, at_ms: int, price: str = "61800.30", size: str = "0.006", **more: Any) -> str:
    data = {"e": "trade", "T": START + at_ms, "s": "BTCUSDT", "t": number, "p": price, "q": size, "m": False}
    return line("trade", data | {"X": "MARKET"} | more, at_ms)


def quote(update: int, at_ms: int, bid: str = "61800.20", ask: str = "61800.30") -> str:
    data = {"u": update, "s": "BTCUSDT", "b": bid, "B": "2.5", "a": ask, "A": "0.25", "T": START + at_ms}
    return line("bookTicker", data, at_ms)


def depth(update: int, at_ms: int, bids: Sequence[Any], asks: Sequence[Any], previous: int = -1, **more: Any) -> str:
    data = {"E": START + at_ms, "T": START + at_ms, "s": "BTCUSDT", "U": previous + 1, "u": update, "pu": previous}
    return line("depth@0ms", data | {"b": bids, "a": asks} | more, at_ms)


def snapshot(last: int, at_ms: int, bids: Sequence[Any], asks: Sequence[Any]) -> str:
    data = {"lastUpdateId": last, "T": START + at_ms, "E": START + at_ms, "bids": bids, "asks": asks}
    return f"{(START + at_ms) * MS + LATE} {json.dumps(data)}"


@pytest.fixture
def load(write: Callable[..., Path], instruments: Instruments) -> Load:
    def load_rows(rows: Sequence[str], name: str = "feed.txt", **options: Any) -> Imported:
        return read(write(name, rows), instruments=instruments, **options)

    return load_rows


def only(imported: Imported, kind: type[Any]) -> Any:
    (found,) = [one for one in imported.series if isinstance(one, kind)]
    return found


SOUND = [
    depth(10, 0, [["61800.20", "1"]], [["61800.30", "2"], ["61800.40", "0"]]),
    quote(11, 1),
    trade(7, 2),
    trade(8, 2, "61800.20", m=True),
    depth(20, 3, [], [["61800.50", "0.125"]], previous=10),
]


def test_one_recording_holds_trades_quotes_and_depth_of_one_instrument(load: Load) -> None:
    imported = load(SOUND)
    assert imported.format == "binance-feed"
    assert [one.key for one in imported.series] == [
        ("binance-futures:BTCUSDT-PERP", kind, "raw") for kind in ("trades", "quotes", "depth")
    ]
    trades, quotes, book = only(imported, Trades), only(imported, Quotes), only(imported, Depth)
    assert (trades.id.tolist(), trades.side.tolist()) == ([7, 8], [1, -1])
    assert trades.tick.floats(trades.price).tolist() == [61800.3, 61800.2]
    assert (trades.received_ns - trades.time_ns).tolist() == [LATE, LATE]
    assert quotes.lot.floats(quotes.bid_qty).tolist() == [2.5]
    assert quotes.tick.floats(quotes.ask).tolist() == [61800.3]
    assert (book.side.tolist(), book.update.tolist()) == ([1, -1, -1, -1], [10, 10, 10, 20])
    assert book.lot.floats(book.size).tolist() == [1, 2, 0, 0.125]
    assert book.messages().tolist() == [0, 3, 4]


def test_all_series_of_an_instrument_count_in_one_tick_and_one_lot(load: Load) -> None:
    imported = load([*SOUND, trade(9, 5, "61800.123456", "0.00001")])
    assert {str(one.tick.step) for one in imported.series} == {"0.000001"}
    assert {str(one.lot.step) for one in imported.series} == {"0.00001"}
    (instrument,) = imported.instruments
    assert (str(instrument.tick.step), str(instrument.lot.step)) == ("0.000001", "0.00001")
    assert load(SOUND, instrument="local:MINE").series[2].instrument == "local:MINE"


def test_a_recording_of_spot_stamps_its_quotes_when_they_came(load: Load) -> None:
    data = {"u": 11, "s": "BTCUSDT", "b": "61800.20", "B": "2.5", "a": "61800.30", "A": "0.25"}
    spot = {"E": START + 3, "s": "BTCUSDT", "U": 12, "u": 13, "b": [["61800.2", "1"]], "a": [["61800.3", "1"]]}
    bought = {"T": START + 2, "s": "BTCUSDT", "t": 5, "p": "61800.30", "q": "1", "m": False, "M": True}
    rows = [line("bookTicker", data, 1, 0), line("trade", bought, 2), line("depth@100ms", spot, 3)]
    imported = load(rows, clock_shift_ns=250)
    quotes = only(imported, Quotes)
    assert (quotes.instrument, quotes.time_ns.tolist()) == ("binance:BTCUSDT", [(START + 1) * MS + 250])
    trades, stamped, book = imported.passport.series
    assert stamped.clock.row() == {"stamp": "receive", "shift_ns": 250, "how": "given at the import"}
    assert "stamped when they were received" in stamped.notes[0]
    assert trades.clock.stamp == book.clock.stamp == "exchange"
    assert only(imported, Trades).received_ns.tolist() == [(START + 2) * MS + LATE + 250]


# --- traps ------------------------------------------------------------------------------------------------------------


def test_rows_received_before_they_happened_are_refused_with_the_shift_that_mends_it(load: Load) -> None:
    early = [
        line("trade", json.loads(trade(n, n).partition(" ")[2])["data"], n, late_ns=-1_268 * MS - n) for n in range(5)
    ]
    with pytest.raises(Invalid, match=r"5 of 5 rows were received before they happened") as caught:
        load(early)
    assert "median -1,268.0 ms, 1st to 99th percentile -1,268.0 to -1,268.0 ms" in caught.value.message
    least = 1_268 * MS + 4
    assert f"--clock-shift-ns {least} (clock.shift_ns)" in caught.value.hint
    assert (caught.value.detail["clock.shift_ns"], caught.value.detail["percentiles_ns"]["50"]) == (least, 2 - least)
    with pytest.raises(Invalid, match="1 of 5 rows"):
        load(early, clock_shift_ns=least - 1)
    imported = load(early, clock_shift_ns=least)
    assert imported.passport.recipe == {"clock_shift_ns": least}
    assert imported.passport.series[0].row()["clock"]["shift_ns"] == least
    assert (only(imported, Trades).received_ns >= only(imported, Trades).time_ns).all()
    assert "latency, received less exchange" in " ".join(imported.passport.series[0].notes)


def test_prints_that_are_not_of_the_market_are_dropped_and_counted(load: Load) -> None:
    imported = load([trade(7, 1), trade(8, 2, X="INSURANCE_FUND"), trade(9, 3, X="ADL"), trade(10, 4)])
    assert only(imported, Trades).id.tolist() == [7, 10]
    passport = imported.passport.series[0]
    assert (passport.dropped, passport.rows) == ({"not of the market (X)": 2}, 2)
    assert imported.passport.rejected_rows == 0


def test_a_stamp_that_falls_a_little_is_lifted_and_counted_and_equal_ones_keep_their_order(load: Load) -> None:
    rows = [trade(1, 10), trade(2, 12, "61800.10"), trade(3, 11, "61800.20"), trade(4, 12), trade(5, 12, "61800.40")]
    imported = load(rows)
    trades = only(imported, Trades)
    assert ((trades.time_ns // MS) - START).tolist() == [10, 12, 12, 12, 12]
    assert trades.id.tolist() == [1, 2, 3, 4, 5]
    assert imported.passport.series[0].lifted == 1


def test_a_stamp_that_strays_is_a_bad_row_and_drags_nothing_along(load: Load) -> None:
    rows = [trade(1, 10), trade(2, 5_000_000), trade(3, 11), trade(4, 12)]
    with pytest.raises(Invalid, match="line 2: time goes back"):
        load(rows)
    imported = load(rows, skip_bad=True)
    assert only(imported, Trades).id.tolist() == [1, 3, 4]
    assert imported.passport.series[0].lifted == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([trade(7, 1), trade(9, 2), trade(8, 3)], "line 3: id does not rise, received 8"),
        ([quote(7, 1), quote(9, 2), quote(8, 3)], "line 3: id does not rise, received 8"),
        ([trade(7, 1), trade(7, 2, "61800.10")], "line 2: id comes twice with different values"),
        ([depth(9, 1, [["1", "1"]], []), depth(8, 2, [["1", "1"]], [])], "line 2: update id falls"),
    ],
)
def test_ids_must_rise(rows: list[str], said: str, load: Load) -> None:
    with pytest.raises(Invalid) as caught:
        load(rows)
    assert said in caught.value.message


def test_a_book_without_a_snapshot_is_valid_once_its_best_prices_are_those_of_the_quotes(load: Load) -> None:
    rows = [
        quote(5, 0),
        depth(10, 1, [["61799.00", "1"]], [["61800.30", "1"]]),  # the best bid is still unknown
        depth(20, 2, [["61800.20", "1"]], [], previous=10),
        depth(30, 3, [["61800.20", "0"]], [], previous=20),
    ]
    imported = load(rows)
    assert only(imported, Depth).valid_from_ns == (START + 2) * MS
    assert imported.passport.series[1].row()["depth"] == {"snapshot": False, "valid_from": "2024-08-08T23:54:16.002Z"}
    never = load([rows[0], rows[1]])
    assert only(never, Depth).valid_from_ns == NEVER
    assert never.passport.series[1].row()["depth"] == {"snapshot": False, "valid_from": None}


def test_a_snapshot_comes_after_the_updates_that_it_holds(load: Load) -> None:
    rows = [
        depth(10, 0, [["61800.20", "9"]], []),
        depth(30, 2, [["61800.20", "7"]], [], previous=10),
        snapshot(20, 1, [["61800.20", "8"]], [["61800.30", "1"]]),  # asked for early, answered late
    ]
    imported = load(rows)
    book = only(imported, Depth)
    assert book.update.tolist() == [10, 20, 20, 30]
    assert (book.kind.tolist(), book.lot.floats(book.size).tolist()) == ([0, 1, 1, 0], [9, 8, 1, 7])
    assert book.valid_from_ns == (START + 1) * MS
    assert imported.passport.series[0].row()["depth"]["snapshot"] is True


def test_missing_updates_and_streams_that_are_not_read_are_said(load: Load) -> None:
    imported = load([*SOUND, depth(40, 9, [], [["61800.50", "1"]], previous=35), line("markPrice", {"s": "X"}, 9)])
    notes = " ".join(imported.passport.series[0].notes)
    assert "1 times an update of the book is missing" in notes
    assert "messages of other streams are not read: markPrice (1)" in notes
    assert "missing" not in " ".join(load(SOUND).passport.series[0].notes)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("nonsense", "line 2: a line is no time and JSON object"),
        (f"{START * MS} {{broken", "line 2: a line is no time and JSON object"),
        (f'{START * MS} {{"stream": "btcusdt@trade", "data": {{}}}}', "line 2: a message lacks what its kind has"),
        (f'{START * MS} {{"result": null}}', "line 2: a message lacks what its kind has"),
        (trade(10**25, 1), "line 2: a message lacks what its kind has"),
        (trade(9, 1, T=2**62), "line 2: a message lacks what its kind has"),
        (trade(9, 1, m="false"), "line 2: a message lacks what its kind has"),
        (depth(9, 1, ["12"], []), "line 2: a message lacks what its kind has"),
        (trade(9, 1, "x"), "line 2: price is not a number, received 'x'"),
        (trade(9, 1, "0"), "line 2: price must be positive, received '0'"),
        (trade(9, 1, size="-1"), "line 2: size must not be negative, received '-1'"),
        (quote(9, 1, bid="nan"), "line 2: bid is not a finite number, received 'nan'"),
        (depth(9, 1, [["-1", "1"]], []), "line 2: price must be positive, received '-1'"),
    ],
)
def test_bad_lines_are_named_and_the_others_kept_on_demand(bad: str, said: str, load: Load) -> None:
    rows = [trade(7, 1), bad, trade(10, 2), quote(10, 2), depth(11, 3, [["1", "1"]], [])]
    with pytest.raises(Invalid) as caught:
        load(rows)
    assert said in caught.value.message
    imported = load(rows, skip_bad=True)
    assert [len(one) for one in imported.series] == [2, 1, 1]
    assert [one.line for one in imported.rejects] == [2]


def test_a_recording_of_two_symbols_and_one_of_nothing_are_refused(load: Load) -> None:
    with pytest.raises(Invalid, match=r"is of 2 symbols \(BTCUSDT, ETHUSDT\)"):
        load([trade(7, 1), trade(8, 2, s="ETHUSDT")])
    with pytest.raises(Invalid, match="a recording without trades, quotes or depth"):
        load([line("markPrice", {"s": "BTCUSDT"}, 1)])


def test_a_shift_of_nothing_or_of_days_is_refused(load: Load, hourly: list[str]) -> None:
    with pytest.raises(Invalid, match="has no stamps of a recorder's clock to shift"):
        load(hourly, "BTCUSDT-1h.csv", clock_shift_ns=5)
    with pytest.raises(Invalid, match="is more than a day"):
        load(SOUND, clock_shift_ns=86_400 * 10**9 + 1)
