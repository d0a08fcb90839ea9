"""Bots and their keys: who may trade on the venue, as whom, and in which session."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

import orjson
from sqlalchemy import Connection, Engine, Row, Select, and_, delete, func, insert, select, update

from gnomon.errors import Conflict, Exhausted, Invalid, NotFound, nearest
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, writing
from gnomon.store.seal import Seal
from gnomon.store.tables import bot_keys, bot_revisions, bots, session_runs, sessions
from gnomon.store.workspaces import EVERY, WORKSPACE, within
from gnomon.units import SECOND_NS

Kind = Literal["strategy", "agent", "remote"]
Tier = Literal["auto", "native", "shim", "unmodified"]
"""How a venue knows that a bot has decided; auto: seen by how it connects."""
Concurrency = Literal["serial", "concurrent"]
"""What is due while a request is open waits for its answer, or is told at once: as its sockets have said last."""
KeyKind = Literal["hmac", "ed25519", "rsa"]
STATUSES: Final = ("active", "disabled", "archived")
PERMISSIONS: Final = ("TRADE", "USER_DATA", "USER_STREAM")

MOST_KEYS: Final = 5
API_KEY_LENGTH: Final = 64
ROTATION_NS: Final = 600 * SECOND_NS
"""How long a rotated key still holds."""
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SMALLEST_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Bot:
    """A saved configuration of a trader. `session` and `entry` say where its keys trade, empty while it is unbound."""

    id: str
    workspace: str
    name: str
    revision: int = 1
    kind: Kind = "remote"
    spec: Mapping[str, Any] = field(default_factory=dict)
    tier: Tier = "auto"
    concurrency: Concurrency = "serial"
    status: str = "active"
    note: str = ""
    session: str = ""
    entry: str = ""
    created_at: int = 0
    updated_at: int = 0

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class BotKey:
    """One key as it is shown: never its secret. `expires_at` is UTC ns, 0 for never."""

    api_key: str
    bot: str
    kind: KeyKind
    public_key: str
    permissions: tuple[str, ...]
    ip_allow: tuple[str, ...]
    expires_at: int
    created_at: int


@dataclass(frozen=True, slots=True)
class OpenKey:
    """One key as the venue's door needs it: `secret` of hmac, or the public key of the others, beside its bot."""

    api_key: str
    kind: KeyKind
    secret: str = field(repr=False)
    bot: str
    workspace: str
    permissions: tuple[str, ...]
    ip_allow: tuple[str, ...]
    expires_at: int
    session: str
    entry: str


