"""Wakes: the filter of a trader as a Record holds it, and the streams that follow from it and the ground alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gnomon.exchange.prints import Prints
from gnomon.replay import notices
from gnomon.replay.bodies import PriceWatch, Wake
from gnomon.replay.engine import FIRST_LAYER
from gnomon.replay.ground import Ground
from gnomon.replay.streams import Stream
from gnomon.replay.watches import DOWN, UP, WatchStream
from gnomon.replay.wire import Wire
from gnomon.trader.events import Trade
from gnomon.trader.trader import heard

OWN, TIMERS, NEWS, QUOTES, SESSION, DEGRADED, PRICES = 1, 2, 4, 8, 16, 32, 64
"""Flags of a WAKE record."""


def wake_of(wakes: Any, ground: Ground, bar_layer: int, hook: Callable[[str], Any]) -> Wake:
    """`trader.trader.Wake` as it is recorded: less the wakes that the trader has no hook for. A price of its class is
    watched on every tape of prints: upward, or with a minus sign downward."""
    wakes = heard(wakes, hook)
    flags = (
        (OWN, wakes.own_events),
        (TIMERS, wakes.timers),
        (NEWS, wakes.news),
        (QUOTES, wakes.quotes),
        (SESSION, wakes.session),
        (DEGRADED, wakes.degraded),
        (PRICES, wakes.price_cross is not None),
    )
    printed = [one.listing.number for one in ground.tapes if isinstance(one.tape, Prints)]
    watches = [
        PriceWatch(number, UP if price > 0 else DOWN, abs(price))
        for number in printed
        for price in wakes.price_cross or ()
    ]
    return Wake(
        sum(flag for flag, is_set in flags if is_set),
        wakes.every_nth_print,
        wakes.volume,
        (bar_layer,) if wakes.closed_bars else (),
        tuple(watches),
    )


def is_watching(wake: Wake) -> bool:
    """Whether prints wake by more than their number."""
    return bool(wake.volume or wake.flags & PRICES)


def watch_streams(window: Window, wake: Wake, on_trade: Callable[[Any, Any], object] | None) -> dict[int, WatchStream]:
    """By instrument: those of prints, where the filter watches and somebody listens."""
    if not is_watching(wake) or on_trade is None:
        return {}
    first_ns = max(window.start_ns, window.quiet_ns - window.feed_ns)
    return {
        one.listing.number: WatchStream(
            one.tape,
            one.index,
            Trade(one.listing),
            on_trade,
            one.tape.until(first_ns - 1),
            window.feed_ns,
            FIRST_LAYER + one.listing.number,
            every=wake.every_nth_print,
            volume=wake.volume,
        )
        for one in window.ground.tapes
        if isinstance(one.tape, Prints)
    }


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What notices are made of: instants in [start, end), nothing told before `quiet_ns`."""

    ground: Ground
    start_ns: int
    end_ns: int
    quiet_ns: int
    feed_ns: int
    layer: int  # of the bars


def before_market(window: Window, wake: Wake, hook: Callable[[str], Any]) -> list[Stream]:
    """Streams that come before prints and bars of the same instant: phases."""
    on_session = hook("session")
    if not wake.flags & SESSION or on_session is None:
        return []
    return [
        notices.phase_stream(
            window.start_ns, window.end_ns, window.quiet_ns, on_session, window.layer + notices.SESSION
        )
    ]


def after_market(
    window: Window, wake: Wake, hook: Callable[[str], Any], tell: notices.Tell | None, wire: Wire | None
) -> list[Stream]:
    """Streams that come after them, in the order of lanes: quotes, news, silences. `tell` tells news
    instead of the hooks."""
    first_ns = max(window.start_ns, window.quiet_ns)
    found: list[Stream] = []
    on_quote = hook("quote")
    if wake.flags & QUOTES and on_quote is not None:
        for number, one in sorted(window.ground.quotes.items()):
            layer = window.layer + notices.QUOTES + number
            found.append(notices.quote_stream(one, number, on_quote, (first_ns, window.end_ns), window.feed_ns, layer))
    if wake.flags & NEWS and wire is not None:
        said = wire.notices(first_ns - (window.quiet_ns > window.start_ns), window.end_ns)
        told = tell or notices.teller(wire, said, hook("forecast"), hook("calendar"))
        found.append(notices.news_stream(said, told, window.layer + notices.NEWS))
    on_degraded = hook("degraded")
    if wake.flags & DEGRADED and on_degraded is not None:
        silent = notices.silences(window.ground, first_ns, window.end_ns, window.feed_ns)
        found.append(notices.silence_stream(window.ground, silent, on_degraded, window.layer + notices.DEGRADED))
    return found
