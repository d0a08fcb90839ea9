"""How many times as fast as the reference package are Kronos forecasts, and how near to what the machine can do?

Random weights at the true sizes, 120 steps, temperature 1, nucleus 0.9, float32, CPU seconds of one process. The
reference (`kronos-finance`, the public model code) computes its whole window at every step; running it to the end for
20 samples takes a quarter of an hour, so its time is that of a call of one step, which holds encoding and decoding, and
of the other steps, taken from some along the way (each the difference of a longer and a shorter call at one look-back).
Ours is measured whole.

The physical limit of a step: at one sample the weights have to be read (bytes / measured streaming rate); at many they
have to be multiplied (2 FLOP a weight and sample / measured GEMM rate). `share_of_limit` is limit / ours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gnomon import compiled
from gnomon.forecast.kronos.config import PUBLISHED, ModelConfig, TokenizerConfig
from gnomon.forecast.kronos.kronos import Kronos
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.tokenizer import KronosTokenizer

STEPS = 120
ALONG = (0, 60, 119)
NUCLEUS = 0.9


@dataclass(frozen=True, slots=True)
class Case:
    """A situation of the specification's table."""

    name: str
    size: str
    lookback: int
    context: int
    samples: int
    window: str = "exact"
    target: float | None = None

    def slides(self, step: int) -> bool:
        """Whether a step computes its window anew."""
        return self.window == "exact" and self.lookback + step > self.context


CASES = (
    *(Case("no sliding", "mini", 392, 512, n, target=t) for n, t in ((1, 25.0), (5, None), (20, 100.0))),
    *(Case("no sliding", "small", 392, 512, n, target=t) for n, t in ((1, 35.0), (5, None), (20, 200.0))),
    *(Case("400 + 120 at 512", "small", 400, 512, n, target=t) for n, t in ((1, 12.0), (5, 26.0), (20, 41.0))),
    *(Case("look-back = context", size, 512, 512, 1, target=1.0) for size in ("mini", "small")),
    *(Case("look-back = context", size, 512, 512, 20, target=5.0) for size in ("mini", "small")),
    Case("rolling, not the reference's numbers", "small", 512, 512, 20, window="rolling"),
)
QUICK = tuple(one for one in CASES if one.size == "mini" and one.samples in (1, 20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="mini at 1 and 20 samples alone")
    parser.add_argument("--only", default="", help="cases whose size and name hold this, e.g. 'small no sliding'")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.peak:
        print(peak(*given.peak))
        return
    rates = {"stream_gb_per_s": stream_rate(), "gemm_gflops": gemm_rate()}
    cases = [one for one in (QUICK if given.quick else CASES) if given.only in f"{one.size} {one.name}"]
    results = [measure(one, rates) for one in cases]
    document = {
        "question": "Kronos beside the reference package: CPU seconds, and the share of the physical limit reached",
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "threads": given.threads,
            **{name: round(value, 1) for name, value in rates.items()},
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "numba": version("numba") if compiled.AVAILABLE else None,
        },
        "results": results,
        "peak_mb_at_20_samples": {
            size: {who: added_by(who, size) for who in ("ours", "reference")}
            for size in (("mini",) if given.quick else ("mini", "small"))
        },
    }
    print(json.dumps(document, indent=2))


def measure(case: Case, rates: dict[str, float]) -> dict[str, Any]:
    """Ours, theirs, and the floor."""
    model, tokenizer = networks(case.size)
    kronos = Kronos(model, tokenizer, max_context=case.context)
    table = bars(case.lookback + STEPS)
    past, future = table.iloc[: case.lookback], table.index[case.lookback :]

    def ours() -> None:
        kronos.sample(past, future, samples=case.samples, top_p=NUCLEUS, seed=1, window=case.window)

    once = case.slides(1)  # most of it is large products, which nothing has to warm up for
    if not once:
        ours()
    seconds = min(timed(ours) for _ in range(1 if once else 3))
    theirs = reference_seconds(model, tokenizer, case)
    floor = floor_of(model, case, rates)
    print(f"{case.size} {case.name}, {case.samples}: {theirs / seconds:.1f} x", file=sys.stderr)
    return {
        **{name: value for name, value in asdict(case).items() if value is not None},
        "seconds": round(seconds, 3),
        "ms_a_step": round(1_000 * seconds / STEPS, 2),
        "reference_seconds": round(theirs, 2),
        "ratio": round(theirs / seconds, 1),
        "floor_seconds": round(floor, 3),
        "share_of_limit": round(floor / seconds, 2),
    }


