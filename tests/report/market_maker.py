"""A run worth reporting: forty days, two instruments, makers and takers, fees in two assets, refusals."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from tests.score.by_hand import Trade, played

from gnomon.report.run_page import Header
from gnomon.score.run_record import RunRecord
from gnomon.units import HOUR_NS, MINUTE_NS, SECOND_NS

BP = Fraction(1, 10_000)
LONG_WHY = (
    "Print 1,204,331 of 0.412 at 61,020.10, a seller's, went through the order's price: nothing was ahead, so the "
    "whole rest of 0.012 was filled at the order's own price (MAKER_THROUGH)."
)


def run_of(seed: int = 1, *, run: str = "run_01JD8Z6S1QXW3N5K0T7V9B2C4D", hours: int = 960) -> RunRecord:
    luck = np.random.default_rng(seed)
    price = 62_000.0 * np.exp(np.cumsum(luck.normal(0.0001, 0.006, (hours, 2)), axis=0))
    price[:, 1] *= 0.05
    trades, held = [], [0, 0]
    for hour in range(1, hours - 1):
        for which in range(2):
            if luck.random() > 0.1:
                continue
            at = float(price[hour, which])
            side = 1 if held[which] <= 0 or (held[which] < 40 and luck.random() < 0.55) else -1
            lots = int(luck.integers(1, 20)) if side > 0 else int(luck.integers(1, held[which] + 1))
            held[which] += side * lots
            is_maker = bool(luck.random() < 0.6)
            trade = Trade(
                after_ns=hour * HOUR_NS - int(luck.integers(0, 30 * MINUTE_NS)),
                lots=side * lots,
                price=round(at * (1 - side * (0.0004 if is_maker else -0.0003)), 2),
                instrument=which,
                maker=is_maker,
                queued_ns=int(luck.gamma(1.2, 900) * SECOND_NS) if is_maker else 0,
                fee=(2 if is_maker else 5) * BP,
                fee_asset="BNB" if luck.random() < 0.1 else "quote",
                decision_price=at,
                arrival_price=round(at * (1 - side * 0.0001), 2),
            )
            trades.append(trade)
    record = played(price, trades, run=run, rejects=["-2010", "-2010", "-1013"])
    return replace(record, fills=replace(record.fills, why=tuple(LONG_WHY for _ in record.fills.number)))


def header(**changes: Any) -> Header:
    return replace(
        Header(
            trader="market_maker",
            dataset="binance-spot-2024 (ds_01JD8Z000000000000000000AA), every print",
            seed=7,
            labels=(
                "bar-modelled",
                "taker: synthetic quote, spread 1 tick",
                "12 of 340 fills in ambiguous bars (3.5 %)",
            ),
            rules={
                "Fees": "maker 2 bps, taker 5 bps, in quote or BNB",
                "Latency": "feed 20 ms, entry 10 ms, reply 10 ms",
                "Resting orders": "queue, ahead by the 60 s model, volume share 1",
                "Takers": "auto: quote on the synthetic quote, level of 12 lots",
            },
            params={"half_spread": "5", "skew": "0.2", "every_nth_print": "100"},
            digests={
                name: f"{index:064x}" for index, name in enumerate(("dataset", "config", "inputs", "outputs"), 11)
            },
            fingerprint="5f" * 32,
            versions="gnomon 0.4.0, engine 3, Python 3.11",
            again="gnomon replay session.toml --trader market_maker --param half_spread=5 --seed 7",
        ),
        **changes,
    )
