"""Who does the work: one row an executor id, with an epoch that only rises.

Whoever holds an id at an epoch may write for it. A worker whose heartbeat has stopped loses its id to the next one that
starts with it, or to the reaper; either raises the epoch, and the fence then refuses what the old one still tries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Row, select, update

from gnomon.clock import iso
from gnomon.errors import Conflict, Refused
from gnomon.store.chain import canonical
from gnomon.store.engine import Fence, reading, upsert, writing
from gnomon.store.tables import leases, workers
from gnomon.units import SECOND_NS

DEAD_AFTER_NS: Final = 30 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Claim:
    """An executor id that is ours at an epoch."""

    executor_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class WorkerRow:
    executor_id: str
    epoch: int
    host: str
    pid: int
    version: str
    queues: tuple[str, ...]
    started_ns: int
    heartbeat_ns: int
    state: str  # running, draining, stopped, reaped


class WorkerStore:
    """The workers in the database of an engine."""

    def __init__(self, engine: Engine, *, dead_after_ns: int = DEAD_AFTER_NS) -> None:
        self._engine, self.dead_after_ns = engine, dead_after_ns

    def claim(
        self,
        executor_id: str,
        *,
        host: str,
        pid: int,
        version: str,
        queues: Sequence[str],
        now_ns: int,
        is_gone: Callable[[WorkerRow], bool] = lambda _: False,
    ) -> Claim:
        """Take an executor id: a new one, one that was given back, one whose heartbeat is old or whose holder
        `is_gone` (its process, on this very machine).

        Raises `Conflict` with the holder while another's heartbeat is fresh.
        """
        values = {
            "host": host,
            "pid": pid,
            "version": version,
            "queues": canonical(list(queues)),
            "started_at": now_ns,
            "heartbeat_at": now_ns,
            "state": "running",
        }
        with writing(self._engine) as connection:
            first = {"executor_id": executor_id, "epoch": 1, **values}
            new = upsert(connection, workers).values(**first).on_conflict_do_nothing().returning(workers.c.epoch)
            if connection.execute(new).scalar_one_or_none() is not None:
                return Claim(executor_id, 1)
            holder = _row(connection.execute(_of(executor_id).with_for_update()).one())
            is_silent = holder.heartbeat_ns < now_ns - self.dead_after_ns
            if holder.state not in ("stopped", "reaped") and not is_silent and not is_gone(holder):
                raise Conflict(
                    f"executor {executor_id!r} is running: process {holder.pid} on {holder.host}, "
                    f"heartbeat {iso(holder.heartbeat_ns)}",
                    hint="give each worker an id of its own: GNOMON_EXECUTOR_ID=worker-1",
                    detail={"executor_id": executor_id, "pid": holder.pid, "host": holder.host},
                )
            mine = update(workers).where(workers.c.executor_id == executor_id)
            connection.execute(mine.values(**values, epoch=holder.epoch + 1))
        return Claim(executor_id, holder.epoch + 1)

    def beat(self, claim: Claim, now_ns: int, state: str = "running") -> bool:
        """Write the heartbeat; False when the claim is not ours any more."""
        mine = (workers.c.executor_id == claim.executor_id) & (workers.c.epoch == claim.epoch)
        with writing(self._engine) as connection:
            statement = update(workers).where(mine).values(heartbeat_at=now_ns, state=state)
            return connection.execute(statement).rowcount == 1

    def reap(self, now_ns: int, *, but: str = "") -> list[str]:
        """Raise the epoch of every worker whose heartbeat is old, and end the leases it held.

        Never of the one that asks, `but`: it lives, however long its machine slept or its heartbeat was held up.
        The ids of all whose work is anybody's now: these, and those that stopped or were reaped before (whoever reaped
        them may have died over it).
        """
        dead = workers.c.state.in_(("running", "draining")) & (workers.c.heartbeat_at < now_ns - self.dead_after_ns)
        dead &= workers.c.executor_id != but
        with writing(self._engine) as connection:
            connection.execute(update(workers).where(dead).values(epoch=workers.c.epoch + 1, state="reaped"))
            over = select(workers.c.executor_id).where(workers.c.state.in_(("stopped", "reaped")))
            gone = sorted(connection.execute(over).scalars())
            held = leases.c.owner.in_(gone) & (leases.c.expires_at > 0)
            connection.execute(update(leases).where(held).values(expires_at=0))
            return gone

    def all(self) -> list[WorkerRow]:
        """Every worker ever seen, by id."""
        with reading(self._engine) as connection:
            return [_row(row) for row in connection.execute(select(workers).order_by(workers.c.executor_id))]


def fence_of(claim: Claim, held: dict[str, int]) -> Fence:
    """A fence for `store.engine.fenced`: the claim, and each lease held (slot to epoch), must still be ours.

    PostgreSQL locks the rows it looked at, so that nobody can take them over before the transaction ends.
    """

    def check(connection: Connection) -> None:
        mine = connection.execute(_of(claim.executor_id).with_for_update(read=True)).one_or_none()
        if mine is None or mine.epoch != claim.epoch:
            raise Refused(
                f"fenced: executor {claim.executor_id!r} was taken over (epoch {claim.epoch} is over)",
                hint="nothing was written; the worker that took over does the work",
                detail={"fenced": True},
            )
        for slot, epoch in held.items():
            wanted = select(leases.c.epoch).where(leases.c.slot == slot, leases.c.owner == claim.executor_id)
            if connection.execute(wanted.with_for_update(read=True)).scalar_one_or_none() != epoch:
                raise Refused(
                    f"fenced: the lease of {slot!r} ran out and is another's now",
                    hint="nothing was written; the next holder does the work",
                    detail={"fenced": True, "slot": slot},
                )

    return check


def _of(executor_id: str) -> Any:
    return select(workers).where(workers.c.executor_id == executor_id)


def _row(row: Row[Any]) -> WorkerRow:
    return WorkerRow(
        executor_id=row.executor_id,
        epoch=row.epoch,
        host=row.host,
        pid=row.pid,
        version=row.version,
        queues=tuple(orjson.loads(row.queues)),
        started_ns=row.started_at,
        heartbeat_ns=row.heartbeat_at,
        state=row.state,
    )
