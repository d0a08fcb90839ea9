"""Processes that tests start. None outlives its patience, so whoever waits for one waits for an end."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DIES_IN_S = 60.0
"""A killed process is gone at once, even on a machine under load."""


def end(process: subprocess.Popen[Any], patience_s: float = 120.0) -> int:
    """Tell a process to end, kill it where it does not; its exit code. AssertionError, once it is gone, where it had to
    be killed. One that has ended already is left as it is."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            put_down(process)
            raise AssertionError(f"{_name(process)} had to be killed: {patience_s:.0f} s after SIGTERM") from None
    return process.returncode


def put_down(process: subprocess.Popen[Any]) -> None:
    """Kill a process, if it still runs, and let go of its pipes."""
    process.kill()
    process.wait(DIES_IN_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not written to it yet
                pipe.close()


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], patience_s: float = 300.0, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A process, as `Popen` of these options starts it, that has ended when the block is left. It may take so many
    seconds; one that takes longer is killed, which ends every wait for it and for what it says, and AssertionError says
    so. Where the block fails it is killed at once."""
    process = subprocess.Popen(command, **options)
    late = threading.Event()

    def expire() -> None:
        late.set()
        process.kill()

    watch = threading.Timer(patience_s, expire)
    watch.start()
    try:
        yield process
        process.wait(patience_s + DIES_IN_S)
    except Exception as error:
        if not late.is_set():
            raise
        raise AssertionError(f"{_name(process)} had not ended after {patience_s:.0f} s") from error
    finally:
        watch.cancel()
        put_down(process)
    assert not late.is_set(), f"{_name(process)} had not ended after {patience_s:.0f} s"


def first_line(process: subprocess.Popen[Any], patience_s: float = 300.0) -> Any:
    """What a process says first, without white space around it; it's killed where it says nothing for so long."""
    assert process.stdout is not None
    watch = threading.Timer(patience_s, process.kill)
    watch.start()
    try:
        line = process.stdout.readline()
    finally:
        watch.cancel()
    if not line:
        put_down(process)
    assert line, f"{_name(process)} said nothing in {patience_s:.0f} s, or ended before: {process.returncode}"
    return line.strip()


def _name(process: subprocess.Popen[Any]) -> str:
    given = process.args
    text = given if isinstance(given, str) else shlex.join(map(str, given))
    return text if len(text) <= 200 else f"{text[:200]}…"
