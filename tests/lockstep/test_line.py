"""One connection as bytes: whatever pieces it comes in, requests get the key, sockets are opened in lock-step, and a
client reads what a venue without lock-step would have sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.lockstep.line import BINARY, PING, PONG, Line, Told, client_frame, frame_of, masked, server_frame

UPGRADE = b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
OPENED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
MASK = b"\x01\x02\x03\x04"


class Heard:
    def __init__(self) -> None:
        self.told: list[Told] = []
        self.times: list[int] = []
        self.line = Line("KEY", self.told.append, self.times.append)

    def open(self, target: str = "/stream?streams=a@trade") -> bytes:
        out = self.line.written(b"GET " + target.encode() + b" HTTP/1.1\r\n" + UPGRADE)
        self.line.came(OPENED)
        assert bytes(self.line.ready) == OPENED
        self.line.ready.clear()
        return out

    def read(self) -> list[bytes]:
        """The messages that the client reads."""
        found, buffer = [], bytearray(self.line.ready)
        while (frame := frame_of(buffer)) is not None:
            found.append(frame[1])
        assert not buffer
        return found


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ("/ws", "/stream?lockstep=serial&tier=shim&apiKey=KEY"),
        ("/ws/a@trade/b@kline_1m", "/stream?streams=a@trade/b@kline_1m&lockstep=serial&tier=shim&apiKey=KEY"),
        ("/s/ses_1/ws/a@trade", "/s/ses_1/stream?streams=a@trade&lockstep=serial&tier=shim&apiKey=KEY"),
        ("/stream?streams=a@trade/b", "/stream?streams=a@trade/b&lockstep=serial&tier=shim&apiKey=KEY"),
        ("/stream?lockstep=concurrent", "/stream?lockstep=concurrent&tier=shim&apiKey=KEY"),
        ("/ws-api/v3", "/ws-api/v3?lockstep=serial&tier=shim&apiKey=KEY"),
        ("/ws-api/v3?returnRateLimits=false",
         "/ws-api/v3?returnRateLimits=false&lockstep=serial&tier=shim&apiKey=KEY"),
        ("/elsewhere", "/elsewhere"),
    ],
)  # fmt: skip
def test_sockets_are_opened_in_lock_step(asked: str, opened: str) -> None:
    assert Heard().open(asked).split(b"\r\n")[0] == b"GET %b HTTP/1.1" % opened.encode()


def test_a_request_gets_the_key_unless_it_has_one() -> None:
    heard = Heard()
    bare = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=1"
    assert heard.line.written(bare) == bare.replace(b"Host", b"X-MBX-APIKEY: KEY\r\nHost")
    signed = b"GET / HTTP/1.1\r\nx-mbx-apikey: mine\r\n\r\n"
    assert heard.line.written(signed) == signed


@given(CUTS)
def test_requests_in_any_pieces_are_the_same_requests(cuts: list[int]) -> None:
    body = b"HTTP GET /ws \r\n\r\n in a body"
    one = b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    whole = one + b"GET /b HTTP/1.1\r\n\r\n" + one
    heard, other = Heard(), Heard()
    assert b"".join(heard.line.written(piece) for piece in pieces(whole, cuts)) == other.line.written(whole)
    assert heard.line.open == other.line.open == 3


ANSWERS = (
    b"HTTP/1.1 200 OK\r\nX-Gnomon-Time: 17\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
)


@given(CUTS, st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4))
def test_an_answer_is_awaited_until_it_is_whole_and_passes_as_it_is(cuts: list[int], answers: list[bytes]) -> None:
    heard = Heard()
    for answer in answers:
        heard.line.written(b"GET / HTTP/1.1\r\n\r\n")
        assert heard.line.open == 1
        for piece in pieces(answer, cuts):
            assert heard.line.open == 1 or not piece
            heard.line.came(piece) if piece else None
        assert heard.line.open == 0
    assert bytes(heard.line.ready) == b"".join(answers)
    assert heard.times == [17] * answers.count(ANSWERS[0])


def test_a_connection_is_awaited_from_its_opening_and_no_more_once_it_is_cut() -> None:
    heard = Heard()
    assert heard.line.open == 1
    heard.line.came(b"")
    assert (heard.line.open, heard.line.is_ended) == (0, True)


MESSAGES: list[tuple[str, bytes, bytes | None, bytes | None]] = [
    # what it is, the venue's text, what a combined socket reads, what a raw one reads
    ("market", b'{"stream":"a@trade","data":{"e":"trade"},"n":5,"t":"7"}', b'{"stream":"a@trade","data":{"e":"trade"}}',
     b'{"e":"trade"}'),
    ("own", b'{"subscriptionId":0,"event":{"e":"executionReport"},"n":6,"t":"8","more":true}',
     b'{"subscriptionId":0,"event":{"e":"executionReport"}}', b'{"e":"executionReport"}'),
    ("timer", b'{"event":{"e":"timer","E":1,"name":"x"},"n":7,"t":"9"}', None, None),
    ("answer", b'{"result":null,"id":1}', b'{"result":null,"id":1}', b'{"result":null,"id":1}'),
]  # fmt: skip


@given(CUTS, st.lists(st.integers(0, len(MESSAGES) - 1), max_size=6), st.booleans())
def test_messages_in_any_pieces_lose_the_numbers_of_their_wakes(cuts: list[int], chosen: list[int], raw: bool) -> None:
    heard = Heard()
    heard.open("/ws/a@trade" if raw else "/stream?streams=a@trade")
    sent = b"".join(server_frame(MESSAGES[i][1]) for i in chosen)
    for piece in pieces(sent, cuts):
        if piece:
            heard.line.came(piece)
    shown = [MESSAGES[i][3 if raw else 2] for i in chosen]
    assert heard.read() == [one for one in shown if one is not None]
    named = {"market": Told(5, 7, True, ""), "own": Told(6, 8, False, ""), "timer": Told(7, 9, True, "timer")}
    assert heard.told == [named[MESSAGES[i][0]] for i in chosen if MESSAGES[i][0] in named]


def test_what_was_asked_on_a_socket_is_awaited_until_it_is_answered() -> None:
    heard = Heard()
    heard.open()
    asked = client_frame(b'{"method":"SUBSCRIBE","params":[],"id":1}', MASK)
    assert heard.line.written(asked[:9]) == b""
    assert heard.line.written(asked[9:]) == asked
    assert heard.line.open == 1
    heard.line.came(server_frame(MESSAGES[0][1]))
    assert heard.line.open == 1
    heard.line.came(server_frame(MESSAGES[3][1]))
    assert heard.line.open == 0


def test_a_clients_ping_is_answered_here() -> None:
    heard = Heard()
    heard.open()
    assert heard.line.written(client_frame(b"abcd", MASK, PING) + client_frame(b"x", MASK, BINARY)) == client_frame(
        b"x", MASK, BINARY
    )
    assert frame_of(heard.line.ready) == (PONG, b"abcd", bytes([0x80 | PONG, 4]) + b"abcd")


@given(
    st.binary(max_size=70_000 // 500),
    st.sampled_from([0, 1, 125, 126, 65_535, 65_536]),
    st.binary(min_size=4, max_size=4),
)
def test_frames_of_every_length_come_back(head: bytes, size: int, mask: bytes) -> None:
    payload = (head + bytes(size))[: max(size, len(head))]
    for made in (server_frame(payload), client_frame(payload, mask)):
        assert frame_of(bytearray(made[:-1])) is None
        buffer = bytearray(made + b"rest")
        found = frame_of(buffer)
        assert found is not None
        assert (found[0], found[1], found[2], bytes(buffer)) == (1, payload, made, b"rest")
    naive = bytes(one ^ mask[i % 4] for i, one in enumerate(payload))
    assert masked(payload, mask) == naive


def test_an_odd_answer_never_breaks_the_line() -> None:
    for odd in (b"HTTP/1.1 200\r\n\r\n", b"\r\n\r\n", b"x" * 300 + b"\r\n\r\n"):
        heard = Heard()
        seen: Any = heard.line
        seen.written(b"GET / HTTP/1.1\r\n\r\n")
        seen.came(odd)
        assert bytes(seen.ready) == odd
