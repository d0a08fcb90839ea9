"""The ticker: every tick makes one job, whatever is repeated, runs twice at once, or dies between two writes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from gnomon.clock import SimClock, iso, parse_instant
from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.engine.port import Handler, Handlers, Job, JobFilter, Work
from gnomon.jobs.schedule import CatchUp, Schedule, ticks
from gnomon.jobs.schedules import LARGEST_TICK, RETIRED, Schedules, default_schedules
from gnomon.store.schedules import ScheduleStore
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

NOW_NS = parse_instant("2026-04-28T12:00:00Z")
KINDS = ("ingest", "predict", "score", "weigh", "digest", "board", "prune", "gates", "finetune", "hosts")
HOURLY = Schedule("hourly", "55 * * * *", "predict", "1h:ewma", {"timeframe": "1h"}, catch_up="all")


def due_of(work: Work) -> int:
    return work.due_ns


@dataclass
class World:
    """A store, jobs in memory, and a clock that is moved by hand."""

    engine: Engine
    clock: SimClock = field(default_factory=lambda: SimClock(NOW_NS))

    def __post_init__(self) -> None:
        self.store = ScheduleStore(self.engine)
        self.jobs = MemoryJobs(Handlers([Handler(kind, due_of) for kind in KINDS]), self.clock)
        self.schedules = Schedules(self.store, self.jobs, self.clock)

    def at(self, text: str) -> Sequence[Job]:
        """Move the clock and tick."""
        self.clock.advance_to(parse_instant(text))
        return self.schedules.tick()

    def keys(self) -> list[str]:
        return sorted(one.id for one in self.jobs.find(JobFilter(limit=10_000)))


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


def hours(jobs: Sequence[Job]) -> list[str]:
    return [one.key[-9:-4] for one in jobs]


# --- ticking --------------------------------------------------------------------------------------------------------


def test_a_tick_becomes_a_job_with_its_nominal_time(world: World) -> None:
    world.schedules.put(HOURLY)
    made = world.at("2026-04-28T12:57:13Z")
    assert [(one.id, one.created) for one in made] == [("predict:1h:ewma:2026-04-28T12:55:00Z", True)]
    status = world.jobs.status(made[0].id)
    due_ns = parse_instant("2026-04-28T12:55:00Z")
    assert status.args == {"timeframe": "1h", "due_ns": due_ns, "grace_s": 600}
    world.jobs.run_due()
    assert world.jobs.status(made[0].id).result == due_ns


def test_nothing_is_due_twice(world: World) -> None:
    world.schedules.put(HOURLY)
    assert len(world.at("2026-04-28T12:55:00Z")) == 1
    assert world.schedules.tick() == []
    assert world.at("2026-04-28T13:54:59Z") == []


def test_a_new_schedule_is_not_filled_back(world: World) -> None:
    world.schedules.put(HOURLY)
    assert world.schedules.tick() == []
    assert hours(world.at("2026-04-28T13:00:00Z")) == ["12:55"]


def test_its_queue_goes_with_the_job(world: World) -> None:
    world.schedules.put(replace(HOURLY, queue="gpu:cuda:0"))
    world.schedules.put(replace(HOURLY, name="other", key="1h:fhs"))
    queues = {one.key[:7]: world.jobs.status(one.id).queue for one in world.at("2026-04-28T12:55:00Z")}
    assert queues == {"1h:ewma": "gpu:cuda:0", "1h:fhs:": "cpu"}


def test_after_an_outage_each_policy_makes_up_its_own(world: World) -> None:
    """Test 6, in simulated time; with real processes it is in `engine/test_dbos_jobs.py`."""
    for catch_up in get_args(CatchUp):
        world.schedules.put(Schedule(catch_up, "*/3 * * * * *", "score", catch_up, catch_up=catch_up))
    world.at("2026-04-28T12:00:03Z")
    made = world.at("2026-04-28T12:00:13Z")  # nine seconds of silence, and one
    found = [(one, [job.key[-3:-1] for job in made if job.key.startswith(f"{one}:")]) for one in get_args(CatchUp)]
    assert found == [("late-is-missed", ["06", "09", "12"]), ("latest", ["12"]), ("all", ["06", "09", "12"])]
    assert world.schedules.tick() == []


def test_a_long_outage_is_made_up_in_parts_in_order(world: World) -> None:
    world.schedules.put(replace(HOURLY, cron="* * * * *"))
    world.clock.advance_to(NOW_NS + 500 * MINUTE_NS)
    parts = []
    while made := world.schedules.tick():
        parts.append(made)
    assert [len(one) for one in parts] == [LARGEST_TICK, LARGEST_TICK, 500 - 2 * LARGEST_TICK]
    due = [world.jobs.status(job.id).args["due_ns"] for made in parts for job in made]
    assert due == [NOW_NS + minute * MINUTE_NS for minute in range(1, 501)]


def test_a_year_of_missed_minutes_of_which_the_newest_counts_is_one_job(world: World) -> None:
    world.schedules.put(replace(HOURLY, cron="* * * * *", catch_up="latest"))
    world.clock.advance_to(NOW_NS + 365 * DAY_NS + 30 * SECOND_NS)
    assert [one.key for one in world.schedules.tick()] == [f"1h:ewma:{iso(NOW_NS + 365 * DAY_NS)}"]


# --- twice at once, and dying ---------------------------------------------------------------------------------------


class Dying(ScheduleStore):
    """A store whose process dies before it notes what was fired."""

    def advance(self, name: str, fired_until_ns: int) -> None:
        raise Unavailable(f"dead before {name} was noted at {fired_until_ns}")


def test_a_ticker_that_dies_between_the_job_and_its_note_makes_no_second_job(world: World) -> None:
    world.schedules.put(HOURLY)
    world.clock.advance_to(NOW_NS + 3 * HOUR_NS)
    for _ in range(2):
        with pytest.raises(Unavailable):
            Schedules(Dying(world.engine), world.jobs, world.clock).tick()
    assert len(world.keys()) == 3
    assert [one.created for one in world.schedules.tick()] == [False, False, False]
    assert len(world.keys()) == 3


class Counted:
    """Jobs that many threads use, with what was enqueued under each id."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self._jobs, self._lock = jobs, threading.Lock()
        self.created: list[str] = []

    def enqueue(self, *args: Any, **options: Any) -> Job:
        with self._lock:
            job = self._jobs.enqueue(*args, **options)
            self.created += [job.id] if job.created else []
            return job


