"""A step's events, beside sending each to each socket by itself."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.serve.venue.room import Peer, Room

from gnomon.serve.venue.broadcast import broadcast
from gnomon.serve.venue.frames import Event

NAMES = ("btcusd@trade", "btcusd@kline_1m", "ethusd@trade")


class Ear:
    """A socket as a broadcast knows it: keeps the bytes and the count."""

    def __init__(self, is_combined: bool, names: set[str]) -> None:
        self.is_combined = is_combined
        self.names = names
        self.bytes = b""
        self.count = 0

    def send_joined(self, preencoded: bytes, count: int) -> None:
        self.bytes += preencoded
        self.count += count

    def send_frame(self, preencoded: bytes) -> None:
        self.send_joined(preencoded, 1)


DATA = st.sampled_from([b"{}", b'{"x":1}', b"x" * 4_070, b"x" * 70_000])
EVENTS = st.lists(st.tuples(st.sampled_from([*NAMES, "nobody@trade"]), DATA), max_size=6)
EARS = st.lists(st.builds(Ear, st.booleans(), st.sets(st.sampled_from(NAMES))), max_size=5)


@given(EVENTS, EARS, st.sampled_from(NAMES))
def test_every_socket_gets_what_it_hears_in_order_and_nothing_that_is_frozen(
    events: list[tuple[str, bytes]], ears: list[Ear], frozen: str
) -> None:
    hearers: Any = {name: [ear for ear in ears if name in ear.names] for name in NAMES}
    told = broadcast(events, hearers, lambda ear, name: name == frozen and ear is ears[0])
    for ear in ears:
        heard = [
            Event(name, data) for name, data in events if name in ear.names and not (name == frozen and ear is ears[0])
        ]
        assert ear.bytes == b"".join(one.combined_frame if ear.is_combined else one.bare_frame for one in heard)
        assert ear.count == len(heard)
    assert told == sum(ear.count for ear in ears)


def test_sockets_get_the_frames_of_a_step(room: Room) -> None:
    def read(peer: Peer, count: int) -> list[Any]:
        return [peer.text() for _ in range(count)]

    with room.socket("/ws/btcusd@trade") as bare, room.socket("/stream?streams=btcusd@trade/btcusd@ticker") as wrapped:
        hearers = {"btcusd@trade": list(room.hub.attached), "btcusd@ticker": room.hub.attached[1:]}
        events = [("btcusd@trade", b'{"t":1}'), ("btcusd@ticker", b'{"c":2}'), ("btcusd@trade", b'{"t":3}')]
        assert room.call(lambda: broadcast(events, hearers)) == 5
        assert read(bare, 2) == [{"t": 1}, {"t": 3}]
        streams = ("btcusd@trade", "btcusd@ticker", "btcusd@trade")
        assert read(wrapped, 3) == [
            {"stream": name, "data": json.loads(data)} for name, (_, data) in zip(streams, events, strict=True)
        ]
