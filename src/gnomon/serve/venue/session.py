"""A live session: its runs, how its time moves, and what an operator may do with it.

| drive | bots | time |
|---|---|---|
| `lockstep` | native, shim | a clock each; it moves when the bot has acknowledged (`lockstep`) |
| `lockstep` | unmodified | one clock; it moves when all have received what was sent and are quiet (`quiet`) |
| `paced` | all | one clock, at a factor of the wall's (`paced`) |
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from gnomon.clock import iso
from gnomon.errors import GnomonError, Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.exchange import Exchange
from gnomon.jobs.replay import Replays, seq_at
from gnomon.jobs.run_ids import new_id
from gnomon.jobs.stage import Stage
from gnomon.replay.bodies import Branch, EndReason
from gnomon.replay.live import OPERATOR
from gnomon.replay.run import RunPlan
from gnomon.replay.session import Drive, Entry, Session, Status, document_of
from gnomon.serve.venue.bystander import Bystander
from gnomon.serve.venue.call import Handler
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.faults import break_sockets
from gnomon.serve.venue.flow import flow
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.group import Group
from gnomon.serve.venue.inputs import InputLog, lines
from gnomon.serve.venue.limits import MOST_ADDRESSES
from gnomon.serve.venue.lockstep import LockStep
from gnomon.serve.venue.paced import Paced
from gnomon.serve.venue.patience import Patience
from gnomon.serve.venue.place import Place
from gnomon.serve.venue.quiet import Quiet
from gnomon.serve.venue.relive import relive
from gnomon.serve.venue.symbols import Symbols
from gnomon.store.bots import Bot, BotStore
from gnomon.store.sessions import SessionRun, SessionStore, StoredSession
from gnomon.units import MILLISECOND_NS, SECOND_NS
from gnomon.wallclock import WallClock

log = logging.getLogger(__name__)


class Tools(Protocol):
    """What a live session needs of the venue around it."""

    sessions: SessionStore
    bots: BotStore
    replays: Replays
    clock: WallClock
    handlers: Mapping[str, Handler]

    def account(self, plan: RunPlan, exchange: Exchange, run_id: str) -> Any: ...

    def streams(self, plan: RunPlan, symbols: Symbols) -> Any: ...

    def gate(self, session: LiveSession, course: Any) -> Any: ...

    def run_opened(self, bot: str, place: Place) -> None: ...

    def run_closed(self, bot: str) -> None: ...


class LiveSession:
    """`serve.venue.control.Conductor` over the runs of one session."""

    def __init__(self, stored: StoredSession, tools: Tools) -> None:
        self.id = stored.id
        self.workspace = stored.workspace
        self._tools = tools
        self._text = stored.spec
        self.stage: Stage = tools.replays.stage(Session.parse(stored.spec))
        self.session = self.stage.session
        self._seed = stored.seed
        self._pace = stored.pace
        self.places: list[Place] = []
        self.symbols = Symbols(self.stage.ground.listings)
        self.any_plan = self._plan_of(Entry("market", "none"), 0)
        self.group = self._new_group(self.stage.start_ns)
        self._bystanders: dict[str, Bystander] = {}  # by address
        self.status = stored.status
        self._since_wall_ns = tools.clock.now_ns()
        self._drive: Paced | Quiet | None = None
        self._is_stepping = False  # a step was asked for since it was paused
        self._watchdog: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._reason = ""
        self._is_branching = False  # its runs end so that others begin

    def bystander(self, address: str = "") -> Bystander:
        """Whoever asks from an address without a key."""
        found = self._bystanders.get(address)
        if found is None:
            if len(self._bystanders) >= MOST_ADDRESSES:
                self._bystanders.clear()
            found = self._bystanders[address] = Bystander(self)
            found.gate = self._tools.gate(self, found)
            self._tune(found.gate)
        return found

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def is_lockstep(self) -> bool:
        return self.session.drive is Drive.LOCKSTEP

    @property
    def factor(self) -> float:
        """Virtual seconds in one of the wall's; 0 for as fast as bots allow."""
        return 0.0 if self._pace in ("max", "lockstep") else float(self._pace)

    @property
    def now_ns(self) -> int:
        """Of the clock that all share, or of the bot that is furthest behind."""
        own = [one.course.now_ns for one in self.places if one.clock is not None]
        return min(own) if own else self.group.now_ns

    def state(self) -> dict[str, Any]:
        """As `control` and `gnomon session show` tell it."""
        now_ns, start_ns, end_ns = self.now_ns, self.stage.start_ns, self.stage.end_ns
        progress = (now_ns - start_ns) / (end_ns - start_ns)
        speed = self._drive.speed_measured if self._drive is not None else 0.0
        return {
            "id": self.id,
            "status": str(self.status),
            "pace": self._pace,
            "clock": {"now": str(now_ns), "progress": round(progress, 6), "speed_measured": speed},
            "flow": self.flow(),
            "stepping": self.is_stepping,
            "runs": [one.state(str(self.status)) for one in self.places],
            "reason": self._reason,
        }

    @property
    def is_stepping(self) -> bool:
        """Whether a step is under way: a clock is not where it is to stand, or a bot has not answered yet."""
        if not self._is_stepping or self.status is not Status.PAUSED:
            return False
        is_shared = self._drive is not None and self._drive.is_stepping
        return is_shared or any(one.is_busy for one in self.places)

    def flow(self) -> dict[str, Any]:
        """Who is waited for, in words, and since when (`serve.venue.flow`)."""
        drive = self._drive.flow if self._drive is not None else ""
        told = flow(self.status, self.places, drive, is_stepping=self.is_stepping)
        return {"since": iso(self._since_wall_ns), **told}

    @property
    def any_exchange(self) -> Any:
        """That of any of its runs: the market of all of them is the same."""
        return self.places[0].course.exchange if self.places else None

    # --- what an operator does ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open a run for every bot that is bound here; time moves when all have come."""
        order = [one.name for one in self.session.entries]
        bound = self._tools.bots.of(self.workspace).all(session=self.id)
        bound.sort(key=lambda one: (order.index(one.entry) if one.entry in order else len(order), one.id))
        if not bound:
            raise Invalid("no bot is bound to this session", hint="bind one: `gnomon session create` does")
        self._act("start")
        try:
            self._open(bound, self.stage, self._text, self.stage.start_ns)
        except GnomonError:
            self._act("stop" if self.status is Status.RUNNING else "timeout", reason="a run could not be opened")
            raise
        self._starting = self._spawn(self._wait_for_bots())

    def pause(self) -> None:
        self._act("pause")
        self._end_step()
        if self._drive is not None:
            self._drive.hold()

    def resume(self) -> None:
        if self.status is Status.PAUSED:
            self._act("resume")
        self._end_step()
        for one in self.places:
            one.stalled = False
        self._go_on()

    def step(self, *, events: int = 0, by_ns: int = 0, to_ns: int | None = None) -> None:
        """On while paused: so many events (wakes of each bot that has a clock of its own), a time, or to an instant.
        `is_stepping` until all are there and have answered."""
        self._act("step")
        self._is_stepping = True
        until_ns = to_ns if to_ns is not None else self.now_ns + by_ns
        if self._drive is not None:
            self._drive.step(self._row_ns(events) if events else until_ns)
        for one in self.places:
            one.step(events, until_ns)

    def _end_step(self) -> None:
        self._is_stepping = False
        for one in self.places:
            one.end_step()

    def set_pace(self, pace: str) -> None:
        """Another factor from now on; lock-step stays what it is."""
        self._act("pace")
        self._pace = pace
        self._tools.sessions.change(self.id, self._tools.clock.now_ns(), pace=pace)
        if self._drive is not None:
            self._drive.set_factor(self.factor)

    def seek(self, to_ns: int, mode: str) -> None:
        """Forward at full pace; or end the runs here and branch new ones there."""
        if not self.stage.start_ns <= to_ns < self.stage.end_ns:
            window = f"{iso(self.stage.start_ns)} to {iso(self.stage.end_ns)}"
            raise Invalid(f"{iso(to_ns)} is not in the window", hint=f"it is {window}")
        self._act("seek")
        if mode == "fast" and to_ns >= self.now_ns:
            if self._drive is not None:
                self._drive.hasten(to_ns)
            return
        self._branch(to_ns)

    def stop(self) -> None:
        """Every run ends here and now, and is kept; orders stay open in its Record."""
        self._act("stop")
        self._close_runs("stopped by the operator", EndReason.STOPPED)

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _open(self, bound: Sequence[Bot], stage: Stage, text: str, start_ns: int, parents: Any = None) -> None:
        self.group = self._new_group(start_ns)
        places = []
        for bot in bound:
            run_id = new_id("run", self._tools.clock.now_ns())
            parent = (parents or {}).get(bot.id)
            told = {"parent": parent.run_id, "branched_at": start_ns} if parent is not None else {}
            self._tools.sessions.begin_run(self.id, bot.id, run_id, self._tools.clock.now_ns(), **told)
            places.append(self._place(bot, run_id, stage, text, parent))
        self.places = places

    def _place(self, bot: Bot, run_id: str, stage: Stage, text: str, parent: Place | None = None) -> Place:
        entries = {one.name: (number, one) for number, one in enumerate(self.session.entries, 1)}
        number, entry = entries.get(bot.entry or "", (0, Entry(bot.name, "remote")))
        plan = replace(stage.plan(entry, number, self._seed), start_ns=stage.start_ns)
        journals = self._tools.replays.journals
        sink = journals.create(run_id)
        inputs = InputLog(journals.beside(run_id, "inputs"))
        branch = None
        if parent is not None and parent.course.run.played is not None:
            record = journals.read(parent.run_id)
            fingerprint = parent.course.run.played.digests.fingerprint
            branch = Branch(fingerprint, stage.start_ns, seq_at(record, stage.start_ns))
        place = Place(
            self.id, bot, entry, number, run_id, self._course(run_id, plan, sink, branch), inputs, sink, text, branch
        )
        place.course.on_break = lambda what: break_sockets(place.sockets(self.group.sockets), what)
        if self.is_lockstep and bot.tier != "unmodified":
            self._give_clock(place, plan)
        else:
            self._join_group(place)
        self._tools.run_opened(bot.id, place)
        return place

    def _course(self, run_id: str, plan: RunPlan, sink: Any, branch: Branch | None) -> BotCourse:
        course = BotCourse(run_id, plan, self._tools.account, sink, branch)
        course.gate = self._tools.gate(self, course)
        course.gate.stamps.on_wall = lambda: self._tools.replays.passed_by_wall(run_id)
        return course

    def _join_group(self, place: Place) -> None:
        """Its time is that of all who have no clock of their own."""
        group, course = self.group, place.course
        course.drive(group, lambda _, event: group.tell(place.run_id, event))
        course.log = place.log
        course.gate.shows_time = False
        group.courses.append(course)
        place.clock = None

    def as_unmodified(self, place: Place) -> None:
        """A bot that could have been in lock-step has come like any other client."""
        if place.clock is not None and not place.clock.sockets and not place.course.is_begun:
            self._join_group(place)
            self._tools.sessions.set_run(place.run_id, "pending", tier="unmodified")
            if self._drive is None and self.status in (Status.RUNNING, Status.PAUSED):
                self._run()

    def _give_clock(self, place: Place, plan: RunPlan) -> None:
        course = place.course
        clock = LockStep(
            course, self._tools.streams(plan, self.symbols), self.symbols, place.log, plan.ground.timeframe,
            lambda _: self._over(place), lambda: self._may_go(place), self._most_ahead,
        )  # fmt: skip
        course.drive(clock, clock.tell)
        if plan.rules.faults.is_empty:  # what goes wrong does so in Binance's words
            course.tells_outcomes = clock.tell_outcomes
        course.log = place.log
        course.gate.shows_time = True
        place.clock = clock

    def _sockets(self) -> list[Any]:
        return [*self.group.sockets, *(one for place in self.places if place.clock for one in place.clock.sockets)]

    def _freezes(self, socket: Any, stream: str) -> bool:
        """Whether a fault of a bot keeps an event of a stream from its socket."""
        now_ns = self.group.now_ns
        return any(
            one.course.faults is not None
            and (socket.key is None or socket.key.bot == one.bot.id)
            and one.course.faults.freezes(stream, now_ns)
            for one in self.places
        )

    def _may_go(self, place: Place) -> bool:
        if self.status is Status.RUNNING:
            return True
        return self.status is Status.PAUSED and self._is_stepping and place.may_step

    def _most_ahead(self) -> int:
        """While it runs: who steps a session wants to see every wake."""
        return self.session.ahead_wakes if self.status is Status.RUNNING else 0

    def _new_group(self, now_ns: int) -> Group:
        streams = self._tools.streams(self.any_plan, self.symbols)
        if now_ns > self.stage.start_ns:
            streams.rewind(now_ns)
        group = Group(now_ns, streams)
        if not self.session.rules.faults.is_empty:
            group.freezes = self._freezes
        return group

    def _row_ns(self, events: int) -> int:
        """When so many instants have passed at which a print was made or a bar closed, of any instrument."""
        found = []
        for tape in self.stage.ground.tapes:
            rows = tape.tape
            times = rows.close_ns if isinstance(rows, Bars) else rows.time_ns
            row = int(times.searchsorted(self.group.now_ns, "right"))
            found.append(times[row : row + min(events, len(times))])
        instants = np.unique(np.concatenate(found))
        return instants.item(events - 1) if events <= len(instants) else self.stage.end_ns

    def _plan_of(self, entry: Entry, number: int) -> RunPlan:
        return self.stage.plan(entry, number, self._seed)

    # --- bots come ----------------------------------------------------------------------------------------------------

    def attached(self, place: Place) -> None:
        """A bot has come: its first signed request, or a socket of its own."""
        if place.is_attached:
            return
        place.is_attached = True
        self._tools.sessions.set_run(place.run_id, "running")
        if self.status is Status.STARTING and all(one.is_attached for one in self.places):
            self._begin()

    async def _wait_for_bots(self) -> None:
        document = document_of(self._text).get("session", {})
        if document.get("start_policy") == "now":
            self._begin()
            return
        await asyncio.sleep(float(document.get("start_timeout_s", 120)))
        if self.status is Status.STARTING:
            self._act("timeout", reason="bots_missing")
            self._reason = "bots_missing"
            self._close_runs("bots_missing", EndReason.STOPPED)

    def _begin(self) -> None:
        self._act("attached")
        self._run()

    def _run(self) -> None:
        if self.group.courses or not self.places:
            kind = Quiet if self.is_lockstep else Paced
            self._drive = kind(self.group, self._tools.clock, self.factor, self.stage.end_ns, self._group_over)
            self._drive.start()
        if self._watchdog is None:
            self._watchdog = self._spawn(self._watch())
        self._go_on()

    def _go_on(self) -> None:
        if self._drive is not None and self.status is Status.RUNNING:
            self._drive.go()
        for one in self.places:
            if one.clock is not None:
                one.clock.go_on()

    @property
    def _waits(self) -> bool:
        """Whether time would go on if all had answered."""
        return self.status is Status.RUNNING or self.is_stepping

    async def _watch(self) -> None:
        """Say who is waited for too long, and write down how far a shared clock has come; nothing moves by itself."""
        stall_ns = int(document_of(self._text).get("session", {}).get("stall_s", 30)) * SECOND_NS
        patience = Patience(stall_ns)
        while self.status in (Status.RUNNING, Status.PAUSED):
            await asyncio.sleep(min(1.0, stall_ns / 4e9))
            for one in self.places:
                if one.clock is None and not one.is_over:
                    one.log.write("clock", self.group.now_ns)
                if one.is_busy and self._waits and not one.is_over:
                    self._stall(one, patience.is_stalled(one, self._tools.clock.now_ns()))
                else:
                    patience.forget(one)

    def _stall(self, place: Place, is_stalled: bool) -> None:
        if is_stalled is place.stalled:
            return
        place.stalled = is_stalled
        if not is_stalled:
            self._tools.sessions.set_run(place.run_id, "running")
            return
        self._since_wall_ns = self._tools.clock.now_ns()
        self._tools.sessions.set_run(place.run_id, "stalled", reason=f"no answer to wake {place.n}")
        log.warning("session %s: bot %s has not answered wake %d", self.id, place.bot.name, place.n)

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _group_over(self) -> None:
        for one in self.places:
            if one.clock is None and not one.is_over:
                one.course.run.close()
                self._over(one)

    def _over(self, place: Place) -> None:
        """A run has ended, by itself or by somebody."""
        if place.is_over:
            return
        place.is_over = True
        place.course.gate.end()
        place.sink.close()
        self._tools.run_closed(place.bot.id)
        played = place.course.run.played
        assert played is not None
        stage = self.stage if place.branch is None else self._tools.replays.stage(Session.parse(place.text))
        done = self._tools.replays.keep(
            place.run_id, stage, place.text, place.entry, place.course.plan, played, place.branch
        )
        stored = done.stored
        place.log.drop()
        now_ns = self._tools.clock.now_ns()
        self._tools.sessions.end_run(place.run_id, stored.status, now_ns, reason=stored.reason, tier=place.tier)
        is_live = self.status in (Status.RUNNING, Status.PAUSED)  # paused: a step came to the end
        if is_live and not self._is_branching and all(one.is_over for one in self.places):
            self._act("error" if all(one.has_failed for one in self.places) else "end")
            self._rest()

    def _close_runs(self, why: str, ends: EndReason) -> None:
        self._rest()
        for one in self.places:
            if one.is_over:
                continue
            if one.clock is not None:
                one.clock.stop(OPERATOR, why, ends)
            else:
                run = one.course.run
                if not run.is_over:
                    run.detach(OPERATOR, why, ends)
                run.close()
                self._over(one)

    def _rest(self) -> None:
        """No task moves this session any more."""
        if self._drive is not None:
            self._drive.stop()
            self._drive = None
        for task in (self._watchdog, self._starting):
            if task is not None and task is not _current():
                task.cancel()
        self._watchdog = self._starting = None

    def _branch(self, to_ns: int) -> None:
        was = self.status
        parents = {one.bot.id: one for one in self.places}
        sockets = self._sockets()
        self._is_branching = True
        self._close_runs("seek", EndReason.SEEK)
        self._is_branching = False
        document = document_of(self._text)
        document["session"] = {**document["session"], "from": iso(to_ns)}
        text = json.dumps(document, default=str)
        stage = self._tools.replays.stage(Session.parse(text))
        self._open([one.bot for one in parents.values()], stage, text, to_ns, parents)
        for socket in sockets:
            socket.send_text(b'{"e":"serverShutdown","E":%d}' % (to_ns // MILLISECOND_NS))
            socket.close(1001, "seek")
        self._starting = self._spawn(self._wait_to_go_on(was))

    async def _wait_to_go_on(self, was: Status) -> None:
        while not all(one.is_attached for one in self.places):
            await asyncio.sleep(0.05)
        if self.status is was:
            self._run()
            if was is Status.PAUSED and self._drive is not None:
                self._drive.hold()

    def ponged(self, socket: Any, payload: bytes) -> None:
        if self._drive is not None:
            self._drive.ponged(socket, payload)

    def close(self) -> None:
        """The process ends, or the session is deleted. What is open goes on in the next process."""
        self._rest()
        for socket in self._sockets():
            socket.close(1001)
        for one in self.places:
            if not one.is_over:
                one.log.close()

    # --- restart ------------------------------------------------------------------------------------------------------

    def restore(self, opened: Sequence[SessionRun]) -> None:
        """After a restart: every open run is brought to where its inputs end."""
        journals = self._tools.replays.journals
        places = []
        for row in opened:
            bot = self._tools.bots.of(self.workspace).get(row.bot)
            logged = list(lines(journals.beside(row.run, "inputs")))
            journals.discard(row.run)
            text, stage = self._text, self.stage
            place = self._place(replace(bot, entry=row.entry), row.run, stage, text)
            places.append(place)
            self.places = places
            self._relive(place, logged)
            place.is_attached = row.status != "pending"
        if self.status is Status.RUNNING:
            self._run()
        elif self.status is Status.STARTING:
            self._starting = self._spawn(self._wait_for_bots())
            if self.places and all(one.is_attached for one in self.places):
                self._begin()
        elif self.status is Status.PAUSED:
            self._run()
            if self._drive is not None:
                self._drive.hold()

    def _relive(self, place: Place, logged: Sequence[Sequence[Any]]) -> None:
        status, self.status = self.status, Status.RUNNING
        relive(place, self.group, self._tools.handlers, logged)
        self.status = status

    # --- inside -------------------------------------------------------------------------------------------------------

    def _act(self, action: str, reason: str = "") -> None:
        now_ns = self._tools.clock.now_ns()
        self.status = self._tools.sessions.act(self.id, action, now_ns, reason=reason).status
        self._since_wall_ns = now_ns
        for one in self._bystanders.values():
            self._tune(one.gate)
        for place in self.places:
            self._tune(place.course.gate)

    def _tune(self, gate: Gate) -> None:
        """What is asked while virtual time stands is not counted."""
        gate.limits.is_paused = gate.is_over or self.status not in (Status.STARTING, Status.RUNNING)
        gate.stamps.pace = max(1.0, self.factor)

    def _spawn(self, course: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(course)
        task.add_done_callback(_report)
        return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a task of a session has failed", exc_info=error)


def _current() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
