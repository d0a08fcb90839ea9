"""Live sessions: what an operator may do with them, and that nothing of it moves a digest."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.replay.scene import restless
from tests.serve.venue.live_scene import BARS, FEES, NativeBot, Scene, ShownBot

from gnomon.errors import Conflict, Invalid, NotFound
from gnomon.replay.session import Status
from gnomon.serve.venue.call import Call
from gnomon.serve.venue.control import Control
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.session import LiveSession
from gnomon.serve.venue.venue import Venue
from gnomon.store.runs import StoredRun
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS
from gnomon.wallclock import WallClock


class Swings(Strategy):
    """Buys and sells in turn, with a limit far off that it takes back."""

    def on_start(self, desk: Any) -> None:
        self.n = 0
        desk.after("90s", "tick")

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.n += 1
        last = desk.price_ticks(0)
        if self.n % 7 == 1:
            desk.buy(0, usd=500)
        elif self.n % 7 == 4 and desk.position(0):
            desk.sell(0)
        elif self.n % 7 == 5:
            desk.buy(0, qty="0.1", limit=last / 200)
        elif self.n % 7 == 6:
            desk.cancel_all()
        desk.note(f"{self.n} {bar.time_ns} {desk.now}")

    def on_timer(self, desk: Any, name: str) -> None:
        desk.note(name)
        desk.after("5m", name)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("live"))


def run(course: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(course())


async def until(is_so: Callable[[], bool]) -> None:
    """The machine may be slow."""
    for _ in range(4_000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


async def to_the_end(bot: NativeBot, live: LiveSession, most: int = 10_000) -> None:
    for _ in range(most):
        bot.hear()
        if live.status not in (Status.RUNNING, Status.STARTING):
            return
        await asyncio.sleep(0)
    raise AssertionError(live.state())


def test_a_session_in_lock_step_ends_with_the_fingerprint_of_the_run_in_process(scene: Scene) -> None:
    created = scene.create()

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        assert live.status is Status.STARTING
        assert live.flow()["who"] == [f"bot@{created.session.id}"]
        bot = NativeBot(venue, created, Swings())
        bot.begin()
        assert live.status is Status.RUNNING
        assert live.flow()["state"] == "waiting_bot"
        await to_the_end(bot, live)
        assert bot.runtime.is_over

    run(course)
    (stored,) = scene.stored(created)
    inside = scene.in_process(created, Swings())
    assert stored.status == "completed"
    assert stored.fingerprint == inside.digests.fingerprint.hex()
    assert stored.counts["fills"] == inside.fills > 20
    assert scene.replays.verify(stored).outcome.name == "VERIFIED"
    assert scene.sessions.get(created.session.id).status is Status.COMPLETED
    assert not list((scene.folder / "journals").glob(f"{stored.id}.inputs"))


def test_pausing_fifty_times_and_stepping_moves_no_digest(scene: Scene) -> None:
    created = scene.create()

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, Swings())
        bot.begin()
        for _ in range(50):
            live.pause()
            while bot.hear():
                pass
            before = live.now_ns
            assert live.flow()["state"] == "paused"
            assert bot.hear() == 0, "the clock stands"
            live.step(events=1)
            assert bot.hear() == 1
            assert bot.hear() == 0
            assert live.now_ns > before
            live.resume()
            bot.hear(2)
        await to_the_end(bot, live)

    run(course)
    (stored,) = scene.stored(created)
    assert stored.fingerprint == scene.in_process(created, Swings()).digests.fingerprint.hex()


def test_a_step_is_over_when_every_bot_has_answered_and_moves_no_digest(scene: Scene) -> None:
    """Each bot has its own clock: all of them take the step, none passes its end, and who is waited for is said."""
    created = scene.create("a", "b")

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bots = [NativeBot(venue, created, Swings(), seat) for seat in (0, 1)]
        for bot in bots:
            bot.begin()
        live.pause()
        for bot in bots:
            bot.hear()
        assert not live.state()["stepping"]
        live.step(events=2)
        assert live.state()["stepping"]
        assert (live.flow()["state"], live.flow()["who"]) == ("waiting_bot", live.places[0].bot.name)
        assert [bot.hear() for bot in bots] == [2, 2]
        assert not live.state()["stepping"]
        assert live.flow()["state"] == "paused"
        to_ns = live.stage.start_ns + 100 * MINUTE_NS + 7
        live.step(to_ns=to_ns)
        bots[0].hear()
        assert live.state()["stepping"], "the other has not answered"
        assert live.flow()["who"] == live.places[1].bot.name
        bots[1].hear()
        assert not live.state()["stepping"]
        assert [one.course.now_ns for one in live.places] == [to_ns, to_ns]
        live.step(by_ns=MINUTE_NS)
        for bot in bots:
            bot.hear()
        assert live.now_ns == to_ns + MINUTE_NS
        live.step(to_ns=live.stage.end_ns)
        while live.is_stepping:
            for bot in bots:
                bot.hear()
        assert live.status is Status.COMPLETED, "a step to the end ends it"

    run(course)
    whole = scene.in_process(created, Swings()).digests.fingerprint.hex()
    assert scene.stored(created)[0].fingerprint == whole
    assert scene.sessions.get(created.session.id).status is Status.COMPLETED


def test_a_session_that_is_deleted_leaves_no_file_no_row_and_no_door(scene: Scene) -> None:
    created = scene.create()
    other = scene.create()

    async def course() -> None:
        venue = scene.venue()
        control = Control(scene.sessions, venue, WallClock(), "token")

        def ask(method: str, path: str, query: str = "") -> tuple[int, Any]:
            headers = {"authorization": "Bearer token"}
            status, body = control(method, f"/sim/v1/sessions/{path}", query, b"", headers)
            return status, orjson.loads(body)

        for one in (created, other):
            live = scene.launch(venue, one)
            bot = NativeBot(venue, one, Swings())
            bot.begin()
            bot.hear(20)
            assert ask("DELETE", one.session.id)[1]["error"] == "illegal_transition"
            live.stop()
        assert ask("DELETE", created.session.id)[1]["error"] == "has_runs"
        gone.extend(ask("DELETE", created.session.id, "with_runs=true")[1]["runs"])
        assert ask("GET", created.session.id)[0] == 404
        assert venue.find(created.session.id) is None
        assert venue.of_session(created.session.id) is None

    gone: list[str] = []
    run(course)
    [run_id] = gone
    journals = scene.replays.journals
    assert run_id not in journals.runs()
    assert not list((scene.folder / "journals").glob(f"{run_id}*"))
    with pytest.raises(NotFound):
        scene.replays.runs.find(run_id)
    (kept,) = scene.stored(other)
    assert scene.replays.verify(kept).outcome.name == "VERIFIED"


def test_a_step_that_is_broken_off_by_resuming_and_pausing_goes_no_further(scene: Scene) -> None:
    created = scene.create()

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, Swings())
        bot.begin()
        live.pause()
        bot.hear()
        live.step(to_ns=live.stage.end_ns - 1)
        live.resume()
        bot.hear(3)
        live.pause()
        bot.hear()
        assert not live.is_stepping
        assert bot.hear() == 0
        assert live.now_ns < live.stage.end_ns - 1
        live.stop()

    run(course)


def test_a_paced_session_steps_by_instants_of_its_market_however_many_are_asked_for(scene: Scene) -> None:
    created = scene.create(session='drive = "paced"\npace = 1\nstart_policy = "now"')

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        await until(lambda: live.status is Status.RUNNING)
        live.pause()
        live.step(events=3)
        await until(lambda: not live.is_stepping)
        assert live.now_ns == live.stage.start_ns + 3 * MINUTE_NS
        live.step(by_ns=5)
        await until(lambda: not live.is_stepping)
        assert live.now_ns == live.stage.start_ns + 3 * MINUTE_NS + 5
        live.step(events=10**15)
        await until(lambda: live.status is Status.COMPLETED)

    run(course)
    (stored,) = scene.stored(created)
    assert stored.status == "completed"


@pytest.mark.parametrize("seed", range(4))
def test_a_venue_that_is_killed_goes_on_from_its_inputs_to_the_same_fingerprint(scene: Scene, seed: int) -> None:
    """Killed at random moments: nothing of the old process is left but what it had written."""
    created = scene.create()
    dice = random.Random(seed)

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, Swings())
        bot.begin()
        for _ in range(6):
            bot.hear(dice.randrange(1, 40))
            if bot.runtime.is_over:
                break
            kill(venue, live)
            venue = scene.venue()
            venue.restore()
            live = venue._live[created.session.id]
            assert live.status is Status.RUNNING
            bot.move(venue)
        await to_the_end(bot, live)

    run(course)
    (stored,) = scene.stored(created)
    assert stored.fingerprint == scene.in_process(created, Swings()).digests.fingerprint.hex()
    assert scene.replays.verify(stored).outcome.name == "VERIFIED"


class Terse(Strategy):
    """Says nothing at most bars: it trades by the minute of the hour."""

    def on_bar(self, desk: Any, bar: Any) -> None:
        minute = bar.time_ns // MINUTE_NS % 11
        if minute == 1:
            desk.buy(0, usd=500)
        elif minute == 8 and desk.position(0):
            desk.sell(0)


@pytest.mark.parametrize("ahead", [0, 5, 300])
@pytest.mark.parametrize("seed", range(3))
def test_a_wake_that_was_answered_with_nothing_is_not_written_down_and_not_lost(
    scene: Scene, seed: int, ahead: int
) -> None:
    """After a kill the venue is behind its bot, which says how far it had come; the run ends as if nothing had been."""
    created = scene.create(session=f'pace = "lockstep"\nahead = {ahead}')
    dice = random.Random(seed)
    behind = 0

    async def course() -> None:
        nonlocal behind
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, Terse())
        bot.begin()
        for _ in range(6):
            bot.hear(dice.randrange(1, 8 if ahead else 40))
            if bot.runtime.is_over:
                break
            lines = live.places[0].log.path.read_bytes().count(b'["ack"')
            assert lines < 3 + bot.runtime.n / 3
            kill(venue, live)
            venue = scene.venue()
            venue.restore()
            live = venue._live[created.session.id]
            clock = live.places[0].clock
            assert clock is not None
            behind += clock.n < bot.runtime.n
            bot.move(venue)
            assert clock.n >= bot.runtime.n
        await to_the_end(bot, live)

    run(course)
    (stored,) = scene.stored(created)
    assert behind or ahead == 300, "a venue that was killed has come as far as it had"
    assert stored.fingerprint == scene.in_process(created, Terse()).digests.fingerprint.hex()
    assert scene.replays.verify(stored).outcome.name == "VERIFIED"


FAULTS = """
faults = ["flaky-acks", { fault = "rate_limit", when = { request_no = 5 }, params = { seconds = 400 } },
          { fault = "user_stream_lost", when = { at = "+40m" } }, { fault = "stale", when = { at = "+90m" } }]
