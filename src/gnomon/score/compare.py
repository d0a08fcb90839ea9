"""Forecasters side by side: skill against the reference on identical keys, with intervals and a verdict in words.

A key is (instrument, cutoff, step). Everything starts by putting the scored rows into one order, so a board does not
depend on the order in which rows arrive; and a row of the board uses only its own forecaster's keys and the
reference's, so it does not depend on who else is there. The star alone looks at the whole board.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.metrics import PIT_LEVELS, mase, pit_distance, pit_shares
from gnomon.score.significance import benjamini_hochberg, wilson
from gnomon.score.skill import REPLICATES, Rules, skill_of
from gnomon.score.table import Loss, Table, code_of, span_of, table_of
from gnomon.score.verdict import THE_REFERENCE, VerdictKind, verdict
from gnomon.units import FloatArray, IntArray

REFERENCE: Final = "ewma"
ALL: Final = "all"
FALSE_DISCOVERY_RATE: Final = 0.1


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One forecaster on one instrument, or on `all`. None where there is no figure.

    Figures are over the forecaster's own scored steps (`n`); skill, its 95 % interval, `blocks` and `dm_p` are over the
    keys it shares with the reference, and so is the n of the verdict's words. Losses are in shares of the base price.
    The interval of coverage counts only cutoffs whose targets do not overlap.
    """

    forecaster: str
    instrument: str
    n: int
    blocks: float
    pinball: float | None
    skill: float | None
    skill_lo: float | None
    skill_hi: float | None
    coverage80: float | None
    coverage80_lo: float | None
    coverage80_hi: float | None
    below80: float | None
    above80: float | None
    coverage50: float | None
    coverage90: float | None
    width80: float | None
    crps: float | None
    wis: float | None
    mae: float | None
    mase: float | None
    direction_hit: float | None
    n_calls: int
    brier: float | None
    pit_distance: float | None
    dm_p: float | None
    star: bool
    voids: int
    verdict: str
    verdict_kind: VerdictKind

    def row(self) -> dict[str, Any]:
        """JSON-ready, in the order of the fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Who wins at how many cutoffs: matrices (F, F), row against column, NaN without a common cutoff.

    `share` counts a tie half; `lo` and `hi` are Wilson's 95 % interval over cutoffs whose targets do not overlap;
    `cutoffs` are those where both have a common key.
    """

    forecasters: tuple[str, ...]
    share: FloatArray
    lo: FloatArray
    hi: FloatArray
    cutoffs: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A calibration curve: at each level (9,) the share of outcomes below that quantile, with its 95 % interval.

    `counts` (10,) is the PIT histogram, `n` its sum, `origins` the cutoffs whose targets do not overlap, on which the
    interval rests. `sigma` (10,) is the deviation that each count of a calibrated forecaster would have.
    """

    forecaster: str
    instrument: str
    levels: FloatArray
    share: FloatArray
    lo: FloatArray
    hi: FloatArray
    counts: IntArray
    sigma: FloatArray
    n: int
    origins: int


def board(
    scores: Scores,
    keys: ScoredKeys,
    *,
    timeframe: Timeframe,
    identity: str,
    reference: str = REFERENCE,
    loss: Loss = "pinball_mean",
    bucket: tuple[int, int] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[BoardRow, ...]:
    """Rows of every (forecaster, "all") and every (forecaster, instrument), from scores of one timeframe and one stage.

    Skill is 1 - exp(mean over instrument x bucket of ln(S / S_reference)) on identical keys; its interval comes from
    a moving-block bootstrap over cutoffs, all instruments of a cutoff together, drawn by `seed` and `identity` (the
    board's filter and date). `bucket` (first and last step) narrows the board. A forecaster of whom two versions
    answered the same key stands once for each version, as `name@version`; of two versions of the reference the one
    with more rows is it. "all" comes first, then the instruments by name; within each, the highest lower bound.
    Raises `Invalid` for mixed stages, for repeated keys of one version, and for a step below 1.
    """
    table = table_of(scores, keys, loss=loss, bucket=bucket)
    rules = Rules(timeframe, identity, seed, replicates)
    naive = "naive" if reference == REFERENCE else reference
    marked = code_of(table, reference)
    against = table.loss_of(marked) if marked >= 0 else np.full(len(table.key), np.nan)
    rows = [
        _row(table, forecaster, instrument, against, rules, naive=None if forecaster == marked else naive)
        for forecaster in range(len(table.forecasters))
        for instrument in (None, *range(len(table.instruments)))
        if len(table.key[table.rows(forecaster, instrument)])
    ]
    return tuple(sorted(_starred(rows), key=_rank))


def pairs(
    scores: Scores, keys: ScoredKeys, *, loss: Loss = "pinball_mean", bucket: tuple[int, int] | None = None
) -> Pairs:
    """At how many cutoffs each forecaster's loss, summed over the keys both have, is below each other's."""
    table = table_of(scores, keys, loss=loss, bucket=bucket)
    count = len(table.forecasters)
    share, lo, hi = (np.full((count, count), np.nan) for _ in range(3))
    cutoffs = np.zeros((count, count), np.int64)
    for right in range(count):
        against = table.loss_of(right)
        for left in range(right + 1, count):
            won, origins, cutoffs[left, right] = _wins(table, left, against)
            low, high = wilson(won, origins)
            share[left, right], lo[left, right], hi[left, right] = won, low, high
            share[right, left], lo[right, left], hi[right, left] = 1.0 - won, 1.0 - high, 1.0 - low
    return Pairs(table.forecasters, share, lo, hi, cutoffs + cutoffs.T)


def reliability(
    scores: Scores,
    keys: ScoredKeys,
    *,
    forecaster: str,
    instrument: str = ALL,
    bucket: tuple[int, int] | None = None,
) -> Reliability:
    """Calibration curve and PIT histogram of one forecaster on one instrument or all; NaN where nothing is scored."""
    table = table_of(scores, keys, loss="pinball_mean", bucket=bucket)
    code = code_of(table, forecaster)
    place = table.instruments.index(instrument) if instrument in table.instruments else None
    chosen = np.zeros(0, np.int64)
    if code >= 0 and (place is not None or instrument == ALL):
        chosen = table.scored(table.rows(code, place))
    bins = table.scores.pit_bin[chosen]
    counts = np.bincount(bins.astype(np.int64), minlength=10)
    origins = span_of(table, chosen).independent
    share = pit_shares(bins)
    lo, hi = wilson(share, origins)
    return Reliability(
        forecaster=forecaster,
        instrument=instrument,
        levels=np.asarray(PIT_LEVELS),
        share=share,
        lo=lo,
        hi=hi,
        counts=counts,
        sigma=np.full(10, math.sqrt(len(bins) * 0.1 * 0.9)),
        n=len(bins),
        origins=origins,
    )


# --- one row --------------------------------------------------------------------------------------------------------


def _row(
    table: Table,
    forecaster: int,
    instrument: int | None,
    against: FloatArray,
    rules: Rules,
    *,
    naive: str | None,
) -> BoardRow:
    """A row of the board; `naive` is the reference in words, None where the row is the reference itself."""
    rows = table.rows(forecaster, instrument)
    scored = table.scored(rows)
    skill = skill_of(table, scored, against, rules)
    if naive is None:
        zero = 0.0 if skill.n else None
        skill, said = replace(skill, value=zero, lo=zero, hi=zero, dm_p=None), THE_REFERENCE
    else:
        said = verdict(skill.value, skill.lo, skill.hi, n=skill.n, blocks=skill.blocks, naive=naive)
    return BoardRow(
        forecaster=table.forecasters[forecaster],
        instrument=ALL if instrument is None else table.instruments[instrument],
        n=len(scored),
        blocks=skill.blocks,
        skill=skill.value,
        skill_lo=skill.lo,
        skill_hi=skill.hi,
        dm_p=skill.dm_p,
        star=False,
        voids=rows.stop - rows.start - len(scored),
        verdict=said.words,
        verdict_kind=said.kind,
        **_means(table, scored),
        **_shares(table, scored),
    )


def _means(table: Table, scored: IntArray) -> dict[str, Any]:
    """The figures that are means over the scored rows."""
    scores = table.scores
    last_close = np.abs(np.expm1(scores.log_return[scored]))
    same_step = table.instrument[scored] * (int(scores.step.max(initial=0)) + 1) + scores.step[scored]
    return {
        "pinball": _mean(scores.pinball_mean[scored]),
        "crps": _mean(scores.crps[scored]),
        "wis": _mean(scores.wis[scored]),
        "width80": _median(scores.width_80[scored]),
        "mae": _mean(scores.abs_error[scored]),
        "mase": _figure(mase(scores.abs_error[scored], last_close, same_step)) if len(scored) else None,
        "brier": _mean(scores.brier[scored]),
    }


def _shares(table: Table, scored: IntArray) -> dict[str, Any]:
    """The figures that are counts: coverage with its interval, direction, PIT."""
    scores = table.scores
    side, calls = scores.side_80[scored], scores.direction_hit[scored]
    coverage = _mean(scores.covered_80[scored])
    origins = span_of(table, scored).independent
    low, high = wilson(math.nan if coverage is None else coverage, origins)
    return {
        "coverage80": coverage,
        "coverage80_lo": _figure(float(low)),
        "coverage80_hi": _figure(float(high)),
        "below80": _mean(side < 0.0),
        "above80": _mean(side > 0.0),
        "coverage50": _mean(scores.covered_50[scored]),
        "coverage90": _mean(scores.covered_90[scored]),
        "direction_hit": _mean(calls),
        "n_calls": int((~np.isnan(calls)).sum()),
        "pit_distance": _figure(pit_distance(scores.pit_bin[scored])),
    }


def _mean(values: npt.NDArray[Any]) -> float | None:
    """The mean of what is there; None for nothing."""
    present = values if values.dtype == np.bool_ else values[~np.isnan(values)]
    return float(present.mean()) if len(present) else None


def _median(values: FloatArray) -> float | None:
    return float(np.median(values)) if len(values) else None


def _figure(value: float) -> float | None:
    return None if math.isnan(value) else value


# --- the whole board ------------------------------------------------------------------------------------------------


def _starred(rows: Sequence[BoardRow]) -> Iterator[BoardRow]:
    """A row that beats naive carries a star if its p survives Benjamini-Hochberg over the rows of the board."""
    p = [math.nan if row.dm_p is None else row.dm_p for row in rows]
    for row, survives in zip(rows, benjamini_hochberg(p, rate=FALSE_DISCOVERY_RATE), strict=True):
        yield replace(row, star=True) if survives and row.verdict_kind == "beats" else row


def _rank(row: BoardRow) -> tuple[bool, str, float, str]:
    low = math.inf if row.skill_lo is None else -row.skill_lo
    return row.instrument != ALL, row.instrument, low, row.forecaster


def _wins(table: Table, left: int, against: FloatArray) -> tuple[float, int, int]:
    """The share of cutoffs won, how many of them do not overlap, and how many there are."""
    rows = table.scored(table.rows(left))
    common = rows[~np.isnan(table.loss[rows]) & ~np.isnan(against[rows])]
    if not len(common):
        return math.nan, 0, 0
    span = span_of(table, common)
    gap = np.bincount(span.position, weights=against[common] - table.loss[common])
    won = float(np.where(gap == 0.0, 0.5, gap > 0.0).mean())
    return won, span.independent, len(gap)
