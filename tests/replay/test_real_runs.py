"""Runs of the real engine by a trader that tries everything: their Records, files, verification and divergence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from gnomon import chance
from gnomon.clock import Timeframe
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Fees, Rules
from gnomon.market.block_index import BlockIndex
from gnomon.replay.bodies import Genesis
from gnomon.replay.digests import dataset_digest
from gnomon.replay.divergence import Verdict, first_divergence
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.replay.header import RecordType
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import RunPlan, play, play_again
from gnomon.replay.verification import Outcome, ledger_fault, verify
from gnomon.store.journals import Journals
from gnomon.trader.trader import Strategy
from gnomon.units import SECOND_NS

START_NS = 1_700_000_000 * SECOND_NS
PRINTS = 4_000


@cache
def ground(seed: int = 1, *, changed: int = -1) -> Ground:
    """A random walk of one instrument; one print may be a tick higher."""
    luck = chance.generator(seed, "synth", "real runs")
    price = 60_000 + np.cumsum(luck.integers(-2, 3, PRINTS)).astype(np.int64)
    price[changed] += changed >= 0
    lots = luck.integers(1, 60, PRINTS).astype(np.int64)
    side = luck.choice(np.array([-1, 1], np.int8), PRINTS)
    time_ns = START_NS + np.cumsum(luck.integers(0, 2, PRINTS)) * 2 * SECOND_NS
    prints = Prints(time_ns.astype(np.int64), price, lots, side)
    listing = Listing(0, "V:XUSD", Asset("X"), Asset("USD"), Decimal("0.1"), Decimal("0.001"))
    index = BlockIndex.of_prints(price, lots, side)
    frame = Timeframe.parse("1m")
    data = dataset_digest([("x/trades", b"".join(one.tobytes() for one in (time_ns, price, lots, side)))])
    return Ground((Tape(listing, prints, index, bars_from_prints(prints, frame.nominal_ns)),), frame, data)


def plan(of: Ground, *, seed: int = 7, taker: int = 50_000) -> RunPlan:
    rules = Rules.parse({"balances": {"USD": "100000", "X": "5"}, "latency": {"entry": {"const_ms": 30}}})
    rules = replace(rules, fees=Fees(maker=10_000, taker=taker))
    return RunPlan(of, rules, START_NS, int(of.tapes[0].tape.time_ns[-1]) + 1, seed)


class Tries(Strategy):
    """Quotes, takes, stops, cancels and asks for what is refused, by the number of the print."""

    wake: ClassVar[Mapping[str, Any]] = {"every_nth_print": 7}

    def __init__(self, shift: int = -1) -> None:
        super().__init__()
        self._calls = 0
        self._shift = shift

    def on_trade(self, desk: Any, trade: Any) -> None:
        self._calls += 1
        call, price = self._calls, trade.price_ticks
        lots = 10 + (call == self._shift)
        if call % 3 == 0:
            desk.quote_ticks(price - 3, price + 3, lots)
        elif call % 11 == 0:
            desk.buy(lots=lots)
        elif call % 13 == 0:
            desk.sell(lots=lots, limit=Decimal(price) / 10 + 1)
        elif call % 17 == 0:
            desk.quote_ticks(price - 2, price + 2, 10**9)
        elif call % 19 == 0:
            desk.sell(lots=lots, stop=Decimal(price - 8) / 10)
            desk.note("a stop below")
        elif call % 5 == 0:
            desk.buy(lots=lots, stop=Decimal(price + 4) / 10)
        elif call % 23 == 0:
            desk.cancel_all()


def record_of(of: Ground, shift: int = -1, **rules: int) -> Kept:
    kept = Kept()
    play(plan(of, **rules), Tries(shift), sink=kept, mode="full")
    return kept


class Engine:
    """What `gnomon verify` gives to `verify`."""

    def dataset_digest(self, _: Genesis) -> bytes | None:
        return ground().digest

    def replay(self, record: Record, into: Kept) -> None:
        play_again(record, plan(ground()), into)


def test_a_real_run_is_verified_from_its_inputs_alone() -> None:
    record = Record(record_of(ground()))
    kinds = {one.type for one in record.entries()}
    told = {RecordType.QUOTED, RecordType.FILL, RecordType.REJECT, RecordType.TRIGGER, RecordType.ORDER}
    assert told <= kinds
    assert ledger_fault(record) == ""
    found = verify(record, Engine())
    assert found.outcome is Outcome.VERIFIED, found.steps


def test_every_fill_leads_back_to_what_the_trader_was_told() -> None:
    record = Record(record_of(ground()))
    fills = [one for one in record.entries() if one.type is RecordType.FILL]
    assert len(fills) > 20
    for fill in fills:
        up = [one.type for one in record.causes(fill.seq)]
        assert up[0] is RecordType.FILL
        assert up[-2:] == [RecordType.REQUEST, RecordType.DELIVER]


def test_a_file_and_a_digest_alone_have_the_same_fingerprint(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    with journals.create("r1") as sink:
        kept = play(plan(ground()), Tries(), sink=sink, mode="full").digests
    assert play(plan(ground()), Tries(), mode="digest").digests == kept
    assert journals.read("r1").check().ok
    assert verify(journals.read("r1"), Engine()).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("shift", [33, 330])
def test_a_trader_that_asks_otherwise_once_is_named(shift: int) -> None:
    found = first_divergence(Record(record_of(ground())), Record(record_of(ground(), shift)))
    assert found.verdict is Verdict.INPUT
    assert found.a.record is not None
    assert found.a.record.type is RecordType.REQUEST


def test_one_tick_one_unit_of_fee_and_one_seed_move_the_fingerprint() -> None:
    def fingerprint(kept: Kept) -> bytes:
        assert kept.digests is not None
        return kept.digests.fingerprint

    runs = {
        Verdict.SAME: record_of(ground()),
        Verdict.DATASET: record_of(ground(changed=900)),
        Verdict.CONFIG: record_of(ground(), taker=50_001),
        Verdict.OUTPUT: record_of(ground()),
    }
    base = Record(runs[Verdict.SAME])
    assert first_divergence(base, Record(runs[Verdict.OUTPUT])).verdict is Verdict.SAME
    assert first_divergence(base, Record(runs[Verdict.DATASET])).verdict is Verdict.DATASET
    found = first_divergence(base, Record(runs[Verdict.CONFIG]))
    assert (found.verdict, [path for path, *_ in found.keys]) == (Verdict.CONFIG, ["rules.fees.taker"])
    assert first_divergence(base, Record(record_of(ground(), seed=8))).keys == (("seed", "7", "8"),)
    prints = [fingerprint(kept) for kept in (*runs.values(), record_of(ground(), seed=8))]
    assert len({*prints}) == 4
