"""Handshakes: those that open a socket, and those that are refused in JSON."""

from __future__ import annotations

import pytest
from tests.serve.venue.room import API_KEY, Room


@pytest.mark.parametrize("path", ["/ws", "/stream", "/ws-api/v3", "/ws-api/v3/", "/ws-api/v3?returnRateLimits=false"])
def test_the_paths_of_sockets_open(room: Room, path: str) -> None:
    with room.socket(path) as peer:
        assert peer.status == 101


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 404),
        ("/api/v3/ping", {}, 404),
        ("/wsx", {}, 404),
        ("/ws", {"Sec_WebSocket_Version": "8"}, 426),
        ("/ws", {"Sec_WebSocket_Key": "short"}, 400),
        ("/ws", {"Sec_WebSocket_Key": ""}, 400),
        ("/ws", {"Upgrade": "h2c"}, 400),
        ("/stream?lockstep=serial", {}, 401),
        ("/stream?lockstep=serial&apiKey=BBBB", {}, 401),
        (f"/stream?lockstep=often&apiKey={API_KEY}", {}, 400),
        (f"/stream?lockstep=serial&apiKey={API_KEY}&resume=x", {}, 400),
        (f"/stream?lockstep=serial&apiKey={API_KEY}&resume=99", {}, 400),  # the hub refuses it
        (f"/ws-api/v3?lockstep=serial&apiKey={API_KEY}&resume=99", {}, 400),
        ("/s/ses_9/ws", {}, 400),
    ],
)
def test_what_opens_nothing_is_refused_with_a_status(
    room: Room, path: str, headers: dict[str, str], status: int
) -> None:
    with room.socket(path, **headers) as peer:
        assert peer.status == status
    assert not room.hub.attached
    assert not room.door.sockets


def test_a_stream_needs_a_session_when_there_are_several(room: Room) -> None:
    room.finder.sessions["ses_2"] = room.market
    with room.socket("/ws") as peer:
        assert peer.status == 400
        assert b"ses_1,ses_2" in peer.rest
    with room.socket("/s/ses_2/ws/btcusd@trade") as peer:
        assert peer.status == 101
    with room.socket("/ws-api/v3") as peer:  # whose it is, its requests say
        assert peer.status == 101
