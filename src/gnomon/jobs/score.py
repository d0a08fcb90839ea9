"""Score every matured step: the forecast as stored, the bar as it was first known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gnomon.clock import Clock
from gnomon.forecast.calibration import chance_above
from gnomon.jobs.outcomes import Outcomes
from gnomon.jobs.predict import Subject, load_tape
from gnomon.jobs.progress import Progress, silent
from gnomon.market.candles import HALT, ROLL
from gnomon.score.forecasts import grade
from gnomon.store.forecasts import Lane
from gnomon.store.scores import PendingForecast
from gnomon.store.store import Store
from gnomon.units import FloatArray, IntArray

STAGES: tuple[Literal["raw", "calibrated"], ...] = ("raw", "calibrated")
FORECASTS_PER_BATCH = 2_000


@dataclass(slots=True)
class Scored:
    """What a score job did: rows written, voids by reason, steps that have matured and still wait for their bar."""

    rows: int = 0
    waiting: int = 0
    voids: Counter[str] = field(default_factory=Counter)

    def add(self, other: Scored) -> None:
        self.rows += other.rows
        self.waiting += other.waiting
        self.voids += other.voids

    def row(self) -> dict[str, Any]:
        return {"rows": self.rows, "waiting": self.waiting, "voids": dict(self.voids)}


def score(
    store: Store,
    chosen: Sequence[Subject],
    clock: Clock,
    *,
    lane: Lane = "live",
    variant: str | None = None,
    progress: Progress = silent,
) -> Scored:
    """Score what has matured and is not scored yet, for the given subjects. Rows are keyed: running twice is safe."""
    done = Scored()
    now_ns = clock.now_ns()
    tape = load_tape(store, chosen, last_ns=now_ns)
    for number, subject in enumerate(chosen):
        progress(number, len(chosen), f"scoring {subject.instrument.symbol}")
        series = tape.series(subject.instrument.id, subject.timeframe, subject.basis)
        outcomes = Outcomes.of(series, now_ns, subject.timeframe)
        pending = store.scores.pending(
            lane=lane,
            variant=variant,
            instrument=subject.instrument.id,
            timeframe=str(subject.timeframe),
            basis=subject.basis,
            known_until_ns=now_ns,
        )
        for batch in _batches(pending):
            done.add(_score_batch(store, outcomes, batch, now_ns))
    progress(len(chosen), len(chosen), "done")
    return done


def _batches(pending: Sequence[PendingForecast]) -> Iterator[list[PendingForecast]]:
    """Forecasts of one shape together: they become one array."""

    def shape(one: PendingForecast) -> tuple[Any, ...]:
        return one.horizon, one.levels, one.has_calibrated

    for _, alike in groupby(sorted(pending, key=shape), key=shape):
        group = list(alike)
        for first in range(0, len(group), FORECASTS_PER_BATCH):
            yield group[first : first + FORECASTS_PER_BATCH]


def _score_batch(store: Store, outcomes: Outcomes, batch: Sequence[PendingForecast], now_ns: int) -> Scored:
    """Grade the due steps of forecasts of one shape, at each stage they were stored in."""
    steps = sorted({step for one in batch for step in one.steps})
    column = np.asarray(steps) - 1
    cutoff_ns = np.array([one.data_cutoff_ns for one in batch])
    target_open_ns = np.stack([one.target_open_ns for one in batch])[:, column]  # (N, S)
    target_close_ns = np.stack([one.target_close_ns for one in batch])[:, column]
    realised, flags, knowable_ns = outcomes.at(target_open_ns, cutoff_ns)
    void = _void_reasons(batch, target_close_ns, realised, flags, outcomes)
    due = np.array([[step in one.steps for step in steps] for one in batch])
    wanted = due & ((void != "") | ~np.isnan(realised))
    done = Scored(waiting=int((due & ~wanted).sum()))
    for stage, kind in enumerate(STAGES if batch[0].has_calibrated else STAGES[:1]):
        stored = store.forecasts.quantiles([one.id for one in batch], kind)
        curves = np.stack([stored[one.id] for one in batch])
        rows = grade(
            curves,
            batch[0].levels,
            np.array([one.base_price for one in batch]),
            _p_up(batch, curves, kind),
            steps,
            realised,
            forecast_id=np.array([one.id for one in batch]),
            target_close_ns=target_close_ns,
            realised_at_ns=np.where(void == "", knowable_ns, target_close_ns),
            scored_at_ns=now_ns,
            stage=stage,
            void_reason=void,
            wanted=wanted,
        )
        done.rows += store.scores.insert(rows)
        if stage == 0:
            done.voids.update(str(reason) for reason in rows.void_reason if reason)
    return done


def _p_up(batch: Sequence[PendingForecast], curves: FloatArray, kind: str) -> FloatArray:
    """P(up) (N, H) of a stage: as stored, which is as served; of raw curves beside calibrated ones, read from them."""
    if kind == "raw" and batch[0].has_calibrated:
        pairs = zip(batch, curves, strict=True)
        return np.stack([chance_above(curve, one.levels, one.base_price) for one, curve in pairs])
    return np.stack([one.p_up for one in batch])


def _void_reasons(
    batch: Sequence[PendingForecast],
    target_close_ns: IntArray,
    realised: FloatArray,
    flags: npt.NDArray[np.uint8],
    outcomes: Outcomes,
) -> npt.NDArray[np.object_]:
    """Why a step is not scored, "" where it is: its target had passed at issue, no bar came, a roll day, a halt."""
    void = np.full(target_close_ns.shape, "", dtype=object)
    void[np.isnan(realised) & (target_close_ns + outcomes.patience_ns <= outcomes.now_ns)] = "absent"
    void[(flags & ROLL) != 0] = "roll"
    void[(flags & HALT) != 0] = "halt"
    issued_ns = np.array([one.issued_at_ns if one.lane == "live" else 0 for one in batch])
    void[target_close_ns <= issued_ns[:, None]] = "late"
    return void
