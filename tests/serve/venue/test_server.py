"""HTTP at the door: the checks in their order, connections that stay, answers in order, requests that are none."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.serve.venue.room import API_KEY, MS, V0_NS, W0_NS, Course, Room, hexed, read_to_end

from gnomon.serve.venue.call import LATER
from gnomon.serve.venue.keys import Key
from gnomon.serve.venue.limits import Limits
from gnomon.serve.venue.server import PlainRequest

ORDER = "/api/v3/order"


def code(answer: tuple[int, Any, Any]) -> tuple[int, int]:
    return answer[0], answer[1]["code"]


# --- public calls -----------------------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_the_headers_of_the_venue(room: Room) -> None:
    status, body, headers = room.ask("GET", "/api/v3/ping")
    assert (status, body) == (200, {})
    assert headers["x-mbx-used-weight"] == headers["x-mbx-used-weight-1m"] == "1"
    assert headers["content-type"] == "application/json;charset=UTF-8"
    assert headers["date"] == "Mon, 21 Sep 2026 14:13:20 GMT"
    room.wall.advance_to(W0_NS + 61 * 10**9)
    assert room.ask("GET", "/api/v3/ping")[2]["date"] == "Mon, 21 Sep 2026 14:14:21 GMT"
    assert room.ask("GET", "/api/v3/exchangeInfo")[2]["x-mbx-used-weight-1m"] == "22"


def test_times_are_virtual(room: Room) -> None:
    assert room.ask("GET", "/api/v3/time")[1] == {"serverTime": V0_NS // MS}


def test_bytes_of_a_handler_are_sent_as_they_are(room: Room) -> None:
    assert room.ask("GET", "/api/v3/klines")[1] == [[1, 2]]


def test_arrays_and_escapes_reach_the_handler_decoded(room: Room) -> None:
    for query in ('symbols=["BTCUSDT","A"]', "symbols=" + quote('["BTCUSDT","A"]')):
        assert room.ask("GET", f"/api/v3/exchangeInfo?{query}")[1] == {"symbols": '["BTCUSDT","A"]'}


@pytest.mark.parametrize("path", ["/", "/api/v3/nothing", "/sapi/v1/nothing", "/papi/v1/x", "/s/ses_1", "/%00"])
def test_a_path_that_is_not_there_is_404_in_json(room: Room, path: str) -> None:
    assert code(room.ask("GET", path)) == (404, -1020)


def test_another_verb_is_405_in_json(room: Room) -> None:
    assert code(room.ask("PATCH", "/api/v3/order")) == (405, -1020)


def test_a_method_that_nobody_serves_is_refused(room: Room) -> None:
    assert code(room.ask("GET", "/api/v3/depth")) == (400, -1020)


# --- which session ----------------------------------------------------------------------------------------------------


def test_a_public_call_means_its_path_its_key_or_the_only_session(rooms: Callable[..., Room]) -> None:
    room = rooms()
    other = room.finder.sessions["ses_2"] = Course()
    other.now_ns += 7 * MS
    room.course.now_ns += 9 * MS
    refused = room.ask("GET", "/api/v3/time")
    assert code(refused) == (400, -1102)
    assert "ses_1,ses_2" in refused[1]["msg"]
    assert room.ask("GET", "/s/ses_2/api/v3/time")[1] == {"serverTime": V0_NS // MS + 7}
    assert room.ask("GET", "/api/v3/time", X_MBX_APIKEY=API_KEY)[1] == {"serverTime": V0_NS // MS + 9}
    assert code(room.ask("GET", "/s/ses_9/api/v3/time")) == (400, -1102)
    assert room.ask("GET", "/s/ses_2/api/v3/time", X_MBX_APIKEY="unknown")[0] == 200


def test_a_port_may_mean_a_session(room: Room) -> None:
    room.finder.sessions["ses_2"] = Course()
    room.finder.sessions["ses_2"].now_ns += 7 * MS
    server = room.run(room.loop.create_server(room.door.protocol_factory("ses_2"), "127.0.0.1", 0))
    room.port = server.sockets[0].getsockname()[1]
    assert room.ask("GET", "/api/v3/time")[1] == {"serverTime": V0_NS // MS + 7}
    room.call(server.close)


# --- signed calls, in the order of the checks -------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["POST", "DELETE"])
@pytest.mark.parametrize("place", ["query", "body", "both"])
def test_parameters_come_in_query_body_or_both(room: Room, verb: str, place: str) -> None:
    query, body = {
        "query": (f"side=BUY&price=1.50&timestamp={room.stamp()}", ""),
        "body": ("", f"side=BUY&price=1.50&timestamp={room.stamp()}"),
        "both": ("side=BUY", f"price=1.50&timestamp={room.stamp()}"),
    }[place]
    signature = f"signature={hexed(query + body)}"
    if body:
        body += f"&{signature}"
    else:
        query += f"&{signature}"
    headers = {"X_MBX_APIKEY": API_KEY, "Content_Type": "application/x-www-form-urlencoded"}
    status, answer, _ = room.ask(verb, f"{ORDER}?{query}" if query else ORDER, body or None, **headers)
    assert status == 200, answer
    assert answer["side"] == "BUY"
    assert answer["price"] == "1.50"


def test_an_accepted_order_says_how_many_are_unfilled(room: Room) -> None:
    for count in (1, 2):
        _, answer, headers = room.ask_signed("POST", ORDER, side="BUY")
        assert answer["orderId"] == count
        assert headers["x-mbx-order-count-10s"] == headers["x-mbx-order-count-1d"] == str(count)
    status, _, headers = room.ask_signed("POST", ORDER, side="BROKEN")
    assert status == 400
    assert "x-mbx-order-count-10s" not in headers
    assert room.course.gate.limits.orders_10s == 2
    assert room.course.gate.requests == 3
    assert room.course.gate.in_work == 0


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", (401, -2014)),
        ("no key!", (401, -2014)),
        ("<script>", (401, -2014)),
        ("A" * 129, (401, -2014)),
        ("B" * 64, (401, -2015)),
    ],
)
def test_keys_are_checked_first(room: Room, key: str, expected: tuple[int, int]) -> None:
    assert code(room.ask("POST", ORDER, X_MBX_APIKEY=key)) == expected


def test_a_request_without_a_key_is_2014(room: Room) -> None:
    assert code(room.ask("GET", f"/api/v3/account?{room.signed({})}")) == (401, -2014)


@pytest.mark.parametrize(
    "change",
    [
        {"permissions": frozenset(("USER_DATA",))},
        {"expires_ns": W0_NS},
        {"ip_allow": ("10.1.1.1",)},
        {"bot": "bot_unbound"},
    ],
)
def test_a_key_that_may_not_is_2015(room: Room, change: dict[str, Any]) -> None:
    room.keys.by_text[API_KEY] = replace(room.key, **change)
    assert code(room.ask_signed("POST", ORDER, side="BUY")) == (401, -2015)


def test_then_what_must_be_there_then_the_signature_then_the_time_then_the_parameters(room: Room) -> None:
    def post(query: str) -> tuple[int, int]:
        return code(room.ask("POST", f"{ORDER}?{query}", X_MBX_APIKEY=API_KEY))

    stale = f"timestamp={room.stamp() - 6_000}"
    assert post("side=BUY&side=BUY&signature=00") == (400, -1102)  # no timestamp
    assert post(f"{stale}&side=BUY&side=BUY") == (400, -1102)  # no signature
    assert post(f"{stale}&side=BUY&side=BUY&signature=00") == (400, -1022)
    twice = f"{stale}&side=BUY&side=BUY"
    assert post(f"{twice}&signature={hexed(twice)}") == (400, -1021)
    twice = f"timestamp={room.stamp()}&side=BUY&side=BUY"
    assert post(f"{twice}&signature={hexed(twice)}") == (400, -1101)
    nothing = f"timestamp={room.stamp()}"
    assert post(f"{nothing}&signature={hexed(nothing)}") == (400, -1102)  # the handler misses its side


def test_the_texts_of_1102_name_the_parameter(room: Room) -> None:
    headers = {"X_MBX_APIKEY": API_KEY}
    assert "'timestamp'" in room.ask("POST", ORDER, **headers)[1]["msg"]
    assert "'signature'" in room.ask("POST", f"{ORDER}?timestamp=1", **headers)[1]["msg"]


def test_a_wide_window_is_1131(room: Room) -> None:
    assert code(room.ask_signed("GET", "/api/v3/account", recvWindow=60_001)) == (400, -1131)


def test_a_wrong_secret_is_1022_and_changes_nothing(room: Room) -> None:
    query = room.signed({"side": "BUY"}, secret="another")
    assert code(room.ask("POST", f"{ORDER}?{query}", X_MBX_APIKEY=API_KEY)) == (400, -1022)
    assert room.course.account == {}


def test_the_same_bytes_again_are_allowed_inside_the_window_and_refused_after_it(room: Room) -> None:
    """As at the venue: a replayed order is refused by its client id, not by its signature."""
    query = room.signed({"side": "BUY"})
    for expected in (1, 2):
        assert room.ask("POST", f"{ORDER}?{query}", X_MBX_APIKEY=API_KEY)[1]["orderId"] == expected
    room.course.now_ns += 6_000 * MS
    room.wall.advance_to(W0_NS + 6_000 * MS)
    assert code(room.ask("POST", f"{ORDER}?{query}", X_MBX_APIKEY=API_KEY)) == (400, -1021)


def test_an_ed25519_key_signs_with_base64_escaped_or_not(room: Room) -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    room.keys.by_text["E" * 64] = Key("E" * 64, "ed25519", pem, "bot_1", "ws_1")
    for count in range(1, 30):  # among so many there are signatures with a plus sign
        query = f"side=BUY&n={count}&timestamp={room.stamp()}"
        signature = base64.b64encode(private.sign(query.encode())).decode()
        shown = quote(signature, safe="") if count % 2 else signature
        status, answer, _ = room.ask("POST", f"{ORDER}?{query}&signature={shown}", X_MBX_APIKEY="E" * 64)
        assert status == 200, answer


# --- limits -----------------------------------------------------------------------------------------------------------


def test_too_much_weight_is_429_and_says_when_to_come_again(room: Room) -> None:
    room.market.gate.limits = Limits(weight_limit=2)
    assert [room.ask("GET", "/api/v3/ping")[0] for _ in range(2)] == [200, 200]
    status, body, headers = room.ask("GET", "/api/v3/ping")
    assert (status, body["code"]) == (429, -1003)
    assert 1 <= int(headers["retry-after"]) <= 60
    room.market.now_ns += 60_000 * MS
    assert room.ask("GET", "/api/v3/ping")[0] == 200


def test_too_many_orders_are_1015(room: Room) -> None:
    room.course.gate.limits = Limits(orders_10s_limit=1)
    assert room.ask_signed("POST", ORDER, side="BUY")[0] == 200
    assert code(room.ask_signed("POST", ORDER, side="BUY")) == (429, -1015)
    assert room.course.gate.limits.orders_10s == 1
    assert room.ask_signed("GET", "/api/v3/account")[1]["orders"] == 1


def test_a_replacement_that_was_not_attempted_counts(room: Room) -> None:
    status, body, _ = room.ask_signed("POST", "/api/v3/order/cancelReplace")
    assert (status, body["code"], body["data"]) == (400, -2022, {"cancelResult": "FAILURE"})
    assert room.course.gate.limits.orders_10s == 1


@pytest.mark.parametrize("mode", ["CANCEL_ONLY", "DO_NOTHING"])
def test_a_replacement_over_the_limit_may_cancel_alone(room: Room, mode: str) -> None:
    room.course.gate.limits = Limits(orders_10s_limit=0)
    given = {"symbol": "BTCUSD", "cancelOrderId": "7", "orderRateLimitExceededMode": mode}
    status, body, headers = room.ask_signed("POST", "/api/v3/order/cancelReplace", **given)
    assert status == 429
    assert int(headers["retry-after"]) > 0
    if mode == "DO_NOTHING":
        assert (body["code"], "data" in body) == (-1015, False)
        return
    assert body["code"] == -2021
    assert body["data"]["cancelResult"] == "SUCCESS"
    assert body["data"]["cancelResponse"] == {"symbol": "BTCUSD", "orderId": "7"}
    assert body["data"]["newOrderResponse"]["code"] == -1015
    assert room.course.gate.in_work == 0


def test_a_replacement_over_the_limit_whose_cancellation_fails_says_so(room: Room) -> None:
    room.course.gate.limits = Limits(orders_10s_limit=0)
    given = {"symbol": "BTCUSD", "cancelOrderId": "404", "orderRateLimitExceededMode": "CANCEL_ONLY"}
    status, body, _ = room.ask_signed("POST", "/api/v3/order/cancelReplace", **given)
    assert (status, body["code"]) == (429, -2022)
    assert body["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": {"code": -2011, "msg": "Unknown order sent."},
        "newOrderResponse": None,
    }


# --- answers that come later, and again -------------------------------------------------------------------------------


def test_answers_leave_in_the_order_of_their_requests(room: Room) -> None:
    def post(side: str) -> bytes:
        query = room.signed({"side": side})
        return f"POST {ORDER}?{query} HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {API_KEY}\r\n\r\n".encode()

    free = f"GET /api/v3/avgPrice HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {API_KEY}\r\n\r\n".encode()
    with room.raw() as one:
        one.sendall(post("LATER") + post("NOW") + post("LATER") + post("BUY"))
        one.sendall(free.replace(b"x\r\n", b"x\r\nConnection: close\r\n", 1))
        answers = read_to_end(one)
    bodies = [json.loads(part[: part.index(b"}") + 1]) for part in answers.split(b"\r\n\r\n")[1:]]
    assert [body.get("orderId") for body in bodies] == [1, 2, 3, 4, None]
    assert room.course.gate.in_work == 0


def test_a_connection_that_goes_before_its_answer_is_not_missed(room: Room) -> None:
    with room.raw() as one:
        query = room.signed({"side": "LATER"})
        one.sendall(f"POST {ORDER}?{query} HTTP/1.1\r\nX-MBX-APIKEY: {API_KEY}\r\n\r\n".encode())
        until = time.monotonic() + 60
        while not room.course.later:
            assert time.monotonic() < until, "the order has not come in 60 s"
            time.sleep(0.001)
    room.ask("GET", "/api/v3/avgPrice", X_MBX_APIKEY=API_KEY)
    assert room.course.gate.in_work == 0


@pytest.mark.parametrize("by", ["parameter", "header"])
def test_a_wake_key_gets_its_first_answer_again(room: Room, by: str) -> None:
    def post(wake: str) -> tuple[int, Any]:
        params, headers = ({"wake": wake}, {}) if by == "parameter" else ({}, {"X_Gnomon_Wake": wake})
        query = room.signed({"side": "BUY", **params})
        return room.ask("POST", f"{ORDER}?{query}", X_MBX_APIKEY=API_KEY, **headers)[:2]

    first = post("7-1")
    assert post("7-1") == first
    assert post("7-2")[1]["orderId"] == 2
    assert room.course.gate.limits.orders_10s == 2


def test_a_bug_of_a_handler_is_1000_and_the_next_request_is_served(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    assert code(room.ask_signed("POST", ORDER, side="BUG")) == (500, -1000)
    assert "a bug of the handler" in caplog.text
    caplog.clear()
    assert room.ask_signed("POST", ORDER, side="BUY")[0] == 200
    assert room.course.gate.in_work == 0


# --- annexes ----------------------------------------------------------------------------------------------------------


def test_a_prefix_may_be_served_by_somebody_else(rooms: Callable[..., Room]) -> None:
    seen: list[PlainRequest] = []

    def annexe(request: PlainRequest) -> Any:
        seen.append(request)
        if request.path.endswith("later"):
            request.reply(202, {"late": True})
            return LATER
        return 201, {"path": request.path}

    room = rooms(annexes={"/sim/v1": annexe})
    assert room.ask("POST", "/sim/v1/pace?a=1", "body", Authorization="Bearer x")[:2] == (201, {"path": "/sim/v1/pace"})
    assert (seen[0].verb, seen[0].query, seen[0].body) == ("POST", b"a=1", b"body")
    assert seen[0].headers[b"authorization"] == b"Bearer x"
    assert room.ask("GET", "/sim/v1/later")[:2] == (202, {"late": True})


# --- listen keys ------------------------------------------------------------------------------------------------------


def test_listen_keys_are_gone_unless_they_are_switched_on(rooms: Callable[..., Room]) -> None:
    headers = {"X_MBX_APIKEY": API_KEY}
    assert code(rooms().ask("POST", "/api/v3/userDataStream", **headers)) == (410, -1020)
    room = rooms(listen_key=True)
    assert code(room.ask("POST", "/api/v3/userDataStream")) == (401, -2014)
    made = room.ask("POST", "/api/v3/userDataStream", **headers)[1]["listenKey"]
    assert room.ask("PUT", f"/api/v3/userDataStream?listenKey={made}", **headers)[:2] == (200, {})
    assert room.ask("DELETE", f"/api/v3/userDataStream?listenKey={made}", **headers)[:2] == (200, {})
    assert code(room.ask("PUT", f"/api/v3/userDataStream?listenKey={made}", **headers)) == (400, -1125)


# --- connections ------------------------------------------------------------------------------------------------------


def test_a_connection_serves_many_requests_however_their_bytes_are_cut(room: Room) -> None:
    body = room.signed({"side": "BUY", "price": "2.00"})
    post = (
        f"POST {ORDER} HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {API_KEY}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    ping = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for size in (1, 7, 100, 10_000):
        room.course.account.clear()
        stream = post + ping + b"\r\n" + post + last
        with room.raw() as one:
            for at in range(0, len(stream), size):
                one.sendall(stream[at : at + size])
            answers = read_to_end(one)
        assert answers.count(b"HTTP/1.1 200 OK") == 4
        assert b'"orderId":1' in answers
        assert b'"orderId":2' in answers


def test_chunked_bodies_are_read(room: Room) -> None:
    body = room.signed({"side": "BUY"}).encode()
    chunks = b"".join(
        b"%x;ext=1\r\n%b\r\n" % (len(body[at : at + 9]), body[at : at + 9]) for at in range(0, len(body), 9)
    )
    head = (
        f"POST {ORDER} HTTP/1.1\r\nX-MBX-APIKEY: {API_KEY}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    with room.raw() as one:
        for byte in head.encode() + chunks + b"0\r\nTrailer: x\r\n\r\n":
            one.sendall(bytes((byte,)))
        assert b'"orderId":1' in read_to_end(one)


def test_a_client_that_asks_whether_to_go_on_is_told_so(room: Room) -> None:
    body = room.signed({"side": "BUY"}).encode()
    with room.raw() as one:
        one.sendall(
            f"POST {ORDER} HTTP/1.1\r\nX-MBX-APIKEY: {API_KEY}\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(body)
        assert b'"orderId":1' in read_to_end(one)


def test_http_1_0_is_answered_and_closed(room: Room) -> None:
    with room.raw() as one:
        one.sendall(b"GET /api/v3/ping HTTP/1.0\r\n\r\n")
        answer = read_to_end(one)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer


def test_a_connection_that_says_nothing_is_closed_after_a_while(rooms: Callable[..., Room]) -> None:
    room = rooms(idle_s=0.05)
    with room.raw() as one:
        assert read_to_end(one) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\r\n\r\nrubbish\r\n\r\n", 400),
        (b"GET /api/v3/ping\r\n\r\n", 400),
        (b"GET  /api/v3/ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/v3/\x01ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/v3/ping HTTP/2.0\r\n\r\n", 400),
        (b"get /api/v3/ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/v3/ping HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /api/v3/ping HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET /api/v3/ping HTTP/1.1\r\nA\x00: b\r\n\r\n", 400),
        (b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", 400),
        (b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab", 400),
        (b"POST /api/v3/order HTTP/1.1\r\nContent-Length: -2\r\n\r\n", 400),
        (b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", 400),
        (b"POST /api/v3/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /api/v3/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"POST /api/v3/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", 413),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000, 431),
        (b"CONNECT x:443 HTTP/1.1\r\n\r\n", 400),
        (b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_in_json_and_the_connection_ends(room: Room, sent: bytes, status: int) -> None:
    with room.raw() as one:
        one.sendall(sent)
        answer = read_to_end(one)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] < 0


def test_a_body_of_64_kib_is_read(room: Room) -> None:
    filling = "x" * (65_536 - 200)
    body = urlencode({"side": "BUY", "note": filling, "timestamp": room.stamp()})
    status, answer, _ = room.ask("POST", ORDER, f"{body}&signature={hexed(body)}", X_MBX_APIKEY=API_KEY)
    assert (status, answer["orderId"]) == (200, 1)


def test_a_slow_reader_stops_being_read_and_loses_nothing(room: Room) -> None:
    count = 2_900
    with room.raw() as one:
        one.sendall(b"GET /api/v3/klines HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        one.sendall(b"GET /api/v3/klines HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert read_to_end(one).count(b"[[1,2]]") == count + 1


def test_a_door_that_closes_ends_its_connections(room: Room) -> None:
    client = http.client.HTTPConnection("127.0.0.1", room.port, timeout=10)
    client.request("GET", "/api/v3/ping")
    client.getresponse().read()
    room.call(room.door.close)
    assert client.sock.recv(10) == b""
    client.close()
    assert room.door.connections == set()
