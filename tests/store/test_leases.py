"""Leases: one holder, an end, and an epoch that rises."""

from __future__ import annotations

from sqlalchemy import Engine

from gnomon.clock import SimClock
from gnomon.store.leases import TIME_TO_LIVE_NS, LeaseStore


def test_a_lease_is_anothers_only_when_it_has_ended(engine: Engine) -> None:
    leases, clock = LeaseStore(engine), SimClock(10)
    first = leases.take("gpu", "a", "j1", clock)
    assert first is not None
    assert leases.take("gpu", "b", "j2", clock) is None
    clock.advance_to(10 + TIME_TO_LIVE_NS // 2)
    assert leases.renew(first, clock)
    clock.advance_to(10 + TIME_TO_LIVE_NS)
    assert leases.take("gpu", "b", "j2", clock) is None  # it was renewed
    clock.advance_to(10 + 2 * TIME_TO_LIVE_NS)
    second = leases.take("gpu", "b", "j2", clock)
    assert second is not None
    assert (first.epoch, second.epoch) == (1, 2)
    assert not leases.renew(first, clock)
    leases.release(first)  # not his any more: nothing happens
    assert leases.take("gpu", "c", "j3", clock) is None
    leases.release(second)
    third = leases.take("gpu", "c", "j3", clock)
    assert third is not None
    assert third.epoch == 3


def test_all_that_an_executor_holds_is_given_back_at_once(engine: Engine) -> None:
    leases, clock = LeaseStore(engine), SimClock(10)
    for slot in ("gpu:0", "gpu:1"):
        assert leases.take(slot, "a", "j", clock) is not None
    leases.release_all("a")
    assert [one.expires_ns for one in leases.all()] == [0, 0]
    assert leases.take("gpu:0", "b", "j", clock) is not None
