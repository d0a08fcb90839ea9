"""Lock-step: virtual time waits for a bot. It moves to the bot's next wake when the last one was acknowledged, and
nowhere else; so what a run comes to does not depend on how long anybody took.

Two kinds of bots speak it (`determinism` in the docs): native ones are woken by their filter, send the requests of a
wake before its acknowledgement, and get every frame on one socket; shimmed ones are shown the streams that they
subscribe to, an event a wake, and acknowledge by asking for the next message.

A bot of the second kind is `serial` or `concurrent`, as its first socket has said: what is due while a request of its
is open waits for the answer; or is told at once, and the answer is a wake like any other. To a serial bot time moves
when it has sent a request, to a concurrent one when it has acknowledged.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, Protocol

import orjson

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.exchange.outcome import Outcome
from gnomon.replay.bodies import EndReason
from gnomon.replay.live import SAID_SO, Decided, Said, Waking, Wanted
from gnomon.serve.venue.call import UserEvent
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.group import Streams
from gnomon.serve.venue.inputs import InputLog
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.symbols import Symbols
from gnomon.trader.events import Candle
from gnomon.trader.pulse import native
from gnomon.trader.trader import Wake
from gnomon.units import INT64_MAX, MILLISECOND_NS

IDLE, BUSY, HELD, OVER = "idle", "busy", "held", "over"


class Socket(Protocol):
    """What a lock-step bot is told through."""

    def send_text(self, text: bytes, /) -> None: ...


class Builders(Streams, Protocol):
    """Makes the market's events of a wake, and those of subscribed streams (`serve.venue.streams`); everything up to
    `now_ns` was told."""

    now_ns: int

    def trade_event(self, number: int, position: int, /) -> bytes: ...

    def book_ticker_event(self, number: int, now_ns: int, /) -> bytes: ...


USER = "@user"
"""The stream of user events."""

Give = Callable[[int], None]
"""Tells an answer, as the wake of a number; 0: as none."""


class Frame(NamedTuple):
    """One message of a wake: of which stream (empty: of the clock's own), the wrapper's members as JSON without braces,
    and its time: that of the wake, of an own event when it was due."""

    stream: str
    members: bytes
    at_ns: int


class Gone:
    """In the place of the sockets that a venue had before it was started again."""

    def send_text(self, _text: bytes) -> None: ...


class LockStep:
    """The clock of one bot."""

    def __init__(
        self, course: BotCourse, streams: Builders, symbols: Symbols, log: InputLog, timeframe: Timeframe,
        ended: Callable[[LockStep], None], may_go: Callable[[], bool], most_ahead: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        """`ended` hears of its end, `may_go` says whether time may move now, `most_ahead` how many wakes more may be
        told at once."""
        self.course = course
        self.is_native = False  # it has said what wakes it
        self.state = BUSY  # until it has said that it is there, by acknowledging 0
        self.n = 0  # of the wake at which the run stands
        self.since_ns = 0  # virtual time of it
        self._streams = streams
        self._symbols = symbols
        self._log = log
        names = [self._name(one.number, f"kline_{timeframe}") for one in course.ground.listings]
        self._heads = [(name, b'"stream":"%b","bar":' % name.encode()) for name in names]  # of closed bars
        self._ended = ended
        self._may_go = may_go
        self.until_ns = INT64_MAX  # of virtual time: no further, while a paused session is stepped to an instant
        self._most_ahead = most_ahead
        self._wants_ahead = 0  # what the bot has asked for
        self._ahead: list[tuple[int, list[tuple[int, ...]]]] = []  # wakes behind `n` that were told with it
        self._own: list[tuple[int, bytes]] = []  # events that are due and not told yet
        self._outcomes: list[Frame] = []  # the same for a native bot
        self._frames: list[Frame] = []  # of the newest wake
        self._pending: list[tuple[int, list[Frame], Give | None]] = []  # wakes that happened and are not told yet
        self.is_concurrent = False
        self._asked = 0  # requests of the newest wake that may send something
        self._is_taking = False
        self._early: dict[str, Callable[[], None]] = {}  # those that came before others of theirs, by key
        self._late: tuple[int, Mapping[str, Any], bool] | None = None  # an ACK whose requests have not all come
        self._is_open = False  # the start is acknowledged: as wake 0
        self.sockets: list[Any] = []
        self.users: list[tuple[Any, int | None]] = []  # sockets that hear user events, and under what number
        self._of_stream: dict[str, list[Any]] = {}
        self._leaves = ""
        self._is_end_told = False
        self._is_relived = False  # its past was read back from the log
        self._timers: list[tuple[int, str]] = []
        self._watches: list[tuple[int, int, int]] = []
        self._gone = Gone()
        self._begun_ns: dict[str, int] = {}  # of streams: what was known then is not told
        self._parted: dict[str, tuple[int, int]] = {}  # when streams were left, and up to where they had been told

    # --- what a bot says ----------------------------------------------------------------------------------------------

    def control(self, method: str, params: Sequence[Any], logs: bool = True) -> None:
        """ACK, WAKE, TIMER or BYE. `Invalid` for what makes no sense where it is said."""
        if method == "ACK":
            self._acknowledge(int(params[0]), params[1] if len(params) > 1 and params[1] else {}, logs)
        elif method == "WAKE":
            self._filter(params[0] if params else {}, logs)
        elif method == "TIMER":
            self._timers.append((int(params[0]), str(params[1])))
        elif method == "BYE":
            self._bye(params[0] if params else {}, logs)
        else:
            raise Invalid(f"no lock-step method {method!r}", hint="ACK, WAKE, TIMER, BYE")

    def declare(self, is_concurrent: bool, logs: bool = True) -> None:
        """How its bot is told what is due while a request of its is open: its first socket says it, for the run.
        `Invalid` where a later one says otherwise, or the run has begun without it."""
        if is_concurrent == self.is_concurrent:
            return
        if self.is_concurrent or self.course.is_begun or self.sockets:
            was = "concurrent" if self.is_concurrent else "serial"
            raise Invalid(f"this run is {was}, as its first socket has said", hint=f"connect with lockstep={was}")
        if logs:
            self._log.write("concurrent")
        self.is_concurrent = self.course.is_concurrent = True
        self.course.gate.barrier = self

    def _filter(self, asked: Mapping[str, Any], logs: bool) -> None:
        if self.is_concurrent:
            raise Invalid(
                "a filter for a concurrent bot", hint="one that is woken by a filter is serial: connect with that"
            )
        if logs:
            self._log.write("wake", dict(asked))
        self.is_native = self.course.holds = True
        if self.course.is_begun:
            self._watches += [(int(number), int(way), int(ticks)) for number, way, ticks in asked.get("watches", ())]
            return
        known = {one.name for one in fields(Wake)}
        self._wants_ahead = int(asked.get("ahead", 0))
        wakes = Wake(**{name: _tuple(value) for name, value in asked.items() if name in known})
        self.course.wants = wakes, Wanted(int(asked.get("warmup", 0)), tuple(asked.get("needs", ())))

    def _acknowledge(self, n: int, more: Mapping[str, Any], logs: bool) -> None:
        if n < self.n or self.state == OVER or (n == self.n and self.state != BUSY and self._is_open):
            return  # a repetition: it was heard
        newest = self.n + len(self._ahead)
        if n > newest and logs:
            raise Invalid(f"ACK of wake {n}, the newest is {newest}", hint="acknowledge what was told")
        if logs and self.is_concurrent and self._asked < int(more.get("requests", 0)):
            self._late = n, more, logs
            return
        self._late = None
        self._take_early()
        self._pass_to(n)
        if self._is_silent(n, more):
            if self._ahead:  # what was told stands
                self._pass_to(n + 1)
                return
            self.state = IDLE
            self.course.run.answer(Said())
            self.go_on()
            return
        self._ahead = []
        said = self._said(more)
        if logs:
            timers = [[str(at_ns), name] for at_ns, name in said.timers]
            self._log.write("ack", n, {**more, "timers": timers})
        self.state = IDLE
        if "timers" in more:
            said.timers = [(int(at_ns), name) for at_ns, name in more["timers"]]
        if self._leaves or self._is_end_told:
            self._close(said)
        elif self.course.is_begun and self.course.run.is_over:
            self.go_on()  # it has waited for an answer until the end: what was due meanwhile, and the end, are told now
        elif not self._is_open:
            self._is_open = True
            self.course.run.open(said)
            self.go_on()
        elif more.get("finish") is not None:
            self._leaves = str(more["finish"])
            self.course.run.finish(said, self._leaves)
            self._tell_end()
        else:
            if self.is_native:
                self.course.run.answer(said)
            else:
                self.course.run.send(said)
            self.go_on()

    def _is_silent(self, n: int, more: Mapping[str, Any]) -> bool:
        """Whether an answer to a wake is that there is none. It needs no line in the log: what follows from it is
        computed again, and the bot says how far it has come (`attach`)."""
        if not (n and self.is_native) or more or self._timers or self._watches or self._leaves:
            return False
        return not (self.course.has_held or self.course.run.is_over)

    def _pass_to(self, n: int) -> None:
        """To wake `n`, by wakes that were answered with nothing: their bot has heard them."""
        course = self.course
        while self.n < n and self.state == BUSY and self._is_open and not course.run.is_over:
            if self._ahead:
                self._catch_up(n)
                continue
            course.run.answer(Said())
            self.state = IDLE
            while self.state == IDLE:
                self._next_native()

    def _catch_up(self, n: int) -> None:
        """The same along wakes that were told ahead, as far as they go."""
        run, wakes = self.course.run, min(n - self.n, len(self._ahead))
        at_ns, _ = self._ahead[wakes - 1]
        del self._ahead[:wakes]
        run.answer(Said())
        run.skip(wakes - 1)
        waking = self.course.step(self.course.plan.end_ns)
        assert waking is not None, "the run has ended before what was told"
        assert (waking.kind, waking.at_ns) == ("bar", at_ns), "what was told ahead does not happen"
        self.n += wakes
        self.since_ns = at_ns
        self._frames = self._frames_of(waking)

    def pass_until(self, now_ns: int) -> None:
        """The same to an instant: a call of the log was made then."""
        while self.is_native and self.since_ns < now_ns and self.state == BUSY:
            before = self.n
            self._pass_to(before + 1)
            if self.n == before:
                return

    def _said(self, more: Mapping[str, Any]) -> Said:
        decisions = [
            Decided(base64.b64decode(one["packed"]), tuple(one.get("notes", ())), tuple(one.get("forecasts", ())))
            for one in more.get("decisions", ())
        ]
        timers, self._timers = self._timers, []
        watches, self._watches = self._watches, []
        listens = more.get("listens")
        held = self.course.take_held()
        return Said(decisions, held, timers, None if listens is None else bool(listens), watches)

    def _bye(self, more: Mapping[str, Any], logs: bool) -> None:
        if self.state == OVER:
            return
        if logs:
            self._log.write("bye", self.n, dict(more))
        run, said = self.course.run, self._said(more)
        if more.get("error"):
            run.fail(said, str(more["error"]))
        elif not run.is_over:
            run.detach(SAID_SO, "the bot has left")
        self._close(Said())

    # --- answers of a concurrent bot, as the door sees it (`serve.venue.gate`) ----------------------------------------

    def heard(self) -> None:
        self._asked += 1
        if self._is_taking:
            return  # by whom the others are looked after
        self._is_taking = True
        try:
            while (take := self._early.pop(f"{self.n}-{self._asked + 1}", None)) is not None:
                take()
        finally:
            self._is_taking = False
        if self._late is not None and self.state == BUSY:
            self._acknowledge(*self._late)

    def comes_early(self, wake: str, take: Callable[[], None]) -> bool:
        n, _, place = wake.partition("-")
        if n != str(self.n) or not (place.isascii() and place.isdigit()) or int(place) <= self._asked + 1:
            return False
        self._early[f"{n}-{int(place)}"] = take
        return True

    def _take_early(self) -> None:
        """What its bot does not wait for is not waited for here."""
        early, self._early = self._early, {}
        for key in sorted(early, key=lambda key: int(key.partition("-")[2])):
            early[key]()

    def refuse(self, wake: str, refusal: VenueRefusal) -> None:
        self._log.write("refused", wake, refusal.code, refusal.msg, refusal.status)

    def deliver(self, give: Give) -> None:
        now_ns = self.course.now_ns
        event = orjson.dumps({"e": "answer", "E": now_ns // MILLISECOND_NS})
        self._pending.append((now_ns, [Frame("", b'"event":' + event, now_ns)], give))

    # --- what a bot is told -------------------------------------------------------------------------------------------

    def tell(self, due_ns: int, event: UserEvent) -> None:
        """A user event is due: it comes with the next wake, at the latest."""
        self._own.append((due_ns, event.body))

    def tell_outcomes(self, due_ns: int, outcomes: Sequence[Outcome]) -> None:
        """The same to a native bot, as the exchange words it."""
        event = orjson.dumps({"e": "outcomes", "list": native.outcomes_document(outcomes)})
        self._outcomes.append(Frame("", b'"event":' + event, due_ns))

    def go_on(self) -> None:
        """To the next wake, if the bot is idle and the session lets it."""
        while self.state in (IDLE, HELD) and self._is_open:
            if not self._may_go():
                self.state = HELD
                return
            self.state = IDLE
            if self.is_native:
                self._next_native()
            else:
                self._next_shown()

    def _next_native(self) -> None:
        course = self.course
        waking = course.step(min(course.plan.end_ns, self.until_ns))
        if waking is None:
            self._stand()
        else:
            frames = self._left(waking.kind, [*self._own_frames(), *self._frames_of(waking)])
            if frames:
                if frames[-1].stream == USER:  # what else it was is lost; its bot must still know what time it is
                    frames.append(_own(waking.at_ns))
                if waking.kind == "bar" and self._wants_ahead:
                    self._look_ahead()
                self._tell(waking.at_ns, frames)
            else:  # lost on the way, by a fault: nobody is there to answer it
                course.run.answer(Said())

    def _look_ahead(self) -> None:
        """What is told with this wake, so that a bot that wants nothing need not be waited for at each."""
        most = min(self._wants_ahead, self._most_ahead())
        if most > 0 and not self.course.has_due:
            self._ahead = self.course.run.upcoming(most)

    def _next_shown(self) -> None:
        """The next of: an own event or a timer, an event of a subscribed stream, to a concurrent bot an answer."""
        if self._pending:
            self._tell(*self._pending.pop(0))
            return
        course, streams = self.course, self._streams
        at_ns = min(streams.next_ns, course.next_answer_ns) if self.is_concurrent else streams.next_ns
        waking = course.step(min(at_ns, course.plan.end_ns, self.until_ns))
        if waking is not None:
            frames = self._shown(waking)
            course.run.answer(Said())
            if frames:
                self._pending.append((waking.at_ns, frames, None))
        if self._pending:
            self._tell(*self._pending.pop(0))
        elif waking is None and streams.next_ns <= course.now_ns:
            self._pending = self._taken(course.now_ns)
        elif waking is None and (at_ns > course.now_ns or course.run.is_over):
            self._stand()

    def _taken(self, now_ns: int) -> list[tuple[int, list[Frame], Give | None]]:
        """Wakes of the events of streams."""
        found = [[_market(name, body, now_ns)] for name, body in self._streams.take(now_ns)]
        return [(now_ns, frames, None) for frames in found if self._left("stream", frames)]

    def _stand(self) -> None:
        """Nothing is told any more: of the window, or until the session is let go on."""
        if self.course.run.is_over:
            self._tell_end()
        else:
            self.state = HELD

    def _left(self, kind: str, frames: list[Frame]) -> list[Frame]:
        """What faults leave of a wake. Timers are the bot's own, and come through."""
        faults = self.course.faults
        if faults is None:
            return frames
        is_deaf = kind == "own" and not any(one.stream == USER for one in frames)
        return [
            one
            for one in frames
            if one.stream == USER
            or (kind == "timer" and not one.stream)
            or not (is_deaf if kind == "own" else faults.freezes(one.stream, one.at_ns))
        ]

    def _shown(self, waking: Waking) -> list[Frame]:
        if waking.kind == "timer":
            return [*self._own_frames(), Frame("", b'"event":' + _timer(waking), waking.at_ns)]
        return self._own_frames()

    def hurry(self, course: BotCourse, number: int) -> None:
        """A request of a bot that waits for its answer: time moves until that is due. Wakes on the way come after."""
        if not (self.is_native or self.is_concurrent):
            course.bring(number, self._put_by)
            if course.run.is_over and course.gate is not None:
                course.gate.let_go()  # it would be due after the end, and its bot says nothing before it

    def _put_by(self, waking: Waking) -> None:
        frames = self._shown(waking)
        if frames:
            self._pending.append((waking.at_ns, frames, None))

    def _own_frames(self) -> list[Frame]:
        """Own events that are due; each says when it was."""
        if self.is_native and self.course.tells_outcomes is not None:
            outcomes, self._outcomes = self._outcomes, []
            self._own.clear()
            return outcomes
        own, self._own = self._own, []
        number = (self.users[0][1] or 0) if self.users else 0
        return [Frame(USER, b'"subscriptionId":%d,"event":%b' % (number, body), due_ns) for due_ns, body in own]

    def _frames_of(self, waking: Waking) -> list[Frame]:
        kind, at_ns, what = waking
        if kind == "own":
            return [_own(at_ns)]
        if kind == "timer":
            return [Frame("", b'"event":' + _timer(waking), at_ns)]
        if kind == "bar":
            return [self._closed(one, at_ns) for one in what.candles.values() if one.is_new]
        if kind == "trade":
            number = what.listing.number
            body = self._streams.trade_event(number, what.position)
            body = b'%b,"side":%d}' % (body[:-1], what.side)  # 0 where it is unknown, which `m` cannot say
            return [_market(self._name(number, "trade"), body, at_ns)]
        if kind == "quote":
            number = what.instrument
            return [_market(self._name(number, "bookTicker"), self._streams.book_ticker_event(number, at_ns), at_ns)]
        return [Frame("", b'"event":' + orjson.dumps(_said_event(waking)), at_ns)]

    def _closed(self, candle: Candle, at_ns: int) -> Frame:
        stream, head = self._heads[candle.listing.number]
        return Frame(stream, head + native.bar_words(candle), at_ns)

    def _name(self, number: int, kind: str) -> str:
        return f"{self._symbols.symbol(number).lower()}@{kind}"

    def _tell(self, at_ns: int, frames: list[Frame], give: Give | None = None) -> None:
        self.n += 1
        self.since_ns = at_ns
        self.state = BUSY
        self._frames = frames
        self._asked = 0
        if give is None:
            self._send()
        else:  # on the way that its request came; the frame is for a bot that was cut off
            give(self.n)

    def _tell_end(self) -> None:
        self._is_end_told = True
        now_ns = self.course.now_ns
        reason = self._leaves or "window"
        event = orjson.dumps({"e": "sessionEnd", "E": now_ns // MILLISECOND_NS, "reason": reason})
        self._tell(now_ns, [*self._own_frames(), Frame("", b'"event":' + event, now_ns)])

    def _send(self) -> None:
        """The newest wake, on the first socket for a native bot; on whichever asked for a stream for another."""
        if not self.sockets:
            return  # it is told when it comes
        for stream, members, at_ns in self._frames[:-1]:
            self._send_frame(stream, b'{%b,"n":%d,"t":"%d","more":true}' % (members, self.n, at_ns))
        for stream, members, at_ns in self._frames[-1:]:
            ahead = b',"ahead":' + native.ahead_words(self._ahead) if self._ahead else b""
            self._send_frame(stream, b'{%b,"n":%d,"t":"%d"%b}' % (members, self.n, at_ns, ahead))

    def _send_frame(self, stream: str, text: bytes) -> None:
        for socket in self._sockets_of(stream):
            socket.send_text(text)

    def _sockets_of(self, stream: str) -> Sequence[Any]:
        if self.is_native:
            return self.sockets[:1]
        if stream == USER:
            return [one for one, _ in self.users] or self.sockets[:1]
        return self._of_stream.get(stream) or self.sockets[:1]

    # --- sockets ------------------------------------------------------------------------------------------------------

    def attach(self, socket: Any, resume: int | None) -> None:
        """A socket of the bot; one that resumes from an earlier wake is told the newest again. After a restart it may
        have come further than was written down."""
        if resume is not None and self._is_relived and self.is_native:
            self._pass_to(resume + 1)
        if self.is_native:  # what it said of this wake and did not end with an ACK, it says again
            self._timers.clear()
            self._watches.clear()
        self.sockets.append(socket)
        if len(self.sockets) == 1 and self.state == BUSY and (resume is None or resume < self.n):
            self._send()

    def detach(self, socket: Any) -> None:
        is_first = self.sockets[:1] == [socket]
        if socket in self.sockets:
            self.sockets.remove(socket)
        if is_first and self.sockets and self.is_native and self.state == BUSY:
            self._send()  # its bot has moved to the next one before it left this one
        self.unsubscribe(socket, [name for name, found in self._of_stream.items() if socket in found])
        self.users = [one for one in self.users if one[0] is not socket]

    def end_user(self, socket: Any, number: int) -> None:
        self.users = [one for one in self.users if one != (socket, number)]

    def subscribe(self, socket: Any, names: Sequence[str]) -> Sequence[str]:
        """Streams that a shimmed bot is shown from now on; those that are refused."""
        before, now_ns = list(self._of_stream), self.course.now_ns
        refused: list[str] = []
        for name in names:
            left_ns, upto_ns = self._parted.get(name, (-1, 0))
            begin_ns = upto_ns if left_ns == now_ns else now_ns  # time has stood: nothing is missed
            refused += self._streams.subscribe([name], begin_ns)
            if name not in self._of_stream:
                self._begun_ns[name] = begin_ns
            if name not in refused and socket not in self._of_stream.setdefault(name, []):
                self._of_stream[name].append(socket)
        self._note_streams(before)
        return refused

    def _note_streams(self, before: Sequence[str]) -> None:
        """What is shown decides which wakes there are, so the log of inputs has it."""
        if set(before) != self._of_stream.keys() and self.state != OVER and not self.course.is_reliving:
            self._log.write("streams", sorted(self._of_stream))

    def unsubscribe(self, socket: Any, names: Sequence[str]) -> None:
        before = list(self._of_stream)
        for name in names:
            found = self._of_stream.get(name, [])
            if socket in found:
                found.remove(socket)
                self._streams.unsubscribe([name])
                if not found:
                    del self._of_stream[name]
                    upto_ns = max(self._begun_ns[name], self._streams.now_ns)
                    self._parted[name] = self.course.now_ns, upto_ns
        self._note_streams(before)

    # --- ends ---------------------------------------------------------------------------------------------------------

    def stop(self, who: int, why: str, ends: EndReason = EndReason.STOPPED) -> None:
        """From outside, here and now. Its bot is told, unless it is to come back: nothing else will wake it."""
        if self.state != OVER:
            if not self.course.run.is_over:
                self.course.run.detach(who, why, ends)
            self._leaves = self._leaves or why
            self._close(Said())
            if ends is not EndReason.SEEK:
                self._tell_end()
                self.state = OVER

    def _close(self, said: Said) -> None:
        self.state = OVER
        pending, self._pending = self._pending, []
        for _, _, give in pending:
            if give is not None:
                give(0)
        self.course.run.close(said.decisions)
        self._ended(self)

    def replay(self, line: Sequence[Any]) -> None:
        """One line of the input log, again."""
        self._is_relived = True
        if line[0] == "wake":
            self.control("WAKE", [line[1]], logs=False)
        elif line[0] == "ack":
            self.control("ACK", [line[1], line[2]], logs=False)
        elif line[0] == "bye":
            self._pass_to(line[1])
            self.control("BYE", [line[2]], logs=False)
        elif line[0] == "streams":
            self.subscribe(self._gone, [name for name in line[1] if name not in self._of_stream])
            self.unsubscribe(self._gone, [name for name in self._of_stream if name not in line[1]])
        elif line[0] == "concurrent":
            self.declare(True, logs=False)
        elif line[0] == "refused":
            self._refuse_again(line[1], VenueRefusal(*line[2:]))

    def _refuse_again(self, wake: str, refusal: VenueRefusal) -> None:
        answers = self.course.gate.answers
        if wake:
            answers.repeat(wake, lambda *_: None)
        self.deliver(lambda n: answers.keep(wake, None, refusal, n) if wake else None)
        self.heard()

    def relived(self) -> None:
        """The log has come to its end: the sockets that it tells of are no more."""
        self.detach(self._gone)


def _market(stream: str, body: bytes, at_ns: int) -> Frame:
    return Frame(stream, b'"stream":"%b","data":%b' % (stream.encode(), body), at_ns)


def _own(at_ns: int) -> Frame:
    return Frame("", b'"event":' + orjson.dumps({"e": "own", "E": at_ns // MILLISECOND_NS}), at_ns)


def _timer(waking: Waking) -> bytes:
    return orjson.dumps({"e": "timer", "E": waking.at_ns // MILLISECOND_NS, "name": waking.what})


def _said_event(waking: Waking) -> dict[str, Any]:
    """Forecasts, calendar events, phases and silences: what Binance has no word for."""
    head: dict[str, Any] = {"e": waking.kind, "E": waking.at_ns // MILLISECOND_NS}
    what = waking.what
    if waking.kind == "forecast":
        instrument, issued = what
        return {**head, "instrument": instrument, "forecast": native.issued_document(issued)}
    if waking.kind == "calendar":
        return {**head, "event": native.event_document(what)}
    return {**head, "what": str(what)}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
