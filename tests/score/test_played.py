"""A played run as columns: equity, positions, orders and fees against a plain walk over what the venue said."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from tests.replay.scene import ground, plan, recorded, restless, rough_bars, rough_prints, rules

from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.outcome import Accepted, Changed, Filled, Quoted, Rejected, Role
from gnomon.exchange.rules import FeeAsset, Fees
from gnomon.replay.run import Played, RunPlan
from gnomon.score.played import run_record
from gnomon.score.run_record import NEVER, RunRecord

KINDS = {
    "prints": (rough_prints(1, 600), rough_prints(2, 500)),
    "bars": (rough_bars(1, 150), rough_bars(2, 120)),
}


def played(kind: str, asset: FeeAsset, seed: int = 4) -> tuple[RunPlan, Played, RunRecord]:
    tapes = KINDS[kind]
    how = plan(ground(*tapes), rules(fees=Fees(20_000, 50_000, asset)))
    run, record = recorded(how, restless(seed, every=3, instruments=2, bars=kind == "bars"))
    window = how.start_ns, how.end_ns
    return how, run, run_record("run_x", record, how.ground, "always", window)


def newest(tape: object, at_ns: int) -> int:
    """Ticks of the newest print or closed candle; the first one before there is any."""
    times, prices = (tape.close_ns, tape.close) if isinstance(tape, Bars) else (tape.time_ns, tape.price)  # type: ignore[attr-defined]  # one of two
    return int(prices[max(0, int(np.searchsorted(times, at_ns, "right")) - 1)])


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("asset", [FeeAsset.QUOTE, FeeAsset.RECEIVED])
def test_equity_cash_and_positions_are_those_of_a_walk_over_the_fills(kind: str, asset: FeeAsset) -> None:
    how, run, found = played(kind, asset)
    fills = [(at_ns, one) for at_ns, one in run.told if type(one) is Filled]
    names = list(run.balances)
    assert len(fills) > 30
    for row in range(0, len(found.marks), 3):
        at_ns = int(found.marks.at_ns[row])
        held = {name: how.rules.balances[name] for name in names}
        for when, one in fills:
            if when <= at_ns:
                of, sign = how.ground.listings[one.instrument], 1 if one.side == 1 else -1
                held[of.base.name] += sign * one.lots * of.lot
                held[of.quote.name] -= sign * one.lots * one.price * of.lot * of.tick
                held[names[one.fee_asset]] -= Decimal(one.fee).scaleb(-8)
        equity = held["USDT"]
        for column, tape in enumerate(how.ground.tapes):
            price = newest(tape.tape, at_ns) * tape.listing.tick
            equity += held[tape.listing.base.name] * price
            assert found.marks.position[row, column] == pytest.approx(float(held[tape.listing.base.name]), rel=1e-12)
            assert found.marks.price[row, column] == pytest.approx(float(price))
        assert found.marks.cash[row] == pytest.approx(float(held["USDT"]), rel=1e-12)
        assert found.marks.equity[row] == pytest.approx(float(equity), rel=1e-12)


@pytest.mark.parametrize("kind", list(KINDS))
def test_fills_are_told_one_a_row_with_their_fee_in_the_quote(kind: str) -> None:
    how, run, found = played(kind, FeeAsset.RECEIVED)
    fills = [(at_ns, one) for at_ns, one in run.told if type(one) is Filled]
    assert found.fills.number.tolist() == list(range(1, len(fills) + 1))
    held = {one.base.name: how.rules.balances[one.base.name] for one in how.ground.listings}
    names = list(run.balances)
    for row, (at_ns, one) in enumerate(fills):
        of, sign = how.ground.listings[one.instrument], 1 if one.side == 1 else -1
        price, size, fee = one.price * of.tick, one.lots * of.lot, Decimal(one.fee).scaleb(-8)
        held[of.base.name] += sign * size - (fee if names[one.fee_asset] == of.base.name else 0)
        told = found.fills
        assert (told.at_ns[row], told.side[row], told.order[row]) == (at_ns, sign, one.number)
        assert (told.decided_ns[row], told.arrived_ns[row]) == (one.decided_ns, one.arrived_ns)
        assert told.maker[row] == (one.role is Role.MAKER)
        assert told.queued_ns[row] == (at_ns - one.arrived_ns if one.role is Role.MAKER else 0)
        assert told.price[row] == pytest.approx(float(price))
        assert told.notional[row] == pytest.approx(float(price * size))
        assert told.fee[row] == pytest.approx(float(fee))
        in_quote = names[one.fee_asset] == "USDT"
        assert told.fee_quote[row] == pytest.approx(float(fee if in_quote else fee * price))
        assert told.position_after[row] == pytest.approx(float(held[of.base.name]), rel=1e-12)
        tape = how.ground.tapes[one.instrument]
        assert told.decision_price[row] == pytest.approx(newest(tape.tape, one.decided_ns) * float(of.tick))


@pytest.mark.parametrize("kind", list(KINDS))
def test_orders_are_told_with_how_they_ended(kind: str) -> None:
    _, run, found = played(kind, FeeAsset.QUOTE)
    ended: dict[int, tuple[int, str]] = {}
    executed: dict[int, int] = {}
    seen: list[int] = []
    refused = 0
    for at_ns, one in run.told:
        match one:
            case Accepted():
                seen.append(one.number)
            case Quoted():
                seen += [number for number in (one.bid, one.ask) if number and number not in seen]
                ended |= {number: (at_ns, "CANCELED") for number in (one.bid_gone, one.ask_gone) if number}
            case Changed() if one.status.name not in ("NEW", "PARTIALLY_FILLED"):
                ended[one.number] = at_ns, one.status.name
            case Filled():
                executed[one.number] = executed.get(one.number, 0) + one.lots
                if not one.remaining:
                    ended[one.number] = at_ns, "FILLED"
            case Rejected():
                refused += 1
    orders = found.orders
    assert sorted(orders.number[orders.number > 0].tolist()) == sorted({*seen})
    assert sum(code != "" for code in orders.reject_code) == refused == run.rejects
    for row, number in enumerate(orders.number.tolist()):
        if not number:
            assert orders.status[row] == "REJECTED"
            continue
        assert orders.executed[row] == pytest.approx(executed.get(number, 0) * 0.001)
        done_ns, status = ended.get(number, (NEVER, orders.status[row]))
        assert (orders.done_ns[row], orders.status[row]) == (done_ns, status)


def test_extremes_since_the_mark_before_are_those_of_the_prints_between() -> None:
    how, _, found = played("prints", FeeAsset.QUOTE)
    prints = rough_prints(1, 600)
    times = found.marks.at_ns
    assert found.marks.high is not None
    assert found.marks.low is not None
    for row in range(1, len(times)):
        inside = (prints.time_ns > times[row - 1]) & (prints.time_ns <= times[row])
        if inside.any():
            assert found.marks.high[row, 0] == pytest.approx(prints.price[inside].max() * 0.1)
            assert found.marks.low[row, 0] == pytest.approx(prints.price[inside].min() * 0.1)
        else:
            assert found.marks.high[row, 0] == found.marks.low[row, 0] == found.marks.price[row, 0]
    assert times[0] == how.start_ns
    assert times[-1] == how.end_ns


def test_a_record_of_other_instruments_is_refused() -> None:
    how = plan(ground(rough_prints(1, 100)), rules())
    _, record = recorded(how, restless(1))
    other = ground(rough_prints(1, 100), rough_prints(2, 100))
    with pytest.raises(Invalid, match="other instruments"):
        run_record("x", record, other, "always", (how.start_ns, how.end_ns))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_fee_in_a_third_asset_is_worth_that_assets_own_price(kind: str) -> None:
    tapes = KINDS[kind]
    fees = Fees(20_000, 50_000, FeeAsset.OTHER, other="A1")
    how = plan(ground(*tapes), rules(fees=fees))
    run, record = recorded(how, restless(4, every=3, instruments=2, bars=kind == "bars"))
    found = run_record("run_x", record, how.ground, "always", (how.start_ns, how.end_ns)).fills
    in_other = [row for row in range(len(found)) if run_assets(run)[found.fee_asset[row]] == "A1"]
    of_another = [row for row in in_other if found.instrument[row] == 0]
    assert len(of_another) > 10
    for row in of_another:
        price = newest(how.ground.tapes[1].tape, int(found.at_ns[row])) * 0.1
        assert found.fee_quote[row] == pytest.approx(found.fee[row] * price)
    for row in set(in_other) - {*of_another}:
        assert found.fee_quote[row] == pytest.approx(found.fee[row] * found.price[row])


def run_assets(run: Played) -> list[str]:
    return list(run.balances)


@pytest.mark.parametrize("kind", list(KINDS))
def test_fills_and_refusals_say_why_when_they_are_asked_to(kind: str) -> None:
    how, run, plain = played(kind, FeeAsset.QUOTE)
    assert plain.fills.why == ()
    _, record = recorded(how, restless(4, every=3, instruments=2, bars=kind == "bars"))
    found = run_record("run_x", record, how.ground, "always", (how.start_ns, how.end_ns), in_words=True)
    fills = [one for _, one in run.told if type(one) is Filled]
    assert len(found.fills.why) == len(fills)
    for sentence, one in zip(found.fills.why, fills, strict=True):
        assert sentence.startswith(f"{one.rule.name}: ")
        assert f"print {one.print}:" in sentence or f"bar {one.print} " in sentence
    refused = [row for row, code in enumerate(found.orders.reject_code) if code]
    assert refused
    assert all(found.orders.reject_text[row].endswith(".") for row in refused)
    assert not any(text for row, text in enumerate(found.orders.reject_text) if row not in refused)
    assert len({found.orders.reject_text[row] for row in refused}) > 1
