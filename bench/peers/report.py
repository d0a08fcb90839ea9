"""What the scripts of the peers share. Runs in a peer's own environment: NumPy and the standard library alone.

A peer is called `python run_<peer>.py INPUT WORK [--option value ...]`, where INPUT is a folder of `<column>.npy`, and
prints one line of JSON. `cpu_s` is the replay alone: imports, preparation, compilation and statistics are apart.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

TICK, LOT = 0.1, 0.001
FEE = 0.0005
HALF_SPREAD_TICKS, ORDER_LOTS = 5, 10
FAST, SLOW = 10, 30
UNITS_PER_TICK_LOT, FEE_PPCM = 10_000, 50_000


def asked() -> argparse.Namespace:
    """What the caller wants, from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("work")
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--latency-ns", type=int, default=0)
    parser.add_argument("--rows", type=int, default=0, help="of the input, from its start; 0 for all")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--decisions", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1)
    return parser.parse_args()


def columns(given: argparse.Namespace, *names: str) -> list[Any]:
    """Arrays of the input, cut to `--rows`."""
    return [np.load(given.input / f"{name}.npy")[: given.rows or None] for name in names]


def least(prepare: Callable[[], Any], run: Callable[[Any], Any], repeat: int) -> tuple[Any, float]:
    """Result and CPU seconds of the fastest run; what `prepare` does is not counted."""
    result, best = None, float("inf")
    for _ in range(repeat):
        ready = prepare()
        gc.collect()
        began = time.process_time()
        result = run(ready)
        best = min(best, time.process_time() - began)
    return result, best


def emit(package: str, **figures: Any) -> None:
    """The one line that the bench reads."""
    from importlib.metadata import version  # which brings much, and a first run has nothing to do with

    row = {"version": version(package), "python": platform.python_version(), **figures, "rss_mb": peak_rss_mb()}
    print(json.dumps(row, default=lambda value: value.item()))


def peak_rss_mb() -> int | None:
    """Of this process, input and libraries included; None where the system does not tell (not Linux)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next((round(int(line.split()[1]) / 1024) for line in lines if line.startswith("VmHWM")), None)


def account(fills: Iterable[tuple[int, str, int, int]]) -> dict[str, Any]:
    """Exact figures of a list of fills (number of the print, side, ticks, lots), and its digest."""
    position = cash = fees = count = 0
    digest = hashlib.sha256()
    for count, (k, side, price, lots) in enumerate(fills, start=1):
        notional = price * lots * UNITS_PER_TICK_LOT
        position += lots if side == "B" else -lots
        cash -= notional if side == "B" else -notional
        fees += notional * FEE_PPCM // 10**8
        digest.update(f"{count},{k},{side},{price},{lots}\n".encode("ascii"))
    exact = {"position": position, "cash": cash, "fees": fees}
    return {"fills": count, **exact, "digest": digest.hexdigest()[:16]}


def sweep_bars(runs: int, decisions: int, length: int) -> list[list[int]]:
    """The bars at whose opens each run trades, buying and selling in turn.

    Over 100,000 bars the runs of the specification are k = 0 ... 999: one decision at bar 50 k + 1, or 100 of them
    every 1,000 bars from 50 k + 1 modulo 1,000. Fewer runs are some of these, evenly spread.
    """
    starts = [length // 2000 * k + 1 for k in range(0, 1000, max(1, 1000 // runs))][:runs]
    if decisions == 1:
        return [[start] for start in starts]
    apart = length // decisions
    return [list(range(start % apart, length, apart))[:decisions] for start in starts]
