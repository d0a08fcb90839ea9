"""Sockets of streams: what is subscribed to, what is waiting to be written, who is still there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from gnomon.serve.venue.frames import (
    BINARY,
    CLOSE,
    GOING_AWAY,
    NORMAL,
    NOT_TEXT,
    NOT_UNDERSTOOD,
    PING,
    POLICY,
    PONG,
    SHARD,
    Broken,
    Event,
    FrameReader,
    close_code,
    close_frame,
    combined,
    frame,
    user_event,
)
from gnomon.serve.venue.keys import GatedCourse, Key
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.time_units import frames_in_micro

if TYPE_CHECKING:
    from gnomon.serve.venue.server import Door

log = logging.getLogger(__name__)

LOCKSTEP: Final = ("ACK", "WAKE", "TIMER", "BYE")
EAGER: Final = 256  # frames in hand that are written at once, not at the end of this turn of the loop
HIGH_WATER: Final = 1_024 * 1_024  # bytes that the transport holds before it says so
CLOSING_S: Final = 5.0
LONGEST_ID: Final = 36

UNKNOWN_PROPERTY, WRONG_VALUE, INVALID_REQUEST, INVALID_JSON = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class SocketRules:
    """Bounds of one WebSocket. `when_full` is `disconnect`, or `wait`: the socket says that it is full, and whoever
    feeds it waits (past four times the bound it is cut off all the same). Seconds are of the wall; `life_s` 0: none."""

    ping_s: float = 20.0
    pong_s: float = 60.0
    controls_a_second: int = 5
    most_streams: int = 1_024
    most_buffered: int = 4_096
    most_buffered_bytes: int = 8 * 1_024 * 1_024
    when_full: str = "disconnect"
    life_s: float = 0.0
    largest_message: int = 64 * 1_024
    largest_lockstep_message: int = 1_024 * 1_024


class Hub(Protocol):
    """Who makes the events: feeds every attached socket. Called on the loop's thread; must not block."""

    def attach(self, socket: Socket) -> None:
        """A socket was opened; nothing is written to it before its handshake. May refuse it (`VenueRefusal`)."""
        ...

    def detach(self, socket: Socket) -> None:
        """It is gone: called once for each that was attached."""
        ...

    def subscribe(self, socket: Socket, names: Sequence[str]) -> Sequence[str]:
        """Streams to be sent from now on; the names that there are no streams of."""
        ...

    def unsubscribe(self, socket: Socket, names: Sequence[str]) -> None: ...

    def control(self, socket: Socket, method: str, params: Any) -> None:
        """ACK, WAKE, TIMER, BYE of a lock-step socket. May refuse (`VenueRefusal`)."""
        ...

    def user_stream(self, socket: Socket, key: Key, subscription_id: int | None) -> None:
        """Send the user events of the key's bot; None: as bare events (a listen key)."""
        ...

    def end_user_stream(self, socket: Socket, subscription_id: int) -> None: ...

    def ponged(self, socket: Socket, payload: bytes) -> None:
        """A ping was answered, one of `socket.ping(payload)` or of our own."""
        ...

    def drained(self, socket: Socket) -> None:
        """What was held back is written: the socket takes again."""
        ...


