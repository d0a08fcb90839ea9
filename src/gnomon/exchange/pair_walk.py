"""A course of standing pairs in plain Python: `kernels.quote_on_prints` where numba is not, with the same answer.

When a quote arrives is known before anything is played, and what rests from then on has the prices of that quote or is
nothing. So the prints that touch a side are found for thousands of quotes at once, each print compared with the quote
that stands when it is printed; Python walks from arrival to arrival, and stops at a print only where an order is open.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.exchange import course
from gnomon.exchange.order import Side
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import AUTO, RATE_ONE, SHARE_ONE, WHOLE
from gnomon.exchange.search import first_crossing
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.market.block_index import BlockIndex
from gnomon.units import INT64_MAX, IntArray

CHUNK_QUOTES: Final = 8_192
CHUNK_ROWS: Final = 1 << 18
"""So many quotes and prints are looked at together: few enough for a cache."""

SPARSE_ROWS: Final = 1 << 15
"""A quote that stands for more prints than that is looked up in the block index."""

_NEVER: Final = INT64_MAX
_NOTHING: Final = (0, 0, 0, 0, 0, 0)
_NO_ROWS: Final = np.zeros(0, np.int64)


class _Order:
    """One side of the pair; `number` 0: there is none."""

    __slots__ = ("left", "lock", "lots", "made_by", "number", "place", "price", "side")

    def __init__(self, side: Side) -> None:
        self.side = int(side)
        self.number = self.price = self.lots = self.left = self.lock = self.place = self.made_by = 0


class Pair:
    """The two orders of an account, its funds, and what prints and quotes make of them.

    `told` holds a row of `course.FILLED_FIELDS` for each fill since it was emptied.
    """

    def __init__(self, prints: Prints, terms: IntArray, state: IntArray) -> None:
        """Terms and state are those of `course`."""
        self.prints = prints
        self.terms: dict[str, int] = dict(zip(course.TERMS, terms.tolist(), strict=True))
        self.bid, self.ask = _Order(Side.BUY), _Order(Side.SELL)
        self.funds: list[int] = state[course.FREE_QUOTE : course.FEES_BASE + 1].tolist()
        self.made = int(state[course.MADE])  # orders, ever
        self.told: list[tuple[int, ...]] = []
        self._is_modelled = self.terms["resting"] == course.QUEUE and self.terms["ahead"] == AUTO
        self._ahead = self.terms["ahead"] if self.terms["resting"] == course.QUEUE and not self._is_modelled else 0

    # --- a quote arrives ----------------------------------------------------------------------------------------------

    def arrive(
        self, number: int, bid_price: int, ask_price: int, size: int, keeps: int, is_post_only: int, bid_lock: int,
        ask_lock: int, is_easy: bool, position: int, now_ns: int,
    ) -> tuple[int, ...] | None:  # fmt: skip
        """Cancels first, then the bid, then the ask: a row of `course.PLACED_FIELDS`. None where an order would take.

        `number` counts arrivals from 0. The locks are what its sides need, `is_easy` says that funds alone decide over
        them, `position` is that of the next print.
        """
        bid, ask, funds = self.bid, self.ask, self.funds
        bid_gone = ask_gone = bid_released = ask_released = kept = 0
        if bid.number:
            if keeps and bid.price == bid_price and bid.left == size == bid.lots:
                kept = 1
            else:
                bid_gone, bid_released, bid.number = bid.number, bid.lock, 0
                funds[0] += bid_released
                funds[1] -= bid_released
        if ask.number:
            if keeps and ask.price == ask_price and ask.left == size == ask.lots:
                kept += 2
            else:
                ask_gone, ask_released, ask.number = ask.number, ask.lock, 0
                funds[2] += ask_released
                funds[3] -= ask_released
        refused: tuple[int, ...] = ()
        if not bid_price or bid.number:
            bid_lock = 0
        else:
            if not is_easy or bid_lock > funds[0]:
                refused = self._refusal(bid, ask, bid_price, size, bid_lock, is_post_only, position)
            if refused:
                if refused[0] < 0:
                    return None
                bid_lock = 0
            else:
                self.made = bid.number = self.made + 1
                bid.price, bid.lots, bid.left, bid.lock, bid.made_by = bid_price, size, size, bid_lock, number
                bid.place = self.prints.ahead(bid_price, position, now_ns) if self._is_modelled else self._ahead
                funds[0] -= bid_lock
                funds[1] += bid_lock
        if not ask_price or ask.number:
            ask_lock = 0
        else:
            more: tuple[int, ...] = ()
            if not is_easy or ask_lock > funds[2]:
                more = self._refusal(ask, bid, ask_price, size, ask_lock, is_post_only, position)
            if more:
                if more[0] < 0:
                    return None
                ask_lock = 0
                refused += more
            else:
                self.made = ask.number = self.made + 1
                ask.price, ask.lots, ask.left, ask.lock, ask.made_by = ask_price, size, size, ask_lock, number
                ask.place = self.prints.ahead(ask_price, position, now_ns) if self._is_modelled else self._ahead
                funds[2] -= ask_lock
                funds[3] += ask_lock
        return (
            bid.number, ask.number, bid_lock, ask_lock, kept, bid_gone, ask_gone, bid_released, ask_released,
            bid.place if bid.number else 0, ask.place if ask.number else 0,
            *(refused + _NOTHING[len(refused) :] if refused else _NOTHING),
        )  # fmt: skip

    # --- a print touches an order -------------------------------------------------------------------------------------

    def serve(self, order: _Order, row: int) -> bool:
        """What a print gives to the one order of a side that it touches: `queue.serve`, then `Purse.settle`.

        False where an amount leaves what int64 is proven to hold.
        """
        terms, share = self.terms, self.terms["share"]
        price, lots = self.prints.price.item(row), self.prints.lots.item(row)
        before = after = order.place
        left, rule, resting = lots, course.THROUGH_RULE, terms["resting"]
        if order.price != price:
            after = 0
        elif resting == course.THROUGH:
            return True
        elif resting == course.TOUCH:
            rule = course.TOUCH_RULE
        else:
            rule = course.QUEUE_RULE
            waited = min(before, lots)
            left, after = lots - waited, before - waited
        order.place = after
        if left == 0 and (rule == course.QUEUE_RULE or share != WHOLE):
            return True
        cap = left if share == WHOLE else left * share // SHARE_ONE
        given = order.left if share == WHOLE or order.left < cap else cap
        if given == 0:
            return True
        order.left = remaining = order.left - given
        notional, units = order.price * given * terms["notional_unit"], given * terms["lot_unit"]
        rate, funds, lock, is_locked = terms["rate"], self.funds, order.lock, order.lock > 0
        if order.side == 1:
            paid, received, pays, gets = notional, units, 0, 2
        else:
            paid, received, pays, gets = units, notional, 2, 0
        funds[pays + is_locked] -= paid
        funds[gets] += received
        if is_locked:
            lock -= paid
        base = notional if terms["is_fee_in_quote"] else received
        fee = base * rate // RATE_ONE if rate >= 0 else -(base * -rate // RATE_ONE)
        is_fee_locked = terms["reserve_rate"] > 0 and order.side == 1 and lock >= fee > 0
        if is_fee_locked:
            lock -= fee
            funds[1] -= fee
            funds[4] += fee
        elif terms["is_fee_in_quote"]:
            funds[0] -= fee
            funds[4] += fee
        else:
            funds[gets] -= fee
            funds[4 + gets // 2] += fee
        keeps = min(lock, self.need(order, remaining)) if remaining else 0
        released = lock - keeps
        if released:
            funds[pays] += released
            funds[pays + 1] -= released
        order.lock = keeps
        self.told.append((
            order.number, order.side, order.price, given, remaining, rule, row, before, after, left, cap, order.made_by,
            fee, released, is_locked, is_fee_locked,
        ))  # fmt: skip
        if remaining == 0:
            order.number = 0
        return max(funds) <= course.LARGEST and (
            min(funds) >= 0 or (min(funds[:4]) >= 0 and min(funds) >= -course.LARGEST)
        )

    def need(self, order: _Order, lots: int) -> int:
        """Units to lock: of the quote with its fees for a bid, of the base for an ask."""
        if order.side != 1:
            return lots * self.terms["lot_unit"]
        notional = order.price * lots * self.terms["notional_unit"]
        return notional - (-notional * self.terms["reserve_rate"] // RATE_ONE)

    # --- an order is refused, or has people ahead ---------------------------------------------------------------------

    def _refusal(
        self, order: _Order, other: _Order, price: int, size: int, need: int, is_post_only: int, position: int
    ) -> tuple[int, int, int] | tuple[()]:
        """The rule that a side of the pair breaks, the value received and the limit; a rule of -1: it would take."""
        terms, unit = self.terms, self.terms["notional_unit"]
        worth, is_bid = price * size * unit, order.side == 1
        for rule, value, least, most in (
            (course.PRICE_FILTER, price, terms["min_price"], terms["max_price"]),
            (course.LOT_SIZE, size, terms["min_lots"], terms["max_lots"]),
        ):
            if value < least:
                return rule, value, least
            if most and value > most:
                return rule, value, most
        if terms["step_lots"] > 1 and size % terms["step_lots"]:
            return course.LOT_SIZE, size, terms["step_lots"]
        if worth < terms["min_notional"]:
            return course.NOTIONAL, worth, terms["min_notional"]
        if terms["max_notional"] and worth > terms["max_notional"]:
            return course.NOTIONAL, worth, terms["max_notional"]
        is_open = 1 if other.number else 0
        if terms["max_orders"] and is_open >= terms["max_orders"]:
            return course.TOO_MANY, is_open + 1, terms["max_orders"]
        free = self.funds[0 if is_bid else 2]
        if need > free:
            return course.INSUFFICIENT, need, free
        best_bid, best_ask = self.best(position)
        own = other.price if is_open else 0
        if is_bid:
            best = best_ask if best_ask > 0 and (own == 0 or best_ask < own) else own
            takes = best > 0 and price >= best
        else:
            best = max(best_bid, own)
            takes = best > 0 and price <= best
        if takes:
            return (course.WOULD_TAKE, price, best) if is_post_only else (-1, 0, 0)
        return ()

    def best(self, position: int) -> tuple[int, int]:
        """The synthetic quote around the last print; zeros where none is assumed."""
        if not self.terms["is_synthetic"] or position == 0:
            return 0, 0
        last, side, spread = (
            self.prints.price.item(position - 1),
            self.prints.side.item(position - 1),
            self.terms["spread"],
        )
        below = spread if side > 0 else 0 if side < 0 else spread // 2
        return last - below, last - below + spread


class PairWalk(Pair):
    """One course of quotes that are known ahead.

    `go_on` moves it by a stretch, whose items are then in `kinds`, `placed` and `filled`.
    """

    kinds: npt.NDArray[np.int8]
    placed: IntArray
    filled: IntArray

    def __init__(
        self,
        prints: Prints,
        index: BlockIndex,
        quotes: tuple[IntArray, IntArray, IntArray, IntArray],
        terms: IntArray,
        state: IntArray,
        room: int,
    ) -> None:
        """`quotes` are the rows of decisions, their bids, asks and lots; terms and state are those of `course`. About
        `room` items are told at a time."""
        super().__init__(prints, terms, state)
        self._index, self._state = index, state
        at, self._bids, self._asks, self._lots = quotes
        end_ns = self.terms["end_ns"]
        due_ns = prints.time_ns[at] + self.terms["feed_ns"]
        self._due_ns = due_ns[: np.searchsorted(due_ns, end_ns)]
        arrival_ns = self._due_ns + self.terms["entry_ns"]
        self._arrival_ns = arrival_ns[: np.searchsorted(arrival_ns, end_ns)]
        rows = np.searchsorted(prints.time_ns, np.append(self._arrival_ns, end_ns - 1), "right")
        self._rows = np.maximum(rows, int(state[course.CLEAR]))  # of the prints from each arrival to the next
        self._quotes = max(1, min(CHUNK_QUOTES, room // 3))

    def go_on(self) -> int:
        """`DONE`, `MORE` (take what was told, and call again) or `UNCOVERED`."""
        first = int(self._state[course.ARRIVED])
        stop = min(first + self._quotes, len(self._arrival_ns))
        rows = self._rows
        if stop > first:
            stop = min(stop, max(first + 1, int(np.searchsorted(rows, rows[first] + CHUNK_ROWS, "right")) - 1))
        self.told = []
        placed = self._walk(first, stop)
        if placed is None:
            return course.UNCOVERED
        self._tell(first, stop, placed)
        return course.DONE if stop == len(self._arrival_ns) else course.MORE

    # --- from arrival to arrival --------------------------------------------------------------------------------------

    def _walk(self, first: int, stop: int) -> list[tuple[int, ...]] | None:
        """The rows of `placed` for the arrivals [first, stop), each with the prints up to the next; None where one is
        not covered."""
        chosen = slice(first, stop)
        columns = (self._bids, self._asks, self._lots, self._rows, self._arrival_ns)
        quotes = zip(*(one[chosen].tolist() for one in columns), *self._foreseen(chosen), strict=True)
        sold, bought, bounds = self._touched(first, stop)
        keeps, is_post_only = self.terms["keeps"], self.terms["is_post_only"]
        bid, ask = self.bid, self.ask
        placed: list[tuple[int, ...]] = []
        for at, (bid_price, ask_price, size, row, now_ns, bid_need, ask_need, easy) in enumerate(quotes):
            found = self.arrive(
                first + at, bid_price, ask_price, size, keeps, is_post_only, bid_need, ask_need, easy, row, now_ns
            )
            if found is None:
                return None
            placed.append(found)
            if bounds is None:
                is_covered = self._look_up(row, int(self._rows[stop]))
            else:
                bids_from, bids_upto = bounds[0][at], bounds[0][at + 1]
                asks_from, asks_upto = bounds[1][at], bounds[1][at + 1]
                if not bid.number:
                    bids_from = bids_upto
                if not ask.number:
                    asks_from = asks_upto
                if bids_from == bids_upto and asks_from == asks_upto:
                    continue
                is_covered = self._meet(sold, bids_from, bids_upto, bought, asks_from, asks_upto)
            if not is_covered:
                return None
        return placed

    def _foreseen(self, chosen: slice) -> tuple[list[int], list[int], list[bool]]:
        """What each quote's sides would lock, and whether funds alone decide over it: it breaks no filter, and meets
        neither the market nor itself."""
        terms, bids, asks, lots = self.terms, self._bids[chosen], self._asks[chosen], self._lots[chosen]
        notional, rate = bids * lots * terms["notional_unit"], terms["reserve_rate"]
        fee = notional // RATE_ONE * rate + (notional % RATE_ONE * rate + RATE_ONE - 1) // RATE_ONE
        is_easy = (bids == 0) | (asks == 0) | (bids < asks)
        for price in (bids, asks):
            is_easy &= (price == 0) | self._passes(price, lots)
        if terms["max_orders"] == 1:
            is_easy &= (bids == 0) | (asks == 0)
        best_bid, best_ask = self._best(self._rows[:-1][chosen])
        is_easy &= ((best_ask <= 0) | (bids < best_ask)) & ((asks == 0) | (best_bid <= 0) | (asks > best_bid))
        return (notional + fee).tolist(), (lots * terms["lot_unit"]).tolist(), is_easy.tolist()

    def _passes(self, price: IntArray, lots: IntArray) -> npt.NDArray[np.bool_]:
        terms = self.terms
        worth = price * lots * terms["notional_unit"]
        most_price, most_lots, most_worth = (
            terms[name] or INT64_MAX for name in ("max_price", "max_lots", "max_notional")
        )
        passes = (terms["min_price"] <= price) & (price <= most_price) & (terms["min_notional"] <= worth)
        passes &= (worth <= most_worth) & (terms["min_lots"] <= lots) & (lots <= most_lots)
        passes &= lots % max(1, terms["step_lots"]) == 0
        return np.asarray(passes)

    def _best(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """The synthetic quote around the print before each row; zeros where none is assumed."""
        spread = self.terms["spread"]
        if not self.terms["is_synthetic"] or not len(self.prints):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        last = self.prints.price[rows - 1].astype(np.int64)
        side = self.prints.side[rows - 1]
        below = np.where(side > 0, spread, np.where(side < 0, 0, spread // 2))
        is_known = rows > 0
        return np.where(is_known, last - below, 0), np.where(is_known, last - below + spread, 0)

    def _touched(self, first: int, stop: int) -> tuple[IntArray, IntArray, tuple[list[int], list[int]] | None]:
        """Rows that reach the bid, or the ask, of the quote that stands then, and where those of each quote begin
        among them; no bounds where a quote stands for so many prints that the index is asked."""
        rows = self._rows[first : stop + 1]
        low, high = int(rows[0]), int(rows[-1])
        if stop - first == 1 and high - low > SPARSE_ROWS:
            return _NO_ROWS, _NO_ROWS, None
        counts, beyond = np.diff(rows), 1 if self.terms["resting"] == course.THROUGH else 0
        price, side = self.prints.price[low:high], self.prints.side[low:high]
        found = []
        for prices, is_bid in ((self._bids[first:stop] - beyond, True), (self._asks[first:stop] + beyond, False)):
            own = np.repeat(_narrow(prices, price.dtype), counts)
            reached = (price <= own) & (side <= 0) if is_bid else (price >= own) & (side >= 0)
            found.append(np.flatnonzero(reached) + low)
        sold, bought = found
        return sold, bought, (np.searchsorted(sold, rows).tolist(), np.searchsorted(bought, rows).tolist())

    # --- prints that touch the pair -----------------------------------------------------------------------------------

    def _meet(
        self, sold: IntArray, bids_at: int, bids_upto: int, bought: IntArray, asks_at: int, asks_upto: int
    ) -> bool:
        """The prints that reach the bid, and those that reach the ask, in their order; of one print the bid first."""
        bid, ask = self.bid, self.ask
        bid_row = sold.item(bids_at) if bids_at < bids_upto else _NEVER
        ask_row = bought.item(asks_at) if asks_at < asks_upto else _NEVER
        while bid_row < _NEVER or ask_row < _NEVER:
            if bid_row <= ask_row:
                if not self.serve(bid, bid_row):
                    return False
                bids_at += 1
                bid_row = sold.item(bids_at) if bid.number and bids_at < bids_upto else _NEVER
            else:
                if not self.serve(ask, ask_row):
                    return False
                asks_at += 1
                ask_row = bought.item(asks_at) if ask.number and asks_at < asks_upto else _NEVER
        return True

    def _look_up(self, start: int, stop: int) -> bool:
        """The same for a quote that stands for very many prints, by the block index."""
        bid, ask, side = self.bid, self.ask, self.prints.side
        beyond = 1 if self.terms["resting"] == course.THROUGH else 0
        while start < stop and (bid.number or ask.number):
            low = bid.price - beyond if bid.number else NEVER_DOWN
            high = ask.price + beyond if ask.number else NEVER_UP
            row = first_crossing(self.prints, self._index, start, stop, Thresholds(low, high, NEVER_UP, NEVER_DOWN))
            if row == stop:
                return True
            at, aggressor = self.prints.price.item(row), side.item(row)
            if bid.number and aggressor <= 0 and at <= bid.price and not self.serve(bid, row):
                return False
            if ask.number and aggressor >= 0 and at >= ask.price and not self.serve(ask, row):
                return False
            start = row + 1
        return True

    # --- what is told -------------------------------------------------------------------------------------------------

    def _tell(self, first: int, stop: int, placed: list[tuple[int, ...]]) -> None:
        """The items of a stretch in their order: prints of an instant, then arrivals, then decisions."""
        state, due_ns = self._state, self._due_ns
        decided, is_last = int(state[course.DECIDED]), stop == len(self._arrival_ns)
        upto = len(due_ns) if is_last else int(np.searchsorted(due_ns, self._arrival_ns[stop]))
        self.placed = np.array(placed, np.int64).reshape(-1, len(course.PLACED_FIELDS))
        self.filled = np.array(self.told, np.int64).reshape(-1, len(course.FILLED_FIELDS))
        due_ns, arrival_ns = due_ns[decided:upto], self._arrival_ns[first:stop]
        filled_ns = self.prints.time_ns[self.filled[:, course.FILLED_FIELDS.index("print")]]
        self.kinds = merged(due_ns, arrival_ns, filled_ns)
        state[course.DECIDED], state[course.ARRIVED] = upto, stop
        state[course.MADE] = self.made
        state[course.FILLS] += len(filled_ns)
        state[course.FREE_QUOTE : course.FEES_BASE + 1] = self.funds
        state[[course.ITEMS, course.PLACED, course.FILLED]] = len(self.kinds), len(placed), len(filled_ns)


def merged(due_ns: IntArray, arrival_ns: IntArray, filled_ns: IntArray) -> npt.NDArray[np.int8]:
    """Which kind each item is, in their order: prints of an instant first, then arrivals, then decisions."""
    kinds = np.full(len(due_ns) + len(arrival_ns) + len(filled_ns), course.DECISION, np.int8)
    fills_at = np.arange(len(filled_ns))
    fills_at += np.searchsorted(due_ns, filled_ns) + np.searchsorted(arrival_ns, filled_ns)
    arrivals_at = np.arange(len(arrival_ns))
    arrivals_at += np.searchsorted(due_ns, arrival_ns) + np.searchsorted(filled_ns, arrival_ns, "right")
    kinds[fills_at] = course.FILL
    kinds[arrivals_at] = course.ARRIVAL
    return kinds


def _narrow(prices: IntArray, dtype: Any) -> Any:
    """In the type of the tape's prices, where they fit: half the bytes are compared."""
    limits = np.iinfo(dtype)
    fits = not len(prices) or (limits.min <= int(prices.min()) and int(prices.max()) <= limits.max)
    return prices.astype(dtype) if fits else prices
