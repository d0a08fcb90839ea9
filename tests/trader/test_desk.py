"""The desk: what may be read, what may be done, and what is refused, each line of the list in traders.md 8 first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trader.driver import START_NS, ArrayMarket, Drive, ListedNews, bars, listing, prints

from gnomon.clock import Timeframe, iso
from gnomon.errors import Conflict, Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Filters
from gnomon.exchange.order import Amend, Cancel, CancelAll, OrderType, Place, Quote, Replace, Side, TimeInForce
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Rules
from gnomon.forecast.baselines.closed import EWMA
from gnomon.forecast.forecast import Forecast
from gnomon.market.events import CalendarEvent
from gnomon.trader.limits import Limits
from gnomon.trader.market import Issued, Last
from gnomon.trader.orders import Cancelled, Filled, OrderRequest, Pending, Rejected, Working
from gnomon.trader.trader import Strategy
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

Act = Callable[[Any, Any], Any]


class Script(Strategy):
    """Does one thing at the n-th wake, and keeps what came of it."""

    def __init__(self, acts: dict[int, Act]) -> None:
        super().__init__()
        self.acts = acts
        self.wakes_seen = 0
        self.came: dict[int, Any] = {}
        self.orders: list[tuple[int, str]] = []
        self.fills: list[tuple[int, int]] = []

    def _step(self, desk: Any, event: Any) -> None:
        self.wakes_seen += 1
        act = self.acts.get(self.wakes_seen)
        if act is not None:
            try:
                self.came[self.wakes_seen] = act(desk, event)
            except GnomonError as error:
                self.came[self.wakes_seen] = error

    def on_bar(self, desk: Any, bar: Any) -> None:
        self._step(desk, bar)

    def on_trade(self, desk: Any, trade: Any) -> None:
        self._step(desk, trade)

    def on_order(self, desk: Any, order: Any) -> None:
        self.orders.append((desk.now, type(order.state).__name__))

    def on_fill(self, desk: Any, fill: Any) -> None:
        self.fills.append((desk.now, fill.lots))


TAPE = prints([6000 + k % 5 for k in range(60)])
BARS = bars([6000 + 7 * k % 11 for k in range(60)])


def after(tape: Prints | Bars, *acts: Act, **more: Any) -> tuple[Any, Drive]:
    """What came of the last act, each done at a wake of its own, beginning with the fifth."""
    script = Script({5 + k: act for k, act in enumerate(acts)})
    run = Drive(script, tape, **more).run()
    return script.came[4 + len(acts)], run


# --- traders.md 8 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "kind", "message", "hint"),
    [
        (lambda desk, _: desk.buy(lots=0), Invalid, "lots is 0", "positive"),
        (lambda desk, _: desk.buy(qty=-5), Invalid, "qty is -5", "positive"),
        (lambda desk, _: desk.buy(lots=-5), Invalid, "lots is -5", "sell"),
        (lambda desk, _: desk.buy(lots=1.5), Invalid, "lots is 1.5", "qty"),
        (lambda desk, _: desk.buy(qty=float("nan")), Invalid, "nan", "decimal"),
        (lambda desk, _: desk.buy(qty=1, usd=100), Invalid, "qty and usd", "exactly one"),
        (lambda desk, _: desk.buy("BTC/USDD", qty=1), NotFound, "BTC/USDD", "BTC/USD"),
        (lambda desk, _: desk.buy(7, qty=1), NotFound, "7", "BTC/USD"),
        (lambda desk, _: desk.buy(qty=1, tif="GTD"), Invalid, "GTD", "GTC"),
        (lambda desk, _: desk.buy(qty=1, limit=-3), Invalid, "price of -3", "positive"),
        (lambda desk, _: desk.buy(qty=1, post_only=True), Invalid, "post_only", "limit"),
        (lambda desk, _: desk.buy(pct=101), Invalid, "101 percent", "100"),
        (lambda desk, _: desk.buy(qty=1, tp=500.0, sl=700.0), Invalid, "tp", "loss"),
        (lambda desk, _: desk.buy(qty=1, sl=700.0), Invalid, "sl", "before"),
        (lambda desk, _: desk.target({"BTC/USD": 1.2}), Invalid, "1.2", "at most 1"),
        (lambda desk, _: desk.target({"BTC/USD": -0.1}), Invalid, "-0.1", "short"),
        (lambda desk, _: desk.target({"ETH/USD": 0.1}), NotFound, "ETH/USD", "BTC/USD"),
        (lambda desk, _: desk.candles(0, until=desk.now + 1), Refused, "has not come", "now is"),
        (lambda desk, _: desk.trades(0, until=desk.now + 1), Refused, "has not come", "now is"),
        (lambda desk, _: desk.forecast("ewma", issued_by=desk.now + 1), Refused, "has not come", "now is"),
        (lambda desk, _: desk.candles(0, n=0), Invalid, "0 candles", "one"),
        (lambda desk, _: desk.candles(0, timeframe="2q"), Invalid, "2q", "1h"),
        (lambda desk, _: desk.book(0), Unavailable, "order books", "best"),
        (lambda desk, _: desk.at(desk.now, "late"), Invalid, "over", "after"),
        (lambda desk, _: desk.after(-5, "late"), Invalid, "-5", "positive"),
        (lambda desk, _: desk.at(desk.now + 5, ""), Invalid, "without a name", "name"),
        (lambda desk, _: desk.at(desk.now + 5, "\n"), Invalid, "without a name", "name"),
        (lambda desk, _: desk.submit(OrderRequest("BTC/USD", Side.BUY)), Invalid, "0 sizes", "one of"),
        (lambda desk, _: desk.submit(OrderRequest("BTC/USD", Side.BUY, lots=1, client_id="a b")), Invalid, "a b", "36"),
        (
            lambda desk, _: desk.submit(OrderRequest("BTC/USD", Side.BUY, OrderType.LIMIT, lots=1)),
            Invalid, "LIMIT with a price of 0", "price",
        ),
    ],
)  # fmt: skip
def test_a_wrong_argument_raises_with_what_was_received_and_the_way_out(
    act: Act, kind: type[GnomonError], message: str, hint: str
) -> None:
    error, run = after(TAPE, act, news=ListedNews())
    assert type(error) is kind, error
    assert message in error.message
    assert hint in error.hint
    assert run.requests == []
    if kind is Refused:
        assert error.detail["kind"] == "look_ahead"


def test_without_a_price_money_cannot_become_lots() -> None:
    class Early(Strategy):
        def on_start(self, desk: Any) -> None:
            assert desk.price(0) is None
            with pytest.raises(Unavailable, match="no price of BTC/USD"):
                desk.buy(usd=100)
            with pytest.raises(Unavailable, match="no price"):
                desk.target({"BTC/USD": 0.5})

        def on_bar(self, _desk: Any, _bar: Any) -> None: ...

    assert Drive(Early(), TAPE).run().requests == []


def test_below_the_minimum_notional_the_order_comes_back_rejected_with_the_minimum() -> None:
    small = listing(min_notional_units=10 * 10**8, min_lots=5)
    order, run = after(TAPE, lambda desk, _: desk.buy(usd=9), listings=[small])
    assert isinstance(order.state, Rejected)
    assert "below the minimum of 10" in order.state.why
    assert run.requests == []
    assert [name for _, name in run.trader.orders] == ["Rejected"]
    order, _ = after(TAPE, lambda desk, _: desk.buy(lots=4, limit=100), listings=[small])
    assert "minimum of 5 (0.005 BTC)" in order.state.why
    order, _ = after(TAPE, lambda desk, _: desk.sell(), listings=[small])
    assert isinstance(order.state, Rejected)


def test_orders_are_made_to_fit_filters_that_have_changed_and_refused_here_where_they_cannot() -> None:
    wide = Filters(step_ticks=25, step_lots=70, min_notional_units=10 * 10**8)

    def change(desk: Any, _: Any) -> None:
        desk.rules_changed(0, wide)

    order, run = after(TAPE, change, lambda desk, _: desk.buy(qty="0.5", limit="500.13"))
    assert (order.lots, order.price_ticks) == (490, 5000)
    assert [one.place.lots for one in run.trader.came.values() if one is not None] == [490]
    order, run = after(TAPE, change, lambda desk, _: desk.buy(lots=71))
    assert "71 lots are no multiple of 70" in order.state.why
    assert run.requests == []
    order, run = after(TAPE, change, lambda desk, _: desk.buy(qty="0.07", limit=100))
    assert "below the minimum of 10" in order.state.why
    order, _ = after(TAPE, lambda desk, _: desk.buy(lots=71))
    assert not isinstance(order.state, Rejected)


def test_the_51st_order_of_a_bar_is_rejected_and_told_later_and_the_next_bar_begins_anew() -> None:
    def many(desk: Any, _: Any) -> list[Any]:
        return [desk.buy(lots=1, limit=500) for _ in range(51)]

    script = Script({5: many, 60: lambda desk, _: desk.buy(lots=1, limit=500)})
    run = Drive(script, prints([6000] * 70)).run()
    orders = script.came[5]
    assert [isinstance(one.state, Rejected) for one in orders] == [False] * 50 + [True]
    assert "request 51 of this bar: the limit is 50" in orders[50].state.why
    assert len(run.requests) == 51
    assert sum(name == "Rejected" for _, name in script.orders) == 1
    first_told = next(at for at, name in script.orders if name == "Rejected")
    assert first_told > START_NS + 5 * SECOND_NS
    assert isinstance(script.came[60].state, Working)


def test_the_same_client_id_twice_is_one_order() -> None:
    def twice(desk: Any, _: Any) -> list[Any]:
        one = OrderRequest("BTC/USD", Side.BUY, OrderType.LIMIT, lots=5, price=500, client_id="mine/1")
        return [desk.submit(one), desk.submit(replace(one, lots=9))]

    (first, second), run = after(TAPE, twice)
    assert first is second
    assert len(run.requests) == 1
    assert first.id == "mine/1"


# --- seeing -----------------------------------------------------------------------------------------------------------


class Reader(Strategy):
    """Reads all it may at every wake, and trades on it."""

    def on_start(self, _desk: Any) -> None:
        self.read: list[Any] = []

    def on_bar(self, desk: Any, _bar: Any) -> None:
        candles, best = desk.candles(0, 5), desk.best(0)
        self.read.append(
            (desk.now, desk.price(0), candles.close.tolist(), best, desk.equity, desk.panel(3).close.tolist())
        )
        if int(candles.close[-1]) % 2:
            desk.target({"BTC/USD": 0.5})
        elif desk.position_lots():
            desk.close()

    def on_trade(self, desk: Any, trade: Any) -> None:
        tail = desk.trades(0, 7)
        self.read.append((desk.now, desk.price_ticks(), [one.tolist() for one in tail], desk.best(0), desk.equity))
        if trade.price_ticks % 3 == 0:
            desk.buy(lots=2)
        desk.quote_ticks(trade.price_ticks - 3, trade.price_ticks + 3, 5)


def _garbage(tape: Prints | Bars, row: int, seed: int) -> Prints | Bars:
    """The same tape with everything after a row replaced by noise."""
    noise = np.random.default_rng(seed)
    changed = {}
    for name in ("price", "lots") if isinstance(tape, Prints) else ("open", "high", "low", "close", "volume"):
        column = getattr(tape, name).copy()
        column[row + 1 :] = noise.integers(1, 10**6, len(column) - row - 1)
        changed[name] = column
    if isinstance(tape, Bars):
        changed["high"] = np.maximum.reduce([changed["high"], changed["open"], changed["close"], changed["low"]])
        changed["low"] = np.minimum.reduce([changed["low"], changed["open"], changed["close"]])
    return replace(tape, **changed)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 58), st.integers(0, 2**32 - 1), st.booleans())
def test_garbage_after_now_changes_nothing_that_is_read_or_done_before(row: int, seed: int, on_bars: bool) -> None:
    tape = BARS if on_bars else TAPE
    stamps = tape.close_ns if isinstance(tape, Bars) else tape.time_ns
    until_ns = int(stamps[row])
    runs = [Drive(Reader(), one).run() for one in (tape, _garbage(tape, row, seed))]
    before = [[one for one in run.trader.read if one[0] <= until_ns] for run in runs]
    assert len(before[0]) == row + 1
    assert before[0] == before[1]
    decisions = [b"".join(one.pack() for one in run.diary.decisions if one.now_ns <= until_ns) for run in runs]
    assert decisions[0] == decisions[1]


def test_a_source_that_answers_from_the_future_is_not_passed_on() -> None:
    class Broken(ArrayMarket):
        def last(self, instrument: int, now_ns: int) -> Last | None:
            return super().last(instrument, now_ns + SECOND_NS)

        def candles(self, instrument: int, timeframe: Timeframe, n: int, now_ns: int) -> Any:
            return super().candles(instrument, timeframe, n, now_ns + MINUTE_NS)

        def trades(self, instrument: int, n: int, now_ns: int) -> Any:
            return super().trades(instrument, n, now_ns + SECOND_NS)

    one = [listing()]
    for tape, act in (
        (TAPE, lambda desk, _: desk.price(0)),
        (TAPE, lambda desk, _: desk.trades(0, 5)),
        (BARS, lambda desk, _: desk.candles(0, 5)),
    ):
        error, _ = after(tape, act, market=Broken(one, {0: tape}))
        assert isinstance(error, Refused)
        assert error.detail["kind"] == "look_ahead"


def _issued(at_ns: int, n: int) -> Issued:
    levels = (0.1, 0.5, 0.9)
    forecast = Forecast(
        EWMA.name, "1", "baseline", "BTC/USD", Timeframe.parse("1m"), at_ns, 600.0,
        np.array([at_ns]), np.array([at_ns + MINUTE_NS]), levels, np.array([[590.0, 601.0 + n, 612.0]]),
        np.array([0.6]), 7, "hash",
    )  # fmt: skip
    return Issued(f"f{n}", at_ns, forecast)


def test_a_forecast_is_the_newest_that_was_issued_and_its_id_is_in_the_decision() -> None:
    news = ListedNews([_issued(START_NS + k * 10 * SECOND_NS, k) for k in range(5)])
    found, run = after(TAPE, *[lambda desk, _: desk.forecast("ewma", 0, "1m")] * 8, news=news)
    assert found.id == "f1"
    assert (found.median(), found.p_up(), found.quantile(0.9)) == (602.0, 0.6, 612.0)
    assert run.diary.decisions[-1].forecasts == ("f1",)
    with pytest.raises(Invalid, match="step 2"):
        found.median(2)


def test_an_old_or_missing_forecast_is_none_and_its_age_is_noted() -> None:
    news = ListedNews([_issued(START_NS, 0)])
    found, run = after(TAPE, lambda desk, _: desk.forecast("ewma", max_age=SECOND_NS), news=news)
    assert found is None
    assert run.diary.decisions[-1].notes == (f"forecast f0 is {5 * SECOND_NS} ns old, at most {SECOND_NS}",)
    assert run.diary.decisions[-1].forecasts == ()
    assert after(TAPE, lambda desk, _: desk.forecast("fhs"), news=news)[0] is None
    error, _ = after(TAPE, lambda desk, _: desk.forecast("ewma"))
    assert isinstance(error, Unavailable)


def test_the_calendar_shows_what_is_listed_within_reach() -> None:
    def event(n: int, in_ns: int, kind: Any = "cpi") -> CalendarEvent:
        scheduled = START_NS + in_ns
        return CalendarEvent(
            f"s:{n}", "s", kind, "US", "CPI", "high", scheduled, START_NS, START_NS + n * 10 * SECOND_NS
        )

    events = [event(0, HOUR_NS), event(1, HOUR_NS), event(0, 30 * DAY_NS), event(0, HOUR_NS, "nfp")]
    events = [replace(one, id=f"s:{n}") for n, one in enumerate(events)]
    found, _ = after(TAPE, lambda desk, _: desk.calendar(["cpi"]), news=ListedNews(events=events))
    assert [one.id for one in found] == ["s:0"]
    found, _ = after(TAPE, lambda desk, _: desk.calendar(ahead="90d"), news=ListedNews(events=events))
    assert [one.id for one in found] == ["s:0", "s:2", "s:3"]


# --- doing ------------------------------------------------------------------------------------------------------------


def test_nothing_is_known_of_an_order_before_the_reply_is_due() -> None:
    slow = Rules.parse(
        {"preset": "ideal", "fees": {"maker": "0", "taker": "0"},
         "latency": {"entry": {"const_ms": 1_500}, "reply": {"const_ms": 2_200}}}
    )  # fmt: skip
    seen: list[tuple[int, str, int, int]] = []

    class Patient(Strategy):
        order: Any = None

        def on_trade(self, desk: Any, _trade: Any) -> None:
            second = (desk.now - START_NS) // SECOND_NS
            if second == 5:
                self.order = desk.buy(lots=10)
            if self.order is not None:
                seen.append((second, type(self.order.state).__name__, desk.position_lots(), len(desk.fills())))

    Drive(Patient(), TAPE, rules=slow).run()
    # sent at 5, arrives at 6.5, known at 8.7
    assert [one for one in seen if one[0] < 9] == [(s, "Pending", 0, 0) for s in range(5, 9)]
    assert {one[1:] for one in seen if one[0] >= 9} == {("Filled", 10, 1)}


def test_states_carry_their_data_and_hooks_hear_them_in_order() -> None:
    script = Script({
        5: lambda desk, _: desk.buy(lots=10, limit=500.0, label="low"),
        9: lambda desk, _: desk.cancel(script.came[5]),
        12: lambda desk, _: desk.buy(lots=10),
    })  # fmt: skip
    run = Drive(script, TAPE).run()
    low, market = script.came[5], script.came[12]
    assert low.state == Cancelled(START_NS + 9 * SECOND_NS + 1, "on request")
    assert market.state == Filled(START_NS + 12 * SECOND_NS + 1)
    assert (market.executed, low.executed, low.label) == (Decimal("0.010"), 0, "low")
    assert market.average_price == pytest.approx(600.1, abs=0.5)
    assert [name for _, name in script.orders] == ["Working", "Cancelled", "Filled", "Filled"]
    assert script.fills == [(START_NS + 12 * SECOND_NS + 1, 10)]
    assert [type(one) for one in run.requests] == [Place, Cancel, Place]
    assert run.desk.orders() == []
    assert [one.id for one in run.desk.orders(open=False)] == [low.id, market.id]


def test_client_ids_say_run_entry_bar_and_sequence() -> None:
    def two(desk: Any, _: Any) -> list[str]:
        return [desk.buy(lots=1, limit=500).id for _ in range(2)]

    script = Script({5: two, 50: two, 61: two, 62: two})
    run = Drive(script, prints([6000] * 70), digest="abc", deployment="d", entry=37).run()
    head = f"g-{run.plan.run}-11-"
    assert len(run.plan.run) == 10
    ids = [one for at in (5, 50, 61, 62) for one in script.came[at]]
    assert ids == [head + tail for tail in ("0-1", "0-2", "0-3", "0-4", "1-1", "1-2", "1-3", "1-4")]


def test_sizes_in_money_and_percent_become_requests_that_cost_no_more() -> None:
    rules = Rules.parse({"preset": "ideal", "fees": {"maker": "0.001", "taker": "0.001", "asset": "quote"}})
    rules = rules.with_balances({"USD": Decimal(1000)})
    for act, budget in (
        (lambda desk, _: desk.buy(), 1000),
        (lambda desk, _: desk.buy(usd=100), 100),
        (lambda desk, _: desk.buy(pct=25), 250),
        (lambda desk, _: desk.buy(usd="250.5", limit=601), Decimal("250.5")),
        (lambda desk, _: desk.buy(pct=50, stop=610.0, limit=611.0), 500),
    ):
        order, run = after(TAPE, act, rules=rules)
        place = run.requests[0]
        cost = place.quote_units or order.listing.notional(place.price, place.lots)
        assert cost * Decimal("1.001") <= budget * 10**8
        assert cost * Decimal("1.001") > (budget - Decimal("0.7")) * 10**8
        assert not isinstance(order.state, Rejected)


def test_selling_by_money_percent_and_all() -> None:
    script = Script({
        3: lambda desk, _: desk.buy(lots=100),
        6: lambda desk, _: desk.sell(pct=25),
        9: lambda desk, _: desk.sell(usd=30),
        12: lambda desk, _: desk.sell(),
        15: lambda desk, _: desk.close(),
    })  # fmt: skip
    run = Drive(script, TAPE).run()
    lots = [script.came[at].lots for at in (6, 9, 12)]
    assert lots[0] == 25
    assert lots[1] == 30 * 10**8 // run.listings[0].notional(6003, 1)
    assert lots[2] == 100 - lots[0] - lots[1]
    assert script.came[15] is None
    assert run.desk.position() == 0


def test_modify_keeps_the_order_where_it_may_and_replaces_it_where_it_must() -> None:
    script = Script({
        5: lambda desk, _: desk.buy(lots=10, limit=500.0),
        6: lambda desk, _: desk.modify(script.came[5], lots=4),
        8: lambda desk, _: desk.modify(script.came[5], price=501.0),
        9: lambda desk, _: desk.modify(script.came[8], price=501.0),
        10: lambda desk, _: desk.modify(script.came[5], lots=2),
        11: lambda desk, _: desk.cancel_all(),
        13: lambda desk, _: (desk.cancel_all(), desk.cancel(script.came[8])),
    })  # fmt: skip
    run = Drive(script, TAPE).run()
    first, second = script.came[5], script.came[8]
    assert script.came[6] is first
    assert first.lots == 4
    assert isinstance(first.state, Cancelled)
    assert (second.lots, second.price_ticks) == (4, 5010)
    assert script.came[9] is second
    assert isinstance(script.came[10], Conflict)
    assert [type(one) for one in run.requests] == [Place, Amend, Replace, CancelAll]
    assert isinstance(second.state, Cancelled)


def test_a_cancel_may_be_asked_for_before_the_order_is_acknowledged() -> None:
    def both(desk: Any, _: Any) -> Any:
        order = desk.buy(lots=10, limit=500.0)
        assert isinstance(order.state, Pending)
        return desk.cancel(order)

    order, run = after(TAPE, both)
    assert isinstance(order.state, Cancelled)
    assert run.requests[1].client == run.requests[0].client == 1


def test_a_refusal_of_the_venue_is_a_rejected_order_and_never_an_exception() -> None:
    order, run = after(TAPE, lambda desk, _: desk.sell(lots=10))
    assert isinstance(order.state, Rejected)
    assert "insufficient balance" in order.state.why
    assert [name for _, name in run.trader.orders] == ["Rejected"]
    assert run.desk.cash == Decimal(1_000_000)


def test_exact_orders_travel_as_they_stand() -> None:
    wanted = OrderRequest(
        "BTC/USD", Side.BUY, OrderType.STOP_LOSS_LIMIT, qty="0.5", price=610.04, stop=609.96, tif=TimeInForce.IOC
    )
    _, run = after(TAPE, lambda desk, _: desk.submit(wanted))
    place = run.requests[0]
    assert (place.lots, place.price, place.stop, place.tif) == (500, 6100, 6100, TimeInForce.IOC)


def test_limits_of_open_orders_and_notional_come_back_as_rejections() -> None:
    order, _ = after(TAPE, lambda desk, _: desk.buy(qty=10_000))
    assert "100 % of equity" in order.state.why
    fewer = Limits(open_orders=2)
    orders, _ = after(TAPE, lambda desk, _: [desk.buy(lots=1, limit=500) for _ in range(3)], limits=fewer)
    assert [type(one.state).__name__ for one in orders] == ["Working", "Working", "Rejected"]
    error, _ = after(
        TAPE,
        lambda desk, _: desk.buy(lots=1, limit=500),
        lambda desk, _: desk.cancel_all(),
        limits=Limits(orders_per_bar=1),
    )
    assert isinstance(error, Exhausted)


# --- the standing pair ------------------------------------------------------------------------------------------------


def test_quotes_are_requests_and_their_orders_are_known_when_they_are_answered() -> None:
    script = Script({
        5: lambda desk, _: desk.quote(590.04, 610.06, "0.01"),
        8: lambda desk, _: [(one.side, one.price_ticks, type(one.state)) for one in desk.orders()],
        9: lambda desk, _: desk.quote_ticks(5900, 6110, 10),
        11: lambda desk, _: [(one.side, one.price_ticks) for one in desk.orders()],
        12: lambda desk, _: desk.quote(None, 611.0, 0.01),
        14: lambda desk, _: [(one.side, one.price_ticks) for one in desk.orders()],
        15: lambda desk, _: desk.quote_ticks(0, 0, 10),
        17: lambda desk, _: desk.orders(),
    })  # fmt: skip
    rules = Rules.parse({"preset": "ideal"}).with_balances({"USD": Decimal(1000), "BTC": Decimal(1)})
    run = Drive(script, TAPE, rules=rules).run()
    assert run.requests[0] == Quote(0, 5900, 6101, 10, True, False)
    assert script.came[8] == [(Side.BUY, 5900, Working), (Side.SELL, 6101, Working)]
    assert script.came[11] == [(Side.BUY, 5900), (Side.SELL, 6110)]
    assert script.came[14] == [(Side.SELL, 6110)]
    assert script.came[17] == []
    assert run.desk.free_units == 1000 * 10**8


def test_numpys_integers_are_taken_for_what_they_are_and_fractions_refused_at_once() -> None:
    """An int64 that went through would fail where its money is packed, at the run's end."""

    def played(number: Any) -> Any:
        script = Script({
            5: lambda desk, _: desk.quote_ticks(number(5900), number(6110), number(10), number(0)),
            9: lambda desk, _: desk.buy(lots=number(7)),
        })  # fmt: skip
        rules = Rules.parse({"preset": "ideal"}).with_balances({"USD": Decimal(1000), "BTC": Decimal(1)})
        return Drive(script, TAPE, rules=rules).run()

    plain, numpys = played(int), played(np.int64)
    assert plain.requests == numpys.requests
    assert {type(value) for value in numpys.requests[0][:4]} == {int}
    assert type(numpys.requests[1].lots) is int
    for wrong in (59.5, np.float64(5900), "5900", None):
        error, _ = after(TAPE, lambda desk, _, wrong=wrong: desk.quote_ticks(5900, wrong, 10))
        assert isinstance(error, Invalid)
        assert "ask_ticks is" in str(error)


