"""The fields of an order on the wire: read from parameters, checked, and turned into a request of the exchange.

Which parameters an order type needs, and which it may not have:

| type                    | quantity             | price | stopPrice, trailingDelta | timeInForce |
|-------------------------|----------------------|-------|--------------------------|-------------|
| `LIMIT`                 | yes                  | yes   | no                       | yes         |
| `MARKET`                | or `quoteOrderQty`   | no    | no                       | no          |
| `LIMIT_MAKER`           | yes                  | yes   | no                       | no          |
| `STOP_LOSS`, `TAKE_PROFIT` | yes               | no    | one or both              | no          |
| `STOP_LOSS_LIMIT`, `TAKE_PROFIT_LIMIT` | yes   | yes   | one or both              | yes         |

A price or quantity off its grid never reaches the exchange, which counts in ticks and lots: it breaks PRICE_FILTER or
LOT_SIZE here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from gnomon.exchange.order import OrderType, Place, SelfTrade, Side, TimeInForce
from gnomon.serve.venue import codes, parameters
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.own_orders import Leg
from gnomon.serve.venue.pairs import Pair
from gnomon.serve.venue.parameters import Params
from gnomon.serve.venue.refusal import VenueRefusal

SIDES: Final = {one.name: one for one in Side}
TYPES: Final = {one.name: one for one in OrderType}
TIMES_IN_FORCE: Final = {one.name: one for one in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)}
SELF_TRADES: Final = {
    "NONE": SelfTrade.NONE,
    "EXPIRE_TAKER": SelfTrade.EXPIRE_TAKER,
    "EXPIRE_MAKER": SelfTrade.EXPIRE_MAKER,
    "EXPIRE_BOTH": SelfTrade.EXPIRE_BOTH,
    "DECREMENT": SelfTrade.DECREMENT,
    "TRANSFER": SelfTrade.TRANSFER,
}
DEFAULT_SELF_TRADE: Final = "EXPIRE_MAKER"
SMALLEST_STRATEGY_TYPE: Final = 1_000_000

PRICED: Final = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
TIMED: Final = frozenset({"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
STOPPED: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})


class Names(NamedTuple):
    """What the parameters of one order are called."""

    type: str = "type"
    side: str = "side"
    quantity: str = "quantity"
    quote: str = "quoteOrderQty"
    price: str = "price"
    stop: str = "stopPrice"
    trailing: str = "trailingDelta"
    tif: str = "timeInForce"
    iceberg: str = "icebergQty"
    client: str = "newClientOrderId"
    strategy_id: str = "strategyId"
    strategy_type: str = "strategyType"
    peg: tuple[str, ...] = ("pegPriceType", "pegOffsetType", "pegOffsetValue")


PLAIN: Final = Names()

RARE: Final = frozenset(
    {
        *("quoteOrderQty", "stopPrice", "trailingDelta", "icebergQty", "strategyId", "strategyType"),
        *("selfTradePreventionMode", *PLAIN.peg),
    }
)
"""Parameters that most limit orders come without."""

_make = tuple.__new__


def prefixed(prefix: str) -> Names:
    """Those of one order of a list: `aboveType`, `abovePrice`, …"""
    return Names(
        f"{prefix}Type", f"{prefix}Side", f"{prefix}Quantity", "", f"{prefix}Price", f"{prefix}StopPrice",
        f"{prefix}TrailingDelta", f"{prefix}TimeInForce", f"{prefix}IcebergQty", f"{prefix}ClientOrderId",
        f"{prefix}StrategyId", f"{prefix}StrategyType",
        (f"{prefix}PegPriceType", f"{prefix}PegOffsetType", f"{prefix}PegOffsetValue"),
    )  # fmt: skip


def pair_of(params: Params, account: Account) -> Pair:
    """The pair that `symbol` names; -1121 where there is none."""
    pair = account.by_symbol.get(params.get("symbol", ""))
    if pair is None:
        parameters.symbol_text(params)
        raise codes.invalid_symbol()
    return pair


def side_of(params: Params, name: str) -> str:
    side = parameters.needed(params, name)
    if side not in SIDES:
        raise codes.invalid_side()
    return side


def type_of(params: Params, name: str) -> str:
    kind = parameters.needed(params, name)
    if kind not in TYPES:
        raise codes.invalid_order_type()
    return kind


def _plain_limit(params: Params, pair: Pair) -> dict[str, Any]:
    """What `order_of` makes of a limit order without any rare parameter."""
    get = params.get
    side, tif, quantity, price = get("side"), get("timeInForce"), get("quantity"), get("price")
    client = get("newClientOrderId")
    if side not in SIDES:
        side_of(params, "side")
    if tif not in TIMES_IN_FORCE:
        _time_in_force(params, PLAIN, "LIMIT")
    value = pair.lots.read("quantity", quantity or parameters.needed(params, "quantity"))
    ticks, price_rest = divmod(pair.ticks.read("price", price or parameters.needed(params, "price")), pair.ticks.step)
    if client is not None:
        parameters.client_id(params, "newClientOrderId")
    leg: dict[str, Any] = {
        "side": side,
        "type": "LIMIT",
        "tif": tif,
        "stp": DEFAULT_SELF_TRADE,
        "client": client or "",
        "lots": 0,
        "price": ticks,
        "stop": 0,
        "trailing": 0,
        "quote": 0,
    }
    lots, rest = divmod(value, pair.lots.step)
    if price_rest or rest or not ticks or not lots:
        _onto_grid(leg, pair, ticks * pair.ticks.step + price_rest, 0, value)
    leg["lots"] = lots
    return leg


def quantity_of(params: Params, pair: Pair, name: str) -> int:
    """Lots of orders that share a quantity; off its grid it breaks LOT_SIZE."""
    lots, rest = divmod(pair.lots.read(name, parameters.needed(params, name)), pair.lots.step)
    if rest or not lots:
        raise codes.filter_failure("LOT_SIZE")
    return lots


def order_of(
    params: Params, pair: Pair, names: Names = PLAIN, kind: str = "", side: str = "", lots: int = 0
) -> dict[str, Any]:
    """One order of a request, its numbers in ticks and lots; `kind`, `side` and `lots` where they are said elsewhere.

    `client` is "" where none was given.
    """
    if names is PLAIN and params.get("type") == "LIMIT" and params.keys().isdisjoint(RARE):
        return _plain_limit(params, pair)
    side = side or side_of(params, names.side)
    kind = kind or type_of(params, names.type)
    tif = _time_in_force(params, names, kind)
    quote = 0
    value = price = stop = 0
    if not lots:
        if kind == "MARKET" and names.quote:
            value, quote = _market_size(params, pair, names)
        else:
            value = pair.lots.read(names.quantity, parameters.needed(params, names.quantity))
    if kind in PRICED:
        price = pair.ticks.read(names.price, parameters.needed(params, names.price))
    elif names.price in params:
        raise codes.not_required(names.price)
    trailing = 0
    if kind in STOPPED:
        stop, trailing = _trigger(params, pair, names)
    elif names.stop in params or names.trailing in params:
        raise codes.not_required(names.stop if names.stop in params else names.trailing)
    if names.quote in params and kind != "MARKET":
        raise codes.not_required(names.quote)
    leg: dict[str, Any] = {
        "side": side,
        "type": kind,
        "tif": tif,
        "stp": _self_trade(params),
        "client": parameters.client_id(params, names.client) or "",
        "lots": lots,
        "price": 0,
        "stop": 0,
        "trailing": trailing,
        "quote": quote,
    }
    _add_strategy(params, names, leg)
    _check_iceberg(params, pair, names, kind)
    _onto_grid(leg, pair, price, stop, value if not quote else -1)
    return leg


def place_of(leg: Leg, pair: Pair, client: int) -> Place:
    """The request of the exchange."""
    return _make(
        Place,
        (
            pair.number, SIDES[leg["side"]], TYPES[leg["type"]], leg["lots"], leg["price"],
            TIMES_IN_FORCE[leg["tif"]], leg["stop"], leg["trailing"], leg["quote"], SELF_TRADES[leg["stp"]], client,
            False,
        ),
    )  # fmt: skip


def ids_of(
    params: Params, number_name: str = "orderId", client_name: str = "origClientOrderId"
) -> tuple[int | None, str | None]:
    """Which order is meant: its number, its client id or both."""
    number, client = parameters.number(params, number_name), parameters.client_id(params, client_name)
    if number is None and client is None:
        raise codes.either(client_name, number_name)
    return number, client


# --- parts ----------------------------------------------------------------------------------------------------------


def _time_in_force(params: Params, names: Names, kind: str) -> str:
    if kind not in TIMED:
        if names.tif in params:
            raise codes.not_required(names.tif)
        return "GTC"
    tif = parameters.needed(params, names.tif)
    if tif not in TIMES_IN_FORCE:
        raise codes.invalid_tif()
    return tif


def _market_size(params: Params, pair: Pair, names: Names) -> tuple[int, int]:
    """Quantity in the last decimal and units of the quote that may be spent: one of the two."""
    quantity, quote = parameters.given(params, names.quantity), parameters.given(params, names.quote)
    if quantity is None and quote is None:
        raise codes.either(names.quantity, names.quote)
    if quantity is not None and quote is not None:
        raise codes.optional_combination()
    if quantity is not None:
        return pair.lots.read(names.quantity, quantity), 0
    assert quote is not None
    value = pair.quote_units.read(names.quote, quote)
    units, rest = divmod(value, pair.quote_units.step)
    if rest:
        raise codes.too_precise(names.quote)
    if not units:
        raise VenueRefusal(-1013, codes.NOTHING_WORTH)
    return 0, units


def _trigger(params: Params, pair: Pair, names: Names) -> tuple[int, int]:
    """Stop price in the last decimal, trailing delta in bips."""
    text, trailing = parameters.given(params, names.stop), parameters.number(params, names.trailing)
    if text is None and trailing is None:
        raise codes.either(names.stop, names.trailing)
    stop = pair.ticks.read(names.stop, text) if text is not None else 0
    if text is not None and not stop:
        raise codes.filter_failure("PRICE_FILTER")
    if trailing == 0:
        raise codes.filter_failure("TRAILING_DELTA")
    return stop, trailing or 0


def _self_trade(params: Params) -> str:
    return parameters.choice(params, "selfTradePreventionMode", SELF_TRADES, DEFAULT_SELF_TRADE)


def _add_strategy(params: Params, names: Names, leg: dict[str, Any]) -> None:
    if names.strategy_id in params:
        leg["strategyId"] = parameters.number(params, names.strategy_id)
    if names.strategy_type in params:
        kind = leg["strategyType"] = parameters.needed_number(params, names.strategy_type)
        if kind < SMALLEST_STRATEGY_TYPE:
            raise codes.small_strategy_type()


def _check_iceberg(params: Params, pair: Pair, names: Names, kind: str) -> None:
    """The exchange shows whole orders only, at prices of their own; an iceberg of 0 is none."""
    if names.iceberg in params:
        if kind not in PRICED:
            raise codes.not_required(names.iceberg)
        if pair.lots.read(names.iceberg, parameters.needed(params, names.iceberg)):
            raise codes.order_refused(codes.type_not_supported("Iceberg"))
    for name in names.peg:
        if name in params:
            raise codes.unsupported_combination()


def _onto_grid(leg: dict[str, Any], pair: Pair, price: int, stop: int, value: int) -> None:
    """Values in the last decimal as ticks and lots. A value off its grid breaks its filter, prices first."""
    ticks, price_rest = divmod(price, pair.ticks.step)
    stop_ticks, stop_rest = divmod(stop, pair.ticks.step)
    if price_rest or stop_rest or (leg["type"] in PRICED and not ticks):
        raise codes.filter_failure("PRICE_FILTER")
    leg["price"], leg["stop"] = ticks, stop_ticks
    if leg["lots"] or value < 0:
        return
    leg["lots"], rest = divmod(value, pair.lots.step)
    if rest:
        rules = pair.listing.filters
        for one in (ticks, stop_ticks):
            if one and not (rules.min_price_ticks <= one <= (rules.max_price_ticks or one)):
                raise codes.filter_failure("PRICE_FILTER")
    if rest or not value:
        raise codes.filter_failure("LOT_SIZE")
