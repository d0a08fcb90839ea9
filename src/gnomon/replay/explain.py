"""Why a fill: the FILL record in sentences, with the prints around the one that allowed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

from gnomon.clock import iso
from gnomon.errors import NotFound
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Side, Status
from gnomon.exchange.outcome import FillFlag, QuoteKind, Refusal, Role, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Recorded as Recording
from gnomon.replay.bodies import Accept, Fill, OrderChange, Quoted, Reject
from gnomon.replay.book_words import book_around, layer_of, said_by_book
from gnomon.replay.ground import Ground
from gnomon.replay.header import RecordType
from gnomon.replay.record import Record, Recorded

AROUND: Final = 3
"""Prints shown on each side."""

BY: Final = {
    Rule.MAKER_THROUGH: "a print went through the order's price, so whoever rested there was met",
    Rule.MAKER_QUEUE: "a print at the order's price was larger than the queue ahead of it",
    Rule.MAKER_TOUCH: "a print touched the order's price (rule touch: optimistic)",
    Rule.MAKER_BOOK: "the recorded best price of the other side came to the order's price",
    Rule.TAKER_WALK: "it took what the recorded book displayed, level by level, less what this account had had of it",
    Rule.TAKER_QUOTE: "it took the recorded best price for its size, then an assumed size a tick behind it (a model)",
    Rule.TAKER_SYNTHETIC: "it took the synthetic quote around the last print (a model: nothing recorded says better)",
    Rule.TAKER_PRINT: "it shared a later print of its own side",
    Rule.BAR_OPEN: "it met the open of a bar",
    Rule.BAR_PATH: "the price passed its limit inside a bar, on the declared path",
    Rule.BAR_STOP: "its stop was passed inside a bar, on the declared path",
    Rule.BAR_CLOSE: "it met the close of a bar",
    Rule.POSTED: "it met a posted price",
    Rule.SELF: "it met an order of the same account",
    Rule.SHORT_CALL: "the venue bought back what was sold short: its collateral fell below maintenance at a close",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A fill in words. `neighbours` are the prints or the bar around it, the one that allowed it marked."""

    sentences: tuple[str, ...]
    neighbours: tuple[str, ...]


REFUSED: Final = {
    Refusal.UNKNOWN_INSTRUMENT: "nothing of that number is traded here",
    Refusal.NOT_TRADING: "the instrument was not trading",
    Refusal.BAD_COMBINATION: "type, time in force and fields do not go together",
    Refusal.PRICE_FILTER: "the price is outside what the instrument allows",
    Refusal.LOT_SIZE: "the quantity is outside what the instrument allows",
    Refusal.MARKET_LOT_SIZE: "the quantity is outside what the instrument allows of a market order",
    Refusal.NOTIONAL: "price times quantity is outside what the instrument allows",
    Refusal.TRAILING_DELTA: "the trailing distance is outside what the instrument allows",
    Refusal.MAX_ORDERS: "too many orders are open",
    Refusal.MAX_STOP_ORDERS: "too many stops are open",
    Refusal.PERCENT_PRICE: "its price is too far from the average one",
    Refusal.PERCENT_PRICE_BY_SIDE: "its price is too far from the average one for its side",
    Refusal.DUPLICATE: "the client id is that of an open order",
    Refusal.WOULD_TRIGGER: "it would have been triggered at once",
    Refusal.WOULD_TAKE: "it would have been filled at once, and was to rest",
    Refusal.LIST_PRICES: "the prices of the two legs do not stand on both sides of the last price",
    Refusal.MARKET_CLOSED: "the market was closed",
    Refusal.NO_LIQUIDITY: "there was nothing to trade with",
    Refusal.INSUFFICIENT_BALANCE: "it needs more than is free",
    Refusal.UNKNOWN_ORDER: "no such order is open",
    Refusal.NO_CHANGE: "it would change nothing that may be changed so",
    Refusal.RATE_LIMIT: "too many requests, as the session's faults have it: it was turned away at the door",
}


