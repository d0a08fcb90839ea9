"""Patience: when a bot is said to be stalled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gnomon.serve.venue.patience import Patience


def place(n: int) -> Any:
    return SimpleNamespace(run_id="run", n=n)


def test_a_bot_is_stalled_when_one_wake_has_waited_for_longer_than_that() -> None:
    patience = Patience(10)
    assert not patience.is_stalled(place(1), 100)
    assert not patience.is_stalled(place(1), 110), "exactly that long is not longer"
    assert patience.is_stalled(place(1), 111)
    assert patience.is_stalled(place(1), 500)


def test_another_wake_begins_anew_and_so_does_a_bot_that_was_not_waited_for() -> None:
    patience = Patience(10)
    patience.is_stalled(place(1), 100)
    assert not patience.is_stalled(place(2), 150)
    assert patience.is_stalled(place(2), 161)
    patience.forget(place(2))
    assert not patience.is_stalled(place(2), 400)
    assert not patience.is_stalled(place(2), 410)
