"""Skill against a reference on identical (instrument, cutoff, step) keys, with its interval and p value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.score.bootstrap import block_sums, interval_95
from gnomon.score.forecasts import BUCKETS, bucket_of
from gnomon.score.significance import diebold_mariano
from gnomon.score.table import Span, Table, span_of
from gnomon.units import FloatArray, IntArray

REPLICATES: Final = 2000
LOSS_FLOOR: Final = 1e-9
"""A mean loss counts as at least this, a billionth of the price and far below a tick: a perfect row has a logarithm."""

LEAST_BLOCK_INTRADAY: Final = 24
LEAST_BLOCK_DAILY: Final = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """What an interval is drawn by: the timeframe sets the least block, identity and seed the luck."""

    timeframe: Timeframe
    identity: str
    seed: int = 0
    replicates: int = REPLICATES


@dataclass(frozen=True, slots=True)
class Skill:
    """1 - S / S_reference with its 95 % interval; None where there is no figure.

    `n` counts the common keys, `blocks` the distinct cutoffs in block lengths; `dm_p` is Diebold and Mariano's p.
    """

    value: float | None = None
    lo: float | None = None
    hi: float | None = None
    dm_p: float | None = None
    n: int = 0
    blocks: float = 0.0


def skill_of(table: Table, rows: IntArray, against: FloatArray, rules: Rules) -> Skill:
    """The skill of some rows of a table against the reference's loss at every key (N,), NaN where it has none.

    The aggregate is 1 - exp(mean over instrument x bucket of ln(S / S_reference)). There is no interval while the
    cutoffs don't fill two blocks: one block would only redraw itself.
    """
    common = rows[~np.isnan(table.loss[rows]) & ~np.isnan(against[rows])]
    if not len(common):
        return Skill()
    span = span_of(table, common)
    sums = _cell_sums(table, common, against, span)
    block = block_cutoffs(span, rules.timeframe)
    lo, hi = _interval(sums, block, rules) if 2 * block <= len(sums) else (None, None)
    return Skill(
        value=float(_aggregated(sums.sum(axis=0))),
        lo=lo,
        hi=hi,
        dm_p=_dm_p(table, common, against, span),
        n=len(common),
        blocks=len(sums) / block,
    )


def _interval(sums: FloatArray, block: int, rules: Rules) -> tuple[float, float]:
    """The 95 % interval of the aggregate of sums (C, 3, K), whole blocks of cutoffs redrawn."""
    flat = sums.reshape(len(sums), -1)
    drawn = block_sums(flat, block, rules.replicates, seed=rules.seed, identity=rules.identity)
    return interval_95(_aggregated(drawn.reshape(-1, *sums.shape[1:])))


def _cells(table: Table, rows: IntArray) -> tuple[int, IntArray]:
    """How many instrument x bucket cells the rows fall into, and the cell of each."""
    code = table.instrument[rows] * len(BUCKETS) + bucket_of(table.scores.step[rows])
    there, cell = np.unique(code, return_inverse=True)
    return len(there), cell


def _cell_sums(table: Table, rows: IntArray, against: FloatArray, span: Span) -> FloatArray:
    """(C, 3, K): at each cutoff and cell the sum of losses, of the reference's losses, and the number of rows."""
    count, cell = _cells(table, rows)
    shape = (len(span.cutoffs_ns), count)
    place = span.position * count + cell
    columns = (table.loss[rows], against[rows], np.ones(len(rows)))
    sums = [np.bincount(place, weights=column, minlength=shape[0] * count).reshape(shape) for column in columns]
    return np.stack(sums, axis=1)


def _aggregated(sums: FloatArray) -> FloatArray:
    """Skill (...) of sums (..., 3, K): 1 - exp(mean over the cells that have rows of ln(S / S_reference))."""
    count = sums[..., 2, :]
    present = count > 0.5
    ours, theirs = (np.maximum(sums[..., side, :] / np.maximum(count, 1.0), LOSS_FLOOR) for side in (0, 1))
    ratio = np.where(present, np.log(ours) - np.log(theirs), 0.0)
    return np.asarray(-np.expm1(ratio.sum(axis=-1) / present.sum(axis=-1)))


def _dm_p(table: Table, rows: IntArray, against: FloatArray, span: Span) -> float | None:
    """Diebold-Mariano p of the mean loss difference per cutoff, each cell in units of the reference's mean loss."""
    count, cell = _cells(table, rows)
    theirs = against[rows]
    scale = np.maximum(np.bincount(cell, weights=theirs, minlength=count) / np.bincount(cell), LOSS_FLOOR)
    difference = (theirs - table.loss[rows]) / scale[cell]
    per_cutoff = np.bincount(span.position, weights=difference) / np.bincount(span.position)
    p = diebold_mariano(per_cutoff, span.overlap).p
    return None if math.isnan(p) else p


def block_cutoffs(span: Span, timeframe: Timeframe) -> int:
    """The length of a block: the longest step, and at least 24 intraday or 5 daily cutoffs, in cutoffs.

    Where instruments close at different hours a day holds several cutoffs, and the least block as many times more.
    """
    least = LEAST_BLOCK_INTRADAY if timeframe.is_intraday else LEAST_BLOCK_DAILY
    ends = np.searchsorted(span.cutoffs_ns, span.cutoffs_ns + least * timeframe.nominal_ns, side="left")
    in_time = int((ends - np.arange(len(ends))).max())
    return min(max(span.overlap, least, in_time), len(span.cutoffs_ns))
