"""Leases: who may use a thing that only one may use (a GPU, a rented host), until when, at which epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Engine, select, update

from gnomon.clock import Clock
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import leases
from gnomon.units import SECOND_NS

TIME_TO_LIVE_NS: Final = 120 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Lease:
    slot: str
    owner: str
    epoch: int
    job_id: str
    taken_ns: int
    expires_ns: int


class LeaseStore:
    """The leases in the database of an engine."""

    def __init__(self, engine: Engine, *, time_to_live_ns: int = TIME_TO_LIVE_NS) -> None:
        self._engine, self.time_to_live_ns = engine, time_to_live_ns

    def take(self, slot: str, owner: str, job_id: str, clock: Clock) -> Lease | None:
        """The lease, if the slot is free or its lease has run out; None while another's is good."""
        with writing(self._engine) as connection:
            now_ns = clock.now_ns()  # now that the database is ours: waiting for it must not shorten the lease
            ends_ns = now_ns + self.time_to_live_ns
            values = {"owner": owner, "job_id": job_id, "taken_at": now_ns, "expires_at": ends_ns}
            epoch = connection.execute(
                upsert(connection, leases)
                .values(slot=slot, epoch=1, **values)
                .on_conflict_do_update(
                    index_elements=["slot"],
                    set_=values | {"epoch": leases.c.epoch + 1},
                    where=leases.c.expires_at <= now_ns,
                )
                .returning(leases.c.epoch)
            ).scalar_one_or_none()
        return None if epoch is None else Lease(slot, owner, int(epoch), job_id, now_ns, ends_ns)

    def renew(self, lease: Lease, clock: Clock) -> bool:
        """Push the end out; False when the lease is not ours any more."""
        with writing(self._engine) as connection:
            ends_ns = clock.now_ns() + self.time_to_live_ns
            statement = update(leases).where(*_mine(lease)).values(expires_at=ends_ns)
            return connection.execute(statement).rowcount == 1

    def release(self, lease: Lease) -> None:
        """Give it back; the slot keeps its epoch, so that the next holder's is higher."""
        with writing(self._engine) as connection:
            connection.execute(update(leases).where(*_mine(lease)).values(expires_at=0))

    def release_all(self, owner: str) -> None:
        """Give back all that an executor holds."""
        with writing(self._engine) as connection:
            connection.execute(update(leases).where(leases.c.owner == owner).values(expires_at=0))

    def all(self) -> list[Lease]:
        """Every slot that was ever leased, by name."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(leases).order_by(leases.c.slot))
            return [Lease(r.slot, r.owner, r.epoch, r.job_id, r.taken_at, r.expires_at) for r in rows]


def _mine(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return leases.c.slot == lease.slot, leases.c.owner == lease.owner, leases.c.epoch == lease.epoch
