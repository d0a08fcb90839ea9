"""Microseconds for those who ask: every time is exchanged, and nothing else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from tests.serve.venue.live_scene import Scene
from tests.serve.venue.open_venue import PACED, OpenVenue, wait
from tests.serve.venue.room import Peer, hexed

from gnomon.jobs.sessions import Seat
from gnomon.serve.venue.frames import PING, frame
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.time_units import answer_in_micro, event_in_micro, frames_in_micro, is_micro

AT = 1_700_000_000_123
MICRO = {"X_MBX_TIME_UNIT": "MICROSECOND"}
PUBLIC = (
    "time", "exchangeInfo", "klines?symbol=BTCUSDT&interval=1m", "uiKlines?symbol=BTCUSDT&interval=5m",
    "aggTrades?symbol=BTCUSDT", "trades?symbol=BTCUSDT", "avgPrice?symbol=BTCUSDT", "ticker/24hr", "ticker/tradingDay",
    "ticker?symbol=BTCUSDT", "ticker/price", "ticker/bookTicker", "depth?symbol=BTCUSDT", "ping",
)  # fmt: skip


def epochs(document: Any) -> Iterator[int]:
    """Whole numbers that would be milliseconds between the years 2001 and 5138."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for one in document:
            yield from epochs(one)
    elif type(document) is int and 10**12 <= document < 10**14:
        yield document


def scaled(document: Any) -> Any:
    """The slow road: whatever looks like milliseconds is a time."""
    if isinstance(document, dict):
        return {name: scaled(value) for name, value in document.items()}
    if isinstance(document, list):
        return [scaled(one) for one in document]
    return document * 1_000 if type(document) is int and 10**12 <= document < 10**14 else document


@pytest.mark.parametrize(("unit", "expected"), [("", False), ("MICROSECOND", True), ("microsecond", True),
                                                ("MILLISECOND", False)])  # fmt: skip
def test_a_unit_is_one_of_two(unit: str, expected: bool) -> None:
    assert is_micro(unit) is expected


def test_another_unit_is_refused() -> None:
    with pytest.raises(VenueRefusal, match="-1130"):
        is_micro("NANOSECOND")


def test_times_that_are_not_there_yet_stay_as_they_are() -> None:
    said = orjson.loads(answer_in_micro("order.place", {"transactTime": AT, "workingTime": -1, "orderId": AT}))
    assert said == {"transactTime": AT * 1_000, "workingTime": -1, "orderId": AT}


@pytest.mark.parametrize(("event", "times"), [
    ({"e": "trade", "E": AT, "T": AT, "t": 7, "s": "X"}, "ET"),
    ({"e": "executionReport", "E": AT, "T": AT, "t": -1, "W": AT, "O": AT, "D": AT, "C": "", "I": 5, "i": 3}, "ETWOD"),
    ({"e": "outboundAccountPosition", "E": AT, "u": AT, "B": []}, "Eu"),
    ({"e": "depthUpdate", "E": AT, "U": 5, "u": 9, "b": [["1", "2"]], "a": []}, "E"),
    ({"e": "24hrTicker", "E": AT, "O": AT, "C": AT, "F": 1, "L": 2, "n": 3, "Q": "1"}, "EOC"),
    ({"e": "balanceUpdate", "E": AT, "T": AT, "d": "1"}, "ET"),
    ({"u": 400900217, "s": "X", "b": "1"}, ""),
])  # fmt: skip
def test_an_events_times_are_exchanged_and_its_ids_are_not(event: dict[str, Any], times: str) -> None:
    before = dict(event)
    event_in_micro(event)
    assert event == {name: value * 1_000 if name in times else value for name, value in before.items()}


