"""Lanes: what comes first among events of one instant.

The total order of everything that happens is the key `(time_ns, lane, source, seq)`: `source` is the number of the
stream in the order in which the streams were registered, `seq` its place inside the stream. Keys are unique, so two
events are never compared by what they hold.
"""

from __future__ import annotations

from enum import IntEnum


class Lane(IntEnum):
    """The second part of the key. The gaps leave room; the numbers are stored, so they never change."""

    BAR = 10
    """Candle closes: the bar that ends at t holds nothing of t, so it is finished before anything of t happens."""

    RULE = 20
    """Rule and status changes: a filter or a halt valid from t governs the prints and orders of t."""

    PRINT = 30
    """Market prints: history happens before we may react to it."""

    BOOK = 40
    """Quotes and depth: a print's effect on the queue is counted once, then comes the book that already reflects it."""

    NEWS = 50
    """Calendar, forecasts, news: knowable at t, after the market's own facts of t."""

    ARRIVAL = 60
    """Our requests arriving: an order never trades with a print of its own instant."""

    TIMER = 70
    """Timers: one set for t sees the orders that arrived at t."""

    DELIVERY = 80
    """Deliveries to traders: what is told at t is the state after everything of t."""
