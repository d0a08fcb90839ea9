"""The figures of the specification, to the last digit shown, on seven hourly series of real prices.

Reading that gives them: rows as they stand (gaps are not filled); origins `linspace(2100, n - H - 1, 150).astype(int)`;
the context is every row before the origin, the last of which is the base price; the targets are the rows from the
origin on, with their own open times for the hour of the week (UTC). The loss is the mean of 2ρ/c_T over the levels 0.1,
0.5, 0.9, the steps, the origins and the series; the coverage is the share of steps within [p10, p90]. The walk, a plain
population deviation of 250 returns, lives here alone.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.forecast import catalog
from gnomon.forecast.forecast import Context
from gnomon.units import HOUR_NS

LEVELS = (0.1, 0.5, 0.9)

LOSS = {
    24: {"walk": 0.019580, "ewma": 0.019293, "drift": 0.019650, "momentum": 0.019306, "seasonal": 0.019229},
    120: {"walk": 0.042051, "ewma": 0.042000, "drift": 0.045965, "momentum": 0.041879, "seasonal": 0.041675},
}
COVERAGE = {
    24: {"walk": 0.823, "ewma": 0.806, "drift": 0.809, "momentum": 0.805, "seasonal": 0.793},
    120: {"walk": 0.817, "ewma": 0.791, "drift": 0.795, "momentum": 0.790, "seasonal": 0.782},
}
DRAWN = {
    24: {"fhs": (0.986, 0.775), "bootstrap": (1.007, 0.786)},
    120: {"fhs": (0.999, 0.759), "bootstrap": (0.990, 0.815)},
}
"""Ratio to the walk's loss, and coverage, of the path methods: equal up to the luck of the draws.

Over 16 seeds the ratio of `fhs` at 24 steps has mean 0.9868 and deviation 0.0007, its coverage 77.5 % and 0.1 points.
"""


@dataclass(frozen=True, slots=True)
class Hourly:
    name: str
    open_ns: np.ndarray
    bars: np.ndarray

    def context(self, origin: int, horizon: int) -> Context:
        """The last 2,100 rows before the origin: as far as any baseline looks."""
        past, ahead = slice(origin - 2100, origin), slice(origin, origin + horizon)
        cutoff_ns = int(self.open_ns[origin - 1]) + HOUR_NS
        return Context(
            instrument=f"binance:{self.name}",
            asset_class="crypto",
            timeframe=Timeframe.parse("1h"),
            as_of_ns=cutoff_ns,
            data_cutoff_ns=cutoff_ns,
            tick=1e-8,
            bars=self.bars[past],
            open_ns=self.open_ns[past],
            target_open_ns=self.open_ns[ahead],
            target_close_ns=self.open_ns[ahead] + HOUR_NS,
            local_ns=self.open_ns[origin - 2100 : origin + horizon],
            five_session_bars=120,
        )


@pytest.fixture(scope="module")
def pairs(shared: Path) -> list[Hourly]:
    return [_read(path) for path in sorted((shared / "data/binance_spot_1h").glob("*-1h.json.gz"))]


def _read(path: Path) -> Hourly:
    rows = np.array(json.loads(gzip.decompress(path.read_bytes())))
    prices, volume = rows[:, 1:5], rows[:, 5:6]
    bars = np.hstack([prices, volume, volume * prices.mean(axis=1, keepdims=True)])
    return Hourly(path.name.split("-")[0], rows[:, 0].astype(np.int64) * 1_000_000, bars)


def origins(pairs: list[Hourly], horizon: int) -> Iterator[tuple[Hourly, list[int]]]:
    for pair in pairs:
        yield pair, np.linspace(2100, len(pair.bars) - horizon - 1, 150).astype(int).tolist()


def scores(quantiles: np.ndarray, realised: np.ndarray, base_price: float) -> tuple[float, float]:
    """Mean of 2ρ/c_T and coverage of one forecast: quantiles (H, 3), realised closes (H,)."""
    error = realised[:, None] - quantiles
    pinball = np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error)
    inside = (realised >= quantiles[:, 0]) & (realised <= quantiles[:, 2])
    return float((2 * pinball / base_price).mean()), float(inside.mean())


def walk(context: Context, horizon: int) -> np.ndarray:
    deviation = np.diff(np.log(context.closes[-251:])).std()
    scores_of_levels = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    spread = deviation * np.sqrt(np.arange(1, horizon + 1))[:, None] * scores_of_levels
    return context.base_price * np.exp(spread)


def measure(pairs: list[Hourly], horizon: int, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Mean loss and coverage of each forecaster over all origins."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for pair, starts in origins(pairs, horizon):
        contexts = [pair.context(start, horizon) for start in starts]
        realised = [pair.bars[start : start + horizon, 3] for start in starts]
        for name in names:
            if name == "walk":
                answers = [walk(context, horizon) for context in contexts]
            else:
                forecasts = catalog.forecaster(name).predict(contexts, horizon, levels=LEVELS, seed=0)
                answers = [forecast.quantiles for forecast in forecasts]
            found[name] += [
                scores(answer, real, context.base_price)
                for answer, real, context in zip(answers, realised, contexts, strict=True)
            ]
    return {name: tuple(np.mean(rows, axis=0).tolist()) for name, rows in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [24, 120])
def test_closed_forms_score_what_the_specification_says(pairs, horizon):
    assert len(pairs) == 7
    measured = measure(pairs, horizon, tuple(LOSS[horizon]))
    print({name: (f"{loss:.8f}", f"{coverage:.4%}") for name, (loss, coverage) in measured.items()})  # noqa: T201 - shown with -s, for the record
    assert {name: round(loss, 6) for name, (loss, _) in measured.items()} == LOSS[horizon]
    assert {name: round(coverage, 3) for name, (_, coverage) in measured.items()} == COVERAGE[horizon]


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [24, 120])
def test_path_methods_score_what_the_specification_says_up_to_luck(pairs, horizon):
    measured = measure(pairs, horizon, ("walk", "fhs", "bootstrap"))
    reference = measured["walk"][0]
    ratios = {name: (loss / reference, coverage) for name, (loss, coverage) in measured.items()}
    print({name: (f"{ratio:.5f}", f"{coverage:.4%}") for name, (ratio, coverage) in ratios.items()})  # noqa: T201 - shown with -s, for the record
    for name, (ratio, coverage) in DRAWN[horizon].items():
        assert ratios[name][0] == pytest.approx(ratio, abs=0.002)
        assert ratios[name][1] == pytest.approx(coverage, abs=0.004)
