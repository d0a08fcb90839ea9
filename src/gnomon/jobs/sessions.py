"""A session on the wire, made of its text: its row, a bot for each entry, and the key that each bot signs with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from gnomon.errors import Exhausted, Invalid
from gnomon.jobs.run_ids import new_id
from gnomon.jobs.stage import Stage
from gnomon.replay.session import Drive, Entry, Session, document_of, pace_of, with_plans
from gnomon.store.bots import Bot, BotStore, Tier
from gnomon.store.engine import joined
from gnomon.store.sessions import SessionStore, StoredSession
from gnomon.store.store import Store
from gnomon.store.workspaces import EVERY, WORKSPACE

_SEED_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Seat:
    """Of one entry: the bot that may trade in it, and its key. The secret is shown once."""

    name: str
    bot: str
    api_key: str
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Created:
    """What came of a session's text."""

    session: StoredSession
    seats: tuple[Seat, ...]


def wired(text: str, faults: Sequence[str] = ()) -> tuple[str, Session]:
    """A session's text as the venue plays it, and the session: with a seed, a drive that is not in process, and the
    faults that are named beside it.

    Without `drive` it is lock-step; with a factor for its pace, paced.
    """
    document = document_of(text)
    table = document.setdefault("session", {})
    if not isinstance(table, dict):
        raise Invalid(f"[session] is {table!r}, not a table", hint="see docs/sessions.md for an example")
    pace = pace_of(table.get("pace", "max"))
    table["pace"] = pace
    table.setdefault("drive", Drive.LOCKSTEP.value if pace in ("max", "lockstep") else Drive.PACED.value)
    if table["drive"] == Drive.IN_PROCESS:
        raise Invalid("a session in process is not on the wire", hint='gnomon replay runs it; or drive = "lockstep"')
    if table.get("seed") is None:
        table["seed"] = secrets.randbits(_SEED_BITS)
    document = document_of(with_plans(json.dumps(document, default=str), faults))
    session = Session.of(document)
    names = [one.name for one in session.entries]
    if not names or len(set(names)) < len(names):
        what = "no [[entry]]" if not names else f"two entries of one name: {', '.join(names)}"
        raise Invalid(f"the session has {what}", hint='one [[entry]] with its own name = "…" for each bot')
    return json.dumps(document, default=str), session


def create(
    store: Store,
    bots: BotStore,
    text: str,
    session: Session,
    stage: Stage,
    now_ns: int,
    ports: Sequence[int] = (),
    workspace: str = WORKSPACE,
) -> Created:
    """Keep a session that `wired` has made, whose data is open, all or nothing. With `ports` it is given one.

    `Exhausted` where every port is another session's.
    """
    seed = session.seed
    assert seed is not None, "wired draws one"
    for number, entry in enumerate(session.entries, 1):
        stage.plan(entry, number, seed).config()  # what is refused here would be refused at the start
    sessions, bots = SessionStore(store.engine, workspace), bots.of(workspace)
    with joined(store.engine):
        port = _free_port(SessionStore(store.engine, EVERY), ports) if ports else 0
        kept = sessions.create(
            new_id("ses", now_ns),
            text,
            now_ns,
            name=session.name or ",".join(session.datasets),
            seed=seed,
            pace=session.pace,
            port=port,
        )
        seats = tuple(_seat(bots, kept, entry, now_ns) for entry in session.entries)
    return Created(kept, seats)


def _seat(bots: BotStore, session: StoredSession, entry: Entry, now_ns: int) -> Seat:
    name = entry.name
    bot = Bot(
        id=new_id("bot", now_ns),
        workspace=session.workspace,
        name=f"{name}@{session.id}",
        spec={"entrypoint": entry.trader, "entry": name},
        tier=cast(Tier, entry.tier),
    )
    bots.create(bot, now_ns)
    bots.bind(bot.id, session.id, name, now_ns)
    key, secret = bots.add_key(bot.id, "hmac", now_ns)
    return Seat(name, bot.id, key.api_key, secret)


def _free_port(sessions: SessionStore, ports: Sequence[int]) -> int:
    taken = {one.port for one in sessions.standing()}
    free = next((one for one in ports if one not in taken), None)
    if free is None:
        raise Exhausted(f"all {len(ports)} ports are taken", hint="stop a session, or widen GNOMON_VENUE_PORTS")
    return free
