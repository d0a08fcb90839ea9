"""Scores made from plain arrays, for the tests of boards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.units import HOUR_NS, FloatArray

Made = tuple[Scores, ScoredKeys]


def made_of(
    losses: Mapping[str, FloatArray],
    *,
    steps: Sequence[int] = (1,),
    stride_bars: int = 1,
    bar_ns: int = HOUR_NS,
    instruments: Sequence[str] = (),
    version: str = "1",
    stage: int = 0,
    **columns: Any,
) -> Made:
    """Scores whose pinball is given: name -> (I, C, S), or (C, S), or (C,); NaN makes a void row, -1 no row at all.

    Cutoffs are `stride_bars` bars apart. `columns` sets other figures, (F, I, C, S) or broadcast to it.
    """
    cube = np.stack([_cube(np.asarray(loss, float)) for loss in losses.values()])  # (F, I, C, S)
    there = cube != -1.0
    f, i, c, s = np.nonzero(there)
    step = np.asarray(steps)[s]
    cutoff_ns = c * stride_bars * bar_ns
    loss = cube[there]
    void = np.isnan(loss)
    figures = {
        name: np.broadcast_to(columns.get(name, default), cube.shape)[there].astype(float)
        for name, default in _DEFAULTS.items()
    }
    figures = {name: np.where(void, np.nan, column) for name, column in figures.items()}
    names = np.array(list(losses), dtype=object)
    labels = np.array(list(instruments) or [f"X:{n}" for n in range(cube.shape[1])], dtype=object)
    scores = Scores(
        forecast_id=np.ravel_multi_index((f, i, c), cube.shape[:3]).astype(np.int64),
        step=step.astype(np.int64),
        stage=np.full(len(f), stage, np.int8),
        target_close_ns=cutoff_ns + step * bar_ns,
        realised_revision=np.zeros(len(f), np.int64),
        realised_at_ns=cutoff_ns + step * bar_ns,
        scored_at_ns=np.zeros(len(f), np.int64),
        pinball_mean=loss,
        void_reason=np.where(void, "roll", "").astype(object),
        **figures,
    )
    return scores, ScoredKeys(names[f], np.full(len(f), version, object), labels[i], cutoff_ns)


def _cube(loss: FloatArray) -> FloatArray:
    """(I, C, S) of that, of (C, S) or of (C,)."""
    if loss.ndim == 1:
        return loss[None, :, None]
    return loss[None] if loss.ndim == 2 else loss


_DEFAULTS = {
    "realised": 100.0,
    "crps": 0.01,
    "wis": 0.01,
    "covered_50": 1.0,
    "covered_80": 1.0,
    "covered_90": 1.0,
    "side_80": 0.0,
    "width_80": 0.02,
    "pit_bin": 5.0,
    "direction_hit": 1.0,
    "p_up": 0.5,
    "brier": 0.25,
    "log_loss": 0.7,
    "abs_error": 0.01,
    "log_return": 0.01,
}


@pytest.fixture(scope="session")
def made() -> Callable[..., Made]:
    return made_of


def join_made(*parts: Made) -> Made:
    scores = Scores.join([one for one, _ in parts])
    keys = [one for _, one in parts]
    return scores, ScoredKeys(*(np.concatenate([getattr(one, name) for one in keys]) for name in ScoredKeys.__slots__))


@pytest.fixture(scope="session")
def join() -> Callable[..., Made]:
    return join_made
