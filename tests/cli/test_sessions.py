"""Sessions on the command line: made with keys that open, controlled over real HTTP, shown without a venue too."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve.venue.rows import Rows
from typer.testing import CliRunner, Result

from gnomon.cli.main import app
from gnomon.cli.sessions import TOKEN_FILE, bots_of
from gnomon.clock import SimClock
from gnomon.replay.session import Session
from gnomon.serve.venue.control import Control
from gnomon.settings import Settings
from gnomon.store.engine import open_engine
from gnomon.store.sessions import SessionStore

SPEC = """
[session]
dataset = "BTCUSDT-1h"
name = "week"
pace = "lockstep"

[rules]
balances = { USDT = "10000" }

[[entry]]
name = "one"

[[entry]]
name = "two"
trader = "sma_cross"
balances = { USDT = "500" }
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "home"))
    for name in ("GNOMON_DATABASE_URL", "GNOMON_INSTRUMENTS", "GNOMON_VENUE_URL", "GNOMON_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    times = (np.datetime64("2024-01-01T00:00") + np.arange(48) * np.timedelta64(1, "h")).astype(str)
    rows = [f"{at},100.00,101.00,99.00,100.50,5" for at in times]
    Path("BTCUSDT-1h.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    Path("week.toml").write_text(SPEC)
    run("import", "BTCUSDT-1h.csv")
    return tmp_path / "home"


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result


def document(*words: str, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code).stdout)


def store() -> SessionStore:
    return SessionStore(open_engine(Settings.load().url))


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The control paths behind a real HTTP server, with conductors that move rows."""
    settings = Settings.load()
    from gnomon.cli.sessions import token_of

    sessions = store()
    control = Control(sessions, Rows(sessions), SimClock(100), token_of(settings))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, text = control(self.command, path, query, body, headers)
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names are the server's

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GNOMON_VENUE_URL", f"http://127.0.0.1:{server.server_port}")
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(60)
    server.server_close()


def test_a_session_is_created_with_a_bot_and_a_key_for_each_entry(home: Path) -> None:
    made = document("session", "create", "week.toml")
    assert made["base_url"] == f"http://127.0.0.1:3001/s/{made['id']}"
    assert made["ws_url"] == f"ws://127.0.0.1:3001/s/{made['id']}"
    assert [one["name"] for one in made["bots"]] == ["one", "two"]
    bots = bots_of(Settings.load(), open_engine(Settings.load().url))
    for one in made["bots"]:
        key = bots.open_key(one["api_key"])
        assert key is not None
        assert (key.secret, key.session, key.entry) == (one["api_secret"], made["id"], one["name"])
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    kept = store().get(made["id"])
    assert (kept.name, str(kept.status), kept.pace) == ("week", "created", "lockstep")
    assert Session.parse(kept.spec).seed == kept.seed  # drawn, and part of the text from now on
    again = document("session", "create", "week.toml")
    assert again["id"] != made["id"]


def test_words_for_people_tell_the_secret_once() -> None:
    said = run("session", "create", "week.toml").stderr
    assert "api secret" in said
    assert "gnomon session launch ses_" in said
    assert not run("sessions").stdout.count("api")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('pace = "lockstep"', 'drive = "inprocess"'), "not on the wire"),
        (('name = "two"', 'name = "one"'), "two entries of one name"),
        (('pace = "lockstep"', 'pace = "warp"'), "pace is 'warp'"),
        (('"BTCUSDT-1h"', '"nowhere"'), "nowhere"),
        (('balances = { USDT = "10000" }', ""), "has no balance"),
        (('name = "week"', 'nam = "week"'), "did you mean name"),
    ],
)
def test_a_fault_of_the_text_is_said_and_leaves_nothing(change: tuple[str, str], words: str) -> None:
    Path("week.toml").write_text(SPEC.replace(*change))
    assert words in run("session", "create", "week.toml", code=1).stderr
    assert document("sessions") == {"sessions": []}
    assert "no session file" in run("session", "create", "absent.toml", code=1).stderr


def test_a_factor_is_paced_and_nothing_said_is_lockstep() -> None:
    for pace, drive in (('pace = "60"', "paced"), ("", "lockstep"), ('pace = "max"', "lockstep")):
        Path("week.toml").write_text(SPEC.replace('pace = "lockstep"', pace))
        made = document("session", "create", "week.toml")
        assert str(Session.parse(store().get(made["id"]).spec).drive) == drive


def test_sessions_are_given_ports_of_their_own_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_VENUE_PORTS", "3001-3003")
    urls = [document("session", "create", "week.toml")["base_url"] for _ in range(2)]
    assert urls == ["http://127.0.0.1:3002", "http://127.0.0.1:3003"]
    assert document("session", "create", "week.toml", code=1)["error"] == "exhausted"


def test_a_session_is_launched_paused_stepped_and_stopped_over_http(venue: str) -> None:
    name = document("session", "create", "week.toml")["id"]
    assert document("session", "launch", name)["status"] == "running"
    assert document("session", "pause", name, "--venue", venue)["status"] == "paused"
    assert document("session", "step", name)["status"] == "paused"
    assert document("session", "step", name, "--by", "1h")["status"] == "paused"
    assert document("session", "seek", name, "2024-01-01T12:00")["clock"]["progress"] == 0.5
    assert document("session", "pace", name, "max")["pace"] == "max"
    assert document("session", "resume", name)["status"] == "running"
    assert "running at 2025-03-01T00:00:00Z, pace max - flowing" in run("session", "show", name).stderr
    refused = document("session", "step", name, code=1)
    assert (refused["error"], refused["detail"]["error"]) == ("conflict", "illegal_transition")
    assert document("session", "stop", name[:12])["status"] == "stopped"
    assert "stopped" in run("sessions", "--status", "stopped").stdout
    assert document("sessions", "--status", "running")["sessions"] == []


@pytest.mark.usefixtures("venue")
def test_a_session_is_deleted_once_it_is_stopped() -> None:
    name = document("session", "create", "week.toml")["id"]
    document("session", "launch", name)
    assert document("session", "delete", name, code=1)["detail"]["error"] == "illegal_transition"
    document("session", "stop", name)
    assert document("session", "delete", name, "--with-runs") == {"id": name, "deleted": True, "runs": []}
    assert document("session", "show", name, code=1)["error"] == "not_found"
    other = document("session", "create", "week.toml")["id"]
    assert "is gone, with 0 runs" in run("session", "delete", other).stderr
    assert document("sessions") == {"sessions": []}


@pytest.mark.usefixtures("venue")
def test_a_step_is_waited_for_repeated_and_given_up() -> None:
    name = document("session", "create", "week.toml")["id"]
    document("session", "launch", name)
    document("session", "pause", name)
    assert not document("session", "step", name)["stepping"]
    assert not document("session", "step", name, "--by", "1h", "--count", "3")["stepping"]
    late = document("session", "step", name, "--to", "2024-01-02", "--timeout", "0.2", code=1)
    assert late["error"] == "unavailable"
    assert late["message"] == "the step is not over after 0.2 s: flowing"
    assert late["detail"]["session"] == name
    assert document("session", "step", name, "--to", "2024-01-02", "--count", "2", code=1)["error"] == "invalid"


@pytest.mark.usefixtures("venue")
def test_a_stranger_with_another_token_is_refused(home: Path) -> None:
    name = document("session", "create", "week.toml")["id"]
    (home / TOKEN_FILE).write_text("other\n")
    assert document("session", "launch", name, code=1)["detail"]["error"] == "unauthenticated"


def test_without_a_venue_a_session_is_shown_and_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_VENUE_URL", "http://127.0.0.1:9")
    name = document("session", "create", "week.toml")["id"]
    assert document("session", "show", name)["status"] == "created"
    refused = document("session", "launch", name, code=1)
    assert (refused["error"], refused["hint"][:20]) == ("unavailable", "`gnomon serve venue`")
    assert document("session", "show", "ses_9", code=1)["error"] == "not_found"
    assert document("sessions", "--status", "odd", code=1)["error"] == "invalid"
