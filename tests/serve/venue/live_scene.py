"""Live sessions over a real store, and native bots that talk to them without a socket between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from tests.serve.venue.hand_bot import BY_METHOD, HandTurn

from gnomon.clock import SimClock, parse_instant
from gnomon.jobs.ingest import ImportOptions, import_files
from gnomon.jobs.replay import Replays
from gnomon.jobs.sessions import Created, create, wired
from gnomon.jobs.stage import stage_of
from gnomon.replay.session import Session
from gnomon.serve.venue.call import Call
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.session import LiveSession
from gnomon.serve.venue.venue import Venue
from gnomon.sources.instruments import shipped_instruments
from gnomon.store.bots import BotStore
from gnomon.store.runs import StoredRun
from gnomon.store.seal import Seal
from gnomon.store.sessions import SessionStore
from gnomon.store.store import Store
from gnomon.store.workspaces import EVERY, WORKSPACE
from gnomon.trader.pulse import native
from gnomon.trader.pulse.lockstep import Control, Lockstep, Message
from gnomon.trader.trader import Strategy
from gnomon.wallclock import WallClock

BARS = 240
FEES = 'fees = { maker = "0.001", taker = "0.001" }'
TEXT = """
[session]
dataset = "BTCUSDT-1m"
seed = 7
{session}
[rules]
balances = {{ USDT = "10000" }}
{rules}
"""
ENTRY = '[[entry]]\nname = "{name}"\ntier = "{tier}"\n'


class Scene:
    """A home with four hours of minutes, and whatever venue stands on it."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.store = Store.open(url or f"sqlite:///{folder / 'gnomon.db'}", folder / "datasets")
        times = (np.datetime64("2024-01-01T00:00") + np.arange(BARS) * np.timedelta64(1, "m")).astype(str)
        close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.004, BARS))), 2)
        rows = [f"{at},{c:.2f},{c + 1:.2f},{c - 1:.2f},{c:.2f},5000" for at, c in zip(times, close, strict=True)]
        path = folder / "BTCUSDT-1m.csv"
        path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
        clock = SimClock(parse_instant("2024-06-01"))
        import_files(self.store, shipped_instruments(), [path], ImportOptions(), clock, reject_folder=folder / "no")
        self.sessions = SessionStore(self.store.engine, EVERY)  # as the venue's process has them
        self.bots = BotStore(self.store.engine, Seal("a secret of this test, long enough to be one"))
        self.replays = Replays(self.store, folder, shipped_instruments(), WallClock())

    def create(
        self, *names: str, session: str = 'pace = "lockstep"', rules: str = FEES, tier: str = "auto",
        workspace: str = WORKSPACE,
    ) -> Created:  # fmt: skip
        entries = "".join(ENTRY.format(name=name, tier=tier) for name in names or ("bot",))
        text, found = wired(TEXT.format(session=session, rules=rules) + entries)
        stage = stage_of(self.store, shipped_instruments(), found)
        return create(self.store, self.bots, text, found, stage, WallClock().now_ns(), workspace=workspace)

    def venue(self) -> Venue:
        """A new process would have the same: nothing but the store and the home."""
        return Venue(self.bots, self.sessions, self.replays, WallClock())

    def launch(self, venue: Venue, created: Created) -> LiveSession:
        live = venue.open(self.sessions.get(created.session.id))
        live.start()
        return live

    def stored(self, created: Created) -> list[StoredRun]:
        return [self.replays.runs.find(one.run) for one in self.sessions.runs(created.session.id)]

    def in_process(self, created: Created, trader: Strategy) -> Any:
        """The run that the strategy makes without any venue."""
        from gnomon.replay.run import play

        stage = stage_of(self.store, shipped_instruments(), Session.parse(created.session.spec))
        return play(stage.plan(stage.session.entries[0], 1, created.session.seed), trader)


