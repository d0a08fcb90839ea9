"""Boards: the rows of the command line's board, computed once for many readers."""

from __future__ import annotations

from typing import Any

import pytest

from gnomon.clock import Timeframe
from gnomon.serve.gateway import boards
from gnomon.serve.gateway.boards import Boards
from gnomon.store.boards import BoardFilter, board_of

HOURLY = Timeframe.parse("1h")


def test_a_board_is_that_of_the_command_line(world: Any) -> None:
    for name, drift in (("ewma", 0.0), ("drift", 0.01)):
        world.score(world.issue(forecaster=name, drift=drift), 60_100.0)
    which = BoardFilter("live", HOURLY)
    assert Boards(world.scores).rows(which) == board_of(world.scores, which) != ()


def test_nothing_scored_is_a_board_without_rows(world: Any) -> None:
    world.issue()
    assert Boards(world.scores).rows(BoardFilter("live", HOURLY)) == ()


def test_a_row_is_found_by_forecaster_and_instrument(world: Any) -> None:
    for name, drift in (("ewma", 0.0), ("drift", 0.01)):
        world.score(world.issue(forecaster=name, drift=drift), 60_100.0)
    which = BoardFilter("live", HOURLY)
    row = Boards(world.scores).row_of(which, "drift", "binance:BTCUSDT")
    assert row is not None
    assert (row.forecaster, row.instrument, row.n, row.verdict_kind) == ("drift", "binance:BTCUSDT", 3, "too_early")
    assert row.skill is not None
    assert row.skill < 0
    assert Boards(world.scores).row_of(which, "fhs", "binance:BTCUSDT") is None


def test_scores_of_later_are_not_known_earlier(world: Any) -> None:
    forecast = world.issue()
    then_ns = world.clock.now_ns()
    world.score(forecast, 60_100.0, steps=(1,))
    world.advance(60)
    world.score(forecast, 60_200.0, steps=(2, 3))
    seen = Boards(world.scores).rows(BoardFilter("live", HOURLY, known_until_ns=then_ns))
    assert {row.n for row in seen} == {1}


def test_a_dear_board_is_kept_for_a_while_and_a_cheap_one_is_not(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.score(world.issue(), 60_100.0)
    which = BoardFilter("live", HOURLY)
    monkeypatch.setattr(boards, "KEEP_TIMES", 1e6)
    kept = Boards(world.scores)
    assert kept.rows(which) is kept.rows(which)
    monkeypatch.setattr(boards, "KEEP_TIMES", 0.0)
    fresh = Boards(world.scores)
    assert fresh.rows(which) is not fresh.rows(which)
    assert fresh.rows(which) == fresh.rows(which)
