"""Kernels: the search for the next print of concern, and a whole course of standing pairs, as compiled loops.

Only modules that are about to run one import this: it brings numba, where that is installed. Everything is int64, and
whoever calls has proven that products fit (`pair_run`); a loop that meets what it has no rule for says so and stops, so
that the ordinary runner can take its place. The rules themselves are those of `queue`, `funds` and `exchange._quote`,
for an account whose only orders are the two of its pair.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gnomon.compiled import compiled
from gnomon.exchange.bars import Bars
from gnomon.exchange.outcome import Refusal, Rule
from gnomon.exchange.prints import AHEAD_WINDOW_NS, Prints
from gnomon.exchange.rules import AUTO, RATE_ONE, SHARE_ONE, WHOLE
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.market.block_index import BLOCKS, BOUNDS, BlockIndex

_fast = compiled()

FINE: Final = BLOCKS[0]
MIDDLE: Final = BLOCKS[1]
COARSE: Final = BLOCKS[2]
MIN_SELL: Final = BOUNDS.index("min_sell")
MAX_BUY: Final = BOUNDS.index("max_buy")
MIN_ANY: Final = BOUNDS.index("min_any")
MAX_ANY: Final = BOUNDS.index("max_any")

# --- first crossing -------------------------------------------------------------------------------------------------

_NO_SIDES: Final = np.zeros(0, np.int8)


def first_crossing(tape: Prints | Bars, index: BlockIndex, start: int, stop: int, thresholds: Thresholds) -> int:
    """The first position in [start, stop) whose print reaches a threshold; `stop` where none does."""
    fine, middle, coarse = index.levels
    if isinstance(tape, Bars):
        columns = tape.low, tape.high, _NO_SIDES
    else:
        columns = tape.price, tape.price, tape.side
    found: int = crossing(*columns, fine.table, middle.table, coarse.table, start, stop, *thresholds)
    return found


@_fast
def crossing(
    low: Any, high: Any, side: Any, fine: Any, middle: Any, coarse: Any, start: int, stop: int, bid: int, ask: int,
    up: int, down: int,
) -> int:  # fmt: skip
    """Rows span [low, high]; without sides they count for both. Blocks whose bounds are clear are not read."""
    at = start
    while at < stop:
        if at % FINE == 0:
            if at % COARSE == 0 and at + COARSE <= stop and _is_clear(coarse, at // COARSE, bid, ask, up, down):
                at += COARSE
                continue
            if at % MIDDLE == 0 and at + MIDDLE <= stop and _is_clear(middle, at // MIDDLE, bid, ask, up, down):
                at += MIDDLE
                continue
            if at + FINE <= stop and _is_clear(fine, at // FINE, bid, ask, up, down):
                at += FINE
                continue
        edge = min(stop, at - at % FINE + FINE)
        lows, highs, sides = low[at:edge], high[at:edge], side[at:edge]
        for row in range(len(lows)):
            aggressor = sides[row] if len(sides) else 0
            is_sold, is_bought = aggressor <= 0, aggressor >= 0
            # no branch on the aggressor, which nothing predicts
            if (
                (is_sold & (lows[row] <= bid))
                | (is_bought & (highs[row] >= ask))
                | (highs[row] >= up)
                | (lows[row] <= down)
            ):
                return at + row
        at = edge
    return stop


@_fast
def _is_clear(bounds: Any, block: int, bid: int, ask: int, up: int, down: int) -> Any:
    return (
        bounds[MIN_SELL, block] > bid
        and bounds[MAX_BUY, block] < ask
        and bounds[MAX_ANY, block] < up
        and bounds[MIN_ANY, block] > down
    )


# --- a course of standing pairs -------------------------------------------------------------------------------------

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

_THROUGH_RULE: Final = int(Rule.MAKER_THROUGH)
_QUEUE_RULE: Final = int(Rule.MAKER_QUEUE)
_TOUCH_RULE: Final = int(Rule.MAKER_TOUCH)
_PRICE_FILTER: Final = int(Refusal.PRICE_FILTER)
_LOT_SIZE: Final = int(Refusal.LOT_SIZE)
_NOTIONAL: Final = int(Refusal.NOTIONAL)
_MAX_ORDERS: Final = int(Refusal.MAX_ORDERS)
_WOULD_TAKE: Final = int(Refusal.WOULD_TAKE)
_INSUFFICIENT: Final = int(Refusal.INSUFFICIENT_BALANCE)


@_fast
def quote_on_prints(
    time_ns: Any, price: Any, lots: Any, side: Any, fine: Any, middle: Any, coarse: Any, at: Any, bids: Any, asks: Any,
    sizes: Any, terms: Any, state: Any, pair: Any, printed: Any, kinds: Any, placed: Any, filled: Any,
) -> int:  # fmt: skip
    """Go on with a course: decisions at the prints `at` arrive, rest and are filled, until the window or the room ends.

    `DONE`, `MORE` (the events are full: take them and call again), or `UNCOVERED`. `printed` holds, by price from the
    lowest, prints and lots of the last minute, where the queue ahead is a model. `kinds` tells the items in their
    order; the rows of `placed` and `filled` belong to the arrivals and fills among them.
    """
    state[ITEMS] = state[PLACED] = state[FILLED] = 0
    end = terms[END]
    count = len(at)
    room = len(kinds) - 4
    while state[ITEMS] < room:
        due_ns, arrival_ns = NEVER_UP, NEVER_UP
        decided, arrived = state[DECIDED], state[ARRIVED]
        if decided < count:
            due_ns = time_ns[at[decided]] + terms[FEED]
            if due_ns >= end:
                due_ns = NEVER_UP
        if arrived < decided:
            arrival_ns = time_ns[at[arrived]] + terms[FEED] + terms[ENTRY]
            if arrival_ns >= end:
                arrival_ns = NEVER_UP
        until_ns = min(due_ns, arrival_ns, end - 1)
        clear = state[CLEAR]
        stop = _until(time_ns, clear, until_ns)
        if pair[BID, NUMBER] or pair[ASK, NUMBER]:
            beyond = 1 if terms[RESTING] == THROUGH else 0
            low = pair[BID, PRICE] - beyond if pair[BID, NUMBER] else NEVER_DOWN
            high = pair[ASK, PRICE] + beyond if pair[ASK, NUMBER] else NEVER_UP
            hit = crossing(price, price, side, fine, middle, coarse, clear, stop, low, high, NEVER_UP, NEVER_DOWN)
            if hit < stop:
                state[CLEAR] = hit + 1
                if not _on_print(price, lots, side, hit, terms, state, pair, kinds, filled):
                    return UNCOVERED
                continue
        state[CLEAR] = stop
        if arrival_ns <= due_ns:
            if arrival_ns == NEVER_UP:
                return DONE
            kinds[state[ITEMS]] = ARRIVAL
            state[ITEMS] += 1
            if not _on_arrival(
                time_ns, price, lots, side, arrival_ns, bids[arrived], asks[arrived], sizes[arrived], terms, state,
                pair, printed, placed,
            ):  # fmt: skip
                return UNCOVERED
            state[ARRIVED] += 1
        else:
            kinds[state[ITEMS]] = DECISION
            state[ITEMS] += 1
            state[DECIDED] += 1
    return MORE


@_fast
def _until(time_ns: Any, start: int, at_ns: int) -> int:
    """The position after all rows of `at_ns` or earlier, from `start` on: in leaps, twice as long each, then halves."""
    rows = len(time_ns)
    if start >= rows or time_ns[start] > at_ns:
        return start
    low, leap = start, 1  # row `low` is not later
    while low + leap < rows and time_ns[low + leap] <= at_ns:
        low += leap
        leap *= 2
    high = min(rows, low + leap)  # row `high` is later, or the end
    while high - low > 1:
        middle = (low + high) // 2
        if time_ns[middle] <= at_ns:
            low = middle
        else:
            high = middle
    return high


# --- the quote arrives ----------------------------------------------------------------------------------------------


@_fast
def _on_arrival(
    time_ns: Any, price: Any, lots: Any, side: Any, now_ns: int, bid: int, ask: int, size: int, terms: Any, state: Any,
    pair: Any, printed: Any, placed: Any,
) -> bool:  # fmt: skip
    """Cancels first, then the bid, then the ask. False where an order would take."""
    row = placed[state[PLACED]]
    row[:] = 0
    state[PLACED] += 1
    for which in range(2):
        wanted = bid if which == BID else ask
        order = pair[which]
        if order[NUMBER] == 0:
            continue
        stays = order[PRICE] == wanted and order[LEFT] == size and size == order[LOTS]
        if terms[KEEPS] and stays:
            row[4] |= 1 << which
            row[which] = order[NUMBER]
            row[9 + which] = order[PLACE]
        else:
            row[5 + which] = order[NUMBER]
            row[7 + which] = order[LOCK]
            _release(state, which, order[LOCK])
            order[NUMBER] = 0
    best_bid, best_ask = _best(price, side, state[CLEAR], terms)
    if terms[RESTING] == QUEUE and terms[AHEAD] == AUTO:
        _see_minute(time_ns, price, lots, now_ns, terms, state, printed)
    refused = FIRST_REFUSAL
    for which in range(2):
        wanted = bid if which == BID else ask
        if wanted == 0 or pair[which, NUMBER]:
            continue
        code, received, limit = _refusal(which, wanted, size, best_bid, best_ask, terms, state, pair)
        if code < 0:
            return False
        if code:
            row[refused], row[refused + 1], row[refused + 2] = code, received, limit
            refused += 3
            continue
        order = pair[which]
        state[MADE] += 1
        order[NUMBER], order[PRICE], order[LOTS], order[LEFT] = state[MADE], wanted, size, size
        order[MADE_BY] = state[ARRIVED]
        order[PLACE] = 0
        if terms[RESTING] == QUEUE:
            order[PLACE] = _ahead(wanted, terms, state, printed) if terms[AHEAD] == AUTO else terms[AHEAD]
        order[LOCK] = _need(which, wanted, size, terms)
        _release(state, which, -order[LOCK])
        row[which], row[2 + which], row[9 + which] = order[NUMBER], order[LOCK], order[PLACE]
    return True


@_fast
def _refusal(
    which: int, price: int, size: int, best_bid: int, best_ask: int, terms: Any, state: Any, pair: Any
) -> tuple[int, int, int]:
    """The rule that a side of the pair breaks, the value received and the limit; 0 none, -1 it would take."""
    if terms[MIN_PRICE] and price < terms[MIN_PRICE]:
        return _PRICE_FILTER, price, terms[MIN_PRICE]
    if terms[MAX_PRICE] and price > terms[MAX_PRICE]:
        return _PRICE_FILTER, price, terms[MAX_PRICE]
    if size < terms[MIN_LOTS]:
        return _LOT_SIZE, size, terms[MIN_LOTS]
    if terms[MAX_LOTS] and size > terms[MAX_LOTS]:
        return _LOT_SIZE, size, terms[MAX_LOTS]
    if terms[STEP_LOTS] > 1 and size % terms[STEP_LOTS]:
        return _LOT_SIZE, size, terms[STEP_LOTS]
    worth = price * size * terms[UNIT]
    if terms[MIN_NOTIONAL] and worth < terms[MIN_NOTIONAL]:
        return _NOTIONAL, worth, terms[MIN_NOTIONAL]
    if terms[MAX_NOTIONAL] and worth > terms[MAX_NOTIONAL]:
        return _NOTIONAL, worth, terms[MAX_NOTIONAL]
    is_open = 1 if pair[1 - which, NUMBER] else 0
    if terms[MAX_ORDERS] and is_open >= terms[MAX_ORDERS]:
        return _MAX_ORDERS, is_open + 1, terms[MAX_ORDERS]
    need, free = _need(which, price, size, terms), state[FREE_QUOTE if which == BID else FREE_BASE]
    if need > free:
        return _INSUFFICIENT, need, free
    own = pair[1 - which, PRICE] if is_open else 0
    if which == BID:
        best = best_ask if best_ask > 0 and (own == 0 or best_ask < own) else own
        takes = best > 0 and price >= best
    else:
        best = max(best_bid, own)
        takes = best > 0 and price <= best
    if takes:
        return (_WOULD_TAKE, price, best) if terms[POST_ONLY] else (-1, 0, 0)
    return 0, 0, 0


@_fast
def _best(price: Any, side: Any, position: int, terms: Any) -> tuple[Any, Any]:
    """The synthetic quote around the last print; zeros where none is assumed."""
    if not terms[IS_SYNTHETIC] or position == 0:
        return 0, 0
    last, aggressor, spread = np.int64(price[position - 1]), side[position - 1], terms[SPREAD]
    if aggressor > 0:
        return last - spread, last
    if aggressor < 0:
        return last, last + spread
    return last - spread // 2, last + (spread + 1) // 2


@_fast
def _need(which: int, price: int, size: int, terms: Any) -> Any:
    """Units to lock: of the quote with its fees for a bid, of the base for an ask."""
    if which == ASK:
        return size * terms[LOT_UNIT]
    notional = price * size * terms[UNIT]
    rate = terms[RESERVE]
    return notional + notional // RATE_ONE * rate + (notional % RATE_ONE * rate + RATE_ONE - 1) // RATE_ONE


@_fast
def _release(state: Any, which: int, units: int) -> None:
    """From locked to free, of the quote for a bid and of the base for an ask; the other way below 0."""
    free, locked = (FREE_QUOTE, LOCKED_QUOTE) if which == BID else (FREE_BASE, LOCKED_BASE)
    state[free] += units
    state[locked] -= units


@_fast
def _see_minute(time_ns: Any, price: Any, lots: Any, now_ns: int, terms: Any, state: Any, printed: Any) -> None:
    """Move the minute before now on: its prints and lots by price, their sum, and how many prices they have."""
    position, lowest = state[CLEAR], terms[LOWEST_PRICE]
    for row in range(state[WINDOW_LAST], position):
        level = price[row] - lowest
        if printed[0, level] == 0:
            state[WINDOW_PRICES] += 1
        printed[0, level] += 1
        printed[1, level] += lots[row]
        state[WINDOW_LOTS] += lots[row]
    first = state[WINDOW_FIRST]
    while first < position and time_ns[first] <= now_ns - AHEAD_WINDOW_NS:
        level = price[first] - lowest
        printed[0, level] -= 1
        printed[1, level] -= lots[first]
        state[WINDOW_LOTS] -= lots[first]
        if printed[0, level] == 0:
            state[WINDOW_PRICES] -= 1
        first += 1
    state[WINDOW_FIRST] = first
    state[WINDOW_LAST] = position


@_fast
def _ahead(price: int, terms: Any, state: Any, printed: Any) -> Any:
    """`Prints.ahead`, from the minute that was seen."""
    if state[WINDOW_PRICES] == 0:
        return 0
    level = price - terms[LOWEST_PRICE]
    here = printed[1, level] if 0 <= level < printed.shape[1] else 0
    mean = (state[WINDOW_LOTS] + state[WINDOW_PRICES] - 1) // state[WINDOW_PRICES]
    return max(here, mean)


# --- a print concerns the pair --------------------------------------------------------------------------------------


@_fast
def _on_print(
    price: Any, lots: Any, side: Any, row: int, terms: Any, state: Any, pair: Any, kinds: Any, filled: Any
) -> bool:
    """The bid first. One call for both sides: a call with a constant is compiled for that constant."""
    at, size, aggressor = np.int64(price[row]), np.int64(lots[row]), side[row]
    for which in range(2):
        own = pair[which, PRICE]
        meets = (aggressor <= 0 and own >= at) if which == BID else (aggressor >= 0 and own <= at)
        if meets and pair[which, NUMBER] and not _serve(at, size, row, which, terms, state, pair, kinds, filled):
            return False
    return True


@_fast
def _serve(
    price: Any, lots: Any, row: int, which: int, terms: Any, state: Any, pair: Any, kinds: Any, filled: Any
) -> bool:
    """What a print gives to the one order of a side that it touches: `queue.serve`."""
    order, share = pair[which], terms[SHARE]
    before, after, left, rule = order[PLACE], order[PLACE], lots, _THROUGH_RULE
    if order[PRICE] != price:
        after = 0
    elif terms[RESTING] == THROUGH:
        return True
    elif terms[RESTING] == TOUCH:
        rule = _TOUCH_RULE
    else:
        rule = _QUEUE_RULE
        waited = min(lots, before)
        left, after = lots - waited, before - waited
    order[PLACE] = after
    if left == 0 and (rule == _QUEUE_RULE or share != WHOLE):
        return True
    cap = left if share == WHOLE else left * share // SHARE_ONE
    given = order[LEFT] if share == WHOLE else min(order[LEFT], cap)
    if given == 0:
        return True
    out = filled[state[FILLED]]
    out[0], out[1], out[2], out[3], out[4] = order[NUMBER], which + 1, order[PRICE], given, order[LEFT] - given
    out[5], out[6], out[7], out[8], out[9], out[10] = rule, row, before, after, left, cap
    out[11] = order[MADE_BY]
    state[FILLED] += 1
    state[FILLS] += 1
    kinds[state[ITEMS]] = FILL
    state[ITEMS] += 1
    return _settle(given, which, terms, state, order, out)


@_fast
def _settle(given: int, which: int, terms: Any, state: Any, order: Any, out: Any) -> bool:
    """Move what a fill moves: `Purse.settle`. False where an amount leaves what the loop has proven."""
    order[LEFT] -= given
    notional, units = order[PRICE] * given * terms[UNIT], given * terms[LOT_UNIT]
    is_locked = order[LOCK] > 0
    paid, received = (units, notional) if which == ASK else (notional, units)
    free, locked = (FREE_BASE, LOCKED_BASE) if which == ASK else (FREE_QUOTE, LOCKED_QUOTE)
    gets = FREE_QUOTE if which == ASK else FREE_BASE
    pays = locked if is_locked else free
    state[pays] -= paid
    state[gets] += received
    if is_locked:
        order[LOCK] -= paid
    fee = _fee(notional if terms[FEE_IN_QUOTE] else received, terms[RATE])
    is_fee_locked = terms[RESERVE] > 0 and which == BID and order[LOCK] >= fee and fee > 0
    if is_fee_locked:
        order[LOCK] -= fee
        state[LOCKED_QUOTE] -= fee
        state[FEES_QUOTE] += fee
    elif terms[FEE_IN_QUOTE]:
        state[FREE_QUOTE] -= fee
        state[FEES_QUOTE] += fee
    else:
        state[gets] -= fee
        state[FEES_QUOTE if which == ASK else FEES_BASE] += fee
    keeps = min(order[LOCK], _need(which, order[PRICE], order[LEFT], terms)) if order[LEFT] else 0
    released = order[LOCK] - keeps
    order[LOCK] = keeps
    _release(state, which, released)
    out[12], out[13], out[14], out[15] = fee, released, is_locked, is_fee_locked
    if order[LEFT] == 0:
        order[NUMBER] = 0
    for one in range(FREE_QUOTE, FEES_BASE + 1):
        if state[one] > LARGEST or (state[one] < 0 and one < FEES_QUOTE) or state[one] < -LARGEST:
            return False
    return True


@_fast
def _fee(amount: int, rate: int) -> int:
    """`fees.fee_units`, without its product: truncated toward zero."""
    size = abs(rate)
    fee = amount // RATE_ONE * size + amount % RATE_ONE * size // RATE_ONE
    return fee if rate >= 0 else -fee


# --- rows side by side ----------------------------------------------------------------------------------------------


@_fast
def scatter(target: Any, offsets: Any, rows: Any) -> None:
    """Copy rows of bytes (count, width) to their offsets in a buffer."""
    width = rows.shape[1]
    for one in range(len(offsets)):
        place, row = target[offsets[one] : offsets[one] + width], rows[one]
        for byte in range(width):
            place[byte] = row[byte]
