"""Barrier: a strategy in lock-step over one WebSocket. Virtual time stands until its wakes are answered.

A lost connection loses nothing: the clock stands, the venue sends the wake again, and what was said to it is said again
with the same keys.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from gnomon.clock import Clock
from gnomon.trader.pulse import native
from gnomon.trader.pulse.care import Care
from gnomon.trader.pulse.client import LATE, Refusal, Signer, Sleep, Unreached
from gnomon.trader.pulse.config import Config
from gnomon.trader.pulse.lockstep import START, Control, Keyed, Lockstep, Message
from gnomon.trader.pulse.native import SessionFacts
from gnomon.trader.pulse.sockets import Lost, WebSocket
from gnomon.trader.pulse.tally import Book, Tally
from gnomon.trader.trader import Strategy
from gnomon.units import SECOND_NS

LOOK_S: Final = 0.25
"""How long one waits for a frame before looking whether one is to stop."""

LEAVING_NS: Final = 3_000_000_000
"""How long whoever is told to stop waits for a wake to answer."""

FIRST_WAIT_S: Final = 0.5
GIVEN_UP_S: Final = 300.0
"""How long a venue that was there may be away."""

FIRST_TRIES_S: Final = 6.0
"""How long a venue that was never there is waited for."""

MARKET: Final = "market"
MS: Final = 1_000_000


class Barrier:
    """Drives a `Lockstep` by a socket. `is_stopping` is asked between wakes."""

    def __init__(
        self, config: Config, facts: SessionFacts, trader: Strategy, signer: Signer, tally: Tally, clock: Clock,
        sleep: Sleep, is_stopping: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._config = config.run
        self._signer = signer
        self._tally = tally
        self._clock = clock
        self._sleep = sleep
        self._is_stopping = is_stopping
        self._socket: WebSocket | None = None
        self._frames: deque[Mapping[str, Any]] = deque()
        self._asked: dict[int, tuple[int, int]] = {}  # by the ids of calls: the desk's request, when it was sent
        self._ids = 0
        self._said: Sequence[Message] = ()  # what the venue may not have heard: of the newest wake
        self._has_left = False
        self._offset_ms = 0  # of the server's clock from virtual time
        self.client = Lockstep(facts, trader, self.ask)
        self.client.heard = Book(tally, facts.plan.listings, self.client.desk.assets()).take
        patience_ns = int(max(self._config.pending_poll_seconds, 1.0) * SECOND_NS)
        self.care = self.client.care = Care(self.client, self.query, self._resync, patience_ns)

    def run(self) -> None:
        """From the start of the session to its end. Raises `Unreached` when the venue stays away."""
        client = self.client
        self._connect(first=True)
        self._say(client.attach())
        self._say(client.begin())
        leaves_ns = 0
        while not self._is_done():
            if not leaves_ns and self._is_stopping():
                leaves_ns = self._clock.now_ns()
                client.leave(self._config.cancel_on_stop)
            elif leaves_ns and self._clock.now_ns() - leaves_ns > LEAVING_NS and not client.is_over:
                self._say(client.stop())  # no wake has come: the session stands
                break
            frame = self._next()
            if frame is not None:
                self._take(frame)
        self.close()

    def _is_done(self) -> bool:
        return self.client.is_over and not self._frames

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._tally.lost(MARKET, self._clock.now_ns())

    def ask(self, params: Mapping[str, str]) -> Any:
        """The port of the sight: one question to the venue's view."""
        return self.query(native.VIEW, params)

    def query(self, method: str, params: Mapping[str, str]) -> Any:
        """One question, answered before anything else happens; again where its stamp was off."""
        is_synced = False
        while True:
            try:
                self._ids += 1
                number = self._ids
                before = map(self._text, self.client.behind())
                self._send(*before, self._call(number, method, params))
                return self._answer(number)
            except Lost as lost:
                self._lose(lost)
            except Refusal as refused:
                if refused.number != LATE or is_synced:
                    raise
                is_synced = True
                self._resync(int(self.query("time", {})["serverTime"]))

    def _resync(self, server_ms: int) -> None:
        self._tally.retries += 1
        self._offset_ms = server_ms - self.client.desk.now_ns // MS

    # --- one step -----------------------------------------------------------------------------------------------------

    def _next(self) -> Mapping[str, Any] | None:
        """The next frame; None where none has come for a while."""
        if self._frames:
            return self._frames.popleft()
        started_ns = self._clock.now_ns()
        try:
            raw = self._live().receive(LOOK_S)
        except Lost as lost:
            self._lose(lost)
            return None
        finally:
            self._tally.wait_s += (self._clock.now_ns() - started_ns) / 1e9
        return orjson.loads(raw) if raw is not None else None

    def _take(self, frame: Mapping[str, Any]) -> None:
        if "n" not in frame:
            if (frame.get("event") or {}).get("e") == "serverShutdown":
                self._connect()  # before the close: nothing is lost
            else:
                self._answered(frame)
            return
        client, tally, before = self.client, self._tally, self.client.n
        messages = client.take(frame)
        stream = frame.get("stream", "own")
        tally.events[stream[stream.find("@") + 1 :]] += max(1, client.n - before)
        tally.last_event_ns = self._clock.now_ns()
        tally.last_wake, tally.virtual_ns, tally.decisions = client.n, client.desk.now_ns, client.decisions
        if messages:
            self._say(messages)

    def _answered(self, answer: Mapping[str, Any]) -> None:
        request, sent_ns = self._asked.pop(answer.get("id", 0), (0, 0))
        if not request:
            return
        self._tally.latency["wall"].add((self._clock.now_ns() - sent_ns) / 1e9)
        error = answer.get("error")
        if error is None:
            self._tally.acked += 1
        else:
            self._tally.fail(f"{error['code']} {error['msg']}")
        self.client.answered(request, answer)

    def _answer(self, number: int) -> Any:
        """Frames that come before the answer wait."""
        while True:
            raw = self._live().receive(self._config.ws_timeout_seconds)
            if raw is None:
                raise Lost("no answer to a question", hint="the connection is opened again")
            frame: Mapping[str, Any] = orjson.loads(raw)
            if frame.get("id") != number or "n" in frame:
                self._frames.append(frame)
                continue
            error = frame.get("error")
            if error is None:
                return frame["result"]
            data = error.get("data")
            if isinstance(data, Mapping) and "error" in data:
                native.raise_again(data)
            raise Refusal(int(frame.get("status", 400)), int(error["code"]), str(error["msg"]), data)

    # --- saying -------------------------------------------------------------------------------------------------------

    def _say(self, messages: Sequence[Message]) -> None:
        """Send; and again over a new connection where the old one ends meanwhile."""
        self._said = messages
        for one in messages:
            if type(one) is Keyed:
                self._tally.orders[one.call.side, one.call.type] += 1
        try:
            self._send(*map(self._text, messages))
        except Lost as lost:
            if not self.client.is_over:
                self._lose(lost)

    def _text(self, message: Message) -> bytes:
        if isinstance(message, Control):
            return orjson.dumps({"method": message.method, "params": message.params})
        self._ids += 1
        self._asked[self._ids] = message.call.request, self._clock.now_ns()
        return self._call(self._ids, message.call.method, {**message.call.params, "wake": message.key})

    def _call(self, number: int, method: str, params: Mapping[str, str]) -> bytes:
        """Signed, with the virtual time of the wake: no stamp of a machine decides anything."""
        at_ms = self.client.desk.now_ns // MS + self._offset_ms
        return orjson.dumps({"id": number, "method": method, "params": self._signer.params(params, at_ms)})

    def _send(self, *texts: bytes) -> None:
        self._live().send(*texts)

    # --- connections --------------------------------------------------------------------------------------------------

    def _live(self) -> WebSocket:
        if self._socket is None:
            raise Lost("no connection", hint="it is opened again")
        return self._socket

    def _lose(self, lost: Lost) -> None:
        """The connection has ended. A venue that says goodbye goes on without its bot; one that is killed waits."""
        self._tally.fail(lost.message)
        if lost.is_told:
            self.care.cut()
        self._connect()

    def _connect(self, first: bool = False) -> None:
        """Open the socket, with patience; then say again what may not have been heard."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._tally.lost(MARKET, self._clock.now_ns())
        waited_s, attempt = 0.0, 0
        while True:
            try:
                self._socket = WebSocket(self._url(first), self._config.ws_timeout_seconds)
                self._tally.connected(MARKET, self._clock.now_ns())
                self._again()
                return
            except Lost as lost:
                self._tally.fail(lost.message)
                wait_s = min(FIRST_WAIT_S * 2**attempt, self._config.ws_reconnect_max_seconds)
                if waited_s >= (FIRST_TRIES_S if first else GIVEN_UP_S) or self._is_stopping():
                    raise Unreached(f"the venue stays away: {lost.message}", hint=self._config.ws_url) from lost
                self._sleep(wait_s)
                waited_s += wait_s
                attempt += 1

    def _again(self) -> None:
        """Before the first wake the start is said again; later the venue sends its wake again."""
        if self._said and self.client.n == START:
            self._send(*map(self._text, [*self.client.attach(), *self._start()]))

    def _start(self) -> list[Message]:
        return [one for one in self._said if not (isinstance(one, Control) and one.method == "WAKE")]

    def _url(self, first: bool) -> str:
        query = {"lockstep": self._config.concurrency, "apiKey": self._signer.key}
        if not first:
            query["resume"] = str(self.client.resume())
        return f"{self._config.ws_url.rstrip('/')}/ws-api/v3?{urlencode(query)}"
