"""The native words of the wire: what a venue of ours tells a runtime of ours beyond what a Binance client is told.

Both ends use this module, so that what goes in at one comes out at the other: the plan of a session, what its view of
the market answers, outcomes as the exchange words them. Instants travel as decimal strings, since JSON numbers hold 53
bits only; arrays with their dtype, since the decision log hashes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.errors import GnomonError, Invalid, Unavailable
from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.exchange.order import (
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    Request,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
)
from gnomon.exchange.outcome import (
    Accepted,
    Changed,
    Filled,
    Margined,
    Outcome,
    Quoted,
    QuoteKind,
    Refusal,
    Rejected,
    Role,
    Rule,
    Triggered,
)
from gnomon.forecast.forecast import Forecast
from gnomon.market.calendar import Hours
from gnomon.market.candles import COLUMNS, Candles
from gnomon.market.events import CalendarEvent
from gnomon.trader.events import BestQuote, Candle
from gnomon.trader.limits import Limits
from gnomon.trader.market import Book, Depth, Document, Issued, Last, Market, News, Printed
from gnomon.trader.plan import Plan
from gnomon.trader.sizing import Costs
from gnomon.trader.trader import Wake
from gnomon.units import Grid

PLAN_PATH: Final = "/sim/v1/plan"
VIEW: Final = "sim.view"
SEND: Final = "sim.send"
"""Methods of the WebSocket API that our venue has beside Binance's."""

KINDS_OF_ERROR: Final[Mapping[str, type[GnomonError]]] = {kind.code: kind for kind in GnomonError.__subclasses__()}


