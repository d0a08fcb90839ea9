"""A venue's lock-step clock and a runtime's, face to face in one process: everything but sockets and signatures."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from gnomon.replay.record import Kept
from gnomon.replay.run import RunPlan
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.call import LATER, Call
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.inputs import InputLog
from gnomon.serve.venue.lockstep import OVER, LockStep
from gnomon.serve.venue.native_calls import SENDS, plan_document, view
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.streams import Streams
from gnomon.serve.venue.symbols import Symbols
from gnomon.trader.pulse import native
from gnomon.trader.pulse.lockstep import Control, Keyed, Lockstep, Message
from gnomon.trader.trader import Strategy


class Ear:
    """A socket that keeps what it is sent."""

    subscriptions = ()

    def __init__(self) -> None:
        self.frames: list[Mapping[str, Any]] = []

    def send_text(self, text: bytes) -> None:
        self.frames.append(orjson.loads(text))


class NativePair:
    def __init__(self, plan: RunPlan, trader: Strategy, folder: Path | None = None, ahead: int = 0) -> None:
        self.kept = Kept()
        self.log = InputLog((folder or Path(tempfile.mkdtemp())) / "run.inputs")
        self.symbols = Symbols(plan.ground.listings)
        self.course = BotCourse("run_test", plan, lambda _, exchange, run: Account(exchange, run), self.kept)
        self.course.log = self.log
        self.clock = LockStep(
            self.course, Streams(plan, self.symbols), self.symbols, self.log, plan.ground.timeframe,
            lambda _: None, lambda: True, lambda: ahead,
        )  # fmt: skip
        self.course.drive(self.clock, self.clock.tell)
        self.course.tells_outcomes = self.clock.tell_outcomes
        self.ear = Ear()
        facts = native.facts_of(orjson.loads(orjson.dumps(plan_document(self.course, self.symbols, ahead))))
        self.runtime = Lockstep(facts, trader, self._ask)
        self.refused: list[VenueRefusal] = []
        self.told = 0  # frames

    def _ask(self, params: Mapping[str, str]) -> Any:
        self.say(self.runtime.behind())
        try:
            return orjson.loads(orjson.dumps(view(Call(native.VIEW, params, self.course, _nobody))))
        except VenueRefusal as refusal:
            native.raise_again(refusal.data)

    def play(self) -> None:
        self.clock.attach(self.ear, None)
        self.say(self.runtime.attach())
        self.say(self.runtime.begin())
        self.go_on()

    def go_on(self) -> None:
        """To the end, once its start was acknowledged."""
        while self.clock.state != OVER:
            frames, self.ear.frames = self.ear.frames, []
            assert frames, "nobody says anything"
            for frame in frames:
                self.told += 1
                self.say(self.runtime.take(frame))

    def say(self, messages: Sequence[Message]) -> None:
        for one in messages:
            if isinstance(one, Control):
                self.clock.control(one.method, orjson.loads(orjson.dumps(one.params)))
            else:
                self.request(one)

    def request(self, one: Keyed) -> None:
        params = {**one.call.params, "wake": one.key}
        self.log.write("call", self.course.now_ns, one.call.method, params)
        call = Call(one.call.method, params, self.course, self._replied, True)
        assert SENDS[one.call.method](call) is LATER

    def _replied(self, _value: Any, refusal: VenueRefusal | None) -> None:
        if refusal is not None:
            self.refused.append(refusal)


def _nobody(_value: Any, _refusal: VenueRefusal | None) -> None: ...
