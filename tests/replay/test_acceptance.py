"""A run through the whole engine makes the fills of the plain loops, and of the specification, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from bench.workload import seeded
from tests.replay.oracle_w1 import FAST, LOTS, SLOW, crossing
from tests.replay.oracle_w2 import FIGURES, ROWS, Account, Fill, Print, Rules, quoting

from gnomon.clock import Timeframe
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import Filled
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Rules as VenueRules
from gnomon.market.block_index import BlockIndex
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.run import Played, RunPlan, play
from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar, Trade
from gnomon.trader.limits import Limits
from gnomon.trader.trader import Strategy

PAIR = Listing(0, "sim:BTC-USDT", Asset("BTC"), Asset("USDT"), Decimal("0.1"), Decimal("0.001"))
MINUTE = Timeframe.parse("1m")
FEES = {"maker": "0.0005", "taker": "0.0005", "asset": "quote"}
MILLION = 1_000_000


class Quoting(Strategy):
    def on_trade(self, desk: Desk, trade: Trade) -> None:
        desk.quote_ticks(trade.price_ticks - 5, trade.price_ticks + 5, 10, keep=False)


class Averages(Strategy):
    def on_start(self, _: Desk) -> None:
        self.closes: list[int] = []

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        self.closes = [*self.closes[1 - SLOW :], bar.candle.close_ticks]
        held = desk.position_lots()
        if len(self.closes) < SLOW:
            return
        if 3 * sum(self.closes[-FAST:]) > sum(self.closes):
            if not held:
                desk.buy(lots=LOTS)
        elif held:
            desk.sell(lots=held)


@cache
def market(count: int) -> seeded.Prints:
    return seeded.prints(count)


def engine(count: int, rules: Rules) -> Played:
    columns = market(count)
    prints = Prints(columns.ts, columns.price, columns.lots, np.where(columns.buy, 1, -1).astype(np.int8))
    index = BlockIndex.of_prints(prints.price, prints.lots, prints.side)
    share = "none" if rules.share is None else str(Decimal(rules.share.numerator) / rules.share.denominator)
    fills = {"resting": rules.resting, "ahead": {"lots": rules.ahead}, "volume_share": share, "taker": "rest"}
    balances = {"USDT": "10000000", "BTC": "10"}
    latency = {"entry": {"const_ns": rules.latency_ns}}
    Quoting.wake = {"every_nth_print": rules.every}
    tape = Tape(PAIR, prints, index, bars_from_prints(prints, MINUTE.nominal_ns))
    return played(tape, {"fills": fills, "fees": FEES, "latency": latency, "balances": balances}, Quoting())


def played(tape: Tape, rules: dict[str, object], trader: Strategy) -> Played:
    ground = Ground((tape,), MINUTE, bytes(32))
    return play(RunPlan(ground, VenueRules.parse(rules), *ground.span(), seed=1, limits=Limits(0, 0, 0)), trader)


def booked(run: Played, first: int) -> Account:
    """The run's fills as the plain loops write them; `fees` are the venue's own."""
    account, fees = Account(), 0
    for _, one in run.told:
        if type(one) is Filled:
            account.book(Fill(one.print + first, "B" if one.side is Side.BUY else "S", one.price, one.lots))
            fees += one.fee
    assert account.fees == fees
    return account


@pytest.mark.parametrize(
    "rules", [*ROWS.values(), Rules(50, 70_000_000, "queue", 20, Fraction(1, 2))], ids=[*ROWS, "half a print"]
)
def test_quotes_fill_as_in_the_plain_loop(rules: Rules) -> None:
    columns = market(10_000)
    rows = zip(*(column.tolist() for column in (columns.ts, columns.price, columns.lots, columns.side)), strict=True)
    run, plain = engine(10_000, rules), quoting(map(Print._make, rows), rules)
    assert booked(run, 1) == plain
    assert run.balances["USDT"] == 10_000_000 + Decimal(plain.cash - plain.fees).scaleb(-8)
    assert run.balances["BTC"] == 10 + Decimal(plain.position).scaleb(-3)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_specification_to_the_last_digit(row: str) -> None:
    run, expected = engine(MILLION, ROWS[row]), FIGURES[row]
    account = booked(run, 1)
    assert (len(account.fills), account.digest()) == (expected.fills, expected.digest)
    assert (account.position, account.cash, account.fees) == (expected.position, expected.cash, expected.fees)
    assert run.balances["USDT"] == 10_000_000 + Decimal(expected.cash - expected.fees).scaleb(-8)
    assert run.balances["BTC"] == 10 + Decimal(expected.position).scaleb(-3)


@pytest.mark.parametrize(
    ("count", "fills", "digest"),
    [(3_000, 0, ""), pytest.param(MILLION, 38_894, "64366d0ee99ae4d6", marks=pytest.mark.slow)],
)
def test_averages_cross_as_in_the_plain_loop(count: int, fills: int, digest: str) -> None:
    columns = seeded.bars(count)
    lots = np.round(columns.volume * 1_000).astype(np.int64)
    close_ns = columns.open_ts + MINUTE.nominal_ns
    bars = Bars(columns.open_ts, close_ns, columns.open, columns.high, columns.low, columns.close, lots)
    tape = Tape(PAIR, bars, BlockIndex.of_ranges(bars.low, bars.high, lots), bars)
    rules = {"fills": {"volume_share": "none"}, "fees": FEES, "balances": {"USDT": "10000000"}}
    account = booked(played(tape, rules, Averages()), 0)
    if fills:
        assert (len(account.fills), account.digest()) == (fills, digest)
        assert (account.position, account.cash, account.fees) == (0, -81_38300000, 6_132_77779050)
    else:
        assert account == crossing(columns.open.tolist(), columns.close.tolist())
        assert len(account.fills) > 100
