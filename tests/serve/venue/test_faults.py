"""Faults as a client meets them: the real run, account and handlers, behind the door's own turn of a request."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.serve.venue.courses import START_NS
from tests.serve.venue.hand_bot import MS, Bot, HandTurn

from gnomon.replay.bodies import Fault as FaultBody
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import play_again
from gnomon.serve.venue.faults import Break, break_sockets
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.trader.pulse import native
from gnomon.units import SECOND_NS


def one(fault: str, when: Any, **more: Any) -> dict[str, Any]:
    return {"fault": fault, "when": when, **more}


def code_of(turn: HandTurn) -> tuple[int, int]:
    assert turn.refusal is not None, turn.value
    return turn.refusal.status, turn.refusal.code


def second(turn: HandTurn) -> float:
    return (turn.at_ns - START_NS) / SECOND_NS


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"), [("timeout", (504, -1007)), ("503", (503, -1000)), ("502", (502, -1001))]
)
def test_an_order_of_unknown_status_is_there_although_its_answer_is_not(answer: str, expected: Any) -> None:
    bot = Bot(one("unknown_status", {"order_no": 1}, params={"answer": answer}))
    bot.until(4)
    assert code_of(bot.limit(newClientOrderId="mine")) == expected
    assert [order["clientOrderId"] for order in bot.orders()] == ["mine"]
    assert bot.limit(price="89.00").value["status"] == "NEW"


def test_a_late_answer_comes_after_the_fill() -> None:
    bot = Bot(one("late_ack", {"order_no": 1}, params={"seconds": 5}))
    bot.until(4)
    order = bot.market()
    assert not order.is_done
    bot.until(8.9)
    assert [event["X"] for event in bot.events if event["e"] == "executionReport"] == ["NEW", "FILLED"]
    assert not order.is_done
    bot.until(10)
    assert second(order) == pytest.approx(10)
    assert order.value["status"] == "FILLED"


def test_a_fill_comes_before_its_order_is_accepted_and_before_the_answer() -> None:
    bot = Bot(one("fill_first", {"order_no": 1}))
    bot.until(4)
    order = bot.market()
    bot.until(4.5)
    assert [event["x"] for event in bot.events if event["e"] == "executionReport"] == ["TRADE", "NEW"]
    assert not order.is_done
    bot.until(6)
    assert order.value["executedQty"] == "1.00000000"


def test_nothing_comes_first_where_nothing_is_filled_at_once() -> None:
    bot = Bot(one("fill_first", {"order_no": [1, 2]}))
    bot.until(4)
    assert bot.limit().value["status"] == "NEW"
    assert told(bot.record()) == []


def test_a_report_comes_twice_and_says_the_same() -> None:
    bot = Bot(one("duplicate_report", {"every_nth": 1}, max=1))
    bot.until(4)
    bot.market()
    bot.market()
    trades = [event for event in bot.events if event.get("x") == "TRADE"]
    assert [event["I"] for event in trades] == [trades[0]["I"], trades[0]["I"], trades[2]["I"]]
    assert trades[0] == trades[1]
    assert bot.base() == "101.99800000"


def test_a_slow_answer_is_held_back_and_other_work_goes_on() -> None:
    bot = Bot(one("slow_response", {"request_no": 1}, params={"seconds": 3}))
    bot.until(4)
    slow, other = bot.limit(), bot.limit(price="89.00")
    assert not slow.is_done
    assert other.is_done
    assert len(bot.orders()) == 2
    bot.until(8)
    assert second(slow) == pytest.approx(8)
    assert slow.value["orderId"] == 1


# --- at the door ----------------------------------------------------------------------------------------------------


def test_a_limit_turns_orders_and_questions_away_until_it_is_over() -> None:
    bot = Bot(one("rate_limit", {"request_no": 1}, params={"seconds": 10}))
    bot.until(4)
    turned = bot.limit()
    assert code_of(turned) == (429, -1003)
    assert turned.refusal is not None
    assert turned.refusal.retry_after_s == 10
    bot.until(9)
    asked = bot.call("openOrders.status", symbol="BTCUSDT")
    assert code_of(asked) == (429, -1003)
    assert asked.refusal is not None
    assert asked.refusal.retry_after_s == 5
    bot.until(14.1)
    assert bot.orders() == []
    assert bot.limit().value["orderId"] == 1


def test_who_goes_on_in_spite_of_it_is_banned() -> None:
    bot = Bot(one("rate_limit", {"request_no": 1}, params={"seconds": 10, "ban_seconds": 60}))
    bot.until(4)
    bot.limit()
    bot.until(6)
    banned = bot.limit()
    assert code_of(banned) == (418, -1003)
    assert banned.refusal is not None
    assert banned.refusal.retry_after_s == 60
    assert "IP banned until" in banned.refusal.msg
    bot.until(40)
    assert code_of(bot.call("account.status")) == (418, -1003)
    bot.until(67)
    assert bot.limit().value["orderId"] == 1
    assert [entity for _, entity in told(bot.record())] == [1, 2]


def test_what_a_desk_on_the_wire_sees_is_turned_away_by_no_limit() -> None:
    bot = Bot(one("rate_limit", {"request_no": 1}, params={"seconds": 10}))
    bot.until(4)
    assert code_of(bot.limit()) == (429, -1003)
    bot.faults.admit(native.VIEW, bot.course.now_ns)
    with pytest.raises(VenueRefusal, match="-1003"):
        bot.faults.admit("account.status", bot.course.now_ns)


def test_a_limit_for_orders_lets_questions_through() -> None:
    bot = Bot(one("rate_limit", {"request_no": 1}, **{"for": {"method": "order.place"}}))
    bot.until(4)
    assert code_of(bot.limit()) == (429, -1003)
    assert bot.orders() == []


def test_a_clock_that_is_off_refuses_old_stamps_and_tells_the_time_that_it_has() -> None:
    bot = Bot(one("clock_skew", {"at": "+5s"}, params={"skew_seconds": 20, "seconds": 30}))
    bot.until(4)
    assert bot.limit().value["orderId"] == 1
    bot.until(6)
    late = bot.limit(price="89.00")
    assert code_of(late) == (400, -1021)
    told_ms = bot.call("time", offset_ms=20_000).value["serverTime"]
    assert told_ms == bot.course.now_ns // MS + 20_000
    offset_ms = told_ms - bot.course.now_ns // MS
    again = bot.call(
        "order.place",
        offset_ms,
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        price="89.00",
        quantity=1,
    )
    assert again.value["orderId"] == 2
    bot.until(36)
    assert bot.limit(price="88.00").value["orderId"] == 3


@pytest.mark.parametrize(("skew", "text"), [(20, "outside of the recvWindow"), (-20, "ahead of the server's time")])
def test_a_clock_may_be_off_both_ways(skew: int, text: str) -> None:
    bot = Bot(one("clock_skew", {"at": "+5s"}, params={"skew_seconds": skew}))
    bot.until(6)
    refused = bot.limit().refusal
    assert refused is not None
    assert text in refused.msg


# --- the venue ------------------------------------------------------------------------------------------------------


def test_filters_that_have_changed_are_enforced_and_shown() -> None:
    bot = Bot(one("rule_change", {"at": "+5s"}, params={"tick": "0.05", "step": "0.01", "min_notional": "20"}))

    def shown() -> dict[str, Any]:
        (symbol,) = bot.call("exchangeInfo", symbol="BTCUSDT").value["symbols"]
        return {row["filterType"]: row for row in symbol["filters"]}

    bot.until(4)
    assert shown()["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert bot.limit(price="90.01").value["status"] == "NEW"
    bot.until(5)
    refused = bot.limit(price="90.02")
    assert code_of(refused) == (400, -1013)
    assert refused.refusal is not None
    assert "PRICE_FILTER" in refused.refusal.msg
    assert code_of(bot.limit(price="90.05", quantity="0.2")) == (400, -1013)
    filters = shown()
    assert filters["PRICE_FILTER"]["tickSize"] == "0.05000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.01000000"
    assert filters["NOTIONAL"]["minNotional"] == "20.00000000"
    assert bot.limit(price="90.05").value["status"] == "NEW"


def test_a_cancel_that_comes_too_late_says_how_much_was_filled() -> None:
    bot = Bot(one("cancel_race", {"every_nth": 1}, params={"share": "0.25"}))
    bot.until(4)
    bot.limit(quantity="2")
    cancelled = bot.call("order.cancel", symbol="BTCUSDT", orderId=1)
    assert (cancelled.value["status"], cancelled.value["executedQty"]) == ("CANCELED", "0.50000000")
    assert bot.base() == "100.49950000"


def test_a_cancel_of_what_was_filled_whole_is_unknown() -> None:
    bot = Bot(one("cancel_race", {"every_nth": 1}, params={"share": 1}))
    bot.until(4)
    bot.limit(quantity="2")
    assert code_of(bot.call("order.cancel", symbol="BTCUSDT", orderId=1)) == (400, -2011)
    assert bot.base() == "101.99800000"
    assert [event["X"] for event in bot.events if event["e"] == "executionReport"] == ["NEW", "FILLED"]


# --- streams and sockets --------------------------------------------------------------------------------------------


def test_own_events_are_lost_with_their_stream_and_found_again_by_asking() -> None:
    bot = Bot(one("user_stream_lost", {"at": "+5s"}, params={"seconds": 10}))
    bot.until(6)
    bot.market()
    assert bot.events == []
    assert bot.base() == "100.99900000"
    bot.until(15)
    bot.market()
    assert [event["x"] for event in bot.events if event["e"] == "executionReport"] == ["NEW", "TRADE"]
    assert [(what.is_user_only, what.is_notice) for _, what in bot.breaks] == [(True, False)]


def test_a_gap_closes_all_sockets_and_what_happens_in_it_is_not_sent_again() -> None:
    bot = Bot(one("gap", {"at": "+5s"}, params={"seconds": 10}))
    bot.until(6)
    bot.market()
    assert bot.events == []
    at = [START_NS + n * SECOND_NS for n in (4, 5, 14, 15)]
    assert [bot.faults.freezes("btcusdt@trade", at_ns) for at_ns in at] == [False, True, True, False]
    assert [(what.is_user_only, what.is_notice) for _, what in bot.breaks] == [(False, False)]


def test_streams_that_freeze_are_those_that_were_named() -> None:
    bot = Bot(one("stale", {"at": "+5s"}, params={"seconds": 10, "streams": ["kline", "depth"]}))
    bot.until(6)
    now_ns = START_NS + 6 * SECOND_NS
    names = ["btcusdt@kline_1m", "btcusdt@depth5@100ms", "btcusdt@depth@100ms", "btcusdt@trade", "btcusdt@bookTicker"]
    assert [bot.faults.freezes(name, now_ns) for name in names] == [True, True, True, False, False]
    bot.market()
    assert len(bot.events) == 3


def test_a_connection_ends_and_nothing_is_lost() -> None:
    bot = Bot(one("connection_end", {"at": "+5s"}))
    bot.until(6)
    bot.market()
    assert len(bot.events) == 3
    assert [(what.is_user_only, what.is_notice) for _, what in bot.breaks] == [(False, False)]


def test_a_shutdown_is_announced_and_then_it_comes() -> None:
    bot = Bot(one("shutdown_notice", {"at": "+5s"}, params={"seconds": 10}))
    bot.until(6)
    assert [what.is_notice for _, what in bot.breaks] == [True]
    bot.until(14)
    assert len(bot.breaks) == 1
    bot.until(15)
    assert [(at, what.is_notice) for at, what in bot.breaks] == [(6.0, True), (15.0, False)]


class HandSocket:
    """A socket that notes what is done to it."""

    def __init__(self, is_combined: bool = False, **more: Any) -> None:
        self.is_combined = is_combined
        self.sent: list[Any] = []
        self.closed = 0
        self.__dict__.update(more)

    def send_text(self, text: bytes) -> None:
        self.sent.append(orjson.loads(text))

    def close(self, code: int, _reason: str) -> None:
        self.closed = code


def test_a_notice_has_the_form_of_its_socket() -> None:
    raw, combined, api = HandSocket(), HandSocket(True), HandSocket(user_subscriptions={0: "key"})
    break_sockets([raw, combined, api], Break(False, True, START_NS))
    event = {"e": "serverShutdown", "E": START_NS // MS}
    assert raw.sent == [event]
    assert combined.sent[0]["data"] == event
    assert api.sent == [{"event": event}]


def test_after_a_notice_only_those_sockets_close_that_were_given_it() -> None:
    stays, moves = HandSocket(), HandSocket()
    told: list[Any] = []
    break_sockets([stays], Break(False, True, START_NS, told))
    break_sockets([stays, moves], Break(False, False, START_NS, told))
    assert (bool(stays.closed), bool(moves.closed)) == (True, False)


def test_only_user_sockets_close_where_only_they_are_meant() -> None:
    market, api = HandSocket(), HandSocket(user_subscriptions={0: "key"})
    break_sockets([market, api], Break(True, False, START_NS))
    assert (bool(market.closed), bool(api.closed)) == (False, True)
    break_sockets([market], Break(False, False, START_NS))
    assert market.closed


# --- the same again -------------------------------------------------------------------------------------------------

ALL = [
    one("unknown_status", {"every_nth": 3}),
    one("late_ack", {"every_nth": 4}),
    one("fill_first", {"every_nth": 2}),
    one("duplicate_report", {"every_nth": 2}),
    one("user_stream_lost", {"at": "+20s"}),
    one("gap", {"at": "+40s"}, params={"seconds": 5}),
    one("rate_limit", {"request_no": 9}, params={"seconds": 3, "ban_seconds": 8}),
    one("clock_skew", {"at": "+70s"}, params={"seconds": 10}),
    one("rule_change", {"at": "+80s"}, params={"tick": "0.05"}),
    one("cancel_race", {"every_nth": 2}),
    one("stale", {"at": "+90s"}),
    one("connection_end", {"at": "+95s"}),
    one("shutdown_notice", {"at": "+100s"}),
    one("slow_response", {"probability": "0.3"}),
]


def told(record: Record) -> list[tuple[int, int]]:
    return [
        (body.fault, body.entity) for body in (found.body for found in record.outputs()) if isinstance(body, FaultBody)
    ]


def busy(bot: Bot) -> list[Any]:
    """A bot that does something each other second; what it was answered, and when."""
    turns = []
    for number in range(1, 58):
        bot.until(2 * number)
        turns.append(bot.market("0.1") if number % 3 == 0 else bot.limit(price=f"9{number % 9}.{number % 10}5"))
        if number % 4 == 0:
            turns.append(bot.call("order.cancel", symbol="BTCUSDT", orderId=number // 2))
    bot.until(121)
    bot.course.run.close()
    return [(turn.at_ns, turn.value, turn.refusal and str(turn.refusal)) for turn in turns]


def test_a_session_with_every_fault_is_the_same_twice_and_again_from_its_inputs() -> None:
    once, twice = Bot(*ALL), Bot(*ALL)
    assert busy(once) == busy(twice)
    assert (once.events, once.heard_ns, once.breaks) == (twice.events, twice.heard_ns, twice.breaks)
    record = once.record()
    assert sorted({fault for fault, _ in told(record)}) == list(range(1, 15))
    again = Kept()
    play_again(record, once.plan, again)
    live, replayed = record.sealed, Record(again).sealed
    assert live is not None
    assert replayed is not None
    assert (replayed.fingerprint, replayed.chain) == (live.fingerprint, live.chain)
