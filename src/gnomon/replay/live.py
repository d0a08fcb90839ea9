"""A run that is driven from outside: its trader is elsewhere, behind a socket, and answers when it has decided.

The engine is the one of every other run. It stops at each wake, so whoever drives it (`serve.venue`) can tell the
trader, wait as long as it takes, and bring what was said. Between wakes requests may arrive too, from traders that
nobody has woken. What comes in is an input with its virtual time, so the Record is replayed like any other.

    run = LiveRun(plan, Wake(closed_bars=True), listener)
    run.open(Said())
    while (wake := run.step(to_ns)) is not None:
        run.answer(Said(requests=[…]))
    run.close()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import Any, NamedTuple, Protocol

from gnomon.errors import Conflict
from gnomon.exchange.exchange import Arrival, Event, Exchange
from gnomon.exchange.order import Request
from gnomon.exchange.outcome import Outcome
from gnomon.exchange.search import first_crossing
from gnomon.exchange.thresholds import IDLE
from gnomon.market.events import CalendarEvent
from gnomon.market.lanes import Lane
from gnomon.replay.bodies import Attach, Body, Branch, Detach, EndReason, Failure
from gnomon.replay.engine import OWN, TRADER, WATCH, Replay
from gnomon.replay.journal import Sink
from gnomon.replay.needs import ready
from gnomon.replay.run import FAILURE_CHARACTERS, Played, RunPlan, Stage
from gnomon.replay.streams import BarStream
from gnomon.replay.view import DepthView, TapeView
from gnomon.replay.wakes import wake_of
from gnomon.replay.wire import Wire
from gnomon.trader.trader import KINDS, Wake
from gnomon.units import INT64_MAX

SAID_SO, LOST, OPERATOR = 1, 2, 3
"""Why a trader takes part no longer, as a DETACH says it."""


class Waking(NamedTuple):
    """One wake: what it is about (a kind of `trader.trader.KINDS`, or `own`), when, and what is told. Bars and prints
    are the engine's own objects: they are what they are until the next step."""

    kind: str
    at_ns: int
    what: Any


@dataclass(frozen=True, slots=True)
class Decided:
    """One entry of a decision log: the packed decision as its desk made it (`trader.decisions.Decision.pack`), its
    notes, the forecasts it read."""

    packed: bytes
    notes: tuple[str, ...] = ()
    forecasts: tuple[str, ...] = ()

    @property
    def now_ns(self) -> int:
        """When it was made, as its text says."""
        return int(self.packed.split(b",", 2)[1])


@dataclass(slots=True)
class Said:
    """What a trader says to a wake: decisions, then requests, then timers (due_ns, name). `listens` says whether its
    own events wake it from now on, None as before: a desk that minds brackets listens while there are any."""

    decisions: Sequence[Decided] = ()
    requests: Sequence[Request] = ()
    timers: Sequence[tuple[int, str]] = ()
    listens: bool | None = None
    watches: Sequence[tuple[int, int, int]] = ()  # prices: instrument, 1 up or 2 down, ticks


class Listener(Protocol):
    """Who wants to know what happens at the venue, at the instant of it."""

    def came(self, now_ns: int, due_ns: int, request: int, outcomes: Sequence[Outcome], /) -> None:
        """What came of one event, and when the trader may know. `request` is the number of the one that has arrived, 0
        where it was the market."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a trader's class asks for before its run begins."""

    warmup: int = 0
    needs: tuple[str, ...] = ()

    def required(self) -> tuple[str, ...]:
        return self.needs


