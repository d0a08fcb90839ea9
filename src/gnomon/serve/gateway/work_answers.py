"""The shapes of jobs and schedules, as they are asked for and as they are answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from gnomon.clock import iso
from gnomon.jobs.engine.port import Job, JobEvent, JobStatus, State, StepStatus
from gnomon.jobs.schedule import CatchUp
from gnomon.jobs.schedules import Planned
from gnomon.serve.gateway import answers
from gnomon.serve.gateway.answers import Page, Problem, Shape

_JOB_ID: Final = "predict:1h:baselines:2026-04-28T12:55:00Z"
_MEANINGS: Final = {
    403: "Changing anything needs the operator's token or, where none is set, a client on the gateway's own machine.",
    409: "The job is not in a state that allows it.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that fails like this."""
    mine: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": _MEANINGS[status]} for status in statuses if status in _MEANINGS
    }
    return mine | answers.problems(*(status for status in statuses if status not in _MEANINGS))


# --- asked ----------------------------------------------------------------------------------------------------------


class NewJob(Shape):
    """One unit of work. The same kind and key are the same job, whoever asks and however often."""

    kind: str = Field(min_length=1, max_length=50, examples=["score"])
    key: str | None = Field(
        None,
        pattern=r"^[^\s/\x00-\x1f\x7f]{1,300}$",
        description="What makes it one job, without spaces and slashes. Default: a fresh one by the time.",
        examples=["1h:2026-04-28T13:05:00Z"],
    )
    args: dict[str, Any] = Field(default_factory=dict, description="JSON.", examples=[{"timeframe": "1h"}])
    queue: str | None = Field(None, min_length=1, max_length=100, description="Default: the kind's own.")
    priority: int = Field(0, ge=0, le=2**31 - 1, description="Lower runs first.")
    delay_s: float = Field(0.0, ge=0.0, le=366 * 86_400.0, description="Not before so many seconds.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "score", "key": "1h:2026-04-28T13:05:00Z", "args": {"timeframe": "1h"}}]
        }
    )


class ScheduleAsked(Shape):
    """A schedule without its name, which stands in the path. It replaces the one of that name whole."""

    cron: str = Field(description="Five fields, or six with seconds first.", examples=["5 * * * *"])
    kind: str = Field(examples=["score"])
    key: str = Field(description="The key of a tick's job is this, a colon and the tick.", examples=["1h"])
    args: dict[str, Any] = Field(default_factory=dict, examples=[{"timeframe": "1h"}])
    timezone: str = Field("UTC", description="A name of the IANA database.")
    queue: str = Field("", description="Empty: the kind's own.")
    enabled: bool = True
    catch_up: CatchUp = Field("latest", description="What becomes of ticks that an outage missed.")
    grace_s: int = Field(600, ge=0, description="How late a tick may run and still issue live forecasts.")
    note: str = ""


class Window(Shape):
    """Ticks in [from, to] are to be made up."""

    since: str = Field(alias="from", description="ISO 8601.", examples=["2026-04-27T00:00:00Z"])
    until: str = Field(alias="to", description="ISO 8601, not after now.", examples=["2026-04-27T12:00:00Z"])


# --- answered -------------------------------------------------------------------------------------------------------


class Enqueued(Shape):
    """The job, new or as it was."""

    job_id: str = Field(description="`kind:key`", examples=[_JOB_ID])
    state: State
    created: bool = Field(description="False: it was there already, and nothing changed.")
    key: str


class Backfilled(Shape):
    created: int
    items: list[Enqueued] = Field(description="Oldest tick first.")


class ProgressEntry(Shape):
    done: int
    total: int
    note: str


class JobEntry(Shape):
    """A job as it stands."""

    job_id: str = Field(examples=[_JOB_ID])
    kind: str
    key: str
    state: State
    queue: str
    priority: int
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    executor: str = Field(description="Who has it, or had it last.")
    parent: str = Field(description="The job that made it; empty for none.")
    progress: ProgressEntry | None
    error: Problem | None = Field(description="Why it failed.")


class JobPage(Page):
    items: list[JobEntry] = Field(description="Newest first.")


class StepEntry(Shape):
    number: int
    name: str
    started_at: datetime | None
    finished_at: datetime | None
    error: Problem | None


class JobDetail(JobEntry):
    args: dict[str, Any]
    children: list[str]
    steps: list[StepEntry] = Field(description="Those that have completed, in order.")
    result: Any = Field(description="What its handler answered: small JSON.")


class EventEntry(Shape):
    number: int = Field(description="Orders the events of a job.")
    at: datetime
    kind: Literal["step", "progress"]
    document: dict[str, Any]


class EventPage(Shape):
    items: list[EventEntry]
    last: int = Field(description="Ask again with `after` of this for what comes next.")
    state: State


class ScheduleEntry(Shape):
    name: str = Field(examples=["score-signals-1h"])
    cron: str
    kind: str
    key: str
    args: dict[str, Any]
    timezone: str
    queue: str
    enabled: bool
    catch_up: CatchUp
    grace_s: int
    note: str
    edited: bool = Field(description="Changed by hand: a newer default does not replace it.")
    fired_until: datetime = Field(description="Ticks up to here are done with.")
    next_at: datetime | None = Field(description="The next tick; null while it is paused.")


class SchedulePage(Shape):
    items: list[ScheduleEntry] = Field(description="By name.")


# --- rows -----------------------------------------------------------------------------------------------------------


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else iso(at_ns)


def enqueued_row(job: Job) -> dict[str, Any]:
    return {"job_id": job.id, "state": job.state, "created": job.created, "key": job.key}


def job_row(one: JobStatus) -> dict[str, Any]:
    progress = one.progress
    return {
        "job_id": one.id,
        "kind": one.kind,
        "key": one.key,
        "state": one.state,
        "queue": one.queue,
        "priority": one.priority,
        "attempts": one.attempts,
        "created_at": _time(one.created_ns),
        "started_at": _time(one.started_ns),
        "finished_at": _time(one.finished_ns),
        "executor": one.executor,
        "parent": one.parent,
        "progress": None
        if progress is None
        else {"done": progress.done, "total": progress.total, "note": progress.note},
        "error": None if one.error is None else dict(one.error),
    }


def job_detail_row(one: JobStatus) -> dict[str, Any]:
    return {
        **job_row(one),
        "args": dict(one.args),
        "children": list(one.children),
        "steps": [_step_row(step) for step in one.steps],
        "result": one.result,
    }


def _step_row(one: StepStatus) -> dict[str, Any]:
    return {
        "number": one.number,
        "name": one.name,
        "started_at": _time(one.started_ns),
        "finished_at": _time(one.finished_ns),
        "error": None if one.error is None else dict(one.error),
    }


def event_row(one: JobEvent) -> dict[str, Any]:
    return {"number": one.number, "at": _time(one.at_ns), "kind": one.kind, "document": dict(one.document)}


def schedule_row(one: Planned) -> dict[str, Any]:
    return {
        **one.schedule.row(),
        "edited": one.is_edited,
        "fired_until": _time(one.fired_until_ns),
        "next_at": _time(one.next_ns),
    }
