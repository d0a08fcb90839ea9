"""Verbs of processes: serve, up."""

from __future__ import annotations

from typing import Annotated

import typer

from gnomon.cli.verb import app, opened, serve, settings_of, verb
from gnomon.terminal import say


@serve.command("gateway")
@verb
def serve_gateway(
    host: Annotated[str, typer.Option(help="Default: GNOMON_GATEWAY_HOST.")] = "",
    port: Annotated[int, typer.Option(help="Default: GNOMON_GATEWAY_PORT.", min=-1, max=65535)] = -1,
) -> None:
    """The gateway: REST, metrics and the page."""
    import uvicorn

    from gnomon.serve.gateway.app import create_app
    from gnomon.wallclock import WallClock

    settings, store, configured = opened()
    instruments = configured.with_added(store.market.instruments())
    application = create_app(
        store.engine, instruments, WallClock(), requests_per_minute=settings.gateway_requests_per_minute
    )
    address, number = host or settings.gateway_host, settings.gateway_port if port < 0 else port
    say(f"gateway on http://{address}:{number}")
    uvicorn.run(application, host=address, port=number, log_level="warning", access_log=False)


@app.command()
@verb
def up(
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "",
    port: Annotated[int, typer.Option(help="Port of the gateway.", min=-1, max=65535)] = -1,
) -> None:
    """Everything in one process, on SQLite: today the gateway."""
    from gnomon.store.engine import open_engine, upgrade

    upgrade(open_engine(settings_of().url))
    serve_gateway(host=host, port=port)
