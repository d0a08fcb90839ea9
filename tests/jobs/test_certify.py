"""Runs on the wire and the label that they have earned: what counts as a repeat, what bars, what lowers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.serve.venue.live_scene import NativeBot, Scene
from tests.serve.venue.test_session import Swings, to_the_end

from gnomon.errors import Invalid
from gnomon.jobs.certify import Certification, Certifier, Loops, Repeat, four
from gnomon.jobs.labels import Labels
from gnomon.jobs.sessions import Created
from gnomon.score.label import BY_WALL, Label
from gnomon.store.runs import StoredRun
from gnomon.wallclock import WallClock


class Fickle(Swings):
    """Another bot under the same key: it notes what the first does not."""

    def on_start(self, desk: Any) -> None:
        desk.note("changed")
        super().on_start(desk)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def play(scene: Scene, created: Created, trader: type[Swings] = Swings, stop_after: int = 0) -> StoredRun:
    """One start of the session with its bot, to its end or to that of the operator's patience."""

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, trader())
        bot.begin()
        if stop_after:
            bot.hear(stop_after)
            live.stop()
        else:
            await to_the_end(bot, live)

    asyncio.run(course())
    return scene.stored(created)[-1]


@dataclass
class Again:
    """`Loops` of the bots of these tests: the same session, started once more for each that is asked for."""

    scene: Scene
    created: Created
    trader: type[Swings] = Swings
    made: list[StoredRun] = field(default_factory=list)

    def again(self, _stored: StoredRun, n: int) -> Sequence[Repeat]:
        fresh = [play(self.scene, self.created, self.trader) for _ in range(n)]
        self.made += fresh
        return [Repeat(four(one), one.id, "native") for one in fresh]


def certify(scene: Scene, stored: StoredRun, repeats: int = 2, loops: Loops | None = None) -> Certification:
    labels = Labels(scene.replays, WallClock())
    found = Certifier(scene.replays, labels, scene.sessions).certify(stored, repeats, loops)
    assert labels.of([stored])[stored.id] == found.standing, "what is said is what is kept"
    return found


def test_a_run_that_was_never_repeated_is_replayable_and_told_how_to_go_on(scene: Scene) -> None:
    created = scene.create()
    found = certify(scene, play(scene, created))
    assert (found.standing.label, found.standing.measured) == (Label.REPLAYABLE, "")
    assert "run once, and 2 equal runs are asked for" in found.standing.reason
    assert f"gnomon session launch {created.session.id}" in found.next
    assert "--command" in found.next


def test_equal_runs_of_the_same_bot_in_the_same_session_count_as_repeats(scene: Scene) -> None:
    created = scene.create()
    runs = [play(scene, created) for _ in range(3)]
    found = certify(scene, runs[0], repeats=3)
    assert (found.standing.label, found.standing.measured, found.next) == (Label.CERTIFIED, "3 of 3 equal", "")
    assert set(Labels(scene.replays, WallClock()).witnesses(runs[0])) == {runs[1].id, runs[2].id}
    assert certify(scene, runs[2], repeats=4).standing.label is Label.REPLAYABLE, "four were asked for"


def test_what_is_missing_is_run_and_counts_the_next_time_too(scene: Scene) -> None:
    first, second = scene.create(), scene.create()
    stored, again = play(scene, first), Again(scene, second)
    assert certify(scene, stored, repeats=3, loops=again).standing.measured == "3 of 3 equal"
    assert len(again.made) == 2
    found = certify(scene, stored, repeats=3)
    assert (found.standing.label, len(again.made)) == (Label.CERTIFIED, 2)


def test_a_bot_that_decides_otherwise_is_told_and_not_certified(scene: Scene) -> None:
    created = scene.create()
    stored, other = play(scene, created), play(scene, created, Fickle)
    found = certify(scene, stored)
    assert (found.standing.label, found.standing.measured) == (Label.REPLAYABLE, "1 of 2 equal")
    assert found.differences == (f"{other.id}: other inputs and outputs (gnomon diff {stored.id} {other.id})",)
    again = Again(scene, scene.create(), Fickle)
    assert certify(scene, stored, loops=again).standing.measured == "1 of 2 equal"


def test_where_earlier_runs_differ_the_bot_is_started_anew(scene: Scene) -> None:
    """It may have been changed since: then the runs before say nothing of it."""
    created = scene.create()
    play(scene, created, Fickle)
    stored, again = play(scene, created), Again(scene, scene.create())
    assert certify(scene, stored, loops=again).standing.label is Label.CERTIFIED
    assert len(again.made) == 1


def test_a_run_that_an_operator_stopped_repeats_nothing_and_is_not_certified(scene: Scene) -> None:
    created = scene.create()
    runs = [play(scene, created, stop_after=30) for _ in range(2)]
    assert runs[0].fingerprint == runs[1].fingerprint
    found = certify(scene, runs[0])
    assert found.standing.label is Label.REPLAYABLE
    assert found.standing.reason == "an operator ended it, not its window or its bot"


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        ('pace = "lockstep"\nrate_limits = "wall"', "rate limits ran on the wall's clock"),
        ('pace = "lockstep"\ntime_check = "wall"', "timestamps were held against the wall's clock"),
    ],
    ids=["limits", "stamps"],
)
def test_equal_runs_that_the_wall_had_a_say_in_are_replayable(scene: Scene, session: str, reason: str) -> None:
    created = scene.create(session=session)
    runs = [play(scene, created) for _ in range(2)]
    found = certify(scene, runs[0])
    assert found.standing.label is Label.REPLAYABLE
    assert reason in found.standing.reason
    assert found.standing.measured == "2 of 2 equal"


def test_a_request_that_the_wall_alone_let_pass_bars_its_run_even_when_the_venue_dies_in_between(scene: Scene) -> None:
    created = scene.create()
    clean = play(scene, created)
    assert clean.counts[BY_WALL] == 0

    async def course() -> None:
        venue = scene.venue()
        live = scene.launch(venue, created)
        bot = NativeBot(venue, created, Swings())
        bot.begin()
        bot.hear(10)
        stamps = live.places[0].course.gate.stamps
        wall_ns = venue.clock.now_ns()
        for _ in range(3):
            stamps.check(str(wall_ns // 1_000_000), None, live.now_ns, wall_ns)
        assert stamps.by_wall_alone == 3
        live.close()
        for place in live.places:
            place.sink.close()
        other = scene.venue()
        other.restore()
        bot.move(other)
        await to_the_end(bot, other._live[created.session.id])

    asyncio.run(course())
    stored = scene.stored(created)[-1]
    assert (stored.fingerprint, stored.counts[BY_WALL]) == (clean.fingerprint, 1)
    found = certify(scene, stored)
    assert found.standing.label is Label.REPLAYABLE
    assert found.standing.reason == "the wall's clock alone let a request of it pass"
    assert certify(scene, clean).standing.label is Label.CERTIFIED, "that one was let pass by the virtual clock"


def test_fewer_than_two_runs_repeat_nothing(scene: Scene) -> None:
    with pytest.raises(Invalid, match="1 repeats"):
        certify(scene, play(scene, scene.create()), repeats=1)
