"""The watch over a recorded book: which of its moves concern an own order, so that the others are passed over.

It has the face of the engine's watch over prints. A move concerns an order when the other side's best price comes to
its own, or when a level is named at which people wait ahead of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from gnomon.exchange.book import Book
from gnomon.exchange.order import Side
from gnomon.exchange.recorded import Moves, Shown
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.market.depth import ASK, BID
from gnomon.units import INT64_MAX

FIRST_REACH: Final = 64
LAST_REACH: Final = 1 << 16


class BookWatch:
    """How far a recorded book is known to hold nothing for own orders: moves before `clear`, times before `safe_ns`."""

    __slots__ = ("_ask", "_bid", "_hit", "_passed", "_queue_hit", "_reach", "_shown", "book", "clear", "safe_ns",
                 "source", "tape", "thresholds")  # fmt: skip

    def __init__(self, book: Book, shown: Shown, source: int) -> None:
        self.book = book
        self.source = source
        self.tape: Moves = shown.moves
        self.clear = 0
        self.safe_ns = 0
        self.thresholds: Thresholds | None = None
        self._shown = shown
        self._passed = 0  # moves that have been told
        self._hit = -1
        self._queue_hit = 0
        self._reach = FIRST_REACH
        self._bid, self._ask = NEVER_DOWN, NEVER_UP

    def renew(self) -> None:
        """The orders are others now: nothing is known beyond what the venue has seen."""
        book, tape = self.book, self.tape
        self.thresholds = book.current or book.renew()
        self._hit, self._reach = -1, FIRST_REACH
        self._bid, self._ask = book.reached_by()
        if self._bid == NEVER_DOWN and self._ask == NEVER_UP:
            self._queue_hit, self.safe_ns = len(tape), INT64_MAX
            return
        behind_ns = book.tape.time_ns.item(book.position - 1) - 1 if book.position else -1
        for order in (*book.bids, *book.asks):  # what came before the newest of them concerned the others, or nobody
            behind_ns = max(behind_ns, order.arrived_ns, order.queued_ns)
        self.clear = self._passed = tape.until(behind_ns, self._passed)
        self._queue_hit = self._next_queue_move()
        self._note_time()

    def _next_queue_move(self) -> int:
        """The first move from `clear` on that names a level at which people are ahead of own orders."""
        ladder, tape = self._shown.recorded.ladder, self.tape
        if ladder is None or self.clear >= len(tape) or ladder.first_valid >= len(ladder.starts):
            return len(tape)
        behind = tape.depth.item(self.clear - 1) if self.clear else 0
        rows = max(behind, ladder.starts.item(ladder.first_valid))
        sides = {Side.BUY: BID, Side.SELL: ASK}
        found = [ladder.next_update(sides[side], price, rows) for side, price in self.book.queued()]
        row = min(found, default=len(ladder.depth))
        return self.clear + int(tape.depth[self.clear :].searchsorted(row, "right"))

    def look(self, stop: int) -> int:
        """The next move before `stop` that concerns an own order, -1 where none does."""
        if self._hit >= 0:
            return self._hit if self._hit < stop else -1
        if stop <= self.clear or self.safe_ns == INT64_MAX:
            return -1
        tape, bid, ask = self.tape, self._bid, self._ask
        end = min(stop, self._queue_hit)
        while self.clear < end:
            edge = min(end, self.clear + LAST_REACH)
            stretch = slice(self.clear, edge)
            reached = np.flatnonzero((tape.ask[stretch] <= bid) | (tape.bid[stretch] >= ask))
            self.clear = edge
            if len(reached):
                self.clear = self._hit = stretch.start + reached.item(0)
                break
        else:
            if self._queue_hit < stop:
                self._hit = self._queue_hit
        self._note_time()
        return self._hit

    def tell(self, position: int) -> None:
        """The move there has been told."""
        self.clear = self._passed = position + 1
        self._hit = -1
        self._queue_hit = self._next_queue_move()
        self._note_time()

    def look_ahead(self) -> None:
        """Move `safe_ns` on, twice as far at each asking."""
        stop = min(len(self.tape), self.clear + self._reach)
        self._reach = min(2 * self._reach, LAST_REACH)
        self.look(stop)

    def _note_time(self) -> None:
        self.safe_ns = self.tape.time_ns.item(self.clear) if self.clear < len(self.tape) else INT64_MAX


def book_watches(books: Mapping[int, Book], first_source: int) -> list[BookWatch]:
    """One for each book whose quotes or depth are recorded."""
    return [
        BookWatch(book, book.shown, first_source + number)
        for number, book in sorted(books.items())
        if book.shown is not None
    ]