def test_a_side_that_the_venue_refuses_is_told_and_the_other_one_stands() -> None:
    script = Script({5: lambda desk, _: desk.quote_ticks(5900, 6100, 10), 9: lambda desk, _: desk.orders()})
    Drive(script, TAPE).run()  # no BTC to sell
    assert [name for _, name in script.orders] == ["Working", "Rejected"]
    assert [one.side for one in script.came[9]] == [Side.BUY]


def test_quotes_beyond_the_limit_of_the_bar_are_rejected_and_the_next_bar_may_quote_again() -> None:
    class Eager(Strategy):
        def on_start(self, _desk: Any) -> None:
            self.why: list[str] = []

        def on_trade(self, desk: Any, _trade: Any) -> None:
            desk.quote_ticks(5000, 7000, 1)

        def on_order(self, _desk: Any, order: Any) -> None:
            if isinstance(order.state, Rejected) and not order.state.why.startswith("insufficient"):
                self.why.append(order.state.why)

    run = Drive(Eager(), prints([6000] * 100), limits=Limits(orders_per_bar=40)).run()
    # 59 wakes before the first bar ends, 41 in the second
    assert len(run.requests) == 80
    assert run.trader.why == ["request 41 of this bar: the limit is 40"] * 20


# --- timers, chance, words --------------------------------------------------------------------------------------------