def test_tickers_at_once_make_each_job_once(world: World) -> None:
    """Test 7, in threads; with real processes it is in `engine/test_dbos_jobs.py`."""
    jobs: Any = Counted(world.jobs)
    for number in range(3):
        world.schedules.put(replace(HOURLY, name=f"s{number}", key=f"k{number}", cron="*/5 * * * *"))
    for step in range(1, 6):
        world.clock.advance_to(NOW_NS + step * 20 * MINUTE_NS)
        with ThreadPoolExecutor(4) as pool:
            tickers = [Schedules(ScheduleStore(world.engine), jobs, world.clock) for _ in range(4)]
            list(pool.map(lambda one: one.tick(), tickers))
    expected = {
        f"predict:k{number}:{iso(at)}"
        for number in range(3)
        for at in ticks(replace(HOURLY, cron="*/5 * * * *"), NOW_NS, world.clock.at_ns)
    }
    assert sorted(jobs.created) == sorted(expected)


def test_a_slow_ticker_does_not_take_back_what_a_fast_one_noted(world: World) -> None:
    world.schedules.put(HOURLY)
    world.at("2026-04-28T15:00:00Z")
    world.schedules.tick(parse_instant("2026-04-28T13:00:00Z"))  # its clock is behind
    assert world.store.get("hourly").fired_until_ns == parse_instant("2026-04-28T14:55:00Z")
    assert world.schedules.tick() == []


