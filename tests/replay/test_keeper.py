"""The keeper: outcomes as records with their causes, and money that adds up to what the account holds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.scene import random_session, recorded

from gnomon.exchange.order import Side
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome, Quoted, Rejected, Triggered
from gnomon.replay.header import RecordType
from gnomon.replay.record import Record, Recorded
from gnomon.replay.run import Played, RunPlan
from gnomon.replay.verification import ledger_fault

SEEDS = [400, 401, 402, 405]
TYPES = {
    Accepted: RecordType.ACCEPT,
    Rejected: RecordType.REJECT,
    Changed: RecordType.ORDER,
    Filled: RecordType.FILL,
    Quoted: RecordType.QUOTED,
    Triggered: RecordType.TRIGGER,
}


def run(seed: int) -> tuple[RunPlan, Played, Record, dict[int, Recorded]]:
    how, trader = random_session(seed)
    played, record = recorded(how, trader())
    return how, played, record, {one.seq: one for one in record.entries()}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_outcome_is_one_record_of_its_type_in_the_order_said(seed: int) -> None:
    _, played, _, by_seq = run(seed)
    found = [(one.t, one.type) for one in by_seq.values() if one.type in TYPES.values()]
    assert found == [(at_ns, TYPES[type(one)]) for at_ns, one in played.told]


FIELDS: dict[type, tuple[str, ...]] = {
    Accepted: ("request", "lock", "ahead", "list"),
    Changed: ("executed", "remaining", "released", "reason"),
    Filled: ("fill", "price", "lots", "print", "print_price", "print_lots", "fee", "ahead_before", "ahead_after"),
    Triggered: ("price",),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_record_holds_the_numbers_of_its_outcome(seed: int) -> None:
    _, played, _, by_seq = run(seed)
    records = [one for one in by_seq.values() if one.type in TYPES.values()]
    for record, (_, said) in zip(records, played.told, strict=True):
        body: Any = record.body
        for name in FIELDS.get(type(said), ()):
            assert getattr(body, name) == getattr(said, name), (record.seq, name)


@pytest.mark.parametrize("seed", SEEDS)
def test_causes_lead_from_a_posting_to_what_the_trader_was_told(seed: int) -> None:
    """Posting, fill, (trigger,) order, request, delivery or timer; and nothing is before what led to it."""
    _, _, _, by_seq = run(seed)
    allowed = {
        RecordType.POSTING: {RecordType.FILL},
        RecordType.FILL: {RecordType.ACCEPT, RecordType.QUOTED, RecordType.TRIGGER},
        RecordType.TRIGGER: {RecordType.ACCEPT},
        RecordType.ACCEPT: {RecordType.REQUEST},
        RecordType.QUOTED: {RecordType.REQUEST},
        RecordType.REJECT: {RecordType.REQUEST},
        RecordType.REQUEST: {RecordType.DELIVER, RecordType.TIMER},
        RecordType.DECISION: {RecordType.DELIVER, RecordType.TIMER},
    }
    checked = 0
    for one in by_seq.values():
        if one.type in allowed and one.cause:
            cause = by_seq[one.cause]
            assert cause.type in allowed[one.type], (one.seq, one.type, cause.type)
            assert cause.seq < one.seq
            assert cause.t <= one.t
            checked += 1
    assert checked > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_the_money_of_the_records_adds_up_to_the_balances(seed: int) -> None:
    _, played, record, _ = run(seed)
    assert ledger_fault(record) == ""
    end = record.end
    assert end is not None
    assets = list(played.balances)
    for number, name in enumerate(assets):
        units = sum(one.amount for one in end.balances if one.asset == number and one.account in (0, 1))
        assert played.balances[name].scaleb(8) == units


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lock_is_of_the_asset_that_its_side_gives(seed: int) -> None:
    how, played, record, _ = run(seed)
    names = record.genesis.assets
    told = iter([one for _, one in played.told if type(one) is Accepted])
    for one in record.entries():
        if one.type is RecordType.ACCEPT:
            said, body = next(told), one.body
            of = how.ground.listings[said.instrument]
            gives = of.quote.name if said.side is Side.BUY else of.base.name
            assert names[body.asset] == gives  # type: ignore[union-attr]  # ACCEPT


def test_every_kind_of_outcome_was_among_them() -> None:
    seen: set[type[Outcome]] = set()
    for seed in SEEDS:
        seen |= {type(one) for _, one in run(seed)[1].told}
    assert seen == {*TYPES}
