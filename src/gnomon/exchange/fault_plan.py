"""Fault plans: what may go wrong between a venue and a bot, when, and for which of its calls.

A plan is data: part of the rules, so of the configuration that a run is a function of. What is due is decided in
`replay.faults`, what it does on the wire in `serve.venue.faults`; here are the catalogue and how an entry is read.

    [rules]
    faults = [
      "flaky-acks",
      { fault = "unknown_status", when = { every_nth = 5 }, for = { method = "order.place" }, max = 3 },
    ]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from gnomon.clock import parse_instant
from gnomon.errors import Invalid, nearest
from gnomon.units import INT64_MAX, SECOND_NS
from gnomon.units import decimal as exact

CHANCE_ONE: Final = 2**64
SHARE_ONE: Final = 1_000_000

OWN_EVENTS: Final = 5
"""Own events within which a bot's picture of its account is right again."""

REJECTS_A_MINUTE: Final = 10


class FaultKind(IntEnum):
    """The catalogue. The numbers are stored, so they never change."""

    UNKNOWN_STATUS = 1
    LATE_ACK = 2
    FILL_FIRST = 3
    DUPLICATE_REPORT = 4
    USER_STREAM_LOST = 5
    GAP = 6
    RATE_LIMIT = 7
    CLOCK_SKEW = 8
    RULE_CHANGE = 9
    CANCEL_RACE = 10
    STALE = 11
    CONNECTION_END = 12
    SHUTDOWN_NOTICE = 13
    SLOW_RESPONSE = 14

    @property
    def word(self) -> str:
        """As a plan writes it."""
        return self.name.lower()


