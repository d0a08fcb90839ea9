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
from gnomon.exchange import course
from gnomon.exchange.bars import Bars
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
    state[course.ITEMS] = state[course.PLACED] = state[course.FILLED] = 0
    end = terms[course.END]
    count = len(at)
    room = len(kinds) - 4
    while state[course.ITEMS] < room:
        due_ns, arrival_ns = NEVER_UP, NEVER_UP
        decided, arrived = state[course.DECIDED], state[course.ARRIVED]
        if decided < count:
            due_ns = time_ns[at[decided]] + terms[course.FEED]
            if due_ns >= end:
                due_ns = NEVER_UP
        if arrived < decided:
            arrival_ns = time_ns[at[arrived]] + terms[course.FEED] + terms[course.ENTRY]
            if arrival_ns >= end:
                arrival_ns = NEVER_UP
        until_ns = min(due_ns, arrival_ns, end - 1)
        clear = state[course.CLEAR]
        stop = _until(time_ns, clear, until_ns)
        if pair[course.BID, course.NUMBER] or pair[course.ASK, course.NUMBER]:
            beyond = 1 if terms[course.RESTING] == course.THROUGH else 0
            low = pair[course.BID, course.PRICE] - beyond if pair[course.BID, course.NUMBER] else NEVER_DOWN
            high = pair[course.ASK, course.PRICE] + beyond if pair[course.ASK, course.NUMBER] else NEVER_UP
            hit = crossing(price, price, side, fine, middle, coarse, clear, stop, low, high, NEVER_UP, NEVER_DOWN)
            if hit < stop:
                state[course.CLEAR] = hit + 1
                if not _on_print(price, lots, side, hit, terms, state, pair, kinds, filled):
                    return course.UNCOVERED
                continue
        state[course.CLEAR] = stop
        if arrival_ns <= due_ns:
            if arrival_ns == NEVER_UP:
                return course.DONE
            kinds[state[course.ITEMS]] = course.ARRIVAL
            state[course.ITEMS] += 1
            if not _on_arrival(
                time_ns, price, lots, side, arrival_ns, bids[arrived], asks[arrived], sizes[arrived], terms, state,
                pair, printed, placed,
            ):  # fmt: skip
                return course.UNCOVERED
            state[course.ARRIVED] += 1
        else:
            kinds[state[course.ITEMS]] = course.DECISION
            state[course.ITEMS] += 1
            state[course.DECIDED] += 1
    return course.MORE


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
    row = placed[state[course.PLACED]]
    row[:] = 0
    state[course.PLACED] += 1
    for which in range(2):
        wanted = bid if which == course.BID else ask
        order = pair[which]
        if order[course.NUMBER] == 0:
            continue
        stays = order[course.PRICE] == wanted and order[course.LEFT] == size and size == order[course.LOTS]
        if terms[course.KEEPS] and stays:
            row[4] |= 1 << which
            row[which] = order[course.NUMBER]
            row[9 + which] = order[course.PLACE]
        else:
            row[5 + which] = order[course.NUMBER]
            row[7 + which] = order[course.LOCK]
            _release(state, which, order[course.LOCK])
            order[course.NUMBER] = 0
    best_bid, best_ask = _best(price, side, state[course.CLEAR], terms)
    if terms[course.RESTING] == course.QUEUE and terms[course.AHEAD] == AUTO:
        _see_minute(time_ns, price, lots, now_ns, terms, state, printed)
    refused = course.FIRST_REFUSAL
    for which in range(2):
        wanted = bid if which == course.BID else ask
        if wanted == 0 or pair[which, course.NUMBER]:
            continue
        code, received, limit = _refusal(which, wanted, size, best_bid, best_ask, terms, state, pair)
        if code < 0:
            return False
        if code:
            row[refused], row[refused + 1], row[refused + 2] = code, received, limit
            refused += 3
            continue
        order = pair[which]
        state[course.MADE] += 1
        order[course.NUMBER], order[course.PRICE], order[course.LOTS], order[course.LEFT] = (
            state[course.MADE],
            wanted,
            size,
            size,
        )
        order[course.MADE_BY] = state[course.ARRIVED]
        order[course.PLACE] = 0
        if terms[course.RESTING] == course.QUEUE:
            order[course.PLACE] = (
                _ahead(wanted, terms, state, printed) if terms[course.AHEAD] == AUTO else terms[course.AHEAD]
            )
        order[course.LOCK] = _need(which, wanted, size, terms)
        _release(state, which, -order[course.LOCK])
        row[which], row[2 + which], row[9 + which] = order[course.NUMBER], order[course.LOCK], order[course.PLACE]
    return True


