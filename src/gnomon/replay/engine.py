"""The engine: the one loop that brings everything to the exchange and to the trader, in the total order.

Time jumps to the next instant at which something of ours can change or somebody must be asked: a request arrives, a
print reaches an own order, a wake is due. What lies between is searched, not walked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Final, Protocol

from gnomon.exchange.book import Book
from gnomon.exchange.draws import Draws
from gnomon.exchange.exchange import Arrival, BarPoint, Entry, Event, Exchange, Printed
from gnomon.exchange.latency import LatencyCurve
from gnomon.exchange.order import CancelAll, OrderType, Request
from gnomon.exchange.outcome import Outcome, Refusal, Rejected, Triggered
from gnomon.exchange.rules import Leg
from gnomon.exchange.search import first_crossing
from gnomon.exchange.thresholds import IDLE, Thresholds
from gnomon.market.block_index import BlockIndex
from gnomon.market.lanes import Lane
from gnomon.replay.book_watch import BookWatch, book_watches
from gnomon.replay.faults import Fault, Faults
from gnomon.replay.streams import NEVER_NS, Stream, TradeStream
from gnomon.replay.windows import Windows

Search = Callable[[Any, BlockIndex, int, int, Thresholds], int]
"""`first_crossing`: by numpy, compiled, or print by print."""

FIRST_REACH: Final = 64
LAST_REACH: Final = 1 << 20


class Keeper(Protocol):
    """Where the engine writes what goes in and what comes out."""

    def sent(self, now_ns: int, number: int, arrival_ns: int, request: Request, /) -> None: ...

    def timer_set(self, now_ns: int, number: int, due_ns: int, name: str, /) -> None: ...

    def came(
        self, now_ns: int, lane: int, source: int, event: Event, outcomes: Sequence[Outcome], /
    ) -> tuple[int, int]:
        """The seqs (after, upto] of what came of an event."""
        ...

    def told(self, source: int, layer: int, after: int, upto: int, wakes: int, first_ns: int, last_ns: int, /) -> None:
        """Rows (after, upto] of a layer, in `wakes` wakes."""
        ...

    def told_own(self, now_ns: int, source: int, seqs: tuple[int, int], /) -> None: ...

    def fired(self, now_ns: int, number: int, /) -> None: ...

    def rewoken(self, now_ns: int, /) -> None:
        """The trader has asked for other wakes."""
        ...

    def fault(self, lane: int, one: Fault, cause: int, request: int, /) -> int:
        """A planned fault happened; the seq of its record."""
        ...


class Sitter(Protocol):
    """The desk, as the engine drives it."""

    now_ns: int
    outbox: list[Request]
    alarms: list[tuple[int, str]]
    is_deciding: bool

    def hear(self, due_ns: int, outcomes: Sequence[Outcome], /) -> None: ...

    def alarm(self, name: str, /) -> None: ...

    def close_decision(self) -> None: ...


OWN: Final = ""
"""The name of an alarm that stands for own events being due."""

WATCH: Final = "\n"
"""Of one that stands for prices to be watched."""

LATER: Final = "\r"
"""Of one that stands for requests that were decided between two wakes, after everything of that instant."""

VENUE, TRADER, FIRST_LAYER = 0, 1, 2
_RULE: Final = int(Lane.RULE)
_PRINT: Final = int(Lane.PRINT)
_BOOK: Final = int(Lane.BOOK)
_ARRIVAL: Final = int(Lane.ARRIVAL)
_TIMER: Final = int(Lane.TIMER)
_DELIVERY: Final = int(Lane.DELIVERY)
_AFTER: Final = _DELIVERY + 10
_UNKNOWN: Final = Thresholds()  # equal to IDLE, but not the same

_make = tuple.__new__
"""Sources of the total order. Layers follow in the order of the dataset."""


class Watch:
    """How far one book's tape is known to hold nothing for its orders: rows before `clear`, times before `safe_ns`."""

    __slots__ = ("_rows", "_times", "book", "clear", "hit", "index", "passed", "reach", "safe_ns", "search", "source",
                 "tape", "thresholds", "windows")  # fmt: skip

    def __init__(
        self, book: Book, index: BlockIndex, source: int, search: Search, windows: Windows | None = None
    ) -> None:
        self.book = book
        self.index = index
        self.source = source
        self.search = search
        self.windows = windows
        self.clear = 0
        self.passed = 0  # rows that have been told, and are not looked at again
        self.hit = -1
        self.reach = FIRST_REACH
        self.safe_ns = 0
        self.tape = book.tape
        self._times = book.tape.time_ns
        self._rows = len(book.tape)
        self.thresholds: Thresholds = _UNKNOWN

    def renew(self) -> None:
        """The orders are others now: nothing is known beyond what the book has read."""
        book = self.book
        self.thresholds = thresholds = book.current or book.renew()
        if thresholds is IDLE:
            self.safe_ns = NEVER_NS
            return
        position = book.position - 1 if book.has_bars else book.position
        if position < self.passed:
            position = self.passed
        self.hit, self.reach = -1, FIRST_REACH
        if self.windows is None:
            self._clear_to(position)
        else:
            self.clear, self.safe_ns = self.windows.clear_until(position, thresholds)

    def look(self, stop: int) -> int:
        """The next position before `stop` that concerns an own order, -1 where none does."""
        if self.hit >= 0:
            return self.hit if self.hit < stop else -1
        while self.clear < stop:
            found, until = self._find(stop)
            self._clear_to(found)
            if found < until:
                self.hit = found
                return found
        return -1

    def _find(self, stop: int) -> tuple[int, int]:
        """The first row of concern before `stop`, or how far there is none; and how far was looked."""
        if self.windows is not None:
            found = self.windows.find(self.clear, stop, self.thresholds)
            if found is not None:
                return found
        return self.search(self.book.tape, self.index, self.clear, stop, self.thresholds), stop

    def tell(self, position: int) -> None:
        """The row there has been told."""
        self.passed = position + 1
        self.hit = -1
        self._clear_to(position + 1)

    def _clear_to(self, row: int) -> None:
        self.clear = row
        self.safe_ns = self._times.item(row) if row < self._rows else NEVER_NS

    def look_ahead(self) -> None:
        """Move `safe_ns` on, twice as far at each asking."""
        stop = min(self._rows, self.clear + self.reach)
        self.reach = min(2 * self.reach, LAST_REACH)
        self.look(stop)


