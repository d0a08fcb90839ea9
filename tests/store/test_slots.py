"""Slots: declared once, settled once, counted."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from gnomon.store.slots import Slot, SlotStore, Verdict


def slot(instrument: str = "a", forecaster: str = "ewma", cutoff_ns: int = 100, due_ns: int = 110) -> Slot:
    return Slot(instrument, "1h", forecaster, cutoff_ns, due_ns)


def test_a_slot_is_settled_once_and_never_changes_again(engine: Engine) -> None:
    slots = SlotStore(engine)
    slots.declare([slot("a"), slot("b")])
    slots.declare([slot("a", due_ns=999)])  # the tick after it: the cutoff has not moved
    assert [one.instrument for one in slots.open(timeframe="1h", forecaster="ewma", due_ns=110)] == ["a", "b"]
    slots.settle([Verdict(slot("a"), "missed", "no bar")])
    slots.settle([Verdict(slot("a"), "issued", "", None)])
    (row,) = slots.read(instrument="a")
    assert (row.status, row.why, row.forecast_id, row.slot.due_ns) == ("missed", "no bar", None, 110)
    assert [one.instrument for one in slots.open(timeframe="1h", forecaster="ewma", due_ns=110)] == ["b"]
    slots.settle([])


def test_coverage_counts_what_came_of_the_slots_of_a_window(engine: Engine) -> None:
    slots = SlotStore(engine)
    rows = [slot(f"i{n}", who, 100 * n, 100 * n + 10) for n in range(1, 5) for who in ("ewma", "fhs")]
    slots.declare(rows)
    slots.settle([Verdict(rows[0], "issued"), Verdict(rows[2], "late", "slow"), Verdict(rows[1], "missed", "gone")])
    found = {one.forecaster: one for one in slots.coverage("1h")}
    assert (found["ewma"].issued, found["ewma"].late, found["ewma"].missed, found["ewma"].due) == (1, 1, 0, 2)
    assert (found["fhs"].missed, found["fhs"].due, found["fhs"].all) == (1, 3, 4)
    early = slots.coverage("1h", first_due_ns=0, last_due_ns=200)
    assert [one.all for one in early] == [1, 1]
    assert slots.coverage("1d") == []


@pytest.mark.slow
def test_a_day_of_a_thousand_instruments_is_declared_and_settled(engine: Engine) -> None:
    slots = SlotStore(engine)
    rows = [slot(f"i{n}", cutoff_ns=hour * 100, due_ns=hour * 100 + 10) for n in range(1_000) for hour in range(24)]
    slots.declare(rows)
    slots.settle([Verdict(one, "issued") for one in rows])
    assert slots.coverage("1h")[0].issued == 24_000
