"""One rule set, two runners: whatever is asked of them, both say the same, and what they say holds together."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.exchange.invariants import FillCheck, Mirror, check_books
from tests.exchange.venue import Driver, Message, Row, listing, recording, rules

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.listing import BANDS, Filters, Listing
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
from gnomon.exchange.outcome import Outcome
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import SHARE_ONE, WHOLE, FeeAsset, Fees, Resting, Rules, Taker
from gnomon.market.calendar import Hours
from gnomon.market.depth import ASK, BID, CHANGE, SNAPSHOT

PRICES = st.integers(90, 110)
LOTS = st.integers(1, 30)


@st.composite
def tapes(draw: st.DrawFn, most: int = 25) -> list[Row]:
    """Equal times, unknown sides, jumps, a single print, none at all."""
    rows: list[Row] = []
    at_ns, price = draw(st.integers(0, 5)), draw(PRICES)
    for _ in range(draw(st.integers(0, most))):
        rows.append((at_ns, price, draw(LOTS), draw(st.sampled_from((1, -1, 0)))))
        at_ns += draw(st.sampled_from((0, 0, 1, 1, 2, 7, 70_000_000_000)))
        price = draw(PRICES) if draw(st.integers(0, 9)) == 0 else max(1, price + draw(st.integers(-2, 2)))
    return rows


@st.composite
def places(draw: st.DrawFn, instruments: int = 1) -> Place:
    """Mostly orders that make sense, of every type."""
    kind = draw(st.sampled_from(list(OrderType)))
    is_stop = kind >= OrderType.STOP_LOSS
    is_priced = kind in (OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
    takes_tif = is_priced and kind is not OrderType.LIMIT_MAKER
    by_quote = kind is OrderType.MARKET and draw(st.booleans())
    trails = is_stop and draw(st.integers(0, 2)) == 0
    return Place(
        instrument=draw(st.integers(0, instruments - 1)),
        side=draw(st.sampled_from(Side)),
        type=kind,
        lots=0 if by_quote else draw(LOTS),
        price=draw(PRICES) if is_priced else 0,
        tif=draw(st.sampled_from((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)))
        if takes_tif
        else TimeInForce.GTC,
        stop=draw(PRICES) if is_stop and not (trails and draw(st.booleans())) else 0,
        trailing_bips=draw(st.sampled_from((50, 200, 500))) if trails else 0,
        quote_units=draw(st.integers(1, 3_000)) * 10**8 if by_quote else 0,
        stp=draw(st.sampled_from(SelfTrade)),
        client=draw(st.sampled_from((0, 0, 1, 2))),
    )


@st.composite
def pairs(draw: st.DrawFn, instruments: int = 1) -> PlaceList:
    """OCO, most of them with prices on the right sides of about 100."""
    side, lots = draw(st.sampled_from(Side)), draw(LOTS)
    instrument = draw(st.integers(0, instruments - 1))
    away, near = (1, -1) if side is Side.SELL else (-1, 1)
    profit, loss = 100 + away * draw(st.integers(1, 8)), 100 + near * draw(st.integers(1, 8))
    kind = draw(st.sampled_from((OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)))
    other = draw(st.sampled_from((OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)))
    first = Place(
        instrument, side, kind, lots,
        price=0 if kind is OrderType.TAKE_PROFIT else profit,
        stop=0 if kind is OrderType.LIMIT_MAKER else profit,
        stp=draw(st.sampled_from(SelfTrade)),
    )  # fmt: skip
    trails = draw(st.integers(0, 3)) == 0
    second = Place(
        instrument, side, other, lots,
        price=loss + draw(st.integers(-2, 2)) if other is OrderType.STOP_LOSS_LIMIT else 0,
        stop=0 if trails else loss,
        trailing_bips=draw(st.sampled_from((50, 300))) if trails else 0,
        stp=draw(st.sampled_from(SelfTrade)),
    )  # fmt: skip
    return PlaceList(ListKind.OCO, (first, second))


@st.composite
def sequences(draw: st.DrawFn, instruments: int = 1) -> PlaceList:
    """OTO and OTOCO, most of them with a working order that may rest."""
    instrument = draw(st.integers(0, instruments - 1))
    kind = draw(st.sampled_from((OrderType.LIMIT, OrderType.LIMIT_MAKER)))
    first = Place(instrument, draw(st.sampled_from(Side)), kind, draw(LOTS), draw(PRICES))
    if draw(st.booleans()):
        legs = draw(pairs(instruments)).orders
        return PlaceList(ListKind.OTOCO, (first, *(leg._replace(instrument=instrument) for leg in legs)))
    return PlaceList(ListKind.OTO, (first, draw(places(instruments))._replace(instrument=instrument)))


@st.composite
def quotes(draw: st.DrawFn, instruments: int = 1) -> Quote:
    middle = draw(PRICES)
    bid = draw(st.sampled_from((0, middle - 1, middle - 2, middle)))
    ask = draw(st.sampled_from((0, middle + 1, middle + 2)))
    lots = draw(st.sampled_from((5, 5, 10)))
    return Quote(draw(st.integers(0, instruments - 1)), bid, ask, lots, draw(st.booleans()), draw(st.booleans()))


def requests(instruments: int) -> st.SearchStrategy[Request]:
    """Of every kind; numbers that may or may not be of an open order."""
    numbers = st.integers(1, 12)
    where = st.integers(0, instruments - 1)
    return st.one_of(
        places(instruments),
        places(instruments),
        places(instruments),
        pairs(instruments),
        sequences(instruments),
        quotes(instruments),
        st.builds(Cancel, where, numbers),
        st.builds(Cancel, where, st.just(0), st.integers(1, 2)),
        st.builds(CancelAll, where),
        st.builds(Amend, where, numbers, LOTS),
        st.builds(Replace, numbers, places(instruments)),
    )


@st.composite
def hours(draw: st.DrawFn) -> Hours | None:
    """Mostly none: a market that never closes."""
    if draw(st.integers(0, 2)):
        return None
    ends = sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=6)))
    later = [*ends[1:], 200_000_000_000]
    return Hours.of(list(zip(ends, later, strict=True))[draw(st.integers(0, 1)) :: 2])


@st.composite
def venues(draw: st.DrawFn, instruments: int) -> tuple[Rules, list[Listing]]:
    asset = draw(st.sampled_from(FeeAsset))
    rates = st.sampled_from((0, 100_000, 75_000, 333_333, -20_000))
    other = draw(st.sampled_from(("BNB", "BTC", "USD"))) if asset is FeeAsset.OTHER else ""
    fees = Fees(draw(rates), draw(rates), asset, other, 75_000_000)
    rich = draw(st.booleans())
    wealth = st.integers(2_000, 30_000) if not rich else st.just(10**9)
    base = st.integers(0, 60) if not rich else st.just(10**6)
    names = ["BTC", "BNB", "ETH"][:instruments]
    quote = ["USD", "USD", draw(st.sampled_from(("USD", "BNB")))]
    bands = draw(
        st.sampled_from(((0, 0, 0, 0, 0), (110_000_000, 0, 0, 95_000_000, 0), (120_000_000, 80_000_000) * 2 + (1,)))
    )
    filters = Filters(
        min_lots=draw(st.sampled_from((1, 2))), step_lots=draw(st.sampled_from((1, 1, 3))), max_orders=9,
        **dict(zip(BANDS, bands, strict=True)),
    )  # fmt: skip
    listings = [
        listing(number, name, quote[number], filters=filters, hours=draw(hours())) for number, name in enumerate(names)
    ]
    balances = {"USD": draw(wealth)} | {name: draw(base) for name in names}
    chosen = rules(
        balances,
        fees,
        resting=draw(st.sampled_from(Resting)),
        ahead=draw(st.sampled_from((0, 0, -1, -1, 6))),
        depth_power=draw(st.integers(0, 3)),
        share=draw(st.sampled_from((SHARE_ONE, WHOLE, SHARE_ONE // 2, SHARE_ONE // 10))),
        taker=draw(st.sampled_from((Taker.AUTO, Taker.QUOTE, Taker.REST, Taker.NEXT_PRINT))),
        spread_ticks=draw(st.sampled_from((0, 1, 1, 3))),
        level_lots=draw(st.sampled_from((-1, 1, 5, 20))),
        max_levels=draw(st.sampled_from((1, 3, 10))),
        slippage_ticks=draw(st.sampled_from((0, 0, 1))),
        taker_timeout_ns=draw(st.sampled_from((1, 3, 10**9, 10**11))),
    )
    return chosen, listings


Run = tuple[Rules, list[Listing], list[list[Row]], dict[int, Recorded], list[tuple[int, Request]]]
"""Rules, listings, a tape for each, what is recorded beside some, requests by their arrival."""


@st.composite
def recordings(draw: st.DrawFn, times: list[int]) -> Recorded | None:
    """Quotes, depth, both or nothing; equal times, snapshots, books that cross, or may be walked late or never."""
    instants = st.lists(st.sampled_from(times), max_size=14).map(sorted)
    quotes: list[tuple[int, int, int, int, int]] = []
    messages: list[Message] = []
    middle = draw(PRICES)
    if draw(st.booleans()):
        for at_ns in draw(instants):
            middle = max(5, middle + draw(st.integers(-2, 2)))
            quotes.append((at_ns, middle, draw(LOTS), middle + draw(st.integers(0, 3)), draw(LOTS)))
    if draw(st.booleans()):
        row = st.tuples(st.sampled_from((BID, ASK)), st.integers(-6, 6), st.integers(0, 12))
        for at_ns in draw(instants):
            middle = max(10, middle + draw(st.integers(-1, 1)))
            rows = [(side, middle + away, lots) for side, away, lots in draw(st.lists(row, min_size=1, max_size=6))]
            if draw(st.integers(0, 2)):
                rows = [(side, middle - side * abs(price - middle), lots) for side, price, lots in rows]
            messages.append((at_ns, SNAPSHOT if draw(st.integers(0, 4)) == 0 else CHANGE, rows))
    if not quotes and not messages:
        return None
    valid_from = st.one_of(st.just(0), st.just(0), st.sampled_from(times), st.just(10**16))
    return recording(quotes, messages, draw(valid_from))


@st.composite
def runs(draw: st.DrawFn) -> Run:
    instruments = draw(st.integers(1, 3))
    chosen, listings = draw(venues(instruments))
    tapes_ = [draw(tapes()) for _ in listings]
    times = sorted({row[0] for tape in tapes_ for row in tape} | {0, 1})
    instants = st.sampled_from(sorted(set(times) | {one + 1 for one in times}))
    found = {number: draw(recordings(times)) for number in range(instruments)}
    recorded = {number: one for number, one in found.items() if one is not None}
    if (
        len(recorded) == instruments
        and all(one.ladder is not None for one in recorded.values())
        and draw(st.booleans())
    ):
        chosen = replace(chosen, fills=replace(chosen.fills, taker=Taker.WALK))
    asked = draw(st.lists(st.tuples(instants, requests(instruments)), max_size=10))
    return chosen, listings, tapes_, recorded, sorted(asked, key=lambda one: one[0])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(runs())
def test_both_exchanges_say_the_same(run: Run) -> None:
    chosen, listings, tapes_, recorded, asked = run
    note(f"{chosen.fills} {chosen.fees} {chosen.balances}")
    note(f"{tapes_}")
    for number, one in recorded.items():
        note(f"{number} {one.quotes and one.quotes.columns()} {one.ladder and one.ladder.depth}")
    drivers = [Driver(kind, chosen, tapes_, *listings, recorded=recorded) for kind in (Exchange, NaiveExchange)]
    hours = {one.number: one.hours for one in listings}
    checks = [FillCheck(driver.tapes, chosen.fills.share, hours, recorded) for driver in drivers]
    mirrors = [Mirror(driver) for driver in drivers]
    for at_ns, request in [*asked, (10**15, CancelAll(0))]:
        note(f"{at_ns} {request}")
        answers = []
        for driver, check, mirror in zip(drivers, checks, mirrors, strict=True):
            seen = len(driver.steps)
            driver.send(request, at_ns)
            for event, outcomes in driver.steps[seen:]:
                check.check(event, outcomes)
            check_books(driver)
            mirror.hear([one for _, outcomes in driver.steps[seen:] for one in outcomes])
            answers.append([one for _, outcomes in driver.steps[seen:] for one in outcomes])
        assert answers[0] == answers[1], first_difference(answers[0], answers[1])
        assert drivers[0].balances() == drivers[1].balances()


def first_difference(mine: list[Outcome], other: list[Outcome]) -> str:
    """The outcome at which two runners part, field by field."""
    for number, (one, two) in enumerate(zip(mine, other, strict=False)):
        if one != two:
            if type(one) is type(two):
                fields = [name for name in one._fields if getattr(one, name) != getattr(two, name)]
                parts = [f"{name} {getattr(one, name)!r} or {getattr(two, name)!r}" for name in fields]
                return f"outcome {number} {type(one).__name__}: " + ", ".join(parts)
            return f"outcome {number}: {one} or {two}"
    return f"{len(mine)} outcomes or {len(other)}: {mine[len(other) :] or other[len(mine) :]}"
