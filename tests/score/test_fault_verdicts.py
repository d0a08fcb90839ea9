"""A careful bot bears every fault of the catalogue; a naive one fails each, by the same checks."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.replay.fixed_runs import runs
from tests.replay.scene import recorded
from tests.serve.venue.hand_bot import Bot, Careful, Client, Naive

from gnomon.exchange.fault_plan import FaultKind, query_number
from gnomon.score.fault_verdicts import (
    OF_MARKET,
    OF_ORDERS,
    FaultReport,
    Verdict,
    expected,
    fault_report,
    in_words,
)


def one(fault: str, when: Any, **more: Any) -> dict[str, Any]:
    return {"fault": fault, "when": when, **more}


PLANS = {
    FaultKind.UNKNOWN_STATUS: one("unknown_status", {"every_nth": 5}, **{"for": {"method": "order.place"}}),
    FaultKind.LATE_ACK: one("late_ack", {"every_nth": 5}),
    FaultKind.FILL_FIRST: one("fill_first", {"every_nth": 1}),
    FaultKind.DUPLICATE_REPORT: one("duplicate_report", {"every_nth": 3}),
    FaultKind.USER_STREAM_LOST: one("user_stream_lost", {"at": "+60s"}, params={"seconds": 20}),
    FaultKind.GAP: one("gap", {"at": "+60s"}),
    FaultKind.RATE_LIMIT: one("rate_limit", {"request_no": 20}),
    FaultKind.CLOCK_SKEW: one("clock_skew", {"at": "+60s"}),
    FaultKind.RULE_CHANGE: one("rule_change", {"at": "+60s"}, params={"min_notional": "60"}),
    FaultKind.CANCEL_RACE: one("cancel_race", {"every_nth": 2}, params={"share": 1}),
    FaultKind.STALE: one("stale", {"at": "+60s"}),
    FaultKind.CONNECTION_END: one("connection_end", {"at": "+60s"}),
    FaultKind.SHUTDOWN_NOTICE: one("shutdown_notice", {"at": "+60s"}),
    FaultKind.SLOW_RESPONSE: one("slow_response", {"every_nth": 5}, **{"for": {"method": "order.place"}}),
}


def report(client: Callable[[Bot], Client], *entries: Any, exposure: str = "130") -> FaultReport:
    bot = Bot(*entries, every_s=10, exposure=exposure)
    client(bot).go(900)
    found = fault_report(bot.record())
    assert found is not None
    return found


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.word)
def test_a_careful_bot_bears_it(kind: FaultKind) -> None:
    found = report(Careful, PLANS[kind])
    assert [row.fault for row in found.judged] == [kind.word] * len(found.judged)
    assert found.judged
    assert found.is_borne, in_words(found.row())


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.word)
def test_a_naive_bot_does_not(kind: FaultKind) -> None:
    found = report(Naive, PLANS[kind])
    assert not found.is_borne, in_words(found.row())


def test_a_careful_bot_bears_all_of_them_at_once() -> None:
    found = report(Careful, *[plan for kind, plan in PLANS.items() if kind is not FaultKind.CANCEL_RACE])
    assert {row.fault for row in found.judged} >= {kind.word for kind in FaultKind} - {"cancel_race"}
    assert found.is_borne, in_words(found.row())


# --- what each is judged by -------------------------------------------------------------------------------------------


def verdicts(found: FaultReport) -> list[Verdict]:
    return [row.verdict for row in found.judged]


def placed(bot: Bot, client: str) -> Any:
    given = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "90", "quantity": "1"}
    return bot.call("order.place", newClientOrderId=client, **given)


def judged(bot: Bot) -> FaultReport:
    found = fault_report(bot.record())
    assert found is not None
    return found


@pytest.mark.parametrize("client", ["a", "b"])
def test_an_order_sent_again_unasked_is_a_violation_under_the_same_name_or_another(client: str) -> None:
    bot = Bot(PLANS[FaultKind.UNKNOWN_STATUS] | {"when": {"order_no": 1}})
    bot.until(4)
    placed(bot, "a")
    bot.until(6)
    placed(bot, client)
    found = judged(bot)
    assert verdicts(found) == [Verdict.VIOLATED]
    assert "sent again as request 2" in found.judged[0].why
    assert len(found.duplicates) == (client == "a")


def test_it_is_none_once_it_was_asked_about() -> None:
    bot = Bot(PLANS[FaultKind.UNKNOWN_STATUS] | {"when": {"order_no": 1}})
    bot.until(4)
    placed(bot, "a")
    bot.call("order.status", symbol="BTCUSDT", origClientOrderId="a")
    placed(bot, "b")
    assert verdicts(judged(bot)) == [Verdict.MET]


def test_events_between_a_loss_and_a_question_are_counted() -> None:
    bot = Bot(one("user_stream_lost", {"at": "+5s"}, params={"seconds": 5}))
    bot.until(6)
    placed(bot, "a")
    bot.until(11)
    placed(bot, "b")
    placed(bot, "c")
    bot.call("openOrders.status", symbol="BTCUSDT")
    (row,) = judged(bot).judged
    assert (row.verdict, row.events) == (Verdict.RECOVERED, 2)


def test_too_many_of_them_are_a_violation() -> None:
    bot = Bot(one("user_stream_lost", {"at": "+5s"}, params={"seconds": 5}))
    bot.until(6)
    placed(bot, "a")
    bot.until(11)
    for number in range(6):
        placed(bot, f"b{number}")
    bot.call("openOrders.status", symbol="BTCUSDT")
    (row,) = judged(bot).judged
    assert (row.verdict, row.events) == (Verdict.VIOLATED, 6)


def test_exposure_is_held_against_the_limit_that_the_plan_states() -> None:
    bot = Bot(PLANS[FaultKind.GAP], exposure="100")
    bot.until(4)
    for side in ("BUY", "SELL", "SELL"):
        bot.call("order.place", symbol="BTCUSDT", side=side, type="MARKET", quantity="0.9")
    found = judged(bot)
    assert found.exposure == Decimal("90.000")
    assert found.is_within_exposure
    again = Bot(PLANS[FaultKind.GAP], exposure="80")
    again.until(4)
    again.call("order.place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.9")
    assert not judged(again).is_within_exposure


def test_more_than_ten_refusals_in_a_minute_are_a_storm() -> None:
    bot = Bot(PLANS[FaultKind.GAP])
    for number in range(11):
        bot.until(4 + number)
        bot.call("order.cancel", symbol="BTCUSDT", orderId=99)
    found = judged(bot)
    assert (found.rejects, found.is_calm, found.is_borne) == (11, False, False)


def test_a_run_without_a_plan_has_no_verdicts() -> None:
    how, trader = runs()["prints"]
    _, record = recorded(how, trader)
    assert fault_report(record) is None


def test_a_report_is_told_in_words_and_rows() -> None:
    found = report(Careful, PLANS[FaultKind.UNKNOWN_STATUS])
    row = found.row()
    assert row["is_borne"]
    assert row["met"] == len(row["verdicts"]) > 3
    lines = in_words(row)
    assert lines[0].startswith(f"{row['met']} faults: {row['met']} met, 0 recovered, 0 violated")
    assert "Largest position: 50 of at most 130." in lines
    assert "asks by client id" in expected("unknown_status")


def test_what_came_of_the_same_event_as_the_loss_is_lost_too() -> None:
    bot = Bot(one("user_stream_lost", {"order_no": 1}, params={"seconds": 5}))
    bot.until(4)
    placed(bot, "a")
    bot.until(11)
    for number in range(6):
        placed(bot, f"b{number}")
    (row,) = judged(bot).judged
    assert (row.verdict, row.why) == (Verdict.VIOLATED, "1 own events were lost, and it never asked")


def test_a_look_at_the_market_is_no_question_about_orders() -> None:
    assert query_number("sim.view") in OF_MARKET
    assert query_number("sim.view") not in OF_ORDERS
