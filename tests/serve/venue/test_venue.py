"""The venue as a whole, over its door: what a key opens while its run is open, and what once it is over."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.serve.venue.live_scene import FEES, Scene
from tests.serve.venue.open_venue import PACED, OpenVenue, wait
from tests.serve.venue.room import Peer, hexed

from gnomon.errors import NotFound
from gnomon.jobs.sessions import Seat
from gnomon.store.sessions import SessionStore

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


def test_whoever_waits_for_an_answer_when_the_session_stops_is_told_that_nobody_knows_and_can_ask(
    served: OpenVenue, scene: Scene
) -> None:
    created = scene.create(session=PACED, rules=f"{FEES}\nlatency = {{ reply = {{ const_ms = 3_600_000 }} }}")
    [seat] = created.seats
    served.launch(created)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: served.sign(seat, "POST", "order", **LIMIT))
        [place] = served.venue.find(created.session.id).places
        wait(lambda: place.course.gate.in_work == 1 and bool(place.course.account.orders))
        served.operate("POST", f"sessions/{created.session.id}/stop")
        status, answer = waiting.result(30)[:2]
    assert (status, answer["code"]) == (504, -1007)
    [found] = served.sign(seat, "GET", "openOrders")[1]
    assert found["status"] == "NEW"


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


def test_a_signature_that_is_wrong_moves_nothing_and_costs_the_bot_nothing(served: OpenVenue, scene: Scene) -> None:
    """Whoever knows a key and not its secret neither brings the bot to its session nor uses up its weight."""
    created = scene.create(session='drive = "paced"\npace = 1')
    [seat] = created.seats
    served.launch(created, "starting")
    stranger = Seat(seat.name, seat.bot, seat.api_key, "another secret")
    for verb, path, params, _ in SENDS:
        assert served.sign(stranger, verb, path, **params)[1]["code"] == -1022
    assert served.ask("GET", "/api/v3/account", X_MBX_APIKEY=seat.api_key)[1]["code"] == -1102
    assert "serverTime" in served.ask("GET", "/api/v3/time", X_MBX_APIKEY=seat.api_key)[1], "public, and no signature"
    shown = served.operate("GET", f"sessions/{created.session.id}")[1]
    assert (shown["status"], shown["flow"]["who"]) == ("starting", [f"bot@{created.session.id}"])
    [place] = served.venue.find(created.session.id).places
    assert (place.course.gate.limits.used_weight, place.course.gate.requests) == (1, 1), "of the public call alone"
    assert served.sign(seat, "GET", "account")[0] == 200
    served.until(created, "running")
    assert place.course.gate.limits.used_weight == 21


def test_who_asks_without_a_key_uses_up_his_own_weight_alone(served: OpenVenue, scene: Scene) -> None:
    created = scene.create(session=PACED)
    served.launch(created)
    served.operate("POST", f"sessions/{created.session.id}/pause")
    live = served.venue.find(created.session.id)
    near, far = (served.call(lambda one=one: live.bystander(one)) for one in ("127.0.0.1", "10.0.0.9"))
    near.gate.limits.is_paused = False
    path = f"/s/{created.session.id}/api/v3/exchangeInfo"
    weights = [int(served.ask("GET", path)[2]["x-mbx-used-weight-1m"]) for _ in range(3)]
    assert weights == [20, 40, 60]
    near.gate.limits.weight_limit = 60
    assert served.ask("GET", path)[1]["code"] == -1003
    assert far.gate.limits.used_weight == 0
    assert served.sign(created.seats[0], "GET", "account")[0] == 200


CONTROLS = (
    ("GET", ""), ("GET", "/flow"), ("POST", "/start"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/stop"),
    ("POST", "/step"), ("POST", "/seek?to=2024-01-01T01:00"), ("PATCH", "/pace"), ("PATCH", "/enable"),
    ("PATCH", "/disable"), ("DELETE", "?with_runs=true"),
)  # fmt: skip


def test_another_workspaces_session_is_not_there(tmp_path: Path, database_url: str, engine: Engine) -> None:
    """Asked by the operator of one workspace and by the keys of its bots, for the session, runs and market of another,
    which is under way all the while."""
    del engine
    scene = Scene(tmp_path, database_url)
    ours, theirs = scene.create(session=PACED), scene.create(session=PACED, workspace="ws_other")
    idle = scene.create(session=PACED)
    served = OpenVenue(scene)
    try:
        foreign = theirs.session.id
        live = served.call(lambda: scene.launch(served.venue, theirs))
        wait(lambda: str(live.status) == "running")
        [their], [mine], [unbound] = theirs.seats, ours.seats, idle.seats
        assert served.sign(their, "POST", "order", **LIMIT)[0] == 200
        their_view = served.sign(their, "GET", "openOrders")

        for verb, below in CONTROLS:
            body = {"pace": "2", "events": 1} if verb != "GET" else None
            assert served.operate(verb, f"sessions/{foreign}{below}", body)[0] == 404, (verb, below)
        for named in ("", f"?session={foreign}"):
            status, said = served.operate("GET", f"clock{named}")
            assert (status, foreign in said.get("message", "") + said.get("hint", "")) == (
                404 if named else 400,
                bool(named),
            )
        assert served.operate("POST", "advance", {"session": foreign, "by_ms": 5})[0] == 404
        listed = served.operate("GET", "sessions")[1]["items"]
        assert {one["id"] for one in listed} == {ours.session.id, idle.session.id}
        assert foreign not in str(listed)

        served.launch(ours)
        assert served.operate("GET", "clock")[1]["session"] == ours.session.id, "the only one that is live here"
        assert served.sign(mine, "GET", "openOrders", prefix=f"/s/{foreign}") == (200, [])
        assert (
            served.sign(mine, "GET", "order", prefix=f"/s/{foreign}", symbol="BTCUSDT", orderId=1)[1]["code"] == -2013
        )
        cancelled = served.sign(mine, "DELETE", "order", prefix=f"/s/{foreign}", symbol="BTCUSDT", orderId=1)
        assert cancelled[1]["code"] == -2011
        for path in MARKET:  # a key whose bot trades nowhere, at the other's path
            status, said, _ = served.ask("GET", f"/s/{foreign}/api/v3/{path}", X_MBX_APIKEY=unbound.api_key)
            assert (status, said["code"]) == (400, -1102), path
            assert "ses_" not in said["msg"]
        assert served.sign(unbound, "GET", "account", prefix=f"/s/{foreign}")[1]["code"] == -2015
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
            peer = Peer(raw, f"/s/{foreign}/ws/btcusdt@trade", {"X_MBX_APIKEY": unbound.api_key})
            assert peer.status == 400
        said = served.ask("GET", "/api/v3/time")[1]
        assert said["code"] == -1102, "two are live"
        assert "ses_" not in said["msg"], "a stranger is not told what others play"

        with pytest.raises(NotFound):
            scene.bots.bind(mine.bot, foreign, "bot", 9)
        assert served.sign(their, "GET", "openOrders") == their_view
        assert str(live.status) == "running"
        assert SessionStore(scene.store.engine, "ws_other").get(foreign).pace == "1"
    finally:
        served.close()
        scene.store.engine.dispose()


def test_a_key_that_has_no_run_yet_opens_nothing(served: OpenVenue, scene: Scene) -> None:
    created = scene.create(session=PACED)
    assert served.sign(created.seats[0], "GET", "account")[1]["code"] == -2015
