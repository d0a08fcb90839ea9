"""Verbs of work for later: work, tick, jobs, schedules."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnomon.cli.verb import Json, app, names_of, opened, verb
from gnomon.errors import Invalid
from gnomon.terminal import say, show, show_json

if TYPE_CHECKING:
    from gnomon.jobs.engine.dbos_engine import DbosEngine
    from gnomon.jobs.engine.dbos_jobs import DbosJobs
    from gnomon.jobs.engine.port import Handlers, JobStatus
    from gnomon.jobs.engine.worker import Worker
    from gnomon.jobs.schedule import Schedule
    from gnomon.jobs.schedules import Planned, Schedules
    from gnomon.market.instrument import Instruments
    from gnomon.settings import Settings
    from gnomon.store.schedules import ScheduleStore
    from gnomon.store.store import Store

jobs = typer.Typer(help="Jobs: what waits, runs and ended; cancel, resume, retry.", no_args_is_help=True)
schedules = typer.Typer(help="Schedules: what comes due by itself.", no_args_is_help=True)
app.add_typer(jobs, name="jobs")
app.add_typer(schedules, name="schedules")

JobId = Annotated[str, typer.Argument(help="kind:key")]
Name = Annotated[str, typer.Argument(help="The name of a schedule.")]


# --- processes ----------------------------------------------------------------------------------------------------


@app.command()
@verb
def work(
    queues: Annotated[str, typer.Option("--queues", help="Comma list; default: all.")] = "",
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Fire no schedule; stop when no job waits or runs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Claim jobs and fire schedules until SIGTERM; then finish what runs and stop."""
    settings, store, configured = opened()
    worker = worker_of(settings, store, configured, _queues(queues), until_idle=until_idle)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    say(f"{settings.executor_id} works on {queues or 'all queues'}; stop with SIGTERM")
    worker.run(stop)
    if as_json:
        show_json({"executor_id": settings.executor_id, "stopped": True})
    else:
        say(f"{settings.executor_id} stopped")


def worker_of(
    settings: Settings,
    store: Store,
    configured: Instruments,
    queues: tuple[str, ...] = (),
    *,
    until_idle: bool = False,
) -> Worker:
    """A worker with every handler, firing the schedules. Queues empty: all of them."""
    from gnomon.jobs.engine.dbos_engine import DbosEngine
    from gnomon.jobs.engine.dbos_jobs import system_url
    from gnomon.jobs.engine.worker import Worker
    from gnomon.jobs.kinds import QUEUES
    from gnomon.jobs.schedules import default_schedules
    from gnomon.store.schedules import ScheduleStore
    from gnomon.store.workers import WorkerStore
    from gnomon.wallclock import WallClock

    engine: DbosEngine = DbosEngine(
        store.engine,
        system_url(settings.url),
        _handlers(settings, store, configured, forget=lambda done, failed: _forget(engine.jobs, done, failed)),
        QUEUES,
        clock=WallClock(),
        executor_id=settings.executor_id,
        listen=queues or None,
        fast=settings.sqlite_fast,
    )
    if settings.sqlite_fast:
        say("GNOMON_SQLITE_FAST: commits of jobs may be lost when the machine loses power")
    defaults = default_schedules(settings.schedules, settings.schedule_profile)
    tick = _ticker(ScheduleStore(store.engine), engine, defaults)
    return Worker(engine, WorkerStore(store.engine), queues=queues, tick=tick, until_idle=until_idle)


@app.command()
@verb
def tick(as_json: Json = False) -> None:
    """Enqueue what is due by the schedules and exit: for cron or a CronJob beside the workers."""
    with _composed() as (_, planned, settings, _store):
        _declare(planned, settings)
        made = list(planned.tick())
        while more := planned.tick():
            made += more
    rows = [{"job_id": one.id, "created": one.created} for one in made]
    if as_json:
        show_json({"jobs": rows})
    else:
        say(*(f"{'created' if one['created'] else 'existing'} {one['job_id']}" for one in rows), f"{len(rows)} due")


# --- jobs ---------------------------------------------------------------------------------------------------------


@jobs.command("list")
@verb
def jobs_list(
    kind: Annotated[str, typer.Option(help="Jobs of one kind.")] = "",
    state: Annotated[str, typer.Option(help="waiting, delayed, running, done, partial, failed or cancelled.")] = "",
    queue: Annotated[str, typer.Option(help="Jobs of one queue.")] = "",
    text: Annotated[str, typer.Option(help="What the id contains.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Jobs at most, newest first.")] = 30,
    as_json: Json = False,
) -> None:
    """The newest jobs."""
    from gnomon.jobs.engine.port import STATES, JobFilter

    states = tuple(one for one in STATES if one in names_of(state))
    if state and not states:
        raise Invalid(f"state {state!r}", hint=f"one of {', '.join(STATES)}")
    with _composed() as (door, *_):
        found = door.find(JobFilter(kind=kind, states=states, queue=queue, text=text, limit=limit))
    rows = [job_row(one) for one in found]
    if as_json:
        show_json({"jobs": rows})
    else:
        from gnomon.terminal import table_of

        show(table_of(rows, ("id", "state", "queue", "created", "finished")))


