"""Where the shim takes the place of the machine: time, sleep, sockets, selectors, executors, dates."""

from __future__ import annotations

import asyncio.base_events
import contextlib
import datetime
import errno
import select
import selectors
import socket
import sys
import threading
import time
import weakref
from typing import Any, Final

from gnomon.lockstep import real
from gnomon.lockstep.barrier import Barrier
from gnomon.lockstep.control import Address
from gnomon.lockstep.line import Line

_SECOND_NS: Final = 1_000_000_000
_BASE_NS: Final = 1_000 * _SECOND_NS  # of the monotonic clock: the same in every run
_CHECK_S: Final = 0.5
_CHUNK: Final = 1 << 16


class Places:
    """The places that are taken, all sharing one barrier."""

    def __init__(self, barrier: Barrier, address: Address, key: str) -> None:
        self._barrier, self._address, self._key = barrier, address, key
        self._sockets: weakref.WeakValueDictionary[int, socket.socket] = weakref.WeakValueDictionary()
        self._wakers: weakref.WeakKeyDictionary[Any, _Waker] = weakref.WeakKeyDictionary()
        self._own = threading.local()

    def take(self) -> None:
        """From now on."""
        self._take_time()
        self._take_dates()
        self._take_sockets()
        for kind, original in real.SELECTORS.items():
            _put(kind, "select", self._select_of(original))
        _put(select, "select", self._plain_select)
        self._take_executor()
        _refuse_uvloop()

    # --- time -------------------------------------------------------------------------------------------------------

    def _take_time(self) -> None:
        barrier = self._barrier
        _put(time, "time_ns", lambda: barrier.now_ns)
        _put(time, "time", self._wall_s)
        _put(time, "monotonic_ns", self._monotonic_ns)
        _put(time, "monotonic", lambda: self._monotonic_ns() / _SECOND_NS)
        _put(time, "gmtime", lambda seconds=None: real.gmtime(self._wall_s() if seconds is None else seconds))
        _put(time, "localtime", lambda seconds=None: real.localtime(self._wall_s() if seconds is None else seconds))
        _put(time, "sleep", self._sleep)

    def _wall_s(self) -> float:
        return self._barrier.now_ns / _SECOND_NS

    def _monotonic_ns(self) -> int:
        return _BASE_NS + self._barrier.elapsed_ns

    def _sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self._barrier.is_over:
            self._barrier.check_end()
            real.sleep(seconds)
            return
        selector = getattr(self._own, "selector", None)
        if selector is None:
            selector = self._own.selector = selectors.DefaultSelector()
        self._wait(selector, real.SELECTORS[_kind_of(selector)], int(seconds * _SECOND_NS))

    def _take_dates(self) -> None:
        barrier = self._barrier
        bases: dict[type, type] = {}

        class Kind(type):
            """What the machine's own class has made counts as made by ours."""

            def __instancecheck__(cls, instance: object) -> bool:
                return isinstance(instance, bases[cls]) if cls in bases else super().__instancecheck__(instance)

            def __subclasscheck__(cls, subclass: type) -> bool:
                return issubclass(subclass, bases[cls]) if cls in bases else super().__subclasscheck__(subclass)

        class Moment(real.datetime, metaclass=Kind):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> Any:
                return cls.fromtimestamp(barrier.now_ns / _SECOND_NS, tz)

            @classmethod
            def utcnow(cls) -> Any:
                return cls.fromtimestamp(barrier.now_ns / _SECOND_NS, datetime.UTC).replace(tzinfo=None)

            @classmethod
            def today(cls) -> Any:
                return cls.now()

        class Day(real.date, metaclass=Kind):
            @classmethod
            def today(cls) -> Any:
                return cls.fromtimestamp(barrier.now_ns / _SECOND_NS)

        bases |= {Moment: real.datetime, Day: real.date}
        for kind, name in ((Moment, "datetime"), (Day, "date")):
            kind.__name__ = kind.__qualname__ = name
            kind.__module__ = "datetime"
            _put(datetime, name, kind)

    # --- sockets ----------------------------------------------------------------------------------------------------

    def _take_sockets(self) -> None:
        kind = socket.socket
        _put(kind, "connect", _bound(self._connect_of(real.connect)))
        _put(kind, "connect_ex", _bound(self._connect_of(real.connect_ex)))
        _put(kind, "recv", _bound(self._recv))
        _put(kind, "recv_into", _bound(self._recv_into))
        _put(kind, "send", _bound(self._send))
        _put(kind, "sendall", _bound(self._sendall))
        if real.sendmsg is not None:
            _put(kind, "sendmsg", _bound(self._sendmsg))
        _put(kind, "_real_close", _bound(self._close_of(real.close)))
        _put(kind, "detach", _bound(self._close_of(real.detach)))

    def _connect_of(self, original: Any) -> Any:
        def connect(one: socket.socket, address: Any) -> Any:
            if not self._barrier.is_over and self._address.means(address):
                barrier = self._barrier
                with barrier.lock:
                    barrier.lines[one.fileno()] = Line(self._key, barrier.tell, barrier.at)
                    self._sockets[one.fileno()] = one
            return original(one, address)

        return connect

    def _close_of(self, original: Any) -> Any:
        def close(one: socket.socket, *rest: Any) -> Any:
            with self._barrier.lock:
                self._barrier.lines.pop(one.fileno(), None)
            return original(one, *rest)

        return close

    def _recv(self, one: socket.socket, size: int, flags: int = 0) -> bytes:
        line = self._barrier.lines.get(one.fileno())
        if line is None or flags & socket.MSG_PEEK:
            return real.recv(one, size, flags)  # type: ignore[no-any-return]  # as it was
        if not line.is_socket:
            return self._recv_answer(one, line, size, flags)
        while True:
            found = self._taken(one, line, size)
            if found is not None:
                return found
            if one.gettimeout() == 0:
                raise BlockingIOError(errno.EAGAIN, "nothing yet")
            self._wait_for(one)

    def _recv_answer(self, one: socket.socket, line: Line, size: int, flags: int) -> bytes:
        """Of an answer over HTTP: as many bytes as are asked for, so that nothing of what follows is held back."""
        if not line.ready:
            data = real.recv(one, size, flags)
            with self._barrier.lock:
                line.came(data)
            if not data:
                return b""
        return _take(line, size)

    def _taken(self, one: socket.socket, line: Line, size: int) -> bytes | None:
        """What a stream has for the client now; None for nothing yet."""
        with self._barrier.lock:
            if not line.ready and not line.is_ended:
                try:
                    line.came(real.recv(one, max(size, _CHUNK), socket.MSG_DONTWAIT))
                except BlockingIOError:
                    return None
            if line.ready:
                return _take(line, size)
            return b"" if line.is_ended else None

    def _wait_for(self, one: socket.socket) -> None:
        """Until a stream has something, at most as long as its socket is told to wait, of virtual time."""
        timeout_s = one.gettimeout()
        with selectors.DefaultSelector() as selector:
            selector.register(one, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                raise TimeoutError("timed out")

    def _recv_into(self, one: socket.socket, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        line = self._barrier.lines.get(one.fileno())
        if line is None:
            return real.recv_into(one, buffer, nbytes, flags)  # type: ignore[no-any-return]  # as it was
        view = memoryview(buffer).cast("B")
        data = self._recv(one, nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def _send(self, one: socket.socket, data: Any, flags: int = 0) -> int:
        line = self._barrier.lines.get(one.fileno())
        if line is None:
            return real.send(one, data, flags)  # type: ignore[no-any-return]  # as it was
        self._sendall(one, data, flags)
        return len(data)

    def _sendall(self, one: socket.socket, data: Any, flags: int = 0) -> None:
        line = self._barrier.lines.get(one.fileno())
        if line is None:
            real.sendall(one, data, flags)
            return
        with self._barrier.lock:
            out = line.written(bytes(data))
        while out:
            try:
                out = out[real.send(one, out, flags) :]
            except BlockingIOError:
                real.select([], [one], [], _CHECK_S)

    def _sendmsg(self, one: socket.socket, buffers: Any, *rest: Any) -> int:
        if self._barrier.lines.get(one.fileno()) is None:
            return real.sendmsg(one, buffers, *rest)  # type: ignore[no-any-return]  # as it was
        return self._send(one, b"".join(buffers))

    def is_readable(self, fd: int) -> bool:
        """Whether the venue has said something that nobody has read."""
        try:
            return bool(_polled(fd))
        except (OSError, ValueError):
            return False

    def take_in(self, fd: int) -> None:
        """Read what a stream has, for whoever asks later. The barrier's lock is held."""
        line, one = self._barrier.lines.get(fd), self._sockets.get(fd)
        if line is None or one is None:
            self._barrier.lines.pop(fd, None)
            return
        try:
            line.came(real.recv(one, _CHUNK, socket.MSG_DONTWAIT))
        except BlockingIOError:
            pass
        except OSError:
            line.is_ended = True

    # --- waiting ----------------------------------------------------------------------------------------------------

    def _select_of(self, original: Any) -> Any:
        def select_(selector: Any, timeout: float | None = None) -> Any:
            if timeout is not None and timeout <= 0:
                return self._ready(selector, original, 0)
            if self._barrier.is_over:
                self._barrier.check_end()
                return original(selector, timeout)
            return self._wait(selector, original, None if timeout is None else _whole_ns(timeout))

        return select_

    def _wait(self, selector: Any, original: Any, timeout_ns: int | None) -> Any:
        """Wait in virtual time: until one of the selector's is ready, or so much of it has gone by."""
        ready = self._ready(selector, original, 0)
        if ready or timeout_ns == 0:
            return ready
        barrier = self._barrier
        due_ns = None if timeout_ns is None else barrier.now_ns + timeout_ns
        waker = self._wakers.get(selector)
        if waker is None:
            waker = self._wakers[selector] = _Waker()
        reads = frozenset(fd for fd, key in selector.get_map().items() if key.events & selectors.EVENT_READ)
        waiter = barrier.wait(due_ns, reads & barrier.lines.keys(), waker.wake)
        selector.register(waker.out, selectors.EVENT_READ)
        try:
            while True:
                ready = self._ready(selector, original, None, waker)
                if ready:
                    return ready
                if barrier.is_due(waiter):
                    return []
                if barrier.is_over:
                    barrier.check_end()
                    return []
                barrier.consider()
        finally:
            barrier.go_on()
            selector.unregister(waker.out)

    def _ready(self, selector: Any, original: Any, timeout: float | None, waker: _Waker | None = None) -> Any:
        """What is ready, connections from which we hold something among it."""
        held = self._held(selector)
        found = original(selector, 0 if held or timeout == 0 else _CHECK_S)
        if waker is not None:
            found = [one for one in found if one[0].fileobj is not waker.out or waker.drain()]
        if not held:
            return found
        known = {key.fd for key, events in found if events & selectors.EVENT_READ}
        return [*found, *((key, selectors.EVENT_READ) for key in held if key.fd not in known)]

    def _held(self, selector: Any) -> list[Any]:
        lines = self._barrier.lines
        if not any(line.ready for line in lines.values()):
            return []
        keys = selector.get_map()
        found = (keys.get(fd) for fd, line in list(lines.items()) if line.ready)
        return [key for key in found if key is not None and key.events & selectors.EVENT_READ]

    def _plain_select(self, reads: Any, writes: Any, others: Any, timeout: float | None = None) -> Any:
        """`select.select`; where none of it is the venue's it is the machine's own."""
        numbers = [one if isinstance(one, int) else one.fileno() for one in reads]
        if not any(one in self._barrier.lines for one in numbers) or writes or others:
            return real.select(reads, writes, others, timeout)
        with selectors.DefaultSelector() as selector:
            for one in reads:
                selector.register(one, selectors.EVENT_READ)
            found = {key.fileobj for key, _ in selector.select(timeout)}
        return [one for one in reads if one in found], [], []

    def _take_executor(self) -> None:
        """Work of another thread that a loop waits for is work of the client."""
        barrier = self._barrier

        def run_in_executor(loop: Any, executor: Any, func: Any, *args: Any) -> Any:
            future = real.run_in_executor(loop, executor, func, *args)
            with barrier.lock:
                barrier.jobs += 1
            future.add_done_callback(done)
            return future

        def done(_future: Any) -> None:
            with barrier.lock:
                barrier.jobs -= 1

        _put(asyncio.base_events.BaseEventLoop, "run_in_executor", run_in_executor)


class _Waker:
    """Ends a `select` of another thread."""

    def __init__(self) -> None:
        self.out, self._in = socket.socketpair()
        self.out.setblocking(False)
        self._in.setblocking(False)

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            real.send(self._in, b".")

    def drain(self) -> bool:
        """Nothing of it is left; False, since it is nothing that the client asked for."""
        with contextlib.suppress(BlockingIOError):
            real.recv(self.out, 4_096)
        return False


def _whole_ns(timeout_s: float) -> int:
    """In whole microseconds, not less: loops count in floats, and one woken too early asks again for nothing."""
    return -(-round(timeout_s * _SECOND_NS) // 1_000) * 1_000 or 1_000


def _polled(fd: int) -> Any:
    if not hasattr(select, "poll"):
        return real.select([fd], [], [], 0)[0]
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll.poll(0)


def _take(line: Line, size: int) -> bytes:
    found = bytes(line.ready[:size])
    del line.ready[:size]
    return found


def _kind_of(selector: Any) -> Any:
    return next(kind for kind in type(selector).__mro__ if kind in real.SELECTORS)


def _put(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def _bound(method: Any) -> Any:
    """A method of ours as one of the sockets': the socket is its first argument."""

    def call(one: Any, *args: Any, **options: Any) -> Any:
        return method(one, *args, **options)

    return call


def _refuse_uvloop() -> None:
    """Its loop reads sockets in C, where nobody can ask it to wait: asyncio's own is used instead."""
    found = sys.modules.get("uvloop")
    if found is None:
        with contextlib.suppress(ImportError):
            import uvloop as found
    if found is not None:
        _put(found, "install", lambda: None)
        _put(found, "new_event_loop", asyncio.SelectorEventLoop)
        _put(found, "run", asyncio.run)
