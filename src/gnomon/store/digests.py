"""The ledger's daily digests: what others can pin, so that a day's forecasts cannot be rewritten unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, func, select

from gnomon.clock import iso, parse_instant
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.entry import LANES, Lane
from gnomon.store.tables import forecasts, ledger_digests
from gnomon.units import DAY_NS


@dataclass(frozen=True, slots=True)
class Digest:
    """One day of one lane: the first and the last row issued on it (UTC), and the hash of the last."""

    day: str
    lane: Lane
    first_seq: int
    last_seq: int
    head: str


class DigestStore:
    """The digests in the database of an engine. Rows are sealed like the ledger's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close_day(self, day: str) -> list[Digest]:
        """Write the digests of a day (ISO date) that is over; a lane without a row that day has none.

        Twice is once: a digest that is there stays.
        """
        with writing(self._engine) as connection:
            found = [one for lane in LANES if (one := self._digest(connection, day, lane)) is not None]
            for one in found:
                row = {"day": day, "lane": one.lane, "first_seq": one.first_seq, "last_seq": one.last_seq}
                statement = upsert(connection, ledger_digests).values(**row, head=one.head, signature=None)
                connection.execute(statement.on_conflict_do_nothing())
        return found

    def all(self, lane: Lane | None = None, *, limit: int = 400) -> list[Digest]:
        """The digests, newest day first."""
        wanted = select(ledger_digests).order_by(ledger_digests.c.day.desc(), ledger_digests.c.lane).limit(limit)
        if lane is not None:
            wanted = wanted.where(ledger_digests.c.lane == lane)
        with reading(self._engine) as connection:
            return [_stored(row) for row in connection.execute(wanted)]

    def check(self) -> list[str]:
        """Digests that the ledger contradicts, in words; empty when all agree."""
        problems = []
        for one in self.all(limit=1_000_000):
            with reading(self._engine) as connection:
                now = self._digest(connection, one.day, one.lane)
            if now != one:
                problems.append(f"{one.day} {one.lane}: the digest says {one.head[:16]}…, the ledger says otherwise")
        return problems

    def _digest(self, connection: Any, day: str, lane: Lane) -> Digest | None:
        first_ns = parse_instant(day)
        issued = forecasts.c.issued_at
        within = (forecasts.c.lane == lane, issued >= first_ns, issued < first_ns + DAY_NS)
        first, last = connection.execute(
            select(func.min(forecasts.c.seq), func.max(forecasts.c.seq)).where(*within)
        ).one()
        if first is None:
            return None
        head = select(forecasts.c.row_hash).where(forecasts.c.lane == lane, forecasts.c.seq == last)
        return Digest(day, lane, first, last, connection.execute(head).scalar_one())


def yesterday_of(at_ns: int) -> str:
    """The ISO date (UTC) of the day before an instant."""
    return iso(at_ns - DAY_NS)[:10]


def _stored(row: Row[Any]) -> Digest:
    return Digest(row.day, row.lane, row.first_seq, row.last_seq, row.head)
