"""The view: what was knowable at an instant, against a search over everything there is."""

from __future__ import annotations

import numpy as np
import pytest
from tests.replay.scene import MINUTE, ground, rough_bars, rough_prints

from gnomon.clock import Timeframe
from gnomon.errors import NotFound
from gnomon.exchange.bars import Bars
from gnomon.exchange.liquidity import Liquidity, NoLiquidity, SyntheticQuote
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Fills
from gnomon.replay.view import TapeView
from gnomon.units import MINUTE_NS

PRINTS, BARS = rough_prints(3, 800), rough_bars(4, 90)
FEED_NS = 25_000_000
WHENS = [
    *PRINTS.time_ns[::60].tolist(), *(PRINTS.time_ns[5::60] + FEED_NS).tolist(), *(PRINTS.time_ns[9::90] - 1).tolist(),
    *(BARS.close_ns[::9] + FEED_NS).tolist(), *(BARS.close_ns[::9] + FEED_NS - 1).tolist(), 0, 2 * 10**18,
]  # fmt: skip


def view(feed_ns: int = FEED_NS) -> TapeView:
    """Prints as number 0, bars as number 1."""
    liquidity: dict[int, Liquidity] = {0: SyntheticQuote(PRINTS, Fills()), 1: NoLiquidity()}
    return TapeView(ground(PRINTS, BARS), liquidity, feed_ns)


@pytest.mark.parametrize("feed_ns", [0, FEED_NS])
def test_the_last_price_is_of_the_newest_print_that_the_feed_has_carried(feed_ns: int) -> None:
    for now_ns in WHENS:
        known = [row for row in range(len(PRINTS)) if PRINTS.time_ns[row] + feed_ns <= now_ns]
        found = view(feed_ns).last(0, now_ns)
        if not known:
            assert found is None
        else:
            assert found == (PRINTS.time_ns[known[-1]] + feed_ns, PRINTS.price[known[-1]])


def test_a_candle_is_knowable_at_its_close_and_the_feed_later() -> None:
    for now_ns in WHENS:
        known = [row for row in range(len(BARS)) if BARS.close_ns[row] + FEED_NS <= now_ns]
        found = view().last(1, now_ns)
        assert found == ((BARS.close_ns[known[-1]] + FEED_NS, BARS.close[known[-1]]) if known else None)
        candles = view().candles(1, MINUTE, 7, now_ns)
        assert candles.close.tolist() == [int(BARS.close[row]) for row in known[-7:]]
        assert (candles.knowable_ns <= now_ns).all()


def test_candles_of_prints_hold_no_print_from_after_the_clock() -> None:
    for now_ns in WHENS:
        candles = view(0).candles(0, MINUTE, 3, now_ns)
        assert (candles.close_ns <= now_ns).all()
        for row in range(len(candles.close)):
            inside = (PRINTS.time_ns >= candles.open_ns[row]) & (PRINTS.time_ns < candles.close_ns[row])
            prices = PRINTS.price[inside]
            shape = (prices[0], prices.max(), prices.min(), prices[-1], PRINTS.lots[inside].sum())
            found = [getattr(candles, name)[row] for name in ("open", "high", "low", "close", "volume")]
            assert tuple(found) == shape


def test_the_newest_trades_are_told_oldest_first_with_their_aggressor() -> None:
    for now_ns in WHENS:
        known = [row for row in range(len(PRINTS)) if PRINTS.time_ns[row] + FEED_NS <= now_ns][-5:]
        found = view().trades(0, 5, now_ns)
        assert [column.tolist() for column in found] == [
            [int(PRINTS.time_ns[row]) + FEED_NS for row in known], [int(PRINTS.price[row]) for row in known],
            [int(PRINTS.lots[row]) for row in known], [int(PRINTS.side[row]) for row in known],
        ]  # fmt: skip


def test_an_instrument_of_candles_has_no_trades() -> None:
    assert [len(column) for column in view().trades(1, 5, 2 * 10**18)] == [0, 0, 0, 0]


def test_the_best_prices_stand_on_the_newest_print() -> None:
    """A buyer met the ask, a seller the bid; the other side is the spread away."""
    for now_ns in WHENS:
        known = [row for row in range(len(PRINTS)) if PRINTS.time_ns[row] + FEED_NS <= now_ns]
        found = view().best(0, now_ns)
        if not known:
            assert found is None
            continue
        price, side = int(PRINTS.price[known[-1]]), int(PRINTS.side[known[-1]])
        bid = price - 1 if side > 0 else price
        assert found is not None
        assert (found[2], found[3]) == (bid, bid + 1)


def test_where_the_rules_assume_no_quote_there_is_none() -> None:
    assert view().best(1, 2 * 10**18) is None


def test_another_timeframe_is_made_of_prints_once() -> None:
    looks = view(0)
    five = Timeframe.parse("5m")
    first = looks.candles(0, five, 10, 2 * 10**18)
    assert (first.close_ns - first.open_ns == 5 * MINUTE_NS).all()
    assert np.shares_memory(first.close, looks.candles(0, five, 10, 2 * 10**18).close)


def test_candles_are_not_made_of_candles() -> None:
    with pytest.raises(NotFound, match="no candles of t:A1 at 5m") as error:
        view().candles(1, Timeframe.parse("5m"), 3, 2 * 10**18)
    assert "1m" in str(error.value.hint)


@pytest.mark.parametrize("rows", [Prints.empty(), Bars(*[np.empty(0, np.int64)] * 7)])
def test_an_empty_tape_shows_nothing(rows: Prints | Bars) -> None:
    looks = TapeView(ground(rows), {0: NoLiquidity()}, 0)
    assert looks.last(0, 2 * 10**18) is None
    assert len(looks.candles(0, MINUTE, 5, 2 * 10**18).close) == 0
    assert looks.best(0, 2 * 10**18) is None
