"""The plain loops that the engine is compared with give the specification's figures to the last digit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
from bench.workload.seeded import bars, prints
from tests.replay.oracle_w1 import crossing
from tests.replay.oracle_w2 import (
    BUYER,
    FIGURES,
    FIRST_OF_A,
    LAST_OF_A,
    LAST_PRICE,
    ROWS,
    SELLER,
    Fill,
    Order,
    Print,
    Rules,
    filled,
    quoting,
)

MILLION = 1_000_000


@pytest.fixture(scope="module")
def tape() -> Callable[[int], Iterator[Print]]:
    """The first so many of the million prints, one by one."""
    whole = prints(MILLION)

    def first(count: int) -> Iterator[Print]:
        columns = (column[:count].tolist() for column in (whole.ts, whole.price, whole.lots, whole.side))
        return map(Print._make, zip(*columns, strict=True))

    return first


def test_the_first_quotes_fill_where_the_table_says(tape: Callable[[int], Iterator[Print]]) -> None:
    assert quoting(tape(600), ROWS["A"]).fills == FIRST_OF_A


def test_twenty_milliseconds_of_latency_change_nothing_between_prints_fifty_apart(
    tape: Callable[[int], Iterator[Print]],
) -> None:
    some = list(tape(20_000))
    late = Rules(every=100, latency_ns=20_000_000)
    assert quoting(some, late) == quoting(some, ROWS["A"])
    assert quoting(some, ROWS["D"]) != quoting(some, ROWS["A"])


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table_to_the_last_digit(row: str, tape: Callable[[int], Iterator[Print]]) -> None:
    account, expected = quoting(tape(MILLION), ROWS[row]), FIGURES[row]
    assert (len(account.fills), account.position, account.cash, account.fees, account.digest()) == (
        expected.fills,
        expected.position,
        expected.cash,
        expected.fees,
        expected.digest,
    )
    if expected.equity is not None:
        assert account.equity(LAST_PRICE) == expected.equity
    if expected.bought is not None:
        assert (account.bought, account.sold) == (expected.bought, expected.sold)
    if row == "A":
        assert account.fills[:4] == FIRST_OF_A
        assert account.fills[-1] == LAST_OF_A


@pytest.mark.slow
def test_the_crossing_of_averages_to_the_last_digit() -> None:
    market = bars(MILLION)
    account = crossing(market.open.tolist(), market.close.tolist())
    assert len(account.fills) == 38_894
    assert account.fills[:2] == [Fill(30, "B", 400_235, 10), Fill(33, "S", 400_150, 10)]
    assert (account.position, account.cash, account.fees) == (0, -81_38300000, 6_132_77779050)
    assert account.equity(0) == -6_214_16079050
    assert account.digest() == "64366d0ee99ae4d6"


# --- the worked example -----------------------------------------------------------------------------------------------

WORKED = ((SELLER, 101, 5), (BUYER, 100, 9), (SELLER, 100, 4), (SELLER, 100, 5), (SELLER, 99, 2), (SELLER, 100, 20))


@pytest.mark.parametrize(
    ("resting", "share", "fills", "ahead"),
    [
        ("queue", Fraction(1), [0, 0, 0, 3, 2, 5], [6, 6, 2, 0, 0, 0]),
        ("queue", None, [0, 0, 0, 10], [6, 6, 2, None]),
        ("queue", Fraction(1, 2), [0, 0, 0, 1, 1, 8], [6, 6, 2, 0, 0, 0]),
        ("touch", Fraction(1), [0, 0, 4, 5, 1], [None] * 5),
        ("through", None, [0, 0, 0, 0, 10], [None] * 5),
    ],
    ids=["queue, share 1", "queue, none", "queue, share 0.5", "touch, share 1", "through, none"],
)
def test_the_worked_example(resting: str, share: Fraction | None, fills: list[int], ahead: list[int | None]) -> None:
    order, rules = Order("B", 100, 10, 6), Rules(every=1, resting=resting, share=share)
    for (side, price, lots), expected, in_front in zip(WORKED, fills, ahead, strict=False):
        assert filled(order, Print(0, price, lots, side), rules) == expected
        assert in_front in (None, order.ahead)
    assert order.remaining == 0


def test_a_print_of_unknown_side_counts_for_both() -> None:
    bid, ask = Order("B", 100, 10, 6), Order("S", 100, 10, 6)
    rules = Rules(every=1, resting="queue", share=Fraction(1))
    assert filled(bid, Print(0, 100, 9, 0), rules) == filled(ask, Print(0, 100, 9, 0), rules) == 3
    assert bid.ahead == ask.ahead == 0
