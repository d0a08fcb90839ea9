"""Quotes and books of tardis, Binance's depth, Bybit: what becomes of their rows."""

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
from gnomon.sources.files.read import Imported, read

AT = 1_598_918_403_696_000  # µs
Load = Callable[..., Imported]

QUOTES = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
SNAPSHOTS = (
    "exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount,"
    "asks[1].price,asks[1].amount,bids[1].price,bids[1].amount"
)
L2 = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
BINANCE = "symbol,timestamp,first_update_id,last_update_id,side,update_type,price,qty,pu"


@pytest.fixture
def load(write: Callable[..., Path], instruments: Instruments) -> Load:
    def load_rows(rows: Sequence[str], name: str = "rows.csv", **options: Any) -> Imported:
        return read(write(name, rows), instruments=instruments, **options)

    return load_rows


def book(imported: Imported) -> Depth:
    (only,) = imported.series
    assert isinstance(only, Depth)
    return only


def levels(imported: Imported) -> list[tuple[int, float, float, int, int]]:
    """Side, price, size, kind and update of each row."""
    one = book(imported)
    columns = (one.side, one.tick.floats(one.price), one.lot.floats(one.size), one.kind, one.update)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_quotes_of_tardis_have_two_clocks(load: Load) -> None:
    rows = [f"binance-futures,BTCUSDT,{AT + n},{AT + 100 + n},0.84,9682,{9681.92 - n},0.67" for n in range(3)]
    imported = load([QUOTES, *rows])
    (quotes,) = imported.series
    assert isinstance(quotes, Quotes)
    assert quotes.key == ("binance-futures:BTCUSDT-PERP", "quotes", "raw")
    assert quotes.time_ns.tolist() == [(AT + n) * 1000 for n in range(3)]
    assert (quotes.received_ns - quotes.time_ns).tolist() == [100_000] * 3
    assert quotes.tick.floats(quotes.bid).tolist() == [9681.92, 9680.92, 9679.92]
    assert quotes.lot.floats(quotes.ask_qty).tolist() == [0.84] * 3
    assert imported.format == "tardis-quotes"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"binance-futures,BTCUSDT,{AT},{AT},0.84,9682,,", "line 3: bid is not a number, received nothing"),
        (f"binance-futures,BTCUSDT,{AT},{AT},0.84,0,1,1", "line 3: ask must be positive, received '0'"),
        (f"binance-futures,BTCUSDT,{AT},{AT},-1,2,1,1", "line 3: ask_qty must not be negative, received '-1'"),
        (f"binance-futures,ETHUSDT,{AT},{AT},1,2,1,1", "line 3: another symbol than that of the other rows (BTCUSDT)"),
        (f"binance-futures,BTCUSDT,{AT},x,1,2,1,1", "line 3: received is not a time, received 'x'"),
    ],
)
def test_bad_quotes_are_named(row: str, said: str, load: Load) -> None:
    good = f"binance-futures,BTCUSDT,{AT},{AT},0.84,9682,9681,0.67"
    with pytest.raises(Invalid) as caught:
        load([QUOTES, good, row, good])
    assert said in caught.value.message
    assert len(load([QUOTES, good, row, good], skip_bad=True).series[0]) == 2


def test_each_row_of_levels_is_a_snapshot_and_empty_places_are_no_levels(load: Load) -> None:
    head = f"binance-futures,BTCUSDT,{AT},{AT + 5}"
    rows = [f"{head},10.5,1,10.4,2,10.6,3,10.3,4", f"{head},10.5,1,10.4,2,,,10.2,0.5"]
    imported = load([SNAPSHOTS, *rows])
    assert levels(imported) == [
        (-1, 10.5, 1, 1, 1),
        (1, 10.4, 2, 1, 1),
        (-1, 10.6, 3, 1, 1),
        (1, 10.3, 4, 1, 1),
        (-1, 10.5, 1, 1, 2),
        (1, 10.4, 2, 1, 2),
        (1, 10.2, 0.5, 1, 2),
    ]
    assert book(imported).messages().tolist() == [0, 4, 7]
    assert book(imported).valid_from_ns == AT * 1000
    with pytest.raises(Invalid, match="line 2: size is not a number"):
        load([SNAPSHOTS, f"{head},10.5,,10.4,2,10.6,3,10.3,4"])


def test_levels_that_are_named_twice_are_refused(load: Load) -> None:
    twice = SNAPSHOTS.replace("asks[1]", "asks[0]").replace("bids[1]", "bids[0]")
    with pytest.raises(Invalid, match="no level has one price and one amount"):
        load([twice, f"binance-futures,BTCUSDT,{AT},{AT + 5},10.5,1,10.4,2,10.6,3,10.3,4"])


