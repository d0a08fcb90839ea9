"""What is handed to the ledger, checked before it is written for ever, and the rows that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal, get_args

import numpy as np

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.forecast.calibration import chance_above
from gnomon.forecast.forecast import Forecast
from gnomon.store.blocks import Block, PointBars, closes, encode
from gnomon.store.chain import canonical, canonical_floats
from gnomon.units import INT64_MAX, FloatArray, IntArray

Lane = Literal["live", "backfill"]
LANES: Final[tuple[Lane, ...]] = get_args(Lane)
SERVED: Final = (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))

SMALLEST_PRICE: Final = float(np.finfo(np.float32).tiny)
LARGEST_PRICE: Final = float(np.finfo(np.float32).max)

Key = tuple[str, str, str, str, str, int]
"""Instrument, timeframe, basis, forecaster, version, data cutoff: unique within a lane and variant."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A forecast to be issued, with when it was asked for and until when it is fresh.

    `calibrated` (H, Q) are its quantiles after recalibration, by the calibration `calibration_id`; then P(up) is read
    from these, so that what is served agrees with itself.
    """

    forecast: Forecast
    as_of_ns: int
    valid_until_ns: int
    job_key: str = ""
    calibrated: FloatArray | None = None
    calibration_id: int | None = None
    event_context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        one = self.forecast
        return one.instrument, str(one.timeframe), one.basis, one.forecaster, one.version, int(one.data_cutoff_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The rows of one entry, but for id, seq and hashes, which the transaction that inserts it gives."""

    row: dict[str, Any]
    blocks: tuple[tuple[str, Block], ...]
    paths: Block | None
    bars: PointBars | None


def check(entry: Entry, *, issued_at_ns: int) -> Entry:
    """This, or `Invalid` with the first rule of a forecast that it breaks: what is issued cannot be mended later."""
    one = entry.forecast
    for rule, keeps in _RULES.items():
        if not keeps(entry):
            _refuse(entry, rule, issued_at_ns)
    if not one.data_cutoff_ns <= entry.as_of_ns <= issued_at_ns:
        _refuse(entry, "data_cutoff <= as_of <= issued_at", issued_at_ns)
    return entry


class _Written:
    """The text of the last parameters that were written: the forecasts of a batch carry the same."""

    _last: tuple[Mapping[str, Any], Mapping[str, Any], str] = ({}, {}, "{}")

    def text(self, params: Mapping[str, Any]) -> str:
        of, then, written = self._last
        if params is not of or params != then:  # the very object, and not changed since
            written = canonical(params)
            self._last = params, deepcopy(dict(params)), written
        return written


_params: Final = _Written()


@lru_cache
def _levels(levels: tuple[float, ...]) -> str:
    return canonical(levels)


def prepare(entry: Entry, *, lane: Lane, variant: str, issued_at_ns: int, code_version: str) -> Prepared:
    """The rows of an entry that `check` has passed."""
    one = entry.forecast
    served = one.quantiles if entry.calibrated is None else entry.calibrated
    p_up = one.p_up if entry.calibrated is None else chance_above(served, one.levels, one.base_price)
    blocks = [("raw", encode(one.quantiles))]
    if entry.calibrated is not None:
        blocks.append(("calibrated", encode(entry.calibrated)))
    paths = None if one.paths is None else encode(closes(one.paths))
    bars = PointBars.of(one)
    digests = dict(blocks)
    row = {
        "lane": lane,
        "variant": variant,
        "instrument": one.instrument,
        "timeframe": str(one.timeframe),
        "basis": one.basis,
        "forecaster": one.forecaster,
        "version": one.version,
        "role": one.role,
        "information": one.information,
        "revision": str(one.params.get("revision", "")),
        "params": _params.text(one.params),
        "seed": int(one.seed),
        "as_of": int(entry.as_of_ns),
        "data_cutoff": int(one.data_cutoff_ns),
        "issued_at": int(issued_at_ns),
        "valid_until": int(entry.valid_until_ns),
        "horizon": one.horizon,
        "n_paths": int(one.n_paths),
        "crossings": int(one.crossings),
        "base_price": float(one.base_price),
        "levels": _levels(tuple(one.levels)),
        "input_hash": one.input_hash,
        "calibration_id": entry.calibration_id,
        "weights_id": one.weights_id,
        "code_version": code_version,
        "job_key": entry.job_key,
        "raw_digest": digests["raw"].digest,
        "calibrated_digest": digests["calibrated"].digest if "calibrated" in digests else "",
        "paths_digest": "" if paths is None else paths.digest,
        "bars_digest": "" if bars is None else bars.digest(),
        "warnings": canonical(one.warnings) if one.warnings else "[]",
        "event_context": canonical(entry.event_context) if entry.event_context else "{}",
        "target_open": one.target_open_ns.astype("<i8").tobytes(),
        "target_close": one.target_close_ns.astype("<i8").tobytes(),
        "p_up": canonical_floats(p_up),
    }
    row |= {name: canonical_floats(served[:, one.levels.index(level)]) for name, level in SERVED}
    return Prepared(row, tuple(blocks), paths, bars)


