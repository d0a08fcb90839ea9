"""Health is told in every state, and figures for Prometheus too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gnomon._version import __version__
from gnomon.clock import SimClock
from gnomon.serve.gateway.app import create_app
from gnomon.sources.instruments import shipped_instruments
from gnomon.store.engine import open_engine


def test_health_tells_heads_and_the_newest_issue_of_each_timeframe(world: Any, client: Any) -> None:
    assert client.json("/health")["newest_issue"] == {}
    world.issue()
    world.advance(60)
    world.issue(timeframe="1d")
    world.advance(30)
    found = client.json("/health")
    assert (found["status"], found["database"], found["version"]) == ("ok", "ok", __version__)
    assert found["ledger"]["live"] == dict(zip(("seq", "hash"), world.ledger.head("live"), strict=True))
    assert found["ledger"]["backfill"]["seq"] == 0
    assert found["newest_issue"] == {
        "1h": {"issued_at": "2024-05-01T12:30:00Z", "age_seconds": 90},
        "1d": {"issued_at": "2024-05-01T12:31:00Z", "age_seconds": 30},
    }


def test_health_is_200_while_the_database_is_away(database_url: str, connect: Callable[[Any], Any]) -> None:
    engine = open_engine(database_url)  # no tables
    client = connect(create_app(engine, shipped_instruments(), SimClock(10**18)))
    found = client.json("/health")
    assert (found["status"], found["database"], found["ledger"]) == ("degraded", "unavailable", None)
    assert "gnomon_database_up 0.0" in client.get("/metrics").text
    engine.dispose()


def test_metrics_tell_the_ledger_and_the_age_of_forecasts(world: Any, client: Any) -> None:
    world.issue()
    world.advance(90)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'gnomon_ledger_seq{lane="live"} 1.0' in answer.text
    assert 'gnomon_forecast_age_seconds{timeframe="1h"} 90.0' in answer.text
    assert "gnomon_database_up 1.0" in answer.text
