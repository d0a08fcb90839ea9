"""What pools said of the two members they watch, read back from the params of their forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Engine, Row, select

from gnomon.store.chain import canonical
from gnomon.store.engine import reading
from gnomon.store.entry import Lane
from gnomon.store.forecasts import chosen
from gnomon.store.tables import forecasts


@dataclass(frozen=True, slots=True)
class Disagreed:
    """One forecast of a pool that watched two members: how far apart they were, and whether its flag was raised."""

    instrument: str
    basis: str
    cutoff_ns: int
    pair: tuple[str, str]
    distance: float
    is_raised: bool


def read_disagreements(
    engine: Engine,
    *,
    lane: Lane,
    variant: str | None = None,
    timeframe: str,
    forecaster: str,
    instruments: Sequence[str] = (),
    basis: Any = None,
    first_cutoff_ns: int | None = None,
    last_cutoff_ns: int | None = None,
    issued_by_ns: int | None = None,
    pair: tuple[str, str] | None = None,
    newest: int | None = None,
) -> list[Disagreed]:
    """The forecasts of a pool that had a flag (on a `pair`), with a cutoff in [first, last), by cutoff and id; of these
    only the `newest` where that is given. `issued_by_ns` leaves out what had not been issued by then."""
    which = chosen(
        lane=lane,
        variant=variant,
        timeframe=timeframe,
        forecaster=forecaster,
        basis=basis,
        first_cutoff_ns=first_cutoff_ns,
        last_cutoff_ns=last_cutoff_ns,
    )
    which += [forecasts.c.instrument.in_(instruments)] if instruments else []
    which += [] if issued_by_ns is None else [forecasts.c.issued_at <= issued_by_ns]
    named = '"disagreement":{' if pair is None else canonical({"pair": pair})[1:-1]
    which.append(forecasts.c.params.contains(named, autoescape=True))
    columns = (forecasts.c[name] for name in ("instrument", "basis", "data_cutoff", "params"))
    wanted = select(*columns).where(*which).order_by(forecasts.c.data_cutoff.desc(), forecasts.c.id.desc())
    with reading(engine) as connection:
        rows = connection.execute(wanted if newest is None else wanted.limit(newest)).all()
    return [_disagreed(row) for row in reversed(rows)]


def _disagreed(row: Row[Any]) -> Disagreed:
    said = orjson.loads(row.params)["disagreement"]
    first, second = said["pair"]
    return Disagreed(row.instrument, row.basis, row.data_cutoff, (first, second), said["distance"], said["raised"])
