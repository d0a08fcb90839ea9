"""Figures as people read them."""

from __future__ import annotations

import pytest

from gnomon.clock import parse_instant
from gnomon.report.wording import (
    ABSENT,
    amount_of,
    clock_text,
    count,
    duration,
    instant,
    money,
    number,
    plural,
    share,
    signed_share,
)
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567.891, "1,234,567.89"), (-3.14159, "−3.14"), (-0.001, "0.00"), (None, ABSENT), (float("nan"), ABSENT)],
)
def test_numbers_have_a_true_minus_and_no_negative_zero(value: float | None, text: str) -> None:
    assert number(value) == text


def test_units_do_not_leave_their_number() -> None:
    assert number(3.0, 1, "bps") == "3.0\N{NO-BREAK SPACE}bps"
    assert share(0.12345) == "12.35\N{NO-BREAK SPACE}%"
    assert signed_share(0.05).startswith("+5.00")
    assert signed_share(-0.05).startswith("−5.00")
    assert signed_share(0.0).startswith("0.00")
    assert signed_share(0.000001).startswith("0.00")
    assert (share(None), signed_share(None), count(None)) == (ABSENT, ABSENT, ABSENT)


def test_small_money_does_not_read_as_nothing() -> None:
    assert money(1234.5, "USDT") == "1,234.50 USDT"
    assert money(0.00012, "USDT") == "0.00012000 USDT"
    assert money(0.0, "USDT") == "0.00 USDT"
    assert money(None, "USDT") == ABSENT
    assert amount_of(0.01310000, "BNB") == "0.0131 BNB"
    assert amount_of(100.0, "USDT") == "100 USDT"


@pytest.mark.parametrize(
    ("value_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_500, "1.5 µs"),
        (20_000_000, "20 ms"),
        (1_250_000_000, "1.25 s"),
        (5 * MINUTE_NS + 7 * SECOND_NS, "5 min 7 s"),
        (3 * HOUR_NS, "3 h"),
        (400 * DAY_NS + 5 * HOUR_NS, "400 d 5 h"),
        (-2 * HOUR_NS, "−2 h"),
        (None, ABSENT),
    ],
)
def test_durations_take_their_two_largest_units(value_ns: int | None, text: str) -> None:
    assert duration(value_ns).replace("\N{NO-BREAK SPACE}", " ") == text


def test_instants_are_as_fine_as_they_need() -> None:
    assert instant(parse_instant("2024-03-01")) == "2024-03-01 00:00:00 UTC"
    assert clock_text(parse_instant("2024-03-01") + 5) == "2024-03-01 00:00:00.000000005"


def test_words_agree_with_their_number() -> None:
    assert (plural(1, "fill"), plural(2_000, "fill"), plural(2, "entry", "entries")) == (
        "1 fill",
        "2,000 fills",
        "2 entries",
    )
