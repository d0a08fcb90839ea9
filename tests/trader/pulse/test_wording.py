"""Requests in the words of the wire, and what the wire says of them, read back."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, Refused
from gnomon.exchange.listing import Asset, Listing
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
    SelfTrade,
    Side,
    Status,
    TimeInForce,
)
from gnomon.exchange.outcome import Accepted, Changed, Refusal, Rejected
from gnomon.trader.plan import Plan
from gnomon.trader.pulse import native
from gnomon.trader.pulse.native import SessionFacts
from gnomon.trader.pulse.prints import Counter, count
from gnomon.trader.pulse.reports import REFUSALS, Reports, refusal_of
from gnomon.trader.pulse.wording import NativeWording, Wording
from gnomon.trader.trader import Wake

BTC = Listing(0, "x:BTC/USDT", Asset("BTC"), Asset("USDT"), Decimal("0.01"), Decimal("0.00001"))
WORDING = Wording([BTC], ["BTCUSDT"], lambda ordinal: f"c{ordinal}")


def test_an_order_says_what_its_type_needs_and_no_more() -> None:
    limit = Place(0, Side.BUY, OrderType.LIMIT, 150, 4_200_050, TimeInForce.IOC, client=7)
    assert WORDING.call(limit, 1).params == {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "price": "42000.50", "timeInForce": "IOC",
        "quantity": "0.00150", "newClientOrderId": "c7",
    }  # fmt: skip
    market = Place(0, Side.SELL, OrderType.MARKET, quote_units=12_345, client=8, stp=SelfTrade.NONE)
    assert WORDING.call(market, 2).params == {
        "symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quoteOrderQty": "0.00012345",
        "newClientOrderId": "c8", "selfTradePreventionMode": "NONE",
    }  # fmt: skip
    stop = Place(0, Side.SELL, OrderType.STOP_LOSS_LIMIT, 10, 99, stop=101, trailing_bips=20, client=9)
    found = WORDING.call(stop, 3).params
    assert (found["price"], found["stopPrice"], found["trailingDelta"]) == ("0.99", "1.01", "20")


def test_cancels_amendments_and_replacements_name_their_order() -> None:
    assert WORDING.call(Cancel(0, 12), 1).params == {"symbol": "BTCUSDT", "orderId": "12"}
    assert WORDING.call(Cancel(0, 0, 3), 1).params == {"symbol": "BTCUSDT", "origClientOrderId": "c3"}
    assert WORDING.call(CancelAll(0), 1).method == "openOrders.cancelAll"
    assert WORDING.call(Amend(0, 4, 50), 1).params["newQty"] == "0.00050"
    replaced = WORDING.call(Replace(4, Place(0, Side.BUY, OrderType.LIMIT, 1, 2, client=5)), 1)
    assert (replaced.params["cancelOrderId"], replaced.clients) == ("4", ("c5",))


@pytest.mark.parametrize("side", list(Side))
def test_the_profit_of_a_sale_is_above_and_that_of_a_purchase_below(side: Side) -> None:
    profit = Place(0, side, OrderType.LIMIT_MAKER, 5, 200, client=1)
    loss = Place(0, side, OrderType.STOP_LOSS, 5, stop=100, client=2)
    found = WORDING.call(PlaceList(ListKind.OCO, (profit, loss)), 1)
    upper, lower = ("LIMIT_MAKER", "STOP_LOSS") if side is Side.SELL else ("STOP_LOSS", "LIMIT_MAKER")
    assert (found.params["aboveType"], found.params["belowType"]) == (upper, lower)
    working = Place(0, side.opposite, OrderType.LIMIT, 5, 150, client=3)
    whole = WORDING.call(PlaceList(ListKind.OTOCO, (working, profit, loss)), 1)
    assert whole.params["pendingAboveType"] == upper
    assert whole.params["workingPrice"] == "1.50"
    assert whole.method == "orderList.place.otoco"


def test_a_standing_pair_needs_a_venue_of_ours() -> None:
    with pytest.raises(Refused, match="standing pair"):
        WORDING.call(Quote(0, 1, 2, 3), 1)


PLACES = st.builds(
    Place, st.integers(0, 3), st.sampled_from(Side), st.sampled_from(OrderType), st.integers(0, 2**62),
    st.integers(0, 2**62), st.sampled_from(TimeInForce), st.integers(0, 2**40), st.integers(0, 2000),
    st.integers(0, 2**100), st.sampled_from(SelfTrade), st.integers(0, 2**31), st.booleans(),
)  # fmt: skip
REQUESTS = st.one_of(
    PLACES,
    st.builds(PlaceList, st.sampled_from(ListKind), st.lists(PLACES, min_size=2, max_size=3).map(tuple)),
    st.builds(Cancel, st.integers(0, 3), st.integers(0, 2**62), st.integers(0, 99)),
    st.builds(CancelAll, st.integers(0, 3)),
    st.builds(Amend, st.integers(0, 3), st.integers(0, 99), st.integers(0, 2**62)),
    st.builds(Replace, st.integers(0, 99), PLACES),
    st.builds(Quote, st.integers(0, 3), st.integers(0, 99), st.integers(0, 99), st.integers(0, 9), st.booleans(),
              st.booleans()),
)  # fmt: skip


@given(REQUESTS)
def test_a_request_comes_back_from_its_document(request: Any) -> None:
    found = native.request_of(orjson.loads(orjson.dumps(native.request_document(request))))
    assert found == request
    assert type(found) is type(request)


@pytest.mark.parametrize("said", [None, [], ["Place", "1"], ["Nothing"], ["Cancel", "x", "1", "2"], {"a": 1}, 7])
def test_what_is_no_request_is_refused(said: Any) -> None:
    with pytest.raises(Invalid, match="no request"):
        native.request_of(said)


def test_a_native_call_carries_the_request_and_its_client_ids() -> None:
    words = NativeWording([BTC], ["BTCUSDT"], lambda ordinal: f"c{ordinal}")
    call = words.call(Place(0, Side.BUY, OrderType.MARKET, 3, client=4), 2)
    assert (call.method, call.clients, call.side, call.type) == (native.SEND, ("c4",), "BUY", "MARKET")
    assert orjson.loads(call.params["clients"]) == ["c4"]
    assert words.call(Cancel(0, 0, 9), 3).clients == ("c9",)


def test_outcomes_and_facts_come_back_from_their_documents() -> None:
    filled = books()._fill(report(x="TRADE", l="0.00002"), BTC, Side.SELL, 1)
    outcomes = [
        Accepted(1, 2, Status.NEW, 10**30, 0, 0, 0, Side.BUY), Rejected(3, Refusal.LOT_SIZE, 5, 6),
        Changed(1, Status.CANCELED, 0, 5, 7), filled,
    ]  # fmt: skip
    found = native.outcomes_of(orjson.loads(orjson.dumps(native.outcomes_document(outcomes))))
    assert found == outcomes
    assert [type(one) for one in found] == [type(one) for one in outcomes]
    plan = Plan((BTC,), 10**18, 2 * 10**18, Timeframe.parse("1m"), 7, {"USDT": Decimal("1.5")}, digest="ab", entry=3)
    facts = SessionFacts(plan, ("BTCUSDT",), (True,), 5, 20, True, True, True, True, True, "run_1")
    again = native.facts_of(orjson.loads(orjson.dumps(native.plan_document(facts))))
    assert dataclasses.asdict(again) == dataclasses.asdict(facts)
    with pytest.raises(Invalid, match="cannot be read"):
        native.facts_of({"listings": []} | {"start_ns": "1"})
    wake = Wake(closed_bars=True, price_cross=(1, -2), volume=4)
    assert native.wake_of(native.wake_document(wake)) == wake
    with pytest.raises(Invalid, match="closed_bar"):
        native.wake_of({"closed_bar": True})


def report(**more: Any) -> dict[str, Any]:
    found = {
        "e": "executionReport", "s": "BTCUSDT", "c": "c1", "C": "", "S": "BUY", "q": "0.00010", "x": "NEW", "X": "NEW",
        "i": 9, "z": "0", "T": 1, "I": 0, "g": -1, "r": "NONE", "l": "0", "L": "42.00", "n": "0.5", "N": "USDT",
        "m": False,
    }  # fmt: skip
    return {**found, **more}


def books() -> Reports:
    found = Reports({"BTCUSDT": BTC}, {"BTC": 0, "USDT": 1})
    found.sent(1, ["c1"])
    return found


def test_a_report_that_is_told_twice_counts_once() -> None:
    found = books()
    assert len(found.outcomes([report(I=1)])) == 1
    fill = report(x="TRADE", X="PARTIALLY_FILLED", l="0.00004", z="0.00004", I=2)
    assert len(found.outcomes([fill, fill])) == 1
    assert found.outcomes([{**fill, "I": 0}]) == [], "by the other route: the same executed quantity"
    assert found.fills == 1


def test_a_stop_that_is_set_off_is_no_second_order_but_a_pending_one_begins() -> None:
    found = books()
    assert len(found.outcomes([report(), report()])) == 1
    found.sent(2, ["c2"])
    (pending,) = found.outcomes([report(i=10, c="c2", X="PENDING_NEW")])
    (begun,) = found.outcomes([report(i=10, c="c2")])
    assert isinstance(pending, Accepted)
    assert isinstance(begun, Accepted)
    assert (pending.status, begun.status, begun.request) == (Status.PENDING_NEW, Status.NEW, 2)


def test_what_the_balances_say_is_locked_lies_on_the_order_that_locks_it() -> None:
    found = books()
    position = {"e": "outboundAccountPosition", "B": [{"a": "USDT", "f": "9", "l": "0.5"}, {"a": "ETH", "l": "1"}]}
    (accepted,) = found.outcomes([report(), position])
    assert isinstance(accepted, Accepted)
    assert accepted.lock == 50_000_000
    nothing = {"e": "outboundAccountPosition", "B": [{"a": "USDT", "f": "9", "l": "0"}]}
    (ended,) = found.outcomes([report(x="CANCELED", X="CANCELED", c="k", C="c1"), nothing])
    assert isinstance(ended, Changed)
    assert (ended.released, ended.remaining) == (50_000_000, 10)


def test_orders_of_others_are_nothing_to_a_desk() -> None:
    found = books()
    assert found.outcomes([report(s="ETHUSDT"), report(x="TRADE", i=77, z="0.00001")]) == []


@pytest.mark.parametrize(("text", "refusal"), REFUSALS)
def test_refusals_are_known_by_their_words(text: str, refusal: Refusal) -> None:
    assert refusal_of(f"Filter failure: {text}" if text.isupper() else text) is refusal


def test_a_refusal_is_heard_once() -> None:
    found = books()
    (one,) = found.refused(1, -2010, "Account has insufficient balance for requested action.")
    assert one == Rejected(1, Refusal.INSUFFICIENT_BALANCE)
    assert found.refused(1, -2010, "again") == []
    data = {"refusal": 11, "received": "5", "limit": "6"}
    assert books().refused(1, -1013, "x", data) == [Rejected(1, Refusal.LOT_SIZE, 5, 6)]


@given(st.integers(0, 10**12), st.sampled_from(["0.01", "0.5", "1", "0.00001", "25"]), st.integers(0, 10))
def test_texts_are_counted_as_decimals_count_them(steps: int, step: str, zeros: int) -> None:
    value = Decimal(step) * steps
    text = f"{value:f}" + ("0" * zeros if "." in f"{value:f}" else "")
    counter = Counter(Decimal(step))
    assert counter.read(text) == count(text, Decimal(step)) == steps
