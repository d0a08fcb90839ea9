"""Jobs and schedules over HTTP: who may change what, ids in paths, pages, and one shape for every failure."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import openapi_spec_validator
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from sqlalchemy import Engine

from gnomon.clock import SimClock, parse_instant
from gnomon.errors import Invalid, Unavailable
from gnomon.jobs.engine.dbos_jobs import DbosJobs, system_url
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.engine.port import Handler, Handlers, Partial, Work
from gnomon.jobs.schedule import Schedule
from gnomon.jobs.schedules import Schedules, default_schedules
from gnomon.serve.gateway import errors
from gnomon.serve.gateway.work import Guard, work_router
from gnomon.serve.gateway.work_answers import (
    Backfilled,
    Enqueued,
    EventPage,
    JobDetail,
    JobPage,
    ScheduleEntry,
    SchedulePage,
)
from gnomon.store.engine import open_engine
from gnomon.store.schedules import ScheduleStore
from gnomon.units import HOUR_NS, SECOND_NS
from gnomon.wallclock import WallClock

API = "/api/v1"
NOW_NS = parse_instant("2026-04-28T12:30:00Z")
CONFORMING = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
HERE, AWAY = ("127.0.0.1", 5000), ("203.0.113.7", 5000)


def run_score(work: Work) -> Any:
    for number in range(3):
        work.step(f"page {number}", lambda n=number: n)
        work.progress(number + 1, 3, "pages")
    return {"scored": 3}


def run_parent(work: Work) -> Any:
    return [one.state for one in work.wait([work.child("score", f"{work.key}:child", {})])]


class Weather:
    """Fails as long as it is told to."""

    def __init__(self) -> None:
        self.is_bad = True

    def run(self, work: Work) -> Any:
        work.step("before", lambda: 1)
        return work.step("weather", self._look)

    def _look(self) -> str:
        if self.is_bad:
            raise Invalid("bad weather", hint="wait")
        return "fine"


@dataclass
class Office:
    """A gateway's routes for work over jobs in memory, asked as from some address."""

    engine: Engine
    clock: SimClock = field(default_factory=lambda: SimClock(NOW_NS))
    weather: Weather = field(default_factory=Weather)
    apps: dict[str, FastAPI] = field(default_factory=dict)

    def __post_init__(self) -> None:
        handlers = [
            Handler("score", run_score),
            Handler("parent", run_parent, queue="io"),
            Handler("weather", self.weather.run),
            Handler("odd", lambda _: Partial({"made": 1}, ({"item": "x"},))),
        ]
        self.jobs = MemoryJobs(Handlers(handlers), self.clock)
        self.schedules = Schedules(ScheduleStore(self.engine), self.jobs, self.clock)

    def app(self, token: str = "") -> FastAPI:
        if token in self.apps:
            return self.apps[token]
        app = self.apps[token] = FastAPI(title="work", version="1")
        app.include_router(work_router(self.jobs, self.schedules, Guard(token)))
        errors.install(app)
        return app

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        client: tuple[str, int] | None = HERE,
        host: str = "localhost:8080",
        **options: Any,
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app(token), client=client or ("", 0))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as door:
                return await door.request(method, path if path.startswith("/api") else API + path, **options)

        return anyio.run(send)

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        answer = self.ask("GET", path, params=params or None)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, status: int = 200, document: Any = None, **options: Any) -> Any:
        answer = self.ask("POST", path, json=document, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def make(self, key: str, kind: str = "score", **asked: Any) -> str:
        return str(self.post("/jobs", 202, {"kind": kind, "key": key, **asked})["job_id"])


@pytest.fixture
def office(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Office]:
    """On SQLite alone: what is stored is tested on both databases where it is stored."""
    file = tmp_path / "gnomon.db"
    shutil.copyfile(migrated_sqlite, file)
    engine = open_engine(f"sqlite:///{file}")
    yield Office(engine)
    engine.dispose()


def refused(answer: httpx.Response, status: int, error: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    assert set(document) == {"error", "message", "hint", "detail"}
    assert document["error"] == error
    return document


# --- making jobs ----------------------------------------------------------------------------------------------------


def test_a_job_is_made_once_and_found_afterwards(office: Office) -> None:
    asked = {"kind": "score", "key": "1h:2026-04-28T12:05:00Z", "args": {"timeframe": "1h"}}
    first, second = office.ask("POST", "/jobs", json=asked), office.ask("POST", "/jobs", json=asked)
    assert (first.status_code, second.status_code) == (202, 200)
    expected = {"job_id": "score:1h:2026-04-28T12:05:00Z", "state": "waiting", "key": asked["key"]}
    assert first.json() == {**expected, "created": True}
    assert second.json() == {**expected, "created": False}
    Enqueued.model_validate(first.json())
    assert office.ask("GET", first.headers["location"]).json()["args"] == {"timeframe": "1h"}


def test_without_a_key_each_call_makes_a_job(office: Office) -> None:
    keys = [office.post("/jobs", 202, {"kind": "score"})["key"] for _ in range(3)]
    assert keys == [f"2026-04-28T12:30:00Z+manual-{number}" for number in (1, 2, 3)]


def test_queue_priority_and_delay_are_passed_on(office: Office) -> None:
    office.make("late", queue="io", priority=7, delay_s=60)
    one = office.get("/jobs/score:late")
    assert (one["queue"], one["priority"], one["state"]) == ("io", 7, "delayed")


def test_the_job_of_a_tick_can_be_made_from_outside(office: Office) -> None:
    office.schedules.put(Schedule("s", "55 * * * *", "score", "1h"))
    office.clock.advance_to(NOW_NS + HOUR_NS)
    office.make("1h:2026-04-28T12:55:00Z")
    assert [one.created for one in office.schedules.tick()] == [False]


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        ({"kind": "unheard", "key": "a"}, 404, "not_found"),
        ({"key": "a"}, 422, "invalid"),
        ({"kind": "score", "key": "a/b"}, 422, "invalid"),
        ({"kind": "score", "key": "a b"}, 422, "invalid"),
        ({"kind": "score", "key": ""}, 422, "invalid"),
        ({"kind": "score", "key": "a\n"}, 422, "invalid"),
        ({"kind": "score", "args": [1]}, 422, "invalid"),
        ({"kind": "score", "args": {"x": "y" * 70_000}}, 400, "invalid"),
        ({"kind": "score", "priority": -1}, 422, "invalid"),
        ({"kind": "score", "delay_s": -1}, 422, "invalid"),
        ({"kind": "score", "delay_s": 1e12}, 422, "invalid"),
        ({"kind": "score", "colour": "red"}, 422, "invalid"),
        ([], 422, "invalid"),
    ],
)
def test_a_job_that_cannot_be_is_refused(office: Office, document: Any, status: int, error: str) -> None:
    refused(office.ask("POST", "/jobs", json=document), status, error)
    assert office.get("/jobs")["items"] == []


