"""Closed loops of bots in processes of their own, run again by `gnomon certify`: a real client as it is, in lock-step,
is measured and promised nothing; under the shim, or by Pulse, it is certified.

Two runs by default; GNOMON_REPEATS asks for more.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.clients.environments import client_python
from tests.clients.scene import DATASET, Venue

from gnomon.cli.certify import told
from gnomon.jobs.sessions import Seat
from gnomon.store.bots import BotStore
from gnomon.store.engine import open_engine

SOURCES = str(Path(__file__).parents[2] / "src")
REPEATS = int(os.environ.get("GNOMON_REPEATS", "2"))
PATIENCE_S = 120
SPEC = f"""
[session]
dataset = "{DATASET}"
from = "2024-03-01T02:00:00Z"
to = "2024-03-01T02:08:00Z"
timeframe = "1m"
seed = 7
pace = "lockstep"

[rules]
fees = {{ maker = "0.001", taker = "0.001" }}
latency = {{ feed = {{ const_ms = 5 }}, entry = {{ const_ms = 10 }}, reply = {{ const_ms = 15 }} }}
balances = {{ USDT = "100000", BTC = "1" }}

[[entry]]
name = "other"

[[entry]]
name = "bot"
tier = "TIER"
"""

PYTHON_BINANCE = """
import asyncio, os
from binance import AsyncClient, BinanceSocketManager
async def main():
    client = AsyncClient(os.environ["GNOMON_API_KEY"], os.environ["GNOMON_API_SECRET"])
    client.API_URL = os.environ["GNOMON_VENUE_URL"] + "/api"
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = os.environ["GNOMON_VENUE_WS_URL"] + "/"
    assert len((await client.get_account())["balances"]) == 2
    async with sockets.kline_socket("BTCUSDT", interval="1m") as stream:
        bars = 0
        while True:
            bar = (await stream.recv())["k"]
            if bar["x"]:
                bars += 1
                side = "BUY" if bars % 2 else "SELL"
                await client.create_order(symbol="BTCUSDT", side=side, type="MARKET", quantity="0.01")
asyncio.run(main())
"""

STRATEGY = """
from gnomon.trader.trader import Strategy


class Turns(Strategy):
    def on_start(self, desk):
        self.n = 0

    def on_bar(self, desk, bar):
        self.n += 1
        if self.n % 2:
            desk.buy(0, usd=500 + self.n)
        elif desk.position(0):
            desk.sell(0)
