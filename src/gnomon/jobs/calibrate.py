"""Calibrations in use: what a forecast may be served with, live and in a walk-forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gnomon.clock import Timeframe
from gnomon.forecast.buckets import graded_steps
from gnomon.forecast.calibration import Calibration, CalibrationTracker, calibrate, sides
from gnomon.forecast.forecast import Forecast
from gnomon.jobs.outcomes import Outcomes
from gnomon.store.calibrations import StoredCalibration
from gnomon.store.forecasts import Lane
from gnomon.store.served import Served, read_served
from gnomon.store.store import Store
from gnomon.units import INT64_MAX, FloatArray

Series = tuple[str, str, str, str]
"""Forecaster, version, instrument, basis."""


@dataclass(frozen=True, slots=True, eq=False)
class Recalibrated:
    """The quantiles (H, Q) as served, and the fit behind them."""

    quantiles: FloatArray
    calibration_id: int


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


class WalkForwardCalibration:
    """Trackers of a walk-forward, refreshed at each origin from what had realised by then.

    The outcomes are on the tape from the start; a tracker uses each only from when it became knowable. Forecasts come
    in order of their cutoffs; those of an earlier, interrupted run are read from the ledger first.
    """

    def __init__(self, store: Store, timeframe: Timeframe, variant: str, outcomes: Mapping[str, Outcomes]) -> None:
        self._store, self._timeframe, self._variant, self._outcomes = store, timeframe, variant, outcomes
        self._steps = graded_steps(timeframe, 120)
        self._trackers: dict[Series, CalibrationTracker] = {}

    def apply(self, forecasts: Sequence[Forecast]) -> list[Recalibrated]:
        """Each forecast recalibrated as of its cutoff; the fits are stored first, as a forecast names its own."""
        made, fits = [], []
        for one in sorted(forecasts, key=lambda f: f.data_cutoff_ns):
            tracker = self._tracker(one)
            calibration = tracker.until(one.data_cutoff_ns)
            quantiles = calibrate(one.quantiles, one.levels, calibration)
            made.append((one, quantiles))
            fits.append(self._fit(one, tracker, calibration))
            self._tell(tracker, one, quantiles)
        ids = self._store.calibrations.insert(fits)
        found = {id(one): Recalibrated(quantiles, of) for (one, quantiles), of in zip(made, ids, strict=True)}
        return [found[id(one)] for one in forecasts]

    def _tracker(self, forecast: Forecast) -> CalibrationTracker:
        series = series_of(forecast)
        if series not in self._trackers:
            tracker = self._trackers[series] = CalibrationTracker(self._steps)
            for row in self._issued_before(forecast):
                self._tell(tracker, row, row.quantiles)
        return self._trackers[series]

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

    def _tell(self, tracker: CalibrationTracker, one: Forecast | Served, quantiles: FloatArray) -> None:
        """Where each graded target fell on the band as the ledger has it (float32), and when that was knowable."""
        near = np.array([step for step in self._steps if step <= len(quantiles)]) - 1
        outcomes, cutoff_ns = self._outcomes[one.instrument], one.data_cutoff_ns
        price, flags, knowable_ns = outcomes.at(one.target_open_ns[None, near], np.array([cutoff_ns]))
        curve = quantiles[near].astype(np.float32).astype(np.float64)
        low, high = (curve[:, list(one.levels).index(level)] for level in (0.1, 0.9))
        side = np.where(flags[0] != 0, np.nan, sides(low, high, price[0]))
        close_ns = one.target_close_ns[near]
        tracker.add(cutoff_ns, close_ns, np.where(knowable_ns[0] > 0, knowable_ns[0], close_ns), side)

    def _fit(self, forecast: Forecast, tracker: CalibrationTracker, made: Calibration) -> StoredCalibration:
        return StoredCalibration(
            lane="backfill",
            variant=self._variant,
            forecaster=forecast.forecaster,
            version=forecast.version,
            instrument=forecast.instrument,
            timeframe=str(self._timeframe),
            basis=forecast.basis,
            fitted_at_ns=forecast.data_cutoff_ns,
            fitted_until_ns=tracker.fitted_until_ns,
            method="tracker",
            n=tracker.n,
            document=made.document(),
        )