def test_what_is_no_json_is_refused(office: Office) -> None:
    answer = office.ask("POST", "/jobs", content=b"{", headers={"content-type": "application/json"})
    refused(answer, 422, "invalid")


# --- looking at jobs ------------------------------------------------------------------------------------------------


def test_a_job_is_shown_with_its_steps_and_its_result(office: Office) -> None:
    office.make("a")
    office.jobs.run_due()
    one = office.get("/jobs/score:a")
    JobDetail.model_validate(one)
    assert (one["state"], one["result"], one["created_at"]) == ("done", {"scored": 3}, "2026-04-28T12:30:00Z")
    assert [step["name"] for step in one["steps"]] == ["page 0", "page 1", "page 2"]
    assert one["progress"] == {"done": 3, "total": 3, "note": "pages"}


def test_events_are_told_beyond_a_number(office: Office) -> None:
    office.make("a")
    assert office.get("/jobs/score:a/events") == {"items": [], "last": 0, "state": "waiting"}
    office.jobs.run_due()
    page = office.get("/jobs/score:a/events")
    EventPage.model_validate(page)
    assert [one["kind"] for one in page["items"]] == ["step", "progress"] * 3
    rest = office.get("/jobs/score:a/events", after=page["items"][2]["number"])
    assert rest["items"] == page["items"][3:]
    assert office.get("/jobs/score:a/events", after=page["last"])["items"] == []