def test_increments_of_tardis_are_messages_by_their_stamps(load: Load) -> None:
    rows = [
        f"binance-futures,BTCUSDT,{AT},{AT + 5},true,ask,10.5,1",
        f"binance-futures,BTCUSDT,{AT},{AT + 5},true,bid,10.4,2",
        f"binance-futures,BTCUSDT,{AT},{AT + 5},false,bid,10.4,0",
        f"binance-futures,BTCUSDT,{AT + 1},{AT + 6},false,bid,10.3,1",
        f"binance-futures,BTCUSDT,{AT + 1},{AT + 6},false,ask,10.5,3",
    ]
    imported = load([L2, *rows])
    assert levels(imported) == [
        (-1, 10.5, 1, 1, 1),
        (1, 10.4, 2, 1, 1),
        (1, 10.4, 0, 0, 2),
        (1, 10.3, 1, 0, 3),
        (-1, 10.5, 3, 0, 3),
    ]
    assert imported.format == "tardis-book-l2"
    with pytest.raises(Invalid, match="line 2: side is neither bid nor ask, received 'both'"):
        load([L2, f"binance-futures,BTCUSDT,{AT},{AT},true,both,10.5,1"])
    with pytest.raises(Invalid, match="line 2: snapshot is neither true nor false, received 'maybe'"):
        load([L2, f"binance-futures,BTCUSDT,{AT},{AT},maybe,ask,10.5,1"])


def test_depth_of_binance_is_a_snapshot_or_changes(load: Load) -> None:
    ms = AT // 1000
    rows = [
        f"BTCUSDT,{ms},7,7,b,snap,10.4,2,-1",
        f"BTCUSDT,{ms},7,7,a,snap,10.5,1,-1",
        f"BTCUSDT,{ms},8,9,a,set,10.5,0,7",
    ]
    imported = load([BINANCE, *rows])
    assert levels(imported) == [(1, 10.4, 2, 1, 7), (-1, 10.5, 1, 1, 7), (-1, 10.5, 0, 0, 9)]
    assert book(imported).instrument == "binance-futures:BTCUSDT-PERP"
    assert book(load([BINANCE, rows[2]])).valid_from_ns == NEVER
    with pytest.raises(Invalid, match="line 3: update id falls, received '7'"):
        load([BINANCE, rows[2], rows[0]])


def test_messages_of_bybit_are_stamped_by_the_matching_engine(load: Load) -> None:
    def message(kind: str, update: int, bids: Any, asks: Any, **more: Any) -> str:
        data = {"s": "XRPUSDT", "b": bids, "a": asks, "u": update, "seq": 1}
        stamps = {"ts": AT // 1000, "cts": AT // 1000 - 7}
        return json.dumps({"topic": "orderbook.500.XRPUSDT", "type": kind, "data": data} | stamps | more) + "\r"

    rows = [message("snapshot", 5, [["1.95", "3"]], [["1.96", "4"]]), message("delta", 6, [["1.95", "0"]], [])]
    imported = load(rows, "ob500.data")
    assert levels(imported) == [(1, 1.95, 3, 1, 5), (-1, 1.96, 4, 1, 5), (1, 1.95, 0, 0, 6)]
    assert (book(imported).instrument, book(imported).time_ns[0]) == ("bybit:XRPUSDT", (AT // 1000 - 7) * 10**6)
    with pytest.raises(Invalid, match="line 3: no message of an order book"):
        load([*rows, '{"topic": "orderbook.500.XRPUSDT"}'], "ob500.data")
    with pytest.raises(Invalid, match="XRPUSD of bybit is inverse"):
        load([one.replace("XRPUSDT", "XRPUSD") for one in rows], "ob500.data")


@pytest.mark.parametrize(
    ("exchange", "symbol", "is_inverse"),
    [
        ("deribit", "BTC-PERPETUAL", True),
        ("deribit", "BTC_USDC-PERPETUAL", False),
        ("bitmex", "XBTUSD", True),
        ("bitmex", "XBTUSDT", False),
        ("binance-delivery", "BTCUSD_PERP", True),
        ("binance-futures", "BTCUSDT", False),
        ("bybit", "BTCUSD", True),
        ("bybit", "BTCUSDT", False),
        ("okex-swap", "BTC-USD-SWAP", True),
        ("okex-swap", "BTC-USDT-SWAP", False),
        ("coinbase", "BTC-USD", False),
    ],
)
def test_inverse_instruments_are_refused_in_every_layer(
    exchange: str, symbol: str, is_inverse: bool, load: Load
) -> None:
    head = f"{exchange},{symbol},{AT},{AT}"
    trades = ["exchange,symbol,timestamp,local_timestamp,id,side,price,amount", f"{head},1,buy,10.5,1"]
    for rows in ([L2, f"{head},true,ask,10.5,1"], [QUOTES, f"{head},1,2,1,1"], trades):
        if is_inverse:
            with pytest.raises(Invalid, match=f"{symbol} of {exchange} is inverse"):
                load(rows)
        else:
            assert load(rows).passport.rows == 1


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("time,bid_price,ask_price", "quotes (best bid and ask) of another layout than that of tardis"),
        ("timestamp,asks[0].price,bids[0].price", "order book snapshots of another layout than that of tardis"),
        ("time,is_snapshot,side,price", "order book increments (L2) of another layout"),
        ("time,update_type,side,price", "order book depth of another layout than that of Binance"),
    ],
)
def test_books_of_another_layout_are_refused_by_name(header: str, said: str, load: Load) -> None:
    with pytest.raises(Invalid) as caught:
        load([header, ",".join("1" for _ in header.split(","))])
    assert said in caught.value.message
