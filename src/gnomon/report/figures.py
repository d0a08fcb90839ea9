"""The figures of a run as rows of words: one list for the page of one run and for several side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gnomon.report.wording import ABSENT, amount_of, count, duration, instant, money, number, share, signed_share
from gnomon.score.execution import Slippage
from gnomon.score.growth import Growth
from gnomon.score.runs import Summary


@dataclass(frozen=True, slots=True)
class Figure:
    """A named figure: in words from the growth of a curve, or from the whole summary of a run."""

    name: str
    of_growth: Callable[[Growth, str], str] | None = None
    of_run: Callable[[Summary], str] | None = None

    def of(self, run: Summary) -> str:
        if self.of_growth is not None:
            return self.of_growth(run.growth, run.quote)
        assert self.of_run is not None
        return self.of_run(run)

    def of_hold(self, run: Summary) -> str:
        """The same figure of buy-and-hold, empty where it has none."""
        return self.of_growth(run.hold, run.quote) if self.of_growth is not None else ""


GROWTH: Final = (
    Figure("Equity at the opening", lambda one, quote: money(one.start, quote)),
    Figure("Equity at the end", lambda one, quote: money(one.end, quote)),
    Figure("Return", lambda one, _: signed_share(one.total_return)),
    Figure("Return a year, compounded", lambda one, _: signed_share(one.annual_return)),
    Figure("Volatility a year", lambda one, _: share(one.volatility)),
    Figure("Sharpe", lambda one, _: number(one.sharpe)),
    Figure("Sortino", lambda one, _: number(one.sortino)),
    Figure("Calmar", lambda one, _: number(one.calmar)),
    Figure("Deepest drawdown", lambda one, _: share(one.drawdown.depth)),
    Figure("From its peak to its recovery", lambda one, _: duration(one.drawdown.length_ns)),
    Figure("The same, in marks", lambda one, _: count(one.drawdown.length_marks)),
    Figure("Recovered", lambda one, _: _recovery(one)),
    Figure("Longest time under water", lambda one, _: duration(one.drawdown.longest_ns)),
    Figure("Best, worst period", lambda one, _: f"{signed_share(one.best)}, {signed_share(one.worst)}"),
)

TRADING: Final = (
    Figure("Fills", of_run=lambda run: count(run.execution.fills)),
    Figure("Traded", of_run=lambda run: money(run.execution.notional, run.quote)),
    Figure("Turnover, of mean equity", of_run=lambda run: number(run.execution.turnover, 2, "×")),
    Figure("The same in 365 days", of_run=lambda run: number(run.execution.turnover_a_year, 2, "×")),
    Figure("Fees", of_run=lambda run: money(run.execution.fees_quote, run.quote)),
    Figure("Fees by asset", of_run=lambda run: _fees(run)),
    Figure("Fees, in basis points", of_run=lambda run: number(run.execution.fees_bps, 2, "bps")),
    Figure("Time in the market", of_run=lambda run: share(run.execution.exposure)),
    Figure("Round trips, first in first out", of_run=lambda run: _trips(run)),
    Figure("Hit rate", of_run=lambda run: share(run.trips.hit_rate)),
    Figure("Average profit", of_run=lambda run: money(run.trips.average_profit, run.quote)),
    Figure("Average gain", of_run=lambda run: signed_share(run.trips.average_gain, 3)),
    Figure("Profit factor", of_run=lambda run: number(run.trips.profit_factor)),
    Figure("Average time held", of_run=lambda run: duration(run.trips.average_held_ns)),
    Figure("Against (MAE), average", of_run=lambda run: share(run.trips.average_adverse, 3)),
    Figure("In favour (MFE), average", of_run=lambda run: share(run.trips.average_favourable, 3)),
)

EXECUTION: Final = (
    Figure("Orders, accepted", of_run=lambda run: f"{count(run.execution.orders)}, {count(run.execution.accepted)}"),
    Figure("Fill ratio", of_run=lambda run: share(run.execution.fill_ratio)),
    Figure("Filled whole", of_run=lambda run: share(run.execution.filled_share)),
    Figure("Maker share", of_run=lambda run: share(run.execution.maker_share)),
    Figure("Slippage against decision", of_run=lambda run: _mean(run.execution.slippage[0])),
    Figure("Slippage against arrival", of_run=lambda run: _mean(run.execution.slippage[3])),
    Figure("Time in queue, p50", of_run=lambda run: duration(run.execution.queue.p50)),
    Figure("Time in queue, p95", of_run=lambda run: duration(run.execution.queue.p95)),
    Figure("Latency to the venue, p50", of_run=lambda run: duration(run.execution.entry_latency.p50)),
    Figure("Latency to the venue, p95", of_run=lambda run: duration(run.execution.entry_latency.p95)),
    Figure("Latency to the venue, p99", of_run=lambda run: duration(run.execution.entry_latency.p99)),
    Figure("Latency to the answer, p50", of_run=lambda run: duration(run.execution.reply_latency.p50)),
    Figure("Latency to the answer, p95", of_run=lambda run: duration(run.execution.reply_latency.p95)),
    Figure("Latency to the answer, p99", of_run=lambda run: duration(run.execution.reply_latency.p99)),
    Figure("Rejects", of_run=lambda run: count(sum(run.execution.rejects.values()))),
)


def stated(run: Growth) -> str:
    """How ratios were annualised, in a sentence."""
    if not run.n:
        return f"The run is shorter than a period of {run.period}: no return by period, hence no ratios."
    few = " That is few: the ratios say little." if run.n < 30 else ""
    return (
        f"Ratios from {run.n:,} simple returns over periods of {run.period}, {run.a_year:g} of them a year; "
        f"risk-free rate 0; sample deviation (n - 1).{few}"
    )


def _recovery(one: Growth) -> str:
    if one.drawdown.depth == 0.0:
        return ABSENT
    return "not yet" if one.drawdown.recovered_ns is None else instant(one.drawdown.recovered_ns)


def _fees(run: Summary) -> str:
    return ", ".join(amount_of(amount, asset) for asset, amount in run.execution.fees.items()) or ABSENT


def _trips(run: Summary) -> str:
    still = f", {run.trips.open_pieces:,} still open" if run.trips.open_pieces else ""
    return f"{run.trips.n:,}{still}"


def _mean(one: Slippage) -> str:
    return number(one.mean, 2, "bps")