@_fast
def _refusal(
    which: int, price: int, size: int, best_bid: int, best_ask: int, terms: Any, state: Any, pair: Any
) -> tuple[int, int, int]:
    """The rule that a side of the pair breaks, the value received and the limit; 0 none, -1 it would take."""
    if terms[course.MIN_PRICE] and price < terms[course.MIN_PRICE]:
        return course.PRICE_FILTER, price, terms[course.MIN_PRICE]
    if terms[course.MAX_PRICE] and price > terms[course.MAX_PRICE]:
        return course.PRICE_FILTER, price, terms[course.MAX_PRICE]
    if size < terms[course.MIN_LOTS]:
        return course.LOT_SIZE, size, terms[course.MIN_LOTS]
    if terms[course.MAX_LOTS] and size > terms[course.MAX_LOTS]:
        return course.LOT_SIZE, size, terms[course.MAX_LOTS]
    if terms[course.STEP_LOTS] > 1 and size % terms[course.STEP_LOTS]:
        return course.LOT_SIZE, size, terms[course.STEP_LOTS]
    worth = price * size * terms[course.UNIT]
    if terms[course.MIN_NOTIONAL] and worth < terms[course.MIN_NOTIONAL]:
        return course.NOTIONAL, worth, terms[course.MIN_NOTIONAL]
    if terms[course.MAX_NOTIONAL] and worth > terms[course.MAX_NOTIONAL]:
        return course.NOTIONAL, worth, terms[course.MAX_NOTIONAL]
    is_open = 1 if pair[1 - which, course.NUMBER] else 0
    if terms[course.MAX_ORDERS] and is_open >= terms[course.MAX_ORDERS]:
        return course.TOO_MANY, is_open + 1, terms[course.MAX_ORDERS]
    need, free = _need(which, price, size, terms), state[course.FREE_QUOTE if which == course.BID else course.FREE_BASE]
    if need > free:
        return course.INSUFFICIENT, need, free
    own = pair[1 - which, course.PRICE] if is_open else 0
    if which == course.BID:
        best = best_ask if best_ask > 0 and (own == 0 or best_ask < own) else own
        takes = best > 0 and price >= best
    else:
        best = max(best_bid, own)
        takes = best > 0 and price <= best
    if takes:
        return (course.WOULD_TAKE, price, best) if terms[course.POST_ONLY] else (-1, 0, 0)
    return 0, 0, 0


@_fast
def _best(price: Any, side: Any, position: int, terms: Any) -> tuple[Any, Any]:
    """The synthetic quote around the last print; zeros where none is assumed."""
    if not terms[course.IS_SYNTHETIC] or position == 0:
        return 0, 0
    last, aggressor, spread = np.int64(price[position - 1]), side[position - 1], terms[course.SPREAD]
    if aggressor > 0:
        return last - spread, last
    if aggressor < 0:
        return last, last + spread
    return last - spread // 2, last + (spread + 1) // 2


@_fast
def _need(which: int, price: int, size: int, terms: Any) -> Any:
    """Units to lock: of the quote with its fees for a bid, of the base for an ask."""
    if which == course.ASK:
        return size * terms[course.LOT_UNIT]
    notional = price * size * terms[course.UNIT]
    rate = terms[course.RESERVE]
    return notional + notional // RATE_ONE * rate + (notional % RATE_ONE * rate + RATE_ONE - 1) // RATE_ONE


@_fast
def _release(state: Any, which: int, units: int) -> None:
    """From locked to free, of the quote for a bid and of the base for an ask; the other way below 0."""
    free, locked = (
        (course.FREE_QUOTE, course.LOCKED_QUOTE) if which == course.BID else (course.FREE_BASE, course.LOCKED_BASE)
    )
    state[free] += units
    state[locked] -= units


@_fast
def _see_minute(time_ns: Any, price: Any, lots: Any, now_ns: int, terms: Any, state: Any, printed: Any) -> None:
    """Move the minute before now on: its prints and lots by price, their sum, and how many prices they have."""
    position, lowest = state[course.CLEAR], terms[course.LOWEST_PRICE]
    for row in range(state[course.WINDOW_LAST], position):
        level = price[row] - lowest
        if printed[0, level] == 0:
            state[course.WINDOW_PRICES] += 1
        printed[0, level] += 1
        printed[1, level] += lots[row]
        state[course.WINDOW_LOTS] += lots[row]
    first = state[course.WINDOW_FIRST]
    while first < position and time_ns[first] <= now_ns - AHEAD_WINDOW_NS:
        level = price[first] - lowest
        printed[0, level] -= 1
        printed[1, level] -= lots[first]
        state[course.WINDOW_LOTS] -= lots[first]
        if printed[0, level] == 0:
            state[course.WINDOW_PRICES] -= 1
        first += 1
    state[course.WINDOW_FIRST] = first
    state[course.WINDOW_LAST] = position


@_fast
def _ahead(price: int, terms: Any, state: Any, printed: Any) -> Any:
    """`Prints.ahead`, from the minute that was seen."""
    if state[course.WINDOW_PRICES] == 0:
        return 0
    level = price - terms[course.LOWEST_PRICE]
    here = printed[1, level] if 0 <= level < printed.shape[1] else 0
    mean = (state[course.WINDOW_LOTS] + state[course.WINDOW_PRICES] - 1) // state[course.WINDOW_PRICES]
    return max(here, mean)


