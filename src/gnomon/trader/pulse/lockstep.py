"""Lockstep: a strategy driven by wakes. Frames in, messages out; no socket, no clock, no thread.

The venue says at which virtual instant the trader is woken and with what, and does not go on before it is answered. A
wake is the frames of one number `n`: all but the last say that there are more. What a hook asked for is sent when the
hook has ended, in order, and then the acknowledgement, which carries the decision. Every request has the key `n-k` of
its wake, so that one that is sent again is known.
"""

from __future__ import annotations

import traceback
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from gnomon.errors import Invalid
from gnomon.exchange.listing import Listing
from gnomon.exchange.outcome import Outcome, Refusal, Rejected
from gnomon.trader.decisions import Decision
from gnomon.trader.desk import OWN, WATCH, Desk, Finished
from gnomon.trader.events import Bar, BestQuote, Candle, Trade
from gnomon.trader.pulse import native
from gnomon.trader.pulse.care import Care, Careless
from gnomon.trader.pulse.client import STATUS_UNKNOWN
from gnomon.trader.pulse.native import SessionFacts
from gnomon.trader.pulse.prints import TradeReader, count
from gnomon.trader.pulse.reports import Reports
from gnomon.trader.pulse.sight import Ask, Sight
from gnomon.trader.pulse.wording import Call, NativeWording, Wording
from gnomon.trader.trader import Strategy, heard

MS: Final = 1_000_000
STOPPED: Final = "stopped"
START: Final = 0
"""The number of the wake that no venue sends: the start."""

OWN_EVENTS: Final = ("executionReport", "outboundAccountPosition", "balanceUpdate", "listStatus", "outcomes")


class Keyed(NamedTuple):
    """A request to be sent, with its key."""

    call: Call
    key: str


class Control(NamedTuple):
    """A message that drives the clock: ACK, WAKE, TIMER or BYE."""

    method: str
    params: list[Any]


Message = Keyed | Control


