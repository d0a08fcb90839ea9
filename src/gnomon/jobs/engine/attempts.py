"""A step tried again: by the class of its error, after growing pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gnomon.jobs.engine.port import Retries

T = TypeVar("T")


def attempt(fn: Callable[[], T], retries: Retries, pause: Callable[[float], None]) -> T:
    """What `fn` answers; errors worth another try are tried after `pause(seconds)`, until the attempts are used up."""
    for number in range(1, retries.attempts):
        try:
            return fn()
        except Exception as error:
            if not retries.worth_it(error):
                raise
            pause(pause_s(error, retries, number))
    return fn()


def pause_s(error: BaseException, retries: Retries, attempt_number: int) -> float:
    """Seconds before the next try. One that says how long to wait (`detail["retry_after_s"]`) is waited for so long."""
    asked = float(getattr(error, "detail", {}).get("retry_after_s", 0.0))
    return max(asked, retries.delay_s(attempt_number))
