"""What the runtimes of bots say about themselves: kept for operators, read by nothing that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Engine, delete, func, select

from gnomon.errors import Invalid
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import telemetry
from gnomon.units import INT64_MAX

STATES: Final = ("online", "degraded", "connecting", "offline", "stopping", "starting", "stopped", "failed")
MOST: Final = 100
"""Messages in one batch."""
_LONGEST_INSTANCE: Final = 200


@dataclass(frozen=True, slots=True)
class Reported:
    """One message of a runtime. `document` is all that it said, unknown members too."""

    bot: str
    workspace: str
    instance: str
    seq: int
    received_ns: int
    state: str
    document: Mapping[str, Any]


class TelemetryStore:
    """The messages in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, bot: str, workspace: str, messages: Sequence[Mapping[str, Any]], now_ns: int) -> int:
        """Write a batch, all or none; how many were new. `Invalid` names the first that is not a message."""
        rows = [_row(bot, workspace, one, now_ns) for one in messages]
        if not rows or len(rows) > MOST:
            raise Invalid(f"a batch of {len(rows)} messages", hint=f"from 1 to {MOST}")
        fresh = 0
        with writing(self._engine) as connection:
            for row in rows:  # one at a time: a batch may hold the same message twice
                statement = upsert(connection, telemetry).values(**row).on_conflict_do_nothing()
                fresh += connection.execute(statement.returning(telemetry.c.seq)).first() is not None
        return fresh

    def newest(self, bots: Sequence[str]) -> dict[str, Reported]:
        """The last message of each bot that ever sent one, by its id."""
        last = (
            select(telemetry.c.bot, func.max(telemetry.c.received_at).label("at"))
            .where(telemetry.c.bot.in_(bots))
            .group_by(telemetry.c.bot)
            .subquery()
        )
        wanted = select(telemetry).join(last, (telemetry.c.bot == last.c.bot) & (telemetry.c.received_at == last.c.at))
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(telemetry.c.bot, telemetry.c.seq)).all()
        return {row.bot: _reported(row) for row in rows}

    def since(self, bot: str, since_ns: int = 0, limit: int = 500) -> list[Reported]:
        """A bot's messages that came after an instant, in the order of their coming."""
        wanted = select(telemetry).where(telemetry.c.bot == bot, telemetry.c.received_at > since_ns)
        ordered = wanted.order_by(telemetry.c.received_at, telemetry.c.instance, telemetry.c.seq).limit(limit)
        with reading(self._engine) as connection:
            return [_reported(row) for row in connection.execute(ordered)]

    def forget(self, before_ns: int) -> int:
        """Remove what came before an instant; how many."""
        with writing(self._engine) as connection:
            return connection.execute(delete(telemetry).where(telemetry.c.received_at < before_ns)).rowcount


def _row(bot: str, workspace: str, message: Any, now_ns: int) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise Invalid(f"a message is {type(message).__name__}", hint="an object with schema, seq, sent_at and state")
    missing = [name for name in ("schema", "seq", "sent_at", "state") if name not in message]
    if missing:
        raise Invalid(f"a message without {', '.join(missing)}", hint="schema, seq, sent_at and state are needed")
    seq, state, instance = message["seq"], message["state"], message.get("instance", "")
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq <= INT64_MAX:
        raise Invalid(f"seq is {seq!r}", hint="a whole number that each instance counts up")
    if message["schema"] != 1:
        raise Invalid(f"schema is {message['schema']!r}", hint="1")
    if state not in STATES:
        raise Invalid(f"state is {state!r}", hint=f"one of {', '.join(STATES)}")
    if not isinstance(instance, str) or len(instance) > _LONGEST_INSTANCE or "\0" in instance:
        raise Invalid("instance is not a short text", hint="e.g. host-a/4711")
    document = orjson.dumps(message).decode()
    if "\\u0000" in document:
        raise Invalid("a message with a NUL", hint="leave it out")
    values = {"bot": bot, "workspace": workspace, "instance": instance, "seq": seq, "received_at": now_ns}
    return {**values, "state": state, "document": document}


def _reported(row: Any) -> Reported:
    document = orjson.loads(row.document)
    return Reported(row.bot, row.workspace, row.instance, row.seq, row.received_at, row.state, document)
