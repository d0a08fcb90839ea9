"""The gateway as an ASGI application. It reads the store and answers; it has no code path to a forecaster."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI
from sqlalchemy import Engine

from gnomon._version import __version__
from gnomon.clock import Clock
from gnomon.jobs.engine.port import Jobs
from gnomon.jobs.schedules import Schedules
from gnomon.market.instrument import Instruments
from gnomon.serve.gateway import api, census, errors, health, page, record, showcase
from gnomon.serve.gateway.boards import Boards
from gnomon.serve.gateway.door import Door
from gnomon.serve.gateway.latest import Latest
from gnomon.serve.gateway.limits import Limiter
from gnomon.serve.gateway.memory import Memory
from gnomon.serve.gateway.metrics import Meter
from gnomon.serve.gateway.reading import Reading
from gnomon.serve.gateway.watch import Watch
from gnomon.serve.gateway.work import Guard, work_router


@dataclass(frozen=True, slots=True)
class WorkDoor:
    """What the doors of jobs and schedules open on; who may change anything shows the operator's token."""

    jobs: Jobs
    schedules: Schedules
    operator_token: str = ""


def create_app(
    engine: Engine,
    instruments: Instruments,
    clock: Clock,
    *,
    requests_per_minute: int = 0,
    work: WorkDoor | None = None,
) -> FastAPI:
    """The gateway over a migrated database.

    `requests_per_minute` limits each client address on the public routes; 0 means no limit. Without `work` there are
    no routes of jobs and schedules.
    """
    reading = Reading.of(engine, instruments, clock)
    boards, memory, meter = Boards(reading.scores, reading.slots), Memory(), Meter()
    watch = Watch(engine, lambda since: census.grown(engine, since), memory.drop)
    app = FastAPI(
        title="Gnomon",
        version=__version__,
        summary="Market forecasts, stored once, scored in public, beside an honest baseline.",
        docs_url=None,  # the usual pages load their scripts from elsewhere
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.reading, app.state.boards, app.state.meter = reading, boards, meter
    app.state.showcase = showcase.Showcase(Latest(reading, boards), memory, watch, meter)
    for router in (showcase.router, api.router, record.router, health.router):
        app.include_router(router)
    if work is not None:
        app.include_router(work_router(work.jobs, work.schedules, Guard(work.operator_token)))
    page.install(app)
    errors.install(app)
    app.add_middleware(Door, showcase=app.state.showcase, limiter=Limiter(requests_per_minute, clock), meter=meter)
    return app
