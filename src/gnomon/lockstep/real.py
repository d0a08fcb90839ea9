"""The machine's own time, sockets and selectors, as they were before the shim took their places."""

from __future__ import annotations

import asyncio.base_events
import datetime as _datetime
import select as _select
import selectors
import socket
import time as _time
from typing import Any, Final

time = _time.time
time_ns = _time.time_ns
monotonic = _time.monotonic
monotonic_ns = _time.monotonic_ns
sleep = _time.sleep
gmtime = _time.gmtime
localtime = _time.localtime
select = _select.select

datetime = _datetime.datetime
date = _datetime.date

Socket: Final = socket.socket
connect: Any = socket.socket.connect
connect_ex: Any = socket.socket.connect_ex
send: Any = socket.socket.send
sendall: Any = socket.socket.sendall
sendmsg: Any = getattr(socket.socket, "sendmsg", None)
recv: Any = socket.socket.recv
recv_into: Any = socket.socket.recv_into
close: Any = socket.socket._real_close  # type: ignore[attr-defined]  # what `close` calls once no file uses it
detach: Any = socket.socket.detach

_KINDS: Final[list[Any]] = [
    getattr(selectors, name, None)
    for name in ("EpollSelector", "KqueueSelector", "_PollLikeSelector", "SelectSelector")
]
SELECTORS: Final[dict[type, Any]] = {
    kind: kind.__dict__["select"] for kind in _KINDS if kind is not None and "select" in kind.__dict__
}
"""Each kind of selector that has a `select` of its own."""

run_in_executor: Any = asyncio.base_events.BaseEventLoop.run_in_executor