@given(
    steps=st.lists(st.tuples(st.integers(1, 400), st.sampled_from(["tick", "die", "twice", "pause", "resume"]))),
    cron=st.sampled_from(["*/7 * * * *", "30 * * * *", "*/20 * * * * *"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_whatever_happens_the_jobs_are_the_ticks_while_it_was_enabled(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]], cron: str
) -> None:
    from gnomon.store.engine import open_engine

    file = tmp_path_factory.mktemp("walk") / "gnomon.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    world = World(open_engine(f"sqlite:///{file}"))
    one, since_ns, expected = replace(HOURLY, cron=cron), NOW_NS, []
    enabled = True
    world.schedules.put(one)
    for seconds, what in steps:
        world.clock.advance_to(world.clock.at_ns + seconds * SECOND_NS)
        if enabled:
            expected += ticks(one, since_ns, world.clock.at_ns)
        since_ns = world.clock.at_ns
        if what == "die" and enabled:
            dying = Schedules(Dying(world.engine), world.jobs, world.clock)
            with suppress(Unavailable):
                dying.tick()
        for _ in range(2 if what == "twice" else 1):
            while world.schedules.tick():
                pass
        if what in ("pause", "resume"):
            enabled = what == "resume"
            getattr(world.schedules, what)("hourly")
    assert world.keys() == sorted(f"predict:{one.key_at(at)}" for at in expected)
    world.engine.dispose()


# --- one that cannot fire -------------------------------------------------------------------------------------------


def test_a_schedule_that_cannot_fire_keeps_no_other_from_firing(world: World) -> None:
    world.schedules.put(replace(HOURLY, name="a", kind="unheard"))
    world.schedules.put(replace(HOURLY, name="b"))
    world.store.put("c", {"name": "c", "cron": "never"}, NOW_NS)
    world.clock.advance_to(NOW_NS + HOUR_NS)
    with pytest.raises(NotFound, match="schedule 'a': no kind of job 'unheard'") as caught:
        world.schedules.tick()
    assert caught.value.detail["schedule"] == "a"
    assert world.keys() == ["predict:1h:ewma:2026-04-28T12:55:00Z"]
    assert world.store.get("a").fired_until_ns == NOW_NS  # its tick stays due


# --- by hand --------------------------------------------------------------------------------------------------------


def test_what_was_paused_is_not_made_up(world: World) -> None:
    world.schedules.put(HOURLY)
    world.at("2026-04-28T12:56:00Z")
    assert not world.schedules.pause("hourly").schedule.enabled
    assert world.at("2026-04-28T15:10:00Z") == []
    resumed = world.schedules.resume("hourly")
    assert (resumed.schedule.enabled, resumed.is_edited) == (True, True)
    assert world.schedules.tick() == []
    assert hours(world.at("2026-04-28T16:00:00Z")) == ["15:55"]


def test_resuming_what_runs_skips_nothing(world: World) -> None:
    world.schedules.put(HOURLY)
    world.clock.advance_to(NOW_NS + HOUR_NS)
    world.schedules.resume("hourly")
    assert hours(world.schedules.tick()) == ["12:55"]


def test_a_default_that_was_paused_stays_paused_when_defaults_are_declared(world: World) -> None:
    world.schedules.declare([HOURLY])
    world.schedules.pause("hourly")
    world.schedules.declare([replace(HOURLY, cron="2 * * * *")])
    planned = world.schedules.get("hourly")
    assert (planned.schedule.enabled, planned.schedule.cron, planned.is_edited) == (False, "55 * * * *", True)
    world.schedules.resume("hourly")
    world.schedules.declare([HOURLY])
    assert not world.schedules.get("hourly").is_edited  # equal to its default, so it follows it again


def test_a_default_that_is_enabled_later_does_not_make_up_the_months_before(world: World) -> None:
    world.schedules.declare([replace(HOURLY, enabled=False)])
    world.clock.advance_to(NOW_NS + 90 * DAY_NS)
    world.schedules.declare([HOURLY])
    assert world.schedules.tick() == []
    world.clock.advance_to(NOW_NS + 90 * DAY_NS + HOUR_NS)
    assert len(world.schedules.tick()) == 1


def test_a_default_that_is_none_any_more_stays_disabled_and_comes_back(world: World) -> None:
    old, edited = replace(HOURLY, name="old"), replace(HOURLY, name="edited")
    world.schedules.declare([HOURLY, old, edited])
    world.schedules.put(replace(edited, grace_s=1))
    world.schedules.declare([HOURLY])
    found = {one.schedule.name: one.schedule for one in world.schedules.list()}
    assert {name: one.enabled for name, one in found.items()} == {"hourly": True, "old": False, "edited": True}
    assert found["old"].note == RETIRED
    world.schedules.declare([HOURLY, old])
    assert world.schedules.get("old").schedule == old


def test_a_trigger_makes_a_job_beside_the_ticks(world: World) -> None:
    world.schedules.put(HOURLY)
    world.clock.advance_to(parse_instant("2026-04-28T12:55:00.5Z"))
    first, second = world.schedules.trigger("hourly"), world.schedules.trigger("hourly")
    assert first.key == "1h:ewma:2026-04-28T12:55:00Z+manual-1"
    assert second.key == "1h:ewma:2026-04-28T12:55:00Z+manual-2"
    assert first.created
    assert second.created
    assert world.jobs.status(first.id).args["due_ns"] == parse_instant("2026-04-28T12:55:00Z")
    assert hours(world.schedules.tick()) == ["12:55"]


def test_a_backfill_makes_the_jobs_of_a_window_once_and_leaves_the_present_alone(world: World) -> None:
    world.schedules.put(HOURLY)
    first_ns, last_ns = parse_instant("2026-04-27T00:55:00Z"), parse_instant("2026-04-27T03:55:00Z")
    made = world.schedules.backfill("hourly", first_ns, last_ns)
    assert hours(made) == ["00:55", "01:55", "02:55", "03:55"]
    again = world.schedules.backfill("hourly", first_ns, last_ns + HOUR_NS)
    assert [one.created for one in again] == [False, False, False, False, True]
    assert world.store.get("hourly").fired_until_ns == NOW_NS


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-04-27", "2026-04-26", "window"),
        ("2026-04-27", "2026-04-29", "ends after now"),
        ("2025-01-01", "2026-01-01", "more than 1,000 ticks"),
    ],
)
def test_a_backfill_that_cannot_be_meant_is_refused(world: World, first: str, last: str, words: str) -> None:
    world.schedules.put(HOURLY)
    with pytest.raises(Invalid, match=words):
        world.schedules.backfill("hourly", parse_instant(first), parse_instant(last))
    assert world.keys() == []


