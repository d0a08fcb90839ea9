"""A door that stands open on a real port: a small session behind it, and clients of plain sockets in front."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import os
import socket as sockets
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from tests.exchange.venue import listing, prints, rules

from gnomon.clock import SimClock
from gnomon.exchange.exchange import Exchange
from gnomon.serve.venue import codes
from gnomon.serve.venue.call import LATER, Call
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.keys import Key
from gnomon.serve.venue.server import Door
from gnomon.serve.venue.sockets import Socket
from gnomon.serve.venue.stamps import StampRule

MS = 1_000_000
V0_NS = 1_680_000_000_000 * MS
W0_NS = 1_790_000_000_000 * MS
SECRET = "s3cret"
API_KEY = "A" * 64


class Course:
    """The run of one bot, or the market of a session: real parts, small."""

    def __init__(self) -> None:
        self.now_ns = V0_NS
        self.ground: Any = None
        self.exchange = Exchange([listing()], {0: prints([])}, rules())
        self.account: Any = {}
        self.gate = Gate(StampRule("lenient", V0_NS, W0_NS, 1.0))
        self.later: list[Callable[[], None]] = []

    def send(self, request: Any, then: Any) -> int:  # noqa: ARG002 - the form is that of the port
        raise AssertionError("no handler of these tests sends a request")

    def client(self, text: str) -> int:  # noqa: ARG002 - the form is that of the port
        raise AssertionError("no handler of these tests names a client")


class Keys:
    """Keys by their text."""

    def __init__(self, *keys: Key) -> None:
        self.by_text = {one.api_key: one for one in keys}

    def find(self, api_key: str) -> Key | None:
        return self.by_text.get(api_key)


class Finder:
    """Courses by bot and by session."""

    def __init__(self) -> None:
        self.bots: dict[str, Course] = {}
        self.sessions: dict[str, Course] = {}

    def of_key(self, key: Key, _lockstep: bool = False) -> Course | None:
        return self.bots.get(key.bot)

    def of_session(self, session: str, _workspace: str = "", _address: str = "") -> Course | None:
        return self.sessions.get(session)

    def single(self, _workspace: str = "", _address: str = "") -> Course | None:
        return next(iter(self.sessions.values())) if len(self.sessions) == 1 else None

    def choices(self, _workspace: str = "") -> str:
        return ",".join(self.sessions)


class Hub:
    """Keeps what it was told, and knows the streams of one symbol."""

    def __init__(self) -> None:
        self.attached: list[Socket] = []
        self.said: list[tuple[Any, ...]] = []
        self.ponged_with: list[bytes] = []

    def attach(self, socket: Socket) -> None:
        if socket.resume == 99:
            raise codes.invalid_data("resume")
        self.attached.append(socket)

    def detach(self, socket: Socket) -> None:
        self.attached.remove(socket)

    def subscribe(self, socket: Socket, names: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - the form is that of the port
        self.said.append(("subscribe", *names))
        return [one for one in names if not one.startswith("btcusd@")]

    def unsubscribe(self, socket: Socket, names: Sequence[str]) -> None:  # noqa: ARG002 - the form is that of the port
        self.said.append(("unsubscribe", *names))

    def control(self, socket: Socket, method: str, params: Any) -> None:  # noqa: ARG002 - the form is that of the port
        if params == ["bad"]:
            raise codes.invalid_data("params")
        self.said.append((method, params))

    def user_stream(self, socket: Socket, key: Key, subscription_id: int | None) -> None:
        self.said.append(("user", key.bot, subscription_id))
        socket.send_user(subscription_id, b'{"e":"hello"}')

    def end_user_stream(self, socket: Socket, subscription_id: int) -> None:  # noqa: ARG002 - the form is that of the port
        self.said.append(("end", subscription_id))

    def ponged(self, socket: Socket, payload: bytes) -> None:  # noqa: ARG002 - the form is that of the port
        self.ponged_with.append(payload)

    def drained(self, socket: Socket) -> None:  # noqa: ARG002 - the form is that of the port
        self.said.append(("drained",))


def place(call: Call) -> Any:
    """An order that is refused, answered now, or answered later, as its side says."""
    side = call.params.get("side")
    if side is None:
        raise codes.mandatory("side")
    orders = call.course.account
    wanted = {"orderId": len(orders) + 1, "side": side, "price": call.params.get("price")}
    if side == "BROKEN":
        raise codes.order_refused(codes.INSUFFICIENT_BALANCE)
    if side == "BUG":
        raise ZeroDivisionError("a bug of the handler")
    orders[len(orders) + 1] = wanted
    if side == "LATER":
        call.course.later.append(lambda: call.reply(wanted, None))  # type: ignore[attr-defined]  # the course of this room
        return LATER
    if side == "NOW":
        call.reply(wanted, None)
        return LATER
    return wanted


def cancel(call: Call) -> Any:
    """The parameters, as bytes of JSON; order 404 is not there."""
    if call.params.get("orderId") == "404":
        raise codes.unknown_order()
    return json.dumps(dict(call.params)).encode()


def release(call: Call) -> Any:
    """Give the answers that wait, the last first."""
    course: Any = call.course
    waiting, course.later = course.later, []
    for one in reversed(waiting):
        one()
    return {}


HANDLERS = {
    "ping": lambda _: {},
    "time": lambda call: {"serverTime": call.course.now_ns // MS},
    "exchangeInfo": lambda call: dict(call.params),
    "klines": lambda _: b"[[1,2]]",
    "order.place": place,
    "order.cancel": cancel,
    "order.cancelReplace": lambda _: (_ for _ in ()).throw(codes.not_replaced({"cancelResult": "FAILURE"})),
    "account.status": lambda call: {"balances": [], "orders": len(call.course.account)},
    "avgPrice": release,
}


class Room:
    """The door on its port, in a loop of its own thread."""

    def __init__(self, *, is_uvloop: bool = False, **options: Any) -> None:
        self.wall = SimClock(W0_NS)
        self.key = Key(API_KEY, "hmac", SECRET, "bot_1", "ws_1")
        self.keys, self.finder, self.hub = Keys(self.key), Finder(), Hub()
        self.course = self.finder.bots["bot_1"] = Course()
        self.market = self.finder.sessions["ses_1"] = Course()
        self.loop = _new_loop(is_uvloop)
        self.errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.door = Door(self.finder, self.keys, HANDLERS, self.hub, self.wall, **options)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.server = self.run(self.loop.create_server(self.door.protocol_factory(), "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    def run(self, work: Any) -> Any:
        """The result of a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def call(self, function: Callable[[], Any]) -> Any:
        """The result of a function that is called on the loop."""

        async def work() -> Any:
            return function()

        return self.run(work())

    def close(self) -> None:
        async def work() -> None:
            self.server.close()
            self.door.close()
            for one in (*self.door.connections, *self.door.sockets):
                one.end() if hasattr(one, "end") else one.abort()
            await asyncio.sleep(0.02)

        self.run(work())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the loop of the door has not stopped after 60 s"
        self.loop.close()

    # --- clients ----------------------------------------------------------------------------------------------------

    def ask(
        self, verb: str, target: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        """One request on a connection of its own: status, JSON, headers."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            client.request(verb, target, body, {one.replace("_", "-"): text for one, text in headers.items()})
            answer = client.getresponse()
            raw = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            assert found["content-type"].startswith("application/json")
            return answer.status, json.loads(raw), found
        finally:
            client.close()

    def stamp(self) -> int:
        return self.course.now_ns // MS

    def signed(self, params: Mapping[str, Any], secret: str = SECRET) -> str:
        query = urlencode({**params, "timestamp": params.get("timestamp", self.stamp())})
        return f"{query}&signature={hexed(query, secret)}"

    def ask_signed(self, verb: str, path: str, **params: Any) -> tuple[int, Any, Mapping[str, str]]:
        return self.ask(verb, f"{path}?{self.signed(params)}", X_MBX_APIKEY=API_KEY)

    @contextmanager
    def raw(self) -> Iterator[sockets.socket]:
        with sockets.create_connection(("127.0.0.1", self.port), timeout=10) as one:
            yield one

    @contextmanager
    def socket(self, path: str, **headers: str) -> Iterator[Peer]:
        with self.raw() as one:
            yield Peer(one, path, headers)


def _new_loop(is_uvloop: bool) -> asyncio.AbstractEventLoop:
    if is_uvloop:
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def hexed(payload: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def read_to_end(one: sockets.socket) -> bytes:
    """Everything until the peer closes."""
    found = b""
    while True:
        try:
            more = one.recv(65_536)
        except ConnectionResetError:
            return found
        if not more:
            return found
        found += more


class Closed(Exception):
    """The peer closed the socket, with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Peer:
    """A WebSocket client that hides nothing: it masks, and reads frame by frame."""

    def __init__(self, one: sockets.socket, path: str, headers: Mapping[str, str]) -> None:
        self.raw = one
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = {
            "Host": "x",
            "Upgrade": "websocket",
            "Connection": "keep-alive, Upgrade",
            "Sec-WebSocket-Key": nonce,
            "Sec-WebSocket-Version": "13",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        one.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            more = one.recv(65_536)
            assert more
            self.rest += more
        greeting, _, self.rest = self.rest.partition(b"\r\n\r\n")
        self.status = int(greeting.split(b" ")[1])
        if self.status == 101:
            accept = base64.b64encode(hashlib.sha1(f"{nonce}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
            assert b"Sec-WebSocket-Accept: " + accept in greeting

    def send_frame(self, payload: bytes, opcode: int = 1, *, last: bool = True, masked: bool = True) -> None:
        self.raw.sendall(client_frame(payload, opcode, last=last, masked=masked))

    def send(self, message: Any) -> None:
        self.send_frame(json.dumps(message).encode())

    def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode, payload."""
        head = self._take(2)
        size = head[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        assert head[0] & 0x80
        assert not head[1] & 0x80
        return head[0] & 0x0F, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self.rest) < size:
            more = self.raw.recv(65_536)
            if not more:
                raise Closed(0)
            self.rest += more
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def text(self) -> Any:
        """The next text message as JSON; pings are answered on the way."""
        while True:
            opcode, payload = self.frame()
            if opcode == 9:
                self.send_frame(payload, 10)
            elif opcode == 8:
                raise Closed(int.from_bytes(payload[:2], "big"))
            elif opcode != 10:
                assert opcode == 1
                return json.loads(payload)

    def ask(self, message: Any) -> Any:
        self.send(message)
        return self.text()

    def closing_code(self) -> int:
        """Read until the peer says goodbye."""
        try:
            while True:
                self.text()
        except Closed as closed:
            return closed.code


def client_frame(payload: bytes, opcode: int = 1, *, last: bool = True, masked: bool = True) -> bytes:
    size = len(payload)
    flag = 0x80 if masked else 0
    first = (0x80 if last else 0) | opcode
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(one ^ mask[at % 4] for at, one in enumerate(payload))
