"""Figures with their units, as calendars print them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.sources.calendar.figures import Figure, in_one_unit, read_figure, unit_name


@pytest.mark.parametrize(
    ("cell", "figure"),
    [
        ("3.2%", Figure(Decimal("3.2"), "%")),
        ("-0.1 %", Figure(Decimal("-0.1"), "%")),
        ("−0.1%", Figure(Decimal("-0.1"), "%")),
        ("187K", Figure(Decimal(187), "K")),
        ("187k", Figure(Decimal(187), "K")),
        ("+1.24M", Figure(Decimal("1.24"), "M")),
        ("-$73.1B", Figure(Decimal("-73.1"), "B")),
        ("$1.2T", Figure(Decimal("1.2"), "T")),
        ("1,234,567", Figure(Decimal(1234567))),
        (".5", Figure(Decimal("0.5"))),
        ("25bps", Figure(Decimal(25), "bp")),
        (0.2, Figure(Decimal("0.2"))),
        (-3, Figure(Decimal(-3))),
        (1e-7, Figure(Decimal("1e-7"))),
    ],
)
def test_a_figure_is_read_with_its_unit(cell: Any, figure: Figure) -> None:
    assert read_figure(cell) == figure


@pytest.mark.parametrize("cell", [None, "", " ", "-", "n/a", "N/A", "Tentative", float("nan"), "null"])
def test_nothing_is_no_figure(cell: Any) -> None:
    assert read_figure(cell) is None


@pytest.mark.parametrize("cell", ["3,2%", "abc", "1.2.3", "187KM", True, float("inf"), "0x1f", "1 234", [], "9-0-0"])
def test_anything_else_is_refused(cell: Any) -> None:
    with pytest.raises(Invalid, match="is not a figure"):
        read_figure(cell)


def test_the_figures_of_a_row_come_in_one_unit() -> None:
    figures = [read_figure("0.18M"), read_figure("187K"), None, read_figure("165")]
    assert in_one_unit(figures, "K") == ([180.0, 187.0, None, 165.0], "K")
    assert in_one_unit(figures, "") == ([0.18, 0.187, None, 165.0], "M")
    assert in_one_unit([read_figure("187K")], "persons") == ([187000.0], "persons")


def test_units_that_do_not_mix_are_refused() -> None:
    with pytest.raises(Invalid, match=r"3\.2%"):
        in_one_unit([read_figure("187K"), read_figure("3.2%")], "")


def test_units_have_one_spelling() -> None:
    assert [unit_name(one) for one in ("percent", "Thousands", "k", "%", "Index", "")] == [
        "%",
        "K",
        "K",
        "%",
        "Index",
        "",
    ]


@given(st.decimals(-(10**6), 10**6, places=2), st.sampled_from(["", "%", "K", "M", "B", "T"]))
def test_what_is_printed_is_read_back(value: Decimal, unit: str) -> None:
    assert read_figure(f"{value}{unit}") == Figure(value, unit)
    assert read_figure(f"{value:,}{unit}") == Figure(value, unit)
