"""The machine's time: nanoseconds since 1970 UTC, and seconds spent by part."""

from __future__ import annotations

import time

import pytest

from gnomon.wallclock import Stopwatch, WallClock


def test_the_wall_clock_reads_the_machine_in_nanoseconds() -> None:
    before = time.time_ns()
    now = WallClock().now_ns()
    assert before <= now <= time.time_ns()


def test_the_stopwatch_adds_up_the_turns_of_a_part() -> None:
    watch = Stopwatch()
    for _ in range(3):
        with watch.part("read"):
            time.sleep(0.002)
    with watch.part("write"):
        pass
    assert watch.seconds["read"] >= 0.006
    assert 0 <= watch.seconds["write"] < watch.seconds["read"]


def test_the_stopwatch_counts_a_part_that_failed() -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.part("divide"):
        _ = 1 / 0
    assert watch.seconds["divide"] > 0
