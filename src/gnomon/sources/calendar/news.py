"""What a calendar says anew: a source is asked again and again, and a repetition is no statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gnomon.market.events import CalendarEvent


def news(said: Iterable[CalendarEvent], known: Iterable[CalendarEvent]) -> list[CalendarEvent]:
    """The statements of `said` that differ from what was known of their event then, by event and time.

    `known` is what is stored (an `EventBook` will do). Two statements are the same but for when they were made; the
    listing that was known first is kept, since reading a calendar again lists nothing again.
    """
    newest: dict[str, list[CalendarEvent]] = {}
    for one in known:
        newest.setdefault(one.id, []).append(one)
    found = []
    for one in sorted(said, key=lambda one: (one.id, one.knowable_ns)):
        history = newest.setdefault(one.id, [])
        before = max(
            (other for other in history if other.knowable_ns <= one.knowable_ns),
            key=lambda other: other.knowable_ns,
            default=None,
        )
        listed_ns = min(other.listed_ns for other in [*history, one] if other.listed_ns <= one.knowable_ns)
        one = replace(one, listed_ns=listed_ns)
        if before is None or replace(before, knowable_ns=one.knowable_ns, listed_ns=listed_ns) != one:
            found.append(one)
            history.append(one)
    return found
