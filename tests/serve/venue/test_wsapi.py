"""The WebSocket API: the same handlers, its own signatures, sessions and user streams."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.serve.venue.room import API_KEY, MS, V0_NS, W0_NS, Course, Peer, Room, hexed

from gnomon.serve.venue.keys import Key

PATH = "/ws-api/v3"


def signed(room: Room, sign: Callable[[str], str] = hexed, **params: Any) -> dict[str, Any]:
    """Parameters with key, stamp and signature, as the documentation signs them: sorted, not escaped."""
    params = {"apiKey": API_KEY, "timestamp": room.stamp(), **params}
    payload = "&".join(f"{name}={text(params[name])}" for name in sorted(params))
    return {**params, "signature": sign(payload)}


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def asked(peer: Peer, method: str, params: Any = None, request_id: Any = 1) -> Any:
    message = {"id": request_id, "method": method}
    return peer.ask(message if params is None else {**message, "params": params})


def error(answer: Any) -> tuple[int, int]:
    return answer["status"], answer["error"]["code"]


def test_an_answer_has_its_id_status_result_and_limits(room: Room) -> None:
    with room.socket(PATH) as peer:
        assert asked(peer, "time", request_id="187d3cb2-942d-484c-8271-4e2141bbadb1") == {
            "id": "187d3cb2-942d-484c-8271-4e2141bbadb1",
            "status": 200,
            "result": {"serverTime": V0_NS // MS},
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 1}
            ],
        }
        assert asked(peer, "v3/ping", request_id=None)["id"] is None
        assert asked(peer, "klines")["result"] == [[1, 2]]


@pytest.mark.parametrize("where", ["url", "request"])
def test_limits_are_left_out_where_they_are_not_wanted(room: Room, where: str) -> None:
    with room.socket(PATH + ("?returnRateLimits=false" if where == "url" else "")) as peer:
        answer = asked(peer, "ping", {"returnRateLimits": False} if where == "request" else None)
        assert answer == {"id": 1, "status": 200, "result": {}}


def test_a_signed_order_is_placed_and_counted(room: Room) -> None:
    with room.socket(PATH) as peer:
        answer = asked(peer, "order.place", signed(room, side="BUY", price="1.50"))
        assert answer["result"] == {"orderId": 1, "side": "BUY", "price": "1.50"}
        assert [(one["rateLimitType"], one["interval"], one["count"]) for one in answer["rateLimits"]] == [
            ("ORDERS", "SECOND", 1),
            ("ORDERS", "DAY", 1),
            ("REQUEST_WEIGHT", "MINUTE", 1),
        ]
    assert room.course.gate.in_work == 0


def test_values_reach_the_handler_as_they_were_written(room: Room) -> None:
    with room.socket(PATH) as peer:
        params = (
            '{"symbols":["A","B"],"limit":5,"price":0.00001000,"big":123456789012345678901234567890,'
            '"flag":true,"nothing":null,"text":"x"}'
        )
        peer.send_frame(f'{{"id":1,"method":"exchangeInfo","params":{params}}}'.encode())
        assert peer.text()["result"] == {
            "symbols": '["A","B"]',
            "limit": "5",
            "price": "0.00001000",
            "big": "123456789012345678901234567890",
            "flag": "true",
            "text": "x",
        }


def test_numbers_are_signed_as_they_were_written(room: Room) -> None:
    payload = f"apiKey={API_KEY}&price=0.00001000&side=BUY&timestamp={room.stamp()}"
    with room.socket(PATH) as peer:
        peer.send_frame(
            f'{{"id":1,"method":"order.place","params":{{"side":"BUY","price":0.00001000,"timestamp":{room.stamp()},'
            f'"apiKey":"{API_KEY}","signature":"{hexed(payload)}"}}}}'.encode()
        )
        assert peer.text()["result"]["price"] == "0.00001000"


def test_escaped_payloads_are_taken_too(room: Room) -> None:
    params = {"apiKey": API_KEY, "note": "a b/c", "side": "BUY", "timestamp": room.stamp()}
    with room.socket(PATH) as peer:
        answer = asked(peer, "order.place", {**params, "signature": hexed(urlencode(params))})
        assert answer["status"] == 200


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"apiKey": None}, (400, -1102)),
        ({"apiKey": "no key!"}, (401, -2014)),
        ({"apiKey": "B" * 64}, (401, -2015)),
        ({"timestamp": None}, (400, -1102)),
        ({"signature": None}, (400, -1102)),
        ({"signature": "00"}, (400, -1022)),
        ({"side": "SELL"}, (400, -1022)),
    ],
)
def test_checks_are_those_of_rest(room: Room, change: dict[str, Any], expected: tuple[int, int]) -> None:
    with room.socket(PATH) as peer:
        assert error(asked(peer, "order.place", {**signed(room, side="BUY"), **change})) == expected
    assert room.course.account == {}


def test_an_old_stamp_is_1021_and_a_refusal_of_the_engine_has_its_code(room: Room) -> None:
    with room.socket(PATH) as peer:
        old = signed(room, side="BUY", timestamp=room.stamp() - 6_000)
        assert error(asked(peer, "order.place", old)) == (400, -1021)
        refused = asked(peer, "order.place", signed(room, side="BROKEN"))
        assert error(refused) == (400, -2010)
        assert refused["error"]["msg"] == "Account has insufficient balance for requested action."


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"{no json", (400, -1130)),
        (b"[]", (400, -1130)),
        (b'{"id":1.5,"method":"ping"}', (400, -1130)),
        (b'{"id":"' + b"x" * 37 + b'","method":"ping"}', (400, -1130)),
        (b'{"id":1}', (400, -1102)),
        (b'{"id":1,"method":7}', (400, -1102)),
        (b'{"id":1,"method":"nothing"}', (400, -1020)),
        (b'{"id":1,"method":"depth"}', (400, -1020)),
        (b'{"id":1,"method":"ping","params":[1]}', (400, -1130)),
        (b'{"id":1,"method":"userDataStream.start"}', (410, -1020)),
    ],
)
def test_what_is_no_request_is_refused_and_the_socket_stays(room: Room, sent: bytes, expected: tuple[int, int]) -> None:
    with room.socket(PATH) as peer:
        peer.send_frame(sent)
        answer = peer.text()
        assert error(answer) == expected
        assert "rateLimits" in answer
        assert asked(peer, "ping")["status"] == 200


def test_a_bug_of_a_handler_is_1000(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    with room.socket(PATH) as peer:
        assert error(asked(peer, "order.place", signed(room, side="BUG"))) == (500, -1000)
        assert asked(peer, "ping")["status"] == 200
    caplog.clear()
    assert room.course.gate.in_work == 0


def test_who_has_asked_too_much_is_told_when_to_come_again(room: Room) -> None:
    with room.socket(PATH) as peer:
        room.course.gate.limits.spend(room.course.now_ns, 6_000)
        answer = asked(peer, "order.place", signed(room))
        assert error(answer) == (429, -1003)
        told = answer["error"]["data"]
        assert told["serverTime"] == room.course.now_ns // MS
        assert 0 < told["retryAfter"] - told["serverTime"] <= 60_000


def test_answers_are_given_when_they_are_due(room: Room) -> None:
    with room.socket(PATH) as peer:
        peer.send({"id": 1, "method": "order.place", "params": signed(room, side="LATER")})
        assert asked(peer, "ping", request_id=2)["id"] == 2
        assert asked(peer, "avgPrice", {"apiKey": API_KEY}, 3)["id"] == 1
        assert peer.text()["id"] == 3


def test_a_wake_key_gets_its_first_answer_again_on_either_door(room: Room) -> None:
    with room.socket(PATH) as peer:
        first = asked(peer, "order.place", signed(room, side="BUY", wake="3-0"))
        assert asked(peer, "order.place", signed(room, side="BUY", wake="3-0"), 2)["result"] == first["result"]
    assert room.ask_signed("POST", "/api/v3/order", side="BUY", wake="3-0")[1] == first["result"]
    assert len(room.course.account) == 1


def test_more_than_five_requests_a_second_are_no_control_messages(room: Room) -> None:
    with room.socket(PATH) as peer:
        assert [asked(peer, "ping", request_id=n)["id"] for n in range(50)] == list(range(50))


# --- sessions of a key ------------------------------------------------------------------------------------------------


def test_after_logon_key_and_signature_may_be_left_out(room: Room) -> None:
    with room.socket(PATH) as peer:
        assert asked(peer, "session.status")["result"]["apiKey"] is None
        shown = asked(peer, "session.logon", signed(room))["result"]
        assert shown == {
            "apiKey": API_KEY,
            "authorizedSince": V0_NS // MS,
            "connectedSince": V0_NS // MS,
            "returnRateLimits": True,
            "serverTime": V0_NS // MS,
            "userDataStream": False,
        }
        assert asked(peer, "order.place", {"side": "BUY", "timestamp": room.stamp()})["result"]["orderId"] == 1
        assert error(asked(peer, "order.place", {"side": "BUY"})) == (400, -1102)
        old = {"side": "BUY", "timestamp": room.stamp() - 6_000}
        assert error(asked(peer, "order.place", old)) == (400, -1021)
        room.keys.by_text.clear()  # the key is revoked: so is the logon
        assert error(asked(peer, "order.place", {"side": "BUY", "timestamp": room.stamp()})) == (401, -2015)
        room.keys.by_text[API_KEY] = room.key
        assert asked(peer, "session.logout")["result"]["apiKey"] is None
        assert error(asked(peer, "order.place", {"side": "BUY", "timestamp": room.stamp()})) == (400, -1102)


def test_a_logon_by_ed25519_is_as_good(rooms: Callable[..., Room]) -> None:
    room = rooms(strict_logon=True)
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    room.keys.by_text["E" * 64] = Key("E" * 64, "ed25519", public, "bot_1", "ws_1")

    def sign(payload: str) -> str:
        return base64.b64encode(private.sign(payload.encode())).decode()

    with room.socket(PATH) as peer:
        assert error(asked(peer, "session.logon", signed(room))) == (400, -4056)
        assert asked(peer, "session.logon", signed(room, sign, apiKey="E" * 64))["result"]["apiKey"] == "E" * 64


# --- user streams -----------------------------------------------------------------------------------------------------


def test_the_answer_of_a_subscription_comes_before_its_first_event(room: Room) -> None:
    with room.socket(PATH) as peer:
        answer = asked(peer, "userDataStream.subscribe.signature", signed(room, recvWindow=5_000))
        assert answer["result"] == {"subscriptionId": 0}
        assert "rateLimits" in answer
        assert peer.text() == {"subscriptionId": 0, "event": {"e": "hello"}}
        again = asked(peer, "userDataStream.subscribe.signature", signed(room))
        assert error(again) == (400, -2035)
        assert asked(peer, "session.subscriptions")["result"] == [{"subscriptionId": 0}]


def test_subscriptions_end_by_number_or_all(room: Room) -> None:
    other = room.keys.by_text["B" * 64] = replace(room.key, api_key="B" * 64, bot="bot_2")
    room.finder.bots[other.bot] = Course()
    with room.socket(PATH) as peer:
        for number, key in enumerate((API_KEY, "B" * 64)):
            answer = asked(peer, "userDataStream.subscribe.signature", signed(room, apiKey=key))
            assert answer["result"] == {"subscriptionId": number}
            peer.text()
        assert error(asked(peer, "userDataStream.unsubscribe", {"subscriptionId": 7})) == (400, -2036)
        assert asked(peer, "userDataStream.unsubscribe", {"subscriptionId": 0})["result"] == {}
        assert asked(peer, "userDataStream.unsubscribe")["result"] == {}
        assert error(asked(peer, "userDataStream.unsubscribe")) == (400, -2036)
    assert room.hub.said == [("user", "bot_1", 0), ("user", "bot_2", 1), ("end", 0), ("end", 1)]


def test_a_logout_ends_the_subscription_of_the_logon_alone(room: Room) -> None:
    with room.socket(PATH) as peer:
        assert error(asked(peer, "userDataStream.subscribe")) == (401, -2015)
        asked(peer, "session.logon", signed(room))
        assert asked(peer, "userDataStream.subscribe")["result"] == {"subscriptionId": 0}
        assert peer.text()["event"] == {"e": "hello"}
        assert asked(peer, "session.status")["result"]["userDataStream"] is True
        assert asked(peer, "session.logout")["result"]["apiKey"] is None
        assert peer.text() == {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": V0_NS // MS}}
    assert room.hub.said == [("user", "bot_1", 0), ("end", 0)]


def test_a_lock_step_socket_of_the_api_hands_its_controls_on(room: Room) -> None:
    with room.socket(f"{PATH}?lockstep=serial&apiKey={API_KEY}") as peer:
        peer.send({"method": "ACK", "params": [1, {"decision": "x" * 200_000}]})
        assert asked(peer, "time")["result"]["serverTime"] == V0_NS // MS
        assert asked(peer, "order.place", signed(room, side="BUY"))["status"] == 200
    assert room.hub.said == [("ACK", [1, {"decision": "x" * 200_000}])]


def test_connecting_weighs_two_where_it_is_known_whose_connection_it_is(room: Room) -> None:
    with room.socket(f"{PATH}?lockstep=serial&apiKey={API_KEY}"):
        assert room.course.gate.limits.used_weight == 2


def test_the_wall_clock_is_good_enough_by_default(room: Room) -> None:
    with room.socket(PATH) as peer:
        assert asked(peer, "order.place", signed(room, side="BUY", timestamp=W0_NS // MS))["status"] == 200
    assert room.course.gate.stamps.by_wall_alone == 1
