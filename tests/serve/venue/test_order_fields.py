"""Which parameters an order needs, which it may not have, and what is said of each fault."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.venue.courses import btc

from gnomon.exchange.order import OrderType, Place, SelfTrade, Side, TimeInForce
from gnomon.serve.venue.order_fields import ids_of, order_of, place_of, prefixed
from gnomon.serve.venue.pairs import Pair
from gnomon.serve.venue.refusal import VenueRefusal

PAIR = Pair(btc(), "BTCUSDT", 0, 1)
MANDATORY = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
NOT_REQUIRED = "Parameter '{}' sent when not required."
ILLEGAL = "Illegal characters found in parameter '{}'; legal range is '{}'."
SIZED = {"side": "BUY", "quantity": "1"}
LIMIT = SIZED | {"type": "LIMIT", "timeInForce": "GTC", "price": "90.00"}
BODIES = {
    "LIMIT": LIMIT,
    "MARKET": SIZED | {"type": "MARKET"},
    "LIMIT_MAKER": SIZED | {"type": "LIMIT_MAKER", "price": "90.00"},
    "STOP_LOSS": SIZED | {"type": "STOP_LOSS", "stopPrice": "110.00"},
    "TAKE_PROFIT": SIZED | {"type": "TAKE_PROFIT", "stopPrice": "80.00"},
    "STOP_LOSS_LIMIT": LIMIT | {"type": "STOP_LOSS_LIMIT", "stopPrice": "110.00"},
    "TAKE_PROFIT_LIMIT": LIMIT | {"type": "TAKE_PROFIT_LIMIT", "stopPrice": "80.00"},
}


def refusal(params: dict[str, str]) -> tuple[int, str]:
    with pytest.raises(VenueRefusal) as found:
        order_of(params, PAIR)
    return found.value.code, found.value.msg


def without(params: dict[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in params.items() if name not in names}


def test_a_limit_order_is_counted_in_ticks_and_lots() -> None:
    leg = order_of(LIMIT | {"newClientOrderId": "mine", "strategyId": "7", "strategyType": "1000000"}, PAIR)
    assert leg == {
        "side": "BUY",
        "type": "LIMIT",
        "tif": "GTC",
        "stp": "EXPIRE_MAKER",
        "client": "mine",
        "lots": 1_000,
        "price": 9_000,
        "stop": 0,
        "trailing": 0,
        "quote": 0,
        "strategyId": 7,
        "strategyType": 1_000_000,
    }
    assert place_of(leg, PAIR, 5) == Place(0, Side.BUY, OrderType.LIMIT, 1_000, 9_000, client=5)


def test_every_number_of_an_order_reaches_the_exchange() -> None:
    sent = BODIES["STOP_LOSS_LIMIT"] | {
        "side": "SELL",
        "timeInForce": "IOC",
        "trailingDelta": "100",
        "selfTradePreventionMode": "NONE",
    }
    assert place_of(order_of(sent, PAIR), PAIR, 1) == Place(
        0, Side.SELL, OrderType.STOP_LOSS_LIMIT, 1_000, 9_000, TimeInForce.IOC, 11_000, 100, 0, SelfTrade.NONE, 1
    )


def test_what_may_be_spent_is_in_units_of_the_quote() -> None:
    leg = order_of({"side": "BUY", "type": "MARKET", "quoteOrderQty": "12.34567891"}, PAIR)
    assert (leg["quote"], leg["lots"]) == (1_234_567_891, 0)


@pytest.mark.parametrize(
    "kind, name", [(kind, name) for kind, body in BODIES.items() for name in body if name != "type"]
)
def test_a_parameter_that_a_type_needs_is_missed(kind: str, name: str) -> None:
    code, msg = refusal(without(BODIES[kind], name))
    both = {
        ("MARKET", "quantity"): "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        **{
            (stop, "stopPrice"): "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"
            for stop in BODIES
        },
    }
    assert (code, msg) == (-1102, both.get((kind, name), MANDATORY.format(name)))


@pytest.mark.parametrize("kind", BODIES)
def test_a_parameter_that_a_type_has_no_use_for_is_refused(kind: str) -> None:
    body = BODIES[kind]
    extras = {"price": "90.00", "timeInForce": "GTC", "stopPrice": "110.00", "trailingDelta": "100"}
    is_stop = "stopPrice" in body
    for name, text in extras.items():
        if name in body or (name == "trailingDelta" and is_stop):
            continue
        assert refusal(body | {name: text}) == (-1106, NOT_REQUIRED.format(name)), name
    if kind != "MARKET":
        assert refusal(body | {"quoteOrderQty": "5"}) == (-1106, NOT_REQUIRED.format("quoteOrderQty"))


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"side": "HOLD"}, (-1117, "Invalid side.")),
        ({"side": "buy"}, (-1117, "Invalid side.")),
        ({"type": "ICEBERG"}, (-1116, "Invalid orderType.")),
        ({"timeInForce": "GTX"}, (-1115, "Invalid timeInForce.")),
        ({"price": ""}, (-1105, "Parameter 'price' was empty.")),
        ({"price": "90.001"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"price": "0"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"quantity": "0.0005"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"quantity": "0"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"quantity": "0.0005", "price": "20000000"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"quantity": "1.123456789"}, (-1111, "Parameter 'quantity' has too much precision.")),
        ({"price": "90.123456789", "quantity": "0.0005"}, (-1111, "Parameter 'price' has too much precision.")),
        ({"strategyType": "999999"}, (-1134, "strategyType was less than 1000000.")),
        ({"strategyId": "x"}, (-1100, ILLEGAL.format("strategyId", "^[0-9]{1,20}$"))),
        ({"selfTradePreventionMode": "NO"}, (-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")),
        ({"icebergQty": "0.5"}, (-2010, "Iceberg orders are not supported for this symbol.")),
        ({"pegPriceType": "PRIMARY_PEG"}, (-1014, "Unsupported order combination.")),
        ({"newClientOrderId": "a b"}, (-1100, ILLEGAL.format("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$"))),
    ],
)  # fmt: skip
def test_a_value_that_no_order_can_have_is_refused(change: dict[str, str], expected: tuple[int, str]) -> None:
    assert refusal(LIMIT | change) == expected


def test_the_text_that_a_tiny_float_prints_is_no_decimal() -> None:
    code, msg = refusal(LIMIT | {"quantity": "1e-05"})
    assert code == -1100
    assert msg == "Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'."


def test_a_market_order_has_one_size() -> None:
    both = BODIES["MARKET"] | {"quoteOrderQty": "5"}
    assert refusal(both) == (-1128, "Combination of optional parameters invalid.")
    nothing = without(both, "quantity") | {"quoteOrderQty": "0"}
    assert refusal(nothing) == (-1013, "Price * QTY is zero or less.")
    assert refusal(BODIES["MARKET"] | {"icebergQty": "1"}) == (-1106, NOT_REQUIRED.format("icebergQty"))


def test_triggers_off_the_grid_break_their_filters() -> None:
    body = without(BODIES["STOP_LOSS"], "stopPrice")
    assert refusal(body | {"stopPrice": "110.001"}) == (-1013, "Filter failure: PRICE_FILTER")
    assert refusal(body | {"stopPrice": "0"}) == (-1013, "Filter failure: PRICE_FILTER")
    assert refusal(body | {"trailingDelta": "0"}) == (-1013, "Filter failure: TRAILING_DELTA")
    assert order_of(body | {"trailingDelta": "50"}, PAIR)["trailing"] == 50


values = st.sampled_from(
    ["1", "90.00", "0.5", "0", "", "0.0005", "1e5", "90.001", "GTC", "IOC", "X", "BUY", "SELL", "a-b"]
)
fields = st.fixed_dictionaries(
    {"type": st.just("LIMIT")},
    optional=dict.fromkeys(("side", "timeInForce", "quantity", "price", "newClientOrderId", "other"), values),
)


@given(params=fields)
def test_the_short_way_of_a_plain_limit_order_is_the_long_one(params: dict[str, str]) -> None:
    assert outcome(params) == outcome(params | {"selfTradePreventionMode": "EXPIRE_MAKER"})


def outcome(params: dict[str, str]) -> Any:
    try:
        return order_of(params, PAIR)
    except VenueRefusal as refusal:
        return refusal.code, refusal.msg


def test_an_iceberg_of_nothing_is_none() -> None:
    assert order_of(LIMIT | {"icebergQty": "0.00000000"}, PAIR)["lots"] == 1_000


def test_legs_of_a_list_have_names_of_their_own() -> None:
    params: dict[str, Any] = {
        "aboveType": "STOP_LOSS_LIMIT",
        "abovePrice": "111.00",
        "aboveStopPrice": "110.00",
        "aboveTimeInForce": "GTC",
        "aboveClientOrderId": "up",
    }
    leg = order_of(params, PAIR, prefixed("above"), side="BUY", lots=250)
    assert (leg["type"], leg["price"], leg["stop"], leg["client"], leg["lots"]) == (
        "STOP_LOSS_LIMIT",
        11_100,
        11_000,
        "up",
        250,
    )


def test_an_order_is_meant_by_its_number_its_client_id_or_both() -> None:
    assert ids_of({"orderId": "3"}) == (3, None)
    assert ids_of({"origClientOrderId": "a"}) == (None, "a")
    with pytest.raises(VenueRefusal) as found:
        ids_of({})
    assert (found.value.code, found.value.msg) == (
        -1102,
        "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
    )
