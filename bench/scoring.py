"""What does scoring in arrays cost beside scoring one thing after another?

One JSON document on stdout. `grade`: a day of 23 instruments x 24 hourly forecasts of 120 steps, each graded at 14,
beside a loop over rows in plain Python floats (no NumPy call inside) and a loop that calls the same metrics a row at
a time. `bootstrap`: the interval of one row of the board beside a loop over replicates that sums the cutoffs it
picked. `board`: 6 forecasters x 7 instruments x 638 cutoffs x 9 steps (241,164 rows) beside one pandas `groupby.mean`
of the same columns, which is about the least that any table of these rows costs. `ratio` is the peer's median time
over ours. The equality of the numbers is checked in the same run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from gnomon import chance
from gnomon.clock import Timeframe
from gnomon.forecast.forecast import LEVELS
from gnomon.score.bootstrap import block_sums
from gnomon.score.compare import board, pairs
from gnomon.score.forecasts import ScoredKeys, Scores, grade, grade_rows, graded_steps
from gnomon.units import HOUR_NS, FloatArray

HOURLY = Timeframe.parse("1h")
INSTRUMENTS, HOURS, HORIZON = 23, 24, 120
FIGURES = (
    "pinball_mean", "crps", "wis", "covered_50", "covered_80", "covered_90", "side_80", "width_80", "pit_bin",
    "direction_hit", "p_up", "brier", "log_loss", "abs_error", "log_return",
)  # fmt: skip
LEVEL_AT = {level: place for place, level in enumerate(LEVELS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    rounds = 3 if parser.parse_args().quick else 9
    document = {
        "question": "scoring in arrays beside scoring row by row, replicate by replicate",
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count()},
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "pandas": pd.__version__},
        "results": [*grading(rounds), bootstrapping(rounds), *boards(rounds)],
        "notes": "CPU time of one process; ratio = the peer's median / ours; the peer of a board computes means alone",
    }
    print(json.dumps(document, indent=2))


def timed(work: Callable[[], Any], rounds: int) -> tuple[Any, list[float]]:
    seconds, result = [], work()
    for _ in range(rounds):
        began = time.process_time()
        result = work()
        seconds.append(time.process_time() - began)
    return result, seconds


def entry(name: str, ours: list[float], peer: list[float], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "median_ms": round(statistics.median(ours) * 1e3, 3),
        "min_ms": round(min(ours) * 1e3, 3),
        "peer_median_ms": round(statistics.median(peer) * 1e3, 3),
        "peer_min_ms": round(min(peer) * 1e3, 3),
        "ratio": round(statistics.median(peer) / statistics.median(ours), 2),
        "ratio_of_minima": round(min(peer) / min(ours), 2),
        **more,
    }


# --- grade ----------------------------------------------------------------------------------------------------------


def grading(rounds: int) -> list[dict[str, Any]]:
    case = a_day_of_forecasts()
    scores, ours = timed(lambda: grade(**case), rounds * 15)
    naive, peer = timed(lambda: python_rows(case), max(2, rounds // 3))
    for name in FIGURES:
        np.testing.assert_allclose(getattr(scores, name), naive[name], rtol=1e-9, atol=1e-15, err_msg=name)
    few = {**case, "steps": case["steps"][:1]}
    few |= {name: case[name][:, :1] for name in ("realised", "target_close_ns")}
    alone, one_by_one = timed(lambda: array_rows(few), 1)
    assert Scores.join(alone).pinball_mean.tobytes() == grade(**few).pinball_mean.tobytes()
    per_call = [seconds * len(scores) / len(alone) for seconds in one_by_one]
    return [
        entry("grade / Python floats, row by row", ours, peer, rows=len(scores)),
        entry("grade / the same metrics, one row a call (scaled from 552 rows)", ours, per_call, rows=len(scores)),
    ]


def a_day_of_forecasts() -> dict[str, Any]:
    luck = np.random.default_rng(3)
    count, steps = INSTRUMENTS * HOURS, graded_steps(HOURLY, HORIZON)
    base = np.repeat(10.0 ** luck.uniform(-1, 5, INSTRUMENTS), HOURS)
    spread = 0.005 * np.sqrt(np.arange(1, HORIZON + 1))[:, None]
    curves = np.sort(luck.normal(0, 1, (count, HORIZON, len(LEVELS))), axis=2)
    realised = base[:, None] * np.exp(luck.normal(0, 1, (count, len(steps))) * 0.005 * np.sqrt(steps))
    return {
        "quantiles": base[:, None, None] * np.exp(curves * spread),
        "levels": LEVELS,
        "base_price": base,
        "p_up": luck.random((count, HORIZON)),
        "steps": steps,
        "realised": realised,
        "forecast_id": np.arange(count),
        "target_close_ns": np.tile(np.array(steps) * HOUR_NS, (count, 1)),
        "scored_at_ns": 0,
    }


def python_rows(case: dict[str, Any]) -> dict[str, list[float]]:
    """One (forecast, step) after another, floats only."""
    rows: dict[str, list[float]] = {name: [] for name in FIGURES}
    at = [step - 1 for step in case["steps"]]
    curves, p_ups = case["quantiles"][:, at].tolist(), case["p_up"][:, at].tolist()
    edges = [0.0, *((low + high) / 2 for low, high in itertools.pairwise(LEVELS)), 1.0]
    weights = [high - low for low, high in itertools.pairwise(edges)]
    for forecast, (base, outcomes) in enumerate(
        zip(case["base_price"].tolist(), case["realised"].tolist(), strict=True)
    ):
        for curve, p_up, y in zip(curves[forecast], p_ups[forecast], outcomes, strict=True):
            for name, figure in zip(FIGURES, python_row(curve, p_up, base, y, weights), strict=True):
                rows[name].append(figure)
    return rows


def python_row(q: list[float], p_up: float, base: float, y: float, weights: list[float]) -> tuple[float, ...]:
    total = crps = 0.0
    for level, value, weight in zip(LEVELS, q, weights, strict=True):
        loss = level * (y - value) if y >= value else (1.0 - level) * (value - y)
        total += loss
        crps += weight * loss
    p05, p10, p25, m, p75, p90, p95 = (q[LEVEL_AT[level]] for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95))
    wis = 0.5 * abs(y - m)
    for alpha, low, high in ((0.1, p05, p95), (0.2, p10, p90), (0.5, p25, p75)):
        wis += alpha / 2 * (high - low) + max(0.0, low - y) + max(0.0, y - high)
    up = y > base
    hit = math.nan if m == base else 0.5 if y == base else float((m > base) == up)
    p = min(max(p_up, 0.01), 0.99)
    return (
        total / len(LEVELS) / base,
        2 * crps / base,
        wis / 3.5 / base,
        float(p25 <= y <= p75),
        float(p10 <= y <= p90),
        float(p05 <= y <= p95),
        float(y > p90) - float(y < p10),
        (p90 - p10) / base,
        float(sum(q[LEVEL_AT[level]] <= y for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9))),
        hit,
        p_up,
        (p_up - up) ** 2,
        -math.log(p if up else 1 - p),
        abs(m - y) / base,
        math.log(y / base),
    )


def array_rows(case: dict[str, Any]) -> list[Scores]:
    """The metrics of the package, called for one row at a time."""
    return [
        grade_rows(
            case["quantiles"][n, step - 1][None],
            LEVELS,
            case["base_price"][n : n + 1],
            case["p_up"][n, step - 1 : step],
            case["realised"][n, s : s + 1],
            forecast_id=case["forecast_id"][n : n + 1],
            step=np.array([step]),
            target_close_ns=case["target_close_ns"][n, s : s + 1],
            scored_at_ns=0,
        )
        for n in range(len(case["base_price"]))
        for s, step in enumerate(case["steps"])
    ]


# --- bootstrap, board -----------------------------------------------------------------------------------------------


def bootstrapping(rounds: int) -> dict[str, Any]:
    """Sums of 638 cutoffs x 84 columns (7 instruments x 4 buckets x 3), 2,000 replicates, blocks of 24."""
    rows = np.random.default_rng(1).random((638, 84))
    drawn, ours = timed(lambda: block_sums(rows, 24, 2_000, seed=0, identity="bench"), rounds)
    naive, peer = timed(lambda: picked_sums(rows, 24, 2_000), max(1, rounds // 3))
    np.testing.assert_allclose(drawn, naive, rtol=1e-9)
    return entry("bootstrap / loop over replicates", ours, peer, replicates=2_000)


def picked_sums(rows: FloatArray, block: int, replicates: int) -> FloatArray:
    count, blocks = len(rows), -(-len(rows) // block)
    luck = chance.generator(0, "score/bootstrap", "bench", count, block)
    starts = luck.integers(0, count - block + 1, size=(blocks, replicates))
    within = np.arange(block)
    return np.array([rows[(starts[:, r, None] + within).ravel()[:count]].sum(axis=0) for r in range(replicates)])


def boards(rounds: int) -> list[dict[str, Any]]:
    scores, keys = many_scores()
    rows, ours = timed(lambda: board(scores, keys, timeframe=HOURLY, identity="bench"), rounds)
    frame = pd.DataFrame({"forecaster": keys.forecaster, "instrument": keys.instrument})
    frame = frame.assign(**{name: getattr(scores, name) for name in FIGURES})
    means, peer = timed(lambda: frame.groupby(["forecaster", "instrument"]).mean(), rounds)
    for row in rows:
        if row.instrument != "all":
            np.testing.assert_allclose(row.crps, means.loc[(row.forecaster, row.instrument), "crps"], rtol=1e-9)
    tracemalloc.start()
    board(scores, keys, timeframe=HOURLY, identity="bench")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    columns = sum(getattr(scores, name).nbytes for name in Scores.__slots__)
    _, matrix = timed(lambda: pairs(scores, keys), rounds)
    return [
        entry(
            "board with intervals / one pandas groupby.mean",
            ours,
            peer,
            rows=len(scores),
            board_rows=len(rows),
            peak_mib=round(peak / 2**20, 1),
            scores_mib=round(columns / 2**20, 1),
        ),
        entry("pairs matrix / one pandas groupby.mean", matrix, peer, rows=len(scores)),
    ]


def many_scores() -> tuple[Scores, ScoredKeys]:
    luck = np.random.default_rng(0)
    steps = np.array(graded_steps(HOURLY, 24))
    shape = (6, 7, 638, len(steps))
    f, i, c, s = (axis.ravel() for axis in np.indices(shape))
    count = len(f)
    scores = grade_rows(
        np.sort(luck.normal(100, 1, (count, len(LEVELS))), axis=1),
        LEVELS,
        np.full(count, 100.0),
        luck.random(count),
        luck.normal(100, 1, count),
        forecast_id=np.ravel_multi_index((f, i, c), shape[:3]),
        step=steps[s],
        target_close_ns=(c + steps[s]) * HOUR_NS,
        scored_at_ns=0,
    )
    names = np.array(["ewma", "fhs", "drift", "seasonal", "bootstrap", "momentum"], dtype=object)
    labels = np.array([f"bench:S{number}" for number in range(7)], dtype=object)
    order = luck.permutation(count)
    keys = ScoredKeys(names[f], np.full(count, "1", dtype=object), labels[i], c * HOUR_NS)
    return scores.take(order), keys.take(order)


if __name__ == "__main__":
    main()
