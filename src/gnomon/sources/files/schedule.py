"""From stamps to bars: which timeframe the rows have, and when each bar opens and closes.

| timeframe        | opens and closes                                                                                |
|------------------|-------------------------------------------------------------------------------------------------|
| below a day      | stamp and stamp + timeframe (stamp - timeframe and stamp where the end is stamped); where       |
|                  | trading stops before that, the session's close                                                  |
| a day and longer | the session, week or month of the calendar that holds the date; for a date without one the day  |
|                  | from midnight to midnight                                                                       |

Nothing is moved onto the calendar's grid and nothing is dropped: what the calendar does not know is noted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.market.calendar import Sessions
from gnomon.sources.files.numbers import Flags
from gnomon.sources.files.stamps import Stamps
from gnomon.units import DAY_NS, SECOND_NS, IntArray

_MONTHS: Final = {1: (28, 31), 2: (59, 62), 3: (90, 92), 6: (181, 184), 12: (365, 366)}
_ENOUGH_SPACINGS: Final = 3
_ENOUGH_CLOSES: Final = 3


def decide_timeframe(wall_ns: IntArray, said: str, by: str, file: str) -> Timeframe:
    """The timeframe that was said (by the caller or the file's name), checked against the rows; else the rows' own.

    The rows' own is their most common spacing, in the order of the file: a row out of order then disturbs little.
    Raises `Invalid` when neither is to be had or they contradict.
    """
    steps: IntArray = wall_ns[1:] - wall_ns[:-1]
    falling = int((steps < 0).sum()) > int((steps > 0).sum())
    steps = -steps[steps < 0] if falling else steps[steps > 0]
    spacings, counts = np.unique(steps, return_counts=True)
    named = Timeframe.parse(said) if said else None
    if not len(spacings):
        if named is None:
            raise Invalid(f"{file}: one bar has no spacing to tell the timeframe by", hint="say --timeframe, e.g. 1h")
        return named
    common_ns = int(spacings[counts.argmax()])
    if named is None:
        return _of_spacing(common_ns, file)
    if _contradict(named, common_ns, spacings, counts):
        raise Invalid(
            f"{file}: {by} says {named}, but the rows are most often {_spell(common_ns)} apart",
            hint="correct the timeframe",
            detail={"said": str(named), "common_spacing_ns": common_ns},
        )
    return named


def _of_spacing(spacing_ns: int, file: str) -> Timeframe:
    days = spacing_ns / DAY_NS
    for months, (least, most) in _MONTHS.items():
        if least <= days <= most:
            return Timeframe.parse(f"{months}mo")
    if spacing_ns % SECOND_NS:
        raise Invalid(
            f"{file}: rows are most often {spacing_ns} ns apart, no timeframe",
            hint="are these trades? then they need columns price and size; or say --timeframe",
        )
    return Timeframe.of_ns(spacing_ns)


def _contradict(named: Timeframe, common_ns: int, spacings: IntArray, counts: IntArray) -> bool:
    """A thin market may skip most bars, so wider spacings alone are no contradiction; narrower ones are."""
    least_ns = named.nominal_ns if named.unit != "mo" else named.count * 28 * DAY_NS
    most_ns = named.nominal_ns if named.unit != "mo" else named.count * 31 * DAY_NS
    seen = int(counts[(spacings >= least_ns) & (spacings <= most_ns)].sum())
    if seen >= counts.max():
        return False
    return common_ns < least_ns or (not seen and int(counts.sum()) >= _ENOUGH_SPACINGS)


def _spell(spacing_ns: int) -> str:
    return str(Timeframe.of_ns(spacing_ns)) if spacing_ns % SECOND_NS == 0 else f"{spacing_ns} ns"


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Opens and closes (n,), UTC ns, and what there is to say about them."""

    open_ns: IntArray
    close_ns: IntArray
    notes: tuple[str, ...] = ()


def place(stamps: Stamps, timeframe: Timeframe, sessions: Sessions, stamp: Literal["open", "close"]) -> Placed:
    """Where the bars of these stamps (all good, offsets known where the timeframe is below a day) open and close."""
    if timeframe.is_intraday:
        open_ns = stamps.utc_ns() - (timeframe.nominal_ns if stamp == "close" else 0)
        return Placed(open_ns, _intraday_close(open_ns, timeframe, sessions))
    return _by_date(stamps, timeframe, sessions)


def _intraday_close(open_ns: IntArray, timeframe: Timeframe, sessions: Sessions) -> IntArray:
    """Open + timeframe, or the session's close where trading stops before that and stays closed until then."""
    full_ns = open_ns + timeframe.nominal_ns
    index = np.searchsorted(sessions.open_ns, open_ns, side="right") - 1
    session_close_ns = sessions.close_ns[np.maximum(index, 0)]
    reopens_ns = np.append(sessions.open_ns[1:], np.iinfo(np.int64).max)[np.maximum(index, 0)]
    inside = (index >= 0) & (open_ns < session_close_ns)
    stops = inside & (session_close_ns < full_ns) & (reopens_ns >= full_ns)
    return np.where(stops, session_close_ns, full_ns)


def _by_date(stamps: Stamps, timeframe: Timeframe, sessions: Sessions) -> Placed:
    days = _dates(stamps, sessions)
    bars, absent = sessions.of_days(days, timeframe)
    open_ns, close_ns = bars.open_ns.copy(), bars.close_ns.copy()
    if not len(absent):
        return Placed(open_ns, close_ns)
    nearest = np.clip(np.searchsorted(sessions.day, days[absent], side="right") - 1, 0, len(sessions.day) - 1)
    open_ns[absent] = days[absent] * DAY_NS - sessions.offset_ns[nearest]
    close_ns[absent] = open_ns[absent] + max(DAY_NS, timeframe.nominal_ns)
    first = str(days[absent][0].astype("datetime64[D]"))
    note = f"{len(absent)} bars lie on dates without a session of calendar {sessions.name} (the first on {first})"
    return Placed(open_ns, close_ns, (note,))


def _dates(stamps: Stamps, sessions: Sessions) -> IntArray:
    """The dates meant: as written where every stamp is a midnight, else of the session that an instant falls in."""
    days = stamps.wall_ns // DAY_NS
    if stamps.are_dates:
        return days
    utc_ns = stamps.utc_ns()
    index = np.maximum(np.searchsorted(sessions.open_ns, utc_ns, side="right") - 1, 0)
    inside = (sessions.open_ns[index] <= utc_ns) & (utc_ns < sessions.close_ns[index])
    return np.where(inside, sessions.day[index], days)


def marks_ends(utc_ns: IntArray, sessions: Sessions) -> bool | None:
    """Whether intraday stamps mark the ends of bars: True if they meet closes of trading and never an opening.

    False if they meet openings and never a close; None where the rows do not tell. Only a close with a pause after it
    and an opening with a pause before it count; and as ends, (nearly) all stamps must lie within a session, or they
    may as well be the opens of bars after hours.
    """
    pause = sessions.open_ns[1:] > sessions.close_ns[:-1]
    at_close = int(np.isin(utc_ns, sessions.close_ns[:-1][pause]).sum())
    at_open = int(np.isin(utc_ns, sessions.open_ns[1:][pause]).sum())
    if at_open:
        return None if at_close else False
    return True if at_close >= _ENOUGH_CLOSES and share_in_session(utc_ns, sessions) > 0.99 else None


def share_in_session(utc_ns: IntArray, sessions: Sessions) -> float:
    """The share of instants within a session, its close included."""
    return 1.0 - float((outside_sessions(utc_ns, sessions) & ~np.isin(utc_ns, sessions.close_ns)).mean())


def outside_sessions(utc_ns: IntArray, sessions: Sessions) -> Flags:
    """Which instants lie in no session; a session's close is outside it."""
    if not len(utc_ns):
        return np.zeros(0, np.bool_)
    near = slice(  # few of the calendar's sessions, so that each search is short
        max(0, int(np.searchsorted(sessions.open_ns, utc_ns.min(), side="right")) - 1),
        max(1, int(np.searchsorted(sessions.open_ns, utc_ns.max(), side="right"))),
    )
    index = np.searchsorted(sessions.open_ns[near], utc_ns, side="right") - 1
    return np.asarray((index < 0) | (utc_ns >= sessions.close_ns[near][np.maximum(index, 0)]))
