"""Events of the user stream: every field, in its JSON type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.serve.venue.courses import CALM, HandCourse, tape

from gnomon.serve.venue.pairs import Scale
from gnomon.serve.venue.reports import AccountPosition, BalanceUpdate

TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys("esScSofFxXrV", str),
    **dict.fromkeys("qpPFlzLnZYQC", str),
    **dict.fromkeys("EgiTtIO", int),
    **dict.fromkeys("wmM", bool),
    "N": (str, type(None)),
}
SELL = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET"}


@pytest.fixture
def course() -> HandCourse:
    made = HandCourse(tape(*CALM, "S 9500 x 300", "S 9000 x 1"))
    made.until(4)
    return made


def check(event: dict[str, Any]) -> None:
    """Every field of the first row of the table of 7.2, in its type."""
    for name, kind in TYPES.items():
        assert isinstance(event[name], kind), name
        if kind is int:
            assert not isinstance(event[name], bool), name


def test_a_new_order_is_reported_with_every_field(course: HandCourse) -> None:
    course.place(newClientOrderId="mine")
    report, position = course.told()
    check(report)
    assert report == {
        "e": "executionReport",
        "E": 1_690_000_004_000,
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "1.00000000",
        "p": "90.00000000",
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": "NEW",
        "r": "NONE",
        "i": 1,
        "l": "0.00000000",
        "z": "0.00000000",
        "L": "0.00000000",
        "n": "0",
        "N": None,
        "T": 1_690_000_004_000,
        "t": -1,
        "I": 1,
        "w": True,
        "m": False,
        "M": False,
        "O": 1_690_000_004_000,
        "Z": "0.00000000",
        "Y": "0.00000000",
        "Q": "0.00000000",
        "V": "EXPIRE_MAKER",
        "W": 1_690_000_004_000,
    }
    assert position == {
        "e": "outboundAccountPosition",
        "E": 1_690_000_004_000,
        "u": 1_690_000_004_000,
        "B": [{"a": "USDT", "f": "99910.00000000", "l": "90.00000000"}],
    }


def test_a_taker_is_told_new_then_trades_then_what_expired_then_its_balances(course: HandCourse) -> None:
    course.place(price="100.01", quantity="25", timeInForce="IOC")
    events = course.told()
    assert [one.get("x", one["e"]) for one in events] == [
        "NEW",
        "TRADE",
        "TRADE",
        "EXPIRED",
        "outboundAccountPosition",
    ]
    for one in events[:-1]:
        check(one)
    _, first, second, expired, position = events
    assert (first["l"], first["L"], first["z"], first["Z"], first["Y"]) == (
        "10.00000000",
        "100.00000000",
        "10.00000000",
        "1000.00000000",
        "1000.00000000",
    )
    assert (first["n"], first["N"], first["t"], first["m"], first["M"], first["X"], first["w"]) == (
        "0.01000000",
        "BTC",
        1,
        False,
        True,
        "PARTIALLY_FILLED",
        True,
    )
    assert (second["t"], second["z"]) == (2, "20.00000000")
    assert (expired["X"], expired["eR"], expired["w"], expired["l"]) == (
        "EXPIRED",
        "UNFILLED_IOC_QUANTITY_EXPIRED",
        False,
        "0.00000000",
    )
    assert [one["I"] for one in events[:-1]] == [1, 2, 3, 4]
    assert [one["a"] for one in position["B"]] == ["USDT", "BTC"]


def test_a_resting_order_is_a_maker(course: HandCourse) -> None:
    course.place(price="95.00", quantity="0.2")
    course.told()
    course.until(5)
    report, _ = course.told()
    assert (report["x"], report["m"], report["X"], report["E"]) == ("TRADE", True, "FILLED", 1_690_000_005_000)


def test_a_stop_is_on_the_book_once_it_is_set_off(course: HandCourse) -> None:
    course.ask("order.place", **SELL | {"type": "STOP_LOSS", "stopPrice": "95.00"}, quantity="0.5", strategyId="9")
    waiting, _ = course.told()
    assert (waiting["w"], waiting["P"], waiting["j"], "W" in waiting) == (False, "95.00000000", 9, False)
    course.until(5)
    events = course.told()
    assert [one.get("x", one["e"]) for one in events] == ["NEW", "TRADE", "outboundAccountPosition"]
    assert (events[0]["w"], events[0]["W"]) == (True, 1_690_000_005_000)


def test_a_trailing_stop_says_its_delta(course: HandCourse) -> None:
    course.ask("order.place", **SELL | {"type": "STOP_LOSS", "trailingDelta": "100"}, quantity="1")
    report, _ = course.told()
    assert (report["d"], report["D"]) == (100, 1_690_000_004_000)


def test_a_cancel_is_reported_by_its_own_id(course: HandCourse) -> None:
    course.place(newClientOrderId="mine")
    course.told()
    course.ask("order.cancel", symbol="BTCUSDT", orderId=1, newClientOrderId="stop")
    report, position = course.told()
    check(report)
    assert (report["x"], report["X"], report["c"], report["C"]) == ("CANCELED", "CANCELED", "stop", "mine")
    assert position["B"] == [{"a": "USDT", "f": "100000.00000000", "l": "0.00000000"}]


def test_a_refused_order_is_no_event(course: HandCourse) -> None:
    course.refused("order.cancel", symbol="BTCUSDT", orderId=1)
    assert course.told() == []


@pytest.mark.parametrize(
    "mode, prevented",
    [
        ("EXPIRE_MAKER", [(1, "TRADE_PREVENTION", "EXPIRED_IN_MATCH", "2.00000000")]),
        ("EXPIRE_TAKER", [(2, "TRADE_PREVENTION", "EXPIRED_IN_MATCH", "3.00000000")]),
        (
            "EXPIRE_BOTH",
            [
                (1, "TRADE_PREVENTION", "EXPIRED_IN_MATCH", "2.00000000"),
                (2, "TRADE_PREVENTION", "EXPIRED_IN_MATCH", "3.00000000"),
            ],
        ),
        (
            "DECREMENT",
            [
                (1, "TRADE_PREVENTION", "EXPIRED_IN_MATCH", "2.00000000"),
                (2, "TRADE_PREVENTION", "NEW", "2.00000000"),
            ],
        ),
    ],
)
def test_orders_that_would_trade_with_each_other_are_prevented(
    course: HandCourse, mode: str, prevented: list[tuple[Any, ...]]
) -> None:
    course.place(price="99.99", quantity="2", newClientOrderId="rests")
    course.told()
    course.place("SELL", "99.99", "3", selfTradePreventionMode=mode)
    reports = [one for one in course.told() if one.get("x") == "TRADE_PREVENTION"]
    assert [(one["i"], one["x"], one["X"], one["B"]) for one in reports] == prevented
    for one in reports:
        check(one)
        assert (one["v"], one["U"], one["pL"], one["u"], one["Cs"]) == (1, 3 - one["i"], "99.99000000", 1, "BTCUSDT")
    maker, taker = ([one[3] for one in prevented if one[0] == number] for number in (1, 2))
    (match,) = course.ask("myPreventedMatches", symbol="BTCUSDT", orderId=1)
    assert match == {
        "symbol": "BTCUSDT",
        "preventedMatchId": 1,
        "takerOrderId": 2,
        "makerSymbol": "BTCUSDT",
        "makerOrderId": 1,
        "tradeGroupId": 1,
        "selfTradePreventionMode": mode,
        "price": "99.99000000",
        **({"takerPreventedQuantity": taker[0]} if taker else {}),
        **({"makerPreventedQuantity": maker[0]} if maker else {}),
        "transactTime": 1_690_000_004_000,
    }


def test_an_order_may_trade_with_its_own_account(course: HandCourse) -> None:
    course.place(price="99.99", quantity="2")
    course.told()
    course.place("SELL", "99.99", "2", selfTradePreventionMode="NONE")
    trades = [one for one in course.told() if one.get("x") == "TRADE"]
    assert [(one["i"], one["m"]) for one in trades] == [(1, True), (2, False)]


def test_what_is_written_once_is_kept() -> None:
    scale = Scale(Decimal("0.00000001"))
    position = AccountPosition(5_000_000, [("BTC", scale, 1, 2)])
    assert position.body is position.body
    assert position.document()["B"] == [{"a": "BTC", "f": "0.00000001", "l": "0.00000002"}]


def test_a_charge_of_no_trade_is_a_balance_update() -> None:
    assert BalanceUpdate(5_000_000, "USD", "-1.00000000").document() == {
        "e": "balanceUpdate",
        "E": 5,
        "a": "USD",
        "d": "-1.00000000",
        "T": 5,
    }
