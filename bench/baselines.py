"""How fast are the baselines, beside a loop over series in pandas that does what `ewma` does?

One JSON document on stdout. `speedup` is the pandas loop's time over the row's, `ratio` the row's over that of `ewma`'s
`predict` at the same horizon. The equality of the numbers is checked in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from gnomon.clock import Timeframe
from gnomon.forecast import catalog
from gnomon.forecast.baselines.closed import EWMA, log_normal
from gnomon.forecast.forecast import LEVELS, Context, Forecast
from gnomon.forecast.sanitise import accept
from gnomon.units import HOUR_NS

SERIES, ROWS, HORIZON = 23, 2048, 120


def contexts(horizon: int = HORIZON) -> list[Context]:
    """23 hourly series of 2048 bars: random walks with changing volatility."""
    rng = np.random.default_rng(7)
    first_ns = 400_000 * HOUR_NS
    opens = first_ns + np.arange(ROWS + horizon) * HOUR_NS
    made = []
    for number in range(SERIES):
        volatility = 0.005 * np.exp(np.cumsum(rng.normal(0, 0.03, ROWS)))
        closes = 10.0 ** rng.uniform(-1, 5) * np.exp(np.cumsum(rng.normal(0, 1, ROWS) * np.minimum(volatility, 0.05)))
        bars = np.column_stack([closes, closes * 1.001, closes * 0.999, closes, np.ones(ROWS), closes])
        made.append(
            Context(
                instrument=f"bench:S{number}",
                asset_class="crypto",
                timeframe=Timeframe.parse("1h"),
                as_of_ns=int(opens[ROWS]),
                data_cutoff_ns=int(opens[ROWS]),
                tick=float(closes[-1] * 1e-5),
                bars=bars,
                open_ns=opens[:ROWS],
                target_open_ns=opens[ROWS:],
                target_close_ns=opens[ROWS:] + HOUR_NS,
                local_ns=opens,
                five_session_bars=120,
            )
        )
    return made


def pandas_loop(batch: Sequence[Context], horizon: int) -> list[pd.DataFrame]:
    """`ewma` as it is usually written: a series at a time, in pandas."""
    scores = [NormalDist().inv_cdf(level) for level in LEVELS]
    frames = []
    for context in batch:
        closes = pd.Series(context.bars[-501:, 3])
        returns = np.log(closes / closes.shift(1)).dropna()
        variance = (returns**2).ewm(alpha=1 - 0.97, adjust=True).mean().iloc[-1]
        variance = max(variance, (context.tick / (2 * closes.iloc[-1])) ** 2)
        deviation = np.sqrt(variance * pd.Series(np.arange(1, horizon + 1), index=range(1, horizon + 1)))
        quantiles = {
            level: closes.iloc[-1] * np.exp(score * deviation) for level, score in zip(LEVELS, scores, strict=True)
        }
        frame = pd.DataFrame(quantiles)
        frame["p_up"] = 0.5
        frames.append(frame)
    return frames


def arithmetic(batch: Sequence[Context], horizon: int) -> Any:
    """`ewma` without checks, hash and `Forecast` objects."""
    return log_normal(batch, *EWMA.curve(batch, horizon), LEVELS)


def timed(works: dict[str, Callable[[], Any]], repeat: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds of each piece of work, the fastest and the median of `repeat` runs.

    The pieces take turns, so that whatever else the machine does falls on all of them.
    """
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeat + 1):
        for name, work in works.items():
            begun = time.process_time()
            work()
            spent[name].append((time.process_time() - begun) * 1e3)
    return {
        name: {"min_ms": round(min(runs[1:]), 4), "median_ms": round(statistics.median(runs[1:]), 4)}
        for name, runs in spent.items()
    }


def largest_difference(ours: Sequence[Forecast], frames: Sequence[pd.DataFrame]) -> float:
    """The largest relative difference of a quantile."""
    return max(
        float(np.abs(one.quantiles / frame[list(LEVELS)].to_numpy() - 1).max())
        for one, frame in zip(ours, frames, strict=True)
    )


def ewma_rows(batch: Sequence[Context], repeat: int) -> list[dict[str, Any]]:
    """`ewma` by what it is made of, beside the pandas loop."""
    peer = "pandas loop (no checks, no hash)"
    times = timed(
        {
            "ewma: quantiles alone": lambda: arithmetic(batch, HORIZON),
            "ewma: checks of the contexts": lambda: accept(batch, HORIZON, LEVELS, EWMA.traits),
            "ewma: predict, contexts hashed before": lambda: EWMA.predict(batch, HORIZON),
            "ewma: predict, BLAKE2b of every context too": lambda: EWMA.predict(
                [replace(one) for one in batch], HORIZON
            ),
            peer: lambda: pandas_loop(batch, HORIZON),
        },
        repeat,
    )
    return [
        {"what": what, **spent, "speedup": round(times[peer]["min_ms"] / spent["min_ms"], 1)}
        for what, spent in times.items()
    ]


def catalog_rows(batch: Sequence[Context], horizon: int, repeat: int) -> list[dict[str, Any]]:
    """Every forecaster of the catalog at one horizon, contexts hashed before."""
    times = timed({name: partial(catalog.forecaster(name).predict, batch, horizon) for name in catalog.names()}, repeat)
    reference = times[catalog.REFERENCE]["min_ms"]
    return [
        {
            "what": f"{name}, H {horizon}",
            **spent,
            "ms_per_context": round(spent["min_ms"] / SERIES, 4),
            "ratio": round(spent["min_ms"] / reference, 2),
        }
        for name, spent in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    repeat = 5 if parser.parse_args().quick else 25
    batch = contexts()
    difference = largest_difference(EWMA.predict(batch, HORIZON), pandas_loop(batch, HORIZON))
    assert difference < 1e-11, difference
    document = {
        "question": "How fast are the baselines, beside a loop over series in pandas that does what ewma does?",
        "machine": {"cpu_count": os.cpu_count(), "processor": platform.machine(), "threads": 1},
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "pandas": pd.__version__},
        "setting": {"series": SERIES, "rows": ROWS, "horizon": HORIZON, "levels": len(LEVELS)},
        "largest_relative_difference": difference,
        "results": [*ewma_rows(batch, repeat), *catalog_rows(batch, 24, repeat), *catalog_rows(batch, HORIZON, repeat)],
        "notes": "CPU time; `predict` checks every context and builds the forecasts; a context is hashed once",
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
