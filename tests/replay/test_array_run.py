"""Array policies: one loop, compiled or walked, and the very bytes of a trader who sends the same quotes one by one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st
from tests.replay.outlooks import START, computing
from tests.replay.scene import (
    MINUTE,
    T0,
    ground,
    listing,
    plan,
    rough_bars,
    rough_prints,
    rules,
    seeded_prints,
    sentences,
)
from tests.replay.test_book_watch import with_books
from tests.replay.test_engine import HALF_SPREAD, LOTS, MILLION, ROWS, _figures, _fill_list, _fills_of

from gnomon.errors import Invalid, Refused
from gnomon.exchange import pair_walk
from gnomon.exchange.listing import Filters
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import FeeAsset, Fees, Fills, Latency, Leg, Resting, Rules, Taker
from gnomon.market.block_index import BlockIndex
from gnomon.replay import array_course, array_run
from gnomon.replay.array_run import play_quotes
from gnomon.replay.bodies import Branch
from gnomon.replay.divergence import first_divergence
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again
from gnomon.replay.runners import print_by_print
from gnomon.trader.limits import Limits
from gnomon.trader.panel import PrintPanel, Quotes
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS

Told = Callable[[PrintPanel], Quotes]


class Policy(Strategy):
    """Says what it was given to say."""

    said: Any = None

    def quotes(self, panel: PrintPanel) -> Quotes:
        said: Quotes = type(self).said(panel)
        return said


def policy(said: Told) -> Strategy:
    return type("Made", (Policy,), {"said": staticmethod(said)})()


def hand(quotes: Quotes, first: int) -> Strategy:
    """The trader that a policy must equal, written apart from `array_run`: by the number of the print."""
    columns = (quotes.at, quotes.bid_ticks, quotes.ask_ticks, quotes.lots)
    rows = {first + at: row for at, *row in zip(*(one.tolist() for one in columns), strict=True)}  # type: ignore[union-attr]  # written out

    class Hand(Strategy):
        def on_trade(self, desk: Any, trade: Any) -> None:
            if trade.position in rows:
                desk.quote_ticks(*rows[trade.position], 0, quotes.post_only, quotes.keep)

    return Hand()


def looped(how: RunPlan, trader: Any, *, has_numba: bool = True) -> tuple[Played, Kept, bool]:
    """A run of a policy, and whether the loop covered it: the compiled one, or that of Python."""
    covered: list[bool] = []
    real = array_course.Course.rehearse

    def rehearse(self: array_course.Course) -> bool:
        covered.append(real(self))
        return covered[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_course.Course, "rehearse", rehearse)
        patch.setattr(array_run, "MANY_QUOTES", 0)
        if not has_numba:
            patch.setattr("gnomon.compiled._is_available", lambda: False)
        kept = Kept()
        return play(how, trader, sink=kept, mode="full"), kept, covered == [True]


# --- the acceptance numbers of engine.md 15.2 -----------------------------------------------------------------------


def around(every: int) -> Strategy:
    def said(panel: PrintPanel) -> Quotes:
        price = panel.price_ticks[every - 1 :: every]
        return Quotes(every, price - HALF_SPREAD, price + HALF_SPREAD, LOTS, keep=False)

    return policy(said)


@pytest.fixture(scope="module")
def million() -> Prints:
    return seeded_prints(MILLION)


@pytest.mark.parametrize("has_numba", [True, False], ids=["compiled", "walked"])
@pytest.mark.parametrize("name", list(ROWS))
def test_the_acceptance_rows_are_met_to_the_last_digit(million: Prints, name: str, has_numba: bool) -> None:
    row = ROWS[name]
    how = plan(ground(million), rules(row.fills, latency=Latency(entry=Leg(row.entry_ns))))
    run, _, is_covered = looped(how, around(row.every), has_numba=has_numba)
    fills = _fills_of(run)
    assert is_covered
    assert (run.fills, *_figures(fills), _fill_list(fills)) == (row.count, row.position, row.cash, row.fees, row.list)
    assert run.balances["A0"] == 10 + Decimal(row.position)
    assert run.balances["USDT"] == 10_000_000 + Decimal(row.cash) - Decimal(row.fees)


QUIET: Any = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [one for one in Phase if one is not Phase.explain],  # compiled runs are too slow to explain
}

# --- equal to the ordinary run --------------------------------------------------------------------------------------


def random_terms(chance: random.Random) -> Rules:
    """Mostly rich, mostly at rest; some accounts run out, some quotes would take."""
    fills = Fills(
        resting=chance.choice(list(Resting)),
        ahead=chance.choice((-1, 0, 6, 40)),
        share=chance.choice((0, 1_000_000, 1_000_000, 300_000, 20_000)),
        taker=chance.choice((Taker.REST, Taker.REST, Taker.AUTO)),
        spread_ticks=chance.choice((0, 1, 3)),
    )
    maker, taker = (chance.choice((0, 50_000, -20_000, 333_333, 1)) for _ in range(2))
    fees = Fees(maker, taker, chance.choice((FeeAsset.QUOTE, FeeAsset.RECEIVED)))
    feed, entry, reply = (Leg(chance.choice((0, 0, 1, 1_000, 50_000_000, 3_000_000_000))) for _ in range(3))
    usdt, base = (10**7, 100_000) if chance.random() < 0.6 else (chance.randint(0, 60), chance.randint(0, 40))
    money = {"USDT": Decimal(usdt), "A0": Decimal(base).scaleb(-3)}
    return Rules(fills, fees, Latency(feed, entry, reply, may_overtake=chance.random() < 0.5), money)


def random_market(chance: random.Random) -> Ground:
    """Equal stamps, unknown sides, jumps; columns as they may be stored."""
    rows = rough_prints(chance.randrange(1_000), chance.choice((1, 60, 300, 600)), 120)
    if chance.random() < 0.5:
        price, lots = rows.price.astype(np.int32), rows.lots.astype(np.int32)
        rows = Prints(rows.time_ns, price, lots, rows.side)  # type: ignore[arg-type]  # as stored where values fit
    filters = chance.choice((
        Filters(), Filters(), Filters(max_orders=1), Filters(min_lots=3, step_lots=2, max_lots=30),
        Filters(min_price_ticks=100, max_price_ticks=140), Filters(min_notional_units=3 * 10**7),
        Filters(bid_up=101_000_000, bid_down=98_000_000, ask_up=102_000_000, ask_down=99_000_000, avg_price_mins=2),
    ))  # fmt: skip
    index = BlockIndex.of_prints(rows.price, rows.lots, rows.side)
    tape = Tape(replace(listing(), filters=filters), rows, index, bars_from_prints(rows, MINUTE_NS))
    return Ground((tape,), MINUTE, bytes(32))


def random_policy(chance: random.Random) -> Told:
    """Around the last price, as a function of the prints so far; some cross the market, some withdraw a side."""
    every, is_at_positions = chance.choice((1, 2, 3, 7, 20)), chance.random() < 0.4
    wide, skew = chance.randint(0, 4), chance.randint(0, 2)
    lots, coarse, gaps = chance.choice((1, 2, 10, 25)), chance.choice((1, 1, 4)), chance.choice((0, 0, 3))
    flags = {"keep": chance.random() < 0.6, "post_only": chance.random() < 0.4}

    def said(panel: PrintPanel) -> Quotes:
        at = np.arange(every - 1, len(panel), every)
        price = np.asarray(panel.price_ticks, np.int64)[at] // coarse * coarse
        bid, ask = price - wide - 1, price + max(1, wide - skew)
        if gaps:
            bid, ask = np.where(at % gaps, bid, 0), np.where((at + 1) % gaps, ask, 0)
        return Quotes(at if is_at_positions else every, bid, ask, lots + at % 2, **flags)

    return said


def random_run(seed: int) -> tuple[RunPlan, Told]:
    chance = random.Random(seed)
    market = random_market(chance)
    first_ns, last_ns = market.span()
    third = (last_ns - first_ns) // 3
    start_ns = first_ns + chance.choice((-1, 0, third))
    end_ns = last_ns + chance.choice((0, 1, 10**10, -third))
    return plan(market, random_terms(chance), window=(start_ns, end_ns)), random_policy(chance)


@settings(max_examples=200, **QUIET)
@given(st.integers(0, 2**32), st.sampled_from((30, 200, 16_384)), st.booleans(), st.sampled_from((8, 1 << 15)))
def test_the_loop_and_a_trader_by_hand_leave_the_same_bytes(
    seed: int, room: int, has_numba: bool, sparse_rows: int
) -> None:
    how, said = random_run(seed)
    note(f"{how.rules}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_course, "EVENTS", room)
        patch.setattr(pair_walk, "SPARSE_ROWS", sparse_rows)
        patch.setattr(pair_walk, "CHUNK_ROWS", 8 * sparse_rows)
        mine, kept, is_covered = looped(how, policy(said), has_numba=has_numba)
    event(f"covered {is_covered}, {'fills' if mine.fills else 'no fill'}, {'rejects' if mine.rejects else 'no reject'}")
    by_hand = Kept()
    other = play_quotes(how, policy(said), sink=by_hand, mode="full", in_one_loop=False)
    assert sentences(mine.told) == sentences(other.told)
    same = first_divergence(Record(kept), Record(by_hand))
    assert mine.digests == other.digests, f"{seed}: {same.sentence} {same.a.record} {same.b.record}"
    assert b"".join(kept.blocks) == b"".join(by_hand.blocks)
    assert kept.prefixes == by_hand.prefixes
    for one in fields(Played):
        assert getattr(mine, one.name) == getattr(other, one.name), one.name


@settings(max_examples=15, **QUIET)
@given(st.integers(0, 2**32))
def test_a_run_of_the_loop_is_verified_from_its_inputs(seed: int) -> None:
    how, said = random_run(seed)
    mine, kept, _ = looped(how, policy(said))
    checked = Record(kept).check()
    assert checked.ok, checked.faults
    again = Kept()
    assert play_again(Record(kept), how, again).digests == mine.digests
    assert b"".join(again.blocks) == b"".join(kept.blocks)
    hashed = play(how, policy(said), mode="digest", keeps=False)
    assert hashed.digests == mine.digests
    assert not hashed.told


@settings(max_examples=15, **QUIET)
@given(st.integers(0, 2**32))
def test_a_policy_at_positions_is_a_trader_who_hears_every_print(seed: int) -> None:
    how, said = random_run(seed)

    def at_positions(panel: PrintPanel) -> Quotes:
        quotes = said(panel)
        return replace(quotes, at=quotes.spread_over(len(panel)).at)

    tape = how.ground.tapes[0].tape
    assert isinstance(tape, Prints)
    first, stop = tape.until(how.start_ns - 1), tape.until(how.end_ns - 1)
    rows = slice(first, stop)
    panel = PrintPanel("t", tape.time_ns[rows], tape.price[rows], tape.lots[rows], tape.side[rows])
    written = at_positions(panel).spread_over(len(panel))
    mine, _, _ = looped(how, policy(at_positions))
    assert mine.digests == play(how, hand(written, first)).digests


# --- what goes the ordinary way -------------------------------------------------------------------------------------


def steady(panel: PrintPanel) -> Quotes:
    price = panel.price_ticks[9::10]
    return Quotes(10, price - 4, price + 4, 5)


TAPE = rough_prints(3, 600, 10_000)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (plan(ground(TAPE), rules(Fills(taker=Taker.AUTO), latency=Latency(entry=Leg(5_000_000_000)))), "one takes"),
        (plan(ground(TAPE, rough_prints(4, 600)), rules(Fills(taker=Taker.REST))), "two instruments"),
        (
            plan(ground(TAPE), rules(Fills(taker=Taker.REST), Fees(1, 1, FeeAsset.OTHER, "A0"))),
            "fees in a third asset",
        ),
        (
            replace(plan(ground(TAPE), rules(Fills(taker=Taker.REST))), limits=Limits(orders_per_bar=3)),
            "the desk's limit",
        ),
        (
            plan(ground(TAPE), rules(Fills(taker=Taker.REST), balances={"USDT": Decimal(2**65).scaleb(-8)})),
            "a balance too large",
        ),
        (plan(with_books(3), rules(Fills(taker=Taker.REST))), "a recorded book"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_the_loop_does_not_cover_is_played_by_hand(how: RunPlan, why: str) -> None:
    mine, _, is_covered = looped(how, policy(steady))
    assert not is_covered, why
    other = play_quotes(how, policy(steady), in_one_loop=False)
    assert mine.digests == other.digests
    assert mine.orders > 0


def test_the_naive_runner_goes_quote_by_quote() -> None:
    how = plan(ground(TAPE), rules(Fills(taker=Taker.REST)))
    mine, _, is_covered = looped(how, policy(steady))
    assert is_covered
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_course.Course, "rehearse", None)  # nobody asks it
        assert play(how, policy(steady), search=print_by_print).digests == mine.digests


def test_a_branch_of_a_policy_says_where_it_came_from() -> None:
    how = plan(ground(TAPE), rules(Fills(taker=Taker.REST)))
    branch = Branch(bytes(range(32)), how.start_ns, 9)
    runs = []
    for in_one_loop in (True, False):
        kept = Kept()
        run = play_quotes(how, policy(steady), sink=kept, mode="full", branch=branch, in_one_loop=in_one_loop)
        assert Record(kept).branch == branch
        assert Record(kept).check().ok
        runs.append(run.digests)
    assert runs[0] == runs[1]


def test_nothing_is_quoted_in_the_warm_up() -> None:
    market = ground(TAPE)
    warm = type("Warm", (Policy,), {"said": staticmethod(steady), "warmup": 1})
    how = plan(market, rules(Fills(taker=Taker.REST), latency=Latency(feed=Leg(1_000))))
    mine, _, is_covered = looped(how, warm())
    assert is_covered
    assert mine.digests == play_quotes(how, warm(), in_one_loop=False).digests
    assert 0 < mine.orders < looped(how, policy(steady))[0].orders


def test_another_hook_beside_quotes_is_called() -> None:
    heard: list[Any] = []

    class Listening(Policy):
        said = staticmethod(steady)

        def on_fill(self, _desk: Any, fill: Any) -> None:
            heard.append(fill)

    mine, _, is_covered = looped(plan(ground(TAPE), rules(Fills(taker=Taker.REST))), Listening())
    assert not is_covered
    assert len(heard) == mine.fills > 0


def test_a_bar_kept_beyond_its_hook_beside_quotes_is_refused_in_debug() -> None:
    class Keeps(Policy):
        said = staticmethod(steady)
        kept: Any = None

        def on_bar(self, _desk: Any, bar: Any) -> None:
            assert self.kept is None or self.kept.time_ns
            self.kept = self.kept or bar

    how = plan(ground(rough_prints(3, 2_000)), rules(Fills(taker=Taker.REST)))
    assert play(how, Keeps()).orders
    with pytest.raises(Refused, match="kept beyond"):
        play(how, Keeps(), debug=True)


def test_what_a_policy_needs_and_the_timeframe_it_reads_are_those_of_its_class() -> None:
    heard: list[tuple[str, int]] = []

    class Listening(Policy):
        said = staticmethod(steady)
        needs = ("momentum",)
        timeframe = "5m"
        wake = {"news": True}  # noqa: RUF012 - class data of a strategy is written so

        def on_forecast(self, desk: Any, issued: Any) -> None:
            bars = desk.candles(0, 1)
            heard.append((issued.forecast.forecaster, int(bars.close_ns[0] - bars.open_ns[0]) if len(bars) else 0))

    rough = rough_prints(3, 700)
    prints = replace(rough, time_ns=START + 10_000_000_000 * np.arange(len(rough)))
    how = computing(ground(prints))
    run, kept, _ = looped(how, Listening())
    assert {name for name, _ in heard} == {"momentum"}
    assert {length for _, length in heard} - {0} == {5 * MINUTE_NS}
    again = Kept()
    assert play_again(Record(kept), how, again).digests == run.digests


def test_without_numba_a_policy_is_walked_and_nothing_compiled_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    how = plan(ground(TAPE), rules(Fills(taker=Taker.REST)))
    mine, _, _ = looped(how, policy(steady))
    monkeypatch.setattr("gnomon.exchange.kernels.quote_on_prints", None)
    other, _, is_covered = looped(how, policy(steady), has_numba=False)
    assert is_covered
    assert mine.digests == other.digests


def test_a_policy_that_looks_ahead_is_refused() -> None:
    def peeks(panel: PrintPanel) -> Quotes:
        price = np.asarray(panel.price_ticks, np.int64)
        return Quotes(1, np.full(len(price), price[-1]), price + 9, 5)

    with pytest.raises(Refused, match="quotes look ahead"):
        play(plan(ground(TAPE), rules()), policy(peeks))


def test_quotes_need_prints_and_no_second_place_to_decide() -> None:
    with pytest.raises(Invalid, match="no instrument here has them"):
        play(plan(ground(rough_bars(1, 50)), rules()), policy(steady))
    both = type("Both", (Policy,), {"said": staticmethod(steady), "on_trade": lambda *_: None})()
    with pytest.raises(Invalid, match="both on_trade and quotes"):
        play(plan(ground(TAPE), rules()), both)


def test_a_window_without_a_print_or_a_quote_is_played() -> None:
    market = ground(TAPE)
    _, last_ns = market.span()
    how = plan(market, rules(), window=(T0, last_ns))
    never = policy(lambda _: Quotes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), 1))
    mine, kept, _ = looped(how, never)
    assert (mine.orders, mine.fills) == (0, 0)
    assert mine.digests == play_quotes(how, never, in_one_loop=False).digests
    assert Record(kept).check().ok
