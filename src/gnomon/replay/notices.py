"""Notices: wakes at instants that the ground decides, each with something to tell: news, phases of the session, best
quotes, a feed that has gone silent.

| filter | layer | what is told |
|---|---|---|
| news | +1 | events when they are listed or released, forecasts when they are issued |
| session | +2 | `open` at the start, `day` there and every 24 hours, `close` in the last nanosecond |
| degraded | +3 | a tape without a row for three bars of the session's timeframe, once for each silence |
| quotes | +4 and the instrument | the best bid, ask or their lots have changed, as recorded |

Layers count from that of the bars. Whoever replays a Record needs the ground and the filter alone to have the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from gnomon.exchange.bars import Bars
from gnomon.market.quotes import Quotes
from gnomon.replay.ground import Ground
from gnomon.replay.streams import NEVER_NS, Clocked
from gnomon.replay.wire import Notice, Wire
from gnomon.trader.events import BestQuote
from gnomon.units import DAY_NS, IntArray

NEWS, SESSION, DEGRADED, QUOTES = 1, 2, 3, 4
"""Layers behind that of the bars; those of quotes, one an instrument, come last."""

SILENT_BARS: Final = 3
STALE: Final = "stale feed"

Tell = Callable[[Any, int], object]
"""`tell(desk, row)`: the call at a row, with the clock set."""


class NoticeStream:
    """A `streams.Stream` of rows with known times, never decreasing."""

    def __init__(self, times_ns: Sequence[int], tell: Tell, layer: int) -> None:
        self.layer = layer
        self.told = 0, 0, 0, 0
        self.is_flowing = True
        self._times = times_ns
        self._tell = tell
        self._at = 0
        self.next_ns = times_ns[0] if times_ns else NEVER_NS

    def run(self, desk: Clocked, limit_ns: int) -> None:
        times, first, outbox, tell = self._times, self._at, desk.outbox, self._tell
        try:
            while True:
                row = self._at
                desk.now_ns = times[row]
                self._at = row + 1
                self.next_ns = times[row + 1] if row + 1 < len(times) else NEVER_NS
                tell(desk, row)
                if outbox or desk.is_deciding or self.next_ns >= limit_ns:
                    break
        finally:
            self.told = first, self._at, self._at - first, times[first]
        self.is_flowing = not (outbox or desk.is_deciding)


def news_stream(notices: Sequence[Notice], tell: Tell, layer: int) -> NoticeStream:
    return NoticeStream([one.time_ns for one in notices], tell, layer)


def teller(wire: Wire, notices: Sequence[Notice], on_forecast: Any, on_calendar: Any) -> Tell:
    """Calls the hook of each notice, where the trader has one; a forecast that is told has been read."""

    def tell(desk: Any, row: int) -> None:
        notice = notices[row]
        if notice.event is not None:
            if on_calendar is not None:
                desk.tell_event(on_calendar, notice.event)
        elif on_forecast is not None:
            found = wire.stated_by(notice)
            if found is not None:
                desk.tell_forecast(on_forecast, *found)

    return tell


def phases(start_ns: int, end_ns: int) -> list[tuple[int, str]]:
    """Open, every day and close of a window."""
    days = [(at_ns, "day") for at_ns in range(start_ns, end_ns - 1, DAY_NS)]
    return [(start_ns, "open"), *days, (end_ns - 1, "close")]


def phase_stream(
    start_ns: int, end_ns: int, quiet_ns: int, hook: Callable[[Any, Any], object], layer: int
) -> NoticeStream:
    """Those at `quiet_ns` or later."""
    found = [one for one in phases(start_ns, end_ns) if one[0] >= quiet_ns]
    return NoticeStream([at_ns for at_ns, _ in found], lambda desk, row: hook(desk, found[row][1]), layer)


def silences(ground: Ground, start_ns: int, end_ns: int, feed_ns: int) -> list[tuple[int, int]]:
    """(instant, instrument): when a tape had told nothing for three bars, in (start, end)."""
    patience_ns = SILENT_BARS * ground.timeframe.nominal_ns
    found: list[tuple[int, int]] = []
    for number, tape in enumerate(ground.tapes):
        rows = tape.tape
        told: IntArray = (rows.close_ns if isinstance(rows, Bars) else rows.time_ns) + feed_ns
        if not len(told):
            continue
        until = np.append(told[1:], end_ns)
        missed = told[until - told > patience_ns] + patience_ns
        found += [(at_ns, number) for at_ns in missed.tolist() if start_ns < at_ns < end_ns]
    return sorted(found)


def silence_stream(ground: Ground, found: Sequence[tuple[int, int]], hook: Any, layer: int) -> NoticeStream:
    listings = ground.listings

    def tell(desk: Any, row: int) -> None:
        hook(desk, f"{STALE}: {listings[found[row][1]].id}")

    return NoticeStream([at_ns for at_ns, _ in found], tell, layer)


def quote_stream(
    quotes: Quotes, instrument: int, hook: Callable[[Any, Any], object], window_ns: tuple[int, int], feed_ns: int,
    layer: int,
) -> NoticeStream:  # fmt: skip
    """A wake at every change of the four numbers that is knowable in [start, end)."""
    columns = (quotes.bid, quotes.ask, quotes.bid_qty, quotes.ask_qty)
    is_new = np.ones(len(quotes), np.bool_)
    if len(quotes):
        is_new[1:] = np.any([np.diff(one) != 0 for one in columns], axis=0)
    known_ns = quotes.time_ns + feed_ns
    rows = np.flatnonzero(is_new & (known_ns >= window_ns[0]) & (known_ns < window_ns[1]))
    times = known_ns[rows].tolist()
    said = [one[rows].tolist() for one in columns]

    def tell(desk: Any, row: int) -> None:
        bid, ask, bid_lots, ask_lots = (one[row] for one in said)
        hook(desk, BestQuote(instrument, times[row], bid, ask, bid_lots, ask_lots))

    return NoticeStream(times, tell, layer)
