"""Sockets of streams: names, control messages, pings, buffers, goodbyes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.serve.venue.room import API_KEY, Room, client_frame, read_to_end

from gnomon.serve.venue.frames import Event, frame
from gnomon.serve.venue.sockets import Socket, SocketRules, is_request_id

EASY = SocketRules(controls_a_second=1_000)


HANDSHAKE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec_WebSocket_Version": "13",
}  # fmt: skip


def only(room: Room) -> Socket:
    (found,) = room.hub.attached
    return found


def wait_for(what: Callable[[], Any]) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.002)


def send(room: Room, *events: Event) -> None:
    room.call(lambda: [only(room).send_event(one) for one in events])


TRADE = Event("btcusd@trade", b'{"e":"trade","t":1}')


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "names", "is_combined"),
    [
        ("/ws", [], False),
        ("/ws/", [], False),
        ("/ws/0", [], False),
        ("/ws/btcusd@trade", ["btcusd@trade"], False),
        ("/ws/btcusd@trade/btcusd@kline_1m", ["btcusd@trade", "btcusd@kline_1m"], False),
        ("/ws/btcusd@kline_1d@+08:00", ["btcusd@kline_1d@+08:00"], False),
        ("/stream", [], True),
        ("/stream?streams=btcusd@kline_1d@+08:00", ["btcusd@kline_1d@+08:00"], True),
        ("/stream?streams=btcusd@trade/btcusd@depth@100ms", ["btcusd@trade", "btcusd@depth@100ms"], True),
        ("/stream?streams=btcusd%40trade%2Fbtcusd%40depth", ["btcusd@trade", "btcusd@depth"], True),
        ("/s/ses_1/stream?streams=btcusd@trade", ["btcusd@trade"], True),
        ("/ws/unknown@trade", [], False),
    ],
)
def test_paths_name_streams(room: Room, path: str, names: list[str], is_combined: bool) -> None:
    with room.socket(path) as peer:
        assert peer.status == 101
        assert list(only(room).subscriptions) == names
        assert only(room).is_combined is is_combined


def test_events_are_bare_on_ws_and_wrapped_on_stream(room: Room) -> None:
    with room.socket("/ws/btcusd@trade") as peer:
        send(room, TRADE)
        assert peer.text() == {"e": "trade", "t": 1}
    wait_for(lambda: not room.hub.attached)
    with room.socket("/stream?streams=btcusd@trade") as peer:
        send(room, TRADE, TRADE)
        assert [peer.text() for _ in range(2)] == [{"stream": "btcusd@trade", "data": {"e": "trade", "t": 1}}] * 2


def test_control_messages_answer_with_their_id_in_its_type(rooms: Callable[..., Room]) -> None:
    room = rooms(rules=EASY)
    with room.socket("/ws/7") as peer:
        for one in (1, "abc", None):
            asked = {"method": "SUBSCRIBE", "params": ["btcusd@trade"], "id": one}
            assert peer.ask(asked) == {"result": None, "id": one}
        assert peer.ask({"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {"result": ["btcusd@trade"], "id": 3}
        assert peer.ask({"method": "UNSUBSCRIBE", "params": ["btcusd@trade"], "id": 4}) == {"result": None, "id": 4}
        assert peer.ask({"method": "UNSUBSCRIBE", "params": ["btcusd@trade"], "id": 5}) == {"result": None, "id": 5}
        assert peer.ask({"method": "LIST_SUBSCRIPTIONS", "id": 6}) == {"result": [], "id": 6}
    assert room.hub.said == [("subscribe", "btcusd@trade"), ("unsubscribe", "btcusd@trade")]


def test_properties_are_read_and_set(rooms: Callable[..., Room]) -> None:
    room = rooms(rules=EASY)
    with room.socket("/ws/btcusd@trade") as peer:
        assert peer.ask({"method": "GET_PROPERTY", "params": ["combined"], "id": 1}) == {"result": False, "id": 1}
        assert peer.ask({"method": "SET_PROPERTY", "params": ["combined", True], "id": 2}) == {"result": None, "id": 2}
        send(room, TRADE)
        assert peer.text()["stream"] == "btcusd@trade"


@pytest.mark.parametrize(
    ("message", "code", "request_id"),
    [
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0, 1),
        ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}, 1, 1),
        ({"method": "SET_PROPERTY", "params": ["combined"], "id": 1}, 1, 1),
        ({"method": "SET_PROPERTY", "id": "x"}, 2, "x"),
        ({"method": "SUBSCRIBE", "params": "btcusd@trade", "id": 1}, 2, 1),
        ({"method": "SUBSCRIBE", "params": [1], "id": 1}, 2, 1),
        ({"method": "SUBSCRIBE", "params": ["nothing@trade"], "id": 1}, 2, 1),
        ({"method": "SHOUT", "id": 1}, 2, 1),
        ({"method": ["SUBSCRIBE"], "id": 1}, 2, 1),
        ({"id": 1}, 2, 1),
        ({"method": "SUBSCRIBE", "params": [], "id": 1.5}, 2, None),
        ({"method": "SUBSCRIBE", "params": [], "id": "x" * 37}, 2, None),
        ([1, 2], 2, None),
        ("text", 2, None),
        ({"method": "ACK", "params": [1]}, 2, None),  # of a socket that is not in lock-step
    ],
)
def test_wrong_messages_are_told_what_is_wrong_and_the_socket_stays(
    room: Room, message: Any, code: int, request_id: Any
) -> None:
    with room.socket("/ws") as peer:
        answer = peer.ask(message)
        assert (answer["code"], answer["id"]) == (code, request_id)
        assert peer.ask({"method": "LIST_SUBSCRIPTIONS", "id": 9}) == {"result": [], "id": 9}


def test_what_is_no_json_is_3(room: Room) -> None:
    with room.socket("/ws") as peer:
        peer.send_frame(b"{not json")
        assert peer.text()["code"] == 3


def test_the_sixth_control_message_of_a_second_ends_the_connection(room: Room) -> None:
    with room.socket("/ws") as peer:
        for _ in range(6):
            peer.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        assert [peer.text()["id"] for _ in range(5)] == [1] * 5
        assert peer.closing_code() == 1008
    wait_for(lambda: not room.hub.attached)


def test_a_connection_has_at_most_so_many_streams(rooms: Callable[..., Room]) -> None:
    room = rooms(rules=SocketRules(most_streams=2))
    names = [f"btcusd@kline_{one}m" for one in range(3)]
    with room.socket("/ws") as peer:
        assert peer.ask({"method": "SUBSCRIBE", "params": names, "id": 1})["code"] == 2
        assert peer.ask({"method": "SUBSCRIBE", "params": names[:2], "id": 2})["result"] is None
        assert peer.ask({"method": "SUBSCRIBE", "params": names[2:], "id": 3})["code"] == 2
    with room.socket(f"/ws/{'/'.join(names)}") as peer:
        assert peer.status == 400


# --- user streams by listen key ---------------------------------------------------------------------------------------


def test_a_listen_key_opens_the_user_stream_with_bare_events(rooms: Callable[..., Room]) -> None:
    room = rooms(listen_key=True)
    listen_key = room.ask("POST", "/api/v3/userDataStream", X_MBX_APIKEY=API_KEY)[1]["listenKey"]
    with room.socket(f"/ws/{listen_key}") as peer:
        assert peer.text() == {"e": "hello"}
        assert room.hub.said == [("user", "bot_1", None)]
        assert only(room).course is room.course
    with room.socket(f"/stream?streams={listen_key}") as peer:
        assert peer.text() == {"stream": listen_key, "data": {"e": "hello"}}


# --- lock-step --------------------------------------------------------------------------------------------------------


def test_a_lock_step_socket_is_that_of_a_bot_and_hands_its_controls_on(room: Room) -> None:
    with room.socket(f"/stream?lockstep=serial&apiKey={API_KEY}&resume=41") as peer:
        found = only(room)
        assert (found.lockstep, found.resume, found.key, found.course) == ("serial", 41, room.key, room.course)
        for n in range(20):  # they count against no limit
            peer.send({"method": "ACK", "params": [n]})
        peer.send({"method": "ACK", "params": ["bad"], "id": 5})
        assert peer.text() == {
            "code": 2,
            "msg": "Data sent for parameter 'params' is not valid.",
            "id": 5,
        }
        peer.send({"method": "TIMER", "params": ["17", "name"]})
        peer.send({"method": "BYE"})
        assert peer.closing_code() == 1000
    assert [("ACK", [n]) for n in range(20)] + [("TIMER", ["17", "name"]), ("BYE", None)] == room.hub.said
    assert not room.hub.attached


def test_a_lock_step_socket_may_show_its_key_in_the_header(room: Room) -> None:
    with room.socket("/stream?lockstep=serial", X_MBX_APIKEY=API_KEY) as peer:
        assert peer.status == 101
        assert only(room).lockstep == "serial"


@pytest.mark.parametrize("path", ["/stream", "/ws-api/v3"])
def test_a_lock_step_socket_is_serial_or_concurrent_and_nothing_else(room: Room, path: str) -> None:
    with room.socket(f"{path}?lockstep=concurrent&apiKey={API_KEY}") as peer:
        assert peer.status == 101
        assert only(room).lockstep == "concurrent"
    assert room.ask("GET", f"{path}?lockstep=eager&apiKey={API_KEY}", None, **HANDSHAKE)[1]["msg"].endswith(
        "not valid."
    )


@pytest.mark.parametrize("path", ["/stream", "/ws-api/v3"])
def test_a_shimmed_bot_that_wants_to_be_told_at_once_is_told_that_it_will_not(room: Room, path: str) -> None:
    """Its shim would wait for the answer, and the answer for its acknowledgement."""
    asked = f"{path}?lockstep=concurrent&tier=shim&apiKey={API_KEY}"
    status, said, _ = room.ask("GET", asked, None, **HANDSHAKE)
    assert (status, said["code"]) == (400, -1130)
    assert "Connect with lockstep=serial" in said["msg"]
    assert room.hub.attached == []


# --- pings ------------------------------------------------------------------------------------------------------------


def test_pings_are_answered_and_counted(room: Room) -> None:
    with room.socket("/ws") as peer:
        peer.send_frame(b"are you there", 9)
        assert peer.frame() == (10, b"are you there")
        for _ in range(6):
            peer.send_frame(b"", 9)
        assert peer.closing_code() == 1008


def test_the_venue_pings_and_cuts_off_who_does_not_answer(rooms: Callable[..., Room]) -> None:
    room = rooms(rules=SocketRules(ping_s=0.02, pong_s=0.1))
    with room.socket("/ws") as peer:
        for _ in range(10):
            opcode, payload = peer.frame()
            assert opcode == 9
            peer.send_frame(payload, 10)
        started = time.monotonic()
        assert read_to_end(peer.raw).startswith(b"\x89")
        assert time.monotonic() - started > 0.05
    assert not room.hub.attached


def test_the_hub_hears_of_its_ping_behind_what_was_sent_before(room: Room) -> None:
    with room.socket("/ws/btcusd@trade") as peer:
        room.call(lambda: (only(room).send_event(TRADE), only(room).ping(b"7")))
        assert peer.text()["t"] == 1
        assert peer.frame() == (9, b"7")
        assert room.hub.ponged_with == []
        peer.send_frame(b"7", 10)
        wait_for(lambda: room.hub.ponged_with == [b"7"])


# --- what waits -------------------------------------------------------------------------------------------------------


def flood(room: Room, count: int) -> None:
    """Frames of 64 KiB, until the peer's and the kernel's buffers are full and these are over."""
    big = frame(b"x" * 65_536)
    socket = only(room)
    room.call(lambda: [socket.send_frame(big) for _ in range(count)])


def test_who_does_not_read_is_cut_off_where_the_rule_says_so(
    rooms: Callable[..., Room], caplog: pytest.LogCaptureFixture
) -> None:
    room = rooms(rules=SocketRules(most_buffered=16, most_buffered_bytes=2**20))
    with room.socket("/ws"):
        for _ in range(200):
            if not room.hub.attached:
                break
            flood(room, 10)
        wait_for(lambda: not room.hub.attached)
    assert "cut off" in caplog.text


def test_who_does_not_read_is_seen_to_be_full_where_the_hub_waits_and_then_gets_all(
    rooms: Callable[..., Room],
) -> None:
    room = rooms(rules=SocketRules(most_buffered=16, most_buffered_bytes=2**30, when_full="wait"))
    with room.socket("/ws") as peer:
        sent = 0
        while not room.call(lambda: only(room).is_full):
            flood(room, 1)
            sent += 1
            assert sent < 5_000
        assert room.call(lambda: only(room).buffered) == 16
        assert room.call(lambda: only(room).buffered_bytes) > 16 * 65_536
        for _ in range(sent):
            assert len(peer.frame()[1]) == 65_536
        wait_for(lambda: ("drained",) in room.hub.said)
        assert room.call(lambda: only(room).buffered) == 0


def test_a_burst_to_who_reads_is_no_overflow(rooms: Callable[..., Room]) -> None:
    room = rooms(rules=SocketRules(most_buffered=100))
    with room.socket("/ws/btcusd@trade") as peer:
        send(room, *[TRADE] * 5_000)
        assert sum(peer.text()["t"] for _ in range(5_000)) == 5_000


# --- goodbyes and broken frames ---------------------------------------------------------------------------------------


def test_goodbyes_are_echoed(room: Room) -> None:
    with room.socket("/ws") as peer:
        peer.send_frame(b"\x0b\xb8bye", 8)
        assert peer.closing_code() == 3_000
    assert not room.hub.attached


def test_a_socket_that_is_closed_says_so_and_waits_for_the_peer(room: Room) -> None:
    with room.socket("/ws") as peer:
        room.call(lambda: (only(room).send_event(TRADE), only(room).close(1001)))
        assert peer.text() == {"e": "trade", "t": 1}
        assert peer.closing_code() == 1001
        peer.send_frame(b"\x03\xe9", 8)
        assert peer.raw.recv(10) == b""
    assert not room.hub.attached


@pytest.mark.parametrize(
    ("payload", "opcode", "masked", "code"),
    [
        (b"x", 1, False, 1002),
        (b"x", 3, True, 1002),
        (b"x", 0, True, 1002),
        (b"x" * 126, 9, True, 1002),
        (b"\xff\xfe", 1, True, 1007),
        (b"x", 2, True, 1003),
        (b"\x03", 8, True, 1002),
        (b"x" * 65_537, 1, True, 1009),
    ],
)
def test_malformed_and_oversized_frames_close_with_their_code(
    room: Room, payload: bytes, opcode: int, masked: bool, code: int
) -> None:
    with room.socket("/ws") as peer:
        peer.send_frame(payload, opcode, masked=masked)
        assert peer.closing_code() == code
    wait_for(lambda: not room.hub.attached)


def test_a_connection_may_have_a_life_of_its_own(rooms: Callable[..., Room]) -> None:
    room = rooms(rules=SocketRules(life_s=0.05))
    with room.socket("/ws") as peer:
        assert peer.closing_code() == 1001


def test_frames_right_behind_the_handshake_are_heard(room: Room) -> None:
    with room.raw() as one:
        asked = client_frame(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
        one.sendall(
            b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + asked
        )
        found = b""
        while b'{"result":[],"id":1}' not in found:
            more = one.recv(1_000)
            assert more
            found += more


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (None, True), ("a" * 36, True), ("a" * 37, False), (True, False), (1.5, False), ([], False)],
)
def test_ids_are_integers_short_texts_or_null(value: Any, expected: bool) -> None:
    assert is_request_id(value) is expected


def test_the_peer_of_these_tests_speaks_as_the_package_websockets_does(room: Room) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{room.port}/ws/btcusd@trade") as client:
        send(room, TRADE)
        assert client.recv(timeout=10) == '{"e":"trade","t":1}'
        client.ping().wait(10)
    wait_for(lambda: not room.hub.attached)