class Replay:
    """One trader's course through a window of history."""

    def __init__(
        self,
        exchange: Exchange,
        indexes: Mapping[int, BlockIndex],
        streams: Sequence[Stream],
        desk: Sitter,
        keeper: Keeper,
        draws: Draws,
        start_ns: int,
        end_ns: int,
        search: Search,
    ) -> None:
        self._exchange = exchange
        self._deadlines = exchange.deadlines
        self._streams = list(streams)
        self._desk = desk
        self._keeper = keeper
        self._draws = draws
        self._end_ns = end_ns
        self._watches: list[Watch | BookWatch] = [
            Watch(book, indexes[number], FIRST_LAYER + number, search, _windows(number, book, streams, search))
            for number, book in sorted(exchange.books.items())
        ]
        self._watches += book_watches(exchange.books, FIRST_LAYER)  # after the prints of an instant
        self._prints_of = {
            FIRST_LAYER + number: book for number, book in exchange.books.items() if not book.has_bars
        }  # by layer
        self._timers = 0
        self._own: list[tuple[int, int, int]] = []  # due_ns and seqs of own events that are not told yet
        self._heap: list[tuple[int, int, int, int, Any]] = []
        self._pushed = 0
        self._requests = 0
        self._last_arrival_ns = 0
        latency = exchange.rules.latency
        self._entry, self._reply, self._may_overtake = latency.entry, latency.reply, latency.may_overtake
        self._last_reply_ns = 0
        self._now_ns = start_ns
        self._faults: Faults | None = None

    def suffer(self, faults: Faults) -> None:
        """What goes wrong in this run: told once, before it begins."""
        self._faults = faults
        faults.write = self._keeper.fault
        for due in faults.instants():
            self._push(due.time_ns, _RULE, VENUE, due)

    def run(self) -> None:
        """To the end of the window."""
        heap, desk, watches, end_ns = self._heap, self._desk, self._watches, self._end_ns
        only = self._streams[0] if len(self._streams) == 1 else None
        while True:
            stream = only or min(self._streams, key=_next_ns, default=None)
            at_ns, lane, is_event = stream.next_ns if stream is not None else NEVER_NS, _DELIVERY, False
            if heap:
                first = heap[0]
                if first[0] < at_ns or (first[0] == at_ns and first[1] <= _DELIVERY):
                    at_ns, lane, is_event = first[0], first[1], True
            is_over = at_ns >= end_ns
            if is_over:
                at_ns, lane = end_ns - 1, _DELIVERY
            is_clear = True
            for watch in watches:
                if watch.book.current is not watch.thresholds:
                    watch.renew()
                if watch.safe_ns <= at_ns:
                    is_clear = False
            if not is_clear and self._hit_before(at_ns, lane):
                pass
            elif is_over:
                return
            elif is_event:
                self._process(heappop(heap))
            else:
                assert stream is not None
                self._wake(stream, heap[0][0] if heap and heap[0][0] < end_ns else end_ns)
            if (desk.outbox or desk.alarms or desk.is_deciding) and self._send():
                return

    @property
    def streams(self) -> Sequence[Stream]:
        return self._streams

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was asked for, and nothing waits to happen."""
        return not (self._pushed or self._requests or self._exchange.working.orders)

    def goes_on(self, now_ns: int, requests: int, arrivals: Sequence[tuple[int, int, Arrival]]) -> None:
        """What came before was done elsewhere: `requests` were sent, and some have yet to arrive (time, source)."""
        self._now_ns, self._requests = now_ns, requests
        for at_ns, source, arrival in arrivals:
            self._push(at_ns, _ARRIVAL, source, arrival)

    def start(self) -> None:
        """What the trader asked for before the first wake."""
        self._send()

    def _hit_before(self, at_ns: int, lane: int) -> bool:
        """Process the first print before (at_ns, lane) that concerns an own order; whether there was one."""
        first: tuple[int, int, Watch | BookWatch] | None = None
        before_ns = at_ns if lane > _PRINT else at_ns - 1
        for watch in self._watches:
            if watch.book.current is not watch.thresholds:
                watch.renew()
            if watch.safe_ns <= before_ns:
                tape = watch.tape
                found = watch.look(tape.until(before_ns, watch.clear))
                if found >= 0:
                    time_ns = tape.time_ns.item(found)
                    if first is None or time_ns < first[0]:
                        first = time_ns, found, watch
        if first is None:
            return False
        at_ns, position, watch = first
        watch.tell(position)
        if isinstance(watch, BookWatch):
            self._apply(at_ns, _BOOK, watch.source, watch.tape.event(watch.book.listing.number, position))
        elif watch.book.has_bars:
            self._push_points(watch, position)
        else:
            self._apply(at_ns, _PRINT, watch.source, _make(Printed, (watch.book.listing.number, position)))
        return True

    def _push_points(self, watch: Watch, position: int) -> None:
        """The points of a bar that are still to come."""
        for point, at_ns in enumerate(watch.book.bars.times_ns(position)):
            if at_ns > self._now_ns or position >= watch.book.position:
                self._push(at_ns, _PRINT, watch.source, BarPoint(watch.book.listing.number, position, point))

    def _apply(self, at_ns: int, lane: int, source: int, event: Event) -> None:
        self._now_ns = at_ns
        if self._faults is not None and type(event) is Arrival:
            race = self._faults.arriving(self._exchange, at_ns, event.number, event.request)
            if race is not None and (raced := self._exchange.apply(race)):
                self._answer(at_ns, lane, source, race, raced, event.number)
        outcomes = self._exchange.apply(event)
        if outcomes:
            self._answer(at_ns, lane, source, event, outcomes, event[2] if type(event) is Arrival else 0)
        if self._deadlines:
            self._push_deadlines()

    def _push_deadlines(self) -> None:
        """Orders that stand for later prints end in the arrivals' lane, after all prints of the instant."""
        for deadline in self._deadlines:
            self._push(deadline.time_ns, _ARRIVAL, VENUE, deadline)
        self._deadlines.clear()

    def _wake(self, stream: Stream, limit_ns: int) -> None:
        """Tell the trader wakes of this stream until something else may be due."""
        for other in self._streams:
            if other is not stream and other.next_ns < limit_ns:
                limit_ns = other.next_ns
        for watch in self._watches:
            if watch.thresholds is not IDLE:
                if stream.is_flowing:
                    watch.look_ahead()
                if watch.safe_ns < limit_ns:
                    limit_ns = watch.safe_ns
        desk, layer = self._desk, stream.layer
        try:
            stream.run(desk, limit_ns)
        finally:
            self._now_ns = now_ns = desk.now_ns
            after, upto, wakes, first_ns = stream.told
            self._keeper.told(TRADER, layer, after, upto, wakes, first_ns, now_ns)
            book = self._prints_of.get(layer)
            if book is not None and book.position < upto:
                book.position = upto  # it has been printed, and concerned no order

    def _send(self) -> bool:
        """What a hook left in the outbox is on its way; so are the alarms that it set. Whether to stop here."""
        desk, now_ns = self._desk, self._now_ns
        if desk.is_deciding:
            desk.close_decision()
        outbox = desk.outbox
        is_alone = len(outbox) == 1 and not desk.alarms
        for request in outbox:
            self._requests = number = self._requests + 1
            entry = self._entry
            delay_ns = entry.const_ns if entry.table is None else self._delay(entry, "latency.entry", number)
            arrival_ns = now_ns + (delay_ns or 1)
            if not self._may_overtake:
                if arrival_ns < self._last_arrival_ns:
                    arrival_ns = self._last_arrival_ns
                self._last_arrival_ns = arrival_ns
            self._keeper.sent(now_ns, number, arrival_ns, request)
            if self._faults is not None and (seq := self._faults.sent(now_ns, number, request)):
                self._turn_away(arrival_ns, number, seq)
                continue
            arrival = _make(Arrival, (arrival_ns, now_ns, number, request))
            if is_alone and self._is_next(arrival_ns):
                self._apply(arrival_ns, _ARRIVAL, TRADER, arrival)
            else:
                self._push(arrival_ns, _ARRIVAL, TRADER, arrival)
        outbox.clear()
        if desk.alarms:
            self._set_alarms(now_ns)
        return False

    def _turn_away(self, arrival_ns: int, number: int, seq: int) -> None:
        """A request that gets no further than the door: its answer is due when another's would have been."""
        due_ns, desk = self._told_at(arrival_ns, seq), self._desk
        asked = len(desk.alarms)
        desk.hear(due_ns, [Rejected(number, Refusal.RATE_LIMIT)])
        if len(desk.alarms) > asked:
            self._own.append((due_ns, seq - 1, seq))

    def _is_next(self, arrival_ns: int) -> bool:
        """Whether nothing at all comes before an arrival, so that it need not wait in the heap."""
        heap = self._heap
        if arrival_ns >= self._end_ns or (heap and heap[0][0] <= arrival_ns):
            return False
        for stream in self._streams:
            if stream.next_ns < arrival_ns:
                return False
        for watch in self._watches:
            if watch.safe_ns <= arrival_ns or watch.book.current is not watch.thresholds:
                return False
        return True

    def _set_alarms(self, now_ns: int) -> None:
        desk, more = self._desk, 0
        for due_ns, name in desk.alarms:
            if name == OWN:
                self._push(due_ns, _DELIVERY, TRADER, None)
            elif name == WATCH:
                self._keeper.rewoken(now_ns)
            elif name == LATER and due_ns <= now_ns:
                more += 1
            elif name == LATER:
                self._push(due_ns, _AFTER, TRADER, None)
            else:
                self._timers += 1
                due_ns = max(due_ns, now_ns + 1)
                self._keeper.timer_set(now_ns, self._timers, due_ns, name)
                self._push(due_ns, _TIMER, TRADER, (self._timers, name))
        desk.alarms.clear()
        for _ in range(more):  # said to the same wake, after what has been sent by now
            desk.alarm(LATER)
            self._send()

    def wind_down(self) -> None:
        """The trader has gone. What it left in the outbox is sent still, and the venue goes on, telling nobody, until
        those requests have arrived and no MARKET order waits for its bar; at the window's end at the latest."""
        desk, heap = self._desk, self._heap
        desk.alarms.clear()
        if not desk.outbox:
            return
        self._send()
        while self._is_awaited():
            while heap and heap[0][1] in (Lane.TIMER, Lane.DELIVERY):
                heappop(heap)
            at_ns, lane = min(heap[0][:2], (self._end_ns, 0)) if heap else (self._end_ns, 0)
            if self._hit_before(at_ns, lane):
                continue
            if at_ns >= self._end_ns:
                return
            self._process(heappop(heap))

    def _is_awaited(self) -> bool:
        if any(lane == Lane.ARRIVAL and source == TRADER for _, lane, source, _, _ in self._heap):
            return True
        return any(one.type is OrderType.MARKET for one in self._exchange.working.orders.values())

    def fail(self) -> tuple[int, int]:
        """The trader has failed: nothing more of it is sent, and what is open at the venue is cancelled here and now.
        The instant of it, and how many requests were not sent."""
        desk, at_ns, unsent = self._desk, self._now_ns, len(self._desk.outbox)
        desk.outbox.clear()
        desk.alarms.clear()
        desk.close_decision()
        working = self._exchange.working.orders
        for instrument in sorted({one.instrument for one in working.values()}):
            event = Arrival(at_ns, at_ns, 0, CancelAll(instrument))
            self._keeper.came(at_ns, Lane.ARRIVAL, VENUE, event, self._exchange.apply(event))
        return at_ns, unsent

    def _delay(self, leg: Leg, component: str, entity: int) -> int:
        table = leg.table
        if table is None:
            return leg.const_ns
        if isinstance(table, LatencyCurve):
            return table.at(self._now_ns)
        return self._draws.latency_ns(table, component, entity)

    def _push(self, at_ns: int, lane: int, source: int, payload: Any) -> None:
        self._pushed += 1
        heappush(self._heap, (at_ns, lane, source, self._pushed, payload))

    def _process(self, entry: tuple[int, int, int, int, Any]) -> None:
        at_ns, lane, source, _, payload = entry
        if lane == _TIMER:
            number, name = payload
            self._now_ns = self._desk.now_ns = at_ns
            self._keeper.fired(at_ns, number)
            self._desk.alarm(name)
        elif lane == _DELIVERY:
            self._now_ns = self._desk.now_ns = at_ns
            self._tell_own(at_ns)
        elif lane == _AFTER:
            self._now_ns = self._desk.now_ns = at_ns
            self._desk.alarm(LATER)
        elif lane == _RULE:
            assert self._faults is not None
            self._now_ns = at_ns
            self._faults.begin(payload, self._exchange)
        else:
            self._apply(at_ns, lane, source, payload)

    def _tell_own(self, at_ns: int) -> None:
        """Everything of the trader's own that is due by now, in one wake."""
        due = [one for one in self._own if one[0] <= at_ns]
        if due:
            self._own = [one for one in self._own if one[0] > at_ns]
            self._keeper.told_own(at_ns, TRADER, (due[0][1], due[-1][2]))
            self._desk.alarm(OWN)

    def _told_at(self, at_ns: int, seq: int) -> int:
        """When an answer of an instant, its last record being `seq`, is known to the trader."""
        reply = self._reply
        due_ns = at_ns + (reply.const_ns if reply.table is None else self._delay(reply, "latency.reply", seq))
        if not self._may_overtake:
            if due_ns < self._last_reply_ns:
                due_ns = self._last_reply_ns
            self._last_reply_ns = due_ns
        return due_ns

    def _answer(
        self, at_ns: int, lane: int, source: int, event: Any, outcomes: list[Outcome], request: int = 0
    ) -> None:
        after, upto = self._keeper.came(at_ns, lane, source, event, outcomes)
        if lane <= _BOOK and type(event) is not BarPoint:
            for outcome in outcomes:
                if type(outcome) is Triggered:
                    self._push(at_ns, _ARRIVAL, VENUE, Entry(at_ns, outcome.number))
        due_ns = self._told_at(at_ns, upto)
        if self._faults is not None:
            upto = self._faults.came(at_ns, lane, request, outcomes, upto)
        desk = self._desk
        desk.hear(due_ns, outcomes)
        if desk.alarms:
            self._own.append((due_ns, after, upto))


def _windows(number: int, book: Book, streams: Sequence[Stream], search: Search) -> Windows | None:
    """The stretches between the wakes of the stream that reads this book's prints, for the search by numpy."""
    if search is not first_crossing:
        return None
    for stream in streams:
        if isinstance(stream, TradeStream) and stream.instrument == number and stream.rows.step > 1:
            return Windows(book.prints, stream.rows.start + 1, stream.rows.step)
    return None


def _next_ns(stream: Stream) -> int:
    return stream.next_ns
