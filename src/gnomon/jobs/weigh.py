"""Better by its own scores: calibrations of every series and weights of every pool, from what has realised by now.

Both are fitted from the scores at the stage that was served. A fit at `fitted_at` may be used by forecasts whose cutoff
is at or after it, and by no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import numpy as np

from gnomon.clock import Clock, Timeframe
from gnomon.errors import Unavailable
from gnomon.forecast.buckets import graded_steps
from gnomon.forecast.calibration import Calibration, CalibrationTracker, calibrate, sides
from gnomon.forecast.catalog import BASELINES
from gnomon.forecast.ensemble import Weights
from gnomon.forecast.meta import REGIME_BARS, is_available
from gnomon.jobs.calibrate import HISTORY_FORECASTS, Fitted, History, Series
from gnomon.jobs.cast import POOL
from gnomon.jobs.learn import LABELS, Lessons
from gnomon.jobs.predict import Subject, load_tape
from gnomon.jobs.progress import Progress, silent
from gnomon.market.candles import Basis
from gnomon.market.instrument import Instrument
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.weights import WeightsFitter
from gnomon.store.calibrations import StoredCalibration
from gnomon.store.forecasts import Lane
from gnomon.store.store import Store
from gnomon.store.weights import StoredWeights
from gnomon.units import DAY_NS

LONGEST_STEP: Final = 120
WEIGHED_BARS: Final = 60 * LONGEST_STEP
"""How far back weights look: 40 windows of the longest bucket, and what a calendar's holidays add."""
RETIRED_AFTER_NS: Final = 60 * DAY_NS


@dataclass(slots=True)
class Weighed:
    """What a weigh job did."""

    fitted_at_ns: int
    calibrations: int = 0
    weights: int = 0
    learners: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def weigh(
    store: Store,
    chosen: Sequence[Subject],
    timeframe: Timeframe,
    clock: Clock,
    *,
    members: Sequence[str] = tuple(BASELINES),
    learn: bool = False,
    progress: Progress = silent,
) -> Weighed:
    """Fit calibrations and weights of the live lane from all scores that are known now; store them once.

    `learn` fits the learners of `ensemble-meta` too, which reads what every member said at the newest 20,000 labels.
    """
    done = Weighed(clock.now_ns())
    progress(0, 2, "calibrations")
    fits = calibrations_of(store, chosen, timeframe, done.fitted_at_ns)
    done.calibrations = len(store.calibrations.insert(fits))
    progress(1, 2, "weights")
    for basis in sorted({one.basis for one in chosen}):
        mine = [one.instrument for one in chosen if one.basis == basis]
        first_ns = done.fitted_at_ns - WEIGHED_BARS * timeframe.nominal_ns
        scores, keys = served_scores(store, timeframe, basis, mine, first_cutoff_ns=first_ns)
        for scope, rows in rows_by_class(keys, mine).items():
            fitter = WeightsFitter(scores.take(rows), keys.take(rows), members)
            fit = fitter.weights(scope, done.fitted_at_ns)
            store.weights.insert([stored_weights(fit, "live", "", timeframe)])
            done.weights += 1
            if learn:
                done.learners[scope] = _learn(store, chosen, basis, fit, members, scores.take(rows), keys.take(rows))
            done.scopes[scope] = {"windows": list(fit.windows), "weights": [dict(one) for one in fit.by_bucket]}
    progress(2, 2, "done")
    return done


def _learn(
    store: Store,
    chosen: Sequence[Subject],
    basis: Basis,
    fit: Weights,
    members: Sequence[str],
    scores: Scores,
    keys: ScoredKeys,
) -> str:
    """Fit and store the learner of a class beside its weights; in words what came of it."""
    if not is_available():
        return "lightgbm is not installed: gnomon[ensemble]"
    mine = [one for one in chosen if one.basis == basis and one.instrument.asset_class == fit.scope]
    tape = load_tape(store, mine, last_ns=fit.fitted_at_ns, limit=WEIGHED_BARS + 2 * REGIME_BARS)
    try:
        row = Lessons.of(store, tape, mine, scores, keys, members, most=LABELS).stored(fit, "live", "")
    except Unavailable as error:
        return error.message
    store.weights.insert([row])
    return f"{row.document['learner']['labels']} labels"