class Socket(asyncio.Protocol):
    """One WebSocket, on `/ws` or `/stream`; the face that a hub knows."""

    def __init__(
        self,
        door: Door,
        course: GatedCourse | None,
        *,
        is_combined: bool,
        address: str = "",
        session: str = "",
        key: Key | None = None,
        lockstep: str | None = None,
        resume: int | None = None,
    ) -> None:
        self.door = door
        self.course = course
        self.address = address
        self.session = session
        self.is_combined = is_combined
        self.key = key
        self.lockstep = lockstep  # None, "serial" or "concurrent"
        self.resume = resume  # the last wake that the client acknowledged before it was cut off
        self.subscriptions: dict[str, None] = {}  # names in their order
        self.listen_key = ""
        self.is_held = False  # the peer does not read what we write
        self.is_closing = False
        self.hub = door.hub
        self._rules = rules = door.rules
        self._reader = FrameReader(rules.largest_message if lockstep is None else rules.largest_lockstep_message)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._out: list[bytes] = []
        self._out_bytes = self._out_count = 0
        self._is_flush_due = False
        self._controls: list[float] = []
        self._unanswered_since: float | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_attached = False

    # --- its life ---------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Make it known to the hub, before the handshake; a refusal of the hub is that of the connection."""
        self.hub.attach(self)
        self._is_attached = True
        self.door.sockets.add(self)

    def begin(self, transport: asyncio.Transport, greeting: bytes, rest: bytes) -> None:
        """Take over a connection: the answer of the handshake first, then what the client has sent already."""
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        transport.write(greeting)
        if self.is_closing:  # the hub did not want it after all
            transport.close()
            return
        self._later("ping", self._rules.ping_s, self._ping_in_time)
        if self._rules.life_s:
            self._later("life", self._rules.life_s, lambda: self.close(GOING_AWAY, "connection lifetime"))
        self.flush()
        if rest:
            self.data_received(rest)

    def _later(self, name: str, delay_s: float, what: Any) -> None:
        self._timers[name] = self._loop.call_later(delay_s, what)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        self._gone()
        self._transport = None

    def _gone(self) -> None:
        self.is_closing = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._out.clear()
        self._out_bytes = self._out_count = 0
        self.door.sockets.discard(self)
        if self._is_attached:
            self._is_attached = False
            self.hub.detach(self)

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say goodbye, behind what is in hand, and wait a little for the peer to say so too."""
        if self.is_closing:
            return
        self._write_out()
        transport = self._transport
        self._gone()
        if transport is not None:
            transport.write(close_frame(code, reason))
            self._timers["closing"] = self._loop.call_later(CLOSING_S, transport.abort)

    def abort(self) -> None:
        """Cut the connection, as a broken line would."""
        transport = self._transport
        self._gone()
        if transport is not None:
            transport.abort()

    # --- what is sent -----------------------------------------------------------------------------------------------

    def send_text(self, json: bytes) -> None:
        """One text message."""
        self.send_frame(frame(json))

    def send_event(self, event: Event) -> None:
        """An event of a stream, in the form of this socket."""
        self.send_frame(event.combined_frame if self.is_combined else event.bare_frame)

    def send_user(self, subscription_id: int | None, event: bytes) -> None:
        """A user event, in its wrapper; None: bare, as listen keys get them."""
        if subscription_id is not None:
            event = user_event(subscription_id, event)
        elif self.is_combined:
            event = combined(self.listen_key, event)
        self.send_frame(frame(event))

    def send_frame(self, preencoded: bytes) -> None:
        """One frame as it is: written with the others of this turn of the loop."""
        self.send_joined(preencoded, 1)

    def send_joined(self, preencoded: bytes, count: int) -> None:
        """Several frames in one."""
        if self.is_closing:
            return
        self._out.append(preencoded)
        self._out_bytes += len(preencoded)
        self._out_count += count
        if self.is_held:
            if self.is_full:
                self._overflow()
        elif self._out_count >= EAGER:
            self._write_out()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is in hand, now."""
        self._is_flush_due = False
        if not self.is_held:
            self._write_out()

    def _write_out(self) -> None:
        out, transport = self._out, self._transport
        if out and transport is not None:
            transport.write(out[0] if len(out) == 1 else b"".join(out))
            self._out = []
            self._out_bytes = self._out_count = 0

    @property
    def buffered(self) -> int:
        """Frames in hand."""
        return self._out_count

    @property
    def buffered_bytes(self) -> int:
        """Bytes in hand and in the transport."""
        return self._out_bytes + (0 if self._transport is None else self._transport.get_write_buffer_size())

    @property
    def is_full(self) -> bool:
        """Whether a bound of the buffer is reached: a hub with `wait` feeds it no further until `drained`."""
        rules = self._rules
        return self._out_count >= rules.most_buffered or self.buffered_bytes >= rules.most_buffered_bytes

    def _overflow(self) -> None:
        rules = self._rules
        scale = 4 if rules.when_full == "wait" else 1
        if self._out_count >= scale * rules.most_buffered or self.buffered_bytes >= scale * rules.most_buffered_bytes:
            log.warning("a socket of %s is cut off: %d frames wait", self.address, self._out_count)
            self.abort()

    def pause_writing(self) -> None:
        self.is_held = True

    def resume_writing(self) -> None:
        self.is_held = False
        self._write_out()
        if not (self.is_held or self.is_closing):
            self.hub.drained(self)

    # --- pings ------------------------------------------------------------------------------------------------------

    def ping(self, payload: bytes) -> None:
        """A ping of the hub's own, behind what is in hand; its answer comes to `hub.ponged`."""
        self.send_frame(frame(payload, PING))
        self.flush()

    def _ping_in_time(self) -> None:
        rules, now_s = self._rules, self._loop.time()
        if self._unanswered_since is not None and now_s - self._unanswered_since >= rules.pong_s:
            self.abort()
            return
        if self._unanswered_since is None:
            self._unanswered_since = now_s
        self.send_frame(frame(b"%d" % (self.door.wall_now_ns() // 1_000_000), PING))
        self._later("ping", rules.ping_s, self._ping_in_time)

    # --- what comes -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.is_closing:
            self._hear_goodbye(data)
            return
        self._is_flush_due = True  # what this leads to is written at its end
        try:
            for opcode, payload in self._reader.feed(data):
                self._take_message(opcode, payload)
        except Broken as broken:
            self._end(broken.code, broken.reason)
        self.flush()

    def _take_message(self, opcode: int, payload: bytes) -> None:
        if self.is_closing:
            return
        if opcode >= CLOSE:
            self._take_control_frame(opcode, payload)
        elif opcode == BINARY:
            raise Broken(NOT_UNDERSTOOD, "text only")
        else:
            self._take_bytes(payload)

    def _take_bytes(self, payload: bytes) -> None:
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise Broken(NOT_TEXT, "not UTF-8") from None
        try:
            self.take_text(payload)
        except Broken:
            raise
        except Exception:  # a bug of ours must not end the loop's callback unheard
            log.exception("a message of a socket failed")
            self._end(1011, "internal error")

    def _take_control_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._count_control()
            self.send_frame(frame(payload, PONG))
        elif opcode == PONG:
            self._unanswered_since = None
            self.hub.ponged(self, payload)
        else:
            self._end(close_code(payload))

    def _end(self, code: int, reason: str = "") -> None:
        """The last frame, and the connection is over: the peer has said goodbye, or broken the protocol."""
        transport = self._transport
        self._write_out()
        self._gone()
        if transport is not None:
            transport.write(close_frame(code, reason))
            transport.close()

    def _hear_goodbye(self, data: bytes) -> None:
        """After our close frame: the peer's, or anything that cannot be one, ends the connection."""
        try:
            is_over = any(opcode == CLOSE for opcode, _ in self._reader.feed(data))
        except Broken:
            is_over = True
        if is_over and self._transport is not None:
            self._transport.close()

    def eof_received(self) -> bool:
        return False

    # --- control messages of streams --------------------------------------------------------------------------------

    def take_text(self, raw: bytes) -> None:
        """One control message."""
        try:
            message = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            self._count_control()
            self._fail(INVALID_JSON, f"Invalid JSON: {error}", None)
            return
        if not isinstance(message, dict):
            self._count_control()
            self._fail(INVALID_REQUEST, "Invalid request: expected an object", None)
            return
        if self.take_lockstep(message):
            return
        self._count_control()
        self._obey(message)

    def take_lockstep(self, message: Mapping[str, Any]) -> bool:
        """Hand a control of lock-step to the hub; False for what is none."""
        method = message.get("method")
        if self.lockstep is None or method not in LOCKSTEP:
            return False
        try:
            self.hub.control(self, method, message.get("params"))
        except VenueRefusal as refusal:
            self._fail(INVALID_REQUEST, refusal.msg, message.get("id"))
            return True
        if method == "BYE":
            self.close(NORMAL)
        return True

    def _count_control(self) -> None:
        """More than five in a second: the connection is ended, as at the venue."""
        now_s = self._loop.time()
        self._controls = [at_s for at_s in self._controls if now_s - at_s < 1.0]
        self._controls.append(now_s)
        if len(self._controls) > self._rules.controls_a_second:
            raise Broken(POLICY, "Too many requests")

    def _obey(self, message: dict[str, Any]) -> None:
        request_id, method, params = message.get("id"), message.get("method"), message.get("params")
        if not is_request_id(request_id):
            self._fail(INVALID_REQUEST, "Invalid request: request ID must be an unsigned integer", None)
        elif method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(one, str) for one in params):
                self._fail(INVALID_REQUEST, "Invalid request: params must be a list of stream names", request_id)
            elif method == "SUBSCRIBE":
                self._subscribe(params, request_id)
            else:
                self._unsubscribe(params)
                self._answer(None, request_id)
        elif method == "LIST_SUBSCRIPTIONS":
            self._answer(list(self.subscriptions), request_id)
        elif method in ("SET_PROPERTY", "GET_PROPERTY"):
            self._property(method == "SET_PROPERTY", params, request_id)
        elif method is None:
            self._fail(INVALID_REQUEST, "Invalid request: missing field `method`", request_id)
        else:
            known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
            self._fail(
                INVALID_REQUEST, f"Invalid request: unknown variant {method!s:.40}, expected one of {known}", request_id
            )

    def _subscribe(self, names: Sequence[str], request_id: Any) -> None:
        if len(set(names) | set(self.subscriptions)) > self._rules.most_streams:
            most = self._rules.most_streams
            self._fail(INVALID_REQUEST, f"Invalid request: at most {most} streams a connection", request_id)
            return
        refused = self.add_streams(names)
        if refused:
            self._fail(INVALID_REQUEST, f"Invalid request: unknown stream {', '.join(refused)[:200]}", request_id)
        else:
            self._answer(None, request_id)

    def add_streams(self, names: Sequence[str]) -> Sequence[str]:
        """Subscribe; the names that there is nothing of. The number of a shard is no name, a listen key opens the
        user stream of its bot."""
        wanted = [one for one in dict.fromkeys(names) if one and one not in self.subscriptions]
        wanted = [one for one in wanted if not SHARD.fullmatch(one)]
        for name in wanted:
            key = self.door.listen_keys.key_of(name)
            if key is not None:
                self.listen_key = name
                self.subscriptions[name] = None
                self.hub.user_stream(self, key, None)
        wanted = [one for one in wanted if one not in self.subscriptions]
        refused = self.hub.subscribe(self, wanted) if wanted else ()
        self.subscriptions.update(dict.fromkeys(one for one in wanted if one not in refused))
        return refused

    def _unsubscribe(self, names: Sequence[str]) -> None:
        known = [one for one in dict.fromkeys(names) if one in self.subscriptions]
        for one in known:
            del self.subscriptions[one]
        if known:
            self.hub.unsubscribe(self, known)

    def _property(self, is_set: bool, params: Any, request_id: Any) -> None:
        if not isinstance(params, list) or not params:
            self._fail(INVALID_REQUEST, "Invalid request: property name must be a string", request_id)
        elif params[0] != "combined":
            self._fail(UNKNOWN_PROPERTY, "Unknown property", request_id)
        elif not is_set:
            self._answer(self.is_combined, request_id)
        elif len(params) != 2 or not isinstance(params[1], bool):
            self._fail(WRONG_VALUE, "Invalid value type: expected Boolean", request_id)
        else:
            self.is_combined = params[1]
            self._answer(None, request_id)

    def _answer(self, result: Any, request_id: Any) -> None:
        self.send_text(orjson.dumps({"result": result, "id": request_id}))

    def _fail(self, code: int, msg: str, request_id: Any) -> None:
        self.send_text(
            orjson.dumps({"code": code, "msg": msg, "id": request_id if is_request_id(request_id) else None})
        )


class InMicro(Socket):
    """A socket whose client wants times in microseconds: what is sent to all is exchanged on its way to this one."""

    def send_joined(self, preencoded: bytes, count: int) -> None:
        super().send_joined(frames_in_micro(preencoded), count)


def is_request_id(value: Any) -> bool:
    """An integer, a text of at most 36 characters, or null."""
    if isinstance(value, str):
        return len(value) <= LONGEST_ID
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
