"""A concurrent bot in a process of its own: written for asyncio with the `websockets` package, it sends signed orders
that take time and goes on acknowledging meanwhile. However long it dawdles between its sockets, and however often the
venue is killed, its run has one fingerprint.
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

RUNS = int(os.environ.get("GNOMON_CONCURRENT_RUNS", "2"))
KILLS = int(os.environ.get("GNOMON_CONCURRENT_KILLS", "2"))
BOT_S = 180.0

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
latency = {{ feed = {{ const_ms = 5 }}, entry = {{ const_ms = 1400 }}, reply = {{ const_ms = 1100 }} }}
balances = {{ USDT = "100000", BTC = "1" }}

[[entry]]
name = "bot"
"""

BOT = """
import asyncio, hashlib, hmac, http.client, json, os, random, urllib.error, urllib.parse, urllib.request
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

URL, KEY, SECRET, BY = (os.environ[name] for name in ("URL", "KEY", "SECRET", "BY"))
DAWDLES_S = float(os.environ["DAWDLES_S"])
WS, LOCKSTEP = URL.replace("http", "ws"), f"lockstep=concurrent&apiKey={KEY}"
luck = random.Random(int(os.environ["LUCK"]))


def signed(text):
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def post(key, params):
    query = urllib.parse.urlencode(params)
    asked = urllib.request.Request(f"{URL}/api/v3/order?{query}&signature={signed(query)}", method="POST",
                                   headers={"X-MBX-APIKEY": KEY, "X-Gnomon-Wake": key})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return int(answer.headers["X-Gnomon-Wake"]), json.load(answer)
    except urllib.error.HTTPError as refused:
        return int(refused.headers["X-Gnomon-Wake"]), json.load(refused)


class Bot:
    def __init__(self):
        self.inbox = asyncio.Queue()
        self.socket = self.api = None
        self.acked, self.n, self.t_ms, self.sent, self.seen = -1, 0, 0, 0, 0
        self.open, self.tasks = {}, set()
        self.counts = {"wakes": 0, "meanwhile": 0, "answers": 0, "refused": 0}

    async def run(self):
        self.start(self.listen())
        if BY == "ws":
            self.api = await connect(f"{WS}/ws-api/v3?{LOCKSTEP}")
            self.start(self.read(self.api))
        while True:
            frame = await self.inbox.get()
            if frame["n"] <= self.acked or frame.get("event", {}).get("e") == "answer":
                continue
            self.n, self.sent = frame["n"], 0
            self.counts["wakes"] += 1
            await asyncio.sleep(luck.random() * DAWDLES_S if luck.random() < 0.2 else 0)
            if "key" in frame:
                self.answered(frame)
            else:
                self.t_ms = int(frame["t"]) // 1_000_000
                self.told(frame)
            self.acked = self.n
            await self.say(self.acked, self.sent)
            if frame.get("event", {}).get("e") == "sessionEnd":
                return

    def told(self, frame):
        self.counts["meanwhile"] += bool(self.open)
        if "data" not in frame:
            return
        self.seen += 1
        if self.seen % 40 == 1:
            self.order(side="BUY", type="MARKET", quantity="0.01")
        if self.seen % 80 == 1:
            self.order(side="SELL", type="MARKET", quantity="0.012")
            self.order(side="BUY", type="LIMIT", timeInForce="GTC", price="1.00", quantity="0.0000001")

    def answered(self, frame):
        del self.open[frame["key"]]
        self.counts["answers"] += 1
        self.counts["refused"] += "code" in frame["answer"]
        if frame["answer"].get("orderId", 1) % 3 == 0:
            self.order(side="SELL", type="MARKET", quantity="0.005")

    def order(self, **params):
        self.sent += 1
        key = f"{self.n}-{self.sent}"
        params = {"symbol": "BTCUSDT", "timestamp": self.t_ms, "recvWindow": 60000, **params}
        self.open[key] = params
        self.start(self.send(key, params))

    async def send(self, key, params):
        await asyncio.sleep(luck.random() * 0.01)
        if BY == "ws":
            params = {**params, "apiKey": KEY, "wake": key}
            text = "&".join(f"{name}={params[name]}" for name in sorted(params))
            asked = {"id": key, "method": "order.place", "params": {**params, "signature": signed(text)}}
            await self.api.send(json.dumps(asked))
            return
        while True:
            try:
                n, answer = await asyncio.to_thread(post, key, params)
            except (OSError, http.client.HTTPException):  # the venue is away: the same request again
                await asyncio.sleep(0.05)
                continue
            self.inbox.put_nowait({"n": n, "key": key, "answer": answer})
            return

    async def listen(self):
        while True:
            again = f"&resume={self.acked}" if self.acked >= 0 else ""
            try:
                async with connect(f"{WS}/stream?streams=btcusdt@trade&{LOCKSTEP}{again}") as self.socket:
                    await self.say(max(self.acked, 0), self.sent)
                    await self.read(self.socket)
            except (OSError, WebSocketException):
                await asyncio.sleep(0.05)

    async def read(self, socket):
        async for text in socket:
            frame = json.loads(text)
            if "id" in frame:
                answer = frame.get("result") or frame["error"]
                self.inbox.put_nowait({"n": frame["n"], "key": frame["id"], "answer": answer})
            elif not frame.get("more"):
                self.inbox.put_nowait(frame)

    async def say(self, n, requests):
        try:
            await self.socket.send(json.dumps({"method": "ACK", "params": [n, {"requests": requests}]}))
        except WebSocketException:
            pass  # it is said again when the venue is back

    def start(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


bot = Bot()
asyncio.run(bot.run())
print(json.dumps(bot.counts), flush=True)
os._exit(0)  # a thread may wait for an answer that would have been due after the end
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A venue of this module's own: it is killed."""
    found = Venue(tmp_path_factory.mktemp("concurrent"))
    try:
        found.open()
        (found.home / "session.toml").write_text(SPEC)
        (found.home / "bot.py").write_text(BOT)
        yield found
    finally:
        found.close()


