"""Runs over recorded books: what the watch passes over would have changed nothing; the future moves no past."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.replay.scene import (
    T0,
    ground,
    linear,
    plan,
    random_rules,
    recorded,
    restless,
    rough_prints,
    rules,
    sentences,
)

from gnomon.errors import Invalid, Unavailable
from gnomon.exchange.book import Book
from gnomon.exchange.outcome import Filled, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import Taker
from gnomon.market.depth import ASK, BID, CHANGE, SNAPSHOT, Depth
from gnomon.market.ladder import Ladder
from gnomon.market.quotes import Quotes
from gnomon.replay import engine
from gnomon.replay.book_watch import BookWatch, book_watches
from gnomon.replay.explain import explain_fill
from gnomon.replay.ground import Ground
from gnomon.replay.needs import ready
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import RunPlan, play, play_again
from gnomon.replay.verification import ledger_fault
from gnomon.replay.view import DepthView
from gnomon.trader.trader import Strategy
from gnomon.units import Grid

SEEDS = range(24)
TICK, LOT = Grid.of("0.1"), Grid.of("0.001")


def rough_recording(seed: int, prints: Prints, layers: str = "both") -> Recorded:
    """Quotes and depth that follow the prints, at their times or a little off; some books cross, some have no end."""
    chance = random.Random(seed)
    at_ns = T0
    quotes, depth = [], []
    for number, (printed_ns, price) in enumerate(zip(prints.time_ns.tolist(), prints.price.tolist(), strict=True)):
        at_ns = max(at_ns, printed_ns + chance.choice([0, 0, 1, 1_000, -1]))
        bid = price - chance.choice([0, 1, 1, 2])
        ask = bid + chance.choice([1, 1, 2, 3, 0])
        if chance.random() < 0.6:
            quotes.append((at_ns, bid, chance.randint(1, 60), ask, chance.randint(1, 60)))
        kind = SNAPSHOT if chance.random() < 0.05 else CHANGE
        for _ in range(chance.randint(1, 6)):
            away, side = chance.randint(0, 5), chance.choice([BID, ASK])
            size = chance.choice([0, 0, *[chance.randint(1, 80) for _ in range(3)]])
            depth.append((at_ns, side, bid - away if side == BID else ask + away, size, kind, number))
    quoted, rows = (np.array(one, np.int64).T.copy() for one in (quotes, depth))
    best = Quotes("t:A0", TICK, LOT, quoted[0], quoted[0], *quoted[1:])
    valid_from_ns = chance.choice([0, 0, int(rows[0][len(rows[0]) // 3])])
    side, price, size, kinds, update = rows[1].astype(np.int8), rows[2], rows[3], rows[4].astype(np.uint8), rows[5]
    book = Depth("t:A0", TICK, LOT, rows[0], rows[0], side, price, size, kinds, update, valid_from_ns)
    return Recorded(best.check() if layers != "depth" else None, Ladder(book.check()) if layers != "quotes" else None)


def with_books(seed: int, rows: int = 300, count: int = 1, layers: str = "both") -> Ground:
    tapes = [rough_prints(10 * seed + number, rows) for number in range(count)]
    found = ground(*tapes)
    return replace(
        found,
        tapes=tuple(
            replace(one, recorded=rough_recording(seed + number, tapes[number], layers))
            for number, one in enumerate(found.tapes)
        ),
    )


def session(seed: int) -> tuple[RunPlan, Any]:
    chance = random.Random(seed)
    how = random_rules(seed)
    taker = chance.choice([Taker.AUTO, Taker.AUTO, Taker.QUOTE, Taker.REST])
    power, ahead = chance.randint(0, 3), chance.choice([-1, -1, 20])
    how = replace(how, fills=replace(how.fills, taker=taker, depth_power=power, ahead=ahead))
    layers, count = chance.choice(["both", "both", "depth", "quotes"]), chance.choice([1, 1, 2])
    market = with_books(seed, 300, count, layers)
    every, hears = chance.choice([1, 3, 20]), chance.random() < 0.5
    return plan(market, how, seed), lambda: restless(seed, every=every, instruments=count, hears=hears)


class Every(BookWatch):
    """Tells every move as soon as an order stands anywhere."""

    __slots__ = ()

    def look(self, stop: int) -> int:
        if self.safe_ns == engine.NEVER_NS or self.clear >= stop:
            return -1
        return self.clear


def every_move(books: Mapping[int, Book], first_source: int) -> list[BookWatch]:
    return [Every(one.book, one._shown, one.source) for one in book_watches(books, first_source)]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_passed_over_would_have_changed_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    how, trader = session(seed)
    run = play(how, trader())
    monkeypatch.setattr(engine, "book_watches", every_move)
    again = play(how, trader(), search=linear)
    assert sentences(run.told) == sentences(again.told)
    assert run.digests == again.digests


@pytest.mark.parametrize("seed", [4, 9, 12, 16])
def test_what_came_while_an_order_stood_for_later_prints_does_not_come_again(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit order that would take stands for prints, then rests: it meets the book from then on, not from before."""
    how, trader = session(seed)
    fills = replace(how.rules.fills, taker=Taker.NEXT_PRINT)
    how = replace(how, rules=replace(how.rules, fills=fills))
    run = play(how, trader())
    times = [at_ns for at_ns, _ in run.told]
    assert times == sorted(times)
    monkeypatch.setattr(engine, "book_watches", every_move)
    assert run.digests == play(how, trader(), search=linear).digests


