"""A bot's course: its run, its account, and what is on its way to it.

What comes of a request is known to the venue at once and to the bot when it is due; until then it waits here, answers
and user events in one queue, by virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any, Protocol

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.order import Request
from gnomon.exchange.outcome import Outcome
from gnomon.replay.bodies import Branch
from gnomon.replay.ground import Ground
from gnomon.replay.journal import Sink
from gnomon.replay.live import LiveRun, Said, Waking, Wanted
from gnomon.replay.run import RunPlan
from gnomon.serve.venue.call import Account, Then, UserEvent
from gnomon.serve.venue.faults import Break, WireFaults
from gnomon.serve.venue.inputs import InputLog
from gnomon.trader.trader import Wake
from gnomon.units import INT64_MAX

Tell = Callable[[int, UserEvent], None]
"""What is done with a user event that is due: when it was, and the event."""

PLAIN: Wake = Wake(own_events=True, timers=True)
"""What wakes a bot that has not said what wakes it: the market's streams are shown to it, not told."""


class Pace(Protocol):
    """Who moves the clock: asked when a request is on its way."""

    def hurry(self, course: BotCourse, number: int, /) -> None:
        """Bring the answer to a request as near as the way of driving allows."""
        ...


class BotCourse:
    """One bot's run in one session, as handlers see it."""

    def __init__(
        self, run_id: str, plan: RunPlan, make_account: Callable[[RunPlan, Exchange, str], Account],
        sink: Sink | None, branch: Branch | None = None,
    ) -> None:  # fmt: skip
        self.run_id = run_id
        self.ground: Ground = plan.ground
        self.holds = False  # requests wait for the answer to the wake that they belong to
        self.is_concurrent = False  # told at once what is due while a request of its is open
        self.wants: tuple[Wake, Wanted] = (PLAIN, Wanted())  # what wakes it, as it has said before anything else
        self._plan = plan
        self._make_account = make_account
        self._sink = sink
        self._branch = branch
        self._pace: Pace | None = None
        self._tell: Tell = _unheard
        self.tells_outcomes: Callable[[int, Sequence[Outcome]], None] | None = None  # a clock of its own
        self._run: LiveRun | None = None
        self._account: Account | None = None
        self._thens: dict[int, Then] = {}
        self._held: list[Request] = []
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._queued = 0
        self._answering: set[int] = set()  # requests whose answers are in the queue
        self._clients: dict[str, int] = {}
        self.events = 0
        self.log: InputLog | None = None
        self.gate: Any = None  # the door's own state beside it (`gate.Gate`)
        self.faults: WireFaults | None = None  # what goes wrong on the wire
        self.on_break: Callable[[Break], None] = lambda _: None
        self.is_reliving = False  # its inputs are read back: they are not to be logged again

    # --- as handlers see it -------------------------------------------------------------------------------------------

    @property
    def run(self) -> LiveRun:
        """Begun with what the bot has said by then of what wakes it, where it was not begun before."""
        return self._run or self.begin(*self.wants)

    @property
    def is_begun(self) -> bool:
        return self._run is not None

    @property
    def plan(self) -> RunPlan:
        return self._run.plan if self._run is not None else self._plan

    @property
    def now_ns(self) -> int:
        return self._run.now_ns if self._run is not None else self._plan.start_ns

    @property
    def exchange(self) -> Exchange:
        return self.run.exchange

    @property
    def account(self) -> Any:
        self.run  # noqa: B018 - which makes it
        return self._account

    @property
    def next_request(self) -> int:
        return self.run.next_request + len(self._held)

    def client(self, text: str) -> int:
        return self._clients.setdefault(text, len(self._clients) + 1)

    def send(self, request: Request, then: Then) -> int:
        number = self.next_request
        self._thens[number] = then
        if self.holds:
            self._held.append(request)
        else:
            self.run.send(Said(requests=[request]))
            if self._pace is not None:
                self._pace.hurry(self, number)
        return number

    # --- as its driver sees it ----------------------------------------------------------------------------------------

    def drive(self, pace: Pace, tell: Tell) -> None:
        """Who moves its time, and what is done with its user events."""
        self._pace, self._tell = pace, tell

    def begin(self, wakes: Wake, wanted: Wanted) -> LiveRun:
        self._run = run = LiveRun(
            self._plan, wakes, self, wanted=wanted, sink=self._sink, branch=self._branch,
            concurrency=int(self.is_concurrent),
        )  # fmt: skip
        self._account = self._make_account(run.plan, run.exchange, self.run_id)
        if self.gate is not None:
            self._account.on_first_fill = self.gate.limits.first_fill
        if run.faults is not None:
            self.faults = WireFaults(run.faults)
            self.faults.note = run.note
            self.faults.on_break = lambda what: self._queue(what.at_ns, lambda: self.on_break(what))
            if self.gate is not None:
                self.gate.suffer(self.faults)
        return run

    def take_held(self) -> list[Request]:
        held, self._held = self._held, []
        return held

    @property
    def has_held(self) -> bool:
        return bool(self._held)

    @property
    def has_due(self) -> bool:
        return bool(self._due)

    def is_awaited(self, number: int) -> bool:
        """Whether a request's answer has not been given yet."""
        return number in self._thens or number in self._answering

    @property
    def awaited(self) -> int:
        """How many requests have answers that come with time alone."""
        return len(self._thens) + len(self._answering)

    @property
    def next_due_ns(self) -> int:
        return self._due[0][0] if self._due else INT64_MAX

    @property
    def next_answer_ns(self) -> int:
        """When the next answer may be due: something is, or a request arrives of which nothing else may be told."""
        return min(self.next_due_ns, self.run.next_arrival_ns)

    def step(self, limit_ns: int) -> Waking | None:
        """As `LiveRun.step`; what is due by then has been told."""
        waking = self.run.step(limit_ns)
        if self._due and self._due[0][0] <= self.run.now_ns:
            self.settle()
        return waking

    def advance(self, limit_ns: int) -> None:
        """To that instant, for a bot whose wakes need no answer."""
        run = self.run
        while not run.is_over and self.step(limit_ns) is not None:
            run.answer(Said())

    def bring(self, number: int, on_wake: Callable[[Waking], None], most_ns: int = INT64_MAX) -> None:
        """Move time until a request's answer is given, no further than `most_ns`, for a bot whose wakes need none."""
        run = self.run
        while self.is_awaited(number) and not run.is_over:
            until_ns = run.arrival_ns if number in self._thens else self._due[0][0]
            if until_ns > most_ns:
                return
            waking = self.step(max(until_ns, run.now_ns))
            if waking is not None:
                on_wake(waking)
                run.answer(Said())

    def settle(self) -> None:
        """Give answers and events that are due."""
        now_ns, due = self.run.now_ns, self._due
        while due and due[0][0] <= now_ns:
            heappop(due)[2]()

    def came(self, now_ns: int, due_ns: int, request: int, outcomes: Sequence[Outcome]) -> None:
        """Of the run (`replay.live.Listener`)."""
        assert self._account is not None
        events = self._account.take(now_ns, request, outcomes)
        then = self._thens.pop(request, None) if request else None
        answer_ns, faults = due_ns, self.faults
        if faults is not None:
            answer_ns = faults.answer_ns(request, due_ns)
            events = faults.events(request, events)
        if then is not None:
            self._answering.add(request)
            self._queue(answer_ns, lambda: self._answer(request, then, now_ns, outcomes))
        if self.tells_outcomes is not None and self.holds:
            self._queue(due_ns, partial(self.tells_outcomes, due_ns, outcomes))
        for event in events:
            self.events += 1
            self._queue(due_ns, partial(self._told, due_ns, event))

    def _answer(self, request: int, then: Then, now_ns: int, outcomes: Sequence[Outcome]) -> None:
        self._answering.discard(request)
        if self.faults is None:
            then(now_ns, outcomes)
            return
        self.faults.answering = request  # for the door, which gives the answer its form
        try:
            then(now_ns, outcomes)
        finally:
            self.faults.answering = 0

    def _told(self, due_ns: int, event: UserEvent) -> None:
        if self.faults is None or not self.faults.loses_user(due_ns):
            self._tell(due_ns, event)

    def _queue(self, due_ns: int, give: Callable[[], None]) -> None:
        self._queued += 1
        heappush(self._due, (due_ns, self._queued, give))


def _unheard(_due_ns: int, _event: UserEvent) -> None:
    """Nobody drives the course yet, so nothing happens in it."""
