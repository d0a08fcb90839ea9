"""How a run traded: what it paid, what it lost between decision and fill, how long it waited, what was refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.score.run_record import NEVER, Marks, RunRecord
from gnomon.units import DAY_NS, FloatArray, IntArray

BASIS_POINTS: Final = 1e4
YEAR_NS: Final = 365 * DAY_NS


@dataclass(frozen=True, slots=True)
class Slippage:
    """Basis points lost against a reference price, weighed by notional; above 0 is a cost, below a gain.

    `n` fills had the reference, `missing` had none; `cost` is the loss in the quote asset.
    """

    reference: str
    role: str
    n: int
    missing: int
    mean: float | None
    median: float | None
    p95: float | None
    cost: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations in ns: the 50th, 95th and 99th percentile by nearest rank, and the longest; `n` of them."""

    n: int
    p50: int | None
    p95: int | None
    p99: int | None
    longest: int | None


@dataclass(frozen=True, slots=True)
class Execution:
    """Trading in numbers; None where there is nothing to say.

    `notional` is all that changed hands, `turnover` its ratio to the mean equity over time, `turnover_a_year` that in
    365 days. `fees` are by asset, in it; `fees_quote` their worth, `fees_bps` that against the notional.
    `exposure` is the share of time with any holding. `maker_share` is by notional. `fill_ratio` is the mean over
    accepted orders of executed / ordered quantity, `filled_share` the share of them that were filled whole; an order
    for a sum of money has no ordered quantity and is left out of both.
    `entry_latency` runs from decision to arrival, `reply_latency` from decision to the acknowledgement.
    """

    fills: int
    orders: int
    accepted: int
    notional: float
    turnover: float
    turnover_a_year: float | None
    fees: dict[str, float]
    fees_quote: float
    fees_bps: float | None
    exposure: float
    maker_share: float | None
    fill_ratio: float | None
    filled_share: float | None
    slippage: tuple[Slippage, ...]
    queue: Percentiles
    entry_latency: Percentiles
    reply_latency: Percentiles
    rejects: dict[str, int]


def execution(record: RunRecord) -> Execution:
    """How the run traded, from its fills and orders."""
    fills, orders = record.fills, record.orders
    traded = float(fills.notional.sum())
    paid = float(fills.fee_quote.sum())
    turnover = traded / mean_equity(record.marks)
    span = int(record.marks.at_ns[-1] - record.marks.at_ns[0])
    accepted = np.array([not code for code in orders.reject_code], np.bool_)
    sized = accepted & (orders.quantity > 0.0)
    share = orders.executed[sized] / orders.quantity[sized]
    return Execution(
        fills=len(fills),
        orders=len(orders),
        accepted=int(accepted.sum()),
        notional=traded,
        turnover=turnover,
        turnover_a_year=turnover * YEAR_NS / span if span else None,
        fees=_by_asset(record),
        fees_quote=paid,
        fees_bps=paid / traded * BASIS_POINTS if traded else None,
        exposure=exposure(record),
        maker_share=float(fills.notional[fills.maker].sum()) / traded if traded else None,
        fill_ratio=float(share.mean()) if len(share) else None,
        filled_share=float((share >= 1.0).mean()) if len(share) else None,
        slippage=slippage(record),
        queue=percentiles(fills.queued_ns[fills.maker]),
        entry_latency=_latency(orders.decided_ns, orders.arrived_ns),
        reply_latency=_latency(orders.decided_ns, orders.acked_ns),
        rejects=dict(sorted(Counter(filter(None, orders.reject_code)).items(), key=lambda one: (-one[1], one[0]))),
    )


def mean_equity(marks: Marks) -> float:
    """The equity averaged over time, each mark holding until the next."""
    held = np.diff(marks.at_ns).astype(np.float64)
    if not held.sum():
        return float(marks.equity[0])
    return float((marks.equity[:-1] * held).sum() / held.sum())


