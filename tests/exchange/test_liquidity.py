"""Where takers find their counterpart: the synthetic quote by itself."""

from __future__ import annotations

import pytest
from tests.exchange.venue import prints

from gnomon.exchange.liquidity import NoLiquidity, SyntheticQuote
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import QuoteKind
from gnomon.exchange.rules import Fills

ROWS = [(1, 100, 40, -1), (2, 50, 40, 1), (3, 2, 40, -1)]


def quote(**settings: int) -> SyntheticQuote:
    return SyntheticQuote(prints(ROWS), Fills(**{"level_lots": 10, "max_levels": 3} | settings))


def test_it_stands_on_the_print_before_the_position() -> None:
    assert quote().best(1, 9) == (100, 101, QuoteKind.SYNTHETIC, 0)
    assert quote().best(2, 9) == (49, 50, QuoteKind.SYNTHETIC, 1)
    assert quote().best(0, 9).kind is QuoteKind.NONE


def test_levels_go_away_from_the_best_price_a_tick_at_a_time() -> None:
    assert [(one.price, one.lots, one.number) for one in quote().levels(Side.BUY, 1, 9)] == [
        (101, 10, 1),
        (102, 10, 2),
        (103, 10, 3),
    ]
    assert [one.price for one in quote().levels(Side.SELL, 3, 9)] == [2, 1]  # nobody bids zero


def test_what_was_taken_is_gone_until_the_next_print() -> None:
    found = quote()
    first = next(iter(found.levels(Side.BUY, 1, 9)))
    found.take(Side.BUY, first, 4)
    assert next(iter(found.levels(Side.BUY, 1, 9))).lots == 6
    found.take(Side.BUY, first, 6)
    assert next(iter(found.levels(Side.BUY, 1, 9))).price == 102
    assert next(iter(found.levels(Side.SELL, 1, 9))).lots == 10
    assert next(iter(found.levels(Side.BUY, 2, 9))).lots == 10


def test_where_only_prints_are_known_there_is_nothing_to_take() -> None:
    assert list(NoLiquidity().levels(Side.BUY, 3, 9)) == []
    assert NoLiquidity().best(3, 9).kind is QuoteKind.NONE
    with pytest.raises(AssertionError):
        NoLiquidity().take(Side.BUY, next(iter(quote().levels(Side.BUY, 1, 9))), 1)