def test_the_next_tick_is_told_for_one_and_for_all(world: World) -> None:
    assert world.schedules.next_ns() is None
    world.schedules.put(HOURLY)
    world.schedules.put(replace(HOURLY, name="early", cron="5 * * * *"))
    world.schedules.put(replace(HOURLY, name="off", cron="* * * * *", enabled=False))
    assert world.schedules.next_ns() == parse_instant("2026-04-28T12:05:00Z")
    assert world.schedules.next_ns("hourly") == parse_instant("2026-04-28T12:55:00Z")
    assert world.schedules.next_ns("off") is None
    for verb in (world.schedules.get, world.schedules.pause, world.schedules.trigger, world.schedules.next_ns):
        with pytest.raises(NotFound, match="no schedule 'hurly'"):
            verb("hurly")


# --- the defaults ---------------------------------------------------------------------------------------------------


@pytest.fixture
def shipped() -> dict[str, Schedule]:
    return {one.name: one for one in default_schedules()}


def test_the_shipped_schedules_are_those_of_the_pipeline(shipped: dict[str, Schedule]) -> None:
    lines = {
        "ingest-1h": "1,31 * * * *",
        "ingest-1d": "3 0,21,22 * * *",
        "ingest-calendar": "10 */6 * * *",
        "baseline-batch-1h": "55 * * * *",
        "baseline-batch-1d": "45 5 * * *",
        "kronos-batch-1h": "55 * * * *",
        "kronos-batch-1d": "45 5 * * *",
        "chronos2-batch-1h": "55 * * * *",
        "chronos2-batch-1d": "45 5 * * *",
        "ensemble-1h": "58 * * * *",
        "ensemble-1d": "55 5 * * *",
        "score-signals-1h": "5 * * * *",
        "score-signals-1d": "30 6 * * *",
        "weigh-1h": "20 3 * * *",
        "weigh-1d": "50 6 * * *",
        "board": "0 7 * * *",
        "ledger-digest": "10 0 * * *",
        "gates-1h": "30 7 * * 1",
        "gates-1d": "40 7 * * 1",
        "kronos-rolling-finetune": "0 6 1 * *",
        "kronosbot": "5 22 * * 1-5",
        "host-reaper": "*/10 * * * *",
        "prune-jobs": "20 3 * * *",
    }
    assert {name: one.cron for name, one in shipped.items()} == lines