# --- rules ------------------------------------------------------------------------------------------------------


def _refuse(entry: Entry, rule: str, issued_at_ns: int) -> None:
    one = entry.forecast
    raise Invalid(
        f"{one.forecaster} {one.instrument} {one.timeframe} at {iso(one.data_cutoff_ns)}: {rule}",
        hint="the forecaster is at fault; nothing was issued",
        detail={"rule": rule, "as_of": iso(entry.as_of_ns), "issued_at": iso(issued_at_ns)},
    )


def _increase(values: IntArray) -> bool:
    return bool((values[1:] > values[:-1]).all())


@lru_cache
def _are_levels(levels: tuple[float, ...]) -> bool:
    bounded = (0.0, *levels, 1.0)
    return all(low < high for low, high in pairwise(bounded)) and {level for _, level in SERVED} <= set(levels)


def _is_curve(quantiles: FloatArray) -> bool:
    """Positive, finite and sorted, also as the float32 of a block: a NaN breaks every comparison."""
    return bool(
        quantiles[:, 0].min() >= SMALLEST_PRICE
        and quantiles[:, -1].max() <= LARGEST_PRICE
        and (quantiles[:, 1:] >= quantiles[:, :-1]).all()
    )


def _within(values: FloatArray, least: float, most: float) -> bool:
    """A NaN is the least and the most of any values, and within nothing."""
    return bool(values.min() >= least and values.max() <= most)


def _are_paths(paths: FloatArray | None, horizon: int) -> bool:
    if paths is None:
        return True
    shaped = paths.ndim == 2 or (paths.ndim == 3 and paths.shape[2] == 6)
    return shaped and paths.shape[1] == horizon and len(paths) > 0 and _within(paths, -LARGEST_PRICE, LARGEST_PRICE)


def _are_shaped(entry: Entry) -> bool:
    one, calibrated = entry.forecast, entry.calibrated
    shape = (one.horizon, len(one.levels))
    return (
        one.quantiles.shape == shape
        and (calibrated is None or calibrated.shape == shape)
        and one.p_up.shape == one.target_open_ns.shape == (one.horizon,)
    )


_RULES: Final[dict[str, Callable[[Entry], bool]]] = {
    "it needs at least one step": lambda e: e.forecast.horizon > 0,
    "levels increase within (0, 1) and include 0.1, 0.5 and 0.9": lambda e: _are_levels(tuple(e.forecast.levels)),
    "quantiles are (H, Q), p_up and target times (H,)": _are_shaped,
    f"quantiles are sorted and within {SMALLEST_PRICE:.4g} … {LARGEST_PRICE:.4g}": lambda e: (
        _is_curve(e.forecast.quantiles) and (e.calibrated is None or _is_curve(e.calibrated))
    ),
    "p_up lies in [0, 1]": lambda e: _within(e.forecast.p_up, 0.0, 1.0),
    "the base price is positive and finite": lambda e: 0 < e.forecast.base_price < np.inf,
    "targets lie after the cutoff, one after the other": lambda e: (
        bool(e.forecast.target_open_ns[0] >= e.forecast.data_cutoff_ns) and _increase(e.forecast.target_close_ns)
    ),
    f"paths are (n, H) or (n, H, 6), at most {LARGEST_PRICE:.4g}": lambda e: _are_paths(
        e.forecast.paths, e.forecast.horizon
    ),
    "the seed fits int64": lambda e: abs(e.forecast.seed) <= INT64_MAX,
    "names hold no NUL": lambda e: "\0" not in "".join((*e.key[:-1], e.forecast.input_hash, e.job_key)),
}
