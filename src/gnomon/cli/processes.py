"""Verbs of processes: serve, up."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import typer

from gnomon.cli.verb import app, opened, serve, settings_of, verb
from gnomon.terminal import say

if TYPE_CHECKING:
    from gnomon.market.instrument import Instruments
    from gnomon.settings import Settings
    from gnomon.store.store import Store


@serve.command("gateway")
@verb
def serve_gateway(
    host: Annotated[str, typer.Option(help="Default: GNOMON_GATEWAY_HOST.")] = "",
    port: Annotated[int, typer.Option(help="Default: GNOMON_GATEWAY_PORT.", min=-1, max=65535)] = -1,
) -> None:
    """The gateway: REST, metrics and the page."""
    settings, store, configured = opened()
    _serve_gateway(settings, store, configured, host, port)


@app.command()
@verb
def up(
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "",
    port: Annotated[int, typer.Option(help="Port of the gateway.", min=-1, max=65535)] = -1,
) -> None:
    """Everything in one process, after an upgrade of the database: the gateway and a worker."""
    from gnomon.cli.work import worker_of
    from gnomon.store.engine import open_engine, upgrade

    upgrade(open_engine(settings_of().url))
    settings, store, configured = opened()
    worker, stop = worker_of(settings, store, configured), threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again once it has ended: the worker drains then
        signal.signal(name, lambda *_: stop.set())
    with ThreadPoolExecutor(1, thread_name_prefix="worker") as pool:
        working = pool.submit(worker.run, stop)
        try:
            while not worker.ready and not working.done():
                stop.wait(0.05)
            if not working.done():
                _serve_gateway(settings, store, configured, host, port)
        finally:
            stop.set()
    working.result()


def _serve_gateway(settings: Settings, store: Store, configured: Instruments, host: str, port: int) -> None:
    """Serve until the process is told to end."""
    import uvicorn

    from gnomon.jobs.engine.dbos_jobs import DbosJobs, system_url
    from gnomon.jobs.kinds import doors_only
    from gnomon.jobs.schedules import Schedules
    from gnomon.serve.gateway.app import WorkDoor, create_app
    from gnomon.store.schedules import ScheduleStore
    from gnomon.wallclock import WallClock

    clock = WallClock()
    with DbosJobs(system_url(settings.url), store.engine, doors_only(), clock) as jobs:
        application = create_app(
            store.engine,
            configured.with_added(store.market.instruments()),
            clock,
            requests_per_minute=settings.gateway_requests_per_minute,
            work=WorkDoor(jobs, Schedules(ScheduleStore(store.engine), jobs, clock), settings.operator_token),
        )
        address, number = host or settings.gateway_host, settings.gateway_port if port < 0 else port
        say(f"gateway on http://{address}:{number}")
        uvicorn.run(application, host=address, port=number, log_level="warning", access_log=False)
