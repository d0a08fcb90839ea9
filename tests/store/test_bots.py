"""Bots, their revisions, bindings and keys, in the database."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, text

from gnomon.errors import Conflict, Exhausted, Invalid, NotFound
from gnomon.store.bots import MOST_KEYS, ROTATION_NS, Bot, BotStore
from gnomon.store.seal import Seal
from gnomon.store.sessions import SessionStore

BOT = Bot(id="bot_1", workspace="ws_local", name="maker", spec={"b": 1, "a": [2]})
SESSION = {"name": "march", "seed": 2**64 - 1, "pace": "lockstep"}


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.fixture
def store(engine: Engine) -> BotStore:
    made = BotStore(engine, Seal("k" * 32))
    made.create(BOT, 5)
    return made


@pytest.fixture
def sessions(engine: Engine) -> SessionStore:
    made = SessionStore(engine)
    for name in ("ses_1", "ses_2"):
        made.create(name, "[session]", 1, **SESSION)  # type: ignore[arg-type]  # one value of each kind
    return made


def test_a_bot_is_found_by_its_id_and_its_name(store: BotStore) -> None:
    found = store.get("bot_1")
    assert (found.revision, found.spec, found.status, found.session, found.created_at) == (1, BOT.spec, "active", "", 5)
    assert store.get("maker") == found
    assert store.all() == [found]
    with pytest.raises(NotFound) as error:
        store.get("makr")
    assert error.value.hint == "did you mean maker?"


def test_a_name_is_taken_once_in_a_workspace(store: BotStore) -> None:
    with pytest.raises(Conflict) as error:
        store.create(Bot(id="bot_2", workspace="ws_local", name="maker"), 6)
    assert error.value.detail == {"error": "name_taken", "name": "maker"}
    store.of("ws_other").create(Bot(id="bot_2", workspace="ws_other", name="maker"), 6)


def test_another_spec_is_a_new_revision_and_the_old_one_stays(store: BotStore) -> None:
    assert store.revise("bot_1", {"a": [2], "b": 1}, 6).revision == 1  # the same
    assert store.revise("bot_1", {"b": 2}, 7).revision == 2
    assert store.get("bot_1").spec == {"b": 2}
    assert store.spec("bot_1", 1) == BOT.spec
    with pytest.raises(NotFound, match="no revision 3"):
        store.spec("bot_1", 3)


@pytest.mark.parametrize("word", ["kind", "tier", "concurrency", "status"])
def test_a_word_that_a_bot_cannot_have_is_refused(store: BotStore, word: str) -> None:
    with pytest.raises(Invalid, match=f"a bot's {word} is 'odd'"):
        store.create(Bot(**{**BOT.row(), "id": "bot_9", "name": "x", word: "odd"}), 6)


def test_a_bot_changes_without_a_new_revision(store: BotStore) -> None:
    changed = store.change("bot_1", 9, tier="native", note="n")
    assert (changed.tier, changed.note, changed.revision, changed.updated_at) == ("native", "n", 1, 9)
    with pytest.raises(Invalid, match="a bot's name cannot be changed"):
        store.change("bot_1", 9, name="x")


def test_an_hmac_key_opens_to_the_secret_that_was_shown_once(store: BotStore, engine: Engine) -> None:
    key, secret = store.add_key("bot_1", "hmac", 10)
    assert (len(key.api_key), len(secret), key.expires_at) == (64, 64, 0)
    opened = store.open_key(key.api_key)
    assert opened is not None
    assert (opened.secret, opened.bot, opened.workspace, opened.session) == (secret, "bot_1", "ws_local", "")
    assert secret not in repr(opened)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM bot_keys")).all()
    assert secret not in repr(rows)


def test_public_keys_are_kept_as_they_are(store: BotStore) -> None:
    edwards, large = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    for kind, private in (("ed25519", edwards), ("rsa", large)):
        key, secret = store.add_key("bot_1", kind, 10, public_key=pem(private))  # type: ignore[arg-type]  # both are kinds
        opened = store.open_key(key.api_key)
        assert secret == ""
        assert opened is not None
        assert opened.secret == key.public_key == pem(private)
    with pytest.raises(Invalid, match="not of kind rsa"):
        store.add_key("bot_1", "rsa", 10, public_key=pem(edwards))
    with pytest.raises(Invalid, match="not PEM"):
        store.add_key("bot_1", "ed25519", 10, public_key="abc")
    with pytest.raises(Invalid, match="1024 bits"):
        store.add_key("bot_1", "rsa", 10, public_key=pem(rsa.generate_private_key(65537, 1024)))


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("md5", {}, "kind 'md5'"),
        ("hmac", {"public_key": "x"}, "no public key"),
        ("hmac", {"permissions": ["WITHDRAW"]}, "WITHDRAW"),
        ("hmac", {"permissions": []}, "permissions"),
        ("hmac", {"expires_at": 10}, "expired before"),
    ],
)
def test_a_key_that_means_nothing_is_refused(store: BotStore, kind: Any, changes: Any, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        store.add_key("bot_1", kind, 10, **changes)
    assert store.keys("bot_1") == []


def test_a_bot_has_five_keys_at_most_and_expired_ones_do_not_count(store: BotStore) -> None:
    made = [store.add_key("bot_1", "hmac", 10, expires_at=100 if n == 0 else 0)[0] for n in range(MOST_KEYS)]
    with pytest.raises(Exhausted):
        store.add_key("bot_1", "hmac", 11)
    store.add_key("bot_1", "hmac", 100)
    store.delete_key("bot_1", made[1].api_key)
    assert store.open_key(made[1].api_key) is None
    with pytest.raises(NotFound):
        store.delete_key("bot_1", made[1].api_key)
    store.add_key("bot_1", "hmac", 100)


def test_a_rotated_key_holds_ten_minutes_more(store: BotStore) -> None:
    old, _ = store.add_key("bot_1", "hmac", 10, permissions=["USER_DATA"], ip_allow=["10.0.0.1"])
    new, secret = store.rotate_key("bot_1", old.api_key, 20)
    assert (new.permissions, new.ip_allow, new.expires_at) == (("USER_DATA",), ("10.0.0.1",), 0)
    before, after = store.open_key(old.api_key), store.open_key(new.api_key)
    assert before is not None
    assert after is not None
    assert (before.expires_at, after.expires_at, after.secret) == (20 + ROTATION_NS, 0, secret)
    again, _ = store.rotate_key("bot_1", old.api_key, 30)  # does not live longer by being rotated again
    assert [one.expires_at for one in store.keys("bot_1") if one.api_key == old.api_key] == [20 + ROTATION_NS]
    assert again.expires_at == 20 + ROTATION_NS
    with pytest.raises(Conflict, match="has expired"):
        store.rotate_key("bot_1", old.api_key, 20 + ROTATION_NS)


def test_the_key_of_a_bot_that_is_not_active_is_none(store: BotStore) -> None:
    key, _ = store.add_key("bot_1", "hmac", 10)
    store.change("bot_1", 11, status="disabled")
    assert store.open_key(key.api_key) is None
    assert store.open_key("nobody") is None
    store.change("bot_1", 12, status="active")
    assert store.open_key(key.api_key) is not None


def test_a_binding_says_where_keys_trade_and_an_entry_is_one_bots(store: BotStore, sessions: SessionStore) -> None:
    key, _ = store.add_key("bot_1", "hmac", 10)
    assert store.bind("bot_1", "ses_1", "maker", 11).session == "ses_1"
    opened = store.open_key(key.api_key)
    assert opened is not None
    assert (opened.session, opened.entry) == ("ses_1", "maker")
    store.create(Bot(id="bot_2", workspace="ws_local", name="other"), 6)
    with pytest.raises(Conflict, match="has a bot already"):
        store.bind("bot_2", "ses_1", "maker", 12)
    store.bind("bot_2", "ses_1", "taker", 12)
    assert [one.id for one in store.all(session="ses_1")] == ["bot_1", "bot_2"]
    with pytest.raises(NotFound):
        store.bind("bot_2", "ses_9", "maker", 12)
    assert store.unbind("bot_1", 13).session == ""
    assert len(sessions.all()) == 2


def test_a_bot_with_an_open_run_stays_where_it_is(store: BotStore, sessions: SessionStore) -> None:
    store.bind("bot_1", "ses_1", "maker", 11)
    sessions.begin_run("ses_1", "bot_1", "run_1", 12)
    for attempt in (lambda: store.bind("bot_1", "ses_2", "maker", 13), lambda: store.unbind("bot_1", 13)):
        with pytest.raises(Conflict) as error:
            attempt()
        assert error.value.detail == {"error": "bot_busy", "bot": "bot_1", "run": "run_1", "session": "ses_1"}
    sessions.end_run("run_1", "stopped", 14)
    assert store.bind("bot_1", "ses_2", "maker", 15).session == "ses_2"
