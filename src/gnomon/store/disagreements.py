"""What pools said of the two members they watch, read back from the params of their forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Engine, Row, select

from gnomon.errors import Invalid
from gnomon.score.disagreement import FlagScorecard, flag_scorecard
from gnomon.store.boards import BoardFilter, read
from gnomon.store.chain import canonical
from gnomon.store.engine import reading
from gnomon.store.entry import Lane
from gnomon.store.forecasts import chosen
from gnomon.store.scores import ScoreStore
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


def scorecards(engine: Engine, scores: ScoreStore, which: BoardFilter) -> dict[tuple[str, str], FlagScorecard]:
    """Is a pool's loss higher when its flag is raised? One scorecard for each pair that was watched, from the scores of
    a filter that names one pool. Raises `Invalid` when the filter leaves several walk-forwards or none or two pools."""
    if len(which.forecasters) != 1:
        raise Invalid(f"{len(which.forecasters)} pools", hint="a scorecard is about one, e.g. ensemble-pool")
    found, keys = read(scores, which)
    rows = read_disagreements(
        engine,
        lane=which.lane,
        variant=which.variant,
        timeframe=str(which.timeframe),
        forecaster=which.forecasters[0],
        instruments=which.instruments,
        basis=which.basis,
        first_cutoff_ns=which.first_cutoff_ns,
        last_cutoff_ns=which.last_cutoff_ns,
    )
    raised: dict[tuple[str, str], dict[tuple[str, int], bool]] = {}
    for one in rows:
        raised.setdefault(one.pair, {})[one.instrument, one.cutoff_ns] = one.is_raised
    return {
        pair: flag_scorecard(found, keys, flags, timeframe=which.timeframe, identity=f"{which.identity}|{pair}")
        for pair, flags in sorted(raised.items())
    }


def _disagreed(row: Row[Any]) -> Disagreed:
    said = orjson.loads(row.params)["disagreement"]
    first, second = said["pair"]
    return Disagreed(row.instrument, row.basis, row.data_cutoff, (first, second), said["distance"], said["raised"])