def test_timers_fire_at_their_instant_once_or_again_and_again() -> None:
    class Timed(Strategy):
        def on_start(self, desk: Any) -> None:
            self.rang: list[tuple[str, int]] = []
            desk.after("10s", "once")
            desk.every(7 * SECOND_NS, "often")
            desk.at(iso(START_NS + 3 * SECOND_NS), "iso")

        def on_timer(self, desk: Any, name: str) -> None:
            self.rang.append((name, (desk.now - START_NS) // SECOND_NS))

    rang = Drive(Timed(), TAPE, end_ns=START_NS + 30 * SECOND_NS).run().trader.rang
    assert rang == [("iso", 3), ("often", 7), ("once", 10), ("often", 14), ("often", 21), ("often", 28)]


def test_chance_belongs_to_its_name_and_number() -> None:
    def draw(order: str) -> dict[str, list[float]]:
        drawn: dict[str, list[float]] = {"a": [], "b": []}

        def act(desk: Any, _: Any) -> None:
            for name in order:
                drawn[name].append(float(desk.rng(name).random()))

        after(TAPE, act, seed=7)
        return drawn

    assert draw("aabb") == draw("bbaa") == draw("abab")
    assert len(set(draw("aabb")["a"])) == 2


def test_finish_ends_the_run_in_good_order_even_past_a_broad_except() -> None:
    def stubborn(desk: Any, _: Any) -> None:
        try:
            desk.finish("enough")
        except Exception:  # a user's
            raise AssertionError("it was stopped") from None

    script = Script({5: stubborn})
    run = Drive(script, TAPE).run()
    assert run.finished == "enough"
    assert script.wakes_seen == 5
    assert run.diary.decisions[-1].notes == ("finished: enough",)


def test_decisions_hold_what_was_read_asked_for_and_said() -> None:
    def act(desk: Any, _: Any) -> None:
        desk.price(0)
        desk.buy(lots=3)
        desk.note("up")
        desk.metric("edge", 0.5)

    run = after(TAPE, act)[1]
    (decision,) = run.diary.decisions
    assert decision.now_ns == START_NS + 5 * SECOND_NS
    assert [one.lots for one in decision.requests] == [3]
    assert (decision.notes, decision.metrics) == (("up",), (("edge", 0.5),))
    again = after(TAPE, act)[1].diary.decisions[0]
    assert again == decision
    moved = replace(TAPE, price=np.where(np.arange(60) == 4, 6001, TAPE.price))
    other = after(moved, act)[1].diary.decisions[0]
    assert other.seen != decision.seen
    assert other.pack() != decision.pack()


def test_a_hook_that_neither_reads_nor_speaks_leaves_no_decision() -> None:
    run = after(TAPE, lambda desk, _: desk.quote_ticks(5900, 6100, 1))[1]
    assert len(run.requests) == 1
    assert run.diary.decisions == []


def test_what_was_heard_is_taken_in_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.trader.desk.KEPT_HEARD", 8)

    class Silent(Strategy):
        def on_trade(self, desk: Any, trade: Any) -> None:
            desk.quote_ticks(trade.price_ticks - 1, trade.price_ticks + 1, 2)

    rules = Rules.parse({"preset": "ideal"}).with_balances({"USD": Decimal(1000), "BTC": Decimal(1)})
    run = Drive(Silent(), TAPE, rules=rules, limits=Limits(orders_per_bar=0)).run()
    assert len(run.desk._heard) <= 8
    held = run.exchange.ledger.balance(0)
    assert run.desk.position() == run.exchange.ledger.assets[0].decimal(held)
    assert len(run.desk.fills()) == sum(type(one).__name__ == "Filled" for one in run.told)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_account_and_the_blotter_agree_with_the_ledger_after_any_orders(data: st.DataObject) -> None:
    n = 40
    acts: dict[int, Act] = {}
    for wake in range(1, n):
        choice = data.draw(st.integers(0, 7), label=f"wake {wake}")
        size, off = data.draw(st.integers(1, 400)), data.draw(st.integers(-4, 4))
        acts[wake] = _acts(size, off)[choice]
    asset = data.draw(st.sampled_from(["quote", "received"]))
    rules = Rules.parse(
        {"fees": {"maker": "0.0002", "taker": "0.001", "asset": asset},
         "fills": {"resting": "touch", "volume_share": data.draw(st.sampled_from(["none", "0.001"]))}}
    ).with_balances({"USD": Decimal(3000), "BTC": Decimal(2)})  # fmt: skip
    run = Drive(Script(acts), prints([6000 + data.draw(st.integers(-5, 5)) for _ in range(n)]), rules=rules).run()
    ledger, desk = run.exchange.ledger, run.desk
    for number in range(2):
        assert desk._account.units(number) == ledger.balance(number)
        assert desk._free_units(number) == ledger.free[number]
    mine = {one.number: one.state.remaining_lots for one in desk.orders()}
    assert mine == {number: order.remaining for number, order in run.exchange.working.orders.items()}


def _acts(size: int, off: int) -> list[Act]:
    return [
        lambda desk, _: desk.buy(lots=size),
        lambda desk, _: desk.sell(lots=size),
        lambda desk, trade: desk.buy(lots=size, limit=trade.price + 0.1 * off),
        lambda desk, trade: desk.sell(lots=size, limit=trade.price + 0.1 * off),
        lambda desk, trade: desk.quote_ticks(trade.price_ticks - 1, trade.price_ticks + 1 + abs(off), size),
        lambda desk, _: desk.cancel_all(),
        lambda desk, _: desk.target({"BTC/USD": size / 401}),
        lambda desk, trade: desk.buy(usd=size, tp=trade.price * 1.0006, sl=trade.price * 0.9994),
    ]
