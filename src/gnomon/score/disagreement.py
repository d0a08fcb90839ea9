"""The scorecard of the disagreement flag: is the realised loss higher when it is raised?

Rows are compared within an instrument and horizon bucket alone: `excess = exp(mean over the cells that have both of
ln(mean loss raised / mean loss otherwise)) - 1`. Its interval comes from a moving-block bootstrap over cutoffs, all
instruments of a cutoff together; a replicate uses the cells that still have both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.forecast.buckets import BUCKETS, bucket_of
from gnomon.score.bootstrap import block_sums, interval_95
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.skill import LEAST_BLOCK_DAILY, LEAST_BLOCK_INTRADAY, LOSS_FLOOR, REPLICATES
from gnomon.score.table import Loss, Table, span_of, table_of
from gnomon.score.verdict import MIN_BLOCKS
from gnomon.units import FloatArray, IntArray

LEAST_WITH_A_FIGURE: Final = 0.95
"""The share of replicates that must hold both kinds of rows; below it the flag is too seldom raised for an interval."""


@dataclass(frozen=True, slots=True)
class FlagScorecard:
    """What is known of a flag. `excess` is how much higher the loss is when it is raised, with its 95 % interval.

    `raised` and `rest` count scored rows, `raised_cutoffs` the cutoffs with a raised flag, `cutoffs` all of them,
    `blocks` all cutoffs in block lengths. None where there is no figure.
    """

    raised: int
    rest: int
    raised_cutoffs: int
    cutoffs: int
    blocks: float
    excess: float | None
    lo: float | None
    hi: float | None
    words: str


def flag_scorecard(
    scores: Scores,
    keys: ScoredKeys,
    raised: Mapping[tuple[str, int], bool],
    *,
    timeframe: Timeframe,
    identity: str,
    loss: Loss = "pinball_mean",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> FlagScorecard:
    """The scorecard of one pool's scores (one stage): `raised` says for each (instrument, cutoff) whether the flag was
    up; forecasts that are not in it had no flag and are left out. `identity` and `seed` draw the replicates."""
    pairs = list(zip(keys.instrument.tolist(), keys.data_cutoff_ns.tolist(), strict=True))
    watched = np.array([pair in raised for pair in pairs], np.bool_)
    table = table_of(scores.take(watched), keys.take(watched), loss=loss)
    rows = np.flatnonzero(~np.isnan(table.loss))
    names = [table.instruments[code] for code in table.instrument[rows]]
    up = np.array([raised[one] for one in zip(names, table.cutoff_ns[rows].tolist(), strict=True)], np.bool_)
    sums = _sums(table, rows, up)
    blocks, lo, hi = 0.0, None, None
    if len(rows):
        block = _block_cutoffs(table, rows, timeframe)
        blocks = len(sums) / block
        if 2 * block <= len(sums):
            lo, hi = _interval(sums, block, replicates, seed, identity)
    excess = float(_excess(sums.sum(axis=0)[None])[0])
    value = None if np.isnan(excess) else excess
    independent = span_of(table, rows[up]).independent
    raised_cutoffs = len(np.unique(table.cutoff_ns[rows[up]]))
    is_early = blocks < MIN_BLOCKS or independent < MIN_BLOCKS
    return FlagScorecard(
        raised=int(up.sum()),
        rest=int((~up).sum()),
        raised_cutoffs=raised_cutoffs,
        cutoffs=len(sums),
        blocks=blocks,
        excess=value,
        lo=None if value is None else lo,
        hi=None if value is None else hi,
        words=_words(value, lo, hi, is_early=is_early, when=f"raised at {raised_cutoffs} of {len(sums)} cutoffs"),
    )


def _sums(table: Table, rows: IntArray, up: npt.NDArray[np.bool_]) -> FloatArray:
    """(C, 4, K): at each cutoff and cell the losses while raised, their number, the losses otherwise, their number."""
    cutoffs, place = np.unique(table.cutoff_ns[rows], return_inverse=True)
    code = table.instrument[rows] * len(BUCKETS) + bucket_of(table.scores.step[rows])
    cells, cell = np.unique(code, return_inverse=True)
    shape = (len(cutoffs), len(cells))
    flat = place * shape[1] + cell
    columns = (table.loss[rows] * up, up * 1.0, table.loss[rows] * ~up, ~up * 1.0)
    sums = [np.bincount(flat, weights=one, minlength=shape[0] * shape[1]).reshape(shape) for one in columns]
    return np.stack(sums, axis=1)


def _excess(sums: FloatArray) -> FloatArray:
    """The excess (...) of sums (..., 4, K); NaN where no cell has both."""
    both = (sums[..., 1, :] > 0.5) & (sums[..., 3, :] > 0.5)
    raised, rest = (
        np.maximum(sums[..., side, :] / np.maximum(sums[..., side + 1, :], 1.0), LOSS_FLOOR) for side in (0, 2)
    )
    ratio = np.where(both, np.log(raised) - np.log(rest), 0.0).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.expm1(ratio / both.sum(axis=-1)), np.float64)


def _interval(
    sums: FloatArray, block: int, replicates: int, seed: int, identity: str
) -> tuple[float | None, float | None]:
    drawn = block_sums(sums.reshape(len(sums), -1), block, replicates, seed=seed, identity=identity)
    found = _excess(drawn.reshape(-1, *sums.shape[1:]))
    found = found[~np.isnan(found)]
    return interval_95(found) if len(found) >= LEAST_WITH_A_FIGURE * replicates else (None, None)


def _block_cutoffs(table: Table, rows: IntArray, timeframe: Timeframe) -> int:
    """The longest step, and at least 24 intraday or 5 daily bars, in cutoffs: as for skill."""
    span = span_of(table, rows)
    least = LEAST_BLOCK_INTRADAY if timeframe.is_intraday else LEAST_BLOCK_DAILY
    ends = np.searchsorted(span.cutoffs_ns, span.cutoffs_ns + least * timeframe.nominal_ns, side="left")
    in_time = int((ends - np.arange(len(ends))).max())
    return min(max(span.overlap, least, in_time), len(span.cutoffs_ns))


def _words(excess: float | None, lo: float | None, hi: float | None, *, is_early: bool, when: str) -> str:
    if excess is None:
        return f"no figure: {when}"
    if is_early or lo is None or hi is None:
        return f"too early to say ({when})"
    if lo > 0.0:
        return f"losses are {excess:.1%} higher when it is raised ({lo:.1%} … {hi:.1%})"
    if hi < 0.0:
        return f"losses are {-excess:.1%} lower when it is raised ({-hi:.1%} … {-lo:.1%})"
    return f"losses cannot be told apart, raised or not ({when})"
