"""Wording: a request of the desk in the words of the WebSocket API, which are those of REST too.

Ticks and lots become decimal texts; client ids are the desk's own, so that a repeated request is known as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from gnomon.errors import Refused
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import (
    PRICED_TYPES,
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
)
from gnomon.trader.pulse import native

ORDER_METHODS: Final = {"order.place", "order.cancelReplace", "orderList.place.oco", "orderList.place.oto",
                        "orderList.place.otoco"}  # fmt: skip
"""Those that may make an order: never sent again before it was asked what came of the first."""

_PROFITS: Final = (OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
_UNTIMED: Final = (OrderType.MARKET, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)


class Call(NamedTuple):
    """One request on its way. `clients` are the client ids that it brings along, `request` the desk's number of it;
    `side` and `type` say what it is about, for whoever counts."""

    method: str
    params: dict[str, str]
    request: int
    clients: tuple[str, ...] = ()
    side: str = ""
    type: str = ""


class Wording:
    """Requests in the words of the wire. `name_of` finds the client id of an ordinal."""

    def __init__(self, listings: Sequence[Listing], symbols: Sequence[str], name_of: Callable[[int], str]) -> None:
        self._listings = listings
        self._symbols = symbols
        self._name_of = name_of

    def call(self, request: Request, number: int) -> Call:
        """The call of a request; `number` is the desk's count of requests with it."""
        match request:
            case Place():
                return Call("order.place", self._place(request), number, (self._name_of(request.client),))
            case Cancel():
                params = {"symbol": self._symbols[request.instrument], **self._which(request)}
                return Call("order.cancel", params, number)
            case CancelAll():
                return Call("openOrders.cancelAll", {"symbol": self._symbols[request.instrument]}, number)
            case Amend():
                listing = self._listings[request.instrument]
                params = {"symbol": self._symbols[request.instrument], "orderId": str(request.number)}
                return Call("order.amend.keepPriority", {**params, "newQty": _lots(listing, request.lots)}, number)
            case Replace():
                params = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": str(request.number)}
                place = request.order
                return Call(
                    "order.cancelReplace", {**self._place(place), **params}, number, (self._name_of(place.client),)
                )
            case PlaceList():
                return self._list(request, number)
            case Quote():
                raise Refused("a standing pair at a venue that has none", hint="place and cancel its two orders")
        raise AssertionError(f"no words for {request!r}")

    def _which(self, request: Cancel) -> dict[str, str]:
        if request.number:
            return {"orderId": str(request.number)}
        return {"origClientOrderId": self._name_of(request.client)}

    def _place(self, place: Place) -> dict[str, str]:
        listing = self._listings[place.instrument]
        params = {
            "symbol": self._symbols[place.instrument],
            "side": place.side.name,
            "type": place.type.name,
            **self._numbers(place, listing),
        }
        if place.lots:
            params["quantity"] = _lots(listing, place.lots)
        elif place.quote_units:
            params["quoteOrderQty"] = f"{listing.quote.decimal(place.quote_units):f}"
        if place.client:
            params["newClientOrderId"] = self._name_of(place.client)
        if place.stp is not SelfTrade.EXPIRE_MAKER:
            params["selfTradePreventionMode"] = place.stp.name
        if place.reduce_only:
            params["reduceOnly"] = "true"
        return params

    def _numbers(self, place: Place, listing: Listing) -> dict[str, str]:
        """Prices, trailing delta and time in force, by the names of a single order."""
        found = {}
        if place.price and place.type in PRICED_TYPES:
            found["price"] = _ticks(listing, place.price)
        if place.stop:
            found["stopPrice"] = _ticks(listing, place.stop)
        if place.trailing_bips:
            found["trailingDelta"] = str(place.trailing_bips)
        if place.type not in _UNTIMED:
            found["timeInForce"] = place.tif.name
        return found

    def _list(self, request: PlaceList, number: int) -> Call:
        first = request.orders[0]
        listing = self._listings[first.instrument]
        params = {"symbol": self._symbols[first.instrument]}
        clients = tuple(self._name_of(one.client) for one in request.orders)
        if request.kind is ListKind.OCO:
            params |= {"side": first.side.name, "quantity": _lots(listing, first.lots)}
            params |= self._pair("", request.orders, listing)
            return Call("orderList.place.oco", params, number, clients)
        params |= self._leg("working", first, listing)
        params |= {"workingSide": first.side.name, "workingQuantity": _lots(listing, first.lots)}
        then = request.orders[1]
        params |= {"pendingSide": then.side.name, "pendingQuantity": _lots(listing, then.lots)}
        if request.kind is ListKind.OTO:
            params |= self._leg("pending", then, listing)
            return Call("orderList.place.oto", params, number, clients)
        params |= self._pair("pending", request.orders[1:], listing)
        return Call("orderList.place.otoco", params, number, clients)

    def _pair(self, head: str, legs: Sequence[Place], listing: Listing) -> dict[str, str]:
        """Two legs, one above the other: of a sale the profit is above, of a purchase the stop."""
        profit, stop = sorted(legs, key=lambda one: one.type not in _PROFITS)
        above, below = (profit, stop) if profit.side is Side.SELL else (stop, profit)
        upper, lower = ("above", "below") if not head else (f"{head}Above", f"{head}Below")
        return self._leg(upper, above, listing) | self._leg(lower, below, listing)

    def _leg(self, head: str, place: Place, listing: Listing) -> dict[str, str]:
        found = {f"{head}Type": place.type.name, f"{head}ClientOrderId": self._name_of(place.client)}
        for name, text in self._numbers(place, listing).items():
            found[head + name[0].upper() + name[1:]] = text
        return found


class NativeWording(Wording):
    """Requests as they are, in ticks and lots, for a venue of ours: nothing is said in other words on the way."""

    def call(self, request: Request, number: int) -> Call:
        ordinals = [one.client for one in native.places_of(request)]
        if isinstance(request, Cancel) and not request.number:
            ordinals = [request.client]
        clients = tuple(map(self._name_of, ordinals))
        params = {"request": _json(native.request_document(request)), "clients": _json(clients)}
        places = native.places_of(request)
        side = places[0].side.name if places else ""
        return Call(
            native.SEND, params, number, clients, side, places[0].type.name if places else type(request).__name__
        )


def _json(said: Any) -> str:
    return orjson.dumps(said).decode()


def _ticks(listing: Listing, ticks: int) -> str:
    return f"{ticks * listing.tick:f}"


def _lots(listing: Listing, lots: int) -> str:
    return f"{lots * listing.lot:f}"
