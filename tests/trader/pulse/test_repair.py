"""What a venue answers about own orders, as the reports that would have said so: each fact is told once, whichever way
it comes first."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.exchange.order import Side, Status
from gnomon.exchange.outcome import Accepted, Changed, Filled
from gnomon.trader.pulse.client import Refusal
from gnomon.trader.pulse.repair import Repair
from gnomon.trader.pulse.reports import Reports

BITCOIN = Listing(0, "BTC/USDT", Asset("BTC"), Asset("USDT"), Decimal("0.01"), Decimal("0.00001"))
SYMBOL = "BTCUSDT"


class Answers:
    """What a venue would answer, by method; the questions are kept."""

    def __init__(self, *orders: Mapping[str, Any], trades: Any = (), locked: str = "0") -> None:
        self.orders = {one["clientOrderId"]: one for one in orders}
        self.trades = list(trades)
        self.locked = locked
        self.asked: list[str] = []

    def __call__(self, method: str, params: Mapping[str, str]) -> Any:
        self.asked.append(method)
        if method == "order.status":
            if params["origClientOrderId"] not in self.orders:
                raise Refusal(400, -2013, "Order does not exist.")
            return self.orders[params["origClientOrderId"]]
        if method == "myTrades":
            return [one for one in self.trades if str(one["orderId"]) == params["orderId"]]
        assert method == "account.status"
        return {"balances": [{"asset": "USDT", "free": "0", "locked": self.locked}]}


def order(status: str, executed: str = "0", client: str = "mine") -> dict[str, Any]:
    return {"symbol": SYMBOL, "clientOrderId": client, "side": "BUY", "orderId": 7, "origQty": "0.5", "status": status,
            "executedQty": executed, "updateTime": 1_700_000_000_000}  # fmt: skip


def trade(number: int, quantity: str) -> dict[str, Any]:
    return {"id": number, "orderId": 7, "qty": quantity, "price": "60000", "commission": "0.0001",
            "commissionAsset": "BTC", "isMaker": True, "time": 1_700_000_000_000}  # fmt: skip


def repaired(answers: Answers) -> tuple[Repair, Reports]:
    reports = Reports({SYMBOL: BITCOIN}, {"BTC": 0, "USDT": 1})
    reports.sent(3, ["mine"])
    return Repair(answers, {SYMBOL: BITCOIN}, reports), reports


def report(kind: str, execution: int, status: str, last: str = "0", executed: str = "0") -> dict[str, Any]:
    return {"e": "executionReport", "s": SYMBOL, "c": "mine", "C": "", "S": "BUY", "i": 7, "I": execution, "x": kind,
            "X": status, "q": "0.5", "z": executed, "l": last, "L": "60000", "n": "0", "N": None, "m": False, "g": -1,
            "T": 1_700_000_000_000}  # fmt: skip


def test_an_order_that_was_missed_is_told_from_its_acceptance_to_its_last_fill() -> None:
    answers = Answers(order("FILLED", "0.5"), trades=[trade(1, "0.2"), trade(2, "0.3")])
    repair, _ = repaired(answers)
    row = repair.order(BITCOIN, "mine")
    assert row is not None
    accepted, first, last = repair.outcomes([row])
    assert isinstance(accepted, Accepted)
    assert accepted.request == 3
    assert isinstance(first, Filled)
    assert isinstance(last, Filled)
    assert (first.lots, first.status, last.lots, last.status) == (
        20_000, Status.PARTIALLY_FILLED, 30_000, Status.FILLED
    )  # fmt: skip
    assert last.side is Side.BUY
    assert answers.asked == ["order.status", "myTrades", "account.status"]


def test_reports_of_an_order_that_was_told_by_asking_say_nothing_more() -> None:
    repair, reports = repaired(Answers(order("FILLED", "0.5"), trades=[trade(1, "0.5")]))
    assert len(repair.outcomes([order("FILLED", "0.5")])) == 2
    late = [report("NEW", 41, "NEW"), report("TRADE", 42, "FILLED", "0.5", "0.5")]
    assert reports.outcomes(late) == []
    assert reports.outcomes([]) == []


def test_asking_tells_only_what_reports_have_not() -> None:
    repair, reports = repaired(Answers(trades=[trade(1, "0.2"), trade(2, "0.1")]))
    reports.outcomes([report("NEW", 41, "NEW"), report("TRADE", 42, "PARTIALLY_FILLED", "0.2", "0.2")])
    filled, cancelled = repair.outcomes([order("CANCELED", "0.3")])
    assert isinstance(filled, Filled)
    assert filled.lots == 10_000
    assert isinstance(cancelled, Changed)
    assert (cancelled.status, cancelled.executed, cancelled.remaining) == (Status.CANCELED, 30_000, 20_000)


def test_asking_does_not_make_old_reports_new_again() -> None:
    repair, reports = repaired(Answers())
    reports.outcomes([report("NEW", 41, "NEW"), report("TRADE", 42, "PARTIALLY_FILLED", "0.2", "0.2")])
    repair.outcomes([order("PARTIALLY_FILLED", "0.2")])
    assert reports.outcomes([report("TRADE", 42, "PARTIALLY_FILLED", "0.2", "0.2")]) == []


def test_an_order_that_waits_for_another_goes_on_waiting() -> None:
    repair, _ = repaired(Answers())
    (accepted,) = repair.outcomes([order("PENDING_NEW")])
    assert isinstance(accepted, Accepted)
    assert accepted.status is Status.PENDING_NEW
    assert repair.outcomes([order("PENDING_NEW")]) == []
    (begun,) = repair.outcomes([order("NEW")])
    assert isinstance(begun, Accepted)
    assert begun.status is Status.NEW


def test_what_is_locked_is_read_off_the_account() -> None:
    repair, _ = repaired(Answers(locked="300"))
    (accepted,) = repair.outcomes([order("NEW")])
    assert isinstance(accepted, Accepted)
    assert accepted.lock == 300 * 10**8


def test_an_order_that_the_venue_does_not_know_is_none_and_other_refusals_are_raised() -> None:
    repair, _ = repaired(Answers())
    assert repair.order(BITCOIN, "mine") is None

    def refuse(_method: str, _params: Mapping[str, str]) -> Any:
        raise Refusal(429, -1003, "Too much request weight used.")

    with pytest.raises(Refusal, match="-1003"):
        Repair(refuse, {SYMBOL: BITCOIN}, repaired(Answers())[1]).order(BITCOIN, "mine")


def test_filters_are_read_as_multiples_of_the_grid_that_is_known() -> None:
    rows = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.25000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.07000000", "minQty": "0.14000000"},
        {"filterType": "NOTIONAL", "minNotional": "20.00000000"},
    ]
    repair = Repair(
        lambda _method, _params: {"symbols": [{"symbol": SYMBOL, "filters": rows}]},
        {SYMBOL: BITCOIN},
        repaired(Answers())[1],
    )
    assert repair.filters(BITCOIN) == Filters(
        step_ticks=25, step_lots=7_000, min_lots=14_000, min_notional_units=20 * 10**8
    )