class Seat:
    """The trader's place at the desk, taken by nobody: it notes each wake and stops the engine."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.outbox: list[Request] = []
        self.alarms: list[tuple[int, str]] = []
        self.is_deciding = False
        self.skips = 0  # wakes that nobody is asked about
        self.waking: Waking | None = None
        self.heard: list[tuple[int, Sequence[Outcome]]] = []
        self.is_listening = True
        self.decisions: list[Decided] = []
        self.write: Callable[[Decided], object] = lambda _: None

    def hook(self, kind: str) -> Callable[[Any, Any], None]:
        assert kind in KINDS

        def told(_desk: Any, what: Any) -> None:
            self._wake(kind, what)

        return told

    def _wake(self, kind: str, what: Any) -> None:
        if self.skips:
            self.skips -= 1
            return
        self.waking = Waking(kind, self.now_ns, what)
        self.is_deciding = True

    def alarm(self, name: str) -> None:
        self._wake("own" if name == OWN else "timer", name)

    def tell_forecast(self, _hook: Any, instrument: int, issued: Any) -> None:
        self._wake("forecast", (instrument, issued))

    def tell_event(self, _hook: Any, event: CalendarEvent) -> None:
        self._wake("calendar", event)

    def hear(self, due_ns: int, outcomes: Sequence[Outcome]) -> None:
        self.heard.append((due_ns, outcomes))
        if self.is_listening:
            self.alarms.append((due_ns, OWN))

    def close_decision(self) -> None:
        self.is_deciding = False
        for one in self.decisions:
            self.write(one)
        self.decisions = []


class _Stepped(Replay):
    """The engine, that stops where the trader is woken."""

    listener: Listener
    seat: Seat
    arrival_ns = 0  # of the newest request
    arrivals: list[int]  # of those that are on their way, a heap

    def _send(self) -> bool:
        return self.seat.waking is not None or super()._send()

    def say(self) -> None:
        super()._send()

    def _is_next(self, _arrival_ns: int) -> bool:
        return False  # more may be said before it arrives

    def _apply(self, at_ns: int, lane: int, source: int, event: Event) -> None:
        heard = len(self.seat.heard)
        super()._apply(at_ns, lane, source, event)
        number = 0
        if type(event) is Arrival:
            number, self.arrival_ns = event.number, max(self.arrival_ns, at_ns)
            heappop(self.arrivals)
        told = self.seat.heard[heard:]
        del self.seat.heard[heard:]
        for due_ns, outcomes in told[:-1]:  # what a fault put before it
            self.listener.came(at_ns, due_ns, 0, outcomes)
        if told:
            self.listener.came(at_ns, told[-1][0], number, told[-1][1])
        elif number:
            self.listener.came(at_ns, at_ns, number, ())

    def _turn_away(self, arrival_ns: int, number: int, seq: int) -> None:
        super()._turn_away(arrival_ns, number, seq)
        due_ns, outcomes = self.seat.heard.pop()
        self.listener.came(self._now_ns, due_ns, number, outcomes)

    def _push(self, at_ns: int, lane: int, source: int, payload: Any) -> None:
        if type(payload) is Arrival:
            self.arrival_ns = at_ns
            heappush(self.arrivals, at_ns)
        super()._push(at_ns, lane, source, payload)

    def go(self, limit_ns: int) -> None:
        self._end_ns = limit_ns
        self.run()

    def stand(self, now_ns: int) -> None:
        """Nothing happens until then: the clock is there."""
        self._now_ns = self.seat.now_ns = now_ns

    @property
    def sent(self) -> int:
        return self._requests

    def upcoming(self, most: int) -> list[tuple[int, list[tuple[int, ...]]]]:
        """Wakes of bars that come next if nothing is said; none where anything else may come between."""
        stream = self._streams[0] if len(self._streams) == 1 else None
        if self._heap or self.seat.alarms or self._faults is not None or not isinstance(stream, BarStream):
            return []
        if any(one.thresholds is not IDLE or one.book.current is not IDLE for one in self._watches):
            return []
        return [one for one in stream.upcoming(most) if one[0] < self._end_ns]


class LiveRun:
    """One run, driven from outside. `now_ns` is virtual and never goes back."""

    def __init__(
        self,
        plan: RunPlan,
        wakes: Wake,
        listener: Listener,
        *,
        wanted: Wanted | None = None,
        sink: Sink | None = None,
        branch: Branch | None = None,
        concurrency: int = 0,
    ) -> None:
        """`wakes` as the trader's class has it: nothing in it that no hook of its hears. `wanted` is what else its
        class asks for; what the ground lacks is refused as it is in process (`replay.needs`). `concurrency` is that
        of the trader (`replay.bodies.Attach`)."""
        self.plan = plan = ready(plan, wanted or Wanted())
        self.seat = seat = Seat()
        seat.now_ns = plan.start_ns
        seat.is_listening = wakes.own_events
        self._stage = stage = Stage.set(plan, sink, "digest" if sink is None else "full", keeps=False, branch=branch)
        self.journal = stage.journal
        seat.write = self._write
        wake = wake_of(wakes, plan.ground, stage.bar_layer, seat.hook)
        stage.journal.put(Attach(0, concurrency), 0, plan.start_ns, 0, TRADER)
        stage.journal.put(wake, 0, plan.start_ns, 0, TRADER)
        pieces = stage.pieces(stage.streams(wake, seat.hook), seat, first_crossing)
        self._engine = engine = _Stepped(*pieces)
        engine.seat, engine.listener, engine.arrivals = seat, listener, []
        self.faults = faults = stage.faults()
        if faults is not None:
            engine.suffer(faults)
        self.is_over = False
        self.played: Played | None = None
        self._reason, self._why, self._error, self._ended_ns = EndReason.WINDOW, "", "", plan.end_ns

    @property
    def now_ns(self) -> int:
        return self.seat.now_ns

    @property
    def exchange(self) -> Exchange:
        return self._stage.exchange

    @property
    def next_request(self) -> int:
        """The number that the next request will get."""
        return self._engine.sent + 1

    @property
    def arrival_ns(self) -> int:
        """When the newest request arrives."""
        return self._engine.arrival_ns

    @property
    def next_arrival_ns(self) -> int:
        """When the next request that is on its way arrives; INT64_MAX where none is."""
        arrivals = self._engine.arrivals
        return arrivals[0] if arrivals else INT64_MAX

    @property
    def waking(self) -> Waking | None:
        """The wake that waits for its answer."""
        return self.seat.waking

    @property
    def view(self) -> TapeView:
        """What a desk sees of the market."""
        return self._stage.view

    @property
    def news(self) -> Wire | None:
        """What it hears of forecasts and events; None where the session has none."""
        return self._stage.course.wire

    @cached_property
    def depth(self) -> DepthView | None:
        """What it sees of recorded books."""
        return DepthView.of(self.plan.ground, self.plan.rules.latency.feed.slowest_ns)

    def note(self, body: Body) -> None:
        """A note of the wire into the journal: it is in no digest."""
        if not self.is_over:
            self.journal.put(body, Lane.DELIVERY, self.now_ns, 0, TRADER)

    def open(self, said: Said) -> None:
        """What the trader said at the start, before the first wake."""
        self._say(said)

    def step(self, limit_ns: int) -> Waking | None:
        """Go on until a wake, which then waits for its answer; or until everything up to `limit_ns` (which counts as
        well) has happened: None. At the end of the window `is_over` is set."""
        if self.seat.waking is not None:
            raise Conflict(f"the wake at {self.seat.waking.at_ns} has no answer yet", hint="answer it, then go on")
        if self.is_over:
            return None
        end_ns = min(limit_ns + 1, self.plan.end_ns)
        self._engine.go(end_ns)
        if self.seat.waking is None:
            self._engine.stand(max(self.now_ns, end_ns - 1))
            self.is_over = limit_ns + 1 >= self.plan.end_ns
        return self.seat.waking

    def answer(self, said: Said) -> None:
        """What the trader says to the wake that waits."""
        if self.seat.waking is None:
            raise Conflict("no wake waits for an answer", hint="step first")
        self.seat.waking = None
        self._say(said)

    def upcoming(self, most: int) -> list[tuple[int, list[tuple[int, ...]]]]:
        """What the next wakes will tell, at most so many, if the trader says nothing to this one nor to them: when, and
        the bars that closed (`BarStream.upcoming`). None where anything but bars may come, or is under way."""
        return self._engine.upcoming(most)

    def skip(self, wakes: int) -> None:
        """So many of those are answered with nothing: the next step stops behind them."""
        self.seat.skips = wakes

    def send(self, said: Said) -> None:
        """What a trader says now, between wakes; or while one waits."""
        waiting, self.seat.waking = self.seat.waking, None
        self._say(said)
        self.seat.waking = waiting

    def finish(self, said: Said, why: str) -> None:
        """The trader calls it a day: what it said is sent still and ends, as in process."""
        self.seat.waking = None
        self._fill(said)
        self._engine.wind_down()
        self._end(EndReason.STOPPED, why)

    def detach(self, reason: int, why: str, ends: EndReason = EndReason.STOPPED) -> None:
        """Somebody ends it here and now. Open orders stay open in the Record."""
        while self.seat.waking is not None:  # the rest of its instant: nobody hears it, but it has happened
            self.answer(Said())
            self.step(self.now_ns)
        self._stage.course.rewrite(Detach(reason), self.now_ns)
        self._end(ends, why)

    def fail(self, said: Said, error: str) -> None:
        """The trader has failed: its open orders are cancelled here and now, `error` stands in the journal."""
        self.seat.waking = None
        self.seat.decisions = list(said.decisions)
        self.seat.outbox.extend(said.requests)
        at_ns, unsent = self._engine.fail()
        self.journal.put(Failure(unsent, error[-FAILURE_CHARACTERS:]), 0, at_ns, 0, TRADER)
        self._ended_ns, self._error = at_ns, error
        self._end(EndReason.FAILED, error.strip().split("\n")[-1][:500])

    def _end(self, reason: EndReason, why: str) -> None:
        self._reason, self._why, self.is_over = reason, why, True

    def close(self, farewell: Sequence[Decided] = ()) -> Played:
        """The Record ends; `farewell` is what the trader decided in its last call."""
        if self.played is None:
            self.seat.decisions = list(farewell)
            if self._reason is not EndReason.FAILED:
                self.seat.close_decision()
            self.played = self._stage.closed(self._reason, self._why, self._ended_ns)
        return self.played

    # --- inside -------------------------------------------------------------------------------------------------------

    def _fill(self, said: Said) -> None:
        seat = self.seat
        seat.decisions = list(said.decisions)
        seat.outbox.extend(said.requests)
        seat.alarms.extend(said.timers)
        if said.watches:
            watches = said.watches
            self._stage.course.asked = lambda _: watches
            seat.alarms.append((self.now_ns, WATCH))
        if said.listens is not None:
            seat.is_listening = said.listens
        seat.is_deciding = bool(said.decisions)

    def _say(self, said: Said) -> None:
        self._fill(said)
        seat = self.seat
        if seat.outbox or seat.alarms or seat.is_deciding:
            self._engine.say()

    def _write(self, one: Decided) -> None:
        course, now_ns = self._stage.course, one.now_ns
        contents = tuple(course.content(name, now_ns) for name in one.forecasts)
        course.write_decision(now_ns, one.packed, one.notes, contents)
