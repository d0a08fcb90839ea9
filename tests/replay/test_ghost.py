"""The ghost: a run is the same again from its inputs alone, and not from any other's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.replay.scene import ground, plan, random_session, recorded, restless, rough_prints, rules

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
    Request,
    SelfTrade,
    Side,
    TimeInForce,
)
from gnomon.replay.bodies import EndReason, Genesis, Wake
from gnomon.replay.ghost import Script, requests
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import RunPlan, _Stage, play, play_again
from gnomon.replay.verification import Outcome, Verification, verify
from gnomon.trader.trader import Strategy


class Again:
    """Replays over a plan; another's Record in place of the one asked for, if given."""

    def __init__(self, how: RunPlan, instead: Record | None = None) -> None:
        self.how = how
        self.instead = instead

    def dataset_digest(self, _genesis: Genesis) -> bytes:
        return self.how.ground.digest

    def replay(self, record: Record, into: Kept) -> None:
        play_again(self.instead or record, self.how, into)


def verified(how: RunPlan, record: Record) -> Verification:
    return verify(record, Again(how))


@pytest.mark.parametrize("seed", range(20))
def test_random_sessions_are_verified_from_their_inputs(seed: int) -> None:
    how, trader = random_session(seed)
    _, record = recorded(how, trader())
    found = verified(how, record)
    assert found.outcome is Outcome.VERIFIED, found.steps[-1]


@pytest.mark.parametrize("at", [1, 13, 40])
def test_a_run_that_its_trader_stopped_is_verified(at: int) -> None:
    class Stops(Strategy):
        def on_start(self, desk: Any) -> None:
            self.calls = 0
            desk.every("1s", "tick")

        def on_trade(self, desk: Any, trade: Any) -> None:
            self.calls += 1
            desk.buy(lots=1, limit=trade.price)
            if self.calls == at:
                desk.note("enough")
                desk.finish("enough")

        def on_timer(self, desk: Any, name: str) -> None:
            desk.note(name)

    how = plan(ground(rough_prints(3, 200)), rules())
    run, record = recorded(how, Stops())
    assert (run.reason, run.why) == (EndReason.STOPPED, "enough")
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_a_trader_that_fails_leaves_a_record_that_says_so() -> None:
    class Fails(Strategy):
        def on_trade(self, desk: Any, _trade: Any) -> None:
            desk.buy(lots=1)
            raise ZeroDivisionError

    kept = Kept()
    with pytest.raises(ZeroDivisionError):
        play(plan(ground(rough_prints(3, 50)), rules()), Fails(), sink=kept, mode="full")
    end = Record(kept).end
    assert end is not None
    assert end.reason == EndReason.FAILED


def test_the_inputs_of_another_run_are_found_out() -> None:
    """As if one price in the Record had been changed and its chain made to fit."""

    class Bids(Strategy):
        off = 0

        def on_trade(self, desk: Any, trade: Any) -> None:
            tick = self.off if trade.position == 30 else 0
            desk.quote_ticks(trade.price_ticks - 2 - tick, trade.price_ticks + 2, 5)

    how = plan(ground(rough_prints(3, 80)), rules())
    _, record = recorded(how, Bids())
    _, other = recorded(how, type("Other", (Bids,), {"off": 1})())
    found = verify(record, Again(how, other))
    assert found.outcome is Outcome.DIFFERS
    assert found.divergence is not None
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_a_record_with_a_byte_changed_is_damaged() -> None:
    how, trader = random_session(2)
    kept = Kept()
    play(how, trader(), sink=kept, mode="full")
    middle = len(kept.blocks) // 2
    block = bytearray(kept.blocks[middle])
    block[len(block) // 2] ^= 1
    kept.blocks[middle] = bytes(block)
    assert verified(how, Record(kept)).outcome is Outcome.DIFFERS


def test_other_rules_do_not_verify() -> None:
    how, trader = random_session(1)
    _, record = recorded(how, trader())
    fees = replace(how.rules.fees, taker=how.rules.fees.taker + 1)
    dearer = replace(how, rules=replace(how.rules, fees=fees))
    assert verified(dearer, record).outcome is Outcome.DIFFERS


EVERY_REQUEST: tuple[Request, ...] = (
    Place(0, Side.BUY, OrderType.LIMIT, 3, 9_000, TimeInForce.IOC, stp=SelfTrade.DECREMENT),
    Place(0, Side.SELL, OrderType.STOP_LOSS_LIMIT, 3, 8_000, TimeInForce.GTC, 8_100, 25, client=4, reduce_only=True),
    Place(0, Side.BUY, OrderType.MARKET, quote_units=5_000_000_000),
    Quote(0, 9_000, 11_000, 5, keep=False, post_only=True),
    Quote(0, 9_001, 0, 5, keep=True),
    Cancel(0, 1),
    Cancel(0, client=4),
    CancelAll(0),
    Amend(0, 1, 2),
    Replace(1, Place(0, Side.SELL, OrderType.LIMIT_MAKER, 2, 12_000)),
    PlaceList(
        ListKind.OCO,
        (
            Place(0, Side.SELL, OrderType.LIMIT_MAKER, 2, 12_000),
            Place(0, Side.SELL, OrderType.STOP_LOSS, 2, stop=8_000),
        ),
    ),
)


def test_every_kind_of_request_is_read_back_as_it_was_sent() -> None:
    how = plan(ground(rough_prints(3, 40)), rules())

    class Blunt:
        """At the engine's own door, so that nothing of the desk is in between."""

        def __init__(self) -> None:
            self.now_ns, self.is_deciding = how.start_ns, False
            self.outbox, self.alarms = list(EVERY_REQUEST), []

        def hear(self, *_: Any) -> None:
            pass

        alarm = close_decision = hear

    kept = Kept()
    stage = _Stage.set(how, kept, "full", keeps=False)
    stage.attach(Wake(0, 0, 0, (), ()))
    engine = stage.engine([], Blunt(), lambda _tape, _index, _start, stop, _bounds: stop)
    stage.run(lambda: (engine.start(), engine.run())[0], lambda: None)
    found = list(requests(Record(kept)))
    assert [number for number, _ in found] == list(range(1, len(EVERY_REQUEST) + 1))
    assert tuple(request for _, request in found) == EVERY_REQUEST
    said = Script.of(Record(kept)).said
    assert tuple(said[0].requests) == EVERY_REQUEST


def test_a_trader_that_hears_only_once_it_guards_a_position_is_verified() -> None:
    """Own events that nobody listened for may be due with others that somebody did."""
    how, _ = random_session(0)
    how = plan(ground(rough_prints(5, 600)), rules(latency=replace(how.rules.latency, may_overtake=False)))

    for seed in range(4):
        _, record = recorded(how, restless(seed, every=3))
        assert verified(how, record).outcome is Outcome.VERIFIED
