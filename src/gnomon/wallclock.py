"""The machine's time. Jobs, doors and the command line may ask it; nothing else does."""

from __future__ import annotations

import time


class WallClock:
    """The `Clock` of the machine."""

    def now_ns(self) -> int:
        return time.time_ns()