def test_frames_are_exchanged_one_by_one_whatever_they_are_joined_with() -> None:
    kline = {"e": "kline", "E": AT, "s": "X", "k": {"t": AT, "T": AT + 59_999, "i": "1m", "f": 0, "L": 3, "x": False}}
    long = {"stream": "a" * 5_000, "data": {"e": "trade", "E": AT, "T": AT, "t": 1}}
    told = [kline, long, {"result": None, "id": AT}, {"subscriptionId": 0, "event": {"e": "trade", "E": AT, "T": AT}}]
    ping = frame(b"1700000000123", PING)
    joined = ping.join(frame(orjson.dumps(one)) for one in told)
    expected = [scaled(told[0]), scaled(told[1]), told[2], scaled(told[3])]
    assert frames_in_micro(joined) == ping.join(frame(orjson.dumps(one)) for one in expected)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OpenVenue, str, Seat]]:
    """A session that stands, with an order that rests, one that was filled, and a list."""
    scene = Scene(tmp_path_factory.mktemp("units"))
    created = scene.create(session=PACED)
    made, [seat] = OpenVenue(scene), created.seats
    name = created.session.id
    made.launch(created)
    order = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.5"}
    made.sign(seat, "POST", "order", **order, type="MARKET")
    made.sign(seat, "POST", "order", **order, type="LIMIT", timeInForce="GTC", price="1.00")
    made.sign(seat, "POST", "order", **order, type="STOP_LOSS", trailingDelta=100)
    made.operate("POST", f"sessions/{name}/pause")
    made.operate("POST", f"sessions/{name}/step", {"by": "3m"})
    wait(lambda: not made.operate("GET", f"sessions/{name}")[1]["stepping"])
    yield made, name, seat
    made.close()


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_answer_has_every_time_in_microseconds(served: tuple[OpenVenue, str, Seat], path: str) -> None:
    venue, session, _ = served
    plain = venue.ask("GET", f"/s/{session}/api/v3/{path}")[1]
    micro = venue.ask("GET", f"/s/{session}/api/v3/{path}", **MICRO)[1]
    assert micro == scaled(plain)
    assert venue.ask("GET", f"/s/{session}/api/v3/{path}", X_MBX_TIME_UNIT="HOUR")[1]["code"] == -1130


@pytest.mark.parametrize("path", ["account", "allOrders", "openOrders", "myTrades", "order", "rateLimit/order"])
def test_so_has_a_signed_one(served: tuple[OpenVenue, str, Seat], path: str) -> None:
    venue, _, seat = served
    params = {} if path in ("account", "rateLimit/order") else {"symbol": "BTCUSDT"}
    if path == "order":
        params["orderId"] = "3"
    plain = venue.sign(seat, "GET", path, **params)[1]
    micro = venue.sign(seat, "GET", path, headers=MICRO, **params)[1]
    assert micro == scaled(plain)
    assert path == "rateLimit/order" or list(epochs(plain))


def test_a_socket_says_its_unit_in_the_url(served: tuple[OpenVenue, str, Seat]) -> None:
    venue, session, seat = served
    with socket.create_connection(("127.0.0.1", venue.port), timeout=10) as raw:
        peer = Peer(raw, f"/s/{session}/ws-api/v3?timeUnit=MICROSECOND", {})
        asked = {"apiKey": seat.api_key, "timestamp": int(time.time() * 1_000)}
        payload = "&".join(f"{name}={asked[name]}" for name in sorted(asked))
        asked["signature"] = hexed(payload, seat.api_secret)
        micro = peer.ask({"id": 1, "method": "account.status", "params": asked})["result"]
        assert micro == scaled(venue.sign(seat, "GET", "account")[1])
        peer.ask({"id": 2, "method": "userDataStream.subscribe.signature", "params": asked})
        venue.sign(seat, "DELETE", "order", symbol="BTCUSDT", orderId=2)
        event = peer.text()["event"]
        assert event["e"] == "executionReport"
        assert not list(epochs(event))
        assert event["E"] > 10**15
    with socket.create_connection(("127.0.0.1", venue.port), timeout=10) as raw:
        peer = Peer(raw, f"/s/{session}/stream?streams=btcusdt@kline_1m/btcusdt@ticker&timeUnit=MICROSECOND", {})
        venue.operate("POST", f"sessions/{session}/step", {"by": "2m"})
        for _ in range(4):
            said = peer.text()["data"]
            assert not list(epochs(said)), said
            assert said["E"] > 10**15
    with socket.create_connection(("127.0.0.1", venue.port), timeout=10) as raw:
        assert Peer(raw, f"/s/{session}/ws?timeUnit=DAY", {}).status == 400
