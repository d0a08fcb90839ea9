"""The account follows whatever happens at the exchange, whoever asked for it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.exchange.venue import listing
from tests.serve.venue.courses import CALM, START_NS, HandCourse, btc, tape, usual_rules

from gnomon.exchange.order import CancelAll, Quote
from gnomon.exchange.outcome import Outcome
from gnomon.exchange.rules import FeeAsset, Fees, Shorting, Taker
from gnomon.exchange.shorting import ShortingExchange
from gnomon.serve.venue.asked import asked_of
from gnomon.units import DAY_NS, SECOND_NS

SYMBOL = {"symbol": "BTCUSDT"}


def ignore(_at_ns: int, _outcomes: Any) -> None:
    """Nobody waits for the answer."""


@pytest.fixture
def course() -> HandCourse:
    made = HandCourse(tape(*CALM, "S 9000 x 400", "S 8900 x 5000"))
    made.until(4)
    return made


def test_an_order_is_followed_from_new_to_filled(course: HandCourse) -> None:
    course.place()
    order = course.account.orders[1]
    assert (order.is_open, order.executed, order.working_ns) == (True, 0, course.now_ns)
    course.until(5)
    assert (order.executed, order.status.name, len(order.fills)) == (400, "PARTIALLY_FILLED", 1)
    course.until(6)
    assert (order.executed, order.status.name, order.is_open) == (1_000, "FILLED", False)
    assert order.quote_executed == 90 * 10**8
    assert order.update_ns == START_NS + 6 * 10**9


def test_ids_that_are_generated_differ_by_run_request_and_place() -> None:
    one, other = HandCourse(run="a").account, HandCourse(run="b").account
    ids = [account.generated(request, place) for account in (one, other) for request in (1, 2) for place in (0, 1)]
    assert len(set(ids)) == len(ids)
    assert {len(text) for text in ids} == {22}
    assert one.generated(1) == HandCourse(run="a").account.generated(1)
    assert one.uid != other.uid


def test_the_latest_order_of_a_client_id_is_found(course: HandCourse) -> None:
    course.place(newClientOrderId="a")
    course.ask("order.cancel", **SYMBOL, orderId=1)
    course.place(newClientOrderId="a")
    found = course.account.find(0, None, "a")
    assert found is not None
    assert found.number == 2
    assert course.account.has_client(0, "a")
    assert not course.account.has_client(0, "b")
    assert course.account.find(1, 1, None) is None


def test_whoever_counts_unfilled_orders_is_told_of_first_fills(course: HandCourse) -> None:
    told: list[int] = []
    course.account.on_first_fill = told.append
    course.place()
    course.until(6)
    assert told == [START_NS + 5 * 10**9]


def test_what_the_venue_cancels_by_itself_has_no_id_of_a_cancel(course: HandCourse) -> None:
    course.place(newClientOrderId="mine")
    course.told()
    course.send(CancelAll(0), ignore)
    report, _ = course.told()
    assert (report["x"], report["c"], report["C"]) == ("CANCELED", "mine", "")


def test_a_standing_pair_that_no_client_named_is_shown_too(course: HandCourse) -> None:
    for ask in (10_100, 10_200):
        quote = Quote(0, 9_900, ask, 500)
        course.account.expect(course.next_request, asked_of(quote))
        course.send(quote, ignore)
    rows = course.ask("allOrders", **SYMBOL)
    assert [(one["orderId"], one["side"], one["price"], one["status"], one["origQty"]) for one in rows] == [
        (1, "BUY", "99.00000000", "NEW", "0.50000000"),
        (2, "SELL", "101.00000000", "CANCELED", "0.50000000"),
        (3, "SELL", "102.00000000", "NEW", "0.50000000"),
    ]
    assert {len(one["clientOrderId"]) for one in rows} == {22}
    assert [one.get("x", one["e"]) for one in course.told()] == [
        "NEW",
        "NEW",
        "outboundAccountPosition",
        "CANCELED",
        "NEW",
        "outboundAccountPosition",
    ]


def test_only_balances_that_may_have_changed_are_told(course: HandCourse) -> None:
    course.place("SELL", "120.00")
    position = course.told()[-1]
    assert position["B"] == [{"a": "BTC", "f": "99.00000000", "l": "1.00000000"}]


def test_a_market_order_that_stands_for_later_prints_has_its_size_at_once() -> None:
    course = HandCourse(tape(*CALM, "B 10000 x 5000"), rules=usual_rules(taker=Taker.NEXT_PRINT))
    course.until(4)
    answer = course.ask("order.place", **SYMBOL, side="BUY", type="MARKET", quoteOrderQty="50")
    assert (answer["status"], answer["origQty"], answer["fills"]) == ("NEW", "0.50000000", [])
    course.until(5)
    assert course.ask("order.status", **SYMBOL, orderId=1)["status"] == "FILLED"


def test_told_again_it_is_the_same_again(course: HandCourse) -> None:
    course.place(newClientOrderId="a")
    course.place("SELL", "99.99", "0.5")
    legs = {"aboveType": "LIMIT_MAKER", "abovePrice": "110.00", "belowType": "STOP_LOSS", "belowStopPrice": "89.50"}
    course.ask("orderList.place.oco", **SYMBOL, side="SELL", quantity="1", **legs)
    course.until(6)
    first = [one.body for one in course.events]
    again = HandCourse(tape(*CALM, "S 9000 x 400", "S 8900 x 5000"))
    for request, details in course.expected:
        again.account.expect(request, details)
    bodies: list[bytes] = []
    for at_ns, request, outcomes in course.journal:
        told: list[Outcome] = list(outcomes)
        bodies += [one.body for one in again.account.take(at_ns, request, told) if b"AccountPosition" not in one.body]
    assert bodies == [one for one in first if b"AccountPosition" not in one]


def test_every_asset_of_the_listings_has_its_scale() -> None:
    account = HandCourse([tape(*CALM), tape(*CALM)], btc(), btc(1, "ETH"), rules=usual_rules({"USDT": "1"})).account
    assert account.symbols.all() == ("BTCUSDT", "ETHUSDT")
    assert [one.step for one in account.scales] == [1, 1, 1]
    assert account.pairs[1].quote == account.pairs[0].quote
    assert Decimal(account.scales[0].text(1)) == Decimal("1e-8")


def test_a_short_sale_and_its_call_are_shown() -> None:
    start_ns = START_NS // DAY_NS * DAY_NS + DAY_NS
    rows = [(start_ns + 1, 100, 50, 1), (start_ns + 2, 100, 50, -1), (start_ns + DAY_NS + 5, 120, 50, 1)]
    fees = Fees(0, 0, FeeAsset.QUOTE)
    chosen = replace(usual_rules({"USD": "1000"}, fees, level_lots=50), shorting=Shorting(borrow_bips_day=20))
    course = HandCourse(rows, listing(may_short=True), rules=chosen, venue=ShortingExchange)
    course.until((start_ns - START_NS) / SECOND_NS + 1)
    sold = course.ask("order.place", symbol="BTCUSD", side="SELL", type="MARKET", quantity="18")
    assert sold["status"] == "FILLED"
    assert course.told()[-1]["B"] == [
        {"a": "BTC", "f": "0.00000000", "l": "0.00000000"},
        {"a": "USD", "f": "100.00000000", "l": "2700.00000000"},
    ]
    course.until((start_ns - START_NS) / SECOND_NS + 2 * DAY_NS // SECOND_NS)
    called = course.ask("allOrders", symbol="BTCUSD")[1]
    assert (called["side"], called["type"], called["status"], called["executedQty"]) == (
        "BUY",
        "MARKET",
        "FILLED",
        "18.00000000",
    )
    charge = next(one for one in course.told() if one["e"] == "balanceUpdate")
    assert (charge["a"], charge["d"]) == ("USD", "-3.60000000")
