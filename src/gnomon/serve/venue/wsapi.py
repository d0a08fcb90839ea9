"""The WebSocket API: the handlers of REST by their names, sessions of a key, and user streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from gnomon.serve.venue import codes
from gnomon.serve.venue.answers import socket_answer
from gnomon.serve.venue.call import Handler
from gnomon.serve.venue.keys import GatedCourse, Key
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.routes import METHODS, NONE, USER_DATA, USER_STREAM, Route
from gnomon.serve.venue.signing import is_signed_sorted, literal
from gnomon.serve.venue.sockets import InMicro, Socket, is_request_id, log
from gnomon.serve.venue.time_units import answer_in_micro
from gnomon.serve.venue.turns import Turn

if TYPE_CHECKING:
    from gnomon.serve.venue.server import Door

NS_PER_MS: Final = 1_000_000
CONNECTING: Final = 2  # weight
MOST_SUBSCRIPTIONS: Final = 1_000

LOGON = Route("session.logon", USER_DATA, 2)
STATUS = Route("session.status", NONE, 2)
LOGOUT = Route("session.logout", NONE, 2)
SUBSCRIPTIONS = Route("session.subscriptions", NONE, 2)
SUBSCRIBE = Route("userDataStream.subscribe", NONE, 2)
SUBSCRIBE_SIGNED = Route("userDataStream.subscribe.signature", USER_STREAM, 2)
UNSUBSCRIBE = Route("userDataStream.unsubscribe", NONE, 2)
SWITCHED_OFF: Final = ("userDataStream.start", "userDataStream.ping", "userDataStream.stop")


class ApiTurn(Turn):
    """One request of the WebSocket API."""

    __slots__ = ("request_id", "socket", "wants_limits")

    def __init__(self, socket: ApiSocket, request_id: Any, wants_limits: bool) -> None:
        self.route = STATUS
        self.course = None
        self.wake = ""
        self.counted = 0
        self.is_done = self.is_called = self.is_heard = False
        self.key = ""
        self.n = 0
        self.socket = socket
        self.request_id = request_id
        self.wants_limits = wants_limits

    def give(self, value: Any, refusal: VenueRefusal | None) -> None:
        limits: list[Any] | None = None
        if self.wants_limits:
            limits = []
            if self.course is not None:
                used = self.course.gate.limits
                limits = [*(used.order_limits(self.course.now_ns) if self.counted else ()), *used.weight_limits()]
        status = 200 if refusal is None else refusal.status
        if isinstance(self.socket, InMicro) and refusal is None:
            value = answer_in_micro(self.route.method, value)
        if refusal is not None and refusal.retry_after_s and self.course is not None:
            now_ms = self.course.now_ns // NS_PER_MS  # there is no header here to say it
            refusal.data = {"serverTime": now_ms, "retryAfter": now_ms + 1_000 * refusal.retry_after_s}
        text = socket_answer(self.request_id, status, value, refusal, limits)
        if self.n and self.course is not None:
            text = b'%b,"n":%d,"t":"%d"}' % (text[:-1], self.n, self.course.now_ns)
        self.socket.send_text(text)


class ApiSocket(Socket):
    """One connection to the WebSocket API. `logon` is the key of `session.logon`, as long as it holds."""

    def __init__(
        self,
        door: Door,
        course: GatedCourse | None,
        *,
        wants_limits: bool,
        address: str = "",
        session: str = "",
        key: Key | None = None,
        lockstep: str | None = None,
        resume: int | None = None,
    ) -> None:
        super().__init__(
            door,
            course,
            is_combined=False,
            address=address,
            session=session,
            key=key,
            lockstep=lockstep,
            resume=resume,
        )
        self.wants_limits = wants_limits
        self.logon: Key | None = None
        self.user_subscriptions: dict[int, Key] = {}
        self._by_logon: set[int] = set()
        self._next_id = 0
        self._authorized_ms: int | None = None
        self._connected_ms = 0 if course is None else course.now_ns // NS_PER_MS
        if course is not None:
            course.gate.limits.spend(course.now_ns, CONNECTING)
        self._own: dict[str, tuple[Route, Callable[[ApiTurn, Mapping[str, str], Key | None], Any]]] = {
            LOGON.method: (LOGON, self._log_on),
            STATUS.method: (STATUS, self._status),
            LOGOUT.method: (LOGOUT, self._log_out),
            SUBSCRIPTIONS.method: (SUBSCRIPTIONS, self._list_subscriptions),
            SUBSCRIBE.method: (SUBSCRIBE, self._subscribe_by_logon),
            SUBSCRIBE_SIGNED.method: (SUBSCRIBE_SIGNED, self._subscribe_signed),
            UNSUBSCRIBE.method: (UNSUBSCRIBE, self._unsubscribe_user),
        }

    # --- requests ---------------------------------------------------------------------------------------------------

    def take_text(self, raw: bytes) -> None:
        """One request."""
        try:
            message = orjson.loads(raw)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            ApiTurn(self, None, self.wants_limits).reply(None, codes.invalid_data("request"))
            return
        if self.take_lockstep(message):
            return
        request_id = message.get("id")
        if not is_request_id(request_id):
            ApiTurn(self, None, self.wants_limits).reply(None, codes.invalid_data("id"))
            return
        turn = ApiTurn(self, request_id, self.wants_limits)
        try:
            method = message.get("method")
            if not isinstance(method, str):
                raise codes.mandatory("method")
            params = _texts(message.get("params"), raw)
            if "returnRateLimits" in params:
                turn.wants_limits = params["returnRateLimits"] != "false"
            self._serve(turn, method.removeprefix("v3/"), params)
        except VenueRefusal as refusal:
            stranger = turn.course is None
            turn.reply(None, self.door.strangers.refusal(self.address, refusal) if stranger else refusal)
        except Exception:
            log.exception("a request of the WebSocket API failed")
            turn.reply(None, codes.unknown_error())

    def _serve(self, turn: ApiTurn, method: str, params: Mapping[str, str]) -> None:
        own = self._own.get(method)
        handler: Handler | None = None
        if own is not None:
            turn.route = own[0]
        elif method in SWITCHED_OFF:
            raise codes.switched_off()
        elif (route := METHODS.get(method)) is not None:
            turn.route = route
            handler = self.door.handlers.get(method)
        else:
            raise codes.not_supported()
        key = self._admit(turn, params)
        if own is not None:
            found = own[1](turn, params, key)
            if found is not None:
                turn.reply(found, None)
        else:
            cancel = self.door.cancel_of(turn.route)
            turn.run(handler, params, key is not None, params.get("wake", "") if key is not None else "", cancel)

    def _admit(self, turn: ApiTurn, params: Mapping[str, str]) -> Key | None:
        """The checks in the venue's order; the key of a signed request."""
        door, route = self.door, turn.route
        if route.security is NONE:
            turn.enter(self._public_course(params), params)
            return None
        wall_ns = door.wall_now_ns()
        is_by_logon = self.logon is not None and "apiKey" not in params and route is not LOGON
        if is_by_logon and self.logon is not None:
            key = door.key_of(self.logon.api_key, route.security, wall_ns, self.address)
        elif "apiKey" not in params:
            raise codes.mandatory("apiKey")
        else:
            key = door.key_of(params["apiKey"], route.security, wall_ns, self.address)
        if not params.get("timestamp"):
            raise codes.mandatory("timestamp")
        signature = params.get("signature")
        if signature or not is_by_logon:
            if not signature:
                raise codes.mandatory("signature")
            if not is_signed_sorted(door.verifiers.of(key), params, signature):
                raise codes.bad_signature()
        course = door.course_of(key)
        now_ns = turn.enter(course, params)
        course.gate.stamps.check(params["timestamp"], params.get("recvWindow"), now_ns, wall_ns)
        return key

    def _public_course(self, params: Mapping[str, str]) -> GatedCourse:
        key = self.logon or self.key
        api_key = params.get("apiKey") or (key.api_key if key else "")
        return self.door.public_course(api_key, self.session, self.address)

    # --- session.* --------------------------------------------------------------------------------------------------

    def _log_on(self, turn: ApiTurn, params: Mapping[str, str], key: Key | None) -> dict[str, Any]:  # noqa: ARG002 - one form for all methods of the socket
        assert key is not None
        if key.kind == "hmac" and self.door.strict_logon:
            raise codes.hmac_logon()
        self.logon = key
        self._authorized_ms = _now_ms(turn)
        return self._session(turn)

    def _status(self, turn: ApiTurn, params: Mapping[str, str], key: Key | None) -> dict[str, Any]:  # noqa: ARG002 - one form for all methods of the socket
        return self._session(turn)

    def _log_out(self, turn: ApiTurn, params: Mapping[str, str], key: Key | None) -> None:  # noqa: ARG002 - one form for all methods of the socket
        self.logon = None
        self._authorized_ms = None
        turn.reply(self._session(turn), None)
        for subscription_id in sorted(self._by_logon):
            self._end_subscription(subscription_id, _now_ms(turn))

    def _session(self, turn: ApiTurn) -> dict[str, Any]:
        return {
            "apiKey": None if self.logon is None else self.logon.api_key,
            "authorizedSince": self._authorized_ms,
            "connectedSince": self._connected_ms or _now_ms(turn),
            "returnRateLimits": self.wants_limits,
            "serverTime": _now_ms(turn),
            "userDataStream": bool(self.user_subscriptions),
        }

    # --- user streams -----------------------------------------------------------------------------------------------

    def _list_subscriptions(self, turn: ApiTurn, params: Mapping[str, str], key: Key | None) -> list[Any]:  # noqa: ARG002 - one form for all methods of the socket
        return [{"subscriptionId": one} for one in self.user_subscriptions]

    def _subscribe_by_logon(self, turn: ApiTurn, params: Mapping[str, str], key: Key | None) -> None:  # noqa: ARG002 - one form for all methods of the socket
        if self.logon is None:
            raise codes.bad_key()
        wall_ns = self.door.wall_now_ns()
        self._subscribe_user(turn, self.door.key_of(self.logon.api_key, USER_STREAM, wall_ns, self.address), True)

    def _subscribe_signed(self, turn: ApiTurn, params: Mapping[str, str], key: Key | None) -> None:  # noqa: ARG002 - one form for all methods of the socket
        assert key is not None
        self._subscribe_user(turn, key, False)

    def _subscribe_user(self, turn: ApiTurn, key: Key, is_by_logon: bool) -> None:
        """The answer first, then the hub: clients take the next frame for the answer."""
        if any(one.bot == key.bot for one in self.user_subscriptions.values()):
            raise codes.already_subscribed()
        if self._next_id >= MOST_SUBSCRIPTIONS:
            raise codes.too_many_subscriptions()
        if self.door.course_of(key).gate.is_over:
            raise codes.not_subscribed()
        subscription_id = self._next_id
        self._next_id += 1
        self.user_subscriptions[subscription_id] = key
        if is_by_logon:
            self._by_logon.add(subscription_id)
        turn.reply({"subscriptionId": subscription_id}, None)
        self.hub.user_stream(self, key, subscription_id)

    def _unsubscribe_user(self, turn: ApiTurn, params: Mapping[str, str], key: Key | None) -> None:  # noqa: ARG002 - one form for all methods of the socket
        asked = params.get("subscriptionId")
        if asked is None:
            ending = list(self.user_subscriptions)
        else:
            ending = [one for one in self.user_subscriptions if str(one) == asked]
        if not ending:
            raise codes.not_subscribed()
        turn.reply({}, None)
        for subscription_id in ending:
            self._end_subscription(subscription_id, None)

    def _end_subscription(self, subscription_id: int, at_ms: int | None) -> None:
        """`at_ms` where the client did not ask for this end by itself: then it is told."""
        if self.user_subscriptions.pop(subscription_id, None) is None:
            return
        self._by_logon.discard(subscription_id)
        self.hub.end_user_stream(self, subscription_id)
        if at_ms is not None:
            self.send_user(subscription_id, b'{"e":"eventStreamTerminated","E":%d}' % at_ms)


class MicroApiSocket(InMicro, ApiSocket):
    """One whose client wants times in microseconds."""


def _now_ms(turn: ApiTurn) -> int:
    assert turn.course is not None
    return turn.course.now_ns // NS_PER_MS


def _texts(params: Any, raw: bytes) -> dict[str, str]:
    """Parameters as texts by name; numbers as they were written, null as if it were not there."""
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise codes.invalid_data("params")
    if any(_has_fraction(value) for value in params.values()):
        params = json.loads(raw, parse_float=str)["params"]
    return {name: literal(value) for name, value in params.items() if value is not None}


def _has_fraction(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, list | dict) and b"." in orjson.dumps(value))
