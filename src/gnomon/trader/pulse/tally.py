"""Tally: what a runtime counts of itself, for health, metrics and telemetry. Written by one thread, read by others."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import FINAL, Side
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome, Rejected

KEPT: Final = 1024
"""Latencies that percentiles are made of."""

LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLIPPAGE_BUCKETS: Final = (-50.0, -20.0, -10.0, -5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
NS: Final = 1_000_000_000


class Histogram:
    """Counts by upper bound, their sum, and the newest values."""

    __slots__ = ("bounds", "counts", "newest", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.newest: deque[float] = deque(maxlen=KEPT)

    def add(self, value: float) -> None:
        at = next((place for place, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self.counts[at] += 1
        self.sum += value
        self.newest.append(value)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, level: float) -> float:
        """Of the newest values; 0 before the first."""
        rows = sorted(self.newest)
        return rows[min(len(rows) - 1, int(level * len(rows)))] if rows else 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        found, total = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


@dataclass(slots=True)
class Link:
    """One connection."""

    is_connected: bool = False
    reconnects: int = 0
    since_ns: int = 0
    lost_ns: int = 0

    def uptime_s(self, now_ns: int) -> float:
        return (now_ns - self.since_ns) / NS if self.is_connected else 0.0


@dataclass(slots=True)
class Tally:
    """Counts since the start. Times are of the machine, ns."""

    started_ns: int = 0
    state: str = "connecting"
    events: Counter[str] = field(default_factory=Counter)
    last_event_ns: int = 0
    last_wake: int = 0
    lag_s: float = 0.0
    virtual_ns: int = 0
    decisions: int = 0
    orders: Counter[tuple[str, str]] = field(default_factory=Counter)
    acked: int = 0
    open_orders: int = 0
    rejects: Counter[int] = field(default_factory=Counter)
    latency: dict[str, Histogram] = field(
        default_factory=lambda: {clock: Histogram(LATENCY_BUCKETS) for clock in ("wall", "virtual")}
    )
    fills: int = 0
    fees: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    slippage: Histogram = field(default_factory=lambda: Histogram(SLIPPAGE_BUCKETS))
    positions: dict[str, str] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    queue_depth: int = 0
    queue_max: int = 0
    overflows: int = 0
    rest_calls: int = 0
    rest_errors: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    callback_errors: int = 0
    published: Counter[str] = field(default_factory=Counter)
    wait_s: float = 0.0
    degraded: str = ""
    degraded_ns: int = 0
    last_error: str = ""
    run: str = ""
    log_tail: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    def link(self, stream: str) -> Link:
        return self.links.setdefault(stream, Link())

    def connected(self, stream: str, now_ns: int) -> None:
        link = self.link(stream)
        if link.lost_ns:
            link.reconnects += 1
        link.is_connected, link.since_ns = True, now_ns

    def lost(self, stream: str, now_ns: int) -> None:
        link = self.link(stream)
        link.is_connected, link.lost_ns = False, now_ns

    def fail(self, text: str) -> None:
        self.last_error = text
        self.log_tail.append(text)

    def degrade(self, reason: str, now_ns: int) -> None:
        self.degraded, self.degraded_ns = reason, now_ns

    def state_at(self, now_ns: int) -> str:
        """`online`, `degraded`, `connecting` or `offline` (`sessions` 9)."""
        if self.state in ("offline", "connecting"):
            return self.state
        links = self.links
        if links and not any(one.is_connected for one in links.values()):
            return "connecting"
        sent = sum(self.orders.values())
        is_degraded = (
            (self.degraded and now_ns - self.degraded_ns < 60 * NS)
            or (self.queue_max and self.queue_depth > 0.8 * self.queue_max)
            or (sent >= 10 and sum(self.rejects.values()) > 0.1 * sent)
            or any(one.reconnects and now_ns - one.since_ns < 60 * NS for one in links.values())
            or ("user" in links and not links["user"].is_connected)
        )
        return "degraded" if is_degraded else "online"

    def document(self, now_ns: int) -> dict[str, Any]:
        """The body of telemetry and of `/status`, less who sends it."""
        wall = self.latency["wall"]
        return {
            "state": self.state_at(now_ns),
            "uptime_s": int((now_ns - self.started_ns) / NS),
            "queue": {"depth": self.queue_depth, "max": self.queue_max, "overflows": self.overflows},
            "events": {"in": sum(self.events.values()), "last_wake": self.last_wake},
            "decisions": self.decisions,
            "orders": {
                "sent": sum(self.orders.values()),
                "acked": self.acked,
                "rejected": {str(code): count for code, count in self.rejects.items()},
                "open": self.open_orders,
                "latency_ms": {
                    "p50": round(1000 * wall.quantile(0.5), 3),
                    "p95": round(1000 * wall.quantile(0.95), 3),
                    "max": round(1000 * max(wall.newest, default=0.0), 3),
                },
            },
            "streams": {
                name: {
                    "connected": one.is_connected,
                    "reconnects": one.reconnects,
                    "uptime_s": int(one.uptime_s(now_ns)),
                }
                for name, one in self.links.items()
            },
            "rest": {
                "calls": self.rest_calls,
                "errors": dict(self.rest_errors),
                "retries": self.retries,
            },
            "position": dict(self.positions),
            "last_error": self.last_error or None,
            "log_tail": list(self.log_tail),
        }


class Book:
    """Counts what came of own orders into a tally: fills, fees, positions, slippage, how many are open."""

    def __init__(self, tally: Tally, listings: Sequence[Listing], assets: Mapping[str, int]) -> None:
        self._tally = tally
        self._listings = listings
        known: dict[str, Asset] = {one.name: one for listing in listings for one in (listing.base, listing.quote)}
        self._assets = {number: known[name] for name, number in assets.items()}
        self._open: set[int] = set()
        self._held: dict[int, int] = {}

    def take(self, outcomes: Sequence[Outcome]) -> None:
        tally = self._tally
        for one in outcomes:
            if isinstance(one, Filled):
                self._fill(one)
            if isinstance(one, Accepted):
                self._open.add(one.number)
            elif isinstance(one, Rejected):
                tally.rejects[int(one.refusal)] += 1
            elif isinstance(one, Filled | Changed) and one.status in FINAL:
                self._open.discard(one.number)
        tally.open_orders = len(self._open)

    def _fill(self, one: Filled) -> None:
        tally, listing = self._tally, self._listings[one.instrument]
        tally.fills += 1
        asset = self._assets.get(one.fee_asset)
        if asset is not None and one.fee:
            tally.fees[asset.name] += float(asset.decimal(one.fee))
        sign = 1 if one.side is Side.BUY else -1
        held = self._held[one.instrument] = self._held.get(one.instrument, 0) + sign * one.lots
        tally.positions[listing.id] = f"{held * listing.lot:f}"
        middle = Decimal(one.best_bid + one.best_ask) / 2
        if one.best_bid and one.best_ask:
            tally.slippage.add(float(sign * (one.price - middle) / middle * 10_000))
        if one.arrived_ns > one.decided_ns:
            tally.latency["virtual"].add((one.arrived_ns - one.decided_ns) / NS)
