"""The course of a trader who is asked print by print, and answers with nothing but its standing pair.

While that is all it says, a run needs no general engine: its quotes arrive, rest and are filled in a walk of their own
(`pair_walk`), and what came of them is written a few thousand records at a time (`array_course`). The first hook that
says or reads anything else ends that: everything is left as if the engine had done it all, and the engine goes on.
No record and no digest says which of the two it was.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np

from gnomon.exchange import course
from gnomon.exchange.exchange import Arrival, Exchange
from gnomon.exchange.order import Order, Quote, Side, Status
from gnomon.exchange.outcome import Filled, Outcome, Quoted, QuoteKind, Refusal, Rejected, Role, Rule
from gnomon.exchange.pair_walk import Pair, merged
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import RATE_ONE
from gnomon.exchange.search import first_crossing
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.replay.array_course import Course, Stretch
from gnomon.replay.array_run import LARGEST, covers
from gnomon.replay.engine import TRADER, Replay
from gnomon.replay.ground import Tape
from gnomon.replay.run import Stage
from gnomon.replay.streams import NEVER_NS, TradeStream
from gnomon.replay.windows import Windows
from gnomon.trader.desk import Desk
from gnomon.trader.orders import Said
from gnomon.units import INT64_MAX, IntArray

HELD: Final = 4_096
"""Decisions, or fills, that wait to be written."""

FAR_ROWS: Final = 16_384
"""Farther the block index is asked."""

_BUY, _SELL = Side.BUY, Side.SELL
_RULES: Final = {int(one): one for one in Rule}
_make = tuple.__new__
_ROW, _SIDE = course.FILLED_FIELDS.index("print"), course.FILLED_FIELDS.index("side")


class Spoken:
    """What was asked for so far, in the columns that a `Policy` has: they grow."""

    decides_at_each_wake = keep = post_only = False

    def __init__(self, tape: Tape, first: int, step: int) -> None:
        self.tape, self.first, self.step = tape, first, step
        self.quotes = self
        self._columns = np.zeros((6, 1), np.int64)
        self._count = 0
        self.held: list[tuple[int, int, int, int, int, int]] = []  # due, row, bid, ask, lots, flags

    @property
    def prints(self) -> Prints:
        assert isinstance(self.tape.tape, Prints)
        return self.tape.tape

    def due_ns(self) -> IntArray:
        return np.asarray(self._columns[0])

    @property
    def at(self) -> IntArray:
        return np.asarray(self._columns[1])

    @property
    def bid_ticks(self) -> IntArray:
        return np.asarray(self._columns[2])

    @property
    def ask_ticks(self) -> IntArray:
        return np.asarray(self._columns[3])

    @property
    def lots(self) -> IntArray:
        return np.asarray(self._columns[4])

    def flags(self, decisions: IntArray) -> IntArray:
        return np.asarray(self._columns[5][decisions])

    def take_in(self) -> int:
        """What is held, into the columns; how many decisions there are."""
        count = self._count + len(self.held)
        if count > self._columns.shape[1]:
            grown = np.zeros((6, 2 * count), np.int64)
            grown[:, : self._count] = self._columns[:, : self._count]
            self._columns = grown
        if self.held:
            self._columns[:, self._count : count] = np.array(self.held, np.int64).T
        self._count = count
        self.held = []
        return count


class PairRun:
    """The beginning of a run, for as long as it is of the plain kind."""

    def __init__(self, stage: Stage, engine: Replay, desk: Desk, stream: TradeStream, keeps: bool) -> None:
        plan = stage.plan
        self._stage, self._engine, self._desk, self._stream = stage, engine, desk, stream
        step = stream.rows.step
        (tape,) = plan.ground.tapes
        self._spoken = Spoken(tape, stream.rows.start - step + 1, step)
        self._prints = prints = self._spoken.prints
        self._index, self._number = tape.index, tape.listing.number
        self._course = Course(stage, self._spoken, keeps, is_compiled=False)
        terms, state = self._course.opening()
        self._state = state
        self._pair = Pair(prints, terms, state)
        known = self._pair.terms
        self._entry_ns, self._reply_ns = known["entry_ns"], plan.rules.latency.reply.const_ns
        self._end_ns = plan.end_ns
        self._beyond = 1 if known["resting"] == course.THROUGH else 0
        self._clear = int(state[course.CLEAR])  # rows before it have been met
        self._is_covered, self._is_catching = True, False
        self._unsaid: list[tuple[int, Said]] = []  # when it is heard, and what
        self._first_window = stream.rows.start + 1
        self._windows = Windows(prints, self._first_window, step) if step > 1 else None
        self._fills = 0  # that are written
        self._pending: deque[tuple[int, int, Quote]] = deque()  # arrival, decision, quote
        self._placed: list[tuple[int, ...]] = []
        self._decided = self._arrived = 0
        self._told_wakes = 0
        self._most_worth = LARGEST // (2 * known["notional_unit"])
        self._most_lots = LARGEST // known["lot_unit"]
        filters = tape.listing.filters
        self._bounds = (
            filters.min_price_ticks, filters.max_price_ticks or INT64_MAX, filters.min_lots,
            filters.max_lots or INT64_MAX, max(1, filters.step_lots), filters.min_notional_units,
            filters.max_notional_units or INT64_MAX,
        )  # fmt: skip

    @classmethod
    def of(cls, stage: Stage, engine: Replay, desk: Desk, keeps: bool) -> PairRun | None:
        """None where the rules, the trader or what it did at the start ask for the whole engine."""
        streams = engine.streams
        plan = stage.plan
        if type(engine) is not Replay or type(stage.exchange) is not Exchange or not engine.is_untouched:
            return None
        if len(streams) != 1 or desk.is_listening or desk.alarms:
            return None
        stream = streams[0]
        if not isinstance(stream, TradeStream):
            return None
        tape = plan.ground.tapes[0]
        if stream.next_ns == NEVER_NS or not covers(plan, tape) or max(stage.exchange.ledger.free) > course.LARGEST:
            return None
        return cls(stage, engine, desk, stream, keeps)

    def run(self) -> None:
        """Until the window ends, the trader says something else, or it fails: then the engine goes on from here."""
        desk = self._desk
        desk.hear_late(self._catch_up)
        try:
            self._go()
        finally:
            self._catch_up()
            desk.hear_late(None)
            self._hand_over()
        if desk.outbox or desk.alarms or desk.is_deciding:
            self._engine.start()

    # --- from event to event ------------------------------------------------------------------------------------------

    def _go(self) -> None:
        """Wakes up to the next arrival, then that. The prints between are looked at when the trader reads its account,
        and before anything arrives."""
        pending, stream, desk, end_ns = self._pending, self._stream, self._desk, self._end_ns
        outbox = desk.outbox
        while self._is_covered:
            limit_ns = pending[0][0] if pending else end_ns
            if limit_ns > end_ns:
                limit_ns = end_ns
            if stream.next_ns < limit_ns:
                stream.run(desk, limit_ns)
                if (outbox or desk.is_deciding or desk.alarms) and not self._take_up():
                    return
                stream.is_flowing = True  # whatever is due bounds the next wakes
            elif limit_ns == end_ns or not self._arrive():
                return

    def _catch_up(self) -> None:
        """The prints up to the clock meet the pair, and the desk hears what has happened."""
        if not self._is_catching:
            self._meet_until(self._until(self._desk.now_ns))
            self._say()

    def _say(self) -> None:
        self._is_catching = True
        for due_ns, said in self._unsaid:
            self._desk.hear(due_ns, said)
        self._unsaid.clear()
        self._is_catching = False

    def _meet_until(self, stop: int) -> None:
        """The prints before a row that touch the pair, in their order."""
        self._is_catching = True
        pair, bid, ask = self._pair, self._pair.bid, self._pair.ask
        start = self._clear
        while start < stop and (bid.number or ask.number):
            low = bid.price - self._beyond if bid.number else NEVER_DOWN
            high = ask.price + self._beyond if ask.number else NEVER_UP
            bid_row, ask_row, until = self._firsts(start, stop, low, high)
            while bid_row >= 0 or ask_row >= 0:
                row = bid_row if ask_row < 0 or 0 <= bid_row <= ask_row else ask_row
                start = row + 1
                if bid_row == row:
                    self._serve(bid, row)
                    bid_row = -1
                    if bid.number:  # what is left of it may meet the next
                        until = start
                if ask_row == row:
                    self._serve(ask, row)
                    ask_row = -1
                    if ask.number:
                        until = start
                if until == start:
                    break
            start = until
        self._clear = max(start, stop)
        self._is_catching = False
        if len(pair.told) >= HELD:
            self._write()

    def _serve(self, order: Any, row: int) -> None:
        told = self._pair.told
        before = len(told)
        if not self._pair.serve(order, row):
            self._is_covered = False
        if len(told) > before:
            due_ns = self._prints.time_ns.item(row) + self._reply_ns
            self._unsaid.append((due_ns, Said(self._filled, self._fills + before + 1, told[before])))

    def _firsts(self, start: int, stop: int, low: int, high: int) -> tuple[int, int, int]:
        """The first rows that reach the bid and the ask, -1 none, and how far was looked."""
        if stop - start <= FAR_ROWS:
            if self._windows is None:
                return self._compared(start, stop, low, high)
            if start >= self._first_window:
                return self._windows.firsts(start, stop, low, high)
        found = first_crossing(self._prints, self._index, start, stop, Thresholds(low, high, NEVER_UP, NEVER_DOWN))
        if found == stop:
            return -1, -1, stop
        price, side = self._prints.price.item(found), self._prints.side.item(found)
        bid_row = found if side <= 0 and price <= low else -1
        return bid_row, found if side >= 0 and price >= high else -1, found + 1

    def _compared(self, start: int, stop: int, low: int, high: int) -> tuple[int, int, int]:
        """The same by comparing every row: where each print wakes, there are no windows between wakes."""
        price, side = self._prints.price[start:stop], self._prints.side[start:stop]
        bid_row = ask_row = -1
        if low > NEVER_DOWN:
            mask = (price <= low) & (side <= 0)
            at = int(mask.argmax())
            bid_row = start + at if mask[at] else -1
        if high < NEVER_UP:
            mask = (price >= high) & (side >= 0)
            at = int(mask.argmax())
            ask_row = start + at if mask[at] else -1
        return bid_row, ask_row, stop

    def _arrive(self) -> bool:
        """The quote that is due. False, with nothing changed, where it would take."""
        at_ns, number, quote = self._pending[0]
        _, bid, ask, lots, keep, post_only = quote
        row = self._until(at_ns)
        self._meet_until(row)
        terms, pair = self._pair.terms, self._pair
        worth, rate = bid * lots * terms["notional_unit"], terms["reserve_rate"]
        bid_lock = worth - (-worth * rate // RATE_ONE)
        best_bid, best_ask = pair.best(row)
        is_easy = (
            (not bid or (self._passes(bid, lots) and (bid < best_ask or best_ask <= 0)))
            and (not ask or (self._passes(ask, lots) and (ask > best_bid or best_bid <= 0) and bid < ask))
            and (terms["max_orders"] != 1 or not (bid and ask))
        )
        if not is_easy and not post_only and self._would_take(bid, ask, best_bid, best_ask):
            return False
        placed = pair.arrive(
            number, bid, ask, lots, keep, post_only, bid_lock, lots * terms["lot_unit"], is_easy, row, at_ns
        )
        assert placed is not None
        self._pending.popleft()
        self._arrived += 1
        self._placed.append(placed)
        self._unsaid.append((at_ns + self._reply_ns, Said(self._quoted, number + 1, placed, ())))
        return True

    @staticmethod
    def _would_take(bid: int, ask: int, best_bid: int, best_ask: int) -> bool:
        """Whether a side may meet the market, or the other side; asked before anything is changed."""
        return bool((bid and 0 < best_ask <= bid) or (ask and ask <= best_bid) or (bid and ask and ask <= bid))

    def _passes(self, price: int, lots: int) -> bool:
        """Whether a side passes every filter; which one it breaks is found out where it does not."""
        low, high, least, most, step, small, large = self._bounds
        worth = price * lots * self._pair.terms["notional_unit"]
        return low <= price <= high and least <= lots <= most and lots % step == 0 and small <= worth <= large

    def _until(self, at_ns: int) -> int:
        """The position after all prints up to an instant, which is not before the last wake."""
        row, times = self._heard_rows(), self._prints.time_ns
        return row if row == len(times) or times.item(row) > at_ns else self._prints.until(at_ns, row)

    def _heard_rows(self) -> int:
        return self._stream.told[1]

    # --- what the trader says, and hears ------------------------------------------------------------------------------

    def _take_up(self) -> bool:
        """A wake that was answered by one plain quote; by anything else it is the engine's."""
        desk = self._desk
        outbox = desk.outbox
        if len(outbox) != 1 or desk.alarms or desk.is_deciding or type(outbox[0]) is not Quote:
            return False
        quote = outbox[0]
        if not self._is_plain(quote):
            return False
        outbox.clear()
        now_ns = desk.now_ns
        _, bid, ask, lots, keep, post_only = quote
        held = self._spoken.held
        held.append((now_ns, self._heard_rows() - 1, bid, ask, lots, keep + 2 * post_only))
        self._pending.append((now_ns + self._entry_ns, self._decided, quote))
        self._decided += 1
        if len(held) >= HELD:
            self._catch_up()
            self._write()
        return True

    def _is_plain(self, quote: Quote) -> bool:
        """Numbers that the walk may count with."""
        said: Any = quote  # by a hook that may say what it likes
        instrument, bid, ask, lots, keep, post_only = said
        return (
            instrument == self._number
            and type(bid) is int
            and type(ask) is int
            and type(lots) is int
            and type(keep) is bool
            and type(post_only) is bool
            and bid >= 0
            and ask >= 0
            and 0 < lots <= self._most_lots
            and (max(ask, bid)) * lots <= self._most_worth
        )

    def _quoted(self, request: int, placed: tuple[int, ...]) -> list[Outcome]:
        bid, ask, bid_lock, ask_lock, kept, bid_gone, ask_gone, bid_free, ask_free, bid_ahead, ask_ahead, *more = placed
        number = self._number
        said: list[Outcome] = [
            _make(
                Quoted,
                (
                    request, number, bid, ask, bid_lock, ask_lock, bool(kept & 1), bool(kept & 2), bid_gone, ask_gone,
                    bid_free, ask_free, bid_ahead, ask_ahead,
                ),
            )
        ]  # fmt: skip
        for code, received, limit in (more[:3], more[3:]):
            if code:
                said.append(Rejected(request, Refusal(code), received, limit))
        return said

    def _filled(self, fill: int, row: tuple[int, ...]) -> list[Outcome]:
        (
            order, side, price, lots, left, rule, position, before, after, excess, cap, made_by, fee, released,
            is_locked, is_fee_locked,
        ) = row  # fmt: skip
        prints, terms, purse = self._prints, self._pair.terms, self._purse
        decided_ns = self._due_of(made_by)
        aggressor = prints.side.item(position)
        fee_asset = purse.quote if terms["is_fee_in_quote"] or side != 1 else purse.base
        filled: Outcome = _make(
            Filled,
            (
                order, fill, self._number, _BUY if side == 1 else _SELL, price, lots, left,
                Status.PARTIALLY_FILLED if left else Status.FILLED, _RULES[rule], Role.MAKER, position,
                prints.price.item(position), prints.lots.item(position), aggressor, before, after, excess, cap, 0, 0, 0,
                0, QuoteKind.NONE, decided_ns, decided_ns + self._entry_ns, terms["rate"], fee, fee_asset,
                0 if aggressor else 1, released, purse.base, purse.quote, lots * terms["lot_unit"],
                price * lots * terms["notional_unit"], is_locked, is_fee_locked,
            ),
        )  # fmt: skip
        return [filled]

    @property
    def _purse(self) -> Any:
        return self._stage.exchange.books[self._number].purse

    def _due_of(self, decision: int) -> int:
        written = self._decided - len(self._spoken.held)
        if decision >= written:
            return self._spoken.held[decision - written][0]
        return self._spoken.due_ns().item(decision)

    # --- records ------------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Everything that has happened, into the journal."""
        state, pair = self._state, self._pair
        first = self._decided - len(self._spoken.held)
        self._spoken.take_in()
        due_ns = self._spoken.due_ns()
        arrived = self._arrived - len(self._placed)
        placed = np.array(self._placed, np.int64).reshape(-1, len(course.PLACED_FIELDS))
        filled = np.array(pair.told, np.int64).reshape(-1, len(course.FILLED_FIELDS))
        kinds = merged(
            due_ns[first : self._decided], due_ns[arrived : self._arrived] + self._entry_ns,
            self._prints.time_ns[filled[:, _ROW]],
        )  # fmt: skip
        state[course.DECIDED], state[course.ARRIVED], state[course.MADE] = self._decided, self._arrived, pair.made
        self._fills += len(filled)
        state[course.FILLS] = self._fills
        self._placed = []
        pair.told.clear()
        if len(kinds):
            self._course.extend(due_ns)
            self._course.tell(Stretch(kinds, placed, filled, state))

    def _hand_over(self) -> None:
        """Leave exchange, journal and engine as if they had done it all."""
        self._write()
        self._course.settle(self._pair.funds, self._pair.made, self._fills)
        engine, spoken, stage = self._engine, self._spoken, self._stage
        keeper, told = stage.course, self._course
        number = spoken.tape.listing.number
        wakes = (self._heard_rows() - spoken.first) // spoken.step if self._heard_rows() else 0
        if wakes > told.told:
            after, upto = spoken.first + told.told * spoken.step, spoken.first + wakes * spoken.step
            feed_ns = self._pair.terms["feed_ns"]
            first_ns, last_ns = (
                self._prints.time_ns.item(row) + feed_ns for row in (after + spoken.step - 1, upto - 1)
            )
            keeper.told(TRADER, self._stream.layer, after, upto, wakes - told.told, first_ns, last_ns)
        elif self._decided:
            keeper.goes_on(told.request_seq(self._decided - 1) - 1)
        self._restore_orders(number)
        book = stage.exchange.books[number]
        book.position = max(self._clear, self._until(self._desk.now_ns))
        engine.goes_on(
            self._desk.now_ns,
            self._decided,
            [
                (at_ns, TRADER, _make(Arrival, (at_ns, at_ns - self._entry_ns, decision + 1, quote)))
                for at_ns, decision, quote in self._pending
            ],
        )
        for _, decision, _ in self._pending:
            keeper.sent_before(decision + 1, told.request_seq(decision))

    def _restore_orders(self, number: int) -> None:
        """The open sides of the pair, as orders of the exchange."""
        exchange, keeper = self._stage.exchange, self._stage.course
        book, working = exchange.books[number], exchange.working
        for one in sorted((self._pair.bid, self._pair.ask), key=lambda order: order.number):
            if not one.number:
                continue
            decided_ns = self._due_of(one.made_by)
            side = _BUY if one.side == 1 else _SELL
            order = Order(number, side, one.price, one.lots, decided_ns, decided_ns + self._entry_ns)
            order.number, order.remaining, order.lock, order.ahead = one.number, one.left, one.lock, one.place
            order.executed = one.lots - one.left
            order.quote_executed = one.price * order.executed * self._pair.terms["notional_unit"]
            order.asked_lock = self._pair.need(one, one.lots)
            if order.executed:
                order.status = Status.PARTIALLY_FILLED
            working.orders[order.number] = order
            if side is _BUY:
                book.pair_bid = order
            else:
                book.pair_ask = order
            book.rest(order)
            keeper.made_before(order.number, number, side, self._course.quoted_seq(one.made_by))