def reference_seconds(model: KronosModel, tokenizer: KronosTokenizer, case: Case) -> float:
    """Seconds of the reference's steps, from some of them."""
    found = [reference_step(model, tokenizer, case, case.lookback + at) for at in ALONG]
    steps = [step for _, step in found]
    return found[0][0] + float(np.sum(np.interp(range(1, STEPS), ALONG, steps)))


def reference_step(model: KronosModel, tokenizer: KronosTokenizer, case: Case, lookback: int) -> tuple[float, float]:
    """Seconds of a call of one step of the reference at one look-back, and of each further step."""
    from kronos_finance._vendor.kronos_model import kronos as reference

    of_model = reference.Kronos(**asdict(model.config))
    of_model.load_state_dict(model.state_dict())
    of_tokenizer = reference.KronosTokenizer(**asdict(tokenizer.config))
    of_tokenizer.load_state_dict(tokenizer.state_dict())
    predictor = reference.KronosPredictor(of_model.eval(), of_tokenizer.eval(), device="cpu", max_context=case.context)
    table = bars(lookback + 4)
    times = pd.Series(table.index)

    def steps(count: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictor.predict(
                table.iloc[:lookback],
                times.iloc[:lookback],
                times.iloc[lookback : lookback + count],
                pred_len=count,
                T=1.0,
                top_k=0,
                top_p=NUCLEUS,
                sample_count=case.samples,
                verbose=False,
            )

    steps(1)
    repeats = range(3 if case.samples == 1 else 1)
    one, four = (min(timed(lambda n=count: steps(n)) for _ in repeats) for count in (1, 4))
    return one, (four - one) / 3


def floor_of(model: KronosModel, case: Case, rates: dict[str, float]) -> float:
    """Seconds that the steps take at least: weights read, or multiplied with every token that is computed."""
    weights = sum(
        one.numel()
        for name, one in model.named_parameters()
        if name.startswith(("transformer", "dep_layer", "head")) and "q_proj" not in name.removeprefix("transformer")
    )
    read = 4 * weights / (rates["stream_gb_per_s"] * 1e9)
    windows = [case.context - step if case.slides(step) else 0 for step in range(STEPS)]  # the past, computed once
    tokens = [past + case.samples * (step if past else 1) for step, past in enumerate(windows)]
    return sum(max(read, 2 * weights * count / (rates["gemm_gflops"] * 1e9)) for count in tokens)


def stream_rate() -> float:
    """GB/s at which a matrix too large for any cache is multiplied with one row."""
    matrix, row = torch.randn(4096, 16384), torch.randn(1, 4096)
    with torch.inference_mode():
        return matrix.nbytes / min(timed(lambda: row @ matrix) for _ in range(7)) / 1e9


def gemm_rate() -> float:
    """GFLOP/s of a large product."""
    a, b = torch.randn(2, 1536, 1536)
    with torch.inference_mode():
        return float(2 * 1536**3 / min(timed(lambda: a @ b) for _ in range(5)) / 1e9)


def timed(call: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def networks(size: str) -> tuple[KronosModel, KronosTokenizer]:
    known = PUBLISHED[f"Kronos-{size}"]
    config, of_tokenizer = known.config, PUBLISHED[known.tokenizer].config
    assert isinstance(config, ModelConfig)
    assert isinstance(of_tokenizer, TokenizerConfig)
    torch.manual_seed(0)
    return KronosModel(config).eval(), KronosTokenizer(of_tokenizer).eval()


def bars(rows: int) -> pd.DataFrame:
    luck = np.random.default_rng(0)
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


# --- memory -----------------------------------------------------------------------------------------------------------


def added_by(who: str, size: str) -> int:
    """Peak MB of 20 samples above the loaded model, in a process of its own (Linux)."""
    command = [sys.executable, __file__, "--peak", who, size]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak(who: str, size: str) -> int:
    case = Case("no sliding", size, 392, 512, 20)
    model, tokenizer = networks(size)
    kronos = Kronos(model, tokenizer, max_context=512)
    table = bars(case.lookback + STEPS)
    loaded = _memory_kb("VmRSS")
    if who == "ours":  # packing is counted, as part of the call
        kronos.sample(table.iloc[:392], table.index[392:], samples=20, top_p=NUCLEUS)
    else:
        reference_step(model, tokenizer, case, case.lookback + STEPS - 4)
    return round((_memory_kb("VmHWM") - loaded) / 1024)


def _memory_kb(name: str) -> int:
    """Of this process's own memory; what `getrusage` calls its peak may be that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
