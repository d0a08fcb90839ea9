"""`/api/v1/jobs` and `/api/v1/schedules`: the two calls that an outside orchestrator needs, and the rest.

Reading is open, as everywhere in the gateway. Changing anything is guarded.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import Response

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid, Refused
from gnomon.jobs.engine.port import Job, JobFilter, Jobs, State
from gnomon.jobs.schedule import Schedule
from gnomon.jobs.schedules import Schedules
from gnomon.serve.gateway import work_answers as answers
from gnomon.serve.gateway.table import cursor_after, cursor_position, dumps, json_response
from gnomon.units import INT64_MAX, SECOND_NS

PREFIX: Final = "/api/v1"
_WORD: Final = r"^[^\x00-\x1f\x7f]{1,400}$"
_FARTHEST: Final = 1_000_000  # rows into a list
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")

Id = Annotated[str, Path(pattern=_WORD, description="`kind:key`, percent-encoded.", examples=["score:1h:x"])]
Name = Annotated[str, Path(pattern=_WORD, description="A schedule's name.", examples=["score-signals-1h"])]
Kind = Annotated[str | None, Query(description="Of this kind.", pattern=_WORD, examples=["score"])]
Of = Annotated[list[State] | None, Query(alias="state", description="In one of these states; default: any.")]
InQueue = Annotated[str | None, Query(alias="queue", description="Of this queue.", pattern=_WORD)]
By = Annotated[str | None, Query(alias="schedule", description="Made by this schedule.", pattern=_WORD)]
Text = Annotated[str | None, Query(description="With this in their id.", pattern=_WORD)]
Since = Annotated[str | None, Query(alias="from", description="Made at or after this instant.", pattern=_WORD)]
Until = Annotated[str | None, Query(alias="to", description="Made before this instant.", pattern=_WORD)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Rows at most.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the answer before.", pattern=_WORD)]
After = Annotated[int, Query(ge=0, le=INT64_MAX, description="Events beyond this number.")]
Children = Annotated[bool, Query(description="The jobs that it made, too.")]

_READ: Final = answers.problems(400, 404, 422, 429, 503)
_CHANGE: Final = answers.problems(400, 403, 404, 409, 422, 429, 503)


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may change anything: whoever shows the operator's token; where none is set, clients of this machine alone.

    Without a token a page in the operator's own browser must not pass for the operator: a request from another origin,
    to another host's name (a rebound one), or through a proxy is refused.
    """

    operator_token: str = ""

    async def check(self, request: Request) -> None:
        """Nothing, or `Refused`."""
        if self.operator_token:
            scheme, _, shown = request.headers.get("authorization", "").partition(" ")
            is_known = hmac.compare_digest(shown.strip().encode("latin-1"), self.operator_token.encode())
            if scheme.lower() != "bearer" or not is_known:
                raise Refused(
                    "changing jobs and schedules needs the operator's token",
                    hint="send the header `Authorization: Bearer TOKEN`",
                )
        elif not _is_local(request):
            raise Refused(
                "without an operator's token only clients on the gateway's own machine may change anything",
                hint="set GNOMON_OPERATOR_TOKEN for the gateway and send it as `Authorization: Bearer TOKEN`",
            )


def _is_local(request: Request) -> bool:
    host = urlsplit(f"//{request.headers.get('host', '')}")
    origin = request.headers.get("origin")
    return (
        request.client is not None
        and _is_loopback(request.client.host)
        and not any(name in request.headers for name in _FORWARDED)
        and (host.hostname == "localhost" or _is_loopback(host.hostname or ""))
        and (origin is None or urlsplit(origin).netloc == host.netloc)
    )


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def work_router(jobs: Jobs, schedules: Schedules, guard: Guard) -> APIRouter:
    """The routes over a port of jobs and the schedules of a store."""
    router = APIRouter()
    router.include_router(_job_reads(jobs, schedules))
    router.include_router(_job_changes(jobs, schedules, guard))
    router.include_router(_schedule_reads(schedules))
    router.include_router(_schedule_changes(schedules, guard))
    return router


