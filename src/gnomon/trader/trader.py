"""Who decides: the port of three methods, and `Strategy`, which implements it by hooks.

| hook | when |
|---|---|
| `on_start(desk)` | the clock stands at the session's start; warm-up candles are readable |
| `on_bar(desk, bar)` | once per instant at which candles of the timeframe closed |
| `on_candle(desk, candle)` | the same instant, once per instrument, in the order of the universe |
| `weights(panel)` | vector form: target weights per bar (`panel.Panel`) |
| `quotes(panel)` | vector form: a standing pair at some prints (`panel.PrintPanel`) |
| `on_trade(desk, trade)`, `on_quote(desk, quote)` | market prints, changes of the best bid and ask |
| `on_forecast(desk, forecast)`, `on_calendar(desk, event)` | they became knowable |
| `on_order(desk, order)`, `on_fill(desk, fill)` | an own order changed state; an own fill |
| `on_timer(desk, name)` | a timer of `desk.at`, `after` or `every` |
| `on_session(desk, phase)` | `open` at the start, `day` there and every 24 hours, `close` in the last nanosecond |
| `on_degraded(desk, reason)` | stale feed: a tape without a row for three bars of the session's timeframe |
| `on_stop(desk)` | the last call; orders are refused here |

Aliases: `on_market_data(desk, event)` hears prints and candles, `run_trading_session(date)` is called on each day.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, nearest
from gnomon.forecast.forecast import Forecast
from gnomon.market.events import CalendarEvent
from gnomon.trader import params as parameters
from gnomon.trader.events import Bar, BestQuote, Candle, Degraded, Phase, Timer, Trade
from gnomon.trader.market import Issued
from gnomon.trader.orders import Fill, Order

if TYPE_CHECKING:
    from gnomon.trader.desk import Desk

Event = Trade | BestQuote | Bar | Candle | Issued | Forecast | CalendarEvent | Order | Fill | Timer | Phase | Degraded
"""What a trader may be told."""

Hook = Callable[[Any, Any], object]
"""`hook(desk, event)`."""

KINDS: Final = (
    "bar",
    "candle",
    "trade",
    "quote",
    "forecast",
    "calendar",
    "order",
    "fill",
    "timer",
    "session",
    "degraded",
)
DECISION_HOOKS: Final = ("on_bar", "on_candle", "weights", "on_market_data", "on_trade", "on_timer", "quotes")
LIFE: Final = ("on_start", "on_stop")
ALL_BARS: Final = None
SESSION: Final = "session"
FEEDS: Final = ("trades", "quotes", "book", "calendar", "news")


class Trader(Protocol):
    """Whoever decides."""

    def start(self, desk: Desk) -> None: ...

    def handle(self, desk: Desk, event: Event) -> None: ...

    def stop(self, desk: Desk) -> None: ...


@dataclass(frozen=True, slots=True)
class Wake:
    """What wakes a trader. `every_nth_print` and `volume` (lots): 0 for never.

    `price_cross`: None for never; prices in ticks, with a minus sign for those that are crossed downward. With an empty
    one the trader names them later (`desk.price_cross`).
    """

    closed_bars: bool = False
    every_nth_print: int = 0
    own_events: bool = False
    timers: bool = False
    news: bool = False
    quotes: bool = False
    session: bool = False
    degraded: bool = False
    price_cross: tuple[int, ...] | None = None
    volume: int = 0

    def __post_init__(self) -> None:
        for name in ("every_nth_print", "volume"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise Invalid(f"wake {name} is {value!r}", hint="a whole number, 0 for never")


_UNHEARD: Final[Mapping[str, tuple[tuple[str, Any], ...]]] = {
    "trade": (("every_nth_print", 0), ("volume", 0), ("price_cross", None)),
    "bar": (("closed_bars", False),),
    "quote": (("quotes", False),),
    "session": (("session", False),),
    "degraded": (("degraded", False),),
}
"""By hook: the names of a filter that nothing else hears, each with what switches it off."""


def heard(wakes: Wake, hook: Callable[[str], Any]) -> Wake:
    """The filter less the wakes that the trader has no hook for."""
    return replace(
        wakes, **{name: off for kind, names in _UNHEARD.items() if hook(kind) is None for name, off in names}
    )


class Strategy:
    """A trader made of hooks. Class data says what it needs; `Params` what may be tuned.

    `Invalid` at construction: no decision hook, both `on_bar` and `on_candle`, a hook or parameter whose name is
    misspelt, a value outside its range, class data that makes no sense. So nothing is refused after a run exists.

    `needs` are feeds (`FEEDS`) and names of forecasters; a parameter called `forecaster` is one more. Hooks but
    `on_start` and `on_stop` are silent until `warmup` bars can be read; what the trader asked for itself in `on_start`
    (timers, orders) is heard.
    """

    universe: ClassVar[tuple[str, ...] | str] = SESSION
    timeframe: ClassVar[str | None] = None
    warmup: ClassVar[int] = 0
    lookback: ClassVar[int | None] = ALL_BARS
    Params: ClassVar[type[Any]] = parameters.NoParams
    needs: ClassVar[tuple[str, ...]] = ()
    wake: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        own = cls.__dict__.get("Params")
        if isinstance(own, type) and "__annotations__" in own.__dict__ and not is_dataclass(own):
            cls.Params = dataclass(frozen=True)(own)

    def __init__(self, **given: Any) -> None:
        _check_class(type(self))
        self.params = parameters.build(self.Params, given)

    def start(self, desk: Desk) -> None:
        hook = getattr(self, "on_start", None)
        if hook is not None:
            hook(desk)

    def stop(self, desk: Desk) -> None:
        hook = getattr(self, "on_stop", None)
        if hook is not None:
            hook(desk)

    def handle(self, desk: Desk, event: Event) -> None:
        """Call the hook of the event's kind, if the class has it."""
        kind = _KIND_OF[type(event)]
        hook = self.hook(kind)
        if hook is not None:
            hook(desk, _said(event))

    def hook(self, kind: str) -> Hook | None:
        """The bound method that hears events of a kind (`KINDS`), or None: for loops that cannot afford `handle`.

        `timer`, `session` and `degraded` hooks take the name, phase or reason itself.
        """
        if kind not in KINDS:
            raise Invalid(f"no kind of event is called {kind!r}", hint=", ".join(KINDS))
        found: Hook | None = getattr(self, f"on_{kind}", None)
        if found is not None or kind not in _STAND_INS:
            return found
        for name, adapter in _STAND_INS[kind]:
            if hasattr(self, name):
                adapted: Hook = getattr(self, adapter)
                return adapted
        return None

    def wakes(self) -> Wake:
        """Derived from the hooks; the class data `wake` overrides it name by name."""
        has = {kind: self.hook(kind) is not None for kind in KINDS}
        derived: dict[str, Any] = {
            "closed_bars": has["bar"],
            "every_nth_print": int(has["trade"]),
            "own_events": has["order"] or has["fill"],
            "timers": has["timer"],
            "news": has["forecast"] or has["calendar"],
            "quotes": has["quote"],
            "session": has["session"],
            "degraded": has["degraded"],
        }
        return Wake(**{**derived, **self.wake})

    def save(self) -> dict[str, Any]:
        """The state as JSON: all attributes but `params`. `Invalid` names one that JSON cannot bring back: then a class
        has to write `save` and `load` itself."""
        state = {name: value for name, value in vars(self).items() if name != "params"}
        for name, value in state.items():
            if not _is_plain(value):
                raise Invalid(
                    f"{type(self).__qualname__}.{name} is {value!r}, which JSON does not bring back as it is",
                    hint="keep texts, finite numbers, lists and maps by text, or write save and load",
                    detail={"attribute": name},
                )
        found: dict[str, Any] = json.loads(json.dumps(state))
        return found

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `save` gave, of the same class and parameters."""
        for name, value in json.loads(json.dumps(dict(state))).items():
            setattr(self, name, value)

    def required(self) -> tuple[str, ...]:
        """Feeds and forecasters that a run must have: `needs`, and whom a parameter called `forecaster` names."""
        chosen = getattr(self.params, "forecaster", None)
        return (*self.needs, chosen) if isinstance(chosen, str) else self.needs

    def document(self) -> dict[str, Any]:
        """Class and parameters, for a record."""
        kind = type(self)
        return {
            "class": f"{kind.__module__}:{kind.__qualname__}",
            "params": parameters.document(self.params),
            "timeframe": self.timeframe,
            "universe": self.universe if isinstance(self.universe, str) else list(self.universe),
            "warmup": self.warmup,
        }

    # --- hooks that stand in for others -------------------------------------------------------------------------------

    def _each_candle(self, desk: Desk, bar: Bar) -> None:
        hook = self.on_candle  # type: ignore[attr-defined]  # chosen because it is there
        for candle in bar.candles.values():
            hook(desk, candle)

    def _market_candles(self, desk: Desk, bar: Bar) -> None:
        hook = self.on_market_data  # type: ignore[attr-defined]  # chosen because it is there
        for candle in bar.candles.values():
            hook(desk, candle)

    def _market_data(self, desk: Desk, event: Trade) -> None:
        self.on_market_data(desk, event)  # type: ignore[attr-defined]  # chosen because it is there

    def _weigh(self, desk: Desk, _bar: Bar) -> None:
        panel = desk.panel(self.lookback)
        if not len(panel):
            return
        rows = np.asarray(self.weights(panel), np.float64)  # type: ignore[attr-defined]  # chosen because it is there
        if rows.shape != panel.close.shape:
            raise Invalid(f"weights of shape {rows.shape}", hint=f"one row a bar: {panel.close.shape}")
        if not np.isnan(rows[-1]).all():
            desk.target(dict(zip(panel.instruments, rows[-1].tolist(), strict=True)))

    def _trading_day(self, desk: Desk, phase: str) -> None:
        if phase == "day":
            self.run_trading_session(desk.date)  # type: ignore[attr-defined]  # chosen because it is there


_STAND_INS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    # of a hook that is not there: (what the class may have instead, what then hears the event)
    "bar": (("on_candle", "_each_candle"), ("on_market_data", "_market_candles"), ("weights", "_weigh")),
    "trade": (("on_market_data", "_market_data"),),
    "session": (("run_trading_session", "_trading_day"),),
}

_KIND_OF: Final[dict[type[Any], str]] = {
    Bar: "bar",
    Candle: "candle",
    Trade: "trade",
    BestQuote: "quote",
    Forecast: "forecast",
    Issued: "forecast",
    CalendarEvent: "calendar",
    Order: "order",
    Fill: "fill",
    Timer: "timer",
    Phase: "session",
    Degraded: "degraded",
}


def _is_plain(value: Any) -> bool:
    """Whether JSON gives the very same back: no tuple, no NaN, no key that is not a text."""
    if isinstance(value, dict):
        return type(value) is dict and all(type(key) is str and _is_plain(one) for key, one in value.items())
    if isinstance(value, list):
        return type(value) is list and all(map(_is_plain, value))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)


def _said(event: Any) -> Any:
    if isinstance(event, Timer | Phase):
        return event.name
    return event.reason if isinstance(event, Degraded) else event


def _check_class(kind: type[Strategy]) -> None:
    name = kind.__qualname__
    _check_hook_names(kind)
    if not any(hasattr(kind, hook) for hook in DECISION_HOOKS):
        raise Invalid(f"{name} never decides", hint=f"write one of {', '.join(DECISION_HOOKS)}")
    if hasattr(kind, "on_bar") and hasattr(kind, "on_candle"):
        raise Invalid(f"{name} has both on_bar and on_candle", hint="keep one: they are the same instant")
    if not is_dataclass(kind.Params):
        raise Invalid(f"{name}.Params is no dataclass", hint="class Params: with annotated fields")
    if kind.warmup < 0:
        raise Invalid(f"{name}.warmup is {kind.warmup!r}", hint="a number of bars, 0 or more")
    if kind.lookback is not None and kind.lookback < 1:
        raise Invalid(f"{name}.lookback is {kind.lookback!r}", hint="a number of bars, or None for all")
    if isinstance(kind.universe, str) and kind.universe != SESSION:
        raise Invalid(f"{name}.universe is {kind.universe!r}", hint='a tuple of instruments, or "session"')
    if kind.timeframe is not None:
        Timeframe.parse(kind.timeframe)
    known = Wake.__dataclass_fields__
    for filter_name in kind.wake:
        if filter_name not in known:
            raise Invalid(f"{name}.wake has no filter {filter_name!r}", hint=_near(filter_name, known))
    Wake(**kind.wake)


def _check_hook_names(kind: type[Strategy]) -> None:
    """A hook that nobody would call is a typing error."""
    known = [f"on_{one}" for one in KINDS] + list(LIFE) + ["on_market_data"]
    for attribute in dir(kind):
        if attribute.startswith("on_") and attribute not in known and callable(getattr(kind, attribute)):
            raise Invalid(f"{kind.__qualname__} has no hook {attribute!r}", hint=_near(attribute, known))


def _near(name: str, known: Any) -> str:
    close = nearest(name, known)
    return f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(known)}"
