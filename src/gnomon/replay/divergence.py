"""Where two runs part, and whose doing it is.

The first differing record in the combined order gives the verdict, because after it each side infects the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest
from typing import cast

from gnomon.replay.bodies import Deliver, EndReason
from gnomon.replay.digests import Prefix, differences
from gnomon.replay.header import Header, RecordType
from gnomon.replay.record import Record, Recorded


class Verdict(StrEnum):
    """Whose doing the first difference is."""

    SAME = "same"
    DATASET = "dataset"
    CONFIG = "config"
    ENGINE = "engine"
    BRANCH = "branch"
    INPUT = "input"
    OUTPUT = "output"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Side:
    """What one run has at the divergence."""

    record: Recorded | None
    causes: tuple[Recorded, ...] = ()
    around: tuple[Recorded, ...] = ()


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first difference of two runs; `seq` is 0 where they differ before their first record or not at all."""

    verdict: Verdict
    sentence: str
    seq: int = 0
    a: Side = field(default_factory=lambda: Side(None))
    b: Side = field(default_factory=lambda: Side(None))
    keys: tuple[tuple[str, str, str], ...] = ()
    """Differing keys of the config: (path, of a, of b)."""
    delivery: Recorded | None = None
    """The last delivery that both saw."""


def first_divergence(a: Record, b: Record) -> Divergence:
    """Compare two records; `Invalid` where one is damaged."""
    return _of_genesis(a, b) or _of_records(a, b, _last_common(a.prefixes, b.prefixes))


def _of_genesis(a: Record, b: Record) -> Divergence | None:
    mine, other = a.genesis, b.genesis
    if mine.dataset != other.dataset:
        return Divergence(Verdict.DATASET, f"other data: {mine.dataset.hex()[:12]} and {other.dataset.hex()[:12]}")
    if mine.config_digest != other.config_digest:
        keys = differences(mine.config, other.config)
        named = ", ".join(f"{path} ({of_a or 'absent'}, {of_b or 'absent'})" for path, of_a, of_b in keys[:5])
        return Divergence(Verdict.CONFIG, f"other rules: {named}", keys=keys)
    if (mine.engine, mine.schema) != (other.engine, other.schema):
        return Divergence(
            Verdict.ENGINE,
            f"other engine: version {mine.engine} (schema {mine.schema}) and {other.engine} (schema {other.schema}); "
            "replay one side's inputs on the other's version, then compare",
        )
    return None


def _last_common(a: tuple[Prefix, ...], b: tuple[Prefix, ...]) -> int:
    """The seq of the last prefix at which both chains are equal, by bisection; 0 where there is none."""
    chains = {one.seq: one.chain for one in b}
    both = [(one.seq, one.chain == chains[one.seq]) for one in a if one.seq in chains]
    low, high = 0, len(both)
    while low < high:
        middle = (low + high) // 2
        if both[middle][1]:
            low = middle + 1
        else:
            high = middle
    return both[low - 1][0] if low else 0


def _of_records(a: Record, b: Record, common: int) -> Divergence:
    for mine, other in zip_longest(a.entries(common + 1), b.entries(common + 1)):
        if mine is None or other is None or mine.raw != other.raw:
            return _at(a, b, mine, other)
    if a.end is None:
        return Divergence(Verdict.SAME, "equal as far as they go; neither has ended")
    return Divergence(Verdict.SAME, "the same run")


def _at(a: Record, b: Record, mine: Recorded | None, other: Recorded | None) -> Divergence:
    first, mine, other = _earlier(a, b, mine, other)
    verdict, sentence = _judge(first, mine, other)
    seq = min(one.seq for one in (mine, other) if one is not None)
    return Divergence(
        verdict, sentence, seq, _side(a, mine), _side(b, other), delivery=_last_delivery(a, min(seq, first.seq))
    )


def _earlier(
    a: Record, b: Record, mine: Recorded | None, other: Recorded | None
) -> tuple[Recorded, Recorded | None, Recorded | None]:
    """The first differing record of the two sides, then what each has there.

    A delivery that goes on longer on one side is equal up to the end of the shorter one: there the next record counts.
    """
    if mine is None or other is None:
        there = mine or other
        assert there is not None
        return there, mine, other
    if (shorter := _shorter(mine, other)) is not None:
        record, side = (a, mine) if shorter is mine else (b, other)
        following = next(record.entries(side.seq + 1, side.seq + 1), None)
        pair = (following, other) if shorter is mine else (mine, following)
        return following or (other if shorter is mine else mine), *pair
    return min((mine, other), key=_order), mine, other


def _order(one: Recorded) -> tuple[int, int, int, bool]:
    """The total order; at one place of it what the venue still says comes before what is asked next."""
    return one.t, one.header.lane, one.header.source, one.type.is_input


def _shorter(mine: Recorded, other: Recorded) -> Recorded | None:
    """Of two deliveries that begin alike, the one that ends earlier."""
    if mine.type is not RecordType.DELIVER or _apart_from_its_last(mine) != _apart_from_its_last(other):
        return None
    one, two = cast(Deliver, mine.body), cast(Deliver, other.body)
    if _begins(one) != _begins(two):
        return None
    if mine.t == other.t or (mine.t < other.t) != (one.wakes < two.wakes):
        return None
    return mine if mine.t < other.t else other


def _begins(one: Deliver) -> tuple[object, ...]:
    return one.first, one.own_after, one.own_upto, [(span.layer, span.after) for span in one.spans]


def _apart_from_its_last(one: Recorded) -> Header:
    return one.header._replace(t=0, cause=0)


def _judge(first: Recorded, mine: Recorded | None, other: Recorded | None) -> tuple[Verdict, str]:
    ends = [one is None or one.type is RecordType.END for one in (mine, other)]
    if all(ends) and mine is not None and other is not None and mine.raw[40:41] == other.raw[40:41]:
        return Verdict.OUTPUT, "both end here, with other counts, draws or balances: an engine fault"
    if any(ends):
        side, there = ("a", mine) if ends[0] else ("b", other)
        why = "it was cut off" if there is None else EndReason(there.raw[40]).name.lower()
        return Verdict.ENDED, f"side {side} ends earlier: {why}"
    if first.type.is_input:
        return Verdict.INPUT, f"record {first.seq:,}, {first.type.name}: the trader decided or sent otherwise"
    if first.type.is_output:
        return Verdict.OUTPUT, f"record {first.seq:,}, {first.type.name}: an engine fault, or a change not declared"
    return Verdict.BRANCH, f"record {first.seq:,}, {first.type.name}: they begin elsewhere"


def _side(record: Record, one: Recorded | None) -> Side:
    if one is None:
        last = record.last()
        return Side(None, (), record.around(last.seq) if last else ())
    return Side(one, record.causes(one.seq), record.around(one.seq))


def _last_delivery(record: Record, seq: int) -> Recorded | None:
    """The newest delivery up to `seq`, found by looking back block by block."""
    width = 64
    while True:
        first = max(1, seq - width)
        for one in reversed(tuple(record.entries(first, seq))):
            if one.type is RecordType.DELIVER:
                return one
        if first == 1:
            return None
        width *= 4
