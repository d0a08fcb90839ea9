"""Health that runtimes report: `POST /api/v1/live/telemetry`, and the fleet that comes of it.

Nothing of it reaches a run: it is kept beside, for people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from gnomon.clock import Clock, iso
from gnomon.errors import GnomonError, Invalid
from gnomon.serve.venue.control import Answer, error_document
from gnomon.store.bots import Bot, BotStore, OpenKey
from gnomon.store.health import Reported, TelemetryStore
from gnomon.units import SECOND_NS

PATH: Final = "/api/v1/live/telemetry"
LARGEST_BODY: Final = 64 * 1024
INTERVAL_S: Final = 2
"""What runtimes are asked to keep to."""
_SOONEST_NS: Final = SECOND_NS
_FRESH: Final = 3
_GONE: Final = 10
_LEAST_GONE_NS: Final = 30 * SECOND_NS
_FULL: Final = 0.8
_REFUSED: Final = 0.1


class TelemetryDoor:
    """Takes the messages of bots, each bot at most once a second, and says how the fleet is.

    `find` says whose a key is; `sockets` how many of a bot's are open here.
    """

    def __init__(
        self,
        store: TelemetryStore,
        bots: BotStore,
        clock: Clock,
        find: Callable[[str], OpenKey | None],
        sockets: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._store, self._bots, self._clock, self._find, self._sockets = store, bots, clock, find, sockets
        self._last_ns: dict[str, int] = {}

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Status and JSON. `headers` by their names in lower case."""
        now_ns = self._clock.now_ns()
        key = self._find(headers.get("x-mbx-apikey", ""))
        if key is None or (key.expires_at and key.expires_at <= now_ns):
            return 401, _refusal("unauthenticated", "no valid key of a bot", "X-MBX-APIKEY: the bot's API key")
        if len(body) > LARGEST_BODY:
            return 413, _refusal("too_large", f"{len(body)} bytes", f"at most {LARGEST_BODY}")
        if now_ns - self._last_ns.get(key.bot, -_SOONEST_NS) < _SOONEST_NS:
            return 429, _refusal("rate_limited", "more than one batch a second", f"one every {INTERVAL_S} s")
        try:
            messages = _messages(body)
            fresh = self._store.keep(key.bot, key.workspace, messages, now_ns)
        except GnomonError as error:
            return 400 if isinstance(error, Invalid) else 503, orjson.dumps(error_document(error))
        self._last_ns[key.bot] = now_ns
        counts = {"accepted": fresh, "duplicates": len(messages) - fresh}
        return 202, orjson.dumps({**counts, "interval_s": INTERVAL_S, "server_time": iso(now_ns)})

    def fleet(self) -> list[dict[str, Any]]:
        """One row for each active bot."""
        active = [one for one in self._bots.all() if one.status == "active"]
        found = self._store.newest([one.id for one in active])
        now_ns = self._clock.now_ns()
        return [self._row(one, found.get(one.id), now_ns) for one in active]

    def _row(self, bot: Bot, last: Reported | None, now_ns: int) -> dict[str, Any]:
        sockets = self._sockets(bot.id)
        said = last.document if last is not None else {}
        return {
            "bot": bot.id,
            "name": bot.name,
            "session": bot.session,
            "entry": bot.entry,
            "state": runtime_state(last, sockets, now_ns),
            "sockets": sockets,
            "run": said.get("run"),
            "queue": said.get("queue"),
            "orders": said.get("orders"),
            "last_error": said.get("last_error"),
            "instance": last.instance if last is not None else "",
            "last_at": iso(last.received_ns) if last is not None else None,
        }


def runtime_state(last: Reported | None, sockets: int, now_ns: int) -> str:
    """`online`, `degraded`, `connecting` or `offline`, of the last message and the sockets that are open.

    A bot that sends no telemetry is known by its sockets alone.
    """
    if last is None:
        return "online" if sockets else "offline"
    age_ns = now_ns - last.received_ns
    if not sockets and age_ns > max(_GONE * INTERVAL_S * SECOND_NS, _LEAST_GONE_NS):
        return "offline"
    if last.state in ("connecting", "starting"):
        return "connecting"
    if last.state in ("offline", "stopped", "failed"):
        return "offline" if not sockets else "degraded"
    if not sockets:
        return "connecting"
    is_late = age_ns > _FRESH * INTERVAL_S * SECOND_NS
    return "degraded" if is_late or last.state != "online" or _is_troubled(last.document) else "online"


def _is_troubled(said: Mapping[str, Any]) -> bool:
    """Whether the figures of a message say that something is wrong, whatever it calls its state."""
    queue, orders, streams = (_table(said, name) for name in ("queue", "orders", "streams"))
    depth, most = _number(queue, "depth"), _number(queue, "max")
    sent = _number(orders, "sent")
    refused = sum(value for value in _table(orders, "rejected").values() if isinstance(value, int))
    market, user = _table(streams, "market"), _table(streams, "user")
    return (
        _number(queue, "overflows") > 0
        or (most > 0 and depth > _FULL * most)
        or (sent > 0 and refused > _REFUSED * sent)
        or any(_number(one, "reconnects") > 0 and _number(one, "uptime_s") < 60 for one in (market, user))
        or (market.get("connected") is True and user.get("connected") is False)
    )


def _table(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = said.get(name)
    return found if isinstance(found, Mapping) else {}


def _number(said: Mapping[str, Any], name: str) -> float:
    found = said.get(name)
    return found if isinstance(found, int | float) else 0


def _messages(body: bytes) -> Sequence[Any]:
    """One message, a list of them, or a list under `messages`."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON: {error}", hint="a message, or a list of them") from None
    if isinstance(found, Mapping):
        found = found.get("messages", [found])
    if not isinstance(found, list):
        raise Invalid("the body is no message", hint="an object, or a list of them")
    return found


def _refusal(code: str, message: str, hint: str) -> bytes:
    return orjson.dumps({"error": code, "message": message, "hint": hint, "detail": {}})