# --- jobs -----------------------------------------------------------------------------------------------------------


def _job_reads(jobs: Jobs, schedules: Schedules) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["jobs"])

    @router.get("/jobs", response_model=answers.JobPage, responses=_READ, summary="Jobs, newest first")
    def list_jobs(
        kind: Kind = None,
        states: Of = None,
        queue: InQueue = None,
        schedule: By = None,
        text: Text = None,
        since: Since = None,
        until: Until = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        if schedule is not None and text is not None:
            raise Invalid("both schedule and text are given", hint="give one of them")
        before_ns, offset = _position(cursor, None if until is None else parse_instant(until))
        which = JobFilter(
            kind=kind or "",
            states=tuple(states or ()),
            queue=queue or "",
            text=(text or "") if schedule is None else schedules.get(schedule).schedule.id_prefix,
            first_ns=None if since is None else parse_instant(since),
            last_ns=before_ns,
            limit=limit + 1,
            offset=offset,
        )
        found = jobs.find(which)
        more = None
        if len(found) > limit:  # jobs that come later do not shift the pages of this list
            ends_ns = found[0].created_ns + 1 if before_ns is None else before_ns
            more = cursor_after([ends_ns, offset + limit])
        return json_response({"items": [answers.job_row(one) for one in found[:limit]], "next_cursor": more})

    @router.get(
        "/jobs/{id}", response_model=answers.JobDetail, responses=_READ, summary="One job with its steps and its result"
    )
    def get_job(id: Id) -> Response:  # noqa: A002 - the parameter's name in the path
        return json_response(answers.job_detail_row(jobs.status(id)))

    @router.get(
        "/jobs/{id}/events",
        response_model=answers.EventPage,
        responses=_READ,
        summary="What has happened within a job, beyond a number",
    )
    def list_events(id: Id, after: After = 0) -> Response:  # noqa: A002 - as above
        state = jobs.status(id).state  # before the events: a job that is finished here has no later ones
        rows = [answers.event_row(one) for one in jobs.events(id, after=after)]
        return json_response({"items": rows, "last": rows[-1]["number"] if rows else after, "state": state})

    return router


def _job_changes(jobs: Jobs, schedules: Schedules, guard: Guard) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["jobs"], dependencies=[Depends(guard.check)])

    @router.post(
        "/jobs",
        status_code=202,
        response_model=answers.Enqueued,
        responses={200: {"model": answers.Enqueued, "description": "It was there already."}, **_CHANGE},
        summary="Make a job, or find the one of the same kind and key",
    )
    def create_job(asked: Annotated[answers.NewJob, Body()]) -> Response:
        return _enqueued(_enqueue(jobs, asked, schedules.clock.now_ns()))

    @router.post(
        "/jobs/{id}/cancel",
        response_model=answers.JobDetail,
        responses=_CHANGE,
        summary="Stop a job at the end of the step that runs",
    )
    def cancel_job(id: Id, children: Children = True) -> Response:  # noqa: A002 - as above
        jobs.cancel(id, children=children)
        return json_response(answers.job_detail_row(jobs.status(id)))

    @router.post(
        "/jobs/{id}/resume",
        response_model=answers.JobDetail,
        responses=_CHANGE,
        summary="Let a cancelled or orphaned job go on from its first unfinished step",
    )
    def resume_job(id: Id) -> Response:  # noqa: A002 - as above
        jobs.resume(id)
        return json_response(answers.job_detail_row(jobs.status(id)))

    @router.post(
        "/jobs/{id}/retry",
        response_model=answers.JobDetail,
        responses=_CHANGE,
        summary="Run a failed job again from the step that failed",
    )
    def retry_job(id: Id) -> Response:  # noqa: A002 - as above
        jobs.resume(id, retry=True)
        return json_response(answers.job_detail_row(jobs.status(id)))

    return router


# --- schedules ------------------------------------------------------------------------------------------------------


