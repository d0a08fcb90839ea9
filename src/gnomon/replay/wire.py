"""The wire: what a run's trader is told and may ask of forecasts and of the calendar, as of its clock.

Forecasts come from one declared place: the archive of the ground (rows of a ledger), or a forecaster that is run in
process at virtual time. The second kind is made of closed bars alone, `latency_ns` after the newest of them could be
seen, once for each name, instrument and bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, NotFound, Unavailable, nearest
from gnomon.forecast.forecast import DEFAULT_LOOKBACK_BARS, MIN_CONTEXT_BARS, as_stored, context_at
from gnomon.forecast.forecaster import Forecaster
from gnomon.market.calendar import Sessions
from gnomon.market.events import CalendarEvent
from gnomon.market.instrument import Instrument
from gnomon.market.tape import AsOf, History, Series, Tape
from gnomon.replay.archive import Archive, Stated
from gnomon.replay.ground import Ground
from gnomon.replay.view import TapeView
from gnomon.trader.market import Document, Issued
from gnomon.units import INT64_MAX

LOOK_BACK_ROWS: Final = 8
"""Bars behind the newest that are tried where one of them is off the calendar."""


@dataclass(frozen=True, slots=True, eq=False)
class Compute:
    """Forecasters that are run at virtual time. `names` are those that `on_forecast` is told of, and that answer where
    none is named. Instruments and their sessions in the order of the ground's listings."""

    forecasters: Mapping[str, Forecaster]
    instruments: Sequence[Instrument]
    sessions: Sequence[Sessions]
    names: tuple[str, ...] = ()
    horizon_bars: int = 24
    lookback_bars: int = DEFAULT_LOOKBACK_BARS
    latency_ns: int = 0
    seed: int = 0

    def document(self) -> dict[str, Any]:
        """As it stands in the configuration of a run."""
        return {
            "from": "compute",
            "versions": {name: one.version for name, one in self.forecasters.items()},
            "names": list(self.names),
            "horizon_bars": self.horizon_bars,
            "lookback_bars": self.lookback_bars,
            "latency_ns": self.latency_ns,
            "seed": self.seed,
        }


class Notice(NamedTuple):
    """Something becomes known: an event, a forecast of the archive, or one to be computed at a bar."""

    time_ns: int
    event: CalendarEvent | None = None
    stated: Stated | None = None
    bar: tuple[str, int, int] | None = None  # forecaster, instrument, row of its bars


