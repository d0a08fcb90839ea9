"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gnomon.serve.gateway.metrics import Meter


def samples(meter: Meter) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(meter.exposition().decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_requests_are_counted_by_route_and_status_and_timed_by_route() -> None:
    meter = Meter()
    meter.answered("/health", 200, 0.003)
    meter.answered("/health", 200, 0.3)
    meter.answered("/health", 503, 0.1)
    found = samples(meter)
    assert found["gnomon_gateway_requests_total", (("route", "/health"), ("status", "200"))] == 2
    assert found["gnomon_gateway_requests_total", (("route", "/health"), ("status", "503"))] == 1
    within = found["gnomon_gateway_request_seconds_bucket", (("le", "0.2"), ("route", "/health"))]
    assert within == 2  # the goal of 200 ms can be read off
    assert found["gnomon_gateway_request_seconds_count", (("route", "/health"),)] == 3


def test_lookups_are_counted_by_result() -> None:
    meter = Meter()
    for result in ("hit", "hit", "miss"):
        meter.looked_up(result)
    found = samples(meter)
    assert found["gnomon_gateway_cache_total", (("result", "hit"),)] == 2
    assert found["gnomon_gateway_cache_total", (("result", "miss"),)] == 1


def test_the_ledger_is_a_gauge_and_an_absent_database_is_one_too() -> None:
    meter = Meter()
    meter.ledger({"live": 7, "backfill": 0}, {"1h": 12.0})
    found = samples(meter)
    assert found["gnomon_ledger_seq", (("lane", "live"),)] == 7
    assert found["gnomon_forecast_age_seconds", (("timeframe", "1h"),)] == 12
    assert found["gnomon_database_up", ()] == 1
    meter.database_is_away()
    assert samples(meter)["gnomon_database_up", ()] == 0


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Meter(), Meter()
    one.looked_up("hit")
    assert not [name for name, _ in samples(other) if name == "gnomon_gateway_cache_total"]
