"""The machine's time. Jobs, doors and the command line may ask it; nothing else does."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class WallClock:
    """The `Clock` of the machine."""

    def now_ns(self) -> int:
        return time.time_ns()


class Stopwatch:
    """Seconds spent by part, for jobs that tell where their time went."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started
