"""A market that closes: what is refused, what waits, and that nothing is traded meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.exchange.venue import BUY, SELL, Driver, Venue, fills, limit, listing, market, refusal, rules, stop
from tests.replay.scene import MINUTE, T0, plan
from tests.replay.scene import listing as scene_listing
from tests.replay.scene import rules as scene_rules

from gnomon.exchange.bars import Bars
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.liquidity import SyntheticQuote
from gnomon.exchange.order import ListKind, OrderType, PlaceList, Replace, Side, TimeInForce
from gnomon.exchange.outcome import Accepted, Changed, Filled, Refusal
from gnomon.exchange.rules import WHOLE, Fees, FillMoment, Fills, Resting
from gnomon.market.block_index import BlockIndex
from gnomon.market.calendar import Hours
from gnomon.replay.ground import Ground, Tape
from gnomon.replay.run import Played, play
from gnomon.trader.orders import OrderRequest
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS, SECOND_NS

DAY = Hours.of([(10, 100), (200, 300)])
ROWS = [(5, 100, 10, 1), (20, 100, 10, 1), (150, 90, 10, -1), (210, 99, 10, -1), (220, 101, 10, 1), (300, 80, 10, -1)]
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


def driver(venue: type[Venue], **how: Any) -> Driver:
    return Driver(venue, rules(**how), ROWS, listing(hours=DAY))


@pytest.mark.parametrize("place", [market(BUY, 1), limit(BUY, 120, 1, tif=IOC), limit(BUY, 120, 1, tif=FOK)])
@pytest.mark.parametrize(("at", "opens"), [(9, 10), (100, 200), (150, 200), (300, 0)])
def test_what_cannot_wait_is_refused_with_the_next_open(venue: type[Venue], place: Any, at: int, opens: int) -> None:
    assert refusal(driver(venue).send(place, at)) == ("MARKET_CLOSED", at, opens)


@pytest.mark.parametrize("place", [market(BUY, 1), limit(BUY, 120, 1, tif=IOC), limit(BUY, 120, 1, tif=FOK)])
@pytest.mark.parametrize("at", [20, 99, 299])
def test_while_it_is_open_they_are_not(venue: type[Venue], place: Any, at: int) -> None:
    assert fills(driver(venue).send(place, at))


def test_a_limit_rests_and_takes_nothing_until_a_print_of_the_next_session(venue: type[Venue]) -> None:
    course = driver(venue)
    assert fills(course.send(limit(BUY, 120, 4), 120)) == []
    assert fills(course.until(199)) == []  # a seller printed through it, in a market that was closed
    (fill,) = [one for one in course.until(220) if isinstance(one, Filled)]
    assert (fill.price, fill.lots, fill.print) == (120, 4, 3)


def test_nothing_would_be_taken_from_a_market_that_is_closed(venue: type[Venue]) -> None:
    course = driver(venue)
    assert isinstance(course.send(limit(BUY, 120, 4, tif=TimeInForce.GTX), 120)[0], Accepted)
    assert refusal(driver(venue).send(limit(BUY, 120, 4, tif=TimeInForce.GTX), 50))[0] == "WOULD_TAKE"


def test_a_stop_waits_for_a_print_of_the_session(venue: type[Venue]) -> None:
    course = driver(venue)
    course.send(stop(OrderType.STOP_LOSS, SELL, 2, stop=95), 50)
    assert fills(course.until(250)) == []  # 90 was printed between the sessions
    course.send(stop(OrderType.STOP_LOSS, SELL, 2, stop=99), 250)
    assert fills(course.end()) == []  # 80 at the close, which is no more part of it


def test_a_replacement_that_is_refused_leaves_the_order_as_it_is(venue: type[Venue]) -> None:
    course = driver(venue)
    course.send(limit(BUY, 90, 4), 50)
    assert refusal(course.send(Replace(1, market(BUY, 4)), 120))[0] == "MARKET_CLOSED"
    assert [one.price for one in course.open_orders()] == [90]


def test_what_follows_a_working_order_is_asked_when_it_begins(venue: type[Venue]) -> None:
    course = driver(venue)
    request = PlaceList(ListKind.OTO, (limit(BUY, 99, 4), market(SELL, 4)))
    assert [type(one) for one in course.send(request, 120)] == [Accepted, Accepted]
    filled = [one for one in course.until(250) if isinstance(one, Filled)]
    assert [(one.side, one.lots) for one in filled] == [(BUY, 4), (SELL, 4)]


def test_a_market_without_hours_keeps_its_liquidity_as_it_is() -> None:
    """Nothing is put between: a market that never closes pays nothing for those that do."""
    assert type(Driver(Exchange, rules(), ROWS).exchange.books[0].liquidity) is SyntheticQuote  # type: ignore[union-attr]  # the fast one


# --- on candles -----------------------------------------------------------------------------------------------------

START = T0 // MINUTE_NS * MINUTE_NS
NIGHT = START + 3 * MINUTE_NS, START + 8 * MINUTE_NS


class Nightly(Strategy):
    """Sends its orders once, while the market is closed."""

    def __init__(self, *wanted: OrderRequest) -> None:
        super().__init__()
        self.wanted = wanted

    def on_start(self, desk: Any) -> None:
        desk.at(NIGHT[0] + 30 * SECOND_NS, "night")

    def on_timer(self, desk: Any, _name: str) -> None:
        for one in self.wanted:
            desk.submit(one)


def nightly(
    *wanted: OrderRequest, lots: int = 400, moment: FillMoment = FillMoment.NEXT_OPEN, share: int = WHOLE
) -> Played:
    """Three minutes at 1,000, a night of five, three minutes at 1,010."""
    minutes = np.array([0, 1, 2, 8, 9, 10])
    price = np.array([1_000, 1_000, 1_000, 1_010, 1_012, 1_012])
    open_ns = START + MINUTE_NS * minutes
    bars = Bars(open_ns, open_ns + MINUTE_NS, price, price + 2, price - 2, price + 1, np.full(6, lots, np.int64))
    one = scene_listing()
    day = Hours.of([(START, NIGHT[0]), (NIGHT[1], NIGHT[1] + 3 * MINUTE_NS)])
    shut = type(one)(one.number, one.id, one.base, one.quote, one.tick, one.lot, hours=day)
    tape = Tape(shut, bars, BlockIndex.of_ranges(bars.low, bars.high, bars.volume), bars)
    how = scene_rules(Fills(resting=Resting.TOUCH, share=share, moment=moment), Fees(0, 0))
    return play(plan(Ground((tape,), MINUTE, bytes(32)), how), Nightly(*wanted))


def ask(kind: OrderType, lots: int = 10, price: int | None = None, tif: TimeInForce = TimeInForce.GTC) -> OrderRequest:
    return OrderRequest("t:A0", Side.BUY, kind, lots=lots, price_ticks=price, tif=tif)


def bar_fills(played: Played) -> list[tuple[int, int, int]]:
    return [(one.print, one.price, one.lots) for _, one in played.told if isinstance(one, Filled)]


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_on_candles_what_cannot_rest_waits_for_the_next_open(tif: TimeInForce) -> None:
    assert bar_fills(nightly(ask(OrderType.MARKET))) == [(3, 1_010, 10)]
    for moment in (FillMoment.NEXT_OPEN, FillMoment.NEXT_CLOSE):
        assert bar_fills(nightly(ask(OrderType.LIMIT, price=1_020, tif=tif), moment=moment)) == [(3, 1_010, 10)]


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_and_expires_there_if_the_open_is_beyond_it(tif: TimeInForce) -> None:
    played = nightly(ask(OrderType.LIMIT, price=1_005, tif=tif))
    (ended,) = [one for _, one in played.told if isinstance(one, Changed)]
    assert (ended.status.name, ended.reason) == ("EXPIRED", Refusal.NO_LIQUIDITY)
    assert bar_fills(played) == []


def test_the_whole_of_a_fok_or_nothing_of_it() -> None:
    """A quarter of a candle's volume is at its open."""
    assert bar_fills(nightly(ask(OrderType.LIMIT, 101, 1_020, FOK), share=1_000_000)) == []
    assert bar_fills(nightly(ask(OrderType.LIMIT, 101, 1_020, IOC), share=1_000_000)) == [(3, 1_010, 100)]
    assert bar_fills(nightly(ask(OrderType.LIMIT, 100, 1_020, FOK), share=1_000_000)) == [(3, 1_010, 100)]
