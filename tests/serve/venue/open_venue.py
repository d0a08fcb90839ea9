"""A venue over a real store on a real port: its door, the operators' paths, and bots that sign."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from tests.serve.venue.live_scene import Scene
from tests.serve.venue.room import hexed

from gnomon.jobs.sessions import Created, Seat
from gnomon.serve.venue.control import Control
from gnomon.serve.venue.process import door_of
from gnomon.serve.venue.venue import Venue
from gnomon.store.sessions import SessionStore

TOKEN = "t" * 64
PACED = 'drive = "paced"\npace = 1\nstart_policy = "now"'


class OpenVenue:
    """The door of a scene's venue, in a loop of its own thread."""

    def __init__(self, scene: Scene, **control: Any) -> None:
        self.scene = scene
        self.venue: Venue = scene.venue()
        self.control = Control(SessionStore(scene.store.engine), self.venue, self.venue.clock, TOKEN, **control)
        self.loop = asyncio.new_event_loop()
        self.door = door_of(self.venue, self.control)
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.server = self._run(self.loop.create_server(self.door.protocol_factory(), "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self, function: Callable[[], Any]) -> Any:
        """The result of a function that is called on the loop."""

        async def work() -> Any:
            return function()

        return self._run(work())

    def close(self) -> None:
        async def work() -> None:
            self.server.close()
            self.venue.close()
            self.door.close()
            await asyncio.sleep(0.02)

        self._run(work())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)
        self.loop.close()

    def launch(self, created: Created, status: str = "running") -> None:
        assert self.operate("POST", f"sessions/{created.session.id}/start")[0] == 200
        self.until(created, status)

    def until(self, created: Created, status: str) -> None:
        """The session stands so."""
        wait(lambda: self.operate("GET", f"sessions/{created.session.id}")[1]["status"] == status)

    # --- asking -----------------------------------------------------------------------------------------------------

    def ask(self, verb: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON, headers."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            client.request(verb, target, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = client.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            client.close()

    def operate(self, verb: str, path: str, body: Any = None) -> tuple[int, Any]:
        """As the operator."""
        raw = None if body is None else json.dumps(body)
        return self.ask(verb, f"/sim/v1/{path}", raw, Authorization=f"Bearer {TOKEN}")[:2]

    def sign(
        self,
        seat: Seat,
        verb: str,
        path: str,
        prefix: str = "",
        headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> tuple[int, Any]:
        """As a bot, with its key."""
        query = urlencode({**params, "timestamp": int(time.time() * 1_000)})
        target = f"{prefix}/api/v3/{path}?{query}&signature={hexed(query, seat.api_secret)}"
        return self.ask(verb, target, X_MBX_APIKEY=seat.api_key, **(headers or {}))[:2]


def wait(is_so: Callable[[], bool]) -> None:
    """The machine may be slow."""
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)
