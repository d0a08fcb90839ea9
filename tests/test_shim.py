"""Real clients in processes of their own, written as if for a venue that runs on the wall's time, made lock-step by the
shim: each does the same at the same virtual instants however long it takes, and sees nothing of the numbers of wakes.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lockstep.tiny_venue import KEY, MINUTE_NS, TinyVenue

MINUTES = 12
ONE_MINUTE = [(i * MINUTE_NS, "btcusdt@kline_1m", {"e": "kline", "i": i}) for i in range(1, MINUTES + 1)]
FACE = """
import json, os, random, sys, time, urllib.request
random.seed(int(os.environ["LUCK"]))
from gnomon.lockstep import real
URL = os.environ["GNOMON_VENUE_URL"]
WS = URL.replace("http", "ws")
def dawdle():
    real.sleep(random.random() * 0.02)  # by the wall: what a machine under load does
"""


def play(venue: TinyVenue, tmp_path: Path, script: str, luck: int = 1, code: int = 0) -> str:
    file = tmp_path / "bot.py"
    file.write_text(FACE + script)
    environment = {**os.environ, "GNOMON_VENUE_URL": venue.url, "GNOMON_API_KEY": KEY, "LUCK": str(luck)}
    done = subprocess.run(
        [sys.executable, "-m", "gnomon.shim", str(file), "word"],
        env=environment, capture_output=True, text=True, timeout=25, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


POLLING = """
assert sys.argv[1:] == ["word"]
while True:
    with urllib.request.urlopen(f"{URL}/api/v3/poll?at={time.time_ns()}") as answer:
        json.load(answer)
    dawdle()
    time.sleep(90)
"""

WEBSOCKETS = """
import asyncio, aiohttp, websockets
async def main():
    async with aiohttp.ClientSession() as http, websockets.connect(f"{WS}/ws/btcusdt@kline_1m") as stream:
        while True:
            message = json.loads(await stream.recv())
            assert set(message) == {"e", "i"}, message
            dawdle()
            async with http.post(f"{URL}/api/v3/order", params={"i": message["i"]}) as answer:
                assert (await answer.json())["ok"]
            dawdle()
asyncio.run(main())
"""

AIOHTTP = """
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{WS}/stream?streams=btcusdt@kline_1m") as stream:
        async for message in stream:
            document = message.json()
            assert set(document) == {"stream", "data"}, document
            dawdle()
            async with http.get(f"{URL}/api/v3/order?i={document['data']['i']}&at={time.time_ns()}") as answer:
                await answer.read()
asyncio.run(main())
"""

BEHIND_A_QUEUE = """
import asyncio, aiohttp, websockets
queue = asyncio.Queue()
async def read(stream):  # as python-binance and ccxt do: the socket is read ahead of whoever decides
    while True:
        await queue.put(json.loads(await stream.recv()))
async def main():
    async with aiohttp.ClientSession() as http, websockets.connect(f"{WS}/ws") as stream:
        await stream.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 7}))
        reader = asyncio.create_task(read(stream))
        assert (await queue.get())["id"] == 7
        while True:
            try:
                message = await asyncio.wait_for(queue.get(), timeout=45)
            except asyncio.TimeoutError:
                message = {"i": "none"}
            await asyncio.get_running_loop().run_in_executor(None, dawdle)
            async with http.get(f"{URL}/large") as answer:
                assert len((await answer.json())["rows"]) == 20_000
            async with http.post(f"{URL}/api/v3/order", data={"i": message["i"], "at": time.time_ns()}) as answer:
                await answer.read()
            await asyncio.sleep(1.5)
asyncio.run(main())
"""

WEBSOCKET_CLIENT = """
import websocket
stream = websocket.create_connection(f"{WS}/ws/btcusdt@kline_1m")
while True:
    message = json.loads(stream.recv())
    dawdle()
    with urllib.request.urlopen(f"{URL}/api/v3/order?i={message['i']}&at={time.time_ns()}") as answer:
        answer.read()
    if message["i"] % 4 == 0:
        time.sleep(130)  # and two messages come meanwhile
"""

WEBSOCKET_APP = """
import websocket
def on_message(app, text):
    dawdle()
    with urllib.request.urlopen(f"{URL}/api/v3/order?i={json.loads(text)['i']}&at={time.time_ns()}") as answer:
        answer.read()
websocket.WebSocketApp(f"{WS}/ws/btcusdt@kline_1m", on_message=on_message).run_forever()
"""


def has(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


BOTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "polling": (POLLING, ()),
    "websockets": (WEBSOCKETS, ("websockets", "aiohttp")),
    "aiohttp": (AIOHTTP, ("aiohttp",)),
    "queue": (BEHIND_A_QUEUE, ("websockets", "aiohttp")),
    "websocket-client": (WEBSOCKET_CLIENT, ("websocket",)),
    "websocket-app": (WEBSOCKET_APP, ("websocket",)),
}


def run_of(name: str, tmp_path: Path, luck: int) -> list[Any]:
    script, needed = BOTS[name]
    if not has(*needed):
        pytest.skip(f"needs {' and '.join(needed)}")
    with TinyVenue(ONE_MINUTE, (MINUTES + 1) * MINUTE_NS) as venue:
        play(venue, tmp_path, script, luck)
        assert venue.log[-1] == "over"
        return venue.log


@pytest.mark.parametrize("name", BOTS)
def test_a_bot_does_the_same_at_the_same_virtual_time_whatever_the_wall_says(name: str, tmp_path: Path) -> None:
    first = run_of(name, tmp_path, 1)
    assert len(first) > MINUTES // 2
    for luck in (2, 3):
        assert run_of(name, tmp_path, luck) == first
