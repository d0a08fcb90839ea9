"""Many random orders over seeded tapes: nothing is created or lost, and no fill is better than the tape allows.

Some 20,000 orders by default; `GNOMON_ORDERS=1000000` is the long run.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from tests.exchange.invariants import FillCheck, Mirror, check_books
from tests.exchange.venue import Driver, Row, listing, rules

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.listing import Filters
from gnomon.exchange.naive import NaiveExchange
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
from gnomon.exchange.rules import SHARE_ONE, WHOLE, FeeAsset, Fees, Resting, Taker

ORDERS = int(os.environ.get("GNOMON_ORDERS", "20000"))
ORDERS_A_RUN = 500
LIMIT, MARKET, MAKER, STOP_LIMIT = OrderType.LIMIT, OrderType.MARKET, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS_LIMIT


def tape(luck: Random, prints: int) -> list[Row]:
    """A walk with jumps, instants of several prints, sides unknown."""
    rows: list[Row] = []
    at_ns, price = 1, 1_000
    for _ in range(prints):
        rows.append((at_ns, price, luck.randint(1, 40), luck.choice((1, 1, -1, -1, 0))))
        at_ns += luck.choice((0, 1, 1, 5, 1_000_000_000))
        price = max(20, price + (luck.randint(-2, 2) if luck.random() < 0.98 else luck.randint(-40, 40)))
    return rows


def place(luck: Random, instrument: int, last: int) -> Place:
    side = luck.choice((Side.BUY, Side.SELL))
    away = 1 if side is Side.SELL else -1
    lots, stp = luck.randint(1, 30), luck.choice(list(SelfTrade))
    kind = luck.choice(list(OrderType))
    if kind is MARKET:
        by_quote = luck.random() < 0.3
        return Place(
            instrument, side, kind, 0 if by_quote else lots, quote_units=lots * last * 10**8 * by_quote, stp=stp
        )
    price = max(1, last + away * luck.randint(-3, 8))
    if kind in (LIMIT, MAKER):
        tif = luck.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
        return Place(instrument, side, kind, lots, price, tif if kind is LIMIT else TimeInForce.GTC, stp=stp)
    is_loss = kind in (OrderType.STOP_LOSS, STOP_LIMIT)
    stop = max(1, last - away * luck.randint(1, 9) * (1 if is_loss else -1))
    bips = luck.choice((0, 0, 20, 100))
    is_priced = kind in (STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
    limit = max(1, stop + luck.randint(-3, 3)) if is_priced else 0
    return Place(
        instrument, side, kind, lots, limit, stop=stop if not bips else luck.choice((0, stop)), trailing_bips=bips
    )


def request(luck: Random, instrument: int, last: int, made: int) -> Request:
    kind, number = luck.random(), luck.randint(max(1, made - 15), made + 1)
    if kind < 0.60:
        return place(luck, instrument, last)
    if kind < 0.70:
        lots, side, away = luck.randint(1, 20), *luck.choice(((Side.SELL, 1), (Side.BUY, -1)))
        profit = Place(instrument, side, MAKER, lots, max(1, last + away * luck.randint(1, 8)))
        loss = Place(instrument, side, OrderType.STOP_LOSS, lots, stop=max(1, last - away * luck.randint(1, 8)))
        if luck.random() < 0.5:
            return PlaceList(ListKind.OCO, (profit, loss))
        first = Place(instrument, side.opposite, LIMIT, lots, max(1, last + away * luck.randint(-3, 1)))
        return PlaceList(ListKind.OTOCO, (first, profit, loss))
    if kind < 0.82:
        return Quote(instrument, last - luck.randint(0, 3), last + luck.randint(0, 3), 5, luck.random() < 0.5)
    if kind < 0.90:
        return Cancel(instrument, number)
    if kind < 0.94:
        return Amend(instrument, number, luck.randint(1, 20))
    return Replace(number, place(luck, instrument, last)) if kind < 0.99 else CancelAll(instrument)


def course(kind: type[Exchange] | type[NaiveExchange], seed: int) -> tuple[Driver, FillCheck]:
    """One seeded run; every step is checked."""
    luck = Random(seed)
    fees = Fees(
        luck.choice((0, 10_000, -5_000)), luck.choice((0, 75_000)), luck.choice((FeeAsset.RECEIVED, FeeAsset.QUOTE))
    )
    chosen = rules(
        {"USD": luck.choice((200_000, 10**8)), "BTC": luck.choice((50, 10**6)), "ETH": 10**5},
        fees,
        resting=luck.choice(list(Resting)),
        ahead=luck.choice((0, -1, 25)),
        share=luck.choice((SHARE_ONE, SHARE_ONE // 3, WHOLE)),
        taker=luck.choice((Taker.AUTO, Taker.AUTO, Taker.REST)),
        spread_ticks=luck.choice((0, 1, 4)),
        level_lots=luck.choice((-1, 3, 20)),
        slippage_ticks=luck.choice((0, 1)),
    )
    tapes = [tape(luck, 1_500) for _ in range(2)]
    filters = Filters(max_orders=12)
    driver = Driver(kind, chosen, tapes, listing(0, "BTC", filters=filters), listing(1, "ETH", filters=filters))
    check = FillCheck(driver.tapes, chosen.fills.share)
    mirror = Mirror(driver)
    ends = tapes[0][-1][0]
    made = 0
    for at_ns in sorted(luck.randint(0, ends) for _ in range(ORDERS_A_RUN)):
        instrument = luck.randint(0, 1)
        seen = len(driver.steps)
        driver.until(at_ns)
        last = tapes[instrument][max(0, driver.passed(instrument) - 1)][1]
        driver.send(request(luck, instrument, last, made), at_ns)
        for event, outcomes in driver.steps[seen:]:
            check.check(event, outcomes)
        check_books(driver)
        mirror.hear([one for _, outcomes in driver.steps[seen:] for one in outcomes])
        made = max((one.number for one in driver.open_orders()), default=made)
    return driver, check


@pytest.mark.slow
def test_nothing_is_created_or_lost_and_no_fill_is_better_than_the_tape() -> None:
    fills = 0
    for seed in range(-(-ORDERS // ORDERS_A_RUN)):
        driver, check = course(Exchange, seed)
        assert driver.exchange.ledger.free == [
            -sum(side[number] for side in (ledger.market, ledger.fees, ledger.opening)) - ledger.locked[number]
            for ledger in (driver.exchange.ledger,)
            for number in range(len(ledger.assets))
        ]
        fills += check.fills
    assert fills > ORDERS // 4


@pytest.mark.parametrize("seed", range(3))
def test_both_exchanges_take_the_same_course(seed: int) -> None:
    fast, naive = (course(kind, seed)[0] for kind in (Exchange, NaiveExchange))
    assert fast.outcomes == naive.outcomes
    assert fast.balances() == naive.balances()
