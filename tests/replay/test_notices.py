"""What is told at known instants: phases, best quotes, silences; and silence itself until a warm-up is over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.replay.outlooks import at, event, grounded, said, steady_bars
from tests.replay.scene import Restless, ground, linear, listing, plan, random_rules, recorded, rough_prints, rules
from tests.replay.test_ghost import verified

from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.exchange.rules import Latency, Leg
from gnomon.market.quotes import Quotes
from gnomon.replay.notices import NoticeStream, phases
from gnomon.replay.run import RunPlan, play
from gnomon.replay.streams import NEVER_NS
from gnomon.replay.verification import Outcome
from gnomon.trader.trader import Strategy
from gnomon.units import DAY_NS, MINUTE_NS, Grid


def quotes_of(seed: int, n: int, first_ns: int, number: int = 0) -> Quotes:
    """Some rows say what the one before said; some share a stamp."""
    chance = np.random.default_rng(seed)
    bid = 10_000 + np.cumsum(chance.choice([0, 0, 1, -1], n))
    times = first_ns + np.cumsum(chance.choice([0, 5_000_000, 700_000_000], n))
    sizes = chance.integers(1, 3, (2, n))
    one = listing(number)
    return Quotes(one.id, Grid(one.tick), Grid(one.lot), times, times, bid, sizes[0], bid + 2, sizes[1])


class Hears(Strategy):
    """Keeps everything that it is told."""

    def on_start(self, desk: Any) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.start = desk.now

    def on_session(self, desk: Any, phase: str) -> None:
        self.told.append((desk.now, "session", phase))

    def on_quote(self, desk: Any, quote: Any) -> None:
        self.told.append((desk.now, "quote", *quote))
        if quote.bid_lots == 2:
            desk.buy(quote.instrument, lots=1)

    def on_degraded(self, desk: Any, reason: str) -> None:
        self.told.append((desk.now, "degraded", reason))
        desk.note(reason)

    def on_trade(self, desk: Any, trade: Any) -> None:
        self.told.append((desk.now, "trade", trade.position))

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.told.append((desk.now, "bar", bar.time_ns))

    def on_calendar(self, desk: Any, one: Any) -> None:
        self.told.append((desk.now, "calendar", one.id))

    def on_forecast(self, desk: Any, issued: Any) -> None:
        self.told.append((desk.now, "forecast", issued.id))

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [one for one in self.told if one[1] in kinds]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0, 30_000_000]))
def test_best_quotes_are_told_at_every_change_of_theirs(seed: int, feed_ns: int) -> None:
    market = ground(rough_prints(seed, 200), rough_prints(seed + 1, 200))
    first_ns = market.span()[0]
    recorded_quotes = {number: quotes_of(seed + number, 60, first_ns + 10**9, number) for number in (0, 1)}
    how = plan(replace(market, quotes=recorded_quotes), rules(latency=Latency(Leg(feed_ns), Leg(0), Leg(0))))
    trader = Hears()
    _, record = recorded(how, trader)
    expected: list[tuple[int, ...]] = []
    for number, one in recorded_quotes.items():
        last: tuple[int, ...] = ()
        for row in range(len(one)):
            now = tuple(int(column[row]) for column in (one.bid, one.ask, one.bid_qty, one.ask_qty))
            known_ns = int(one.time_ns[row]) + feed_ns
            if now != last and known_ns < how.end_ns:
                expected.append((known_ns, number, *now))
            last = now
    told = [(now, number, *rest) for now, _, number, stamp, *rest in trader.of("quote") if stamp == now]
    assert told == sorted(expected, key=lambda one: one[:2])
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_a_session_opens_begins_its_days_and_closes() -> None:
    bars = steady_bars(1, 3 * 24 * 60)
    how = plan(ground(bars), rules())
    trader = Hears()
    _, record = recorded(how, trader)
    start, end = how.start_ns, how.end_ns
    days = [(start + day * DAY_NS, "session", "day") for day in range(4) if start + day * DAY_NS < end - 1]
    assert trader.of("session") == [(start, "session", "open"), *days, (end - 1, "session", "close")]
    assert trader.told[0][2] == "open"
    assert trader.told[-1][2] == "close"
    assert verified(how, record).outcome is Outcome.VERIFIED
    assert phases(5, 6) == [(5, "open"), (5, "close")]


def test_a_trading_day_is_told_its_date() -> None:
    class Daily(Strategy):
        def on_start(self, _desk: Any) -> None:
            self.dates: list[str] = []

        def run_trading_session(self, date: str) -> None:
            self.dates.append(date)

        def on_bar(self, desk: Any, bar: Any) -> None: ...

    trader = Daily()
    play(plan(ground(steady_bars(1, 2 * 24 * 60)), rules()), trader)
    assert trader.dates[:2] == ["2023-11-14", "2023-11-15"]


@pytest.mark.parametrize("feed_ns", [0, 90])
def test_a_tape_that_is_silent_for_three_bars_is_said_once_for_each_silence(feed_ns: int) -> None:
    market = ground(rough_prints(5, 300), rough_prints(6, 300))
    times = market.tapes[0].tape.time_ns.copy()
    times[100:] += 4 * MINUTE_NS
    times[200:] += 10 * MINUTE_NS
    market = ground(replace(market.tapes[0].tape, time_ns=times), market.tapes[1].tape)  # type: ignore[arg-type]  # prints
    how = plan(market, rules(latency=Latency(Leg(feed_ns), Leg(0), Leg(0))))
    trader = Hears()
    _, record = recorded(how, trader)
    first, second = (int(times[row]) + feed_ns + 3 * MINUTE_NS for row in (99, 199))
    of_other = int(market.tapes[1].tape.time_ns[-1]) + feed_ns + 3 * MINUTE_NS
    assert trader.of("degraded") == sorted(
        [(first, "degraded", "stale feed: t:A0"), (second, "degraded", "stale feed: t:A0"),
         (of_other, "degraded", "stale feed: t:A1")]
    )  # fmt: skip
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_what_is_told_at_one_instant_comes_in_the_order_of_lanes() -> None:
    bars = steady_bars(1, 30)
    one = listing(0)
    now = np.array([at(5)])
    quotes = Quotes(
        one.id, Grid(one.tick), Grid(one.lot), now, now, now * 0 + 9, now * 0 + 1, now * 0 + 11, now * 0 + 1
    )
    market = grounded(bars, stated=[said(0, at(5), 1.1)], events=[event(1, at(9), at(5))])
    trader = Hears()
    play(plan(replace(market, quotes={0: quotes}), rules()), trader)
    assert [what for now_ns, what, *_ in trader.told if now_ns == at(5)] == ["bar", "quote", "calendar", "forecast"]


def test_a_stream_tells_rows_until_something_is_wanted_or_due() -> None:
    class Desk:
        now_ns, outbox, is_deciding = 0, [], False

    told: list[int] = []

    def tell(desk: Any, row: int) -> None:
        told.append(row)
        desk.is_deciding = row == 3

    stream, desk = NoticeStream([10, 20, 20, 30, 40], tell, 9), Desk()
    stream.run(desk, 20)
    assert (told, stream.told, stream.next_ns, desk.now_ns) == ([0], (0, 1, 1, 10), 20, 10)
    stream.run(desk, 100)
    assert (told, stream.told, stream.is_flowing) == ([0, 1, 2, 3], (1, 4, 3, 20), False)
    desk.is_deciding = False
    stream.run(desk, 41)
    assert (stream.next_ns, stream.is_flowing, told[-1]) == (NEVER_NS, True, 4)
    assert NoticeStream([], tell, 9).next_ns == NEVER_NS


# --- warm-up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed_ns", [0, 1_000])
@pytest.mark.parametrize("warmup", [1, 4])
def test_hooks_are_silent_until_enough_bars_can_be_read(warmup: int, feed_ns: int) -> None:
    class Warm(Hears):
        def on_bar(self, desk: Any, bar: Any) -> None:
            super().on_bar(desk, bar)
            self.told.append((desk.now, "read", min(len(desk.candles(n, 99)) for n in (0, 1))))

    Warm.warmup = warmup
    market = ground(rough_prints(5, 3_000), rough_prints(6, 3_000))
    quotes = {0: quotes_of(1, 300, market.span()[0])}
    how = plan(replace(market, quotes=quotes), rules(latency=Latency(Leg(feed_ns), Leg(0), Leg(0))))
    trader = Warm()
    _, record = recorded(how, trader)
    ready_ns = max(int(one.bars.close_ns[warmup - 1]) for one in market.tapes) + feed_ns
    assert trader.start == how.start_ns
    assert trader.told[0][0] >= ready_ns
    loud = Hears()
    play(how, loud)
    assert trader.of("trade", "quote", "bar", "degraded") == [
        one for one in loud.of("trade", "quote", "bar", "degraded") if one[0] >= ready_ns
    ]
    assert next(one[2] for one in trader.of("read")) >= warmup
    assert verified(how, record).outcome is Outcome.VERIFIED


def test_bars_before_the_window_count_and_can_be_read_at_the_start() -> None:
    class Warm(Strategy):
        warmup = 20

        def on_start(self, desk: Any) -> None:
            self.at_start = len(desk.candles(0, 50))
            self.bars: list[int] = []

        def on_bar(self, desk: Any, _bar: Any) -> None:
            self.bars.append(desk.now)

    trader = Warm()
    run = play(plan(ground(steady_bars(1, 60)), rules(), window=(at(24), at(40))), trader)
    assert (trader.at_start, trader.bars[0]) == (25, at(25))
    assert (
        json.loads(_config(plan(ground(steady_bars(1, 60)), rules(), window=(at(24), at(40))), Warm()))["warmup_bars"]
        == 20
    )
    assert run.fills == 0


def _config(how: RunPlan, trader: Strategy) -> str:
    _, record = recorded(how, trader)
    return record.genesis.config


def test_a_warm_up_that_the_window_does_not_hold_is_refused() -> None:
    kind = type("Slow", (Hears,), {"warmup": 31})
    with pytest.raises(Invalid, match="a warm-up of 31 bars, t:A0 has 30 of 1m"):
        play(plan(ground(steady_bars(1, 30)), rules()), kind())


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (("trades",), "needs trades, which t:A0 does not have"),
        (("quotes",), "needs quotes, which t:A0 does not have"),
        (("calendar",), "needs calendar, which this session does not have"),
        (("book",), "needs book"),
        (("news",), "needs news"),
        (("ewma",), "needs forecasts of 'ewma', and none is stored"),
    ],
)
def test_what_is_needed_and_is_not_there_is_refused_before_the_run(needs: Sequence[str], message: str) -> None:
    kind = type("Needy", (Hears,), {"needs": needs})
    with pytest.raises(Unavailable, match=message) as caught:
        play(plan(ground(steady_bars(1, 30)), rules()), kind())
    assert caught.value.hint


def test_what_is_needed_and_is_there_is_not_asked_for_again() -> None:
    kind = type("Needy", (Hears,), {"needs": ("trades", "quotes", "calendar", "oracle")})
    prints = rough_prints(1, 400)
    market = grounded(stated=[said(0, int(prints.time_ns[9]), 1.1)], events=[event(1, at(9), at(5))])
    full = replace(ground(prints), archive=market.archive, quotes={0: quotes_of(1, 9, int(prints.time_ns[3]))})
    trader = kind()
    play(plan(full, rules()), trader)
    assert trader.of("forecast")
    misspelt = type("Needy", (Hears,), {"needs": ("oracel",)})
    with pytest.raises(NotFound, match="no forecasts of 'oracel'") as caught:
        play(plan(full, rules()), misspelt())
    assert "oracle" in caught.value.hint


# --- all together ---------------------------------------------------------------------------------------------------


def restless_listener(seed: int) -> Strategy:
    """Restless at whatever it is told, of every kind; its timers, orders, fills and crossings among them."""
    chance = np.random.default_rng(seed)

    def acts(self: Any, desk: Any, _event: Any) -> None:
        self.seen.append((desk.now, "told"))
        self.try_one(desk)

    def crosses(self: Any, desk: Any, trade: Any) -> None:
        acts(self, desk, trade)
        if self.chance.random() < 0.3:
            way = self.chance.choice(["up", "down"])
            desk.price_cross(
                way, instrument=trade.listing.number, price_ticks=trade.price_ticks + self.chance.randint(-3, 3)
            )

    def hears(self: Any, desk: Any, change: Any) -> None:
        if self.chance.random() < 0.1:  # what it does is answered, and that is heard too
            acts(self, desk, change)

    kinds = ("session", "quote", "degraded", "forecast", "calendar", "bar")
    hooks: dict[str, Any] = {f"on_{kind}": acts for kind in kinds if chance.random() < 0.7}
    hooks |= {f"on_{kind}": hears for kind in ("order", "fill") if chance.random() < 0.5}
    wake = {
        "every_nth_print": int(chance.choice([0, 3, 20])),
        "volume": int(chance.choice([0, 200])),
        "price_cross": (9_995, -9_990) if chance.random() < 0.5 else (),
    }
    more = {"dice": seed, "instruments": 2, "on_trade": crosses, "wake": wake, "warmup": int(chance.choice([0, 1]))}
    return type("Everything", (Restless,), hooks | more)()


def of_everything(seed: int) -> RunPlan:
    """Two tapes with quotes, forecasts and a calendar."""
    market = ground(rough_prints(seed, 400), rough_prints(seed + 50, 400))
    first_ns, last_ns = market.span()
    chance = np.random.default_rng(seed)
    times = sorted(chance.integers(first_ns, last_ns, 20).tolist())
    archive = grounded(
        stated=[said(int(at_ns % 2), at_ns, chance.uniform(0.9, 1.1)) for at_ns in times],
        events=[event(n, at_ns + 10**9, at_ns) for n, at_ns in enumerate(times[::3])],
    ).archive
    quotes = {number: quotes_of(seed + number, 40, first_ns, number) for number in (0, 1)}
    return plan(replace(market, archive=archive, quotes=quotes), random_rules(seed), seed)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_wakes_a_trader_comes_again_from_its_record(seed: int) -> None:
    how, trader = of_everything(seed), restless_listener(seed)
    run, record = recorded(how, trader)
    assert len(trader.seen) > 20  # type: ignore[attr-defined]  # every restless one keeps what it saw
    assert verified(how, record).outcome is Outcome.VERIFIED
    again = restless_listener(seed)
    assert play(how, again, search=linear).digests == run.digests
    assert again.seen == trader.seen  # type: ignore[attr-defined]  # as above
