"""Calibrations in use: what a forecast may be served with, live and in a walk-forward."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.forecast.buckets import graded_steps
from gnomon.forecast.calibration import Calibration, CalibrationTracker, calibrate, sides, with_split
from gnomon.forecast.forecast import Forecast
from gnomon.jobs.outcomes import Outcomes
from gnomon.store.calibrations import StoredCalibration
from gnomon.store.forecasts import Lane
from gnomon.store.served import Served, read_served
from gnomon.store.store import Store
from gnomon.units import INT64_MAX, FloatArray, IntArray

HISTORY_FORECASTS: Final = 1_000
"""How many forecasts of a series a split may look at: 500 that have matured, and those that have not or are void."""

Series = tuple[str, str, str, str]
"""Forecaster, version, instrument, basis."""


@dataclass(frozen=True, slots=True, eq=False)
class Recalibrated:
    """The quantiles (H, Q) as served, and the fit behind them."""

    quantiles: FloatArray
    calibration_id: int


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What came of a series' raw curves: rows (n, Q) at graded steps (n,), the closes and when they were knowable."""

    levels: tuple[float, ...]
    quantiles: FloatArray
    realised: FloatArray
    step: IntArray
    realised_at_ns: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A calibration as of an instant: the tracker's, or the split in its place; never both."""

    calibration: Calibration
    fitted_until_ns: int

    @classmethod
    def at(cls, tracker: CalibrationTracker, at_ns: int, history: Callable[[], History | None]) -> Fitted:
        """The split where the tracker stands at a bound and its history is long enough; only then is it asked."""
        tracked = tracker.until(at_ns)
        known = history() if tracked.is_at_bound else None
        if known is None:
            return cls(tracked, tracker.fitted_until_ns)
        rows = known.quantiles, known.levels, known.realised, known.step, known.realised_at_ns
        made = with_split(tracked, *rows, until_ns=at_ns)
        if made.method == "tracker":
            return cls(tracked, tracker.fitted_until_ns)
        newest_ns = known.realised_at_ns[(known.realised_at_ns <= at_ns) & ~np.isnan(known.realised)].max()
        return cls(made, max(tracker.fitted_until_ns, int(newest_ns)))


def series_of(forecast: Forecast) -> Series:
    """Whose calibration a forecast may use: a fit counts for the version that it was made from and for no other."""
    return forecast.forecaster, forecast.version, forecast.instrument, forecast.basis


class Calibrations:
    """The stored calibrations of a lane and variant, as of each cutoff that is asked about."""

    def __init__(self, store: Store, timeframe: Timeframe, *, lane: Lane = "live", variant: str = "") -> None:
        self._store, self._timeframe, self._lane, self._variant = store, str(timeframe), lane, variant
        self._known: dict[int, dict[Series, StoredCalibration]] = {}

    def apply(self, forecast: Forecast) -> Recalibrated | None:
        """The forecast recalibrated by the newest fit made by its cutoff; None where there is none."""
        cutoff_ns = forecast.data_cutoff_ns
        if cutoff_ns not in self._known:
            self._known[cutoff_ns] = self._store.calibrations.newest(
                lane=self._lane, variant=self._variant, timeframe=self._timeframe, as_of_ns=cutoff_ns
            )
        fit = self._known[cutoff_ns].get(series_of(forecast))
        if fit is None:
            return None
        made = Calibration.from_document(fit.document)
        return Recalibrated(calibrate(forecast.quantiles, forecast.levels, made), fit.id)


@dataclass(slots=True)
class _Walked:
    """One series of a walk-forward: its tracker, and of each forecast the rows of a `History`."""

    tracker: CalibrationTracker
    levels: tuple[float, ...] = ()
    rows: deque[tuple[FloatArray, FloatArray, IntArray, IntArray]] = field(
        default_factory=lambda: deque(maxlen=HISTORY_FORECASTS)
    )

    def history(self) -> History | None:
        if not self.rows:
            return None
        columns = [np.concatenate(column) for column in zip(*self.rows, strict=True)]
        return History(self.levels, *columns)