def test_these_runs_meet_every_rule_of_a_recorded_book() -> None:
    met = {one.rule for seed in SEEDS for _, one in _played(seed) if type(one) is Filled}
    assert {Rule.MAKER_BOOK, Rule.TAKER_WALK, Rule.TAKER_QUOTE, Rule.MAKER_QUEUE, Rule.MAKER_THROUGH} <= met


def _played(seed: int) -> Any:
    how, trader = session(seed)
    return play(how, trader()).told


@pytest.mark.parametrize("seed", [1, 4, 9, 13])
def test_a_record_is_replayed_from_its_inputs_and_its_fills_are_explained(seed: int) -> None:
    how, trader = session(seed)
    run, record = recorded(how, trader())
    kept = Kept()
    play_again(record, how, kept)
    assert Record(kept).end == record.end
    assert ledger_fault(record) == ""
    for number in range(1, min(run.fills, 25) + 1):
        assert explain_fill(record, how.ground, number).sentences


@pytest.mark.parametrize("seed", [2, 5])
def test_what_comes_later_moves_nothing_before_it(seed: int) -> None:
    """A book that is another one after an instant gives the same outcomes until then."""
    how, trader = session(seed)
    tape = how.ground.tapes[0]
    assert tape.recorded is not None
    middle_ns = int(tape.tape.time_ns[len(tape.tape) // 2])
    quotes, ladder = tape.recorded.quotes, tape.recorded.ladder
    if quotes is not None:
        quotes = replace(quotes, bid_qty=np.where(quotes.time_ns > middle_ns, 1, quotes.bid_qty))
    if ladder is not None:
        later = ladder.depth.time_ns > middle_ns
        ladder = Ladder(replace(ladder.depth, size=np.where(later, 7, ladder.depth.size)))
    other = replace(tape, recorded=Recorded(quotes, ladder))
    changed = replace(how, ground=replace(how.ground, tapes=(other, *how.ground.tapes[1:])))
    told, told_of_changed = (
        [f"{at_ns} {one}" for at_ns, one in play(one, trader()).told if at_ns <= middle_ns] for one in (how, changed)
    )
    assert told == told_of_changed
    assert told


def test_a_desk_sees_the_book_as_it_stood() -> None:
    market = with_books(3, layers="depth")
    found = market.tapes[0].recorded
    assert found is not None
    assert found.ladder is not None
    view = DepthView.of(market, feed_ns=50)
    assert view is not None
    for message in (5, 50, 200):
        at_ns = int(found.ladder.time_ns[message])
        book = view.book(0, 3, at_ns + 50)
        rows = found.ladder.rows_until(at_ns)
        if not found.ladder.is_valid(rows):
            assert book is None
            continue
        assert book is not None
        assert book.knowable_ns == at_ns + 50
        assert book.asks == tuple((one.price, one.lots) for one in list(found.ladder.levels(ASK, rows))[:3])
        assert book.bids == tuple((one.price, one.lots) for one in list(found.ladder.levels(BID, rows))[:3])
    assert DepthView.of(with_books(3, layers="quotes"), 0) is None


def test_a_walk_must_begin_where_the_book_is_known() -> None:
    market = with_books(3)
    how = random_rules(3)
    walk = replace(how, fills=replace(how.fills, taker=Taker.WALK))
    with pytest.raises(Invalid, match="may be walked from") as caught:
        plan(market, walk)
    assert "from = " in str(caught.value.hint)
    with pytest.raises(Invalid, match="no book of t:A0 is recorded"):
        plan(with_books(3, layers="quotes"), walk)


def test_a_trader_that_needs_a_book_has_one_where_depth_is_recorded() -> None:
    kind = type("Needy", (Strategy,), {"needs": ("book",), "on_trade": lambda *_: None})
    how = plan(with_books(3), rules())
    assert ready(how, kind()) == how
    with pytest.raises(Unavailable, match="needs book, which t:A0 does not have") as refused:
        ready(plan(with_books(3, layers="quotes"), rules()), kind())
    assert refused.value.hint == "import recorded depth"
