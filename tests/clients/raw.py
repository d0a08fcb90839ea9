"""Requests as bytes, spoilt on purpose: seeded, so that a fault can be seen again."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator

ORDER = b"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&"
UPGRADE = (
    b"Host: v\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEMPLATES = (
    b"GET /api/v3/ping HTTP/1.1\r\nHost: v\r\n\r\n",
    b"GET /api/v3/klines?symbol=BTCUSDT&interval=1m&limit=3 HTTP/1.1\r\nHost: v\r\nAccept: */*\r\n\r\n",
    b"GET /api/v3/ticker/24hr?symbols=%5B%22BTCUSDT%22%5D HTTP/1.1\r\nHost: v\r\n\r\n",
    b"GET /api/v3/account?timestamp=1&signature=00 HTTP/1.1\r\nHost: v\r\nX-MBX-APIKEY: KEY\r\n\r\n",
    b"POST /api/v3/order HTTP/1.1\r\nHost: v\r\nX-MBX-APIKEY: KEY\r\nContent-Length: 47\r\n\r\n" + ORDER,
    b"DELETE /api/v3/order?symbol=BTCUSDT&orderId=1&timestamp=1 HTTP/1.1\r\nHost: v\r\nX-MBX-APIKEY: KEY\r\n\r\n",
    b"POST /api/v3/order HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab=cd\r\n0\r\n\r\n",
    b"GET /ws/btcusdt@trade HTTP/1.1\r\n" + UPGRADE,
    b"GET /sapi/v1/capital/config/getall?timestamp=1&signature=00 HTTP/1.1\r\nHost: v\r\nX-MBX-APIKEY: KEY\r\n\r\n",
    b"GET /sim/v1/clock HTTP/1.1\r\nHost: v\r\n\r\n",
)
NASTY = (
    *(b"\x00", b"\xff\xfe", b"%", b"%zz", b"%00", b"\r\n", b"\r", b"\n", b"&&&&", b"=", b"+", b"../", b"\xf0\x28\x8c"),
    *(b"A" * 5_000, b"A" * 70_000, b"9" * 400, b"-1", b"1e309", b"NaN", b'{"a":' * 300, b"[" * 2_000, b"'; DROP --"),
    *(b"Content-Length: -5\r\n", b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"X: " + b"y" * 20_000 + b"\r\n", b"HTTP/9.9", b"timestamp="),
)


def spoilt(number: int, key: str) -> bytes:
    """The request of a number: a template with one to four changes."""
    chance = random.Random(number)
    data = bytearray(chance.choice(TEMPLATES).replace(b"KEY", key.encode()))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 30)]
            case 2:
                data[at:at] = chance.choice(NASTY)
            case 3:
                data[at:at] = data[max(0, at - 20) : at]
            case 4:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
            case _:
                data[:] = data[: max(1, at)]
    return bytes(data)


def frames(number: int) -> bytes:
    """WebSocket frames as no client makes them: wrong lengths, opcodes, masks, texts, and JSON that is none."""
    chance = random.Random(number)
    texts = (b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}', b'{"method":"time","params":{},"id":"a"}')
    texts += (b"[" * 5_000, b'{"id":{},"method":[]}', b"\xff\xfe\xfd", b"", b"null", b'{"method":"SUBSCRIBE","id":1}')
    texts += (b'{"id":1,"method":"order.place","params":"x"}', b'{"id":1e400,"method":"ping"}', b"x" * 200_000)
    parts = []
    for _ in range(chance.randint(1, 5)):
        body = bytearray(chance.choice(texts))
        if body and chance.random() < 0.5:
            body[chance.randrange(len(body))] = chance.randrange(256)
        opcode = chance.choice((0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x83, 0x88, 0x89, 0x8A, 0xC1, 0x8F))
        parts.append(framed(opcode, bytes(body), chance))
    return b"".join(parts)


def framed(first: int, body: bytes, chance: random.Random) -> bytes:
    claimed = len(body) if chance.random() < 0.8 else chance.choice((0, 125, 2**16, 2**40, 2**63))
    mask = 0x80 if chance.random() < 0.8 else 0
    if claimed < 126:
        head = struct.pack("!BB", first, mask | claimed)
    elif claimed < 2**16:
        head = struct.pack("!BBH", first, mask | 126, claimed)
    else:
        head = struct.pack("!BBQ", first, mask | 127, claimed)
    key = b"\x01\x02\x03\x04" if mask else b""
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(body)) if mask else head + body


def answers(
    address: tuple[str, int], data: bytes, opening: bytes = b"", patience_s: float = 0.3, most_s: float = 30.0
) -> tuple[bytes, bytes]:
    """What comes back to an opening, and everything to these bytes after it, on a connection of their own, until it
    closes or falls silent. AssertionError where it still speaks after `most_s` seconds."""
    opened, came = b"", bytearray()
    with socket.create_connection(address, timeout=5) as wire:
        if opening:
            wire.sendall(opening)
            while b"\r\n\r\n" not in opened and (chunk := wire.recv(65_536)):
                opened += chunk
        try:
            wire.sendall(data)
            wire.shutdown(socket.SHUT_WR)
            wire.settimeout(patience_s)
            until = time.monotonic() + most_s
            while chunk := wire.recv(65_536):
                came += chunk
                if len(came) > 1_000_000:
                    break
                assert time.monotonic() < until, f"still speaking {most_s} s after {data[:200]!r}"
        except OSError:
            pass  # it closed on us, or has nothing more to say
    return opened, bytes(came)


def statuses(came: bytes) -> Iterator[int]:
    """The statuses of the HTTP answers among what came."""
    for part in came.split(b"HTTP/1.1 ")[1:]:
        yield int(part[:3])
