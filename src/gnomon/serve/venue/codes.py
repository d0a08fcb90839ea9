"""Every refusal of the venue in its own words: clients match on these texts, character by character.

Each function makes a new `VenueRefusal`; the caller raises it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gnomon.serve.venue.refusal import VenueRefusal

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
HALF_DONE: Final = 409
GONE: Final = 410
TOO_LARGE: Final = 413
TOO_MANY: Final = 429
BUG: Final = 500

NUMBER_RANGE: Final = "^[0-9]{1,20}$"
DECIMAL_RANGE: Final = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
CLIENT_ID_RANGE: Final = "^[a-zA-Z0-9-_]{1,36}$"
SYMBOL_RANGE: Final = "^[A-Z0-9-_.]{1,20}$"

Makes = Callable[[], VenueRefusal]


def _fixed(code: int, msg: str, status: int = BAD_REQUEST) -> Makes:
    """A refusal without parameters."""

    def make() -> VenueRefusal:
        return VenueRefusal(code, msg, status)

    return make


# --- the request as such --------------------------------------------------------------------------------------------

unknown_error = _fixed(-1000, "An unknown error occurred while processing the request.", BUG)
timed_out = _fixed(
    -1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown.", 504
)
not_supported = _fixed(-1020, "This operation is not supported.")
no_such_path = _fixed(-1020, "This operation is not supported.", NOT_FOUND)
malformed = _fixed(-1100, "Illegal characters found in the request.")
too_large = _fixed(-1108, "The request is too large.", TOO_LARGE)
switched_off = _fixed(-1020, "This operation is not supported.", GONE)


def too_much_weight(limit: int, retry_after_s: int) -> VenueRefusal:
    msg = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return VenueRefusal(-1003, msg, TOO_MANY, retry_after_s=retry_after_s)


def too_many_requests(limit: int, retry_after_s: int) -> VenueRefusal:
    """The raw count of requests, five minutes."""
    msg = f"Too many requests; current limit is {limit} requests per 5 MINUTES."
    return VenueRefusal(-1003, msg, TOO_MANY, retry_after_s=retry_after_s)


def too_many_orders(limit: int, interval: str, retry_after_s: int) -> VenueRefusal:
    """`interval` as published: `10 SECONDS`, `1 DAY`."""
    msg = f"Too many new orders; current limit is {limit} orders per {interval}."
    return VenueRefusal(-1015, msg, TOO_MANY, retry_after_s=retry_after_s)


# --- key, signature, time -------------------------------------------------------------------------------------------

bad_key_format = _fixed(-2014, "API-key format invalid.", UNAUTHORIZED)
bad_key = _fixed(-2015, "Invalid API-key, IP, or permissions for action.", UNAUTHORIZED)
bad_signature = _fixed(-1022, "Signature for this request is not valid.")
too_old = _fixed(-1021, "Timestamp for this request is outside of the recvWindow.")
too_early = _fixed(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
window_too_wide = _fixed(-1131, "recvWindow must be less than 60000")
hmac_logon = _fixed(-4056, "HMAC_SHA256 API key is not supported.")

# --- parameters -----------------------------------------------------------------------------------------------------


def illegal_characters(param: str, legal: str) -> VenueRefusal:
    return VenueRefusal(-1100, f"Illegal characters found in parameter '{param}'; legal range is '{legal}'.")


def too_many_parameters(expected: int, received: int) -> VenueRefusal:
    return VenueRefusal(-1101, f"Too many parameters; expected '{expected}' and received '{received}'.")


duplicate_values = _fixed(-1101, "Duplicate values for a parameter detected.")


def mandatory(param: str) -> VenueRefusal:
    return VenueRefusal(-1102, f"Mandatory parameter '{param}' was not sent, was empty/null, or malformed.")


def either(first: str, second: str) -> VenueRefusal:
    return VenueRefusal(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def which_session(choices: str) -> VenueRefusal:
    """Our own: several sessions live here, and the request names none (`choices` is a comma list of their ids)."""
    return VenueRefusal(
        -1102,
        "Mandatory parameter 'session' was not sent, was empty/null, or malformed. "
        + (f"Use a key, or the path /s/<session>; live: {choices}" if choices else "No session is live."),
    )


def unread_parameters(read: int, sent: int) -> VenueRefusal:
    return VenueRefusal(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty_parameter(param: str) -> VenueRefusal:
    return VenueRefusal(-1105, f"Parameter '{param}' was empty.")


def not_required(param: str) -> VenueRefusal:
    return VenueRefusal(-1106, f"Parameter '{param}' sent when not required.")


def overflowed(param: str) -> VenueRefusal:
    return VenueRefusal(-1108, f"Parameter '{param}' overflowed.")


def too_precise(param: str) -> VenueRefusal:
    return VenueRefusal(-1111, f"Parameter '{param}' has too much precision.")


def invalid_data(param: str) -> VenueRefusal:
    return VenueRefusal(-1130, f"Data sent for parameter '{param}' is not valid.")


not_concurrent = _fixed(
    -1130,
    "Data sent for parameter 'lockstep' is not valid. The shim says that a wake is done with when no answer is "
    "awaited, so its bots are serial. Connect with lockstep=serial.",
)
"""Our own: a shimmed bot asked for it."""

empty_book = _fixed(-1112, "No orders on book for symbol.")
tif_not_required = _fixed(-1114, "TimeInForce parameter sent when not required.")
invalid_tif = _fixed(-1115, "Invalid timeInForce.")
invalid_order_type = _fixed(-1116, "Invalid orderType.")
invalid_side = _fixed(-1117, "Invalid side.")
invalid_interval = _fixed(-1120, "Invalid interval.")
invalid_symbol = _fixed(-1121, "Invalid symbol.")
invalid_symbol_status = _fixed(-1122, "Invalid symbolStatus.")
no_such_listen_key = _fixed(-1125, "This listenKey does not exist.")
more_than_a_day = _fixed(-1127, "More than 24 hours between startTime and endTime.")
optional_combination = _fixed(-1128, "Combination of optional parameters invalid.")
small_strategy_type = _fixed(-1134, "strategyType was less than 1000000.")
invalid_cancel_restrictions = _fixed(-1145, "Invalid cancelRestrictions")
symbol_twice = _fixed(-1151, "Symbol is present multiple times in the list.")

# --- orders ---------------------------------------------------------------------------------------------------------


def filter_failure(name: str) -> VenueRefusal:
    return VenueRefusal(-1013, f"Filter failure: {name}")


stp_not_allowed = _fixed(-1013, "This symbol does not allow the specified self-trade prevention mode.")
unsupported_combination = _fixed(-1014, "Unsupported order combination.")


def order_refused(msg: str) -> VenueRefusal:
    """The engine refused a new order, in one of the texts below."""
    return VenueRefusal(-2010, msg)


def amend_refused(msg: str) -> VenueRefusal:
    return VenueRefusal(-2038, msg)


INSUFFICIENT_BALANCE: Final = "Account has insufficient balance for requested action."
DUPLICATE_ORDER: Final = "Duplicate order sent."
MARKET_CLOSED: Final = "Market is closed."
WOULD_TRIGGER: Final = "Order would trigger immediately."
WOULD_MATCH: Final = "Order would immediately match and take."
NOTHING_WORTH: Final = "Price * QTY is zero or less."
ICEBERG_EXCEEDS: Final = "IcebergQty exceeds QTY."
PRICES_RELATED_WRONGLY: Final = "The relationship of the prices for the orders is not correct."
NO_QUOTE_ORDERS: Final = "Quote order qty market orders are not support for this symbol."  # sic
NO_OCO: Final = "OCO orders are not supported for this symbol"  # no full stop, as the venue has it
THIN_BOOK: Final = "Order book liquidity is less than LOT_SIZE filter minimum quantity."
ACTION_DISABLED: Final = "This action is disabled on this account."
SYMBOL_NOT_PERMITTED: Final = "This symbol is not permitted for this account."
AMEND_UP: Final = "Order amend (quantity increase) is not supported."
NO_CHANGE: Final = "The requested action would change no state; rejecting"


def type_not_supported(kind: str) -> str:
    """`kind` as the venue says it: `Market`, `Stop loss limit`, `Iceberg`, `Trailing stop`."""
    return f"{kind} orders are not supported for this symbol."


unknown_order = _fixed(-2011, "Unknown order sent.")
cancel_restricted = _fixed(-2011, "Order was not canceled due to cancel restrictions.")
no_such_order = _fixed(-2013, "Order does not exist.")
no_trading_window = _fixed(-2016, "No trading window could be found for the symbol. Try ticker/24hrs instead.")
archived_order = _fixed(
    -2026, "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
)
ids_disagree = _fixed(-2039, "Client order ID is not correct for this order ID.")


def half_replaced(data: Any) -> VenueRefusal:
    return VenueRefusal(-2021, "Order cancel-replace partially failed.", HALF_DONE, data)


def not_replaced(data: Any) -> VenueRefusal:
    return VenueRefusal(-2022, "Order cancel-replace failed.", BAD_REQUEST, data)


def closed(method: str) -> VenueRefusal:
    """Whatever would send something to a market whose session is over, by the code of its method."""
    if method == "order.cancelReplace":
        half = VenueRefusal(-2011, MARKET_CLOSED).document()
        halves = {"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED"}
        return not_replaced({**halves, "cancelResponse": half, "newOrderResponse": None})
    if method.startswith("order.amend"):
        return amend_refused(MARKET_CLOSED)
    is_cancel = method in ("order.cancel", "openOrders.cancelAll", "orderList.cancel")
    return VenueRefusal(-2011, MARKET_CLOSED) if is_cancel else order_refused(MARKET_CLOSED)


# --- order lists ----------------------------------------------------------------------------------------------------

list_types = _fixed(-1158, "Order type not supported in OCO.")
buy_limit_above = _fixed(-1165, "A limit order in a buy OCO must be below.")
sell_limit_below = _fixed(-1166, "A limit order in a sell OCO must be above.")
both_limit = _fixed(-1168, "At least one OCO order must be contingent.")
stop_above_with_buy_limit = _fixed(-1196, "A stop loss order in a buy OCO must be above.")
stop_below_with_sell_limit = _fixed(-1197, "A stop loss order in a sell OCO must be below.")
profit_below_in_buy = _fixed(-1198, "A take profit order in a buy OCO must be below.")
profit_above_in_sell = _fixed(-1199, "A take profit order in a sell OCO must be above.")

# --- user streams ---------------------------------------------------------------------------------------------------

already_subscribed = _fixed(-2035, "User Data Stream subscription already active.")
not_subscribed = _fixed(-2036, "User Data Stream subscription not active.")
too_many_subscriptions = _fixed(-2042, "Maximum subscription ID reached for this connection.")
