"""Live sessions over a real store, and native bots that talk to them without a socket between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from gnomon.clock import SimClock, parse_instant
from gnomon.jobs.ingest import ImportOptions, import_files
from gnomon.jobs.replay import Replays
from gnomon.jobs.sessions import Created, create, wired
from gnomon.jobs.stage import stage_of
from gnomon.replay.session import Session
from gnomon.serve.venue.call import Call
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