class Counts(IntEnum):
    """What the numbers of `when` count."""

    REQUESTS = 1  # that change something: orders, cancels and the like
    PLACING = 2  # of these, the ones that place an order
    CANCELS = 3
    EVENTS = 4  # own events: an order is open, has changed, is filled
    INSTANTS = 5  # nothing: it is due at a time


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: how a plan writes it, the name and the value that the configuration has."""

    name: str
    stored: str
    default: Any
    read: Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True)
class Described:
    """One fault of the catalogue: what happens, what is expected of a bot, what it can be told."""

    what: str
    expected: str
    counts: Counts
    params: tuple[Param, ...] = ()
    is_state: bool = False  # it lasts from an instant on; else it befalls one request or event


# --- values -----------------------------------------------------------------------------------------------------------


def _ns(where: str, value: Any) -> int:
    """Seconds, as a whole number of ns."""
    if isinstance(value, bool):
        raise Invalid(f"{where} is {value}", hint="seconds, such as 5 or 0.25")
    found = exact(value) * SECOND_NS
    if found != int(found) or not -INT64_MAX <= found <= INT64_MAX:
        raise Invalid(f"{where} is {value}", hint="seconds with at most nine decimals")
    return int(found)


def _length(where: str, value: Any) -> int:
    found = _ns(where, value)
    if found < 0:
        raise Invalid(f"{where} is {value}", hint="0 seconds or more")
    return found


def _share(where: str, value: Any) -> int:
    found = exact(value) * SHARE_ONE
    if found != int(found) or not 0 < found <= SHARE_ONE:
        raise Invalid(f"{where} is {value}", hint="above 0 and at most 1, with at most six decimals")
    return int(found)


def _answer(where: str, value: Any) -> str:
    return _one_of(where, str(value), ("timeout", "502", "503", "504"))


def _amount(where: str, value: Any) -> str:
    """A positive decimal as its shortest text; empty for none."""
    if value == "":
        return ""
    found = exact(value)
    if found <= 0:
        raise Invalid(f"{where} is {value}", hint="a positive decimal such as 0.01")
    return f"{found.normalize():f}"


STREAMS: Final = ("kline", "bookTicker", "depth", "trade", "aggTrade", "ticker", "miniTicker", "avgPrice")


def _streams(where: str, value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    return tuple(sorted({_one_of(where, str(one), STREAMS): None for one in names}))


def _one_of(where: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        close = nearest(value, known)
        hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(known)}"
        raise Invalid(f"{where} is {value!r}", hint=hint)
    return value


def _seconds(default: int, name: str = "seconds", stored: str = "length_ns") -> Param:
    return Param(name, stored, default, _length)


# --- the catalogue ----------------------------------------------------------------------------------------------------

CATALOGUE: Final[Mapping[FaultKind, Described]] = MappingProxyType(
    {
        FaultKind.UNKNOWN_STATUS: Described(
            "the request is executed, the answer is -1007 or a 5xx",
            "asks by client id before it sends again; no second order",
            Counts.REQUESTS,
            (_seconds(0), Param("answer", "answer", "timeout", _answer)),
        ),
        FaultKind.LATE_ACK: Described(
            "the answer comes so many seconds late, after the fill event",
            "its state is right after both, in either order",
            Counts.PLACING,
            (_seconds(5),),
        ),
        FaultKind.FILL_FIRST: Described(
            "the fill's event comes before the acknowledgement, on the stream and to the request",
            "its state is right after both, in either order",
            Counts.PLACING,
            (_seconds(1),),
        ),
        FaultKind.DUPLICATE_REPORT: Described(
            "an execution report comes twice", "the position is counted once", Counts.EVENTS
        ),
        FaultKind.USER_STREAM_LOST: Described(
            "the user socket closes, the market socket lives; own events of so many seconds are not sent again",
            "notices, reconnects, reconciles by REST",
            Counts.EVENTS,
            (_seconds(10),),
            is_state=True,
        ),
        FaultKind.GAP: Described(
            "all sockets close; what happens in so many seconds is not sent again",
            "refetches, and decides nothing on a gap",
            Counts.EVENTS,
            (_seconds(30),),
            is_state=True,
        ),
        FaultKind.RATE_LIMIT: Described(
            "429 with Retry-After, then 418 for a bot that goes on",
            "backs off for the stated time",
            Counts.REQUESTS,
            (_seconds(10), _seconds(60, "ban_seconds", "ban_ns")),
            is_state=True,
        ),
        FaultKind.CLOCK_SKEW: Described(
            "the server's clock is off by so much for a while: -1021 for whoever goes by the old one",
            "reads the server's time anew and retries once",
            Counts.REQUESTS,
            (_seconds(60), Param("skew_seconds", "skew_ns", 10, _ns)),
            is_state=True,
        ),
        FaultKind.RULE_CHANGE: Described(
            "tick, lot or notional filter of a symbol changes",
            "reads exchangeInfo again after -1013",
            Counts.INSTANTS,
            tuple(Param(one, one, "", _amount) for one in ("tick", "step", "min_qty", "min_notional")),
            is_state=True,
        ),
        FaultKind.CANCEL_RACE: Described(
            "a resting order is filled, in part or whole, just before its cancel arrives",
            "its final position equals the ledger",
            Counts.CANCELS,
            (Param("share", "share", "0.5", _share),),
        ),
        FaultKind.STALE: Described(
            "streams of these kinds freeze for so many seconds",
            "sends no order on stale data",
            Counts.EVENTS,
            (_seconds(60), Param("streams", "streams", ("kline", "bookTicker", "depth"), _streams)),
            is_state=True,
        ),
        FaultKind.CONNECTION_END: Described(
            "every connection ends, as after 24 hours", "reconnects without loss of state", Counts.EVENTS, is_state=True
        ),
        FaultKind.SHUTDOWN_NOTICE: Described(
            "serverShutdown is announced; the connection closes so many seconds later",
            "moves to a new connection before the close",
            Counts.EVENTS,
            (_seconds(10),),
            is_state=True,
        ),
        FaultKind.SLOW_RESPONSE: Described(
            "the answer is held back for so many seconds",
            "goes on with other work; a timeout is an unknown status",
            Counts.REQUESTS,
            (_seconds(5),),
        ),
    }
)

KINDS: Final[Mapping[str, FaultKind]] = MappingProxyType({one.word: one for one in FaultKind})

PLACING: Final = ("order.place", "order.cancelReplace", "orderList.place", "quote")
CANCELS: Final = ("order.cancel",)
CHANGING: Final = (*PLACING, *CANCELS, "openOrders.cancelAll", "order.amend.keepPriority")
"""The methods whose requests are inputs of a run. What only reads leaves no input, so no fault counts it."""

READING: Final = (
    "account.status", "allOrders", "avgPrice", "depth", "exchangeInfo", "klines", "myTrades", "openOrders.status",
    "order.status", "ping", "ticker", "time", "trades", "orderList.status", "openOrderLists.status", "allOrderLists",
    "ticker.price", "uiKlines", "sim.view",
)  # fmt: skip
"""The others, or their beginnings: a rate limit may be for these alone. Their places from 1 on are the numbers of
queries in a Record, so what is new stands at the end."""

PATHS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("POST", "/api/v3/order"): "order.place",
        ("DELETE", "/api/v3/order"): "order.cancel",
        ("GET", "/api/v3/order"): "order.status",
        ("GET", "/api/v3/openOrders"): "openOrders.status",
        ("DELETE", "/api/v3/openOrders"): "openOrders.cancelAll",
        ("POST", "/api/v3/order/cancelReplace"): "order.cancelReplace",
        ("PUT", "/api/v3/order/amend/keepPriority"): "order.amend.keepPriority",
        ("POST", "/api/v3/orderList/oco"): "orderList.place",
        ("POST", "/api/v3/orderList/oto"): "orderList.place",
        ("POST", "/api/v3/orderList/otoco"): "orderList.place",
        ("GET", "/api/v3/account"): "account.status",
        ("GET", "/api/v3/allOrders"): "allOrders",
        ("GET", "/api/v3/myTrades"): "myTrades",
        ("GET", "/api/v3/klines"): "klines",
        ("GET", "/api/v3/depth"): "depth",
        ("GET", "/api/v3/exchangeInfo"): "exchangeInfo",
    }
)
"""Paths of REST and the methods that they are, so that a plan may name either."""


# --- entries ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class When:
    """One of these. `at_ns` are instants, `after_ns` times since the window's start, both rising; `chance` is in parts
    of 2^64."""

    at_ns: tuple[int, ...] = ()
    after_ns: tuple[int, ...] = ()
    request_no: tuple[int, ...] = ()
    order_no: tuple[int, ...] = ()
    every_nth: int = 0
    chance: int = 0

    @classmethod
    def parse(cls, given: Any, where: str) -> When:
        if not isinstance(given, Mapping) or len(given) != 1:
            raise Invalid(
                f"{where}: when is {given!r}",
                hint='one of at, request_no, order_no, every_nth, probability, e.g. { at = "+90s" }',
            )
        name, value = next(iter(given.items()))
        values = list(value) if isinstance(value, list) else [value]
        if name == "at":
            after = sorted(_after(one, where) for one in values if str(one).startswith("+"))
            instants = sorted(parse_instant(str(one)) for one in values if not str(one).startswith("+"))
            return cls(at_ns=tuple(instants), after_ns=tuple(after))
        if name in ("request_no", "order_no"):
            numbers = tuple(sorted(_number(one, f"{where}: {name}") for one in values))
            return cls(request_no=numbers) if name == "request_no" else cls(order_no=numbers)
        if name == "every_nth":
            return cls(every_nth=_number(value, f"{where}: every_nth"))
        if name == "probability":
            chance = exact(value)
            if not 0 < chance <= 1:
                raise Invalid(f"{where}: probability is {value}", hint="above 0 and at most 1")
            return cls(chance=int(chance * CHANCE_ONE))
        known = ("at", "request_no", "order_no", "every_nth", "probability")
        close = nearest(str(name), known)
        hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(known)}"
        raise Invalid(f"{where}: when has no {name!r}", hint=hint)

    @property
    def has_instant(self) -> bool:
        return bool(self.at_ns or self.after_ns)

    def document(self) -> dict[str, Any]:
        words = "at_ns", "after_ns", "request_no", "order_no", "every_nth", "chance"
        return {
            one: list(value) if isinstance(value, tuple) else value for one in words if (value := getattr(self, one))
        }


@dataclass(frozen=True, slots=True)
class FaultEntry:
    """One line of a plan. Without `methods` or `symbol` it is for all; it happens `most` times, 0 for no limit."""

    fault: FaultKind
    when: When
    methods: tuple[str, ...] = ()
    symbol: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    most: int = 0

    @classmethod
    def parse(cls, given: Any, number: int = 1) -> FaultEntry:
        where = f"fault {number}"
        if not isinstance(given, Mapping):
            raise Invalid(f"{where} is {given!r}, not a table", hint='{ fault = "late_ack", when = { order_no = 3 } }')
        known = ("fault", "when", "for", "params", "max")
        for name in given:
            if name not in known:
                raise Invalid(f"{where} has no key {name!r}", hint=_near(str(name), known))
        kind = KINDS[_one_of(f"{where}: fault", str(given.get("fault", "")), tuple(KINDS))]
        where = f"{where} ({kind.word})"
        described, when = CATALOGUE[kind], When.parse(given.get("when"), where)
        methods, symbol = _scope(given.get("for", {}), described, where)
        if described.counts is Counts.INSTANTS and not when.has_instant:
            raise Invalid(f"{where} needs a time", hint="when = { at = \"+1h\" }: it is the market's, not a request's")
        if described.counts is Counts.EVENTS and when.request_no:
            raise Invalid(f"{where} counts own events, not requests", hint="order_no, every_nth, probability or at")
        most = given.get("max", 0)
        most = _number(most, f"{where}: max") if most != 0 or isinstance(most, bool) else 0
        entry = cls(kind, when, methods, symbol, _params(given.get("params", {}), described, where), most)
        if kind is FaultKind.RULE_CHANGE and not any(entry.params.values()):
            raise Invalid(f"{where} changes nothing", hint='params = { tick = "0.10" }, or step, min_qty, min_notional')
        return entry

    def is_for(self, method: str, symbol: str) -> bool:
        """Whether a call of this method about this symbol is meant; an empty one is always."""
        if self.symbol and symbol and self.symbol != symbol:
            return False
        return not self.methods or not method or any(is_under(method, one) for one in self.methods)

    def document(self) -> dict[str, Any]:
        """JSON-ready, no default left out."""
        params = {name: list(one) if isinstance(one, tuple) else one for name, one in sorted(self.params.items())}
        return {
            "fault": self.fault.word,
            "when": self.when.document(),
            "for": {"methods": list(self.methods), "symbol": self.symbol},
            "params": params,
            "max": self.most,
        }


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults of a session, and what a bot is held to while they happen.

    `exposure` is the most, in the quote asset, that a position in one instrument may be worth; None states no limit.
    """

    entries: tuple[FaultEntry, ...] = ()
    exposure: Decimal | None = None
    own_events: int = OWN_EVENTS
    rejects_a_minute: int = REJECTS_A_MINUTE

    @classmethod
    def parse(cls, given: Any) -> FaultPlan:
        """From a list of entries, or a table `{entry = […], exposure = "5000", own_events = 5, rejects_a_minute = 10}`.

        Names of plans are put in the place of their entries before (`replay.faults.named`).
        """
        table = given if isinstance(given, Mapping) else {"entry": given}
        known = ("entry", "exposure", "own_events", "rejects_a_minute")
        for name in table:
            if name not in known:
                raise Invalid(f"faults has no key {name!r}", hint=_near(str(name), known))
        entries = table.get("entry", [])
        if not isinstance(entries, list | tuple):
            raise Invalid(f"faults is {entries!r}", hint='a list of names and tables, e.g. ["flaky-acks"]')
        exposure = _amount("faults: exposure", table.get("exposure", ""))
        return cls(
            tuple(FaultEntry.parse(one, number) for number, one in enumerate(entries, 1)),
            Decimal(exposure) if exposure else None,
            _number(table.get("own_events", OWN_EVENTS), "faults: own_events"),
            _number(table.get("rejects_a_minute", REJECTS_A_MINUTE), "faults: rejects_a_minute"),
        )

    @property
    def is_empty(self) -> bool:
        return not self.entries

    def document(self) -> dict[str, Any]:
        return {
            "entries": [one.document() for one in self.entries],
            "exposure": "none" if self.exposure is None else f"{self.exposure.normalize():f}",
            "own_events": self.own_events,
            "rejects_a_minute": self.rejects_a_minute,
        }


