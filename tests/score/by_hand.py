"""Runs played by hand: a price path, some trades, and an account kept in whole lots and money units beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe, parse_instant
from gnomon.score.run_record import NEVER, Fills, Listing, Marks, Orders, Periods, RunRecord
from gnomon.units import HOUR_NS, FloatArray

START_NS = parse_instant("2024-03-01")
LOT = Fraction(1, 1000)
LATENCY_NS = 20_000_000


@dataclass(frozen=True)
class Trade:
    """A fill at an instant after the start; `lots` of 0.001 above 0 are bought, below 0 sold."""

    after_ns: int
    lots: int
    price: float
    instrument: int = 0
    maker: bool = False
    queued_ns: int = 0
    fee: Fraction = Fraction(0)
    fee_asset: str = "quote"
    """quote, base, or a third asset, of which one is worth 300."""
    decision_price: float = np.nan
    arrival_price: float = np.nan


def played(
    price: npt.ArrayLike,
    trades: Sequence[Trade] = (),
    *,
    run: str = "run_1",
    cash: int = 10_000,
    lots: Sequence[int] = (),
    step_ns: int = HOUR_NS,
    frame: str = "1h",
    extremes: tuple[FloatArray, FloatArray] | None = None,
    rejects: Sequence[str] = (),
    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
) -> RunRecord:
    """The record of a run over prices (T,) or (T, I), a mark every `step_ns` from the start. Fees are rates."""
    prices = np.asarray(price, np.float64)
    prices = prices[:, None] if prices.ndim == 1 else prices
    marks, instruments = prices.shape
    listings = tuple(Listing(symbol, symbol.removesuffix("USDT"), 2, 3) for symbol in symbols[:instruments])
    assets = ("USDT", *(one.base for one in listings), "BNB")
    held = [LOT * one for one in lots] or [Fraction(0)] * instruments
    money = Fraction(cash)
    waiting = sorted(trades, key=lambda one: one.after_ns)
    position, cashes, rows, after = np.zeros((marks, instruments)), np.zeros(marks), [], []
    for mark in range(marks):
        while waiting and waiting[0].after_ns <= mark * step_ns:
            trade = waiting.pop(0)
            quantity = LOT * trade.lots
            notional = quantity * Fraction(str(trade.price))
            held[trade.instrument] += quantity
            money -= notional
            asset, rate = trade.fee_asset, trade.fee
            if asset == "base":
                held[trade.instrument] -= abs(quantity) * rate
            elif asset == "quote":
                money -= abs(notional) * rate
            rows.append(trade)
            after.append(float(held[trade.instrument]))
        position[mark] = [float(one) for one in held]
        cashes[mark] = float(money)
    at_ns = START_NS + step_ns * np.arange(marks)
    low, high = extremes or (None, None)
    worth = cashes + (position * np.nan_to_num(prices)).sum(axis=1)
    return RunRecord(
        run=run,
        quote="USDT",
        listings=listings,
        assets=assets,
        marks=Marks(at_ns, worth, cashes, position, prices, high, low),
        fills=_fills(rows, after, listings, assets),
        orders=_orders(rows, rejects),
        periods=Periods.regular(START_NS, int(at_ns[-1]), "always", Timeframe.parse(frame)),
    )


def _fills(rows: list[Trade], after: list[float], listings: tuple[Listing, ...], assets: tuple[str, ...]) -> Fills:
    if not rows:
        return Fills.none()
    at_ns = START_NS + np.array([one.after_ns for one in rows])
    queued = np.array([one.queued_ns for one in rows])
    quantity = np.array([float(abs(one.lots) * LOT) for one in rows])
    price = np.array([one.price for one in rows])
    rate = np.array([float(one.fee) for one in rows])
    names = {"quote": "USDT"}
    paid_in = [
        listings[one.instrument].base if one.fee_asset == "base" else names.get(one.fee_asset, one.fee_asset)
        for one in rows
    ]
    worth = np.array([{"quote": 1.0, "base": one.price}.get(one.fee_asset, 300.0) for one in rows])
    return Fills(
        number=np.arange(1, len(rows) + 1),
        order=np.arange(1, len(rows) + 1),
        instrument=np.array([one.instrument for one in rows]),
        side=np.array([1 if one.lots > 0 else -1 for one in rows]),
        at_ns=at_ns,
        decided_ns=at_ns - queued - LATENCY_NS,
        arrived_ns=at_ns - queued,
        queued_ns=queued,
        fee_asset=np.array([assets.index(one) for one in paid_in]),
        price=price,
        quantity=quantity,
        notional=price * quantity,
        fee=quantity * price * rate / worth,
        fee_quote=quantity * price * rate,
        position_after=np.array(after),
        decision_price=np.array([one.decision_price for one in rows]),
        arrival_price=np.array([one.arrival_price for one in rows]),
        maker=np.array([one.maker for one in rows]),
        why=tuple(f"{'resting at' if one.maker else 'taken at'} {one.price}" for one in rows),
    )


def _orders(rows: list[Trade], rejects: Sequence[str]) -> Orders:
    """One filled order a fill, and a refused one a reject after them."""
    n, refused = len(rows), len(rejects)
    at_ns = START_NS + np.array([one.after_ns for one in rows] + [0] * refused, np.int64)
    arrived = at_ns - np.array([one.queued_ns for one in rows] + [0] * refused, np.int64)
    lots = np.array([one.lots for one in rows] + [1] * refused, np.int64)
    quantity = np.abs(lots) * float(LOT)
    return Orders(
        number=np.arange(1, n + refused + 1),
        instrument=np.array([one.instrument for one in rows] + [0] * refused, np.int64),
        side=np.sign(lots),
        decided_ns=arrived - LATENCY_NS,
        arrived_ns=arrived,
        acked_ns=np.array([*(arrived[:n] + LATENCY_NS), *[NEVER] * refused], np.int64),
        done_ns=at_ns,
        quantity=quantity,
        executed=np.where(np.arange(n + refused) < n, quantity, 0.0),
        kind=(*("LIMIT" if one.maker else "MARKET" for one in rows), *["LIMIT"] * refused),
        status=(*["FILLED"] * n, *["REJECTED"] * refused),
        reject_code=(*[""] * n, *rejects),
        reject_text=(*[""] * n, *(f"refused: {one}" for one in rejects)),
    )
