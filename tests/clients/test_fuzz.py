"""Ten thousand requests that no client sends: none harms the venue, tells a secret or moves anything.

`GNOMON_FUZZ_SCALE=10` sends ten times as many; with `-s` the answers are counted by their status.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from tests.clients.openapi import document
from tests.clients.raw import UPGRADE, answers, frames, spoilt, statuses
from tests.clients.scene import BASE, QUOTE, LiveSession, Venue
from tests.clients.signed import ask, call, query, signature, state
from tests.clients.walks import reconcile

SCALE = float(os.environ.get("GNOMON_FUZZ_SCALE", "1"))
ALLOWED = {200, 400, 401, 404, 405, 409, 410, 411, 413, 414, 415, 426, 429, 431}
SECRETS = (b"Traceback", b".py", b"gnomon", b"site-packages", b"sqlite")
UNLIMITED = 'rate_limits = "off"'
TALLY: Counter[int] = Counter()
"""Answers by status, of all tests here."""


def harmless(status: int, body: bytes, session: LiveSession) -> None:
    """An answer of the venue's own: no 5xx, JSON, a code where it refuses, and nothing of its inside."""
    TALLY[status] += 1
    assert status in ALLOWED, (status, body[:300])
    secrets = [bot.secret.encode() for bot in session.bots]
    assert not [one for one in (*SECRETS, *secrets) if one in body], body[:300]


def whole(answer: requests.Response, session: LiveSession) -> None:
    harmless(answer.status_code, answer.content, session)
    assert answer.headers["Content-Type"].startswith("application/json")
    said = answer.json()
    if answer.status_code >= 400:
        assert said["code"] < 0
        assert said["msg"]


@pytest.fixture(scope="module")
def fuzzed(venue: Venue) -> Iterator[LiveSession]:
    yield venue.session(bots=("one", "two"), pace="1", more=UNLIMITED)
    sys.stderr.write(f"\n{TALLY.total()} answers: {dict(sorted(TALLY.items()))}\n")


def generated(session: LiveSession, sign: Any, examples: int) -> int:
    """Ask each operation of the document what schemathesis thinks of, valid and invalid; how many were sent."""
    schema = schemathesis.openapi.from_dict(document())
    wire, sent = requests.Session(), 0

    def asked(case: Any, is_signed: bool) -> None:
        told = case.as_transport_kwargs(base_url=session.http)
        wanted = requests.Request(told["method"], told["url"], told.get("headers"), params=told["params"])
        prepared = wire.prepare_request(wanted)
        if is_signed:
            sign(prepared)
        whole(wire.send(prepared, timeout=10, allow_redirects=False), session)

    for path, operations in document()["paths"].items():
        for verb, described in operations.items():
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.POSITIVE or described["parameters"]:
                    strategy = schema[path][verb.upper()].as_strategy(generation_mode=mode)
                    sent += tried(strategy, examples, described["x-signed"], asked)
    return sent


def tried(strategy: Any, examples: int, is_signed: bool, ask_it: Callable[[Any, bool], None]) -> int:
    sent = 0

    @hypothesis.settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(case=strategy)
    def check(case: Any) -> None:
        nonlocal sent
        ask_it(case, is_signed)
        sent += 1

    check()
    return sent


def signer(key: str, secret: str) -> Any:
    def sign(prepared: requests.PreparedRequest) -> None:
        address, _, text = str(prepared.url).partition("?")
        text += ("&" if text else "") + f"timestamp={int(time.time() * 1000)}"
        prepared.url = f"{address}?{text}&signature={signature(secret, text)}"
        prepared.headers["X-MBX-APIKEY"] = key

    return sign


@pytest.mark.slow
def test_generated_requests_with_a_good_signature_keep_the_books(fuzzed: LiveSession) -> None:
    bot = fuzzed.bots[0]
    before = balances(fuzzed, 0)
    sent = generated(fuzzed, signer(bot.key, bot.secret), int(16 * SCALE))
    assert sent >= 1_000 * SCALE
    call(fuzzed, bot, "DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    trades = call(fuzzed, bot, "GET", "/api/v3/myTrades", symbol="BTCUSDT", limit=1000)[1]
    reconcile(before, trades, balances(fuzzed, 0), BASE, QUOTE)


@pytest.mark.slow
def test_generated_requests_with_a_bad_signature_move_nothing(fuzzed: LiveSession) -> None:
    before = [state(fuzzed, bot) for bot in fuzzed.bots]
    sent = generated(fuzzed, signer(fuzzed.bots[1].key, fuzzed.bots[0].secret), int(8 * SCALE))
    assert sent >= 500 * SCALE
    assert [state(fuzzed, bot) for bot in fuzzed.bots] == before


@pytest.mark.slow
def test_spoilt_bytes_move_nothing(fuzzed: LiveSession, venue: Venue) -> None:
    before = [state(fuzzed, bot) for bot in fuzzed.bots]
    memory = resident_bytes(venue)
    key = fuzzed.bots[0].key

    def spoil(number: int) -> None:
        _, came = answers(fuzzed.address, spoilt(number, key))
        for status in statuses(came):
            if status != 101:
                harmless(status, came, fuzzed)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(spoil, range(int(8_000 * SCALE))))
    assert [state(fuzzed, bot) for bot in fuzzed.bots] == before
    assert resident_bytes(venue) - memory < 64 << 20


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/ws/btcusdt@trade", "/stream?streams=btcusdt@trade", "/ws-api/v3"])
def test_spoilt_frames_move_nothing(path: str, fuzzed: LiveSession, venue: Venue) -> None:
    before = [state(fuzzed, bot) for bot in fuzzed.bots]
    memory = resident_bytes(venue)
    prefix = fuzzed.http.removeprefix("http://").partition("/")[2]
    target = f"/{prefix}{path}" if prefix else path

    def spoil(number: int) -> None:
        opening = f"GET {target} HTTP/1.1\r\n".encode() + UPGRADE
        opened, came = answers(fuzzed.address, frames(number), opening)
        assert opened.startswith(b"HTTP/1.1 101"), opened
        harmless(200, came, fuzzed)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(spoil, range(int(400 * SCALE))))
    assert [state(fuzzed, bot) for bot in fuzzed.bots] == before
    assert resident_bytes(venue) - memory < 64 << 20