@dataclass(slots=True, eq=False)
class Wire:
    """The port `trader.market.News`. Every forecast that was answered is kept by its id."""

    ground: Ground
    view: TapeView
    feed_ns: int
    compute: Compute | None = None
    answered: dict[str, Stated] = field(default_factory=dict)
    _made: dict[tuple[str, int, int], Stated | None] = field(default_factory=dict)
    _tapes: dict[int, Tape] = field(default_factory=dict)

    @property
    def archive(self) -> Archive:
        return self.ground.archive or Archive()

    def forecast(self, name: str | None, instrument: int, timeframe: Timeframe, now_ns: int) -> Issued | None:
        """The newest that could be read. `Unavailable` where the session has no forecasts at all."""
        if self.compute is not None:
            found = self._computed(name, instrument, timeframe, now_ns)
        elif not self.archive.stated:
            raise Unavailable("no forecast is stored for this window", hint="issue some, or replay with compute")
        else:
            found = self.archive.forecast(name, instrument, timeframe, now_ns)
        return None if found is None else self._answer(found)

    def calendar(self, now_ns: int) -> Sequence[CalendarEvent]:
        """`Unavailable` where no calendar is stored."""
        if self.archive.events is None:
            raise Unavailable("this session has no calendar", hint="`gnomon ingest-events` brings one")
        return self.archive.calendar(now_ns)

    def search(self, _query: str, _n: int, _now_ns: int) -> Sequence[Document]:
        raise Unavailable("this session has nothing to search", hint="replay with a collection of texts")

    def notices(self, start_ns: int, end_ns: int) -> list[Notice]:
        """What becomes known in (start, end), in order: events before forecasts, those by instrument and name."""
        events = [Notice(at_ns, event=one) for at_ns, one in self.archive.heard(start_ns, end_ns)]
        if self.compute is not None:
            stated = list(self._bars_told(self.compute, start_ns, end_ns))
        else:
            known = ((one.issued.issued_ns, one) for one in self.archive.stated)
            stated = [Notice(at_ns, stated=one) for at_ns, one in known if start_ns < at_ns < end_ns]
        return sorted(events + stated, key=lambda one: one.time_ns)  # stable: the order above decides ties

    def stated_by(self, notice: Notice) -> tuple[int, Issued] | None:
        """The instrument and the forecast of a notice; None where nothing could be computed at its bar."""
        found = notice.stated
        if found is None and notice.bar is not None:
            found = self._at(*notice.bar)
        return None if found is None else (found.instrument, self._answer(found))

    def _answer(self, found: Stated) -> Issued:
        self.answered[found.issued.id] = found
        return found.issued

    def _bars_told(self, how: Compute, start_ns: int, end_ns: int) -> Iterator[Notice]:
        delay_ns = self.feed_ns + how.latency_ns
        for number, tape in enumerate(self.ground.tapes):
            times = tape.bars.close_ns + delay_ns
            first, last = np.searchsorted(times, [start_ns + 1, end_ns]).tolist()
            for row, at_ns in enumerate(times[first:last].tolist(), first):
                for name in how.names:
                    yield Notice(at_ns, bar=(name, number, row))

    def _computed(self, name: str | None, instrument: int, timeframe: Timeframe, now_ns: int) -> Stated | None:
        how = self.compute
        assert how is not None
        if timeframe != self.ground.timeframe:
            raise NotFound(f"no forecasts of {timeframe}", hint=f"they are computed at {self.ground.timeframe}")
        chosen = [name] if name is not None else how.names or list(how.forecasters)[:1]
        delay_ns = self.feed_ns + how.latency_ns
        stop = int(self.ground.tapes[instrument].bars.close_ns.searchsorted(now_ns - delay_ns, "right"))
        for row in range(stop - 1, max(-1, stop - 1 - LOOK_BACK_ROWS), -1):
            for one in chosen:
                found = self._at(one, instrument, row)
                if found is not None:
                    return found
        return None

    def _at(self, name: str, instrument: int, row: int) -> Stated | None:
        key = name, instrument, row
        if key not in self._made:
            self._made[key] = self._make(name, instrument, row)
        return self._made[key]

    def _make(self, name: str, instrument: int, row: int) -> Stated | None:
        how = self.compute
        assert how is not None
        if name not in how.forecasters:
            refuse_unknown(name, tuple(how.forecasters))
        if row + 1 < MIN_CONTEXT_BARS:
            return None
        close_ns = self.ground.tapes[instrument].bars.close_ns.item(row)
        of, timeframe = how.instruments[instrument], self.ground.timeframe
        try:
            context = context_at(
                AsOf(self._tape(instrument), close_ns), of, how.sessions[instrument], timeframe, how.horizon_bars,
                lookback_bars=how.lookback_bars,
            )  # fmt: skip
        except Invalid:  # the bar is not on the calendar, as live: nothing is said of it
            return None
        if context.data_cutoff_ns != close_ns or len(context.bars) < MIN_CONTEXT_BARS:
            return None
        (said,) = how.forecasters[name].predict([context], how.horizon_bars, seed=how.seed)
        return Stated.of(instrument, close_ns + self.feed_ns + how.latency_ns, as_stored(said))

    def _tape(self, instrument: int) -> Tape:
        if instrument not in self._tapes:
            rows = len(self.ground.tapes[instrument].bars)
            candles = self.view.candles(instrument, self.ground.timeframe, max(1, rows), INT64_MAX)
            closed = replace(candles, knowable_ns=candles.close_ns)  # the feed's delay is counted by whoever asks
            self._tapes[instrument] = Tape([Series(History(closed))])
        return self._tapes[instrument]


def refuse_unknown(name: str, known: Sequence[str]) -> NoReturn:
    """`NotFound` for a forecaster, with the nearest that are there."""
    close = nearest(name, known)
    hint = f"did you mean {', '.join(close)}?" if close else f"there is {', '.join(known) or 'none'}"
    raise NotFound(f"no forecasts of {name!r} in this session", hint=hint, detail={"nearest": close})
