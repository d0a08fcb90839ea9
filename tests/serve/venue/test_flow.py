"""Flow in words: what each state of a session, its bots and its clock is told as."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gnomon.replay.session import Status
from gnomon.serve.venue.flow import flow


def place(name: str, **told: Any) -> Any:
    known = {"is_attached": True, "is_busy": False, "is_over": False, "stalled": False, "n": 3}
    return SimpleNamespace(bot=SimpleNamespace(name=name), **(known | told))


BUSY, STALLED = place("busy", is_busy=True), place("stalled", stalled=True)


@pytest.mark.parametrize(
    "status, places, drive, is_stepping, told",
    [
        (Status.STARTING, [place("a", is_attached=False), place("b")], "", False, {"state": "starting", "who": ["a"]}),
        (Status.PAUSED, [place("a", is_busy=True)], "", False, {"state": "paused"}),
        (Status.PAUSED, [place("a", is_busy=True)], "", True, {"state": "waiting_bot", "who": "a", "event": 3}),
        (Status.RUNNING, [place("a"), BUSY], "", False, {"state": "waiting_bot", "who": "busy", "event": 3}),
        (Status.RUNNING, [BUSY, STALLED], "", False, {"state": "stalled", "who": "stalled", "event": 3}),
        (Status.RUNNING, [place("a", stalled=True, is_over=True)], "", False, {"state": "flowing"}),
        (Status.RUNNING, [place("a")], "throttled", False, {"state": "throttled"}),
        (Status.RUNNING, [], "", False, {"state": "flowing"}),
    ],
    ids=["starting", "paused", "stepping", "waiting", "stalled", "over", "throttled", "nobody"],
)  # fmt: skip
def test_flow_names_who_is_waited_for(
    status: Status, places: list[Any], drive: str, is_stepping: bool, told: dict[str, Any]
) -> None:
    assert flow(status, places, drive, is_stepping=is_stepping) == told
