"""Every body there and back, and the hot writers of the journal against the slow layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.replay import bodies
from gnomon.replay.bodies import LAYOUTS, REQUESTS, SHAPE_OF, TYPE_OF, Action, Body, unpack
from gnomon.replay.header import RecordType

Bodies = Callable[[type[Body]], st.SearchStrategy[Body]]


@pytest.mark.parametrize("shape", list(TYPE_OF), ids=lambda shape: shape.__name__)
def test_every_body_comes_back_as_it_was(shape: type[Body], bodies_of: Bodies) -> None:
    action = next((number for number, other in REQUESTS.items() if other is shape), None)

    @settings(max_examples=40)
    @given(bodies_of(shape))
    def comes_back(body: Any) -> None:
        packed = body.pack()
        if action is not None:
            packed = bytes([action]) + packed[1:]
            body = LAYOUTS[shape].unpack(packed)
        assert unpack(TYPE_OF[shape], packed) == body

    comes_back()


def test_every_type_has_a_body_and_every_request_an_action() -> None:
    assert {*SHAPE_OF, RecordType.REQUEST} == set(RecordType)
    assert set(REQUESTS) == set(Action)
    assert {shape for shape in vars(bodies).values() if isinstance(shape, type) and issubclass(shape, Body)} == {
        Body,
        *LAYOUTS,
    }


@pytest.mark.parametrize(("kind", "data"), [(0x0999, b""), (RecordType.REQUEST, b"\x63"), (RecordType.REQUEST, b"")])
def test_an_unknown_type_or_action_is_refused(kind: int, data: bytes) -> None:
    with pytest.raises(Invalid, match=r"no body is known|are not those"):
        unpack(kind, data)