def exposure(record: RunRecord) -> float:
    """The share of the run's time in which any instrument was held, to the nanosecond of its fills.

    A rest below the smallest quantity is no holding.
    """
    fills, marks = record.fills, record.marks
    start, end = int(marks.at_ns[0]), int(marks.at_ns[-1])
    if start == end:
        return 0.0
    steps = np.zeros(0, np.int64)
    came = np.zeros(0, np.int64)
    for instrument in range(len(record.listings)):
        own = fills.instrument == instrument
        at_ns = np.concatenate([[start], np.clip(fills.at_ns[own], start, end)])
        held = np.concatenate([[marks.position[0, instrument]], fills.position_after[own]])
        is_held = np.abs(held) >= record.listings[instrument].least
        steps = np.concatenate([steps, at_ns])
        came = np.concatenate([came, np.diff(is_held.astype(np.int64), prepend=0)])
    order = np.argsort(steps, kind="stable")
    holding = np.cumsum(came[order]) > 0
    until = np.append(steps[order][1:], end)
    return float((until - steps[order])[holding].sum() / (end - start))


def slippage(record: RunRecord) -> tuple[Slippage, ...]:
    """Fill price against the price at decision and at arrival: for all fills, for makers and for takers."""
    fills = record.fills
    roles = (("all", np.ones(len(fills), np.bool_)), ("maker", fills.maker), ("taker", ~fills.maker))
    references = (("decision", fills.decision_price), ("arrival", fills.arrival_price))
    return tuple(
        _slipped(reference, role, fills.side[rows], fills.price[rows], prices[rows], fills.quantity[rows])
        for reference, prices in references
        for role, rows in roles
    )


def percentiles(durations_ns: IntArray) -> Percentiles:
    """Percentiles by nearest rank: each is a duration that happened."""
    if not len(durations_ns):
        return Percentiles(0, None, None, None, None)
    p50, p95, p99 = (int(one) for one in np.percentile(durations_ns, (50, 95, 99), method="inverted_cdf"))
    return Percentiles(len(durations_ns), p50, p95, p99, int(durations_ns.max()))


def slippage_bps(side: npt.ArrayLike, price: npt.ArrayLike, reference: npt.ArrayLike) -> FloatArray:
    """side x (price - reference) / reference in basis points: above 0 a buyer paid more, a seller got less."""
    ref = np.asarray(reference, np.float64)
    return np.asarray(side, np.float64) * (np.asarray(price, np.float64) - ref) / ref * BASIS_POINTS + 0.0


def _slipped(
    reference: str, role: str, side: IntArray, price: FloatArray, against: FloatArray, quantity: FloatArray
) -> Slippage:
    there = np.isfinite(against)
    n = int(there.sum())
    if not n:
        return Slippage(reference, role, 0, len(price), None, None, None, 0.0)
    bps = slippage_bps(side[there], price[there], against[there])
    weight = quantity[there] * against[there]
    return Slippage(
        reference,
        role,
        n,
        len(price) - n,
        mean=float((bps * weight).sum() / weight.sum()),
        median=_weighed_quantile(bps, weight, 0.5),
        p95=_weighed_quantile(bps, weight, 0.95),
        cost=float((side[there] * quantity[there] * (price[there] - against[there])).sum()),
    )


def _weighed_quantile(values: FloatArray, weight: FloatArray, level: float) -> float:
    """The smallest value with at least `level` of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(reached, level * reached[-1] * (1.0 - 1e-12))])


def _by_asset(record: RunRecord) -> dict[str, float]:
    paid = np.bincount(record.fills.fee_asset, weights=record.fills.fee, minlength=len(record.assets))
    used = np.bincount(record.fills.fee_asset, minlength=len(record.assets))
    return {asset: float(paid[index]) for index, asset in enumerate(record.assets) if used[index]}


def _latency(from_ns: IntArray, to_ns: IntArray) -> Percentiles:
    there = (from_ns != NEVER) & (to_ns != NEVER)
    return percentiles(to_ns[there] - from_ns[there])