def created(venue: Venue) -> Any:
    made = venue.verb("session", "create", str(venue.home / "session.toml"))
    venue.verb("session", "launch", made["id"])
    return made


def bot(
    venue: Venue, made: Any, by: str, chance: int, dawdles_s: float = 0.004
) -> AbstractContextManager[subprocess.Popen[str]]:
    one = made["bots"][0]
    told = {"URL": made["base_url"].rstrip("/"), "KEY": one["api_key"], "SECRET": one["api_secret"], "BY": by,
            "LUCK": str(chance), "DAWDLES_S": str(dawdles_s), "PYTHONHASHSEED": str(chance)}  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, str(Path(venue.home) / "bot.py")]
    return running(command, BOT_S, env={**os.environ, **told}, text=True, **pipes)


def finished(venue: Venue, made: Any, process: subprocess.Popen[str]) -> tuple[str, dict[str, int]]:
    """The fingerprint of a run that verifies, and what its bot has counted."""
    out, said = process.communicate(timeout=BOT_S)
    assert process.returncode == 0, (said[-3_000:], venue.said()[-3_000:])
    shown = venue.verb("session", "show", made["id"])
    assert shown["status"] == "completed", shown
    (run,) = shown["runs"]
    assert venue.verb("verify", run["run"])["outcome"] == "VERIFIED"
    (row,) = [one for one in venue.verb("runs")["runs"] if one["id"] == run["run"]]
    return str(row["digests"]["fingerprint"]), json.loads(out)


@pytest.fixture(scope="module")
def first(own: Venue) -> tuple[str, dict[str, int]]:
    """Of a run by REST that nothing disturbed."""
    made = created(own)
    with bot(own, made, "rest", 0) as process:
        return finished(own, made, process)


def test_it_is_told_what_is_due_while_its_orders_are_open(first: tuple[str, dict[str, int]]) -> None:
    counts = first[1]
    assert counts["meanwhile"] > 20
    assert counts["answers"] > 20
    assert counts["refused"] >= 5, "what the door refuses is an answer like any other"


@pytest.mark.parametrize("luck", range(1, RUNS + 1))
@pytest.mark.parametrize("by", ["rest", "ws"])
def test_however_it_dawdles_and_by_whichever_door_its_run_has_one_fingerprint(
    own: Venue, first: tuple[str, dict[str, int]], by: str, luck: int
) -> None:
    made = created(own)
    with bot(own, made, by, luck) as process:
        assert finished(own, made, process) == first


def test_so_it_has_where_the_venue_is_killed_at_random_moments(own: Venue, first: tuple[str, dict[str, int]]) -> None:
    made, dice, kills = created(own), random.Random(KILLS), 0
    with bot(own, made, "rest", 9, 0.05) as process:
        while own.verb("session", "show", made["id"])["status"] == "starting" and process.poll() is None:
            time.sleep(0.05)  # no longer than the bot may run
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.05, 0.6))
            if process.poll() is not None:
                break
            own.kill()
            own.serve()
            kills += 1
        found, _ = finished(own, made, process)
    assert kills
    assert found == first[0]
