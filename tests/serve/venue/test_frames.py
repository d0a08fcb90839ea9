"""Framing, beside the framing of the package `websockets`, and every way to break it."""

from __future__ import annotations

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.venue.room import client_frame

from gnomon.serve.venue.frames import (
    Broken,
    Event,
    FrameReader,
    Message,
    bare_event,
    close_code,
    close_frame,
    combined,
    frame,
    unmasked,
    user_event,
    wake_tail,
)

LARGEST = 70_000


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_unmasking_as_one_number_is_unmasking_byte_by_byte(payload: bytes, mask: bytes) -> None:
    assert unmasked(mask, payload) == bytes(one ^ mask[at % 4] for at, one in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_have_the_shortest_length_that_holds_theirs(size: int) -> None:
    payload = b"x" * size
    made = frame(payload)
    assert made.endswith(payload)
    head = made[: len(made) - size]
    assert head[0] == 0x81
    assert len(head) == (2 if size < 126 else 4 if size < 65_536 else 10)
    masked = client_frame(payload)
    assert FrameReader(LARGEST).feed(masked) == [Message(1, payload)]


@given(st.lists(st.tuples(st.sampled_from([1, 9, 10]), st.binary(max_size=125)), max_size=8), st.integers(1, 40))
def test_messages_are_the_same_however_their_bytes_are_cut(messages: list[tuple[int, bytes]], size: int) -> None:
    stream = b"".join(client_frame(payload, opcode) for opcode, payload in messages)
    reader = FrameReader(LARGEST)
    found = [one for at in range(0, len(stream), size) for one in reader.feed(stream[at : at + size])]
    assert found == messages


def test_fragments_are_put_together_around_control_frames() -> None:
    stream = (
        client_frame(b"he", 1, last=False)
        + client_frame(b"p", 9)
        + client_frame(b"", 0, last=False)
        + client_frame(b"llo", 0)
        + client_frame(b"next", 1)
    )
    assert FrameReader(LARGEST).feed(stream) == [Message(9, b"p"), Message(1, b"hello"), Message(1, b"next")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(b"x", masked=False), 1002),
        (b"\xc1\x80" + b"\0" * 4, 1002),  # a reserved bit
        (client_frame(b"", 3), 1002),
        (client_frame(b"", 11), 1002),
        (client_frame(b"x" * 126, 9), 1002),
        (client_frame(b"x", 9, last=False), 1002),
        (client_frame(b"x", 0), 1002),
        (client_frame(b"x", 1, last=False) + client_frame(b"x", 1), 1002),
        (client_frame(b"x" * (LARGEST + 1)), 1009),
        (b"\x81\xff" + b"\xff" * 8, 1009),
        (client_frame(b"x" * 40_000, 1, last=False) + client_frame(b"x" * 40_000, 0), 1009),
    ],
    ids=[
        *("bare", "reserved", "unknown", "unknown-control", "long-control", "cut-control", "orphan", "begun-twice"),
        *("large", "larger", "large-in-pieces"),
    ],
)
def test_what_breaks_the_rules_has_its_code(data: bytes, code: int) -> None:
    with pytest.raises(Broken) as caught:
        FrameReader(LARGEST).feed(data)
    assert caught.value.code == code


def test_a_frame_that_is_too_big_is_known_by_its_head() -> None:
    with pytest.raises(Broken):
        FrameReader(10).feed(client_frame(b"x" * 60_000)[:8])


@given(st.binary(max_size=200))
def test_random_bytes_are_messages_or_broken_and_nothing_else(data: bytes) -> None:
    with suppress(Broken):
        assert all(len(one.payload) <= 125 for one in FrameReader(100).feed(data))


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", 1000), (b"\x03\xe8", 1000), (b"\x03\xe8bye", 1000), (b"\x0b\xb8", 3000), (b"\x13\x87", 4999)],
)
def test_codes_of_goodbye_are_echoed(payload: bytes, code: int) -> None:
    assert close_code(payload) == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xec", 1002), (b"\x03\xed", 1002), (b"\0\0", 1002), (b"\x03\xe8\xff", 1007)],
)
def test_codes_that_may_not_be_sent_break_the_rules(payload: bytes, code: int) -> None:
    with pytest.raises(Broken) as caught:
        close_code(payload)
    assert caught.value.code == code


def test_a_close_frame_fits_a_control_frame() -> None:
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert len(close_frame(1000, "x" * 500)) == 127


def test_an_event_has_one_frame_of_each_form_made_once() -> None:
    event = Event("btcusdt@trade", b'{"e":"trade"}')
    assert event.bare_frame == frame(b'{"e":"trade"}')
    assert event.combined_frame == frame(b'{"stream":"btcusdt@trade","data":{"e":"trade"}}')
    assert event.bare_frame is event.bare_frame
    assert event.combined_frame is event.combined_frame


def test_wrappers_of_lock_step_carry_the_wake_and_its_time() -> None:
    tail = wake_tail(7, 10**18 + 1, more=True)
    assert orjson.loads(combined("s", b"{}", tail)) == {
        "stream": "s",
        "data": {},
        "n": 7,
        "t": "1000000000000000001",
        "more": True,
    }
    assert orjson.loads(user_event(0, b'{"e":"x"}', wake_tail(8, 5))) == {
        "subscriptionId": 0,
        "event": {"e": "x"},
        "n": 8,
        "t": "5",
    }
    assert orjson.loads(bare_event(b'{"e":"timer"}', wake_tail(9, 5))) == {"n": 9, "t": "5", "event": {"e": "timer"}}
