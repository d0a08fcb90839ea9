"""Executor ids: claimed, kept alive, taken over; and the fence."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from gnomon.clock import SimClock
from gnomon.errors import Conflict, Refused
from gnomon.store.engine import fenced, writing
from gnomon.store.leases import LeaseStore
from gnomon.store.workers import DEAD_AFTER_NS, Claim, WorkerStore, fence_of
from gnomon.units import SECOND_NS


def claim(workers: WorkerStore, now_ns: int, executor_id: str = "worker-0", pid: int = 1) -> Claim:
    return workers.claim(executor_id, host="h", pid=pid, version="jobs-1", queues=("cpu",), now_ns=now_ns)


def test_a_fresh_id_is_refused_with_its_holder_and_an_old_one_is_taken_over(engine: Engine) -> None:
    workers = WorkerStore(engine)
    first = claim(workers, 0, pid=41)
    assert first.epoch == 1
    with pytest.raises(Conflict, match="process 41 on h"):
        claim(workers, DEAD_AFTER_NS)
    second = claim(workers, DEAD_AFTER_NS + 1, pid=42)
    assert second.epoch == 2
    assert not workers.beat(first, DEAD_AFTER_NS + 2)
    assert workers.beat(second, DEAD_AFTER_NS + 2, "stopped")
    assert claim(workers, DEAD_AFTER_NS + 3).epoch == 3  # given back: no need to wait
    assert [(one.executor_id, one.state, one.queues) for one in workers.all()] == [("worker-0", "running", ("cpu",))]


def test_an_id_whose_process_has_ended_is_taken_over_at_once(engine: Engine) -> None:
    workers = WorkerStore(engine)
    claim(workers, 0, pid=41)
    taken = workers.claim(
        "worker-0", host="h", pid=42, version="v", queues=(), now_ns=1, is_gone=lambda holder: holder.pid == 41
    )
    assert taken.epoch == 2


def test_the_reaper_raises_the_epoch_of_the_silent_and_ends_their_leases(engine: Engine) -> None:
    workers, leases = WorkerStore(engine), LeaseStore(engine)
    clock = SimClock(0)
    dead = claim(workers, 0, "a")
    claim(workers, 20 * SECOND_NS, "b")
    held = leases.take("gpu", "a", "j", clock)
    assert held is not None
    assert workers.reap(DEAD_AFTER_NS + 1) == ["a"]
    assert workers.reap(DEAD_AFTER_NS + 1) == ["a"]  # whoever reaped it first may have died over it
    assert {one.executor_id: (one.epoch, one.state) for one in workers.all()} == {
        "a": (2, "reaped"),
        "b": (1, "running"),
    }
    assert not workers.beat(dead, DEAD_AFTER_NS + 2)
    assert leases.take("gpu", "b", "j2", clock) is not None


def test_the_reaper_never_takes_itself_for_dead(engine: Engine) -> None:
    """A machine that slept wakes with every heartbeat old, and may reap before it has written its own."""
    workers, leases = WorkerStore(engine), LeaseStore(engine, time_to_live_ns=10 * DEAD_AFTER_NS)
    clock = SimClock(0)
    mine, other = claim(workers, 0, "a"), claim(workers, 0, "b")
    held = leases.take("gpu", "a", "j", clock)
    assert held is not None
    assert workers.reap(DEAD_AFTER_NS + 1, but="a") == ["b"]
    assert workers.beat(mine, DEAD_AFTER_NS + 2)
    assert not workers.beat(other, DEAD_AFTER_NS + 2)
    assert leases.renew(held, clock)


def test_a_fence_lets_through_who_holds_id_and_leases_and_nobody_else(engine: Engine) -> None:
    workers, leases = WorkerStore(engine), LeaseStore(engine)
    clock = SimClock(0)
    mine = claim(workers, 0)
    lease = leases.take("gpu", "worker-0", "j", clock)
    assert lease is not None
    fence = fence_of(mine, {"gpu": lease.epoch})

    def write() -> None:
        with fenced(fence), writing(engine):
            pass

    write()
    clock.advance_to(lease.expires_ns)
    assert leases.take("gpu", "other", "j2", clock) is not None
    with pytest.raises(Refused, match="lease of 'gpu'"):
        write()
    claim(workers, DEAD_AFTER_NS + 1)
    with pytest.raises(Refused, match="was taken over"):
        write()
