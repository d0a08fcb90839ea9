"""The standing pair: in which numbers a course of it is asked for and told.

Two loops go through such a course, with one answer: `kernels.quote_on_prints` is compiled, `pair_walk` is Python over
what NumPy has found. Both take the quotes of an account whose only orders are the two of its pair.
"""

from __future__ import annotations

from typing import Final

from gnomon.exchange.outcome import Refusal, Rule

# Places in `terms`: what stays as it is throughout.
TERMS: Final = (
    "feed_ns", "entry_ns", "end_ns", "resting", "share", "ahead", "is_synthetic", "spread", "notional_unit", "lot_unit",
    "rate", "reserve_rate", "is_fee_in_quote", "keeps", "is_post_only", "min_price", "max_price", "min_lots",
    "max_lots", "step_lots", "min_notional", "max_notional", "max_orders", "lowest_price",
)  # fmt: skip
(
    FEED, ENTRY, END, RESTING, SHARE, AHEAD, IS_SYNTHETIC, SPREAD, UNIT, LOT_UNIT, RATE, RESERVE, FEE_IN_QUOTE, KEEPS,
    POST_ONLY, MIN_PRICE, MAX_PRICE, MIN_LOTS, MAX_LOTS, STEP_LOTS, MIN_NOTIONAL, MAX_NOTIONAL, MAX_ORDERS,
    LOWEST_PRICE,
) = range(len(TERMS))  # fmt: skip

QUEUE: Final = 0
THROUGH: Final = 1
TOUCH: Final = 2

# Places in `state`: what the next call goes on from.
(
    DECIDED, ARRIVED, CLEAR, FREE_QUOTE, LOCKED_QUOTE, FREE_BASE, LOCKED_BASE, FEES_QUOTE, FEES_BASE, MADE, FILLS,
    WINDOW_FIRST, WINDOW_LAST, WINDOW_LOTS, WINDOW_PRICES, ITEMS, PLACED, FILLED,
) = range(18)  # fmt: skip
STATE_FIELDS: Final = 18

# Fields of an order of the pair; a number of 0: there is none.
NUMBER, PRICE, LOTS, LEFT, LOCK, PLACE, MADE_BY = range(7)
ORDER_FIELDS: Final = 7
BID: Final = 0
ASK: Final = 1

# What an item of the course is.
DECISION: Final = 0
ARRIVAL: Final = 1
FILL: Final = 2

# Columns of `placed`, one row an arrival. Two refusals at most: code, value received, limit.
PLACED_FIELDS: Final = (
    "bid", "ask", "bid_lock", "ask_lock", "kept", "bid_gone", "ask_gone", "bid_released", "ask_released", "bid_ahead",
    "ask_ahead", "code_1", "received_1", "limit_1", "code_2", "received_2", "limit_2",
)  # fmt: skip
FIRST_REFUSAL: Final = PLACED_FIELDS.index("code_1")

# Columns of `filled`, one row a fill.
FILLED_FIELDS: Final = (
    "order", "side", "price", "lots", "remaining", "rule", "print", "ahead_before", "ahead_after", "excess",
    "share_cap", "made_by", "fee", "released", "is_locked", "is_fee_locked",
)  # fmt: skip

# How a call ends.
DONE: Final = 0
MORE: Final = 1
UNCOVERED: Final = 2

LARGEST: Final = 2**61
"""Balances and fees beyond this end the loop: sums of two must fit."""

THROUGH_RULE: Final = int(Rule.MAKER_THROUGH)
QUEUE_RULE: Final = int(Rule.MAKER_QUEUE)
TOUCH_RULE: Final = int(Rule.MAKER_TOUCH)
PRICE_FILTER: Final = int(Refusal.PRICE_FILTER)
LOT_SIZE: Final = int(Refusal.LOT_SIZE)
NOTIONAL: Final = int(Refusal.NOTIONAL)
TOO_MANY: Final = int(Refusal.MAX_ORDERS)
WOULD_TAKE: Final = int(Refusal.WOULD_TAKE)
INSUFFICIENT: Final = int(Refusal.INSUFFICIENT_BALANCE)
