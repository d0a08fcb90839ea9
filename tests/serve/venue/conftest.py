"""A door that stands open, on both kinds of loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.serve.venue.room import Room

LOOPS = ("asyncio", "uvloop")


@pytest.fixture(params=LOOPS)
def is_uvloop(request: pytest.FixtureRequest) -> bool:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return bool(request.param == "uvloop")


@pytest.fixture
def rooms(is_uvloop: bool, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Room]]:
    """Makes rooms with options of the door; no exception may reach the loop, and none may be logged unless the test
    clears the log."""
    made: list[Room] = []

    def make(**options: Any) -> Room:
        made.append(Room(is_uvloop=is_uvloop, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
        assert one.errors == []
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.fixture
def room(rooms: Callable[..., Room]) -> Room:
    return rooms()
