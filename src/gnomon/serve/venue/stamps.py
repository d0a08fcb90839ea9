"""Client timestamps: accepted against the wall clock, the virtual clock, or the band between them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from gnomon.errors import Invalid
from gnomon.serve.venue import codes

MILLISECOND_NS: Final = 1_000_000
MICROSECOND_NS: Final = 1_000

MODES: Final = ("lenient", "wall", "virtual", "off")
DEFAULT_WINDOW_NS: Final = 5_000 * MILLISECOND_NS
WIDEST_WINDOW_NS: Final = 60_000 * MILLISECOND_NS
AHEAD_NS: Final = 1_000 * MILLISECOND_NS
FIRST_MICROSECONDS: Final = 10**14  # a stamp from here on counts microseconds
DIGITS: Final = 20


class StampRule:
    """The rule of one session for `timestamp` and `recvWindow`.

    `mode` is one of MODES. The band runs from the virtual start V0 at the wall start W0; `pace` is virtual seconds a
    wall second. Whoever moves the session's clock keeps `pace` current. `by_wall_alone` counts requests that the wall
    clock alone let pass: such a run is no better than replayable, so `on_wall` is told of the first.
    """

    __slots__ = ("by_wall_alone", "mode", "on_wall", "pace", "skew_ns", "virtual_start_ns", "wall_start_ns")

    def __init__(
        self, mode: str = "lenient", virtual_start_ns: int = 0, wall_start_ns: int = 0, pace: float = 1.0
    ) -> None:
        if mode not in MODES:
            raise Invalid(f"time_check is {mode!r}", hint=f"one of {', '.join(MODES)}")
        self.mode = mode
        self.virtual_start_ns = virtual_start_ns
        self.wall_start_ns = wall_start_ns
        self.pace = pace
        self.by_wall_alone = 0
        self.on_wall: Callable[[], None] | None = None
        self.skew_ns: Callable[[int], int] | None = None  # how far the server's clock is off, by virtual time

    def check(self, timestamp: str, window: str | None, virtual_ns: int, wall_ns: int) -> None:
        """Pass, or a refusal: -1021 out of the window, -1131 for a window too wide, -1100 for what is no number."""
        if not (timestamp.isdigit() and timestamp.isascii() and len(timestamp) <= DIGITS):
            raise codes.illegal_characters("timestamp", codes.NUMBER_RANGE)
        window_ns = DEFAULT_WINDOW_NS if window is None else window_of(window)
        if self.skew_ns is not None and (off_ns := self.skew_ns(virtual_ns)):
            virtual_ns, wall_ns = virtual_ns + off_ns, wall_ns + off_ns
        stamp = int(timestamp)
        stamp_ns = stamp * MILLISECOND_NS if stamp < FIRST_MICROSECONDS else stamp * MICROSECOND_NS
        if self.mode == "lenient":
            # most clients, most of the time: between the two clocks of the session, or at the wall's
            offset_ns = self.virtual_start_ns - self.wall_start_ns
            low_ns, high_ns = virtual_ns, wall_ns + offset_ns
            if low_ns > high_ns:
                low_ns, high_ns = high_ns, low_ns
            if low_ns - window_ns <= stamp_ns < high_ns + AHEAD_NS:
                return
            self._lenient(stamp_ns, low_ns, high_ns, window_ns, wall_ns)
        elif self.mode == "wall":
            self._within(stamp_ns, wall_ns - window_ns, wall_ns + AHEAD_NS)
        elif self.mode == "virtual":
            self._within(stamp_ns, virtual_ns - window_ns, virtual_ns + AHEAD_NS)

    def _within(self, stamp_ns: int, oldest_ns: int, end_ns: int) -> None:
        if stamp_ns >= end_ns:
            raise codes.too_early()
        if stamp_ns < oldest_ns:
            raise codes.too_old()

    def _lenient(self, stamp_ns: int, low_ns: int, high_ns: int, window_ns: int, wall_ns: int) -> None:
        """Inside the wall's window, or of the band of every client that measured an offset at any time of the session:
        those that did so at the start stand at V0 + elapsed wall time, those that do so now at V."""
        scale = max(1.0, self.pace)
        end_ns = high_ns + int(AHEAD_NS * scale)
        if low_ns - int(window_ns * scale) <= stamp_ns < end_ns:
            return
        if wall_ns - window_ns <= stamp_ns < wall_ns + AHEAD_NS:
            self.by_wall_alone += 1
            if self.by_wall_alone == 1 and self.on_wall is not None:
                self.on_wall()
            return
        if stamp_ns >= end_ns and stamp_ns >= wall_ns + AHEAD_NS:
            raise codes.too_early()
        raise codes.too_old()


@lru_cache(256)
def window_of(text: str) -> int:
    """`recvWindow` in ns: milliseconds with up to three decimals, at most 60,000."""
    whole, dot, decimals = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= DIGITS) or (
        dot and not (decimals.isascii() and decimals.isdigit() and len(decimals) <= 3)
    ):
        raise codes.illegal_characters("recvWindow", codes.DECIMAL_RANGE)
    window_ns = int(whole) * MILLISECOND_NS + int(decimals.ljust(3, "0") or "0") * MICROSECOND_NS
    if window_ns > WIDEST_WINDOW_NS:
        raise codes.window_too_wide()
    return window_ns
