"""Sessions on the wire: one row each from when it is created, and the runs that bots have in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Select, delete, func, insert, select, update

from gnomon.errors import Conflict, Invalid, NotFound, Refused
from gnomon.replay.session import Status, move
from gnomon.store.bots import bot_busy
from gnomon.store.engine import reading, writing
from gnomon.store.tables import bots, run_labels, runs, session_runs, sessions
from gnomon.store.workspaces import WORKSPACE, starts_within, within

LIVE: Final = (Status.STARTING, Status.RUNNING, Status.PAUSED)
"""A venue that was killed finds its sessions in these."""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """The plan of a replay and where it stands. `spec` is its text, with the seed; instants UTC ns, 0 for not yet."""

    id: str
    workspace: str
    name: str
    status: Status
    enabled: bool
    spec: str
    seed: int
    config: str
    pace: str
    port: int
    reason: str
    created_at: int
    updated_at: int
    started_at: int
    ended_at: int

    def row(self) -> dict[str, Any]:
        """JSON-ready, without the text of the plan."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "spec"}
        return found | {"seed": str(self.seed), "status": str(self.status)}


@dataclass(frozen=True, slots=True)
class SessionRun:
    """One start of a bot in a session: `number` counts the starts, `ended_at` is 0 while it is open."""

    session: str
    number: int
    run: str
    bot: str
    revision: int
    entry: str
    tier: str
    status: str
    reason: str
    parent: str
    branched_at: int
    started_at: int
    ended_at: int

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


