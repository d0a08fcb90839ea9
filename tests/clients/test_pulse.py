"""Pulse in a process of its own against a venue in another: however long either takes, whatever Python's hashes are and
however often the venue is killed, the run is the one that the strategy makes in process.

A few runs by default; GNOMON_PULSE_RUNS and GNOMON_PULSE_KILLS ask for more, GNOMON_PYTHONS (paths, as in PATH) names
interpreters for the bot, in turn: they need what Pulse needs, and find the package beside these tests.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.clients.scene import DATASET, Venue
from tests.processes import running

RUNS = int(os.environ.get("GNOMON_PULSE_RUNS", "3"))
KILLS = int(os.environ.get("GNOMON_PULSE_KILLS", "4"))
PYTHONS = [sys.executable, *filter(None, os.environ.get("GNOMON_PYTHONS", "").split(os.pathsep))]  # of the bot, in turn
SOURCE = Path(__file__).parents[2] / "src"

STRATEGY = """
from gnomon.trader.trader import Strategy


class Swings(Strategy):
    def on_start(self, desk):
        self.n = 0
        desk.after("95s", "tick")

    def on_bar(self, desk, bar):
        self.n += 1
        closes = desk.candles(0, 5).close
        if self.n % 5 == 1:
            desk.buy(0, usd=500 + int(closes[-1]) % 97)
        elif self.n % 5 == 3 and desk.position(0):
            desk.sell(0)
        elif self.n % 5 == 4:
            desk.buy(0, qty="0.05", limit=desk.price(0) / 2)
        else:
            desk.cancel_all()

    def on_timer(self, desk, name):
        desk.note(f"{name} {desk.rng('luck').integers(1000)}")
        desk.after("7m", name)

    def on_fill(self, desk, fill):
        desk.note(str(fill.price_ticks))
"""

SPEC = f"""
[session]
dataset = "{DATASET}"
from = "2024-03-01T02:00:00Z"
to = "2024-03-01T06:00:00Z"
timeframe = "1m"
seed = 7
pace = "lockstep"

[rules]
fees = {{ maker = "0.001", taker = "0.001" }}
latency = {{ feed = {{ const_ms = 5 }}, entry = {{ const_ms = 10 }}, reply = {{ const_ms = 15 }} }}
balances = {{ USDT = "100000", BTC = "1" }}

[[entry]]
name = "bot"
"""

DAWDLING = """
import random, sys, time
from gnomon.trader.pulse import sockets
luck = random.Random(int(sys.argv.pop(1)))
def slowly(method):
    def called(*given):
        if luck.random() < 0.1:
            time.sleep(luck.random() * 0.02)
        return method(*given)
    return called
for name in ("send", "receive"):
    setattr(sockets.WebSocket, name, slowly(getattr(sockets.WebSocket, name)))
from gnomon.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A venue of this module's own: it is killed."""
    found = Venue(tmp_path_factory.mktemp("pulse"))
    try:
        found.open()
        (found.home / "swings.py").write_text(STRATEGY)
        (found.home / "session.toml").write_text(SPEC)
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def inside(own: Venue) -> str:
    """The fingerprint of the run in process."""
    made = own.verb("replay", str(own.home / "session.toml"), "--trader", f"{own.home / 'swings.py'}:Swings")
    assert made["fills"] > 20
    (row,) = [one for one in own.verb("runs")["runs"] if one["id"] == made["run"]]
    return str(row["digests"]["fingerprint"])


def created(venue: Venue) -> tuple[str, Path]:
    """A session that waits for its bot, and the bot's configuration."""
    made = venue.verb("session", "create", str(venue.home / "session.toml"))
    venue.verb("session", "launch", made["id"])
    bot = made["bots"][0]
    run = {"base_url": made["base_url"], "ws_url": made["ws_url"], "symbol": "BTCUSDT", "interval": "1m",
           "api_key": bot["api_key"], "api_secret": bot["api_secret"], "health_port": 0,
           "ws_reconnect_max_seconds": 0.5}  # fmt: skip
    path = venue.home / f"{made['id']}.json"
    path.write_text(json.dumps({"strategy_name": "swings:Swings", "strategy_paths": [str(venue.home)], "run": run}))
    return made["id"], path


def pulse(venue: Venue, config: Path, luck: int) -> AbstractContextManager[subprocess.Popen[str]]:
    environment = {**venue.environment, "PYTHONHASHSEED": str(luck) if luck % 3 else "random"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE), environment.get("PYTHONPATH", "")]))
    command = [PYTHONS[luck % len(PYTHONS)], "-c", DAWDLING, str(luck), "pulse", "run", "--config", str(config)]
    return running(command, 180, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fingerprint(venue: Venue, session: str) -> str:
    shown = venue.verb("session", "show", session)
    assert shown["status"] == "completed", venue.said()
    (run,) = shown["runs"]
    (row,) = [one for one in venue.verb("runs")["runs"] if one["id"] == run["run"]]
    assert venue.verb("verify", run["run"])["outcome"] == "VERIFIED"
    return str(row["digests"]["fingerprint"])


@pytest.mark.parametrize("luck", range(RUNS))
def test_a_bot_that_dawdles_in_a_process_of_its_own_makes_the_run_in_process(
    own: Venue, inside: str, luck: int
) -> None:
    session, config = created(own)
    with pulse(own, config, luck) as bot:
        said = bot.communicate(timeout=180)
    assert bot.returncode == 0, said
    assert fingerprint(own, session) == inside


def test_a_venue_that_is_killed_at_random_moments_goes_on_to_the_same_fingerprint(own: Venue, inside: str) -> None:
    session, config = created(own)
    dice: Any = random.Random(KILLS)
    with pulse(own, config, 1) as bot:
        while own.verb("session", "show", session)["status"] == "starting" and bot.poll() is None:
            time.sleep(0.05)  # no longer than the bot may run
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.1, 1.0))
            if bot.poll() is not None:
                break
            own.kill()
            time.sleep(dice.uniform(0.0, 0.3))
            own.serve()
        said = bot.communicate(timeout=180)
    assert bot.returncode == 0, (said, own.said())
    assert fingerprint(own, session) == inside