# --- a print concerns the pair --------------------------------------------------------------------------------------


@_fast
def _on_print(
    price: Any, lots: Any, side: Any, row: int, terms: Any, state: Any, pair: Any, kinds: Any, filled: Any
) -> bool:
    """The bid first. One call for both sides: a call with a constant is compiled for that constant."""
    at, size, aggressor = np.int64(price[row]), np.int64(lots[row]), side[row]
    for which in range(2):
        own = pair[which, course.PRICE]
        meets = (aggressor <= 0 and own >= at) if which == course.BID else (aggressor >= 0 and own <= at)
        if meets and pair[which, course.NUMBER] and not _serve(at, size, row, which, terms, state, pair, kinds, filled):
            return False
    return True


@_fast
def _serve(
    price: Any, lots: Any, row: int, which: int, terms: Any, state: Any, pair: Any, kinds: Any, filled: Any
) -> bool:
    """What a print gives to the one order of a side that it touches: `queue.serve`."""
    order, share = pair[which], terms[course.SHARE]
    before, after, left, rule = order[course.PLACE], order[course.PLACE], lots, course.THROUGH_RULE
    if order[course.PRICE] != price:
        after = 0
    elif terms[course.RESTING] == course.THROUGH:
        return True
    elif terms[course.RESTING] == course.TOUCH:
        rule = course.TOUCH_RULE
    else:
        rule = course.QUEUE_RULE
        waited = min(lots, before)
        left, after = lots - waited, before - waited
    order[course.PLACE] = after
    if left == 0 and (rule == course.QUEUE_RULE or share != WHOLE):
        return True
    cap = left if share == WHOLE else left * share // SHARE_ONE
    given = order[course.LEFT] if share == WHOLE else min(order[course.LEFT], cap)
    if given == 0:
        return True
    out = filled[state[course.FILLED]]
    out[0], out[1], out[2], out[3], out[4] = (
        order[course.NUMBER],
        which + 1,
        order[course.PRICE],
        given,
        order[course.LEFT] - given,
    )
    out[5], out[6], out[7], out[8], out[9], out[10] = rule, row, before, after, left, cap
    out[11] = order[course.MADE_BY]
    state[course.FILLED] += 1
    state[course.FILLS] += 1
    kinds[state[course.ITEMS]] = course.FILL
    state[course.ITEMS] += 1
    return _settle(given, which, terms, state, order, out)


@_fast
def _settle(given: int, which: int, terms: Any, state: Any, order: Any, out: Any) -> bool:
    """Move what a fill moves: `Purse.settle`. False where an amount leaves what the loop has proven."""
    order[course.LEFT] -= given
    notional, units = order[course.PRICE] * given * terms[course.UNIT], given * terms[course.LOT_UNIT]
    is_locked = order[course.LOCK] > 0
    paid, received = (units, notional) if which == course.ASK else (notional, units)
    free, locked = (
        (course.FREE_BASE, course.LOCKED_BASE) if which == course.ASK else (course.FREE_QUOTE, course.LOCKED_QUOTE)
    )
    gets = course.FREE_QUOTE if which == course.ASK else course.FREE_BASE
    pays = locked if is_locked else free
    state[pays] -= paid
    state[gets] += received
    if is_locked:
        order[course.LOCK] -= paid
    fee = _fee(notional if terms[course.FEE_IN_QUOTE] else received, terms[course.RATE])
    is_fee_locked = terms[course.RESERVE] > 0 and which == course.BID and order[course.LOCK] >= fee and fee > 0
    if is_fee_locked:
        order[course.LOCK] -= fee
        state[course.LOCKED_QUOTE] -= fee
        state[course.FEES_QUOTE] += fee
    elif terms[course.FEE_IN_QUOTE]:
        state[course.FREE_QUOTE] -= fee
        state[course.FEES_QUOTE] += fee
    else:
        state[gets] -= fee
        state[course.FEES_QUOTE if which == course.ASK else course.FEES_BASE] += fee
    keeps = (
        min(order[course.LOCK], _need(which, order[course.PRICE], order[course.LEFT], terms))
        if order[course.LEFT]
        else 0
    )
    released = order[course.LOCK] - keeps
    order[course.LOCK] = keeps
    _release(state, which, released)
    out[12], out[13], out[14], out[15] = fee, released, is_locked, is_fee_locked
    if order[course.LEFT] == 0:
        order[course.NUMBER] = 0
    for one in range(course.FREE_QUOTE, course.FEES_BASE + 1):
        if state[one] > course.LARGEST or (state[one] < 0 and one < course.FEES_QUOTE) or state[one] < -course.LARGEST:
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