class Ear:
    """A socket of a bot, as a hub knows it; what it is sent is kept."""

    session = ""
    is_combined = False
    is_full = False

    def __init__(self, key: Any, lockstep: str | None = "serial", resume: int | None = None) -> None:
        self.key, self.lockstep, self.resume = key, lockstep, resume
        self.frames: list[Mapping[str, Any]] = []
        self.closed = 0

    def send_text(self, text: bytes) -> None:
        self.frames.append(orjson.loads(text))

    def send_event(self, event: Any) -> None:
        self.frames.append(orjson.loads(event.data))

    def send_user(self, _number: int | None, body: bytes) -> None:
        self.frames.append(orjson.loads(body))

    def ping(self, payload: bytes) -> None: ...

    def flush(self) -> None: ...

    def close(self, code: int = 1000, _reason: str = "") -> None:
        self.closed = code


class NativeBot:
    """A runtime of ours at a venue: signs nothing, and talks through the hub as its socket would."""

    def __init__(self, venue: Venue, created: Created, trader: Strategy, seat: int = 0) -> None:
        self.venue = venue
        self.key = venue.keys.find(created.seats[seat].api_key)
        assert self.key is not None
        self.runtime = Lockstep(native.facts_of(orjson.loads(venue.plan(self.key))), trader, self._ask)
        self.ear = Ear(self.key)
        self.refused: list[VenueRefusal] = []
        self.wakes = 0

    def begin(self) -> None:
        self.venue.attach(self.ear)
        self.say(self.runtime.attach())
        self.say(self.runtime.begin())

    def move(self, venue: Venue) -> None:
        """The venue is another process now: connect again, and say again what it may not have heard."""
        self.venue = venue
        self.key = venue.keys.find(self.key.api_key)
        self.ear = Ear(self.key, resume=self.runtime.resume())
        venue.attach(self.ear)

    def hear(self, most: int = 10**9) -> int:
        """Answer what has come, wakes at most so many; how many there were."""
        heard = 0
        while self.ear.frames and heard < most and not self.runtime.is_over:
            frame = self.ear.frames.pop(0)
            self.say(self.runtime.take(frame))
            heard += not frame.get("more")
        self.wakes += heard
        return heard

    def say(self, messages: Sequence[Message]) -> None:
        for one in messages:
            if isinstance(one, Control):
                self.venue.control(self.ear, one.method, orjson.loads(orjson.dumps(one.params)))
            else:
                self._call(one.call.method, {**one.call.params, "wake": one.key})

    def _call(self, method: str, params: Mapping[str, str]) -> Any:
        """As the door would: a key that was heard before is answered as then."""
        course = self.venue.of_key(self.key)
        answers, wake = course.gate.answers, params.get("wake", "")
        if wake and answers.repeat(wake, self._replied):
            return None

        def keep(value: Any, refusal: VenueRefusal | None) -> None:
            if wake:
                answers.keep(wake, value, refusal)
            self._replied(value, refusal)

        return self.venue.door_handlers[method](Call(method, params, course, keep, True))

    def _replied(self, _value: Any, refusal: VenueRefusal | None) -> None:
        if refusal is not None:
            self.refused.append(refusal)

    def _ask(self, params: Mapping[str, str]) -> Any:
        self.say(self.runtime.behind())
        try:
            return orjson.loads(orjson.dumps(self._call(native.VIEW, params)))
        except VenueRefusal as refusal:
            native.raise_again(refusal.data)