def why_filled(body: Fill, listing: Listing) -> str:
    """A fill in one sentence, from its own record alone."""
    met = ""
    if body.quote_kind == QuoteKind.BAR:
        met = f", bar {body.print} at {_price(listing, body.print_price)}"
    elif body.quote_kind == QuoteKind.RECORDED:
        displayed = f"{_qty(listing, body.print_lots)} at {_price(listing, body.print_price)}"
        met = f", row {body.print} of the recorded {layer_of(body)}: {displayed}"
    elif body.rule == Rule.TAKER_SYNTHETIC:
        assumed = f"{_qty(listing, body.print_lots)} assumed at {_price(listing, body.print_price)}"
        met = f", after print {body.print}: {assumed}"
    elif body.print >= 0:
        met = f", print {body.print}: {_qty(listing, body.print_lots)} at {_price(listing, body.print_price)}"
    ahead = f", {_qty(listing, body.ahead_before)} ahead of it" if body.rule == Rule.MAKER_QUEUE else ""
    return f"{Rule(body.rule).name}: {BY[Rule(body.rule)]}{met}{ahead}."


def why_refused(body: Reject) -> str:
    """A refusal in one sentence: what the rule looked at and what it compared with, in the rule's own unit."""
    seen = (
        f": {body.received:,} against {body.limit:,}" if body.limit else f": {body.received:,}" if body.received else ""
    )
    return f"{REFUSED[Refusal(body.code)]}{seen}".capitalize() + "."


def explain_fill(record: Record, ground: Ground, number: int) -> Explanation:
    """The fill of a number, counted from 1. `NotFound` where the run has fewer."""
    last = 0
    for one in record.entries():
        if one.type is RecordType.FILL:
            body = cast(Fill, one.body)
            last = body.fill
            if body.fill == number:
                listing = ground.listings[body.instrument]
                recorded = ground.tapes[body.instrument].recorded
                if body.quote_kind == QuoteKind.RECORDED and recorded is not None:
                    around = book_around(one.t, body, listing, recorded)
                    return Explanation(tuple(_sentences(one, body, listing, record, recorded)), tuple(around))
                return Explanation(tuple(_sentences(one, body, listing, record)), tuple(_neighbours(body, ground)))
    raise NotFound(f"the run has no fill {number}", hint=f"it has {last}: 1 to {last}" if last else "it has none")


def explain_order(record: Record, ground: Ground, number: int) -> Explanation:
    """An order of a number: what became of it, and if it was never filled, what was missing. `NotFound` for none."""
    told: list[str] = []
    for one in record.entries():
        told += _of_order(one, number, ground)
    if not told:
        raise NotFound(f"the run has no order {number}", hint="orders are numbered from 1")
    if not any(sentence.startswith("Filled") for sentence in told):
        told.append("No print or price that its rule allows reached it while it was open.")
    return Explanation(tuple(told), ())


def _sentences(
    one: Recorded, body: Fill, listing: Listing, record: Record, recorded: Recording | None = None
) -> Iterator[str]:
    bought = "Bought" if body.side == Side.BUY else "Sold"
    quantity, price = _qty(listing, body.lots), _price(listing, body.price)
    role = "maker" if body.role == Role.MAKER else "taker"
    yield f"{bought} {quantity} {listing.base.name} at {price} {listing.quote.name} on {iso(one.t)}, as {role}."
    yield f"Rule {Rule(body.rule).name}: {BY[Rule(body.rule)]}."
    if body.quote_kind == QuoteKind.BAR:
        point = ("open", "first extreme", "second extreme", "close")[body.print_side]
        yield f"Bar {body.print}, its {point}: {_price(listing, body.print_price)}."
    elif recorded is not None:
        yield from said_by_book(body, listing, recorded)
    elif body.rule == Rule.TAKER_SYNTHETIC:
        yield (
            f"The quote stands around print {body.print}; {_qty(listing, body.print_lots)} were assumed at "
            f"{_price(listing, body.print_price)}."
        )
    elif body.print >= 0:
        side = ("an unknown side", "a buyer", "a seller")[body.print_side]
        yield (
            f"The print is number {body.print}: {_qty(listing, body.print_lots)} at "
            f"{_price(listing, body.print_price)}, begun by {side}."
        )
    if body.rule == Rule.MAKER_QUEUE:
        yield (
            f"Ahead of it were {_qty(listing, body.ahead_before)}; the print left {_qty(listing, body.excess)} beyond "
            f"the queue, of which the volume share gave {_qty(listing, body.share_cap)}."
        )
    if body.rule == Rule.TAKER_PRINT:
        yield (
            f"Own orders had left {_qty(listing, body.excess)} of it, of which the volume share gave "
            f"{_qty(listing, body.share_cap)}."
        )
    if body.role == Role.TAKER and body.levels:
        yield (
            f"Best bid {_price(listing, body.best_bid)}, best ask {_price(listing, body.best_ask)}; level {body.level} "
            f"of {body.levels}."
        )
    yield (
        f"Order {body.order} was decided {_before(one.t, body.decided)} and arrived {_before(one.t, body.arrived)} "
        "before the fill."
    )
    asset = record.genesis.assets[body.fee_asset]
    scale = listing.quote.scale if asset == listing.quote.name else listing.base.scale
    yield f"Fee {Decimal(body.fee).scaleb(-scale).normalize():f} {asset} (rate {Decimal(body.rate).scaleb(-8):.6%})."
    left = f"{_qty(listing, body.remaining)} remain" if body.remaining else "the order is done"
    flags = [flag.name.lower().replace("_", " ") for flag in FillFlag if body.flags & flag and flag.name]
    yield f"After it {left} ({Status(body.status).name})." + (f" Flags: {', '.join(flags)}." if flags else "")