def is_under(method: str, name: str) -> bool:
    """Whether a method is the one named, or one of a group: `orderList.place.oco` is under `orderList.place`."""
    return method == name or method.startswith(f"{name}.")


def query_number(method: str) -> int:
    """What a Record calls a query; 0 one that is not in `READING`."""
    if method in READING:
        return READING.index(method) + 1
    return next((number for number, one in enumerate(READING, 1) if is_under(method, one)), 0)


def plain_symbol(text: str) -> str:
    """A symbol as plans and the wire write it: `binance:BTC/USDT` is `BTCUSDT`."""
    return "".join(one for one in text.rpartition(":")[2].upper() if one.isalnum())


def _scope(given: Any, described: Described, where: str) -> tuple[tuple[str, ...], str]:
    known = ("method", "path", "symbol")
    if not isinstance(given, Mapping):
        raise Invalid(f"{where}: for is {given!r}, not a table", hint='for = { method = "order.place" }')
    for name in given:
        if name not in known:
            raise Invalid(f"{where}: for has no {name!r}", hint=_near(str(name), known))
    symbol = plain_symbol(str(given.get("symbol", "")))
    method, path = str(given.get("method", "")), str(given.get("path", ""))
    if path:
        found = [name for (verb, one), name in PATHS.items() if one == path and method in ("", verb)]
        if not found:
            raise Invalid(f"{where}: no request {method} {path}".rstrip(), hint=_near(path, [one for _, one in PATHS]))
        methods = tuple(dict.fromkeys(found))
    elif method in ("GET", "POST", "PUT", "DELETE"):
        methods = tuple(dict.fromkeys(name for (verb, _), name in PATHS.items() if verb == method))
    else:
        methods = (method,) if method else ()
    if described.counts is Counts.INSTANTS:
        if methods:
            raise Invalid(f"{where} is for a symbol, not for a method", hint='for = { symbol = "BTCUSDT" }')
        return (), symbol
    if described.counts is Counts.EVENTS:
        if methods:
            raise Invalid(f"{where} counts own events, not calls", hint="take `method` and `path` out of `for`")
        return (), symbol
    meant = PLACING if described.counts is Counts.PLACING else CANCELS if described.counts is Counts.CANCELS else None
    allowed = meant or ((*CHANGING, *READING) if described.is_state else CHANGING)
    for one in methods:
        if not any(is_under(one, other) or is_under(other, one) for other in allowed):
            raise Invalid(f"{where} cannot befall {one!r}", hint=f"one of {', '.join(allowed)}")
    return methods, symbol


