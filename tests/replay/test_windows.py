"""Windows: stretches between wakes that hold nothing, against looking at every print of them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.replay.scene import rough_prints

from gnomon.exchange.prints import Prints
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.replay import windows as module
from gnomon.replay.windows import Windows


def is_clear(prints: Prints, start: int, stop: int, wanted: Thresholds) -> bool:
    return not bool(prints.reached(start, stop, wanted).any())


@pytest.mark.parametrize("step", [1, 2, 7, 64, 333])
@pytest.mark.parametrize("block", [1, 3, 1_024])
def test_what_is_passed_is_clear_and_ends_with_a_window(step: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 1)
    monkeypatch.setattr(module, "LEAST_WINDOWS", block)
    prints = rough_prints(step, 3_000)
    chance = np.random.default_rng(step)
    first = int(chance.integers(0, 400))
    windows = Windows(prints, first, step)
    passed = 0
    for _ in range(400):
        position = int(chance.integers(0, 3_000))
        price, distance = int(prints.price[position]), int(chance.integers(0, 60))
        wanted = Thresholds(
            price - distance if chance.random() < 0.8 else NEVER_DOWN,
            price + distance if chance.random() < 0.8 else NEVER_UP,
        )
        until, until_ns = windows.clear_until(position, wanted)
        assert until_ns == (prints.time_ns[until] if until < len(prints) else module.NEVER_NS)
        assert position <= until <= len(prints)
        assert is_clear(prints, position, until, wanted)
        assert until == position or (until - first) % step == 0
        passed += until > position
        if until == position and position >= first:  # its own window is not clear, or not whole, from its start
            start = position - (position - first) % step
            assert start + step > len(prints) or not is_clear(prints, start, start + step, wanted)
    assert passed > 20


def test_before_the_first_window_nothing_is_known() -> None:
    windows = Windows(rough_prints(1, 500), 50, 10)
    assert windows.clear_until(49, Thresholds(bid=1))[0] == 49
    assert windows.clear_until(50, Thresholds(bid=1))[0] > 50
    assert windows.find(49, 60, Thresholds(bid=1)) is None


@pytest.mark.parametrize("waiting", [Thresholds(bid=1, up=NEVER_UP - 1), Thresholds(bid=1, down=1)])
def test_with_a_stop_waiting_nothing_is_known(waiting: Thresholds) -> None:
    assert Windows(rough_prints(1, 500), 0, 10).clear_until(100, waiting)[0] == 100
    assert Windows(rough_prints(1, 500), 0, 10).find(100, 110, waiting) is None


def test_a_tail_shorter_than_a_window_is_not_passed() -> None:
    assert Windows(rough_prints(1, 25), 0, 10).clear_until(22, Thresholds(bid=1))[0] == 22


def test_a_tape_that_ends_before_the_windows_begin_has_none() -> None:
    assert Windows(rough_prints(1, 25), 20, 10).clear_until(24, Thresholds(bid=1))[0] == 24


@pytest.mark.parametrize("step", [2, 7, 64, 333])
@pytest.mark.parametrize("block", [1, 3, 1_024])
def test_the_first_row_of_concern_is_that_of_a_look_at_every_row(
    step: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 1)
    monkeypatch.setattr(module, "LEAST_WINDOWS", block)
    prints = rough_prints(step + 1, 3_000)
    chance = np.random.default_rng(step)
    first = int(chance.integers(0, 400))
    windows = Windows(prints, first, step)
    found_some = 0
    for _ in range(600):
        start = int(chance.integers(first, 2_999))
        stop = int(chance.integers(start + 1, min(3_000, start + 3 * step) + 1))
        price, distance = int(prints.price[start]), int(chance.integers(0, 8))
        wanted = Thresholds(
            price - distance if chance.random() < 0.8 else NEVER_DOWN,
            price + distance if chance.random() < 0.8 else NEVER_UP,
        )
        answer = windows.find(start, stop, wanted)
        assert answer is not None
        found, until = answer
        reached = np.flatnonzero(prints.reached(start, until, wanted))
        assert start < until <= stop
        assert found == (start + int(reached[0]) if len(reached) else until)
        found_some += bool(len(reached))
    assert found_some > 20


def test_a_stretch_of_very_many_windows_is_left_to_the_index() -> None:
    prints = rough_prints(1, 10_000)
    assert Windows(prints, 0, 10).find(0, 9_000, Thresholds(bid=1)) is None
    assert Windows(prints, 0, 10).find(0, 4_000, Thresholds(bid=1)) is not None
