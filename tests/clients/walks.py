"""Walks of real clients: run in the client's own environment, read line by line, and held against the venue's rules."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.clients.environments import REQUIREMENTS, client_python

SCRIPTS = Path(__file__).parent / "scripts"
Step = dict[str, Any]


def pinned(client: str) -> str:
    """The version that the suite runs."""
    text = (REQUIREMENTS / f"{client}.txt").read_text()
    found = re.search(rf"^{client}==(\S+)", text, re.MULTILINE)
    assert found
    return found[1]


class Walk:
    """What a script said, in order."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    def __getitem__(self, name: str) -> Step:
        [found] = [one for one in self.steps if one["step"] == name]
        return found

    @property
    def refusals(self) -> dict[str, Step]:
        return {one["case"]: one for one in self.steps if one["step"] == "refused"}

    @property
    def accepted(self) -> list[str]:
        return [one["case"] for one in self.steps if one["step"] == "accepted"]

    @property
    def streams(self) -> dict[str, list[Step]]:
        return {one["kind"]: one["events"] for one in self.steps if one["step"] == "stream"}


def walk(client: str, script: str, given: Mapping[str, Any], seconds: float = 120) -> Walk:
    """Run a script of a client to its end. Fails with all it said where it does not come to its end."""
    command = [str(client_python(client)), str(SCRIPTS / script), json.dumps(given)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GNOMON"))}
    clean["no_proxy"] = clean["NO_PROXY"] = "127.0.0.1,localhost"
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=clean, check=False)
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    told = [one["step"] + " " + one.get("case", "") for one in steps]
    assert done.returncode == 0, f"{script} of {client} stopped after {told}:\n{done.stderr[-3000:]}"
    assert steps[0]["version"] == pinned(client)
    return Walk(steps)


def reconcile(before: Mapping[str, list[str]], trades: Iterable[Mapping[str, Any]], after: Mapping[str, list[str]],
              base: str, quote: str) -> None:  # fmt: skip
    """Balances follow from own trades alone, commissions included, to the last digit; nothing is held back."""
    expected = {asset: sum(map(Decimal, both), Decimal()) for asset, both in before.items()}
    for one in trades:
        sign = 1 if one["isBuyer"] else -1
        price, size, cost = Decimal(one["price"]), Decimal(one["qty"]), Decimal(one["quoteQty"])
        assert abs(price * size - cost) < Decimal("1e-8")
        expected[base] += sign * size
        expected[quote] -= sign * cost
        expected[one["commissionAsset"]] -= Decimal(one["commission"])
    assert {asset: Decimal(free) for asset, (free, _) in after.items()} == expected
    assert all(Decimal(locked) == 0 for _, locked in after.values())


def check_errands(said: Walk, base: str, quote: str, window_ms: tuple[int, int]) -> None:
    """The common errands of all walks: what the venue answered is whole, in order and of the session's own time."""
    now_ms = said["time"]["ms"]
    assert window_ms[0] <= now_ms <= window_ms[1]
    opens = said["bars"]["opens"]
    assert opens == list(range(opens[0], opens[0] + 60_000 * len(opens), 60_000))
    assert len(opens) == 10
    assert now_ms - 60_000 < opens[-1] + 60_000
    assert opens[-1] <= window_ms[1]
    prints = said["prints"]
    assert prints["ids"] == list(range(prints["ids"][0], prints["ids"][0] + 20))
    assert prints["times"] == sorted(prints["times"])
    assert prints["times"][-1] <= window_ms[1]
    book = said["book"]
    bids, asks = ([Decimal(str(level[0])) for level in book[side]] for side in ("bids", "asks"))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    check_orders(said, base, quote)


