"""Spans: sums of any stretch, beside sums of all its rows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.serve.venue.market_scene import rough_bars, rough_prints, scene

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.serve.venue.spans import EMPTY, BarSpans, CandlesThenPrints, PrintSpans, Totals, added
from gnomon.units import DAY_NS, HOUR_NS, INT64_MAX, MINUTE_NS


def by_loop(prints: Prints, from_ns: int, now_ns: int) -> Totals:
    columns = (prints.time_ns, prints.price, prints.lots, prints.side)
    rows = list(enumerate(zip(*(one.tolist() for one in columns), strict=True)))
    inside = [(number, row) for number, row in rows if from_ns <= row[0] <= now_ns]
    if not inside:
        return EMPTY
    prices, bought = [row[1] for _, row in inside], [row for _, row in inside if row[3] >= 0]
    return Totals(
        inside[0][0], inside[-1][0] + 1, prices[0], max(prices), min(prices), prices[-1],
        sum(row[2] for _, row in inside), sum(row[1] * row[2] for _, row in inside),
        sum(row[2] for row in bought), sum(row[1] * row[2] for row in bought),
    )  # fmt: skip


@pytest.mark.parametrize("few", [2, 60, 10_000])
@pytest.mark.parametrize("gap_ns", [90 * 10**9, 2 * HOUR_NS])
def test_totals_are_those_of_all_rows(few: int, gap_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.serve.venue.spans.FEW", few)
    monkeypatch.setattr("gnomon.serve.venue.spans.MOST_KEPT", 5)
    prints, chance = rough_prints(12, 800, gap_ns), random.Random(few)
    spans = PrintSpans(prints)
    first, last = prints.time_ns.item(0), prints.time_ns.item(-1)
    edges = [first - DAY_NS, first, last, last + DAY_NS, first // MINUTE_NS * MINUTE_NS, *prints.time_ns.tolist()[::90]]
    for _ in range(150):
        from_ns, now_ns = sorted(chance.choice([*edges, chance.randint(first, last)]) for _ in range(2))
        assert spans.totals(from_ns, now_ns) == by_loop(prints, from_ns, now_ns)
        now_ns -= now_ns % MINUTE_NS + chance.choice([0, 1])
        assert spans.totals(from_ns, now_ns) == by_loop(prints, from_ns, now_ns)


def test_rows_of_a_stretch_are_its_minutes_or_its_prints() -> None:
    prints = rough_prints(13, 700, 40 * MINUTE_NS)
    spans = PrintSpans(prints)
    first = prints.time_ns.item(0) // DAY_NS * DAY_NS
    rows = spans.rows(first, first + DAY_NS, MINUTE_NS)
    for row in range(len(rows)):
        at_ns = rows.at_ns.item(row)
        total = by_loop(prints, at_ns, at_ns + MINUTE_NS - 1)
        assert (rows.first[row], rows.stop[row], rows.high[row], rows.lots[row]) == (
            total.first, total.stop, total.high, total.lots,
        )  # fmt: skip
        assert (rows.worth_high.item(row) << 20) + rows.worth_low.item(row) == total.worth
    assert spans.rows(first, first + DAY_NS, 1).at_ns.tolist() == [
        one for one in prints.time_ns.tolist() if one < first + DAY_NS
    ]
    assert len(spans.rows(first - 9 * DAY_NS, first - 8 * DAY_NS, MINUTE_NS)) == 0


def test_a_candle_counts_once_it_is_closed() -> None:
    bars = rough_bars(14, 90)
    spans = BarSpans(bars)
    for row in (3, 50):
        close_ns, from_ns = bars.close_ns.item(row), bars.open_ns.item(2)
        before, after = spans.totals(from_ns, close_ns - 1), spans.totals(from_ns, close_ns)
        assert before.lots == int(bars.volume[2:row].sum())
        assert after.lots == int(bars.volume[2 : row + 1].sum())
        assert after.close == spans.last(close_ns) == spans.close_before(close_ns) == bars.close[row]
        assert spans.last(close_ns - 1) == bars.close[row - 1]
        assert (spans.changes_after(close_ns - 1), spans.last_ns(close_ns)) == (close_ns, close_ns)
        assert spans.traded_from(close_ns - 1) == close_ns - 1
    assert spans.totals(0, bars.open_ns.item(0)) == EMPTY
    assert spans.changes_after(bars.close_ns.item(-1)) == spans.traded_from(bars.close_ns.item(-1)) == INT64_MAX


def test_candles_count_until_the_first_print() -> None:
    one = scene("early").tapes[0]
    assert isinstance(one.tape, Prints)
    bars, prints = BarSpans(one.bars), PrintSpans(one.tape)
    spans = CandlesThenPrints(bars, prints)
    edge_ns = prints.begins_ns
    early_ns = one.bars.close_ns[one.bars.close_ns <= edge_ns].item(-1)
    far_ns = edge_ns + HOUR_NS // 2
    assert spans.begins_ns == bars.begins_ns
    assert spans.totals(0, early_ns) == bars.totals(0, early_ns)
    assert spans.totals(0, far_ns) == added([bars.totals(0, early_ns), prints.totals(0, far_ns)])
    assert (spans.last(edge_ns - 1), spans.last(far_ns)) == (bars.last(early_ns), prints.last(far_ns))
    assert (spans.changes_after(early_ns - 1), spans.changes_after(early_ns)) == (early_ns, edge_ns)
    assert (spans.traded_from(0), spans.traded_from(early_ns)) == (bars.begins_ns, edge_ns)


@pytest.mark.parametrize("spans", [PrintSpans(Prints.empty()), BarSpans(Bars.empty())])
def test_nothing_at_all_is_empty(spans: Any) -> None:
    assert spans.begins_ns == spans.changes_after(0) == INT64_MAX
    assert spans.totals(0, DAY_NS) == EMPTY
    assert EMPTY.is_empty
    assert (spans.last(DAY_NS), spans.last_ns(DAY_NS), spans.close_before(DAY_NS)) == (0, 0, 0)
    assert len(spans.rows(0, DAY_NS, MINUTE_NS)) == 0
