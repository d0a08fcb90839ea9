"""Contexts for the tests of forecasters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.forecast.forecast import Context
from gnomon.market.calendar import always

MakeContext = Callable[..., Context]

_CALENDAR = always(18_000, 24_000)


@pytest.fixture(scope="session")
def make_context() -> MakeContext:
    """Builds a context on the calendar that never closes: a seeded walk of changing volatility, or given closes."""

    def make(
        rows: int = 400,
        horizon: int = 120,
        *,
        seed: int = 0,
        closes: Sequence[float] | None = None,
        timeframe: str = "1h",
        instrument: str | None = None,
        last_day: int = 21_000,
        tick: float = 1e-4,
        **changed: Any,
    ) -> Context:
        values = _walk(rows, seed) if closes is None else np.array(closes, np.float64)
        parsed = Timeframe.parse(timeframe)
        past = _CALENDAR.between(parsed, _CALENDAR.open_ns[0], _CALENDAR.open_ns[last_day - 18_000])
        open_ns, cutoff_ns = past.open_ns[-len(values) :], int(past.close_ns[-1])
        targets = _CALENDAR.future(parsed, cutoff_ns, horizon)
        bars = np.column_stack([values, values * 1.01, values * 0.99, values, np.ones(len(values)), values])
        fields = {
            "instrument": instrument or f"test:S{seed}",
            "asset_class": "crypto",
            "timeframe": parsed,
            "as_of_ns": cutoff_ns,
            "data_cutoff_ns": cutoff_ns,
            "tick": tick,
            "bars": bars,
            "open_ns": open_ns,
            "target_open_ns": targets.open_ns,
            "target_close_ns": targets.close_ns,
            "local_ns": np.concatenate([open_ns, targets.open_ns]),
            "five_session_bars": _CALENDAR.bars_in_sessions(parsed, 5),
        }
        return Context(**(fields | changed))

    return make


def _walk(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    volatility = 0.01 * np.exp(0.5 * np.sin(np.arange(rows) / 17 + seed))
    return 100.0 * (1 + seed) * np.exp(np.cumsum(rng.standard_t(5, rows) * volatility))