def check_orders(said: Walk, base: str, quote: str) -> None:
    limit, price, size = said["far limit"], Decimal(said["far limit"]["price"]), Decimal(said["far limit"]["quantity"])
    assert str(limit["status"]) in ("NEW", "open")
    assert said["open orders"]["ids"] == [limit["id"]]
    assert said["order"]["id"] == limit["id"]
    before, held, after = (said[f"balance {when}"]["exact"] for when in ("before", "held", "after"))
    assert Decimal(held[quote][1]) == price * size
    assert Decimal(held[quote][0]) + price * size == Decimal(before[quote][0])
    assert str(said["cancel"]["status"]).lower() == "canceled"
    assert said["open orders after"]["ids"] == []
    for side in ("buy", "sell"):
        done = said[f"market {side}"]
        assert str(done["status"]) in ("FILLED", "closed")
        assert Decimal(str(done["filled"])) == size
        mine = [one for one in said["own trades"]["trades"] if str(one["orderId"]) == str(done["id"])]
        fills = done["info"]["fills"]
        assert [(one["tradeId"], one["price"], one["qty"], one["commission"]) for one in fills] == [
            (one["id"], one["price"], one["qty"], one["commission"]) for one in mine
        ]
        assert all(one["isBuyer"] == (side == "buy") for one in mine)
    assert said["orders"]["ids"] == [limit["id"], said["market buy"]["id"], said["market sell"]["id"]]
    assert [str(one).lower() for one in said["orders"]["statuses"]] in (
        ["canceled", "filled", "filled"],
        ["canceled", "closed", "closed"],
    )
    reconcile(before, said["own trades"]["trades"], after, base, quote)


def check_streams(said: Walk, lower_bound_ms: int) -> None:
    """Every stream is in order: ids without a gap, candles closed exactly once, books that join."""
    streams = said.streams
    trades = streams["trade"]
    ids = [one["t"] for one in trades]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert all(lower_bound_ms <= one["T"] <= one["E"] for one in trades)
    check_bars([one["k"] for one in streams["kline"]])
    for one in streams["bookTicker"]:
        assert Decimal(one["b"]) < Decimal(one["a"])
    updates = [one["u"] for one in streams["bookTicker"]]
    assert updates == sorted(updates)
    diffs = streams["depthUpdate"]
    assert all(later["U"] == earlier["u"] + 1 for earlier, later in pairwise(diffs))
    assert all(one["b"] or one["a"] for one in diffs)
    for kind in ("24hrTicker", "trade", "kline"):
        times = [one["E"] for one in streams[kind]]
        assert times == sorted(times)


def check_bars(bars: list[Step]) -> None:
    opens = [one["t"] for one in bars]
    assert opens == sorted(opens)
    distinct = sorted(set(opens))
    assert distinct == list(range(distinct[0], distinct[0] + 60_000 * len(distinct), 60_000))
    for open_ms in distinct[:-1]:
        closed = [one["x"] for one in bars if one["t"] == open_ms]
        assert closed == [False] * (len(closed) - 1) + [True], f"candle {open_ms} closes once, and last: {closed}"
    assert len(distinct) >= 2


def check_own_events(said: Walk, base: str, quote: str) -> None:
    """Reports of each order in the engine's order, an account position after each, and the balance that they end at."""
    events = said["own events"]["events"]
    reports = [one for one in events if one["e"] == "executionReport"]
    executions = [one["I"] for one in reports]
    assert executions == sorted(set(executions))
    assert [one["E"] for one in events] == sorted(one["E"] for one in events)
    limit, buy, sell = (int(said[name]["id"]) for name in ("far limit", "market buy", "market sell"))
    by_order = {order: [one for one in reports if one["i"] == order] for order in (limit, buy, sell)}
    assert [one["x"] for one in by_order[limit]] == ["NEW", "CANCELED"]
    new, cancelled = by_order[limit]
    assert cancelled["C"] == new["c"] != cancelled["c"]
    for order in (buy, sell):
        kinds = [one["x"] for one in by_order[order]]
        assert kinds == ["NEW"] + ["TRADE"] * (len(kinds) - 1)
        assert by_order[order][-1]["X"] == "FILLED"
    assert [one["e"] for one in events].count("outboundAccountPosition") >= 4
    mine = [one["t"] for one in reports if one["x"] == "TRADE"]
    assert mine == [one["id"] for one in said["own trades"]["trades"]]
    last = {one["a"]: [one["f"], one["l"]] for event in events if event["e"] == "outboundAccountPosition"
            for one in event["B"]}  # fmt: skip
    after = said["balance after"]["exact"]
    assert {asset: list(map(Decimal, last[asset])) for asset in (base, quote)} == {
        asset: list(map(Decimal, after[asset])) for asset in (base, quote)
    }
    reconcile(said["balance before"]["exact"], said["own trades"]["trades"], after, base, quote)