@pytest.mark.parametrize("key", ["2026-04-28T12:30:00Z+manual-1", "a?b=c#d", "50%", "ä€", "a%2Fb", "a;b&c", "'\"<x>"])
def test_ids_survive_the_path(office: Office, key: str) -> None:
    answer = office.ask("POST", "/jobs", json={"kind": "score", "key": key})
    assert answer.status_code == 202
    for path in (answer.headers["location"], f"/jobs/{quote('score:' + key, safe='')}"):
        assert office.ask("GET", path).json()["key"] == key


def test_what_is_not_there_is_not_found(office: Office) -> None:
    for path in ("/jobs/score:none", "/jobs/none", "/jobs/score:none/events", "/schedules/none"):
        refused(office.ask("GET", path), 404, "not_found")
    for path in ("/jobs/score:none/cancel", "/jobs/score:none/resume", "/jobs/score:none/retry"):
        refused(office.ask("POST", path), 404, "not_found")
    for verb in ("pause", "resume", "trigger"):
        refused(office.ask("POST", f"/schedules/none/{verb}"), 404, "not_found")


def ids(page: dict[str, Any]) -> list[str]:
    return [one["job_id"] for one in page["items"]]


def test_jobs_are_filtered(office: Office) -> None:
    office.make("a")
    office.clock.advance_to(NOW_NS + 60 * SECOND_NS)
    office.make("b", kind="parent")
    office.make("c", kind="odd")
    office.jobs.run_due()
    office.make("d", kind="weather", queue="slow")
    page = office.get("/jobs")
    JobPage.model_validate(page)
    assert sorted(ids(page)) == ["odd:c", "parent:b", "score:a", "score:b:child", "weather:d"]
    found: dict[str, Sequence[str]] = {
        "kind=score": ["score:a", "score:b:child"],
        "state=waiting": ["weather:d"],
        "state=partial&state=waiting": ["odd:c", "weather:d"],
        "queue=io": ["parent:b"],
        "queue=slow": ["weather:d"],
        "text=b": ["parent:b", "score:b:child"],
        "to=2026-04-28T12:30:01Z": ["score:a"],
        "from=2026-04-28T12:30:01Z": ["odd:c", "parent:b", "score:b:child", "weather:d"],
        "kind=nothing": [],
    }
    for query, expected in found.items():
        assert sorted(ids(office.get(f"/jobs?{query}"))) == expected, query
    child = office.get("/jobs/score:b:child")
    assert child["parent"] == "parent:b"
    assert office.get("/jobs/parent:b")["children"] == ["score:b:child"]


def test_jobs_are_filtered_by_their_schedule(office: Office) -> None:
    office.schedules.put(Schedule("s", "0 * * * *", "score", "1h"))
    office.schedules.trigger("s")
    office.make("1d:x")
    assert ids(office.get("/jobs", schedule="s")) == ["score:1h:2026-04-28T12:30:00Z+manual-1"]
    office.get("/jobs", 404, schedule="none")
    office.get("/jobs", 400, schedule="s", text="x")


def test_pages_hold_every_job_once_while_new_ones_come(office: Office) -> None:
    for number in range(7):
        office.clock.advance_to(office.clock.at_ns + SECOND_NS)
        office.make(f"k{number}")
    seen, cursor = [], ""
    for _ in range(10):
        page = office.get("/jobs", limit=3, **({"cursor": cursor} if cursor else {}))
        seen += ids(page)
        office.clock.advance_to(office.clock.at_ns + SECOND_NS)
        office.make(f"new{office.clock.at_ns}")
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"score:k{number}" for number in range(6, -1, -1)]


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=WzEsMiwzXQ", "cursor=Wy0xLDBd", "limit=0", "state=odd", "from=yesterday", "to=x"]
)
def test_a_question_that_cannot_be_is_refused(office: Office, query: str) -> None:
    answer = office.ask("GET", f"/jobs?{query}")
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code, "invalid")


# --- transitions ----------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_and_resumed(office: Office) -> None:
    office.make("a")
    assert office.post("/jobs/score:a/cancel")["state"] == "cancelled"
    assert office.post("/jobs/score:a/resume")["state"] == "waiting"
    office.jobs.run_due()
    assert office.get("/jobs/score:a")["state"] == "done"


