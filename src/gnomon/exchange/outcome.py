"""Outcomes: all that the venue says. What it says of a fill is enough to check it against the tape.

Named tuples of integers: immutable, cheap to make where every quote makes one, and packed into the journal as they are.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

from gnomon.exchange.ledger import Account, Posting
from gnomon.exchange.order import Request, Side, Status


class Refusal(IntEnum):
    """Why a request was refused. The codes of the wire are `serve.venue`'s business."""

    UNKNOWN_INSTRUMENT = 1
    NOT_TRADING = 2
    BAD_COMBINATION = 3  # type, time in force and fields do not go together
    PRICE_FILTER = 10
    LOT_SIZE = 11
    MARKET_LOT_SIZE = 12
    NOTIONAL = 13
    TRAILING_DELTA = 14
    MAX_ORDERS = 15
    MAX_STOP_ORDERS = 16
    PERCENT_PRICE = 17
    PERCENT_PRICE_BY_SIDE = 18
    DUPLICATE = 20
    WOULD_TRIGGER = 21
    WOULD_TAKE = 22
    LIST_PRICES = 23
    MARKET_CLOSED = 24
    NO_LIQUIDITY = 25
    INSUFFICIENT_BALANCE = 30
    UNKNOWN_ORDER = 40
    NO_CHANGE = 41
    RATE_LIMIT = 50  # turned away before it reached the venue


class Rule(IntEnum):
    """By what rule a fill came about."""

    MAKER_THROUGH = 1
    MAKER_QUEUE = 2
    MAKER_TOUCH = 3
    MAKER_BOOK = 4
    TAKER_WALK = 5
    TAKER_QUOTE = 6
    TAKER_SYNTHETIC = 7
    TAKER_PRINT = 8
    BAR_OPEN = 9
    BAR_PATH = 10
    BAR_STOP = 11
    BAR_CLOSE = 12
    POSTED = 13
    SELF = 14
    SHORT_CALL = 15


class Role(IntEnum):
    MAKER = 1
    TAKER = 2


class QuoteKind(IntEnum):
    NONE = 0
    RECORDED = 1
    SYNTHETIC = 2
    BAR = 3


class FillFlag(IntFlag):
    SIDE_UNKNOWN = 1
    AMBIGUOUS_BAR = 2
    SELF_TRADE = 4
    SAME_BAR = 8


class Accepted(NamedTuple):
    """An order is open. `lock` units of the quote (BUY) or base (SELL) went from free to locked."""

    number: int
    request: int
    status: Status
    lock: int
    ahead: int  # lots of other people before it at its price
    list: int
    instrument: int
    side: Side


class Rejected(NamedTuple):
    """A request came to nothing, and nothing changed. `received` and `limit` are what the rule compared."""

    request: int
    refusal: Refusal
    received: int = 0
    limit: int = 0
    number: int = 0  # the order meant, of a cancel


class Changed(NamedTuple):
    """An order changed state other than by a fill. `released` units went from locked to free; the other way below 0."""

    number: int
    status: Status
    executed: int
    remaining: int
    released: int
    reason: int = 0  # a Refusal where one is the cause


class Triggered(NamedTuple):
    """A stop's condition was met by the print at a tape position; it enters matching now."""

    number: int
    position: int
    price: int


class Filled(NamedTuple):
    """One fill, in integers: which print or price allowed it, by what rule, and what stood before us."""

    number: int  # the order
    fill: int  # counted from 1
    instrument: int
    side: Side
    price: int
    lots: int
    remaining: int
    status: Status
    rule: Rule
    role: Role
    print: int  # tape position that allowed it; a row of the layer where a book did, -1 where a posted price did
    print_price: int
    print_lots: int
    print_side: int  # its aggressor; of a recorded book the layer: 1 quotes, -1 depth
    ahead_before: int
    ahead_after: int
    excess: int  # lots of the print beyond the queue
    share_cap: int  # lots of it that the volume share let us have
    level: int
    levels: int
    best_bid: int
    best_ask: int
    quote_kind: QuoteKind
    decided_ns: int
    arrived_ns: int
    rate: int
    fee: int
    fee_asset: int
    flags: int
    released: int  # units of the lock that the fill set free
    base: int  # number of the asset bought or sold
    quote: int  # number of the asset paid in
    base_units: int
    notional: int  # units of the quote
    is_locked: bool  # paid from LOCKED
    is_fee_locked: bool

    def postings(self) -> tuple[Posting, ...]:
        """What the trade and its fee moved; what the lock held too much went from locked to free beside it."""
        account = Account.LOCKED if self.is_locked else Account.FREE
        if self.side is Side.BUY:
            gives, paid, gets, received = self.quote, self.notional, self.base, self.base_units
        else:
            gives, paid, gets, received = self.base, self.base_units, self.quote, self.notional
        postings = [
            Posting(account, gives, -paid),
            Posting(Account.MARKET, gives, paid),
            Posting(Account.MARKET, gets, -received),
            Posting(Account.FREE, gets, received),
        ]
        if self.fee:
            charged = Account.LOCKED if self.is_fee_locked else Account.FREE
            postings += [Posting(charged, self.fee_asset, -self.fee), Posting(Account.FEES, self.fee_asset, self.fee)]
        return tuple(postings)


class Quoted(NamedTuple):
    """A standing pair after a quote: the order of each side (0 none), whether it was kept, and what was withdrawn."""

    request: int
    instrument: int
    bid: int
    ask: int
    bid_lock: int
    ask_lock: int
    bid_kept: bool
    ask_kept: bool
    bid_gone: int  # number of the order withdrawn
    ask_gone: int
    bid_released: int
    ask_released: int
    bid_ahead: int
    ask_ahead: int


class Margined(NamedTuple):
    """What short sales of an instrument moved beside their orders, in one step."""

    instrument: int
    base: int  # number of the asset that is lent
    quote: int
    borrowed: int  # units of the base lent to the trader; gone back below zero
    locked: int  # units of the quote from free to locked, as collateral; the other way below zero
    cost: int  # units of the quote that the loan has cost

    def postings(self) -> tuple[Posting, ...]:
        """Those that move anything."""
        moves = (
            (Account.BORROWED, Account.FREE, self.base, self.borrowed),
            (Account.FREE, Account.LOCKED, self.quote, self.locked),
            (Account.FREE, Account.FEES, self.quote, self.cost),
        )
        return tuple(
            Posting(account, asset, units)
            for source, target, asset, moved in moves
            if moved
            for account, units in ((source, -moved), (target, moved))
        )


Outcome = Accepted | Rejected | Changed | Triggered | Filled | Quoted | Margined

__all__ = [
    "Accepted",
    "Changed",
    "FillFlag",
    "Filled",
    "Margined",
    "Outcome",
    "QuoteKind",
    "Quoted",
    "Refusal",
    "Rejected",
    "Request",
    "Role",
    "Rule",
    "Triggered",
]
