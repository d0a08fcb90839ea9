"""The limit per address, beside a naive bucket in fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import SimClock
from gnomon.serve.gateway import limits
from gnomon.serve.gateway.limits import Limiter
from gnomon.units import MINUTE_NS, SECOND_NS


def test_zero_means_no_limit() -> None:
    limiter = Limiter(0, SimClock())
    assert not limiter
    assert not any(limiter.wait_s("a") for _ in range(1000))


def test_a_minute_holds_so_many_requests_and_each_second_earns_its_share() -> None:
    clock = SimClock(5 * MINUTE_NS)
    limiter = Limiter(60, clock)
    assert [limiter.wait_s("a") for _ in range(61)] == [0] * 60 + [1]
    clock.advance_to(clock.at_ns + SECOND_NS)
    assert [limiter.wait_s("a") for _ in range(2)] == [0, 1]
    assert limiter.wait_s("b") == 0


def test_the_wait_is_long_enough_and_not_a_second_too_long() -> None:
    clock = SimClock(MINUTE_NS)
    limiter = Limiter(2, clock)
    assert [limiter.wait_s("a") for _ in range(3)] == [0, 0, 30]
    clock.advance_to(clock.at_ns + 29 * SECOND_NS)
    assert limiter.wait_s("a") == 1
    clock.advance_to(clock.at_ns + SECOND_NS)
    assert limiter.wait_s("a") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("not:an:address", "not:another", False),
        ("", "", True),
    ],
)
def test_a_subscriber_of_ipv6_is_its_network(one: str, other: str, same: bool) -> None:
    limiter = Limiter(1, SimClock())
    assert limiter.wait_s(one) == 0
    assert (limiter.wait_s(other) > 0) is same


def test_the_addresses_seen_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 3)
    limiter = Limiter(1, SimClock())
    assert [limiter.wait_s(name) for name in ("a", "b", "c", "d")] == [0] * 4
    assert limiter.wait_s("d") > 0
    assert limiter.wait_s("a") == 0


@given(st.integers(1, 600), st.lists(st.integers(0, 90 * SECOND_NS), max_size=80))
def test_a_bucket_counts_as_fractions_do(per_minute: int, pauses: list[int]) -> None:
    clock, tokens = SimClock(), Fraction(per_minute)
    limiter = Limiter(per_minute, clock)
    for pause_ns in pauses:
        clock.advance_to(clock.at_ns + pause_ns)
        tokens = min(Fraction(per_minute), tokens + Fraction(pause_ns * per_minute, MINUTE_NS))
        if abs(tokens - 1) < Fraction(1, 10**6):
            return  # a float may fall on either side
        passes = tokens >= 1
        tokens -= passes
        assert (limiter.wait_s("a") == 0) is passes
