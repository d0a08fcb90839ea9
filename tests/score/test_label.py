"""What bars a run from being certified, and how a label reads."""

from __future__ import annotations

from typing import Any

import pytest

from gnomon.replay.session import Session
from gnomon.score.label import BY_WALL, Label, Standing, bars


def session(**table: Any) -> Session:
    return Session.of({"session": {"dataset": "btc", **table}, "rules": {"balances": {"USDT": "1"}}})


def barred(tier: str = "native", counts: dict[str, int] | None = None, by_operator: bool = False, **table: Any) -> str:
    given = {BY_WALL: 0} if counts is None else counts
    return "; ".join(bars(session(**{"pace": "lockstep", **table}), tier, given, is_by_operator=by_operator))


def test_nothing_bars_a_run_in_lock_step_whose_requests_the_virtual_clock_let_pass() -> None:
    assert barred() == barred("shim") == ""
    assert barred(time_check="off", rate_limits="off") == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"drive": "paced", "pace": "60"}, "paced"),
        ({"rate_limits": "wall"}, "rate limits ran on the wall's clock"),
        ({"time_check": "wall"}, "timestamps were held against the wall's clock"),
        ({"counts": {BY_WALL: 1}}, "the wall's clock alone let a request of it pass"),
        ({"counts": {}}, "an older version made it"),
        ({"tier": "unmodified"}, "measured, never promised"),
        ({"by_operator": True}, "an operator ended it"),
    ],
    ids=["paced", "limits", "stamps", "by-wall", "unknown", "unmodified", "operator"],
)
def test_each_of_these_alone_bars_a_run_on_the_wire(given: dict[str, Any], words: str) -> None:
    found = barred(**given)
    assert words in found
    assert ";" not in found


def test_all_that_bars_a_run_is_said() -> None:
    assert barred("unmodified", {BY_WALL: 1}, rate_limits="wall").count(";") == 2


def test_a_run_in_process_has_no_clock_of_the_wall() -> None:
    inside = session(drive="inprocess", rate_limits="wall", time_check="wall")
    assert bars(inside, "in process", {}, is_by_operator=False) == ()


def test_a_label_says_what_was_measured_and_why_it_is_no_better() -> None:
    assert Standing().words == "observed: not verified yet"
    assert Standing(Label.CERTIFIED, "", 3, 3).words == "certified, 3 of 3 equal"
    assert Standing(Label.REPLAYABLE, "why", 1, 1).words == "replayable: why"
    assert Standing(Label.REPLAYABLE, "why", 1, 2).row() == {
        "label": "replayable", "reason": "why", "equal": 1, "repeats": 2,
    }  # fmt: skip
