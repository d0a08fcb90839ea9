"""The venue of one process: its live sessions, whose keys open which of them, and what their sockets are shown."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from gnomon.errors import Conflict, GnomonError
from gnomon.exchange.exchange import Exchange
from gnomon.jobs.replay import Replays
from gnomon.replay.run import RunPlan
from gnomon.replay.session import Status
from gnomon.serve.venue import codes, market_data, native_calls, order_entry, order_lists, queries
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.call import Call, Handler
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.keys import Key
from gnomon.serve.venue.limits import Limits
from gnomon.serve.venue.place import Place
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.routes import METHODS, TRADE
from gnomon.serve.venue.session import LiveSession
from gnomon.serve.venue.stamps import StampRule
from gnomon.serve.venue.streams import Streams
from gnomon.serve.venue.symbols import Symbols
from gnomon.store.bots import BotStore, Concurrency
from gnomon.store.sessions import SessionStore, StoredSession
from gnomon.wallclock import WallClock

log = logging.getLogger(__name__)

KEY_LIFE_NS: Final = 2_000_000_000
"""How long a key that was read is believed: one that is revoked works no longer than this."""

LIVE: Final = (Status.STARTING, Status.RUNNING, Status.PAUSED)


class Keys:
    """`keys.KeyRing` over the store."""

    def __init__(self, bots: BotStore, clock: WallClock) -> None:
        self._bots = bots
        self._clock = clock
        self._known: dict[str, tuple[int, Key | None]] = {}

    def forget(self) -> None:
        """What was read is not believed any longer."""
        self._known.clear()

    def find(self, api_key: str) -> Key | None:
        known = self._known.get(api_key)
        now_ns = self._clock.now_ns()
        if known is not None and now_ns - known[0] < KEY_LIFE_NS:
            return known[1]
        found = self._bots.open_key(api_key)
        key = None
        if found is not None:
            key = Key(
                found.api_key, found.kind, found.secret, found.bot, found.workspace, frozenset(found.permissions),
                found.expires_at or None, tuple(found.ip_allow), found.session,
            )  # fmt: skip
        if known is not None and known[1] == key:
            key = known[1]  # the same object: what was prepared for it stays
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[api_key] = now_ns, key
        return key


class Venue:
    """Finder of courses, hub of sockets, and keeper of live sessions: `keys.CourseFinder`, `sockets.Hub`,
    `control.Conductors` and `session.Tools` in one."""

    def __init__(self, bots: BotStore, sessions: SessionStore, replays: Replays, clock: WallClock) -> None:
        self.bots = bots
        self.sessions = sessions
        self.replays = replays
        self.clock = clock
        self.keys = Keys(bots, clock)
        plain = {**market_data.HANDLERS, **queries.HANDLERS, **native_calls.VIEWS}
        self.handlers: Mapping[str, Handler] = {
            **plain, **order_entry.HANDLERS, **order_lists.HANDLERS, **native_calls.SENDS
        }  # fmt: skip
        self.door_handlers = {
            name: _logged(name, handler) if METHODS[name].security is TRADE else handler
            for name, handler in self.handlers.items()
        }
        self._live: dict[str, LiveSession] = {}
        self._places: dict[str, Place] = {}  # by bot, those whose runs are open
        self._ended: dict[str, Place] = {}  # by bot, the last one's

    # --- session.Tools ------------------------------------------------------------------------------------------------

    def account(self, plan: RunPlan, exchange: Exchange, run_id: str) -> Account:
        assert exchange.rules is plan.rules
        return Account(exchange, run_id)

    def streams(self, plan: RunPlan, symbols: Symbols) -> Streams:
        return Streams(plan, symbols)

    def gate(self, session: LiveSession, course: Any) -> Gate:
        rules, wall_ns = session.session, self.clock.now_ns()
        stamps = StampRule(rules.time_check, course.now_ns, wall_ns, max(1.0, session.factor))
        return Gate(stamps, Limits(rules.rate_limits, wall_now_ns=self.clock.now_ns))

    def run_opened(self, bot: str, place: Place) -> None:
        self._places[bot] = place
        self._ended.pop(bot, None)

    def run_closed(self, bot: str) -> None:
        place = self._places.pop(bot, None)
        if place is not None:
            self._ended[bot] = place

    # --- control.Conductors -------------------------------------------------------------------------------------------

    def find(self, session: str) -> LiveSession | None:
        return self._live.get(session)

    def open(self, session: StoredSession) -> LiveSession:
        if session.id not in self._live:
            self._live[session.id] = LiveSession(session, self)
        return self._live[session.id]

    def live(self) -> Sequence[str]:
        return [name for name, one in self._live.items() if one.status in LIVE]

    def forget(self, session: str, runs: Sequence[str]) -> None:
        found = self._live.pop(session, None)
        if found is not None:
            found.close()
        self._ended = {bot: one for bot, one in self._ended.items() if one.session != session}
        self.keys.forget()  # its bots are bound to nothing
        for run in runs:
            self.replays.journals.delete(run)

    def restore(self) -> None:
        """Sessions that the last process left behind go on from their inputs; one that cannot ends as failed."""
        for stored in self.sessions.live():
            try:
                self.open(stored).restore(self.sessions.open_runs(stored.id))
            except Exception as error:
                self._live.pop(stored.id, None)
                log.exception("session %s cannot go on", stored.id)
                self._fail(stored, error)

    def _fail(self, stored: StoredSession, error: Exception) -> None:
        reason = error.message if isinstance(error, GnomonError) else f"{type(error).__name__}: {error}"
        now_ns = self.clock.now_ns()
        for row in self.sessions.open_runs(stored.id):
            self.sessions.end_run(row.run, "failed", now_ns, reason=reason[:500])
        action = "timeout" if stored.status is Status.STARTING else "error"
        if stored.status is Status.PAUSED:
            self.sessions.act(stored.id, "resume", now_ns)
        self.sessions.act(stored.id, action, now_ns, reason=reason[:500])

    def close(self) -> None:
        for one in self._live.values():
            one.close()

    # --- keys.CourseFinder --------------------------------------------------------------------------------------------

    def of_key(self, key: Key, lockstep: bool = False) -> Any:
        place = self._places.get(key.bot)
        if place is None:
            ended = self._ended.get(key.bot)
            return ended.course if ended is not None and ended.session == key.session else None
        if lockstep or (place.is_attached and (place.clock is None or place.course.is_begun)):
            return place.course
        session = self._session_of(place)
        if session is not None:
            session.as_unmodified(place)
            if place.clock is None:
                session.attached(place)
        return place.course

    def of_session(self, session: str, workspace: str = "", address: str = "") -> Any:
        found = self._live.get(session)
        return found.bystander(address) if found is not None and workspace in ("", found.workspace) else None

    def single(self, workspace: str = "", address: str = "") -> Any:
        known = [one for one in self._live.values() if workspace in ("", one.workspace)]
        live = [one for one in known if one.status in LIVE] or known
        return live[0].bystander(address) if len(live) == 1 else None

    def choices(self, workspace: str = "") -> str:
        live = [one for one in self._live.values() if one.status in LIVE and workspace in ("", one.workspace)]
        return ", ".join(one.id for one in live) if len({one.workspace for one in live}) == 1 else ""

    def _session_of(self, place: Place) -> LiveSession | None:
        return next((one for one in self._live.values() if place in one.places), None)

    def _meant(self, socket: Any) -> tuple[LiveSession | None, Place | None]:
        """The session and the place that a socket means, by its key, its path, or the only one there is."""
        if socket.key is not None:
            place = self._places.get(socket.key.bot)
            if place is not None:
                return self._session_of(place), place
        found: Any = self.of_session(socket.session) if socket.session else self.single()
        return (found.session if found is not None else None), None

    # --- sockets.Hub --------------------------------------------------------------------------------------------------

    def attach(self, socket: Any) -> None:
        """A socket has opened; one in lock-step takes its place at its bot's clock."""
        session, place = self._meant(socket)
        if socket.lockstep:
            if session is None or place is None or place.clock is None:
                raise VenueRefusal(-1102, "No run in lock-step is open for this key.")
            self._declare(place, socket.lockstep)
            place.clock.attach(socket, socket.resume)
            session.attached(place)
        elif session is not None:
            session.group.sockets.append(socket)

    def _declare(self, place: Place, concurrency: Concurrency) -> None:
        """What a bot's socket says of it is kept with the bot."""
        assert place.clock is not None
        try:
            place.clock.declare(concurrency == "concurrent")
        except GnomonError as error:
            raise VenueRefusal(-1130, f"{error.message}: {error.hint}.") from None
        if place.bot.concurrency != concurrency:
            place.bot = replace(place.bot, concurrency=concurrency)
            self.bots.of(place.bot.workspace).change(place.bot.id, self.clock.now_ns(), concurrency=concurrency)

    def detach(self, socket: Any) -> None:
        for session in self._live.values():
            session.group.detach(socket)
            for place in session.places:
                if place.clock is not None:
                    place.clock.detach(socket)

    def subscribe(self, socket: Any, names: Sequence[str]) -> Sequence[str]:
        """Those that are refused."""
        session, place = self._meant(socket)
        if session is None:
            return list(names)
        if socket.lockstep and place is not None and place.clock is not None:
            return place.clock.subscribe(socket, names)
        return session.group.subscribe(socket, names)

    def unsubscribe(self, socket: Any, names: Sequence[str]) -> None:
        session, place = self._meant(socket)
        if session is None:
            return
        if socket.lockstep and place is not None and place.clock is not None:
            place.clock.unsubscribe(socket, names)
        else:
            session.group.unsubscribe(socket, names)

    def control(self, socket: Any, method: str, params: Any) -> None:
        """ACK, WAKE, TIMER, BYE of a lock-step socket."""
        place = self._places.get(socket.key.bot)
        if place is None or place.clock is None:
            return  # its run is over
        try:
            place.clock.control(method, params if isinstance(params, list) else [])
        except GnomonError as error:
            raise VenueRefusal(-1130, error.message) from None
        except (LookupError, TypeError, ValueError) as error:
            raise VenueRefusal(-1130, f"{method} with params that make no sense: {error}") from None

    def user_stream(self, socket: Any, key: Key, subscription_id: int | None) -> None:
        """The socket hears the user events of the key's bot, under a number, or bare for a listenKey."""
        place = self._places.get(key.bot)
        session = self._session_of(place) if place is not None else None
        if place is None or session is None:
            raise codes.bad_key()
        if place.clock is not None and socket.lockstep:
            place.clock.users.append((socket, subscription_id))
        elif place.clock is None:
            session.group.attach_user(place.run_id, socket, subscription_id)
            if socket not in session.group.sockets:
                session.group.sockets.append(socket)

    def end_user_stream(self, socket: Any, subscription_id: int) -> None:
        for session in self._live.values():
            for place in session.places:
                if place.clock is None:
                    session.group.detach_user(place.run_id, socket, subscription_id)
                else:
                    place.clock.end_user(socket, subscription_id)

    def ponged(self, socket: Any, payload: bytes) -> None:
        for session in self._live.values():
            session.ponged(socket, payload)

    def drained(self, _socket: Any) -> None:
        """Whoever waits for a full socket looks at it again by itself."""

    def sockets_of(self, bot: str) -> int:
        """How many of a bot's sockets are open here."""
        place = self._places.get(bot)
        if place is None:
            return 0
        if place.clock is not None:
            return len(place.clock.sockets)
        session = self._session_of(place)
        return session.group.users_of(place.run_id) if session is not None else 0

    # --- what a native bot asks of its session ------------------------------------------------------------------------

    def plan(self, key: Key) -> bytes:
        """`GET /sim/v1/plan`: what its desk has to know."""
        place = self._places.get(key.bot)
        if place is None:
            raise Conflict("the bot has no open run", hint="launch its session first")
        session = self._session_of(place)
        assert session is not None
        return orjson.dumps(native_calls.plan_document(place.course, session.symbols, session.session.ahead_wakes))


def _logged(name: str, handler: Handler) -> Handler:
    """A handler that may send something: its call is written down before anything comes of it. -2010, -2011, -2038 or
    -2022 where the run is over."""

    def run(call: Call) -> Any:
        course: Any = call.course
        if course.gate.is_over:
            raise codes.closed(name)
        place = getattr(course, "log", None)
        if place is not None and not course.is_reliving:
            limits = course.gate.limits
            place.write("call", course.now_ns, name, call.params, limits.used_weight, limits.raw)
        return handler(call)

    return run