def served_scores(
    store: Store,
    timeframe: Timeframe,
    basis: Basis,
    instruments: Sequence[Instrument],
    *,
    lane: Lane = "live",
    variant: str = "",
    first_cutoff_ns: int | None = None,
) -> tuple[Scores, ScoredKeys]:
    """Scores at the stage that readers got: of the calibrated quantiles where there were any, else of the raw ones."""
    asked: dict[str, Any] = {
        "lane": lane,
        "variant": variant,
        "timeframe": str(timeframe),
        "basis": basis,
        "instruments": [one.id for one in instruments],
        "first_cutoff_ns": first_cutoff_ns,
    }
    raw, raw_keys = store.scores.read(**asked, stage=0)
    calibrated, keys = store.scores.read(**asked, stage=1)
    if not len(calibrated):
        return raw, raw_keys
    only_raw = ~np.isin(raw.forecast_id, calibrated.forecast_id)
    joined = [getattr(raw_keys.take(only_raw), name) for name in ScoredKeys.__dataclass_fields__]
    others = [getattr(keys, name) for name in ScoredKeys.__dataclass_fields__]
    pairs = zip(joined, others, strict=True)
    return Scores.join([raw.take(only_raw), calibrated]), ScoredKeys(*(np.concatenate(pair) for pair in pairs))


def rows_by_class(keys: ScoredKeys, instruments: Sequence[Instrument]) -> dict[str, np.ndarray]:
    """The rows of each asset class that has any."""
    class_of = {one.id: one.asset_class for one in instruments}
    names, code = np.unique(keys.instrument.astype(str), return_inverse=True)
    classes = np.array([class_of[name] for name in names], object)
    found = {one: np.flatnonzero(classes[code] == one) for one in sorted(set(class_of.values()))} if len(names) else {}
    return {one: rows for one, rows in found.items() if len(rows)}


def stored_weights(fit: Weights, lane: Lane, variant: str, timeframe: Timeframe) -> StoredWeights:
    """The row of a fit."""
    return StoredWeights(
        lane=lane,
        variant=variant,
        ensemble=POOL,
        scope=fit.scope,
        timeframe=str(timeframe),
        fitted_at_ns=fit.fitted_at_ns,
        fitted_until_ns=fit.fitted_until_ns,
        document=fit.document(),
    )


def calibrations_of(
    store: Store, chosen: Sequence[Subject], timeframe: Timeframe, fitted_at_ns: int
) -> list[StoredCalibration]:
    """A fit for each (forecaster, version, instrument, basis) that has been scored, going on from its newest one.

    A tracker says from which cutoff on it wants to be told; what came before is in its state.
    """
    steps = graded_steps(timeframe, LONGEST_STEP)
    known = store.calibrations.newest(lane="live", timeframe=str(timeframe), as_of_ns=fitted_at_ns)
    trackers = {series: CalibrationTracker.from_document(steps, one.document) for series, one in known.items()}
    oldest_ns = fitted_at_ns - RETIRED_AFTER_NS  # a forecaster that fell silent is waited for no longer
    first_ns = min((max(one.needs_from_ns, oldest_ns) for one in trackers.values()), default=None)
    closes = store.scores.closes(lane="live", timeframe=str(timeframe), first_cutoff_ns=first_ns)
    fits = []
    for basis in sorted({one.basis for one in chosen}):
        mine = [one.instrument for one in chosen if one.basis == basis]
        scores, keys = served_scores(store, timeframe, basis, mine, first_cutoff_ns=first_ns)
        scores = _tracked_sides(store, scores, timeframe, first_ns)
        rows = scores.realised_at_ns <= fitted_at_ns
        scores, keys = scores.take(rows), keys.take(rows)
        for (forecaster, version, instrument), of in _series(keys).items():
            series = forecaster, version, instrument, basis
            tracker = trackers.get(series) or CalibrationTracker(steps)
            _tell(tracker, scores.take(of), keys.data_cutoff_ns[of], closes, steps)
            fits.append(_fit(store, series, timeframe, fitted_at_ns, tracker))
    return fits


