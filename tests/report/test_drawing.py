"""Charts: long curves keep their extremes, markup takes the colours of the page, ids never collide."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from tests.score.by_hand import START_NS, Trade, played

from gnomon.report.drawing import (
    NARROW_PX,
    WIDE_PX,
    Chart,
    equity_chart,
    price_chart,
    queue_chart,
    returns_chart,
    thinned,
)
from gnomon.score.runs import hold_equity
from gnomon.units import HOUR_NS, MINUTE_NS, SECOND_NS

PRICE = np.linspace(100.0, 120.0, 49)
TRADES = [
    Trade(2 * HOUR_NS, 10, 100.5),
    Trade(3 * HOUR_NS, 10, 101.0, maker=True, queued_ns=90 * SECOND_NS),
    Trade(9 * HOUR_NS, -20, 103.0, maker=True, queued_ns=5 * MINUTE_NS),
]


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=400), st.integers(1, 20))
def test_a_thinned_curve_keeps_the_extremes_of_every_column(values: list[int], columns: int) -> None:
    curve = np.array(values, float)
    at_ns = np.arange(len(curve)) * 1_000 + START_NS
    kept_ns, kept = thinned(at_ns, curve, columns)
    assert len(kept) <= 4 * columns or len(kept) == len(curve)
    assert (np.diff(kept_ns) > 0).all()
    assert (kept[0], kept[-1]) == (curve[0], curve[-1])
    assert set(zip(kept_ns.tolist(), kept.tolist(), strict=True)) <= set(zip(at_ns.tolist(), values, strict=True))
    span = at_ns[-1] - at_ns[0] + 1
    for column in range(columns):
        inside = [v for t, v in zip(at_ns, values, strict=True) if (t - START_NS) / span * columns // 1 == column]
        left = [v for t, v in zip(kept_ns, kept, strict=True) if (t - START_NS) / span * columns // 1 == column]
        assert (min(inside, default=0), max(inside, default=0)) == (min(left, default=0), max(left, default=0))


def test_markup_is_well_formed_and_takes_its_colours_from_the_page() -> None:
    record = played(PRICE, TRADES)
    charts = [
        equity_chart(record, hold_equity(record.marks)),
        price_chart(record, 0),
        queue_chart(record.fills.queued_ns[1:]),
        returns_chart([("a < b", record.marks.at_ns, record.marks.equity)]),
    ]
    ids: list[str] = []
    for chart in charts:
        made = chart.markup()
        ElementTree.fromstring(f'<div xmlns:xlink="http://www.w3.org/1999/xlink">{made}</div>')
        assert made.count("<svg") == 2
        assert f'aria-label="{chart.words}' in made
        assert not re.search(r"#0[0-9a-f]{5}\b", made), "a colour that the page does not know"
        assert "var(--grid)" in made
        assert "DejaVu" not in made
        ids += re.findall(r'\bid="([^"]+)"', made)
        for target in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', made):
            assert "".join(target) in ids
    assert len(ids) == len(set(ids))


def test_the_same_run_is_the_same_picture() -> None:
    record = played(PRICE, TRADES)
    assert price_chart(record, 0).markup() == price_chart(record, 0).markup()


def test_fills_are_marked_by_side_and_role() -> None:
    chart = price_chart(played(PRICE, TRADES), 0)
    assert [key.label for key in chart.keys] == ["price", "buy, taker", "buy, maker", "sell, maker"]
    top = chart.draw(WIDE_PX).axes[0]
    marks = [one for one in top.collections if isinstance(one, PathCollection)]
    assert [np.asarray(one.get_offsets())[:, 1].tolist() for one in marks] == [[100.5], [101.0], [103.0]]


def test_fills_that_would_cover_each_other_are_one_mark() -> None:
    crowd = [Trade(HOUR_NS + n, 1, 100.0 + n % 2 * 15) for n in range(1_000)]
    top = price_chart(played(PRICE, crowd), 0).draw(NARROW_PX).axes[0]
    drawn = sum(len(np.asarray(one.get_offsets())) for one in top.collections if isinstance(one, PathCollection))
    assert 2 <= drawn < 400


def test_inventory_is_what_was_held_after_each_fill() -> None:
    below = price_chart(played(PRICE, TRADES), 0).draw(WIDE_PX).axes[1]
    held = np.asarray(below.lines[-1].get_ydata(), float)
    np.testing.assert_allclose(held, [0, 0.01, 0.02, 0, 0])


def test_a_histogram_counts_every_maker_fill() -> None:
    def bars(chart: Chart) -> tuple[int, str]:
        axes = chart.draw(WIDE_PX).axes[0]
        return int(sum(one.get_height() for one in axes.patches)), axes.get_xlabel()  # type: ignore[attr-defined]  # patches of a histogram are bars

    assert bars(queue_chart(np.array([90, 300]) * SECOND_NS)) == (2, "time in queue, minutes")
    wide = np.array([0, 1, 5, 1_000, 50_000]) * 1_000_000
    assert bars(queue_chart(wide)) == (5, "time in queue, ms")
    assert bars(queue_chart(np.zeros(3, np.int64))) == (3, "time in queue, µs")
    assert bars(queue_chart(np.array([7]))) == (1, "time in queue, µs")


def test_equity_begins_at_the_opening_and_drawdowns_at_nothing() -> None:
    record = played(PRICE, TRADES)
    top, below = equity_chart(record, hold_equity(record.marks)).draw(WIDE_PX).axes
    run = np.asarray(top.lines[-1].get_ydata(), float)
    np.testing.assert_allclose(run, record.marks.equity)
    assert np.asarray(below.lines[-1].get_ydata(), float)[0] == 0
    assert (top.get_title(loc="left"), below.get_title(loc="left")) == ("Equity, USDT", "Drawdown, %")
