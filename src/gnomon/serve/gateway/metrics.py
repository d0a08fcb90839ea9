"""What the gateway tells Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from gnomon.store.forecasts import Lane

LATENCY_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)
"""The goal of 200 ms is an edge, so that the share within it can be read off."""


class Meter:
    """The figures of one gateway, in a registry of its own: several apps live in one process without mixing theirs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        PlatformCollector(registry=self.registry)
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "gnomon_gateway_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "gnomon_gateway_request_seconds",
            "Time from the request's arrival to the answer's last byte.",
            ("route",),
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._cache = Counter(
            "gnomon_gateway_cache",
            "Lookups of the latest forecast in memory: hit, not_modified (a hit answered with 304), miss, or "
            "absent (a remembered 404).",
            ("result",),
            registry=self.registry,
        )
        self._seq = Gauge("gnomon_ledger_seq", "Rows in the chain of a lane.", ("lane",), registry=self.registry)
        self._age = Gauge(
            "gnomon_forecast_age_seconds",
            "Age of the newest live issue of a timeframe.",
            ("timeframe",),
            registry=self.registry,
        )
        self._up = Gauge("gnomon_database_up", "1 when the database answered the scrape.", registry=self.registry)
        self._by_route: dict[tuple[str, int], Counter] = {}
        self._by_result: dict[str, Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request. The labelled children are kept: finding them costs more than counting."""
        try:
            counter, timer = self._by_route[route, status], self._timed[route]
        except KeyError:
            counter = self._by_route[route, status] = self._requests.labels(route, str(status))
            timer = self._timed[route] = self._latency.labels(route)
        counter.inc()
        timer.observe(seconds)

    def looked_up(self, result: str) -> None:
        """Count one lookup in memory."""
        try:
            counter = self._by_result[result]
        except KeyError:
            counter = self._by_result[result] = self._cache.labels(result)
        counter.inc()

    def ledger(self, seq: Mapping[Lane, int], age_seconds: Mapping[str, float]) -> None:
        """Set the gauges of the ledger: chain lengths by lane, ages by timeframe."""
        self._up.set(1)
        for lane, rows in seq.items():
            self._seq.labels(lane).set(rows)
        for timeframe, age in age_seconds.items():
            self._age.labels(timeframe).set(age)

    def database_is_away(self) -> None:
        self._up.set(0)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