class BotStore:
    """The bots of a workspace in a database, or of `EVERY` one, and their keys: those of others are not found. Only a
    store that is given a seal makes and opens secrets."""

    def __init__(self, engine: Engine, seal: Seal | None = None, workspace: str = WORKSPACE) -> None:
        self._engine, self._seal, self._workspace = engine, seal, workspace

    def of(self, workspace: str) -> BotStore:
        """The same for another workspace."""
        return BotStore(self._engine, self._seal, workspace)

    # --- bots ---

    def create(self, bot: Bot, now_ns: int) -> Bot:
        """A new bot at revision 1. `Conflict` where its workspace has one of that name."""
        _check(bot)
        if self._workspace not in (EVERY, bot.workspace):
            raise Invalid(f"a bot of {bot.workspace}", hint=f"this store is that of {self._workspace}")
        with writing(self._engine) as connection:
            taken = select(bots.c.id).where(bots.c.workspace == bot.workspace, bots.c.name == bot.name)
            if connection.execute(taken).first() is not None:
                raise _name_taken(bot.name)
            values = {name: getattr(bot, name) for name in _PLAIN}
            stamps = {"created_at": now_ns, "updated_at": now_ns}
            connection.execute(insert(bots).values(**values, revision=1, session=None, entry=None, **stamps))
            _add_revision(connection, bot.id, 1, bot.spec, now_ns)
            return _bot(self._found(connection, bot.id))

    def get(self, bot_id: str) -> Bot:
        """The bot of an id, or of a name. `NotFound` offers the nearest."""
        with reading(self._engine) as connection:
            named = self._select().where((bots.c.id == bot_id) | (bots.c.name == bot_id))
            row = connection.execute(named).first()
            if row is not None:
                return _bot(row)
            known = connection.execute(within(select(bots.c.name), bots, self._workspace)).scalars()
            close = nearest(bot_id, known)
        raise NotFound(f"no bot {bot_id!r}", hint=f"did you mean {', '.join(close)}?" if close else "it has no bots")

    def all(self, *, session: str = "") -> list[Bot]:
        """By age; those that are bound to a session, where one is named."""
        wanted = self._select()
        if session:
            wanted = wanted.where(bots.c.session == session)
        with reading(self._engine) as connection:
            return [_bot(row) for row in connection.execute(wanted.order_by(bots.c.created_at, bots.c.id))]

    def revise(self, bot_id: str, spec: Mapping[str, Any], now_ns: int) -> Bot:
        """Another spec makes a new revision; an equal one changes nothing."""
        with writing(self._engine) as connection:
            bot = _bot(self._found(connection, bot_id, locked=True))
            if canonical(spec) != canonical(bot.spec):
                _add_revision(connection, bot_id, bot.revision + 1, spec, now_ns)
                _set(connection, bot_id, now_ns, revision=bot.revision + 1)
            return _bot(self._found(connection, bot_id))

    def spec(self, bot_id: str, revision: int) -> Mapping[str, Any]:
        """What a revision said."""
        wanted = select(bot_revisions.c.spec).where(bot_revisions.c.bot == bot_id, bot_revisions.c.revision == revision)
        with reading(self._engine) as connection:
            self._found(connection, bot_id)
            text = connection.execute(wanted).scalar_one_or_none()
        if text is None:
            raise NotFound(f"bot {bot_id} has no revision {revision}", hint="revisions count from 1")
        spec: dict[str, Any] = orjson.loads(text)
        return spec

    def change(self, bot_id: str, now_ns: int, **values: str) -> Bot:
        """Another status, tier, concurrency or note: no new revision."""
        unknown = values.keys() - {"status", "tier", "concurrency", "note"}
        if unknown:
            raise Invalid(
                f"a bot's {', '.join(sorted(unknown))} cannot be changed", hint="status, tier, concurrency, note"
            )
        with writing(self._engine) as connection:
            bot = _bot(self._found(connection, bot_id, locked=True))
            _check(Bot(**{**bot.row(), **values}))
            _set(connection, bot_id, now_ns, **values)
            return _bot(self._found(connection, bot_id))

    # --- binding ---

    def bind(self, bot_id: str, session: str, entry: str, now_ns: int) -> Bot:
        """Its keys trade in this entry of a session from now on. `Conflict` while it has an open run in another, or
        where the entry is another bot's."""
        with writing(self._engine) as connection:
            bot = _bot(self._found(connection, bot_id, locked=True))
            wanted = within(select(sessions.c.id), sessions, bot.workspace).where(sessions.c.id == session)
            if connection.execute(wanted).first() is None:
                raise NotFound(f"no session {session!r}", hint="`gnomon sessions` lists them")
            if (bot.session, bot.entry) != (session, entry):
                _refuse_busy(connection, bot)
            others = and_(bots.c.session == session, bots.c.entry == entry, bots.c.id != bot_id)
            if connection.execute(select(bots.c.id).where(others)).first() is not None:
                raise Conflict(f"entry {entry!r} of {session} has a bot already", hint="unbind that one first")
            _set(connection, bot_id, now_ns, session=session, entry=entry)
            return _bot(self._found(connection, bot_id))

    def unbind(self, bot_id: str, now_ns: int) -> Bot:
        """Its keys are refused from now on. `Conflict` while it has an open run."""
        with writing(self._engine) as connection:
            _refuse_busy(connection, _bot(self._found(connection, bot_id, locked=True)))
            _set(connection, bot_id, now_ns, session=None, entry=None)
            return _bot(self._found(connection, bot_id))

    # --- keys ---

    def add_key(
        self,
        bot_id: str,
        kind: KeyKind,
        now_ns: int,
        *,
        public_key: str = "",
        permissions: Sequence[str] = PERMISSIONS,
        ip_allow: Sequence[str] = (),
        expires_at: int = 0,
    ) -> tuple[BotKey, str]:
        """A new key, and the secret of an hmac one, which nobody is shown again. `Exhausted` beyond five a bot."""
        _check_key(kind, public_key, permissions, expires_at, now_ns)
        with writing(self._engine) as connection:
            self._found(connection, bot_id, locked=True)
            held = select(func.count()).select_from(bot_keys)
            held = held.where(bot_keys.c.bot == bot_id, func.coalesce(bot_keys.c.expires_at, now_ns + 1) > now_ns)
            if connection.execute(held).scalar_one() >= MOST_KEYS:
                raise Exhausted(f"bot {bot_id} has {MOST_KEYS} keys", hint="delete one that is not in use")
            return self._insert(connection, bot_id, kind, public_key, permissions, ip_allow, expires_at, now_ns)

    def rotate_key(self, bot_id: str, api_key: str, now_ns: int, *, public_key: str = "") -> tuple[BotKey, str]:
        """A key in another's place; the old one holds ten minutes more. Of an ed25519 or rsa key a new public key is
        needed."""
        with writing(self._engine) as connection:
            self._found(connection, bot_id, locked=True)
            old = _key(self._found_key(connection, bot_id, api_key))
            _check_key(old.kind, public_key, old.permissions, 0, now_ns)
            if old.expires_at and old.expires_at <= now_ns:
                raise Conflict(f"key {api_key[:8]}… has expired", hint="make a new one")
            last_ns = min(old.expires_at or now_ns + ROTATION_NS, now_ns + ROTATION_NS)
            connection.execute(update(bot_keys).where(bot_keys.c.api_key == api_key).values(expires_at=last_ns))
            return self._insert(
                connection, bot_id, old.kind, public_key, old.permissions, old.ip_allow, old.expires_at, now_ns
            )

    def delete_key(self, bot_id: str, api_key: str) -> None:
        """Refused from now on."""
        with writing(self._engine) as connection:
            self._found_key(connection, bot_id, api_key)
            connection.execute(delete(bot_keys).where(bot_keys.c.api_key == api_key))

    def keys(self, bot_id: str) -> list[BotKey]:
        """Those of a bot, by age; expired ones too."""
        wanted = select(bot_keys).where(bot_keys.c.bot == bot_id).order_by(bot_keys.c.created_at, bot_keys.c.api_key)
        with reading(self._engine) as connection:
            self._found(connection, bot_id)
            return [_key(row) for row in connection.execute(wanted)]

    def open_key(self, api_key: str) -> OpenKey | None:
        """What checks a request's signature and says whose it is, of any workspace: it is the key that says which. None
        where there is no such key, or its bot is not active. Whether it has expired is the caller's to say."""
        wanted = select(bot_keys, bots.c.workspace, bots.c.session, bots.c.entry).join(
            bots, bots.c.id == bot_keys.c.bot
        )
        with reading(self._engine) as connection:
            row = connection.execute(wanted.where(bot_keys.c.api_key == api_key, bots.c.status == "active")).first()
        if row is None:
            return None
        key = _key(row)
        secret = self._sealed().open(row.secret, api_key) if key.kind == "hmac" else key.public_key
        return OpenKey(
            api_key, key.kind, secret, key.bot, row.workspace, key.permissions, key.ip_allow, key.expires_at,
            row.session or "", row.entry or "",
        )  # fmt: skip

    def _insert(
        self,
        connection: Connection,
        bot_id: str,
        kind: KeyKind,
        public_key: str,
        permissions: Sequence[str],
        ip_allow: Sequence[str],
        expires_at: int,
        now_ns: int,
    ) -> tuple[BotKey, str]:
        api_key = _letters()
        secret = _letters() if kind == "hmac" else ""
        sealed = self._sealed().shut(secret, api_key) if secret else ""
        connection.execute(
            insert(bot_keys).values(
                api_key=api_key,
                bot=bot_id,
                kind=kind,
                secret=sealed,
                public_key=public_key,
                permissions=canonical(list(permissions)),
                ip_allow=canonical(list(ip_allow)),
                expires_at=expires_at or None,
                created_at=now_ns,
            )
        )
        return _key(self._found_key(connection, bot_id, api_key)), secret

    def _select(self) -> Select[Any]:
        return within(_SELECT, bots, self._workspace)

    def _found(self, connection: Connection, bot_id: str, *, locked: bool = False) -> Row[Any]:
        """The row of a bot, held until the transaction ends where asked."""
        wanted = self._select().where(bots.c.id == bot_id)
        row = connection.execute(wanted.with_for_update(of=bots) if locked else wanted).first()
        if row is None:
            raise NotFound(f"no bot {bot_id!r}", hint="an id begins with bot_")
        return row

    def _found_key(self, connection: Connection, bot_id: str, api_key: str) -> Row[Any]:
        self._found(connection, bot_id)
        wanted = select(bot_keys).where(bot_keys.c.api_key == api_key, bot_keys.c.bot == bot_id)
        row = connection.execute(wanted).first()
        if row is None:
            raise NotFound(f"bot {bot_id} has no key {api_key[:8]}…", hint="its keys are listed with the bot")
        return row

    def _sealed(self) -> Seal:
        assert self._seal is not None, "this store was opened without a seal"
        return self._seal


