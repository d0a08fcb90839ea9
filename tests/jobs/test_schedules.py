"""The ticker: each tick once, whatever happens between its two writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from gnomon.clock import SimClock, iso, parse_instant
from gnomon.errors import Invalid, NotFound
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.engine.port import Handler, Handlers, JobFilter
from gnomon.jobs.handlers import QUEUES
from gnomon.jobs.schedule import CatchUp, Schedule
from gnomon.jobs.schedules import Schedules, default_schedules
from gnomon.store.schedules import ScheduleStore
from gnomon.units import HOUR_NS, MINUTE_NS

START = parse_instant("2026-04-28T12:00:00Z")


@pytest.fixture
def clock() -> SimClock:
    return SimClock(START)


@pytest.fixture
def jobs(clock: SimClock) -> MemoryJobs:
    return MemoryJobs(Handlers([Handler("k", lambda work: work.due_ns)]), clock)


@pytest.fixture
def schedules(engine: Engine, jobs: MemoryJobs, clock: SimClock) -> Schedules:
    return Schedules(ScheduleStore(engine), jobs, clock)


def hourly(name: str = "h", catch_up: CatchUp = "all", **changes: object) -> Schedule:
    return Schedule(name, "5 * * * *", "k", name, catch_up=catch_up, **changes)  # type: ignore[arg-type]  # of a test


def ids(jobs: MemoryJobs) -> list[str]:
    return sorted(one.id for one in jobs.find(JobFilter(limit=1_000)))


def test_missed_ticks_are_made_up_by_the_policy_of_their_schedule(
    schedules: Schedules, jobs: MemoryJobs, clock: SimClock
) -> None:
    schedules.declare([hourly("every"), hourly("newest", "latest"), hourly("late", "late-is-missed")])
    assert schedules.tick() == []  # what was due before it was declared is not made up
    clock.advance_to(START + 3 * HOUR_NS + 6 * MINUTE_NS)
    made = [one.id for one in schedules.tick()]
    hours = [f"2026-04-28T{hour}:05:00Z" for hour in (12, 13, 14, 15)]
    assert made == [f"k:{name}:{at}" for name in ("every", "late") for at in hours] + [f"k:newest:{hours[-1]}"]
    assert schedules.tick() == []
    jobs.run_due()
    assert {one.result for one in jobs.find(JobFilter(text="every"))} == {
        parse_instant(at) for at in hours
    }  # each with its nominal time


def test_a_tick_between_whose_writes_the_process_died_makes_no_second_job(
    engine: Engine, schedules: Schedules, jobs: MemoryJobs, clock: SimClock
) -> None:
    schedules.declare([hourly()])
    clock.advance_to(START + 6 * MINUTE_NS)
    store = ScheduleStore(engine)
    dead = Schedules(store, jobs, clock)
    store.advance = lambda *_: None  # type: ignore[method-assign]  # it enqueued and died
    assert [one.created for one in dead.tick()] == [True]
    assert [one.created for one in schedules.tick()] == [False]
    assert schedules.tick() == []
    assert ids(jobs) == ["k:h:2026-04-28T12:05:00Z"]


def test_a_paused_schedule_does_not_make_up_what_it_slept_through(
    schedules: Schedules, jobs: MemoryJobs, clock: SimClock
) -> None:
    schedules.declare([hourly()])
    assert schedules.pause("h").next_ns is None
    clock.advance_to(START + 5 * HOUR_NS)
    assert schedules.tick() == []
    assert iso(schedules.resume("h").next_ns or 0) == "2026-04-28T17:05:00Z"
    assert schedules.tick() == []
    clock.advance_to(START + 6 * HOUR_NS)
    schedules.tick()
    assert ids(jobs) == ["k:h:2026-04-28T17:05:00Z"]


def test_by_hand_a_job_is_made_beside_the_ticks_and_a_window_is_filled(schedules: Schedules) -> None:
    schedules.declare([hourly()])
    assert [schedules.trigger("h").id, schedules.trigger("h").id] == [
        f"k:h:2026-04-28T12:00:00Z+manual-{n}" for n in (1, 2)
    ]
    filled = schedules.backfill("h", START - 2 * HOUR_NS, START)
    assert [one.key for one in filled] == ["h:2026-04-28T10:05:00Z", "h:2026-04-28T11:05:00Z"]
    assert not any(one.created for one in schedules.backfill("h", START - 2 * HOUR_NS, START))
    with pytest.raises(Invalid, match="window"):
        schedules.backfill("h", START, START - 1)
    with pytest.raises(NotFound, match="no schedule"):
        schedules.trigger("hh")


def test_a_newer_default_replaces_an_older_one_and_never_what_was_edited(schedules: Schedules) -> None:
    schedules.declare([hourly("a"), hourly("b")])
    schedules.put(hourly("b", grace_s=7))
    schedules.declare([hourly("a", grace_s=1), hourly("b", grace_s=1)])
    assert {one.schedule.name: (one.schedule.grace_s, one.is_edited) for one in schedules.list()} == {
        "a": (1, False),
        "b": (7, True),
    }


def test_the_shipped_schedules_name_kinds_and_queues_that_exist() -> None:
    found = default_schedules()
    names = [one.name for one in found]
    assert len(names) == len(set(names))
    kinds = {"ingest", "predict", "score", "weigh", "digest", "prune"}
    assert {one.kind for one in found if one.enabled} == kinds
    assert {one.queue for one in found if one.queue} <= {one.name for one in QUEUES}
    crons = {one.name: one.cron for one in found}
    assert crons["baseline-batch-1h"] == crons["kronos-batch-1h"] == crons["chronos2-batch-1h"] == "55 * * * *"
    assert crons["baseline-batch-1d"] == crons["kronos-batch-1d"] == "45 5 * * *"
    assert crons["score-signals-1h"] == "5 * * * *"
    assert crons["score-signals-1d"] == "30 6 * * *"
    assert crons["kronos-rolling-finetune"] == "0 6 1 * *"
    early = {one.name: one.cron for one in default_schedules(profile="after-close")}
    assert early["baseline-batch-1h"] == "2 * * * *"
    assert early["score-signals-1h"] == "5 * * * *"


def test_a_schedules_file_that_is_none_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    for text, says in (("x = [", "TOML"), ("a = 1", "schedule"), ('[[schedule]]\nname = "a"', "cron is missing")):
        bad.write_text(text)
        with pytest.raises(Invalid, match=says):
            default_schedules(bad)
    with pytest.raises(Invalid, match="no profile"):
        default_schedules(profile="never")