# --- the plan -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a runtime must know of a session beside its plan.

    `symbols` are the instruments' names on the wire, in the order of the listings. `is_printed` says which have prints;
    `feed_ns` is the constant delay of the feed, -1 where it varies. `are_bars_whole`: orders meet the very candles that
    the trader is told of. `has_outcomes`: requests may be sent, and own events come, as the exchange words them.
    """

    plan: Plan
    symbols: tuple[str, ...]
    is_printed: tuple[bool, ...]
    feed_ns: int = 0
    warmup_bars: int = 0
    are_bars_whole: bool = False
    has_view: bool = False
    has_news: bool = False
    has_depth: bool = False
    has_outcomes: bool = False
    run: str = ""
    ahead: int = 0  # wakes of bars that may be told at once


def plan_document(facts: SessionFacts) -> dict[str, Any]:
    """Of `GET /sim/v1/plan`."""
    plan = facts.plan
    listings = [
        {**one.document(), **_hours(one), "symbol": symbol, "printed": printed}
        for one, symbol, printed in zip(plan.listings, facts.symbols, facts.is_printed, strict=True)
    ]
    return {
        "run": facts.run,
        "start_ns": str(plan.start_ns),
        "end_ns": str(plan.end_ns),
        "timeframe": str(plan.timeframe),
        "seed": str(plan.seed),
        "balances": {name: f"{amount:f}" for name, amount in plan.balances.items()},
        "costs": asdict(plan.costs),
        "limits": asdict(plan.limits),
        "digest": plan.digest,
        "deployment": plan.deployment,
        "entry": plan.entry,
        "listings": listings,
        "feed_ns": str(facts.feed_ns),
        "warmup_bars": facts.warmup_bars,
        "whole_bars": facts.are_bars_whole,
        "view": facts.has_view,
        "news": facts.has_news,
        "depth": facts.has_depth,
        "outcomes": facts.has_outcomes,
        "ahead": facts.ahead,
    }


def _hours(listing: Listing) -> dict[str, Any]:
    hours = listing.hours
    if hours is None:
        return {}
    return {"hours": [[str(start), str(end)] for start, end in zip(hours.open_ns, hours.close_ns, strict=True)]}


def facts_of(document: Mapping[str, Any]) -> SessionFacts:
    """What a venue says of its session; `Invalid` where it is not what this module writes."""
    try:
        listings = tuple(listing_of(number, one) for number, one in enumerate(document["listings"]))
        costs = document["costs"]
        plan = Plan(
            listings=listings,
            start_ns=int(document["start_ns"]),
            end_ns=int(document["end_ns"]),
            timeframe=Timeframe.parse(document["timeframe"]),
            seed=int(document["seed"]),
            balances={name: Decimal(amount) for name, amount in document["balances"].items()},
            costs=Costs(**{one.name: costs[one.name] for one in fields(Costs) if one.name in costs}),
            limits=Limits(**document["limits"]),
            digest=document.get("digest") or document.get("config_digest", ""),
            deployment=document.get("deployment", ""),
            entry=int(document["entry"]),
        )
        symbols = tuple(
            one.get("symbol") or symbol_of(listing) for one, listing in zip(document["listings"], listings, strict=True)
        )
        return SessionFacts(
            plan,
            symbols,
            tuple(bool(one.get("printed", True)) for one in document["listings"]),
            int(document.get("feed_ns", 0)),
            int(document.get("warmup_bars", 0)),
            bool(document.get("whole_bars", False)),
            bool(document.get("view", False)),
            bool(document.get("news", False)),
            bool(document.get("depth", False)),
            bool(document.get("outcomes", False)),
            str(document.get("run", "")),
            int(document.get("ahead", 0)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid(
            f"the plan of the session cannot be read: {type(error).__name__} {error}",
            hint="runtime and venue of one version",
        ) from error


def listing_of(number: int, document: Mapping[str, Any]) -> Listing:
    """What `Listing.document` says, back."""
    hours = document.get("hours")
    return Listing(
        number,
        document["id"],
        Asset(document["base"]["name"], int(document["base"]["scale"])),
        Asset(document["quote"]["name"], int(document["quote"]["scale"])),
        Decimal(document["tick"]),
        Decimal(document["lot"]),
        Filters(**document["filters"]),
        bool(document.get("may_short", False)),
        _hours_of(hours) if hours is not None else None,
    )


def symbol_of(listing: Listing) -> str:
    """The name of an instrument on the wire: base and quote, in capitals."""
    return f"{listing.base.name}{listing.quote.name}".upper()


def _hours_of(document: Any) -> Hours | None:
    """Intervals; None for a digest of them, as configurations hold it."""
    if isinstance(document, Mapping):
        return None
    return Hours.of((int(start), int(end)) for start, end in document)


# --- the wake filter ------------------------------------------------------------------------------------------------


def wake_document(wake: Wake) -> dict[str, Any]:
    """Of a WAKE message: the fields of the filter."""
    found = asdict(wake)
    found["price_cross"] = list(wake.price_cross) if wake.price_cross is not None else None
    return found


def wake_of(document: Mapping[str, Any]) -> Wake:
    """`Invalid` for a field that no filter has."""
    known = {one.name for one in fields(Wake)}
    for name in document:
        if name not in known:
            raise Invalid(f"no wake filter is called {name!r}", hint=", ".join(sorted(known)))
    crossed = document.get("price_cross")
    return Wake(**{**document, "price_cross": tuple(crossed) if crossed is not None else None})


# --- the view -------------------------------------------------------------------------------------------------------

Params = Mapping[str, str]


def answer(market: Market, news: News | None, depth: Depth | None, now_ns: int, params: Params) -> Any:
    """What the view of a session answers as of an instant: JSON-able. Raises what the ports raise."""
    asked = _ANSWERS.get(params.get("what", ""))
    if asked is None:
        raise Invalid(f"no view of {params.get('what')!r}", hint=f"one of {', '.join(_ANSWERS)}")
    if params.get("at"):
        now_ns = min(now_ns, int(params["at"]))
    return asked(market, news, depth, int(params.get("instrument", 0)), now_ns, params)


def _last(market: Market, _news: Any, _depth: Any, instrument: int, now_ns: int, _params: Params) -> Any:
    found = market.last(instrument, now_ns)
    return None if found is None else [str(found[0]), found[1]]


def _candles(market: Market, _news: Any, _depth: Any, instrument: int, now_ns: int, params: Params) -> Any:
    found = market.candles(instrument, Timeframe.parse(params["timeframe"]), int(params["n"]), now_ns)
    return {
        "instrument": found.instrument,
        "timeframe": str(found.timeframe),
        "basis": found.basis,
        **{name: str(getattr(found, name).step) for name in ("tick", "lot", "money")},
        "columns": {
            name: _strings(column) if name.endswith("_ns") else column.tolist()
            for name, column in found.columns().items()
        },
    }


def _trades(market: Market, _news: Any, _depth: Any, instrument: int, now_ns: int, params: Params) -> Any:
    found = market.trades(instrument, int(params["n"]), now_ns)
    return {name: [column.dtype.str, _strings(column)] for name, column in zip(found._fields, found, strict=True)}


def _best(market: Market, _news: Any, _depth: Any, instrument: int, now_ns: int, _params: Params) -> Any:
    found = market.best(instrument, now_ns)
    return None if found is None else [found[0], str(found[1]), *found[2:]]


def _book(_market: Any, _news: Any, depth: Depth | None, instrument: int, now_ns: int, params: Params) -> Any:
    if depth is None:
        raise Unavailable("this session has no order books", hint="use best(), or a dataset with depth")
    found = depth.book(instrument, int(params["n"]), now_ns)
    return None if found is None else [str(found.knowable_ns), found.bids, found.asks]


def _forecast(_market: Any, news: News | None, _depth: Any, instrument: int, now_ns: int, params: Params) -> Any:
    timeframe = Timeframe.parse(params["timeframe"])
    found = _news(news).forecast(params.get("name") or None, instrument, timeframe, now_ns)
    return None if found is None else issued_document(found)


def _calendar(_market: Any, news: News | None, _depth: Any, _instrument: int, now_ns: int, _params: Params) -> Any:
    return [event_document(one) for one in _news(news).calendar(now_ns)]


def _search(_market: Any, news: News | None, _depth: Any, _instrument: int, now_ns: int, params: Params) -> Any:
    found = _news(news).search(params["query"], int(params["n"]), now_ns)
    return [[str(one.published_ns), one.title, one.text, one.source] for one in found]


_ANSWERS: Final[Mapping[str, Callable[..., Any]]] = {
    "last": _last,
    "candles": _candles,
    "trades": _trades,
    "best": _best,
    "book": _book,
    "forecast": _forecast,
    "calendar": _calendar,
    "search": _search,
}


def _news(news: News | None) -> News:
    if news is None:
        raise Unavailable("this session has no forecasts", hint="replay with forecasts: ledger, backfill or compute")
    return news


def _strings(column: npt.NDArray[Any]) -> list[str]:
    return [str(one) for one in column.tolist()]


def last_of(said: Any) -> Last | None:
    return None if said is None else Last(int(said[0]), int(said[1]))


def candles_of(said: Mapping[str, Any]) -> Candles:
    columns: dict[str, Any] = {
        name: np.array(list(map(int, said["columns"][name])), dtype) for name, dtype in COLUMNS.items()
    }
    grids: dict[str, Any] = {name: Grid(Decimal(said[name])) for name in ("tick", "lot", "money")}
    return Candles(said["instrument"], Timeframe.parse(said["timeframe"]), said["basis"], **grids, **columns)


def trades_of(said: Mapping[str, Any]) -> Printed:
    return Printed(*(np.array(list(map(int, said[name][1])), said[name][0]) for name in Printed._fields))


def best_of(said: Any) -> BestQuote | None:
    return None if said is None else BestQuote(int(said[0]), int(said[1]), *said[2:])


def book_of(said: Any) -> Book | None:
    if said is None:
        return None
    bids, asks = (tuple((price, lots) for price, lots in side) for side in said[1:])
    return Book(int(said[0]), bids, asks)


def documents_of(said: Sequence[Any]) -> list[Document]:
    return [Document(int(one[0]), *one[1:]) for one in said]


def raise_again(document: Mapping[str, Any]) -> None:
    """Raise the error of a document, as its own class."""
    kind = KINDS_OF_ERROR.get(str(document.get("error")), GnomonError)
    raise kind(str(document.get("message", "")), hint=str(document.get("hint", "")), detail=document.get("detail"))


# --- forecasts and events -------------------------------------------------------------------------------------------

_INSTANTS: Final = ("target_open_ns", "target_close_ns")
_FLOATS: Final = ("quantiles", "p_up")


def issued_document(issued: Issued) -> dict[str, Any]:
    """A forecast without its paths. Floats are written so that the same ones are read."""
    one = issued.forecast
    found = {f.name: getattr(one, f.name) for f in fields(one) if f.name != "paths"}
    found |= {name: _strings(getattr(one, name)) for name in _INSTANTS}
    found |= {name: getattr(one, name).tolist() for name in _FLOATS}
    found |= {"timeframe": str(one.timeframe), "data_cutoff_ns": str(one.data_cutoff_ns), "params": dict(one.params)}
    return {"id": issued.id, "issued_ns": str(issued.issued_ns), "document": found}


def issued_of(said: Mapping[str, Any]) -> Issued:
    one = dict(said["document"])
    one |= {name: np.array(list(map(int, one[name])), np.int64) for name in _INSTANTS}
    one |= {name: np.array(one[name], np.float64) for name in _FLOATS}
    one |= {
        "timeframe": Timeframe.parse(one["timeframe"]),
        "data_cutoff_ns": int(one["data_cutoff_ns"]),
        "levels": tuple(one["levels"]),
        "warnings": tuple(one["warnings"]),
    }
    return Issued(said["id"], int(said["issued_ns"]), Forecast(**one))


_EVENT_INSTANTS: Final = ("scheduled_ns", "listed_ns", "knowable_ns", "released_ns")


def event_document(event: CalendarEvent) -> dict[str, Any]:
    found = {one.name: getattr(event, one.name) for one in fields(event)}
    instants = {name: str(found[name]) if found[name] is not None else None for name in _EVENT_INSTANTS}
    return {**found, **instants, "detail": dict(event.detail)}


def event_of(said: Mapping[str, Any]) -> CalendarEvent:
    instants = {name: int(said[name]) if said[name] is not None else None for name in _EVENT_INSTANTS}
    return CalendarEvent(**{**said, **instants})


# --- requests -------------------------------------------------------------------------------------------------------

_REQUESTS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind for kind in (Place, PlaceList, Cancel, CancelAll, Amend, Replace, Quote)
}
_REQUEST_ENUMS: Final[Mapping[tuple[str, str], Callable[[int], Any]]] = {
    ("Place", "side"): Side,
    ("Place", "type"): OrderType,
    ("Place", "tif"): TimeInForce,
    ("Place", "stp"): SelfTrade,
    ("Place", "reduce_only"): bool,
    ("PlaceList", "kind"): ListKind,
    ("Quote", "keep"): bool,
    ("Quote", "post_only"): bool,
}


def request_document(request: Request) -> list[Any]:
    """Its kind and its numbers as texts; the orders in it the same way."""
    found: list[Any] = [type(request).__name__]
    values: tuple[Any, ...] = request
    for value in values:
        if isinstance(value, Place):
            found.append(request_document(value))
        elif isinstance(value, tuple):
            found.append([request_document(one) for one in value])
        else:
            found.append(str(int(value)))
    return found


def request_of(said: Sequence[Any]) -> Request:
    """`Invalid` for what is no request."""
    try:
        name, *values = said
        kind = _REQUESTS[name]
        if len(values) != len(kind._fields):
            raise ValueError(f"{len(values)} values")
        found = (_request_value(name, field_name, one) for field_name, one in zip(kind._fields, values, strict=True))
        request: Request = kind(*found)
        return request
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"no request: {error}", hint="runtime and venue of one version") from error


def _request_value(kind: str, name: str, said: Any) -> Any:
    if name == "orders":
        return tuple(request_of(one) for one in said)
    if name == "order":
        return request_of(said)
    return _REQUEST_ENUMS.get((kind, name), int)(int(said))


def places_of(request: Request) -> tuple[Place, ...]:
    """The orders that a request would make and that have client ids."""
    match request:
        case Place():
            return (request,)
        case PlaceList():
            return request.orders
        case Replace():
            return (request.order,)
    return ()


# --- bars -----------------------------------------------------------------------------------------------------------


_BAR: Final = b'[%d,%d,"%d","%d",%d,%d,%d,%d,%d]'


def bar_words(one: Candle) -> bytes:
    """JSON of a closed bar: instrument, row, open and close (ns), prices in ticks, volume in lots. Made at every wake
    of a year of minutes, so by hand."""
    return _BAR % (
        one.listing.number, one.position, one.open_ns, one.close_ns, one.open_ticks, one.high_ticks, one.low_ticks,
        one.close_ticks, one.volume_lots,
    )  # fmt: skip


def ahead_words(wakes: Sequence[tuple[int, Sequence[tuple[int, ...]]]]) -> bytes:
    """JSON of wakes of bars that follow the one of their frame: time, and the bars as (instrument, row, …)."""
    return b"[%b]" % b",".join(
        [b'["%d",%b]' % (at_ns, b",".join([_BAR % row for row in rows])) for at_ns, rows in wakes]
    )


def read_bar(said: Sequence[Any], candles: Sequence[Candle]) -> Candle:
    """The same into the candle of its instrument."""
    number, position, open_ns, close_ns, open_, high, low, close, lots = said
    one: Candle = candles[number]
    one.is_new = True
    one.position = position
    one.open_ns = int(open_ns)
    one.close_ns = int(close_ns)
    one.open_ticks, one.high_ticks, one.low_ticks, one.close_ticks, one.volume_lots = open_, high, low, close, lots
    return one


# --- outcomes -------------------------------------------------------------------------------------------------------

_KINDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind for kind in (Accepted, Rejected, Changed, Triggered, Filled, Quoted, Margined)
}
_ENUMS: Final[Mapping[tuple[type[Any], str], Callable[[int], Any]]] = {
    (Accepted, "status"): Status,
    (Accepted, "side"): Side,
    (Rejected, "refusal"): Refusal,
    (Changed, "status"): Status,
    (Filled, "side"): Side,
    (Filled, "status"): Status,
    (Filled, "rule"): Rule,
    (Filled, "role"): Role,
    (Filled, "quote_kind"): QuoteKind,
    (Filled, "is_locked"): bool,
    (Filled, "is_fee_locked"): bool,
    (Quoted, "bid_kept"): bool,
    (Quoted, "ask_kept"): bool,
}


def outcomes_document(outcomes: Sequence[Outcome]) -> list[list[Any]]:
    """Kind and numbers of each; numbers as strings, since money units outgrow JSON."""
    return [[type(one).__name__, *(str(int(value)) for value in one)] for one in outcomes]


def outcomes_of(said: Sequence[Sequence[Any]]) -> list[Outcome]:
    found: list[Outcome] = []
    for name, *numbers in said:
        kind = _KINDS[name]
        values = (
            _ENUMS.get((kind, field_name), int)(int(number))
            for field_name, number in zip(kind._fields, numbers, strict=True)
        )
        found.append(kind(*values))
    return found