def _tell(
    tracker: CalibrationTracker,
    scores: Scores,
    cutoff_ns: np.ndarray,
    closes: Mapping[int, np.ndarray],
    steps: Sequence[int],
) -> None:
    """Tell a tracker of every forecast with a score; a step that has none yet is one to come."""
    place = {step: column for column, step in enumerate(steps)}
    cutoffs, first, row = np.unique(cutoff_ns, return_index=True, return_inverse=True)
    column = np.array([place[int(step)] for step in scores.step], np.int64)
    realised_at = np.zeros((len(cutoffs), len(steps)), np.int64)
    side = np.full(realised_at.shape, np.nan)
    realised_at[row, column] = scores.realised_at_ns
    side[row, column] = scores.side_80
    for number, at_ns in enumerate(cutoffs.tolist()):
        target_close_ns = closes[int(scores.forecast_id[first[number]])]
        near = np.array([step for step in steps if step <= len(target_close_ns)])
        tracker.add(at_ns, target_close_ns[near - 1], realised_at[number, : len(near)], side[number, : len(near)])


def _tracked_sides(store: Store, scores: Scores, timeframe: Timeframe, first_cutoff_ns: int | None) -> Scores:
    """The scores, with the side of the tracker's own band where a split was served in its place: the split's good
    coverage would pull the tracker from its bound."""
    split = store.calibrations.splits_served(lane="live", timeframe=str(timeframe), first_cutoff_ns=first_cutoff_ns)
    rows = np.flatnonzero(np.isin(scores.forecast_id, list(split)) & (scores.void_reason == ""))
    if not len(rows):
        return scores
    side = scores.side_80.copy()
    raw = store.forecasts.quantiles(np.unique(scores.forecast_id[rows]).tolist(), "raw")
    for row in rows.tolist():
        id_ = int(scores.forecast_id[row])
        levels, fit = split[id_]
        tracked = Calibration.from_document(fit).tracked()
        step = int(scores.step[row])
        band = calibrate(raw[id_][:step], levels, tracked)[-1]
        low, high = (band[[levels.index(level)]].astype(np.float32).astype(np.float64) for level in (0.1, 0.9))
        side[row] = sides(low, high, scores.realised[[row]])[0]
    return replace(scores, side_80=side)


def _history(store: Store, series: Series, timeframe: Timeframe, fitted_at_ns: int) -> History | None:
    """The raw curves of a series' last scored forecasts and what came of them."""
    forecaster, version, instrument, basis = series
    scores, keys = store.scores.read(
        lane="live",
        timeframe=str(timeframe),
        basis=cast(Basis, basis),
        instruments=[instrument],
        forecasters=[forecaster],
        first_cutoff_ns=fitted_at_ns - WEIGHED_BARS * timeframe.nominal_ns,
    )
    scores = scores.take(
        (keys.version == version) & (scores.void_reason == "") & (scores.realised_at_ns <= fitted_at_ns)
    )
    newest = np.unique(scores.forecast_id)[-HISTORY_FORECASTS:]
    if not len(newest):
        return None
    scores = scores.take(np.isin(scores.forecast_id, newest))
    raw = store.forecasts.quantiles(newest.tolist(), "raw")
    curves = np.array([raw[id_][step - 1] for id_, step in zip(scores.forecast_id, scores.step, strict=True)])
    levels = store.forecasts.get(int(newest[-1])).levels
    return History(tuple(levels), curves, scores.realised, scores.step, scores.realised_at_ns)


def _fit(
    store: Store, series: Series, timeframe: Timeframe, fitted_at_ns: int, tracker: CalibrationTracker
) -> StoredCalibration:
    forecaster, version, instrument, basis = series
    fit = Fitted.at(tracker, fitted_at_ns, lambda: _history(store, series, timeframe, fitted_at_ns))
    return StoredCalibration(
        lane="live",
        variant="",
        forecaster=forecaster,
        version=version,
        instrument=instrument,
        timeframe=str(timeframe),
        basis=basis,
        fitted_at_ns=fitted_at_ns,
        fitted_until_ns=fit.fitted_until_ns,
        method=fit.calibration.method,
        n=tracker.n,
        document=fit.calibration.document() | tracker.document(),
    )


def _series(keys: ScoredKeys) -> dict[tuple[str, str, str], np.ndarray]:
    if not len(keys):
        return {}
    columns = (keys.forecaster, keys.version, keys.instrument)
    parts = [np.unique(column.astype(str), return_inverse=True) for column in columns]
    code = np.ravel_multi_index([one[1] for one in parts], [len(one[0]) for one in parts])
    order = np.argsort(code, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    return {tuple(str(names[index[rows[0]]]) for names, index in parts): rows for rows in groups}  # type: ignore[misc]  # three names
