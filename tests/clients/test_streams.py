"""Unmodified clients beside a moving market: each stream in order, own events in order, balances that follow."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from tests.clients.scene import BASE, OPENS, QUOTE, Venue, ms
from tests.clients.walks import Walk, check_own_events, check_streams, pinned, walk

BARS = 3
SCRIPTS = {
    "ccxt": "ccxt_streams.py",
    "python-binance": "python_binance_streams.py",
    "binance-sdk-spot": "binance_sdk_spot_streams.py",
}


@pytest.mark.slow
@pytest.mark.parametrize("client", SCRIPTS, ids=lambda one: f"{one}-{pinned(one)}")
def test_a_client_hears_a_moving_market(client: str, venue: Venue) -> None:
    session = venue.session(pace="60")
    said = walk(client, SCRIPTS[client], session.given(bars=BARS, patience=40))
    check_streams(said, ms(OPENS))
    check_own_events(said, BASE, QUOTE)
    if client == "ccxt":
        check_watched(said)
    elif client == "python-binance":
        assert said["watched"]["failed"] == []
        assert {case: one["code"] for case, one in said.refusals.items()} == {
            "insufficient balance": -2010,
            "unknown order cancelled": -2011,
            "unknown symbol": -1121,
        }
    else:
        assert said["complaints"]["said"] == []


def check_watched(said: Walk) -> None:
    """What ccxt.pro made of the streams: its caches, books and orders."""
    watched = said["watched"]
    assert watched["failed"] == {}
    assert all(later > earlier for earlier, later in pairwise(watched["trades"]))
    bars = [one[0] for one in watched["bars"]]
    assert bars == sorted(bars)
    assert len(set(bars)) >= BARS
    for _, bids, asks in watched["book"]:
        assert bids[0][0] < asks[0][0]
    for bid, ask in watched["best"]:
        assert bid < ask
    statuses: dict[str, list[str]] = {}
    for order, status, _ in watched["orders"]:
        statuses.setdefault(order, []).append(status)
    limit, buy, sell = (str(said[name]["id"]) for name in ("far limit", "market buy", "market sell"))
    assert statuses[limit] == ["open", "canceled"]
    assert statuses[buy][-1] == statuses[sell][-1] == "closed"
    assert watched["own trades"] == [one["id"] for one in said["own trades"]["trades"]]
    last = watched["balance"][-1]
    for asset in (BASE, QUOTE):
        assert Decimal(str(last[asset]["total"])) == sum(map(Decimal, said["balance after"]["exact"][asset]))
    assert {case: one["error"] for case, one in said.refusals.items()} == {
        "insufficient balance": "InsufficientFunds",
        "unknown order cancelled": "OrderNotFound",
    }
