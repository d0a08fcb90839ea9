"""Series for the tests of the market."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.market.candles import Candles
from gnomon.units import HOUR_NS, Grid

MakeCandles = Callable[..., Candles]


@pytest.fixture(scope="session")
def make_candles() -> MakeCandles:
    """Flat hourly bars of the given closes (in ticks), an hour apart unless their opens are given."""

    def make(closes: Sequence[int], *, open_ns: Sequence[int] | None = None, **changed: Any) -> Candles:
        opens = np.arange(len(closes)) * HOUR_NS if open_ns is None else np.array(open_ns, np.int64)
        close = np.array(closes, np.int64)
        fields: dict[str, Any] = {
            "instrument": "test:X",
            "timeframe": Timeframe.parse("1h"),
            "basis": "raw",
            "tick": Grid.of("0.01"),
            "lot": Grid.of("1"),
            "money": Grid.of("0.01"),
            "open_ns": opens,
            "close_ns": opens + HOUR_NS,
            "open": close,
            "high": close,
            "low": close,
            "close": close,
            "volume": np.ones(len(close), np.int64),
            "amount": np.full(len(close), -1),
            "flags": np.zeros(len(close), np.uint8),
        }
        fields |= changed
        arrays = {k: np.asarray(v) if isinstance(v, list | tuple) else v for k, v in fields.items()}
        return Candles(**({"knowable_ns": arrays["close_ns"]} | arrays))

    return make
