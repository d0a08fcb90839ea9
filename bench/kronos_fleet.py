"""What does an hour's run of Kronos-mini cost, how does it grow, and how many tokens does company move?

23 instruments x 30 samples x 120 steps on the machine's cores, random weights at the true size, no nucleus (as the
catalog draws). Then the same with one thing doubled or halved at a time. The physical limit of the growth is linear:
`times` is the seconds of the doubled run over those of the run it doubles.

A path has its own luck, so what is drawn beside it can move its logits by rounding only. `tokens_moved` counts the
tokens of all paths that differ between one call for all instruments and one call each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from gnomon.forecast.kronos.config import PUBLISHED, ModelConfig, TokenizerConfig
from gnomon.forecast.kronos.kronos import Kronos
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.tokenizer import KronosTokenizer


@dataclass(frozen=True, slots=True)
class Fleet:
    """How much is asked for."""

    instruments: int = 23
    samples: int = 30
    horizon: int = 120
    lookback: int = 1929
    window: str = "exact"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 instruments, 10 samples, 24 steps after 256 bars")
    quick = parser.parse_args().quick
    whole = Fleet(3, 10, 24, 256) if quick else Fleet()
    base = whole if quick else Fleet(6, 15, 60, 512)
    kronos = load()
    grown = {
        "samples": replace(base, samples=2 * base.samples),
        "instruments": replace(base, instruments=2 * base.instruments),
        "horizon": replace(base, horizon=2 * base.horizon),
        "context": replace(base, lookback=2 * base.lookback),
    }
    seconds(kronos, base)  # threads, caches and clocks warm up
    first = seconds(kronos, base)
    document = {
        "question": "an hour's run of Kronos-mini: seconds, growth, and tokens moved by company",
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "whole": {**_row(whole), "seconds": round(seconds(kronos, whole), 2)},
        "growth": {
            "base": {**_row(base), "seconds": round(first, 2)},
            **{name: {"times": round(seconds(kronos, one) / first, 2)} for name, one in grown.items()},
        },
        "company": moved(kronos, replace(base, samples=10, horizon=min(base.horizon, 60))),
    }
    print(json.dumps(document, indent=2))


def load() -> Kronos:
    known = PUBLISHED["Kronos-mini"]
    config, of_tokenizer = known.config, PUBLISHED[known.tokenizer].config
    assert isinstance(config, ModelConfig)
    assert isinstance(of_tokenizer, TokenizerConfig)
    torch.manual_seed(0)
    return Kronos(KronosModel(config), KronosTokenizer(of_tokenizer), max_context=known.context_bars)


def seconds(kronos: Kronos, fleet: Fleet) -> float:
    started = time.perf_counter()
    drawn(kronos, fleet, range(fleet.instruments))
    return time.perf_counter() - started


def moved(kronos: Kronos, fleet: Fleet) -> dict[str, Any]:
    """Paths that differ by more than rounding between one call for all and one call each: a token moved."""
    together = drawn(kronos, fleet, range(fleet.instruments))
    alone = [drawn(kronos, fleet, [one])[0] for one in range(fleet.instruments)]
    different = [np.abs(a - b) > 1e-3 * np.abs(b).mean((0, 1)) for a, b in zip(together, alone, strict=True)]
    by_path = np.concatenate([one.any(-1).any(-1) for one in different])
    return {
        **_row(fleet),
        "paths": len(by_path),
        "paths_with_a_token_moved": int(by_path.sum()),
        "tokens": 2 * len(by_path) * fleet.horizon,
        "equal_bytes": sum(a.tobytes() == b.tobytes() for a, b in zip(together, alone, strict=True)),
    }


def drawn(kronos: Kronos, fleet: Fleet, which: Sequence[int]) -> list[Any]:
    tables = [bars(fleet.lookback + fleet.horizon, seed) for seed in which]
    past = [one.iloc[: fleet.lookback] for one in tables]
    future = [one.index[fleet.lookback :] for one in tables]
    options: dict[str, Any] = {"window": fleet.window, "top_p": 1.0, "seed": 1}
    return list(kronos.sample(past, future, samples=fleet.samples, **options))


def bars(rows: int, seed: int) -> pd.DataFrame:
    luck = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(luck.normal(0, 0.01, rows)))
    opened = np.concatenate([[100.0], close[:-1]])
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * 1.002,
        "low": np.minimum(opened, close) * 0.998,
        "close": close,
        "volume": luck.lognormal(3, 1, rows),
    }
    return pd.DataFrame(columns, index=pd.date_range("2024-01-01", periods=rows, freq="h"))


def _row(fleet: Fleet) -> dict[str, Any]:
    return {name: getattr(fleet, name) for name in ("instruments", "samples", "horizon", "lookback")}


if __name__ == "__main__":
    main()
