"""The scoreboard of a set of scores: which rows it is made of, and the rows it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.market.candles import Basis
from gnomon.score.compare import REFERENCE, BoardRow, Pairs, Reliability, board, pairs, reliability
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.missed import MissedSlot, missed_as_naive, without_reference
from gnomon.store.forecasts import Lane
from gnomon.store.scores import ScoreStore
from gnomon.store.slots import STATUSES, SlotRow, SlotStore


@dataclass(frozen=True, slots=True)
class BoardFilter:
    """Which scores: one lane, timeframe and stage, and of these the named ones (empty or None: all)."""

    lane: Lane
    timeframe: Timeframe
    variant: str | None = None
    basis: Basis | None = None
    instruments: tuple[str, ...] = ()
    forecasters: tuple[str, ...] = ()
    first_cutoff_ns: int | None = None
    last_cutoff_ns: int | None = None
    stage: int = 0
    bucket: tuple[int, int] | None = None
    known_until_ns: int | None = None
    missed_as_naive: bool = False

    @property
    def identity(self) -> str:
        """What seeds the bootstrap: the same question has the same interval, here and on the command line."""
        asked = (
            "lane",
            "timeframe",
            "variant",
            "basis",
            "instruments",
            "forecasters",
            "first_cutoff_ns",
            "last_cutoff_ns",
        )
        return "|".join(repr(getattr(self, name)) for name in asked)


@dataclass(frozen=True, slots=True)
class SlotCounts:
    """What came of a forecaster's slots. `without_reference` of the missed ones the reference missed as well: there is
    nothing to compare them with."""

    forecaster: str
    due: int
    issued: int
    late: int
    missed: int
    without_reference: int

    def row(self) -> dict[str, Any]:
        """JSON-ready, in the order of the fields."""
        return asdict(self)


def board_of(scores: ScoreStore, which: BoardFilter, slots: SlotStore | None = None) -> tuple[BoardRow, ...]:
    """The rows of the board: all instruments together first, best lower bound first; empty when nothing is scored.

    With `missed_as_naive` a missed slot (from `slots`) is scored as the reference was there. Raises `Invalid` when the
    filter leaves several walk-forwards in one board, or asks for missed slots and none can be read.
    """
    found, keys = _with_missed(scores, which, slots) if which.missed_as_naive else read(scores, which)
    if not len(found):
        return ()
    return board(
        found, keys, timeframe=which.timeframe, identity=which.identity, reference=REFERENCE, bucket=which.bucket
    )


def pairs_of(scores: ScoreStore, which: BoardFilter) -> Pairs:
    """The share of cutoffs at which each forecaster of the board has the lower loss, against each other."""
    found, keys = read(scores, which)
    return pairs(found, keys, bucket=which.bucket)


def slot_counts(slots: SlotStore, which: BoardFilter) -> list[SlotCounts]:
    """Due, issued, late and missed slots of each forecaster of a board, by name. A walk-forward has no slots."""
    rows = _slots(slots, which)
    alone = without_reference(_missed(rows))
    counts = Counter((one.slot.forecaster, one.status) for one in rows)
    names = sorted({name for name, _ in counts if not which.forecasters or name in which.forecasters})
    return [
        SlotCounts(name, **{status: counts[name, status] for status in STATUSES}, without_reference=alone[name])
        for name in names
    ]


def reliability_of(scores: ScoreStore, which: BoardFilter) -> list[Reliability]:
    """Stated against observed frequency, a curve for each forecaster by name."""
    found, keys = read(scores, which)
    return [reliability(found, keys, forecaster=name, bucket=which.bucket) for name in sorted(set(keys.forecaster))]


def read(scores: ScoreStore, which: BoardFilter) -> tuple[Scores, ScoredKeys]:
    """The scores that a filter names."""
    _require_one_variant(scores, which)
    found, keys = scores.read(
        lane=which.lane,
        variant=which.variant,
        basis=which.basis,
        timeframe=str(which.timeframe),
        instruments=which.instruments or None,
        forecasters=which.forecasters or None,
        first_cutoff_ns=which.first_cutoff_ns,
        last_cutoff_ns=which.last_cutoff_ns,
        stage=which.stage,
    )
    if which.known_until_ns is None:
        return found, keys
    known = found.scored_at_ns <= which.known_until_ns
    return found.take(known), keys.take(known)


def _with_missed(scores: ScoreStore, which: BoardFilter, slots: SlotStore | None) -> tuple[Scores, ScoredKeys]:
    """The scores that a filter names, missed slots among them as the reference was scored there."""
    if slots is None:
        raise Invalid("a board with missed slots, and no slots to read", hint="give board_of the store's slots")
    names = which.forecasters
    found, keys = read(scores, replace(which, forecasters=(*names, REFERENCE) if names else ()))
    found, keys = missed_as_naive(found, keys, _missed(_slots(slots, which)))
    if not names:
        return found, keys
    chosen = np.flatnonzero(np.isin(keys.forecaster.astype(str), names))
    return found.take(chosen), keys.take(chosen)


def _slots(slots: SlotStore, which: BoardFilter) -> list[SlotRow]:
    """The slots of every forecaster that a board's filter leaves; only the live lane has any."""
    if which.lane != "live":
        return []
    first, last, known = which.first_cutoff_ns, which.last_cutoff_ns, which.known_until_ns
    return [
        one
        for one in slots.read(timeframe=str(which.timeframe), last_due_ns=None if known is None else known + 1)
        if (not which.instruments or one.slot.instrument in which.instruments)
        and (first is None or one.slot.cutoff_ns >= first)
        and (last is None or one.slot.cutoff_ns < last)
    ]


def _missed(rows: Iterable[SlotRow]) -> list[MissedSlot]:
    return [
        MissedSlot(one.slot.forecaster, one.slot.instrument, one.slot.cutoff_ns)
        for one in rows
        if one.status == "missed"
    ]


def _require_one_variant(scores: ScoreStore, which: BoardFilter) -> None:
    """Two walk-forwards of other horizons or seeds forecast the same slots: a board is made of one of them."""
    if which.lane == "live" or which.variant is not None:
        return
    variants = scores.variants(which.lane, str(which.timeframe))
    if len(variants) > 1:
        raise Invalid(
            f"lane {which.lane} at {which.timeframe} holds {len(variants)} walk-forwards: {', '.join(variants)}",
            hint=f"choose one, e.g. variant {variants[-1]}",
            detail={"variants": list(variants)},
        )
