"""Runs that sell short: what the desk says, what the record says, and what the figures make of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.replay.scene import ground, linear, plan, recorded, restless, rough_bars, rough_prints, rules

from gnomon.exchange.bars import Bars
from gnomon.exchange.outcome import Accepted, Filled, Margined, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Fills, Shorting
from gnomon.replay.ground import Ground
from gnomon.replay.record import Kept
from gnomon.replay.run import RunPlan, play, play_again
from gnomon.replay.state import state_at
from gnomon.replay.verification import ledger_fault
from gnomon.score.played import run_record
from gnomon.trader.trader import Strategy
from gnomon.units import DAY_NS

TERMS = Shorting(borrow_bips_day=5)


def slow_prints(seed: int, n: int, drift: float = 0.0) -> Prints:
    """A print every ten minutes or so, for days."""
    rows = rough_prints(seed, n)
    price = np.maximum(100, rows.price + (np.arange(n) * drift).astype(np.int64))
    return Prints(rows.time_ns[0] + np.arange(n) * (DAY_NS // 150), price, rows.lots, rows.side)


def shortable(*rows: Prints | Bars) -> Ground:
    found = ground(*rows)
    return replace(
        found, tapes=tuple(replace(one, listing=replace(one.listing, may_short=True)) for one in found.tapes)
    )


def short_plan(market: Ground, usdt: int = 2_000, terms: Shorting = TERMS) -> RunPlan:
    balances = {"USDT": Decimal(usdt)} | {one.base.name: Decimal(0) for one in market.listings}
    return plan(market, replace(rules(Fills(level_lots=10_000), balances=balances), shorting=terms))


class Bear(Strategy):
    """Half of its equity short, then nothing; it writes down what its desk says."""

    wake = {"every_nth_print": 20}  # noqa: RUF012 - as strategies are written
    cover_at = 16

    def on_start(self, _desk: Any) -> None:
        self.said: list[tuple[int, int, int, int]] = []
        self.wakes = 0

    def on_trade(self, desk: Any, _event: Any) -> None:
        self.wakes += 1
        if self.wakes == 2:
            desk.target({"t:A0": "-0.5"})
        if self.wakes == self.cover_at:
            desk.target({})
        self.said.append((desk.now, desk.position_lots(0), desk.equity_units, desk.free_units))


def test_a_negative_weight_is_a_short_position_and_none_buys_it_back() -> None:
    how = short_plan(shortable(slow_prints(1, 400)))
    bear = Bear()
    run, record = recorded(how, bear)
    lots = [one[1] for one in bear.said]
    assert lots[2] < 0
    assert lots[-1] == 0
    short_lots, price = -lots[2], bear.said
    assert abs(short_lots - 1_000) <= 20  # half of 2,000 at about 1,000 a whole
    assert price
    assert ledger_fault(record) == ""
    assert run.balances["A0"] == 0
    assert record.end is not None
    assert not [one for one in record.end.balances if one.account == 5 and one.amount]


def test_the_desk_counts_collateral_as_money_that_is_not_free() -> None:
    how = short_plan(shortable(slow_prints(1, 400)))
    bear = Bear()
    run, _ = recorded(how, bear)
    before, after = bear.said[1], bear.said[3]
    assert after[3] < before[3] - 45_000_000_000  # the margin: a half of about 1,000
    assert after[2] == pytest.approx(before[2], rel=0.02)
    paid = sum(one.cost for _, one in run.told if type(one) is Margined)
    assert paid > 0
    assert bear.said[-1][3] == bear.said[-1][2]  # flat: all of it is free


def test_equity_and_positions_of_the_figures_are_those_of_the_desk() -> None:
    how = short_plan(shortable(slow_prints(3, 500)))
    bear = Bear()
    bear.cover_at = 10**9
    run, record = recorded(how, bear)
    found = run_record("run_x", record, how.ground, "always", (how.start_ns, how.end_ns))
    at_ns, lots, equity, _ = bear.said[-1]
    assert lots < 0
    row = int(np.searchsorted(found.marks.at_ns, at_ns, "right")) - 1
    assert found.marks.position[row, 0] == pytest.approx(lots / 1_000)
    assert found.marks.equity[row] == pytest.approx(equity / 10**8, rel=1e-3)
    assert run.balances["A0"] == Decimal(lots) / 1_000
    state = state_at(record, how.end_ns)
    assert sum(state.balances[0]) == lots * 10**5


def test_a_call_is_an_order_of_the_desk_and_of_the_figures() -> None:
    how = short_plan(shortable(slow_prints(5, 600, drift=12.0)), 600, Shorting(borrow_bips_day=5))

    class Deep(Bear):
        def on_trade(self, desk: Any, _event: Any) -> None:
            if not self.wakes:
                desk.sell(0, lots=900)
            self.wakes += 1
            self.said.append((desk.now, desk.position_lots(0), len(desk.orders()), len(desk.fills())))

    bear = Deep()
    run, record = recorded(how, bear)
    called = [one for _, one in run.told if type(one) is Filled and one.rule is Rule.SHORT_CALL]
    assert called
    assert [one for _, one in run.told if type(one) is Accepted and not one.request]
    assert bear.said[-1][1] == 0
    assert bear.said[-1][2] == 0
    assert ledger_fault(record) == ""
    found = run_record("run_x", record, how.ground, "always", (how.start_ns, how.end_ns), in_words=True)
    assert len(found.orders) == 2


@pytest.mark.parametrize("kind", ["prints", "bars"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_asked_the_money_adds_up_and_the_run_can_be_played_again(kind: str, seed: int) -> None:
    rows: list[Any] = [slow_prints(one, 300) for one in (seed, seed + 9)]
    if kind == "bars":
        rows = [rough_bars(one, 1_700) for one in (seed, seed + 9)]
    how = short_plan(shortable(*rows), 900)

    def trader() -> Strategy:
        return restless(seed, every=5, instruments=2, bars=kind == "bars", hears=True)

    run, record = recorded(how, trader())
    assert ledger_fault(record) == ""
    assert any(type(one) is Margined for _, one in run.told)
    again = play(how, trader(), search=linear)
    assert again.digests == run.digests
    ghost = Kept()
    play_again(record, how, ghost)
    assert ghost.digests == run.digests


def test_without_the_table_a_sale_beyond_the_holding_is_refused() -> None:
    how = short_plan(shortable(slow_prints(1, 200)))
    how = replace(how, rules=replace(how.rules, shorting=None))
    bear = Bear()
    run, _ = recorded(how, bear)
    assert run.fills == 0
    assert run.rejects == 1
