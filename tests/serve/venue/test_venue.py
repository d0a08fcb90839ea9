"""The venue as a whole, over its door: what a key opens while its run is open, and what once it is over."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.serve.venue.live_scene import Scene
from tests.serve.venue.open_venue import PACED, OpenVenue, wait
from tests.serve.venue.room import Peer, hexed

CLOSED = "Market is closed."
READS = (
    ("account", {}),
    ("myTrades", {"symbol": "BTCUSDT"}),
    ("openOrders", {}),
    ("allOrders", {"symbol": "BTCUSDT"}),
    ("openOrderList", {}),
    ("allOrderList", {}),
    ("rateLimit/order", {}),
)
MARKET = ("exchangeInfo", "time", "klines?symbol=BTCUSDT&interval=1m", "ticker/price?symbol=BTCUSDT", "ticker/24hr")
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "1.00"}
SENDS: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("POST", "order", LIMIT, -2010),
    ("POST", "order/test", LIMIT, -2010),
    ("DELETE", "order", {"symbol": "BTCUSDT", "orderId": 2}, -2011),
    ("DELETE", "openOrders", {"symbol": "BTCUSDT"}, -2011),
    ("PUT", "order/amend/keepPriority", {"symbol": "BTCUSDT", "orderId": 2, "newQty": "0.05"}, -2038),
    ("POST", "order/cancelReplace", {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": 2}, -2022),
    ("DELETE", "orderList", {"symbol": "BTCUSDT", "orderListId": 1}, -2011),
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("venue"))


@pytest.fixture
def served(scene: Scene) -> Iterator[OpenVenue]:
    made = OpenVenue(scene)
    yield made
    made.close()


def test_a_run_that_is_over_is_read_and_sent_nothing(served: OpenVenue, scene: Scene) -> None:
    created = scene.create(session=PACED)
    [seat] = created.seats
    served.launch(created)
    bought = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.5"}
    assert served.sign(seat, "POST", "order", **bought)[0] == 200
    assert served.sign(seat, "POST", "order", **LIMIT)[1]["status"] == "NEW"
    served.operate("POST", f"sessions/{created.session.id}/pause")
    served.operate("POST", f"sessions/{created.session.id}/step", {"by": "3m"})
    wait(lambda: not served.operate("GET", f"sessions/{created.session.id}")[1]["stepping"])
    assert len(served.sign(seat, "GET", "myTrades", symbol="BTCUSDT")[1]) == 1
    before = {path: served.sign(seat, "GET", path, **params)[1] for path, params in READS}
    public = {path: served.ask("GET", f"/s/{created.session.id}/api/v3/{path}")[1] for path in MARKET}
    served.operate("POST", f"sessions/{created.session.id}/stop")
    before["account"]["canTrade"] = False
    for _ in range(400):  # of a clock that stands no window ends: nothing is counted
        assert served.sign(seat, "GET", "account") == (200, before["account"])
    for path, params in READS:
        assert served.sign(seat, "GET", path, **params) == (200, before[path]), path
    for path in MARKET:
        assert served.ask("GET", f"/s/{created.session.id}/api/v3/{path}")[1] == public[path]
        assert served.ask("GET", f"/api/v3/{path}", X_MBX_APIKEY=seat.api_key)[1] == public[path]
    for verb, path, params, code in SENDS:
        status, answer = served.sign(seat, verb, path, **params)
        assert (status, answer["code"]) == (400, code), (path, answer)
        assert CLOSED in str(answer)
    assert served.sign(seat, "GET", "account") == (200, before["account"])
    assert served.sign(seat, "GET", "openOrders")[1][0]["orderId"] == 2
    (stored,) = scene.stored(created)
    assert scene.replays.verify(stored).outcome.name == "VERIFIED"
    assert stored.counts["orders"] == 2


def test_user_events_of_a_run_that_is_over_are_not_subscribed_to(served: OpenVenue, scene: Scene) -> None:
    created = scene.create(session=PACED)
    [seat] = created.seats
    served.launch(created)
    served.operate("POST", f"sessions/{created.session.id}/stop")
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        peer = Peer(raw, "/ws-api/v3", {})
        params = {"apiKey": seat.api_key, "timestamp": int(time.time() * 1_000)}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        asked = {**params, "signature": hexed(payload, seat.api_secret)}
        answer = peer.ask({"id": 1, "method": "userDataStream.subscribe.signature", "params": asked})
        assert (answer["status"], answer["error"]["code"]) == (400, -2036)
        assert peer.ask({"id": 2, "method": "account.status", "params": asked})["result"]["canTrade"] is False


def test_launched_again_the_key_is_that_of_the_new_run_and_deleted_or_bound_elsewhere_of_none(
    served: OpenVenue, scene: Scene
) -> None:
    created, other = scene.create(session=PACED), scene.create(session=PACED)
    [seat] = created.seats
    served.launch(created)
    served.sign(seat, "POST", "order", **LIMIT)
    served.operate("POST", f"sessions/{created.session.id}/stop")
    assert len(served.sign(seat, "GET", "openOrders")[1]) == 1
    served.launch(created)
    assert served.sign(seat, "GET", "openOrders")[1] == []
    assert served.sign(seat, "POST", "order", **LIMIT)[0] == 200
    served.operate("POST", f"sessions/{created.session.id}/stop")
    scene.bots.unbind(other.seats[0].bot, 5)
    scene.bots.bind(seat.bot, other.session.id, "bot", 6)
    served.venue.keys.forget()
    assert served.sign(seat, "GET", "account")[1]["code"] == -2015
    scene.bots.bind(seat.bot, created.session.id, "bot", 7)
    served.venue.keys.forget()
    assert served.sign(seat, "GET", "account")[0] == 200
    assert served.operate("DELETE", f"sessions/{created.session.id}?with_runs=true")[0] == 200
    assert served.sign(seat, "GET", "account")[1]["code"] == -2015


def test_a_key_that_has_no_run_yet_opens_nothing(served: OpenVenue, scene: Scene) -> None:
    created = scene.create(session=PACED)
    assert served.sign(created.seats[0], "GET", "account")[1]["code"] == -2015
