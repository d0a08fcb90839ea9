"""The process of a venue: composed, serving on its ports, until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from gnomon.errors import GnomonError
from gnomon.serve.venue.control import Control, error_document
from gnomon.serve.venue.fleet import TelemetryDoor
from gnomon.serve.venue.server import Door, PlainRequest
from gnomon.serve.venue.sockets import SocketRules
from gnomon.serve.venue.venue import Venue


def door_of(venue: Venue, control: Control, telemetry: TelemetryDoor | None = None) -> Door:
    """The door of a venue, with the paths beside Binance's."""
    annexes: dict[str, Any] = {"/sim/v1/plan": _plan_of(venue), "/sim/v1/": _control_of(control)}
    if telemetry is not None:
        annexes["/api/v1/live/telemetry"] = _telemetry_of(telemetry)
    rules = SocketRules(when_full="wait")
    return Door(venue, venue.keys, venue.door_handlers, venue, venue.clock, rules=rules, annexes=annexes)


def texts_of(request: PlainRequest) -> dict[str, str]:
    """The headers of a request as texts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}


def _control_of(control: Control) -> Callable[[PlainRequest], tuple[int, bytes]]:
    def answer(request: PlainRequest) -> tuple[int, bytes]:
        return control(request.verb, request.path, request.query.decode("latin-1"), request.body, texts_of(request))

    return answer


def _telemetry_of(telemetry: TelemetryDoor) -> Callable[[PlainRequest], tuple[int, bytes]]:
    def answer(request: PlainRequest) -> tuple[int, bytes]:
        if request.verb != "POST":
            return 405, b'{"error":"invalid","message":"post it","hint":"POST","detail":{}}'
        return telemetry(request.body, texts_of(request))

    return answer


def _plan_of(venue: Venue) -> Callable[[PlainRequest], tuple[int, bytes]]:
    """A native bot's question for its session's plan. It names no secret: the key alone is shown."""

    def answer(request: PlainRequest) -> tuple[int, bytes]:
        key = venue.keys.find(texts_of(request).get("x-mbx-apikey", ""))
        if key is None:
            return 401, b'{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
        try:
            return 200, venue.plan(key)
        except GnomonError as error:
            return 409, orjson.dumps(error_document(error))

    return answer


async def serve(
    venue: Venue, door: Door, host: str, port: int, ports: Mapping[int, Callable[[], str]] | None = None,
    ready: Callable[[Sequence[tuple[str, int]]], None] | None = None,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT. `ports`: further ones, each of which means a session, asked anew for each
    connection."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    servers = [await loop.create_server(door.protocol_factory(), host, port, backlog=1024)]
    for number, session_of in (ports or {}).items():
        servers.append(await loop.create_server(partial(_connection, door, session_of), host, number))
    venue.restore()
    if ready is not None:
        ready([one.getsockname()[:2] for server in servers for one in server.sockets])
    try:
        await stop.wait()
    finally:
        for server in servers:
            server.close()
        venue.close()
        door.close()
        await asyncio.sleep(0)


def _connection(door: Door, session_of: Callable[[], str]) -> asyncio.BaseProtocol:
    return door.protocol_factory(session_of())()


def run(*args: Any, **more: Any) -> None:
    """`serve` on the fastest loop there is."""
    gc.collect()
    gc.freeze()  # what was loaded to begin with is not looked through again and again
    gc.set_threshold(20_000, 20, 50)  # orders stay: few of a thousand new objects are ever rubbish
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(*args, **more))
    else:
        uvloop.run(serve(*args, **more))
