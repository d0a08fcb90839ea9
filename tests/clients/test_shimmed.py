"""Real clients under the shim, unmodified, on a session in lock-step: all runs of each have one fingerprint, though
they dawdle by the wall as chance has it. Their versions are those of `requirements`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.clients.environments import client_python
from tests.clients.scene import DATASET, Venue
from tests.processes import running

from gnomon.store.engine import open_engine
from gnomon.store.runs import RunStore

SOURCES = str(Path(__file__).parents[2] / "src")
RUNS = int(os.environ.get("GNOMON_SHIM_RUNS", "3"))
BOT_S = 120.0
SPEC = f"""
[session]
dataset = "{DATASET}"
from = "2024-03-01T02:00:00Z"
to = "2024-03-01T02:15:00Z"
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

FACE = """
import asyncio, os, random, time
from gnomon.lockstep import real
random.seed(int(os.environ["LUCK"]))
URL = os.environ["GNOMON_VENUE_URL"]
WS = URL.replace("http", "ws")
KEY, SECRET = os.environ["GNOMON_API_KEY"], os.environ["SECRET"]
def dawdle():
    real.sleep(random.random() * 0.02)
"""

STANDARD = """
import hashlib, hmac, json, urllib.parse, urllib.request
def call(verb, path, **params):
    query = urllib.parse.urlencode({**params, "timestamp": time.time_ns() // 1_000_000})
    query += "&signature=" + hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    asked = urllib.request.Request(f"{URL}{path}?{query}", method=verb, headers={"X-MBX-APIKEY": KEY})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer)
side = "BUY"
while True:
    order = call("POST", "/api/v3/order", symbol="BTCUSDT", side=side, type="MARKET", quantity="0.01")
    assert order["status"] == "FILLED"
    side = "SELL" if side == "BUY" else "BUY"
    dawdle()
    time.sleep(47.5)
"""

CCXT = """
import ccxt
options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}
venue = ccxt.binance({"apiKey": KEY, "secret": SECRET, "options": options})
venue.has["fetchCurrencies"] = False
for name, one in venue.urls["api"].items():
    if isinstance(one, str):
        venue.urls["api"][name] = one.replace("https://api.binance.com", URL)
venue.load_markets()
while True:
    closes = [row[4] for row in venue.fetch_ohlcv("BTC/USDT", "1m", limit=20)]
    dawdle()
    venue.create_order("BTC/USDT", "market", "buy" if closes[-1] < sum(closes) / len(closes) else "sell", 0.01)
    assert venue.fetch_balance()["USDT"]["total"] > 0
    time.sleep(40)
"""

CCXT_PRO = """
import ccxt.pro
async def main():
    options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}
    venue = ccxt.pro.binance({"apiKey": KEY, "secret": SECRET, "options": options})
    venue.has["fetchCurrencies"] = False
    for name, one in venue.urls["api"].items():
        if isinstance(one, str):
            venue.urls["api"][name] = one.replace("https://api.binance.com", URL)
    venue.urls["api"]["ws"]["spot"] = f"{WS}/ws"
    await venue.load_markets()
    seen = 0
    while True:
        await venue.watch_trades("BTC/USDT")
        seen += 1
        if seen % 40 == 0:
            dawdle()
            await venue.create_order("BTC/USDT", "market", "buy" if seen % 80 else "sell", 0.01)
asyncio.run(main())
"""

PYTHON_BINANCE = """
from binance import AsyncClient, BinanceSocketManager
async def main():
    client = AsyncClient(KEY, SECRET)
    client.API_URL = f"{URL}/api"
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = f"{WS}/"
    assert len((await client.get_account())["balances"]) == 2
    async with sockets.kline_socket("BTCUSDT", interval="1m") as stream:
        bars = 0
        while True:
            bar = (await stream.recv())["k"]
            if bar["x"]:
                bars += 1
                dawdle()
                side = "BUY" if bars % 2 else "SELL"
                await client.create_order(symbol="BTCUSDT", side=side, type="MARKET", quantity="0.01")
                if bars % 3 == 0:
                    await asyncio.sleep(7.5)
asyncio.run(main())
"""