def _letters() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(API_KEY_LENGTH))


# --- rows -----------------------------------------------------------------------------------------------------------

_PLAIN: Final = ("id", "workspace", "name", "kind", "tier", "concurrency", "status", "note")
_SELECT: Final = select(bots, bot_revisions.c.spec).join(
    bot_revisions, and_(bot_revisions.c.bot == bots.c.id, bot_revisions.c.revision == bots.c.revision)
)


def _add_revision(connection: Connection, bot_id: str, revision: int, spec: Mapping[str, Any], now_ns: int) -> None:
    values = {"bot": bot_id, "revision": revision, "spec": canonical(dict(spec)), "created_at": now_ns}
    connection.execute(insert(bot_revisions).values(**values))


def _set(connection: Connection, bot_id: str, now_ns: int, **values: Any) -> None:
    connection.execute(update(bots).where(bots.c.id == bot_id).values(updated_at=now_ns, **values))


def _refuse_busy(connection: Connection, bot: Bot) -> None:
    is_open = and_(session_runs.c.bot == bot.id, session_runs.c.ended_at.is_(None))
    run = connection.execute(select(session_runs.c.run, session_runs.c.session).where(is_open)).first()
    if run is not None:
        raise bot_busy(bot.id, run.run, run.session)


def bot_busy(bot_id: str, run: str, session: str) -> Conflict:
    """A bot has at most one open run."""
    return Conflict(
        f"bot {bot_id} is in run {run} of {session}",
        hint=f"stop that session first: gnomon session stop {session}",
        detail={"error": "bot_busy", "bot": bot_id, "run": run, "session": session},
    )


