"""The venue's clock: what a native runtime makes of its wakes is the run that its strategy makes in process."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.fixed_runs import runs
from tests.replay.scene import T0, ground, plan, random_session, rough_bars, rules
from tests.serve.venue.native_pair import Ear, NativePair
from tests.serve.venue.shown_pair import ShownPair

from gnomon.errors import Invalid
from gnomon.replay.bodies import Attach
from gnomon.replay.record import Record
from gnomon.replay.run import play
from gnomon.serve.venue.lockstep import OVER
from gnomon.trader.pulse.lockstep import Control
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS


@pytest.mark.parametrize("name", ["prints", "late", "bars", "two"])
def test_a_native_bot_has_the_digests_of_its_strategy_in_process(name: str) -> None:
    how, trader = runs()[name]
    inside = play(how, trader)
    how, trader = runs()[name]
    pair = NativePair(how, trader)
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests
    assert played.fills == inside.fills > 0


@pytest.mark.parametrize("seed", range(12))
def test_so_has_one_that_does_whatever_a_desk_can_do(seed: int) -> None:
    how, make = random_session(seed)
    inside = play(how, make())
    pair = NativePair(how, make())
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests


class Terse(Strategy):
    """Trades now and then, and reads candles that its runtime must ask for."""

    def on_bar(self, desk: Any, bar: Any) -> None:
        minute = bar.time_ns // MINUTE_NS % 97
        if minute == 40:
            desk.note(str(desk.best(0)))
        elif minute == 60:
            desk.buy(0, lots=len(desk.candles(0, 2)))
        elif minute == 61:
            desk.buy(0, lots=2, limit=desk.price(0) * 0.98)
        elif minute == 90:
            desk.cancel_all()
            desk.after("90s", "out")

    def on_timer(self, desk: Any, _name: str) -> None:
        desk.close(0)


@pytest.mark.parametrize("ahead", [0, 1, 7, 1000])
@pytest.mark.parametrize("books", [1, 2])
def test_how_many_wakes_are_told_at_once_moves_nothing(books: int, ahead: int) -> None:
    how = plan(ground(*(rough_bars(seed, 900) for seed in range(books))), rules(), window=(T0, T0 + 1200 * MINUTE_NS))
    inside = play(how, Terse())
    pair = NativePair(how, Terse(), ahead=ahead)
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests
    assert inside.fills > 8
    assert pair.runtime.n > 800
    assert pair.told < (books * 500 if ahead >= 7 else 10**9)


@pytest.mark.parametrize("seed", range(8))
def test_nor_does_it_for_one_that_does_whatever_a_desk_can_do(seed: int) -> None:
    how, make = random_session(seed)
    inside = play(how, make())
    pair = NativePair(how, make(), ahead=50)
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests


def test_what_was_told_ahead_is_void_after_a_word_of_the_bot() -> None:
    how = plan(ground(rough_bars(3, 60)), rules(), window=(T0 + 10 * MINUTE_NS, T0 + 50 * MINUTE_NS))
    pair = NativePair(how, Terse(), ahead=100)
    pair.clock.attach(pair.ear, None)
    pair.say(pair.runtime.attach())
    pair.say(pair.runtime.begin())
    (frame,) = pair.ear.frames
    first, told = frame["n"], len(frame["ahead"])
    assert (first, told) == (1, 29)
    clock = pair.clock
    clock.control("ACK", [10])
    assert clock.n == 11, "the run stands at the wake after the one that was answered"
    assert pair.ear.frames == [frame], "and nothing is told twice"
    clock.control("TIMER", ["1", "soon"])
    clock.control("ACK", [20])
    assert [one["n"] for one in pair.ear.frames] == [1, 21]
    with pytest.raises(Invalid, match="the newest is 21"):
        clock.control("ACK", [22])


class Early(Strategy):
    """Reads and orders before its first wake."""

    def on_start(self, desk: Any) -> None:
        desk.note(f"{desk.price_ticks(0)} {len(desk.candles(0, 5))}")
        desk.buy(0, lots=3)
        desk.after("90s", "later")

    def on_bar(self, desk: Any, bar: Any) -> None:
        desk.metric("close", bar.candle.close)

    def on_timer(self, desk: Any, _name: str) -> None:
        desk.close(0)


def test_what_is_read_and_ordered_at_the_start_is_in_the_run() -> None:
    how = plan(ground(rough_bars(3, 60)), rules(), window=(T0 + 10 * MINUTE_NS, T0 + 50 * MINUTE_NS))
    inside = play(how, Early())
    pair = NativePair(how, Early())
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert inside.fills == 2
    assert played.digests == inside.digests


class Alarmed(Strategy):
    """Does what it does when its timer tells it to."""

    def on_start(self, desk: Any) -> None:
        desk.after("90s", "first")

    def on_timer(self, desk: Any, _name: str) -> None:
        desk.buy(0, lots=1)
        desk.after("60s", "next")


def test_a_timer_that_was_set_into_a_dying_connection_and_once_more_is_one_timer() -> None:
    how = plan(ground(rough_bars(3, 60)), rules(), window=(T0 + 10 * MINUTE_NS, T0 + 50 * MINUTE_NS))
    inside = play(how, Alarmed())
    pair = NativePair(how, Alarmed())
    pair.clock.attach(pair.ear, None)
    pair.say(pair.runtime.attach())
    *said, acknowledged = pair.runtime.begin()
    assert [one.method for one in said if isinstance(one, Control)] == ["TIMER"]
    pair.say(said)
    pair.clock.detach(pair.ear)
    pair.ear = Ear()
    pair.clock.attach(pair.ear, pair.runtime.resume())
    pair.say([*said, acknowledged])
    pair.go_on()
    played = pair.course.run.played
    assert played is not None
    assert inside.fills > 30
    assert played.digests == inside.digests


# --- serial and concurrent --------------------------------------------------------------------------------------------


def test_to_a_serial_bot_what_is_due_while_a_request_is_open_comes_behind_the_answer() -> None:
    pair = ShownPair(is_concurrent=False)
    pair.ack()
    assert [one["n"] for one in pair.heard()] == [1, 2]
    order = pair.buy()
    assert (order.is_done, pair.second(order.at_ns)) == (True, 2 + 2.7), "it has waited for the answer alone"
    assert pair.heard() == []
    pair.ack()
    assert {(one["n"], one["event"]["e"]) for one in pair.heard()} == {
        (3, "executionReport"), (3, "outboundAccountPosition")
    }  # fmt: skip
    late = []
    for _ in range(2):
        pair.ack()
        late += [(one["n"], one["data"]["E"] % 10_000, pair.second(int(one["t"]))) for one in pair.heard()]
    assert late == [(4, 3_000, 4.7), (5, 4_000, 4.7)], "each has its own time, and says what time it is"


def test_an_answer_that_would_be_due_after_the_end_is_not_waited_for_and_the_end_is_told() -> None:
    pair = ShownPair(is_concurrent=False)
    while pair.second(pair.course.now_ns) < 119:
        pair.ack()
    pair.heard()
    order = pair.buy()
    assert order.is_done
    assert order.refusal is not None
    assert order.refusal.code == -1007
    while pair.clock.state != OVER:
        pair.ack()
    assert pair.heard()[-1]["event"]["e"] == "sessionEnd"
    assert pair.course.run.played is not None


def test_a_concurrent_bot_is_told_at_once_and_the_answer_is_one_more_wake() -> None:
    pair = ShownPair(is_concurrent=True)
    pair.ack()
    order = pair.buy()
    assert not order.is_done
    assert pair.second(pair.course.now_ns) == 2, "it may have more to send: time stands"
    told = []
    for _ in range(3):
        pair.heard()
        pair.ack()
        told += [(one["n"], pair.second(int(one["t"])), one["data"]["e"]) for one in pair.ear.frames]
    assert told == [(3, 3.0, "trade"), (4, 4.0, "trade")]
    assert (order.n, pair.second(order.at_ns), order.value["status"]) == (5, 4.7, "FILLED")
    assert (pair.clock.n, pair.second(pair.course.now_ns)) == (5, 4.7)
    second = pair.buy()
    assert not second.is_done, "what it sends now belongs to the wake of the answer"
    pair.ack(4)
    assert pair.clock.n == 5, "an old acknowledgement is none of this wake"
    pair.ack()
    own = pair.heard()[-1]
    assert (own["n"], pair.second(int(own["t"])), own["event"]["e"]) == (6, 4.7, "outboundAccountPosition")
    while not second.n:
        pair.ack()
    assert pair.second(second.at_ns) == 4.7 + 2.7


def test_time_moves_when_all_that_is_out_is_acknowledged() -> None:
    pair = ShownPair(is_concurrent=True)
    pair.buy()
    pair.buy()
    stood = pair.clock.n, pair.course.now_ns
    for _ in range(5):
        pair.call("account.status")
    assert (pair.clock.n, pair.course.now_ns) == stood
    with pytest.raises(Invalid, match="ACK of wake 2, the newest is 1"):
        pair.ack(2)
    numbers = []
    while pair.second(pair.course.now_ns) < 10:
        pair.ack()
        numbers.append(pair.clock.n)
    assert numbers == list(range(2, len(numbers) + 2))


def test_what_the_door_refuses_a_concurrent_bot_is_a_wake_of_the_same_instant() -> None:
    pair = ShownPair(is_concurrent=True)
    refused = pair.buy(quantity="0.0000001")
    unknown = pair.call("order.cancel", symbol="BTCUSDT", orderId=77)
    asked = pair.call("account.status")
    assert (refused.is_done, refused.n, refused.refusal) == (True, 0, None), "not told yet"
    assert asked.value["balances"], "what sends nothing is answered at once"
    pair.ack()
    assert refused.refusal is not None
    assert (refused.n, refused.refusal.code, pair.second(refused.at_ns)) == (2, -1013, 1)
    pair.ack()
    while unknown.refusal is None:
        pair.ack()
    assert unknown.refusal.code == -2011


def test_an_acknowledgement_that_overtakes_its_requests_waits_for_them_and_they_are_taken_in_their_order() -> None:
    runs = []
    for order in ((1, 2, 3), (3, 2, 1), (2, 3, 1)):
        pair = ShownPair(is_concurrent=True)
        pair.ack(requests=3)
        turns = {place: pair.buy(f"1-{place}", quantity=f"0.{place}00") for place in order[:2]}
        assert pair.clock.n == 1
        turns[order[2]] = pair.buy(f"1-{order[2]}", quantity=f"0.{order[2]}00")
        assert pair.clock.n == 2
        while not all(one.n for one in turns.values()):
            pair.ack()
        runs.append([(one.n, one.value["orderId"], one.value["origQty"]) for _, one in sorted(turns.items())])
    assert runs[0] == runs[1] == runs[2]
    assert [number for _, number, _ in runs[0]] == [1, 2, 3]


def test_hundreds_of_requests_that_come_in_the_wrong_order_are_taken_in_the_right_one() -> None:
    pair = ShownPair(is_concurrent=True)
    pair.ack(requests=400)
    turns = [pair.call("order.cancel", f"1-{place}", symbol="BTCUSDT", orderId=place) for place in range(400, 0, -1)]
    numbers = []
    while not turns[0].n:
        pair.ack()
        numbers.append(pair.clock.n)
    assert [one.n for one in reversed(turns)] == list(range(turns[-1].n, turns[0].n + 1))
    assert {one.refusal and one.refusal.code for one in turns} == {-2011}


def test_a_bug_that_a_waiting_request_meets_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ShownPair(is_concurrent=True)
    second = pair.buy("1-2")
    sent, send = [], pair.course.send

    def fails(*given: Any) -> int:
        sent.append(given)
        if len(sent) == 2:
            raise ZeroDivisionError
        return send(*given)

    monkeypatch.setattr(pair.course, "send", fails)
    first = pair.buy("1-1")
    while not (first.n and second.n):
        pair.ack()
    assert second.refusal is not None
    assert (first.value["status"], second.refusal.code) == ("FILLED", -1000)


def test_a_request_that_its_bot_does_not_wait_for_is_not_waited_for() -> None:
    pair = ShownPair(is_concurrent=True)
    order = pair.buy("1-4")
    assert not order.is_called
    pair.ack()
    assert order.is_called
    assert pair.clock.n == 2


def test_a_request_again_gets_the_answer_and_the_number_of_the_first() -> None:
    pair = ShownPair(is_concurrent=True)
    first, under_way = pair.buy("1-1"), pair.buy("1-1")
    while not first.n:
        pair.ack()
    again = pair.buy("1-1")
    assert first.n == under_way.n == again.n == 4
    assert first.value == under_way.value == again.value
    assert len(pair.course.account.orders) == 1


@pytest.mark.parametrize("code", [-1003, -1015])
def test_so_does_one_that_the_door_itself_has_refused(code: int) -> None:
    pair = ShownPair(is_concurrent=True)
    limits, now_ns = pair.course.gate.limits, pair.course.now_ns
    if code == -1003:
        limits.spend(now_ns, 6_000)
    else:
        limits.admit_orders(now_ns, 100)
    first, under_way = pair.buy("1-1"), pair.buy("1-1")
    pair.ack(requests=1)
    again = pair.buy("1-1")
    assert first.n == under_way.n == again.n == 2
    assert {one.refusal and one.refusal.code for one in (first, under_way, again)} == {code}
    pair.ack()
    assert pair.heard()[-1]["n"] == 3, "it was one answer, and is one wake"


def test_a_bot_that_was_cut_off_at_an_answer_is_told_which_wake_that_was() -> None:
    pair = ShownPair(is_concurrent=True)
    order = pair.buy()
    while not order.n:
        pair.ack()
    pair.clock.detach(pair.ear)
    ear = Ear()
    pair.clock.attach(ear, order.n - 1)
    assert [(one["n"], one["event"]["e"]) for one in ear.frames] == [(order.n, "answer")]
    pair.clock.control("ACK", [order.n])
    assert [one["event"]["e"] for one in ear.frames[1:3]] == ["executionReport"] * 2


def test_a_run_is_what_its_first_socket_has_said_and_stands_so_in_the_record() -> None:
    pair = ShownPair(is_concurrent=True)
    with pytest.raises(Invalid, match="this run is concurrent"):
        pair.clock.declare(False)
    with pytest.raises(Invalid, match="a filter for a concurrent bot"):
        pair.clock.control("WAKE", [{"closed_bars": True}])
    serial = ShownPair(is_concurrent=False)
    with pytest.raises(Invalid, match="this run is serial"):
        serial.clock.declare(True)
    for one, number in ((pair, 1), (serial, 0)):
        while one.clock.state != "over":
            one.ack()
        (attach,) = [found.body for found in Record(one.kept).entries() if isinstance(found.body, Attach)]
        assert attach.concurrency == number
