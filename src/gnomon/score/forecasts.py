"""Scores of forecasts: one row for each (forecast, graded step, stage). Plain NumPy.

`grade` marks a block of forecasts, `grade_rows` any list of (forecast, step). A row's figures depend on that row alone:
scoring a forecast alone, in a batch, or again years later gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.forecast.buckets import BUCKETS, GRADED_STEPS, bucket_of, graded_steps
from gnomon.forecast.forecast import LEVELS
from gnomon.score import metrics
from gnomon.score.metrics import (
    abs_error,
    brier,
    covered,
    crps_from_paths,
    crps_from_quantiles,
    direction,
    interval_score,
    log_loss,
    mae,
    mase,
    pinball,
    pit_bin,
    pit_distance,
    side,
    width,
    wis,
)
from gnomon.score.ranking import rank_ic, spearman
from gnomon.score.returns import deflated_sharpe, probabilistic_sharpe, sharpe_with_costs
from gnomon.score.significance import (
    benjamini_hochberg,
    christoffersen,
    diebold_mariano,
    kupiec,
    newey_west_t,
    wilson,
)
from gnomon.units import FloatArray, IntArray

__all__ = [
    "BUCKETS",
    "GRADED_STEPS",
    "ScoredKeys",
    "Scores",
    "abs_error",
    "benjamini_hochberg",
    "brier",
    "bucket_of",
    "christoffersen",
    "covered",
    "crps_from_paths",
    "crps_from_quantiles",
    "deflated_sharpe",
    "diebold_mariano",
    "direction",
    "grade",
    "grade_rows",
    "graded_steps",
    "interval_score",
    "kupiec",
    "log_loss",
    "mae",
    "mase",
    "newey_west_t",
    "pinball",
    "pit_bin",
    "pit_distance",
    "probabilistic_sharpe",
    "rank_ic",
    "sharpe_with_costs",
    "side",
    "spearman",
    "width",
    "wilson",
    "wis",
]

NO_TARGET: Final = "target bar absent"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Columns of equal length N, in the names of the `scores` table. NaN where a void row has no figure."""

    forecast_id: IntArray
    step: IntArray
    stage: npt.NDArray[np.int8]  # 0 raw, 1 calibrated
    target_close_ns: IntArray
    realised: FloatArray  # price, in shares of the forecast's cutoff
    realised_revision: IntArray  # 0 = first revision
    realised_at_ns: IntArray  # when that close became knowable; of a void row, its target's close
    scored_at_ns: IntArray
    pinball_mean: FloatArray  # divided by the base price
    crps: FloatArray  # divided by the base price
    wis: FloatArray  # divided by the base price
    covered_50: FloatArray  # 0, 1 (NaN when void)
    covered_80: FloatArray
    covered_90: FloatArray
    side_80: FloatArray  # -1 below the band, 0 inside, 1 above
    width_80: FloatArray  # (q.9 - q.1) / base price
    pit_bin: FloatArray  # 0 … 9
    direction_hit: FloatArray  # 1 hit, 0 miss, 0.5 unchanged price, NaN no call
    p_up: FloatArray
    brier: FloatArray
    log_loss: FloatArray
    abs_error: FloatArray  # |median - realised| / base price
    log_return: FloatArray  # ln(realised / base price)
    void_reason: npt.NDArray[np.object_]  # "" or the reason

    def __len__(self) -> int:
        return len(self.step)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Scores:
        """The chosen rows, in the order given."""
        return Scores(*(getattr(self, column.name)[rows] for column in fields(Scores)))

    @classmethod
    def join(cls, parts: Sequence[Scores]) -> Scores:
        """One table of several, in order. `Invalid` for none."""
        if not parts:
            raise Invalid("no scores to join", hint="give at least one table of scores")
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


