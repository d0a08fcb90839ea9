"""Bad input, each by its name: at the door of the venue, and through the desk and a whole run.

A reject says the code, why in words, what was received and the limit of the rule; nothing else changes. What is wrong
before it can be a request at all (a NaN is no quantity) is an error at the trader's own call, with the way out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.exchange.venue import BUY, SELL, UNIT, Driver, Venue, accepted, limit, listing, market, refusal, rules, stop
from tests.replay import scene

from gnomon.errors import GnomonError
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.listing import Filters
from gnomon.exchange.naive import NaiveExchange
from gnomon.exchange.order import Amend, Cancel, OrderType, Quote, Replace, Request
from gnomon.exchange.outcome import Refusal
from gnomon.exchange.outcome import Rejected as RejectedByVenue
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Rules
from gnomon.replay.bodies import EndReason, Reject
from gnomon.replay.header import RecordType
from gnomon.replay.run import play
from gnomon.replay.verification import ledger_fault
from gnomon.trader.orders import WORDS, OrderRequest, Rejected
from gnomon.trader.trader import Strategy
from gnomon.units import INT64_MAX

NAN, INF = float("nan"), float("inf")
TAPE = [(1, 100, 10, -1), (5, 100, 10, -1)]  # bid 100, ask 101
STEPS = Filters(min_lots=2, step_lots=2, max_lots=90, min_price_ticks=10, max_price_ticks=1_000,
                min_notional_units=500 * UNIT)  # fmt: skip


# --- at the door of the venue -----------------------------------------------------------------------------------------

AT_THE_DOOR: dict[str, tuple[Request, tuple[str, int, int]]] = {
    "negative quantity": (limit(BUY, 100, -4), ("BAD_COMBINATION", -4, 0)),
    "negative price": (limit(BUY, -100, 10), ("BAD_COMBINATION", -100, 0)),
    "negative stop": (stop(OrderType.STOP_LOSS, BUY, 10, stop=-1), ("BAD_COMBINATION", -1, 0)),
    "negative amount": (market(BUY, quote_units=-1), ("BAD_COMBINATION", -1, 0)),
    "zero quantity": (limit(BUY, 100, 0), ("LOT_SIZE", 0, 0)),
    "zero price": (limit(BUY, 0, 10), ("PRICE_FILTER", 0, 0)),
    "zero market order": (market(BUY, 0), ("LOT_SIZE", 0, 0)),
    "huge quantity": (limit(BUY, 100, 10**30), ("BAD_COMBINATION", INT64_MAX, 0)),
    "huge price": (limit(BUY, 10**30, 10), ("BAD_COMBINATION", INT64_MAX, 0)),
    "huge negative quantity": (limit(BUY, 100, -(10**30)), ("BAD_COMBINATION", -INT64_MAX, 0)),
    "the largest quantity": (limit(BUY, 100, INT64_MAX), ("LOT_SIZE", INT64_MAX, 90)),
    "NaN quantity": (limit(BUY, 100, NAN), ("BAD_COMBINATION", 0, 0)),  # type: ignore[arg-type]  # that is the fault
    "NaN price": (limit(BUY, NAN, 10), ("BAD_COMBINATION", 0, 0)),  # type: ignore[arg-type]  # that is the fault
    "infinite quantity": (limit(BUY, 100, INF), ("BAD_COMBINATION", 0, 0)),  # type: ignore[arg-type]  # that is the fault
    "a fraction of a lot": (limit(BUY, 100, 4.5), ("BAD_COMBINATION", 0, 0)),  # type: ignore[arg-type]  # that is the fault
    "unknown symbol": (limit(BUY, 100, 10, instrument=7), ("UNKNOWN_INSTRUMENT", 7, 0)),
    "unknown symbol in a quote": (Quote(7, 90, 110, 10), ("UNKNOWN_INSTRUMENT", 7, 0)),
    "wrong step": (limit(BUY, 100, 11), ("LOT_SIZE", 11, 2)),
    "too small a quantity": (limit(BUY, 1_000, 1), ("LOT_SIZE", 1, 2)),
    "price off the range": (limit(BUY, 1_001, 10), ("PRICE_FILTER", 1_001, 1_000)),
    "too small notional": (limit(BUY, 100, 4), ("NOTIONAL", 400 * UNIT, 500 * UNIT)),
    "too small notional at the market": (market(SELL, 4), ("NOTIONAL", 400 * UNIT, 500 * UNIT)),
    "insufficient balance to buy": (limit(BUY, 1_000, 90), ("INSUFFICIENT_BALANCE", 90_000 * UNIT, 50_000 * UNIT)),
    "insufficient balance to sell": (limit(SELL, 110, 60), ("INSUFFICIENT_BALANCE", 60 * UNIT, 50 * UNIT)),
    "insufficient balance at the market": (market(SELL, 60), ("INSUFFICIENT_BALANCE", 60 * UNIT, 50 * UNIT)),
    "cancel of an unknown order": (Cancel(0, 99), ("UNKNOWN_ORDER", 99, 0)),
    "amendment of an unknown order": (Amend(0, 99, 2), ("UNKNOWN_ORDER", 99, 0)),
}


@pytest.fixture(params=[Exchange, NaiveExchange], ids=["fast", "naive"])
def venue(request: pytest.FixtureRequest) -> type[Venue]:
    return request.param  # type: ignore[no-any-return]  # pytest has no type for parameters


@pytest.mark.parametrize("name", AT_THE_DOOR)
def test_the_venue_refuses_by_code_value_and_limit_and_nothing_else_changes(venue: type[Venue], name: str) -> None:
    request, expected = AT_THE_DOOR[name]
    driver = Driver(venue, rules({"USD": 50_000, "BTC": 50}), TAPE, listing(filters=STEPS))
    standing = accepted(driver.send(limit(BUY, 90, 10), 1)).number
    before, working = driver.balances(), [one.number for one in driver.open_orders()]
    if name == "insufficient balance to buy":
        expected = (expected[0], expected[1], expected[2] - 900 * UNIT)  # what the order that stands has locked
    outcomes = driver.send(request, 2)
    assert refusal(outcomes) == expected
    assert all(isinstance(one, RejectedByVenue) and type(one.received) is int for one in outcomes)
    assert driver.balances() == before
    assert [one.number for one in driver.open_orders()] == working == [standing]


def test_a_quote_with_a_nan_loses_that_side_and_no_more(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 50_000, "BTC": 50}), TAPE, listing(filters=STEPS))
    outcomes = driver.send(Quote(0, NAN, 120, 10), 2)  # type: ignore[arg-type]  # that is the fault
    (refused,) = [one for one in outcomes if isinstance(one, RejectedByVenue)]
    assert (refused.refusal, refused.received) == (Refusal.BAD_COMBINATION, 0)
    assert [(one.side, one.price) for one in driver.open_orders()] == [(SELL, 120)]
    assert (driver.locked("USD"), driver.locked("BTC")) == (0, 10 * UNIT)


def _filled(venue: type[Venue]) -> tuple[Driver, int]:
    driver = Driver(venue, rules(), [*TAPE, (9, 80, 50, -1)])
    number = accepted(driver.send(limit(BUY, 90, 10), 1)).number
    driver.until(9)
    assert driver.open_orders() == []
    return driver, number


@pytest.mark.parametrize("what", ["cancel", "amend", "replace"])
def test_an_order_that_is_filled_stays_as_it_is(venue: type[Venue], what: str) -> None:
    """The fault of another engine: a late cancel applied the fill a second time."""
    driver, number = _filled(venue)
    before = driver.balances()
    asked = {"cancel": Cancel(0, number), "amend": Amend(0, number, 3), "replace": Replace(number, limit(BUY, 95, 5))}
    for _ in range(3):
        assert refusal(driver.send(asked[what])) == ("UNKNOWN_ORDER", number, 0)
        assert driver.balances() == before


def test_every_code_has_its_words() -> None:
    assert {*WORDS} == {*Refusal}
    assert len({*WORDS.values()}) == len(WORDS)


# --- through the desk -------------------------------------------------------------------------------------------------

PRICES = scene.rough_prints(3, 120)
FILTERED = Filters(min_lots=10, step_lots=10, max_lots=10_000, min_notional_units=50 * 10**8)
"""Of a tick of 0.1 and a lot of 0.001, at a price of about 1,000: 50 USDT are 50 lots."""

Act = Callable[[Any], Any]


def _exact(**more: Any) -> Act:
    """As it stands, past what the desk rounds or sizes itself."""
    asked = {"instrument": "t:A0", "side": BUY, "type": OrderType.LIMIT, "lots": 100, "price_ticks": 9_000} | more
    return lambda desk: desk.submit(OrderRequest(**asked))


AT_THE_CALL: dict[str, tuple[Act, str, str]] = {
    # what is done, and the words of the message and of the hint
    "negative quantity": (_exact(lots=-5), "-5", "positive"),
    "zero quantity": (_exact(lots=0), "0", "positive"),
    "negative price": (lambda desk: desk.buy(qty=1, limit=-3), "-3", "positive"),
    "NaN quantity": (lambda desk: desk.buy(qty=NAN), "nan", "decimal"),
    "NaN price": (lambda desk: desk.buy(lots=10, limit=NAN), "nan", "decimal"),
    "infinite quantity": (lambda desk: desk.buy(qty=INF), "inf", "decimal"),
    "unknown symbol": (lambda desk: desk.buy("BTC/USDD", qty=1), "BTC/USDD", "t:A0"),
}
BY_THE_VENUE: dict[str, tuple[Act, Refusal]] = {
    "huge quantity": (_exact(side=SELL, lots=10**12), Refusal.LOT_SIZE),
    "wrong step": (_exact(lots=105), Refusal.LOT_SIZE),
    "too small notional": (_exact(lots=10), Refusal.NOTIONAL),
    "insufficient balance": (_exact(side=SELL, lots=9_990, price_ticks=20_000), Refusal.INSUFFICIENT_BALANCE),
    "post-only that would take": (_exact(type=OrderType.LIMIT_MAKER, price_ticks=20_000), Refusal.WOULD_TAKE),
    "stop that is met": (
        _exact(type=OrderType.STOP_LOSS, price_ticks=None, stop_ticks=9_000), Refusal.WOULD_TRIGGER,
    ),
}  # fmt: skip


class Once(Strategy):
    """Does one thing at its tenth print, and listens."""

    act: Any = None

    def on_start(self, _desk: Any) -> None:
        self.calls, self.came, self.told = 0, None, []

    def on_trade(self, desk: Any, _trade: Any) -> None:
        self.calls += 1
        if self.calls == 10:
            self.before = desk.cash_units, desk.position_lots(), len(desk.orders())
            try:
                self.came = type(self).act(desk)
            except GnomonError as error:
                self.came = error
        if self.calls == 60:
            self.after = desk.cash_units, desk.position_lots(), len(desk.orders())

    def on_order(self, _desk: Any, order: Any) -> None:
        self.told.append(order)


def _plan(prints: Prints = PRICES) -> tuple[Any, Rules]:
    how = scene.plan(scene.ground(prints), scene.rules(balances={"USDT": Decimal(10_000), "A0": Decimal(1)}))
    tape = how.ground.tapes[0]
    filtered = replace(tape, listing=replace(tape.listing, filters=FILTERED))
    return replace(how, ground=replace(how.ground, tapes=(filtered,))), how.rules


def _done(act: Act) -> tuple[Any, Any, Any]:
    """The trader, what came of the run, and its Record."""
    how, _ = _plan()
    trader = type("Acts", (Once,), {"act": staticmethod(act)})()
    run, record = scene.recorded(how, trader)
    return trader, run, record


def _is_untouched(trader: Any, run: Any, record: Any) -> None:
    assert trader.before == trader.after
    assert run.balances == {"USDT": Decimal(10_000), "A0": Decimal(1)}
    assert run.fills == 0
    assert ledger_fault(record) == ""
    kinds = {one.type for one in record.entries()}
    assert not kinds & {RecordType.ACCEPT, RecordType.FILL, RecordType.ORDER}


@pytest.mark.parametrize("name", AT_THE_CALL)
def test_the_desk_refuses_at_the_call_and_nothing_is_sent(name: str) -> None:
    act, received, hint = AT_THE_CALL[name]
    trader, run, record = _done(act)
    assert isinstance(trader.came, GnomonError), trader.came
    assert received in trader.came.message
    assert hint in trader.came.hint
    _is_untouched(trader, run, record)
    assert not any(one.type is RecordType.REQUEST for one in record.entries())


@pytest.mark.parametrize("name", BY_THE_VENUE)
def test_a_refused_order_comes_back_with_its_reason_and_the_record_has_code_value_and_limit(name: str) -> None:
    act, code = BY_THE_VENUE[name]
    trader, run, record = _done(act)
    assert isinstance(trader.came.state, Rejected), trader.came
    why = trader.came.state.why
    _is_untouched(trader, run, record)
    found = [one.body for one in record.entries() if one.type is RecordType.REJECT]
    if found:
        (body,) = found
        assert isinstance(body, Reject)
        assert body.code == code
        assert WORDS[code] in why
        assert (body.received, body.limit) != (0, 0)
        assert trader.told == [trader.came]
    else:  # the desk knew the rule, and spared the way
        assert not any(one.type is RecordType.REQUEST for one in record.entries())
        assert any(character.isdigit() for character in why), why


def test_a_cancel_that_comes_after_the_fill_is_refused_and_changes_nothing() -> None:
    """Sent before the trader could know; at the venue the order was filled already."""

    class Late(Strategy):
        def on_start(self, _desk: Any) -> None:
            self.order = None
            self.calls = 0

        def on_trade(self, desk: Any, trade: Any) -> None:
            self.calls += 1
            if self.calls == 10:
                self.order = desk.buy(lots=100, limit=(trade.price_ticks + 100) / 10)
                desk.cancel(self.order)

    how, _ = _plan()
    run, record = scene.recorded(how, Late())
    rejects = [one.body for one in record.entries() if one.type is RecordType.REJECT]
    assert [one.code for one in rejects] == [Refusal.UNKNOWN_ORDER]
    assert run.fills == len([one for one in record.entries() if one.type is RecordType.FILL]) > 0
    assert run.balances["A0"] == Decimal("1.1")
    assert ledger_fault(record) == ""


def test_an_order_that_would_arrive_after_the_close_of_the_window_never_is_at_the_venue() -> None:
    class Last(Strategy):
        def on_trade(self, desk: Any, trade: Any) -> None:
            if trade.position == len(PRICES) - 1:
                desk.buy(lots=100)

    how, _ = _plan()
    how = replace(how, rules=replace(how.rules, latency=replace(how.rules.latency, entry=scene.Leg(10**9))))
    run, record = scene.recorded(how, Last())
    kinds = [one.type for one in record.entries()]
    assert kinds.count(RecordType.REQUEST) == 1
    assert not {RecordType.ACCEPT, RecordType.REJECT, RecordType.FILL} & {*kinds}
    assert run.balances == {"USDT": Decimal(10_000), "A0": Decimal(1)}
    assert play(how, Last()).digests == run.digests


def test_nothing_is_heard_of_a_trader_after_the_call_in_which_it_finished() -> None:
    """What it asked for in that call is still on its way; it is asked nothing more, and money stays whole."""

    class Ends(Strategy):
        calls = 0

        def on_trade(self, desk: Any, _trade: Any) -> None:
            type(self).calls += 1
            try:
                desk.finish("enough")
            finally:
                desk.buy(lots=100)

    how, _ = _plan()
    run, record = scene.recorded(how, Ends())
    assert Ends.calls == 1
    assert run.reason is EndReason.STOPPED
    assert sum(one.type is RecordType.REQUEST for one in record.entries()) <= 1
    assert ledger_fault(record) == ""
