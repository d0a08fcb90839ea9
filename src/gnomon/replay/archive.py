"""The archive: what was said while a window went by, frozen into the ground: forecasts of a ledger, the calendar.

Every answer is as of an instant. A forecast is known by who made it, of which cutoff, and by the content hash that the
decision log keeps.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.forecast.forecast import Forecast
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.replay.digests import canonical as text_of
from gnomon.trader.decisions import canonical
from gnomon.trader.market import Issued, content_of
from gnomon.units import IntArray

ID_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class Stated:
    """A forecast in the archive: the number of its listing, its content hash, and when it could be read (`issued`)."""

    instrument: int
    content: bytes
    issued: Issued

    @classmethod
    def of(cls, instrument: int, issued_ns: int, forecast: Forecast) -> Stated:
        content = content_of(forecast)
        name = f"{forecast.forecaster}@{iso(forecast.data_cutoff_ns)}#{content.hex()[:ID_DIGITS]}"
        return cls(instrument, content, Issued(name, issued_ns, forecast))


@dataclass(frozen=True, slots=True, eq=False)
class _Shelf:
    """Forecasts in the order in which they became known; of equal instants the last one counts."""

    times: list[int] = field(default_factory=list)
    said: list[Stated] = field(default_factory=list)

    def newest(self, now_ns: int) -> Stated | None:
        stop = bisect_right(self.times, now_ns)
        return self.said[stop - 1] if stop else None


class Archive:
    """Forecasts and events of a window. `events` is None where there is no calendar, which is not an empty one."""

    __slots__ = ("_asked", "_known_ns", "_listed", "_shelves", "events", "names", "stated")

    def __init__(self, stated: Iterable[Stated] = (), events: EventBook | None = None) -> None:
        self.stated: Sequence[Stated] = sorted(stated, key=_order)
        self.events = events
        self._shelves: dict[tuple[str | None, int, str], _Shelf] = {}
        for one in self.stated:
            forecast = one.issued.forecast
            for name in (forecast.forecaster, None):
                shelf = self._shelves.setdefault((name, one.instrument, str(forecast.timeframe)), _Shelf())
                shelf.times.append(one.issued.issued_ns)
                shelf.said.append(one)
        self.names = tuple(sorted({one.issued.forecast.forecaster for one in self.stated}))
        known = [] if events is None else sorted(one.knowable_ns for one in events)
        self._known_ns: IntArray = np.array(known, np.int64)
        self._asked = -1  # how many statements were known at the last asking
        self._listed: Sequence[CalendarEvent] = ()

    def forecast(self, name: str | None, instrument: int, timeframe: Timeframe, now_ns: int) -> Stated | None:
        """The newest of a forecaster (of any, for None) that could be read at `now_ns`."""
        shelf = self._shelves.get((name, instrument, str(timeframe)))
        return None if shelf is None else shelf.newest(now_ns)

    def calendar(self, now_ns: int) -> Sequence[CalendarEvent]:
        """The newest statement about each event that was knowable; made anew when there is a new one."""
        if self.events is None:
            return ()
        known = int(self._known_ns.searchsorted(now_ns, "right"))
        if known != self._asked:
            self._asked, self._listed = known, self.events.as_of(now_ns)
        return self._listed

    def parts(self) -> list[tuple[str, bytes]]:
        """What the archive adds to the digest of its dataset: nothing where it is empty."""
        found = []
        if self.stated:
            state = hashlib.blake2b(digest_size=32)
            for one in self.stated:
                state.update(canonical((one.instrument, one.issued.issued_ns, one.content)))
            found.append(("forecasts", state.digest()))
        if self.events is not None:
            state = hashlib.blake2b(digest_size=32)
            for event in self.events:
                state.update(canonical(_figures(event)))
            found.append(("events", state.digest()))
        return found

    def heard(self, start_ns: int, end_ns: int) -> list[tuple[int, CalendarEvent]]:
        """When events were listed or released in (start, end), and the statement that said so, in order."""
        found: list[tuple[int, CalendarEvent]] = []
        listed: dict[str, bool] = {}  # by id, whether it was released
        for one in self.events or ():
            is_release = one.released_ns is not None
            if one.id not in listed or (is_release and not listed[one.id]):
                listed[one.id] = is_release
                if start_ns < one.knowable_ns < end_ns:
                    found.append((one.knowable_ns, one))
        return sorted(found, key=lambda each: (each[0], each[1].scheduled_ns, each[1].id))


def _order(one: Stated) -> tuple[int, int, str, str, int]:
    forecast = one.issued.forecast
    return one.issued.issued_ns, one.instrument, str(forecast.timeframe), forecast.forecaster, forecast.data_cutoff_ns


def _figures(event: CalendarEvent) -> tuple[object, ...]:
    return (
        event.id, event.kind, event.subject, event.title, event.impact, event.scheduled_ns, event.listed_ns,
        event.knowable_ns, event.released_ns, event.forecast, event.actual, event.previous, event.unit,
        text_of({name: repr(value) for name, value in event.detail.items()}),
    )  # fmt: skip
