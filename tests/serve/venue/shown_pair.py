"""A venue's lock-step clock and a bot that is shown streams, face to face in one process: requests go through turns of
the door, acknowledgements are said by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.exchange.venue import prints
from tests.serve.venue.courses import START_NS, btc, tape, usual_rules
from tests.serve.venue.hand_bot import BY_METHOD, HANDLERS, MARKET, HandTurn
from tests.serve.venue.native_pair import Ear

from gnomon.clock import Timeframe
from gnomon.exchange.rules import Latency, Leg
from gnomon.market.block_index import BlockIndex
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.record import Kept
from gnomon.replay.run import RunPlan
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.inputs import InputLog
from gnomon.serve.venue.lockstep import LockStep
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.stamps import StampRule
from gnomon.serve.venue.streams import Streams
from gnomon.serve.venue.symbols import Symbols
from gnomon.trader.limits import Limits
from gnomon.units import SECOND_NS


class ShownPair:
    """Two minutes with a print a second, on `btcusdt@trade`. An order takes 1.5 s there, its answer 1.2 s back."""

    def __init__(self, *, is_concurrent: bool) -> None:
        rows = prints(tape(*MARKET))
        held = Tape(btc(), rows, BlockIndex.of_prints(rows.price, rows.lots, rows.side),
                    bars_from_prints(rows, 60 * SECOND_NS))  # fmt: skip
        ground = Ground((held,), Timeframe.parse("1m"), bytes(32))
        latency = Latency(entry=Leg(1_500_000_000), reply=Leg(1_200_000_000))
        rules = replace(usual_rules(), latency=latency)
        self.plan = RunPlan(ground, rules, START_NS, START_NS + 121 * SECOND_NS, 7, limits=Limits(0, 0, 0))
        self.kept = Kept()
        self.course = BotCourse("run-1", self.plan, lambda _plan, exchange, run: Account(exchange, run), self.kept)
        self.course.gate = Gate(StampRule("virtual", START_NS, 0))
        symbols = Symbols(ground.listings)
        self.clock = LockStep(
            self.course, Streams(self.plan, symbols), symbols, InputLog(Path(tempfile.mkdtemp()) / "run.inputs"),
            ground.timeframe, lambda _: None, lambda: True,
        )  # fmt: skip
        self.course.drive(self.clock, self.clock.tell)
        self.clock.declare(is_concurrent)
        self.ear = Ear()
        self.clock.attach(self.ear, None)
        self.clock.subscribe(self.ear, ["btcusdt@trade"])
        self.clock.control("ACK", [0])

    def second(self, at_ns: int) -> float:
        return (at_ns - START_NS) / SECOND_NS

    def ack(self, n: int | None = None, **more: Any) -> None:
        """Of the newest wake, or of that one."""
        self.clock.control("ACK", [self.clock.n if n is None else n, *([more] if more else [])])

    def heard(self) -> list[Mapping[str, Any]]:
        """Frames since last asked."""
        frames, self.ear.frames = self.ear.frames, []
        return frames

    def call(self, method: str, key: str = "", **params: Any) -> HandTurn:
        turn = HandTurn(BY_METHOD[method], self)
        texts = {name: str(one) for name, one in params.items()}
        try:
            if key:
                texts["wake"] = key
            turn.enter(self.course, texts)  # type: ignore[arg-type]  # its account is the real one
            turn.run(HANDLERS[method], texts, True, key)
        except VenueRefusal as refusal:
            turn.reply(None, refusal)
        return turn

    def buy(self, key: str = "", quantity: str = "0.100") -> HandTurn:
        return self.call("order.place", key, symbol="BTCUSDT", side="BUY", type="MARKET", quantity=quantity)