class ShownBot:
    """A bot that is shown the closing bars: it trades at every third, and at some answers. Serial, it waits for each
    answer; concurrent, it goes on and takes it as it comes. It outlives the venue."""

    def __init__(self, venue: Venue, created: Created, concurrency: str) -> None:
        self.venue = venue
        self.concurrency = concurrency
        self.api_key = created.seats[0].api_key
        self.acked, self.sent, self.bars, self.open_n = -1, 0, 0, 0
        self.unanswered: dict[str, Mapping[str, Any]] = {}
        self.answers: list[ShownTurn] = []
        self.refused = 0
        self.between = 0  # wakes that it was told while an answer was due
        self.is_over = False
        self._connect(None)
        self._ack(0)

    @property
    def course(self) -> BotCourse:
        found: BotCourse = self.venue.of_key(self.key)
        return found

    def _connect(self, resume: int | None) -> None:
        self.key = self.venue.keys.find(self.api_key)
        self.ear = Ear(self.key, self.concurrency, resume)
        self.venue.attach(self.ear)
        self.venue.subscribe(self.ear, ["btcusdt@kline_1m"])

    def move(self, venue: Venue) -> None:
        """The venue is another process now: say again what it may not have heard."""
        self.venue = venue
        for turn in self.answers:  # lost on the way
            self.unanswered[turn.key] = turn.params
        self.answers = []
        self._connect(self.acked)
        for key, params in tuple(self.unanswered.items()):
            self._ask(key, params)
        self._ack(self.acked)

    def _ack(self, n: int) -> None:
        self.acked = n
        self.venue.control(self.ear, "ACK", [n, {"requests": self.sent}])

    def hear(self, most: int = 10**9) -> None:
        """Decide wakes, at most so many."""
        while most and not self.is_over and (self.ear.frames or self.answers):
            most -= 1
            if self.answers:
                turn = self.answers.pop(0)
                if turn.n <= self.acked:
                    continue
                self.sent = 0
                self._answered(turn)
                self._ack(turn.n)
                continue
            frame = self.ear.frames.pop(0)
            if frame["n"] <= self.acked or frame.get("event", {}).get("e") == "answer":
                continue
            if self.ear.frames and self.ear.frames[0].get("n") == frame["n"]:
                continue  # there is more of it
            self.sent = 0
            self._told(frame)
            self._ack(frame["n"])

    def _told(self, frame: Mapping[str, Any]) -> None:
        self.n = frame["n"]
        self.between += bool(self.unanswered)
        self.is_over = frame.get("event", {}).get("e") == "sessionEnd"
        if frame.get("data", {}).get("k", {}).get("x"):
            self.bars += 1
            if self.bars % 3 == 1:
                self._send(side="BUY", type="MARKET", quantity="0.10")
            if self.bars % 5 == 1:
                self._send(side="BUY", type="MARKET", quantity="0.10", timestamp="1")
            if self.bars % 6 == 1:
                self._send(side="BUY", type="LIMIT", timeInForce="GTC", price="50.00", quantity="0.10")

    def _answered(self, turn: ShownTurn) -> None:
        self.n = turn.n
        self.refused += turn.refusal is not None
        if turn.value is not None and turn.value["orderId"] % 4 == 3:
            self._send(side="SELL", type="MARKET", quantity="0.05")

    def _send(self, **params: str) -> None:
        self.sent += 1
        key = f"{self.n}-{self.sent}"
        self.unanswered[key] = {"symbol": "BTCUSDT", **params}
        self._ask(key, self.unanswered[key])

    def _ask(self, key: str, params: Mapping[str, Any]) -> None:
        turn, params = ShownTurn(self, key, params), {**params, "wake": key}
        try:
            now_ns = turn.enter(self.course, params)  # type: ignore[arg-type]  # its account is the real one
            self.course.gate.stamps.check(params.get("timestamp", str(now_ns // 10**6)), None, now_ns, now_ns)
            turn.run(self.venue.door_handlers["order.place"], params, True, key)
        except VenueRefusal as refusal:
            turn.reply(None, refusal)


class ShownTurn(HandTurn):
    def __init__(self, bot: ShownBot, key: str, params: Mapping[str, Any]) -> None:
        super().__init__(BY_METHOD["order.place"], bot)
        self.of, self.key, self.params = bot, key, params

    def give(self, value: Any, refusal: VenueRefusal | None) -> None:
        super().give(value, refusal)
        del self.of.unanswered[self.key]
        if self.n:
            self.of.answers.append(self)