def _bot(row: Row[Any]) -> Bot:
    values = {one.name: getattr(row, one.name) for one in fields(Bot)}
    texts = {name: values[name] or "" for name in ("session", "entry")}
    return Bot(**{**values, **texts, "spec": orjson.loads(row.spec)})


def _key(row: Row[Any]) -> BotKey:
    return BotKey(
        api_key=row.api_key,
        bot=row.bot,
        kind=row.kind,
        public_key=row.public_key,
        permissions=tuple(orjson.loads(row.permissions)),
        ip_allow=tuple(orjson.loads(row.ip_allow)),
        expires_at=row.expires_at or 0,
        created_at=row.created_at,
    )


# --- rules ----------------------------------------------------------------------------------------------------------


def _check(bot: Bot) -> None:
    if not bot.name.strip():
        raise Invalid("a bot without a name", hint="any text that its workspace has not used yet")
    for name, value, allowed in (
        ("kind", bot.kind, get_args(Kind)),
        ("tier", bot.tier, get_args(Tier)),
        ("concurrency", bot.concurrency, get_args(Concurrency)),
        ("status", bot.status, STATUSES),
    ):
        if value not in allowed:
            raise Invalid(f"a bot's {name} is {value!r}", hint=f"one of {', '.join(allowed)}")


def _check_key(kind: str, public_key: str, permissions: Sequence[str], expires_at: int, now_ns: int) -> None:
    if kind not in get_args(KeyKind):
        raise Invalid(f"a key of kind {kind!r}", hint=f"one of {', '.join(get_args(KeyKind))}")
    unknown = [one for one in permissions if one not in PERMISSIONS]
    if unknown or not permissions:
        raise Invalid(f"permissions {list(permissions)}", hint=f"of {', '.join(PERMISSIONS)}, at least one")
    if expires_at and expires_at <= now_ns:
        raise Invalid("the key would have expired before it was made", hint="an instant to come")
    if kind == "hmac" and public_key:
        raise Invalid("an hmac key has no public key", hint="ed25519 and rsa have one; of hmac we make the secret")
    if kind != "hmac":
        _check_public(kind, public_key)


def _check_public(kind: str, text: str) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(
            "the public key is not PEM", hint="the text from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----"
        ) from None
    if not isinstance(found, Ed25519PublicKey if kind == "ed25519" else RSAPublicKey):
        raise Invalid(f"the public key is not of kind {kind}", hint=f"make one: openssl genpkey -algorithm {kind}")
    if isinstance(found, RSAPublicKey) and found.key_size < _SMALLEST_RSA_BITS:
        raise Invalid(f"an RSA key of {found.key_size} bits", hint=f"at least {_SMALLEST_RSA_BITS}")


def _name_taken(name: str) -> Conflict:
    return Conflict(
        f"there is a bot {name!r} already", hint="choose another name", detail={"error": "name_taken", "name": name}
    )
