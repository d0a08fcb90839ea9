"""Ingest from sources: ask only for what is missing, keep each page at once, go on after a failure where it stopped.

A page is one transaction. Killed between two, the next run asks for what the store does not hold yet: nothing is lost,
doubled or half-written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gnomon.clock import Clock, Timeframe, iso
from gnomon.errors import GnomonError, NotFound
from gnomon.jobs.progress import Progress, silent
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Basis
from gnomon.market.instrument import Instrument
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import CandleSource, Request
from gnomon.store.store import Store
from gnomon.units import DAY_NS, IntArray

FIRST_FETCH_BARS: Final = 2_300
"""What an empty series is filled with unless a start is given: the look-back of the baselines and some to spare."""

GAPS_BACK_NS: Final = 7 * DAY_NS
"""A bar that a source did not have is asked for again for so long; an older gap only when a start is given."""


@dataclass(frozen=True, slots=True)
class Window:
    """Scheduled bars that are not stored: opens in [first_ns, last_ns), `bars` of them."""

    first_ns: int
    last_ns: int
    bars: int


@dataclass(slots=True)
class Fetched:
    """What an ingest of one series did."""

    instrument: str
    source: str
    asked: list[Window] = field(default_factory=list)
    pages: int = 0
    added: int = 0
    revisions: int = 0
    error: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        asked = [{"from": iso(one.first_ns), "to": iso(one.last_ns), "bars": one.bars} for one in self.asked]
        counts = {name: getattr(self, name) for name in ("pages", "added", "revisions", "error")}
        return {"instrument": self.instrument, "source": self.source, "asked": asked} | counts


def source_of(instrument: Instrument, sources: Mapping[str, CandleSource], wanted: str = "") -> CandleSource:
    """The source to ask: the one wanted, or the first of the instrument's own that is there. `NotFound` else."""
    names = [wanted] if wanted else list(instrument.sources)
    for name in names:
        if name in sources:
            return sources[name]
    raise NotFound(
        f"{instrument.symbol}: none of its sources ({', '.join(names) or 'it has none'}) is set up",
        hint=f"sources: {', '.join(sources)}; an instrument's sources stand in the instruments file",
    )


def missing(scheduled_open_ns: IntArray, stored_open_ns: IntArray, step_ns: int) -> Iterator[Window]:
    """Runs of scheduled opens that are not stored, oldest first, each as one window."""
    absent = ~np.isin(scheduled_open_ns, stored_open_ns)
    edges = np.flatnonzero(np.diff(absent, prepend=False, append=False))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        newest = int(scheduled_open_ns[last - 1])
        yield Window(int(scheduled_open_ns[first]), newest + step_ns, int(last - first))


def windows_of(
    store: Store,
    instrument: Instrument,
    sessions: Sessions,
    timeframe: Timeframe,
    basis: Basis,
    now_ns: int,
    first_ns: int | None = None,
    last_ns: int | None = None,
) -> list[Window]:
    """What a series lacks of the bars that have closed by now.

    Without a start: what lies beyond its newest bar and the gaps of the last week; of an empty series, its newest
    bars. With one: every gap from there.
    """
    end_ns = min(now_ns, sessions.newest_closed_ns(timeframe, now_ns) if last_ns is None else last_ns)
    if first_ns is None:
        stored = store.market.opens(
            instrument.id, timeframe, basis, first_ns=end_ns - 10 * GAPS_BACK_NS, last_ns=end_ns + 1
        )
        first_ns = _default_start(sessions, timeframe, stored, end_ns)
    scheduled = sessions.between(timeframe, first_ns, end_ns).open_ns
    stored = store.market.opens(instrument.id, timeframe, basis, first_ns=first_ns, last_ns=end_ns + 1)
    return list(missing(scheduled, stored, timeframe.nominal_ns))


def _default_start(sessions: Sessions, timeframe: Timeframe, stored: IntArray, end_ns: int) -> int:
    if len(stored):
        return min(int(stored[-1]), max(int(stored[0]), end_ns - GAPS_BACK_NS))
    reach_ns = FIRST_FETCH_BARS * timeframe.nominal_ns
    while len(opens := sessions.between(timeframe, end_ns - reach_ns, end_ns).open_ns) < FIRST_FETCH_BARS:
        if end_ns - 2 * reach_ns < sessions.open_ns[0]:
            break
        reach_ns *= 2  # a market that closes at night needs a longer stretch of days for as many bars
    return int(opens[-FIRST_FETCH_BARS:][0]) if len(opens) else end_ns


def fetch(
    store: Store,
    sources: Mapping[str, CandleSource],
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    clock: Clock,
    *,
    source: str = "",
    first_ns: int | None = None,
    last_ns: int | None = None,
    revise: bool = False,
    progress: Progress = silent,
) -> list[Fetched]:
    """Fetch what is missing of each instrument. One that fails is reported with its error; the others go on."""
    reports = []
    for number, instrument in enumerate(instruments):
        progress(number, len(instruments), instrument.symbol)
        try:
            chosen = source_of(instrument, sources, source)
        except NotFound as error:
            reports.append(Fetched(instrument.id, source, error=error.document()))
            continue
        reports.append(
            fetch_one(store, chosen, instrument, timeframe, clock, first_ns=first_ns, last_ns=last_ns, revise=revise)
        )
    progress(len(instruments), len(instruments), "done")
    return reports


def fetch_one(
    store: Store,
    source: CandleSource,
    instrument: Instrument,
    timeframe: Timeframe,
    clock: Clock,
    *,
    first_ns: int | None = None,
    last_ns: int | None = None,
    revise: bool = False,
) -> Fetched:
    """Fetch what one series lacks. `revise` asks for the whole window again: what differs is kept as a revision.

    An error of the source ends the series, with what came before it kept, and is in the report.
    """
    report = Fetched(instrument.id, source.name)
    sessions = load_sessions(instrument.calendar)
    now_ns = clock.now_ns()
    try:
        if revise and first_ns is not None:
            windows = [Window(first_ns, now_ns if last_ns is None else last_ns, 0)]
        else:
            basis = source.basis
            windows = windows_of(store, instrument, sessions, timeframe, basis, now_ns, first_ns, last_ns)
        for window in windows:
            report.asked.append(window)
            request = Request(instrument, sessions, timeframe, window.first_ns, window.last_ns)
            for page in source.candles(request):
                done = store.market.extend([page], [instrument], recorded_ns=clock.now_ns())
                report.pages += 1
                report.added += done.candles_added
                report.revisions += done.revisions
    except GnomonError as error:
        report.error = error.document()
    return report
