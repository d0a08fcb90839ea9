"""The loops that bound what an engine can do do the same work as the engine."""

from __future__ import annotations

from bench.workload.limits import call_per_bar, call_per_print, jump, read_seconds
from bench.workload.seeded import bars, prints
from tests.replay.oracle_w1 import crossing
from tests.replay.oracle_w2 import Print, Rules, quoting


def test_jumps_find_the_fills_of_the_plain_loop() -> None:
    market = prints(30_000)
    columns = (column.tolist() for column in (market.ts, market.price, market.lots, market.side))
    rows = [Print(*row) for row in zip(*columns, strict=True)]
    for every in (7, 100, 1_000):
        plain = [(fill.k, fill.side, fill.price) for fill in quoting(rows, Rules(every=every)).fills]
        assert jump(market, every) == plain
        assert plain


def test_a_call_per_print_wakes_at_every_so_many() -> None:
    assert call_per_print(prints(10_001), 100) == 100


def test_a_call_per_bar_decides_as_often_as_the_plain_loop() -> None:
    market = bars(5_000)
    fills = crossing(market.open.tolist(), market.close.tolist()).fills
    # the last decision of all may come at the last bar, where nothing fills it any more
    assert call_per_bar(market) - len(fills) in (0, 1)
    assert len(fills) > 100


def test_reading_takes_bytes_over_bandwidth() -> None:
    assert read_seconds(1_000_000, 9, 18.0) == 0.0005
