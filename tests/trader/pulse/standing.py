"""A venue that stands: the real one, with its door, on a port of this machine, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.serve.venue.live_scene import Scene

from gnomon.errors import NotFound
from gnomon.jobs.sessions import Created
from gnomon.serve.venue import process
from gnomon.serve.venue.control import Control
from gnomon.serve.venue.venue import Venue
from gnomon.store.runs import StoredRun
from gnomon.trader.pulse.config import Config, Run, Telemetry
from gnomon.wallclock import WallClock


class Standing:
    """A scene and its venue. `kill` takes the process away as a kill would: nothing is told, nothing is closed."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder)
        self.port = 0
        self.venue: Venue | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: Any = None
        self._door: Any = None

    def start(self) -> None:
        """Serve, on the port of the last time where there was one; sessions that were left behind go on."""
        ready = threading.Event()
        loop = self._loop = asyncio.new_event_loop()
        venue = self.venue = self.scene.venue()
        control = Control(self.scene.sessions, venue, WallClock(), "a token")
        door = self._door = process.door_of(venue, control)

        async def serve() -> None:
            self._server = await loop.create_server(door.protocol_factory(), "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
            venue.restore()
            ready.set()

        def run() -> None:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(serve())
            loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(20)

    def call(self, what: Callable[[], Any]) -> Any:
        """In the venue's own thread."""
        done = threading.Event()
        found: list[Any] = []

        def run() -> None:
            found.append(what())
            done.set()

        assert self._loop is not None
        self._loop.call_soon_threadsafe(run)
        assert done.wait(20)
        return found[0]

    def launch(self, created: Created) -> None:
        assert self.venue is not None
        self.call(lambda: self.scene.launch(self.venue, created))  # type: ignore[arg-type]  # it stands

    def stop(self) -> None:
        loop, venue, thread = self._loop, self.venue, self._thread
        if loop is None or venue is None or thread is None:
            return

        def down() -> None:
            self._server.close()
            venue.close()
            self._door.close()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            for transport in list(getattr(loop, "_transports", {}).values()):
                transport.abort()
            loop.call_later(0.05, loop.stop)

        loop.call_soon_threadsafe(down)
        thread.join(60)
        assert not thread.is_alive(), "the venue's loop has not stopped after 60 s"
        loop.close()
        self._loop = self.venue = self._thread = None

    def stored(self, created: Created) -> StoredRun:
        """The run, once it is kept: the last word of a bot is answered by nothing."""
        for _ in range(400):
            try:
                (found,) = self.scene.stored(created)
                return found
            except NotFound:
                time.sleep(0.025)
        raise AssertionError("no run is kept")

    def config(self, created: Created, strategy: str, params: Any = None, **run: Any) -> Config:
        seat = created.seats[0]
        place = f"127.0.0.1:{self.port}/s/{created.session.id}"
        given: dict[str, Any] = {
            "base_url": f"http://{place}", "ws_url": f"ws://{place}", "api_key": seat.api_key,
            "api_secret": seat.api_secret, "health_port": 0, "ws_reconnect_max_seconds": 0.2,
            "ws_timeout_seconds": 10.0,
        }  # fmt: skip
        settings = Run(**{**given, **run})
        return Config(strategy, params or {}, run=settings, telemetry=Telemetry())


@contextmanager
def standing(folder: Path) -> Iterator[Standing]:
    found = Standing(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()
