"""Lists at the desk: orders that begin, or end, together, and what the trader knows of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.replay.scene import recorded
from tests.trader.driver import START_NS, Drive, prints
from tests.trader.test_engines_agree import ground, rules_of

from gnomon.errors import Conflict, GnomonError, Invalid
from gnomon.exchange.order import ListKind, OrderType, Side
from gnomon.replay.run import RunPlan
from gnomon.score.played import run_record
from gnomon.trader.limits import Limits
from gnomon.trader.orders import Cancelled, Expired, Filled, OrderRequest, Pending, Rejected, Working
from gnomon.trader.trader import Strategy

BUY, SELL = Side.BUY, Side.SELL
SECOND_NS = 1_000_000_000


def order(side: Side, kind: OrderType, price: int = 0, *, lots: int = 10, stop: int = 0, **more: Any) -> OrderRequest:
    return OrderRequest("BTC/USD", side, kind, lots=lots, price_ticks=price or None, stop_ticks=stop or None, **more)


ENTRY = order(BUY, OrderType.LIMIT, 5_990)
LEAVE = order(SELL, OrderType.LIMIT, 6_010)
PROFIT = order(SELL, OrderType.LIMIT_MAKER, 6_010)
LOSS = order(SELL, OrderType.STOP_LOSS, stop=5_980)
BEFORE = 6_000, 6_000, 6_000
DIP = 5_980  # one print of a seller, through the entry and at the loss


class Lister(Strategy):
    """Sends a list at the first print, cancels one of it at a later one, and keeps what it is told."""

    def __init__(self, kind: ListKind, requests: Sequence[OrderRequest], cancel: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.kind, self.requests, self.cancel = kind, requests, cancel
        self.orders: list[Any] = []
        self.error: GnomonError | None = None
        self.heard: list[tuple[int, int, str]] = []
        self.wakes_seen = 0
        self.free: list[int] = []

    def on_trade(self, desk: Any, _trade: Any) -> None:
        self.wakes_seen += 1
        if self.wakes_seen == 2:
            try:
                self.orders = desk.submit_list(self.kind, self.requests)
            except GnomonError as error:
                self.error = error
        if self.wakes_seen == self.cancel[0]:
            desk.cancel(self.orders[self.cancel[1]])
        self.free.append(desk.free_units)

    def on_order(self, desk: Any, changed: Any) -> None:
        at = (desk.now - START_NS) // SECOND_NS
        self.heard.append((at, self.orders.index(changed), type(changed.state).__name__))


def run(price: Sequence[int], kind: ListKind, *requests: OrderRequest, **more: Any) -> Lister:
    """Prints a second apart; those of the seller below 6,000, those of the buyer above."""
    trader = Lister(kind, requests, more.pop("cancel", (0, 0)))
    tape = prints(price, side=[1 if one > 6_000 else -1 for one in price])
    Drive(trader, tape, rules=rules_of(**more.pop("latency", {})), **more).run()
    return trader


def states(trader: Lister) -> list[type]:
    return [type(one.state) for one in trader.orders]


def test_what_follows_is_known_as_pending_then_as_working() -> None:
    trader = run((*BEFORE, 5_985, 6_000), ListKind.OTO, ENTRY, LEAVE)
    assert trader.heard == [(2, 0, "Working"), (2, 1, "Pending"), (4, 0, "Filled"), (4, 1, "Working")]
    assert [one.number for one in trader.orders] == [1, 2]
    assert states(trader) == [Filled, Working]


def test_until_then_it_holds_no_funds() -> None:
    more = order(BUY, OrderType.LIMIT, 5_900)
    trader = run((*BEFORE, 5_985, 6_000), ListKind.OTO, ENTRY, more)
    unit = 10**8 // 10_000  # a tick of 0.1 times a lot of 0.001
    one = 5_990 * 10 * unit
    lock = one + one * 100_000 // 10**8
    assert trader.free[0] - trader.free[2] == lock
    paid = one + one * 20_000 // 10**8
    other = 5_900 * 10 * unit
    assert trader.free[0] - trader.free[4] == paid + other + other * 100_000 // 10**8


def test_the_leg_of_a_pair_that_is_filled_ends_the_other() -> None:
    trader = run((*BEFORE, 5_985, 6_000, 6_020), ListKind.OTOCO, ENTRY, PROFIT, LOSS)
    assert states(trader) == [Filled, Filled, Expired]
    assert trader.heard[:3] == [(2, 0, "Working"), (2, 1, "Pending"), (2, 2, "Pending")]
    assert trader.heard[3:6] == [(4, 0, "Filled"), (4, 1, "Working"), (4, 2, "Working")]
    trader = run((*BEFORE, 5_985, 6_000, 5_975), ListKind.OTOCO, ENTRY, PROFIT, LOSS)
    assert states(trader) == [Filled, Expired, Filled]


def test_what_would_be_refused_when_it_begins_has_expired() -> None:
    trader = run((*BEFORE, DIP, 6_000), ListKind.OTOCO, ENTRY, PROFIT, LOSS)
    assert states(trader) == [Filled, Expired, Expired]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_cancel_of_one_before_it_begins_cancels_all(which: int) -> None:
    trader = run((*BEFORE, 6_000, 6_000), ListKind.OTOCO, ENTRY, PROFIT, LOSS, cancel=(3, which))
    assert states(trader) == [Cancelled, Cancelled, Cancelled]
    assert trader.free[-1] == trader.free[0]


def test_a_cancel_of_the_filled_one_is_not_sent_and_one_of_a_leg_cancels_the_pair() -> None:
    trader = run((*BEFORE, 5_985, 6_000, 6_000), ListKind.OTOCO, ENTRY, PROFIT, LOSS, cancel=(5, 0))
    assert states(trader) == [Filled, Working, Working]
    trader = run((*BEFORE, 5_985, 6_000, 6_000), ListKind.OTOCO, ENTRY, PROFIT, LOSS, cancel=(5, 2))
    assert states(trader) == [Filled, Cancelled, Cancelled]


def test_a_partial_fill_begins_nothing() -> None:
    trader = run((*BEFORE, 5_985, 6_000), ListKind.OTO, order(BUY, OrderType.LIMIT, 5_990, lots=100_000), LEAVE)
    assert states(trader) == [Working, Pending]
    assert trader.orders[0].executed_lots == 50_000


def test_a_pair_of_one_list_needs_no_order_before_it() -> None:
    trader = run((*BEFORE, 6_000, 6_020), ListKind.OCO, PROFIT, LOSS)
    assert states(trader) == [Filled, Expired]


def test_a_list_that_the_venue_refuses_is_refused_whole() -> None:
    crossed = order(SELL, OrderType.STOP_LOSS, stop=6_100)
    trader = run((*BEFORE, 6_000, 6_000), ListKind.OCO, PROFIT, crossed)
    assert states(trader) == [Rejected, Rejected]


def test_a_list_beyond_the_limits_of_the_desk_is_refused_whole() -> None:
    trader = run((*BEFORE, 6_000), ListKind.OTO, ENTRY, LEAVE, limits=Limits(open_orders=1))
    assert states(trader) == [Rejected, Rejected]
    small = order(SELL, OrderType.LIMIT, 6_010, lots=10)
    trader = run((*BEFORE, 6_000), ListKind.OTO, ENTRY, small, limits=Limits(open_orders=2))
    assert states(trader) == [Working, Pending]


def test_answers_come_when_they_are_due() -> None:
    trader = run((*BEFORE, 5_985, 6_000, 6_000), ListKind.OTO, ENTRY, LEAVE, latency={"reply": 1_500})
    assert trader.heard == [(3, 0, "Working"), (3, 1, "Pending"), (5, 0, "Filled"), (5, 1, "Working")]


@pytest.mark.parametrize(
    ("kind", "requests", "error", "said"),
    [
        (ListKind.OTO, [ENTRY], Invalid, "OTO of 1 orders"),
        (ListKind.OTOCO, [ENTRY, LEAVE], Invalid, "OTOCO of 2 orders"),
        (ListKind.OTO, [order(BUY, OrderType.LIMIT, 5_990, client_id="a b"), LEAVE], Invalid, "client id"),
        (
            ListKind.OTO,
            [order(BUY, OrderType.LIMIT, 5_990, client_id="a"), order(SELL, OrderType.MARKET, client_id="a")],
            Conflict, "'a' was used",
        ),
    ],
)  # fmt: skip
def test_a_list_that_makes_no_sense_raises(kind: ListKind, requests: Any, error: type, said: str) -> None:
    trader = run((*BEFORE, 6_000), kind, *requests)
    assert type(trader.error) is error
    assert said in str(trader.error)


def test_names_and_labels_are_those_that_were_given() -> None:
    entry, leave = order(BUY, OrderType.LIMIT, 5_990, client_id="in", label="x"), order(SELL, OrderType.MARKET)
    trader = run((*BEFORE, 6_000), ListKind.OTO, entry, leave)
    assert (trader.orders[0].id, trader.orders[0].label) == ("in", "x")
    assert trader.orders[1].id not in ("", "in")


def test_the_record_of_a_list_has_each_order_once() -> None:
    price = (*BEFORE, 5_985, 6_000, 6_020)
    tape = prints(price, side=[1 if one > 6_000 else -1 for one in price])
    drive = Drive(Lister(ListKind.OTOCO, []), tape, rules=rules_of())
    window = START_NS, START_NS + 10 * SECOND_NS
    plan = RunPlan(ground(drive.listings, drive.tapes), drive.rules, *window, 0)
    _, record = recorded(plan, Lister(ListKind.OTOCO, [ENTRY, PROFIT, LOSS]))
    orders = run_record("run_1", record, plan.ground, "always", window).orders
    assert list(orders.kind) == ["LIMIT", "LIMIT_MAKER", "STOP_LOSS"]
    assert list(orders.status) == ["FILLED", "FILLED", "EXPIRED"]