"""


@pytest.mark.parametrize("seed", range(3))
def test_so_does_one_where_faults_are_planned(scene: Scene, seed: int) -> None:
    def course(kills: int) -> str:
        created = scene.create(rules=FEES + FAULTS)
        dice = random.Random(seed)

        async def played() -> None:
            venue = scene.venue()
            live = scene.launch(venue, created)
            bot = NativeBot(venue, created, Swings())
            bot.begin()
            for _ in range(kills):
                bot.hear(dice.randrange(1, 40))
                if bot.runtime.is_over:
                    break
                kill(venue, live)
                venue = scene.venue()
                venue.restore()
                live = venue._live[created.session.id]
                bot.move(venue)
            await to_the_end(bot, live)

        run(played)
        (stored,) = scene.stored(created)
        assert scene.replays.verify(stored).outcome.name == "VERIFIED"
        assert stored.summary["faults"]["verdicts"]
        return stored.fingerprint

    assert course(5) == course(0)


def test_a_paced_session_that_is_killed_goes_on_where_its_clock_stood(scene: Scene) -> None:
    created = scene.create(session='drive = "paced"\npace = 100\nstart_policy = "now"\nstall_s = 1')

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        written = live.places[0].log.path
        for _ in range(1_000):
            if written.exists() and b'"clock"' in written.read_bytes():
                break
            await asyncio.sleep(0.02)
        stood_ns = int(written.read_text().splitlines()[-1].rpartition(",")[2].rstrip("]"))
        assert live.stage.start_ns < stood_ns <= live.now_ns
        kill(venue, live)
        again = scene.venue()
        again.restore()
        assert again._live[created.session.id].now_ns >= stood_ns
        again._live[created.session.id].stop()

    run(course)
    (stored,) = scene.stored(created)
    assert scene.replays.verify(stored).outcome.name == "VERIFIED"


def test_a_venue_that_is_killed_counts_the_orders_that_it_had_counted(scene: Scene) -> None:
    created = scene.create(session='drive = "paced"\npace = 1\nstart_policy = "now"')

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        await until(lambda: live.status is Status.RUNNING)
        live.pause()
        place = live.places[0]
        limits = place.course.gate.limits
        limits.is_paused = False
        given = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
        for number, price in enumerate(("1.00", "2.00", "0.0000001")):  # the last one breaks a filter
            limits.spend(place.course.now_ns, 1)
            limits.admit_orders(place.course.now_ns, 1)
            call = Call("order.place", {**given, "price": price}, place.course, lambda *_: None, True)
            try:
                venue.door_handlers["order.place"](call)
            except VenueRefusal:
                assert number == 2
                limits.take_back(place.course.now_ns, 1)
        stood = limits.order_limits(place.course.now_ns), limits.weight_limits()
        assert (limits.orders_10s, limits.used_weight) == (2, 3)
        kill(venue, live)
        again = scene.venue()
        again.restore()
        [place] = again._live[created.session.id].places
        limits = place.course.gate.limits
        assert (limits.order_limits(place.course.now_ns), limits.weight_limits()) == stood
        again._live[created.session.id].stop()

    run(course)


SLOW = FEES + "\nlatency = { entry = { const_ms = 90000 }, reply = { const_ms = 70000 } }"


@pytest.mark.parametrize("concurrency", ["serial", "concurrent"])
@pytest.mark.parametrize("seed", range(3))
def test_so_does_one_whose_bot_is_shown_streams(scene: Scene, concurrency: str, seed: int) -> None:
    def course(kills: int) -> StoredRun:
        created = scene.create(rules=SLOW)
        dice = random.Random(seed)

        async def played() -> None:
            venue = scene.venue()
            live = scene.launch(venue, created)
            bot = ShownBot(venue, created, concurrency)
            for _ in range(kills):
                bot.hear(dice.randrange(1, 60))
                if bot.is_over:
                    break
                kill(venue, live)
                venue = scene.venue()
                venue.restore()
                live = venue._live[created.session.id]
                bot.move(venue)
            bot.hear()
            assert bool(bot.between) == (concurrency == "concurrent")
            assert bot.refused >= (40 if concurrency == "concurrent" else 0), "by the door, for their stamps"
            await until(lambda: live.status is Status.COMPLETED)

        run(played)
        assert scene.bots.get(created.seats[0].bot).concurrency == concurrency
        (stored,) = scene.stored(created)
        assert scene.replays.verify(stored).outcome.name == "VERIFIED"
        assert stored.counts["fills"] > 40
        return stored

    assert course(6).fingerprint == course(0).fingerprint


def kill(venue: Venue, live: LiveSession) -> None:
    """What a dead process does: nothing more."""
    live._rest()
    for place in live.places:
        place.log.close()
        place.sink.close()
    venue._live.clear()


def test_bots_of_one_session_do_not_touch_each_other(scene: Scene) -> None:
    alone, together = scene.create("a"), scene.create("a", "b")

    async def course() -> None:
        venue = scene.venue()
        lives = [scene.launch(venue, one) for one in (alone, together)]
        bots = [NativeBot(venue, alone, Swings()), NativeBot(venue, together, Swings()),
                NativeBot(venue, together, restless(3, bars=True), seat=1)]  # fmt: skip
        for bot in bots:
            bot.begin()
        dice = random.Random(1)
        for _ in range(100_000):
            if not any(live.status is Status.RUNNING for live in lives):
                break
            dice.choice(bots).hear(dice.randrange(4))

    run(course)
    (one,), (first, second) = scene.stored(alone), scene.stored(together)
    assert one.fingerprint == first.fingerprint != second.fingerprint


def test_a_bot_that_is_woken_and_says_nothing_is_seen_to_stall_and_nothing_moves(scene: Scene) -> None:
    created = scene.create(session='pace = "lockstep"\nstall_s = 1')

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, Swings())
        bot.begin()
        before = live.now_ns
        for _ in range(1_000):
            if live.flow()["state"] == "stalled":
                break
            await asyncio.sleep(0.02)
        assert live.flow()["state"] == "stalled"
        assert live.flow()["event"] == 1
        assert scene.sessions.open_runs(created.session.id)[0].status == "stalled"
        assert live.now_ns == before
        live.stop()

    run(course)
    (stored,) = scene.stored(created)
    assert (stored.status, stored.reason) == ("stopped", "stopped by the operator")
    assert scene.replays.verify(stored).outcome.name == "VERIFIED"


def test_a_seek_back_ends_the_run_and_branches_another(scene: Scene) -> None:
    created = scene.create()

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, Swings())
        bot.begin()
        bot.hear(60)
        to_ns = live.stage.start_ns + 10 * MINUTE_NS
        live.seek(to_ns, "jump")
        assert bot.ear.closed == 1001
        assert {"e": "serverShutdown", "E": to_ns // 1_000_000} in bot.ear.frames
        again = NativeBot(venue, created, Swings())
        again.begin()
        for _ in range(1_000):
            if again.ear.frames:
                break
            await asyncio.sleep(0.01)
        await to_the_end(again, live)
        assert again.wakes >= BARS - 12

    run(course)
    parent, branch = scene.stored(created)
    assert (parent.status, parent.reason) == ("stopped", "seek")
    assert branch.parent == parent.fingerprint
    for one in (parent, branch):
        assert scene.replays.verify(one).outcome.name == "VERIFIED"


def test_a_seek_forward_is_only_pace(scene: Scene) -> None:
    created = scene.create(session='drive = "paced"\npace = 10\nstart_policy = "now"')

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        await asyncio.sleep(0.05)
        live.seek(live.stage.end_ns - 1, "fast")
        for _ in range(2_000):
            if live.status is Status.COMPLETED:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(live.state())

    run(course)
    (stored,) = scene.stored(created)
    assert stored.status == "completed"


def test_what_makes_no_sense_is_refused_and_changes_nothing(scene: Scene) -> None:
    created = scene.create()

    async def course() -> None:
        venue = scene.venue()
        live = venue.open(scene.sessions.get(created.session.id))
        with pytest.raises(Conflict, match="a created session cannot pause"):
            live.pause()
        live.start()
        with pytest.raises(Invalid, match="is not in the window"):
            live.seek(0, "fast")
        live.stop() if live.status is Status.RUNNING else None
        live.close()

    run(course)


def test_bots_that_never_come_end_the_start(scene: Scene) -> None:
    created = scene.create(session='pace = "lockstep"\nstart_timeout_s = 0.1')

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        for _ in range(1_000):
            if live.status is Status.FAILED:
                break
            await asyncio.sleep(0.02)
        assert live.status is Status.FAILED
        assert live.state()["reason"] == "bots_missing"

    run(course)
    assert not scene.sessions.open_runs(created.session.id)


def test_a_bot_that_trades_elsewhere_cannot_be_bound_twice(scene: Scene, tmp_path: Path) -> None:
    del tmp_path
    created = scene.create()

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        with pytest.raises(Conflict):
            scene.sessions.begin_run(created.session.id, created.seats[0].bot, "run_other", 1)
        live.close()

    run(course)
