"""The door of the venue: HTTP/1.1 and WebSockets on one port, the checks of a request in the venue's order.

A request is answered where it is read: no task is made for it. An answer that is due later keeps its turn on the
connection, so that answers leave in the order of their requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from orjson import dumps

from gnomon.clock import Clock
from gnomon.serve.venue import codes, sapi
from gnomon.serve.venue.answers import (
    CONTINUE,
    NO_LIMITS,
    date_line,
    dumped,
    http_answer,
    order_headers,
    refusal_headers,
)
from gnomon.serve.venue.call import LATER, Handler
from gnomon.serve.venue.heads import CHUNKED, LARGEST_HEAD, LINE, Head, Heads, dechunked
from gnomon.serve.venue.keys import CourseFinder, GatedCourse, Key, KeyRing, Verifiers, is_key_text
from gnomon.serve.venue.limits import Strangers
from gnomon.serve.venue.listen_keys import ListenKeys
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.requests import form, signed_payload
from gnomon.serve.venue.routes import NONE, ROUTES, Route
from gnomon.serve.venue.signing import is_signed
from gnomon.serve.venue.sockets import Hub, Socket, SocketRules
from gnomon.serve.venue.time_units import answer_in_micro, is_micro
from gnomon.serve.venue.turns import Turn
from gnomon.serve.venue.upgrade import opened
from gnomon.units import SECOND_NS

log = logging.getLogger(__name__)

MOST_TURNS: Final = 256
"""Requests of one connection that may wait for their answers before we stop reading it."""

STUBS: Final = (b"/sapi/", b"/fapi/", b"/dapi/", b"/eapi/", b"/papi/")
SESSION_PATH: Final = b"/s/"


class PlainRequest(NamedTuple):
    """A request below a prefix of its own (`/sim/v1`, `/api/v1/live`): as it came, for whoever serves that prefix."""

    verb: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]  # names in lower case
    body: bytes
    address: str
    reply: Callable[[int, Any], None]  # status, what JSON says or bytes: for an answer that is given later


Annexe = Callable[[PlainRequest], Any]
"""Answers `(status, what JSON says | bytes)`, or LATER and by `reply`."""

OUTSIDE: Final = Route("annexe", weight=0)


class HttpTurn(Turn):
    """One request's place in the order of answers on its connection."""

    __slots__ = ("answer", "connection", "is_micro", "keeps_alive", "wall_ns")

    def __init__(self, connection: Connection, keeps_alive: bool, wall_ns: int) -> None:
        self.route = OUTSIDE
        self.course = None
        self.wake = ""
        self.counted = 0
        self.is_done = self.is_called = self.is_heard = False
        self.key = ""
        self.n = 0
        self.connection = connection
        self.keeps_alive = keeps_alive
        self.wall_ns = wall_ns
        self.is_micro = False  # the client wants times in microseconds
        self.answer: bytes | None = None

    def give(self, value: Any, refusal: VenueRefusal | None) -> None:
        connection = self.connection
        course = self.course
        limits = NO_LIMITS if course is None else course.gate.limits
        extra = order_headers(limits) if self.counted else b""
        status = 200
        if refusal is not None:
            status = refusal.status
            value = refusal.document()
            extra += refusal_headers(refusal)
        if self.course is not None and self.course.gate.shows_time:
            extra += b"X-Gnomon-Time: %d\r\n" % self.course.now_ns
        if self.n:
            extra += b"X-Gnomon-Wake: %d\r\n" % self.n
        if self.is_micro:
            value = answer_in_micro(self.route.method, value)
        body = value if type(value) is bytes else dumps(value)
        self.answer = http_answer(status, body, self.keeps_alive, connection.door.date_line, limits.used_weight, extra)
        if not connection.is_reading:
            connection.answered()

    def plain(self, status: int, value: Any) -> None:
        """The answer of an annexe."""
        if not self.is_done:
            self.is_done = True
            connection = self.connection
            self.answer = http_answer(status, dumped(value), self.keeps_alive, connection.door.date_line, 0)
            if not connection.is_reading:
                connection.answered()


