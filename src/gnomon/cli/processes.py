"""Verbs of processes: serve, up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gnomon.cli.verb import app, opened, serve, settings_of, verb
from gnomon.terminal import say, show_json

if TYPE_CHECKING:
    from gnomon.market.instrument import Instruments
    from gnomon.settings import Settings
    from gnomon.store.store import Store

GRACE_S: Final = 5
"""How long a gateway that is told to end waits for who has not finished asking or reading."""


@serve.command("gateway")
@verb
def serve_gateway(
    host: Annotated[str, typer.Option(help="Default: GNOMON_GATEWAY_HOST.")] = "",
    port: Annotated[int, typer.Option(help="Default: GNOMON_GATEWAY_PORT.", min=-1, max=65535)] = -1,
) -> None:
    """The gateway: REST, metrics and the page."""
    settings, store, configured = opened()
    _serve_gateway(settings, store, configured, host, port)


@serve.command("venue")
@verb
def serve_venue(
    host: Annotated[str, typer.Option(help="Default: GNOMON_VENUE_HOST.")] = "",
    port: Annotated[int, typer.Option(help="Default: GNOMON_VENUE_PORT; 0 takes a free one.", min=-1, max=65535)] = -1,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON once it serves.")] = False,
) -> None:
    """The venue: live sessions behind a Binance-shaped REST, WebSocket and WebSocket API."""
    from gnomon.cli.sessions import bots_of, token_of
    from gnomon.compat.named import trader_of
    from gnomon.jobs.replay import Replays
    from gnomon.serve.venue import process
    from gnomon.serve.venue.control import Control
    from gnomon.serve.venue.fleet import TelemetryDoor
    from gnomon.serve.venue.venue import Venue
    from gnomon.store.health import TelemetryStore
    from gnomon.store.sessions import SessionStore
    from gnomon.store.workspaces import EVERY
    from gnomon.wallclock import WallClock

    settings, store, configured = opened()
    clock, bots, sessions = WallClock(), bots_of(settings, store.engine), SessionStore(store.engine, EVERY)
    venue = Venue(bots, sessions, Replays(store, settings.root, configured, clock, trader_of), clock)
    telemetry = TelemetryDoor(TelemetryStore(store.engine), bots, clock, bots.open_key, venue.sockets_of)
    control = Control(SessionStore(store.engine), venue, clock, token_of(settings), telemetry.fleet)
    door = process.door_of(venue, control, telemetry)
    ports = {one: partial(sessions.of_port, one) for one in settings.session_ports}

    def ready(addresses: Sequence[tuple[str, int]]) -> None:
        urls = [f"http://{address}:{number}" for address, number in addresses]
        if as_json:
            show_json({"urls": urls})
        else:
            say(f"venue on {', '.join(urls)}")

    address, number = host or settings.venue_host, settings.venue_port if port < 0 else port
    process.run(venue, door, address, number, ports, ready)


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
        uvicorn.run(
            application, host=address, port=number, log_level="warning", access_log=False,
            timeout_graceful_shutdown=GRACE_S,
        )  # fmt: skip