"""


class Room:
    """A session of two entries, of which one has a bot."""

    def __init__(self, venue: Venue, tier: str = "auto") -> None:
        self.venue = venue
        spec = venue.home / f"repeats-{time.monotonic_ns()}.toml"
        spec.write_text(SPEC.replace("TIER", tier))
        self.made = venue.verb("session", "create", str(spec))
        other, bot = self.made["bots"]
        BotStore(open_engine(f"sqlite:///{venue.home / 'gnomon.db'}")).unbind(other["bot"], time.time_ns())
        seat = Seat("bot", bot["bot"], bot["api_key"], bot["api_secret"])
        self.environment = venue.environment | {"PYTHONPATH": SOURCES} | told(self.made["base_url"], seat)

    def run(self, words: Sequence[str]) -> Any:
        """The run of one start of a bot, as `session show` tells it."""
        self.venue.verb("session", "launch", self.made["id"])
        until = time.monotonic() + PATIENCE_S
        with (self.venue.home / "bot.log").open("w") as log:
            bot = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)
            try:
                while self.status() in ("starting", "running"):
                    assert time.monotonic() < until, (self.venue.home / "bot.log").read_text() + self.venue.said()
                    time.sleep(0.1)
            finally:
                bot.kill()
                bot.wait(60)
        shown = self.shown()
        assert shown["status"] == "completed", shown
        return shown["runs"][-1]

    def status(self) -> str:
        """Where the session stands, asked of the venue itself."""
        url = f"http://127.0.0.1:{self.venue.port}/sim/v1/sessions/{self.made['id']}"
        token = (self.venue.home / "venue.token").read_text().strip()
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return str(json.load(answer)["status"])

    def shown(self) -> Any:
        return self.venue.verb("session", "show", self.made["id"])

    def ask(self, run: str, *words: str, code: int = 0, repeats: int = REPEATS) -> Any:
        command = [sys.executable, "-m", "gnomon.cli", "certify", run, *words, "--repeats", str(repeats), "--json"]
        environment = self.venue.environment | {"PYTHONPATH": SOURCES}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == code, done.stdout + done.stderr + self.venue.said()
        return json.loads(done.stdout)

    def certify(self, run: str, *words: str, code: int = 0, repeats: int = REPEATS) -> Any:
        """What the verb answers, which is what is shown from then on."""
        found = self.ask(run, *words, code=code, repeats=repeats)
        shown = next(one for one in self.shown()["runs"] if one["run"] == run)
        assert shown["label"] == found["label"], "what was found is what is shown"
        return found


def pulse_in(folder: Path) -> Path:
    """The configuration of a bot that Pulse runs, which does not say where its venue is."""
    (folder / "turns.py").write_text(STRATEGY)
    run = {"symbol": "BTCUSDT", "interval": "1m", "health_port": 0}
    path = folder / "pulse.json"
    path.write_text(json.dumps({"strategy_name": "turns:Turns", "strategy_paths": [str(folder)], "run": run}))
    return path


@pytest.mark.slow
def test_an_unmodified_client_in_lock_step_is_measured_and_stays_replayable(
    venue: Venue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "bot.py"
    script.write_text(PYTHON_BINANCE)
    words = [str(client_python("python-binance")), str(script)]
    room = Room(venue, tier="unmodified")
    run = room.run(words)
    assert run["tier"] == "unmodified"
    found = room.certify(run["run"], "--command", shlex.join(words), code=1)
    label = found["label"]
    with capsys.disabled():
        measured = f"{label['equal']} of {label['repeats']} equal"
        sys.stdout.write(f"\npython-binance, unmodified, in lock-step: {measured}\n")
    assert label["label"] == "replayable"
    assert "how often it repeats is measured, never promised" in label["reason"]
    assert "the wall's clock alone let a request of it pass" in label["reason"], "its stamps are those of the machine"
    assert label["repeats"] == REPEATS
    assert len(found["differences"]) == label["repeats"] - label["equal"]
    (row,) = [one for one in venue.verb("runs", "--limit", "1000")["runs"] if one["id"] == run["run"]]
    assert row["counts"]["fills"] >= 5, "it has traded"
    assert row["label"] == label
    assert venue.verb("verify", run["run"])["label"] == label


@pytest.mark.slow
def test_the_same_client_under_the_shim_is_certified(venue: Venue, tmp_path: Path) -> None:
    script = tmp_path / "bot.py"
    script.write_text(PYTHON_BINANCE)
    words = [str(client_python("python-binance")), "-m", "gnomon.shim", str(script)]
    room = Room(venue)
    run = room.run(words)
    assert (run["tier"], run["label"]["label"]) == ("shim", "observed")
    found = room.certify(run["run"], "--command", shlex.join(words))
    assert found["label"]["label"] == "certified"
    assert (found["label"]["equal"], found["label"]["repeats"]) == (REPEATS, REPEATS)
    assert "shim" in found["label"]["reason"]
    assert room.certify(run["run"])["label"] == found["label"], "what it rests on is kept"


def test_a_bot_of_pulse_is_certified_from_its_configuration(venue: Venue, tmp_path: Path) -> None:
    config = pulse_in(tmp_path)
    room = Room(venue)
    made = room.run([sys.executable, "-m", "gnomon.cli", "pulse", "run", "--config", str(config)])
    assert made["tier"] == "native"
    alone = room.certify(made["run"], code=1)
    assert alone["label"]["label"] == "replayable"
    assert f"gnomon session launch {room.made['id']}" in alone["next"]
    found = room.certify(made["run"], "--config", str(config))
    assert found["label"]["label"] == "certified"
    assert (found["label"]["equal"], found["differences"]) == (REPEATS, [])
    config.write_text(config.read_text().replace("turns:Turns", "buy_and_hold"))
    room.certify(made["run"])  # what was measured stands
    other = room.certify(made["run"], "--config", str(config), code=1, repeats=REPEATS + 1)
    assert (other["label"]["equal"], other["label"]["repeats"]) == (REPEATS, REPEATS + 1), "another strategy"


def test_a_command_that_is_no_bot_is_told_with_its_last_words(venue: Venue, tmp_path: Path) -> None:
    config = pulse_in(tmp_path)
    room = Room(venue)
    made = room.run([sys.executable, "-m", "gnomon.cli", "pulse", "run", "--config", str(config)])
    command = shlex.join([sys.executable, "-c", "raise SystemExit('I am no bot')"])
    said = room.ask(made["run"], "--command", command, code=1)
    assert (said["error"], "I am no bot" in said["message"]) == ("unavailable", True)
    assert room.shown()["runs"][-1]["label"]["label"] == "replayable", "it was verified, and no more"
