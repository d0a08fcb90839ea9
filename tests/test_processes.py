"""Whoever waits for a process of the tests waits for an end, and is told what there was to wait for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.processes import end, first_line, put_down, running

PIPE = {"stdout": subprocess.PIPE, "text": True}
HANGS = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]


def test_a_process_that_takes_too_long_is_killed_and_named() -> None:
    with pytest.raises(AssertionError, match=r"time.sleep\(600\).* had not ended after 1 s"):  # noqa: SIM117 - in turn
        with running(HANGS, 1, **PIPE) as process:
            assert process.stdout.read() == "here\n"  # it comes to an end
    assert process.returncode == -9


def test_a_failure_in_the_block_is_told_and_the_process_is_gone() -> None:
    with pytest.raises(ZeroDivisionError), running(HANGS, 60, **PIPE) as process:
        _ = 1 / 0
    assert process.returncode == -9


def test_a_process_that_ends_is_waited_for() -> None:
    with running([sys.executable, "-c", "print(1)"], 60, **PIPE) as process:
        assert first_line(process) == "1"
    assert process.returncode == 0


def test_who_says_nothing_is_killed() -> None:
    with pytest.raises(AssertionError, match="said nothing in 0 s"):
        first_line(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **PIPE), 0.2)


def test_who_is_told_to_end_and_does_not_is_killed_and_named() -> None:
    process = subprocess.Popen(HANGS, **PIPE)
    assert end(process) == -15
    put_down(process)
    deaf = subprocess.Popen(DEAF, **PIPE)
    assert first_line(deaf) == "deaf"
    with pytest.raises(AssertionError, match="had to be killed: 0 s after SIGTERM"):
        end(deaf, 0.3)
    assert deaf.returncode == -9