def balances(session: LiveSession, bot: int) -> dict[str, list[str]]:
    account = call(session, session.bots[bot], "GET", "/api/v3/account")[1]
    return {one["asset"]: [one["free"], one["locked"]] for one in account["balances"]}


def resident_bytes(venue: Venue) -> int:
    assert venue.process is not None
    status = Path(f"/proc/{venue.process.pid}/status")
    if not status.exists():
        return 0
    [line] = [one for one in status.read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) << 10


# --- whose is it? -----------------------------------------------------------------------------------------------------


def far_limit(session: LiveSession, bot: int, **more: Any) -> tuple[int, Any]:
    last = float(ask(session, "GET", "/api/v3/ticker/price", "symbol=BTCUSDT")[1]["price"])
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    return call(session, session.bots[bot], "POST", "/api/v3/order", **order, price=f"{last * 0.9:.2f}", **more)


@pytest.mark.slow
def test_another_bots_order_does_not_exist(fuzzed: LiveSession) -> None:
    status, mine = far_limit(fuzzed, 0)
    assert status == 200
    named = {"symbol": "BTCUSDT", "orderId": mine["orderId"]}
    by_client = {"symbol": "BTCUSDT", "origClientOrderId": mine["clientOrderId"]}
    before = state(fuzzed, fuzzed.bots[0])
    for wanted in (named, by_client):
        assert call(fuzzed, fuzzed.bots[1], "GET", "/api/v3/order", **wanted)[1]["code"] == -2013
        assert call(fuzzed, fuzzed.bots[1], "DELETE", "/api/v3/order", **wanted)[1]["code"] == -2011
    assert call(fuzzed, fuzzed.bots[1], "GET", "/api/v3/openOrders")[1] == []
    assert state(fuzzed, fuzzed.bots[0]) == before
    assert call(fuzzed, fuzzed.bots[0], "DELETE", "/api/v3/order", **named)[0] == 200


@pytest.mark.slow
def test_a_key_below_another_sessions_path_reaches_its_own_alone(fuzzed: LiveSession, venue: Venue) -> None:
    other = venue.session(bots=("stranger",), pace="1")
    status, theirs = far_limit(other, 0)
    assert status == 200
    before, mine = state(other, other.bots[0]), state(fuzzed, fuzzed.bots[0])
    bot = fuzzed.bots[0]
    named = {"symbol": "BTCUSDT", "origClientOrderId": theirs["clientOrderId"]}
    for verb, path, params in (
        ("GET", "/api/v3/order", named),
        ("DELETE", "/api/v3/order", named),
        ("DELETE", "/api/v3/openOrders", {"symbol": "BTCUSDT"}),
    ):
        status, said = ask(fuzzed, verb, path, query(bot, **params), bot.key, http=other.http)
        assert (status, said["code"]) in ((400, -2011), (400, -2013)), said
    status, account = ask(fuzzed, "GET", "/api/v3/account", query(bot), bot.key, http=other.http)
    assert (status, account["balances"]) == (200, mine["account"]["balances"])
    assert state(other, other.bots[0]) == before
    assert state(fuzzed, bot) == mine


@pytest.mark.slow
def test_a_replayed_request_is_answered_once(fuzzed: LiveSession) -> None:

    bot = fuzzed.bots[0]
    last = float(ask(fuzzed, "GET", "/api/v3/ticker/price", "symbol=BTCUSDT")[1]["price"])
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    text = query(bot, **order, price=f"{last * 0.9:.2f}", newClientOrderId="only-once")
    status, first = ask(fuzzed, "POST", "/api/v3/order", text, bot.key)
    assert status == 200
    status, second = ask(fuzzed, "POST", "/api/v3/order", text, bot.key)
    assert (status, second["code"], second["msg"]) == (400, -2010, "Duplicate order sent.")
    named = {"symbol": "BTCUSDT", "orderId": first["orderId"]}
    assert call(fuzzed, bot, "DELETE", "/api/v3/order", **named)[0] == 200
    changed = text.replace("quantity=0.01", "quantity=0.02")
    assert ask(fuzzed, "POST", "/api/v3/order", changed, bot.key)[1]["code"] == -1022
    old = query(bot, stamp_ms=1_000_000_000_000, symbol="BTCUSDT")
    assert ask(fuzzed, "GET", "/api/v3/openOrders", old, bot.key)[1]["code"] == -1021
    ahead = query(bot, stamp_ms=int(time.time() * 1000) + 60_000, symbol="BTCUSDT")
    assert ask(fuzzed, "GET", "/api/v3/openOrders", ahead, bot.key)[1] == {
        "code": -1021,
        "msg": "Timestamp for this request was 1000ms ahead of the server's time.",
    }
