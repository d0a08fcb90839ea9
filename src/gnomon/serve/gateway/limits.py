"""A limit of requests per client address: a bucket of tokens each, refilled as time passes."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from gnomon.clock import Clock
from gnomon.units import MINUTE_NS, SECOND_NS

MAX_ADDRESSES = 10_000
"""Addresses remembered at once; beyond it the one that was seen longest ago is forgotten."""


class Limiter:
    """At most `requests_per_minute` of one address, spent at once or spread; 0 means no limit."""

    def __init__(self, requests_per_minute: int, clock: Clock) -> None:
        self._capacity = requests_per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __bool__(self) -> bool:
        return self._capacity > 0

    def wait_s(self, address: str) -> int:
        """0 when the request may pass (and is counted), else whole seconds until the next one may."""
        if not self._capacity:
            return 0
        now_ns = self._clock.now_ns()
        subscriber = _subscriber(address)
        tokens, seen_ns = self._buckets.pop(subscriber, (float(self._capacity), now_ns))
        earned = max(0, now_ns - seen_ns) * self._capacity / MINUTE_NS
        tokens = min(float(self._capacity), tokens + earned)
        passes = tokens >= 1.0
        self._buckets[subscriber] = (tokens - passes, max(now_ns, seen_ns))
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        missing_ns = (1.0 - tokens) * MINUTE_NS / self._capacity
        return 0 if passes else max(1, -int(-missing_ns // SECOND_NS))


def _subscriber(address: str) -> str:
    """Who is behind an address. A subscriber of IPv6 owns a /64 and could take a fresh address for every request."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