@jobs.command("show")
@verb
def jobs_show(job: JobId, as_json: Json = False) -> None:
    """One job with its steps."""
    with _composed() as (door, *_):
        found = job_row(door.status(job), full=True)
    if as_json:
        show_json(found)
    else:
        from gnomon.terminal import table_of

        steps = found.pop("steps")
        say(*(f"{name}: {value}" for name, value in found.items() if value not in (None, "", [], {})))
        show(table_of(steps, ("number", "name", "finished", "error")))


@jobs.command("enqueue")
@verb
def jobs_enqueue(
    kind: Annotated[str, typer.Argument(help="A kind of job: ingest, predict, score, weigh …")],
    key: Annotated[str, typer.Argument(help="What makes it one job; the same key is the same job.")],
    args: Annotated[str, typer.Option("--args", help="JSON object.")] = "{}",
    as_json: Json = False,
) -> None:
    """Make a job; one that exists stays as it is."""
    import json

    try:
        given = json.loads(args)
    except ValueError as error:
        raise Invalid(f"--args is not JSON: {error}", hint='e.g. \'{"timeframe": "1h"}\'') from None
    if not isinstance(given, dict):
        raise Invalid(f"--args is {type(given).__name__}", hint='a JSON object, e.g. \'{"timeframe": "1h"}\'')
    with _composed() as (door, *_):
        made = door.enqueue(kind, key, given)
    row = {"job_id": made.id, "state": made.state, "created": made.created, "key": made.key}
    show_json(row) if as_json else say(f"{'created' if made.created else 'existing'} {made.id} ({made.state})")


@jobs.command("cancel")
@verb
def jobs_cancel(job: JobId, as_json: Json = False) -> None:
    """Stop a job and its children at their next step boundary."""
    _change(job, "cancel", as_json)


@jobs.command("resume")
@verb
def jobs_resume(job: JobId, as_json: Json = False) -> None:
    """Let a cancelled or orphaned job go on from its first unfinished step."""
    _change(job, "resume", as_json)


@jobs.command("retry")
@verb
def jobs_retry(job: JobId, as_json: Json = False) -> None:
    """Restart a failed job in place, at its failing step."""
    _change(job, "retry", as_json)


# --- schedules ----------------------------------------------------------------------------------------------------


@schedules.command("list")
@verb
def schedules_list(as_json: Json = False) -> None:
    """Every schedule with its next tick."""
    with _composed() as (_, planned, settings, _store):
        _declare(planned, settings)
        rows = [planned_row(one) for one in planned.list()]
    if as_json:
        show_json({"schedules": rows})
    else:
        from gnomon.terminal import table_of

        show(table_of(rows, ("name", "cron", "timezone", "kind", "catch_up", "next")))


@schedules.command("set")
@verb
def schedules_set(
    name: Name,
    cron: Annotated[str, typer.Option(help="Five fields, or six with seconds first.")] = "",
    timezone: Annotated[str, typer.Option(help="IANA name.")] = "",
    as_json: Json = False,
) -> None:
    """Change a schedule; newer defaults leave it alone from then on."""
    from dataclasses import replace

    with _composed() as (_, planned, *_rest):
        old = planned.get(name).schedule
        row = planned_row(planned.put(replace(old, cron=cron or old.cron, timezone=timezone or old.timezone)))
    show_json(row) if as_json else say(f"{name}: {row['cron']} {row['timezone']}, next {row['next']}")


@schedules.command("pause")
@verb
def schedules_pause(name: Name, as_json: Json = False) -> None:
    """Stop firing a schedule."""
    with _composed() as (_, planned, *_rest):
        row = planned_row(planned.pause(name))
    show_json(row) if as_json else say(f"{name} is paused")


@schedules.command("resume")
@verb
def schedules_resume(name: Name, as_json: Json = False) -> None:
    """Go on firing, from now on."""
    with _composed() as (_, planned, *_rest):
        row = planned_row(planned.resume(name))
    show_json(row) if as_json else say(f"{name}: next {row['next']}")


@schedules.command("trigger")
@verb
def schedules_trigger(name: Name, as_json: Json = False) -> None:
    """Make a job of the schedule now."""
    with _composed() as (_, planned, *_rest):
        made = planned.trigger(name)
    show_json({"job_id": made.id, "created": made.created}) if as_json else say(f"created {made.id}")


