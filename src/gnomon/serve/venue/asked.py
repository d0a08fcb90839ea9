"""What was asked, for the account: of a request in the exchange's own words, as a native runtime sends it.

The wire's own handlers know more (a client's words for a cancel, its strategy) and say it themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

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
    Side,
)
from gnomon.serve.venue.own_orders import Leg

CONTINGENCY: Final = {ListKind.OCO: "OCO", ListKind.OTO: "OTO", ListKind.OTOCO: "OTO"}


def asked_of(request: Request, clients: Sequence[str] = ()) -> dict[str, Any]:
    """The details that `Account.expect` takes. `clients` are the client ids of its orders, in their order; an order
    without one gets a generated one."""
    match request:
        case Place():
            return {"do": "place", "client": "", "legs": _legs((request,), clients)}
        case PlaceList():
            legs = _legs(request.orders, clients)
            return {"do": "list", "client": "", "legs": legs, "contingency": CONTINGENCY[request.kind]}
        case Replace():
            return {"do": "replace", "client": "", "legs": _legs((request.order,), clients)}
        case Cancel():
            return {"do": "cancel", "client": ""}
        case CancelAll():
            return {"do": "cancelAll", "client": ""}
        case Amend():
            return {"do": "amend", "client": ""}
        case Quote():
            return {"do": "quote", "client": "", "legs": _legs(_sides(request), clients)}


def _sides(quote: Quote) -> tuple[Place, Place]:
    """Bid and ask of a standing pair."""
    kind = OrderType.LIMIT_MAKER if quote.post_only else OrderType.LIMIT
    return (
        Place(quote.instrument, Side.BUY, kind, quote.lots, quote.bid),
        Place(quote.instrument, Side.SELL, kind, quote.lots, quote.ask),
    )


def _legs(places: Sequence[Place], clients: Sequence[str]) -> list[Leg]:
    return [
        {
            "side": one.side.name,
            "type": one.type.name,
            "tif": one.tif.name,
            "stp": one.stp.name,
            "client": clients[number] if number < len(clients) else "",
            "lots": one.lots,
            "price": one.price,
            "stop": one.stop,
            "trailing": one.trailing_bips,
            "quote": one.quote_units,
        }
        for number, one in enumerate(places)
    ]
