"""Real recorded books: both feeds of Binance, five minutes of quotes, depth and prints each, walked and waited in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gnomon.clock import Timeframe
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import Filled, QuoteKind, Role, Rule
from gnomon.exchange.recorded import DEPTH, Recorded
from gnomon.exchange.rules import Fees, Fills, Latency, Leg, Rules, Taker
from gnomon.market.depth import ASK, BID, Depth, best_prices
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.replay.digests import dataset_digest
from gnomon.replay.explain import explain_fill
from gnomon.replay.ground import Ground, recorded_of, tape_of
from gnomon.replay.listings import Traded, listings
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again
from gnomon.replay.verification import ledger_fault
from gnomon.sources.files.read import read
from gnomon.sources.instruments import shipped_instruments
from gnomon.trader.trader import Strategy

FEEDS = {"usdm_btcusdt_20240808.gz": 1_272_402_468, "spot_btcusdt_20240809.gz": 1_276_159_997}
"""File to the shift of the recorder's clock that its import asks for."""

pytestmark = pytest.mark.slow


class Turns(Strategy):
    """Buys and sells in turn, more than the best level holds."""

    wake: ClassVar[Mapping[str, Any]] = {"every_nth_print": 250}

    def on_start(self, _desk: Any) -> None:
        self._turn = 0

    def on_trade(self, desk: Any, _trade: Any) -> None:
        self._turn += 1
        lots = 3 * desk.book(0, 1).asks[0][1]
        (desk.buy if self._turn % 2 else desk.sell)(0, lots=min(lots, 200_000))


class Joins(Strategy):
    """Stands at the best bid and ask."""

    wake: ClassVar[Mapping[str, Any]] = {"every_nth_print": 50}

    def on_trade(self, desk: Any, _trade: Any) -> None:
        best = desk.best(0)
        desk.quote_ticks(best.bid_ticks, best.ask_ticks, 20, 0, post_only=True)


@cache
def ground(path: Path) -> Ground:
    imported = read(path, instruments=shipped_instruments(), clock_shift_ns=FEEDS[path.name])
    trades, quotes, depth = imported.series
    assert isinstance(trades, Trades)
    assert isinstance(quotes, Quotes)
    assert isinstance(depth, Depth)
    (listing,) = listings([Traded(imported.instruments[0], trades.tick, trades.lot)])
    recorded = recorded_of(imported.series, trades.tick, trades.lot)
    frame = Timeframe.parse("1m")
    tape = tape_of(listing, trades, [], frame, None, recorded)
    return Ground((tape,), frame, dataset_digest([("all", bytes.fromhex(imported.passport.hash))]))


@pytest.fixture(params=FEEDS)
def market(request: pytest.FixtureRequest, shared: Path) -> Ground:
    return ground(shared / "data/hftbacktest_feeds" / request.param)


def book_of(market: Ground) -> Recorded:
    found = market.tapes[0].recorded
    assert found is not None
    return found


def plan(market: Ground, **fills: Any) -> RunPlan:
    ladder = book_of(market).ladder
    assert ladder is not None
    latency = Latency(Leg(5_000_000), Leg(10_000_000))
    fees = Fees(20_000, 50_000)
    rules = Rules(Fills(**fills), fees, latency, {"USDT": Decimal(10_000_000), "BTC": Decimal(100)})
    return RunPlan(market, rules, int(ladder.time_ns[ladder.first_valid]), market.span()[1], 7)


def played(how: RunPlan, trader: Strategy) -> tuple[Played, Record, list[tuple[int, Filled]]]:
    kept = Kept()
    run = play(how, trader, sink=kept, mode="full")
    return run, Record(kept), [(at_ns, one) for at_ns, one in run.told if isinstance(one, Filled)]


def test_the_ladder_is_the_book_that_the_depth_makes(market: Ground) -> None:
    ladder = book_of(market).ladder
    assert ladder is not None
    for number, (row, bid, ask) in enumerate(best_prices(ladder.depth)):
        assert (ladder.best(BID, row + 1), ladder.best(ASK, row + 1)) == (bid, ask)
        if number == 600:
            break


def test_takers_walk_what_was_displayed(market: Ground) -> None:
    how = plan(market, taker=Taker.WALK)
    run, record, fills = played(how, Turns())
    ladder = book_of(market).ladder
    assert ladder is not None
    assert {one.rule for _, one in fills} == {Rule.TAKER_WALK}
    assert sum(one.levels > 1 for _, one in fills) > 20
    had: Counter[int] = Counter()
    for at_ns, one in fills:
        level = ladder.level(ASK if one.side is Side.BUY else BID, one.print_price, ladder.rows_until(at_ns))
        assert level is not None
        assert (level.row, one.print_side, one.quote_kind) == (one.print, DEPTH, QuoteKind.RECORDED)
        had[one.print] += one.lots
        assert had[one.print] <= level.lots
    sentences = " ".join(explain_fill(record, market, 2).sentences)
    assert "of the recorded depth" in sentences
    assert len(explain_fill(record, market, 2).neighbours) == 10
    kept = Kept()
    assert play_again(record, how, kept).digests == run.digests
    assert ledger_fault(record) == ""


def test_makers_wait_behind_what_was_displayed_and_are_reached(market: Ground) -> None:
    how = plan(market)
    run, record, fills = played(how, Joins())
    by_rule = Counter(one.rule for _, one in fills)
    assert {Rule.MAKER_BOOK, Rule.MAKER_THROUGH} <= set(by_rule)
    assert {one.role for _, one in fills} == {Role.MAKER}
    number = next(one.fill for _, one in fills if one.rule is Rule.MAKER_BOOK)
    said = " ".join(explain_fill(record, market, number).sentences)
    assert "were displayed at the order's price or inside it" in said
    risk_averse, power = (played(plan(market, depth_power=n), Joins())[0].digests for n in (0, 3))
    assert risk_averse == run.digests
    assert risk_averse.outputs != power.outputs
