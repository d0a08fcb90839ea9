"""What the ledger holds, by instrument, timeframe and forecaster: counted once, then only what was added."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, func, select

from gnomon.serve.gateway.memory import Slot
from gnomon.store.engine import reading
from gnomon.store.forecasts import Lane
from gnomon.store.tables import chain_heads, forecasts


@dataclass(frozen=True, slots=True)
class Issues:
    """The issues of one forecaster for one instrument and timeframe."""

    instrument: str
    timeframe: str
    forecaster: str
    count: int
    newest_ns: int


class Census:
    """The issues of one lane. A ledger only grows, so each look reads from where the last one stopped."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self._engine = engine
        self._lane = lane
        self._seq = 0
        self._issues: dict[tuple[str, str, str], Issues] = {}
        self._lock = threading.Lock()

    def taken(self) -> list[Issues]:
        """All issues of now, ordered by instrument, timeframe and forecaster."""
        with self._lock:
            for one in self._added():
                key = (one.instrument, one.timeframe, one.forecaster)
                before = self._issues.get(key)
                self._issues[key] = one if before is None else _sum(before, one)
            return [self._issues[key] for key in sorted(self._issues)]

    def newest_ns(self) -> dict[str, int]:
        """When the newest forecast of each timeframe was issued."""
        newest: dict[str, int] = {}
        for one in self.taken():
            newest[one.timeframe] = max(newest.get(one.timeframe, 0), one.newest_ns)
        return newest

    def _added(self) -> Iterator[Issues]:
        key = (forecasts.c.instrument, forecasts.c.timeframe, forecasts.c.forecaster)
        with reading(self._engine) as connection:
            head = connection.execute(select(chain_heads.c.seq).where(chain_heads.c.lane == self._lane)).scalar() or 0
            if head == self._seq:
                return
            rows = connection.execute(
                select(*key, func.count(), func.max(forecasts.c.issued_at)).where(*self._since()).group_by(*key)
            ).all()
        self._seq = head
        yield from (Issues(*row) for row in rows)

    def _since(self) -> list[ColumnElement[bool]]:
        """Without a bound on seq the first count is answered from the index of the latest issues alone."""
        mine = [forecasts.c.lane == self._lane]
        return [*mine, forecasts.c.seq > self._seq] if self._seq else mine


def _sum(one: Issues, other: Issues) -> Issues:
    return Issues(
        one.instrument, one.timeframe, one.forecaster, one.count + other.count, max(one.newest_ns, other.newest_ns)
    )


def grown(engine: Engine, since: int | None) -> tuple[int, list[Slot]]:
    """The length of the live chain, and the instruments and timeframes issued beyond `since`."""
    with reading(engine) as connection:
        head = connection.execute(select(chain_heads.c.seq).where(chain_heads.c.lane == "live")).scalar() or 0
        if since is None or head == since:
            return head, []
        slots = connection.execute(
            select(forecasts.c.instrument, forecasts.c.timeframe)
            .where(forecasts.c.lane == "live", forecasts.c.seq > since)
            .distinct()
        ).all()
    return head, [(instrument, timeframe) for instrument, timeframe in slots]