class Door:
    """What all connections of a venue share. `protocol_factory()` is for `loop.create_server`.

    handlers: by the names of the WebSocket API; those of all owners, merged.
    annexes: by prefix of the path (`/sim/v1`), asked before everything else.
    """

    def __init__(
        self,
        finder: CourseFinder,
        keys: KeyRing,
        handlers: Mapping[str, Handler],
        hub: Hub,
        clock: Clock,
        *,
        rules: SocketRules | None = None,
        annexes: Mapping[str, Annexe] | None = None,
        listen_key: bool = False,
        strict_logon: bool = False,
        idle_s: float = 120.0,
    ) -> None:
        self.finder = finder
        self.keys = keys
        self.hub = hub
        self.wall_now_ns = clock.now_ns
        self.rules = rules or SocketRules()
        self.strict_logon = strict_logon
        self.idle_s = idle_s
        self.listen_keys = ListenKeys(listen_key, clock)
        self.handlers: dict[str, Handler] = {**sapi.HANDLERS, **handlers}
        self.verifiers = Verifiers()
        self.strangers = Strangers(clock.now_ns)
        self.heads = Heads()
        self.connections: set[Connection] = set()
        self.sockets: set[Socket] = set()
        self.date_line = b""
        self.second_ends_ns = 0
        self._annexes = tuple((prefix.encode(), annexe) for prefix, annexe in (annexes or {}).items())
        self.table = {
            verb + b" " + path: (route, self.handlers.get(route.method))
            for (verb, path), route in {**ROUTES, **sapi.ROUTES}.items()
        }
        self._paths = {one.split(b" ")[1] for one in self.table}

    def protocol_factory(self, session: str = "") -> Callable[[], Connection]:
        """Makes the protocols of a port; `session` for a port that means one session."""
        return lambda: Connection(self, session)

    def tell_time(self, wall_ns: int) -> None:
        """The wall's second has changed: another `Date` for the answers from now on."""
        self.second_ends_ns = wall_ns - wall_ns % SECOND_NS + SECOND_NS
        self.date_line = date_line(wall_ns)

    def close(self) -> None:
        """End every connection: sockets with a close frame (1001), the rest at once."""
        for socket in tuple(self.sockets):
            socket.close(1001)
        for connection in tuple(self.connections):
            connection.end()

    # --- whose request it is ----------------------------------------------------------------------------------------

    def key_of(self, api_key: str, security: str, wall_ns: int, address: str) -> Key:
        """The key, permitted for this kind of call; -2014 or -2015."""
        key = self.keys.find(api_key) if api_key else None
        if key is None:
            raise codes.bad_key() if is_key_text(api_key) else codes.bad_key_format()
        if not key.permits(security, wall_ns, address):
            raise codes.bad_key()
        return key

    def course_of(self, key: Key, lockstep: bool = False) -> GatedCourse:
        course = self.finder.of_key(key, lockstep)
        if course is None:  # bound to no session, or disabled
            raise codes.bad_key()
        return course

    def public_course(self, api_key: str, session: str, address: str = "") -> GatedCourse:
        """The market that an unsigned call means: by its key, the session of its path or port, or the only one. Weights
        of calls without a key are counted by the address that they come from."""
        workspace = ""
        if api_key and (key := self.keys.find(api_key)) is not None:
            course = self.finder.of_key(key, True)  # nobody has signed: it is looked at, and its bot has not come
            if course is not None:
                return course
            workspace = key.workspace
        finder = self.finder
        course = finder.of_session(session, workspace, address) if session else finder.single(workspace, address)
        if course is None:
            raise codes.which_session("" if session else finder.choices(workspace))
        return course

    # --- one request ------------------------------------------------------------------------------------------------

    def serve(
        self, turn: HttpTurn, handler: Handler | None, head: Head, session: str, query: bytes, body: bytes
    ) -> None:
        """The checks in their order, then the handler. Raises the refusal that ends the request.

        One function, and few calls: whatever is done here is done for every order.
        """
        route, address = turn.route, turn.connection.address
        params, is_twice = form(query, body)
        wall_ns = turn.wall_ns
        if route.security is NONE:
            turn.enter(self.public_course(head.api_key, session, address), params)
            if is_twice:
                raise codes.duplicate_values()
            turn.run(handler, params, False, "")
            return
        key = self.keys.find(head.api_key) if head.api_key else None
        if key is None or not key.permits(route.security, wall_ns, address):
            key = self.key_of(head.api_key, route.security, wall_ns, address)
        timestamp, signature = params.get("timestamp"), params.get("signature")
        if not route.key_only:  # whose it is comes first: what nobody has signed moves nothing, and costs nothing
            if not timestamp:
                raise codes.mandatory("timestamp")
            if not signature:
                raise codes.mandatory("signature")
            verify, payload = self.verifiers.of(key), signed_payload(query, body)
            if not verify(payload, signature) and not is_signed(verify, payload, signature):
                raise codes.bad_signature()
        course = self.finder.of_key(key)
        if course is None:  # bound to no session, or disabled
            raise codes.bad_key()
        if head.wake:
            params.setdefault("wake", head.wake)  # it stands in the log of inputs, with what was signed
        now_ns = turn.enter(course, params)
        if route.key_only or not timestamp:
            turn.reply(self.listen_keys.answer(route.method, key, params), None)
            return
        course.gate.stamps.check(timestamp, params.get("recvWindow"), now_ns, wall_ns)
        if is_twice:
            raise codes.duplicate_values()
        turn.run(handler, params, True, params.get("wake", ""), self.cancel_of(route))

    def cancel_of(self, route: Route) -> Handler | None:
        """The handler of cancellations, for a replacement."""
        return self.handlers.get("order.cancel") if route.method == "order.cancelReplace" else None

    def found(self, verb_path: bytes, path: bytes) -> tuple[Route, Handler | None]:
        """The method of a path; 404 for one that is not there, 405 for another verb, in JSON both."""
        found = self.table.get(verb_path)
        if found is None:
            if path in self._paths and not path.startswith(STUBS):
                raise VenueRefusal(-1020, "This operation is not supported.", 405)
            raise codes.no_such_path()
        return found

    def annexe_of(self, path: bytes) -> Annexe | None:
        for prefix, annexe in self._annexes:
            if path.startswith(prefix):
                return annexe
        return None