def test_a_failed_job_is_retried_in_place(office: Office) -> None:
    office.make("a", kind="weather")
    office.jobs.run_due()
    failed = office.get("/jobs/weather:a")
    assert failed["state"] == "failed"
    assert failed["error"] == {"error": "invalid", "message": "bad weather", "hint": "wait", "detail": {}}
    office.weather.is_bad = False
    assert office.post("/jobs/weather:a/retry")["state"] == "waiting"
    office.jobs.run_due()
    assert office.get("/jobs/weather:a")["result"] == "fine"


def test_an_illegal_transition_is_a_conflict(office: Office) -> None:
    office.make("a")
    for verb in ("resume", "retry"):
        assert "waiting" in refused(office.ask("POST", f"/jobs/score:a/{verb}"), 409, "conflict")["message"]
    office.jobs.run_due()
    for verb in ("cancel", "resume", "retry"):
        assert "done" in refused(office.ask("POST", f"/jobs/score:a/{verb}"), 409, "conflict")["message"]


def test_children_are_spared_on_request(office: Office) -> None:
    office.make("p", kind="parent")
    office.jobs._run(office.jobs._next())  # type: ignore[arg-type]  # the parent alone, which then waits
    office.post("/jobs/parent:p/cancel?children=false")
    assert office.get("/jobs/score:p:child")["state"] == "waiting"


# --- schedules ------------------------------------------------------------------------------------------------------


def test_the_defaults_are_listed_and_shown(office: Office) -> None:
    office.schedules.declare(default_schedules())
    page = office.get("/schedules")
    SchedulePage.model_validate(page)
    assert [one["name"] for one in page["items"]] == sorted(one.name for one in default_schedules())
    one = office.get("/schedules/score-signals-1h")
    ScheduleEntry.model_validate(one)
    assert (one["next_at"], one["edited"], one["enabled"]) == ("2026-04-28T13:05:00Z", False, True)
    assert office.get("/schedules/kronosbot")["next_at"] is None


def test_a_schedule_is_put_whole(office: Office) -> None:
    asked = {"cron": "*/5 * * * *", "kind": "score", "key": "1h", "args": {"a": 1}, "timezone": "Asia/Tokyo"}
    made = office.ask("PUT", "/schedules/mine", json=asked)
    assert made.status_code == 200
    assert made.json() == office.get("/schedules/mine")
    assert (made.json()["timezone"], made.json()["edited"]) == ("Asia/Tokyo", True)
    again = office.ask("PUT", "/schedules/mine", json={**asked, "timezone": "UTC", "args": {}}).json()
    assert (again["timezone"], again["args"]) == ("UTC", {})


