"""A run: its plan, its counts and balances, and the golden digests of four whole runs."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.replay.fixed_runs import digests, runs
from tests.replay.scene import ground, listing, plan, random_session, recorded, rough_bars, rough_prints, rules

from gnomon.errors import Invalid
from gnomon.exchange.outcome import Accepted, Filled, Quoted, Rejected
from gnomon.replay.bodies import EndReason, RequestPlace
from gnomon.replay.ground import ENGINE_VERSION
from gnomon.replay.header import RecordType
from gnomon.replay.run import RunPlan, play, wake_streams
from gnomon.trader.trader import Strategy

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/digests.json").read_text(encoding="utf-8"))["runs"]


def test_no_output_moves_while_the_engine_version_stands() -> None:
    """Moved on purpose? Raise `ENGINE_VERSION`, and write what `python -m tests.replay.fixed_runs` prints."""
    assert GOLDEN["engine"] == ENGINE_VERSION
    assert digests() == GOLDEN


def test_the_golden_runs_trade() -> None:
    assert all(one["fills"] > 20 and one["rejects"] for name, one in GOLDEN.items() if name != "engine")
    assert {*GOLDEN} == {"engine", *runs()}


@pytest.mark.parametrize("seed", [300, 301, 302])
def test_what_is_counted_is_what_was_told(seed: int) -> None:
    how, trader = random_session(seed)
    run = play(how, trader())
    said = [one for _, one in run.told]
    assert run.fills == sum(type(one) is Filled for one in said)
    assert run.rejects == sum(type(one) is Rejected for one in said)
    quoted = [one for one in said if type(one) is Quoted]
    sides = sum((one.bid > 0 and not one.bid_kept) + (one.ask > 0 and not one.ask_kept) for one in quoted)
    opened = {one.number for one in said if type(one) is Accepted}  # what follows another is told of twice
    assert run.orders == len(opened) + sides
    assert [at_ns for at_ns, _ in run.told] == sorted(at_ns for at_ns, _ in run.told)


@pytest.mark.parametrize("seed", [300, 301, 302])
def test_balances_are_the_opening_and_what_the_fills_moved(seed: int) -> None:
    how, trader = random_session(seed)
    run = play(how, trader())
    names = list(run.balances)
    expected = {name: how.rules.balances[name] for name in names}
    for _, one in run.told:
        if type(one) is Filled:
            of = how.ground.listings[one.instrument]
            sign = 1 if one.side == 1 else -1
            expected[of.base.name] += sign * one.lots * of.lot
            expected[of.quote.name] -= sign * one.price * one.lots * of.tick * of.lot
            expected[names[one.fee_asset]] -= Decimal(one.fee).scaleb(-8)
    assert run.balances == expected


def test_without_keeping_nothing_is_told_and_all_is_counted() -> None:
    how, trader = random_session(300)
    kept, counted = play(how, trader()), play(how, trader(), keeps=False)
    assert counted.told == []
    assert (counted.fills, counted.orders, counted.balances) == (kept.fills, kept.orders, kept.balances)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 5), (10**15, 2 * 10**15), (-(10**15), -(10**14))])
def test_a_window_outside_the_data_is_refused_with_what_there_is(start: int, end: int) -> None:
    market = ground(rough_prints(1, 50))
    first_ns, _ = market.span()
    with pytest.raises(Invalid, match="is not in the dataset") as error:
        RunPlan(market, rules(), first_ns + start, first_ns + end, 7)
    assert "it holds 2023-11-14" in str(error.value.hint)


def test_nothing_is_told_before_the_window_or_at_its_end() -> None:
    class Listens(Strategy):
        def on_start(self, _desk: Any) -> None:
            self.told: list[int] = []

        def on_trade(self, desk: Any, _trade: Any) -> None:
            self.told.append(desk.now)

    prints = rough_prints(1, 200)
    window = int(prints.time_ns[40]), int(prints.time_ns[150])
    trader = Listens()
    play(plan(ground(prints), rules(), window=window), trader)
    assert trader.told == [at_ns for at_ns in prints.time_ns.tolist() if window[0] <= at_ns < window[1]]


def test_history_before_the_window_can_be_read_at_its_start() -> None:
    class Looks(Strategy):
        def on_start(self, desk: Any) -> None:
            self.last = desk.price_ticks()

        def on_bar(self, desk: Any, bar: Any) -> None:
            pass

    prints = rough_prints(1, 200)
    start_ns = int(prints.time_ns[90]) + 1
    trader = Looks()
    play(plan(ground(prints), rules(), window=(start_ns, start_ns + 10**9)), trader)
    assert trader.last == prints.price[prints.time_ns <= start_ns][-1]


def test_every_input_that_decides_stands_in_the_config() -> None:
    base = plan(ground(rough_prints(1, 50)), rules())
    changed = [
        replace(base, seed=8),
        replace(base, warmup_bars=3),
        replace(base, end_ns=base.end_ns - 1),
        replace(base, rules=replace(base.rules, fees=replace(base.rules.fees, taker=1))),
        replace(base, rules=replace(base.rules, fills=replace(base.rules.fills, spread_ticks=2))),
    ]
    texts = [one.config() for one in (base, *changed)]
    assert len({*texts}) == len(texts)
    assert replace(base, entry=1).config() == base.config(), "a place in a session decides nothing"
    assert base.config() == plan(ground(rough_prints(2, 50)), rules(), window=(base.start_ns, base.end_ns)).config()


def test_streams_are_made_for_what_is_asked_and_no_more() -> None:
    how = plan(ground(rough_prints(1, 100), rough_prints(2, 100)), rules())
    hook = print
    assert wake_streams(how, 0, hook, False, hook) == []
    assert wake_streams(how, 5, None, True, None) == []
    assert [one.layer for one in wake_streams(how, 5, hook, True, hook)] == [2, 3, 4]
    bars = plan(ground(rough_bars(1, 100)), rules())
    assert [one.layer for one in wake_streams(bars, 5, hook, True, hook)] == [3]


def test_a_request_stands_under_the_delivery_that_led_to_it_and_its_fill_under_the_order() -> None:
    class Buys(Strategy):
        wake = {"every_nth_print": 20}  # noqa: RUF012 - class data of a strategy is written so

        def on_trade(self, desk: Any, _trade: Any) -> None:
            desk.buy(listing().id, lots=1)

    run, record = recorded(plan(ground(rough_prints(1, 100)), rules()), Buys())
    assert run.reason is EndReason.WINDOW
    by_seq = {one.seq: one for one in record.entries()}
    fills = [one for one in by_seq.values() if one.type is RecordType.FILL]
    assert fills
    for fill in fills:
        accept = by_seq[fill.cause]
        request = by_seq[accept.cause]
        told = by_seq[request.cause]
        assert [one.type for one in (accept, request, told)] == [
            RecordType.ACCEPT, RecordType.REQUEST, RecordType.DELIVER,
        ]  # fmt: skip
        assert isinstance(request.body, RequestPlace)
        assert told.t == request.t <= accept.t <= fill.t