class Connection(asyncio.Protocol):
    """One connection while it speaks HTTP; a WebSocket takes over its transport."""

    def __init__(self, door: Door, session: str) -> None:
        self.door = door
        self.address = ""
        self._session = session
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._turns: deque[HttpTurn] = deque()
        self.is_reading = False  # answers are written all at once, when everything that came is read
        self._is_ending = False  # no request is read any more; the connection closes behind the last answer
        self._is_held = False  # what we write is not taken
        self._is_paused = False  # we do not read
        self._was_heard = False  # since we last looked
        self._was_told_to_go_on = False
        self._idle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- the transport ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, Sequence) and peer else ""
        self._loop = asyncio.get_running_loop()
        self._idle = self._loop.call_later(self.door.idle_s, self._end_when_idle)
        self.door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        self._leave()
        self._transport = None

    def _leave(self) -> None:
        self.door.connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        self._turns.clear()
        self._rest = b""

    def pause_writing(self) -> None:
        self._is_held = True
        self._pace_reading()

    def resume_writing(self) -> None:
        self._is_held = False
        self._pace_reading()

    def _pace_reading(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        is_paused = self._is_held or len(self._turns) > MOST_TURNS
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            if is_paused:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def _end_when_idle(self) -> None:
        assert self._loop is not None
        if self._was_heard or self._turns:
            self._was_heard = False
            self._idle = self._loop.call_later(self.door.idle_s, self._end_when_idle)
        else:
            self.end()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # --- requests ---------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._was_heard = True
        if self._rest:
            data = self._rest + data
            self._rest = b""
        self.is_reading = True
        try:
            self._read(data)
        except VenueRefusal as refusal:  # the bytes are no request: what follows cannot be understood either
            self._refuse(refusal)
        finally:
            self.is_reading = False
        if self._turns:
            self.answered()
            if len(self._turns) > MOST_TURNS:
                self._pace_reading()

    def _read(self, data: bytes) -> None:
        at = 0
        heads = self.door.heads
        known = heads.known.get
        size = len(data)
        while at < size and not self._is_ending:
            if data.startswith(b"\r\n", at):  # empty lines before a request are read over (RFC 9112, section 2.2)
                at += 2
                continue
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                if size - at > LARGEST_HEAD:
                    raise VenueRefusal(-1100, "Illegal characters found in the request.", 431)
                break
            line_end = data.find(b"\r\n", at, end + 2)
            line = LINE.fullmatch(data, at, line_end)
            if line is None or end - at > LARGEST_HEAD:
                raise codes.malformed()
            block = data[line_end:end]
            head = known(block) or heads.read(line.group(), block)
            begin = end + 4
            if head.is_upgrade:
                self._upgrade(line, head, data[begin:])
                return
            length = head.length
            if length == CHUNKED:
                whole = dechunked(data, begin)
                if whole is None:
                    self._await_body(head)
                    break
                body, at_next = whole
            else:
                at_next = begin + length
                if at_next > size:
                    self._await_body(head)
                    break
                body = data[begin:at_next] if length else b""
            self._was_told_to_go_on = False
            at = at_next
            self._take(line, head, body)
        self._rest = data[at:] if at < size and not self._is_ending else b""

    def _await_body(self, head: Head) -> None:
        if head.expects and not self._was_told_to_go_on and not self._turns and self._transport is not None:
            self._was_told_to_go_on = True
            self._transport.write(CONTINUE)

    def _take(self, line: Any, head: Head, body: bytes) -> None:
        """One whole request: its turn, and its answer if it has one already."""
        verb_path, verb, path, query, minor = line.groups()
        keeps_alive = head.keeps_alive and minor == b"1" and verb != b"HEAD"
        if not keeps_alive:
            self._is_ending = True
        door = self.door
        wall_ns = door.wall_now_ns()
        if wall_ns >= door.second_ends_ns:
            door.tell_time(wall_ns)
        turn = HttpTurn(self, keeps_alive, wall_ns)
        self._turns.append(turn)
        try:
            found = door.table.get(verb_path)
            session = self._session
            if found is None:
                session, path = _session_of(path, session)
                if (annexe := door.annexe_of(path)) is not None:
                    self._ask_annexe(annexe, turn, verb, path, query or b"", head, body)
                    return
                found = door.found(verb + b" " + path, path)
            turn.route, handler = found
            if head.time_unit:
                turn.is_micro = is_micro(head.time_unit)
            door.serve(turn, handler, head, session, query or b"", body)
        except VenueRefusal as refusal:
            turn.reply(None, refusal if turn.course is not None else door.strangers.refusal(self.address, refusal))
        except Exception:
            log.exception("a request to %s failed", path.decode("latin-1"))
            turn.reply(None, codes.unknown_error())

    def _ask_annexe(
        self, annexe: Annexe, turn: HttpTurn, verb: bytes, path: bytes, query: bytes, head: Head, body: bytes
    ) -> None:
        path_text = path.decode("latin-1")
        asked = PlainRequest(verb.decode(), path_text, query, head.headers, body, self.address, turn.plain)
        found = annexe(asked)
        if found is not LATER:
            turn.plain(*found)

    def _refuse(self, refusal: VenueRefusal) -> None:
        self._is_ending = True
        wall_ns = self.door.wall_now_ns()
        self.door.tell_time(wall_ns)
        turn = HttpTurn(self, False, wall_ns)
        self._turns.append(turn)
        turn.reply(None, refusal)

    def answered(self) -> None:
        """Write the answers that are due in their order."""
        turns, transport = self._turns, self._transport
        if transport is None or not turns or (answer := turns[0].answer) is None:
            return
        turns.popleft()
        if turns:
            ready = [answer]
            while turns and (answer := turns[0].answer) is not None:
                ready.append(answer)
                turns.popleft()
            transport.write(b"".join(ready))
        else:
            transport.write(answer)
        if self._is_ending and not turns:
            transport.close()
        elif self._is_paused:
            self._pace_reading()

    # --- WebSockets -------------------------------------------------------------------------------------------------

    def _upgrade(self, line: Any, head: Head, rest: bytes) -> None:
        _, verb, path, query, _ = line.groups()
        session, path = _session_of(path, self._session)
        transport = self._transport
        assert transport is not None
        if self._turns:  # an upgrade behind requests that are not answered yet
            raise codes.malformed()
        socket, greeting = opened(self.door, verb, path, query or b"", head, session, self.address)
        self._is_ending = True
        self._leave()
        transport.set_protocol(socket)
        socket.begin(transport, greeting, rest)


def _session_of(path: bytes, session: str) -> tuple[str, bytes]:
    """The session that a path names, and the path below it."""
    if path.startswith(SESSION_PATH):
        named, slash, below = path[len(SESSION_PATH) :].partition(b"/")
        return named.decode("latin-1"), slash + below
    return session, path
