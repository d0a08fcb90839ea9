"""A fill of a recorded book in words: which row displayed what, and the levels or quotes around it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from gnomon.clock import iso
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import Rule
from gnomon.exchange.recorded import DEPTH, QUOTES, Recorded
from gnomon.market.depth import ASK, BID
from gnomon.replay.bodies import Fill

LEVELS: Final = 5
"""Levels shown of each side."""

AROUND: Final = 3
"""Quotes shown before and after."""

LAYERS: Final = {1: QUOTES, 2: DEPTH}
"""A fill's `print_side`, where the quote is recorded, to the layer that its `print` is a row of."""


def layer_of(body: Fill) -> str:
    """The layer that the fill's `print` is a row of, in a word."""
    return "quotes" if LAYERS[body.print_side] == QUOTES else "depth"


def said_by_book(body: Fill, listing: Listing, recorded: Recorded) -> Iterator[str]:
    """What the row that allowed the fill displayed."""
    layer = LAYERS[body.print_side]
    rows = recorded.rows(layer)
    row = f"row {body.print} of the recorded {layer_of(body)}, of {iso(int(rows.time_ns[body.print]))}"
    price, lots = _price(listing, body.print_price), _qty(listing, body.print_lots)
    if body.rule == Rule.MAKER_BOOK:
        other = "ask" if body.side == Side.BUY else "bid"
        yield (
            f"The best {other} stood at {price} ({row}); {lots} were displayed at the order's price or inside it, "
            f"{_qty(listing, body.excess)} of them not yet had by this account, and the volume share gave "
            f"{_qty(listing, body.share_cap)}."
        )
        yield f"Ahead of it were {_qty(listing, body.ahead_before)}: gone, as the other side stands there now."
    elif body.rule == Rule.TAKER_QUOTE and body.level > 1:
        yield f"{lots} are assumed at {price}, {body.level - 1} ticks behind the best price ({row})."
    else:
        yield f"{lots} were still to be had at {price}, displayed by {row}."


def book_around(at_ns: int, body: Fill, listing: Listing, recorded: Recorded) -> Iterator[str]:
    """The levels of the book at the fill, or the quotes before and after; what allowed the fill is marked."""
    if LAYERS[body.print_side] == QUOTES:
        yield from _quotes_around(body, listing, recorded)
        return
    assert recorded.ladder is not None
    rows = recorded.until(at_ns).depth
    asks = list(islice(recorded.ladder.levels(ASK, rows), LEVELS))
    bids = list(islice(recorded.ladder.levels(BID, rows), LEVELS))
    for side, levels in (("ask", reversed(asks)), ("bid", iter(bids))):
        for level in levels:
            mark = "→" if level.row == body.print else " "
            yield f"{mark} {side} {_price(listing, level.price)} × {_qty(listing, level.lots)}"


def _quotes_around(body: Fill, listing: Listing, recorded: Recorded) -> Iterator[str]:
    quotes = recorded.quotes
    assert quotes is not None
    for row in range(max(0, body.print - AROUND), min(len(quotes), body.print + AROUND + 1)):
        mark = "→" if row == body.print else " "
        bid, ask = _price(listing, int(quotes.bid[row])), _price(listing, int(quotes.ask[row]))
        wanted, offered = _qty(listing, int(quotes.bid_qty[row])), _qty(listing, int(quotes.ask_qty[row]))
        yield f"{mark} {row} {iso(int(quotes.time_ns[row]))} bid {bid} × {wanted}, ask {ask} × {offered}"


def _price(listing: Listing, ticks: int) -> str:
    return f"{(ticks * listing.tick).normalize():f}"


def _qty(listing: Listing, lots: int) -> str:
    return f"{(lots * listing.lot).normalize():f}"
