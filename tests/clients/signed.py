"""A client of thirty lines: signs what it is told to sign, and nothing else is done for it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from tests.clients.scene import Bot, LiveSession

Answer = tuple[int, Any]


def signature(secret: str, payload: str) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def query(bot: Bot, stamp_ms: int | None = None, **params: Any) -> str:
    """Parameters, stamped and signed."""
    stamp = int(time.time() * 1000) if stamp_ms is None else stamp_ms
    payload = urlencode({**params, "timestamp": stamp})
    return f"{payload}&signature={signature(bot.secret, payload)}"


def ask(session: LiveSession, verb: str, path: str, text: str = "", key: str = "", http: str = "") -> Answer:
    """Status and JSON of one request, whatever the status."""
    url = f"{http or session.http}{path}" + (f"?{text}" if text else "")
    wanted = urllib.request.Request(url, method=verb, headers={"X-MBX-APIKEY": key} if key else {})
    try:
        with urllib.request.urlopen(wanted, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def call(session: LiveSession, bot: Bot, verb: str, path: str, **params: Any) -> Answer:
    """A signed request of a bot, as it should be."""
    return ask(session, verb, path, query(bot, **params), bot.key)


def state(session: LiveSession, bot: Bot) -> dict[str, Any]:
    """All that a bot has and has done, without what the clock alone moves."""
    found = {}
    for path, params in (("account", {}), ("openOrders", {"symbol": "BTCUSDT"}), ("allOrders", {"symbol": "BTCUSDT"}),
                         ("myTrades", {"symbol": "BTCUSDT"})):  # fmt: skip
        status, answer = call(session, bot, "GET", f"/api/v3/{path}", **params)
        assert status == 200, answer
        found[path] = answer
    return found
