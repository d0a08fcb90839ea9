"""Tickets: an order in a person's words becomes a request in ticks and lots, or the reason why it cannot."""

from __future__ import annotations

from operator import index
from typing import Any, NamedTuple

from gnomon.errors import Invalid, Unavailable, nearest
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import PRICED_TYPES, STOP_TYPES, OrderType, Place, Side, TimeInForce
from gnomon.trader import sizing
from gnomon.trader.orders import OrderRequest
from gnomon.trader.sizing import Costs, Number
from gnomon.units import decimal as exact


class Size(NamedTuple):
    """How much, in one of five ways; `value` is nothing for `all`."""

    kind: str  # lots, qty, usd, pct, all
    value: Number = 0


def whole(value: Any, name: str, hint: str = "a whole number; int(…) makes one") -> int:
    """A Python integer of anything that is one, NumPy's too: in their 64 bits what is made of it would not fit."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        raise Invalid(f"{name} is {value!r}", hint=hint) from None


def size_of(lots: int | None, qty: Number | None, usd: Number | None, pct: Number | None) -> Size:
    """The only size that was given, all where none was; `Invalid` for two, or for one that is not positive."""
    given = {"lots": lots, "qty": qty, "usd": usd, "pct": pct}
    chosen = [Size(kind, value) for kind, value in given.items() if value is not None]
    if len(chosen) > 1:
        both = " and ".join(one.kind for one in chosen)
        raise Invalid(f"two sizes: {both}", hint="exactly one of lots, qty, usd, pct")
    if not chosen:
        return Size("all")
    (one,) = chosen
    if one.kind == "lots":
        one = Size("lots", whole(one.value, "lots", "a whole number of lots, or qty=…"))
    if not exact(one.value) > 0:
        raise Invalid(f"{one.kind} is {one.value}", hint="a positive number; sell is a verb of its own")
    return one


class Purse(NamedTuple):
    """What the trader has: units of the quote that are free, whole lots held, equity, the newest price (0 unknown)."""

    free_units: int
    held_lots: int
    equity_units: int
    last_ticks: int


class Wish(NamedTuple):
    """An order in words: a side and a size, and what `buy` and `sell` take."""

    side: Side
    size: Size
    limit: Number | None = None
    stop: Number | None = None
    tif: str = "GTC"
    post_only: bool = False
    reduce_only: bool = False


def written(listing: Listing, wish: Wish, purse: Purse, costs: Costs) -> Place | str:
    """The request, without a client id; or in words what it is below.

    Raises `Unavailable` where money must be turned into lots and no price is known.
    """
    side = wish.side
    price = sizing.price_ticks(listing, wish.limit, side) if wish.limit is not None else 0
    stop = sizing.stop_ticks(listing, wish.stop, side is Side.BUY) if wish.stop is not None else 0
    kind = _type(wish, bool(price), bool(stop))
    at = price or stop or purse.last_ticks
    lots, spend = _amount(listing, wish, purse, costs, at, is_market=kind is OrderType.MARKET)
    if wish.reduce_only:
        lots = min(lots, abs(purse.held_lots)) if lots else lots
    short = sizing.shortfall(listing, at, lots, spend)
    if short:
        return short
    return Place(
        listing.number, side, kind, lots, price, time_in_force(wish.tif), stop, 0, spend, reduce_only=wish.reduce_only
    )


def exactly(listing: Listing, request: OrderRequest, purse: Purse) -> Place | str:
    """An `OrderRequest` in integers; it is sent as it stands, checked for what every order needs."""
    side, kind = Side(request.side), OrderType(request.type)
    sizes = [one for one in (request.lots, request.qty, request.usd) if one is not None]
    if len(sizes) != 1:
        raise Invalid(f"{len(sizes)} sizes", hint="exactly one of lots, qty, usd")
    price, stop = _exact_prices(listing, request, side, kind)
    size = size_of(request.lots, request.qty, request.usd, None)
    if size.kind == "usd" and kind is not OrderType.MARKET:
        raise Invalid(f"usd is {request.usd} for {kind.name}", hint="MARKET orders alone are sized by money")
    lots = {"lots": lambda: int(str(size.value)), "qty": lambda: sizing.lots_of(listing, size.value)}.get(
        size.kind, lambda: 0
    )()
    spend = sizing.units_of(listing.quote, size.value) if size.kind == "usd" else 0
    short = sizing.shortfall(listing, price or stop or purse.last_ticks, lots, spend)
    if short:
        return short
    return Place(
        listing.number, side, kind, lots, price, TimeInForce(request.tif), stop, request.trailing_bips, spend,
        request.stp, reduce_only=request.reduce_only,
    )  # fmt: skip


def _exact_prices(listing: Listing, request: OrderRequest, side: Side, kind: OrderType) -> tuple[int, int]:
    if request.price is not None and request.price_ticks is not None:
        raise Invalid("price and price_ticks are both given", hint="one of them")
    if request.stop is not None and request.stop_ticks is not None:
        raise Invalid("stop and stop_ticks are both given", hint="one of them")
    price = request.price_ticks or 0
    if request.price is not None:
        price = sizing.price_ticks(listing, request.price, side)
    stop = request.stop_ticks or 0
    if request.stop is not None:
        is_loss = kind in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
        stop = sizing.stop_ticks(listing, request.stop, is_loss == (side is Side.BUY))
    if (kind in PRICED_TYPES) != bool(price):
        raise Invalid(f"{kind.name} with a price of {price} ticks", hint="limit orders have a price, others none")
    if (kind in STOP_TYPES) != bool(stop or request.trailing_bips):
        raise Invalid(f"{kind.name} with a stop of {stop} ticks", hint="stop orders have a stop, others none")
    return price, stop


def time_in_force(text: str | TimeInForce) -> TimeInForce:
    """By name; `Invalid` with the nearest."""
    if isinstance(text, TimeInForce):
        return text
    try:
        return TimeInForce[text.upper()]
    except KeyError:
        known = [one.name for one in TimeInForce]
        close = nearest(text, known)
        raise Invalid(f"no time in force {text!r}", hint=", ".join(close or known)) from None


def _type(wish: Wish, has_price: bool, has_stop: bool) -> OrderType:
    if wish.post_only and (has_stop or not has_price):
        raise Invalid("post_only without a resting price", hint="pass limit=…, and no stop")
    if has_stop:
        return OrderType.STOP_LOSS_LIMIT if has_price else OrderType.STOP_LOSS
    if not has_price:
        return OrderType.MARKET
    return OrderType.LIMIT_MAKER if wish.post_only else OrderType.LIMIT


def _amount(listing: Listing, wish: Wish, purse: Purse, costs: Costs, at: int, *, is_market: bool) -> tuple[int, int]:
    """(lots, units of the quote to spend): one of them is 0."""
    size = wish.size
    if size.kind == "lots":
        return int(str(size.value)), 0
    if size.kind == "qty":
        return sizing.lots_of(listing, size.value), 0
    if wish.side is Side.SELL:
        return _sold(listing, size, purse, at), 0
    if size.kind == "usd":
        budget = sizing.units_of(listing.quote, size.value)
    else:
        budget = purse.free_units if size.kind == "all" else sizing.share_of(purse.equity_units, size.value)
    if is_market:
        _need_price(listing, at)
        return 0, sizing.spendable(budget, costs.buy_rate)
    return sizing.lots_for(listing, at, budget, costs.buy_rate), 0


def _sold(listing: Listing, size: Size, purse: Purse, at: int) -> int:
    held = max(0, purse.held_lots)
    if size.kind == "all":
        return sizing.whole_steps(listing, held)
    if size.kind == "pct":
        return sizing.whole_steps(listing, sizing.share_of(held, size.value))
    _need_price(listing, at)
    return sizing.whole_steps(listing, sizing.units_of(listing.quote, size.value) // listing.notional(at, 1))


def _need_price(listing: Listing, at: int) -> None:
    if at <= 0:
        raise Unavailable(f"no price of {listing.id} is known yet", hint="wait for its first price, or pass lots=")
