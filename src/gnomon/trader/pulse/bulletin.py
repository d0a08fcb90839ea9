"""Bulletin: what a runtime reports of its own health to the platform every few seconds. Nothing of it decides."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from typing import Any, Final

import orjson

from gnomon.clock import Clock, iso
from gnomon.errors import GnomonError
from gnomon.trader.pulse.client import Rest
from gnomon.trader.pulse.config import Telemetry
from gnomon.trader.pulse.tally import Tally

SCHEMA: Final = 1
LARGEST_BYTES: Final = 60_000


class Bulletin:
    """Posts the tally in a thread of its own, until `close`."""

    def __init__(
        self, how: Telemetry, rest: Rest, tally: Tally, clock: Clock, who: Callable[[], dict[str, Any]], instance: str
    ) -> None:
        self._how = how
        self._rest = rest
        self._tally = tally
        self._clock = clock
        self._who = who
        self._instance = instance
        self._interval_s = max(1.0, how.publish_interval_seconds)
        self._seq = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """The last one says how it ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._how.timeout_seconds)
        self.publish()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.publish()

    def document(self) -> dict[str, Any]:
        self._seq += 1
        now_ns = self._clock.now_ns()
        head = {"schema": SCHEMA, "seq": self._seq, "sent_at": iso(now_ns // 1_000_000 * 1_000_000)}
        if self._tally.virtual_ns:
            head["virtual_at"] = iso(self._tally.virtual_ns)
        if self._tally.run:
            head["run"] = self._tally.run
        runtime = {"name": "pulse", "python": platform.python_version(), **self._who()}
        return {**head, "instance": self._instance, "runtime": runtime, **self._tally.document(now_ns)}

    def publish(self) -> str:
        """`accepted`, `refused` or `failed`."""
        body = orjson.dumps(self.document())
        if len(body) > LARGEST_BYTES:
            self._tally.log_tail.clear()
            body = orjson.dumps(self.document())
        try:
            status, answer = self._rest.post_json(self._how.ingest_path, body, self._how.timeout_seconds)
            result = "accepted" if status == 202 else "refused"
            if status == 202:
                self._slow_down(answer)
        except GnomonError:
            result = "failed"
        self._tally.published[result] += 1
        return result

    def _slow_down(self, answer: bytes) -> None:
        try:
            asked = float(orjson.loads(answer).get("interval_s", 0))
        except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
            return
        self._interval_s = max(1.0, self._how.publish_interval_seconds, asked)