class WalkForwardCalibration:
    """Trackers of a walk-forward, refreshed at each origin from what had realised by then.

    The outcomes are on the tape from the start; a fit uses each only from when it became knowable. Forecasts come in
    order of their cutoffs; those of an earlier, interrupted run are read from the ledger first.
    """

    def __init__(self, store: Store, timeframe: Timeframe, variant: str, outcomes: Mapping[str, Outcomes]) -> None:
        self._store, self._timeframe, self._variant, self._outcomes = store, timeframe, variant, outcomes
        self._steps = graded_steps(timeframe, 120)
        self._walked: dict[Series, _Walked] = {}

    def apply(self, forecasts: Sequence[Forecast]) -> list[Recalibrated]:
        """Each forecast recalibrated as of its cutoff; the fits are stored first, as a forecast names its own."""
        made, fits = [], []
        for one in sorted(forecasts, key=lambda f: f.data_cutoff_ns):
            walked = self._series(one)
            fit = Fitted.at(walked.tracker, one.data_cutoff_ns, walked.history)
            made.append((one, calibrate(one.quantiles, one.levels, fit.calibration)))
            fits.append(self._stored(one, walked.tracker, fit))
            self._tell(walked, one, one.quantiles, calibrate(one.quantiles, one.levels, fit.calibration.tracked()))
        ids = self._store.calibrations.insert(fits)
        found = {id(one): Recalibrated(quantiles, of) for (one, quantiles), of in zip(made, ids, strict=True)}
        return [found[id(one)] for one in forecasts]

    def _series(self, forecast: Forecast) -> _Walked:
        series = series_of(forecast)
        if series not in self._walked:
            walked = self._walked[series] = _Walked(CalibrationTracker(self._steps))
            rows = self._issued_before(forecast)
            raw = self._store.forecasts.quantiles([one.id for one in rows], "raw")
            for row in rows:
                tracked = walked.tracker.until(row.data_cutoff_ns)
                # Where the tracker stood at a bound a split may have been served: the tracker's own band is made anew.
                band = calibrate(raw[row.id], row.levels, tracked) if tracked.is_at_bound else row.quantiles
                self._tell(walked, row, raw[row.id], band)
        return self._walked[series]

    def _issued_before(self, forecast: Forecast) -> Sequence[Served]:
        rows = read_served(
            self._store.engine,
            lane="backfill",
            variant=self._variant,
            timeframe=str(self._timeframe),
            forecasters=[forecast.forecaster],
            instruments=[forecast.instrument],
            first_cutoff_ns=-INT64_MAX,
            last_cutoff_ns=forecast.data_cutoff_ns - 1,
        )
        return [one for one in rows if (one.version, one.basis) == (forecast.version, forecast.basis)]

    def _tell(self, walked: _Walked, one: Forecast | Served, raw: FloatArray, band: FloatArray) -> None:
        """Where each graded target fell on the tracker's band as the ledger has it (float32), and when that was
        knowable; the raw curve of the same targets goes to the history."""
        steps = np.array([step for step in self._steps if step <= len(band)])
        near, outcomes, cutoff_ns = steps - 1, self._outcomes[one.instrument], one.data_cutoff_ns
        price, flags, knowable_ns = outcomes.at(one.target_open_ns[None, near], np.array([cutoff_ns]))
        realised = np.where(flags[0] != 0, np.nan, price[0])
        low, high = (_rounded(band[near, list(one.levels).index(level)]) for level in (0.1, 0.9))
        close_ns = one.target_close_ns[near]
        known_ns = np.where(knowable_ns[0] > 0, knowable_ns[0], close_ns)
        walked.tracker.add(cutoff_ns, close_ns, known_ns, sides(low, high, realised))
        walked.levels = tuple(one.levels)
        walked.rows.append((_rounded(raw[near]), realised, steps, known_ns))

    def _stored(self, forecast: Forecast, tracker: CalibrationTracker, fit: Fitted) -> StoredCalibration:
        return StoredCalibration(
            lane="backfill",
            variant=self._variant,
            forecaster=forecast.forecaster,
            version=forecast.version,
            instrument=forecast.instrument,
            timeframe=str(self._timeframe),
            basis=forecast.basis,
            fitted_at_ns=forecast.data_cutoff_ns,
            fitted_until_ns=fit.fitted_until_ns,
            method=fit.calibration.method,
            n=tracker.n,
            document=fit.calibration.document(),
        )


def _rounded(values: FloatArray) -> FloatArray:
    return values.astype(np.float32).astype(np.float64)
