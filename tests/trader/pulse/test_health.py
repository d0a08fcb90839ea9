"""Health beside a bot: its states, its server, its metrics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gnomon.clock import SimClock
from gnomon.errors import Unavailable
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import Side, Status
from gnomon.exchange.outcome import Accepted, Filled, QuoteKind, Refusal, Rejected, Role, Rule
from gnomon.trader.pulse.health import Health, answer, metrics
from gnomon.trader.pulse.tally import Book, Histogram, Tally

S = 1_000_000_000
LISTING = Listing(0, "X", Asset("X"), Asset("USDT"), Decimal("0.1"), Decimal("0.001"))


def got(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_server_says_how_it_is() -> None:
    tally = Tally(started_ns=0, state="online")
    tally.connected("market", 1)
    health = Health("127.0.0.1", 0, tally, SimClock(90 * S), lambda: {"state": "online", "decisions": 3})
    url = f"http://127.0.0.1:{health.port}"
    assert got(f"{url}/healthz")[0] == 200
    assert got(f"{url}/readyz")[0] == 200
    assert json.loads(got(f"{url}/status")[1])["decisions"] == 3
    assert "gnomon_pulse_up 1.0" in got(f"{url}/metrics")[1]
    assert got(f"{url}/elsewhere")[0] == 404
    tally.state = "offline"
    assert got(f"{url}/healthz")[0] == 503
    with pytest.raises(Unavailable, match="cannot listen"):
        Health("127.0.0.1", health.port, tally, SimClock(0), dict)
    health.close()


def degraded_by(change: Any) -> str:
    tally = Tally(started_ns=0, state="online", queue_max=100)
    tally.connected("market", 0)
    change(tally)
    return tally.state_at(10 * S)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda _: None, "online"),
        (lambda one: one.degrade("overflow", 5 * S), "degraded"),
        (lambda one: setattr(one, "queue_depth", 81), "degraded"),
        (lambda one: (one.orders.update({("BUY", "MARKET"): 20}), one.rejects.update({-2010: 3})), "degraded"),
        (lambda one: (one.lost("market", 1), one.connected("market", 2 * S)), "degraded"),
        (lambda one: (one.connected("user", 0), one.lost("user", 3 * S)), "degraded"),
        (lambda one: one.lost("market", 3 * S), "connecting"),
        (lambda one: setattr(one, "state", "offline"), "offline"),
    ],
)
def test_states_are_those_of_the_table(change: Any, state: str) -> None:
    assert degraded_by(change) == state


def test_every_metric_of_the_table_is_there() -> None:
    tally = Tally()
    tally.events["kline"] += 2
    tally.rejects[-2010] += 1
    tally.rest_errors["5xx"] += 1
    tally.published["accepted"] += 1
    tally.connected("market", 1)
    tally.latency["virtual"].add(0.02)
    tally.slippage.add(1.5)
    book = Book(tally, [LISTING], {"X": 0, "USDT": 1})
    fill = Filled(
        1, 1, 0, Side.BUY, 1001, 500, 0, Status.FILLED, Rule.TAKER_QUOTE, Role.TAKER, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        999, 1001, QuoteKind.RECORDED, 10, 20 * 10**6, 0, 25, 1, 0, 0, 0, 1, 0, 0, False, False,
    )  # fmt: skip
    book.take([Accepted(1, 1, Status.NEW, 0, 0, 0, 0, Side.BUY), fill, Rejected(2, Refusal.WOULD_TAKE)])
    assert (tally.fills, tally.open_orders, tally.positions) == (1, 0, {"X": "0.500"})
    found = {one.name: one for one in text_string_to_metric_families(metrics(tally, SimClock(S)).decode())}
    names = {
        "up", "events", "event_lag_seconds", "queue_depth", "queue_overflow", "decisions", "orders", "order_rejects",
        "order_latency_seconds", "fills", "fees", "slippage_bps", "position", "ws_connected", "ws_reconnects",
        "ws_uptime_seconds", "rest_errors", "retries", "callback_errors", "telemetry_publish", "lockstep_wait_seconds",
    }  # fmt: skip
    assert names <= {name.removeprefix("gnomon_pulse_") for name in found}
    slippage = found["gnomon_pulse_slippage_bps"].samples
    assert next(one.value for one in slippage if one.labels.get("le") == "+Inf") == 2
    assert answer("/readyz", tally, SimClock(0), dict)[0] == 503


def test_a_histogram_counts_by_bound_and_knows_its_quantiles() -> None:
    found = Histogram([1, 2, 5])
    for value in (0.5, 1.0, 1.5, 9.0):
        found.add(value)
    assert found.buckets() == [("1", 2.0), ("2", 3.0), ("5", 3.0), ("+Inf", 4.0)]
    assert (found.count, found.sum, found.quantile(0.5)) == (4, 12.0, 1.5)
