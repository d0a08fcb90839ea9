"""Lent objects: what a hook is told of is valid inside the hook only, and this says so to whoever kept one.

The engine uses one trade and one bar again and again. A strategy that keeps such an object reads later prints out of
it, in silence. With `lent` around its hooks each call gets an object of its own, and every use of it after the call is
refused. That costs an object a call, so it is for looking, not for running.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from gnomon.errors import Refused
from gnomon.trader.events import Bar, Candle, Trade

Hook = Callable[[Any, Any], object]


def lent(hook: Hook) -> Hook:
    """The hook, given an object of its own at each call that refuses to be read when the call is over."""

    def called(desk: Any, event: Any) -> object:
        own = _copied(event)
        try:
            return hook(desk, own)
        finally:
            _take_back(own)

    return called


class _Gone:
    """What a kept object turns into."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> NoReturn:
        _refuse(self, name)


class _GoneTrade(_Gone, Trade):
    __slots__ = ()


class _GoneCandle(_Gone, Candle):
    __slots__ = ()


class _GoneBar(_Gone, Bar):
    __slots__ = ()

    def __getitem__(self, instrument: str) -> NoReturn:
        _refuse(self, instrument)


def _refuse(gone: _Gone, name: str) -> NoReturn:
    kind = type(gone).__name__.removeprefix("_Gone").lower()
    raise Refused(
        f"a {kind} was kept beyond the hook that it was told in, and is asked for its {name!r} now",
        hint="keep the numbers, e.g. (trade.time_ns, trade.price_ticks): one object is used for all of them",
        detail={"kind": "kept"},
    )


def _copied(event: Any) -> Any:
    if type(event) is Bar:
        bar = Bar({name: _copied(candle) for name, candle in event.candles.items()})
        bar.time_ns = event.time_ns
        return bar
    own = type(event)(event.listing)
    for name in type(event).__slots__:
        setattr(own, name, getattr(event, name))
    return own


def _take_back(own: Any) -> None:
    if type(own) is Bar:
        for candle in own.candles.values():
            candle.__class__ = _GoneCandle
        own.__class__ = _GoneBar
    else:
        own.__class__ = _GoneTrade
