"""Ingest of prints: a dataset for each whole day that is over, asked for only where it is not stored.

Prints stay in files (`DatasetFiles`), as those of an imported file do, under the name of the day's dump
(`BTCUSDT-aggTrades-2025-01-31`): a dump imported by hand counts. A day is stored whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

import numpy as np

from gnomon.clock import Clock, Timeframe, iso
from gnomon.errors import GnomonError, Invalid
from gnomon.jobs.progress import Progress, silent
from gnomon.market.calendar import Sessions
from gnomon.market.dataset import Passport, SeriesPassport, content_hash
from gnomon.market.instrument import Instrument
from gnomon.market.trades import Trades
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import Request, TradeSource
from gnomon.store.store import Store
from gnomon.units import DAY_NS, Grid, IntArray

_ONE_DAY: Final = Timeframe.of_ns(DAY_NS)


@dataclass(slots=True)
class FetchedTrades:
    """What an ingest of the prints of one instrument did. `asked`, `stored` and `empty` are days, 2025-01-31."""

    instrument: str
    source: str
    asked: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    prints: int = 0
    error: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def fetch_trades(
    store: Store,
    source: TradeSource,
    instrument: Instrument,
    clock: Clock,
    first_ns: int,
    last_ns: int,
    *,
    progress: Progress = silent,
) -> FetchedTrades:
    """Store the prints of each whole UTC day in [first_ns, last_ns) that is over and not stored yet.

    A day without a print is asked for again the next time. An error of the source ends it, with the days before kept,
    and is in the report. Raises `Invalid` for a window without a whole day.
    """
    report = FetchedTrades(instrument.id, source.name)
    sessions = load_sessions(instrument.calendar)
    days = list(_days(first_ns, min(last_ns, clock.now_ns())))
    if not days:
        raise Invalid(
            f"no whole day from {iso(first_ns)} to {iso(last_ns)} is over", hint="prints are stored by the UTC day"
        )
    there = {one["name"] for one in store.market.datasets() if _is_of(one, instrument)}
    try:
        for number, begin_ns in enumerate(days):
            day = iso(begin_ns)[:10]
            progress(number, len(days), day)
            if name_of(instrument, day) not in there:
                report.asked.append(day)
                prints = _store_day(store, source, instrument, sessions, begin_ns, clock.now_ns())
                (report.stored if prints else report.empty).append(day)
                report.prints += prints
    except GnomonError as error:
        report.error = error.document()
    progress(len(days), len(days), "done")
    return report


def name_of(instrument: Instrument, day: str) -> str:
    """The dataset of a day: what its dump is called."""
    return f"{instrument.symbol}-aggTrades-{day}"


def joined(pages: Sequence[Trades]) -> Trades:
    """Pages in order as one series, on the coarsest grids that hold them all."""
    tick, lot = _grid([one.tick for one in pages]), _grid([one.lot for one in pages])
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in pages]) for name in ("time_ns", "received_ns", "id", "side")
    }
    return replace(
        pages[0],
        tick=tick,
        lot=lot,
        price=np.concatenate([_on(one.price, one.tick, tick) for one in pages]),
        size=np.concatenate([_on(one.size, one.lot, lot) for one in pages]),
        flags=np.concatenate([one.flags for one in pages]),
        **columns,
    )


def _store_day(
    store: Store, source: TradeSource, instrument: Instrument, sessions: Sessions, begin_ns: int, now_ns: int
) -> int:
    """Fetch a day and store it as one dataset; how many prints it has."""
    pages = list(source.trades(Request(instrument, sessions, _ONE_DAY, begin_ns, begin_ns + DAY_NS)))
    if not pages:
        return 0
    prints = joined(pages).check()
    lost = int(np.diff(prints.id).sum()) - (len(prints) - 1)
    notes = [f"{lost} ids are left out"] if lost else []
    passport = Passport(
        hash=content_hash([prints]),
        name=name_of(instrument, iso(begin_ns)[:10]),
        source=source.name,
        licence="unknown",
        files={},
        series=(SeriesPassport.of(prints, notes=notes),),
        recipe={"from": iso(begin_ns), "to": iso(begin_ns + DAY_NS)},
    )
    store.datasets.write(passport, [prints])
    store.market.record(passport, [prints], [instrument], recorded_ns=now_ns)
    return len(prints)


def _days(first_ns: int, last_ns: int) -> Iterator[int]:
    """The midnights at which whole days of the window begin."""
    yield from range(-(-first_ns // DAY_NS) * DAY_NS, last_ns // DAY_NS * DAY_NS, DAY_NS)


def _is_of(passport: dict[str, Any], instrument: Instrument) -> bool:
    return any(one["kind"] == "trades" and one["instrument"] == instrument.id for one in passport["series"])


def _grid(grids: Sequence[Grid]) -> Grid:
    """The finest of the grids where it holds the others, else the power of ten that does."""
    finest = min(one.step for one in grids)
    if all(one.step % finest == 0 for one in grids):
        return Grid(finest)
    exponent = min(int(one.step.normalize().as_tuple().exponent) for one in grids)
    return Grid(Decimal(1).scaleb(exponent))


def _on(counts: IntArray, own: Grid, finer: Grid) -> IntArray:
    return counts * int(own.step / finer.step)
