"""Unmodified clients from PyPI do a day's errands; the id of each test names the client's version."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.clients.scene import BASE, CLOSES, OPENS, QUOTE, Venue, ms
from tests.clients.walks import Walk, check_errands, check_orders, pinned, walk

CCXT = {
    "insufficient balance": "InsufficientFunds",
    "unknown order cancelled": "OrderNotFound",
    "unknown order asked for": "OrderNotFound",
    "price between ticks": "InvalidOrder",
    "quantity below the least": "InvalidOrder",
    "quantity above the most": "InvalidOrder",
    "worth too little": "BadRequest",
    "price out of bounds": "InvalidOrder",
    "maker that would take": "OrderImmediatelyFillable",
    "stop that would fire": "OrderImmediatelyFillable",
    "unknown symbol": "BadSymbol",
    "unknown interval": "BadRequest",
    "parameter missing": "BadRequest",
    "unknown type": "BadRequest",
    "unknown side": "BadRequest",
    "stale stamp": "InvalidNonce",
    "wrong signature": "AuthenticationError",
    "unknown key": "AuthenticationError",
}
"""The class of ccxt that each mistake becomes, for a venue that is not at the real one's address."""

CODES = {
    "insufficient balance": (-2010, "Account has insufficient balance for requested action."),
    "unknown order cancelled": (-2011, "Unknown order sent."),
    "unknown order asked for": (-2013, "Order does not exist."),
    "price between ticks": (-1013, "Filter failure: PRICE_FILTER"),
    "quantity below the least": (-1013, "Filter failure: LOT_SIZE"),
    "quantity above the most": (-1013, "Filter failure: LOT_SIZE"),
    "worth too little": (-1013, "Filter failure: NOTIONAL"),
    "price out of bounds": (-1013, "Filter failure: PRICE_FILTER"),
    "maker that would take": (-2010, "Order would immediately match and take."),
    "stop that would fire": (-2010, "Order would trigger immediately."),
    "unknown symbol": (-1121, "Invalid symbol."),
    "unknown interval": (-1120, "Invalid interval."),
    "parameter missing": (-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
    "unknown type": (-1116, "Invalid orderType."),
    "unknown side": (-1117, "Invalid side."),
    "stale stamp": (-1021, "Timestamp for this request is outside of the recvWindow."),
    "wrong signature": (-1022, "Signature for this request is not valid."),
    "unknown key": (-2015, "Invalid API-key, IP, or permissions for action."),
}
UNAUTHORIZED = ("unknown key",)


@dataclass(frozen=True)
class Flavour:
    """One way to walk: a client, its script, and which of its ways."""

    client: str
    script: str
    flavour: str
    leaves_out: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return f"{self.client}-{pinned(self.client)}-{self.flavour}"


FLAVOURS = [
    Flavour("ccxt", "ccxt_walk.py", "sync"),
    Flavour("ccxt", "ccxt_walk.py", "async"),
    Flavour("python-binance", "python_binance_walk.py", "sync"),
    Flavour("python-binance", "python_binance_walk.py", "async"),
    Flavour("binance-sdk-spot", "binance_sdk_spot_walk.py", "rest", ("stale stamp",)),  # it stamps by itself alone
    Flavour("binance-sdk-spot", "binance_sdk_spot_walk.py", "websocket", ("stale stamp",)),
]


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.name)
def test_a_client_does_its_errands(flavour: Flavour, venue: Venue) -> None:
    session = venue.session()
    said = walk(flavour.client, flavour.script, session.given(flavour=flavour.flavour))
    if flavour.flavour != "websocket":  # its model of exchangeInfo over a WebSocket has no result
        assert said["markets"]["symbol"] == "BTCUSDT"
    check_errands(said, BASE, QUOTE, (ms(OPENS), ms(CLOSES)))
    check_orders(said, BASE, QUOTE)
    check_refusals(said, flavour)
    if flavour.client == "binance-sdk-spot":
        assert said["complaints"]["said"] == [], "its models are strict about JSON types"


def check_refusals(said: Walk, flavour: Flavour) -> None:
    """Each mistake is refused, in the class that the client makes of the venue's code and words."""
    assert said.accepted == []
    assert set(said.refusals) - {"market while held back"} == set(CODES) - set(flavour.leaves_out)
    for case, refusal in said.refusals.items():
        code, text = CODES.get(case, CODES["insufficient balance"])
        assert text in refusal["text"].replace('\\"', '"') or flavour.client == "ccxt", (case, refusal)
        if flavour.client == "ccxt":
            assert refusal["error"] == CCXT.get(case, "InsufficientFunds"), (case, refusal)
        elif flavour.client == "python-binance":
            assert (refusal["error"], refusal["code"]) == ("BinanceAPIException", code), (case, refusal)
        elif flavour.flavour == "websocket":
            assert refusal["text"].startswith(f"({code},"), (case, refusal)
        else:
            kind = "UnauthorizedError" if case in UNAUTHORIZED else "BadRequestError"
            assert (refusal["error"], refusal["text"].partition(",")[0]) == (kind, f"({code}"), (case, refusal)
