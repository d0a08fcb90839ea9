"""The paths that clients ask for at start-up."""

from __future__ import annotations

import pytest
from tests.exchange.venue import listing, prints, rules
from tests.serve.venue.room import MS, V0_NS, Room

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.rules import Fees


@pytest.mark.parametrize("path", ["/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo", "/eapi/v1/exchangeInfo"])
def test_the_other_exchanges_have_no_symbols(room: Room, path: str) -> None:
    status, body, _ = room.ask("GET", path)
    assert (status, body["symbols"], body["timezone"], body["serverTime"]) == (200, [], "UTC", V0_NS // MS)
    assert ("optionSymbols" in body) is path.startswith("/eapi")


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/sapi/v1/capital/config/getall"),
        ("GET", "/sapi/v1/margin/allPairs"),
        ("GET", "/sapi/v1/margin/isolated/allPairs"),
        ("GET", "/sapi/v1/spot/delist-schedule"),
        ("POST", "/sapi/v3/asset/getUserAsset"),
        ("POST", "/sapi/v1/asset/get-funding-asset"),
    ],
)
def test_signed_stubs_are_empty_and_need_their_signature(room: Room, verb: str, path: str) -> None:
    assert room.ask_signed(verb, path)[:2] == (200, [])
    assert room.ask(verb, path)[1]["code"] == -2014


def test_fees_are_those_of_the_run(room: Room) -> None:
    room.course.exchange = Exchange([listing()], {0: prints([])}, rules(fees=Fees(maker=75_000, taker=100_000)))
    fee = {"symbol": "BTCUSD", "makerCommission": "0.00075", "takerCommission": "0.001"}
    assert room.ask_signed("GET", "/sapi/v1/asset/tradeFee")[1] == [fee]
    assert room.ask_signed("GET", "/sapi/v1/asset/tradeFee", symbol="BTCUSD")[1] == [fee]
    assert room.ask_signed("GET", "/sapi/v1/asset/tradeFee", symbol="ETHUSD")[1] == []


def test_the_system_is_normal_and_a_key_may_trade_on_spot_alone(room: Room) -> None:
    assert room.ask("GET", "/sapi/v1/system/status")[1] == {"status": 0, "msg": "normal"}
    found = room.ask_signed("GET", "/sapi/v1/account/apiRestrictions")[1]
    assert found["enableSpotAndMarginTrading"] is True
    assert found["enableWithdrawals"] is False


@pytest.mark.parametrize("path", ["/sapi/v1/x", "/fapi/v1/x", "/dapi/v2/x", "/eapi/v1/x", "/papi/v1/um/order"])
def test_everything_else_below_is_404_in_json(room: Room, path: str) -> None:
    status, body, _ = room.ask("GET", path)
    assert (status, body["code"]) == (404, -1020)
