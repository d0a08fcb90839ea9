"""The operators' paths of the venue, below `/sim/v1`: start, pause, step and stop sessions, and see where they stand.

Whoever calls shows the operator's token. Bots never come here: what a bot may know of its session it asks with its key.

| path | |
|---|---|
| `GET sessions`, `GET sessions/{id}`, `GET sessions/{id}/flow` | where they stand |
| `DELETE sessions/{id}?with_runs=true` | the session, its runs and their journals are gone; its bots stay, unbound |
| `POST sessions/{id}/start`, `pause`, `resume`, `stop` | control |
| `POST sessions/{id}/step` `{"events"}`, `{"by"}`, `{"by_ms"}` or `{"to"}` | on, while it is paused |
| `POST sessions/{id}/seek?to=&mode=fast|jump` | to a time, which is milliseconds or ISO 8601 |
| `PATCH sessions/{id}/pace` `{"pace"}` | lockstep, max, or 0.1 … 10000 |
| `PATCH sessions/{id}/enable`, `disable` | the gate |
| `GET clock`, `POST advance`, `POST pace` | of the one live session, or of `?session=` |
| `GET fleet` | what the runtimes of bots say of themselves |
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import orjson

from gnomon.clock import Clock, Timeframe, iso, parse_instant
from gnomon.errors import Conflict, Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.replay.session import ACTIONS, MILLISECOND_NS, MOVES, Status, move, pace_of
from gnomon.store.sessions import SessionStore, StoredSession
from gnomon.units import INT64_MAX

PREFIX: Final = "/sim/v1/"
LARGEST_BODY: Final = 64 * 1024
STATUSES: Final[Mapping[type[GnomonError], int]] = {
    Invalid: 400, Refused: 403, NotFound: 404, Conflict: 409, Exhausted: 429, Unavailable: 503,
}  # fmt: skip
SEEKS: Final = ("fast", "jump")

Answer = tuple[int, bytes]
State = Mapping[str, Any]


class Conductor(Protocol):
    """One live session. It is only asked for what its status allows, and writes its own moves into the store.

    None of these waits: what takes time goes on after it has answered, and `state` says how far it is.
    """

    def start(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def step(self, *, events: int = 0, by_ns: int = 0, to_ns: int | None = None) -> None:
        """On by so many events, by a time, or to an instant; paused again then."""
        ...

    def set_pace(self, pace: str) -> None:
        """As `pace_of` writes it."""
        ...

    def seek(self, to_ns: int, mode: str) -> None:
        """`fast`: on at full pace until then; `jump`: new runs branch there. `Invalid` outside the window."""
        ...

    def stop(self) -> None: ...

    def state(self) -> State:
        """`status`, `clock` {now (ns as text), progress, speed_measured}, `flow` {state, since, who, event}, `stepping`
        until a step is over, and what else is worth knowing."""
        ...


class Conductors(Protocol):
    """The live sessions of this process."""

    def find(self, session: str) -> Conductor | None: ...

    def open(self, session: StoredSession) -> Conductor:
        """That of a session, made where there is none yet: its data is opened, nothing has begun."""
        ...

    def live(self) -> Sequence[str]:
        """Ids, by age."""
        ...

    def forget(self, session: str, runs: Sequence[str]) -> None:
        """A session that is deleted: nothing of it is held or answered any more, and what is kept of its runs goes."""
        ...


class Control:
    """The handler of every path below `/sim/v1` that takes the operator's token. `sessions` are those of the operator's
    workspace: another's are not found here, whatever is live."""

    def __init__(
        self,
        sessions: SessionStore,
        conductors: Conductors,
        clock: Clock,
        token: str,
        fleet: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        self._sessions, self._conductors, self._clock, self._token = sessions, conductors, clock, token
        self._fleet = fleet

    def __call__(
        self, method: str, path: str, query: str | Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """Status and JSON of one request. `headers` by their names in lower case."""
        try:
            if not self._is_known(headers.get("authorization", "")):
                return 401, orjson.dumps(_UNKNOWN)
            params = dict(parse_qsl(query)) if isinstance(query, str) else dict(query)
            return 200, orjson.dumps(self._answer(method.upper(), path, params, _document(body)))
        except GnomonError as error:
            status = next(found for kind, found in STATUSES.items() if isinstance(error, kind))
            return status, orjson.dumps(error_document(error), option=orjson.OPT_NON_STR_KEYS)

    def _is_known(self, shown: str) -> bool:
        scheme, _, token = shown.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token.encode())

    def _answer(self, method: str, path: str, params: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        parts = path.removeprefix(PREFIX).strip("/").split("/")
        match method, parts:
            case "GET", ["sessions"]:
                return {"items": [self._shown(one) for one in self._sessions.all(limit=500)], "next": None}
            case "GET", ["sessions", name]:
                return self._shown(self._sessions.get(name), with_runs=True)
            case "DELETE", ["sessions", name]:
                return self._delete(self._sessions.get(name), params)
            case "GET", ["sessions", name, "flow"]:
                return self._state(self._sessions.get(name)).get("flow")
            case ("POST", ["sessions", name, action]) if action in _POSTED:
                return self._act(self._sessions.get(name), action, params, body)
            case ("PATCH", ["sessions", name, action]) if action in _PATCHED:
                return self._act(self._sessions.get(name), action, params, body)
            case "GET", ["clock"]:
                return self._clock_of(self._meant(params, body))
            case "POST", ["advance"]:
                return self._clock_of(self._advanced(self._meant(params, body), params, body))
            case "POST", ["pace"]:
                return self._act(self._meant(params, body), "pace", params, body)
            case ("GET", ["fleet"]) if self._fleet is not None:
                return {"items": list(self._fleet()), "next": None}
        raise NotFound(f"no path {method} {path}", hint="see docs/sessions.md for those that there are")

    # --- actions ---

    def _act(self, session: StoredSession, action: str, params: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        """Do it where the table of states says so; what is in effect already is said, and changes nothing."""
        status = self._status(session)
        move(status, action, enabled=session.enabled)
        if action in ("enable", "disable"):
            self._gate(session, status, action)
        elif not _is_in_effect(status, action):
            given = {**params, **body}
            is_resume = action == "start" and status is Status.PAUSED
            _ACTIONS["resume" if is_resume else action](self._conductors.open(session), given)
            if action == "pace":
                self._sessions.change(session.id, self._clock.now_ns(), pace=pace_of(given.get("pace")))
        return self._shown(self._sessions.get(session.id), with_runs=True)

    def _delete(self, session: StoredSession, params: Mapping[str, str]) -> Any:
        runs = self._sessions.delete(session.id, with_runs=_flag(params, "with_runs"))
        self._conductors.forget(session.id, runs)
        return {"id": session.id, "deleted": True, "runs": runs}

    def _gate(self, session: StoredSession, status: Status, action: str) -> None:
        if action == "disable" and status is Status.RUNNING:
            self._conductors.open(session).pause()
        self._sessions.act(session.id, action, self._clock.now_ns())

    def _advanced(self, session: StoredSession, params: Mapping[str, str], body: Mapping[str, Any]) -> StoredSession:
        """An advance is a step; a session that runs is paused first, since two clocks cannot both be right."""
        if self._status(session) is Status.RUNNING:
            self._act(session, "pause", {}, {})
        self._act(session, "step", params, body)
        return self._sessions.get(session.id)

    # --- what is said ---

    def _meant(self, params: Mapping[str, str], body: Mapping[str, Any]) -> StoredSession:
        """The session that is named, or the only live one."""
        named = str(body.get("session") or params.get("session") or "")
        if named:
            return self._sessions.get(named)
        mine = {one.id for one in self._sessions.live()}
        live = [one for one in self._conductors.live() if one in mine]
        if len(live) != 1:
            raise Invalid(
                f"{len(live)} sessions are live: which one is meant?",
                hint=f"?session= one of {', '.join(live)}" if live else "start one first",
                detail={"sessions": list(live)},
            )
        return self._sessions.get(live[0])

    def _state(self, session: StoredSession) -> State:
        conductor = self._conductors.find(session.id)
        return conductor.state() if conductor is not None else {}

    def _status(self, session: StoredSession) -> Status:
        return Status(self._state(session).get("status", session.status))

    def _clock_of(self, session: StoredSession) -> Any:
        state = self._state(session)
        stands = dict(state.get("clock") or {})
        if "now" in stands:
            stands["at"] = iso(int(stands["now"]))
        said = {"status": str(self._status(session)), "stepping": bool(state.get("stepping")), "pace": session.pace}
        return {"session": session.id, **said, **stands}

    def _shown(self, session: StoredSession, *, with_runs: bool = False) -> dict[str, Any]:
        found = {**session.row(), "clock": None, "flow": None, "stepping": False, **self._state(session)}
        found["allowed"] = allowed(Status(found["status"]), session.enabled)
        if with_runs:
            found["runs"] = [one.row() for one in self._sessions.runs(session.id)]
        return found


def allowed(status: Status, enabled: bool) -> list[str]:
    """What an operator can do now that would change something."""
    if not enabled:
        return ["enable"]
    found = (one for one in ACTIONS if (status, one) in MOVES and not _is_in_effect(status, one) and one != "enable")
    return sorted(found)


def error_document(error: GnomonError) -> dict[str, Any]:
    """`{error, message, hint, detail}`; `error` is the narrower name where there is one, such as `bot_busy`."""
    document = error.document()
    detail = dict(document["detail"])
    return {**document, "error": detail.pop("error", document["error"]), "detail": detail}


# --- reading --------------------------------------------------------------------------------------------------------

_POSTED: Final = ("start", "pause", "resume", "step", "seek", "stop")
_PATCHED: Final = ("pace", "enable", "disable")
_UNKNOWN: Final = {
    "error": "unauthenticated",
    "message": "these paths take the operator's token",
    "hint": "Authorization: Bearer and the text of venue.token in GNOMON_HOME",
    "detail": {},
}
_EFFECTS: Final = {
    "start": (Status.STARTING, Status.RUNNING),
    "pause": (Status.PAUSED,),
    "resume": (Status.RUNNING,),
    "stop": (Status.STOPPED,),
}


def _is_in_effect(status: Status, action: str) -> bool:
    return status in _EFFECTS.get(action, ())


def _document(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    if len(body) > LARGEST_BODY:
        raise Invalid(f"a body of {len(body)} bytes", hint=f"at most {LARGEST_BODY}")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON: {error}", hint='e.g. {"events": 1}') from None
    if not isinstance(found, dict):
        raise Invalid("the body is not an object", hint='e.g. {"events": 1}')
    return found


def instant_of(value: Any) -> int:
    """UTC ns of milliseconds since the epoch, or of ISO 8601."""
    text = str(value)
    if text.isascii() and text.isdigit():
        if int(text) > INT64_MAX // MILLISECOND_NS:
            raise Invalid(f"{text} ms is beyond the year 2262", hint="milliseconds since the epoch, or ISO 8601")
        return int(text) * MILLISECOND_NS
    return parse_instant(text)


def _whole(value: Any, name: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or not 0 < int(text) < INT64_MAX:
        raise Invalid(f"{name} is {value!r}", hint="a whole number, 1 or more")
    return int(text)


def _flag(params: Mapping[str, str], name: str) -> bool:
    value = params.get(name, "false")
    if value not in ("true", "false"):
        raise Invalid(f"{name} is {value!r}", hint="true or false")
    return value == "true"


def _start(conductor: Conductor, _given: Mapping[str, Any]) -> None:
    conductor.start()


def _pause(conductor: Conductor, _given: Mapping[str, Any]) -> None:
    conductor.pause()


def _resume(conductor: Conductor, _given: Mapping[str, Any]) -> None:
    conductor.resume()


def _stop(conductor: Conductor, _given: Mapping[str, Any]) -> None:
    conductor.stop()


def _step(conductor: Conductor, given: Mapping[str, Any]) -> None:
    named = [name for name in ("events", "by", "by_ms", "to") if name in given]
    if len(named) > 1:
        raise Invalid(f"a step {' and '.join(named)}", hint="one of events, by, by_ms and to")
    match named[0] if named else "events":
        case "by":
            conductor.step(by_ns=Timeframe.parse(str(given["by"])).nominal_ns)
        case "by_ms":
            conductor.step(by_ns=_whole(given["by_ms"], "by_ms") * MILLISECOND_NS)
        case "to":
            conductor.step(to_ns=instant_of(given["to"]))
        case _:
            conductor.step(events=_whole(given.get("events", 1), "events"))


def _seek(conductor: Conductor, given: Mapping[str, Any]) -> None:
    mode = given.get("mode", SEEKS[0])
    if "to" not in given or mode not in SEEKS:
        raise Invalid(
            "a seek says where to" if "to" not in given else f"mode is {mode!r}",
            hint="?to=2025-03-02&mode=fast or jump",
        )
    conductor.seek(instant_of(given["to"]), str(mode))


def _pace(conductor: Conductor, given: Mapping[str, Any]) -> None:
    conductor.set_pace(pace_of(given.get("pace")))


_ACTIONS: Final[Mapping[str, Callable[[Conductor, Mapping[str, Any]], None]]] = {
    "start": _start, "pause": _pause, "resume": _resume, "step": _step, "seek": _seek, "pace": _pace, "stop": _stop,
}  # fmt: skip
