"""The ground: candles made of prints against a loop over them, and what a listing's tape is made of."""

from __future__ import annotations

import numpy as np
import pytest
from tests.replay.scene import MINUTE, ground, listing, rough_bars, rough_prints

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.replay.ground import bars_from_prints, bars_of, finest, recorded_of, tables, tape_of
from gnomon.units import MINUTE_NS, Grid

FIVE = Timeframe.parse("5m")


def rows_of(bars: Bars) -> list[tuple[int, ...]]:
    columns = (bars.open_ns, bars.close_ns, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def one_by_one(prints: Prints, length_ns: int) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    columns = (prints.time_ns.tolist(), prints.price.tolist(), prints.lots.tolist())
    for at_ns, price, lots in zip(*columns, strict=True):
        open_ns = at_ns - at_ns % length_ns
        if not found or found[-1][0] != open_ns:
            found.append((open_ns, open_ns + length_ns, price, price, price, price, 0))
        _, close_ns, first, high, low, _, volume = found[-1]
        found[-1] = open_ns, close_ns, first, max(high, price), min(low, price), price, volume + lots
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("length_ns", [1, 1_000_000_000, 7_000_000_000, MINUTE_NS, 3_600 * 10**9])
def test_candles_made_of_prints_are_those_of_a_loop(seed: int, length_ns: int) -> None:
    prints = rough_prints(seed, 700)
    assert rows_of(bars_from_prints(prints, length_ns)) == one_by_one(prints, length_ns)


def test_a_print_on_the_border_belongs_to_the_candle_that_it_opens() -> None:
    tape = Prints(np.array([59, 60, 119, 120]), np.array([1, 2, 3, 4]), np.ones(4, np.int64), np.ones(4, np.int8))
    assert [row[:4] for row in rows_of(bars_from_prints(tape, 60))] == [
        (0, 60, 1, 1),
        (60, 120, 2, 3),
        (120, 180, 4, 4),
    ]


def test_no_print_no_candle() -> None:
    assert len(bars_from_prints(Prints.empty(), MINUTE_NS)) == 0


def candles(timeframe: Timeframe, bars: Bars) -> Candles:
    n, grid = len(bars), Grid.of("0.1")
    return Candles(
        "t:A0", timeframe, "raw", grid, Grid.of("0.001"), Grid.of("0.00000001"), bars.open_ns, bars.close_ns,
        bars.close_ns, bars.open, bars.high, bars.low, bars.close, bars.volume,
        np.full(n, UNKNOWN_AMOUNT, np.int64), np.zeros(n, np.uint8),
    )  # fmt: skip


def trades(prints: Prints) -> Trades:
    n = len(prints)
    return Trades(
        "t:A0", Grid.of("0.1"), Grid.of("0.001"), prints.time_ns, prints.time_ns, np.arange(n), prints.price,
        prints.lots, prints.side, np.zeros(n, np.uint8),
    )  # fmt: skip


MINUTES = rough_bars(1, 40)


def test_candles_keep_their_columns() -> None:
    assert rows_of(bars_of(candles(MINUTE, MINUTES))) == rows_of(MINUTES)


def test_where_there_are_prints_orders_meet_prints() -> None:
    prints = rough_prints(1, 300)
    found = tape_of(listing(), trades(prints), [], MINUTE, None)
    assert not found.is_bar_modelled
    assert rows_of(found.bars) == rows_of(bars_from_prints(prints, MINUTE_NS))
    assert found.index.rows == len(found.tape) == 300


def test_candles_of_the_dataset_wake_where_it_has_them() -> None:
    found = tape_of(listing(), trades(rough_prints(1, 300)), [candles(MINUTE, MINUTES)], MINUTE, None)
    assert rows_of(found.bars) == rows_of(MINUTES)


def test_without_prints_orders_meet_the_finest_candles() -> None:
    coarse = rough_bars(2, 12)
    found = tape_of(listing(), None, [candles(FIVE, coarse), candles(MINUTE, MINUTES)], FIVE, None)
    assert found.is_bar_modelled
    assert isinstance(found.tape, Bars)
    assert rows_of(found.tape) == rows_of(MINUTES)
    assert rows_of(found.bars) == rows_of(coarse)
    assert found.index.rows == len(MINUTES)


def test_a_timeframe_that_the_dataset_has_not_is_refused_with_those_it_has() -> None:
    with pytest.raises(Invalid, match="no candles of 5m") as error:
        tape_of(listing(), None, [candles(MINUTE, MINUTES)], FIVE, None)
    assert "1m" in str(error.value.hint)


def test_a_listing_without_anything_is_refused() -> None:
    with pytest.raises(Invalid, match="no prints and no candles of t:A0"):
        tape_of(listing(), None, [], MINUTE, None)


def test_prints_quotes_and_depth_are_counted_on_the_finest_of_their_grids() -> None:
    one = trades(rough_prints(1, 20))
    at_ns, four = np.array([5]), np.array([40])
    fine = Quotes("t:A0", Grid.of("0.01"), Grid.of("0.01"), at_ns, at_ns, four, four, four, four)
    assert finest(one, [fine]) == (Grid.of("0.01"), Grid.of("0.001"))
    found = recorded_of([one, fine], *finest(one, [fine]))
    assert found is not None
    assert found.quotes is not None
    assert (found.quotes.bid.tolist(), found.quotes.bid_qty.tolist(), found.ladder) == ([40], [400], None)
    assert recorded_of([one], one.tick, one.lot) is None


def test_the_span_is_from_the_first_row_to_the_end_of_the_last() -> None:
    prints, bars = rough_prints(1, 50), rough_bars(1, 20)
    assert ground(prints).span() == (prints.time_ns[0], prints.time_ns[-1] + 1)
    assert ground(bars).span() == (bars.open_ns[0], bars.close_ns[-1])
    both = ground(prints, bars).span()
    assert both == (min(prints.time_ns[0], bars.open_ns[0]), max(prints.time_ns[-1] + 1, bars.close_ns[-1]))


def test_a_ground_without_rows_has_no_span() -> None:
    with pytest.raises(Invalid, match="no row of these instruments"):
        ground(Prints.empty()).span()


def test_the_tables_of_a_config_name_every_scale() -> None:
    table = tables(ground(rough_prints(1, 5), rough_prints(2, 5)))
    assert table["timeframe"] == "1m"
    assert [one["id"] for one in table["listings"]] == ["t:A0", "t:A1"]  # type: ignore[attr-defined]  # a list of maps


def test_where_finer_candles_resolve_orders_meet_those_of_the_timeframe() -> None:
    coarse = rough_bars(2, 30)
    series = [candles(FIVE, coarse), candles(MINUTE, MINUTES)]
    found = tape_of(listing(), None, series, FIVE, None, resolves=True)
    assert isinstance(found.tape, Bars)
    assert rows_of(found.tape) == rows_of(coarse)
    assert found.tape.finer is not None
    assert isinstance(found.tape.finer, Bars)
    assert rows_of(found.tape.finer) == rows_of(MINUTES)
    alone = tape_of(listing(), None, series, MINUTE, None, resolves=True)
    assert isinstance(alone.tape, Bars)
    assert alone.tape.finer is None
