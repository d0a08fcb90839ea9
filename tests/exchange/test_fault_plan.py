"""Fault plans as people write them: what is read, what is refused, what the configuration holds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gnomon.errors import Invalid
from gnomon.exchange.fault_plan import (
    CATALOGUE,
    CHANCE_ONE,
    Counts,
    FaultEntry,
    FaultKind,
    FaultPlan,
    is_under,
    plain_symbol,
)
from gnomon.exchange.rules import Rules


def entry(fault: str = "late_ack", when: Any = None, **more: Any) -> FaultEntry:
    scope = {"for": more.pop("scope")} if "scope" in more else {}
    return FaultEntry.parse({"fault": fault, "when": when or {"every_nth": 3}, **scope, **more})


def test_the_catalogue_has_fourteen_faults_numbered_from_one() -> None:
    assert [one.value for one in FaultKind] == list(range(1, 15))
    assert list(CATALOGUE) == list(FaultKind)


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_fault_can_be_planned_by_its_word_alone(kind: FaultKind) -> None:
    params = {"params": {"tick": "0.5"}} if kind is FaultKind.RULE_CHANGE else {}
    found = entry(kind.word, {"at": "+1m"}, **params)
    assert found.fault is kind
    assert found.when.after_ns == (60 * 10**9,)
    assert set(found.params) == {one.stored for one in CATALOGUE[kind].params}


def test_rules_without_faults_have_the_document_that_they_had() -> None:
    assert "faults" not in Rules.parse({}).document()
    assert Rules.parse({"faults": []}).document() == Rules.parse({}).document()


def test_faults_are_part_of_the_document_of_rules() -> None:
    one = {"fault": "late_ack", "when": {"order_no": 3}}
    found = Rules.parse({"faults": [one]}).document()["faults"]
    assert found["entries"] == [
        {
            "fault": "late_ack",
            "when": {"order_no": [3]},
            "for": {"methods": [], "symbol": ""},
            "params": {"length_ns": 5_000_000_000},
            "max": 0,
        }
    ]


def test_a_plan_may_state_what_a_bot_is_held_to() -> None:
    found = FaultPlan.parse({"entry": [], "exposure": "5000", "own_events": 8, "rejects_a_minute": 4})
    assert (found.exposure, found.own_events, found.rejects_a_minute) == (Decimal(5000), 8, 4)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"at": "2024-01-01T00:00:00Z"}, ("at_ns", (1_704_067_200_000_000_000,))),
        ({"at": ["+2h", "+90s"]}, ("after_ns", (90 * 10**9, 7_200 * 10**9))),
        ({"at": "+0.5s"}, ("after_ns", (500_000_000,))),
        ({"at": "+250ms"}, ("after_ns", (250_000_000,))),
        ({"request_no": [9, 4]}, ("request_no", (4, 9))),
        ({"order_no": 2}, ("order_no", (2,))),
        ({"every_nth": 5}, ("every_nth", 5)),
        ({"probability": "0.25"}, ("chance", CHANCE_ONE // 4)),
        ({"probability": 1}, ("chance", CHANCE_ONE)),
    ],
)
def test_when_is_read(given: Any, expected: tuple[str, Any]) -> None:
    assert getattr(entry(when=given).when, expected[0]) == expected[1]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("late_ack", "fault 1 is 'late_ack', not a table", "fault ="),
        ({"fault": "late_akk", "when": {"every_nth": 1}}, "fault 1: fault is 'late_akk'", "did you mean late_ack"),
        ({"fault": "late_ack"}, "fault 1 (late_ack): when is None", "one of at, request_no"),
        ({"fault": "late_ack", "when": {"every": 3}}, "when has no 'every'", "did you mean every_nth"),
        ({"fault": "late_ack", "when": {"at": "+1m", "order_no": 2}}, "when is", "one of"),
        ({"fault": "late_ack", "when": {"every_nth": 0}}, "every_nth is 0", "whole number from 1"),
        ({"fault": "late_ack", "when": {"order_no": True}}, "order_no is True", "whole number from 1"),
        ({"fault": "late_ack", "when": {"probability": "1.5"}}, "probability is 1.5", "above 0 and at most 1"),
        ({"fault": "late_ack", "when": {"at": "+5x"}}, "at is '+5x'", "+90s, +5m, +2h"),
        ({"fault": "late_ack", "when": {"every_nth": 1}, "maximum": 2}, "no key 'maximum'", "max"),
        ({"fault": "late_ack", "when": {"every_nth": 1}, "max": -1}, "max is -1", "from 1 on"),
        ({"fault": "late_ack", "when": {"every_nth": 1}, "params": {"second": 2}}, "no parameter 'second'", "seconds"),
        ({"fault": "late_ack", "when": {"every_nth": 1}, "params": {"seconds": -2}}, "seconds is -2", "0 seconds"),
        ({"fault": "gap", "when": {"every_nth": 1}, "for": {"method": "order.place"}}, "own events, not calls", "take"),
        ({"fault": "gap", "when": {"request_no": 1}}, "counts own events, not requests", "order_no"),
        ({"fault": "late_ack", "when": {"every_nth": 1}, "for": {"method": "klines"}}, "befall 'klines'", "place"),
        ({"fault": "late_ack", "when": {"every_nth": 1}, "for": {"path": "/api/v3/orders"}}, "no request", "order"),
        ({"fault": "rule_change", "when": {"every_nth": 1}, "params": {"tick": 1}}, "needs a time", "at"),
        ({"fault": "rule_change", "when": {"at": "+1m"}}, "changes nothing", "tick"),
        ({"fault": "rule_change", "when": {"at": "+1m"}, "params": {"tick": "-1"}}, "tick is -1", "positive"),
        ({"fault": "stale", "when": {"at": "+1m"}, "params": {"streams": ["klines"]}}, "streams is", "kline"),
        ({"fault": "cancel_race", "when": {"every_nth": 1}, "params": {"share": 2}}, "share is 2", "at most 1"),
        ({"fault": "unknown_status", "when": {"every_nth": 1}, "params": {"answer": "500"}}, "answer is", "503"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_could(given: Any, message: str, hint: str) -> None:
    with pytest.raises(Invalid) as refused:
        FaultPlan.parse([given])
    assert message in refused.value.message
    assert hint in (refused.value.hint or "")


def test_an_unknown_key_of_the_plan_is_refused() -> None:
    with pytest.raises(Invalid, match="faults has no key 'exposur'"):
        FaultPlan.parse({"entry": [], "exposur": 1})


def test_a_path_of_rest_names_its_method() -> None:
    assert entry(scope={"method": "POST", "path": "/api/v3/order"}).methods == ("order.place",)
    assert entry("rate_limit", scope={"method": "GET", "path": "/api/v3/klines"}).methods == ("klines",)
    found = entry("slow_response", scope={"path": "/api/v3/openOrders", "method": "DELETE"})
    assert found.methods == ("openOrders.cancelAll",)


def test_a_group_of_methods_and_a_symbol_are_meant_as_they_are_said() -> None:
    found = entry(scope={"method": "orderList.place", "symbol": "btc/usdt"})
    assert found.is_for("orderList.place.oco", "BTCUSDT")
    assert not found.is_for("orderList.place.oco", "ETHUSDT")
    assert not found.is_for("order.place", "BTCUSDT")
    assert is_under("orderList.place.oco", "orderList.place")
    assert not is_under("orderList.placed", "orderList.place")
    assert plain_symbol("binance:BTC/USDT") == "BTCUSDT"


def test_what_counts_events_is_never_for_a_method() -> None:
    events = [kind for kind, one in CATALOGUE.items() if one.counts is Counts.EVENTS]
    assert events == [
        FaultKind.DUPLICATE_REPORT,
        FaultKind.USER_STREAM_LOST,
        FaultKind.GAP,
        FaultKind.STALE,
        FaultKind.CONNECTION_END,
        FaultKind.SHUTDOWN_NOTICE,
    ]
