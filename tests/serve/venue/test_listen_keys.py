"""Listen keys: on, off, extended, over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gnomon.clock import SimClock
from gnomon.serve.venue.keys import Key
from gnomon.serve.venue.listen_keys import LIFE_NS, ListenKeys
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.routes import USER_STREAM_PING, USER_STREAM_START, USER_STREAM_STOP

KEY = Key("k", "hmac", "s", "bot_1", "ws_1")
OTHER = replace(KEY, api_key="o", bot="bot_2")


def test_they_are_gone_where_they_are_off() -> None:
    with pytest.raises(VenueRefusal) as caught:
        ListenKeys(False, SimClock()).answer(USER_STREAM_START, KEY, {})
    assert (caught.value.status, caught.value.code) == (410, -1020)


def test_a_second_start_extends_the_first_key() -> None:
    clock = SimClock()
    keys = ListenKeys(True, clock)
    name = keys.answer(USER_STREAM_START, KEY, {})["listenKey"]
    assert len(name) == 64
    assert keys.answer(USER_STREAM_START, OTHER, {})["listenKey"] != name
    clock.advance_to(LIFE_NS - 1)
    assert keys.answer(USER_STREAM_START, KEY, {})["listenKey"] == name
    clock.advance_to(2 * LIFE_NS - 2)
    assert keys.key_of(name) is KEY


def test_a_key_lives_for_an_hour_and_a_ping_extends_it() -> None:
    clock = SimClock()
    keys = ListenKeys(True, clock)
    name = keys.answer(USER_STREAM_START, KEY, {})["listenKey"]
    clock.advance_to(LIFE_NS - 1)
    assert keys.answer(USER_STREAM_PING, KEY, {"listenKey": name}) == {}
    clock.advance_to(2 * LIFE_NS - 2)
    assert keys.key_of(name) is KEY
    clock.advance_to(2 * LIFE_NS)
    assert keys.key_of(name) is None
    with pytest.raises(VenueRefusal, match="-1125"):
        keys.answer(USER_STREAM_PING, KEY, {"listenKey": name})


@pytest.mark.parametrize("method", [USER_STREAM_PING, USER_STREAM_STOP])
def test_a_key_of_another_bot_is_not_there(method: str) -> None:
    keys = ListenKeys(True, SimClock())
    name = keys.answer(USER_STREAM_START, KEY, {})["listenKey"]
    for params, code in (({}, "-1102"), ({"listenKey": "x"}, "-1125"), ({"listenKey": name}, "-1125")):
        with pytest.raises(VenueRefusal, match=code):
            keys.answer(method, OTHER, params)
    assert keys.key_of(name) is KEY


def test_a_key_that_is_stopped_is_over() -> None:
    keys = ListenKeys(True, SimClock())
    name = keys.answer(USER_STREAM_START, KEY, {})["listenKey"]
    assert keys.answer(USER_STREAM_STOP, KEY, {"listenKey": name}) == {}
    assert keys.key_of(name) is None
