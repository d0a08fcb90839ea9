"""The opening of a WebSocket: which socket a path means, whose it is, and the answer of the handshake (RFC 6455, 4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from gnomon.serve.venue import codes
from gnomon.serve.venue.heads import Head
from gnomon.serve.venue.keys import GatedCourse, Key
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.requests import form
from gnomon.serve.venue.routes import USER_DATA
from gnomon.serve.venue.sockets import InMicro, Socket
from gnomon.serve.venue.time_units import is_micro
from gnomon.serve.venue.wsapi import ApiSocket, MicroApiSocket

if TYPE_CHECKING:
    from gnomon.serve.venue.server import Door

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NONCE_BYTES: Final = 16
SERIAL, CONCURRENT = "serial", "concurrent"


def opened(
    door: Door, verb: bytes, path: bytes, query: bytes, head: Head, session: str, address: str
) -> tuple[Socket, bytes]:
    """The socket that a request to upgrade asks for, attached and subscribed, and the answer that opens it.

    Raises `VenueRefusal`: 404 for a path without sockets, 400 for a handshake that is none, 401 for a wrong key.
    """
    greeting = _greeting(verb, head.headers)
    params, _ = form(query)
    api_key = params.get("apiKey") or head.api_key
    lockstep, resume = _lockstep(params)
    in_micro = is_micro(params.get("timeUnit") or head.time_unit)
    if path in (b"/ws-api/v3", b"/ws-api/v3/"):
        key = _key(door, api_key, address) if lockstep else None
        wants_limits = params.get("returnRateLimits") != "false"
        api = (MicroApiSocket if in_micro else ApiSocket)(
            door,
            door.course_of(key, True) if key is not None else None,
            wants_limits=wants_limits,
            address=address,
            session=session,
            key=key,
            lockstep=lockstep,
            resume=resume,
        )
        api.attach()
        return api, greeting
    names, is_combined = _streams(path, params)
    key = _key(door, api_key, address) if lockstep else None
    course = _course(door, key, api_key, session, names, address)
    socket = (InMicro if in_micro else Socket)(
        door,
        course,
        is_combined=is_combined,
        address=address,
        session=session,
        key=key,
        lockstep=lockstep,
        resume=resume,
    )
    if len(names) > door.rules.most_streams:
        raise codes.invalid_data("streams")
    socket.attach()
    socket.add_streams(names)  # names without a stream are silent, as at the venue
    return socket, greeting


def _greeting(verb: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    nonce = headers.get(b"sec-websocket-key", b"").strip()
    try:
        is_nonce = len(base64.b64decode(nonce, validate=True)) == NONCE_BYTES
    except binascii.Error:
        is_nonce = False
    if verb != b"GET" or headers.get(b"upgrade", b"").strip().lower() != b"websocket" or not is_nonce:
        raise codes.malformed()
    if headers.get(b"sec-websocket-version", b"").strip() != b"13":
        raise VenueRefusal(-1020, "This operation is not supported.", 426)
    accept = base64.b64encode(hashlib.sha1(nonce + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _lockstep(params: Mapping[str, str]) -> tuple[str | None, int | None]:
    lockstep = params.get("lockstep")
    if lockstep is None:
        return None, None
    if lockstep not in (SERIAL, CONCURRENT):
        raise codes.invalid_data("lockstep")
    if lockstep == CONCURRENT and params.get("tier") == "shim":
        raise codes.not_concurrent()
    resume = params.get("resume")
    if resume is not None and not (resume.isascii() and resume.isdigit() and len(resume) <= 18):
        raise codes.invalid_data("resume")
    return lockstep, None if resume is None else int(resume)


def _key(door: Door, api_key: str, address: str) -> Key:
    """A lock-step socket is that of a bot: its key must be known."""
    return door.key_of(api_key, USER_DATA, door.wall_now_ns(), address)


def _streams(path: bytes, params: Mapping[str, str]) -> tuple[list[str], bool]:
    """The stream names of a path, and whether events are wrapped with theirs."""
    if path in (b"/stream", b"/stream/"):
        return _names(params.get("streams", "").replace(" ", "+")), True  # `@+08:00`: a plus here is a plus
    if path == b"/ws" or path.startswith(b"/ws/"):
        return _names(unquote_to_bytes(path[len(b"/ws/") :]).decode("utf-8", "replace")), False
    raise codes.no_such_path()


def _names(text: str) -> list[str]:
    return [one for one in text.split("/") if one]


def _course(door: Door, key: Key | None, api_key: str, session: str, names: list[str], address: str) -> GatedCourse:
    """The session of a stream: by its key, by a listen key, by its path or port, or the only one."""
    if key is not None:
        return door.course_of(key, True)
    key = next((found for found in map(door.listen_keys.key_of, names) if found is not None), None)
    if key is not None:
        return door.course_of(key)
    return door.public_course(api_key, session, address)
