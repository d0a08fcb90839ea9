"""Feed: the sockets of a live bot, each read by a thread, into one bounded queue. Nothing is dropped in silence.

When the queue stays full for the offer's timeout, the socket is closed and says `overflow`: whoever reads the queue
learns that something is missing, opens it again and repairs the gap.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from gnomon.errors import GnomonError
from gnomon.trader.pulse.sockets import Lost, WebSocket

LOOK_S = 0.25


class Arrived(NamedTuple):
    """A message of a stream, or (with `lost`) why no more come of this connection."""

    stream: str
    raw: bytes
    lost: str = ""
    generation: int = 0


class Feed:
    """One stream of messages. `open` connects anew, `close` ends."""

    def __init__(
        self, name: str, connect: Callable[[], WebSocket], messages: queue.Queue[Arrived], offer_s: float,
        silent_s: float,
    ) -> None:  # fmt: skip
        """`silent_s`: so long without a message means that the feed is stale; 0 for never."""
        self.name = name
        self.generation = 0
        self._connect = connect
        self._messages = messages
        self._offer_s = offer_s
        self._silent_s = silent_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Raises what the connection raises."""
        self.close()
        socket = self._connect()
        self.generation += 1
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(socket, self._stop, self.generation), name=f"feed-{self.name}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(5)

    def _read(self, socket: WebSocket, stop: threading.Event, generation: int) -> None:
        silent_s = 0.0
        try:
            while not stop.is_set():
                raw = socket.receive(LOOK_S)
                if raw is None:
                    silent_s += LOOK_S
                    if self._silent_s and silent_s >= self._silent_s:
                        self._tell("stale feed", stop, generation)
                        return
                    continue
                silent_s = 0.0
                try:
                    self._messages.put(Arrived(self.name, raw, generation=generation), timeout=self._offer_s)
                except queue.Full:
                    self._tell("overflow", stop, generation)
                    return
        except Lost as lost:
            self._tell(f"lost: {lost.message}", stop, generation)
        except GnomonError as error:
            self._tell(f"lost: {error.message}", stop, generation)
        finally:
            socket.close()

    def _tell(self, why: str, stop: threading.Event, generation: int) -> None:
        """There is room for this one when the queue has been read."""
        while not stop.is_set():
            try:
                self._messages.put(Arrived(self.name, b"", why, generation), timeout=LOOK_S)
            except queue.Full:
                continue
            return