def _neighbours(body: Fill, ground: Ground) -> Iterator[str]:
    tape, listing = ground.tapes[body.instrument].tape, ground.listings[body.instrument]
    if body.print < 0:
        return
    for row in range(max(0, body.print - AROUND), min(len(tape), body.print + AROUND + 1)):
        mark = "→" if row == body.print else " "
        if isinstance(tape, Prints):
            side = {1: "buyer", -1: "seller", 0: "unknown"}[tape.side.item(row)]
            price, lots = _price(listing, tape.price.item(row)), _qty(listing, tape.lots.item(row))
            yield f"{mark} {row} {iso(tape.time_ns.item(row))} {price} × {lots} {side}"
        else:
            yield f"{mark} {row} {_bar(listing, tape, row)}"


def _bar(listing: Listing, bars: Bars, row: int) -> str:
    prices = " ".join(_price(listing, column.item(row)) for column in (bars.open, bars.high, bars.low, bars.close))
    return f"{iso(bars.open_ns.item(row))} O H L C {prices} × {_qty(listing, bars.volume.item(row))}"


def _of_order(one: Recorded, number: int, ground: Ground) -> Iterator[str]:
    body: Any = one.body
    if isinstance(body, Accept) and body.order == number:
        yield f"Open on {iso(one.t)}, {body.ahead} lots ahead of it."
    elif isinstance(body, Quoted) and number in (body.bid, body.ask):
        yield f"Quoted on {iso(one.t)}, {body.bid_ahead if number == body.bid else body.ask_ahead} lots ahead of it."
    elif isinstance(body, Quoted) and number in (body.bid_gone, body.ask_gone):
        yield f"Withdrawn by the next quote on {iso(one.t)}."
    elif isinstance(body, OrderChange) and body.order == number:
        reason = f" ({Refusal(body.reason).name})" if body.reason else ""
        yield f"{Status(body.status).name} on {iso(one.t)}{reason}, {body.executed} lots done, {body.remaining} left."
    elif isinstance(body, Fill) and body.order == number:
        listing = ground.listings[body.instrument]
        yield f"Filled {_qty(listing, body.lots)} at {_price(listing, body.price)} on {iso(one.t)} (fill {body.fill})."


def _price(listing: Listing, ticks: int) -> str:
    return f"{(ticks * listing.tick).normalize():f}"


def _qty(listing: Listing, lots: int) -> str:
    return f"{(lots * listing.lot).normalize():f}"


def _before(at_ns: int, then_ns: int) -> str:
    gap = at_ns - then_ns
    if gap >= 1_000_000_000:
        return f"{gap // 1_000_000_000}.{gap % 1_000_000_000 // 1_000_000:03d} s"
    return f"{gap // 1_000_000}.{gap % 1_000_000 // 1_000:03d} ms" if gap >= 1_000_000 else f"{gap} ns"
