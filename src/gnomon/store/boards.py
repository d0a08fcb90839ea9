"""The scoreboard of a set of scores: which rows it is made of, and the rows it has."""

from __future__ import annotations

from dataclasses import dataclass

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.market.candles import Basis
from gnomon.score.compare import REFERENCE, BoardRow, Pairs, Reliability, board, pairs, reliability
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.store.forecasts import Lane
from gnomon.store.scores import ScoreStore


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


def board_of(scores: ScoreStore, which: BoardFilter) -> tuple[BoardRow, ...]:
    """The rows of the board: all instruments together first, best lower bound first; empty when nothing is scored.

    Raises `Invalid` when the filter leaves several walk-forwards in one board.
    """
    found, keys = read(scores, which)
    if not len(found):
        return ()
    return board(
        found, keys, timeframe=which.timeframe, identity=which.identity, reference=REFERENCE, bucket=which.bucket
    )


def pairs_of(scores: ScoreStore, which: BoardFilter) -> Pairs:
    """The share of cutoffs at which each forecaster of the board has the lower loss, against each other."""
    found, keys = read(scores, which)
    return pairs(found, keys, bucket=which.bucket)


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