@pytest.mark.parametrize(
    ("name", "change", "status"),
    [
        ("mine", {"cron": "61 * * * *"}, 400),
        ("mine", {"timezone": "Mars/Olympus"}, 400),
        ("a b", {}, 400),
        ("mine", {"kind": "a:b"}, 400),
        ("mine", {"catch_up": "some"}, 422),
        ("mine", {"grace_s": -1}, 422),
        ("mine", {"name": "other"}, 422),
        ("mine", {"cron": None}, 422),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(office: Office, name: str, change: Any, status: int) -> None:
    asked = {"cron": "5 * * * *", "kind": "score", "key": "1h", **change}
    refused(office.ask("PUT", f"/schedules/{quote(name)}", json=asked), status, "invalid")
    assert office.get("/schedules")["items"] == []


def test_a_schedule_is_paused_resumed_triggered_and_filled_back(office: Office) -> None:
    office.schedules.put(Schedule("s", "0 * * * *", "score", "1h"))
    assert office.post("/schedules/s/pause")["enabled"] is False
    assert office.post("/schedules/s/resume")["enabled"] is True
    job = office.post("/schedules/s/trigger", 202)
    assert job == {
        "job_id": "score:1h:2026-04-28T12:30:00Z+manual-1",
        "state": "waiting",
        "created": True,
        "key": "1h:2026-04-28T12:30:00Z+manual-1",
    }
    window = {"from": "2026-04-28T01:00:00Z", "to": "2026-04-28T03:30:00Z"}
    filled = office.post("/schedules/s/backfill", 202, window)
    Backfilled.model_validate(filled)
    assert [one["key"][-9:] for one in filled["items"]] == ["01:00:00Z", "02:00:00Z", "03:00:00Z"]
    assert filled["created"] == 3
    assert office.post("/schedules/s/backfill", 202, window)["created"] == 0


@pytest.mark.parametrize(
    ("window", "status"),
    [
        ({"from": "2026-04-28T03:00:00Z", "to": "2026-04-28T01:00:00Z"}, 400),
        ({"from": "2026-04-28", "to": "2027-04-28"}, 400),
        ({"from": "x", "to": "y"}, 400),
        ({"from": "2026-04-28"}, 422),
        (None, 422),
    ],
)
def test_a_window_that_cannot_be_is_refused(office: Office, window: Any, status: int) -> None:
    office.schedules.put(Schedule("s", "0 * * * *", "score", "1h"))
    refused(office.ask("POST", "/schedules/s/backfill", json=window), status, "invalid")


# --- who may --------------------------------------------------------------------------------------------------------

CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "/jobs", {"kind": "score", "key": "new"}),
    ("POST", "/jobs/score:a/cancel", None),
    ("POST", "/jobs/score:a/resume", None),
    ("POST", "/jobs/score:a/retry", None),
    ("PUT", "/schedules/s", {"cron": "5 * * * *", "kind": "score", "key": "1h"}),
    ("POST", "/schedules/s/pause", None),
    ("POST", "/schedules/s/resume", None),
    ("POST", "/schedules/s/trigger", None),
    ("POST", "/schedules/s/backfill", {"from": "2026-04-28", "to": "2026-04-28"}),
]


def test_the_list_of_changes_is_whole(office: Office) -> None:
    paths = office.app().openapi()["paths"]
    changing = {(method.upper(), path) for path, methods in paths.items() for method in methods if method != "get"}
    listed = {
        (method, API + path.replace("score:a", "{id}").replace("/schedules/s", "/schedules/{name}"))
        for method, path, _ in CHANGES
    }
    assert changing == listed


@pytest.mark.parametrize(
    "asked",
    [
        {"client": AWAY},
        {"client": None},
        {"token": "secret"},
        {"token": "secret", "headers": {"authorization": "Bearer wrong"}},
        {"token": "secret", "headers": {"authorization": "Basic secret"}},
        {"token": "secret", "headers": {"authorization": "Bearer"}},
        {"headers": {"origin": "https://example.com"}},
        {"headers": {"origin": "null"}},
        {"headers": {"x-forwarded-for": "127.0.0.1"}},
        {"host": "rebound.example.com"},
    ],
    ids=str,
)
def test_who_may_not_change_anything_is_refused(office: Office, asked: dict[str, Any]) -> None:
    office.make("a")
    office.schedules.put(Schedule("s", "0 * * * *", "score", "1h"))
    before = office.get("/jobs"), office.get("/schedules")
    for method, path, document in CHANGES:
        found = refused(office.ask(method, path, json=document, **asked), 403, "refused")
        assert "Authorization: Bearer" in found["hint"]
    assert (office.get("/jobs"), office.get("/schedules")) == before


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"client": ("::1", 5000), "host": "[::1]:8080"},
        {"client": ("::ffff:127.0.0.1", 5000), "host": "127.0.0.1:8080"},
        {"headers": {"origin": "http://localhost:8080"}},
        {
            "client": AWAY,
            "host": "gnomon.example.com",
            "token": "secret",
            "headers": {"authorization": "Bearer secret"},
        },
        {"client": AWAY, "token": "secret", "headers": {"authorization": "bearer secret"}},
        {"client": AWAY, "token": "gehäim", "headers": {"authorization": "Bearer gehäim".encode()}},
    ],
    ids=str,
)
def test_who_may_change_jobs_does(office: Office, asked: dict[str, Any]) -> None:
    assert office.ask("POST", "/jobs", json={"kind": "score", "key": "a"}, **asked).status_code == 202


def test_anybody_may_read(office: Office) -> None:
    office.make("a")
    for path in ("/jobs", "/jobs/score:a", "/jobs/score:a/events", "/schedules"):
        assert office.ask("GET", path, client=AWAY, token="secret").status_code == 200


