"""`/api/v1`: lists with cursors and formats, single rows, lanes kept apart."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from gnomon.store.slots import Slot, SlotStore, Verdict

API = "/api/v1"


def every_page(client: Any, url: str, **params: Any) -> list[dict[str, Any]]:
    """All rows of a list, page by page."""
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = client.json(f"{API}{url}", **params, **({"cursor": cursor} if cursor else {}))
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows
        assert page["items"]


@pytest.fixture
def filled(world: Any) -> Any:
    """Five hours of three forecasters on two instruments, one walk-forward issue, some scores."""
    for hour in range(5):
        for symbol in ("BTCUSDT", "EURUSD"):
            for name in ("ewma", "fhs", "drift"):
                world.issue(symbol, name)
        world.advance(3600 if hour < 4 else 0)
    world.backfilled = world.issue(cutoff="2024-04-01T00:00:00Z", lane="backfill")
    for number in (1, 2, world.backfilled):
        world.score(number, 60_100.0)
    return world


# --- forecasts ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("filled")
def test_pages_of_any_size_hold_every_live_forecast_once_and_in_order(client: Any, subtests: pytest.Subtests) -> None:
    for order, limit in (("newest", 1), ("newest", 7), ("newest", 30), ("oldest", 4), ("oldest", 1000)):
        with subtests.test(order=order, limit=limit):
            rows = every_page(client, "/forecasts", limit=limit, order=order)
            ids = [row["id"] for row in rows]
            assert ids == sorted(ids, reverse=order == "newest")
            assert len(ids) == 30
            assert {row["lane"] for row in rows} == {"live"}


def test_a_follower_that_keeps_its_cursor_sees_each_new_forecast(filled: Any, client: Any) -> None:
    page = client.json(f"{API}/forecasts", order="oldest", limit=29)
    filled.advance(3600)
    number = filled.issue()
    more = client.json(f"{API}/forecasts", order="oldest", cursor=page["next_cursor"])
    assert [row["id"] for row in more["items"]][-1] == number
    assert len(more["items"]) == 2


@pytest.mark.usefixtures("filled")
def test_filters(client: Any, subtests: pytest.Subtests) -> None:
    expected: list[tuple[dict[str, str], int]] = [
        ({"symbol": "BTC-USD"}, 15),
        ({"symbol": "BTCUSDT", "forecaster": "fhs"}, 5),
        ({"timeframe": "60min"}, 30),
        ({"timeframe": "1d"}, 0),
        ({"from": "2024-05-01T14:00:00Z"}, 18),
        ({"to": "2024-05-01T14:00:00Z"}, 12),
        ({"from": "2024-05-01T13:00:00Z", "to": "2024-05-01T15:00:00Z"}, 12),
        ({"lane": "backfill"}, 1),
        ({"lane": "backfill", "variant": "h6:s0"}, 1),
        ({"lane": "backfill", "variant": "h24:s0"}, 0),
        ({"forecaster": "nobody"}, 0),
    ]
    for params, count in expected:
        with subtests.test(**params):
            assert len(every_page(client, "/forecasts", limit=1000, **params)) == count


@pytest.mark.usefixtures("filled")
def test_csv_and_parquet_hold_the_same_rows_and_the_cursor_stands_in_a_header(client: Any) -> None:
    page = client.json(f"{API}/forecasts", limit=5)
    as_csv = client.get(f"{API}/forecasts?limit=5&format=csv")
    as_parquet = client.get(f"{API}/forecasts?limit=5&format=parquet")
    assert as_csv.headers["content-type"].startswith("text/csv")
    assert "forecasts.csv" in as_csv.headers["content-disposition"]
    ids = [row["id"] for row in page["items"]]
    assert [int(row["id"]) for row in csv.DictReader(io.StringIO(as_csv.text))] == ids
    read = pyarrow.parquet.read_table(io.BytesIO(as_parquet.content)).to_pylist()
    assert [row["p50"] for row in read] == [row["p50"] for row in page["items"]]
    assert as_csv.headers["x-next-cursor"] == as_parquet.headers["x-next-cursor"] == page["next_cursor"]


def test_one_forecast_has_all_its_levels(filled: Any, client: Any) -> None:
    found = client.json(f"{API}/forecasts/2")
    assert (found["id"], found["forecaster"], found["symbol"]) == (2, "fhs", "BTCUSDT")
    np.testing.assert_array_equal(found["quantiles"]["values"], filled.ledger.quantiles([2])[2])
    assert found["raw_quantiles"] == found["quantiles"]


def test_paths_are_closes_or_a_404_that_says_why(world: Any, client: Any) -> None:
    bars = np.linspace(1.0, 2.0, 3 * 6 * 6).reshape(3, 6, 6)
    whole = world.issue(forecaster="kronos-base", paths=bars)
    none = world.issue()
    np.testing.assert_allclose(client.json(f"{API}/forecasts/{whole}/paths")["samples"], bars[:, :, 3], rtol=1e-6)
    assert "answers with quantiles" in client.json(f"{API}/forecasts/{none}/paths", 404)["message"]
    assert client.json(f"{API}/forecasts/99/paths", 404)["message"] == "no forecast 99"


# --- scores -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("filled")
def test_marks_of_one_forecast(client: Any) -> None:
    rows = client.json(f"{API}/forecasts/1/scores")["items"]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert {row["realised"] for row in rows} == {60_100.0}
    assert client.json(f"{API}/forecasts/5/scores")["items"] == []
    client.json(f"{API}/forecasts/99/scores", 404)


@pytest.mark.usefixtures("filled")
def test_pages_of_marks_hold_every_mark_once(client: Any) -> None:
    for limit in (1, 4, 100):
        rows = every_page(client, "/scores", limit=limit)
        keys = [(row["forecast_id"], row["step"]) for row in rows]
        assert keys == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]


@pytest.mark.usefixtures("filled")
def test_filters_of_marks(client: Any, subtests: pytest.Subtests) -> None:
    expected: list[tuple[dict[str, str], int]] = [
        ({"forecaster": "fhs"}, 3),
        ({"stage": "raw"}, 6),
        ({"stage": "calibrated"}, 0),
        ({"lane": "backfill"}, 3),
        ({"symbol": "EURUSD"}, 0),
        ({"to": "2024-05-01T12:00:00Z"}, 0),
    ]
    for params, count in expected:
        with subtests.test(**params):
            assert len(client.json(f"{API}/scores", **params)["items"]) == count


@pytest.mark.usefixtures("filled")
def test_the_board_stands_at_both_addresses_and_in_every_format(client: Any) -> None:
    found = client.json(f"{API}/board", symbol="BTCUSDT")
    assert found == client.json(f"{API}/scores/board", symbol="BTCUSDT")
    assert (found["lane"], found["timeframe"], found["reference"]) == ("live", "1h", "ewma")
    by_name = {(row["forecaster"], row["instrument"]): row for row in found["board"]}
    assert by_name["ewma", "binance:BTCUSDT"]["verdict"] == "the reference"
    assert by_name["fhs", "binance:BTCUSDT"]["verdict"] == "too early to say (n = 3)"
    rows = list(csv.DictReader(io.StringIO(client.get(f"{API}/board?symbol=BTCUSDT&format=csv").text)))
    assert [row["verdict"] for row in rows] == [row["verdict"] for row in found["board"]]


def test_the_board_counts_missed_slots_and_scores_them_as_naive_on_request(world: Any, client: Any) -> None:
    slots = SlotStore(world.engine)
    number = world.issue("BTCUSDT", "ewma")
    world.score(number, 60_100.0)
    one = world.ledger.get(number)
    lost = Slot(one.instrument, "1h", "fhs", one.data_cutoff_ns, one.data_cutoff_ns + 5)
    slots.declare([lost])
    slots.settle([Verdict(lost, "missed", "no bar")])
    plain = client.json(f"{API}/board")
    assert {row["forecaster"] for row in plain["board"]} == {"ewma"}
    assert plain["slots"] == [
        {"forecaster": "fhs", "due": 0, "issued": 0, "late": 0, "missed": 1, "without_reference": 0}
    ]
    filled = client.json(f"{API}/board", missed_as_naive=True)
    assert filled["missed_as_naive"] is True
    by_name = {row["forecaster"]: row for row in filled["board"] if row["instrument"] == "all"}
    assert by_name["fhs"]["n"] == by_name["ewma"]["n"] > 0
    assert by_name["fhs"]["skill"] == 0.0


@pytest.mark.usefixtures("filled")
def test_filters_of_the_board(client: Any, subtests: pytest.Subtests) -> None:
    expected: list[tuple[dict[str, str], int]] = [
        ({}, 4),
        ({"forecaster": "fhs"}, 2),
        ({"lane": "backfill"}, 2),
        ({"bucket": "1"}, 4),
        ({"bucket": "25-120"}, 0),
        ({"stage": "calibrated"}, 0),
        ({"symbol": "EURUSD"}, 0),
        ({"timeframe": "1d"}, 0),
    ]
    for params, count in expected:
        with subtests.test(**params):
            assert len(client.json(f"{API}/board", **params)["board"]) == count


# --- what there is ----------------------------------------------------------------------------------------------------


def test_forecasters_are_the_roster_and_whoever_has_issued(filled: Any, client: Any) -> None:
    filled.issue(forecaster="mine", role="model")
    rows = {row["name"]: row for row in client.json(f"{API}/forecasters")["items"]}
    assert rows["kronos-base"]["issued"] == 0
    assert (rows["ewma"]["issued"], rows["ewma"]["timeframes"]) == (10, ["1h"])
    assert (rows["mine"]["issued"], rows["mine"]["role"]) == (1, "model")
    back = {row["name"]: row["issued"] for row in client.json(f"{API}/forecasters", lane="backfill")["items"]}
    assert (back["ewma"], back["fhs"], "mine" in back) == (1, 0, False)


def test_instruments_tell_their_bars_and_what_was_issued(filled: Any, client: Any) -> None:
    filled.import_bars()
    rows = {row["symbol"]: row for row in client.json(f"{API}/instruments")["items"]}
    assert len(rows) == 25
    assert [(one["timeframe"], one["basis"], one["tick"]) for one in rows["BTCUSDT"]["bars"]] == [("1h", "raw", "0.01")]
    assert [(one["forecaster"], one["count"]) for one in rows["BTCUSDT"]["issued"]] == [
        ("drift", 5),
        ("ewma", 5),
        ("fhs", 5),
    ]
    assert rows["SPY"]["issued"] == rows["SPY"]["bars"] == []


def test_candles_are_the_newest_that_were_closed_by_then(world: Any, client: Any) -> None:
    world.import_bars(bars=50)
    now = client.json(f"{API}/candles", symbol="BTC-USD", limit=3)
    assert [row["close_time"] for row in now["items"]] == [f"2024-05-01T{hour}:00:00Z" for hour in (10, 11, 12)]
    assert (now["symbol"], now["timeframe"], now["basis"], now["tick"]) == ("BTCUSDT", "1h", "raw", "0.01")
    then = client.json(f"{API}/candles", symbol="BTCUSDT", as_of="2024-05-01T10:59:59Z", limit=3)
    assert then["items"][-1] == now["items"][0]
    assert len(then["items"]) == 3
    world.advance(-1800 + 3599)  # 12:59:59: the next bar has not closed
    assert client.json(f"{API}/candles", symbol="BTCUSDT", limit=3)["items"] == now["items"]


def test_candles_that_are_not_stored_are_404_with_the_command(world: Any, client: Any) -> None:
    world.import_bars(bars=50)
    for params in (
        {"symbol": "ETHUSDT"},
        {"symbol": "BTCUSDT", "timeframe": "1d"},
        {"symbol": "BTCUSDT", "basis": "split"},
    ):
        assert "gnomon import" in client.json(f"{API}/candles", 404, **params)["hint"]


def test_candles_before_the_first_bar_are_none(world: Any, client: Any) -> None:
    world.import_bars(bars=50)
    assert client.json(f"{API}/candles", symbol="BTCUSDT", as_of="2020-01-01")["items"] == []


def test_the_head_of_each_chain(filled: Any, client: Any) -> None:
    for lane in ("live", "backfill"):
        found = client.json(f"{API}/ledger/head", lane=lane)
        assert (found["seq"], found["hash"]) == filled.ledger.head(lane)
        assert found["at"] == "2024-05-01T16:30:00Z"
