"""The state at a past instant: what a run that ended there has, order by order and unit by unit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.replay.scene import random_session, recorded

from gnomon.replay import run as runs
from gnomon.replay.state import state_at


@pytest.mark.parametrize("seed", range(600, 616))
def test_the_state_is_that_of_a_venue_which_stopped_there(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle is the exchange itself: the same run over a window that ends at the instant."""
    how, trader = random_session(seed)
    _, record = recorded(how, trader())
    ends: list[Any] = []
    end = runs._end

    def watched(journal: Any, exchange: Any, *rest: Any) -> Any:
        ends.append(exchange)
        return end(journal, exchange, *rest)

    monkeypatch.setattr(runs, "_end", watched)
    times = sorted({one.t for one in record.entries()})
    seen = 0
    for at_ns in times[2 :: max(1, len(times) // 6)]:
        if not how.start_ns < at_ns + 1 < how.end_ns:
            continue
        recorded(replace(how, end_ns=at_ns + 1), trader())
        exchange, found = ends[-1], state_at(record, at_ns)
        working = exchange.working.orders
        assert sorted(found.orders) == sorted(working)
        seen += len(working)
        for number, one in found.orders.items():
            order = working[number]
            assert (one.instrument, one.side, one.type, one.price, one.status, one.executed) == (
                order.instrument, order.side, order.type, order.price, order.status, order.executed,
            )  # fmt: skip
            assert one.remaining in (order.remaining, 0), "of a market order by amount nobody asked for lots"
        ledger = exchange.ledger
        for asset, (free, locked) in found.balances.items():
            assert (free, locked) == (ledger.free[asset], ledger.locked[asset])
        assert found.fills == exchange.working.fills_made
    assert seen > 0


def test_at_the_end_it_is_what_the_record_closes_with() -> None:
    how, trader = random_session(3)
    run, record = recorded(how, trader())
    state = state_at(record, how.end_ns)
    assert record.end is not None
    closing = {(one.account, one.asset): one.amount for one in record.end.balances}
    for asset, (free, locked) in state.balances.items():
        assert (free, locked) == (closing.get((0, asset), 0), closing.get((1, asset), 0))
    assert (state.fills, state.rejects, state.seq) == (run.fills, run.rejects, record.last().seq - 1)  # type: ignore[union-attr]  # it has one
    assert state_at(record, how.start_ns - 1).seq == 0
