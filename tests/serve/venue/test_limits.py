"""Weights and order counts in aligned windows, beside a naive count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import SimClock
from gnomon.errors import Invalid
from gnomon.serve.venue import codes
from gnomon.serve.venue.limits import WEIGHT_LIMIT, Limits, Strangers
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.units import DAY_NS, MINUTE_NS, SECOND_NS


def test_weight_is_counted_by_the_aligned_minute_and_refused_past_its_limit() -> None:
    limits = Limits(weight_limit=10)
    limits.spend(59 * SECOND_NS, 10)
    with pytest.raises(VenueRefusal, match="current limit is 10 request weight") as caught:
        limits.spend(59 * SECOND_NS, 1)
    assert (caught.value.status, caught.value.retry_after_s) == (429, 1)
    limits.spend(60 * SECOND_NS, 1)
    assert limits.used_weight == 1


def test_raw_requests_are_counted_by_five_minutes() -> None:
    limits = Limits(raw_limit=2)
    limits.spend(0, 1)
    limits.spend(4 * MINUTE_NS, 1)
    with pytest.raises(VenueRefusal, match="-1003"):
        limits.spend(4 * MINUTE_NS, 1)
    limits.spend(5 * MINUTE_NS, 1)


def test_unfilled_orders_are_counted_until_their_first_fill() -> None:
    limits = Limits(orders_10s_limit=2)
    limits.admit_orders(0, 2)
    with pytest.raises(VenueRefusal, match="2 orders per 10 SECONDS"):
        limits.admit_orders(SECOND_NS, 1)
    limits.first_fill(2 * SECOND_NS)
    assert [one["count"] for one in limits.order_limits(2 * SECOND_NS)] == [1, 1]
    limits.admit_orders(2 * SECOND_NS, 1)
    assert [one["count"] for one in limits.order_limits(2 * SECOND_NS)] == [2, 2]
    assert [one["count"] for one in limits.order_limits(10 * SECOND_NS)] == [0, 2]
    assert [one["count"] for one in limits.order_limits(DAY_NS)] == [0, 0]


def test_the_day_has_its_own_limit() -> None:
    limits = Limits(orders_1d_limit=1)
    limits.admit_orders(0, 1)
    with pytest.raises(VenueRefusal, match="1 orders per 1 DAY") as caught:
        limits.admit_orders(DAY_NS // 2, 1)
    assert caught.value.retry_after_s == 43_200


def test_what_stood_in_the_windows_stands_there_after_a_restart() -> None:
    before, after = Limits(), Limits()
    for second in (1, 2, 13):
        before.spend(second * SECOND_NS, 7)
        weight, raw = before.used_weight, before.raw
        before.admit_orders(second * SECOND_NS, 2)
        after.recount(second * SECOND_NS, 2, weight, raw)
        if second == 2:
            before.first_fill(2 * SECOND_NS)
            after.first_fill(2 * SECOND_NS)
    for at_ns in (13 * SECOND_NS, 21 * SECOND_NS):
        assert after.order_limits(at_ns) == before.order_limits(at_ns)
    assert after.weight_limits() == before.weight_limits()
    for limits in (before, after):
        limits.spend(61 * SECOND_NS, 1)
        assert (limits.used_weight, limits.raw) == (1, 4)


def test_an_address_that_sends_nothing_but_rubbish_is_told_so_for_a_minute_and_no_other_is() -> None:
    wall = SimClock(MINUTE_NS)
    strangers = Strangers(wall.now_ns)
    said = [strangers.refusal("10.0.0.1", codes.bad_signature()).code for _ in range(WEIGHT_LIMIT + 2)]
    assert said == [-1022] * WEIGHT_LIMIT + [-1003] * 2
    assert strangers.refusal("10.0.0.2", codes.bad_signature()).code == -1022
    wall.advance_to(2 * MINUTE_NS)
    assert strangers.refusal("10.0.0.1", codes.bad_signature()).code == -1022


def test_off_counts_and_refuses_nothing_and_a_pause_counts_nothing() -> None:
    limits = Limits("off", weight_limit=1, orders_10s_limit=0)
    limits.spend(0, 100)
    limits.admit_orders(0, 1)
    assert limits.used_weight == 100
    limits.is_paused = True
    limits.spend(0, 100)
    assert limits.used_weight == 100


def test_windows_of_the_wall_roll_with_the_wall() -> None:
    wall = [0]
    limits = Limits("wall", weight_limit=1, wall_now_ns=lambda: wall[0])
    limits.spend(0, 1)
    with pytest.raises(VenueRefusal):
        limits.spend(10 * MINUTE_NS, 1)  # virtual time has gone on: the wall has not
    wall[0] = MINUTE_NS
    limits.spend(0, 1)


@pytest.mark.parametrize("basis", ["real", "wall"])
def test_a_basis_that_cannot_be_is_refused(basis: str) -> None:
    with pytest.raises(Invalid):
        Limits(basis)


@given(st.lists(st.tuples(st.integers(0, 20 * SECOND_NS), st.integers(1, 40)), max_size=60))
def test_used_weight_is_what_a_naive_count_finds(steps: list[tuple[int, int]]) -> None:
    limits, now_ns, spent = Limits("off"), 0, []
    for pause_ns, weight in steps:
        now_ns += pause_ns
        limits.spend(now_ns, weight)
        spent.append((now_ns // MINUTE_NS, weight))
        assert limits.used_weight == sum(one for minute, one in spent if minute == now_ns // MINUTE_NS)


def test_limits_are_published_with_their_counts() -> None:
    limits = Limits()
    limits.spend(0, 7)
    assert limits.weight_limits() == [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 7}
    ]
