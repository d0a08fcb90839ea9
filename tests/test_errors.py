"""The tree of errors: one shape for people and programs, and nearest names."""

from __future__ import annotations

import pickle

import pytest

from gnomon import errors
from gnomon.errors import Conflict, Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable, nearest

TREE = {
    NotFound: "not_found",
    Invalid: "invalid",
    Conflict: "conflict",
    Refused: "refused",
    Unavailable: "unavailable",
    Exhausted: "exhausted",
}


@pytest.mark.parametrize("kind", TREE)
def test_every_error_has_the_one_outside_shape(kind: type[GnomonError]) -> None:
    error = kind("no bar", hint="import more", detail={"row": 3})
    assert error.document() == {"error": TREE[kind], "message": "no bar", "hint": "import more", "detail": {"row": 3}}
    assert str(error) == "no bar"


@pytest.mark.parametrize("kind", TREE)
def test_errors_cross_process_borders(kind: type[GnomonError]) -> None:
    back = pickle.loads(pickle.dumps(kind("m", hint="h", detail={"a": 1})))
    assert type(back) is kind
    assert back.document() == kind("m", hint="h", detail={"a": 1}).document()


def test_the_drawing_shows_the_whole_tree() -> None:
    assert set(GnomonError.__subclasses__()) == set(TREE)
    assert errors.__doc__ is not None
    assert all(f"── {kind.__name__} " in errors.__doc__ for kind in TREE)


def test_the_detail_is_a_copy() -> None:
    given = {"a": 1}
    error = Invalid("m", detail=given)
    given["a"] = 2
    assert error.detail == {"a": 1}


def test_nearest_ignores_case_and_keeps_the_known_spelling() -> None:
    assert nearest("btcusd", ["ETHUSDT", "BTCUSDT", "SPY"])[0] == "BTCUSDT"
    assert nearest("Spy", ["SPY"]) == ["SPY"]
    assert nearest("zzzz", ["SPY", "QQQ"]) == []
    assert nearest("a", []) == []
    assert len(nearest("aaaa", ["aaab", "aaac", "aaad", "aaae"], count=2)) == 2
