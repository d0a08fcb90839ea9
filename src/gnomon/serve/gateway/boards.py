"""Scoreboards, computed one at a time; the dear ones are kept for a while."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from gnomon.score.compare import BoardRow, Pairs, Reliability
from gnomon.store.boards import BoardFilter, board_of, pairs_of, reliability_of
from gnomon.store.scores import ScoreStore
from gnomon.store.slots import SlotStore

KEEP_TIMES: Final = 20.0
"""A board is kept for so many times as long as it took, a minute at most: readers can keep no more than a twentieth of
a core busy with it, and a small one is as fresh as the scores."""
KEEP_AT_MOST_S: Final = 60.0
MAX_BOARDS: Final = 64

_T = TypeVar("_T")


class Boards:
    """Boards by filter. Safe to ask from any thread; off the event loop, for a board takes a while."""

    def __init__(self, scores: ScoreStore, slots: SlotStore | None = None) -> None:
        self._scores, self._slots = scores, slots
        self._kept: OrderedDict[tuple[str, BoardFilter], tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, which: BoardFilter) -> tuple[BoardRow, ...]:
        """The rows of a board, best lower bound first; none when nothing is scored."""
        return self._known("board", which, lambda scores, one: board_of(scores, one, self._slots))

    def pairs(self, which: BoardFilter) -> Pairs:
        """Who wins against whom at how many cutoffs."""
        return self._known("pairs", which, pairs_of)

    def calibration(self, which: BoardFilter) -> list[Reliability]:
        """Stated against observed frequency, a curve for each forecaster."""
        return self._known("calibration", which, reliability_of)

    def _known(self, what: str, which: BoardFilter, compute: Callable[[ScoreStore, BoardFilter], _T]) -> _T:
        with self._lock:  # one at a time: each is a second of both cores for a large ledger
            kept = self._kept.get((what, which))
            began = time.monotonic()
            if kept is not None and began < kept[0]:
                self._kept.move_to_end((what, which))
                found: _T = kept[1]
                return found
            found = compute(self._scores, which)
            ended = time.monotonic()
            self._kept[what, which] = (ended + min(KEEP_TIMES * (ended - began), KEEP_AT_MOST_S), found)
            if len(self._kept) > MAX_BOARDS:
                self._kept.popitem(last=False)
            return found

    def row_of(self, which: BoardFilter, forecaster: str, instrument: str) -> BoardRow | None:
        """One row of a board, or None when that forecaster has no scores there."""
        rows = (one for one in self.rows(which) if one.instrument == instrument)
        return next((one for one in rows if one.forecaster.partition("@")[0] == forecaster), None)
