"""Calibrations in use: which one a forecast may be served with."""

from __future__ import annotations

from gnomon.clock import Timeframe
from gnomon.forecast.calibration import Calibration, calibrate
from gnomon.forecast.forecast import Forecast
from gnomon.store.calibrations import StoredCalibration
from gnomon.store.forecasts import Lane
from gnomon.store.store import Store
from gnomon.units import FloatArray


class Calibrations:
    """The calibrations of a lane and variant, as of each cutoff that is asked about."""

    def __init__(self, store: Store, timeframe: Timeframe, *, lane: Lane = "live", variant: str = "") -> None:
        self._store, self._timeframe, self._lane, self._variant = store, str(timeframe), lane, variant
        self._known: dict[int, dict[tuple[str, str, str, str], StoredCalibration]] = {}

    def apply(self, forecast: Forecast) -> tuple[FloatArray, int] | None:
        """The recalibrated quantiles (H, Q) and the id of the fit behind them; None where none was made by its cutoff.

        A fit counts for the version that it was made from and for no other.
        """
        cutoff_ns = forecast.data_cutoff_ns
        if cutoff_ns not in self._known:
            self._known[cutoff_ns] = self._store.calibrations.newest(
                lane=self._lane, variant=self._variant, timeframe=self._timeframe, as_of_ns=cutoff_ns
            )
        fit = self._known[cutoff_ns].get((forecast.forecaster, forecast.version, forecast.instrument, forecast.basis))
        if fit is None:
            return None
        made = Calibration.from_document(fit.document)
        return calibrate(forecast.quantiles, forecast.levels, made), fit.id