def _schedule_reads(schedules: Schedules) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["schedules"])

    @router.get("/schedules", response_model=answers.SchedulePage, responses=_READ, summary="Every schedule, by name")
    def list_schedules() -> Response:
        return json_response({"items": [answers.schedule_row(one) for one in schedules.list()]})

    @router.get("/schedules/{name}", response_model=answers.ScheduleEntry, responses=_READ, summary="One schedule")
    def get_schedule(name: Name) -> Response:
        return json_response(answers.schedule_row(schedules.get(name)))

    return router


def _schedule_changes(schedules: Schedules, guard: Guard) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["schedules"], dependencies=[Depends(guard.check)])

    @router.put(
        "/schedules/{name}",
        response_model=answers.ScheduleEntry,
        responses=_CHANGE,
        summary="Add or replace a schedule",
    )
    def put_schedule(name: Name, asked: Annotated[answers.ScheduleAsked, Body()]) -> Response:
        made = Schedule.from_row({**asked.model_dump(), "name": name})
        return json_response(answers.schedule_row(schedules.put(made)))

    @router.post(
        "/schedules/{name}/pause", response_model=answers.ScheduleEntry, responses=_CHANGE, summary="No more ticks"
    )
    def pause_schedule(name: Name) -> Response:
        return json_response(answers.schedule_row(schedules.pause(name)))

    @router.post(
        "/schedules/{name}/resume",
        response_model=answers.ScheduleEntry,
        responses=_CHANGE,
        summary="Go on from now; what was paused is not made up",
    )
    def resume_schedule(name: Name) -> Response:
        return json_response(answers.schedule_row(schedules.resume(name)))

    @router.post(
        "/schedules/{name}/trigger",
        status_code=202,
        response_model=answers.Enqueued,
        responses=_CHANGE,
        summary="Make a job now, beside the ticks",
    )
    def trigger_schedule(name: Name) -> Response:
        return _enqueued(schedules.trigger(name))

    @router.post(
        "/schedules/{name}/backfill",
        status_code=202,
        response_model=answers.Backfilled,
        responses=_CHANGE,
        summary="Make the jobs of the ticks of a window, at most 1,000",
    )
    def backfill_schedule(name: Name, window: Annotated[answers.Window, Body()]) -> Response:
        made = schedules.backfill(name, parse_instant(window.since), parse_instant(window.until))
        rows = [answers.enqueued_row(one) for one in made]
        return _accepted({"created": sum(one.created for one in made), "items": rows})

    return router


# --- inside ---------------------------------------------------------------------------------------------------------


def _enqueue(jobs: Jobs, asked: answers.NewJob, now_ns: int) -> Job:
    """The job that was asked for; without a key a new one, whose key is the second it was asked in, and a number."""
    options: dict[str, Any] = {"queue": asked.queue, "priority": asked.priority, "delay_s": asked.delay_s}
    if asked.key is not None:
        return jobs.enqueue(asked.kind, asked.key, asked.args, **options)
    number = 0
    while True:
        number += 1
        key = f"{iso(now_ns // SECOND_NS * SECOND_NS)}+manual-{number}"
        job = jobs.enqueue(asked.kind, key, asked.args, **options)
        if job.created:
            return job


def _position(cursor: str | None, before_ns: int | None) -> tuple[int | None, int]:
    """Before which instant the jobs of a list were made, and how many of them were answered."""
    position = cursor_position(cursor, length=2)
    if position is None:
        return before_ns, 0
    if not (0 <= position[0] <= INT64_MAX and 0 <= position[1] <= _FARTHEST):
        raise Invalid(f"not a cursor: {cursor!r}", hint="give `next_cursor` of the answer before, or none to begin")
    return position[0], position[1]


def _enqueued(job: Job) -> Response:
    where = f"{PREFIX}/jobs/{quote(job.id, safe=':+@=,')}"
    return _accepted(answers.enqueued_row(job), status=202 if job.created else 200, location=where)


def _accepted(document: Any, *, status: int = 202, location: str = "") -> Response:
    headers = {"location": location} if location else None
    return Response(dumps(document), status, media_type="application/json", headers=headers)