@dataclass(frozen=True, slots=True, eq=False)
class ScoredKeys:
    """Whose score each row of a `Scores` is: columns of the same length N."""

    forecaster: npt.NDArray[np.object_]
    version: npt.NDArray[np.object_]
    instrument: npt.NDArray[np.object_]
    data_cutoff_ns: IntArray

    def __len__(self) -> int:
        return len(self.data_cutoff_ns)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> ScoredKeys:
        """The chosen rows, in the order given."""
        return ScoredKeys(*(getattr(self, column.name)[rows] for column in fields(ScoredKeys)))


def grade(
    quantiles: FloatArray,
    levels: Sequence[float],
    base_price: FloatArray,
    p_up: FloatArray,
    steps: Sequence[int],
    realised: FloatArray,
    *,
    forecast_id: IntArray,
    target_close_ns: IntArray,
    scored_at_ns: int,
    stage: int = 0,
    realised_revision: npt.ArrayLike = 0,
    realised_at_ns: npt.ArrayLike | None = None,
    void_reason: npt.NDArray[np.object_] | None = None,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> Scores:
    """Scores of N forecasts of one horizon at S steps, forecast by forecast.

    quantiles (N, H, Q) and p_up (N, H) are whole forecasts; realised, target_close_ns, realised_revision,
    realised_at_ns (unless given: the target's close) and void_reason are (N, S), one for each of `steps` (1-based);
    base_price and forecast_id are (N,). `wanted` (N, S) leaves out pairs that are not due. What is void and what is
    refused: see `grade_rows`; `Invalid` too for a step beyond the horizon.
    """
    horizon = quantiles.shape[1]
    if not all(1 <= step <= horizon for step in steps):
        raise Invalid(f"steps {tuple(steps)} of a forecast of {horizon}", hint="steps count from 1 to the horizon")
    shape = (len(quantiles), len(steps))
    cell = np.arange(shape[0] * shape[1]) if wanted is None else np.flatnonzero(wanted)
    forecast, position = np.divmod(cell, max(1, shape[1]))
    step = np.asarray(steps, np.int64)[position]
    curve = forecast * horizon + step - 1  # its place among all curves of the block

    def due(block: npt.ArrayLike) -> npt.NDArray[Any]:
        return np.broadcast_to(block, shape).take(cell)

    return grade_rows(
        quantiles.reshape(-1, quantiles.shape[2]).take(curve, axis=0),
        levels,
        np.asarray(base_price)[forecast],
        np.asarray(p_up).take(curve),
        due(realised),
        forecast_id=np.asarray(forecast_id)[forecast],
        step=step,
        target_close_ns=due(target_close_ns),
        scored_at_ns=scored_at_ns,
        stage=stage,
        realised_revision=due(realised_revision),
        realised_at_ns=due(target_close_ns if realised_at_ns is None else realised_at_ns),
        void_reason=None if void_reason is None else void_reason.take(cell),
    )


def grade_rows(
    quantiles: FloatArray,
    levels: Sequence[float],
    base_price: FloatArray,
    p_up: FloatArray,
    realised: FloatArray,
    *,
    forecast_id: IntArray,
    step: IntArray,
    target_close_ns: IntArray,
    scored_at_ns: int,
    stage: int = 0,
    realised_revision: npt.ArrayLike = 0,
    realised_at_ns: npt.ArrayLike | None = None,
    void_reason: npt.NDArray[np.object_] | None = None,
) -> Scores:
    """Scores of R (forecast, step) pairs: quantiles (R, Q) are prices, everything else is (R,).

    Levels beyond LEVELS are left out, so that every forecaster is scored at the same ones. A row with a void reason, or
    whose realised price is NaN, is void: NaN in every figure. `Invalid` for a missing level, for quantiles that are not
    sorted, finite and positive, and for a price that is not positive.
    """
    curve, base = _board_levels(quantiles, levels), np.asarray(base_price, np.float64)
    void, reason = _voids(realised, void_reason)
    outcome = np.where(void, base, realised)
    _require_prices(curve, base, outcome, forecast_id, step)
    figures = {"realised": outcome, **_figures(curve, base, outcome, np.asarray(p_up, np.float64))}
    if void.any():
        figures = {name: np.where(void, np.nan, column) for name, column in figures.items()}
    count = len(base)
    return Scores(
        forecast_id=np.asarray(forecast_id, np.int64),
        step=np.asarray(step, np.int64),
        stage=np.full(count, stage, np.int8),
        target_close_ns=np.asarray(target_close_ns, np.int64),
        realised_revision=np.array(np.broadcast_to(realised_revision, (count,)), np.int64),
        realised_at_ns=np.array(target_close_ns if realised_at_ns is None else realised_at_ns, np.int64),
        scored_at_ns=np.full(count, scored_at_ns, np.int64),
        void_reason=reason,
        **figures,
    )


def _figures(curve: FloatArray, base: FloatArray, outcome: FloatArray, p_up: FloatArray) -> dict[str, FloatArray]:
    """All figures of rows of quantiles (R, Q) at LEVELS: losses in shares of the base price, counts as they are."""
    losses = pinball(curve, LEVELS, outcome)
    bands = {nominal: metrics.band(curve, LEVELS, nominal) for nominal in metrics.BANDS}
    median = metrics.at_level(curve, LEVELS, 0.5)
    up = metrics.move(outcome, base) > 0.0
    return {
        "pinball_mean": metrics.mean_pinball(losses) / base,
        "crps": metrics.crps_of_pinball(losses, LEVELS) / base,
        "wis": metrics.wis_of_pinball(losses, LEVELS) / base,
        "covered_50": covered(*bands[50], outcome),
        "covered_80": covered(*bands[80], outcome),
        "covered_90": covered(*bands[90], outcome),
        "side_80": side(*bands[80], outcome),
        "width_80": width(*bands[80], base),
        "pit_bin": pit_bin(curve, LEVELS, outcome),
        "direction_hit": direction(median, base, outcome),
        "p_up": p_up,
        "brier": brier(p_up, up),
        "log_loss": log_loss(p_up, up),
        "abs_error": abs_error(median, outcome, base),
        "log_return": np.log(outcome / base),
    }


def _board_levels(quantiles: FloatArray, levels: Sequence[float]) -> FloatArray:
    """The rows at LEVELS, stored level by level: what follows reads one level after another."""
    curve = np.asfortranarray(quantiles, np.float64)
    if tuple(levels) == LEVELS:
        return curve
    missing = [level for level in LEVELS if level not in levels]
    if missing:
        raise Invalid(
            f"level {missing[0]} was not forecast", hint=f"a scored forecast has {', '.join(map(str, LEVELS))}"
        )
    return np.asfortranarray(curve[:, [list(levels).index(level) for level in LEVELS]])


def _voids(
    realised: FloatArray, given: npt.NDArray[np.object_] | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.object_]]:
    absent = np.isnan(np.asarray(realised, np.float64))
    reason = np.full(len(absent), "", object) if given is None else np.array(given, object)
    void = absent if given is None else absent | (reason != "")
    if absent.any():
        reason[absent & (reason == "")] = NO_TARGET
    return void, reason


def _require_prices(
    curve: FloatArray, base: FloatArray, outcome: FloatArray, forecast_id: IntArray, step: IntArray
) -> None:
    sound = (curve[:, 1:] >= curve[:, :-1]).all(axis=1) & (curve[:, 0] > 0.0) & (curve[:, -1] < np.inf)
    priced = (base > 0.0) & (base < np.inf) & (outcome > 0.0) & (outcome < np.inf)
    if (sound & priced).all():
        return
    row = int(np.flatnonzero(~(sound & priced))[0])
    where = f"forecast {int(np.asarray(forecast_id)[row])}, step {int(np.asarray(step)[row])}"
    if not sound[row]:
        raise Invalid(f"{where}: quantiles {curve[row].tolist()}", hint="quantiles are sorted, finite and positive")
    raise Invalid(
        f"{where}: base price {base[row]}, realised {outcome[row]}",
        hint="prices are finite and positive; give NaN and a reason for a void row",
    )
