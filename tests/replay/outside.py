"""A desk and a strategy outside the engine: what a runtime at the other end of a socket does, without the socket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gnomon.exchange.outcome import Outcome
from gnomon.replay.live import Decided, LiveRun, Said, Waking, Wanted
from gnomon.replay.run import Played, RunPlan, desk_plan
from gnomon.replay.view import DepthView
from gnomon.trader.decisions import Decision
from gnomon.trader.desk import OWN, Desk, Finished
from gnomon.trader.trader import Strategy


class Outside:
    """Drives a LiveRun by a strategy of its own desk. Price watches are not told of by the wire."""

    def __init__(self, plan: RunPlan, trader: Strategy, sink: Any = None) -> None:
        self._diary: list[Decided] = []
        self._trader = trader
        hears = trader.wakes()
        wanted = Wanted(trader.warmup, trader.required())
        self.run = LiveRun(plan, hears, self, wanted=wanted, sink=sink)
        stage = self.run._stage
        depth = DepthView.of(plan.ground, plan.rules.latency.feed.slowest_ns)
        self.desk = Desk(desk_plan(self.run.plan), stage.view, stage.course.wire, depth, self)

    def decided(self, decision: Decision) -> None:
        self._diary.append(Decided(decision.pack(), decision.notes, decision.forecasts))

    def came(self, _now_ns: int, due_ns: int, _request: int, outcomes: Sequence[Outcome]) -> None:
        self.desk.hear(due_ns, outcomes)
        self.desk.alarms[:] = [one for one in self.desk.alarms if one[1] != OWN]

    def play(self, between: Any = None) -> Played:
        self.desk.begin(self._trader)
        self.run.open(self._said())
        while (wake := self.run.step(between(self.run.now_ns) if between else self.run.plan.end_ns)) or (
            not self.run.is_over
        ):
            if wake is None:
                continue
            try:
                self._tell(wake)
            except Finished as finished:
                self.run.finish(self._said(), finished.reason)
                break
            self.run.answer(self._said())
        self.desk.end()
        return self.run.close(self._said().decisions)

    def _tell(self, wake: Waking) -> None:
        self.desk.now_ns = wake.at_ns
        if wake.kind in ("own", "timer"):
            self.desk.alarm(OWN if wake.kind == "own" else wake.what)
        elif wake.kind == "forecast":
            hook = self._trader.hook("forecast")
            if hook is not None:
                self.desk.tell_forecast(hook, *wake.what)
        elif wake.kind == "calendar":
            hook = self._trader.hook("calendar")
            if hook is not None:
                self.desk.tell_event(hook, wake.what)
        else:
            hook = self._trader.hook(wake.kind)
            assert hook is not None
            hook(self.desk, wake.what)

    def _said(self) -> Said:
        if self.desk.is_deciding or self.desk.outbox:
            self.desk.close_decision()
        timers = [one for one in self.desk.alarms if one[1] != OWN]
        said = Said(list(self._diary), list(self.desk.outbox), timers, self.desk._is_listening)
        self._diary.clear()
        self.desk.outbox.clear()
        self.desk.alarms.clear()
        return said