@schedules.command("backfill")
@verb
def schedules_backfill(
    name: Name,
    first: Annotated[str, typer.Option("--from", help="The first tick, at the earliest.")],
    last: Annotated[str, typer.Option("--to", help="The last tick, at the latest.")],
    as_json: Json = False,
) -> None:
    """Make the jobs of a window of ticks, those that exist as they are."""
    from gnomon.clock import parse_instant

    with _composed() as (_, planned, *_rest):
        made = planned.backfill(name, parse_instant(first), parse_instant(last))
    rows = [{"job_id": one.id, "created": one.created} for one in made]
    show_json({"jobs": rows}) if as_json else say(f"{sum(one.created for one in made)} of {len(made)} jobs are new")


# --- composing ----------------------------------------------------------------------------------------------------


def job_row(one: JobStatus, *, full: bool = False) -> dict[str, Any]:
    """A job as JSON, with its steps where they were asked for."""
    from gnomon.clock import iso

    row = {
        "id": one.id,
        "kind": one.kind,
        "key": one.key,
        "state": one.state,
        "queue": one.queue,
        "created": iso(one.created_ns),
        "started": None if one.started_ns is None else iso(one.started_ns),
        "finished": None if one.finished_ns is None else iso(one.finished_ns),
    }
    if not full:
        return row
    progress = None if one.progress is None else f"{one.progress.done}/{one.progress.total} {one.progress.note}"
    steps = [
        {
            "number": step.number,
            "name": step.name,
            "finished": None if step.finished_ns is None else iso(step.finished_ns),
            "error": None if step.error is None else step.error["message"],
        }
        for step in one.steps
    ]
    return row | {
        "args": dict(one.args),
        "attempts": one.attempts,
        "executor": one.executor,
        "parent": one.parent,
        "children": list(one.children),
        "progress": progress,
        "result": one.result,
        "error": one.error,
        "steps": steps,
    }


def planned_row(one: Planned) -> dict[str, Any]:
    """A schedule as JSON."""
    from gnomon.clock import iso

    return one.schedule.row() | {
        "edited": one.is_edited,
        "fired_until": iso(one.fired_until_ns),
        "next": None if one.next_ns is None else iso(one.next_ns),
    }


@contextmanager
def _composed() -> Iterator[tuple[DbosJobs, Schedules, Any, Store]]:
    """The client of the jobs, the schedules, the settings and the store."""
    from gnomon.jobs.engine.dbos_jobs import DbosJobs, system_url
    from gnomon.jobs.kinds import doors_only
    from gnomon.jobs.schedules import Schedules
    from gnomon.store.schedules import ScheduleStore
    from gnomon.wallclock import WallClock

    settings, store, _ = opened()
    clock = WallClock()
    with DbosJobs(system_url(settings.url), store.engine, doors_only(), clock) as door:
        yield door, Schedules(ScheduleStore(store.engine), door, clock), settings, store


def _handlers(settings: Settings, store: Store, configured: Instruments, forget: Any = None) -> Handlers:
    from gnomon.cli.data import calendars_of, sources_of
    from gnomon.jobs.handlers import Crew, no_jobs_to_forget
    from gnomon.wallclock import WallClock

    clock = WallClock()
    sources, calendars = sources_of(clock, settings), calendars_of(clock, settings)  # open until the process ends
    return Crew(store, configured, clock, sources, forget or no_jobs_to_forget, calendars).handlers()


def _forget(door: DbosJobs, done_before_ns: int, failed_before_ns: int) -> int:
    return door.prune(done_before_ns=done_before_ns, failed_before_ns=failed_before_ns)


def _ticker(rows: ScheduleStore, engine: DbosEngine, defaults: list[Schedule]) -> Callable[[], object]:
    """Fires what is due; at its first call, when the engine has its jobs, it makes the defaults known."""
    from gnomon.jobs.schedules import Schedules

    made: list[Schedules] = []

    def fire() -> object:
        if not made:
            planned = Schedules(rows, engine.jobs, engine.clock)
            planned.declare(defaults)
            made.append(planned)
        return made[0].tick()

    return fire


def _declare(planned: Schedules, settings: Any) -> None:
    """Make the default schedules known to the store."""
    from gnomon.jobs.schedules import default_schedules

    planned.declare(default_schedules(settings.schedules, settings.schedule_profile))


def _queues(text: str) -> tuple[str, ...]:
    from gnomon.jobs.kinds import QUEUES

    wanted = names_of(text)
    unknown = set(wanted) - {one.name for one in QUEUES}
    if unknown:
        raise Invalid(f"no queue {min(unknown)!r}", hint=f"one of {', '.join(one.name for one in QUEUES)}")
    return wanted


def _change(job: str, what: str, as_json: bool) -> None:
    with _composed() as (door, *_):
        if what == "cancel":
            door.cancel(job)
        else:
            door.resume(job, retry=what == "retry")
        state = door.status(job).state
    show_json({"job_id": job, "state": state}) if as_json else say(f"{job}: {state}")
