"""Bytes that no client sends, at the door: an answer below 500 or a clean end, nothing logged, nothing changed.

A thousand connections by default, ten times as many with `GNOMON_FUZZ_SCALE=10`. A failure names the seed that repeats
it (`GNOMON_FUZZ_SEED`).
"""

from __future__ import annotations

import os
import re
import select
import socket as sockets
from collections.abc import Callable

import numpy as np
import pytest
from tests.serve.venue.room import API_KEY, Room, client_frame

from gnomon.serve.venue.limits import Limits

COUNT = int(1_000 * float(os.environ.get("GNOMON_FUZZ_SCALE", "1"))) // 4
SEED = int(os.environ.get("GNOMON_FUZZ_SEED", "7"))
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def heard(one: sockets.socket) -> bytes:
    """What the peer says to bytes after which nothing more comes: until it closes, or is still."""
    found = b""
    one.shutdown(sockets.SHUT_WR)
    while select.select([one], [], [], 5)[0]:
        try:
            more = one.recv(65_536)
        except ConnectionResetError:
            break
        if not more:
            break
        found += more
    return found


def spoilt(rng: np.random.Generator, content: bytes) -> bytes:
    """The same bytes with some changed, cut out, doubled, or put in."""
    made = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, len(made) + 1))
        size = int(rng.integers(0, 9))
        kind = int(rng.integers(4))
        if kind == 0:
            made[at : at + size] = rng.bytes(size)
        elif kind == 1:
            del made[at : at + size]
        elif kind == 2:
            made[at:at] = made[at : at + size]
        else:
            made[at:at] = bytes((int(rng.choice(list(b'\r\n:&=%+?/ \0"\\\xff{}[]'))),)) * (size + 1)
    return bytes(made)


def an_order(room: Room) -> bytes:
    """One whose signature is wrong, so that whatever is made of it must not be placed."""
    body = f"side=BUY&price=1.50&timestamp={room.stamp()}&signature={'0' * 64}"
    return (
        f"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {API_KEY}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def a_query(room: Room) -> bytes:
    return (
        f"GET /s/ses_1/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%5D&timestamp={room.stamp()} HTTP/1.1\r\n"
        "Transfer-Encoding: chunked\r\n\r\n5\r\na=b&c\r\n0\r\n\r\n"
    ).encode()


def a_handshake(_: Room) -> bytes:
    return (
        b"GET /stream?streams=btcusd@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        + client_frame(b'{"method":"SUBSCRIBE","params":["btcusd@trade"],"id":1}')
        + client_frame(b"ping", 9)
    )


def a_call(_: Room) -> bytes:
    params = b'{"apiKey":"' + b"A" * 64 + b'","timestamp":1.5,"signature":"00","side":"BUY"}'
    return (
        b"GET /ws-api/v3 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        + client_frame(b'{"id":1,"method":"order.place","params":' + params + b"}")
        + client_frame(b'{"id":2,"method":"session.logon","params":' + params + b"}")
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", [an_order, a_query, a_handshake, a_call])
def test_spoilt_bytes_are_answered_below_500_or_ended_and_change_nothing(
    room: Room, make: Callable[[Room], bytes]
) -> None:
    room.market.gate.limits = Limits("off")  # its clock stands: no minute would ever end
    rng = np.random.Generator(np.random.PCG64(SEED))
    for number in range(COUNT // 2):
        whole = make(room) * int(rng.integers(1, 3))
        content = rng.bytes(int(rng.integers(1, 400))) if number % 10 == 0 else spoilt(rng, whole)
        with room.raw() as one:
            try:
                one.sendall(content)
                answer = heard(one)
            except (ConnectionResetError, BrokenPipeError):
                continue
        statuses = [int(status) for status in STATUS.findall(answer)]
        assert all(status < 500 for status in statuses), (SEED, number, content, answer)
        assert b"-1000" not in answer, (SEED, number, content, answer)
        assert b"\x88\x02\x03\xf3" not in answer, (SEED, number, content)  # 1011, a bug of ours
    assert room.course.account == {}
    assert room.ask("GET", "/api/v3/ping")[0] == 200
    assert room.course.gate.in_work == room.market.gate.in_work == 0