class SessionStore:
    """The sessions of a workspace in a database, or of `EVERY` one: those of others are not found."""

    def __init__(self, engine: Engine, workspace: str = WORKSPACE) -> None:
        self._engine, self._workspace = engine, workspace

    def create(
        self,
        session_id: str,
        spec: str,
        now_ns: int,
        *,
        name: str,
        seed: int,
        pace: str,
        port: int = 0,
    ) -> StoredSession:
        """A session that is created and enabled. `Conflict` where the id is taken."""
        workspace = self._workspace or WORKSPACE
        stamps = {"created_at": now_ns, "updated_at": now_ns, "started_at": None, "ended_at": None}
        values = {"id": session_id, "workspace": workspace, "name": name, "spec": spec, "seed": str(seed)}
        values |= {"status": Status.CREATED.value, "config": "", "reason": "", "pace": pace}
        with writing(self._engine) as connection:
            if connection.execute(select(sessions.c.id).where(sessions.c.id == session_id)).first() is not None:
                raise Conflict(f"session {session_id} exists already", hint="each has its own id")
            connection.execute(insert(sessions).values(**values, enabled=1, port=port, **stamps))
            return _session(self._found(connection, session_id))

    def get(self, session_id: str) -> StoredSession:
        """The session of an id, or of the beginning of one. `NotFound`, or `Invalid` where it fits several."""
        beginning = sessions.c.id.startswith(session_id, autoescape=True)
        with reading(self._engine) as connection:
            rows = connection.execute(self._select().where(beginning).order_by(sessions.c.id).limit(6)).all()
        if not rows or len(session_id) < _SHORTEST:
            raise NotFound(f"no session {session_id!r}", hint="`gnomon sessions` lists them")
        if len(rows) > 1 and rows[0].id != session_id:
            known = ", ".join(row.id for row in rows[:5])
            raise Invalid(f"{session_id!r} is the beginning of several sessions", hint=f"write more of it: {known}")
        return _session(rows[0])

    def all(self, *, statuses: Sequence[Status] = (), limit: int = 50) -> list[StoredSession]:
        """The newest first."""
        wanted = self._select()
        if statuses:
            wanted = wanted.where(sessions.c.status.in_([one.value for one in statuses]))
        newest = wanted.order_by(sessions.c.created_at.desc(), sessions.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [_session(row) for row in connection.execute(newest)]

    def live(self) -> list[StoredSession]:
        """Those that a venue has to go on with, the oldest first."""
        wanted = self._select().where(sessions.c.status.in_([one.value for one in LIVE]))
        with reading(self._engine) as connection:
            return [_session(row) for row in connection.execute(wanted.order_by(sessions.c.created_at, sessions.c.id))]

    def standing(self) -> list[StoredSession]:
        """Those that are not over: created, or live."""
        wanted = self._select().where(sessions.c.status.in_([one.value for one in (Status.CREATED, *LIVE)]))
        with reading(self._engine) as connection:
            return [_session(row) for row in connection.execute(wanted.order_by(sessions.c.created_at, sessions.c.id))]

    def of_port(self, port: int) -> str:
        """The session that a port of its own means now: the newest of those that are not over. Empty for none."""
        return next((one.id for one in reversed(self.standing()) if one.port == port), "")

    def act(self, session_id: str, action: str, now_ns: int, *, reason: str = "", config: str = "") -> StoredSession:
        """The session after an action or an event: `replay.session.move`, in one transaction with the row.

        `Conflict` where the status has no such move, `Refused` while it is disabled. `config` is written by the first
        start and never again.
        """
        with writing(self._engine) as connection:
            before = _session(self._found(connection, session_id, locked=True))
            after = move(before.status, action, enabled=before.enabled)
            values: dict[str, Any] = {"status": after.value, "updated_at": now_ns}
            if action in ("enable", "disable"):
                values["enabled"] = int(action == "enable")
            if after is not before.status:
                values |= {"reason": reason, **_stamps(before, after, now_ns)}
            if config and not before.config:
                values["config"] = config
            connection.execute(update(sessions).where(sessions.c.id == session_id).values(**values))
            return _session(self._found(connection, session_id))

    def change(
        self, session_id: str, now_ns: int, *, name: str | None = None, pace: str | None = None
    ) -> StoredSession:
        """Another name or pace: what stays editable after the first start."""
        given = {"name": name, "pace": pace}
        values = {key: value for key, value in given.items() if value}
        with writing(self._engine) as connection:
            self._found(connection, session_id, locked=True)
            connection.execute(update(sessions).where(sessions.c.id == session_id).values(updated_at=now_ns, **values))
            return _session(self._found(connection, session_id))

    def delete(self, session_id: str, *, with_runs: bool = False) -> list[str]:
        """Gone, with its runs; their ids, for whoever keeps journals. `Conflict` where it has runs and `with_runs` is
        not said, or where its status does not let it."""
        with writing(self._engine) as connection:
            before = _session(self._found(connection, session_id, locked=True))
            move(before.status, "delete")
            wanted = select(session_runs.c.run).where(session_runs.c.session == session_id)
            found = list(connection.execute(wanted.order_by(session_runs.c.number)).scalars())
            if found and not with_runs:
                raise Conflict(
                    f"session {session_id} has {len(found)} runs",
                    hint="say that they go too: ?with_runs=true",
                    detail={"error": "has_runs", "runs": found[:20]},
                )
            connection.execute(delete(session_runs).where(session_runs.c.session == session_id))
            connection.execute(delete(run_labels).where(run_labels.c.run.in_(found)))
            connection.execute(delete(runs).where(runs.c.id.in_(found)))
            connection.execute(update(bots).where(bots.c.session == session_id).values(session=None, entry=None))
            connection.execute(delete(sessions).where(sessions.c.id == session_id))
        return found

    # --- runs ---

    def begin_run(
        self, session_id: str, bot_id: str, run: str, now_ns: int, *, parent: str = "", branched_at: int = 0
    ) -> SessionRun:
        """The next start of a bot, in the entry that it is bound to. `Conflict` where it has an open run, or is bound
        elsewhere; `Refused` where it or the session is disabled."""
        with writing(self._engine) as connection:
            bot = connection.execute(select(bots).where(bots.c.id == bot_id).with_for_update()).first()
            session = _session(self._found(connection, session_id, locked=True))
            _check_start(session, bot, bot_id)
            assert bot is not None
            opened = _open_ones().where(session_runs.c.bot == bot_id)
            if (other := connection.execute(opened).first()) is not None:
                raise bot_busy(bot_id, other.run, other.session)
            last = select(func.max(session_runs.c.number)).where(session_runs.c.session == session_id)
            number = (connection.execute(last).scalar() or 0) + 1
            connection.execute(
                insert(session_runs).values(
                    session=session_id,
                    number=number,
                    run=run,
                    bot=bot_id,
                    revision=bot.revision,
                    entry=bot.entry,
                    tier=bot.tier,
                    status="pending",
                    reason="",
                    parent=parent or None,
                    branched_at=branched_at if parent else None,
                    started_at=now_ns,
                    ended_at=None,
                )
            )
            return _run(self._found_run(connection, run))

    def set_run(self, run: str, status: str, *, reason: str = "", tier: str = "") -> SessionRun:
        """Where an open run stands: running, paused, stalled, finalising."""
        values = {"status": status, "reason": reason, **({"tier": tier} if tier else {})}
        with writing(self._engine) as connection:
            self._found_run(connection, run)
            connection.execute(update(session_runs).where(session_runs.c.run == run).values(**values))
            return _run(self._found_run(connection, run))

    def end_run(self, run: str, status: str, now_ns: int, *, reason: str = "", tier: str = "") -> SessionRun:
        """Completed, stopped or failed; its bot may start another. Ending it again changes nothing."""
        if status not in _ENDS:
            raise Invalid(f"a run cannot end {status!r}", hint=f"one of {', '.join(_ENDS)}")
        with writing(self._engine) as connection:
            self._found_run(connection, run)
            is_open = (session_runs.c.run == run) & session_runs.c.ended_at.is_(None)
            values = {"status": status, "reason": reason, "ended_at": now_ns, **({"tier": tier} if tier else {})}
            connection.execute(update(session_runs).where(is_open).values(**values))
            return _run(self._found_run(connection, run))

    def runs(self, session_id: str) -> list[SessionRun]:
        """All starts, in order."""
        wanted = select(session_runs).where(session_runs.c.session == session_id).order_by(session_runs.c.number)
        wanted = starts_within(wanted, self._workspace)
        with reading(self._engine) as connection:
            return [_run(row) for row in connection.execute(wanted)]

    def of_run(self, run: str) -> SessionRun | None:
        """The start that a run came of; None for one that no session on the wire has."""
        with reading(self._engine) as connection:
            wanted = starts_within(select(session_runs).where(session_runs.c.run == run), self._workspace)
            row = connection.execute(wanted).first()
        return None if row is None else _run(row)

    def open_runs(self, session_id: str = "") -> list[SessionRun]:
        """Those that are not over, of a session or of all."""
        wanted = starts_within(_open_ones(), self._workspace)
        if session_id:
            wanted = wanted.where(session_runs.c.session == session_id)
        with reading(self._engine) as connection:
            return [_run(row) for row in connection.execute(wanted)]

    def _select(self) -> Select[Any]:
        return within(select(sessions), sessions, self._workspace)

    def _found(self, connection: Connection, session_id: str, *, locked: bool = False) -> Row[Any]:
        wanted = self._select().where(sessions.c.id == session_id)
        row = connection.execute(wanted.with_for_update() if locked else wanted).first()
        if row is None:
            raise NotFound(f"no session {session_id!r}", hint="`gnomon sessions` lists them")
        return row

    def _found_run(self, connection: Connection, run: str) -> Row[Any]:
        wanted = starts_within(select(session_runs).where(session_runs.c.run == run), self._workspace)
        row = connection.execute(wanted).first()
        if row is None:
            raise NotFound(f"no session has a run {run!r}", hint="runs of `gnomon replay` belong to none")
        return row


_SHORTEST: Final = 5
_ENDS: Final = ("completed", "stopped", "failed")


def _stamps(before: StoredSession, after: Status, now_ns: int) -> Mapping[str, int | None]:
    if after is Status.STARTING:
        return {"started_at": now_ns, "ended_at": None}
    return {"ended_at": now_ns} if after not in LIVE and before.status in LIVE else {}


def _check_start(session: StoredSession, bot: Row[Any] | None, bot_id: str) -> None:
    if bot is None or bot.workspace != session.workspace:
        raise NotFound(f"no bot {bot_id!r}", hint="an id begins with bot_")
    if not session.enabled:
        raise Refused(
            f"session {session.id} is disabled",
            hint="enable it first",
            detail={"error": "session_disabled", "session": session.id},
        )
    if bot.status != "active":
        raise Refused(f"bot {bot_id} is {bot.status}", hint="make it active first", detail={"error": "bot_disabled"})
    if bot.session != session.id:
        raise Conflict(f"bot {bot_id} is not bound to {session.id}", hint="bind it to one of its entries")


def _open_ones() -> Any:
    return (
        select(session_runs)
        .where(session_runs.c.ended_at.is_(None))
        .order_by(session_runs.c.session, session_runs.c.number)
    )


def _session(row: Row[Any]) -> StoredSession:
    values = {one.name: getattr(row, one.name) for one in fields(StoredSession)}
    values |= {name: values[name] or 0 for name in ("started_at", "ended_at")}
    return StoredSession(
        **{**values, "status": Status(row.status), "enabled": bool(row.enabled), "seed": int(row.seed)}
    )


def _run(row: Row[Any]) -> SessionRun:
    values = {one.name: getattr(row, one.name) for one in fields(SessionRun)}
    return SessionRun(
        **{
            **values,
            "parent": values["parent"] or "",
            **{name: values[name] or 0 for name in ("branched_at", "ended_at")},
        }
    )
