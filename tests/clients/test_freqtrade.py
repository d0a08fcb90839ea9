"""freqtrade, unmodified, in live mode: it trades a session from its start to its end, on the venue's clock or its own.

Its candles and orders are years apart from its own clock. Two remedies are tried: an option that lets it accept old
candles, at any pace; and a clock of the process that runs as the session's does (`faketime`), at a steady pace.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.clients.environments import client_python
from tests.clients.scene import BASE, QUOTE, LiveSession, Venue, ms
from tests.clients.signed import ask, call
from tests.clients.walks import SCRIPTS, pinned, reconcile
from tests.processes import put_down

from gnomon.clock import iso

CLIENT = "freqtrade"
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STRATEGY = SCRIPTS / "freqtrade"
OPENS = "2024-03-01T02:00:00Z"
LAST = "2024-03-01T02:59:59Z"
ENOUGH = 5
"""Orders: in and out twice, and in again."""


def config(session: LiveSession, orders: str, more: dict[str, Any]) -> dict[str, Any]:
    http, ws, bot = session.http, session.ws, session.bots[0]
    paths = {"public": "/api/v3", "private": "/api/v3", "v1": "/api/v1", "fapiPublic": "/fapi/v1"}
    paths |= {"dapiPublic": "/dapi/v1", "sapi": "/sapi/v1", "sapiV2": "/sapi/v2", "sapiV3": "/sapi/v3"}
    api = {name: http + path for name, path in paths.items()}
    sockets = {"spot": f"{ws}/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}}
    exchange = {"name": "binance", "key": bot.key, "secret": bot.secret, "pair_whitelist": [f"{BASE}/{QUOTE}"]}
    exchange |= {"pair_blacklist": [], "ccxt_config": {"urls": {"api": api}}}
    exchange |= {"ccxt_async_config": {"urls": {"api": {"ws": sockets}}}, **more}
    pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
    types = {"entry": orders, "exit": orders, "emergency_exit": "market", "stoploss": "market"}
    return {
        "max_open_trades": 1,
        "stake_currency": QUOTE,
        "stake_amount": 1000,
        "tradable_balance_ratio": 0.99,
        "dry_run": False,
        "cancel_open_orders_on_exit": True,
        "trading_mode": "spot",
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"},
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "order_types": {**types, "stoploss_on_exchange": False},
        "exchange": exchange,
        "pairlists": [{"method": "StaticPairList"}],
        "internals": {"process_throttle_secs": 1},
        "initial_state": "running",
    }


class Running:
    """A freqtrade process with a folder of its own."""

    def __init__(
        self, python: Path, folder: Path, settings: dict[str, Any], strategy: str, clock: Mapping[str, str]
    ) -> None:
        self.database = folder / "trades.sqlite"
        (folder / "config.json").write_text(json.dumps(settings))
        for name in ("data", "logs"):
            (folder / name).mkdir()
        command = [str(python), "-m", "freqtrade", "trade", "--config", str(folder / "config.json")]
        command += ["--userdir", str(folder), "--strategy", strategy, "--strategy-path", str(STRATEGY)]
        command += ["--db-url", f"sqlite:///{self.database}"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GNOMON"))}
        self.log = folder / "freqtrade.log"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env={**clean, "TZ": "UTC", **clock})

    def said(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        """As an operator does: Ctrl+C."""
        try:
            self.process.send_signal(signal.SIGINT)
            return self.process.wait(timeout=60)
        finally:
            put_down(self.process)

    def rows(self, table: str) -> list[dict[str, Any]]:
        with sqlite3.connect(self.database) as found:
            found.row_factory = sqlite3.Row
            return [dict(row) for row in found.execute(f"select * from {table} order by id")]


def remedies() -> list[Any]:
    why = "needs faketime (Debian: apt-get install faketime)"
    name = f"{CLIENT}-{pinned(CLIENT)}"
    needs = pytest.mark.skipif(not FAKETIME, reason=why)
    return [
        pytest.param("option", "30", 60, id=f"{name}-outdated_offset"),
        pytest.param("clock", "20", 16, id=f"{name}-faketime", marks=needs),
    ]


def clock_of(session: LiveSession, pace: str) -> dict[str, str]:
    """What makes a process's clock run as the session's."""
    now_ms = ask(session, "GET", "/api/v3/time")[1]["serverTime"]
    return {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME": f"@{iso(now_ms * 1_000_000)[:19].replace('T', ' ')} x{pace}",
    }


@pytest.mark.slow
@pytest.mark.parametrize("remedy, pace, minutes", remedies())
def test_freqtrade_trades_a_session_to_its_end(
    remedy: str, pace: str, minutes: int, venue: Venue, tmp_path: Path
) -> None:
    python = client_python(CLIENT)
    warm_up(python)
    session = venue.session(pace=pace, opens=OPENS, closes=iso((ms(OPENS) + minutes * 60_000) * 1_000_000))
    before = balances(session)
    more: dict[str, Any] = {"outdated_offset": 100_000_000} if remedy == "option" else {}
    clock = clock_of(session, pace) if remedy == "clock" else {}
    orders, strategy = ("limit", "MinuteTurns") if clock else ("market", "QuickTurns")
    running = Running(python, tmp_path, config(session, orders, more), strategy, clock)
    try:
        goal = ENOUGH if remedy == "option" else None
        trades = until_the_end(venue, session, running, minutes * 60 / float(pace) + 120, goal)
        said = running.said()
    finally:
        code = running.stop()
    assert code == 128 + signal.SIGINT, running.said()[-4000:]
    assert "Traceback" not in said, said[-4000:]
    [run] = venue.verb("session", "show", session.id)["runs"]
    check_books(running, trades)
    check_record(venue, run["run"], before, trades)


def warm_up(python: Path) -> None:
    """Read its files once: a cold start takes longer than a fast session."""
    subprocess.run([str(python), "-c", "import freqtrade.main, freqtrade.freqtradebot"], check=True, timeout=300)


def until_the_end(
    venue: Venue, session: LiveSession, running: Running, seconds: float, goal: int | None
) -> list[dict[str, Any]]:
    """Its own trades, once the session is over. Once so many of its orders are filled, and it has just bought and is to
    sell five seconds later, the session is brought to its end at full pace: nothing is skipped."""
    end, changed, trades = time.monotonic() + seconds, 0.0, list[dict[str, Any]]()
    while not is_over(session):
        assert running.process.poll() is None, running.said()[-4000:]
        now, found = time.monotonic(), own_trades(session)
        assert now < end, running.said()[-4000:]
        if len(found) != len(trades):
            trades, changed = found, now
        filled = filled_by_order(trades)
        if goal and len(filled) >= goal and len(filled) % 2 and now - changed < 2 and closed_orders(running) == filled:
            venue.verb("session", "seek", session.id, LAST)
            goal = None
        time.sleep(0.1)
    trades = own_trades(session)
    while closed_orders(running) != filled_by_order(trades) and time.monotonic() < end:
        time.sleep(0.1)  # what was filled at the very end it still asks for
    return trades


def is_over(session: LiveSession) -> bool:
    status, account = call(session, session.bots[0], "GET", "/api/v3/account")
    assert status == 200, account
    return not account["canTrade"]


def own_trades(session: LiveSession) -> list[dict[str, Any]]:
    """As the venue tells them."""
    status, found = call(session, session.bots[0], "GET", "/api/v3/myTrades", symbol=f"{BASE}{QUOTE}", limit=1000)
    assert status == 200, found
    return list(found)


def filled_by_order(trades: list[dict[str, Any]]) -> dict[str, Decimal]:
    by_order: dict[str, Decimal] = {}
    for one in trades:
        by_order[str(one["orderId"])] = by_order.get(str(one["orderId"]), Decimal()) + Decimal(one["qty"])
    return by_order


def closed_orders(running: Running) -> dict[str, Decimal]:
    """What its own books say of orders that are done."""
    return {one["order_id"]: Decimal(str(one["filled"])) for one in running.rows("orders") if one["status"] == "closed"}


def balances(session: LiveSession) -> dict[str, list[str]]:
    status, account = call(session, session.bots[0], "GET", "/api/v3/account")
    assert status == 200, account
    return {one["asset"]: [one["free"], one["locked"]] for one in account["balances"]}


def check_books(running: Running, trades: list[dict[str, Any]]) -> None:
    """Its own books name the venue's orders, amounts and fees."""
    closed = closed_orders(running)
    assert len(closed) >= 2, running.said()[-4000:]
    assert closed == filled_by_order(trades)
    done = [one for one in running.rows("trades") if not one["is_open"]]
    assert done
    assert all(one["fee_open"] == pytest.approx(0.001) for one in done)


def check_record(venue: Venue, run: str, before: dict[str, list[str]], trades: list[dict[str, Any]]) -> None:
    """The run is whole, its record replays to the same bytes, and its last balances follow from the trades."""
    [row] = [one for one in venue.verb("runs")["runs"] if one["id"] == run]
    assert row["status"] == "completed"
    assert row["counts"]["fills"] == len(trades)
    left = venue.verb("state", run)["balances"]
    after = {asset: [left.get(asset, {}).get(kind, "0") for kind in ("free", "locked")] for asset in before}
    reconcile(before, trades, after, BASE, QUOTE)
    venue.verb("verify", run)