# --- the document ---------------------------------------------------------------------------------------------------


def test_a_store_of_jobs_that_does_not_answer_is_unavailable(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise Unavailable("the engine's database does not answer", hint="later")

    monkeypatch.setattr(office.jobs, "find", away)
    answer = office.ask("GET", "/jobs")
    refused(answer, 503, "unavailable")
    assert answer.headers["retry-after"]


def test_the_document_is_valid_and_gives_examples(office: Office) -> None:
    document = office.app().openapi()
    openapi_spec_validator.validate(document)
    for methods in document["paths"].values():
        for one in methods.values():
            assert one["summary"]
            assert {"422", "429", "503"} <= set(one["responses"])
    assert document["components"]["schemas"]["NewJob"]["examples"]


@pytest.mark.slow
def test_the_document_is_true(office: Office) -> None:
    office.schedules.declare(default_schedules())
    office.make("a")
    office.jobs.run_due()
    schema = schemathesis.openapi.from_asgi("/openapi.json", office.app("secret"))
    steered = {"id": "score:a", "name": "score-signals-1h", "kind": "score", "cursor": "", "from": "2026-04-01"}
    for path, methods in office.app().openapi()["paths"].items():
        for method in methods:
            conform(schema[path][method.upper()], {**steered, "to": "2026-04-28", "schedule": "board"})


def conform(operation: Any, steered: dict[str, str]) -> None:
    """Ask generated questions of one operation, every other one about what is there."""

    @settings(max_examples=6, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE), about_stored=st.booleans())
    def check(case: Any, about_stored: bool) -> None:
        for given_ in (case.path_parameters, case.query) if about_stored else ():
            if isinstance(given_, dict):
                given_.update({name: value for name, value in steered.items() if name in given_})
        case.call_and_validate(checks=CONFORMING, headers={"authorization": "Bearer secret"})

    check()


# --- on the durable engine ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_routes_answer_alike_on_the_durable_engine(database_url: str, engine: Engine) -> None:
    """Without a worker: making, finding, cancelling and resuming need none."""
    with DbosJobs(system_url(database_url), engine, Handlers([Handler("score", run_score)]), WallClock()) as jobs:
        office = Office(engine)
        office.jobs, office.schedules = jobs, Schedules(ScheduleStore(engine), jobs, WallClock())  # type: ignore[assignment]  # the other back end of the port
        made = [office.ask("POST", "/jobs", json={"kind": "score", "key": "1h:é?x"}) for _ in range(2)]
        assert [one.status_code for one in made] == [202, 200]
        JobDetail.model_validate(office.ask("GET", made[0].headers["location"]).json())
        path = f"/jobs/{quote('score:1h:é?x')}"
        assert office.post(f"{path}/cancel")["state"] == "cancelled"
        assert office.ask("POST", f"{path}/cancel").status_code == 409
        assert office.ask("POST", f"{path}/retry").status_code == 409
        assert office.post(f"{path}/resume")["state"] == "waiting"
        assert office.get(f"{path}/events")["items"] == []
        office.schedules.put(Schedule("s", "* * * * *", "score", "1m", catch_up="all"))
        assert office.post("/schedules/s/trigger", 202)["created"]
        window = {"from": "2026-04-28T01:00:00Z", "to": "2026-04-28T01:04:30Z"}
        assert office.post("/schedules/s/backfill", 202, window)["created"] == 5
        assert office.post("/schedules/s/backfill", 202, window)["created"] == 0
        seen, cursor = [], ""
        while cursor is not None:
            page = office.get("/jobs", schedule="s", limit=2, **({"cursor": cursor} if cursor else {}))
            JobPage.model_validate(page)
            seen += ids(page)
            cursor = page["next_cursor"]
        assert len(seen) == len(set(seen)) == 6
        assert len(office.get("/jobs", state="waiting")["items"]) == 7
        for asked in ("/jobs/score:none", "/jobs/score:none/events"):
            assert office.ask("GET", asked).status_code == 404
        assert office.ask("POST", "/jobs", json={"kind": "unheard"}).status_code == 404