BOTS = {
    "urllib": ("", STANDARD),
    "ccxt": ("ccxt", CCXT),
    "ccxt.pro": ("ccxt", CCXT_PRO),
    "python-binance": ("python-binance", PYTHON_BINANCE),
}


class Room:
    """A session in lock-step that is started again and again."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        spec = venue.home / "shimmed.toml"
        spec.write_text(SPEC)
        self.made = venue.verb("session", "create", str(spec))
        self._token = (venue.home / "venue.token").read_text().strip()
        self._runs = RunStore(open_engine(f"sqlite:///{venue.home / 'gnomon.db'}"))

    def control(self, method: str, action: str = "") -> Any:
        url = f"http://127.0.0.1:{self.venue.port}/sim/v1/sessions/{self.made['id']}{action}"
        asked = urllib.request.Request(url, method=method, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return orjson.loads(answer.read())

    def bot(self, python: str, script: Path, luck: int = 0) -> AbstractContextManager[subprocess.Popen[str]]:
        """A process of the bot, under the shim, that is gone with the block."""
        [bot] = self.made["bots"]
        keys = {"GNOMON_API_KEY": bot["api_key"], "SECRET": bot["api_secret"]}
        mine = {"GNOMON_VENUE_URL": self.made["base_url"], **keys, "LUCK": str(luck), "PYTHONHASHSEED": str(luck)}
        environment = {**os.environ, **mine, "PYTHONPATH": SOURCES}
        command = [python, "-m", "gnomon.shim", str(script)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return running(command, BOT_S, env=environment, text=True, **pipes)

    def run(self, python: str, script: Path, luck: int) -> Any:
        """The stored run of one start."""
        self.control("POST", "/start")
        try:
            with self.bot(python, script, luck) as bot:
                _, said = bot.communicate(timeout=BOT_S)
            assert bot.returncode == 0, said[-3_000:]
        finally:
            shown = self.control("GET")
            if shown["status"] in ("running", "paused"):
                self.control("POST", "/stop")
        assert (shown["status"], shown["runs"][-1]["tier"]) == ("completed", "shim"), shown
        return self._runs.find(shown["runs"][-1]["run"])


@pytest.fixture(scope="module")
def room(venue: Venue) -> Room:
    return Room(venue)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOTS)
def test_every_run_of_a_client_under_the_shim_have_one_fingerprint(name: str, room: Room, tmp_path: Path) -> None:
    client, source = BOTS[name]
    python = str(client_python(client)) if client else sys.executable
    script = tmp_path / "bot.py"
    script.write_text(FACE + source)
    runs = [room.run(python, script, luck) for luck in range(1, RUNS + 1)]
    assert runs[0].counts["fills"] >= 5
    assert {one.fingerprint for one in runs} == {runs[0].fingerprint}


SLOW = """
import time
from gnomon.lockstep import real
while True:
    time.sleep(1)
    real.sleep(0.05)
"""


def test_a_bot_ends_with_its_session_when_that_is_stopped(room: Room, tmp_path: Path) -> None:
    script = tmp_path / "bot.py"
    script.write_text(SLOW)
    room.control("POST", "/start")
    with room.bot(sys.executable, script) as bot:
        until = time.monotonic() + 30
        while (clock := room.control("GET")["clock"]) is None or clock["progress"] == 0:
            assert time.monotonic() < until
            time.sleep(0.1)
        room.control("POST", "/pause")
        stands = [room.control("GET")["clock"]["now"] for _ in range(3) if time.sleep(0.2) is None]
        assert len(set(stands)) == 1
        assert room.control("POST", "/stop")["status"] == "stopped"
        assert bot.wait(30) == 0