def _params(given: Any, described: Described, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise Invalid(f"{where}: params is {given!r}, not a table", hint="params = { seconds = 5 }")
    known = [one.name for one in described.params]
    for name in given:
        if name not in known:
            raise Invalid(
                f"{where} has no parameter {name!r}", hint=_near(str(name), known) if known else "it has none"
            )
    return {one.stored: one.read(f"{where}: {one.name}", given.get(one.name, one.default)) for one in described.params}


UNITS: Final = (("ms", SECOND_NS // 1_000), ("s", SECOND_NS), ("m", 60 * SECOND_NS), ("h", 3_600 * SECOND_NS))


def _after(value: Any, where: str) -> int:
    """`+90s`: so long after the window's start."""
    for unit, length_ns in UNITS:
        number = str(value).removeprefix("+").removesuffix(unit)
        if str(value).endswith(unit) and number.replace(".", "", 1).isdigit():
            found = exact(number) * length_ns
            if found == int(found):
                return int(found)
    raise Invalid(f"{where}: at is {value!r}", hint="an instant, or a time since the start such as +90s, +5m, +2h")


def _number(value: Any, where: str) -> int:
    if type(value) is not int or value < 1:
        raise Invalid(f"{where} is {value!r}", hint="a whole number from 1 on")
    return value


def _near(name: str, known: Sequence[str]) -> str:
    close = nearest(name, known)
    return f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(known)}"
