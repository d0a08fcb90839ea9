"""Verifying a run: is its Record whole, is its ground there, does the engine give the same again without a trader?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, cast

from gnomon.replay.bodies import Accept, Fill, Genesis, OrderChange, PostingGroup, Quoted
from gnomon.replay.digests import config_digest
from gnomon.replay.divergence import Divergence, Verdict, first_divergence
from gnomon.replay.header import RecordType
from gnomon.replay.record import Kept, Record, Recorded

FREE, LOCKED = 0, 1
BORROWED = 5


class Rebuild(Protocol):
    """What can run the engine again."""

    def dataset_digest(self, genesis: Genesis) -> bytes | None:
        """Of the dataset at hand that the run names; None where there is none."""
        ...

    def replay(self, record: Record, into: Kept) -> None:
        """Feed the stored inputs to the engine, without any trader, and journal what comes of it until END."""
        ...


class Outcome(IntEnum):
    """Exit codes of `gnomon verify`."""

    VERIFIED = 0
    DIFFERS = 1
    UNCHECKED = 2


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found, step by step, and the first divergence where the replay differs."""

    outcome: Outcome
    steps: tuple[str, ...]
    divergence: Divergence | None = None


def verify(record: Record, rebuild: Rebuild, fingerprint: str = "") -> Verification:
    """Record intact, dataset at hand, config digest, replay from inputs, ledger: stops at the first that fails.

    `fingerprint`, in hex, is that of the run whose Record it is said to be; empty where nobody says."""
    steps: list[str] = []
    checked = record.check()
    if checked.faults:
        return Verification(Outcome.DIFFERS, (f"the record is damaged: {checked.faults[0]}",))
    if checked.ending:
        return Verification(Outcome.UNCHECKED, (f"the record is not whole: {checked.ending}",))
    found = checked.digests.fingerprint.hex()
    if fingerprint and found != fingerprint:
        return Verification(Outcome.DIFFERS, (f"the record is of another run: its fingerprint is {found[:12]}",))
    steps.append(f"record: {checked.records:,} records, chain and index intact")
    genesis = record.genesis
    dataset = rebuild.dataset_digest(genesis)
    if dataset is None:
        return Verification(Outcome.UNCHECKED, (*steps, f"dataset {genesis.dataset.hex()[:12]} is not at hand"))
    if dataset != genesis.dataset:
        return Verification(Outcome.DIFFERS, (*steps, f"the dataset at hand is {dataset.hex()[:12]}"))
    steps.append(f"dataset: {dataset.hex()[:12]}")
    if config_digest(genesis.config) != genesis.config_digest:
        return Verification(Outcome.DIFFERS, (*steps, "the config is not the one whose digest GENESIS has"))
    steps.append(f"config: {genesis.config_digest.hex()[:12]}")
    again = Kept()
    rebuild.replay(record, again)
    divergence = first_divergence(record, Record(again))
    if divergence.verdict is not Verdict.SAME:
        return Verification(Outcome.DIFFERS, (*steps, f"replay: {divergence.sentence}"), divergence)
    steps.append("replay: the stored inputs give the stored outputs")
    if fault := ledger_fault(record):
        return Verification(Outcome.DIFFERS, (*steps, f"ledger: {fault}"))
    return Verification(Outcome.VERIFIED, (*steps, "ledger: nothing created or lost"))


def ledger_fault(record: Record) -> str:
    """The first fault of the money in a Record, in words; empty where there is none.

    Postings sum to zero for each asset, nothing free or locked is below zero when the trader is told or asks again, and
    the closing balances are what the movements add up to.
    """
    balances: dict[tuple[int, int], int] = {}
    for one in record.entries():
        if one.type in (RecordType.DELIVER, RecordType.REQUEST, RecordType.END):
            for (account, asset), units in balances.items():
                if units < 0 and account in (FREE, LOCKED):
                    name = "free" if account == FREE else "locked"
                    return f"before record {one.seq:,}, {name} of asset {asset} is {units}"
        if fault := moved(balances, one):
            return fault
    if record.end is not None:
        closing = {(one.account, one.asset): one.amount for one in record.end.balances if one.amount}
        summed = {key: units for key, units in balances.items() if units}
        if closing != summed:
            return "the closing balances are not what the movements add up to"
    return ""


def moved(balances: dict[tuple[int, int], int], one: Recorded) -> str:
    """Apply the movements of one record to balances by (account, asset); its fault in words, empty for none.

    Locks and releases stand in the records of orders, all else in postings.
    """
    match one.type:
        case RecordType.POSTING:
            sums: dict[int, int] = {}
            for entry in cast(PostingGroup, one.body).entries:
                sums[entry.asset] = sums.get(entry.asset, 0) + entry.amount
                key = entry.account, entry.asset
                balances[key] = balances.get(key, 0) + entry.amount
            if any(sums.values()):
                return f"record {one.seq:,}: postings that do not sum to zero"
        case RecordType.ACCEPT:
            accept = cast(Accept, one.body)
            _lock(balances, accept.asset, accept.lock)
        case RecordType.ORDER:
            change = cast(OrderChange, one.body)
            _lock(balances, change.asset, -change.released)
        case RecordType.FILL:
            fill = cast(Fill, one.body)
            _lock(balances, fill.asset, -fill.released)
        case RecordType.QUOTED:
            quoted = cast(Quoted, one.body)
            _lock(balances, quoted.quote_asset, quoted.bid_lock - quoted.bid_released)
            _lock(balances, quoted.base_asset, quoted.ask_lock - quoted.ask_released)
        case _:
            pass
    return ""


def _lock(balances: dict[tuple[int, int], int], asset: int, units: int) -> None:
    if units:
        balances[FREE, asset] = balances.get((FREE, asset), 0) - units
        balances[LOCKED, asset] = balances.get((LOCKED, asset), 0) + units
