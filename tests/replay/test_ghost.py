"""The ghost: a run is the same again from its inputs alone, and not from any other's."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.replay.scene import (
    ground,
    listing,
    plan,
    random_session,
    recorded,
    restless,
    rough_bars,
    rough_prints,
    rules,
)
from tests.replay.test_book_watch import with_books

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
    Status,
    TimeInForce,
)
from gnomon.exchange.rules import Latency, Leg
from gnomon.replay.bodies import Accept, EndReason, Fill, Genesis, OrderChange, Wake
from gnomon.replay.ghost import Script, requests
from gnomon.replay.header import RecordType
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, Stage, play, play_again
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
    stage = Stage.set(how, kept, "full", keeps=False)
    stage.attach(Wake(0, 0, 0, (), ()))
    engine = stage.engine([], Blunt(), lambda _tape, _index, _start, stop, _bounds: stop)
    stage.run(engine, lambda: (engine.start(), engine.run())[0], lambda: None)
    found = list(requests(Record(kept)))
    assert [number for number, _ in found] == list(range(1, len(EVERY_REQUEST) + 1))
    assert tuple(request for _, request in found) == EVERY_REQUEST
    said = Script.of(Record(kept)).said
    assert tuple(said[0][0].requests) == EVERY_REQUEST


def test_a_trader_that_hears_only_once_it_guards_a_position_is_verified() -> None:
    """Own events that nobody listened for may be due with others that somebody did."""
    how, _ = random_session(0)
    how = plan(ground(rough_prints(5, 600)), rules(latency=replace(how.rules.latency, may_overtake=False)))

    for seed in range(4):
        _, record = recorded(how, restless(seed, every=3))
        assert verified(how, record).outcome is Outcome.VERIFIED


@pytest.mark.parametrize(
    "filter_",
    [
        {"closed_bars": True}, {"every_nth_print": 3}, {"volume": 50}, {"price_cross": (10_000,)}, {"quotes": True},
        {"session": True}, {"degraded": True}, {"news": True},
    ],
    ids=lambda one: next(iter(one)),
)  # fmt: skip
def test_a_filter_that_no_hook_hears_wakes_nobody_when_its_run_is_verified(filter_: dict[str, Any]) -> None:
    class Clocked(Strategy):
        wake = filter_

        def on_start(self, desk: Any) -> None:
            desk.after(10**9, "a second")

        def on_timer(self, desk: Any, name: str) -> None:
            desk.note(name)

    market = with_books(3)
    best = market.tapes[0].recorded
    assert best is not None
    assert best.quotes is not None
    how = plan(replace(market, quotes={0: best.quotes}), rules())
    _, record = recorded(how, Clocked())
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_a_hook_that_only_sets_a_timer_is_verified() -> None:
    """It asks for nothing and says nothing: the timer alone makes the engine look."""

    class Sets(Strategy):
        def on_trade(self, desk: Any, trade: Any) -> None:
            if trade.position % 5 == 0:
                desk.after(1_000, "tick")

        def on_timer(self, desk: Any, _name: str) -> None:
            desk.buy(lots=1)

    how = plan(ground(rough_prints(3, 300)), rules())
    run, record = recorded(how, Sets())
    assert run.fills > 20
    assert verified(how, record).outcome is Outcome.VERIFIED


# --- ends that a trader makes ---------------------------------------------------------------------------------------


class Ends(Strategy):
    """Rests bids and a holding, and at a wake ends its run in some way with requests in its outbox."""

    def __init__(self, at: int, way: str) -> None:
        super().__init__()
        self.at, self.way, self.calls = at, way, 0

    def on_start(self, desk: Any) -> None:
        desk.every("1s", "tick")
        self.act(desk)

    def on_trade(self, desk: Any, trade: Any) -> None:
        desk.buy(lots=3, limit=trade.price * 0.97)
        desk.buy(lots=1)
        self.act(desk)

    def on_fill(self, desk: Any, fill: Any) -> None:
        desk.note(f"filled {fill.lots}")
        self.act(desk)

    def on_timer(self, desk: Any, name: str) -> None:
        desk.note(name)
        self.act(desk)

    def act(self, desk: Any) -> None:
        self.calls += 1
        if self.calls == self.at:
            desk.note("enough")
            if desk.position_lots():
                desk.close(0)
            if self.way == "finish":
                desk.finish("enough")
            raise ZeroDivisionError(self.way)


CASH = {"USDT": Decimal(10_000_000)}
"""Nothing is held but what was bought."""


def ended(at: int, way: str, how: RunPlan) -> tuple[Played, Record]:
    kept = Kept()
    run = play(how, Ends(at, way), sink=kept, mode="full", raises=False)
    return run, Record(kept)


@pytest.mark.parametrize("seed", [3, 4, 5])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 7, 18, 60, 131])
@pytest.mark.parametrize("way", ["finish", "fail"])
def test_however_a_trader_ends_its_run_is_verified(seed: int, at: int, way: str) -> None:
    latency = Latency(entry=Leg(300_000_000), reply=Leg(200_000_000))
    how = plan(ground(rough_prints(seed, 200)), rules(latency=latency))
    run, record = ended(at, way, how)
    assert (run.reason is EndReason.STOPPED) == (way == "finish")
    found = verified(how, record)
    assert found.outcome is Outcome.VERIFIED, found.steps[-1]


@pytest.mark.parametrize("at", [4, 18, 60])
def test_a_failed_run_cancels_what_is_open_keeps_its_positions_and_says_what_was_raised(at: int) -> None:
    how = plan(ground(rough_prints(3, 200)), rules(balances=CASH))
    run, record = ended(at, "fail", how)
    assert isinstance(run.error, ZeroDivisionError)
    assert (run.reason, run.why) == (EndReason.FAILED, "ZeroDivisionError: fail")
    bodies = [one.body for one in record.entries()]
    opened = {one.order for one in bodies if isinstance(one, Accept)}
    closed = {one.order for one in bodies if isinstance(one, Fill) and one.remaining == 0}
    cancelled = [one for one in bodies if isinstance(one, OrderChange) and one.status == Status.CANCELED]
    assert opened == closed | {one.order for one in cancelled}
    bought = sum(one.lots for one in bodies if isinstance(one, Fill))
    assert run.balances["A0"] == bought * listing().lot > 0, "positions stay"
    locked = [one.amount for one in record.end.balances if one.account == 1] if record.end else [1]
    assert not any(locked)
    assert record.failure is not None
    assert "raise ZeroDivisionError(self.way)" in record.failure.what
    assert record.failure.unsent > 0
    last_asked = max(one.t for one in record.entries() if one.type is RecordType.DELIVER)
    assert {one.t for one in list(record.entries())[-len(cancelled) - 1 :]} == {last_asked}, "it ends where it failed"


def test_what_a_trader_raises_is_raised_unless_it_is_asked_for() -> None:
    how = plan(ground(rough_prints(3, 60)), rules())
    with pytest.raises(ZeroDivisionError, match="fail"):
        play(how, Ends(4, "fail"))
    assert play(how, Ends(4, "fail"), raises=False).digests == play(how, Ends(4, "fail"), raises=False).digests


@pytest.mark.parametrize("entry_ns", [0, 300_000_000])
def test_requests_left_when_a_trader_finishes_are_sent_and_filled(entry_ns: int) -> None:
    how = plan(ground(rough_prints(3, 200)), rules(latency=Latency(entry=Leg(entry_ns)), balances=CASH))
    run, record = ended(60, "finish", how)
    assert run.why == "enough"
    told = [one for one in record.entries() if one.type in (RecordType.DELIVER, RecordType.TIMER)]
    fills = [one for one in record.entries() if one.type is RecordType.FILL]
    last = fills[-1]
    assert isinstance(last.body, Fill)
    assert last.body.side == Side.SELL, "what it held was sold after its last word"
    assert last.t > told[-1].t, "and nobody was told"
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_a_market_order_left_for_the_next_bar_is_filled_at_its_open() -> None:
    class Leaves(Strategy):
        def on_bar(self, desk: Any, _bar: Any) -> None:
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 2:
                desk.buy(lots=5)
            elif self.calls == 5:
                desk.close(0)
                desk.finish("enough")

    late = Latency(entry=Leg(50_000_000_000))  # too late for the open it was decided before
    how = plan(ground(rough_bars(3, 40)), rules(latency=late, balances=CASH))
    run, record = recorded(how, Leaves())
    assert run.fills == 2
    assert run.balances["A0"] == 0
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_a_last_call_that_fails_changes_nothing_but_is_told() -> None:
    class Quiet(Strategy):
        def on_trade(self, desk: Any, trade: Any) -> None:
            desk.buy(lots=3, limit=trade.price * 0.97)

    class Fails(Quiet):
        def on_stop(self, _desk: Any) -> None:
            raise ValueError("at the door")

    class Finishes(Quiet):
        def on_stop(self, desk: Any) -> None:
            desk.finish("already over")

    how = plan(ground(rough_prints(3, 60)), rules())
    quiet = play(how, Quiet())
    kept = Kept()
    found = play(how, Fails(), sink=kept, mode="full", raises=False)
    assert found.digests.fingerprint == quiet.digests.fingerprint
    assert (found.reason, found.why) == (EndReason.WINDOW, "ValueError: at the door")
    failure = Record(kept).failure
    assert failure is not None
    assert "at the door" in failure.what
    assert play(how, Finishes()).reason is EndReason.WINDOW
