"""A client that keeps its own books: whatever it asks for and whatever the market does, they agree with the venue's.

Orders, order lists, cancels, replacements and amendments come at random over a random tape. After each step the
balances are the opening ones plus what the trades say, to the last decimal; and the events alone rebuild orders and
balances.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.exchange.venue import Row
from tests.serve.venue.courses import START_NS, HandCourse, usual_rules

from gnomon.exchange.rules import FeeAsset, Fees
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.units import SECOND_NS

SYMBOL = {"symbol": "BTCUSDT"}
OPENING = {"USDT": "3000", "BTC": "30"}
TYPES = ["LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
MODES = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
FEES = [
    Fees(),
    Fees(-10_000, 75_000),
    Fees(33_333, 77_777, FeeAsset.QUOTE),
]

Step = tuple[str, dict[str, Any]]

price = st.integers(9_950, 10_050).map(lambda ticks: f"{ticks / 100:.2f}")
quantity = st.integers(11, 2_000).map(lambda lots: f"{lots / 1_000:.3f}")
side = st.sampled_from(["BUY", "SELL"])
target = st.integers(0, 9)
"""Which of the open orders is meant, counted around; one that nobody has made where there is none."""


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(TYPES))
    found: dict[str, Any] = {
        **SYMBOL,
        "side": draw(side),
        "type": kind,
        "quantity": draw(quantity),
        "selfTradePreventionMode": draw(st.sampled_from(MODES)),
        "newOrderRespType": "FULL",
    }
    if kind in ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"):
        found["price"] = draw(price)
    if kind in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"):
        found["timeInForce"] = draw(st.sampled_from(["GTC", "GTC", "IOC", "FOK"]))
    if kind.startswith(("STOP", "TAKE")):
        if draw(st.booleans()):
            found["trailingDelta"] = draw(st.integers(10, 300))
        if "trailingDelta" not in found or draw(st.booleans()):
            found["stopPrice"] = draw(price)
    if kind == "MARKET" and draw(st.booleans()):
        del found["quantity"]
        found["quoteOrderQty"] = f"{draw(st.integers(1, 90_000)) / 100:.2f}"
    return found


@st.composite
def pairs(draw: st.DrawFn, prefix: str, way: str) -> dict[str, Any]:
    up, down = f"{draw(st.integers(10_000, 10_050)) / 100:.2f}", f"{draw(st.integers(9_950, 9_999)) / 100:.2f}"
    profit, loss = ("above", "below") if way == "SELL" else ("below", "above")
    prices = {"above": up, "below": down}
    named = {"above": f"{prefix}Above" if prefix else "above", "below": f"{prefix}Below" if prefix else "below"}
    return {
        f"{named[profit]}Type": "LIMIT_MAKER",
        f"{named[profit]}Price": prices[profit],
        f"{named[loss]}Type": "STOP_LOSS",
        f"{named[loss]}StopPrice": prices[loss],
    }


@st.composite
def steps(draw: st.DrawFn) -> Step:
    what = draw(st.sampled_from(["order"] * 6 + ["time"] * 6 + ["cancel", "all", "replace", "amend", "oco", "otoco"]))
    if what == "time":
        return "time", {"s": draw(st.integers(1, 4))}
    if what == "order":
        return "order.place", draw(orders())
    if what == "cancel":
        return "order.cancel", SYMBOL | {"orderId": draw(target)}
    if what == "all":
        return "openOrders.cancelAll", dict(SYMBOL)
    if what == "replace":
        mode = draw(st.sampled_from(["STOP_ON_FAILURE", "ALLOW_FAILURE"]))
        return "order.cancelReplace", draw(orders()) | {"cancelReplaceMode": mode, "cancelOrderId": draw(target)}
    if what == "amend":
        return "order.amend.keepPriority", SYMBOL | {"orderId": draw(target), "newQty": draw(quantity)}
    way = draw(side)
    if what == "oco":
        return "orderList.place.oco", SYMBOL | {"side": way, "quantity": draw(quantity)} | draw(pairs("", way))
    working = {"workingType": "LIMIT", "workingTimeInForce": "GTC", "workingSide": draw(side)}
    working |= {"workingPrice": draw(price), "workingQuantity": draw(quantity)}
    pending = {"pendingSide": way, "pendingQuantity": draw(quantity)} | draw(pairs("pending", way))
    return "orderList.place.otoco", SYMBOL | working | pending


prints = st.lists(
    st.tuples(st.integers(9_950, 10_050), st.integers(1, 5_000), st.sampled_from([1, -1, 0])), min_size=5, max_size=40
)


def rows(drawn: Sequence[tuple[int, int, int]]) -> list[Row]:
    return [(START_NS + at * SECOND_NS, *one) for at, one in enumerate(drawn, 1)]


class Books:
    """What a client makes of the user stream alone."""

    def __init__(self, course: HandCourse) -> None:
        self.course = course
        self.orders: dict[int, dict[str, Any]] = {}
        self.balances = {one: Decimal(amount) for one, amount in OPENING.items()}
        self.told: dict[str, tuple[str, str]] = {}
        self.executions = 0
        self.lists: dict[int, str] = {}

    def read(self) -> None:
        for event in self.course.told():
            if event["e"] == "executionReport":
                self.report(event)
            elif event["e"] == "outboundAccountPosition":
                self.told |= {one["a"]: (one["f"], one["l"]) for one in event["B"]}
            elif event["e"] == "listStatus":
                self.lists[event["g"]] = event["L"]

    def report(self, event: dict[str, Any]) -> None:
        assert event["I"] > self.executions
        self.executions = event["I"]
        assert event["E"] >= event["O"]
        known = self.orders.get(event["i"])
        assert (known is None) == (event["x"] == "NEW" and event["i"] not in self.orders)
        self.orders[event["i"]] = event
        if event["x"] == "TRADE":
            sign = 1 if event["S"] == "BUY" else -1
            self.balances["BTC"] += sign * Decimal(event["l"])
            self.balances["USDT"] -= sign * Decimal(event["Y"])
            self.balances[event["N"]] -= Decimal(event["n"])

    def agree(self) -> None:
        course = self.course
        found = {one["asset"]: (one["free"], one["locked"]) for one in course.ask("account.status")["balances"]}
        for asset, (free, locked) in found.items():
            assert Decimal(free) + Decimal(locked) == self.balances[asset], asset
            assert Decimal(free) >= 0 <= Decimal(locked)
            assert self.told.get(asset, (free, locked)) == (free, locked), asset
        assert self.balances == by_trades(course)
        assert {one["orderId"]: of_query(one) for one in course.ask("allOrders", **SYMBOL)} == {
            order: of_report(event) for order, event in self.orders.items()
        }
        is_open = {order for order, event in self.orders.items() if event["X"] in OPEN}
        assert {one["orderId"] for one in course.ask("openOrders.status")} == is_open
        assert {one["orderListId"]: one["listOrderStatus"] for one in course.ask("allOrderLists")} == self.lists


OPEN = ("NEW", "PARTIALLY_FILLED", "PENDING_NEW")


def by_trades(course: HandCourse) -> dict[str, Decimal]:
    found = {one: Decimal(amount) for one, amount in OPENING.items()}
    for one in course.ask("myTrades", **SYMBOL, limit=1000):
        sign = 1 if one["isBuyer"] else -1
        found["BTC"] += sign * Decimal(one["qty"])
        found["USDT"] -= sign * Decimal(one["quoteQty"])
        found[one["commissionAsset"]] -= Decimal(one["commission"])
    return found


def of_query(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        one["status"], one["executedQty"], one["cummulativeQuoteQty"], one["origQty"], one["price"], one["stopPrice"],
        one["side"], one["type"], one["timeInForce"], one["orderListId"], one["isWorking"], one["time"],
        one["updateTime"], one["selfTradePreventionMode"], one["workingTime"],
    )  # fmt: skip


def of_report(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        one["X"], one["z"], one["Z"], one["q"], one["p"], one["P"], one["S"], one["o"], one["f"], one["g"], "W" in one,
        one["O"], one["T"], one["V"], one.get("W", -1),
    )  # fmt: skip


def aimed(course: HandCourse, params: dict[str, Any]) -> dict[str, Any]:
    """With the number of the order that is meant."""
    found = [one["orderId"] for one in course.ask("openOrders.status")]
    return params | {
        name: found[params[name] % len(found)] if found else 10_000
        for name in ("orderId", "cancelOrderId")
        if name in params
    }


def play(course: HandCourse, script: Sequence[Step]) -> list[Any]:
    """The answers; refusals as their documents."""
    answers: list[Any] = []
    now_s = 1
    course.until(now_s)
    for method, params in script:
        if method == "time":
            now_s += params["s"]
            course.until(now_s)
            continue
        (answer,) = course.call(method, **aimed(course, params))
        answers.append(answer.document() if isinstance(answer, VenueRefusal) else answer)
    return answers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    drawn=prints,
    script=st.lists(steps(), min_size=10, max_size=40),
    fees=st.sampled_from(FEES),
    lots=st.sampled_from([20, 1_500]),
)
def test_a_clients_own_books_agree_with_the_venues(
    drawn: list[tuple[int, int, int]], script: list[Step], fees: Fees, lots: int
) -> None:
    course = HandCourse(rows(drawn), rules=usual_rules(OPENING, fees, level_lots=lots))
    books = Books(course)
    for step in script:
        play_one(course, step)
        books.read()
        books.agree()
    course.exchange.ledger.check()


def play_one(course: HandCourse, step: Step) -> None:
    method, params = step
    if method == "time":
        course.until((course.now_ns - START_NS) / SECOND_NS + params["s"])
        return
    before = course.account.uid, course.ask("account.status")["balances"]
    (answer,) = course.call(method, **aimed(course, params))
    if isinstance(answer, VenueRefusal):
        assert answer.status in (400, 409)
        if answer.status == 400:
            assert before == (course.account.uid, course.ask("account.status")["balances"])
    elif method == "order.place":
        check_fills(answer)


def check_fills(answer: dict[str, Any]) -> None:
    fills = answer["fills"]
    assert sum((Decimal(one["qty"]) for one in fills), Decimal(0)) == Decimal(answer["executedQty"])
    notional = sum((Decimal(one["qty"]) * Decimal(one["price"]) for one in fills), Decimal(0))
    assert notional == Decimal(answer["cummulativeQuoteQty"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=prints, script=st.lists(steps(), min_size=5, max_size=30))
def test_the_same_requests_make_the_same_bytes(drawn: list[tuple[int, int, int]], script: list[Step]) -> None:
    first, again = (HandCourse(rows(drawn), rules=usual_rules(OPENING)) for _ in range(2))
    assert play(first, script) == play(again, script)
    assert [one.body for one in first.events] == [one.body for one in again.events]
    assert first.expected == again.expected


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=prints, script=st.lists(steps(), min_size=5, max_size=30), latency_s=st.integers(1, 3))
def test_latency_loses_no_answer(drawn: list[tuple[int, int, int]], script: list[Step], latency_s: int) -> None:
    course = HandCourse(rows(drawn), rules=usual_rules(OPENING), latency_ns=latency_s * SECOND_NS)
    asked: list[list[Any]] = []
    books = Books(course)
    now_s = 0
    for method, params in script:
        if method == "time":
            now_s += params["s"]
            course.until(now_s)
        else:
            asked.append(course.call(method, **aimed(course, params)))
    course.until(now_s + 10)
    assert all(len(answers) == 1 for answers in asked)
    books.read()
    books.agree()
