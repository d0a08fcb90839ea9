"""A step's events to the sockets that hear them: each framed once, and those of a step joined once for all sockets that
hear the same streams in the same form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gnomon.serve.venue.frames import TEXT_HEADS, head_of
from gnomon.serve.venue.sockets import Socket

Told = Sequence[tuple[str, bytes]]
"""Events in their order: the stream, and the JSON."""


def broadcast(
    events: Told,
    hearers: Mapping[str, Sequence[Socket]],
    is_frozen: Callable[[Socket, str], bool] | None = None,
) -> int:
    """Send the events of a step; how many deliveries that made. `hearers` are the sockets of each stream; `is_frozen`
    says that a socket is not told of a stream for now."""
    streams = dict.fromkeys([name for name, _ in events])
    if len(streams) == 1:
        return _of_one_stream(events, hearers.get(events[0][0], ()), is_frozen)
    heard: dict[Socket, list[str]] = {}
    for name in streams:
        for socket in hearers.get(name, ()):
            if is_frozen is None or not is_frozen(socket, name):
                heard.setdefault(socket, []).append(name)
    made: dict[tuple[bool, tuple[str, ...]], tuple[bytes, int]] = {}
    told = 0
    for socket, names in heard.items():
        same = (socket.is_combined, tuple(sorted(names)))
        found = made.get(same)
        if found is None:
            found = made[same] = _joined(events, names, socket.is_combined)
        socket.send_joined(*found)
        told += found[1]
    return told


def _joined(events: Told, names: Sequence[str], is_combined: bool) -> tuple[bytes, int]:
    """The frames of the events of these streams, and how many there are."""
    opening = dict.fromkeys(names, b"")
    ending = b""
    if is_combined:
        opening = {name: b'{"stream":"%b","data":' % name.encode() for name in names}
        ending = b"}"
    around = {name: len(before) + len(ending) for name, before in opening.items()}
    parts: list[bytes] = []
    for name, data in events:
        before = opening.get(name)
        if before is not None:
            size = len(data) + around[name]
            parts += (TEXT_HEADS[size] if size < len(TEXT_HEADS) else head_of(size), before, data, ending)
    return b"".join(parts), len(parts) // 4


def _of_one_stream(events: Told, sockets: Sequence[Socket], is_frozen: Callable[[Socket, str], bool] | None) -> int:
    """The same for events of one stream, without a step's book-keeping."""
    name = events[0][0]
    bare = wrapped = b""
    count = len(events)
    told = 0
    for socket in sockets:
        if is_frozen is not None and is_frozen(socket, name):
            continue
        if socket.is_combined:
            wrapped = wrapped or _joined(events, (name,), True)[0]
            socket.send_joined(wrapped, count)
        else:
            bare = bare or _joined(events, (name,), False)[0]
            socket.send_joined(bare, count)
        told += count
    return told
