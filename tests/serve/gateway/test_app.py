"""The application as a whole: what it can reach, what it may do, and that one slow reader holds up no other."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import pytest
from fastapi.routing import APIRoute

from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.kinds import KINDS, doors_only
from gnomon.jobs.schedules import Schedules
from gnomon.serve.gateway.app import WorkDoor, create_app
from gnomon.store.schedules import ScheduleStore

ASK = """
import json, sys
import gnomon.serve.gateway.app
never = (
    "torch", "pandas", "pyarrow", "dbos", "gnomon.jobs.predict", "gnomon.jobs.handlers",
    "gnomon.forecast.baselines", "gnomon.forecast.catalog",
)
print(json.dumps([name for name in sys.modules if name.startswith(never)]))
"""


def test_a_fresh_interpreter_that_imports_the_gateway_has_no_forecaster() -> None:
    loaded = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, timeout=300).stdout
    assert json.loads(loaded) == []


def test_without_a_door_to_jobs_every_route_only_reads(client: Any) -> None:
    routes = [route for route in client.app.routes if isinstance(route, APIRoute)]
    assert {method for route in routes for method in route.methods or ()} <= {"GET"}


def test_a_job_is_made_through_the_door_by_whoever_shows_the_token(world: Any, connect: Any) -> None:
    jobs = MemoryJobs(doors_only(), world.clock)
    work = WorkDoor(jobs, Schedules(ScheduleStore(world.engine), jobs, world.clock), "s3cret")
    client = connect(create_app(world.engine, world.instruments, world.clock, work=work))
    asked = {"kind": "score", "key": "1h:x", "args": {"timeframe": "1h"}}
    assert client.request("POST", "/api/v1/jobs", json=asked).status_code == 403
    shown = {"Authorization": "Bearer s3cret"}
    assert [client.request("POST", "/api/v1/jobs", json=asked, headers=shown).status_code for _ in range(2)] == [
        202,
        200,
    ]
    found = client.get("/api/v1/jobs/score:1h:x").json()
    assert (found["state"], found["queue"], found["args"]) == ("waiting", KINDS["score"], {"timeframe": "1h"})
    assert client.get("/api/v1/jobs").headers["access-control-allow-origin"] == "*"


def test_a_page_of_another_origin_is_not_told_that_it_may_change_anything(world: Any, connect: Any) -> None:
    jobs = MemoryJobs(doors_only(), world.clock)
    work = WorkDoor(jobs, Schedules(ScheduleStore(world.engine), jobs, world.clock))
    client = connect(create_app(world.engine, world.instruments, world.clock, work=work))
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = client.request("OPTIONS", "/api/v1/jobs", headers=asked)
    assert "POST" not in answer.headers.get("access-control-allow-methods", "")


def test_a_reader_who_waits_for_the_database_holds_up_nobody_else(
    world: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.issue()
    url = "/showcase/ml-prediction/BTCUSDT?model=ewma"
    client.get(url)
    release, finished = threading.Event(), []
    head = world.ledger.head

    def slow(lane: Any) -> Any:
        release.wait(600)
        return head(lane)

    monkeypatch.setattr(client.app.state.reading.ledger, "head", slow)
    waiting = threading.Thread(target=lambda: finished.append(client.get("/api/v1/ledger/head").status_code))
    waiting.start()
    assert client.get(url).status_code == 200
    assert finished == []
    release.set()
    waiting.join(600)
    assert finished == [200]


def test_two_gateways_over_one_database_share_nothing_else(world: Any, connect: Any) -> None:
    world.issue()
    one = connect(create_app(world.engine, world.instruments, world.clock))
    other = connect(create_app(world.engine, world.instruments, world.clock, requests_per_minute=1))
    url = "/showcase/ml-prediction/BTCUSDT?model=ewma"
    assert [other.get(url).status_code for _ in range(2)] == [200, 429]
    assert [one.get(url).status_code for _ in range(3)] == [200] * 3