class Lockstep:
    """One strategy at one desk, woken by the frames of a venue.

    `attach` and `begin` first; then `take` for each frame, `answered` for each answer to a request. They give the
    messages to be sent, in their order. `is_over`: nothing more is to come; `failure` is what a callback has raised.
    """

    def __init__(self, facts: SessionFacts, trader: Strategy, ask: Ask) -> None:
        self.facts = facts
        self.trader = trader
        self.wakes = heard(trader.wakes(), trader.hook)
        if trader.warmup > facts.warmup_bars:
            raise Invalid(
                f"{type(trader).__name__} needs a warm-up of {trader.warmup} bars, the session has {facts.warmup_bars}",
                hint=f"warmup = {trader.warmup} in [session]",
            )
        self.sight = Sight(facts, ask, hears_bars=self.wakes.closed_bars)
        news = self.sight if facts.has_news else None
        depth = self.sight if facts.has_depth else None
        self.desk = Desk(facts.plan, self.sight, news, depth, self)
        listings = facts.plan.listings
        self.by_symbol: dict[str, Listing] = dict(zip(facts.symbols, listings, strict=True))
        self.reports = Reports(self.by_symbol, self.desk.assets())
        words = NativeWording if facts.has_outcomes else Wording
        self._wording = words(listings, facts.symbols, self.desk.client_id)
        self._bar = Bar({one.id: Candle(one) for one in listings})
        self._candles = [self._bar[one.id] for one in listings]
        self._trades = {symbol: TradeReader(Trade(one), facts.feed_ns) for symbol, one in self.by_symbol.items()}
        self._hooks: dict[str, Callable[[Any, Any], object] | None] = {}
        self._frames: list[Mapping[str, Any]] = []
        self._diary: list[Decision] = []
        self.heard: Callable[[Sequence[Outcome]], object] = _uncounted
        self.care: Care | Careless = Careless()
        self._saved: list[Message] = []  # of the newest wake: said again when it comes again
        self._listens = self.wakes.own_events
        self._leaves = self._cancels = False
        self._requests = 0
        self._acked = START  # up to which wake the venue knows
        self._is_torn = False  # the connection was lost since the newest frame
        self.n = START
        self.decisions = 0
        self.is_over = False
        self.reason = ""
        self.failure: Exception | None = None

    # --- driven by whoever has the sockets ----------------------------------------------------------------------------

    def attach(self) -> list[Message]:
        """The wake filter, and what else the strategy's class asks for."""
        wanted = {"warmup": self.trader.warmup, "needs": list(self.trader.required()), "ahead": self.facts.ahead}
        return [Control("WAKE", [{**native.wake_document(self.wakes), **wanted}])]

    def begin(self) -> list[Message]:
        """What the strategy asks for at the start, when the venue has attached it."""
        hook = self.trader.hook
        self._hooks = {kind: hook(kind) for kind in ("bar", "trade", "quote", "session", "degraded", "forecast",
                                                     "calendar")}  # fmt: skip
        return self._decide(self.desk.begin, self.trader)

    def take(self, frame: Mapping[str, Any]) -> list[Message]:
        """One frame of a wake. What it leads to comes with the last frame."""
        number: int = frame["n"]
        if number < self.n or "more" in frame or self.is_over:
            if number > self.n:
                self._frames.append(frame)
            return []
        said = self._saved
        if number > self.n:
            frames, self._frames = [*self._frames, frame], []
            self.n = number
            said = self._wake(int(frame["t"]), frames)
        if "ahead" in frame:
            said = self._saved = self._follow(frame["ahead"], said)
            if self._is_torn:
                return []
        self._acked = self.n
        return said

    def _follow(self, ahead: Sequence[Sequence[Any]], said: list[Message]) -> list[Message]:
        """The wakes that were told together with one, as long as nothing is said: what is said makes those behind it
        void. So does a connection that was lost meanwhile: over the next they come again."""
        self._is_torn = False
        for at_ns, *rows in ahead:
            if not is_silent(said) or self._is_torn:
                break
            self.n += 1
            said = self._wake(int(at_ns), [{"bar": one} for one in rows])
        return said if is_silent(said) else [*self.behind(), *said]

    def behind(self) -> list[Message]:
        """Acknowledges the wakes before this one, where that was not said yet: what is asked or sent now is of this
        one."""
        if self.n - 1 <= self._acked:
            return []
        self._acked = self.n - 1
        return [Control("ACK", [self._acked])]

    def answered(self, request: int, answer: Mapping[str, Any], now_ns: int = 0) -> None:
        """The answer to a request. What it refuses is known at `t` of the answer, or now."""
        error = answer.get("error")
        if error is None:
            return  # what came of it is told by its own events
        if is_open(int(answer.get("status", 400)), int(error["code"])):
            self.care.answered(request, answer, ())
            return
        outcomes = self.reports.refused(request, int(error["code"]), str(error["msg"]), error.get("data"))
        self.care.answered(request, answer, outcomes)
        if outcomes and not self.facts.has_outcomes:
            self.heard(outcomes)
            self.desk.hear(int(answer.get("t") or now_ns or self.desk.now_ns), outcomes)

    def resume(self) -> int:
        """Up to which wake everything is known to have arrived: the newest may have been answered into a dead
        socket."""
        self._frames.clear()
        self._is_torn = True
        self._acked = max(START, self.n - 1)
        return self._acked

    def leave(self, cancels: bool) -> None:
        """Leave in good order at the next wake: it is answered by the end, and by the cancels of what is open."""
        self._leaves, self._cancels = True, cancels

    def stop(self) -> list[Message]:
        """Leave here and now: `on_stop`, then BYE."""
        self.reason = STOPPED
        self._say_goodbye()
        return [Control("BYE", [self._decisions()])]

    # --- a wake -------------------------------------------------------------------------------------------------------

    def decided(self, decision: Decision) -> None:
        """The desk has closed a decision."""
        self.decisions += 1
        self._diary.append(decision)

    def _wake(self, now_ns: int, frames: Sequence[Mapping[str, Any]]) -> list[Message]:
        if "bar" not in frames[0]:
            events = [_event_of(one) for one in frames]
            if events[-1].get("e") == "sessionEnd":
                self.reason = self.reason or str(events[-1].get("reason", "window"))
                return self._end()
            self._hear(frames, events, now_ns)
            frames = [one for one in events if one.get("e") not in OWN_EVENTS]
        self.desk.now_ns = now_ns
        if self._leaves:
            return self._decide(self._part, frames)
        why = self.care.mend()
        if why:
            return self._decide(partial(self._tell, why=why), frames)
        return self._decide(self._tell, frames)

    def _part(self, _events: Sequence[Mapping[str, Any]]) -> None:
        if self._cancels:
            self.desk.cancel_all()
        raise Finished(STOPPED)

    def _hear(self, frames: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], now_ns: int) -> None:
        """Own events: known when they were due, which may be before the wake that brings them along."""
        batches: dict[int, list[Mapping[str, Any]]] = {}
        for frame, event in zip(frames, events, strict=True):
            if event.get("e") in OWN_EVENTS:
                due_ns = int(event.get("due") or frame.get("t") or now_ns)
                batches.setdefault(due_ns, []).append(event)
        if batches:
            self.care.told()
        for due_ns, batch in batches.items():
            if self.facts.has_outcomes:
                outcomes = [one for event in batch if event["e"] == "outcomes"
                            for one in native.outcomes_of(event["list"])]  # fmt: skip
            else:
                outcomes = self.reports.outcomes(batch)
            if outcomes:
                self.heard(outcomes)
                self.desk.hear(due_ns, outcomes)

    def _tell(self, events: Sequence[Mapping[str, Any]], why: str = "") -> None:
        """Call the hook of a wake: all its events are of one kind. `why` it was repaired just before comes first."""
        if why:
            self.desk.alarm(OWN)
            self._call("degraded", why)
        if events and "bar" in events[0]:
            self._tell_bar([one["bar"] for one in events])
            return
        now_ns = self.desk.now_ns
        kind = events[0].get("e") if events else None
        if kind is None and events and "b" in events[0]:
            kind = "bookTicker"
        match kind:
            case "trade" | "aggTrade":
                for event in events:
                    trade = self._trades[event["s"]].read(event, now_ns)
                    self._call("trade", trade)
            case "bookTicker":
                for event in events:
                    self._call("quote", self._quote(event, now_ns))
            case None | "own":
                self.desk.alarm(OWN)
            case "timer":
                self.desk.alarm(events[0]["name"])
            case "forecast":
                for event in events:
                    hook = self._hooks["forecast"]
                    if hook is not None:
                        issued = native.issued_of(event["forecast"])
                        self.desk.tell_forecast(hook, self._number(event), issued)
            case "calendar":
                for event in events:
                    hook = self._hooks["calendar"]
                    if hook is not None:
                        self.desk.tell_event(hook, native.event_of(event["event"]))
            case "session":
                self._call("session", events[0]["what"])
            case "degraded":
                self._call("degraded", events[0]["what"])
            case _:
                raise Invalid(f"a wake with {kind!r}", hint="runtime and venue of one version")

    def _tell_bar(self, rows: Sequence[Sequence[Any]]) -> None:
        bar, candles = self._bar, self._candles
        for one in candles:
            one.is_new = False
        closed = [native.read_bar(row, candles) for row in rows]
        bar.time_ns = closed[-1].close_ns
        self.sight.closed(closed)
        self._call("bar", bar)

    def _call(self, kind: str, what: Any) -> None:
        hook = self._hooks[kind]
        if hook is not None:
            hook(self.desk, what)

    def _quote(self, event: Mapping[str, Any], now_ns: int) -> BestQuote:
        one = self.by_symbol[event["s"]]
        return BestQuote(
            one.number, now_ns, count(event["b"], one.tick), count(event["a"], one.tick), count(event["B"], one.lot),
            count(event["A"], one.lot),
        )  # fmt: skip

    def _number(self, event: Mapping[str, Any]) -> int:
        if "instrument" in event:
            return int(event["instrument"])
        return self.by_symbol[event["s"]].number

    # --- what is said -------------------------------------------------------------------------------------------------

    def _decide(self, hook: Callable[[Any], object], what: Any) -> list[Message]:
        """Call, then say what was asked for and acknowledge."""
        how: dict[str, Any] = {}
        try:
            hook(what)
        except Finished as finished:
            self.reason = finished.reason
            how = {"finish": finished.reason}
        except Exception as raised:
            return self._fail(raised)
        self._saved = self._said(how)
        return self._saved

    def _said(self, how: dict[str, Any]) -> list[Message]:
        """Requests, timers, then the acknowledgement with what was decided."""
        desk = self.desk
        if desk.is_deciding:
            desk.close_decision()
        messages: list[Message] = []
        for place, request in enumerate(desk.outbox, 1):
            self._requests += 1
            if self.care.holds(desk.now_ns):
                desk.hear(desk.now_ns, [Rejected(self._requests, Refusal.RATE_LIMIT)])
                continue
            call = self._wording.call(request, self._requests)
            self.reports.sent(self._requests, call.clients)
            messages.append(Keyed(call, f"{self.n}-{place}"))
        desk.outbox.clear()
        for due_ns, name in desk.alarms:
            if name == WATCH:
                messages.append(Control("WAKE", [{"watches": [list(one) for one in desk.take_watches()]}]))
            elif name != OWN:
                messages.append(Control("TIMER", [str(max(due_ns, desk.now_ns + 1)), name]))
        desk.alarms.clear()
        said = {**how, **self._decisions()}
        if desk.is_listening != self._listens:
            self._listens = said["listens"] = desk.is_listening
        messages.append(Control("ACK", [self.n, said] if said else [self.n]))
        return messages

    def _decisions(self) -> dict[str, Any]:
        """What was decided since the last time."""
        made, self._diary = self._diary, []
        if not made:
            return {}
        return {
            "decisions": [
                {"packed": b64encode(one.pack()).decode(), "notes": one.notes, "forecasts": one.forecasts}
                for one in made
            ]
        }

    def _end(self) -> list[Message]:
        """The session is over: the last call of the trader."""
        self._say_goodbye()
        self._saved = [Control("ACK", [self.n, self._decisions()])]
        return self._saved

    def _say_goodbye(self) -> None:
        self.is_over = True
        try:
            self.desk.end()
        except Finished:
            pass
        except Exception as raised:
            self.failure = raised
        self.desk.outbox.clear()
        self.desk.alarms.clear()

    def _fail(self, raised: Exception) -> list[Message]:
        """A callback has raised: nothing of its hook is sent, and the venue is told to cancel what is open."""
        self.is_over, self.failure = True, raised
        self.reason = f"{type(raised).__name__}: {raised}"
        unsent = len(self.desk.outbox)
        self.desk.outbox.clear()
        self.desk.alarms.clear()
        self.desk.close_decision()
        text = "".join(traceback.format_exception(raised))
        return [Control("BYE", [{"error": text, "unsent": unsent, **self._decisions()}])]


def _uncounted(_outcomes: Sequence[Outcome]) -> None:
    """Nobody counts."""


def is_silent(said: Sequence[Message]) -> bool:
    """Whether an answer to a wake is that there is none."""
    return len(said) == 1 and type(said[0]) is Control and said[0].method == "ACK" and len(said[0].params) == 1


def is_open(status: int, code: int) -> bool:
    """Whether an answer leaves open what came of its request."""
    return status >= 500 or code in STATUS_UNKNOWN


def _event_of(frame: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event in its wrapper; a wake without one is empty, a bar is the frame itself."""
    if "bar" in frame:
        return frame
    found = frame.get("data")
    if found is None:
        found = frame.get("event")
    return found if found is not None else {}