def test_what_cannot_run_yet_is_disabled_with_the_reason(shipped: dict[str, Schedule]) -> None:
    disabled = {name for name, one in shipped.items() if not one.enabled}
    models = {f"{model}-batch-{timeframe}" for model in ("kronos", "chronos2") for timeframe in ("1h", "1d")}
    assert disabled == models | {"kronos-rolling-finetune", "kronosbot", "host-reaper"}
    assert {one.kind for one in shipped.values() if one.enabled} <= set(KINDS)
    assert all(shipped[name].note.startswith("until") for name in disabled)


def test_no_two_shipped_schedules_make_the_same_job(shipped: dict[str, Schedule]) -> None:
    assert len({one.id_prefix for one in shipped.values()}) == len(shipped)


def test_catching_up_follows_the_kind(shipped: dict[str, Schedule]) -> None:
    expected = {"predict": "late-is-missed", "digest": "all", "board": "all"}
    assert all(one.catch_up == expected.get(one.kind, "latest") for one in shipped.values())
    graces = {one.grace_s for one in shipped.values() if one.kind == "predict" and one.args["timeframe"] == "1d"}
    assert graces == {3600}


def test_the_profile_after_close_moves_hourly_forecasts_behind_the_close(shipped: dict[str, Schedule]) -> None:
    moved = {one.name: one.cron for one in default_schedules(profile="after-close") if one != shipped[one.name]}
    assert moved == {
        "baseline-batch-1h": "2 * * * *",
        "kronos-batch-1h": "2 * * * *",
        "chronos2-batch-1h": "2 * * * *",
        "ensemble-1h": "6 * * * *",
    }
    with pytest.raises(Invalid, match="afterclose") as caught:
        default_schedules(profile="afterclose")
    assert "after-close" in caught.value.hint


def test_the_defaults_fire_a_day_of_jobs_in_simulated_time(world: World, shipped: dict[str, Schedule]) -> None:
    world.schedules.declare(shipped.values())
    count = 0
    for _ in range(24 * 12):
        world.clock.advance_to(world.clock.at_ns + 5 * MINUTE_NS)
        count += len(world.schedules.tick())
    expected = sum(len(ticks(one, NOW_NS, NOW_NS + DAY_NS)) for one in shipped.values() if one.enabled)
    assert count == len(world.keys()) == expected > 24 * 5


TABLE = '[[schedule]]\nname = "a"\ncron = "5 * * * *"\nkind = "score"\nkey = "1h"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schedule = 5", r"no \[\[schedule\]\]"),
        ("", r"no \[\[schedule\]\]"),
        ("[schedule]\nname = 'a'", r"no \[\[schedule\]\]"),
        ("[[schedule", "mine.toml"),
        (TABLE.replace("5 * * * *", "5 * *"), "5 \\* \\*"),
        (TABLE.replace('key = "1h"', ""), "key is missing"),
        (TABLE + TABLE, "stands twice"),
        (TABLE + "[profile.p]\nb = '1 * * * *'", "'b'"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(Invalid, match=words):
        default_schedules(file, profile="p" if "profile" in text else "")


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(TABLE + "[profile.p]\na = '6 * * * *'")
    assert [one.cron for one in default_schedules(file)] == ["5 * * * *"]
    assert [one.cron for one in default_schedules(file, "p")] == ["6 * * * *"]
    with pytest.raises(Invalid, match=r"no\.toml"):
        default_schedules(tmp_path / "no.toml")
