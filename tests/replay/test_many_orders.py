"""Many random orders through the whole engine, over seeded and real tapes, checked from the Record and the tape alone.

Some 10,000 orders by default; `GNOMON_ORDERS=1000000` is the long run.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.exchange.test_million_orders import request
from tests.replay.record_check import RecordCheck, Rows
from tests.replay.scene import RICH, SPREAD_OUT, ground, plan, rough_prints, seeded_prints

from gnomon.exchange.order import Request
from gnomon.exchange.outcome import Accepted, Outcome, Quoted
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import WHOLE, FeeAsset, Fees, Fills, Latency, Leg, Resting, Rules, Taker
from gnomon.exchange.search import first_crossing
from gnomon.replay.bodies import Wake
from gnomon.replay.header import RecordType
from gnomon.replay.record import Kept, Record, Recorded
from gnomon.replay.run import RunPlan, Stage, wake_streams
from gnomon.sources.files.read import read
from gnomon.sources.instruments import shipped_instruments

ORDERS = int(os.environ.get("GNOMON_ORDERS", "10000"))
IS_LONG = ORDERS >= 100_000
A_RUN = 5_000
AT_ONCE = 3
REAL = {
    "SPY": ("data/lean_spy_ticks/spy_20131007_trade.zip", 0),
    "BTCUSDT spot": ("data/hftbacktest_feeds/spot_btcusdt_20240809.gz", 1_280_000_000),
    "BTCUSDT futures": ("data/hftbacktest_feeds/usdm_btcusdt_20240808.gz", 1_280_000_000),
}


class Flood:
    """Sits where the desk sits, and asks for something at every wake: whatever its dice say, good or bad."""

    def __init__(self, luck: Random, count: int, instruments: int) -> None:
        self.now_ns = 0
        self.outbox: list[Request] = []
        self.alarms: list[tuple[int, str]] = []
        self.is_deciding = False
        self.sent = 0
        self._luck, self._count, self._instruments = luck, count, instruments
        self._last = [0] * instruments
        self._made = 0

    def woken(self, _desk: Any, trade: Any) -> None:
        number = trade.listing.number
        self._last[number] = trade.price_ticks
        for _ in range(AT_ONCE):
            if self.sent < self._count:
                self.outbox.append(request(self._luck, number, trade.price_ticks, self._made))
                self.sent += 1

    def hear(self, _due_ns: int, outcomes: Sequence[Outcome]) -> None:
        for one in outcomes:
            if isinstance(one, Accepted):
                self._made = max(self._made, one.number)
            elif isinstance(one, Quoted):
                self._made = max(self._made, one.bid, one.ask)

    def alarm(self, _name: str) -> None:
        raise AssertionError("nobody set one")

    def close_decision(self) -> None:
        self.is_deciding = False


def rules_of(luck: Random) -> Rules:
    fills = Fills(
        resting=luck.choice(list(Resting)),
        ahead=luck.choice([0, -1, 25]),
        share=luck.choice([1_000_000, 300_000, WHOLE]),
        taker=luck.choice([Taker.AUTO, Taker.AUTO, Taker.REST]),
        spread_ticks=luck.choice([0, 1, 4]),
        level_lots=luck.choice([-1, 3, 20]),
        slippage_ticks=luck.choice([0, 1]),
    )
    fees = Fees(
        luck.choice([0, 10_000, -5_000]), luck.choice([0, 75_000]), luck.choice([FeeAsset.RECEIVED, FeeAsset.QUOTE])
    )
    drawn = Leg(table=SPREAD_OUT)
    entry = luck.choice([Leg(), Leg(1_000_000), drawn])
    latency = Latency(Leg(luck.choice([0, 500_000])), entry, luck.choice([Leg(), drawn]))
    return Rules(
        fills, fees, latency, luck.choice([RICH, RICH, {name: amount / 10_000 for name, amount in RICH.items()}])
    )


def flooded(tapes: Sequence[Prints], seed: int, count: int) -> tuple[RecordCheck, int]:
    """One run of so many requests over the tapes, with who may check its Record."""
    luck = Random(seed)
    how: RunPlan = plan(ground(*tapes), rules_of(luck), seed)
    rows = sum(len(tape) for tape in tapes)
    every = max(1, rows * AT_ONCE // count)
    kept, flood = Kept(), Flood(luck, count, len(tapes))
    stage = Stage.set(how, kept, "full", keeps=False)
    stage.attach(Wake(0, every, 0, (), ()))
    engine = stage.engine(wake_streams(how, every, flood.woken, False, None), flood, first_crossing)
    stage.run(engine, lambda: (engine.start(), engine.run())[0], lambda: None)
    record = Record(kept)
    assert record.check().ok
    return RecordCheck(record, {n: Rows.of(tape) for n, tape in enumerate(tapes)}, how.rules.fills.share), flood.sent


def _flood(tapes_of: Callable[[int], Sequence[Prints]], orders: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    seed = 0
    while counts["sent"] < orders:
        check, sent = flooded(tapes_of(seed), seed, min(A_RUN, orders))
        counts += check.run()
        counts["sent"] += sent
        seed += 1
    return counts


def _is_busy(counts: Counter[str], orders: int) -> None:
    """It was no empty exercise. The figures are shown with `-s`."""
    sys.stdout.write(f"{dict(sorted(counts.items()))}\n")
    assert counts["sent"] >= orders
    assert counts["fill"] > orders // 8
    assert counts["reject"] > orders // 20
    assert counts["trigger"] > orders // 200


@pytest.mark.slow
def test_a_flood_over_seeded_tapes_creates_nothing_and_gets_nothing_better_than_the_tape() -> None:
    def tapes(seed: int) -> Sequence[Prints]:
        if seed % 3 == 2:
            return [_part(seeded_prints(200_000), seed)]
        return [rough_prints(2 * seed + number, 4_000) for number in range(1 + seed % 2)]

    _is_busy(_flood(tapes, ORDERS // 2), ORDERS // 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(REAL) if IS_LONG else ["SPY", "BTCUSDT spot"])
def test_a_flood_over_real_prints_creates_nothing_and_gets_nothing_better_than_the_tape(
    name: str, shared: Path
) -> None:
    whole = _real(shared, *REAL[name])
    _is_busy(_flood(lambda seed: [_part(whole, seed)], ORDERS // 6), ORDERS // 6)


@cache
def _real(shared: Path, file: str, shift_ns: int) -> Prints:
    imported = read(
        shared / file, instruments=shipped_instruments(), **({"clock_shift_ns": shift_ns} if shift_ns else {})
    )
    trades: Any = next(one for one in imported.series if one.key[1] == "trades")
    return Prints(trades.time_ns, trades.price, trades.size, trades.side)


def _part(whole: Prints, seed: int, rows: int = 10_000) -> Prints:
    """Some consecutive rows of it."""
    start = Random(seed).randrange(max(1, len(whole) - rows))
    return Prints(*(getattr(whole, name)[start : start + rows] for name in ("time_ns", "price", "lots", "side")))


# --- the checker itself -----------------------------------------------------------------------------------------------


@dataclass
class Bent:
    """A record that says something else than what was written."""

    real: Recorded
    body: Any
    t: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def bend(kind: RecordType, number: int, **changes: Any) -> Callable[[Recorded, int], Any]:
    """Change fields of the n-th record of a kind: by adding to them, or to what a function makes of them."""

    def change(one: Recorded, seen: int) -> Any:
        if one.type is not kind or seen != number:
            return one
        later, body = changes.get("t", 0), one.body
        values = {
            name: by(getattr(body, name)) if callable(by) else getattr(body, name) + by
            for name, by in changes.items()
            if name != "t"
        }
        return Bent(one, replace(body, **values), one.t + later)  # type: ignore[type-var]  # every body is a dataclass

    return change


def _one_more(entries: Any) -> Any:
    return (replace(entries[0], amount=entries[0].amount + 1), *entries[1:])


def _both_ways(entries: Any) -> Any:
    """Still in balance, but one unit more changes hands."""
    first, second, *rest = entries
    return replace(first, amount=first.amount - 1), replace(second, amount=second.amount + 1), *rest


def _further(spans: Any) -> Any:
    return (replace(spans[0], upto=spans[0].upto + 400),)


BENDS = {
    "a fill at a better price": bend(RecordType.FILL, 9, price=-1),
    "a fill at a worse price": bend(RecordType.FILL, 9, price=1),
    "a lot more": bend(RecordType.FILL, 9, lots=1),
    "another print": bend(RecordType.FILL, 9, print=1),
    "a unit less of fee": bend(RecordType.FILL, 9, fee=-1),
    "a unit more set free": bend(RecordType.FILL, 9, released=1),
    "an order that arrived later": bend(RecordType.FILL, 9, arrived=1),
    "a unit out of nothing": bend(RecordType.POSTING, 9, entries=_one_more),
    "a unit too many on both sides": bend(RecordType.POSTING, 9, entries=_both_ways),
    "an opening of a unit more": bend(RecordType.POSTING, 0, entries=_both_ways),
    "a lock of a unit more": bend(RecordType.ACCEPT, 9, lock=1),
    "an order's lock that keeps a unit": bend(RecordType.ORDER, 9, released=-1),
    "an order that says it has executed more": bend(RecordType.ORDER, 9, executed=1),
    "a trigger at another print": bend(RecordType.TRIGGER, 2, position=1),
    "a request that arrives when it is decided": bend(RecordType.REQUEST, 9, arrival=lambda _: 0),
    "a closing balance of a unit more": bend(RecordType.END, 0, balances=_one_more),
    "prints told before they were": bend(RecordType.DELIVER, 9, spans=_further),
    "a record before the one before it": bend(RecordType.FILL, 9, t=-(10**15)),
    "a refusal without a reason": bend(RecordType.REJECT, 3, code=lambda _: 0),
    "a quote that locks a unit more": bend(RecordType.QUOTED, 3, bid_lock=1),
}


@pytest.fixture(scope="module")
def sound() -> RecordCheck:
    return flooded([rough_prints(5, 1_500)], 4, 600)[0]


def test_a_sound_record_passes(sound: RecordCheck) -> None:
    counts = RecordCheck(sound.record, sound.tapes, sound.share).run()
    assert min(counts[name] for name in ("fill", "posting", "accept", "order", "request", "deliver")) > 10
    assert min(counts["trigger"], counts["reject"], counts["quoted"]) > 3


@pytest.mark.parametrize("name", BENDS)
def test_a_bent_record_is_noticed(name: str, sound: RecordCheck) -> None:
    class Doctored(Record):
        def entries(self, first: int = 1, last: int | None = None) -> Iterator[Any]:
            seen: Counter[RecordType] = Counter()
            for one in super().entries(first, last):
                yield BENDS[name](one, seen[one.type])
                seen[one.type] += 1

    with pytest.raises(AssertionError):
        RecordCheck(Doctored(sound.record._blocks), sound.tapes, sound.share).run()
