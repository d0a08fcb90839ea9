"""The ledger's daily digests: what others can pin, so that a day's forecasts cannot be rewritten unseen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, func, or_, select

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


@dataclass(frozen=True, slots=True)
class CheckedDigests:
    """How many digests there are, and those that the ledger contradicts, oldest day first."""

    count: int
    broken: tuple[Digest, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.broken

    def row(self) -> dict[str, Any]:
        """JSON-ready; `broken` is the first."""
        return {"count": self.count, "ok": self.ok, "broken": asdict(self.broken[0]) if self.broken else None}

    def sentence(self) -> str:
        """In words."""
        if self.ok:
            return f"digests: {self.count:,}, all as the ledger has it"
        one = self.broken[0]
        more = f" ({len(self.broken) - 1} more)" if len(self.broken) > 1 else ""
        rows = f"rows {one.first_seq} to {one.last_seq}, head {one.head[:16]}…"
        return f"digests: broken on {one.day}, {one.lane}: it says {rows}; the ledger says otherwise{more}"


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

    def all(self, lane: Lane | None = None, *, limit: int = 400, after: tuple[str, str] | None = None) -> list[Digest]:
        """The digests, newest day first; `after` is (day, lane) of the last one read."""
        day, whose = ledger_digests.c.day, ledger_digests.c.lane
        wanted = select(ledger_digests).order_by(day.desc(), whose).limit(limit)
        if after is not None:
            wanted = wanted.where(or_(day < after[0], and_(day == after[0], whose > after[1])))
        if lane is not None:
            wanted = wanted.where(ledger_digests.c.lane == lane)
        with reading(self._engine) as connection:
            return [_stored(row) for row in connection.execute(wanted)]

    def check(self) -> CheckedDigests:
        """Every digest against the ledger as it is now: one walk over the rows, whatever the number of days."""
        with reading(self._engine) as connection:
            now = _days_of_ledger(connection)
            rows = connection.execute(select(ledger_digests).order_by(ledger_digests.c.day, ledger_digests.c.lane))
            kept = [_stored(row) for row in rows]
        return CheckedDigests(len(kept), tuple(one for one in kept if now.get((one.day, one.lane)) != one))

    def _digest(self, connection: Connection, day: str, lane: Lane) -> Digest | None:
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


def _days_of_ledger(connection: Connection) -> dict[tuple[str, str], Digest]:
    """What the digest of each day and lane with a row would be now."""
    day = (forecasts.c.issued_at // DAY_NS).label("day")
    last = func.max(forecasts.c.seq).label("last_seq")
    days = (
        select(forecasts.c.lane, day, func.min(forecasts.c.seq).label("first_seq"), last)
        .group_by(forecasts.c.lane, day)
        .subquery()
    )
    newest = (forecasts.c.lane == days.c.lane) & (forecasts.c.seq == days.c.last_seq)
    found = {}
    for row in connection.execute(select(days, forecasts.c.row_hash).join(forecasts, newest)):
        date = iso(row.day * DAY_NS)[:10]
        found[date, row.lane] = Digest(date, row.lane, row.first_seq, row.last_seq, row.row_hash)
    return found


def yesterday_of(at_ns: int) -> str:
    """The ISO date (UTC) of the day before an instant."""
    return iso(at_ns - DAY_NS)[:10]


def _stored(row: Row[Any]) -> Digest:
    return Digest(row.day, row.lane, row.first_seq, row.last_seq, row.head)
